//! PDF.

use std::io::Write;

use super::builders::{look, pdf, refusal};

#[test]
fn the_pages_of_a_pdf_are_counted() {
    for pages in [0, 1, 12] {
        let found = look(&pdf(pages)).unwrap();
        assert_eq!(found.facts.pages.map(|pages| pages as usize), Some(pages));
        assert!(found.preview.is_none() && found.note.is_some());
    }
    // Trees in a tree have parents; a later version of the file counts.
    let mut later = pdf(3);
    later.splice(
        9..9,
        *b"9 0 obj <</Type/Pages/Parent 2 0 R/Count 2>> endobj ",
    );
    later.extend(b"2 0 obj <</Type/Pages /Kids [<</A 1>>] /Count 5>> endobj\nstartxref\n7\n%%EOF");
    assert_eq!(look(&later).unwrap().facts.pages, Some(5));
}

#[test]
fn pages_are_counted_in_compressed_objects() {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(b"2 0 <</Type /Pages /Kids [3 0 R] /Count 7>>")
        .unwrap();
    let stream = zlib.finish().unwrap();
    let mut file = b"%PDF-1.7\n4 0 obj <</Type /ObjStm /N 1 /First 4>> stream\r\n".to_vec();
    file.extend(&stream);
    file.extend(b"\nendstream endobj\nstartxref\n9\n%%EOF\n");
    assert_eq!(look(&file).unwrap().facts.pages, Some(7));
    // One that inflates to a gigabyte is read as far as is allowed.
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        zlib.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let mut bomb = b"%PDF-1.7\n4 0 obj <</Type /ObjStm>> stream\n".to_vec();
    bomb.extend(zlib.finish().unwrap());
    bomb.extend(b"\nendstream endobj\nstartxref\n9\n%%EOF\n");
    assert_eq!(look(&bomb).unwrap().facts.pages, None);
}

#[test]
fn a_pdf_without_its_end_is_refused() {
    let file = pdf(40);
    for end in (9..file.len() - 7).step_by(31) {
        assert!(refusal(&file[..end]).contains("cut off"), "{end}");
    }
    let far = [&file[..file.len() - 8], b"99999\n%%EOF"].concat();
    assert!(refusal(&far).contains("table"), "{}", refusal(&far));
    let no_number = b"%PDF-1.4 startxref %%EOF";
    assert!(refusal(no_number).contains("end is broken"));
}

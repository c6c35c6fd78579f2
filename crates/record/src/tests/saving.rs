//! What is saved is loaded again, with a proof and not without.

use super::*;

fn saved() -> (Record, Vec<u8>) {
    let (mut a, mut b) = pair();
    a.import(Edit::all(content()), NOW_MS).unwrap();
    edit(&mut a, set("phone", "1"));
    edit(&mut b, set("phone", "2"));
    exchange(&mut a, &mut b);
    let saved = a.save();
    (a, saved)
}

#[test]
fn a_saved_document_holds_everything_and_a_damaged_one_is_refused() {
    let (a, saved) = saved();
    let loaded = load(&saved, actor(0)).unwrap();
    assert_eq!(loaded.heads(), a.heads());
    assert_eq!(loaded.view(), a.view());
    assert_eq!(loaded.conflicts(), a.conflicts());
    for cut in [0, 1, saved.len() / 2, saved.len() - 1] {
        assert!(load(&saved[..cut], actor(0)).is_err() || cut == 0);
    }
    for at in (0..saved.len()).step_by(37) {
        let mut bad = saved.clone();
        bad[at] ^= 0x20;
        if let Ok(record) = load(&bad, actor(0)) {
            assert_eq!(record.heads(), a.heads(), "byte {at}");
        }
    }
}

#[test]
fn nothing_is_loaded_that_nobody_else_has_loaded() {
    let (a, saved) = saved();
    // Whoever was to load it died, answered nothing, said no, or speaks of something else.
    assert_eq!(LoadProof::ask(&saved, |_| None), Err(LoadError));
    assert_eq!(LoadProof::ask(&saved, |_| Some(Vec::new())), Err(LoadError));
    let mut other = a.clone();
    edit(&mut other, set("phone", "3"));
    let other = other.save();
    let mut answer = Vec::new();
    let proof_of_other = LoadProof::ask(&other, |request| {
        answer = load_job(request);
        Some(answer.clone())
    })
    .unwrap();
    assert_eq!(
        LoadProof::ask(&saved, |_| Some(answer.clone())),
        Err(LoadError)
    );
    assert!(Record::load(&saved, actor(0), &proof_of_other).is_err());
    assert!(Record::load(&other, actor(0), &proof_of_other).is_ok());
    for at in 0..answer.len() {
        let mut bad = answer.clone();
        bad[at] ^= 1;
        assert!(LoadProof::ask(&other, |_| Some(bad)).is_err(), "byte {at}");
        assert!(LoadProof::ask(&other, |_| Some(answer[..at].to_vec())).is_err());
    }
}

#[test]
fn no_bytes_are_a_request_to_load_by_accident() {
    let (_, saved) = saved();
    let mut request = Vec::new();
    LoadProof::ask(&saved, |asked| {
        request = asked.to_vec();
        Some(load_job(asked))
    })
    .unwrap();
    for cut in 0..11 {
        assert_eq!(load_job(&request[..cut]), Vec::<u8>::new());
    }
    let yes = load_job(&request);
    for at in (11..request.len()).step_by(7) {
        let mut bad = request.clone();
        bad[at] ^= 0x40;
        assert_ne!(load_job(&bad), yes, "byte {at}");
    }
    request.push(0);
    assert_ne!(load_job(&request), yes);
}

//! The structure of a data set, read by dicom-rs token by token; values stay where they are, as slices of the file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::Range;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::transfer_syntax::{TransferSyntax, TransferSyntaxIndex};
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_parser::stateful::decode::{DynStatefulDecoder, StatefulDecode};
use dicom_transfer_syntax_registry::{TransferSyntaxRegistry, entries};

use super::{damaged, unsupported};
use crate::{ImageError, MAX_INFLATED_BYTES};

/// Where the data set of a part 10 file begins: after the preamble and `DICM`.
const META: usize = 132;
/// Elements in elements: more are written by nobody, and would only take memory.
const MAX_DEPTH: usize = 64;
/// Fragments of pixel data that are noted: 16 for each frame that a file may have.
const MAX_FRAGMENTS: usize = 1 << 20;

/// Elements of the outermost level that are kept.
const KEPT: &[Tag] = &[
    tags::SPECIFIC_CHARACTER_SET,
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::STUDY_DATE,
    tags::MODALITY,
    tags::STUDY_DESCRIPTION,
    tags::SERIES_DESCRIPTION,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::BODY_PART_EXAMINED,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::SERIES_NUMBER,
    tags::INSTANCE_NUMBER,
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::PIXEL_REPRESENTATION,
    tags::PIXEL_PADDING_VALUE,
    tags::WINDOW_CENTER,
    tags::WINDOW_WIDTH,
    tags::RESCALE_INTERCEPT,
    tags::RESCALE_SLOPE,
    tags::VOILUT_FUNCTION,
    tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
];

/// Elements that multi-frame files keep inside functional groups; the first of each counts.
const KEPT_IN_GROUPS: &[Tag] = &[
    tags::WINDOW_CENTER,
    tags::WINDOW_WIDTH,
    tags::RESCALE_INTERCEPT,
    tags::RESCALE_SLOPE,
    tags::VOILUT_FUNCTION,
];

/// A lookup table in a sequence, of which the first item counts.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Lut<'a> {
    pub(super) descriptor: Option<&'a [u8]>,
    pub(super) data: Option<&'a [u8]>,
}

/// Where the samples are.
#[derive(Debug)]
pub(super) enum PixelData<'a> {
    Missing,
    /// One after the other, uncompressed.
    Native(&'a [u8]),
    /// In fragments, the first of which is the offset table.
    Encapsulated(Vec<&'a [u8]>),
    /// Floating-point samples, uncompressed.
    Float(&'a [u8]),
    /// In the part of the file that is not at hand: of an uncompressed value its length in bytes.
    Behind(Option<u64>),
}

/// What a file says, as far as it is of use here.
pub(super) struct DataSet<'a> {
    pub(super) transfer_syntax: &'static TransferSyntax,
    pub(super) big_endian: bool,
    pub(super) elements: BTreeMap<Tag, &'a [u8]>,
    pub(super) voi_lut: Lut<'a>,
    pub(super) modality_lut: Lut<'a>,
    pub(super) pixel_data: PixelData<'a>,
    /// Whether its pixel data are words of 16 bits (OW), whatever a sample has.
    pub(super) pixel_words: bool,
    /// Bytes of the file behind those at hand.
    missing: u64,
}

/// Reads a file up to and with its pixel data, and hands over what was found.
pub(super) fn with<T>(
    bytes: &[u8],
    then: impl FnOnce(&DataSet<'_>) -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    with_head(bytes, bytes.len() as u64, then)
}

/// The same of a file of which only the beginning may be at hand; its pixel data must begin there.
pub(super) fn with_head<T>(
    bytes: &[u8],
    total_len: u64,
    then: impl FnOnce(&DataSet<'_>) -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    let (uid, start) = transfer_syntax(bytes)?;
    let transfer_syntax = TransferSyntaxRegistry
        .get(&uid)
        .ok_or_else(|| unsupported("an unknown transfer syntax", "export it uncompressed"))?;
    let rest = bytes.get(start..).unwrap_or_default();
    let missing = total_len.saturating_sub(bytes.len() as u64);
    let data = if uid == entries::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid() {
        // Without its end it cannot be checked, and it inflates to more than is read in any case.
        if missing > 0 {
            return Err(ImageError::Inflates);
        }
        Cow::Owned(inflate(rest)?)
    } else {
        Cow::Borrowed(rest)
    };
    let empty = || DataSet {
        transfer_syntax,
        big_endian: transfer_syntax.uid() == entries::EXPLICIT_VR_BIG_ENDIAN.uid(),
        elements: BTreeMap::new(),
        voi_lut: Lut::default(),
        modality_lut: Lut::default(),
        pixel_data: PixelData::Missing,
        pixel_words: false,
        missing,
    };
    let mut data_set = empty();
    let known;
    if let Err(error) = data_set.read(&data) {
        known = Some(&data)
            .filter(|_| !data_set.big_endian)
            .and_then(|data| with_known_lengths(data))
            .ok_or(error)?;
        data_set = empty();
        data_set.read(&known)?;
    }
    then(&data_set)
}

type Reader<'a> = LazyDataSetReader<DynStatefulDecoder<Cursor<&'a [u8]>>>;

fn reader<'a>(data: &'a [u8], syntax: &TransferSyntax) -> Result<Reader<'a>, ImageError> {
    LazyDataSetReader::new_with_ts(Cursor::new(data), syntax)
        .map_err(|_| unsupported("an unusual byte order", "export it uncompressed"))
}

/// The syntax in which the elements of a data set are written: the one that the file names, unless its first element shows that the
/// writer has forgotten, or left out, the VRs. Lengths of 16 KiB and more, which would look like a VR, no first element has.
fn written(data: &[u8], named: &TransferSyntax) -> TransferSyntax {
    let implicit = entries::IMPLICIT_VR_LITTLE_ENDIAN.erased();
    let explicit = entries::EXPLICIT_VR_LITTLE_ENDIAN.erased();
    let has_vr = data
        .get(4..6)
        .and_then(|vr| VR::from_binary([vr[0], vr[1]]))
        .is_some();
    if named.uid() == entries::EXPLICIT_VR_BIG_ENDIAN.uid() {
        entries::EXPLICIT_VR_BIG_ENDIAN.erased()
    } else if has_vr {
        explicit
    } else {
        implicit
    }
}

/// The same data with the lengths of sequences that have unknown VR and undefined length (PS3.5, 6.2.2); `None` where there are none.
/// Their elements have no VRs, whatever the file's have, and dicom-rs reads them as the file's.
fn with_known_lengths(data: &[u8]) -> Option<Vec<u8>> {
    const UNKNOWN: &[u8] = b"UN\0\0\xff\xff\xff\xff";
    let mut known: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = data
        .get(at..)
        .and_then(|rest| rest.windows(UNKNOWN.len()).position(|part| part == UNKNOWN))
    {
        let start = at + found + UNKNOWN.len();
        // Behind one that does not end there is nothing to be found.
        let Some(end) = end_of_unknown(data, start) else {
            break;
        };
        let length = u32::try_from(end - start).ok()?;
        let known = known.get_or_insert_with(|| data.to_vec());
        known
            .get_mut(start - 4..start)?
            .copy_from_slice(&length.to_le_bytes());
        at = end;
    }
    known
}

/// Where such a sequence ends, in little endian: behind its delimiter. What has a length is skipped, whatever it holds.
fn end_of_unknown(data: &[u8], start: usize) -> Option<usize> {
    const ITEM_END: [u8; 4] = [0xfe, 0xff, 0x0d, 0xe0];
    const SEQUENCE_END: [u8; 4] = [0xfe, 0xff, 0xdd, 0xe0];
    let (mut at, mut open) = (start, 1_usize);
    while open > 0 {
        let (tag, rest) = data.get(at..)?.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*rest.first_chunk()?);
        at += 8;
        match (*tag, length) {
            (ITEM_END | SEQUENCE_END, _) => open -= 1,
            (_, u32::MAX) => open += 1,
            (_, length) => at = at.checked_add(length as usize)?,
        }
    }
    Some(at)
}

/// The identifier of the transfer syntax, from the file meta group (PS3.10, section 7.1), and where the data set begins.
fn transfer_syntax(bytes: &[u8]) -> Result<(String, usize), ImageError> {
    const META_GROUP: u16 = 2;
    let meta = bytes.get(META..).unwrap_or_default();
    let explicit = entries::EXPLICIT_VR_LITTLE_ENDIAN.erased();
    let mut reader = reader(meta, &written(meta, &explicit))?;
    let mut uid = None;
    let mut end = 0;
    // What follows the group may be of any syntax, and is read as what it is not: an error there is its end, too.
    while let Some(Ok(token)) = reader.advance() {
        match token {
            LazyDataToken::ElementHeader(header) if header.tag.group() == META_GROUP => {}
            LazyDataToken::LazyValue { header, decoder } => {
                let range = value_range(decoder.position(), header.len.0, meta.len())?;
                if header.tag == tags::TRANSFER_SYNTAX_UID {
                    uid = Some(text(&meta[range.clone()]));
                }
                end = range.end;
                if decoder.skip_bytes(header.len.0).is_err() {
                    break;
                }
            }
            _ => break,
        }
    }
    let uid = uid.ok_or_else(|| damaged("the file meta group names no transfer syntax"))?;
    Ok((uid, META + end))
}

/// Where a value lies, if all of it is there.
fn value_range(position: u64, length: u32, available: usize) -> Result<Range<usize>, ImageError> {
    let start = usize::try_from(position).unwrap_or(usize::MAX);
    start
        .checked_add(length as usize)
        .filter(|end| *end <= available)
        .map(|end| start..end)
        .ok_or_else(|| damaged("an element is longer than the file"))
}

/// Text of the default repertoire without its padding.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value)
        .trim_matches(['\0', ' '])
        .to_owned()
}

fn inflate(deflated: &[u8]) -> Result<Vec<u8>, ImageError> {
    let mut data = Vec::new();
    let limit = MAX_INFLATED_BYTES as u64 + 1;
    flate2::read::DeflateDecoder::new(deflated)
        .take(limit)
        .read_to_end(&mut data)
        .map_err(|_| damaged("its deflated data set is cut off or broken"))?;
    if data.len() > MAX_INFLATED_BYTES {
        return Err(ImageError::Inflates);
    }
    Ok(data)
}

/// What the reader is inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Sequence(Tag),
    Item,
    PixelFragments,
    Fragment,
}

impl<'a> DataSet<'a> {
    fn read(&mut self, data: &'a [u8]) -> Result<(), ImageError> {
        let mut reader = reader(data, &written(data, self.transfer_syntax))?;
        let mut path: Vec<Inside> = Vec::new();
        let mut fragments = Vec::new();
        while let Some(token) = reader.advance() {
            let token = match token {
                Ok(token) => token,
                Err(_) if self.missing > 0 => return self.end_of_head(&path),
                Err(_) => return Err(damaged("its structure is broken")),
            };
            match token {
                LazyDataToken::ElementHeader(_) => {}
                LazyDataToken::LazyValue { header, decoder } => {
                    let end = decoder.position().saturating_add(u64::from(header.len.0));
                    if self.is_behind(end, data)? {
                        if path.is_empty() && header.tag == tags::PIXEL_DATA {
                            let length = u64::from(header.len.0);
                            self.pixel_data = PixelData::Behind(Some(length));
                        }
                        return self.end_of_head(&path);
                    }
                    let range = value_range(decoder.position(), header.len.0, data.len())?;
                    self.keep(&path, header.tag, &data[range]);
                    if path.is_empty() && header.tag == tags::PIXEL_DATA {
                        self.pixel_words = header.vr == VR::OW;
                        if self.describes_samples() {
                            return Ok(());
                        }
                    }
                    decoder
                        .skip_bytes(header.len.0)
                        .map_err(|_| damaged("an element is cut off"))?;
                }
                LazyDataToken::LazyItemValue { len, decoder } => {
                    let end = decoder.position().saturating_add(u64::from(len));
                    if self.is_behind(end, data)? {
                        return self.end_of_head(&path);
                    }
                    let range = value_range(decoder.position(), len, data.len())?;
                    if path.len() == 2 {
                        fragments.push(&data[range]);
                    }
                    if fragments.len() > MAX_FRAGMENTS {
                        return Err(damaged("it has too many fragments"));
                    }
                    decoder
                        .skip_bytes(len)
                        .map_err(|_| damaged("a fragment is cut off"))?;
                }
                LazyDataToken::SequenceStart { tag, .. } => path.push(Inside::Sequence(tag)),
                LazyDataToken::PixelSequenceStart => path.push(Inside::PixelFragments),
                LazyDataToken::ItemStart { len } => {
                    let inside = match path.last() {
                        Some(Inside::Sequence(_)) => Inside::Item,
                        // The reader says nothing of the sequence when its first item, the offset table, is read.
                        Some(Inside::PixelFragments) => Inside::Fragment,
                        _ => return Err(damaged("an item stands outside a sequence")),
                    };
                    // The reader gives no value for an empty item.
                    if inside == Inside::Fragment && path.len() == 1 && len.0 == 0 {
                        fragments.push(&data[..0]);
                    }
                    path.push(inside);
                }
                LazyDataToken::ItemEnd => match path.pop() {
                    Some(Inside::Item | Inside::Fragment) => {}
                    _ => return Err(damaged("an item ends that never began")),
                },
                LazyDataToken::SequenceEnd => match path.pop() {
                    Some(Inside::Sequence(_)) => {}
                    Some(Inside::PixelFragments) if path.is_empty() => {
                        self.pixel_data = PixelData::Encapsulated(std::mem::take(&mut fragments));
                        if self.describes_samples() {
                            return Ok(());
                        }
                    }
                    Some(Inside::PixelFragments) => {}
                    _ => return Err(damaged("a sequence ends that never began")),
                },
                _ => return Err(damaged("its structure is broken")),
            }
            if path.len() > MAX_DEPTH {
                return Err(damaged("its sequences are nested too deeply"));
            }
        }
        if self.missing > 0 {
            return self.end_of_head(&path);
        }
        // Some writers leave the last delimiter out.
        if path.first() == Some(&Inside::PixelFragments) && !fragments.is_empty() {
            self.pixel_data = PixelData::Encapsulated(fragments);
            return Ok(());
        }
        if path.is_empty() {
            self.end_of_unsorted()
        } else {
            Err(damaged("a sequence is cut off"))
        }
    }

    /// Whether what is needed to read samples has come. It stands before them, but some writers sort nothing.
    fn describes_samples(&self) -> bool {
        self.has([tags::ROWS, tags::COLUMNS, tags::BITS_ALLOCATED])
    }

    fn has<const N: usize>(&self, needed: [Tag; N]) -> bool {
        needed.iter().all(|tag| self.elements.contains_key(tag))
    }

    /// The end of a file whose samples, if there are any, stood before what describes them: this may have been cut off.
    fn end_of_unsorted(&self) -> Result<(), ImageError> {
        let whole = self.has([
            tags::ROWS,
            tags::COLUMNS,
            tags::BITS_ALLOCATED,
            tags::BITS_STORED,
            tags::PIXEL_REPRESENTATION,
            tags::SAMPLES_PER_PIXEL,
            tags::PHOTOMETRIC_INTERPRETATION,
        ]);
        match self.pixel_data {
            PixelData::Native(_) | PixelData::Encapsulated(_) if !whole => {
                Err(damaged("what describes its samples is missing"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a value that ends there reaches behind the bytes at hand.
    fn is_behind(&self, end: u64, data: &[u8]) -> Result<bool, ImageError> {
        let at_hand = data.len() as u64;
        if end > at_hand.saturating_add(self.missing) {
            return Err(damaged("an element is longer than the file"));
        }
        Ok(end > at_hand)
    }

    /// The bytes at hand are read: everything that is of use must have been among them.
    fn end_of_head(&mut self, path: &[Inside]) -> Result<(), ImageError> {
        if path.first() == Some(&Inside::PixelFragments) {
            self.pixel_data = PixelData::Behind(None);
        }
        match self.pixel_data {
            PixelData::Missing => Err(damaged("its pixel data does not begin near its beginning")),
            _ => Ok(()),
        }
    }

    /// Notes a value if it is of use.
    fn keep(&mut self, path: &[Inside], tag: Tag, value: &'a [u8]) {
        match path {
            [] if tag == tags::PIXEL_DATA => self.pixel_data = PixelData::Native(value),
            [] if [tags::FLOAT_PIXEL_DATA, tags::DOUBLE_FLOAT_PIXEL_DATA].contains(&tag) => {
                self.pixel_data = PixelData::Float(value);
            }
            [] if KEPT.contains(&tag) => {
                self.elements.insert(tag, value);
            }
            [Inside::Sequence(tags::VOILUT_SEQUENCE), Inside::Item] => {
                self.voi_lut.keep(tag, value);
            }
            [Inside::Sequence(tags::MODALITY_LUT_SEQUENCE), Inside::Item] => {
                self.modality_lut.keep(tag, value);
            }
            [
                Inside::Sequence(
                    tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE
                    | tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
                ),
                Inside::Item,
                Inside::Sequence(_),
                Inside::Item,
            ] if KEPT_IN_GROUPS.contains(&tag) => {
                self.elements.entry(tag).or_insert(value);
            }
            _ => {}
        }
    }

    /// A 16-bit number.
    pub(super) fn short(&self, tag: Tag) -> Option<u16> {
        self.shorts(self.elements.get(&tag)?).next()
    }

    /// 16-bit numbers in the file's byte order.
    pub(super) fn shorts(&self, value: &'a [u8]) -> impl Iterator<Item = u16> + use<'a> {
        let big_endian = self.big_endian;
        value.as_chunks::<2>().0.iter().map(move |bytes| {
            if big_endian {
                u16::from_be_bytes(*bytes)
            } else {
                u16::from_le_bytes(*bytes)
            }
        })
    }

    /// Text of the default repertoire.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        let value = text(self.elements.get(&tag)?);
        (!value.is_empty()).then_some(value)
    }

    /// The first number of a decimal or integer string.
    pub(super) fn number(&self, tag: Tag) -> Option<f64> {
        let text = self.text(tag)?;
        let first = text.split('\\').next()?.trim();
        first.parse().ok().filter(|number: &f64| number.is_finite())
    }
}

impl<'a> Lut<'a> {
    fn keep(&mut self, tag: Tag, value: &'a [u8]) {
        match tag {
            tags::LUT_DESCRIPTOR => {
                self.descriptor.get_or_insert(value);
            }
            tags::LUT_DATA => {
                self.data.get_or_insert(value);
            }
            _ => {}
        }
    }
}

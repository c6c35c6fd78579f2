//! What can be said of a file.

use std::fmt;

use salus_imaging::{DicomMetadata, RawStatistics};

use crate::MediaType;

/// The longest text of a file that is passed on, in bytes: a person's name (PN) has at most 3 x 64 characters.
pub const MAX_FACT_TEXT: usize = 1_024;

/// What can be said of a file.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
#[non_exhaustive]
pub struct Facts {
    /// What it is.
    #[n(0)]
    pub media: MediaType,
    /// Its length in bytes.
    #[n(1)]
    pub bytes: u64,
    /// Of a picture: width in pixels, the right way up.
    #[n(2)]
    pub width: Option<u32>,
    /// Of a picture: height in pixels, the right way up.
    #[n(3)]
    pub height: Option<u32>,
    /// Of a picture: how many there are, as frames or as pages.
    #[n(4)]
    pub frames: Option<u32>,
    /// What a DICOM file says of itself.
    #[n(5)]
    pub dicom: Option<DicomFacts>,
    /// Of sound.
    #[n(6)]
    pub audio: Option<AudioFacts>,
    /// Of a PDF: how many pages it has, where that could be counted.
    #[n(7)]
    pub pages: Option<u32>,
    /// Of text: its lines, where all of it was read.
    #[n(8)]
    pub lines: Option<u64>,
}

/// What can be said of sound.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
#[non_exhaustive]
pub struct AudioFacts {
    /// How long it is, in milliseconds. `None` where the header does not tell and not all of the file was read.
    #[n(0)]
    pub duration_ms: Option<u64>,
    /// Samples a second of each channel.
    #[n(1)]
    pub sample_rate: u32,
    /// Channels, at least 1.
    #[n(2)]
    pub channels: u16,
    /// How it is coded, for people: `PCM`, `FLAC`, `MP3`, `Vorbis`, `Opus`, `AAC` ...
    #[n(3)]
    pub codec: String,
}

/// What a DICOM file says of patient, study and picture. Texts are as written there, without control characters, of at most
/// [`MAX_FACT_TEXT`] bytes.
#[derive(Clone, PartialEq, Default, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
#[non_exhaustive]
pub struct DicomFacts {
    /// Patient ID (0010,0020).
    #[n(0)]
    pub patient_id: Option<String>,
    /// Patient's Name (0010,0010): components separated by `^`, writings of it by `=`.
    #[n(1)]
    pub patient_name: Option<String>,
    /// The family name of its first writing that has one.
    #[n(2)]
    pub patient_family: Option<String>,
    /// The given names of the same: given and middle names, separated by a space.
    #[n(3)]
    pub patient_given: Option<String>,
    /// Patient's Birth Date (0010,0030), `YYYYMMDD`.
    #[n(4)]
    pub patient_birth_date: Option<String>,
    /// Patient's Sex (0010,0040): `M`, `F` or `O`.
    #[n(5)]
    pub patient_sex: Option<String>,
    /// Study Instance UID (0020,000D).
    #[n(6)]
    pub study_uid: Option<String>,
    /// Series Instance UID (0020,000E).
    #[n(7)]
    pub series_uid: Option<String>,
    /// SOP Instance UID (0008,0018).
    #[n(8)]
    pub instance_uid: Option<String>,
    /// SOP Class UID (0008,0016).
    #[n(9)]
    pub class_uid: Option<String>,
    /// Study Date (0008,0020), `YYYYMMDD`.
    #[n(10)]
    pub study_date: Option<String>,
    /// Study Description (0008,1030).
    #[n(11)]
    pub study_description: Option<String>,
    /// Series Description (0008,103E).
    #[n(12)]
    pub series_description: Option<String>,
    /// Series Number (0020,0011).
    #[n(13)]
    pub series_number: Option<String>,
    /// Instance Number (0020,0013).
    #[n(14)]
    pub instance_number: Option<String>,
    /// Modality (0008,0060): `CT`, `MR`, `CR` ...
    #[n(15)]
    pub modality: Option<String>,
    /// Body Part Examined (0018,0015).
    #[n(16)]
    pub body_part: Option<String>,
    /// Transfer Syntax UID (0002,0010).
    #[n(17)]
    pub transfer_syntax_uid: String,
    /// Its name.
    #[n(18)]
    pub transfer_syntax: String,
    /// Photometric Interpretation (0028,0004); empty where the file holds no picture.
    #[n(19)]
    pub photometric: String,
    /// Rows (0028,0010); 0 where the file holds no picture.
    #[n(20)]
    pub rows: u32,
    /// Columns (0028,0011); 0 where the file holds no picture.
    #[n(21)]
    pub columns: u32,
    /// Number of Frames (0028,0008); 1 where the file names none.
    #[n(22)]
    pub frames: u32,
    /// Samples per Pixel (0028,0002).
    #[n(23)]
    pub samples_per_pixel: u16,
    /// Bits Allocated (0028,0100).
    #[n(24)]
    pub bits_allocated: u16,
    /// Bits Stored (0028,0101).
    #[n(25)]
    pub bits_stored: u16,
    /// Pixel Representation (0028,0103) is 1: samples are signed.
    #[n(26)]
    pub signed: bool,
    /// The first window of the file, in units of the modality.
    #[n(27)]
    pub window: Option<WindowFacts>,
    /// Of the stored samples, where they were asked for.
    #[n(28)]
    pub statistics: Option<PixelStatistics>,
}

/// How a file wants its greys to be spread.
#[derive(Debug, Clone, Copy, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(array)]
pub struct WindowFacts {
    /// Window Center (0028,1050).
    #[n(0)]
    pub centre: f64,
    /// Window Width (0028,1051).
    #[n(1)]
    pub width: f64,
}

/// Of the stored samples of all frames: no rescale, no window, no palette; YBR as RGB.
#[derive(Debug, Clone, Copy, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(array)]
pub struct PixelStatistics {
    /// The smallest.
    #[n(0)]
    pub min: i64,
    /// The largest.
    #[n(1)]
    pub max: i64,
    /// Their mean.
    #[n(2)]
    pub mean: f64,
    /// How many there are.
    #[n(3)]
    pub samples: u64,
}

impl Facts {
    pub(crate) fn new(media: MediaType, bytes: u64) -> Self {
        Self {
            media,
            bytes,
            width: None,
            height: None,
            frames: None,
            dicom: None,
            audio: None,
            pages: None,
            lines: None,
        }
    }

    /// Whether the parts fit its kind and every text is one that could have come from here: for facts that were read from bytes.
    pub(crate) fn is_sound(&self) -> bool {
        let texts = self.dicom.iter().flat_map(DicomFacts::texts);
        let codec = self.audio.as_ref().map(|audio| audio.codec.as_str());
        let mut texts = texts.chain(codec);
        let reals = self.dicom.iter().flat_map(|dicom| {
            let window = dicom.window.map(|window| [window.centre, window.width]);
            let mean = dicom.statistics.map(|statistics| statistics.mean);
            window.into_iter().flatten().chain(mean)
        });
        texts.all(|text| cleaned(text).as_deref().unwrap_or_default() == text)
            && reals.into_iter().all(f64::is_finite)
            && self.dicom.is_some() == (self.media == MediaType::Dicom)
            && self.audio.is_some() == self.media.is_audio()
            && (self.media.is_picture() || self.width.is_none() && self.height.is_none())
            && self
                .audio
                .as_ref()
                .is_none_or(|audio| audio.channels > 0 && audio.sample_rate > 0)
    }
}

impl fmt::Debug for DicomFacts {
    /// Nothing that tells whose picture it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DicomFacts({} {} x {} x {}, {})",
            self.photometric, self.columns, self.rows, self.frames, self.transfer_syntax
        )
    }
}

impl DicomFacts {
    pub(crate) fn of(metadata: &DicomMetadata) -> Self {
        let text = |text: &Option<String>| text.as_deref().and_then(cleaned);
        let always = |text: &str| cleaned(text).unwrap_or_default();
        let patient_name = text(&metadata.patient_name);
        let (patient_family, patient_given) =
            patient_name.as_deref().map(split_name).unwrap_or_default();
        Self {
            patient_id: text(&metadata.patient_id),
            patient_name,
            patient_family,
            patient_given,
            patient_birth_date: text(&metadata.patient_birth_date),
            patient_sex: text(&metadata.patient_sex),
            study_uid: text(&metadata.study_instance_uid),
            series_uid: text(&metadata.series_instance_uid),
            instance_uid: text(&metadata.sop_instance_uid),
            class_uid: text(&metadata.sop_class_uid),
            study_date: text(&metadata.study_date),
            study_description: text(&metadata.study_description),
            series_description: text(&metadata.series_description),
            series_number: text(&metadata.series_number),
            instance_number: text(&metadata.instance_number),
            modality: text(&metadata.modality),
            body_part: text(&metadata.body_part),
            transfer_syntax_uid: always(&metadata.transfer_syntax_uid),
            transfer_syntax: always(&metadata.transfer_syntax),
            photometric: always(&metadata.photometric),
            rows: metadata.rows,
            columns: metadata.columns,
            frames: metadata.frames,
            samples_per_pixel: metadata.samples_per_pixel,
            bits_allocated: metadata.bits_allocated,
            bits_stored: metadata.bits_stored,
            signed: metadata.signed,
            window: metadata
                .window
                .map(|(centre, width)| WindowFacts { centre, width }),
            statistics: metadata.statistics.map(PixelStatistics::of),
        }
    }

    /// The patient's birth date as year, month and day, where it is one: `YYYYMMDD`, or `YYYY.MM.DD` as files before 1993 have it.
    #[must_use]
    pub fn birth_date(&self) -> Option<(u16, u8, u8)> {
        date(self.patient_birth_date.as_deref()?)
    }

    /// The study's date as year, month and day, where it is one.
    #[must_use]
    pub fn studied(&self) -> Option<(u16, u8, u8)> {
        date(self.study_date.as_deref()?)
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let optional = [
            &self.patient_id,
            &self.patient_name,
            &self.patient_family,
            &self.patient_given,
            &self.patient_birth_date,
            &self.patient_sex,
            &self.study_uid,
            &self.series_uid,
            &self.instance_uid,
            &self.class_uid,
            &self.study_date,
            &self.study_description,
            &self.series_description,
            &self.series_number,
            &self.instance_number,
            &self.modality,
            &self.body_part,
        ];
        let always = [
            &self.transfer_syntax_uid,
            &self.transfer_syntax,
            &self.photometric,
        ];
        let optional = optional.into_iter().filter_map(|text| text.as_deref());
        optional.chain(always.map(String::as_str))
    }
}

impl PixelStatistics {
    fn of(raw: RawStatistics) -> Self {
        let RawStatistics {
            min,
            max,
            mean,
            samples,
        } = raw;
        Self {
            min,
            max,
            mean,
            samples,
        }
    }
}

/// A text of a file on one line, without its control characters and what turns the direction of writing, and bounded; `None` where
/// nothing is left.
pub(crate) fn cleaned(text: &str) -> Option<String> {
    let mut out = String::new();
    for character in text.trim().chars() {
        let character = match character {
            _ if character.is_whitespace() => ' ',
            _ if is_invisible(character) => continue,
            other => other,
        };
        if out.len() + character.len_utf8() > MAX_FACT_TEXT {
            break;
        }
        out.push(character);
    }
    let kept = out.trim();
    if kept.len() < out.len() {
        out = kept.to_owned();
    }
    (!out.is_empty()).then_some(out)
}

/// What a terminal obeys instead of showing it: control characters, and what turns the direction of writing.
pub(crate) fn is_obeyed(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What makes two names look the same that are not.
fn is_invisible(character: char) -> bool {
    is_obeyed(character)
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2065}' | '\u{feff}')
}

/// Family name and given names of a person name (PS3.5, section 6.2.1): of the first writing that has either.
fn split_name(name: &str) -> (Option<String>, Option<String>) {
    for writing in name.split('=') {
        let mut parts = writing.split('^').map(str::trim);
        let family = parts.next().filter(|part| !part.is_empty());
        let given: Vec<&str> = parts.take(2).filter(|part| !part.is_empty()).collect();
        if family.is_some() || !given.is_empty() {
            let given = (!given.is_empty()).then(|| given.join(" "));
            return (family.map(str::to_owned), given);
        }
    }
    (None, None)
}

fn date(written: &str) -> Option<(u16, u8, u8)> {
    let digits: String = match written.len() {
        8 => written.to_owned(),
        10 if written.matches('.').count() == 2 => written.chars().filter(|c| *c != '.').collect(),
        _ => return None,
    };
    if digits.len() != 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, month, day) = (&digits[..4], &digits[4..6], &digits[6..]);
    let date: (u16, u8, u8) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let plausible = date.0 > 0 && (1..=12).contains(&date.1) && (1..=31).contains(&date.2);
    plausible.then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_name_is_split_by_its_first_writing_that_says_something() {
        let split = |name| {
            let (family, given) = split_name(name);
            (family.unwrap_or_default(), given.unwrap_or_default())
        };
        let pair = |family: &str, given: &str| (family.to_owned(), given.to_owned());
        assert_eq!(
            split("Adams^John Robert^Quincy^^Esq."),
            pair("Adams", "John Robert Quincy")
        );
        assert_eq!(split("Doe^Jane"), pair("Doe", "Jane"));
        assert_eq!(split("Doe"), pair("Doe", ""));
        assert_eq!(split("^Jane"), pair("", "Jane"));
        assert_eq!(split("=山田^太郎=やまだ^たろう"), pair("山田", "太郎"));
        assert_eq!(split("^^^"), pair("", ""));
    }

    #[test]
    fn a_date_is_one_or_nothing() {
        assert_eq!(date("19800229"), Some((1980, 2, 29)));
        assert_eq!(date("1980.02.29"), Some((1980, 2, 29)));
        for no in [
            "",
            "1980",
            "19801329",
            "00000101",
            "1980-02-9",
            "１９８０",
            "198002291",
        ] {
            assert_eq!(date(no), None, "{no}");
        }
    }

    #[test]
    fn texts_lose_what_a_terminal_obeys_and_stay_short() {
        assert_eq!(
            cleaned(" Doe\u{1b}[31m^J\0ane\r\n "),
            Some("Doe[31m^Jane".to_owned())
        );
        assert_eq!(cleaned("a\u{202e}b\u{9b}c\td"), Some("abc d".to_owned()));
        assert_eq!(cleaned("\u{200b} \0"), None);
        let long = cleaned(&"ä".repeat(5_000)).unwrap();
        assert_eq!(long.len(), MAX_FACT_TEXT);
        for text in ["a b", "ä\u{feff}", &"x ".repeat(2_000)] {
            let once = cleaned(text).unwrap();
            assert_eq!(cleaned(&once).unwrap(), once);
        }
    }
}

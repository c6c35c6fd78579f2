//! What a file says of patient, study and picture.

use std::fmt;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::charset::Charsets;
use super::dataset::DataSet;
use super::frames::Stored;

/// The longest text that is kept, in bytes: a person name (PN) has at most 3 x 64 characters, a description (LO) 64.
const MAX_TEXT: usize = 1_024;

/// What a DICOM file says of patient, study and picture. Identifiers and names are those of the file; dates are as
/// written there, `YYYYMMDD`.
#[derive(Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct DicomMetadata {
    /// Transfer Syntax UID (0002,0010).
    pub transfer_syntax_uid: String,
    /// Its name.
    pub transfer_syntax: String,
    /// SOP Class UID (0008,0016).
    pub sop_class_uid: Option<String>,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Option<String>,
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Option<String>,
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: Option<String>,
    /// Modality (0008,0060).
    pub modality: Option<String>,
    /// Study Date (0008,0020).
    pub study_date: Option<String>,
    /// Study Description (0008,1030).
    pub study_description: Option<String>,
    /// Series Description (0008,103E).
    pub series_description: Option<String>,
    /// Series Number (0020,0011).
    pub series_number: Option<String>,
    /// Instance Number (0020,0013).
    pub instance_number: Option<String>,
    /// Body Part Examined (0018,0015).
    pub body_part: Option<String>,
    /// Patient's Name (0010,0010), components separated by `^`.
    pub patient_name: Option<String>,
    /// Patient ID (0010,0020).
    pub patient_id: Option<String>,
    /// Patient's Birth Date (0010,0030).
    pub patient_birth_date: Option<String>,
    /// Patient's Sex (0010,0040).
    pub patient_sex: Option<String>,
    /// Photometric Interpretation (0028,0004).
    pub photometric: String,
    /// Columns (0028,0011): width in pixels.
    pub columns: u32,
    /// Rows (0028,0010): height in pixels.
    pub rows: u32,
    /// Number of Frames (0028,0008); 1 where the file names none.
    pub frames: u32,
    /// Samples per Pixel (0028,0002).
    pub samples_per_pixel: u16,
    /// Bits Allocated (0028,0100).
    pub bits_allocated: u16,
    /// Bits Stored (0028,0101).
    pub bits_stored: u16,
    /// Pixel Representation (0028,0103) is 1: samples are signed.
    pub signed: bool,
    /// Planar Configuration (0028,0006) is 1: one colour after the other.
    pub planar: bool,
    /// The first window, centre and width, of the file.
    pub window: Option<(f64, f64)>,
    /// Rescale Slope and Intercept.
    pub rescale: Option<(f64, f64)>,
    /// Of the stored samples, where they were asked for.
    pub statistics: Option<RawStatistics>,
}

/// Of the stored samples of all frames: no rescale, no window, no palette; YBR as RGB; bits above Bits Stored do not count (PS3.5,
/// 8.1.1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawStatistics {
    /// The smallest.
    pub min: i64,
    /// The largest.
    pub max: i64,
    /// Their mean.
    pub mean: f64,
    /// How many there are.
    pub samples: u64,
}

impl fmt::Debug for DicomMetadata {
    /// Nothing that tells whose picture it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DicomMetadata({} {} x {} x {}, {})",
            self.photometric, self.columns, self.rows, self.frames, self.transfer_syntax
        )
    }
}

impl DicomMetadata {
    pub(super) fn of(data_set: &DataSet<'_>) -> Self {
        let charsets = Charsets::of(data_set);
        let text = |tag: Tag| {
            let value = *data_set.elements.get(&tag)?;
            let value = value.get(..MAX_TEXT).unwrap_or(value);
            let decoded = charsets.decode(value);
            let trimmed = decoded.trim_matches(['\0', ' ']);
            (!trimmed.is_empty()).then(|| trimmed.to_owned())
        };
        let short = |tag: Tag| data_set.short(tag).unwrap_or(0);
        let frames = data_set.number(tags::NUMBER_OF_FRAMES).unwrap_or(1.0);
        let window = data_set
            .number(tags::WINDOW_CENTER)
            .zip(data_set.number(tags::WINDOW_WIDTH));
        let slope = data_set.number(tags::RESCALE_SLOPE);
        let intercept = data_set.number(tags::RESCALE_INTERCEPT);
        Self {
            transfer_syntax_uid: data_set.transfer_syntax.uid().to_owned(),
            transfer_syntax: data_set.transfer_syntax.name().to_owned(),
            sop_class_uid: text(tags::SOP_CLASS_UID),
            sop_instance_uid: text(tags::SOP_INSTANCE_UID),
            study_instance_uid: text(tags::STUDY_INSTANCE_UID),
            series_instance_uid: text(tags::SERIES_INSTANCE_UID),
            modality: text(tags::MODALITY),
            study_date: text(tags::STUDY_DATE),
            study_description: text(tags::STUDY_DESCRIPTION),
            series_description: text(tags::SERIES_DESCRIPTION),
            series_number: text(tags::SERIES_NUMBER),
            instance_number: text(tags::INSTANCE_NUMBER),
            body_part: text(tags::BODY_PART_EXAMINED),
            patient_name: text(tags::PATIENT_NAME),
            patient_id: text(tags::PATIENT_ID),
            patient_birth_date: text(tags::PATIENT_BIRTH_DATE),
            patient_sex: text(tags::PATIENT_SEX),
            photometric: data_set
                .text(tags::PHOTOMETRIC_INTERPRETATION)
                .map(|name| name.chars().take(16).collect())
                .unwrap_or_default(),
            columns: u32::from(short(tags::COLUMNS)),
            rows: u32::from(short(tags::ROWS)),
            frames: to_count(frames),
            samples_per_pixel: data_set.short(tags::SAMPLES_PER_PIXEL).unwrap_or(1),
            bits_allocated: short(tags::BITS_ALLOCATED),
            bits_stored: data_set
                .short(tags::BITS_STORED)
                .unwrap_or(short(tags::BITS_ALLOCATED)),
            signed: short(tags::PIXEL_REPRESENTATION) == 1,
            planar: short(tags::PLANAR_CONFIGURATION) == 1,
            window,
            rescale: (slope.is_some() || intercept.is_some())
                .then(|| (slope.unwrap_or(1.0), intercept.unwrap_or(0.0))),
            statistics: None,
        }
    }
}

/// A count of frames: at least one, and no more than fit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 32 bits before"
)]
fn to_count(frames: f64) -> u32 {
    frames.clamp(1.0, f64::from(u32::MAX)) as u32
}

/// Adds up stored samples.
#[derive(Default)]
pub(super) struct Tally {
    range: Option<(i64, i64)>,
    sum: i128,
    samples: u64,
}

impl Tally {
    pub(super) fn add(&mut self, frame: &Stored) {
        let (mut low, mut high) = self.range.unwrap_or((i64::MAX, i64::MIN));
        frame.each(|value| {
            low = low.min(value);
            high = high.max(value);
            self.sum += i128::from(value);
            self.samples += 1;
        });
        if self.samples > 0 {
            self.range = Some((low, high));
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean to 15 digits, of sums below 2^80"
    )]
    pub(super) fn finish(self) -> Option<RawStatistics> {
        let (min, max) = self.range?;
        Some(RawStatistics {
            min,
            max,
            mean: self.sum as f64 / self.samples as f64,
            samples: self.samples,
        })
    }
}

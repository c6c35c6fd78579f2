//! The image classifier at work: a file is decoded in the sandbox and classified here; what was said can become a suggestion.
//!
//! Not here: the network ([`salus_models`]), the decoders ([`salus_imaging`]), and what a clinician makes of an answer
//! ([`crate::core`]).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use salus_api::{
    ApiError, ClassifiedView, ErrorKind, Inference, InferenceOutput, InputName, ModelName,
    PictureView,
};
use salus_imaging::{DecodeOptions, Format, Frames, HeatMap, ImageError, Picture, overlay};
use salus_models::ModelError;
use salus_models::imaging::classifier::{Classification, Classifier, ClassifyOptions, Doubt};
use salus_models::manifest::Manifest;
use salus_models::registry::{Entry, Registry};

use crate::hostile;
use crate::inspect::open_regular;
use crate::source::{self, Bytes};

/// The model's name, and the component's.
pub const NAME: &str = "imaging";
/// Categories that are told of one image.
pub const TOLD: usize = 5;
/// Longest side of a picture that goes to a screen, pixels: more than a terminal's cells show.
const PREVIEW_SIDE: u32 = 256;
/// Longest side of the picture under a heat map that is written to a file, pixels.
const HEATMAP_SIDE: u32 = 1024;
/// How much of the picture the heat covers where it is hottest.
const OPACITY: f32 = 0.5;
/// The folder of a clinic's own models, in its data folder.
const MODELS_FOLDER: &str = "models";

/// Where models are looked for: among the clinic's own, and those in the program.
pub fn registry(data_dir: Option<&Path>) -> Registry {
    let own = data_dir.map(|folder| folder.join(MODELS_FOLDER));
    Registry::new(own.into_iter().collect())
}

/// The model in the folder that was named, and no other whatever is wrong with it; else the one that goes before the others.
pub fn find(name: &str, named: Option<&Path>, data_dir: Option<&Path>) -> Result<Entry, ApiError> {
    let found = match named {
        Some(folder) => Entry::open(folder),
        None => registry(data_dir).find(name),
    };
    let entry = found.map_err(|error| model_error(&error))?;
    if entry.manifest.name != name {
        return Err(ApiError::usage(format!(
            "the model in that folder is {:?}, not {name:?}",
            entry.manifest.name
        )));
    }
    Ok(entry)
}

/// Where a model that this clinic trains goes, unless it says otherwise.
pub fn own_model(data_dir: &Path, name: &str) -> PathBuf {
    data_dir.join(MODELS_FOLDER).join(name)
}

/// A classifier that is read when it is first needed, and kept.
#[derive(Default)]
pub struct OnDemand(Mutex<Option<Arc<Classifier>>>);

impl OnDemand {
    /// The classifier.
    pub fn get(&self, data_dir: &Path) -> Result<Arc<Classifier>, ApiError> {
        // A panic while a model was read leaves nothing half-done behind.
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(classifier) = &*held {
            return Ok(Arc::clone(classifier));
        }
        let classifier = Arc::new(open(None, Some(data_dir))?);
        *held = Some(Arc::clone(&classifier));
        Ok(classifier)
    }
}

/// Reads the classifier, on all processors.
pub fn open(named: Option<&Path>, data_dir: Option<&Path>) -> Result<Classifier, ApiError> {
    find(NAME, named, data_dir)?
        .load(None)
        .map_err(|error| model_error(&error))
}

/// A picture of a file that was read and decoded for a classifier.
pub struct Scan {
    /// The file's name without folders.
    pub name: String,
    /// What it is, by its content.
    pub format: Format,
    /// BLAKE3 of its bytes.
    pub hash: blake3::Hash,
    /// Grey levels, as large as the classifier wants them.
    pub levels: Vec<u8>,
    /// Which frame this is, of a file with several.
    pub frame: Option<Frame>,
    file: Arc<dyn Bytes>,
}

/// A frame of a file with several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// From 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// Why this one, in words.
    pub why: &'static str,
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { number, of, why } = self;
        write!(f, "frame {number} of {of}, {why}")
    }
}

impl Scan {
    /// Reads a file and decodes it for this classifier; of several frames the one in the middle.
    pub fn read(path: &Path, manifest: &Manifest) -> Result<Self, ApiError> {
        Self::frames(path, manifest, Frames::Middle)?
            .pop()
            .ok_or_else(|| ApiError::failed(format!("{} holds no picture", path.display())))
    }

    /// The same of bytes from elsewhere.
    pub fn of(file: Arc<dyn Bytes>, name: &str, manifest: &Manifest) -> Result<Self, ApiError> {
        Self::decoded(file, Path::new(name), manifest, Frames::Middle)?
            .pop()
            .ok_or_else(|| ApiError::failed(format!("{name} holds no picture")))
    }

    /// Reads a file and decodes every frame; at least one.
    pub fn read_all(path: &Path, manifest: &Manifest) -> Result<Vec<Self>, ApiError> {
        Self::frames(path, manifest, Frames::All)
    }

    fn frames(path: &Path, manifest: &Manifest, frames: Frames) -> Result<Vec<Self>, ApiError> {
        // A link that somebody names leads to what they mean; what it leads to is opened as itself.
        let opened = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let file = open_regular(&opened)?.file;
        Self::decoded(Arc::new(file), path, manifest, frames)
    }

    /// `path` is what the file is called.
    fn decoded(
        file: Arc<dyn Bytes>,
        path: &Path,
        manifest: &Manifest,
        frames: Frames,
    ) -> Result<Vec<Self>, ApiError> {
        let side = u32::try_from(manifest.preprocessing.side).unwrap_or(u32::MAX);
        let options = DecodeOptions {
            frames,
            ..DecodeOptions::classifier(side, side)
        };
        let (decoded, hash) = decode_and_hash(&*file, &options, path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let of = decoded.frames;
        let frame = |index: u32| Frame {
            number: index + 1,
            of,
            why: "the one in the middle",
        };
        let first = if frames == Frames::All { 0 } else { of / 2 };
        let pictures = (first..).zip(decoded.pictures);
        Ok(pictures
            .map(|(index, picture)| Self {
                name: name.clone().into_owned(),
                format: decoded.format,
                hash,
                levels: picture.into_grey().pixels.bytes().to_vec(),
                frame: (of > 1).then(|| frame(index)),
                file: Arc::clone(&file),
            })
            .collect())
    }

    /// The picture itself, in grey, with its longer side at most so many pixels.
    fn picture(&self, max_side: u32) -> Result<Picture, ApiError> {
        let index = |frame: Frame| Frames::One(frame.number - 1);
        let options = DecodeOptions {
            grey: true,
            scans_only: true,
            frames: self.frame.map_or(Frames::Middle, index),
            ..DecodeOptions::preview(max_side)
        };
        let path = Path::new(&self.name);
        let (mut decoded, hash) = decode_and_hash(&*self.file, &options, path)?;
        if hash != self.hash {
            return Err(source::changed(path));
        }
        decoded
            .pictures
            .pop()
            .ok_or_else(|| ApiError::failed(format!("{} holds no picture", self.name)))
    }
}

/// Decodes bytes in the sandbox; `path` is what they are called.
pub(crate) fn decode(
    bytes: &dyn Bytes,
    options: &DecodeOptions,
    path: &Path,
) -> Result<salus_imaging::Decoded, ApiError> {
    decode_and_hash(bytes, options, path).map(|(decoded, _)| decoded)
}

/// The same, and the BLAKE3 of the bytes that were decoded.
fn decode_and_hash(
    bytes: &dyn Bytes,
    options: &DecodeOptions,
    path: &Path,
) -> Result<(salus_imaging::Decoded, blake3::Hash), ApiError> {
    let refused = |error: ImageError| ApiError::failed(format!("{}: {error}", path.display()));
    let length = bytes.length();
    if length > salus_imaging::MAX_FILE_BYTES as u64 {
        return Err(refused(ImageError::FileTooLarge { bytes: length }));
    }
    let head = salus_imaging::request_head(options);
    let sandbox = hostile::image_sandbox();
    let (response, hash) = source::run(&sandbox, salus_imaging::JOB, &head, (bytes, length), path)?;
    let decoded = salus_imaging::read_response(&response).map_err(refused)?;
    Ok((decoded, hash))
}

/// Where an answer comes from, over the picture.
pub fn heat_picture(
    classifier: &Classifier,
    scan: &Scan,
    category: usize,
    max_side: u32,
) -> Result<(Picture, Picture), ApiError> {
    let heat = classifier
        .fine_heat(&scan.levels, category)
        .map_err(|error| model_error(&error))?;
    let side = u32::try_from(heat.side).unwrap_or(0);
    let map = HeatMap {
        width: side,
        height: side,
        weights: heat.bounded(),
    };
    let picture = scan.picture(max_side)?;
    let over = overlay(&picture, &map, OPACITY);
    Ok((picture, over))
}

/// The heat map as a PNG file's bytes.
pub fn heat_png(
    classifier: &Classifier,
    scan: &Scan,
    said: &Classification,
) -> Result<Vec<u8>, ApiError> {
    let best = said.order.first().copied().unwrap_or(0);
    let (_, over) = heat_picture(classifier, scan, best, HEATMAP_SIDE)?;
    Ok(salus_imaging::encode_png(&over))
}

/// What was said, for people: "not assessed" with why, or nothing where it was assessed.
pub fn doubt(said: &Classification) -> Option<&'static str> {
    Some(match said.doubt? {
        Doubt::Unlike => "the image is unlike those that the model was trained on",
        Doubt::Undecided => "no category is likely enough",
        Doubt::Blank => "the image is blank, or nearly",
    })
}

fn media_type(format: Format) -> &'static str {
    match format {
        Format::Png => "image/png",
        Format::Jpeg => "image/jpeg",
        Format::Tiff => "image/tiff",
        Format::Dicom => "application/dicom",
    }
}

/// How far the picture lies from the training images, as a multiple of the distance from which on nothing is said.
pub fn distance(manifest: &Manifest, said: &Classification) -> f64 {
    said.distance.score / manifest.thresholds.distance
}

/// What was said, as it goes into a record's log.
pub fn inference(manifest: &Manifest, scan: &Scan, said: &Classification) -> Inference {
    let outputs = said.top.iter().take(TOLD).map(|ranked| InferenceOutput {
        what: "category".to_owned(),
        label: ranked.label.clone(),
        p: Some(ranked.p),
        note: manifest.unreliable.get(&ranked.label).cloned(),
    });
    let frame = scan.frame.map(|frame| frame.to_string());
    let why = doubt(said).map(str::to_owned).into_iter().chain(frame);
    Inference {
        component: NAME.to_owned(),
        model: ModelName {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            weights: manifest.weights.blake3.clone(),
        },
        input: InputName {
            hash: scan.hash.to_hex().to_string(),
            media_type: media_type(scan.format).to_owned(),
            name: scan.name.clone(),
        },
        outputs: outputs.collect(),
        uncertain: said.uncertain(),
        distance: Some(distance(manifest, said)),
        explanation: why.collect::<Vec<_>>().join("; "),
    }
}

/// Reads, classifies and shows a file: what a screen needs.
pub fn look(classifier: &Classifier, path: &Path) -> Result<ClassifiedView, ApiError> {
    let began = Instant::now();
    look_at(classifier, Scan::read(path, classifier.manifest())?, began)
}

/// The same of bytes from elsewhere.
pub fn look_into(
    classifier: &Classifier,
    file: Arc<dyn Bytes>,
    name: &str,
) -> Result<ClassifiedView, ApiError> {
    let began = Instant::now();
    let scan = Scan::of(file, name, classifier.manifest())?;
    look_at(classifier, scan, began)
}

fn look_at(
    classifier: &Classifier,
    scan: Scan,
    began: Instant,
) -> Result<ClassifiedView, ApiError> {
    let said = classifier
        .classify_square(&scan.levels, ClassifyOptions::default())
        .map_err(|error| model_error(&error))?;
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    let best = said.order.first().copied().unwrap_or(0);
    let (picture, over) = heat_picture(classifier, &scan, best, PREVIEW_SIDE)?;
    Ok(ClassifiedView {
        inference: inference(classifier.manifest(), &scan, &said),
        ms,
        picture: picture_view(picture),
        heat: (!said.uncertain()).then(|| picture_view(over)),
        suggestion: None,
    })
}

pub(crate) fn picture_view(picture: Picture) -> PictureView {
    let picture = picture.into_rgb();
    PictureView {
        width: picture.width,
        height: picture.height,
        rgb: picture.pixels.bytes().to_vec(),
    }
}

/// What went wrong with a model, with its kind and what to do.
pub fn model_error(error: &ModelError) -> ApiError {
    let kind = match error {
        ModelError::HashMismatch { .. } => ErrorKind::Integrity,
        ModelError::Unknown { .. } => ErrorKind::NotFound,
        ModelError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            ErrorKind::NotFound
        }
        ModelError::Settings(_) => ErrorKind::Usage,
        _ => ErrorKind::Failed,
    };
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    ApiError::new(kind, format!("{error}{}", source.unwrap_or_default()))
}

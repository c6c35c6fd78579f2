//! Which models there are, and reading them: a folder with `manifest.json` and the weights that it names, or the same
//! two built into the program.
//!
//! A model is never used before its weights' hash was compared with its manifest's. What a clinic trained itself or was
//! given lies in a folder and goes before what is built in.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::imaging::classifier::Classifier;
use crate::manifest::{MAX_MANIFEST_BYTES, Manifest};
use crate::weights::{MAX_WEIGHTS_BYTES, read_bounded};
use crate::{MANIFEST_FILE, ModelError};

/// A model that is part of the program.
struct BuiltIn {
    manifest: &'static [u8],
    weights: &'static [u8],
}

/// The models that are part of the program.
const BUILT_IN: &[BuiltIn] = &[BuiltIn {
    manifest: include_bytes!("../imaging/manifest.json"),
    weights: include_bytes!("../imaging/weights.safetensors"),
}];

/// Where a model was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Part of the program.
    BuiltIn,
    /// A folder.
    Folder(PathBuf),
}

/// A model that was found; its weights are not read yet.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What is stated about it.
    pub manifest: Manifest,
    /// Where it is.
    pub origin: Origin,
    built_in: Option<&'static [u8]>,
}

/// What [`Registry::list`] finds: a model, or a folder that should hold one and why it does not.
#[derive(Debug)]
pub enum Found {
    /// A model.
    Model(Box<Entry>),
    /// A folder whose manifest cannot be used.
    Broken {
        /// Which folder.
        folder: PathBuf,
        /// Why.
        error: ModelError,
    },
}

/// Where models are looked for.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    folders: Vec<PathBuf>,
}

impl Registry {
    /// Looks into these folders, the first one first, and then among the models that are built in. Each folder is a
    /// model's own, with a manifest, or holds folders of models; one that does not exist holds none.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Registry { folders }
    }

    /// All models, in the order in which they go before each other.
    ///
    /// # Errors
    ///
    /// A folder that exists and cannot be read.
    pub fn list(&self) -> Result<Vec<Found>, ModelError> {
        let mut found = Vec::new();
        for folder in &self.folders {
            for candidate in candidates(folder)? {
                found.push(match Entry::open(&candidate) {
                    Ok(entry) => Found::Model(Box::new(entry)),
                    Err(error) => Found::Broken {
                        folder: candidate,
                        error,
                    },
                });
            }
        }
        for model in BUILT_IN {
            found.push(Found::Model(Box::new(Entry {
                manifest: Manifest::parse(model.manifest)?,
                origin: Origin::BuiltIn,
                built_in: Some(model.weights),
            })));
        }
        Ok(found)
    }

    /// The model of this name that goes before the others.
    ///
    /// # Errors
    ///
    /// No such model; a folder of this name that holds no model that can be used, because silently taking another
    /// would be worse.
    pub fn find(&self, name: &str) -> Result<Entry, ModelError> {
        let mut known = Vec::new();
        for found in self.list()? {
            match found {
                Found::Model(entry) if entry.manifest.name == name => return Ok(*entry),
                Found::Model(entry) => known.push(entry.manifest.name),
                Found::Broken { folder, error } => {
                    if folder.file_name().is_some_and(|folder| folder == name) {
                        return Err(error);
                    }
                }
            }
        }
        known.dedup();
        Err(ModelError::Unknown {
            name: name.to_owned(),
            known: if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            },
        })
    }
}

/// `folder` where it is a model's own, else the folders in it that are.
fn candidates(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    if folder.join(MANIFEST_FILE).is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut candidates = Vec::new();
    for entry in fs::read_dir(folder).map_err(ModelError::file(folder))? {
        let path = entry.map_err(ModelError::file(folder))?.path();
        if path.join(MANIFEST_FILE).is_file() {
            candidates.push(path);
        }
    }
    candidates.sort();
    Ok(candidates)
}

impl Entry {
    /// The model in this folder; only its manifest is read.
    ///
    /// # Errors
    ///
    /// A manifest that is missing or cannot be used.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let bytes = read_bounded(&folder.join(MANIFEST_FILE), MAX_MANIFEST_BYTES)?;
        Ok(Entry {
            manifest: Manifest::parse(&bytes)?,
            origin: Origin::Folder(folder.to_owned()),
            built_in: None,
        })
    }

    /// The weights' bytes, whose length and hash are those of the manifest.
    ///
    /// # Errors
    ///
    /// Weights that are missing, too large, or not those of the manifest.
    pub fn weights(&self) -> Result<Vec<u8>, ModelError> {
        let bytes = match (&self.origin, self.built_in) {
            (_, Some(bytes)) => bytes.to_vec(),
            (Origin::Folder(folder), None) => {
                read_bounded(&folder.join(&self.manifest.weights.file), MAX_WEIGHTS_BYTES)?
            }
            (Origin::BuiltIn, None) => Vec::new(),
        };
        let found = blake3::hash(&bytes).to_hex().to_string();
        if found != self.manifest.weights.blake3 {
            return Err(ModelError::HashMismatch {
                expected: self.manifest.weights.blake3.clone(),
                found,
            });
        }
        Ok(bytes)
    }

    /// Reads the weights, compares their hash, and builds the network, without keeping it.
    ///
    /// # Errors
    ///
    /// As [`Entry::load`].
    pub fn verify(&self) -> Result<(), ModelError> {
        self.load(Some(1)).map(|_| ())
    }

    /// A classifier that runs on `threads` threads; by default as many as the processor has.
    ///
    /// # Errors
    ///
    /// Weights that are missing, not those of the manifest, or not of its network.
    pub fn load(&self, threads: Option<usize>) -> Result<Classifier, ModelError> {
        Classifier::new(self.manifest.clone(), &self.weights()?, threads)
    }
}

//! Labelled images on disk: a folder of category folders.
//!
//! ```text
//! DIR/<category>/*.jpg|png|tif|dcm      or DIR/train/<category>/.. and DIR/val/<category>/..
//! labels.tsv                            in DIR or above it, optional: columns file, group, source_repo, licence, original_path
//! categories.txt                        in DIR or above it, optional: the categories in the order of their indices
//! ```
//!
//! A *group* is a patient or the best stand-in: images of one group never stand on both sides of a split. Without
//! `labels.tsv` every file is a group of its own, which is only right where every patient gave one image.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use salus_imaging::{DecodeOptions, decode};
use serde::{Deserialize, Serialize};

use super::preprocess::square;
use crate::ModelError;
use crate::weights::read_bounded;

/// An image file may be this large, in bytes: a digital mammogram has 50 MB.
const MAX_FILE_BYTES: u64 = 128 << 20;
/// `labels.tsv` may be this large, in bytes: a million images.
const MAX_LABELS_BYTES: u64 = 256 << 20;
/// The most images of a dataset: what fits into a laptop's memory as squares of 64 kB (6 GB).
const MAX_IMAGES: usize = 100_000;
const ENDINGS: [&str; 6] = ["jpg", "jpeg", "png", "tif", "tiff", "dcm"];

/// Which images may be trained on, by the licence that `labels.tsv` names for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LicencePolicy {
    /// All of them, whatever their licence: the model is for research alone.
    #[default]
    Any,
    /// Those whose licence stands in the data's own snapshot or on a public page of its author: the licence column
    /// begins with a licence that allows such use (CC0, CC BY, MIT, Apache, BSD), not with a doubt.
    Verified,
}

impl LicencePolicy {
    /// Whether an image under `licence` may be used.
    ///
    /// ```
    /// # use salus_models::imaging::dataset::LicencePolicy;
    /// assert!(LicencePolicy::Verified.allows("CC BY 4.0 upstream (a public page)"));
    /// assert!(!LicencePolicy::Verified.allows("unverified: believed CC BY 4.0"));
    /// assert!(!LicencePolicy::Verified.allows("CC BY-NC-SA 4.0"));
    /// ```
    pub fn allows(self, licence: &str) -> bool {
        const FREE: [&str; 6] = ["CC0", "CC BY", "MIT", "Apache", "BSD", "public domain"];
        match self {
            LicencePolicy::Any => true,
            LicencePolicy::Verified => FREE.iter().any(|free| {
                licence.strip_prefix(free).is_some_and(|rest| {
                    // "CC BY-NC" begins like "CC BY", "MITRE" like "MIT".
                    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-')
                        || rest.starts_with("-2")
                        || rest.starts_with("-3")
                })
            }),
        }
    }
}

/// One image file with what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it is.
    pub path: PathBuf,
    /// Index into [`Dataset::categories`].
    pub category: usize,
    /// The patient or the best stand-in; files without one are their own.
    pub group: String,
    /// Where it comes from, where that is known.
    pub source: Option<String>,
    /// Under which licence, where that is known.
    pub licence: Option<String>,
    /// Its name where it comes from, else the file's: neighbours by name are often neighbours in a scan.
    pub name: String,
}

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct DatasetOptions {
    /// The categories in their order; by default `categories.txt`, else the folders' names sorted.
    pub categories: Option<Vec<String>>,
    /// Which images to leave out.
    pub licences: LicencePolicy,
    /// Leave out the folders that are named after none of the categories, instead of refusing them.
    pub known_only: bool,
}

/// Labelled images, not yet decoded.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The categories in the order of their indices.
    pub categories: Vec<String>,
    /// The images in the order of their paths.
    pub items: Vec<Item>,
    /// How many were left out because of their licence.
    pub left_out: usize,
    /// Folders that were left out because they are named after none of the categories.
    pub others: Vec<String>,
}

/// A file that gave no picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// Decoded images of a dataset.
#[derive(Debug)]
pub struct Squares {
    /// For each item one square of grey levels for each side that was asked for; `None` where the file is broken.
    pub levels: Vec<Option<Vec<Vec<u8>>>>,
    /// The files that gave no picture.
    pub broken: Vec<Broken>,
    /// BLAKE3, in hex, over the sorted lines `category` space `BLAKE3 of the file`, as sorted: it says which images
    /// these were, whatever the files are called.
    pub blake3: String,
}

impl Dataset {
    /// Lists the images below `folder`, which holds category folders.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read or holds no images; a category folder that is not among the given categories.
    pub fn open(folder: &Path, options: &DatasetOptions) -> Result<Self, ModelError> {
        let folders = category_folders(folder)?;
        let categories = match &options.categories {
            Some(categories) => categories.clone(),
            None => match listed_categories(folder)? {
                Some(categories) => categories,
                None => folders.keys().cloned().collect(),
            },
        };
        let labels = Labels::find(folder)?;
        let mut items = Vec::new();
        let mut left_out = 0;
        let mut others = Vec::new();
        for (name, path) in &folders {
            let Some(category) = categories.iter().position(|c| c == name) else {
                if options.known_only {
                    others.push(name.clone());
                    continue;
                }
                return Err(ModelError::Dataset(format!(
                    "the folder {name:?} is none of the categories: {}",
                    categories.join(", ")
                )));
            };
            for file in files(path)? {
                let label = labels.as_ref().and_then(|labels| labels.of(&file));
                let licence = label.and_then(|label| label.licence.clone());
                if !options.licences.allows(licence.as_deref().unwrap_or("")) {
                    left_out += 1;
                    continue;
                }
                items.push(Item {
                    category,
                    group: label
                        .and_then(|label| label.group.clone())
                        .unwrap_or_else(|| file.display().to_string()),
                    source: label.and_then(|label| label.source.clone()),
                    licence,
                    name: label
                        .and_then(|label| label.name.clone())
                        .unwrap_or_else(|| file.display().to_string()),
                    path: file,
                });
            }
        }
        if items.is_empty() {
            let mut error = format!(
                "{} holds no images: expected are folders named after categories, with files ending in {}",
                folder.display(),
                ENDINGS.join(", ")
            );
            if left_out > 0 {
                error += &format!("; {left_out} were left out because of their licence");
            }
            if !others.is_empty() {
                let (others, known) = (others.join(", "), categories.join(", "));
                error += &format!("; of the categories {known} none is among the folders {others}");
            }
            return Err(ModelError::Dataset(error));
        }
        if items.len() > MAX_IMAGES {
            return Err(ModelError::Dataset(format!(
                "{} images; at most {MAX_IMAGES} are taken",
                items.len()
            )));
        }
        Ok(Dataset {
            categories,
            items,
            left_out,
            others,
        })
    }

    /// Lists the images below `folder`, whose folders are named after whatever their images are.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read or holds no images.
    pub fn open_kinds(folder: &Path) -> Result<Self, ModelError> {
        let categories = category_folders(folder)?.into_keys().collect();
        let options = DatasetOptions {
            categories: Some(categories),
            ..DatasetOptions::default()
        };
        Dataset::open(folder, &options)
    }

    /// Lists the images of one split: `folder/split` where that exists, else `folder` itself if it holds category
    /// folders and is not a parent of splits.
    ///
    /// # Errors
    ///
    /// As [`Dataset::open`]; a parent of splits that has no such split.
    pub fn open_split(
        folder: &Path,
        split: &str,
        options: &DatasetOptions,
    ) -> Result<Self, ModelError> {
        let inner = folder.join(split);
        if inner.is_dir() {
            Dataset::open(&inner, options)
        } else if folder.join("train").is_dir() || folder.join("val").is_dir() {
            Err(ModelError::Dataset(format!(
                "{} has no folder {split:?}",
                folder.display()
            )))
        } else {
            Dataset::open(folder, options)
        }
    }

    /// How many images each category has.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.categories.len()];
        for item in &self.items {
            counts[item.category] += 1;
        }
        counts
    }

    /// Leaves out the images at these places (broken ones), and then the categories with fewer than `least` images,
    /// whose names are returned.
    pub fn thin_out(&mut self, without: &[usize], least: usize) -> Vec<String> {
        let mut index = 0;
        self.items.retain(|_| {
            index += 1;
            !without.contains(&(index - 1))
        });
        let counts = self.counts();
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        let mut new_index = vec![None; counts.len()];
        for (old, (name, count)) in self.categories.iter().zip(&counts).enumerate() {
            if *count >= least {
                new_index[old] = Some(kept.len());
                kept.push(name.clone());
            } else {
                dropped.push(name.clone());
            }
        }
        self.items
            .retain_mut(|item| match new_index[item.category] {
                Some(category) => {
                    item.category = category;
                    true
                }
                None => false,
            });
        self.categories = kept;
        dropped
    }

    /// Leaves out the images of all categories but these, whose order becomes the dataset's.
    pub fn keep_categories(&mut self, categories: &[String]) {
        let names = std::mem::replace(&mut self.categories, categories.to_vec());
        self.items.retain_mut(|item| {
            match categories
                .iter()
                .position(|name| *name == names[item.category])
            {
                Some(category) => {
                    item.category = category;
                    true
                }
                None => false,
            }
        });
    }

    /// The licences with how many images each has; images without one count as "not stated".
    pub fn licences(&self) -> BTreeMap<String, usize> {
        let mut licences = BTreeMap::new();
        for item in &self.items {
            let licence = item.licence.as_deref().unwrap_or("not stated");
            *licences.entry(licence.to_owned()).or_default() += 1;
        }
        licences
    }

    /// Decodes all images into squares of these sides in pixels, on all cores. `each` is called once a file, from any thread,
    /// and returns whether to go on.
    ///
    /// # Errors
    ///
    /// More than `max_broken` files that give no picture; [`ModelError::Stopped`].
    pub fn squares(
        &self,
        sides: &[usize],
        max_broken: usize,
        each: &(dyn Fn() -> bool + Sync),
    ) -> Result<Squares, ModelError> {
        let decoded = self
            .items
            .par_iter()
            .map(|item| {
                if !each() {
                    return Err(ModelError::Stopped);
                }
                Ok(decode_squares(&item.path, sides))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut levels = Vec::with_capacity(decoded.len());
        let mut broken = Vec::new();
        let mut hashes = Vec::with_capacity(decoded.len());
        for (item, (hash, square)) in self.items.iter().zip(decoded) {
            let hash = hash.map_or_else(|| "unreadable".to_owned(), |hash| hash.to_string());
            hashes.push(format!("{} {hash}", self.categories[item.category]));
            match square {
                Ok(square) => levels.push(Some(square)),
                Err(why) => {
                    broken.push(Broken {
                        path: item.path.clone(),
                        why,
                    });
                    levels.push(None);
                }
            }
        }
        if broken.len() > max_broken {
            return Err(ModelError::Dataset(format!(
                "{} of {} files give no picture, more than the {max_broken} that are put up with; the first: {}: {}",
                broken.len(),
                self.items.len(),
                broken[0].path.display(),
                broken[0].why
            )));
        }
        hashes.sort_unstable();
        Ok(Squares {
            levels,
            broken,
            blake3: blake3::hash(hashes.join("\n").as_bytes()).to_string(),
        })
    }
}

type Decoded = (Option<blake3::Hash>, Result<Vec<Vec<u8>>, String>);

fn decode_squares(path: &Path, sides: &[usize]) -> Decoded {
    let bytes = match read_bounded(path, MAX_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => return (None, Err(error.to_string())),
    };
    let options = DecodeOptions {
        grey: true,
        ..DecodeOptions::default()
    };
    let squares = decode(&bytes, &options)
        .map_err(|error| error.to_string())
        .and_then(|decoded| {
            // Of several frames the middle one, as `ai classify` takes it.
            let middle = decoded.pictures.len() / 2;
            let picture = decoded.pictures.get(middle).ok_or("no picture in it")?;
            sides
                .iter()
                .map(|side| square(picture, *side).map_err(|error| error.to_string()))
                .collect()
        });
    (Some(blake3::hash(&bytes)), squares)
}

/// The folders directly below, by name.
fn category_folders(folder: &Path) -> Result<BTreeMap<String, PathBuf>, ModelError> {
    let mut folders = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(ModelError::file(folder))? {
        let path = entry.map_err(ModelError::file(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name
            && path.is_dir()
            && !name.starts_with('.')
        {
            folders.insert(name.to_owned(), path);
        }
    }
    Ok(folders)
}

/// The image files of a category, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(ModelError::file(folder))? {
        let path = entry.map_err(ModelError::file(folder))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if ending.is_some_and(|e| ENDINGS.contains(&e.to_ascii_lowercase().as_str())) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// `name` in `folder` or the folder above it.
fn beside_or_above(folder: &Path, name: &str) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    [Some(folder.as_path()), folder.parent()]
        .into_iter()
        .flatten()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn listed_categories(folder: &Path) -> Result<Option<Vec<String>>, ModelError> {
    let Some(path) = beside_or_above(folder, "categories.txt") else {
        return Ok(None);
    };
    let text = text(&path)?;
    Ok(Some(
        text.lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect(),
    ))
}

fn text(path: &Path) -> Result<String, ModelError> {
    String::from_utf8(read_bounded(path, MAX_LABELS_BYTES)?)
        .map_err(|_| ModelError::Dataset(format!("{} is not UTF-8", path.display())))
}

#[derive(Debug, Clone)]
struct Label {
    group: Option<String>,
    source: Option<String>,
    licence: Option<String>,
    name: Option<String>,
}

struct Labels {
    /// What the `file` column is relative to.
    root: PathBuf,
    rows: BTreeMap<String, Label>,
}

impl Labels {
    fn find(folder: &Path) -> Result<Option<Self>, ModelError> {
        let Some(path) = beside_or_above(folder, "labels.tsv") else {
            return Ok(None);
        };
        let text = text(&path)?;
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or("").split('\t').collect();
        let column = |name: &str| header.iter().position(|column| *column == name);
        let file = column("file").ok_or_else(|| {
            ModelError::Dataset(format!("{} has no column \"file\"", path.display()))
        })?;
        let (group, source, licence) = (column("group"), column("source_repo"), column("licence"));
        let name = column("original_path");
        let mut rows = BTreeMap::new();
        for line in lines {
            let cells: Vec<&str> = line.split('\t').collect();
            let cell = |column: Option<usize>| {
                let cell = cells.get(column?)?.trim();
                (!cell.is_empty()).then(|| cell.to_owned())
            };
            if let Some(file) = cells.get(file) {
                rows.insert(
                    (*file).to_owned(),
                    Label {
                        group: cell(group),
                        source: cell(source),
                        licence: cell(licence),
                        name: cell(name),
                    },
                );
            }
        }
        Ok(Some(Labels {
            root: path.parent().unwrap_or(Path::new("")).to_owned(),
            rows,
        }))
    }

    fn of(&self, file: &Path) -> Option<&Label> {
        let file = file.canonicalize().ok()?;
        let relative = file.strip_prefix(&self.root).ok()?;
        let parts: Vec<_> = relative
            .iter()
            .map(|part| part.to_str())
            .collect::<Option<_>>()?;
        self.rows.get(&parts.join("/"))
    }
}

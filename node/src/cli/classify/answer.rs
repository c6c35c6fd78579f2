//! From files to answers: decoded on all processors, classified together; of a file with several frames one answer, and
//! each frame's where they are wanted.

use std::path::{Path, PathBuf};
use std::time::Instant;

use salus_api::ApiError;
use salus_models::imaging::classifier::{Classification, Classifier, ClassifyOptions, Ranked};

use crate::cli::args::FrameChoice;
use crate::imaging::{self, Scan};

/// Frames of one file that are classified together.
const BATCH: usize = 16;

/// An image that was classified.
pub struct Answer {
    pub scan: Scan,
    pub said: Classification,
    pub ms: f64,
    /// What was said of each frame, where that was asked for and there are several.
    pub frames: Vec<OfFrame>,
}

/// What was said of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct OfFrame {
    /// From 1.
    pub number: u32,
    /// The likeliest categories first.
    pub top: Vec<Ranked>,
    /// Why nothing is said, where nothing is.
    pub doubt: Option<&'static str>,
    /// As a multiple of the distance from which on nothing is said.
    pub distance: f64,
}

/// The answers about these files, in their order.
pub fn answers(
    classifier: &Classifier,
    paths: &[PathBuf],
    frames: FrameChoice,
    options: ClassifyOptions,
) -> Vec<Result<Answer, ApiError>> {
    let began = Instant::now();
    let scans = scans(classifier, paths, frames);
    let ms = || began.elapsed().as_secs_f64() * 1000.0 / paths.len().max(1) as f64;
    if frames == FrameChoice::All {
        let of_file = |scans: Result<Vec<Scan>, ApiError>| {
            let (scan, said, frames) = every_frame(classifier, scans?, options)?;
            Ok(Answer {
                scan,
                said,
                ms: ms(),
                frames,
            })
        };
        return scans.into_iter().map(of_file).collect();
    }
    let levels: Vec<&[u8]> = scans
        .iter()
        .flatten()
        .flatten()
        .map(|scan| scan.levels.as_slice())
        .collect();
    let said = classifier.classify_squares(&levels, options);
    let ms = ms();
    let mut said = match said {
        Ok(said) => said.into_iter(),
        Err(error) => {
            let error = imaging::model_error(&error);
            return scans
                .into_iter()
                .map(|scan| scan.and(Err(error.clone())))
                .collect();
        }
    };
    let answer = |scans: Result<Vec<Scan>, ApiError>| {
        let answer = scans?.pop().zip(said.next());
        let (scan, said) = answer.ok_or_else(|| ApiError::failed("an image has no answer"))?;
        Ok(Answer {
            scan,
            said,
            ms,
            frames: Vec::new(),
        })
    };
    scans.into_iter().map(answer).collect()
}

/// Each file's pictures: one, or every frame.
fn scans(
    classifier: &Classifier,
    paths: &[PathBuf],
    frames: FrameChoice,
) -> Vec<Result<Vec<Scan>, ApiError>> {
    let manifest = classifier.manifest();
    let read = |path: &PathBuf| match frames {
        FrameChoice::Middle => Scan::read(path, manifest).map(|scan| vec![scan]),
        FrameChoice::All => Scan::read_all(path, manifest),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = paths.len().div_ceil(threads).max(1);
    let mut scans: Vec<Result<Vec<Scan>, ApiError>> = std::thread::scope(|scope| {
        let parts: Vec<_> = paths
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(read).collect::<Vec<_>>()))
            .collect();
        let lost = || Err(ApiError::failed("an image was lost by an internal error"));
        let read = parts.into_iter().map(|part| part.join());
        read.flat_map(|part| part.unwrap_or_else(|_| (0..share).map(|_| lost()).collect()))
            .collect()
    });
    scans.truncate(paths.len());
    scans
}

/// What is said of each frame, and the one whose answer is the file's.
fn every_frame(
    classifier: &Classifier,
    mut scans: Vec<Scan>,
    options: ClassifyOptions,
) -> Result<(Scan, Classification, Vec<OfFrame>), ApiError> {
    let classify = |levels: &[&[u8]]| {
        let said = classifier.classify_squares(levels, options);
        said.map_err(|error| imaging::model_error(&error))
    };
    let mut frames = Vec::with_capacity(scans.len());
    for scans in scans.chunks(BATCH) {
        let levels: Vec<&[u8]> = scans.iter().map(|scan| scan.levels.as_slice()).collect();
        for (scan, said) in scans.iter().zip(classify(&levels)?) {
            frames.push(OfFrame {
                number: scan.frame.map_or(1, |frame| frame.number),
                doubt: imaging::doubt(&said),
                distance: imaging::distance(classifier.manifest(), &said),
                top: said.top,
            });
        }
    }
    let none = || ApiError::failed("an image has no answer");
    let (index, why) = answering(&frames).ok_or_else(none)?;
    let mut scan = scans.swap_remove(index);
    // Once more, for its maps: those of all frames would fill the memory.
    let said = classify(&[&scan.levels])?.pop().ok_or_else(none)?;
    match &mut scan.frame {
        Some(frame) => frame.why = why,
        None => frames.clear(),
    }
    Ok((scan, said, frames))
}

/// Whose answer is the file's, and why: the most certain of those that are assessed, else the one in the middle.
fn answering(frames: &[OfFrame]) -> Option<(usize, &'static str)> {
    let p = |frame: &OfFrame| frame.top.first().map_or(0.0, |best| best.p);
    let assessed = frames
        .iter()
        .enumerate()
        .filter(|(_, of)| of.doubt.is_none());
    // Of equals the first.
    match assessed
        .rev()
        .max_by(|(_, a), (_, b)| p(a).total_cmp(&p(b)))
    {
        Some((index, _)) => Some((index, "the most certain that is assessed")),
        None if frames.is_empty() => None,
        None => Some((frames.len() / 2, "the one in the middle; none is assessed")),
    }
}

/// The file's name for people.
pub fn name(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u32, p: f64, assessed: bool) -> OfFrame {
        OfFrame {
            number,
            top: vec![Ranked {
                label: "made".to_owned(),
                p,
            }],
            doubt: (!assessed).then_some("unlike"),
            distance: 1.0,
        }
    }

    #[test]
    fn the_most_certain_frame_that_is_assessed_answers_for_the_file() {
        let index = |frames: &[OfFrame]| answering(frames).map(|(index, _)| index);
        let mut frames = vec![
            frame(1, 0.99, false),
            frame(2, 0.5, true),
            frame(3, 0.8, true),
            frame(4, 0.8, true),
        ];
        assert_eq!(index(&frames), Some(2));
        for frame in &mut frames {
            frame.doubt = Some("unlike");
        }
        let (middle, why) = answering(&frames).unwrap();
        assert_eq!(middle, 2);
        assert!(why.contains("none is assessed"));
        assert_eq!(index(&[]), None);
    }
}

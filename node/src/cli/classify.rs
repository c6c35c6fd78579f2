//! `salus ai classify`: one image or a folder of them, on this machine, without a node unless a patient is named.

mod answer;
mod csv;
mod show;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use salus_api::{ApiError, Request, Response};
use salus_models::imaging::classifier::{Classifier, ClassifyOptions};

use super::args::{ClassifyArgs, FrameChoice};
use super::exit::{Exit, Outcome, Stop, file_error};
use super::output::Out;
use super::progress::{Meter, Unit};
use super::render;
use super::session::Caller;
use super::walk::files_below;
use crate::imaging;
use crate::node::blocking;
use crate::whole_file;
use answer::{Answer, answers};
use show::{as_json, failed, show};

/// Images that are decoded, and then classified, together: enough to keep all processors busy, few enough to show progress.
const CHUNK: usize = 16;
/// Endings that are taken from a folder. A file that is named itself may be called anything.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "tif", "tiff", "dcm"];

/// Classifies what the arguments name. With a caller, each answer becomes a suggestion for the patient.
pub async fn classify(
    args: &ClassifyArgs,
    data_dir: Option<&Path>,
    caller: Option<&Caller>,
    out: &mut Out,
) -> Outcome {
    if let (Some(caller), Some(attachment)) = (caller, &args.attachment) {
        return attached(args, attachment, caller, out).await;
    }
    let path = args.path.as_deref().unwrap_or(Path::new("."));
    let about = std::fs::metadata(path).map_err(|e| file_error("read", path, &e))?;
    let (files, folder) = if about.is_dir() {
        (images_in(path)?, true)
    } else {
        (vec![path.to_owned()], false)
    };
    if folder && args.heatmap.is_some() {
        return Err(ApiError::usage("a heat map is of one image")
            .hint("name an image instead of a folder")
            .into());
    }
    let (named, own) = (args.model.clone(), data_dir.map(Path::to_path_buf));
    let open = move || imaging::open(named.as_deref(), own.as_deref());
    let classifier = Arc::new(blocking(open).await?);
    let options = ClassifyOptions {
        mirror: args.mirror,
    };
    let what = format!(
        "classifying {}",
        render::with_plural(files.len() as u64, "image")
    );
    let meter = folder.then(|| Meter::start(out, &what, Unit::Steps, files.len() as u64));
    let mut exit = Exit::DONE;
    let mut csv = args.csv.is_some().then(csv::head);
    let mut done = 0;
    let frames = args.frames;
    // Every frame of many files would fill the memory.
    let together = folder && frames == FrameChoice::Middle;
    for chunk in files.chunks(if together { CHUNK } else { 1 }) {
        let (model, paths) = (Arc::clone(&classifier), chunk.to_vec());
        let answers = blocking(move || Ok(answers(&model, &paths, frames, options))).await?;
        for (path, answer) in chunk.iter().zip(answers) {
            let shown = match answer {
                Ok(answer) => {
                    one(
                        args,
                        &classifier,
                        path,
                        answer,
                        caller,
                        &mut csv,
                        out,
                        folder,
                    )
                    .await
                }
                Err(error) => Err(Stop::Error(error)),
            };
            match shown {
                Ok(()) => {}
                Err(Stop::Error(error)) => {
                    if let Some(csv) = &mut csv {
                        csv::failed(csv, path, &error.message);
                    }
                    if !folder {
                        write_csv(args, csv.as_deref(), out)?;
                        return Err(error.into());
                    }
                    exit = exit.worst(Exit::of(&error));
                    failed(path, &error, meter.as_ref(), out)?;
                }
                Err(stop) => return Err(stop),
            }
            done += 1;
            if let Some(meter) = &meter {
                meter.at(done);
            }
        }
        out.flush()?;
    }
    drop(meter);
    write_csv(args, csv.as_deref(), out)?;
    Ok(exit)
}

/// Has the node classify a file of a record where it is kept.
async fn attached(
    args: &ClassifyArgs,
    attachment: &str,
    caller: &Caller,
    out: &mut Out,
) -> Outcome {
    let request = Request::ClassifyAttachment {
        patient: args.patient.clone().unwrap_or_default(),
        attachment: attachment.to_owned(),
    };
    let Response::Classified(view) = caller.call(request).await? else {
        return Err(render::unexpected().into());
    };
    show::classified(&view, out)?;
    Ok(Exit::DONE)
}

#[expect(
    clippy::too_many_arguments,
    reason = "what one image of a run needs of it"
)]
async fn one(
    args: &ClassifyArgs,
    classifier: &Arc<Classifier>,
    path: &Path,
    answer: Answer,
    caller: Option<&Caller>,
    csv: &mut Option<String>,
    out: &mut Out,
    folder: bool,
) -> Result<(), Stop> {
    let inference = imaging::inference(classifier.manifest(), &answer.scan, &answer.said);
    if let Some(file) = &args.heatmap {
        let png = imaging::heat_png(classifier, &answer.scan, &answer.said)?;
        whole_file::write_over(file, |out| out.write_all(&png))
            .map_err(|e| file_error("write", file, &e))?;
    }
    let suggestion = match (caller, &args.patient) {
        (Some(caller), Some(patient)) => {
            let request = Request::Infer {
                patient: patient.clone(),
                inference: Box::new(inference.clone()),
            };
            match caller.call(request).await? {
                Response::Added { id } => Some(id),
                _ => return Err(render::unexpected().into()),
            }
        }
        _ => None,
    };
    if let Some(csv) = csv {
        csv::answered(csv, path, &inference, &answer);
    }
    if out.form().json {
        out.json(&as_json(path, &inference, &answer, suggestion.as_deref()))?;
    } else if args.csv.as_deref() != Some(Path::new("-")) {
        show(
            path,
            &inference,
            &answer,
            suggestion.as_deref(),
            folder,
            out,
        )?;
        if let Some(file) = &args.heatmap {
            out.message(format!(
                "heat map of the first category: {}",
                file.display()
            ));
        }
    }
    Ok(())
}

fn write_csv(args: &ClassifyArgs, csv: Option<&str>, out: &mut Out) -> Result<(), Stop> {
    let (Some(file), Some(csv)) = (&args.csv, csv) else {
        return Ok(());
    };
    if file == Path::new("-") {
        out.raw(csv)?;
        return Ok(());
    }
    whole_file::write_over(file, |out| out.write_all(csv.as_bytes()))
        .map_err(|e| file_error("write", file, &e))?;
    out.message(format!("{} written", file.display()));
    Ok(())
}

/// The images in a folder and its folders.
fn images_in(folder: &Path) -> Result<Vec<PathBuf>, ApiError> {
    let is_image = |path: &Path| {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
    };
    let found = files_below(folder, &is_image)?;
    if found.is_empty() {
        return Err(
            ApiError::not_found(format!("{} holds no images", folder.display())).hint(format!(
                "images are files that end in {}",
                ENDINGS.join(", ")
            )),
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_images_sorted_and_one_without_says_what_it_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let error = images_in(folder.path()).unwrap_err();
        assert!(error.hint.unwrap().contains("png"), "{}", error.message);
        for name in ["b.PNG", "a.jpg", "notes.txt", "deep/c.dcm"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let found = images_in(folder.path()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|p| p.strip_prefix(folder.path()).unwrap())
            .collect();
        assert_eq!(
            names,
            [
                Path::new("a.jpg"),
                Path::new("b.PNG"),
                Path::new("deep/c.dcm")
            ]
        );
    }
}

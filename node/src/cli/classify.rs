//! `salus ai classify`: one image or a folder of them, on this machine, without a node unless a patient is named.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use salus_api::{ApiError, Inference, Request, Response};
use salus_models::imaging::classifier::{Classification, Classifier, ClassifyOptions};

use super::args::ClassifyArgs;
use super::exit::{Exit, Outcome, Stop, file_error};
use super::json::Object;
use super::output::{Line, Out, Style};
use super::progress::{Meter, Unit};
use super::render;
use super::session::Caller;
use super::walk::files_below;
use crate::imaging::{self, Scan};
use crate::node::blocking;
use crate::whole_file;

/// Images that are decoded, and then classified, together: enough to keep all processors busy, few enough to show progress.
const CHUNK: usize = 16;
/// Endings that are taken from a folder. A file that is named itself may be called anything.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "tif", "tiff", "dcm"];
/// Categories in a line of the CSV file.
const CSV_CATEGORIES: usize = 3;

/// An image that was classified.
struct Answer {
    scan: Scan,
    said: Classification,
    ms: f64,
}

/// Classifies what the arguments name. With a caller, each answer becomes a suggestion for the patient.
pub async fn classify(
    args: &ClassifyArgs,
    data_dir: Option<&Path>,
    caller: Option<&Caller>,
    out: &mut Out,
) -> Outcome {
    let about = std::fs::metadata(&args.path).map_err(|e| file_error("read", &args.path, &e))?;
    let (files, folder) = if about.is_dir() {
        (images_in(&args.path)?, true)
    } else {
        (vec![args.path.clone()], false)
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
    let mut csv = args.csv.is_some().then(csv_head);
    let mut done = 0;
    for chunk in files.chunks(if folder { CHUNK } else { 1 }) {
        let (model, paths) = (Arc::clone(&classifier), chunk.to_vec());
        let answers = blocking(move || Ok(answers(&model, &paths, options))).await?;
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
                        csv_line(csv, path, None, None, Some(&error.message));
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

/// Decodes on all processors, then classifies together.
fn answers(
    classifier: &Classifier,
    paths: &[PathBuf],
    options: ClassifyOptions,
) -> Vec<Result<Answer, ApiError>> {
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = paths.len().div_ceil(threads).max(1);
    let mut scans: Vec<Result<Scan, ApiError>> = std::thread::scope(|scope| {
        let parts: Vec<_> = paths
            .chunks(share)
            .map(|part| {
                let read = |path: &PathBuf| Scan::read(path, classifier.manifest());
                scope.spawn(move || part.iter().map(read).collect::<Vec<_>>())
            })
            .collect();
        let lost = || Err(ApiError::failed("an image was lost by an internal error"));
        let read = parts.into_iter().map(|part| part.join());
        read.flat_map(|part| part.unwrap_or_else(|_| (0..share).map(|_| lost()).collect()))
            .collect()
    });
    scans.truncate(paths.len());
    let levels: Vec<&[u8]> = scans
        .iter()
        .flatten()
        .map(|scan| scan.levels.as_slice())
        .collect();
    let said = classifier.classify_squares(&levels, options);
    let ms = began.elapsed().as_secs_f64() * 1000.0 / paths.len().max(1) as f64;
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
    let answer = |scan: Result<Scan, ApiError>| {
        let scan = scan?;
        let said = said
            .next()
            .ok_or_else(|| ApiError::failed("an image has no answer"))?;
        Ok(Answer { scan, said, ms })
    };
    scans.into_iter().map(answer).collect()
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
        csv_line(csv, path, Some(&inference), Some(&answer.said), None);
    }
    if out.form().json {
        out.json(&as_json(path, &inference, &answer, suggestion.as_deref()))?;
    } else if args.csv.as_deref() != Some(Path::new("-")) {
        show(path, &inference, suggestion.as_deref(), folder, out)?;
        if let Some(file) = &args.heatmap {
            out.message(format!(
                "heat map of the first category: {}",
                file.display()
            ));
        }
    }
    Ok(())
}

fn as_json(path: &Path, said: &Inference, answer: &Answer, suggestion: Option<&str>) -> Object {
    let top: Vec<Object> = answer
        .said
        .top
        .iter()
        .map(|ranked| {
            Object::new()
                .with("label", &ranked.label)
                .with("p", ranked.p)
        })
        .collect();
    let notes: Vec<Object> = said
        .outputs
        .iter()
        .filter_map(|output| {
            let note = output.note.as_ref()?;
            Some(
                Object::new()
                    .with("label", &output.label)
                    .with("note", note),
            )
        })
        .collect();
    Object::new()
        .with("file", path.display().to_string())
        .with("image", &said.input.hash)
        .with("media_type", &said.input.media_type)
        .with("model", &said.model.name)
        .with("version", &said.model.version)
        .with("weights", &said.model.weights)
        .with("top", top)
        .with("uncertain", said.uncertain)
        .with("why", imaging::doubt(&answer.said))
        .with("distance", said.distance)
        .with("notes", notes)
        .with("ms", answer.ms)
        .with_some("suggestion", suggestion)
}

fn show(
    path: &Path,
    said: &Inference,
    suggestion: Option<&str>,
    folder: bool,
    out: &mut Out,
) -> Result<(), Stop> {
    let name = path.display().to_string();
    let not_assessed = || format!("not assessed: {}", said.explanation);
    if folder {
        let line = Line::new().add(format!("{name}  "));
        let line = match said.outputs.first() {
            Some(best) if !said.uncertain => {
                let p = best.p.unwrap_or_default();
                let line = line
                    .styled(&best.label, Style::Strong)
                    .add(format!("  p = {p:.3}"));
                if best.note.is_some() {
                    line.styled("  (!)", Style::Warn)
                } else {
                    line
                }
            }
            _ => line.styled(&not_assessed(), Style::Dim),
        };
        out.line(line)?;
        return Ok(());
    }
    out.line(Line::new().styled(&name, Style::Strong))?;
    if said.uncertain {
        out.line(Line::new().add("  ").styled(&not_assessed(), Style::Warn))?;
    } else {
        for output in &said.outputs {
            let p = output.p.unwrap_or_default();
            let line = Line::new().add(format!("  {p:>6.3}  {}", output.label));
            out.line(line)?;
            if let Some(note) = output.note.as_ref().filter(|_| p >= 0.05) {
                out.line(
                    Line::new()
                        .add("          ")
                        .styled(&format!("(!) {note}"), Style::Warn),
                )?;
            }
        }
    }
    out.line(Line::new().styled(
        &format!(
            "  {} {}, weights {}; a suggestion, not a finding; for research use",
            said.model.name,
            said.model.version,
            super::text::short(&said.model.weights)
        ),
        Style::Dim,
    ))?;
    if let Some(id) = suggestion {
        out.line(format!("  suggestion {}", super::text::short(id)))?;
    }
    Ok(())
}

fn failed(path: &Path, error: &ApiError, meter: Option<&Meter>, out: &mut Out) -> Result<(), Stop> {
    if out.form().json {
        let object = Object::new()
            .with("file", path.display().to_string())
            .with("error", &error.message);
        out.json(&object)?;
        return Ok(());
    }
    match meter {
        Some(meter) => meter.beside(|| out.error(error)),
        None => out.error(error),
    }
    Ok(())
}

fn csv_head() -> String {
    let mut head = "file,image,uncertain,why".to_owned();
    for n in 1..=CSV_CATEGORIES {
        let _ = write!(head, ",label_{n},p_{n}");
    }
    head.push_str(",error\n");
    head
}

fn csv_line(
    csv: &mut String,
    path: &Path,
    said: Option<&Inference>,
    answer: Option<&Classification>,
    error: Option<&str>,
) {
    let mut cells = vec![path.display().to_string()];
    cells.push(said.map(|said| said.input.hash.clone()).unwrap_or_default());
    cells.push(
        said.map(|said| said.uncertain.to_string())
            .unwrap_or_default(),
    );
    cells.push(
        said.map(|said| said.explanation.clone())
            .unwrap_or_default(),
    );
    for n in 0..CSV_CATEGORIES {
        let ranked = answer.and_then(|answer| answer.top.get(n));
        cells.push(
            ranked
                .map(|ranked| ranked.label.clone())
                .unwrap_or_default(),
        );
        cells.push(
            ranked
                .map(|ranked| format!("{:.6}", ranked.p))
                .unwrap_or_default(),
        );
    }
    cells.push(error.unwrap_or_default().to_owned());
    let quoted: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    csv.push_str(&quoted.join(","));
    csv.push('\n');
}

/// A cell as RFC 4180 has it; what a spreadsheet would take for a formula begins with an apostrophe.
fn quoted(cell: &str) -> String {
    let cell = match cell.chars().next() {
        Some('=' | '+' | '-' | '@') => format!("'{cell}"),
        _ => cell.to_owned(),
    };
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
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
    fn a_cell_is_quoted_where_it_must_be_and_is_never_a_formula() {
        assert_eq!(quoted("chest.png"), "chest.png");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"a\""), "\"say \"\"a\"\"\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
    }

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

//! `salus import`: several files in flight, each whole or not at all, and each with its own result.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use salus_api::{ApiError, ImportReport, Progress, Request, Response};
use salus_media::MediaType;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::args::ImportArgs;
use super::attach::Files;
use super::exit::{Exit, Outcome, file_error};
use super::json::Object;
use super::output::{Line, Out, Style};
use super::progress::{Meter, Unit};
use super::render::{self, count, with_plural};
use super::session::Caller;
use super::walk::{MAX_FILES, files_below};

/// Calls in flight: one parses while one seals and one waits for the disk. A guess for small machines.
const MAX_IN_FLIGHT: usize = 3;
/// Endings that are taken from a folder. A file that is named itself may be called anything.
const ENDINGS: [&str; 3] = [".json", ".ndjson", ".gz"];
/// First bytes by which a file is known.
const HEAD_BYTES: u64 = 64 << 10;
/// Files of one call that are attached: each call is one transaction.
const MAX_ATTACHED_AT_ONCE: usize = 256;
/// Progress reports that may wait to be drawn; more are dropped, the next one says it all.
const MAX_STEPS_WAITING: usize = 64;

/// A file to import.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    path: PathBuf,
    /// Bytes on disk, for the bar only.
    bytes: u64,
}

#[derive(Default)]
struct Total {
    files: u64,
    failed: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    bytes: u64,
}

/// Imports all that the arguments name. The exit code is the worst of all files. `confirmed`: tags of another person are no obstacle.
pub async fn import(args: &ImportArgs, confirmed: bool, caller: &Caller, out: &mut Out) -> Outcome {
    let started = std::time::Instant::now();
    let mut exit = Exit::DONE;
    let mut total = Total::default();
    let mut found = Found {
        files: args.patient.is_some(),
        ..Found::default()
    };
    for path in &args.paths {
        if let Err(error) = collect(path, &mut found) {
            total.failed += 1;
            exit = exit.worst(failed(out, path, &error)?);
        }
    }
    let Found {
        mut sources,
        attachments,
        skipped,
        ..
    } = found;
    if skipped > 0 {
        let what = with_plural(skipped, "file");
        out.message(format!("{what} left out: of no kind that is imported, or texts, which are imported where they are named"));
    }
    if let Some(patient) = &args.patient {
        let ended = attach(patient, attachments, confirmed, caller, out).await?;
        exit = exit.worst(ended);
    }
    if sources.is_empty() {
        return Ok(exit);
    }
    let bytes = sources.iter().map(|s| s.bytes).sum();
    let what = format!("importing {}", with_plural(sources.len() as u64, "file"));
    let meter = Meter::start(out, &what, Unit::Bytes, bytes);

    let (steps, mut moved) = mpsc::channel::<(usize, f64)>(MAX_STEPS_WAITING);
    let mut calls = JoinSet::new();
    let mut shares = vec![(0_u64, 0.0_f64); sources.len()];
    let mut next = 0;
    loop {
        while calls.len() < MAX_IN_FLIGHT
            && let Some(source) = sources.pop_front()
        {
            let (caller, steps, number) = (caller.clone(), steps.clone(), next);
            shares[number].0 = source.bytes;
            next += 1;
            calls.spawn(async move {
                let answer = one(&caller, &source.path, |share| {
                    let _ = steps.try_send((number, share));
                });
                (number, answer.await, source.path)
            });
        }
        let result = tokio::select! {
            biased;
            Some((number, share)) = moved.recv() => {
                shares[number].1 = share;
                meter.at(position(&shares));
                continue;
            }
            result = calls.join_next() => result,
        };
        let Some(result) = result else {
            break;
        };
        let Ok((number, answer, path)) = result else {
            total.failed += 1;
            exit = exit.worst(Exit::FAILED);
            meter.beside(|| out.error(&ApiError::failed("an import ended before its answer")));
            continue;
        };
        shares[number].1 = 1.0;
        meter.at(position(&shares));
        let ended = match answer {
            Ok(report) => {
                total.add(&report);
                meter.beside(|| done(out, &report)).map(|()| Exit::DONE)
            }
            Err(error) => {
                total.failed += 1;
                meter.beside(|| failed(out, &path, &error))
            }
        };
        exit = exit.worst(ended?);
        // Whoever reads the results hears of each file when it is done.
        out.flush()?;
    }
    drop(meter);
    if !out.form().json {
        out.line(total.line(started.elapsed().as_secs_f64()))?;
    }
    Ok(exit)
}

async fn one(
    caller: &Caller,
    path: &Path,
    mut moved: impl FnMut(f64),
) -> Result<ImportReport, ApiError> {
    let request = Request::Import {
        path: std::path::absolute(path).map_err(|e| file_error("read", path, &e))?,
    };
    let progress = |step: Progress| {
        if step.total > 0 {
            moved((step.done as f64 / step.total as f64).clamp(0.0, 1.0));
        }
    };
    match caller.call_with(request, progress).await? {
        Response::Imported(report) => Ok(report),
        _ => Err(render::unexpected()),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position of a progress bar, never negative"
)]
fn position(shares: &[(u64, f64)]) -> u64 {
    shares
        .iter()
        .map(|(bytes, share)| *bytes as f64 * share)
        .sum::<f64>() as u64
}

/// What is to be imported.
#[derive(Default)]
struct Found {
    /// Whether files other than FHIR's are wanted, too.
    files: bool,
    /// FHIR files.
    sources: VecDeque<Source>,
    /// Others.
    attachments: Vec<PathBuf>,
    /// Files of folders that are of no kind that is known.
    skipped: u64,
}

impl Found {
    fn len(&self) -> usize {
        self.sources.len() + self.attachments.len()
    }

    /// Sorts a file by its ending and its first bytes; `named`: somebody named it, so that it is not left out.
    fn add(&mut self, path: &Path, bytes: u64, named: bool) -> Result<(), ApiError> {
        let is_fhir = is_importable(path);
        let kind = if is_fhir { None } else { kind(path, bytes)? };
        match (kind, self.files) {
            // Beside scans lie notes of whoever copied them: a text is attached where it is named.
            (Some(MediaType::Text), true) if !named => self.skipped += 1,
            (Some(_), true) => self.attachments.push(path.to_owned()),
            // A text that was named may well be FHIR, whatever it is called.
            (Some(kind), false) if named && kind != MediaType::Text => {
                return Err(ApiError::usage(format!(
                    "{} is {}: say whose it is",
                    path.display(),
                    kind.name()
                ))
                .hint("add --patient PATIENT"));
            }
            (None, true) if !is_fhir && named => self.attachments.push(path.to_owned()),
            _ if is_fhir || named => self.sources.push_back(Source {
                path: path.to_owned(),
                bytes,
            }),
            _ => self.skipped += u64::from(self.files),
        }
        Ok(())
    }
}

/// What a file is, by its first bytes.
fn kind(path: &Path, bytes: u64) -> Result<Option<MediaType>, ApiError> {
    use std::io::Read;
    let mut head = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head))
        .map_err(|e| file_error("read", path, &e))?;
    Ok(MediaType::of(&head, bytes))
}

/// Attaches files to a patient's record, each whole or not at all, and tells of studies as such.
async fn attach(
    patient: &str,
    paths: Vec<PathBuf>,
    confirmed: bool,
    caller: &Caller,
    out: &mut Out,
) -> Outcome {
    let mut exit = Exit::DONE;
    let mut studies: BTreeMap<String, (String, u64)> = BTreeMap::new();
    let (mut added, mut known) = (0_u64, 0_u64);
    for paths in paths.chunks(MAX_ATTACHED_AT_ONCE) {
        let absolute: io::Result<Vec<PathBuf>> = paths.iter().map(std::path::absolute).collect();
        let files = Files {
            patient: patient.to_owned(),
            paths: absolute.map_err(|e| file_error("read", Path::new("."), &e))?,
            about: None,
            confirmed,
            each: true,
        };
        let views = files.send(caller, out).await?;
        for attachment in views.iter().filter_map(|view| view.attachment.as_ref()) {
            let Some(tags) = &attachment.dicom else {
                continue;
            };
            let tag = |name: &str| tags.get(name).and_then(|tag| tag.as_str()).unwrap_or("");
            let said = [tag("modality"), tag("study_date"), tag("study_description")];
            let said = said.into_iter().filter(|part| !part.is_empty());
            let said = said.collect::<Vec<_>>().join(", ");
            let study = studies.entry(tag("study_uid").to_owned());
            study.or_insert((said, 0)).1 += 1;
        }
        added += views.iter().filter(|view| view.added).count() as u64;
        known += views
            .iter()
            .filter(|view| view.error.is_none() && !view.added)
            .count() as u64;
        exit = exit.worst(render::attached(out, &views)?);
        out.flush()?;
    }
    if !out.form().json {
        out.line(format!(
            "{} attached, {} here already",
            with_plural(added, "file"),
            count(known)
        ))?;
        for (said, n) in studies.values() {
            let said = if said.is_empty() {
                "without tags"
            } else {
                said
            };
            out.line(format!("  study {said}: {}", with_plural(*n, "file")))?;
        }
    }
    Ok(exit)
}

/// Adds a file, or the files of a folder in the order of their names.
fn collect(path: &Path, sources: &mut Found) -> Result<(), ApiError> {
    let about = |path: &Path| std::fs::metadata(path).map_err(|e| file_error("read", path, &e));
    let meta = about(path)?;
    if !meta.is_dir() {
        return sources.add(path, meta.len(), true);
    }
    let (all, before) = (sources.files, sources.len());
    for file in files_below(path, &|file| is_importable(file) || all && is_visible(file))? {
        if sources.len() >= MAX_FILES {
            return Err(ApiError::failed(format!("more than {MAX_FILES} files"))
                .hint("import the folders one by one"));
        }
        sources.add(&file, about(&file)?.len(), false)?;
    }
    if sources.len() == before {
        let wanted = if sources.files {
            "file of a kind that is imported"
        } else {
            ".json, .ndjson or .gz file"
        };
        return Err(
            ApiError::not_found(format!("no {wanted} in {}", path.display()))
                .hint("name a file itself, whatever it is called, or another folder"),
        );
    }
    Ok(())
}

fn is_importable(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase());
    name.is_some_and(|name| !name.starts_with('.') && ENDINGS.iter().any(|e| name.ends_with(e)))
}

/// A file that is no system's own.
fn is_visible(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| !name.starts_with('.'))
}

/// Says what one file brought.
fn done(out: &mut Out, report: &ImportReport) -> io::Result<()> {
    if out.form().json {
        return out.json(report);
    }
    let mut said = Vec::new();
    for (n, what) in [
        (report.created, "new patient"),
        (report.updated, "changed patient"),
        (report.unchanged, "unchanged patient"),
    ] {
        if n > 0 {
            said.push(with_plural(n, what));
        }
    }
    if said.is_empty() {
        said.push("no patients".to_owned());
    }
    if report.created + report.updated > 0 {
        let typed = report.typed.values().sum();
        said.push(format!("{} typed", with_plural(typed, "resource")));
        let raw: u64 = report.kept_raw.values().sum();
        if raw > 0 {
            let kinds: Vec<String> = report
                .kept_raw
                .iter()
                .map(|(kind, n)| format!("{kind} {}", count(*n)))
                .collect();
            said.push(format!(
                "{} kept as received ({})",
                count(raw),
                kinds.join(", ")
            ));
        }
        let elements: u64 = report.unmodelled.values().sum();
        if elements > 0 {
            said.push(format!(
                "{} kept as received",
                with_plural(elements, "element")
            ));
        }
    }
    said.push(format!("{:.2} s", report.seconds));
    let line = Line::new()
        .styled(&report.file, Style::Strong)
        .add(": ")
        .add(said.join(", "));
    out.line(line)
}

/// Says why one file failed: on standard error, and in JSON also as the file's result.
fn failed(out: &mut Out, path: &Path, error: &ApiError) -> io::Result<Exit> {
    let exit = Exit::of(error);
    let name = path.display().to_string();
    if out.form().json {
        let object = Object::new()
            .with("file", &name)
            .with("error", &error.message)
            .with("exit", exit.code());
        out.json(&object)?;
    }
    let mut told = error.clone();
    if !told.message.contains(&name) {
        told.message = format!("{name}: {}", error.message);
    }
    out.error(&told);
    Ok(exit)
}

impl Total {
    fn add(&mut self, report: &ImportReport) {
        self.files += 1;
        self.created += report.created;
        self.updated += report.updated;
        self.unchanged += report.unchanged;
        self.bytes += report.bytes;
    }

    fn line(&self, seconds: f64) -> Line {
        let mega = self.bytes as f64 / 1e6;
        let mut line = Line::new().add(format!(
            "{} imported: {} new, {} changed, {} unchanged; {mega:.1} MB in {seconds:.1} s ({:.1} MB/s)",
            with_plural(self.files, "file"),
            with_plural(self.created, "patient"),
            count(self.updated),
            count(self.unchanged),
            mega / seconds.max(0.001),
        ));
        if self.failed > 0 {
            let failed = format!("; {} failed", count(self.failed));
            line = line.styled(&failed, Style::Bad);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cli::fake;
    use crate::cli::output::Form;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        for name in [
            "b.json",
            "a.NDJSON",
            "c.json.gz",
            "notes.txt",
            ".hidden.json",
        ] {
            std::fs::write(folder.path().join(name), "{}").unwrap();
        }
        std::fs::write(inner.join("d.json"), "{}").unwrap();
        folder
    }

    /// A node that refuses `b.json`, finds `d.json` damaged and takes everything else.
    fn node() -> Caller {
        fake::caller(|_, request| {
            let Request::Import { path } = request else {
                return Err(ApiError::usage("not asked"));
            };
            assert!(path.is_absolute());
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            match file.as_str() {
                "b.json" => Err(ApiError::failed("not a Bundle").hint("export it as R4")),
                "d.json" => Err(ApiError::not_found("d.json: gone")),
                _ => Ok(Response::Imported(ImportReport {
                    file,
                    bytes: 1_000_000,
                    created: 1,
                    typed: BTreeMap::from([("Observation".to_owned(), 1_300)]),
                    kept_raw: BTreeMap::from([("Claim".to_owned(), 3)]),
                    seconds: 0.25,
                    ..ImportReport::default()
                })),
            }
        })
    }

    async fn run(paths: Vec<PathBuf>, json: bool) -> (Exit, String, String) {
        let (mut out, seen) = Out::captured_as(Form {
            json,
            ..Form::default()
        });
        let args = ImportArgs {
            paths,
            patient: None,
        };
        let exit = import(&args, false, &node(), &mut out).await;
        (exit.unwrap(), seen.stdout(), seen.stderr())
    }

    #[test]
    fn a_folder_gives_its_fhir_files_in_order_and_no_others() {
        let folder = folder();
        let mut found = Found::default();
        collect(folder.path(), &mut found).unwrap();
        let names: Vec<_> = found
            .sources
            .iter()
            .map(|s| s.path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["a.NDJSON", "b.json", "c.json.gz", "d.json"]);
        let empty = tempfile::tempdir().unwrap();
        assert!(collect(empty.path(), &mut found).is_err());
        assert!(found.attachments.is_empty() && found.skipped == 0);
    }

    #[test]
    fn with_a_patient_a_folder_gives_its_scans_too_and_says_what_it_leaves_out() {
        let folder = folder();
        std::fs::write(folder.path().join("inner/scan"), dicom()).unwrap();
        std::fs::write(folder.path().join("tool.bin"), [0, 1, 2]).unwrap();
        let mut found = Found {
            files: true,
            ..Found::default()
        };
        collect(folder.path(), &mut found).unwrap();
        assert_eq!(found.sources.len(), 4);
        assert_eq!(found.attachments, [folder.path().join("inner/scan")]);
        assert_eq!(found.skipped, 2);
        // What is named is not left out.
        collect(&folder.path().join("notes.txt"), &mut found).unwrap();
        assert_eq!(found.attachments.len(), 2);
    }

    #[test]
    fn a_scan_that_is_nobodys_is_not_imported() {
        let folder = folder();
        let path = folder.path().join("scan.json.dcm");
        std::fs::write(&path, dicom()).unwrap();
        let error = collect(&path, &mut Found::default()).unwrap_err();
        assert_eq!(error.kind, salus_api::ErrorKind::Usage);
        assert!(error.hint.unwrap().contains("--patient"));
    }

    /// The first bytes of a DICOM file.
    fn dicom() -> Vec<u8> {
        let mut bytes = vec![0; 128];
        bytes.extend_from_slice(b"DICM");
        bytes.extend_from_slice(&[2, 0, 0, 0, b'U', b'L', 4, 0, 0, 0, 0, 0]);
        bytes
    }

    #[tokio::test]
    async fn every_file_has_its_result_and_the_worst_decides_the_exit_code() {
        let folder = folder();
        let (exit, stdout, stderr) = run(vec![folder.path().to_owned()], false).await;
        assert_eq!(exit.code(), 4);
        let mut lines: Vec<&str> = stdout.lines().collect();
        let last = lines.pop().unwrap();
        lines.sort_unstable();
        insta::assert_snapshot!(lines.join("\n"), @"
        a.NDJSON: 1 new patient, 1,300 resources typed, 3 kept as received (Claim 3), 0.25 s
        c.json.gz: 1 new patient, 1,300 resources typed, 3 kept as received (Claim 3), 0.25 s
        ");
        assert!(
            last.starts_with("2 files imported: 2 patients new, 0 changed, 0 unchanged; 2.0 MB")
        );
        assert!(last.ends_with("; 2 failed"));
        assert!(stderr.contains("importing 4 files\n"));
        assert!(stderr.contains("b.json: not a Bundle\n  hint: export it as R4\n"));
        assert!(stderr.contains("d.json: d.json: gone\n"));
    }

    #[tokio::test]
    async fn as_json_every_file_is_one_object() {
        let folder = folder();
        let missing = folder.path().join("missing.json");
        let paths = vec![missing, folder.path().join("c.json.gz")];
        let (exit, stdout, _) = run(paths, true).await;
        assert_eq!(exit.code(), 4);
        let objects: Vec<serde_json::Value> = stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(objects.len(), 2);
        assert_eq!(objects[0]["exit"], 4);
        assert_eq!(objects[1]["created"], 1);
        assert_eq!(objects[1]["kept_raw"]["Claim"], 3);
    }
}

//! `salus export`, and where files go.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use salus_api::{ApiError, Request, Response};

use super::args::{ExportArgs, Global};
use super::exit::{Exit, Outcome, Stop, file_error};
use super::json::Object;
use super::output::Out;
use super::render;
use super::secrets::Surroundings;
use super::session::Caller;
use crate::whole_file::{write_new, write_over};

/// A path that means the same to a daemon, whose working folder is another.
pub fn absolute(path: &Path) -> Result<PathBuf, ApiError> {
    std::path::absolute(path).map_err(|e| file_error("write", path, &e))
}

/// `salus export`.
pub async fn export(
    args: &ExportArgs,
    caller: &Caller,
    global: &Global,
    around: &Surroundings,
    out: &mut Out,
) -> Outcome {
    let target = args
        .output
        .as_deref()
        .filter(|path| *path != Path::new("-"));
    let over = match target {
        Some(path) => may_replace(path, global, around).await?,
        None => false,
    };
    let request = Request::Export {
        patient: args.patient.patient.clone(),
        format: args.form.value(),
    };
    let Response::Exported(document) = caller.call(request).await? else {
        return Err(render::unexpected().into());
    };
    let Some(path) = target else {
        out.raw(&document)?;
        if !document.ends_with('\n') {
            out.raw("\n")?;
        }
        return Ok(Exit::DONE);
    };
    let content = |file: &mut dyn Write| file.write_all(document.as_bytes());
    let written = if over {
        write_over(path, content)
    } else {
        write_new(path, content)
    };
    written.map_err(|e| file_error("write", path, &e))?;
    if out.form().json {
        let object = Object::new()
            .with("file", path.display().to_string())
            .with("bytes", document.len());
        out.json(&object)?;
    } else {
        out.line(format!(
            "{}: {} bytes written",
            path.display(),
            document.len()
        ))?;
    }
    Ok(Exit::DONE)
}

/// Whether a file is in the way and may be replaced. Asks where somebody can be asked.
pub async fn may_replace(
    path: &Path,
    global: &Global,
    around: &Surroundings,
) -> Result<bool, Stop> {
    if !path.exists() {
        return Ok(false);
    }
    if path.is_dir() {
        return Err(ApiError::usage(format!("{} is a folder", path.display()))
            .hint("name a file in it")
            .into());
    }
    let question = format!("{} exists. Replace it?", path.display());
    if global.yes || (around.terminal && agreed(question).await) {
        return Ok(true);
    }
    Err(
        ApiError::failed(format!("{} exists already", path.display()))
            .hint("choose another name, or replace it with --yes")
            .into(),
    )
}

/// Asks a question at the terminal; anything but yes is no.
pub async fn agreed(question: String) -> bool {
    let asked = tokio::task::spawn_blocking(move || {
        let mut stderr = io::stderr();
        let _ = write!(stderr, "{} [y/N] ", super::text::clean(&question));
        let _ = stderr.flush();
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    });
    asked.await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use salus_api::ErrorKind;

    use super::*;
    use crate::cli::args::{Form, PatientArg};
    use crate::cli::fake;

    async fn run(output: Option<&Path>, yes: bool) -> (Outcome, String) {
        let caller = fake::caller(|_, _| Ok(Response::Exported("{}".to_owned())));
        let args = ExportArgs {
            patient: PatientArg {
                patient: "P".to_owned(),
            },
            form: Form::Fhir,
            output: output.map(Path::to_owned),
        };
        let global = Global {
            yes,
            ..Global::default()
        };
        let (mut out, seen) = Out::captured();
        let outcome = export(&args, &caller, &global, &Surroundings::default(), &mut out).await;
        (outcome, seen.stdout())
    }

    #[tokio::test]
    async fn an_export_goes_to_standard_output_or_into_a_new_file() {
        assert_eq!(run(None, false).await, (Ok(Exit::DONE), "{}\n".to_owned()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.json");
        assert_eq!(run(Some(&path), false).await.0, Ok(Exit::DONE));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}");
    }

    #[tokio::test]
    async fn an_existing_file_is_replaced_only_on_request_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.json");
        std::fs::write(&path, "old").unwrap();
        let (outcome, _) = run(Some(&path), false).await;
        assert!(matches!(outcome, Err(Stop::Error(e)) if e.kind == ErrorKind::Failed));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(run(Some(&path), true).await.0, Ok(Exit::DONE));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(run(Some(folder.path()), true).await.0.is_err());
        let nowhere = folder.path().join("no/p.json");
        let (outcome, _) = run(Some(&nowhere), false).await;
        assert!(matches!(outcome, Err(Stop::Error(e)) if e.kind == ErrorKind::NotFound));
    }
}

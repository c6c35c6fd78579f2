//! `salus attach` and `salus fetch`: files into a record and out of it.

use std::path::{Path, PathBuf};

use salus_api::{ApiError, AttachedView, ErrorKind, Request, Response};

use super::args::{AttachArgs, FetchArgs};
use super::exit::{Exit, Outcome, Stop, file_error};
use super::files::{absolute, agreed};
use super::json::Object;
use super::output::Out;
use super::progress::{Meter, Unit};
use super::render;
use super::session::{Caller, Desk};

/// `salus attach`. Where tags name another person, whoever sits at a terminal is asked.
pub async fn attach(args: &AttachArgs, caller: &Caller, desk: &Desk<'_>, out: &mut Out) -> Outcome {
    let paths: Result<Vec<PathBuf>, ApiError> =
        args.files.iter().map(|file| absolute(file)).collect();
    let mut files = Files {
        patient: args.patient.patient.clone(),
        paths: paths?,
        about: args.about.clone(),
        confirmed: desk.global.yes,
        each: false,
    };
    let mut answer = files.send(caller, out).await;
    if let Err(error) = &answer
        && error.kind == ErrorKind::Refused
        && error.message.contains("name another person")
        && desk.around.terminal
        && !files.confirmed
        && agreed(format!("{}. Attach it all the same?", error.message)).await
    {
        files.confirmed = true;
        answer = files.send(caller, out).await;
    }
    render::attached(out, &answer?)
}

/// Files on their way into a record.
pub struct Files {
    /// Whose.
    pub patient: String,
    /// Absolute paths.
    pub paths: Vec<PathBuf>,
    /// The item that they belong to.
    pub about: Option<String>,
    /// Whether tags of another person are confirmed.
    pub confirmed: bool,
    /// Whether each is attached or left out by itself.
    pub each: bool,
}

impl Files {
    /// Has them attached, and shows how far that has come.
    pub async fn send(
        &self,
        caller: &Caller,
        out: &mut Out,
    ) -> Result<Vec<AttachedView>, ApiError> {
        let request = Request::Attach {
            patient: self.patient.clone(),
            paths: self.paths.clone(),
            about: self.about.clone(),
            confirmed: self.confirmed,
            each: self.each,
        };
        let what = format!(
            "attaching {}",
            render::with_plural(self.paths.len() as u64, "file")
        );
        let mut meter = Meter::start(out, &what, Unit::Steps, 0);
        match caller
            .call_with(request, |step| meter.step(out, &step))
            .await?
        {
            Response::Attached(views) => Ok(views),
            _ => Err(render::unexpected()),
        }
    }
}

/// `salus fetch`.
pub async fn fetch(args: &FetchArgs, caller: &Caller, desk: &Desk<'_>, out: &mut Out) -> Outcome {
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    // Through a file of our own: a daemon has another standard output.
    let folder = match to_stdout {
        true => Some(tempfile::tempdir().map_err(|e| file_error("make", Path::new("-"), &e))?),
        false => None,
    };
    let to = match (&folder, &args.output) {
        (Some(folder), _) => folder.path().to_owned(),
        (None, Some(path)) => path.clone(),
        (None, None) => PathBuf::from("."),
    };
    let request = Request::Fetch {
        patient: args.patient.patient.clone(),
        attachment: args.attachment.clone(),
        to: absolute(&to)?,
        replace: desk.global.yes,
    };
    let fetched = {
        let mut meter = Meter::start(out, "fetching", Unit::Steps, 0);
        let answer = caller.call_with(request, |step| meter.step(out, &step));
        match answer.await? {
            Response::Fetched(fetched) => fetched,
            _ => return Err(render::unexpected().into()),
        }
    };
    if to_stdout {
        let path = Path::new(&fetched.path);
        return copy_out(path).map_err(|e| Stop::from(file_error("read", path, &e)));
    }
    let bytes = fetched.attachment.bytes;
    if out.form().json {
        let object = Object::new()
            .with("id", &fetched.attachment.id)
            .with("name", &fetched.attachment.name)
            .with("file", &fetched.path)
            .with("bytes", bytes)
            .with("sha256", &fetched.attachment.sha256)
            .with("received", fetched.received)
            .with("seconds", fetched.seconds);
        out.json(&object)?;
    } else {
        let from = match fetched.received {
            0 => String::new(),
            n => format!(
                ", {} of it received in {:.1} s",
                render::bytes(n),
                fetched.seconds
            ),
        };
        out.line(format!(
            "{}: {} bytes written{from}",
            fetched.path,
            render::count(bytes)
        ))?;
    }
    Ok(Exit::DONE)
}

fn copy_out(path: &Path) -> std::io::Result<Exit> {
    let mut file = std::fs::File::open(path)?;
    let mut stdout = std::io::stdout().lock();
    match std::io::copy(&mut file, &mut stdout) {
        // Whoever read has read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(Exit::DONE),
    }
}

//! A file of this machine, looked into before it is attached: opened once, read as far as is needed, judged in the sandbox.
//!
//! Not here: what a file is ([`salus_media`]), and what becomes of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use salus_api::ApiError;
use salus_media::{InspectOptions, Inspected, MediaError};

use crate::folder::io_error;
use crate::hostile;
use crate::source::{self, Bytes, OnDisk, Unchanged};

/// A file that is open.
#[derive(Debug)]
pub struct Source {
    /// Its bytes.
    pub file: OnDisk,
    /// Its name without folders.
    pub name: String,
}

/// A file that was looked into and is still open: what is attached is what was looked into, whatever its name stands for by now, and
/// whoever writes to it.
#[derive(Debug)]
pub struct LookedInto {
    /// The file.
    pub source: Source,
    /// How many of its first bytes were looked at, and their BLAKE3.
    looked_at: (u64, blake3::Hash),
}

impl LookedInto {
    /// The file's bytes; an error before their end if they are not those that were looked into.
    pub fn read(&self) -> impl Read + Send + use<> {
        let (first, hash) = self.looked_at;
        Unchanged::new(self.source.file.read(), first, hash)
    }
}

/// Opens a file and says what it is, and what can be said and shown of it.
///
/// # Errors
/// If it is no regular file, or cannot be read, or is refused: which file, why, and what to do about it.
pub fn inspect_file(
    path: &Path,
    options: &InspectOptions,
) -> Result<(Inspected, LookedInto), ApiError> {
    let source = open_regular(path)?;
    let total_len = source.file.bytes;
    let head = salus_media::request_head(total_len, options);
    let wanted = total_len.min(salus_media::needed(total_len) as u64);
    let sandbox = hostile::media_sandbox();
    let (response, hash) = source::run(
        &sandbox,
        salus_media::JOB,
        &head,
        (&source.file, wanted),
        path,
    )?;
    let refused = |error: MediaError| {
        ApiError::failed(format!("{}: {}", path.display(), error.reason())).hint(error.hint())
    };
    let inspected = salus_media::read_response(&response).map_err(refused)?;
    let looked_at = (wanted, hash);
    Ok((inspected, LookedInto { source, looked_at }))
}

/// Opens a regular file, and nothing that would wait, act or lead elsewhere when it is opened: a pipe, a device, a link.
///
/// # Errors
/// If it is none, or cannot be opened.
pub fn open_regular(path: &Path) -> Result<Source, ApiError> {
    let is_link = |about: &std::fs::Metadata| about.file_type().is_symlink();
    let about = path
        .symlink_metadata()
        .map_err(|error| io_error("open", path, &error))?;
    if is_link(&about) {
        return Err(ApiError::failed(format!(
            "{} is a link, which is not followed",
            path.display()
        ))
        .hint("name the file that it leads to"));
    }
    if about.is_dir() {
        return Err(ApiError::usage(format!("{} is a folder", path.display()))
            .hint("name a file; a folder of DICOM files can be imported"));
    }
    if !about.is_file() {
        return Err(not_regular(path));
    }
    let file = open(path).map_err(|error| io_error("open", path, &error))?;
    // Its name may stand for something else by now.
    let about = file
        .metadata()
        .map_err(|error| io_error("read", path, &error))?;
    if !about.is_file() {
        return Err(not_regular(path));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Source {
        file: OnDisk {
            file: Arc::new(file),
            bytes: about.len(),
        },
        name: name.into_owned(),
    })
}

#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<File> {
    File::open(path)
}

fn not_regular(path: &Path) -> ApiError {
    ApiError::failed(format!("{} is not a regular file", path.display()))
        .hint("pipes and devices are not read: save what is to be attached as a file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use salus_media::MediaType;

    fn look(path: &Path) -> Result<(Inspected, LookedInto), ApiError> {
        inspect_file(path, &InspectOptions::default())
    }

    #[test]
    fn a_file_is_what_it_holds_and_stays_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.pdf");
        std::fs::write(&path, "Two\nlines\n").unwrap();
        let (inspected, looked_into) = look(&path).unwrap();
        assert_eq!(inspected.facts.media, MediaType::Text);
        assert_eq!(inspected.facts.lines, Some(2));
        let source = &looked_into.source;
        assert_eq!(
            (source.name.as_str(), source.file.bytes),
            ("report.pdf", 10)
        );
        let mut text = String::new();
        looked_into.read().read_to_string(&mut text).unwrap();
        assert_eq!(text, "Two\nlines\n");
        // Somebody writes to it before it is sealed.
        std::fs::write(&path, "Two\nother\n").unwrap();
        let error = looked_into.read().read_to_string(&mut text).unwrap_err();
        assert!(error.to_string().contains("changed"), "{error}");
    }

    #[test]
    fn what_is_refused_is_named_with_a_reason_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.png");
        for (bytes, reason) in [
            (&b""[..], "empty"),
            (b"\x89PNG\r\n\x1a\n", "cut off"),
            (b"MZ\x90\0\x03", "not a kind"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = look(&path).unwrap_err();
            assert!(error.message.contains("scan.png"), "{}", error.message);
            assert!(error.message.contains(reason), "{}", error.message);
            assert!(error.hint.is_some());
        }
        let missing = look(&folder.path().join("none")).unwrap_err();
        assert_eq!(missing.kind, salus_api::ErrorKind::NotFound);
        assert!(look(folder.path()).unwrap_err().message.contains("folder"));
    }

    #[cfg(unix)]
    #[test]
    fn neither_pipes_nor_devices_nor_links_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        // A system without mkfifo has a device all the same.
        if made.is_ok_and(|status| status.success()) {
            assert!(look(&pipe).unwrap_err().message.contains("regular"));
        }
        let device = look(Path::new("/dev/zero")).unwrap_err();
        assert!(device.message.contains("regular"), "{}", device.message);
        let file = folder.path().join("note.txt");
        std::fs::write(&file, "note").unwrap();
        let link = folder.path().join("link.txt");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(look(&link).unwrap_err().message.contains("link"));
        assert!(look(&file).is_ok());
    }
}

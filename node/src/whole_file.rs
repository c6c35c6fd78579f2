//! Files that are there whole or not at all, and readable by their owner only.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use salus_api::ApiError;
use tempfile::NamedTempFile;

/// Writes a file beside its place, makes it durable, and moves it there, over whatever is there.
pub fn write_over(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir()) {
        // A device or a pipe is written to, never replaced by a file.
        return content(&mut File::options().write(true).open(path)?);
    }
    let mut file = beside(path)?;
    content(&mut file)?;
    finish_over(file, path)
}

/// Makes a finished file durable, and moves it over whatever is in its place.
pub fn finish_over(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    sync_folder(path)
}

/// The same, but never over a file that is there.
pub fn write_new(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = beside(path)?;
    content(&mut file)?;
    finish_new(file, path)
}

/// [`write_new`] for content that can fail for reasons of its own.
pub fn write_new_with<T>(
    path: &Path,
    content: impl FnOnce(&mut File) -> Result<T, ApiError>,
    failed: impl Fn(io::Error) -> ApiError,
) -> Result<T, ApiError> {
    let mut file = beside(path).map_err(&failed)?;
    let made = content(file.as_file_mut())?;
    finish_new(file, path).map_err(&failed)?;
    Ok(made)
}

/// Makes a finished file durable, and puts it into its place, where nothing may be.
pub fn finish_new(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|e| e.error)?;
    sync_folder(path)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The unfinished file, with mode 0600, removed unless it is persisted. What a killed process leaves says by its name what it was.
pub fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let mut prefix = path.file_name().unwrap_or_default().to_os_string();
    prefix.push(".");
    tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".part")
        .tempfile_in(folder_of(path))
}

/// Makes the new name durable as well (POSIX leaves it to the folder).
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder_of(path))?.sync_all()?;
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_device_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for text in ["one", "two"] {
            write_over(&path, |file| file.write_all(text.as_bytes())).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let failed = write_over(&path, |_| Err(io::ErrorKind::StorageFull.into()));
        assert!(failed.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert!(write_new(&path, |file| file.write_all(b"three")).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        // By a link, so that a mistake here takes no device away.
        let device = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &device).unwrap();
        write_over(&device, |file| file.write_all(b"nothing")).unwrap();
        assert!(std::fs::symlink_metadata(&device).unwrap().is_symlink());
    }
}

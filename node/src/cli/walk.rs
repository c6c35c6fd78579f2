//! The files of a folder and its folders.

use std::path::{Path, PathBuf};

use salus_api::ApiError;

use super::exit::file_error;

/// Files of one run; a guess beyond any clinic's archive.
pub const MAX_FILES: usize = 1_000_000;
/// Folders inside folders that are followed; deeper ones are a mistake.
const MAX_DEPTH: usize = 16;

/// The files below a folder that are wanted, in the order of their names, folders among them. Links to files count as
/// files; links to folders are not followed. An empty folder is no error.
pub fn files_below(
    folder: &Path,
    wanted: &dyn Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, ApiError> {
    let mut found = Vec::new();
    collect(folder, wanted, 0, &mut found)?;
    Ok(found)
}

fn collect(
    folder: &Path,
    wanted: &dyn Fn(&Path) -> bool,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), ApiError> {
    if depth > MAX_DEPTH {
        let error = ApiError::failed(format!("{} lies too deep", folder.display()));
        return Err(error.hint("name this folder, or one inside it"));
    }
    let unread = |error: &std::io::Error| file_error("read the folder", folder, error);
    let mut inside = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| unread(&e))? {
        let entry = entry.map_err(|e| unread(&e))?;
        inside.push((entry.path(), entry.file_type().map_err(|e| unread(&e))?));
    }
    inside.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (path, kind) in inside {
        if kind.is_dir() {
            collect(&path, wanted, depth + 1, found)?;
        } else if wanted(&path) && path.is_file() {
            if found.len() >= MAX_FILES {
                return Err(ApiError::failed(format!("more than {MAX_FILES} files"))
                    .hint("name its folders one by one"));
            }
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
    }

    #[test]
    fn files_come_in_the_order_of_their_names_and_others_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let png = |path: &Path| path.extension().is_some_and(|ending| ending == "png");
        assert!(files_below(folder.path(), &png).unwrap().is_empty());
        for name in ["c.png", "b/z.png", "a.png", "b/notes.txt", "b/c/d.png"] {
            write(folder.path(), name);
        }
        // A folder may be called anything.
        write(folder.path(), "e.png/f.png");
        let found = files_below(folder.path(), &png).unwrap();
        let expected = ["a.png", "b/c/d.png", "b/z.png", "c.png", "e.png/f.png"];
        assert_eq!(found, expected.map(|name| folder.path().join(name)));
        assert!(files_below(&folder.path().join("none"), &png).is_err());
    }

    #[test]
    fn a_folder_that_lies_too_deep_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &format!("{}x", "d/".repeat(MAX_DEPTH)));
        assert_eq!(files_below(folder.path(), &|_| true).unwrap().len(), 1);
        write(folder.path(), &format!("{}x", "d/".repeat(MAX_DEPTH + 1)));
        let error = files_below(folder.path(), &|_| true).unwrap_err();
        assert!(error.message.contains("too deep"), "{}", error.message);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_folder_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a.png");
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("a.png"), folder.path().join("b.png"))
            .unwrap();
        let found = files_below(folder.path(), &|_| true).unwrap();
        assert_eq!(
            found,
            ["a.png", "b.png"].map(|name| folder.path().join(name))
        );
    }
}

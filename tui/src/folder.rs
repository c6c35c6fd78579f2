//! What a folder holds that can be chosen: other folders, and files; of these all, or those that may be images.

use std::io;
use std::path::Path;

/// Endings of image files, in small letters. The node judges by content; these only keep the list short.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "tif", "tiff", "dcm"];
/// Entries that are looked at, and entries that are kept (guesses: beyond them one types the name).
const MAX_LOOKED_AT: usize = 20_000;
const MAX_ENTRIES: usize = 2_000;

/// Which files of a folder can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Those that may be images.
    Images,
    /// All of them.
    Files,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name, as it is on the disk.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// The entries of a folder: folders first, each sort by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether there are more than these.
    pub more: bool,
}

impl Listing {
    /// The listing of these names, hidden ones and files of another sort left out. A file's second part is false.
    pub fn of(sort: Sort, names: impl IntoIterator<Item = (String, bool)>) -> Self {
        let mut listing = Self::default();
        for (n, (name, is_folder)) in names.into_iter().enumerate() {
            if n >= MAX_LOOKED_AT {
                listing.more = true;
                break;
            }
            let wanted = is_folder || sort == Sort::Files || is_image(&name);
            if !name.starts_with('.') && wanted {
                listing.entries.push(Entry { name, is_folder });
            }
        }
        let key = |entry: &Entry| (!entry.is_folder, entry.name.to_lowercase());
        listing.entries.sort_by_cached_key(key);
        listing.more |= listing.entries.len() > MAX_ENTRIES;
        listing.entries.truncate(MAX_ENTRIES);
        listing
    }
}

fn is_image(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ENDINGS.contains(&ending.to_ascii_lowercase().as_str())
}

/// Reads a folder. Waits for the disk: only the loop calls it. Names that are no text are left out: no path with them can
/// be sent to the node.
pub(crate) fn read(folder: &Path, sort: Sort) -> Result<Listing, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| problem(&error))?;
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let kind = entry.file_type().ok()?;
        // Links count as what they lead to.
        let is_folder = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
        Some((name, is_folder))
    });
    Ok(Listing::of(sort, names))
}

/// Why a folder cannot be read, in plain words.
fn problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "There is no such folder.".to_owned(),
        io::ErrorKind::NotADirectory => "This is no folder.".to_owned(),
        io::ErrorKind::PermissionDenied => "You may not read this folder.".to_owned(),
        _ => format!("The folder cannot be read: {error}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_first_and_what_is_no_image_is_left_out() {
        let names = [
            ("b.PNG", false),
            ("notes.txt", false),
            (".hidden.png", false),
            (".config", true),
            ("Zoo", true),
            ("a.dcm", false),
            ("png", false),
            ("archive", true),
            ("C.jpeg", false),
        ];
        let of = |sort| Listing::of(sort, names.map(|(name, folder)| (name.to_owned(), folder)));
        let listing = of(Sort::Images);
        let names: Vec<&str> = listing.entries.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(of(Sort::Files).entries.len(), names.len() + 2);
        assert_eq!(names, ["archive", "Zoo", "a.dcm", "b.PNG", "C.jpeg"]);
        assert!(!listing.more);
    }

    #[test]
    fn a_listing_is_bounded_and_says_so() {
        let many = |n: usize, ending: &'static str| {
            Listing::of(
                Sort::Images,
                (0..n).map(move |n| (format!("{n}{ending}"), false)),
            )
        };
        let images = many(MAX_ENTRIES + 1, ".png");
        assert_eq!((images.entries.len(), images.more), (MAX_ENTRIES, true));
        let texts = many(MAX_LOOKED_AT + 1, ".txt");
        assert_eq!((texts.entries.len(), texts.more), (0, true));
    }

    #[test]
    fn a_folder_is_read_and_what_is_none_is_said() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let listing = read(folder, Sort::Images).expect("our own folder");
        let entry = |name: &str, is_folder| Entry {
            name: name.to_owned(),
            is_folder,
        };
        assert!(listing.entries.contains(&entry("src", true)), "{listing:?}");
        assert!(!listing.entries.iter().any(|e| e.name == "Cargo.toml"));
        let absent = read(&folder.join("no such folder"), Sort::Files);
        assert_eq!(absent, Err("There is no such folder.".to_owned()));
        assert!(read(&folder.join("Cargo.toml"), Sort::Files).is_err());
    }
}

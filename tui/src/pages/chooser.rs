//! Choosing a file, or an image file: a path that is written or completed, and what its folder holds below it.

use std::path::{Component, MAIN_SEPARATOR, MAIN_SEPARATOR_STR, Path, PathBuf, is_separator};

use salus_api::ApiError;
use unicode_segmentation::UnicodeSegmentation;

use crate::canvas::Canvas;
use crate::desk::{Desk, Places};
use crate::folder::{Entry, Listing, Sort};
use crate::input::Input;
use crate::keymap::Action;
use crate::msg::CallId;
use crate::table::{self, Cursor};
use crate::text;
use crate::theme::Tone;

/// Longest name that is typed, bytes: Linux' longest path (`limits.h`, `PATH_MAX`).
const MAX_TYPED_BYTES: usize = 4_096;
/// Column at which the path begins.
const PATH_COLUMN: u16 = 8;
/// Lines of what went wrong, and of what to do about it.
const MAX_PROBLEM_LINES: u16 = 3;

/// What went wrong with the last choice.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
struct Problem {
    text: String,
    hint: Option<String>,
}

/// A folder, and the beginning of a name in it. The two are one path to whoever types; they are kept apart because a
/// folder's name may hold what no input takes.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Chooser {
    sort: Sort,
    folder: PathBuf,
    typed: Input,
    /// What the folder holds; none until it was read.
    listing: Option<Listing>,
    reading: Option<CallId>,
    problem: Option<Problem>,
    cursor: Cursor,
    /// The entry that the cursor goes to once the folder is read: the folder that was left.
    mark: Option<String>,
}

impl Chooser {
    /// Begins where a file was last chosen, else where the program was started.
    pub fn open(desk: &mut Desk, sort: Sort) -> Self {
        let folder = desk.folder.clone();
        let folder = folder.unwrap_or_else(|| desk.places.working.clone());
        let mut chooser = Self {
            sort,
            folder: PathBuf::new(),
            typed: Input::new(MAX_TYPED_BYTES),
            listing: None,
            reading: None,
            problem: None,
            cursor: Cursor::default(),
            mark: None,
        };
        chooser.go(desk, folder, "");
        chooser
    }

    /// The choice held: the next one begins in the same folder with nothing typed.
    pub fn chosen(&mut self) {
        self.typed.set("");
        self.problem = None;
        self.cursor = Cursor::default();
    }

    /// Goes to a folder, with the beginning of a name in it.
    fn go(&mut self, desk: &mut Desk, folder: PathBuf, typed: &str) {
        self.folder = folder;
        self.typed.set(typed);
        self.listing = None;
        self.problem = None;
        self.mark = None;
        self.cursor = Cursor::default();
        self.read(desk);
    }

    /// Reads the folder (again).
    pub fn read(&mut self, desk: &mut Desk) {
        self.reading = Some(desk.read_folder(self.folder.clone(), self.sort));
    }

    /// Whether it waits for this folder.
    pub fn waits_for(&self, call: CallId) -> bool {
        self.reading == Some(call)
    }

    /// The folder was read, or could not be.
    pub fn listed(&mut self, listing: Result<Listing, String>) {
        self.reading = None;
        match listing {
            Ok(listing) => self.listing = Some(listing),
            Err(text) => {
                self.listing = Some(Listing::default());
                self.problem = Some(Problem { text, hint: None });
            }
        }
        let marked = self.mark.take();
        let shown = self.shown();
        let at = marked.and_then(|name| shown.iter().position(|entry| entry.name == name));
        let len = shown.len();
        self.cursor.at = at.unwrap_or(self.cursor.at);
        self.cursor.clamp(len);
    }

    /// The file that was chosen is none: says so, and stays as it is.
    pub fn failed(&mut self, error: &ApiError) {
        self.problem = Some(Problem {
            text: error.message.clone(),
            hint: error.hint.clone(),
        });
    }

    /// The entries that what was typed leaves, those first that begin with it.
    fn shown(&self) -> Vec<&Entry> {
        let typed = self.typed.text().to_lowercase();
        let all = self.listing.iter().flat_map(|listing| &listing.entries);
        let mut shown: Vec<(bool, &Entry)> = all
            .filter_map(|entry| {
                let at = entry.name.to_lowercase().find(&typed)?;
                Some((at > 0, entry))
            })
            .collect();
        shown.sort_by_key(|(inside, _)| *inside);
        shown.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Types or pastes.
    pub fn typed(&mut self, desk: &mut Desk, text: &str) {
        self.problem = None;
        self.typed.insert(text);
        self.cursor = Cursor::default();
        let typed = self.typed.text().to_owned();
        if let Some(at) = typed.rfind(is_separator) {
            let (folder, name) = typed.split_at(at + 1);
            let folder = resolve(&self.folder, folder, &desk.places);
            self.go(desk, folder, name);
        }
    }

    /// Moves, deletes, completes; returns the file that was chosen.
    pub fn act(&mut self, desk: &mut Desk, action: Action, page: usize) -> Option<PathBuf> {
        match action {
            Action::ChooseFile => return self.choose(desk),
            Action::CompleteName => self.complete(desk),
            Action::DeleteBack | Action::DeleteWord if self.typed.text().is_empty() => {
                self.leave_folder(desk);
            }
            _ => {
                let len = self.shown().len();
                if !self.cursor.act(action, len, page) && self.typed.act(action) {
                    self.problem = None;
                    self.cursor = Cursor::default();
                }
            }
        }
        None
    }

    /// To the folder above.
    fn leave_folder(&mut self, desk: &mut Desk) {
        let Some(above) = self.folder.parent().map(Path::to_path_buf) else {
            return;
        };
        let left = self.folder.file_name().and_then(|name| name.to_str());
        let left = left.map(str::to_owned);
        self.go(desk, above, "");
        self.mark = left;
    }

    fn choose(&mut self, desk: &mut Desk) -> Option<PathBuf> {
        let marked = self.shown().get(self.cursor.at).map(|e| (*e).clone());
        let typed = self.typed.text().to_owned();
        match marked {
            Some(entry) if entry.is_folder => {
                let folder = self.folder.join(&entry.name);
                self.go(desk, folder, "");
            }
            Some(entry) => return Some(self.folder.join(&entry.name)),
            None if matches!(typed.as_str(), "." | ".." | "~") => {
                self.typed(desk, MAIN_SEPARATOR_STR);
            }
            // Files of other names can be images, too.
            None if !typed.is_empty() => return Some(self.folder.join(typed)),
            None if self.reading.is_none() => {
                let text = "Write the name of a file.".to_owned();
                self.problem = Some(Problem { text, hint: None });
            }
            None => {}
        }
        None
    }

    /// Writes as much of a name as all that begin so share; into a folder where it is the only one.
    fn complete(&mut self, desk: &mut Desk) {
        let typed = self.typed.text().chars().count();
        let begins = self.typed.text().to_lowercase();
        let shown = self.shown();
        let mut fitting = shown
            .iter()
            .filter(|entry| entry.name.to_lowercase().starts_with(&begins));
        let entry = match (shown.as_slice(), fitting.next()) {
            ([only], _) => *only,
            (_, Some(first)) => *first,
            (_, None) => return,
        };
        if entry.is_folder && fitting.next().is_none() {
            let folder = self.folder.join(&entry.name);
            self.go(desk, folder, "");
            return;
        }
        let shared = shown
            .iter()
            .filter(|other| shown.len() == 1 || other.name.to_lowercase().starts_with(&begins))
            .map(|other| shared(&entry.name, &other.name))
            .min();
        // What an input would not take as it is cannot be completed.
        let kept = |c: &char| text::typed(c.encode_utf8(&mut [0; 4]), false) == c.to_string();
        let name: String = entry.name.chars().take(shared.unwrap_or(0)).collect();
        let name: String = name.chars().take_while(kept).collect();
        if name.chars().count() >= typed {
            self.typed.set(&name);
            self.cursor = Cursor::default();
        }
    }

    /// Draws the path from the top, and the list below it.
    pub fn view(&self, canvas: &mut Canvas<'_>, busy: bool) {
        canvas.select(0, false);
        canvas.put_within(0, 0, 1, "▌", Tone::Accent);
        canvas.put_within(2, 0, PATH_COLUMN - 3, "File", Tone::Strong);
        let room = canvas.width().saturating_sub(PATH_COLUMN + 1);
        let mut folder = self.folder.to_string_lossy().into_owned();
        if !folder.ends_with(is_separator) {
            folder.push(MAIN_SEPARATOR);
        }
        let folder = text_end(&folder, usize::from(room / 2));
        let x = canvas.put_within(PATH_COLUMN, 0, room, &folder, Tone::Dim);
        let room = canvas.width().saturating_sub(x + 1);
        let blank = "_".repeat(usize::from(room));
        canvas.put_within(x, 0, room, &blank, Tone::Rule);
        self.typed.view(canvas, x, 0, room, !busy);
        let mut row = 1;
        if let Some(Problem { text, hint }) = &self.problem {
            let mut lines = canvas.part(PATH_COLUMN, row, room + x, canvas.height());
            let below = lines.put_wrapped(0, 0, text, MAX_PROBLEM_LINES, Tone::Danger);
            let hint = hint.as_deref().unwrap_or("");
            row += lines.put_wrapped(0, below, hint, MAX_PROBLEM_LINES, Tone::Text);
        }
        self.view_list(&mut canvas.below(row + 1));
    }

    fn view_list(&self, list: &mut Canvas<'_>) {
        let shown = self.shown();
        let nothing = match (&self.listing, self.typed.text(), self.sort) {
            (None, ..) => "Reading the folder…",
            (Some(_), "", Sort::Images) => "No folders and no images here.",
            (Some(_), "", Sort::Files) => "Nothing here.",
            (Some(_), ..) => "Nothing here has that in its name; enter tries the path as it is.",
        };
        if shown.is_empty() {
            list.put(2, 0, nothing, Tone::Dim);
            return;
        }
        let more = self.listing.as_ref().is_some_and(|listing| listing.more);
        let rows = list.height().saturating_sub(u16::from(more));
        let first = table::first_shown(self.cursor.at, shown.len(), rows);
        for (y, (n, entry)) in (0..rows).zip(shown.iter().enumerate().skip(first)) {
            let room = list.width().saturating_sub(3);
            let x = list.put_within(2, y, room, &entry.name, Tone::Text);
            if entry.is_folder {
                list.put(x, y, MAIN_SEPARATOR_STR, Tone::Text);
            }
            if n == self.cursor.at {
                list.select(y, true);
            }
        }
        if more {
            let text = "The folder holds more than is shown: type to find it.";
            list.put(2, rows, text, Tone::Caution);
        }
    }
}

/// The folder that a typed beginning of a path means, from another one.
pub(super) fn resolve(from: &Path, typed: &str, places: &Places) -> PathBuf {
    let home = typed
        .strip_prefix('~')
        .filter(|rest| rest.starts_with(is_separator));
    let joined = match (home, &places.home) {
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches(is_separator)),
        _ => from.join(typed),
    };
    let mut plain = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
    }
    plain
}

/// How many characters two names share at their start, whatever their case.
fn shared(one: &str, other: &str) -> usize {
    let same = |(a, b): &(char, char)| a.to_lowercase().eq(b.to_lowercase());
    one.chars().zip(other.chars()).take_while(same).count()
}

/// The end of a text, at most so many columns of it.
fn text_end(text: &str, columns: usize) -> String {
    let clean = text::clean(text, MAX_TYPED_BYTES);
    if text::width(&clean) <= columns {
        return clean;
    }
    let mut used = 1;
    let mut start = clean.len();
    for (at, grapheme) in clean.grapheme_indices(true).rev() {
        used += text::grapheme_width(grapheme);
        if used > columns {
            break;
        }
        start = at;
    }
    format!("{}{}", text::ELLIPSIS, &clean[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_paths() {
        let places = Places {
            working: "/work".into(),
            home: Some("/home/ines".into()),
        };
        let table = [
            ("scans/", "/data/scans"),
            ("a/b/", "/data/a/b"),
            ("/", "/"),
            ("/mnt/disk/", "/mnt/disk"),
            ("~/", "/home/ines"),
            ("~/scans/", "/home/ines/scans"),
            ("~ines/", "/data/~ines"),
            ("../", "/"),
            ("../../..//x/./", "/x"),
            ("./", "/data"),
        ];
        for (typed, folder) in table {
            assert_eq!(
                resolve(Path::new("/data"), typed, &places),
                Path::new(folder),
                "{typed}"
            );
        }
        assert_eq!(
            resolve(Path::new("/data"), "~/x/", &Places::default()),
            Path::new("/data/~/x")
        );
    }

    #[test]
    fn the_end_of_a_path_is_what_is_read() {
        assert_eq!(text_end("/home/ines/", 20), "/home/ines/");
        assert_eq!(text_end("/home/ines/", 6), "…ines/");
        assert_eq!(text_end("/山田/", 4), "…田/");
        assert_eq!(text_end("/a\u{1b}[2J/", 20), "/a�[2J/");
        assert_eq!(text_end("abc", 0), "…");
    }

    #[test]
    fn names_share_a_beginning_whatever_their_case() {
        let table = [
            ("Chest-1", "chest-2", 6),
            ("a", "b", 0),
            ("", "x", 0),
            ("ÄB", "äb", 2),
        ];
        for (one, other, same) in table {
            assert_eq!(shared(one, other), same);
        }
    }
}

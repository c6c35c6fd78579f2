//! What can be looked at of a file: asked for as large as there is room, and drawn.
//!
//! One question is under way at a time. What is wanted meanwhile replaces what was wanted before: keys that are held down ask
//! for their last wish only.

use salus_api::{ApiError, AttachmentView, PreviewView, Request, Response};

use super::Answer;
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::files;
use crate::keymap::Action;
use crate::msg::CallId;
use crate::picture::{MAX_SIDE, Picture};
use crate::table::Cursor;
use crate::text;
use crate::theme::{Theme, Tone};
use crate::waveform;
use crate::window::{self, Step, Window};

/// Shortest and longest side of a picture that is asked for, pixels: a size at which something can be seen, and what is kept of
/// one (`picture.rs`).
const SIDES: (u32, u32) = (16, MAX_SIDE);
/// Lines of a text (a node sends the beginning of a file only).
const MAX_TEXT_LINES: usize = 10_000;
/// Rows of a waveform: more of them tell no more (a guess).
const MAX_WAVE_ROWS: u16 = 12;
/// Lines that say why there is nothing.
const MAX_WHY_LINES: u16 = 6;

/// How a file is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Wish {
    window: Option<Window>,
    frame: Option<u32>,
    side: u32,
}

/// What is shown.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
enum Shown {
    Waiting,
    Nothing(String),
    Picture {
        picture: Option<Picture>,
        from_file: bool,
        frame: (u32, u32),
        window: Option<Window>,
    },
    Waveform {
        duration_ms: u64,
        peaks: Vec<(i8, i8)>,
    },
    Text {
        text: String,
        whole: bool,
    },
}

/// The look at one file.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Look {
    patient: String,
    attachment: String,
    is_ct: bool,
    shown: Shown,
    /// How what is shown was wanted.
    got: Option<Wish>,
    wish: Wish,
    asking: Option<(CallId, Wish)>,
    scroll: usize,
}

impl Look {
    /// Asks for a file with room for so many cells.
    pub fn open(desk: &mut Desk, patient: &str, file: &AttachmentView, room: (u16, u16)) -> Self {
        let mut look = Self {
            patient: patient.to_owned(),
            attachment: file.id.clone(),
            is_ct: files::is_ct(file),
            shown: Shown::Waiting,
            got: None,
            wish: Wish {
                side: side(desk, room),
                ..Wish::default()
            },
            asking: None,
            scroll: 0,
        };
        look.renew(desk, file);
        look
    }

    /// The file has changed: asks anew; nothing more where it was erased.
    pub fn renew(&mut self, desk: &mut Desk, file: &AttachmentView) {
        self.got = None;
        match &file.erased {
            Some(_) => {
                self.hang_up(desk);
                self.shown =
                    Shown::Nothing("The file was erased: nothing of it can be shown.".to_owned());
            }
            None => self.ask(desk),
        }
    }

    /// There is this much room now.
    pub fn fit(&mut self, desk: &mut Desk, room: (u16, u16)) {
        let side = side(desk, room);
        // Smaller pictures are made here.
        if matches!(self.shown, Shown::Picture { .. }) && side > self.wish.side {
            self.wish.side = side;
            self.ask(desk);
        }
    }

    fn ask(&mut self, desk: &mut Desk) {
        if self.asking.is_some() || self.got == Some(self.wish) {
            return;
        }
        let call = desk.call(Request::Preview {
            patient: self.patient.clone(),
            attachment: self.attachment.clone(),
            window: self.wish.window.map(Window::pair),
            frame: self.wish.frame,
            max_side: self.wish.side,
        });
        self.asking = Some((call, self.wish));
    }

    /// Waits for nothing any more.
    pub fn hang_up(&mut self, desk: &mut Desk) {
        let call = self.asking.take().map(|(call, _)| call);
        desk.cancel(call);
    }

    /// Whether it waits for this answer.
    pub fn waits_for(&self, call: CallId) -> bool {
        self.asking.is_some_and(|(asked, _)| asked == call)
    }

    /// Takes the answer, and asks for what was wanted meanwhile.
    pub fn answer(&mut self, desk: &mut Desk, answer: Answer) {
        let Some((_, asked)) = self.asking.take() else {
            return;
        };
        match answer {
            Ok(Response::Preview(view)) => {
                self.shown = Shown::new(*view);
                self.got = Some(asked);
            }
            Ok(_) => self.got = Some(asked),
            Err(error) => {
                // What is shown stays, and nothing else is wanted.
                self.wish = self.got.unwrap_or(self.wish);
                self.got = Some(self.wish);
                if self.shown == Shown::Waiting {
                    self.shown = Shown::Nothing(said(&error));
                }
                desk.fail(error);
            }
        }
        self.ask(desk);
    }

    /// Whether a window can be moved.
    pub fn has_window(&self) -> bool {
        matches!(
            self.shown,
            Shown::Picture {
                window: Some(_),
                ..
            }
        )
    }

    /// Whether there are frames to walk through.
    pub fn has_frames(&self) -> bool {
        self.frame().is_some_and(|(_, of)| of > 1)
    }

    /// Whether the window can be one of those of CT by habit.
    pub fn has_habits(&self) -> bool {
        self.has_window() && self.is_ct
    }

    /// Whether something is drawn that more room does good.
    pub fn is_drawn(&self) -> bool {
        !matches!(self.shown, Shown::Waiting | Shown::Nothing(_))
    }

    /// The frame that is wanted, and of how many.
    fn frame(&self) -> Option<(u32, u32)> {
        match self.shown {
            Shown::Picture { frame: (n, of), .. } => Some((self.wish.frame.unwrap_or(n), of)),
            _ => None,
        }
    }

    /// The window that is wanted.
    fn window(&self) -> Option<Window> {
        match self.shown {
            Shown::Picture { window, .. } => self.wish.window.or(window),
            _ => None,
        }
    }

    /// Moves the window.
    pub fn step(&mut self, desk: &mut Desk, step: Step) {
        if let Some(window) = self.window() {
            self.wish.window = Some(window.step(step));
            self.ask(desk);
        }
    }

    /// One of the windows of CT by habit, from 0; the file's own where none is named.
    pub fn put_window(&mut self, desk: &mut Desk, habit: Option<usize>) {
        if !self.has_window() {
            return;
        }
        match habit {
            None => self.wish.window = None,
            Some(n) if self.is_ct => {
                let habit = window::CT.get(n).map(|(_, window)| *window);
                self.wish.window = habit.or(self.wish.window);
            }
            Some(_) => {}
        }
        self.ask(desk);
    }

    /// To the next frame, or the one before.
    pub fn turn(&mut self, desk: &mut Desk, forward: bool) {
        let Some((n, of)) = self.frame().filter(|(_, of)| *of > 1) else {
            return;
        };
        let n = match forward {
            true => n.saturating_add(1).min(of - 1),
            false => n.min(of).saturating_sub(1),
        };
        self.wish.frame = Some(n);
        self.ask(desk);
    }

    /// Scrolls a text. Returns whether there is one.
    pub fn scroll(&mut self, action: Action, (columns, rows): (u16, u16)) -> bool {
        let Shown::Text { text, .. } = &self.shown else {
            return false;
        };
        let rows = usize::from(rows.saturating_sub(1));
        let lines = text::wrap(text, usize::from(columns), MAX_TEXT_LINES).len();
        let mut cursor = Cursor { at: self.scroll };
        cursor.act(action, lines.saturating_sub(rows) + 1, rows);
        self.scroll = cursor.at;
        true
    }

    /// Draws it.
    pub fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        match &self.shown {
            Shown::Waiting => _ = canvas.put(0, 0, "Looking at the file…", Tone::Dim),
            Shown::Nothing(why) => {
                canvas.put(0, 0, "Nothing to show", Tone::Dim);
                canvas.put_wrapped(0, 2, why, MAX_WHY_LINES, Tone::Text);
            }
            Shown::Picture {
                picture, from_file, ..
            } => {
                self.view_picture(canvas, desk, picture.as_ref(), *from_file);
            }
            Shown::Waveform { duration_ms, peaks } => view_waveform(canvas, *duration_ms, peaks),
            Shown::Text { text, whole } => self.view_text(canvas, text, *whole),
        }
    }

    fn view_picture(
        &self,
        canvas: &mut Canvas<'_>,
        desk: &Desk,
        picture: Option<&Picture>,
        from_file: bool,
    ) {
        let mut row = 0;
        let frame = self.frame().filter(|(_, of)| *of > 1);
        let window = self
            .window()
            .map(|w| w.words(self.is_ct, self.wish.window.is_none()));
        let frame = frame.map(|(n, of)| format!("frame {} of {of}", n.saturating_add(1).min(of)));
        let busy = self.asking.is_some().then(|| "…".to_owned());
        let words: Vec<(String, Tone)> = frame
            .into_iter()
            .chain(busy)
            .map(|words| (words, Tone::Text))
            .collect();
        if let Some(window) = window {
            canvas.put(0, row, &window, Tone::Text);
            row += 1;
        }
        if !words.is_empty() {
            canvas.put_joined(0, row, &words);
            row += 1;
        }
        let Some(picture) = picture else {
            canvas.put_wrapped(
                0,
                row + 1,
                "The node sent no picture that can be shown.",
                MAX_WHY_LINES,
                Tone::Text,
            );
            return;
        };
        let mut remarks = Vec::new();
        if !from_file {
            remarks.push("small preview");
        }
        if desk.theme == Theme::Plain {
            remarks.push("denser is lighter");
        }
        let below = u16::from(!remarks.is_empty());
        let (width, height) = (canvas.width(), canvas.height());
        let rows = height.saturating_sub(row + below);
        if width == 0 || rows == 0 {
            return;
        }
        let used = canvas
            .part(0, row, width, rows)
            .put_picture(picture, desk.depth, desk.pixels());
        canvas.put(0, row + used, &remarks.join(" · "), Tone::Dim);
    }

    fn view_text(&self, canvas: &mut Canvas<'_>, text: &str, whole: bool) {
        let (columns, rows) = (canvas.width(), canvas.height());
        let lines = text::wrap(text, usize::from(columns), MAX_TEXT_LINES);
        let room = usize::from(rows.saturating_sub(1));
        let first = self.scroll.min(lines.len().saturating_sub(room));
        let rest = lines.len().saturating_sub(first + room);
        for (y, line) in (0..rows.saturating_sub(1)).zip(lines.iter().skip(first)) {
            canvas.put(0, y, line, Tone::Text);
        }
        let (said, tone) = match (whole, rest) {
            (false, 0) => (
                "The beginning only: write it to disk".to_owned(),
                Tone::Caution,
            ),
            (false, n) => (format!("↓ {n} more; the beginning only"), Tone::Caution),
            (true, 0) => ("The end".to_owned(), Tone::Dim),
            (true, n) => (format!("↓ {n} more"), Tone::Dim),
        };
        canvas.put(0, rows.saturating_sub(1), &said, tone);
    }
}

impl Shown {
    fn new(view: PreviewView) -> Self {
        match view {
            PreviewView::Picture {
                picture,
                from_file,
                frame,
                window,
            } => Self::Picture {
                picture: Picture::new(&picture),
                from_file,
                frame,
                window: window.and_then(Window::new),
            },
            PreviewView::Waveform { duration_ms, peaks } => Self::Waveform { duration_ms, peaks },
            PreviewView::Text { text, whole } => Self::Text { text, whole },
            PreviewView::None(why) => Self::Nothing(super::sentence(&why)),
        }
    }
}

/// The longest side of a picture in so many cells, pixels.
fn side(desk: &Desk, (columns, rows): (u16, u16)) -> u32 {
    let (least, most) = SIDES;
    let (width, height) = match desk.pixels() {
        Some(raster) => raster.pixels(columns, rows),
        None => (u32::from(columns), 2 * u32::from(rows)),
    };
    width.max(height).clamp(least, most)
}

fn said(error: &ApiError) -> String {
    match &error.hint {
        Some(hint) => format!(
            "{} {}",
            super::sentence(&error.message),
            super::sentence(hint)
        ),
        None => super::sentence(&error.message),
    }
}

fn view_waveform(canvas: &mut Canvas<'_>, duration_ms: u64, peaks: &[(i8, i8)]) {
    let rows = canvas.height().saturating_sub(2).min(MAX_WAVE_ROWS);
    let lines = waveform::drawn(peaks, canvas.width(), rows);
    if lines.is_empty() {
        canvas.put(0, 0, "The recording is empty.", Tone::Text);
        return;
    }
    let mut row = 0;
    for line in lines {
        canvas.put(0, row, &line, Tone::Accent);
        row += 1;
    }
    canvas.put(0, row, &files::length(0), Tone::Dim);
    let end = canvas.width();
    canvas.put_right(end, row, &files::length(duration_ms), Tone::Dim);
}

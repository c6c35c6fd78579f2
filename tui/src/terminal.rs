//! The terminal itself: taken over at the start, given back at every end.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use crate::graphics::Protocol;
use crate::kitty;

/// Places of panics elsewhere that are remembered for the end (a guess: the first few tell the story).
const MAX_PLACES: usize = 16;

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether pictures of ours may be on it.
static PICTURES: AtomicBool = AtomicBool::new(false);
/// Where tasks beside the UI panicked while the terminal was ours.
static ELSEWHERE: Mutex<Vec<String>> = Mutex::new(Vec::new());

thread_local! {
    /// Whether this thread is inside the UI's own code just now.
    static AT_THE_SCREEN: Cell<bool> = const { Cell::new(false) };
}

/// The terminal while it is ours. Dropping it gives the terminal back, whether the UI returned, failed or panicked.
pub(crate) struct Guard;

impl Guard {
    /// Takes the terminal over, which takes pictures in this way.
    pub fn take(
        protocol: Option<Protocol>,
    ) -> io::Result<(Self, Terminal<CrosstermBackend<io::Stdout>>)> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::other(
                "standard input and output are not a terminal",
            ));
        }
        install_hook();
        enable_raw_mode()?;
        PICTURES.store(protocol.is_some(), Ordering::SeqCst);
        TAKEN.store(true, Ordering::SeqCst);
        let guard = Self;
        // Not `Terminal::clear`: it asks the terminal where the cursor is, and not every terminal answers.
        execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            Clear(ClearType::All)
        )?;
        Ok((guard, Terminal::new(CrosstermBackend::new(io::stdout()))?))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
        let places = std::mem::take(&mut *ELSEWHERE.lock().unwrap_or_else(|e| e.into_inner()));
        let mut out = io::stderr();
        for place in places {
            // Nobody is left to tell if this fails.
            drop(writeln!(
                out,
                "salus: a background task panicked at {place}"
            ));
        }
    }
}

/// Gives the terminal back; a second time does nothing.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Each step is tried whatever became of the one before: a half-restored terminal beats none.
        if PICTURES.load(Ordering::SeqCst) {
            // A picture may have been cut off in the middle: its sequence is ended first (ST). Those in sixels go with the
            // screen, and a terminal that knows no others leaves the rest unread.
            let end = [b"\x1b\\", kitty::DELETE_ALL].concat();
            drop(io::stdout().write_all(&end));
        }
        drop(execute!(
            io::stdout(),
            DisableBracketedPaste,
            LeaveAlternateScreen,
            cursor::Show
        ));
        drop(disable_raw_mode());
    }
}

/// Runs the UI's own code, so that the panic hook knows whose panic it is.
pub(crate) fn at_the_screen<T>(work: impl FnOnce() -> T) -> T {
    struct Left;
    impl Drop for Left {
        fn drop(&mut self) {
            AT_THE_SCREEN.set(false);
        }
    }
    AT_THE_SCREEN.set(true);
    let _left = Left;
    work()
}

/// A panic of the UI gives the terminal back before it is printed. A panic elsewhere (the merge engine and the store are
/// run under `catch_unwind`, so that bad bytes end in an error) must not print over the screen: its place is kept, and
/// told at the end, without its message, which may quote a record.
fn install_hook() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let ours = AT_THE_SCREEN.try_with(Cell::get).unwrap_or(false);
            if ours {
                give_back();
            } else if TAKEN.load(Ordering::SeqCst) {
                let place = panic
                    .location()
                    .map_or("an unknown place".into(), ToString::to_string);
                if let Ok(mut places) = ELSEWHERE.try_lock()
                    && places.len() < MAX_PLACES
                {
                    places.push(place);
                }
                return;
            }
            before(panic);
        }));
    });
}

//! What comes in and what goes out.

use std::path::PathBuf;

use salus_api::{ApiError, Auth, Event, Progress, Request, Response};

use crate::folder::{Listing, Sort};
use crate::graphics::Raster;
use crate::keys::Key;
use crate::scratch::Scratch;

/// Names one call to the node, for as long as the program runs. An answer whose call nobody waits for any more is dropped;
/// that is how late answers to earlier keystrokes disappear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CallId(pub u64);

/// Columns and rows of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Everything that can happen.
#[cfg_attr(test, derive(Clone, Debug))]
pub(crate) enum Msg {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this size now.
    Resize(Size),
    /// The terminal has these pixels of its own now.
    Raster(Option<Raster>),
    /// This is the time now, in milliseconds since 1970-01-01 UTC. Comes once a second.
    Tick {
        /// The time.
        now_ms: u64,
    },
    /// A call has come this far.
    Progress(CallId, Progress),
    /// A call has ended.
    Answer(CallId, Result<Response, ApiError>),
    /// A folder was read, or could not be.
    Folder(CallId, Result<Listing, String>),
    /// What became of a file for another program.
    Scratch(CallId, Scratch),
    /// The node reports a change.
    Event(CallId, Event),
    /// The node reports no more changes: it went away, or the session ended.
    StreamEnded(CallId, Option<ApiError>),
    /// The system asks the program to end.
    Terminate,
}

/// Everything that the loop does for the model.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Effect {
    /// Ask the node; the end comes back as [`Msg::Answer`].
    Call {
        /// Names the call.
        call: CallId,
        /// Who asks.
        auth: Auth,
        /// What.
        request: Request,
    },
    /// Read a folder of this machine; it comes back as [`Msg::Folder`].
    ReadFolder {
        /// Names the reading.
        call: CallId,
        /// Which folder.
        folder: PathBuf,
        /// Which of its files.
        sort: Sort,
    },
    /// Make a place for a file that another program is to show; it comes back as [`Msg::Scratch`].
    MakeScratch {
        /// Names the file's whole way.
        call: CallId,
        /// The ending of its name.
        ending: &'static str,
    },
    /// Show such a file; each turn comes back as [`Msg::Scratch`].
    ShowScratch {
        /// Names the file's whole way.
        call: CallId,
        /// Which.
        file: PathBuf,
    },
    /// Nobody needs such a file any more: wipe it.
    LeaveScratch(PathBuf),
    /// The answer is of no use any more: hang up. A call that changes something may have done so already; whoever gives one
    /// up says that.
    Cancel(CallId),
    /// Ask to be told of changes, instead of the stream before.
    Subscribe {
        /// Names the stream.
        call: CallId,
        /// Who asks.
        auth: Auth,
    },
    /// Hear no more of changes.
    Unsubscribe,
    /// End the program.
    Quit,
}

//! A file in another program: on its way there, shown, handed on.

use std::path::PathBuf;

use salus_api::{ApiError, AttachmentView};

use crate::desk::Desk;
use crate::msg::CallId;
use crate::scratch::Scratch;

/// Endings of the kinds of file that other programs are asked to show, by their media type. The ending is ours: a name from
/// elsewhere could be one that is run rather than shown.
const ENDINGS: [(&str, &str); 17] = [
    ("application/dicom", "dcm"),
    ("image/png", "png"),
    ("image/jpeg", "jpg"),
    ("image/tiff", "tif"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/vnd.wave", "wav"),
    ("audio/flac", "flac"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/mp4", "m4a"),
    ("audio/x-m4a", "m4a"),
    ("audio/aac", "aac"),
    ("application/pdf", "pdf"),
    ("text/plain", "txt"),
    ("application/fhir+json", "json"),
    ("application/json", "json"),
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Closed,
    /// A place is being made, or the file fetched into it.
    Opening,
    /// A program shows it.
    Shown,
    /// A program has handed it on.
    HandedOn,
}

/// Where it stands.
#[derive(Clone, Default, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Outside {
    stage: Stage,
    call: Option<CallId>,
    file: Option<PathBuf>,
}

impl Outside {
    /// Begins to show a file; once more where it still lies ready.
    pub fn open(&mut self, desk: &mut Desk, file: &AttachmentView) {
        match (self.stage, self.call, &self.file) {
            (Stage::HandedOn, Some(call), Some(file)) => desk.show_scratch(call, file.clone()),
            (Stage::Shown | Stage::Opening, ..) => desk.say("It is open already."),
            _ => {
                let kind = file.mime.split(';').next().unwrap_or("").trim();
                let ending = ENDINGS.iter().find(|(mime, _)| *mime == kind);
                let Some((_, ending)) = ending else {
                    let error = ApiError::usage("No program is known here for files of this type.");
                    return desk.fail(error.hint(
                        "Write it to disk, and open it with a program that you trust with it.",
                    ));
                };
                self.call = Some(desk.make_scratch(ending));
                self.stage = Stage::Opening;
            }
        }
    }

    /// Whether it waits for news of this.
    pub fn waits_for(&self, call: CallId) -> bool {
        self.call == Some(call)
    }

    /// Takes the news. Returns where the node is to write the file.
    pub fn told(&mut self, desk: &mut Desk, scratch: Scratch) -> Option<PathBuf> {
        match scratch {
            Scratch::Ready(file) => {
                self.file = Some(file.clone());
                return Some(file);
            }
            Scratch::Shown => self.stage = Stage::Shown,
            Scratch::HandedOn => self.stage = Stage::HandedOn,
            Scratch::Ended => {
                *self = Self::default();
                desk.say("The other program has ended; its temporary file is wiped.");
            }
            Scratch::Failed(why) => {
                *self = Self::default();
                desk.fail(ApiError::failed(why));
            }
        }
        None
    }

    /// The file lies ready.
    pub fn fetched(&mut self, desk: &mut Desk) {
        if let (Some(call), Some(file)) = (self.call, self.file.clone()) {
            desk.show_scratch(call, file);
        }
    }

    /// Nobody needs it any more.
    pub fn close(&mut self, desk: &mut Desk) {
        if let Some(file) = self.file.take() {
            desk.leave_scratch(file);
        }
        *self = Self::default();
    }

    /// Where it stands, in words.
    pub fn words(&self) -> Option<&'static str> {
        match self.stage {
            Stage::Closed | Stage::Opening => None,
            Stage::Shown => {
                Some("Open in another program. Its temporary file is wiped when that ends.")
            }
            Stage::HandedOn => Some(
                "Open in another program. Its temporary file is wiped when this screen is left.",
            ),
        }
    }
}

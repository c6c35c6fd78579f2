//! An image: which file, what it looks like, and what a model says about it.

use std::path::PathBuf;

use salus_api::{
    ApiError, ClassifiedView, ErrorKind, Inference, Request, Response, SuggestionState,
    SuggestionView,
};

use super::chooser::Chooser;
use super::decide::Decide;
use super::{Answer, Go, Page, record_rows, sentence};
use crate::canvas::Canvas;
use crate::describe::doubt;
use crate::desk::Desk;
use crate::detail::{Detail, Line, MARK};
use crate::folder::{Listing, Sort};
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::CallId;
use crate::picture::Picture;
use crate::subject::short_id;
use crate::table::Cursor;
use crate::theme::{Theme, Tone};

/// Columns of what the model says: a line of the reservation below; the longest category (27) and a bar of eight columns.
const TEXT_COLUMNS: u16 = 46;
/// Columns between picture and text, and between two pictures.
const GAP: u16 = 2;
/// From this width on the heat map is shown beside the picture.
const WIDE: u16 = 110;
/// What stands over everything that a model said.
const RESERVATION: &str = "A suggestion, not a finding; for research use";

/// An image that a model has looked at.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
struct Looked {
    /// What is decided about; none where the node did not note it.
    suggestion: Option<SuggestionView>,
    picture: Option<Picture>,
    heat: Option<Picture>,
    detail: Detail,
}

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Image {
    patient: String,
    chooser: Chooser,
    choosing: bool,
    /// The model's answer that is awaited.
    looking: Option<CallId>,
    looked: Option<Box<Looked>>,
    /// Whether the heat map is shown where there is no room for both.
    heat: bool,
    scroll: usize,
    decide: Decide,
}

impl Image {
    /// Asks for a file.
    pub fn open(desk: &mut Desk, patient: String) -> Self {
        Self {
            patient,
            chooser: Chooser::open(desk, Sort::Images),
            choosing: true,
            looking: None,
            looked: None,
            heat: false,
            scroll: 0,
            decide: Decide::default(),
        }
    }

    fn look(&mut self, desk: &mut Desk, path: PathBuf) {
        desk.folder = path.parent().map(std::path::Path::to_path_buf);
        self.looking = Some(desk.call(Request::Classify {
            path,
            patient: Some(self.patient.clone()),
        }));
    }

    fn show(&mut self, desk: &Desk, view: ClassifiedView) {
        self.choosing = false;
        self.chooser.chosen();
        self.heat = false;
        self.scroll = 0;
        self.looked = Some(Box::new(Looked::new(view, desk)));
    }

    fn decide(&mut self, desk: &mut Desk, accept: bool) {
        let Some(looked) = &self.looked else { return };
        match &looked.suggestion {
            Some(about) if accept => self.decide.accept(about),
            Some(about) => self.decide.reject(about),
            None => {
                let error = ApiError::failed("The node did not note this answer in the record.");
                desk.fail(error.hint("Have the model look at the image again."));
            }
        }
    }

    fn scroll(&mut self, desk: &Desk, action: Action) {
        let Some(looked) = &self.looked else { return };
        let rows = record_rows(desk.size).saturating_sub(1);
        let last = looked.detail.max_scroll(TEXT_COLUMNS, rows);
        let mut cursor = Cursor { at: self.scroll };
        cursor.act(action, last + 1, usize::from(rows.saturating_sub(2)));
        self.scroll = cursor.at;
    }

    fn view_chooser(&self, canvas: &mut Canvas<'_>) {
        let end = canvas.width();
        let busy = self.looking.is_some();
        let mut at = end;
        if busy {
            at = canvas.put_right(end, 0, "the model looks at it…", Tone::Caution);
        }
        let title = "Have a model look at an image";
        canvas.put_within(1, 0, at.saturating_sub(3), title, Tone::Accent);
        let about = "What it says is noted in this record's log as a suggestion, with your name. Nothing of it enters the \
                     record until somebody accepts it. Type to find a name or to write a path; backspace at its start \
                     leaves the folder.";
        let row = canvas.put_wrapped(1, 1, about, 4, Tone::Dim);
        self.chooser.view(&mut canvas.below(row + 1), busy);
    }
}

impl Looked {
    fn new(view: ClassifiedView, desk: &Desk) -> Self {
        let said = view.inference;
        let first = said.outputs.first().filter(|_| !said.uncertain);
        let (label, p) = (first.map(|o| o.label.clone()), first.and_then(|o| o.p));
        let detail = detail(&said, view.ms, view.suggestion.is_some());
        let heat = view.heat.as_ref().filter(|_| !said.uncertain);
        Self {
            picture: Picture::new(&view.picture),
            heat: heat.and_then(Picture::new),
            suggestion: view.suggestion.map(|id| SuggestionView {
                id,
                state: SuggestionState::Open,
                label,
                p,
                inference: said,
                actor: desk.staff().to_owned(),
                clinic: desk.clinic().to_owned(),
                time_ms: desk.clock.now_ms,
                verdicts: Vec::new(),
            }),
            detail,
        }
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk, heat: bool, scroll: usize) {
        let (width, height) = (canvas.width(), canvas.height());
        let text = TEXT_COLUMNS.min(width);
        let room = width.saturating_sub(text + GAP);
        // Where there is no colour the heat map says nothing.
        let both = width >= WIDE && self.heat.is_some() && desk.theme != Theme::Plain;
        if both {
            let half = room.saturating_sub(GAP) / 2;
            self.view_picture(&mut canvas.part(0, 0, half, height), desk, false);
            self.view_picture(&mut canvas.part(half + GAP, 0, half, height), desk, true);
        } else {
            self.view_picture(&mut canvas.part(0, 0, room, height), desk, heat);
        }
        let mut said = canvas.part(room + GAP, 0, text, height);
        said.put(0, 0, RESERVATION, Tone::Caution);
        self.detail.view(&mut said.below(1), scroll);
    }

    fn view_picture(&self, canvas: &mut Canvas<'_>, desk: &Desk, heat: bool) {
        let title = match heat {
            false => "The image",
            true => "Heat map of the first category",
        };
        canvas.put(0, 0, title, Tone::Dim);
        let plain = desk.theme == Theme::Plain;
        let shown = match (heat, &self.picture, &self.heat) {
            (true, _, None) => Err("There is none: the image was not assessed."),
            (true, _, Some(_)) if plain => {
                Err("The heat map is colours over the image; it is shown in the coloured themes.")
            }
            (true, _, Some(heat)) => Ok(heat),
            (false, Some(picture), _) => Ok(picture),
            (false, None, _) => Err("The node sent no picture that can be shown."),
        };
        match shown {
            Ok(picture) => {
                // Without colour the last line says how to read it.
                let rows = canvas.height().saturating_sub(1 + u16::from(plain));
                let width = canvas.width();
                let used =
                    canvas
                        .part(0, 1, width, rows)
                        .put_picture(picture, desk.depth, desk.pixels());
                if plain {
                    canvas.put(0, 1 + used, "denser is lighter", Tone::Dim);
                }
            }
            Err(why) => _ = canvas.put_wrapped(0, 2, why, 6, Tone::Text),
        }
    }
}

/// What the model said, in lines.
fn detail(said: &Inference, ms: f64, noted: bool) -> Detail {
    let mut lines = Vec::new();
    let mut field = |label, value: String, tone| lines.push(Line::Field(label, value, tone));
    if said.uncertain {
        let why = match said.explanation.as_str() {
            "" => doubt(said),
            why => why,
        };
        field("Not assessed", why.to_owned(), Tone::Caution);
    } else {
        for output in &said.outputs {
            let marked = output.note.is_some();
            lines.push(Line::Likely(output.label.clone(), output.p, marked));
        }
        for output in &said.outputs {
            if let Some(note) = &output.note {
                let text = format!("{MARK} {}: {note}", output.label);
                lines.push(Line::Text(text));
            }
        }
    }
    lines.push(Line::Blank);
    let mut field = |label, value: String| lines.push(Line::Field(label, value, Tone::Text));
    if !said.uncertain && !said.explanation.is_empty() {
        field("Why", said.explanation.clone());
    }
    let decision = match noted {
        true => "none yet: no part of the record",
        false => "not noted in the record",
    };
    field("Decision", decision.to_owned());
    field(
        "Model",
        format!("{} {}", said.model.name, said.model.version),
    );
    field("Weights", short_id(&said.model.weights));
    field("Image's hash", short_id(&said.input.hash));
    field("Took", format!("{:.0} ms", ms.max(0.0)));
    let title = match said.input.name.as_str() {
        "" => "an image without a name",
        name => name,
    };
    Detail {
        title: title.to_owned(),
        lines,
    }
}

impl Page for Image {
    fn context(&self) -> Context {
        match (self.decide.prompt(), self.choosing) {
            (Some(_), _) => Context::Prompt,
            (None, true) => Context::Chooser,
            (None, false) => Context::Image,
        }
    }

    fn act(&mut self, desk: &mut Desk, action: Action, _key: Option<Key>) -> Go {
        if self.decide.prompt().is_some() {
            self.decide.act(desk, action, &self.patient);
            return Go::Stay;
        }
        if self.choosing {
            let page = usize::from(record_rows(desk.size).saturating_sub(1));
            match action {
                // What was said about the image before stands where it was.
                Action::Back if self.looked.is_some() && self.looking.is_none() => {
                    self.choosing = false;
                }
                Action::Back => return Go::Back,
                // Nothing is changed under a model's eyes.
                _ if self.looking.is_some() => {}
                _ => {
                    if let Some(path) = self.chooser.act(desk, action, page) {
                        self.look(desk, path);
                    }
                }
            }
            return Go::Stay;
        }
        match action {
            Action::Back => return Go::Back,
            Action::AcceptSuggestion => self.decide(desk, true),
            Action::RejectSuggestion => self.decide(desk, false),
            Action::SwitchPicture => self.heat = !self.heat,
            Action::OpenImage => {
                self.choosing = true;
                self.chooser.read(desk);
            }
            _ => self.scroll(desk, action),
        }
        Go::Stay
    }

    fn typed(&mut self, desk: &mut Desk, text: &str) -> Go {
        if self.decide.prompt().is_some() {
            self.decide.typed(text);
        } else if self.choosing && self.looking.is_none() {
            self.chooser.typed(desk, text);
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.looking == Some(call) || self.decide.waits_for(call) || self.chooser.waits_for(call)
    }

    fn answer(&mut self, desk: &mut Desk, call: CallId, answer: Answer) -> Go {
        if self.decide.waits_for(call) {
            self.decide.answered(answer.is_ok());
            return match answer {
                Ok(Response::Done(done)) => {
                    desk.say(sentence(&done));
                    Go::Back
                }
                Ok(_) => Go::Back,
                Err(error) => {
                    desk.fail(error);
                    Go::Stay
                }
            };
        }
        self.looking = None;
        match answer {
            Ok(Response::Classified(view)) => self.show(desk, *view),
            Ok(_) => {}
            // Whether the session still stands is said at the foot, as everywhere.
            Err(error) if error.kind == ErrorKind::Refused => desk.fail(error),
            Err(error) => self.chooser.failed(&error),
        }
        Go::Stay
    }

    fn listed(&mut self, listing: Result<Listing, String>) {
        self.chooser.listed(listing);
    }

    fn unsaved(&self) -> Option<String> {
        self.decide.unsaved()
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let mut area = canvas.inset(1);
        if let Some(prompt) = self.decide.prompt() {
            let below = prompt.view(&mut area, self.decide.is_saving());
            if let Some(looked) = &self.looked {
                let mut rest = area.below(below + 1);
                rest.put(1, 0, RESERVATION, Tone::Caution);
                looked.detail.view(&mut rest.below(1).inset(1), 0);
            }
            return;
        }
        match (&self.looked, self.choosing) {
            (Some(looked), false) => looked.view(&mut area, desk, self.heat, self.scroll),
            _ => self.view_chooser(&mut area),
        }
    }

    fn is_about_a_record(&self) -> bool {
        true
    }
}

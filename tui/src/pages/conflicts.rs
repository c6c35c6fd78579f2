//! Settling what was written apart: merges that are unsafe come first, then values that differ. All of it is shown,
//! and a person decides.

use salus_api::{
    ConcernView, ConflictChoice, ConflictView, ConflictsView, ErrorKind, Event, Request, Response,
};

use super::merges::{self, Drawn, Stop};
use super::prompt::Prompt;
use super::values::{Shape, plain};
use super::{Answer, Go, Page, Question, Seek, Then, record_rows};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::form::{Done, Field};
use crate::input::Input;
use crate::keymap::{Action, Context};
use crate::keys::{Code, Key};
use crate::msg::CallId;
use crate::table::{self, Cursor};
use crate::text;
use crate::theme::Tone;

/// Longest value typed here, bytes (a guess: a long line).
const MAX_VALUE_BYTES: usize = 1_000;
/// Longest reason, bytes: a line of the log takes 1,024 (`audit`), the sentence before it included (a guess).
const MAX_REASON_BYTES: usize = 400;
/// Columns of what is typed.
const INPUT_COLUMNS: u16 = 56;

/// What something is being typed about, as it was shown when the typing began.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
enum About {
    Concern(ConcernView),
    Conflict(ConflictView),
}

/// A reason, or a value and a reason.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
struct Writing {
    about: About,
    prompt: Prompt,
}

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Conflicts {
    patient: String,
    found: ConflictsView,
    /// Over all concerns, then all values of all conflicts.
    cursor: Cursor,
    writing: Option<Writing>,
    waiting: Option<CallId>,
    settling: Option<CallId>,
    loaded: bool,
}

impl Conflicts {
    /// The conflicts of a record; those that are known are shown until the node has answered.
    pub fn open(desk: &mut Desk, patient: String, known: ConflictsView) -> Self {
        let mut page = Self {
            patient,
            found: known,
            cursor: Cursor::default(),
            writing: None,
            waiting: None,
            settling: None,
            loaded: false,
        };
        page.ask(desk);
        page
    }

    fn ask(&mut self, desk: &mut Desk) {
        desk.cancel(self.waiting);
        let patient = self.patient.clone();
        self.waiting = Some(desk.call(Request::Conflicts { patient }));
    }

    /// What the cursor can stand on, from the top.
    fn stops(&self) -> impl Iterator<Item = Stop<'_>> {
        let values = self
            .found
            .conflicts
            .iter()
            .flat_map(|c| c.values.iter().map(move |v| Stop::Value(c, v)));
        self.found.concerns.iter().map(Stop::Concern).chain(values)
    }

    fn here(&self) -> Option<Stop<'_>> {
        self.stops().nth(self.cursor.at)
    }

    /// A choice counts from the answer that it was shown in; while a newer one is on its way nothing is chosen.
    fn is_busy(&self) -> bool {
        self.waiting.is_some() || self.settling.is_some()
    }

    fn choose(conflict: &ConflictView, value: &ConflictChoice) -> Go {
        let shown = text::fit(&plain(&value.value), 60);
        let others = conflict.values.len().saturating_sub(1);
        let rest = match others {
            1 => "The other value stays in the audit trail.".to_owned(),
            n => format!("The {n} other values stay in the audit trail."),
        };
        Go::Ask(Question::new(
            &format!("{}: keep “{shown}”?", text::fit(&conflict.label, 40)),
            &format!("Written by {} at {}. {rest}", value.author, value.clinic),
            "Keep it",
            "Go back",
            Then::Resolve {
                path: conflict.path.clone(),
                value: value.value.clone(),
            },
        ))
    }

    /// Begins to type about what the cursor stands on.
    fn write(&mut self) {
        let reason = Field::line("Why", "", INPUT_COLUMNS, Input::new(MAX_REASON_BYTES));
        let writing = match self.here() {
            None => None,
            Some(Stop::Concern(concern)) => Some(Writing {
                about: About::Concern(concern.clone()),
                prompt: Prompt::new(
                    "Let this merge stand",
                    "It is shown as a concern no more, until somebody writes there apart again. \
                     The reason goes into the audit trail with your name.",
                    vec![reason],
                ),
            }),
            Some(Stop::Value(conflict, _)) => {
                let shape = Shape::of(conflict.values.iter().map(|v| &v.value));
                let about = format!(
                    "Settles the conflict with none of the values below; they stay in the audit trail, with the \
                     reason and your name. The field takes {}.",
                    shape.hint()
                );
                let mut input = Input::new(MAX_VALUE_BYTES);
                if shape == Shape::Json {
                    // Nobody writes JSON from nothing: the value that is shown is there to be changed.
                    let shown = conflict.values.iter().find(|v| v.shown);
                    input.set(&shown.map(|v| v.value.to_string()).unwrap_or_default());
                }
                let value = Field::line("Value", "", INPUT_COLUMNS, input);
                Some(Writing {
                    prompt: Prompt::new(
                        format!("Another value: {}", conflict.label),
                        &about,
                        vec![value, reason],
                    ),
                    about: About::Conflict(conflict.clone()),
                })
            }
        };
        self.writing = writing;
    }

    /// Sends what was typed, where it is whole.
    fn submit(&mut self, desk: &mut Desk) {
        if self.is_busy() {
            return;
        }
        let Some(Writing { about, prompt }) = &mut self.writing else {
            return;
        };
        let patient = self.patient.clone();
        let last = prompt.form.fields.len().saturating_sub(1);
        let why = prompt.form.value(last).to_owned();
        let no_reason = why.is_empty().then(|| "Write why: it is kept.".to_owned());
        let request = match about {
            About::Concern(concern) => {
                if !prompt.form.judge(vec![no_reason]) {
                    return;
                }
                Request::Acknowledge {
                    patient,
                    concern: concern.id.clone(),
                    why,
                }
            }
            About::Conflict(conflict) => {
                let shape = Shape::of(conflict.values.iter().map(|v| &v.value));
                let value = shape.read(prompt.form.value(0));
                let wrong = value.as_ref().err().map(|e| (*e).to_owned());
                if !prompt.form.judge(vec![wrong, no_reason]) {
                    return;
                }
                let Ok(value) = value else { return };
                Request::Resolve {
                    patient,
                    path: conflict.path.clone(),
                    value,
                    why: Some(why),
                }
            }
        };
        self.settling = Some(desk.call(request));
    }

    /// What is typed about may have changed meanwhile: nobody lets stand what they did not see.
    fn compare(&mut self, desk: &mut Desk) {
        let Some(writing) = &mut self.writing else {
            return;
        };
        let now = match &writing.about {
            About::Concern(old) => {
                let same = self.found.concerns.iter().find(|c| c.id == old.id);
                same.cloned().map(About::Concern)
            }
            About::Conflict(old) => {
                let same = self.found.conflicts.iter().find(|c| c.path == old.path);
                same.cloned().map(About::Conflict)
            }
        };
        match now {
            None => {
                self.writing = None;
                desk.say("It was settled elsewhere meanwhile.");
            }
            Some(now) if now != writing.about => {
                writing.about = now;
                let fields = writing.prompt.form.fields.len();
                let mut errors = vec![None; fields];
                if let Some(last) = errors.last_mut() {
                    *last = Some("It has changed since you began: look again.".to_owned());
                }
                writing.prompt.form.judge(errors);
            }
            Some(_) => {}
        }
    }
}

impl Page for Conflicts {
    fn context(&self) -> Context {
        match (&self.writing, self.here()) {
            (Some(_), _) => Context::Prompt,
            (None, Some(Stop::Concern(_))) => Context::Concerns,
            (None, _) => Context::Conflicts,
        }
    }

    fn act(&mut self, desk: &mut Desk, action: Action, key: Option<Key>) -> Go {
        if self.writing.is_some() {
            match action {
                Action::Back => self.writing = None,
                _ if self.settling.is_some() => {}
                _ => {
                    let prompt = self.writing.as_mut().map(|w| &mut w.prompt);
                    if prompt.is_some_and(|p| p.act(action) == Done::Submit) {
                        self.submit(desk);
                    }
                }
            }
            return Go::Stay;
        }
        match action {
            Action::Back => return Go::Back,
            Action::Reload => self.ask(desk),
            Action::OpenItem => {
                if let Some(Stop::Concern(concern)) = self.here()
                    && let Some(path) = concern.paths.first()
                {
                    return Go::BackTo(Seek::Item(path.clone()));
                }
            }
            Action::ChooseValue
            | Action::ChooseNumber
            | Action::Acknowledge
            | Action::OtherValue
                if self.is_busy() => {}
            Action::Acknowledge | Action::OtherValue => self.write(),
            Action::ChooseValue => {
                if let Some(Stop::Value(conflict, value)) = self.here() {
                    return Self::choose(conflict, value);
                }
            }
            Action::ChooseNumber => {
                let digit = key.and_then(|k| match k.code {
                    Code::Char(c) => c.to_digit(10),
                    _ => None,
                });
                if let (Some(Stop::Value(conflict, _)), Some(digit)) = (self.here(), digit)
                    && let Some(value) = conflict.values.iter().find(|v| v.choice == digit)
                {
                    return Self::choose(conflict, value);
                }
            }
            _ => {
                let len = self.stops().count();
                self.cursor
                    .act(action, len, usize::from(record_rows(desk.size) / 2));
            }
        }
        Go::Stay
    }

    fn typed(&mut self, _desk: &mut Desk, text: &str) -> Go {
        if let (Some(writing), None) = (&mut self.writing, self.settling) {
            writing.prompt.form.typed(text);
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.waiting == Some(call) || self.settling == Some(call)
    }

    fn answer(&mut self, desk: &mut Desk, call: CallId, answer: Answer) -> Go {
        if self.settling == Some(call) {
            self.settling = None;
            match answer {
                Ok(_) => {
                    let about = self.writing.take().map(|w| w.about);
                    desk.say(match about {
                        Some(About::Concern(_)) => "Noted. The reason is in the audit trail.",
                        _ => "Settled. The choice is in the audit trail.",
                    });
                }
                Err(error) => desk.fail(error),
            }
            self.ask(desk);
            return Go::Stay;
        }
        self.waiting = None;
        match answer {
            Ok(Response::Conflicts(found)) => {
                self.found = found;
                self.loaded = true;
                let len = self.stops().count();
                self.cursor.clamp(len);
                self.compare(desk);
            }
            Ok(_) => {}
            // The record was erased, or is not shared with this clinic any more: nothing of it stays on the screen.
            Err(error) if error.kind == ErrorKind::NotFound => {
                desk.fail(error);
                return Go::Back;
            }
            Err(error) => desk.fail(error),
        }
        Go::Stay
    }

    fn event(&mut self, desk: &mut Desk, event: &Event) {
        if matches!(event, Event::PatientsChanged(ids) if ids.contains(&self.patient)) {
            self.ask(desk);
        }
    }

    fn unsaved(&self) -> Option<String> {
        self.writing.as_ref().and_then(|w| w.prompt.unsaved())
    }

    fn confirmed(&mut self, desk: &mut Desk, then: Then) -> Go {
        if let Then::Resolve { path, value } = then {
            let patient = self.patient.clone();
            self.settling = Some(desk.call(Request::Resolve {
                patient,
                path,
                value,
                why: None,
            }));
        }
        Go::Stay
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let mut area = canvas.inset(1);
        let columns = usize::from(area.width());
        let busy = self.settling.is_some();
        if let Some(Writing { about, prompt }) = &self.writing {
            let below = prompt.view(&mut area, busy);
            let mut rest = area.below(below);
            let rows: Vec<Drawn<'_>> = match about {
                About::Concern(concern) => merges::concern(concern, false, columns),
                About::Conflict(conflict) => {
                    let values = conflict.values.iter();
                    values
                        .flat_map(|v| merges::value(v, false, columns))
                        .collect()
                }
            };
            let hidden = rows.len().saturating_sub(usize::from(rest.height()));
            for (y, row) in (0..rest.height()).zip(&rows) {
                row.view(&mut rest, y, desk, busy);
            }
            if hidden > 0 {
                let (end, last) = (rest.width(), rest.height().saturating_sub(1));
                rest.put_right(end, last, &format!(" ↓ {hidden} more lines"), Tone::Dim);
            }
            return;
        }
        if self.found.concerns.is_empty() && self.found.conflicts.is_empty() {
            let text = if self.loaded {
                "No conflicts: every value that was written apart agrees or is settled."
            } else {
                "Looking for conflicts…"
            };
            area.put(1, 0, text, Tone::Dim);
            return;
        }
        let (rows, selected) = merges::rows(
            &self.found.concerns,
            &self.found.conflicts,
            self.cursor.at,
            (columns, usize::from(area.height())),
        );
        // The heading over the first stop stays in sight with it.
        let selected = if self.cursor.at == 0 { 0 } else { selected };
        let first = table::first_shown(selected, rows.len(), area.height());
        for (y, row) in (0..area.height()).zip(rows.into_iter().skip(first)) {
            row.view(&mut area, y, desk, busy);
        }
    }

    fn is_about_a_record(&self) -> bool {
        true
    }
}

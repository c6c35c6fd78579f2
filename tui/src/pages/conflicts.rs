//! Settling values that were written apart and differ: all of them are shown, and a person decides.

use salus_api::{ConflictChoice, ConflictView, Event, Request, Response};
use serde_json::Value;

use super::{Answer, Go, Page, Question, Then, record_rows};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::keymap::{Action, Context};
use crate::keys::{Code, Key};
use crate::msg::CallId;
use crate::table::{self, Cursor};
use crate::text;
use crate::theme::Tone;

/// Longest value shown, columns; the record shows it whole.
const MAX_VALUE_COLUMNS: usize = 400;
/// Rows above the list.
const ROWS_ABOVE: u16 = 2;

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Conflicts {
    patient: String,
    conflicts: Vec<ConflictView>,
    /// Over all values of all conflicts.
    cursor: Cursor,
    waiting: Option<CallId>,
    resolving: Option<CallId>,
    loaded: bool,
}

/// A value as a person reads it: a concept by its words, an amount with its unit, anything else as short JSON.
pub(crate) fn plain(value: &Value) -> String {
    let string = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).map(str::to_owned);
    match value {
        Value::Null => "(nothing)".into(),
        Value::String(s) if s.is_empty() => "(empty)".into(),
        Value::String(s) => s.clone(),
        Value::Bool(b) => if *b { "yes" } else { "no" }.into(),
        Value::Number(n) => n.to_string(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            if let Some(text) = string(value, "text").or_else(|| string(value, "display")) {
                return text;
            }
            if let Some(Value::Array(codings)) = fields.get("coding") {
                return codings.first().map(plain).unwrap_or_default();
            }
            if let Some(amount) = fields.get("value") {
                let unit = string(value, "unit").or_else(|| string(value, "code"));
                return format!("{} {}", plain(amount), unit.unwrap_or_default())
                    .trim_end()
                    .into();
            }
            if let Some(code) = string(value, "code") {
                return code;
            }
            let pairs = fields
                .iter()
                .map(|(name, v)| format!("{name}: {}", plain(v)));
            pairs.collect::<Vec<_>>().join(", ")
        }
    }
}

impl Conflicts {
    /// The conflicts of a record; those that are known are shown until the node has answered.
    pub fn open(desk: &mut Desk, patient: String, known: Vec<ConflictView>) -> Self {
        let mut page = Self {
            patient,
            conflicts: known,
            cursor: Cursor::default(),
            waiting: None,
            resolving: None,
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

    /// All values, each with its conflict.
    fn values(&self) -> impl Iterator<Item = (&ConflictView, &ConflictChoice)> {
        self.conflicts
            .iter()
            .flat_map(|c| c.values.iter().map(move |v| (c, v)))
    }

    fn choose(&self, conflict: &ConflictView, value: &ConflictChoice) -> Go {
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
                choice: value.choice,
            },
        ))
    }
}

impl Page for Conflicts {
    fn context(&self) -> Context {
        Context::Conflicts
    }

    fn act(&mut self, desk: &mut Desk, action: Action, key: Option<Key>) -> Go {
        match action {
            Action::Back => return Go::Back,
            Action::Reload => self.ask(desk),
            // A choice counts from the answer that it was shown in; while a newer one is on its way nothing is chosen.
            Action::ChooseValue | Action::ChooseNumber
                if self.waiting.is_some() || self.resolving.is_some() => {}
            Action::ChooseValue => {
                if let Some((conflict, value)) = self.values().nth(self.cursor.at) {
                    return self.choose(conflict, value);
                }
            }
            Action::ChooseNumber => {
                let digit = key.and_then(|k| match k.code {
                    Code::Char(c) => c.to_digit(10),
                    _ => None,
                });
                let here = self
                    .values()
                    .nth(self.cursor.at)
                    .map(|(conflict, _)| conflict);
                if let (Some(conflict), Some(digit)) = (here, digit)
                    && let Some(value) = conflict.values.iter().find(|v| v.choice == digit)
                {
                    return self.choose(conflict, value);
                }
            }
            _ => {
                let len = self.values().count();
                self.cursor
                    .act(action, len, usize::from(record_rows(desk.size) / 2));
            }
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.waiting == Some(call) || self.resolving == Some(call)
    }

    fn answer(&mut self, desk: &mut Desk, call: CallId, answer: Answer) -> Go {
        if self.resolving == Some(call) {
            self.resolving = None;
            match answer {
                Ok(_) => desk.say("Settled. The choice is in the audit trail."),
                Err(error) => desk.fail(error),
            }
            self.ask(desk);
            return Go::Stay;
        }
        self.waiting = None;
        match answer {
            Ok(Response::Conflicts(conflicts)) => {
                self.conflicts = conflicts;
                self.loaded = true;
                let len = self.values().count();
                self.cursor.clamp(len);
            }
            Ok(_) => {}
            Err(error) => desk.fail(error),
        }
        Go::Stay
    }

    fn event(&mut self, desk: &mut Desk, event: &Event) {
        if matches!(event, Event::PatientsChanged(ids) if ids.contains(&self.patient)) {
            self.ask(desk);
        }
    }

    fn confirmed(&mut self, desk: &mut Desk, then: Then) -> Go {
        if let Then::Resolve { path, choice } = then {
            let patient = self.patient.clone();
            self.resolving = Some(desk.call(Request::Resolve {
                patient,
                path,
                choice,
            }));
        }
        Go::Stay
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let mut area = canvas.inset(1);
        let end = area.width();
        if self.conflicts.is_empty() {
            let text = if self.loaded {
                "No conflicts: every value that was written apart agrees or is settled."
            } else {
                "Looking for conflicts…"
            };
            area.put(1, 0, text, Tone::Dim);
            return;
        }
        let n = self.conflicts.len();
        let noun = if n == 1 {
            "1 conflict"
        } else {
            &format!("{n} conflicts")
        };
        area.put(1, 0, noun, Tone::Accent);
        let hint = "written apart, and different: choose what is right";
        area.put_right(end, 0, hint, Tone::Dim);
        let mut list = area.below(ROWS_ABOVE);
        let (rows, selected) = self.drawn(usize::from(list.width()));
        let first = table::first_shown(selected, rows.len(), list.height());
        for (y, row) in (0..list.height()).zip(rows.into_iter().skip(first)) {
            row.view(&mut list, y, desk, self.resolving.is_some());
        }
    }

    fn is_about_a_record(&self) -> bool {
        true
    }
}

/// One row of the list as drawn.
enum Drawn<'a> {
    Label(&'a str, usize, usize),
    Value {
        value: &'a ConflictChoice,
        line: String,
        first: bool,
        selected: bool,
    },
    Origin {
        value: &'a ConflictChoice,
        selected: bool,
    },
    Blank,
}

impl Conflicts {
    /// The rows, and which of them the cursor stands on.
    fn drawn(&self, columns: usize) -> (Vec<Drawn<'_>>, usize) {
        let (mut rows, mut selected, mut nth) = (Vec::new(), 0, 0);
        for (i, conflict) in self.conflicts.iter().enumerate() {
            if i > 0 {
                rows.push(Drawn::Blank);
            }
            rows.push(Drawn::Label(&conflict.label, i + 1, self.conflicts.len()));
            for value in &conflict.values {
                let here = nth == self.cursor.at;
                if here {
                    selected = rows.len();
                }
                let words = text::clean(&plain(&value.value), MAX_VALUE_COLUMNS);
                for (n, line) in text::wrap(&words, columns.saturating_sub(7), 3)
                    .into_iter()
                    .enumerate()
                {
                    rows.push(Drawn::Value {
                        value,
                        line,
                        first: n == 0,
                        selected: here,
                    });
                }
                rows.push(Drawn::Origin {
                    value,
                    selected: here,
                });
                nth += 1;
            }
        }
        (rows, selected)
    }
}

impl Drawn<'_> {
    fn view(&self, canvas: &mut Canvas<'_>, y: u16, desk: &Desk, busy: bool) {
        let end = canvas.width();
        match self {
            Self::Blank => {}
            Self::Label(label, n, of) => {
                canvas.put(1, y, label, Tone::Strong);
                canvas.put_right(end, y, &format!("{n} of {of}"), Tone::Dim);
            }
            Self::Value {
                value,
                line,
                first,
                selected,
            } => {
                if *first {
                    canvas.put(3, y, &value.choice.to_string(), Tone::Accent);
                }
                canvas.put(6, y, line, Tone::Text);
                if *selected {
                    canvas.select(y, !busy);
                }
            }
            Self::Origin { value, selected } => {
                let when = desk.clock.at(value.time_ms);
                let origin = format!("{} · {} · {when}", value.author, value.clinic);
                let x = canvas.put(6, y, &origin, Tone::Dim);
                if value.shown {
                    canvas.put(x, y, " · shown until then", Tone::Caution);
                }
                if *selected {
                    canvas.select(y, !busy);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_in_words() {
        let table = [
            (json!("+49 30 1234"), "+49 30 1234"),
            (json!(null), "(nothing)"),
            (json!({"value": 12.5, "unit": "mg"}), "12.5 mg"),
            (
                json!({"coding": [{"code": "1", "display": "Asthma"}]}),
                "Asthma",
            ),
            (json!({"text": "Asthma", "coding": []}), "Asthma"),
            (
                json!({"start": "2026", "end": null}),
                "end: (nothing), start: 2026",
            ),
            (json!(["a", true]), "a, yes"),
        ];
        for (value, words) in table {
            assert_eq!(plain(&value), words);
        }
    }
}

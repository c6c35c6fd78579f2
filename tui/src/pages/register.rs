//! Registering a new patient.

use salus_api::{NewPatient, PatientRow, Request, Response};

use super::{Answer, Go, Page, Question, Record, Screen, Then};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::form::{Choice, Done, Field, Form};
use crate::input::Input;
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::CallId;
use crate::subject::row_name;
use crate::theme::Tone;
use crate::when;

/// Longest name, number or telephone, bytes (a guess).
const MAX_FIELD_BYTES: usize = 128;
/// Patients shown that may be the same person.
const MAX_LIKELY: u32 = 3;

const FAMILY: usize = 0;
const GIVEN: usize = 1;
const BORN: usize = 2;
const SEX: usize = 3;
const MRN: usize = 4;
const PHONE: usize = 5;

/// FHIR `administrative-gender`.
static SEXES: [Choice; 4] = [
    Choice {
        code: "female",
        label: "female",
    },
    Choice {
        code: "male",
        label: "male",
    },
    Choice {
        code: "other",
        label: "other",
    },
    Choice {
        code: "unknown",
        label: "unknown",
    },
];

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Register {
    form: Form,
    saving: Option<CallId>,
    looking: Option<CallId>,
    /// Patients of the same family name and birth date who are here already.
    likely: Vec<PatientRow>,
}

impl Register {
    /// An empty form.
    pub fn new() -> Self {
        let line =
            |label, hint, columns| Field::line(label, hint, columns, Input::new(MAX_FIELD_BYTES));
        Self {
            form: Form::new(vec![
                line("Family name", "", 32),
                line("Given names", "", 32),
                line("Birth date", "year-month-day, 1984-05-17", 12),
                Field::choice("Sex", &SEXES),
                line("MRN", "drawn by the node if empty", 20),
                line("Telephone", "may stay empty", 20),
            ]),
            saving: None,
            looking: None,
            likely: Vec::new(),
        }
    }

    /// Looks for the same person among the patients that are here.
    fn look(&mut self, desk: &mut Desk) {
        let (family, born) = (self.form.value(FAMILY), self.form.value(BORN));
        if family.is_empty() || when::check_birth_date(born, desk.clock.today()).is_err() {
            return;
        }
        let text = format!("{family} {born}");
        desk.cancel(self.looking);
        self.looking = Some(desk.call(Request::PatientFind {
            text,
            limit: MAX_LIKELY,
        }));
    }

    fn save(&mut self, desk: &mut Desk) {
        if self.saving.is_some() {
            return;
        }
        let value = |n| self.form.value(n).to_owned();
        let mut errors = vec![None; self.form.fields.len()];
        if value(FAMILY).is_empty() && value(GIVEN).is_empty() {
            errors[FAMILY] = Some("Write at least one name.".into());
        }
        errors[BORN] = when::check_birth_date(&value(BORN), desk.clock.today())
            .err()
            .map(ToOwned::to_owned);
        let optional = |n| Some(value(n)).filter(|v| !v.is_empty());
        let patient = NewPatient {
            family: value(FAMILY),
            given: value(GIVEN),
            birth_date: value(BORN),
            sex: value(SEX),
            mrn: optional(MRN),
            phone: optional(PHONE),
        };
        if self.form.judge(errors) {
            self.saving = Some(desk.call(Request::PatientNew(patient)));
        }
    }
}

impl Page for Register {
    fn context(&self) -> Context {
        Context::Form
    }

    fn act(&mut self, desk: &mut Desk, action: Action, _key: Option<Key>) -> Go {
        if action == Action::Back {
            return match self.unsaved() {
                None => Go::Back,
                Some(what) => Go::Ask(Question::new(
                    "Leave without registering?",
                    &what,
                    "Discard",
                    "Go on",
                    Then::Leave,
                )),
            };
        }
        if self.saving.is_none() {
            match self.form.act(action) {
                Done::Submit => self.save(desk),
                Done::Left(FAMILY | BORN) => self.look(desk),
                _ => {}
            }
        }
        Go::Stay
    }

    /// A birth date may be typed as digits only: the dashes come by themselves.
    fn typed(&mut self, _desk: &mut Desk, text: &str) -> Go {
        if self.saving.is_some() {
            return Go::Stay;
        }
        if self.form.focus != BORN {
            self.form.typed(text);
            return Go::Stay;
        }
        for c in text.chars() {
            let so_far = self.form.value(BORN);
            let full = so_far.len() >= 10;
            let parted = matches!(so_far.len(), 4 | 7) && !so_far.ends_with('-');
            match c {
                _ if full => {}
                '-' | '.' | '/' | ' ' => _ = parted && self.form.typed("-") == Done::Changed,
                c if parted => _ = self.form.typed(&format!("-{c}")),
                c => _ = self.form.typed(&c.to_string()),
            }
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.saving == Some(call) || self.looking == Some(call)
    }

    fn answer(&mut self, desk: &mut Desk, call: CallId, answer: Answer) -> Go {
        if self.looking == Some(call) {
            self.looking = None;
            if let Ok(Response::Patients(rows)) = answer {
                self.likely = rows;
            }
            return Go::Stay;
        }
        self.saving = None;
        match answer {
            Ok(Response::Patient(row)) => {
                desk.say(format!("{} is registered.", row_name(&row)));
                Go::Swap(Box::new(Screen::Record(Box::new(Record::open(desk, &row)))))
            }
            Ok(_) => Go::Stay,
            Err(error) => {
                desk.fail(error);
                Go::Stay
            }
        }
    }

    fn unsaved(&self) -> Option<String> {
        self.form
            .is_touched()
            .then(|| "What was typed would be lost.".to_owned())
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let mut area = canvas.inset(2);
        let end = area.width();
        area.put(0, 1, "New patient", Tone::Accent);
        if self.saving.is_some() {
            area.put_right(end, 1, "saving…", Tone::Caution);
        }
        let row = self.form.view(&mut area, 3);
        if self.likely.is_empty() {
            return;
        }
        area.put(
            0,
            row,
            "! Here already: is it the same person?",
            Tone::Caution,
        );
        for (y, likely) in (row + 1..area.height()).zip(&self.likely) {
            let sex = &likely.sex;
            let age = desk.clock.age(&likely.birth_date);
            area.put(2, y, &row_name(likely), Tone::Strong);
            let rest = format!("{} · {age} · {sex} · MRN {}", likely.birth_date, likely.mrn);
            area.put(30, y, &rest, Tone::Text);
        }
    }
}

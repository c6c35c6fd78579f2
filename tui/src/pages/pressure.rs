//! Entering a blood pressure.

use salus_api::record::RecordContent;
use salus_api::{Request, Response};

use super::{Answer, Go, Page};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::form::{Done, Field, Form};
use crate::input::Input;
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::CallId;
use crate::series::{self, Series};
use crate::theme::Tone;

/// What can be a systolic pressure, mmHg; outside it a typing error is likelier (a guess, kept wide: a form must not
/// refuse what was measured).
const SYSTOLIC: std::ops::RangeInclusive<u16> = 40..=300;
/// The same for the diastolic pressure.
const DIASTOLIC: std::ops::RangeInclusive<u16> = 20..=200;
/// Digits of a pressure.
const MAX_DIGITS: usize = 3;

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Pressure {
    patient: String,
    name: String,
    form: Form,
    earlier: Option<Series>,
    saving: Option<CallId>,
}

/// Checks what was typed; what is wrong with each of the two, in plain words.
fn judge(systolic: &str, diastolic: &str) -> Result<(u16, u16), [Option<String>; 2]> {
    let number = |text: &str, range: &std::ops::RangeInclusive<u16>, name: &str| {
        let (low, high) = (range.start(), range.end());
        match text.parse::<u16>() {
            _ if text.is_empty() => Err(format!("Write the {name} pressure.")),
            Err(_) => Err("Write a whole number, digits only.".to_owned()),
            Ok(n) if !range.contains(&n) => Err(format!(
                "The {name} pressure must lie between {low} and {high} mmHg."
            )),
            Ok(n) => Ok(n),
        }
    };
    let upper = number(systolic, &SYSTOLIC, "systolic");
    let lower = number(diastolic, &DIASTOLIC, "diastolic");
    match (upper, lower) {
        (Ok(upper), Ok(lower)) if upper > lower => Ok((upper, lower)),
        (Ok(upper), Ok(lower)) => {
            let error = format!("{lower} is not below {upper}: are the two the wrong way round?");
            Err([None, Some(error)])
        }
        (upper, lower) => Err([upper.err(), lower.err()]),
    }
}

impl Pressure {
    /// An empty form for a record; the content shows earlier pressures.
    pub fn new(patient: String, name: &str, content: Option<&RecordContent>) -> Self {
        let field = |label, hint| Field::line(label, hint, 5, Input::new(MAX_DIGITS));
        let earlier = content
            .map(|c| series::series(&c.observations))
            .unwrap_or_default();
        Self {
            patient,
            name: name.to_owned(),
            form: Form::new(vec![
                field("Systolic", "mmHg    40 to 300"),
                field("Diastolic", "mmHg    20 to 200"),
            ]),
            earlier: earlier.into_iter().find(|s| s.key == series::PANEL),
            saving: None,
        }
    }

    fn save(&mut self, desk: &mut Desk) {
        match judge(self.form.value(0), self.form.value(1)) {
            Ok((systolic, diastolic)) => {
                let item = salus_api::blood_pressure(systolic, diastolic, None);
                let patient = self.patient.clone();
                self.saving = Some(desk.call(Request::Add {
                    patient,
                    item: Box::new(item),
                }));
                self.form.judge(vec![None, None]);
            }
            Err(errors) => _ = self.form.judge(errors.to_vec()),
        }
    }
}

impl Page for Pressure {
    fn context(&self) -> Context {
        Context::Form
    }

    fn act(&mut self, desk: &mut Desk, action: Action, _key: Option<Key>) -> Go {
        if action == Action::Back {
            return Go::Back;
        }
        if self.saving.is_none() && self.form.act(action) == Done::Submit {
            self.save(desk);
        }
        Go::Stay
    }

    /// `128/82` may be typed in one go: three digits, a slash or a blank go on to the second field.
    fn typed(&mut self, _desk: &mut Desk, text: &str) -> Go {
        if self.saving.is_some() {
            return Go::Stay;
        }
        for c in text.chars() {
            let first = self.form.focus == 0;
            match c {
                '/' | ' ' if first && !self.form.value(0).is_empty() => self.form.focus = 1,
                '/' | ' ' => {}
                c => {
                    self.form.typed(&c.to_string());
                    let full = self.form.value(0).len() == MAX_DIGITS;
                    if first && full && self.form.value(1).is_empty() {
                        self.form.focus = 1;
                    }
                }
            }
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.saving == Some(call)
    }

    fn answer(&mut self, desk: &mut Desk, _call: CallId, answer: Answer) -> Go {
        self.saving = None;
        match answer {
            Ok(Response::Added { .. } | Response::Done(_)) => {
                let (upper, lower) = (self.form.value(0), self.form.value(1));
                desk.say(format!(
                    "Blood pressure {upper}/{lower} mmHg saved for {}.",
                    self.name
                ));
                Go::Back
            }
            Ok(_) => Go::Stay,
            Err(error) => {
                desk.fail(error);
                Go::Stay
            }
        }
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let mut area = canvas.inset(2);
        let end = area.width();
        area.put(0, 0, "Blood pressure", Tone::Accent);
        if self.saving.is_some() {
            area.put_right(end, 0, "saving…", Tone::Caution);
        }
        let row = self.form.view(&mut area, 2) + 1;
        let Some(earlier) = &self.earlier else {
            area.put(
                2,
                row,
                "No earlier blood pressure in this record.",
                Tone::Dim,
            );
            return;
        };
        area.put(2, row, "Earlier", Tone::Dim);
        area.put(
            18,
            row,
            &series::sparkline(&earlier.numbers(), 30),
            Tone::Accent,
        );
        let newest = earlier.points.iter().rev().take(3);
        for (y, point) in (row + 1..area.height()).zip(newest) {
            area.put(18, y, &desk.clock.moment(&point.when), Tone::Dim);
            area.put(36, y, &point.value, Tone::Text);
        }
    }

    fn is_about_a_record(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_pressures() {
        assert_eq!(judge("128", "82"), Ok((128, 82)));
        assert_eq!(judge("40", "20"), Ok((40, 20)));
        assert_eq!(judge("300", "200"), Ok((300, 200)));
        let wrong = [
            ("", "", true, true),
            ("39", "20", true, false),
            ("301", "80", true, false),
            ("120", "201", false, true),
            ("120", "19", false, true),
            ("80", "120", false, true),
            ("120", "120", false, true),
            ("12a", "-8", true, true),
            ("99999", "80", true, false),
        ];
        for (systolic, diastolic, first, second) in wrong {
            let errors = judge(systolic, diastolic).expect_err("must be refused");
            assert_eq!(
                errors.map(|e| e.is_some()),
                [first, second],
                "{systolic}/{diastolic}"
            );
        }
    }
}

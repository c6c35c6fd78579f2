//! Whose record it is: the lines that stand over everything that shows or changes a record.

use salus_api::record::{AllergyIntolerance, Patient};
use salus_api::{AtView, PatientRow, PatientView, Right};

use crate::canvas::Canvas;
use crate::text;
use crate::theme::Tone;
use crate::when::Clock;

/// Rows that the lines take.
pub(crate) const SUBJECT_ROWS: u16 = 4;
/// Digits of an id that are shown. 8 hex digits tell 10,000 records apart with odds of 1 % for one clash
/// (birthday bound); the node accepts any unambiguous prefix.
pub(crate) const ID_DIGITS: usize = 8;
/// SNOMED CT: "No known allergy".
const NO_KNOWN_ALLERGY: &str = "716186003";

/// What is known of the record beside its content.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
struct State {
    verified: bool,
    concerns: usize,
    conflicts: usize,
    held_out: u64,
    problems: usize,
    right: Right,
    synced_ms: Option<u64>,
    allergies: Vec<String>,
    none_known: bool,
    deceased: Option<String>,
    warnings: Vec<String>,
    /// Names of the records that are shown as one with this.
    linked: Vec<String>,
    at: Option<AtView>,
}

/// Who a record is about, and how far it can be relied on.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Subject {
    /// The record's id.
    pub id: String,
    /// `Family, Given`.
    pub name: String,
    birth_date: String,
    sex: String,
    mrn: String,
    updated_ms: u64,
    /// Absent until the record was read.
    state: Option<State>,
}

/// The name of a row of the patient list.
pub(crate) fn row_name(row: &PatientRow) -> String {
    match (row.family.is_empty(), row.given.is_empty()) {
        (false, false) => format!("{}, {}", row.family, row.given),
        (false, true) => row.family.clone(),
        (true, false) => row.given.clone(),
        (true, true) => "(no name)".into(),
    }
}

/// The first digits of an id.
pub(crate) fn short_id(id: &str) -> String {
    id.chars().take(ID_DIGITS).collect()
}

/// Whether an allergy is to be warned of: not resolved, not refuted, not an error.
pub(crate) fn stands(allergy: &AllergyIntolerance) -> bool {
    !matches!(
        allergy.clinical_status.as_deref(),
        Some("inactive" | "resolved")
    ) && !matches!(
        allergy.verification_status.as_deref(),
        Some("refuted" | "entered-in-error")
    )
}

/// How an allergy is said in a word or two behind its name; "" where nothing more is known.
fn weight(allergy: &AllergyIntolerance) -> &'static str {
    let severe = |s: &str| {
        allergy
            .reactions
            .iter()
            .any(|r| r.severity.as_deref() == Some(s))
    };
    if severe("severe") {
        "severe"
    } else if allergy.criticality.as_deref() == Some("high") {
        "high risk"
    } else if severe("moderate") {
        "moderate"
    } else if allergy.verification_status.as_deref() == Some("unconfirmed") {
        "unconfirmed"
    } else {
        ""
    }
}

/// The order of warning: what kills comes first.
pub(crate) fn rank(allergy: &AllergyIntolerance) -> u8 {
    match weight(allergy) {
        "severe" => 0,
        "high risk" => 1,
        "moderate" => 2,
        _ => 3,
    }
}

impl Subject {
    /// What the patient list knows, until the record is read.
    pub fn from_row(row: &PatientRow) -> Self {
        Self {
            id: row.id.clone(),
            name: row_name(row),
            birth_date: row.birth_date.clone(),
            sex: row.sex.clone(),
            mrn: row.mrn.clone(),
            updated_ms: row.updated_ms,
            state: None,
        }
    }

    /// What the record says.
    pub fn from_view(view: &PatientView) -> Self {
        let Patient { deceased, .. } = &view.content.patient;
        let mut standing: Vec<_> = view
            .content
            .allergies
            .iter()
            .filter(|a| stands(a))
            .collect();
        let none_known = standing.iter().any(|a| is_none_known(a));
        standing.retain(|a| !is_none_known(a));
        standing.sort_by_key(|a| rank(a));
        let allergies = standing
            .iter()
            .map(|a| {
                let label = Some(a.code.label())
                    .filter(|l| !l.is_empty())
                    .unwrap_or("unnamed");
                match weight(a) {
                    "" => label.to_owned(),
                    weight => format!("{label} ({weight})"),
                }
            })
            .collect();
        Self {
            state: Some(State {
                verified: view.verified,
                concerns: view.concerns.len(),
                conflicts: view.conflicts.len(),
                held_out: view.held_out,
                problems: view.problems.len(),
                right: view.right,
                synced_ms: view.synced_ms,
                allergies,
                none_known,
                deceased: deceased.clone(),
                warnings: view.warnings.clone(),
                linked: view.linked.iter().map(row_name).collect(),
                at: view.at.clone(),
            }),
            ..Self::from_row(&view.row)
        }
    }

    /// Whether this clinic may change the record.
    pub fn may_write(&self) -> bool {
        self.state
            .as_ref()
            .is_none_or(|s| matches!(s.right, Right::Home | Right::Write))
    }

    /// The past that is shown, where it is the past.
    pub fn at(&self) -> Option<&AtView> {
        self.state.as_ref().and_then(|s| s.at.as_ref())
    }

    /// Draws the lines, and the rule below them.
    pub fn view(&self, canvas: &mut Canvas<'_>, clock: &Clock) {
        self.view_edge(canvas);
        if let Some(at) = self.at() {
            view_past(canvas, at, clock);
        }
        let mut canvas = canvas.inset(1);
        let end = canvas.width();
        self.view_person(&mut canvas, end, clock);
        self.view_identity(&mut canvas, end);
        if self.at().is_none() {
            self.view_freshness(&mut canvas, end, clock);
        }
        self.view_allergies(&mut canvas);
    }

    /// The rule below the lines; what must be said wherever the record is shown stands in it.
    fn view_edge(&self, canvas: &mut Canvas<'_>) {
        canvas.rule(SUBJECT_ROWS);
        let warnings = self.state.as_ref().map_or(&[][..], |s| &s.warnings);
        let Some(first) = warnings.first() else {
            return;
        };
        let more = match warnings.len() {
            1 => String::new(),
            n => format!(" · +{} more", n - 1),
        };
        let room = usize::from(canvas.width()).saturating_sub(text::width(&more) + 8);
        let line = format!(" ! {}{more} ", text::fit(first, room));
        canvas.put(1, SUBJECT_ROWS, &line, Tone::Danger);
    }

    fn view_person(&self, canvas: &mut Canvas<'_>, end: u16, clock: &Clock) {
        let age = clock.age(&self.birth_date);
        let deceased = self.state.as_ref().and_then(|s| s.deceased.as_deref());
        let mut person = vec![self.sex.clone()];
        match deceased {
            None => person.push(age),
            Some("true") => person.push("deceased".into()),
            Some(at) => person.push(format!("deceased {}", clock.day(at))),
        }
        person.push(match self.birth_date.as_str() {
            "" => "birth date unknown".into(),
            born => format!("born {born}"),
        });
        person.retain(|p| !p.is_empty());
        let at = canvas.put_right(end, 0, &person.join(" · "), Tone::Text);
        canvas.put_within(0, 0, at.saturating_sub(2), &self.name, Tone::Strong);
    }

    /// Which record, and how far it can be relied on.
    fn view_identity(&self, canvas: &mut Canvas<'_>, end: u16) {
        let mut flags = Vec::new();
        match &self.state {
            None => flags.push(("opening…".to_owned(), Tone::Dim)),
            Some(state) => {
                let held_out = count(state.held_out, "held out", "held out");
                flags.push((held_out, Tone::Caution));
                let problems = state.problems as u64;
                flags.push((count(problems, "unreadable", "unreadable"), Tone::Caution));
                flags.push(match state.verified {
                    true => ("✓ verified".to_owned(), Tone::Good),
                    false => ("! NOT VERIFIED".to_owned(), Tone::Danger),
                });
            }
        }
        let at = view_flags(canvas, end, 1, flags);
        let mrn = if self.mrn.is_empty() {
            "none"
        } else {
            &self.mrn
        };
        let mut identity = format!("MRN {} · id {}", text::fit(mrn, 14), short_id(&self.id));
        identity += &match self.state.as_ref().map_or(&[][..], |s| &s.linked) {
            [] => String::new(),
            [other] => format!(" · shown as one with {other}"),
            others => format!(" · shown as one with {} others", others.len()),
        };
        canvas.put_within(0, 1, at.saturating_sub(2), &identity, Tone::Dim);
    }

    /// How fresh it is, and what is to be done about it.
    fn view_freshness(&self, canvas: &mut Canvas<'_>, end: u16, clock: &Clock) {
        let mut flags = Vec::new();
        let updated = format!("updated {}", clock.ago(self.updated_ms));
        let (mut long, mut short) = (updated.clone(), updated);
        if let Some(state) = &self.state {
            let step = match state.synced_ms {
                Some(ms) => clock.ago(ms),
                None => String::new(),
            };
            let never = state.synced_ms.is_none();
            long += &match never {
                false => format!(" · in step with others {step}"),
                true => " · never yet in step with others".into(),
            };
            short += &match never {
                false => format!(" · in step {step}"),
                true => " · never yet in step".into(),
            };
            let concerns = state.concerns as u64;
            flags.push((count(concerns, "concern", "concerns"), Tone::Danger));
            let conflicts = state.conflicts as u64;
            flags.push((count(conflicts, "conflict", "conflicts"), Tone::Caution));
            if !self.may_write() {
                flags.push(("read only".into(), Tone::Dim));
            }
        }
        let at = view_flags(canvas, end, 2, flags);
        let room = at.saturating_sub(2);
        let fits = text::width(&long) <= usize::from(room);
        let fresh = if fits { long } else { short };
        canvas.put_within(0, 2, room, &fresh, Tone::Dim);
    }

    fn view_allergies(&self, canvas: &mut Canvas<'_>) {
        let Some(state) = &self.state else { return };
        if state.allergies.is_empty() {
            let text = if state.none_known {
                "No known allergies"
            } else {
                "No allergies recorded"
            };
            canvas.put(0, 3, text, Tone::Dim);
            return;
        }
        let mut x = canvas.put(0, 3, "! ALLERGIES  ", Tone::Danger);
        for (n, allergy) in state.allergies.iter().enumerate() {
            let more = state.allergies.len() - n;
            let rest = if more > 1 {
                format!(" · +{} more", more - 1)
            } else {
                String::new()
            };
            let room = usize::from(canvas.width().saturating_sub(x));
            let shown = text::fit(allergy, room.saturating_sub(3));
            if n > 0 && text::width(&shown) + 3 + rest.len() > room {
                canvas.put(x, 3, &format!(" · +{more} more"), Tone::Danger);
                return;
            }
            if n > 0 {
                x = canvas.put(x, 3, " · ", Tone::Dim);
            }
            let width = room.saturating_sub(rest.len());
            let width = u16::try_from(width).unwrap_or(u16::MAX);
            x = canvas.put_within(x, 3, width, allergy, Tone::Danger);
        }
    }
}

/// Says that this is not the record as it is.
fn view_past(canvas: &mut Canvas<'_>, at: &AtView, clock: &Clock) {
    canvas.fill(2, Tone::BarStrong);
    let later = match at.later {
        0 => "no later entries".to_owned(),
        n => format!("{} not shown", count(n, "later entry", "later entries")),
    };
    let after = match &at.entry {
        Some(hash) => format!(", entry {}", short_id(hash)),
        None => String::new(),
    };
    let when = clock.at(at.time_ms);
    let end = canvas.width().saturating_sub(1);
    let at = canvas.put_right(end, 2, &later, Tone::BarStrong);
    let text = format!("◀ AS IT WAS at {when}{after}");
    canvas.put_within(1, 2, at.saturating_sub(3), &text, Tone::BarStrong);
}

/// `1 conflict`, `2 conflicts`, and nothing for none.
fn count(n: u64, one: &str, many: &str) -> String {
    match n {
        0 => String::new(),
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}

/// Writes words that end at a column. Returns where they begin.
fn view_flags(canvas: &mut Canvas<'_>, end: u16, y: u16, flags: Vec<(String, Tone)>) -> u16 {
    let shown: Vec<_> = flags
        .into_iter()
        .filter(|(flag, _)| !flag.is_empty())
        .collect();
    let wide: usize = shown.iter().map(|(flag, _)| text::width(flag) + 3).sum();
    let at = end.saturating_sub(u16::try_from(wide.saturating_sub(3)).unwrap_or(end));
    canvas.put_joined(at, y, &shown);
    at
}

fn is_none_known(allergy: &AllergyIntolerance) -> bool {
    allergy
        .code
        .coding
        .iter()
        .any(|c| c.code.as_deref() == Some(NO_KNOWN_ALLERGY))
}

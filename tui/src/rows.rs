//! The rows of a record's sections, one builder for each kind of item.

use std::collections::BTreeSet;

use salus_api::record::{
    AllergyIntolerance, CodeableConcept, Condition, DiagnosticReport, Dosage, Encounter,
    Medication, Note, RecordContent, Timing,
};
use salus_api::{AttachmentView, SuggestionState, SuggestionView};

use crate::files;
use crate::sections::{Row, Target};
use crate::series::{self, Series};
use crate::subject;
use crate::table::Cell;
use crate::theme::Tone;
use crate::when::{self, Clock};

/// Columns of the small trend.
pub(crate) const TREND_COLUMNS: usize = 6;

/// A row for an item.
pub(crate) fn item(target: Target, cells: impl IntoIterator<Item = (String, Tone)>) -> Row {
    Row::Item {
        cells: cells
            .into_iter()
            .map(|(text, tone)| Cell::new(text, tone))
            .collect(),
        target,
    }
}

fn words(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

fn timing(timing: &Option<Timing>) -> &str {
    timing.as_ref().map_or("", Timing::when)
}

fn labels<'a>(concepts: impl IntoIterator<Item = &'a CodeableConcept>) -> String {
    concepts
        .into_iter()
        .map(|c| c.label())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Whether a condition is still there.
pub(crate) fn is_active(condition: &Condition) -> bool {
    !matches!(
        condition.clinical_status.as_deref(),
        Some("inactive" | "remission" | "resolved")
    ) && !matches!(
        condition.verification_status.as_deref(),
        Some("refuted" | "entered-in-error")
    ) && condition.abatement.is_none()
}

/// Whether a medicine is taken now, as far as is known.
pub(crate) fn is_current(medication: &Medication) -> bool {
    matches!(
        medication.status.as_deref(),
        None | Some("active" | "on-hold" | "intended")
    )
}

/// A dose in words.
pub(crate) fn dose(dosage: &Dosage) -> String {
    if let Some(text) = &dosage.text {
        return text.clone();
    }
    let mut parts = Vec::new();
    parts.extend(dosage.dose.as_ref().map(series::quantity));
    if let Some(frequency) = dosage.frequency {
        let period = dosage
            .period
            .as_ref()
            .map_or("1".to_owned(), ToString::to_string);
        let unit = match dosage.period_unit.as_deref() {
            Some("h") => "h",
            Some("wk") => "week",
            Some("mo") => "month",
            Some("a") => "year",
            Some("min") => "min",
            Some("s") => "s",
            _ => "day",
        };
        let every = if period == "1" {
            unit.to_owned()
        } else {
            format!("{period} {unit}")
        };
        parts.push(format!("{frequency}×/{every}"));
    }
    parts.extend(dosage.route.as_ref().map(|r| r.label().to_owned()));
    if dosage.as_needed == Some(true) {
        parts.push("as needed".into());
    }
    parts.join(", ")
}

/// A size in units that people read.
pub(crate) fn bytes(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

/// What is warned of first, the gravest of it first.
pub(crate) fn allergies(c: &RecordContent) -> Vec<Row> {
    let mut sorted: Vec<_> = c.allergies.iter().collect();
    sorted.sort_by_key(|a| (!subject::stands(a), subject::rank(a)));
    sorted.into_iter().map(allergy).collect()
}

/// Those that are still there first, newest first.
pub(crate) fn conditions(c: &RecordContent, clock: &Clock) -> Vec<Row> {
    let mut sorted = newest(&c.conditions, |c| or(timing(&c.onset), &c.recorded_date));
    sorted.sort_by_key(|c| !is_active(c));
    sorted.into_iter().map(|c| condition(c, clock)).collect()
}

/// Those that are taken now first, newest first.
pub(crate) fn medications(c: &RecordContent, clock: &Clock) -> Vec<Row> {
    let mut sorted = newest(&c.medications, |m| or(timing(&m.effective), &m.authored_on));
    sorted.sort_by_key(|m| !is_current(m));
    sorted.into_iter().map(|m| medication(m, clock)).collect()
}

/// Newest first.
pub(crate) fn encounters(c: &RecordContent, clock: &Clock) -> Vec<Row> {
    let sorted = newest(&c.encounters, started);
    sorted.into_iter().map(|e| encounter(e, c, clock)).collect()
}

/// Newest first.
pub(crate) fn notes(c: &RecordContent, clock: &Clock) -> Vec<Row> {
    let mut sorted: Vec<_> = c.notes.iter().collect();
    sorted.sort_by_key(|n| std::cmp::Reverse(n.created_ms));
    sorted.into_iter().map(|n| note(n, clock)).collect()
}

/// Newest first.
pub(crate) fn attachments(attachments: &[AttachmentView], clock: &Clock) -> Vec<Row> {
    let mut sorted: Vec<_> = attachments.iter().collect();
    sorted.sort_by_key(|a| std::cmp::Reverse(a.added_ms));
    sorted.into_iter().map(|a| attachment(a, clock)).collect()
}

/// What models suggested; what is to be decided stands out.
pub(crate) fn suggestions(suggestions: &[SuggestionView], clock: &Clock) -> Vec<Row> {
    let mut sorted: Vec<_> = suggestions.iter().collect();
    sorted.sort_by_key(|s| std::cmp::Reverse(s.time_ms));
    let row = |s: &&SuggestionView| {
        let tone = match s.state {
            SuggestionState::Open => Tone::Accent,
            SuggestionState::Disputed => Tone::Danger,
            SuggestionState::Accepted => Tone::Good,
            SuggestionState::Rejected => Tone::Dim,
        };
        let label = match &s.label {
            Some(label) if has_reservations(s) => format!("{label} (!)"),
            Some(label) => label.clone(),
            None => "not assessed".to_owned(),
        };
        item(
            Target::Suggestion(s.id.clone()),
            [
                (clock.date(s.time_ms), Tone::Dim),
                (label, Tone::Text),
                (s.p.map(probability).unwrap_or_default(), Tone::Text),
                (s.state.as_str().to_owned(), tone),
                (
                    format!("{} {}", s.inference.model.name, s.inference.model.version),
                    Tone::Dim,
                ),
            ],
        )
    };
    sorted.iter().map(row).collect()
}

/// Whether the model says that less may be made of its label than the number.
fn has_reservations(s: &SuggestionView) -> bool {
    let mut outputs = s.inference.outputs.iter();
    outputs.any(|o| Some(&o.label) == s.label.as_ref() && o.note.is_some())
}

/// A probability; nothing is certain.
pub(crate) fn probability(p: f64) -> String {
    format!("{:.3}", p.clamp(0.0, 1.0))
}

/// A date, or another one where it is empty.
fn or<'a>(date: &'a str, other: &'a Option<String>) -> &'a str {
    if date.is_empty() {
        other.as_deref().unwrap_or("")
    } else {
        date
    }
}

fn started(e: &Encounter) -> &str {
    e.period
        .as_ref()
        .and_then(|p| p.start.as_deref())
        .unwrap_or("")
}

fn note(n: &Note, clock: &Clock) -> Row {
    item(
        Target::Note(n.id.clone()),
        [
            (clock.date(n.created_ms), Tone::Dim),
            (n.author.clone(), Tone::Dim),
            (n.text.clone(), Tone::Text),
        ],
    )
}

fn allergy(a: &AllergyIntolerance) -> Row {
    let stands = subject::stands(a);
    let reaction = a
        .reactions
        .iter()
        .flat_map(|r| {
            let severity = r.severity.as_deref().unwrap_or("");
            r.manifestation.iter().map(move |m| match severity {
                "" => m.label().to_owned(),
                severity => format!("{} ({severity})", m.label()),
            })
        })
        .collect::<Vec<_>>()
        .join(", ");
    let (name, rest) = if stands {
        (Tone::Danger, Tone::Text)
    } else {
        (Tone::Dim, Tone::Dim)
    };
    item(
        Target::Allergy(a.id.clone()),
        [
            (a.code.label().to_owned(), name),
            (reaction, rest),
            (words(&a.clinical_status), Tone::Dim),
        ],
    )
}

fn condition(c: &Condition, clock: &Clock) -> Row {
    let since = or(timing(&c.onset), &c.recorded_date);
    let tone = if is_active(c) { Tone::Text } else { Tone::Dim };
    item(
        Target::Condition(c.id.clone()),
        [
            (clock.day(since), Tone::Dim),
            (c.code.label().to_owned(), tone),
            (words(&c.clinical_status), tone),
            (clock.day(timing(&c.abatement)), Tone::Dim),
        ],
    )
}

fn medication(m: &Medication, clock: &Clock) -> Row {
    let since = or(timing(&m.effective), &m.authored_on);
    let tone = if is_current(m) { Tone::Text } else { Tone::Dim };
    let doses = m.dosage.iter().map(dose).collect::<Vec<_>>().join("; ");
    item(
        Target::Medication(m.id.clone()),
        [
            (m.code.label().to_owned(), tone),
            (doses, tone),
            (words(&m.status), tone),
            (clock.day(since), Tone::Dim),
        ],
    )
}

fn measurement(s: &Series, clock: &Clock) -> Row {
    let latest = s.latest();
    let flag = latest.map_or("", |p| p.flag);
    let value = latest.map_or("", |p| &p.value);
    let (value, tone) = match flag {
        "" => (value.to_owned(), Tone::Text),
        flag => (format!("{flag} {value}"), Tone::Caution),
    };
    item(
        Target::Series(s.key.clone()),
        [
            (s.label.clone(), Tone::Text),
            (value, tone),
            (series::sparkline(&s.numbers(), TREND_COLUMNS), Tone::Accent),
            (clock.day(latest.map_or("", |p| &p.when)), Tone::Dim),
        ],
    )
}

fn encounter(e: &Encounter, c: &RecordContent, clock: &Clock) -> Row {
    let mut reasons: Vec<String> = e.reason.iter().map(|r| r.label().to_owned()).collect();
    for id in &e.reason_conditions {
        let condition = c.conditions.iter().find(|c| c.id == *id);
        reasons.extend(condition.map(|c| c.code.label().to_owned()));
    }
    let class = e
        .class
        .as_ref()
        .and_then(|c| c.display.clone().or_else(|| c.code.clone()));
    item(
        Target::Encounter(e.id.clone()),
        [
            (clock.day(started(e)), Tone::Dim),
            (e.code.label().to_owned(), Tone::Text),
            (reasons.join(", "), Tone::Dim),
            (words(&class), Tone::Dim),
        ],
    )
}

fn attachment(a: &AttachmentView, clock: &Clock) -> Row {
    let (name, tone) = match &a.erased {
        Some(_) => (files::name(a), Tone::Dim),
        None => (files::name(a), Tone::Text),
    };
    let size = match a.erased {
        Some(_) => String::new(),
        None => bytes(a.bytes),
    };
    item(
        Target::Attachment(a.id.clone()),
        [
            (clock.date(a.added_ms), Tone::Dim),
            (name, tone),
            (files::kind(a), Tone::Dim),
            (size, Tone::Text),
            (a.actor.clone(), Tone::Dim),
            files::here(a),
        ],
    )
}

/// Newest first, by a FHIR date.
fn newest<'a, T>(items: &'a [T], date: impl Fn(&'a T) -> &'a str) -> Vec<&'a T> {
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort_by_cached_key(|i| std::cmp::Reverse(when::sort_key(date(i))));
    sorted
}

/// By category, then by name.
pub(crate) fn observations(measured: &[Series], clock: &Clock) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut heading = "";
    for series in measured {
        if series.category != heading {
            heading = &series.category;
            rows.push(Row::Heading(heading.to_owned()));
        }
        rows.push(measurement(series, clock));
    }
    rows
}

/// Newest first.
pub(crate) fn reports(c: &RecordContent, clock: &Clock) -> Vec<Row> {
    let known: BTreeSet<&str> = c.observations.iter().map(|o| o.id.as_str()).collect();
    let sorted = newest(&c.diagnostic_reports, |r| {
        or(timing(&r.effective), &r.issued)
    });
    sorted
        .into_iter()
        .map(|r| report(r, &known, clock))
        .collect()
}

fn report(r: &DiagnosticReport, known: &BTreeSet<&str>, clock: &Clock) -> Row {
    let results = r
        .results
        .iter()
        .filter(|id| known.contains(id.as_str()))
        .count();
    let mut label = (r.code.label().to_owned(), Tone::Text);
    // A report without results says what it says in its conclusion.
    if let Some(conclusion) = r.conclusion.as_ref().filter(|_| results == 0) {
        label.0 = format!("{}: {conclusion}", label.0);
    }
    if r.status.as_deref() == Some("entered-in-error") {
        label = (format!("entered in error: {}", label.0), Tone::Dim);
    }
    item(
        Target::Report(r.id.clone()),
        [
            (clock.day(or(timing(&r.effective), &r.issued)), Tone::Dim),
            label,
            (results.to_string(), Tone::Text),
            (words(&r.status), Tone::Dim),
        ],
    )
}

/// Newest first.
pub(crate) fn immunizations(c: &RecordContent, clock: &Clock) -> Vec<Row> {
    newest(&c.immunizations, |i| timing(&i.occurrence))
        .into_iter()
        .map(|i| {
            let done = i.status.as_deref().is_none_or(|s| s == "completed");
            item(
                Target::Immunization(i.id.clone()),
                [
                    (clock.day(timing(&i.occurrence)), Tone::Dim),
                    (
                        i.code.label().to_owned(),
                        if done { Tone::Text } else { Tone::Dim },
                    ),
                    (words(&i.status), Tone::Dim),
                ],
            )
        })
        .collect()
}

/// Newest first.
pub(crate) fn procedures(c: &RecordContent, clock: &Clock) -> Vec<Row> {
    newest(&c.procedures, |p| timing(&p.performed))
        .into_iter()
        .map(|p| {
            item(
                Target::Procedure(p.id.clone()),
                [
                    (clock.day(timing(&p.performed)), Tone::Dim),
                    (p.code.label().to_owned(), Tone::Text),
                    (labels(&p.reason), Tone::Dim),
                    (words(&p.status), Tone::Dim),
                ],
            )
        })
        .collect()
}

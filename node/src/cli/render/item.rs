//! Tables of a record's items, one kind each. With `ids` the first column names the item for `salus stop` and the like.

use salus_api::AttachmentView;
use salus_api::record::{
    AllergyIntolerance, Condition, DiagnosticReport, Dosage, Encounter, Immunization, Medication,
    MedicationKind, Observation, Procedure,
};

use super::super::codes::LOINC;
use super::super::output::{Span, Style};
use super::super::table::{Column, Table};
use super::super::{text, time};
use super::{count, value};

/// Columns by which the items stand right of the section's title.
const INDENT: usize = 2;

/// A table whose first column is the item's id, its second its name.
fn table(columns: &[Column]) -> Table {
    let mut all = vec![("", Column::Left), ("", Column::Flexible)];
    all.extend(columns.iter().map(|&column| ("", column)));
    Table::new(&all).indented(INDENT)
}

fn row(table: &mut Table, ids: bool, id: &str, name: Span, rest: impl IntoIterator<Item = String>) {
    let id = if ids { text::short(id) } else { "" };
    let first = [Span::new(id, Style::Dim), name];
    table.row(first.into_iter().chain(rest.into_iter().map(Span::from)));
}

fn name(label: &str) -> Span {
    Span::new(
        if label.is_empty() { "(unnamed)" } else { label },
        Style::Plain,
    )
}

fn word(text: Option<&String>) -> String {
    text.cloned().unwrap_or_default()
}

/// Allergies: what, how dangerous, what it did, whether it still is.
pub fn allergies<'a>(items: impl IntoIterator<Item = &'a AllergyIntolerance>, ids: bool) -> Table {
    let mut table = table(&[Column::Left, Column::Flexible, Column::Left]);
    for item in items {
        let style = if item.criticality.as_deref() == Some("high") {
            Style::Warn
        } else {
            Style::Plain
        };
        let criticality = item
            .criticality
            .as_ref()
            .map(|c| format!("criticality {c}"));
        let reactions: Vec<String> = item
            .reactions
            .iter()
            .map(|reaction| {
                let seen = value::labels(&reaction.manifestation);
                let seen = if seen.is_empty() {
                    word(reaction.description.as_ref())
                } else {
                    seen
                };
                match &reaction.severity {
                    Some(severity) => format!("{seen} ({severity})"),
                    None => seen,
                }
            })
            .collect();
        let label = Span::new(name(item.code.label()).text(), style);
        let rest = [
            criticality.unwrap_or_default(),
            reactions.join(", "),
            status(
                item.clinical_status.as_ref(),
                item.verification_status.as_ref(),
            ),
        ];
        row(&mut table, ids, &item.id, label, rest);
    }
    table
}

/// The clinical status, with the verification where it is not simply confirmed.
fn status(clinical: Option<&String>, verification: Option<&String>) -> String {
    let clinical = word(clinical);
    match verification.map(String::as_str) {
        None | Some("confirmed") => clinical,
        Some(verification) if clinical.is_empty() => verification.to_owned(),
        Some(verification) => format!("{clinical}, {verification}"),
    }
}

/// Conditions: what, since when, until when, status.
pub fn conditions<'a>(items: impl IntoIterator<Item = &'a Condition>, ids: bool) -> Table {
    let mut table = table(&[Column::Left, Column::Left, Column::Left]);
    for item in items {
        let since = value::maybe_timing(item.onset.as_ref());
        let since = if since.is_empty() {
            word(item.recorded_date.as_ref())
        } else {
            since
        };
        let until = value::maybe_timing(item.abatement.as_ref());
        let rest = [
            time::brief(&since),
            if until.is_empty() {
                until
            } else {
                format!("until {until}")
            },
            status(
                item.clinical_status.as_ref(),
                item.verification_status.as_ref(),
            ),
        ];
        row(&mut table, ids, &item.id, name(item.code.label()), rest);
    }
    table
}

/// Medicines: which, how to take, since when, status.
pub fn medications<'a>(items: impl IntoIterator<Item = &'a Medication>, ids: bool) -> Table {
    let mut table = table(&[Column::Flexible, Column::Left, Column::Left]);
    for item in items {
        let dosage: Vec<String> = item
            .dosage
            .iter()
            .map(dosage)
            .filter(|d| !d.is_empty())
            .collect();
        let when = value::maybe_timing(item.effective.as_ref());
        let when = match (when.is_empty(), &item.authored_on, item.kind) {
            (false, _, _) | (true, None, _) => when,
            (true, Some(on), MedicationKind::MedicationRequest) => {
                format!("ordered {}", time::brief(on))
            }
            (true, Some(on), MedicationKind::MedicationStatement) => {
                format!("stated {}", time::brief(on))
            }
        };
        let mut status = word(item.status.as_ref());
        if let Some(why) = &item.status_reason {
            status.push_str(&format!(" ({why})"));
        }
        row(
            &mut table,
            ids,
            &item.id,
            name(item.code.label()),
            [dosage.join("; "), when, status],
        );
    }
    table
}

/// An instruction in its own words, else put together from its parts.
fn dosage(dosage: &Dosage) -> String {
    if let Some(text) = &dosage.text {
        return text.clone();
    }
    let mut parts = Vec::new();
    parts.extend(dosage.dose.as_ref().map(value::quantity));
    if let Some(times) = dosage.frequency {
        let unit = dosage.period_unit.as_deref().unwrap_or("d");
        let period = dosage.period.as_ref().map_or("1", |p| p.as_str());
        parts.push(format!("{times}x in {period} {unit}"));
    }
    parts.extend(dosage.route.as_ref().map(|r| r.label().to_owned()));
    if dosage.as_needed == Some(true) {
        parts.push("when needed".to_owned());
    }
    parts.join(", ")
}

/// Observations: what, what came out, when.
pub fn observations<'a>(items: impl IntoIterator<Item = &'a Observation>, ids: bool) -> Table {
    let mut table = table(&[Column::Flexible, Column::Left, Column::Left]);
    for item in items {
        let unfinished = item.status.as_deref().filter(|s| *s != "final");
        let rest = [
            value::observed(item),
            value::maybe_timing(item.effective.as_ref()),
            unfinished.unwrap_or("").to_owned(),
        ];
        let label = if is_blood_pressure(item) {
            BLOOD_PRESSURE
        } else {
            item.code.label()
        };
        row(&mut table, ids, &item.id, name(label), rest);
    }
    table
}

/// What everybody calls a "blood pressure panel with all children optional".
const BLOOD_PRESSURE: &str = "Blood pressure";

/// Whether it is one, by LOINC's code for it (FHIR R4, vital-signs profile) or the older one that many sources use.
pub fn is_blood_pressure(observation: &Observation) -> bool {
    let codes = ["85354-9", "55284-4"];
    codes.iter().any(|code| observation.code.has(LOINC, code))
}

/// Reports: which, what they conclude, when.
pub fn reports<'a>(items: impl IntoIterator<Item = &'a DiagnosticReport>, ids: bool) -> Table {
    let mut table = table(&[Column::Flexible, Column::Left, Column::Left]);
    for item in items {
        let conclusion = item
            .conclusion
            .clone()
            .unwrap_or_else(|| value::labels(&item.conclusion_codes));
        let conclusion = match item.status.as_deref() {
            Some("entered-in-error") => format!("ENTERED IN ERROR: {conclusion}"),
            _ => conclusion,
        };
        let results = match item.results.len() as u64 {
            0 => String::new(),
            n => super::with_plural(n, "result"),
        };
        let rest = [
            conclusion,
            results,
            value::maybe_timing(item.effective.as_ref()),
        ];
        row(&mut table, ids, &item.id, name(item.code.label()), rest);
    }
    table
}

/// Vaccinations: which, when, the lot.
pub fn immunizations<'a>(items: impl IntoIterator<Item = &'a Immunization>, ids: bool) -> Table {
    let mut table = table(&[Column::Left, Column::Left, Column::Left]);
    for item in items {
        let lot = item.lot_number.as_ref().map(|lot| format!("lot {lot}"));
        let undone = item.status.as_deref().filter(|s| *s != "completed");
        let rest = [
            value::maybe_timing(item.occurrence.as_ref()),
            lot.unwrap_or_default(),
            undone.unwrap_or("").to_owned(),
        ];
        row(&mut table, ids, &item.id, name(item.code.label()), rest);
    }
    table
}

/// Procedures: what, what for, when.
pub fn procedures<'a>(items: impl IntoIterator<Item = &'a Procedure>, ids: bool) -> Table {
    let mut table = table(&[Column::Flexible, Column::Left, Column::Left]);
    for item in items {
        let reason = value::labels(&item.reason);
        let undone = item.status.as_deref().filter(|s| *s != "completed");
        let rest = [
            if reason.is_empty() {
                reason
            } else {
                format!("for {reason}")
            },
            value::maybe_timing(item.performed.as_ref()),
            undone.unwrap_or("").to_owned(),
        ];
        row(&mut table, ids, &item.id, name(item.code.label()), rest);
    }
    table
}

/// Visits: which, what for, who, when.
pub fn encounters<'a>(items: impl IntoIterator<Item = &'a Encounter>, ids: bool) -> Table {
    let mut table = table(&[
        Column::Flexible,
        Column::Flexible,
        Column::Left,
        Column::Left,
    ]);
    for item in items {
        let reason = value::labels(&item.reason);
        let started = item.period.as_ref().and_then(|p| p.start.as_deref());
        let unfinished = item.status.as_deref().filter(|s| *s != "finished");
        let rest = [
            if reason.is_empty() {
                reason
            } else {
                format!("for {reason}")
            },
            item.participants.join(", "),
            time::brief(started.unwrap_or("")),
            unfinished.unwrap_or("").to_owned(),
        ];
        row(&mut table, ids, &item.id, name(item.code.label()), rest);
    }
    table
}

/// Files: name, kind, size.
pub fn attachments<'a>(items: impl IntoIterator<Item = &'a AttachmentView>, ids: bool) -> Table {
    let mut table = table(&[Column::Left, Column::Right, Column::Left, Column::Left]);
    for item in items {
        let away = if item.available { "" } else { "not here yet" };
        let rest = [
            item.mime.clone(),
            format!("{} bytes", count(item.bytes)),
            time::iso(item.added_ms),
            away.to_owned(),
        ];
        row(&mut table, ids, &item.id, name(&item.name), rest);
    }
    table
}

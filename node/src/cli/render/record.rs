//! `patient show`: a record. First what a person must know before anything else, then its items.

use std::collections::BTreeMap;
use std::io;

use salus_api::record::{Condition, Medication, Note, Observation, Patient};
use salus_api::{PatientView, SuggestionState};

use super::super::codes::{LOINC, VITALS};
use super::super::exit::{Exit, Outcome};
use super::super::json::Object;
use super::super::output::{Line, Out, Span, Style};
use super::super::table::Table;
use super::super::{text, time};
use super::{ai, item, value, with_plural};

/// Items of one kind in the summary; a guess that keeps an ordinary record on one screen.
const MAX_SUMMARY_ROWS: usize = 8;
/// Notes in the summary; a guess likewise.
const MAX_SUMMARY_NOTES: usize = 3;
/// Lines of each of them; a guess likewise.
const MAX_NOTE_LINES: usize = 4;

/// Shows a record: the summary, or with `all` every item.
pub fn record(out: &mut Out, view: &PatientView, all: bool) -> Outcome {
    if out.form().json {
        out.json(&as_json(view))?;
        return Ok(Exit::DONE);
    }
    head(out, view)?;
    warnings(out, view)?;
    if all {
        everything(out, view)?;
    } else {
        summary(out, view)?;
    }
    Ok(Exit::DONE)
}

fn as_json(view: &PatientView) -> Object {
    let content = &view.content;
    let suggestions: Vec<Object> = view.suggestions.iter().map(ai::as_json).collect();
    Object::new()
        .with("id", &view.row.id)
        .with("patient", &content.patient)
        .with("allergies", &content.allergies)
        .with("conditions", &content.conditions)
        .with("medications", &content.medications)
        .with("observations", &content.observations)
        .with("diagnostic_reports", &content.diagnostic_reports)
        .with("immunizations", &content.immunizations)
        .with("procedures", &content.procedures)
        .with("encounters", &content.encounters)
        .with("notes", &content.notes)
        .with("attachments", &view.attachments)
        .with("conflicts", &view.conflicts)
        .with("heights", &view.heights)
        .merge(&view.row)
        .with("home", &view.home)
        .with("right", view.right)
        .with("verified", view.verified)
        .with("entries", view.entries)
        .with("held_out", view.held_out)
        .with("synced_ms", view.synced_ms)
        .with("problems", &view.problems)
        .with("concerns", &view.concerns)
        .with("suggestions", suggestions)
        .with("linked", &view.linked)
        .with("warnings", &view.warnings)
        .with_some("at", view.at.as_ref())
}

/// Whose record it is, whether it is verified and how fresh it is.
fn head(out: &mut Out, view: &PatientView) -> io::Result<()> {
    let patient = &view.content.patient;
    let name = patient.name();
    let name = if name.is_empty() { "(no name)" } else { &name };
    out.line(Span::new(name, Style::Strong))?;
    let mut fields = Table::fields().indented(2);
    fields.field("patient", about(patient));
    fields.field("contact", contact(patient));
    fields.field("record", view.row.id.as_str());
    let home = text::short(&view.home);
    let right = value::right(view.right);
    fields.field("home", format!("clinic {home}; our right: {right}"));
    let verified = if view.verified {
        "verified"
    } else {
        "NOT VERIFIED"
    };
    let state = format!(
        "{verified}, {}, changed {}",
        with_plural(view.entries, "entry"),
        time::iso(view.row.updated_ms)
    );
    let style = if view.verified {
        Style::Plain
    } else {
        Style::Bad
    };
    fields.row([Span::new("state", Style::Dim), Span::new(&state, style)]);
    let synced = view.synced_ms.map_or_else(|| "never".to_owned(), time::iso);
    fields.field("in step", format!("with another clinic: {synced}"));
    let columns = out.form().columns;
    out.lines(fields.lines(columns))
}

fn about(patient: &Patient) -> String {
    let mut parts = vec![patient.sex.as_str().to_owned()];
    parts.extend(
        patient
            .birth_date
            .as_ref()
            .map(|date| format!("born {date}")),
    );
    parts.extend(match patient.deceased.as_deref() {
        None | Some("false") => None,
        Some("true") => Some("deceased".to_owned()),
        Some(when) => Some(format!("deceased {}", time::brief(when))),
    });
    parts.extend(patient.mrn.as_ref().map(|mrn| format!("MRN {mrn}")));
    parts.extend(patient.language.as_ref().map(|l| l.label().to_owned()));
    parts.join(", ")
}

fn contact(patient: &Patient) -> String {
    let mut parts: Vec<&str> = Vec::new();
    parts.extend(patient.phone.as_deref());
    parts.extend(patient.email.as_deref());
    if let Some(address) = &patient.address {
        parts.extend(address.line.iter().map(String::as_str));
        parts.extend(address.postal_code.as_deref());
        parts.extend(address.city.as_deref());
        parts.extend(address.state.as_deref());
        parts.extend(address.country.as_deref());
    }
    parts.join(", ")
}

/// What must not be overlooked.
fn warnings(out: &mut Out, view: &PatientView) -> io::Result<()> {
    let mut lines = Vec::new();
    if let Some(at) = &view.at {
        lines.push(format!(
            "as it was at {}: {}, as far as known here today; {} came later",
            time::iso(at.time_ms),
            with_plural(at.entries, "entry"),
            at.later
        ));
    }
    for row in &view.linked {
        lines.push(format!(
            "shown as one with {}, {} (record {}): `salus patient unlink` takes it back",
            row.family,
            row.given,
            text::short(&row.id)
        ));
    }
    lines.extend(view.warnings.iter().cloned());
    for concern in &view.concerns {
        lines.push(format!(
            "{}; see `salus patient conflicts {}`",
            concern.text,
            text::short(&view.row.id)
        ));
    }
    if !view.conflicts.is_empty() {
        lines.push(format!(
            "{}: values written apart differ; see `salus patient conflicts {}`",
            with_plural(view.conflicts.len() as u64, "conflict"),
            text::short(&view.row.id)
        ));
    }
    let undecided = view
        .suggestions
        .iter()
        .filter(|s| matches!(s.state, SuggestionState::Open | SuggestionState::Disputed));
    let undecided = undecided.count() as u64;
    if undecided > 0 {
        lines.push(format!(
            "{} of models to decide about; see `salus ai suggestions {}`",
            with_plural(undecided, "suggestion"),
            text::short(&view.row.id)
        ));
    }
    if view.held_out > 0 {
        lines.push(format!(
            "{} kept out of the record: refused, or waiting for others",
            with_plural(view.held_out, "entry")
        ));
    }
    lines.extend(view.problems.iter().cloned());
    for line in lines {
        let columns = out.form().columns.unwrap_or(usize::MAX).saturating_sub(4);
        for (at, part) in text::wrap(&line, columns).iter().enumerate() {
            let mark = if at == 0 { "  ! " } else { "    " };
            out.line(
                Line::new()
                    .styled(mark, Style::Warn)
                    .styled(part, Style::Warn),
            )?;
        }
    }
    Ok(())
}

fn section(out: &mut Out, title: &str, table: &Table, note: &str) -> io::Result<()> {
    let lines = table.lines(out.form().columns);
    if lines.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let title = Line::new()
        .styled(title, Style::Strong)
        .styled(note, Style::Dim);
    out.line(title)?;
    out.lines(lines)
}

/// `  3 of 9`, where not all are shown.
fn of(shown: usize, total: usize) -> String {
    if shown < total {
        format!("  {shown} of {total}")
    } else {
        String::new()
    }
}

fn summary(out: &mut Out, view: &PatientView) -> io::Result<()> {
    let content = &view.content;
    let all = &content.allergies;
    if all.is_empty() {
        out.line("")?;
        // Not the same as "no allergies": nobody has written that.
        out.line(
            Line::new()
                .styled("Allergies", Style::Strong)
                .add("  none recorded"),
        )?;
    }
    let shown: Vec<_> = all.iter().take(MAX_SUMMARY_ROWS).collect();
    let note = of(shown.len(), all.len());
    section(out, "Allergies", &item::allergies(shown, false), &note)?;

    let mut shown: Vec<&Condition> = content
        .conditions
        .iter()
        .filter(|c| is_present(c))
        .collect();
    shown.sort_by_key(|c| std::cmp::Reverse(c.onset.as_ref().map(|o| time::order(o.when()))));
    shown.truncate(MAX_SUMMARY_ROWS);
    let note = of(shown.len(), content.conditions.len());
    section(
        out,
        "Present conditions",
        &item::conditions(shown, false),
        &note,
    )?;

    let mut shown: Vec<&Medication> = content.medications.iter().filter(|m| is_taken(m)).collect();
    shown.sort_by_key(|m| std::cmp::Reverse(m.authored_on.as_deref().map(time::order)));
    shown.truncate(MAX_SUMMARY_ROWS);
    let note = of(shown.len(), content.medications.len());
    section(
        out,
        "Current medicines",
        &item::medications(shown, false),
        &note,
    )?;

    let shown = latest(&content.observations);
    let note = of(shown.len(), content.observations.len());
    section(
        out,
        "Latest observations",
        &item::observations(shown, false),
        &note,
    )?;

    notes(out, &content.notes, false)?;

    let rest: Vec<String> = [
        (content.diagnostic_reports.len(), "report"),
        (content.immunizations.len(), "immunization"),
        (content.procedures.len(), "procedure"),
        (content.encounters.len(), "encounter"),
        (view.attachments.len(), "attachment"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| with_plural(n as u64, what))
    .collect();
    if !rest.is_empty() {
        out.line("")?;
        let line = format!("Also {}; --all shows everything.", rest.join(", "));
        out.line(Span::new(&line, Style::Dim))?;
    }
    Ok(())
}

fn is_present(condition: &Condition) -> bool {
    let over = ["inactive", "remission", "resolved"];
    let wrong = ["refuted", "entered-in-error"];
    !over.contains(&condition.clinical_status.as_deref().unwrap_or(""))
        && !wrong.contains(&condition.verification_status.as_deref().unwrap_or(""))
        && condition.abatement.is_none()
}

fn is_taken(medication: &Medication) -> bool {
    let current = ["active", "on-hold", "unknown", "intended", "draft"];
    current.contains(&medication.status.as_deref().unwrap_or("active"))
}

/// The newest of each measurement: blood pressure and the vital signs first, then the most recent others.
fn latest(observations: &[Observation]) -> Vec<&Observation> {
    let mut newest: BTreeMap<String, (&Observation, i64)> = BTreeMap::new();
    for observation in observations {
        if observation.status.as_deref() == Some("entered-in-error") {
            continue;
        }
        let at = observation
            .effective
            .as_ref()
            .map_or(i64::MIN, |at| time::order(at.when()));
        let known = newest
            .entry(measured(observation))
            .or_insert((observation, at));
        if at > known.1 {
            *known = (observation, at);
        }
    }
    let mut shown: Vec<(&Observation, i64)> = newest.into_values().collect();
    shown.sort_by_key(|(observation, at)| (rank(observation), std::cmp::Reverse(*at)));
    shown.truncate(MAX_SUMMARY_ROWS);
    shown
        .into_iter()
        .map(|(observation, _)| observation)
        .collect()
}

/// What tells one measurement from another: its first code, else its words.
fn measured(observation: &Observation) -> String {
    let code = &observation.code;
    let first = code
        .coding
        .iter()
        .find_map(|c| Some((c.system.as_ref()?, c.code.as_ref()?)));
    first.map_or_else(
        || code.label().to_lowercase(),
        |(system, code)| format!("{system}|{code}"),
    )
}

fn rank(observation: &Observation) -> usize {
    let has = |loinc: &str| observation.code.has(LOINC, loinc);
    if item::is_blood_pressure(observation) {
        return 0;
    }
    VITALS
        .iter()
        .position(|v| has(v.loinc))
        .map_or(VITALS.len() + 1, |at| at + 1)
}

fn everything(out: &mut Out, view: &PatientView) -> io::Result<()> {
    let content = &view.content;
    for (title, table) in [
        ("Allergies", item::allergies(&content.allergies, true)),
        ("Conditions", item::conditions(&content.conditions, true)),
        ("Medicines", item::medications(&content.medications, true)),
        (
            "Observations",
            item::observations(&content.observations, true),
        ),
        ("Reports", item::reports(&content.diagnostic_reports, true)),
        (
            "Immunizations",
            item::immunizations(&content.immunizations, true),
        ),
        ("Procedures", item::procedures(&content.procedures, true)),
        ("Encounters", item::encounters(&content.encounters, true)),
        ("Attachments", item::attachments(&view.attachments, true)),
    ] {
        section(out, title, &table, "")?;
    }
    notes(out, &content.notes, true)
}

/// Notes, newest first: when and by whom, then the text with its paragraphs.
fn notes(out: &mut Out, notes: &[Note], all: bool) -> io::Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    let mut newest: Vec<&Note> = notes.iter().collect();
    newest.sort_by_key(|note| std::cmp::Reverse(note.created_ms));
    if !all {
        newest.truncate(MAX_SUMMARY_NOTES);
    }
    out.line("")?;
    let of = of(newest.len(), notes.len());
    out.line(
        Line::new()
            .styled("Notes", Style::Strong)
            .styled(&of, Style::Dim),
    )?;
    for note in newest {
        let mut title = Line::new().add("  ");
        if all {
            title = title.styled(text::short(&note.id), Style::Dim).add("  ");
        }
        let when = time::brief(&time::iso(note.created_ms));
        out.line(title.add(format!("{when}  {}", note.author)))?;
        let columns = out.form().columns.unwrap_or(usize::MAX).saturating_sub(4);
        let lines = text::wrap(&note.text, columns);
        let shown = if all { lines.len() } else { MAX_NOTE_LINES };
        for line in lines.iter().take(shown) {
            out.line(format!("    {line}"))?;
        }
        if lines.len() > shown {
            out.line(
                Line::new()
                    .add("    ")
                    .styled("… (--all shows the rest)", Style::Dim),
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use salus_api::ConflictView;
    use salus_api::record::{DiagnosticReport, RecordContent};

    use super::super::tests::both;
    use super::*;
    use crate::cli::fake::record as view;

    #[test]
    fn the_summary_fits_a_screen_and_says_what_matters_first() {
        let (text, _) = both(|out| record(out, &view(), false));
        insta::assert_snapshot!(text, @"
        Ng, Wei Ling
          patient  female, born 1956-02-03, MRN M-7
          contact  +49 431 1, Hafenstr. 1, Kiel
          record   3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a
          home     clinic c1c1c1c1c1c1; our right: home
          state    verified, 42 entries, changed 2026-11-22T11:39:35Z
          in step  with another clinic: never

        Allergies
          Penicillin  criticality high  Rash (moderate)  active

        Present conditions  1 of 2
          Essential hypertension  2012-05-01  active

        Current medicines
          Lisinopril 10 mg oral       1x in 1 d, when needed  ordered 2020-02-03  active
          tablet

        Latest observations  3 of 4
          Blood pressure     142/91 mmHg  2026-11-20T09:30+01:00
          Body weight        72.50 kg     2026-11-20
          Total cholesterol  190 mg/dL    2026-11-21

        Notes
          2026-11-22T11:39Z  Dr. Ann Onym
            Feels well.
            Blood pressure to be watched at home every morning for two weeks.

        Also 1 encounter; --all shows everything.
        ");
    }

    #[test]
    fn what_models_suggest_is_announced_and_what_was_in_error_is_marked() {
        let mut shown = view();
        shown.suggestions = vec![ai::tests::suggestion(), ai::tests::suggestion()];
        shown.suggestions[0].state = SuggestionState::Open;
        shown.content.diagnostic_reports = vec![DiagnosticReport {
            id: "d1".into(),
            status: Some("entered-in-error".into()),
            conclusion: Some("pneumonia".into()),
            ..DiagnosticReport::default()
        }];
        let (text, json) = both(|out| record(out, &shown, true));
        assert!(
            text.contains("1 suggestion of models to decide about"),
            "{text}"
        );
        assert!(text.contains("ENTERED IN ERROR: pneumonia"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["suggestions"][1]["state"], "rejected");
    }

    #[test]
    fn everything_is_every_item_with_its_id() {
        let (text, _) = both(|out| record(out, &view(), true));
        insta::assert_snapshot!(text, @"
        Ng, Wei Ling
          patient  female, born 1956-02-03, MRN M-7
          contact  +49 431 1, Hafenstr. 1, Kiel
          record   3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a
          home     clinic c1c1c1c1c1c1; our right: home
          state    verified, 42 entries, changed 2026-11-22T11:39:35Z
          in step  with another clinic: never

        Allergies
          a1  Penicillin  criticality high  Rash (moderate)  active

        Conditions
          c1  Essential hypertension  2012-05-01                    active
          c2  Sinusitis                           until 2020-01-09  resolved

        Medicines
          m1  Lisinopril 10 mg oral   1x in 1 d, when needed  ordered 2020-02-03  active
              tablet

        Observations
          2093-3-2026-  Total cholesterol  190 mg/dL    2026-11-21
          29463-7-2019  Body weight        74.0 kg      2019-01-01
          29463-7-2026  Body weight        72.50 kg     2026-11-20
                        Blood pressure     142/91 mmHg  2026-11-20T09:30+01:00

        Encounters
          e1  Check-up  2026-11-20T09:20+01:00

        Notes
          n1  2026-11-22T11:39Z  Dr. Ann Onym
            Feels well.
            Blood pressure to be watched at home every morning for two weeks.
        ");
    }

    #[test]
    fn a_record_that_needs_attention_says_so_above_its_items() {
        let conflict = ConflictView {
            path: "patient/phone".to_owned(),
            label: "Telephone".to_owned(),
            values: Vec::new(),
        };
        let troubled = PatientView {
            verified: false,
            held_out: 2,
            conflicts: vec![conflict],
            problems: vec!["an item of a later version is not shown".to_owned()],
            content: RecordContent::default(),
            ..view()
        };
        let (text, _) = both(|out| record(out, &troubled, false));
        insta::assert_snapshot!(text, @"
        (no name)
          patient  unknown
          record   3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a
          home     clinic c1c1c1c1c1c1; our right: home
          state    NOT VERIFIED, 42 entries, changed 2026-11-22T11:39:35Z
          in step  with another clinic: never
          ! 1 conflict: values written apart differ; see `salus patient conflicts
            3f9a3f9a3f9a`
          ! 2 entries kept out of the record: refused, or waiting for others
          ! an item of a later version is not shown

        Allergies  none recorded
        ");
    }

    #[test]
    fn the_json_has_the_members_of_the_contract_and_keeps_the_digits() {
        let (_, json) = both(|out| record(out, &view(), false));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        for member in [
            "id",
            "patient",
            "allergies",
            "conditions",
            "medications",
            "observations",
            "diagnostic_reports",
            "immunizations",
            "procedures",
            "encounters",
            "notes",
            "attachments",
            "conflicts",
            "heights",
            "mrn",
            "family",
            "updated_ms",
            "verified",
            "right",
        ] {
            assert!(value.get(member).is_some(), "{member}");
        }
        assert!(json.starts_with("{\"id\":\"3f9a"));
        assert!(json.contains("\"value\":72.50"));
        assert_eq!(value["heights"]["cc".repeat(32)]["seq"], 41);
    }
}

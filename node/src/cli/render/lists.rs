//! Patients, staff, grants and conflicts.

use std::io;

use salus_api::{ConflictsView, DuplicateView, GrantView, PatientRow, StaffView};

use super::super::exit::{Exit, Outcome};
use super::super::json::Object;
use super::super::output::{Line, Out, Span, Style};
use super::super::table::{Column, Table};
use super::super::{text, time};
use super::{json_lines, value};

/// `patient list`, `patient find`.
pub fn patients(out: &mut Out, rows: &[PatientRow]) -> io::Result<()> {
    if out.form().json {
        return json_lines(out, rows);
    }
    if rows.is_empty() {
        out.message("no patients");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("id", Column::Left),
        ("family", Column::Flexible),
        ("given", Column::Flexible),
        ("born", Column::Left),
        ("sex", Column::Left),
        ("MRN", Column::Flexible),
        ("changed", Column::Left),
    ]);
    for row in rows {
        table.row([
            text::short(&row.id).into(),
            Span::new(&row.family, Style::Strong),
            row.given.as_str().into(),
            row.birth_date.as_str().into(),
            row.sex.as_str().into(),
            row.mrn.as_str().into(),
            time::brief(&time::iso(row.updated_ms)).into(),
        ]);
    }
    let columns = out.form().columns;
    out.lines(table.lines(columns))
}

/// `patient new`.
pub fn patient(out: &mut Out, row: &PatientRow) -> io::Result<()> {
    if out.form().json {
        return out.json(row);
    }
    let name = [row.family.as_str(), row.given.as_str()]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    let mut line = Line::new().styled(&name, Style::Strong);
    if !row.mrn.is_empty() {
        line = line.add(format!("  MRN {}", row.mrn));
    }
    out.line(line)?;
    out.line(Line::new().add("  record ").add(row.id.as_str()))
}

/// `staff list`.
pub fn staff(out: &mut Out, staff: &[StaffView]) -> io::Result<()> {
    if out.form().json {
        return json_lines(out, staff);
    }
    let mut table = Table::new(&[
        ("name", Column::Flexible),
        ("roles", Column::Flexible),
        ("key", Column::Left),
        ("", Column::Left),
    ]);
    for person in staff {
        let roles: Vec<&str> = person.roles.iter().map(|role| value::role(*role)).collect();
        let retired = if person.retired { "retired" } else { "" };
        table.row([
            Span::new(&person.name, Style::Strong),
            roles.join(", ").into(),
            text::short(&person.key).into(),
            Span::new(retired, Style::Warn),
        ]);
    }
    let columns = out.form().columns;
    out.lines(table.lines(columns))
}

/// `grants`.
pub fn grants(out: &mut Out, grants: &[GrantView]) -> io::Result<()> {
    if out.form().json {
        return json_lines(out, grants);
    }
    let mut table = Table::new(&[
        ("clinic", Column::Flexible),
        ("id", Column::Left),
        ("right", Column::Left),
        ("by", Column::Flexible),
        ("when", Column::Left),
        ("", Column::Flexible),
    ]);
    for grant in grants {
        table.row([
            Span::new(&grant.name, Style::Strong),
            text::short(&grant.clinic).into(),
            value::right(grant.right).into(),
            grant.by.as_str().into(),
            time::iso(grant.time_ms).into(),
            Span::new(grant.ended.as_deref().unwrap_or(""), Style::Warn),
        ]);
    }
    let columns = out.form().columns;
    out.lines(table.lines(columns))
}

/// `patient conflicts`.
pub fn conflicts(out: &mut Out, patient: &str, found: &ConflictsView) -> Outcome {
    if out.form().json {
        json_lines(out, &found.conflicts)?;
        for concern in &found.concerns {
            out.json(&Object::new().with("concern", &concern.id).merge(concern))?;
        }
        return Ok(Exit::DONE);
    }
    if found.conflicts.is_empty() && found.concerns.is_empty() {
        out.message("no conflicts");
        return Ok(Exit::DONE);
    }
    for concern in &found.concerns {
        let title = Line::new()
            .styled("WARNING ", Style::Bad)
            .add(concern.text.as_str())
            .styled(&format!("  {}", text::short(&concern.id)), Style::Dim);
        out.line(title)?;
        for writer in &concern.writers {
            out.line(format!(
                "  {}: {}; {}, {}, {}",
                writer.path,
                value::json(&writer.value),
                writer.author,
                writer.clinic,
                time::iso(writer.time_ms)
            ))?;
        }
    }
    for conflict in &found.conflicts {
        let title = Line::new()
            .styled(&conflict.label, Style::Strong)
            .add(format!("  {}", conflict.path));
        out.line(title)?;
        let mut table = Table::new(&[
            ("", Column::Right),
            ("", Column::Flexible),
            ("", Column::Flexible),
            ("", Column::Left),
            ("", Column::Left),
        ])
        .indented(2);
        for choice in &conflict.values {
            let shown = if choice.shown { "shown for now" } else { "" };
            table.row([
                choice.choice.to_string().into(),
                value::json(&choice.value).into(),
                format!("{}, {}", choice.author, choice.clinic).into(),
                time::iso(choice.time_ms).into(),
                Span::new(shown, Style::Dim),
            ]);
        }
        let columns = out.form().columns;
        out.lines(table.lines(columns))?;
    }
    if !found.conflicts.is_empty() {
        out.message(format!(
            "settle one with: salus patient resolve {patient} PATH CHOICE"
        ));
    }
    if !found.concerns.is_empty() {
        out.message(format!(
            "correct the record, or let it stand with: salus patient acknowledge {patient} WARNING --why TEXT"
        ));
    }
    Ok(Exit::DONE)
}

/// `patient duplicates`.
pub fn duplicates(out: &mut Out, found: &[DuplicateView]) -> io::Result<()> {
    if out.form().json {
        return found.iter().try_for_each(|duplicate| {
            let object = Object::new()
                .with("of", &duplicate.of.id)
                .with("score", duplicate.score)
                .with("reasons", &duplicate.reasons)
                .with("linked", duplicate.linked);
            out.json(&object.merge(&duplicate.row))
        });
    }
    if found.is_empty() {
        out.message("no record here looks like the same person's");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("alike", Column::Right),
        ("one", Column::Flexible),
        ("other", Column::Flexible),
        ("why", Column::Flexible),
        ("", Column::Left),
    ]);
    let named = |row: &PatientRow| {
        format!(
            "{}, {}  {}  {}",
            row.family,
            row.given,
            row.birth_date,
            text::short(&row.id)
        )
    };
    for duplicate in found {
        let linked = if duplicate.linked { "linked" } else { "" };
        table.row([
            format!("{:.0} %", duplicate.score * 100.0).into(),
            named(&duplicate.of).into(),
            named(&duplicate.row).into(),
            duplicate.reasons.join("; ").into(),
            Span::new(linked, Style::Dim),
        ]);
    }
    let columns = out.form().columns;
    out.lines(table.lines(columns))?;
    out.message("show two as one with: salus patient link PATIENT PATIENT");
    Ok(())
}

#[cfg(test)]
mod tests {
    use salus_api::{ConflictChoice, ConflictView, Response, Right, Role};
    use serde_json::json;

    use super::super::tests::both;
    use super::super::{answer, conflicts};
    use super::*;

    fn row(family: &str, given: &str) -> PatientRow {
        PatientRow {
            id: "3f9a".repeat(16),
            mrn: "M-7".to_owned(),
            family: family.to_owned(),
            given: given.to_owned(),
            birth_date: "1956-02-03".to_owned(),
            sex: "female".to_owned(),
            updated_ms: 1_795_347_575_123,
        }
    }

    #[test]
    fn patients_are_a_table_or_one_object_a_line() {
        let rows = vec![row("Ng", "Wei Ling"), row("Fernández\u{1b}[2J", "李明")];
        let (text, json) = both(|out| answer(out, &Response::Patients(rows.clone())));
        insta::assert_snapshot!(text, @r"
        id            family        given     born        sex     MRN  changed
        3f9a3f9a3f9a  Ng            Wei Ling  1956-02-03  female  M-7  2026-11-22T11:39Z
        3f9a3f9a3f9a  Fernández\u{  李明      1956-02-03  female  M-7  2026-11-22T11:39Z
                      1b}[2J
        ");
        insta::assert_snapshot!(json.lines().next().unwrap(), @r#"{"id":"3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a","mrn":"M-7","family":"Ng","given":"Wei Ling","birth_date":"1956-02-03","sex":"female","updated_ms":1795347575123}"#);
        assert_eq!(json.lines().count(), 2);
    }

    #[test]
    fn a_registered_patient_is_shown_with_the_whole_id() {
        let (text, json) = both(|out| answer(out, &Response::Patient(row("Ng", "Wei"))));
        insta::assert_snapshot!(text, @"
        Ng, Wei  MRN M-7
          record 3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a
        ");
        assert!(json.starts_with("{\"id\":\"3f9a"));
    }

    #[test]
    fn staff_and_grants_are_tables() {
        let staff = vec![
            StaffView {
                name: "Dr. Ann Onym".to_owned(),
                roles: vec![Role::Physician, Role::Admin],
                key: "ab".repeat(32),
                retired: false,
            },
            StaffView {
                name: "Bo".to_owned(),
                roles: vec![Role::Nurse],
                key: "cd".repeat(32),
                retired: true,
            },
        ];
        let (text, _) = both(|out| answer(out, &Response::Staff(staff.clone())));
        insta::assert_snapshot!(text, @"
        name          roles             key
        Dr. Ann Onym  physician, admin  abababababab
        Bo            nurse             cdcdcdcdcdcd  retired
        ");
        let grants = vec![GrantView {
            clinic: "c1".repeat(32),
            name: "North Clinic".to_owned(),
            right: Right::Custodian,
            by: "Ann".to_owned(),
            time_ms: 1_795_347_575_123,
            ended: None,
        }];
        let (text, json) = both(|out| answer(out, &Response::Grants(grants.clone())));
        insta::assert_snapshot!(text, @"
        clinic        id            right      by   when
        North Clinic  c1c1c1c1c1c1  custodian  Ann  2026-11-22T11:39:35Z
        ");
        assert!(json.contains("\"right\":\"custodian\""));
    }

    #[test]
    fn a_conflict_shows_every_value_with_author_and_time() {
        let choice = |choice, value, author: &str, shown| ConflictChoice {
            choice,
            value,
            author: author.to_owned(),
            clinic: "North Clinic".to_owned(),
            time_ms: 1_795_347_575_123,
            shown,
        };
        let conflict = ConflictView {
            path: "patient/phone".to_owned(),
            label: "Telephone".to_owned(),
            values: vec![
                choice(1, json!("+49 431 1"), "Ann", true),
                choice(2, json!(null), "Bo", false),
            ],
        };
        let list = ConflictsView {
            conflicts: vec![conflict],
            concerns: Vec::new(),
        };
        let (text, json) = both(|out| conflicts(out, "3f9a", &list));
        insta::assert_snapshot!(text, @"
        Telephone  patient/phone
          1  +49 431 1  Ann, North Clinic  2026-11-22T11:39:35Z  shown for now
          2  (nothing)  Bo, North Clinic   2026-11-22T11:39:35Z
        ");
        insta::assert_snapshot!(json, @r#"{"path":"patient/phone","label":"Telephone","values":[{"choice":1,"value":"+49 431 1","author":"Ann","clinic":"North Clinic","time_ms":1795347575123,"shown":true},{"choice":2,"value":null,"author":"Bo","clinic":"North Clinic","time_ms":1795347575123,"shown":false}]}"#);
    }

    #[test]
    fn nothing_to_list_leaves_standard_output_empty() {
        let (text, json) = both(|out| answer(out, &Response::Patients(Vec::new())));
        assert_eq!((text.as_str(), json.as_str()), ("", ""));
        let (text, json) = both(|out| conflicts(out, "P", &ConflictsView::default()));
        assert_eq!((text.as_str(), json.as_str()), ("", ""));
    }
}

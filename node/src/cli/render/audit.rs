//! What happened, whether it is all there, and what a sync did.

use std::io;

use salus_api::{AuditRow, SyncReport, VerifyReport};

use super::super::exit::{Exit, Outcome};
use super::super::json::Object;
use super::super::output::{Line, Out, Span, Style};
use super::super::sync::exit_of;
use super::super::table::{Column, Table};
use super::super::{text, time};
use super::{count, json_lines, with_plural};

/// `audit log`.
pub fn log(out: &mut Out, rows: &[AuditRow]) -> io::Result<()> {
    entries(out, rows, true)
}

/// `patient history`: everybody knows whose.
pub fn history(out: &mut Out, rows: &[AuditRow]) -> Outcome {
    entries(out, rows, false)?;
    Ok(Exit::DONE)
}

fn entries(out: &mut Out, rows: &[AuditRow], with_patient: bool) -> io::Result<()> {
    if out.form().json {
        return json_lines(out, rows);
    }
    let mut table = Table::new(&[
        ("time", Column::Left),
        ("entry", Column::Left),
        ("what", Column::Left),
        ("patient", Column::Left),
        ("who", Column::Left),
        ("", Column::Left),
    ]);
    for row in rows {
        let patient = row.patient.as_deref().filter(|_| with_patient);
        table.row([
            time::iso(row.time_ms).into(),
            Span::new(text::short(&row.hash), Style::Dim),
            Span::new(&row.kind, Style::Strong),
            patient.unwrap_or("").into(),
            who(row).into(),
            details(row).into(),
        ]);
    }
    match out.form().columns {
        Some(columns) if columns < table.natural_width() => rows
            .iter()
            .try_for_each(|row| stacked(out, row, with_patient, columns)),
        columns => out.lines(table.lines(columns)),
    }
}

/// An entry in two lines or more, where the terminal is too narrow for one.
fn stacked(out: &mut Out, row: &AuditRow, with_patient: bool, columns: usize) -> io::Result<()> {
    let patient = row.patient.as_deref().filter(|_| with_patient);
    let line = Line::new()
        .add(format!("{}  ", time::iso(row.time_ms)))
        .styled(text::short(&row.hash), Style::Dim)
        .add("  ")
        .styled(&row.kind, Style::Strong)
        .add("  ")
        .add(patient.unwrap_or(""));
    out.line(line)?;
    let details = details(row);
    let colon = if details.is_empty() { "" } else { ": " };
    let below = format!("{}{colon}{details}", who(row));
    for line in text::wrap(&below, columns.saturating_sub(4)) {
        out.line(format!("    {line}"))?;
    }
    Ok(())
}

fn who(row: &AuditRow) -> String {
    format!("{}, {}", row.actor, row.clinic)
}

/// What changed, else at least which part of the record; first of all whether it counts.
fn details(row: &AuditRow) -> String {
    let said = match (row.summary.is_empty(), &row.scope) {
        (false, _) => row.summary.join("; "),
        (true, Some(scope)) => format!("({scope})"),
        (true, None) => String::new(),
    };
    match &row.void {
        Some(why) => format!("DOES NOT COUNT ({why}) {said}"),
        None => said,
    }
}

/// `audit verify`.
pub fn verified(out: &mut Out, report: &VerifyReport) -> Outcome {
    let exit = if report.ok {
        Exit::DONE
    } else {
        Exit::INTEGRITY
    };
    if out.form().json {
        out.json(report)?;
        return Ok(exit);
    }
    let checked = format!(
        "{} and {}",
        with_plural(report.logs, "log"),
        with_plural(report.entries, "entry")
    );
    if report.ok {
        out.line(format!("Verified: {checked} are as they were written."))?;
        return Ok(exit);
    }
    let found = with_plural(report.problems.len() as u64, "problem");
    let line = Line::new()
        .styled(&format!("NOT INTACT: {found}"), Style::Bad)
        .add(format!(" in {checked}."));
    out.line(line)?;
    out.line("What is named here is kept out; the rest is usable.")?;

    let mut table = Table::new(&[
        ("log", Column::Left),
        ("chain", Column::Left),
        ("seq", Column::Right),
        ("what", Column::Flexible),
    ])
    .indented(2);
    for problem in &report.problems {
        let log = if problem.log.is_empty() {
            "(store)"
        } else {
            text::short(&problem.log)
        };
        let seq = if problem.chain.is_empty() {
            String::new()
        } else {
            problem.seq.to_string()
        };
        table.row([
            log.into(),
            text::short(&problem.chain).into(),
            seq.into(),
            problem.what.as_str().into(),
        ]);
    }
    let columns = out.form().columns;
    out.lines(table.lines(columns))?;
    Ok(exit)
}

/// `sync`.
pub fn sync_reports(out: &mut Out, reports: &[SyncReport]) -> Outcome {
    if out.form().json {
        for report in reports {
            let object = Object::new()
                .with("peer", &report.peer)
                .with("sent", report.sent)
                .with("received", report.received)
                .with("refused", report.refused)
                .with("bytes", report.bytes)
                .with("seconds", report.seconds)
                .with("unresolved", report.unresolved)
                .with_some("error", report.error.as_ref());
            out.json(&object)?;
        }
        return Ok(exit_of(reports));
    }
    if reports.is_empty() {
        out.message("no other clinic is known; make one known with `salus peers add ID ADDR`");
    }
    let mut table = Table::new(&[
        ("clinic", Column::Left),
        ("sent", Column::Right),
        ("received", Column::Right),
        ("refused", Column::Right),
        ("bytes", Column::Right),
        ("seconds", Column::Right),
        ("", Column::Flexible),
    ]);
    for report in reports {
        let ended = match &report.error {
            None if report.unresolved > 0 => Span::new(
                &format!(
                    "in step but for {}, which one side no longer shares",
                    with_plural(report.unresolved, "log")
                ),
                Style::Warn,
            ),
            None => Span::from("in step"),
            Some(error) => Span::new(&format!("not finished: {error}"), Style::Bad),
        };
        let refused = if report.refused > 0 {
            Style::Warn
        } else {
            Style::Plain
        };
        table.row([
            text::short(&report.peer).into(),
            count(report.sent).into(),
            count(report.received).into(),
            Span::new(&count(report.refused), refused),
            count(report.bytes).into(),
            format!("{:.2}", report.seconds).into(),
            ended,
        ]);
    }
    let columns = out.form().columns;
    out.lines(table.lines(columns))?;
    Ok(exit_of(reports))
}

#[cfg(test)]
mod tests {
    use salus_api::{Problem, Response};

    use super::super::answer;
    use super::super::tests::both;
    use super::*;

    fn rows() -> Vec<AuditRow> {
        let row = AuditRow {
            hash: "ab".repeat(32),
            log: "3f9a".repeat(16),
            patient: Some("Ng, Wei Ling".to_owned()),
            chain: "cc".repeat(32),
            seq: 7,
            clinic: "North Clinic".to_owned(),
            actor: "Dr. Ann Onym".to_owned(),
            time_ms: 1_795_347_575_123,
            kind: "edit".to_owned(),
            scope: Some("observation".to_owned()),
            summary: vec!["Blood pressure 120/80 mmHg added".to_owned()],
            void: None,
        };
        let sealed = AuditRow {
            hash: "cd".repeat(32),
            patient: None,
            kind: "view".to_owned(),
            scope: None,
            summary: Vec::new(),
            ..row.clone()
        };
        vec![row, sealed]
    }

    #[test]
    fn a_log_says_who_did_what_and_when() {
        let (text, json) = both(|out| answer(out, &Response::Audit(rows())));
        insta::assert_snapshot!(text, @"
        2026-11-22T11:39:35Z  abababababab  edit  Ng, Wei Ling
            Dr. Ann Onym, North Clinic: Blood pressure 120/80 mmHg added
        2026-11-22T11:39:35Z  cdcdcdcdcdcd  view
            Dr. Ann Onym, North Clinic
        ");
        assert_eq!(json.lines().count(), 2);
        let (text, _) = both(|out| history(out, &rows()));
        assert!(!text.contains("Wei Ling"));
        let (mut pipe, seen) = Out::captured();
        log(&mut pipe, &rows()).unwrap();
        insta::assert_snapshot!(seen.stdout(), @"
        time                  entry         what  patient       who
        2026-11-22T11:39:35Z  abababababab  edit  Ng, Wei Ling  Dr. Ann Onym, North Clinic  Blood pressure 120/80 mmHg added
        2026-11-22T11:39:35Z  cdcdcdcdcdcd  view                Dr. Ann Onym, North Clinic
        ");
    }

    #[test]
    fn an_intact_store_is_said_to_be_so() {
        let report = VerifyReport {
            logs: 41,
            entries: 12_345,
            ok: true,
            problems: Vec::new(),
        };
        let (text, json) = both(|out| answer(out, &Response::Verified(report.clone())));
        insta::assert_snapshot!(text, @"Verified: 41 logs and 12,345 entries are as they were written.");
        insta::assert_snapshot!(json, @r#"{"logs":41,"entries":12345,"ok":true,"problems":[]}"#);
    }

    #[test]
    fn a_damaged_store_names_each_place_and_exits_with_five() {
        let report = VerifyReport {
            logs: 41,
            entries: 12_345,
            ok: false,
            problems: vec![
                Problem {
                    log: "3f9a".repeat(16),
                    chain: "cc".repeat(32),
                    seq: 7,
                    what: "the payload is not what was signed".to_owned(),
                },
                Problem {
                    log: String::new(),
                    chain: String::new(),
                    seq: 0,
                    what: "a page of the store does not match its checksum".to_owned(),
                },
            ],
        };
        let (text, json) = both(|out| {
            let outcome = answer(out, &Response::Verified(report.clone()));
            assert_eq!(outcome, Ok(Exit::INTEGRITY));
            outcome
        });
        insta::assert_snapshot!(text, @"
        NOT INTACT: 2 problems in 41 logs and 12,345 entries.
        What is named here is kept out; the rest is usable.
          log           chain         seq  what
          3f9a3f9a3f9a  cccccccccccc    7  the payload is not what was signed
          (store)                          a page of the store does not match its
                                           checksum
        ");
        assert!(json.contains("\"ok\":false,\"problems\":[{\"log\":\"3f9a"));
    }
}

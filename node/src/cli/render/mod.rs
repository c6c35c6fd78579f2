//! Answers as text for a person or as JSON for a program. Each renderer does both, side by side, so that neither is
//! forgotten; the JSON shapes are those of `docs/cli.md`.

mod ai;
mod attachment;
mod audit;
mod clinic;
mod founding;
mod item;
mod lists;
mod record;
mod value;

use std::io;

use salus_api::{ApiError, Response};
use serde::Serialize;

use super::exit::{Exit, Outcome};
use super::json::Object;
use super::output::{Line, Out};

pub use ai::suggestions;
pub use attachment::{attached, bytes};
pub use audit::{history, sync_reports};
pub use clinic::clinic_with_qr;
pub use founding::{Founded, founded, ready, restored};
pub use lists::conflicts;
pub use record::record;

/// Shows any answer in the way that suits it best on its own.
pub fn answer(out: &mut Out, response: &Response) -> Outcome {
    match response {
        Response::Done(what) => done(out, what)?,
        Response::Status(status) => clinic::status(out, status)?,
        // The token is for the session file, not for a screen.
        Response::Unlocked { staff, .. } => done(out, &format!("unlocked as {staff}"))?,
        Response::Staff(staff) => lists::staff(out, staff)?,
        Response::Patient(row) => lists::patient(out, row)?,
        Response::Patients(rows) => lists::patients(out, rows)?,
        Response::Record(view) => return record(out, view, false),
        Response::Added { id } => added(out, id)?,
        Response::Audit(rows) => audit::log(out, rows)?,
        Response::Conflicts(found) => return conflicts(out, "PATIENT", found),
        Response::Duplicates(found) => lists::duplicates(out, found)?,
        Response::Suggestions(found) => return suggestions(out, "PATIENT", found),
        Response::Images(found) => ai::images(out, found)?,
        Response::Doctor(report) => return clinic::doctor(out, report),
        Response::Attachments(files) => attachment::list(out, files)?,
        Response::Imported(report) => out.json(report)?,
        Response::Exported(document) => out.raw(document)?,
        Response::Clinic(clinic) => clinic::clinic(out, clinic)?,
        Response::Peers(peers) => clinic::peers(out, peers)?,
        Response::Synced(reports) => return sync_reports(out, reports),
        Response::Grants(grants) => lists::grants(out, grants)?,
        Response::Verified(report) => return audit::verified(out, report),
        _ => return Err(unexpected().into()),
    }
    Ok(Exit::DONE)
}

/// The node answered something that does not belong to the question.
pub fn unexpected() -> ApiError {
    ApiError::failed("the node's answer was not understood")
        .hint("the daemon may be of another version: stop it and start it again")
}

fn done(out: &mut Out, what: &str) -> io::Result<()> {
    if out.form().json {
        return out.json(&Object::new().with("done", what));
    }
    out.line(sentence(what))
}

fn added(out: &mut Out, id: &str) -> io::Result<()> {
    if out.form().json {
        return out.json(&Object::new().with("id", id));
    }
    out.line(Line::new().add("Added, item ").add(id))
}

/// One object a line.
fn json_lines(out: &mut Out, rows: &[impl Serialize]) -> io::Result<()> {
    rows.iter().try_for_each(|row| out.json(row))
}

/// Begins with a capital and ends with a stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let mut sentence: String = chars
        .next()
        .map(|c| c.to_uppercase().collect())
        .unwrap_or_default();
    sentence.push_str(chars.as_str());
    if !sentence.ends_with(['.', '!', '?', ':']) {
        sentence.push('.');
    }
    sentence
}

/// A count with its thousands apart: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 file`, `2 files`.
pub fn with_plural(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    match noun.strip_suffix('y') {
        Some(stem) if n != 1 => format!("{} {stem}ies", count(n)),
        _ => format!("{} {noun}{plural}", count(n)),
    }
}

#[cfg(test)]
mod tests {
    use salus_api::SessionToken;

    use super::*;
    use crate::cli::output::Form;

    /// What a renderer wrote, as text on a terminal of 80 columns and as JSON.
    pub fn both(render: impl Fn(&mut Out) -> Outcome) -> (String, String) {
        let text = Form {
            columns: Some(80),
            ..Form::default()
        };
        let json = Form {
            json: true,
            ..Form::default()
        };
        let mut shown = [text, json].into_iter().map(|form| {
            let (mut out, seen) = Out::captured_as(form);
            render(&mut out).unwrap();
            seen.stdout()
        });
        (shown.next().unwrap(), shown.next().unwrap())
    }

    #[test]
    fn counts_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(12_345_678), "12,345,678");
        assert_eq!(with_plural(1, "entry"), "1 entry");
        assert_eq!(with_plural(2_000, "entry"), "2,000 entries");
        assert_eq!(with_plural(0, "file"), "0 files");
    }

    #[test]
    fn small_answers_are_a_sentence_or_an_object() {
        let (text, json) = both(|out| answer(out, &Response::Done("the note is written".into())));
        assert_eq!(text, "The note is written.\n");
        assert_eq!(json, "{\"done\":\"the note is written\"}\n");
        let (text, json) = both(|out| answer(out, &Response::Added { id: "o1".into() }));
        assert_eq!(text, "Added, item o1\n");
        assert_eq!(json, "{\"id\":\"o1\"}\n");
    }

    #[test]
    fn a_session_token_is_never_shown() {
        let unlocked = Response::Unlocked {
            session: SessionToken::new("hush".to_owned()),
            staff: "Ann".to_owned(),
        };
        let (text, json) = both(|out| answer(out, &unlocked));
        assert!(!text.contains("hush") && !json.contains("hush"));
    }
}

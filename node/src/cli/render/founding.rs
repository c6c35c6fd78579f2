//! What `init` and `node` say.

use std::io;
use std::path::Path;

use salus_api::Status;

use super::super::exit::{Exit, Outcome};
use super::super::json::Object;
use super::super::output::{Line, Out, Span, Style};
use super::super::text;
use super::with_plural;
use crate::backup::Restored;

/// Words of a line of the recovery phrase: 24 words make six lines of four, as they are copied by hand.
const WORDS_A_LINE: usize = 4;

/// A new clinic.
#[derive(Clone, Copy)]
pub struct Founded<'a> {
    /// Its id.
    pub clinic: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Who founded it.
    pub staff: &'a str,
    /// Where it lives.
    pub data_dir: &'a Path,
    /// Where it will be reached.
    pub addresses: &'a [String],
    /// The recovery words, unless they were written to a file.
    pub words: Option<&'a String>,
    /// That file.
    pub words_file: Option<&'a Path>,
}

/// `restore`.
pub fn restored(out: &mut Out, restored: &Restored) -> Outcome {
    if out.form().json {
        let object = Object::new()
            .with("clinic", &restored.clinic)
            .with("name", &restored.name)
            .with("entries", restored.entries);
        out.json(&object)?;
        return Ok(Exit::DONE);
    }
    let line = Line::new()
        .styled(&restored.name, Style::Strong)
        .add(format!(
            " is restored with {}, as a new life of its store.",
            with_plural(restored.entries, "entry")
        ));
    out.line(line)?;
    out.line("Sync now: other clinics give back what came after the backup. Do not run the old folder again.")?;
    Ok(Exit::DONE)
}

/// `init`.
pub fn founded(out: &mut Out, founded: &Founded<'_>) -> Outcome {
    let file = founded.words_file.map(|path| path.display().to_string());
    let folder = founded.data_dir.display().to_string();
    if out.form().json {
        let object = Object::new()
            .with("clinic", founded.clinic)
            .with("name", founded.name)
            .with("staff", founded.staff)
            .with("data_dir", &folder)
            .with("addresses", founded.addresses)
            .with_some("recovery_words", founded.words)
            .with_some("recovery_file", file);
        out.json(&object)?;
        return Ok(Exit::DONE);
    }
    let line = Line::new()
        .styled(founded.name, Style::Strong)
        .add(format!(" is founded, with {}.", founded.staff));
    out.line(line)?;
    for (label, value) in [("  id    ", founded.clinic), ("  folder", &folder)] {
        out.line(Line::new().styled(label, Style::Dim).add(" ").add(value))?;
    }
    if let Some(file) = file {
        out.line(format!(
            "The recovery words are in {file}: take it away from this machine."
        ))?;
    }
    if let Some(words) = founded.words {
        out.line("")?;
        out.line(Span::new("Recovery words", Style::Strong))?;
        let advice = "Write them down now and keep them away from this machine. They are shown this once; whoever has \
                      them can replace this clinic's keys, and without them nobody can.";
        for line in text::wrap(advice, out.form().columns.unwrap_or(80).saturating_sub(2)) {
            out.line(format!("  {line}"))?;
        }
        out.line("")?;
        let words: Vec<&str> = words.split_whitespace().collect();
        for (row, line) in words.chunks(WORDS_A_LINE).enumerate() {
            let mut printed = String::new();
            for (at, word) in line.iter().enumerate() {
                printed.push_str(&format!("  {:>2} {word:<10}", row * WORDS_A_LINE + at + 1));
            }
            out.line(printed)?;
        }
    }
    Ok(Exit::DONE)
}

/// `node`, once it answers.
pub fn ready(out: &mut Out, status: &Status) -> io::Result<()> {
    if out.form().json {
        out.json(status)?;
        return out.flush();
    }
    let name = status.name.as_deref().unwrap_or("A clinic");
    let line = Line::new()
        .styled(name, Style::Strong)
        .add(": the daemon runs. Ctrl-C stops it.");
    out.line(line)?;
    super::clinic::status_below(out, status)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::super::tests::both;
    use super::*;
    use crate::cli::fake;

    const WORDS: &str = "abandon ability able about above absent absorb abstract absurd abuse access accident \
                         account accuse achieve acid acoustic acquire across act action actor actress actual";

    fn sample<'a>(words: &'a String, addresses: &'a [String]) -> Founded<'a> {
        Founded {
            clinic: "c1c1c1",
            name: "North Clinic",
            staff: "Ann",
            data_dir: Path::new("/data/north"),
            addresses,
            words: Some(words),
            words_file: None,
        }
    }

    #[test]
    fn a_new_clinic_shows_its_recovery_words_once() {
        let words = WORDS.to_owned();
        let (text, json) = both(|out| founded(out, &sample(&words, &[])));
        insta::assert_snapshot!(text, @"
        North Clinic is founded, with Ann.
          id     c1c1c1
          folder /data/north

        Recovery words
          Write them down now and keep them away from this machine. They are shown this
          once; whoever has them can replace this clinic's keys, and without them nobody
          can.

           1 abandon      2 ability      3 able         4 about
           5 above        6 absent       7 absorb       8 abstract
           9 absurd      10 abuse       11 access      12 accident
          13 account     14 accuse      15 achieve     16 acid
          17 acoustic    18 acquire     19 across      20 act
          21 action      22 actor       23 actress     24 actual
        ");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["recovery_words"], WORDS);
    }

    #[test]
    fn words_that_went_to_a_file_are_not_shown() {
        let words = WORDS.to_owned();
        let quiet = Founded {
            words: None,
            words_file: Some(Path::new("/media/usb/words")),
            ..sample(&words, &[])
        };
        let (text, json) = both(|out| founded(out, &quiet));
        assert!(!text.contains("abandon") && !json.contains("abandon"));
        assert!(text.contains("/media/usb/words") && json.contains("recovery_file"));
    }

    #[test]
    fn a_daemon_says_that_it_runs_and_where() {
        let (text, json) = both(|out| {
            ready(out, &fake::status())?;
            Ok(Exit::DONE)
        });
        assert!(text.starts_with("North Clinic: the daemon runs. Ctrl-C stops it.\n"));
        assert!(text.contains("@127.0.0.1:4433"));
        assert_eq!(json.lines().count(), 1);
    }
}

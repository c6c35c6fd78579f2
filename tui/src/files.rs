//! A file of a record in words: what it is, whether it is here, and all that is known of it.

use salus_api::{AttachmentView, PatientView};
use serde_json::{Map, Value};

use crate::detail::Line;
use crate::rows;
use crate::theme::Tone;
use crate::when::Clock;

/// Warnings of one file that are shown (a guess: whoever wrote more wrote nonsense).
const MAX_WARNINGS: usize = 8;

/// What a file is, in a word or two: `CT 512x512`, `WAV 3:25`, `PDF 4 pages`.
pub(crate) fn kind(file: &AttachmentView) -> String {
    let modality = file
        .dicom
        .as_ref()
        .map_or("", |tags| text(tags, "modality"));
    let mut parts = vec![match (modality, text(&file.facts, "kind")) {
        ("", "") => file.mime.clone(),
        ("", kind) => kind.to_owned(),
        (modality, _) => modality.to_owned(),
    }];
    if let Some((width, height)) = size(file) {
        parts.push(match frames(file) {
            0 | 1 => format!("{width}x{height}"),
            n => format!("{width}x{height}x{n}"),
        });
    }
    parts.extend(number(&file.facts, "duration_ms").map(length));
    parts.extend(number(&file.facts, "pages").map(pages));
    parts.join(" ")
}

/// Whether it is here, in a word.
pub(crate) fn here(file: &AttachmentView) -> (String, Tone) {
    match (&file.erased, file.available, file.held) {
        (Some(_), ..) => ("erased".to_owned(), Tone::Dim),
        (None, true, _) => ("here".to_owned(), Tone::Text),
        (None, false, 0) => ("not here".to_owned(), Tone::Caution),
        (None, false, held) => (percent(held, file.bytes), Tone::Caution),
    }
}

/// A part of a whole in hundredths; less than all of it until it is here.
fn percent(held: u64, of: u64) -> String {
    let hundredths = u128::from(held) * 100 / u128::from(of.max(1));
    format!("{} %", hundredths.min(99))
}

/// Its name, or what stands in for one.
pub(crate) fn name(file: &AttachmentView) -> String {
    match (&file.erased, file.name.as_str()) {
        (Some(_), "") => "An erased file".to_owned(),
        (None, "") => "A file without a name".to_owned(),
        (_, name) => name.to_owned(),
    }
}

/// Width and height in pixels, where it is a picture.
fn size(file: &AttachmentView) -> Option<(u64, u64)> {
    let tags = file.dicom.as_ref();
    let size = tags.and_then(|tags| number(tags, "columns").zip(number(tags, "rows")));
    let size = size.or_else(|| number(&file.facts, "width").zip(number(&file.facts, "height")));
    size.filter(|(width, height)| *width > 0 && *height > 0)
}

fn frames(file: &AttachmentView) -> u64 {
    let tags = file.dicom.as_ref();
    let frames = tags.and_then(|tags| number(tags, "frames"));
    frames
        .or_else(|| number(&file.facts, "frames"))
        .unwrap_or(1)
}

/// Whether its samples are Hounsfield units.
pub(crate) fn is_ct(file: &AttachmentView) -> bool {
    let tags = file.dicom.as_ref();
    tags.is_some_and(|tags| text(tags, "modality") == "CT")
}

/// A length in minutes and seconds: `3:25`, `1:02:03`.
pub(crate) fn length(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

fn pages(n: u64) -> String {
    match n {
        1 => "1 page".to_owned(),
        n => format!("{n} pages"),
    }
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> &'a str {
    map.get(name).and_then(Value::as_str).unwrap_or("")
}

fn number(map: &Map<String, Value>, name: &str) -> Option<u64> {
    map.get(name).and_then(Value::as_u64)
}

/// The item of the record that a file belongs to, in words; its id where the record shows no such item.
pub(crate) fn about(view: &PatientView, file: &AttachmentView) -> Option<String> {
    let id = file.about.as_ref()?;
    let c = &view.content;
    let reports = c
        .diagnostic_reports
        .iter()
        .map(|r| (&r.id, "Report", r.code.label()));
    let encounters = c
        .encounters
        .iter()
        .map(|e| (&e.id, "Encounter", e.code.label()));
    let procedures = c
        .procedures
        .iter()
        .map(|p| (&p.id, "Procedure", p.code.label()));
    let conditions = c
        .conditions
        .iter()
        .map(|o| (&o.id, "Condition", o.code.label()));
    let notes = c.notes.iter().map(|n| (&n.id, "Note", n.text.as_str()));
    let mut all = reports
        .chain(encounters)
        .chain(procedures)
        .chain(conditions)
        .chain(notes);
    let found = all.find(|(other, ..)| *other == id);
    Some(found.map_or_else(|| id.clone(), |(_, kind, label)| format!("{kind}: {label}")))
}

/// All that is known of a file, in lines.
pub(crate) fn lines(file: &AttachmentView, about: Option<&str>, clock: &Clock) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut field = |label: &'static str, value: &str, tone: Tone| {
        if !value.is_empty() {
            lines.push(Line::Field(label, value.to_owned(), tone));
        }
    };
    if let Some(why) = &file.erased {
        let why = if why.is_empty() {
            "no reason was kept"
        } else {
            why
        };
        field("Erased", why, Tone::Danger);
    }
    for warning in warnings(file) {
        field("Warning", &warning, Tone::Caution);
    }
    field("Kind", &kind(file), Tone::Text);
    if file.erased.is_none() {
        let (here, tone) = match here(file) {
            (_, _) if file.available => ("yes".to_owned(), Tone::Text),
            (_, tone) if file.held == 0 => ("no, not fetched yet".to_owned(), tone),
            (percent, tone) => (format!("{percent} of it"), tone),
        };
        field("Here", &here, tone);
    }
    if file.bytes > 0 {
        field("Size", &rows::bytes(file.bytes), Tone::Text);
    }
    if let Some(tags) = &file.dicom {
        for (label, value) in picture_tags(tags) {
            field(label, &value, Tone::Text);
        }
    }
    for (label, value) in sound(&file.facts) {
        field(label, &value, Tone::Text);
    }
    if let Some(n) = number(&file.facts, "lines") {
        field("Lines", &n.to_string(), Tone::Text);
    }
    field("About", about.unwrap_or(""), Tone::Text);
    field("Attached", &clock.at(file.added_ms), Tone::Text);
    let by = [file.actor.as_str(), file.clinic.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty());
    field("By", &by.collect::<Vec<_>>().join(", "), Tone::Text);
    field("Remark", text(&file.facts, "note"), Tone::Text);
    field("Type", &file.mime, Tone::Dim);
    field("SHA-256", &file.sha256, Tone::Dim);
    field("Id", &file.id, Tone::Dim);
    lines
}

/// What a person was told when it was attached.
fn warnings(file: &AttachmentView) -> Vec<String> {
    let all = file.facts.get("warnings").and_then(Value::as_array);
    let texts = all.into_iter().flatten().filter_map(Value::as_str);
    texts.take(MAX_WARNINGS).map(str::to_owned).collect()
}

/// What a DICOM file says of its picture, its study and its patient.
fn picture_tags(tags: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let joined = |names: &[&str]| {
        let parts = names
            .iter()
            .map(|name| text(tags, name))
            .filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(" · ")
    };
    let mut picture = Vec::new();
    if let Some((columns, rows)) = number(tags, "columns").zip(number(tags, "rows")) {
        picture.push(format!("{columns} × {rows} pixels"));
    }
    picture.extend(
        number(tags, "frames")
            .filter(|n| *n > 1)
            .map(|n| format!("{n} frames")),
    );
    picture.extend(number(tags, "bits").map(|n| format!("{n} bits")));
    let study = match (
        date(text(tags, "study_date")),
        text(tags, "study_description"),
    ) {
        (date, "") => date,
        (date, what) if date.is_empty() => what.to_owned(),
        (date, what) => format!("{date} · {what}"),
    };
    let born = date(text(tags, "patient_birth_date"));
    let patient = match (joined(&["patient_name", "patient_id"]), born.as_str()) {
        (who, "") => who,
        (who, born) => format!("{who} · born {born}"),
    };
    vec![
        ("Picture", picture.join(", ")),
        ("Modality", text(tags, "modality").to_owned()),
        ("Study", study),
        ("Series", joined(&["series_number", "series_description"])),
        ("Body part", text(tags, "body_part").to_owned()),
        (
            "Its tags name",
            patient.trim_start_matches(" · ").to_owned(),
        ),
    ]
}

/// `20261002` as `2026-10-02`; anything else as it is.
fn date(dicom: &str) -> String {
    match (dicom.get(..4), dicom.get(4..6), dicom.get(6..8)) {
        (Some(y), Some(m), Some(d)) if dicom.len() == 8 && dicom.is_ascii() => {
            format!("{y}-{m}-{d}")
        }
        _ => dicom.to_owned(),
    }
}

/// What is known of a recording.
fn sound(facts: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let channels = number(facts, "channels").map(|n| match n {
        1 => "1 (mono)".to_owned(),
        2 => "2 (stereo)".to_owned(),
        n => n.to_string(),
    });
    let rate = number(facts, "sample_rate").map(|hz| format!("{hz} Hz"));
    vec![
        (
            "Length",
            number(facts, "duration_ms").map(length).unwrap_or_default(),
        ),
        ("Channels", channels.unwrap_or_default()),
        ("Rate", rate.unwrap_or_default()),
        ("Codec", text(facts, "codec").to_owned()),
        (
            "Pages",
            number(facts, "pages")
                .map(|n| n.to_string())
                .unwrap_or_default(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(dicom: Option<Value>, facts: Value) -> AttachmentView {
        let map = |value: Value| value.as_object().cloned().unwrap_or_default();
        AttachmentView {
            mime: "application/x".into(),
            dicom: dicom.map(map),
            facts: map(facts),
            ..AttachmentView::default()
        }
    }

    #[test]
    fn a_table_of_kinds() {
        let table = [
            (
                Some(json!({"modality": "CT", "rows": 512, "columns": 256})),
                json!({}),
                "CT 256x512",
            ),
            (
                Some(json!({"modality": "US", "rows": 4, "columns": 5, "frames": 9})),
                json!({}),
                "US 5x4x9",
            ),
            (
                Some(json!({"rows": 0, "columns": 5})),
                json!({"kind": "DICOM"}),
                "DICOM",
            ),
            (
                None,
                json!({"kind": "WAV", "duration_ms": 205_900}),
                "WAV 3:25",
            ),
            (
                None,
                json!({"kind": "MP3", "duration_ms": 3_723_000}),
                "MP3 1:02:03",
            ),
            (None, json!({"kind": "PDF", "pages": 4}), "PDF 4 pages"),
            (None, json!({"kind": "PDF", "pages": 1}), "PDF 1 page"),
            (
                None,
                json!({"kind": "PNG", "width": 800, "height": 600}),
                "PNG 800x600",
            ),
            (
                None,
                json!({"kind": 7, "width": -3, "height": "x", "pages": null}),
                "application/x",
            ),
        ];
        for (dicom, facts, said) in table {
            assert_eq!(kind(&file(dicom, facts)), said);
        }
    }

    #[test]
    fn what_is_here_is_said_in_a_word() {
        let mut one = file(None, json!({}));
        one.bytes = 1_000;
        let said = |one: &AttachmentView| here(one).0;
        assert_eq!(said(&one), "not here");
        for (held, percent) in [
            (1, "0 %"),
            (405, "40 %"),
            (1_016, "99 %"),
            (u64::MAX, "99 %"),
        ] {
            one.held = held;
            assert_eq!(said(&one), percent);
        }
        one.available = true;
        assert_eq!(said(&one), "here");
        one.erased = Some(String::new());
        assert_eq!(said(&one), "erased");
        assert_eq!(percent(5, 0), "99 %");
    }

    #[test]
    fn tags_that_are_no_dates_stay_as_they_are() {
        for (dicom, said) in [
            ("20261002", "2026-10-02"),
            ("2026", "2026"),
            ("äöüä", "äöüä"),
            ("", ""),
        ] {
            assert_eq!(date(dicom), said);
        }
    }
}

//! What was found out about a file, as the JSON object that its attach entry keeps and faces show.

use salus_media::{DicomFacts, Facts};
use serde_json::{Map, Value, json};

/// Longest text of a tag that is kept, characters.
const MAX_TAG_CHARS: usize = 200;

/// The facts of a file. `about` is what a person should know of it beside: told by readers of the record, too.
pub fn as_json(facts: &Facts, note: Option<&str>, warnings: &[String]) -> String {
    let mut all = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(name.to_owned(), value);
        }
    };
    put("kind", Some(json!(facts.media.name())));
    put("width", facts.width.map(Value::from));
    put("height", facts.height.map(Value::from));
    put("frames", facts.frames.filter(|n| *n > 1).map(Value::from));
    put("pages", facts.pages.map(Value::from));
    put("lines", facts.lines.map(Value::from));
    if let Some(audio) = &facts.audio {
        put("duration_ms", audio.duration_ms.map(Value::from));
        put("sample_rate", Some(json!(audio.sample_rate)));
        put("channels", Some(json!(audio.channels)));
        put("codec", Some(json!(audio.codec)));
    }
    put("note", note.map(Value::from));
    put("warnings", (!warnings.is_empty()).then(|| json!(warnings)));
    put("dicom", facts.dicom.as_ref().map(dicom));
    Value::Object(all).to_string()
}

/// What is kept where all facts together are too long: the kind, and what a person must know.
pub fn without_tags(facts: &Facts, warnings: &[String]) -> String {
    let warnings: Vec<String> = warnings
        .iter()
        .map(|warning| warning.chars().take(MAX_TAG_CHARS).collect())
        .collect();
    json!({"kind": facts.media.name(), "warnings": warnings}).to_string()
}

fn dicom(tags: &DicomFacts) -> Value {
    let mut all = Map::new();
    let texts = [
        ("modality", &tags.modality),
        ("study_date", &tags.study_date),
        ("study_description", &tags.study_description),
        ("series_description", &tags.series_description),
        ("series_number", &tags.series_number),
        ("instance_number", &tags.instance_number),
        ("body_part", &tags.body_part),
        ("patient_id", &tags.patient_id),
        ("patient_name", &tags.patient_name),
        ("patient_birth_date", &tags.patient_birth_date),
        ("patient_sex", &tags.patient_sex),
        ("study_uid", &tags.study_uid),
        ("series_uid", &tags.series_uid),
        ("instance_uid", &tags.instance_uid),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            let text: String = text.chars().take(MAX_TAG_CHARS).collect();
            all.insert(name.to_owned(), text.into());
        }
    }
    for (name, text) in [
        ("transfer_syntax", &tags.transfer_syntax),
        ("photometric", &tags.photometric),
    ] {
        all.insert(name.to_owned(), text.as_str().into());
    }
    for (name, number) in [
        ("rows", tags.rows),
        ("columns", tags.columns),
        ("frames", tags.frames),
        ("samples", u32::from(tags.samples_per_pixel)),
        ("bits", u32::from(tags.bits_stored)),
    ] {
        all.insert(name.to_owned(), number.into());
    }
    if let Some(window) = &tags.window {
        all.insert("window_centre".to_owned(), json!(window.centre));
        all.insert("window_width".to_owned(), json!(window.width));
    }
    // Of the stored samples of all frames.
    if let Some(pixels) = &tags.statistics {
        all.insert("px_min".to_owned(), pixels.min.into());
        all.insert("px_max".to_owned(), pixels.max.into());
        all.insert("px_mean".to_owned(), json!(pixels.mean));
    }
    Value::Object(all)
}

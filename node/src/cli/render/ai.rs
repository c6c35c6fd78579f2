//! `ai suggestions` and `images find`.

use std::io;

use salus_api::{
    ImageView, ImagesView, InferenceOutput, SuggestionState, SuggestionView, SuggestionsView,
    VerdictView,
};

use super::super::exit::{Exit, Outcome};
use super::super::json::Object;
use super::super::output::{Line, Out, Span, Style};
use super::super::table::{Column, Table};
use super::super::{text, time};
use super::with_plural;

/// Outputs of one inference that are shown; all of them are in the JSON.
const MAX_OUTPUTS: usize = 5;

/// `ai suggestions`.
pub fn suggestions(out: &mut Out, patient: &str, found: &SuggestionsView) -> Outcome {
    if out.form().json {
        for suggestion in &found.suggestions {
            out.json(&as_json(suggestion))?;
        }
        left_out(out, found.left_out);
        return Ok(Exit::DONE);
    }
    if found.suggestions.is_empty() {
        out.message("no suggestions");
    }
    for suggestion in &found.suggestions {
        one(out, suggestion)?;
    }
    left_out(out, found.left_out);
    if found.suggestions.iter().any(|s| is_undecided(s.state)) {
        let quote = if patient.contains(char::is_whitespace) {
            "\""
        } else {
            ""
        };
        let patient = format!("{quote}{patient}{quote}");
        out.message(format!(
            "decide with: salus ai accept {patient} SUGGESTION, or salus ai reject {patient} SUGGESTION --why TEXT"
        ));
    }
    Ok(Exit::DONE)
}

fn is_undecided(state: SuggestionState) -> bool {
    matches!(state, SuggestionState::Open | SuggestionState::Disputed)
}

/// A suggestion as programs read it, here and in `patient show`.
pub fn as_json(suggestion: &SuggestionView) -> Object {
    let said = &suggestion.inference;
    Object::new()
        .with("id", &suggestion.id)
        .with("component", &said.component)
        .with("state", suggestion.state)
        .with("label", &suggestion.label)
        .with("p", suggestion.p)
        .with("uncertain", said.uncertain)
        .with("distance", said.distance)
        .with("model", &said.model.name)
        .with("version", &said.model.version)
        .with("weights", &said.model.weights)
        .with("input", &said.input.hash)
        .with("media_type", &said.input.media_type)
        .with("name", &said.input.name)
        .with("outputs", &said.outputs)
        .with("explanation", &said.explanation)
        .with("actor", &suggestion.actor)
        .with("clinic", &suggestion.clinic)
        .with("time_ms", suggestion.time_ms)
        .with("verdicts", &suggestion.verdicts)
}

fn one(out: &mut Out, suggestion: &SuggestionView) -> io::Result<()> {
    let said = &suggestion.inference;
    let title = Line::new()
        .styled(text::short(&suggestion.id), Style::Dim)
        .add("  ")
        .styled(
            suggestion.label.as_deref().unwrap_or("not assessed"),
            Style::Strong,
        )
        .add(
            suggestion
                .p
                .map(|p| format!("  p = {p:.3}"))
                .unwrap_or_default(),
        )
        .add("  ")
        .styled(suggestion.state.as_str(), style(suggestion.state));
    out.line(title)?;
    let mut fields = Table::fields().indented(2);
    fields.field(
        "model",
        format!(
            "{} {} {}, weights {}",
            said.component,
            said.model.name,
            said.model.version,
            text::short(&said.model.weights)
        ),
    );
    let name = said.input.name.as_str();
    let blank = if name.is_empty() { "" } else { "  " };
    fields.field(
        "input",
        format!("{name}{blank}{}", text::short(&said.input.hash)),
    );
    let outputs = said.outputs.iter().take(MAX_OUTPUTS);
    for (n, output) in outputs.enumerate() {
        fields.field(if n == 0 { "said" } else { "" }, said_of(output));
    }
    let more = said.outputs.len().saturating_sub(MAX_OUTPUTS) as u64;
    if more > 0 {
        fields.field("", format!("and {}", with_plural(more, "other")));
    }
    if said.uncertain {
        let far = said.distance.filter(|distance| *distance >= 1.0);
        fields.field(
            if said.outputs.is_empty() { "said" } else { "" },
            match far {
                Some(_) => "not assessed: the input is unlike what the model knows",
                None => "not assessed: the model is unsure",
            },
        );
    }
    if !said.explanation.is_empty() {
        fields.field("why", said.explanation.as_str());
    }
    fields.field(
        "by",
        format!(
            "{}, {}, {}",
            suggestion.actor,
            suggestion.clinic,
            time::iso(suggestion.time_ms)
        ),
    );
    for verdict in &suggestion.verdicts {
        fields.field("verdict", verdict_of(verdict));
    }
    let columns = out.form().columns;
    out.lines(fields.lines(columns))
}

fn said_of(output: &InferenceOutput) -> String {
    let p = output.p.map(|p| format!("  p = {p:.3}"));
    let note = output.note.as_ref().map(|note| format!("  ({note})"));
    format!(
        "{} {}{}{}",
        output.what,
        output.label,
        p.unwrap_or_default(),
        note.unwrap_or_default()
    )
}

fn verdict_of(verdict: &VerdictView) -> String {
    let decided = match (verdict.accepted, &verdict.label, &verdict.why) {
        (true, Some(label), _) => format!("accepted as {label}"),
        (true, None, _) => "accepted".to_owned(),
        (false, _, why) => format!("rejected: {}", why.as_deref().unwrap_or("")),
    };
    let later = if verdict.stands {
        ""
    } else {
        "; decided anew since"
    };
    format!(
        "{decided}; {}, {}, {}{later}",
        verdict.actor,
        verdict.clinic,
        time::iso(verdict.time_ms)
    )
}

fn style(state: SuggestionState) -> Style {
    match state {
        SuggestionState::Open | SuggestionState::Rejected => Style::Dim,
        SuggestionState::Accepted => Style::Plain,
        SuggestionState::Disputed => Style::Warn,
    }
}

fn left_out(out: &mut Out, count: u64) {
    if count > 0 {
        out.message(format!(
            "{} not shown: too many, sealed to this clinic, or of a later version",
            with_plural(count, "entry")
        ));
    }
}

/// `images find`.
pub fn images(out: &mut Out, found: &ImagesView) -> io::Result<()> {
    if out.form().json {
        found
            .images
            .iter()
            .try_for_each(|image| out.json(&image_as_json(image)))?;
    } else if found.images.is_empty() {
        out.message("no images of that category");
    } else {
        let mut table = Table::new(&[
            ("patient", Column::Flexible),
            ("category", Column::Flexible),
            ("p", Column::Right),
            ("state", Column::Left),
            ("image", Column::Left),
            ("file", Column::Flexible),
            ("suggestion", Column::Left),
        ]);
        for image in &found.images {
            let row = &image.patient;
            let note = if image.note.is_some() { " (!)" } else { "" };
            table.row([
                format!("{}, {}  {}", row.family, row.given, text::short(&row.id)).into(),
                Span::new(&format!("{}{note}", image.label), Style::Strong),
                image
                    .p
                    .map(|p| format!("{p:.3}"))
                    .unwrap_or_default()
                    .into(),
                Span::new(image.state.as_str(), style(image.state)),
                text::short(&image.image).into(),
                image.name.as_str().into(),
                text::short(&image.suggestion).into(),
            ]);
        }
        let columns = out.form().columns;
        out.lines(table.lines(columns))?;
        if found.images.iter().any(|image| image.note.is_some()) {
            out.message("(!) the model has reservations about the category: see `salus ai suggestions PATIENT`");
        }
    }
    if found.left_out > 0 {
        out.message(format!(
            "{} not shown",
            with_plural(found.left_out, "image")
        ));
    }
    Ok(())
}

fn image_as_json(image: &ImageView) -> Object {
    Object::new()
        .with("patient", &image.patient.id)
        .with("mrn", &image.patient.mrn)
        .with("family", &image.patient.family)
        .with("given", &image.patient.given)
        .with("image", &image.image)
        .with("name", &image.name)
        .with("label", &image.label)
        .with("p", image.p)
        .with("note", &image.note)
        .with("state", image.state)
        .with("model", &image.model)
        .with("suggestion", &image.suggestion)
        .with("clinic", &image.clinic)
        .with("time_ms", image.time_ms)
        .with("attachment", &image.attachment)
}

#[cfg(test)]
pub mod tests {
    use salus_api::{Inference, InputName, ModelName, PatientRow, Response};

    use super::super::answer;
    use super::super::tests::both;
    use super::*;

    /// Accepted once, rejected since.
    pub fn suggestion() -> SuggestionView {
        let output = |label: &str, p, note: Option<&str>| InferenceOutput {
            what: "category".into(),
            label: label.into(),
            p: Some(p),
            note: note.map(str::to_owned),
        };
        let verdict = |accepted, stands| VerdictView {
            entry: "ee".repeat(32),
            accepted,
            label: None,
            why: (!accepted).then(|| "artefact".to_owned()),
            actor: "Dr. Ann Onym".into(),
            clinic: "North Clinic".into(),
            time_ms: 1_795_347_575_123,
            stands,
        };
        SuggestionView {
            id: "ab".repeat(32),
            state: SuggestionState::Rejected,
            label: Some("pneumonia".into()),
            p: Some(0.912_345),
            inference: Inference {
                component: "imaging".into(),
                model: ModelName {
                    name: "mobilenet".into(),
                    version: "1.0".into(),
                    weights: "cd".repeat(32),
                },
                input: InputName {
                    hash: "ef".repeat(32),
                    media_type: "image/png".into(),
                    name: "chest\u{1b}[2J.png".into(),
                },
                outputs: vec![
                    output("pneumonia", 0.912_345, Some("told by its origin")),
                    output("normal", 0.087_655, None),
                ],
                uncertain: false,
                distance: Some(0.412),
                explanation: "opacity at the right base".into(),
            },
            actor: "Bo".into(),
            clinic: "South Clinic".into(),
            time_ms: 1_795_347_575_123,
            verdicts: vec![verdict(true, false), verdict(false, true)],
        }
    }

    #[test]
    fn a_suggestion_says_model_confidence_reservations_and_verdicts() {
        let found = SuggestionsView {
            suggestions: vec![suggestion()],
            left_out: 0,
        };
        let (text, json) = both(|out| suggestions(out, "P", &found));
        insta::assert_snapshot!(text, @r"
        abababababab  pneumonia  p = 0.912  rejected
          model    imaging mobilenet 1.0, weights cdcdcdcdcdcd
          input    chest\u{1b}[2J.png  efefefefefef
          said     category pneumonia  p = 0.912  (told by its origin)
                   category normal  p = 0.088
          why      opacity at the right base
          by       Bo, South Clinic, 2026-11-22T11:39:35Z
          verdict  accepted; Dr. Ann Onym, North Clinic, 2026-11-22T11:39:35Z; decided
                   anew since
          verdict  rejected: artefact; Dr. Ann Onym, North Clinic, 2026-11-22T11:39:35Z
        ");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        let keys: Vec<&str> = read
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut wanted = vec![
            "id",
            "component",
            "state",
            "label",
            "p",
            "uncertain",
            "distance",
            "model",
            "version",
            "weights",
            "input",
            "media_type",
            "name",
            "outputs",
            "explanation",
            "actor",
            "clinic",
            "time_ms",
            "verdicts",
        ];
        wanted.sort_unstable();
        assert_eq!(keys, wanted);
        assert_eq!(
            (&read["state"], &read["p"]),
            (&"rejected".into(), &0.912_345.into())
        );
        assert_eq!(read["outputs"][0]["note"], "told by its origin");
        assert_eq!(read["verdicts"][1]["why"], "artefact");
    }

    #[test]
    fn what_was_not_assessed_names_no_finding() {
        let mut one = suggestion();
        one.state = SuggestionState::Open;
        (one.label, one.p, one.verdicts) = (None, None, Vec::new());
        one.inference.uncertain = true;
        one.inference.outputs.clear();
        one.inference.distance = Some(3.2);
        let found = SuggestionsView {
            suggestions: vec![one],
            left_out: 0,
        };
        let (text, json) = both(|out| suggestions(out, "P", &found));
        insta::assert_snapshot!(text, @r"
        abababababab  not assessed  open
          model  imaging mobilenet 1.0, weights cdcdcdcdcdcd
          input  chest\u{1b}[2J.png  efefefefefef
          said   not assessed: the input is unlike what the model knows
          why    opacity at the right base
          by     Bo, South Clinic, 2026-11-22T11:39:35Z
        ");
        assert!(json.contains("\"label\":null,\"p\":null,\"uncertain\":true"));
    }

    #[test]
    fn images_are_a_table_or_one_object_a_line() {
        let image = ImageView {
            patient: PatientRow {
                id: "3f9a".repeat(16),
                family: "Ng".into(),
                given: "Wei".into(),
                ..PatientRow::default()
            },
            suggestion: "ab".repeat(32),
            image: "ef".repeat(32),
            name: "chest.png".into(),
            label: "pneumonia".into(),
            p: Some(0.9),
            note: Some("told by its origin".into()),
            state: SuggestionState::Open,
            model: "mobilenet 1.0".into(),
            clinic: "North Clinic".into(),
            time_ms: 1_795_347_575_123,
            attachment: None,
        };
        let found = ImagesView {
            images: vec![image],
            left_out: 0,
        };
        let (text, json) = both(|out| answer(out, &Response::Images(found.clone())));
        insta::assert_snapshot!(text, @"
        patient        category          p  state  image         file       suggestion
        Ng, Wei        pneumonia     0.900  open   efefefefefef  chest.png  abababababab
        3f9a3f9a3f9a   (!)
        ");
        insta::assert_snapshot!(json, @r#"{"patient":"3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a","mrn":"","family":"Ng","given":"Wei","image":"efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef","name":"chest.png","label":"pneumonia","p":0.9,"note":"told by its origin","state":"open","model":"mobilenet 1.0","suggestion":"abababababababababababababababababababababababababababababababab","clinic":"North Clinic","time_ms":1795347575123,"attachment":null}"#);
        let (text, json) = both(|out| answer(out, &Response::Images(ImagesView::default())));
        assert_eq!((text.as_str(), json.as_str()), ("", ""));
    }
}

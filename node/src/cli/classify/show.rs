//! Answers for people and as JSON.

use std::path::Path;

use salus_api::{ApiError, ClassifiedView, Inference};
use salus_models::imaging::classifier::Ranked;

use super::answer::Answer;
use crate::cli::exit::Stop;
use crate::cli::json::Object;
use crate::cli::output::{Line, Out, Style};
use crate::cli::progress::Meter;
use crate::cli::text;
use crate::imaging;

pub fn as_json(path: &Path, said: &Inference, answer: &Answer, suggestion: Option<&str>) -> Object {
    let top = |top: &[Ranked]| -> Vec<Object> {
        let ranked = |ranked: &Ranked| {
            Object::new()
                .with("label", &ranked.label)
                .with("p", ranked.p)
        };
        top.iter().map(ranked).collect()
    };
    let frames: Vec<Object> = answer
        .frames
        .iter()
        .map(|of| {
            Object::new()
                .with("frame", of.number)
                .with("top", top(&of.top))
                .with("uncertain", of.doubt.is_some())
                .with("why", of.doubt)
                .with("distance", of.distance)
        })
        .collect();
    let frame = answer.scan.frame;
    let notes: Vec<Object> = said
        .outputs
        .iter()
        .filter_map(|output| {
            let note = output.note.as_ref()?;
            Some(
                Object::new()
                    .with("label", &output.label)
                    .with("note", note),
            )
        })
        .collect();
    Object::new()
        .with("file", path.display().to_string())
        .with("image", &said.input.hash)
        .with("media_type", &said.input.media_type)
        .with("model", &said.model.name)
        .with("version", &said.model.version)
        .with("weights", &said.model.weights)
        .with("top", top(&answer.said.top))
        .with("uncertain", said.uncertain)
        .with("why", imaging::doubt(&answer.said))
        .with("distance", said.distance)
        .with("notes", notes)
        .with("ms", answer.ms)
        .with_some("suggestion", suggestion)
        .with_some("frame", frame.map(|frame| frame.number))
        .with_some("frame_count", frame.map(|frame| frame.of))
        .with_some("frame_why", frame.map(|frame| frame.why))
        .with_some("frames", (!frames.is_empty()).then_some(frames))
}

pub fn show(
    path: &Path,
    said: &Inference,
    answer: &Answer,
    suggestion: Option<&str>,
    folder: bool,
    out: &mut Out,
) -> Result<(), Stop> {
    let name = path.display().to_string();
    let not_assessed = || format!("not assessed: {}", said.explanation);
    if folder {
        let line = Line::new().add(format!("{name}  "));
        let line = match said.outputs.first() {
            Some(best) if !said.uncertain => {
                let p = best.p.unwrap_or_default();
                let line = line
                    .styled(&best.label, Style::Strong)
                    .add(format!("  p = {p:.3}"));
                if best.note.is_some() {
                    line.styled("  (!)", Style::Warn)
                } else {
                    line
                }
            }
            _ => line.styled(&not_assessed(), Style::Dim),
        };
        out.line(line)?;
        return every_frame(answer, out);
    }
    out.line(Line::new().styled(&name, Style::Strong))?;
    if said.uncertain {
        out.line(Line::new().add("  ").styled(&not_assessed(), Style::Warn))?;
    } else {
        for output in &said.outputs {
            let p = output.p.unwrap_or_default();
            let line = Line::new().add(format!("  {p:>6.3}  {}", output.label));
            out.line(line)?;
            if let Some(note) = output.note.as_ref().filter(|_| p >= 0.05) {
                out.line(
                    Line::new()
                        .add("          ")
                        .styled(&format!("(!) {note}"), Style::Warn),
                )?;
            }
        }
    }
    if let Some(frame) = answer.scan.frame.filter(|_| !said.uncertain) {
        out.line(format!("  {frame}"))?;
    }
    every_frame(answer, out)?;
    out.line(Line::new().styled(
        &format!(
            "  {} {}, weights {}; a suggestion, not a finding; for research use",
            said.model.name,
            said.model.version,
            text::short(&said.model.weights)
        ),
        Style::Dim,
    ))?;
    if let Some(id) = suggestion {
        out.line(format!("  suggestion {}", text::short(id)))?;
    }
    Ok(())
}

/// A line for each frame, where that was asked for.
fn every_frame(answer: &Answer, out: &mut Out) -> Result<(), Stop> {
    let answering = answer.scan.frame.map(|frame| frame.number);
    for of in &answer.frames {
        let mark = if answering == Some(of.number) {
            "*"
        } else {
            " "
        };
        let said = match (of.doubt, of.top.first()) {
            (None, Some(best)) => format!("{}  p = {:.3}", best.label, best.p),
            (doubt, _) => format!("not assessed: {}", doubt.unwrap_or_default()),
        };
        let line = format!("  {mark} frame {:>4}  {said}", of.number);
        out.line(Line::new().styled(&line, Style::Dim))?;
    }
    Ok(())
}

pub fn failed(
    path: &Path,
    error: &ApiError,
    meter: Option<&Meter>,
    out: &mut Out,
) -> Result<(), Stop> {
    if out.form().json {
        let object = Object::new()
            .with("file", path.display().to_string())
            .with("error", &error.message);
        out.json(&object)?;
        return Ok(());
    }
    match meter {
        Some(meter) => meter.beside(|| out.error(error)),
        None => out.error(error),
    }
    Ok(())
}

/// What the node said of a file of a record.
pub fn classified(view: &ClassifiedView, out: &mut Out) -> std::io::Result<()> {
    let said = &view.inference;
    if out.form().json {
        let top: Vec<Object> = said
            .outputs
            .iter()
            .map(|output| {
                Object::new()
                    .with("label", &output.label)
                    .with("p", output.p)
                    .with_some("note", output.note.as_ref())
            })
            .collect();
        let object = Object::new()
            .with("file", &said.input.name)
            .with("image", &said.input.hash)
            .with("media_type", &said.input.media_type)
            .with("model", &said.model.name)
            .with("version", &said.model.version)
            .with("weights", &said.model.weights)
            .with("top", top)
            .with("uncertain", said.uncertain)
            .with("distance", said.distance)
            .with("ms", view.ms)
            .with_some("suggestion", view.suggestion.as_ref());
        return out.json(&object);
    }
    out.line(Line::new().styled(&said.input.name, Style::Strong))?;
    if said.uncertain {
        let why = format!("not assessed: {}", said.explanation);
        out.line(Line::new().add("  ").styled(&why, Style::Warn))?;
    } else {
        for output in &said.outputs {
            let p = output.p.unwrap_or_default();
            out.line(Line::new().add(format!("  {p:>6.3}  {}", output.label)))?;
            if let Some(note) = output.note.as_ref().filter(|_| p >= 0.05) {
                let note = format!("(!) {note}");
                out.line(Line::new().add("          ").styled(&note, Style::Warn))?;
            }
        }
    }
    if let Some(id) = &view.suggestion {
        out.message(format!("suggestion {}", text::short(id)));
    }
    Ok(())
}

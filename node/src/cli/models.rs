//! `salus models`: which models there are, what is stated about them, and whether they are whole.

mod eval;
mod train;

use std::path::Path;

use salus_api::ApiError;
use salus_models::manifest::Manifest;
use salus_models::metrics::Evaluation;
use salus_models::registry::{Entry, Found, Origin, Registry};

use super::args::{Global, ModelName, Models};
use super::exit::{Exit, Outcome};
use super::json::Object;
use super::output::{Line, Out, Style};
use super::table::{Column, Table};
use super::{text, time};
use crate::imaging::{self, model_error};
use crate::node::blocking;

/// Runs it. None of these needs a clinic.
pub async fn models(command: &Models, global: &Global, out: &mut Out) -> Outcome {
    let own = global.folder().ok();
    let own = own.as_deref();
    match command {
        Models::List => list(&imaging::registry(own), out),
        Models::Show(name) => show(&find(name, own)?, out),
        Models::Verify { name } => {
            let (registry, name) = (imaging::registry(own), name.clone());
            verify(registry, name, out).await
        }
        Models::Eval(args) => eval::eval(args, own, out).await,
        Models::Train(args) => train::train_model(args, own, out).await,
    }
}

fn find(name: &ModelName, own: Option<&Path>) -> Result<Entry, ApiError> {
    imaging::find(&name.name, name.model.as_deref(), own)
}

fn place(origin: &Origin) -> String {
    match origin {
        Origin::BuiltIn => "in the program".to_owned(),
        Origin::Folder(folder) => folder.display().to_string(),
    }
}

fn list(registry: &Registry, out: &mut Out) -> Outcome {
    let found = registry.list().map_err(|error| model_error(&error))?;
    let mut exit = Exit::DONE;
    let mut table = Table::new(&[
        ("model", Column::Left),
        ("version", Column::Left),
        ("accuracy", Column::Right),
        ("bytes", Column::Right),
        ("weights", Column::Left),
        ("use", Column::Left),
        ("place", Column::Flexible),
    ]);
    for found in &found {
        match found {
            Found::Model(entry) => {
                let manifest = &entry.manifest;
                if out.form().json {
                    out.json(&listed(entry))?;
                    continue;
                }
                table.row([
                    manifest.name.as_str().into(),
                    manifest.version.as_str().into(),
                    format!("{:.3}", judged(manifest).metrics.accuracy).into(),
                    manifest.weights.bytes.into(),
                    text::short(&manifest.weights.blake3).into(),
                    use_of(manifest).into(),
                    place(&entry.origin).into(),
                ]);
            }
            Found::Broken { folder, error } => {
                let error = model_error(error);
                exit = exit.worst(Exit::of(&error));
                out.error(&ApiError {
                    message: format!("{}: {}", folder.display(), error.message),
                    ..error
                });
            }
        }
    }
    if !out.form().json {
        let columns = out.form().columns;
        out.lines(table.lines(columns))?;
    }
    Ok(exit)
}

/// The evaluation that says most about a model: on images that training never saw, where there were some.
fn judged(manifest: &Manifest) -> &Evaluation {
    let metrics = &manifest.metrics;
    metrics
        .validation
        .as_ref()
        .unwrap_or(&metrics.cross_validation)
}

fn use_of(manifest: &Manifest) -> &'static str {
    if manifest.research_use_only {
        "research only"
    } else {
        "any"
    }
}

fn listed(entry: &Entry) -> Object {
    let manifest = &entry.manifest;
    Object::new()
        .with("model", &manifest.name)
        .with("version", &manifest.version)
        .with("component", &manifest.component)
        .with("weights", &manifest.weights.blake3)
        .with("bytes", manifest.weights.bytes)
        .with("research_use_only", manifest.research_use_only)
        .with("categories", &manifest.categories)
        .with("place", place(&entry.origin))
}

fn show(entry: &Entry, out: &mut Out) -> Outcome {
    let manifest = &entry.manifest;
    if out.form().json {
        out.json(
            &Object::new()
                .with("place", place(&entry.origin))
                .merge(manifest),
        )?;
        return Ok(Exit::DONE);
    }
    out.line(Line::new().styled(
        &format!("{} {}", manifest.name, manifest.version),
        Style::Strong,
    ))?;
    let mut fields = Table::fields().indented(2);
    fields.field("what", manifest.component.as_str());
    fields.field("place", place(&entry.origin));
    fields.field("made", time::iso(manifest.created_ms));
    fields.field(
        "weights",
        format!(
            "{} bytes, {}, BLAKE3 {}",
            manifest.weights.bytes, manifest.weights.dtype, manifest.weights.blake3
        ),
    );
    fields.field("use", use_of(manifest));
    for (n, category) in manifest.categories.iter().enumerate() {
        let label = if n == 0 { "categories" } else { "" };
        match manifest.unreliable.get(category) {
            Some(why) => fields.field(label, format!("{category}  (!) unreliable: {why}")),
            None => fields.field(label, category.as_str()),
        }
    }
    let data = &manifest.data;
    let images: usize = data.images.values().sum();
    fields.field(
        "trained on",
        format!(
            "{images} images of {} groups, BLAKE3 {}",
            data.groups, data.blake3
        ),
    );
    for (n, (licence, count)) in data.licences.iter().enumerate() {
        let label = if n == 0 { "licences" } else { "" };
        fields.field(label, format!("{count}: {licence}"));
    }
    fields.field(
        "started from",
        format!("{} ({})", manifest.base.name, manifest.base.licence),
    );
    let (what, judged) = match &manifest.metrics.validation {
        Some(validation) => ("on validation images", validation),
        None => ("by cross-validation", &manifest.metrics.cross_validation),
    };
    fields.field(
        what,
        format!(
            "accuracy {}, balanced {:.3}, calibration error {:.3}, {} images",
            with_interval(judged, "accuracy", judged.metrics.accuracy),
            judged.metrics.balanced_accuracy,
            judged.metrics.ece,
            judged.n
        ),
    );
    fields.field(
        "not for",
        "diagnosis: read docs/models/imaging.md before use",
    );
    let columns = out.form().columns;
    out.lines(fields.lines(columns))?;
    Ok(Exit::DONE)
}

async fn verify(registry: Registry, name: Option<String>, out: &mut Out) -> Outcome {
    let found = registry.list().map_err(|error| model_error(&error))?;
    let mut exit = Exit::DONE;
    let mut seen = 0;
    for found in found {
        let (label, at, result) = match found {
            Found::Model(entry) => {
                if name
                    .as_ref()
                    .is_some_and(|name| *name != entry.manifest.name)
                {
                    continue;
                }
                let label = format!("{} {}", entry.manifest.name, entry.manifest.version);
                let at = place(&entry.origin);
                let verified = blocking(move || entry.verify().map_err(|e| model_error(&e))).await;
                (label, at, verified)
            }
            Found::Broken { folder, error } => {
                let at = folder.display().to_string();
                ("?".to_owned(), at, Err(model_error(&error)))
            }
        };
        seen += 1;
        let problem = result.as_ref().err().map(|error| error.message.clone());
        if result.is_err() {
            exit = Exit::INTEGRITY;
        }
        if out.form().json {
            out.json(
                &Object::new()
                    .with("model", &label)
                    .with("place", &at)
                    .with("ok", result.is_ok())
                    .with("problem", problem),
            )?;
        } else if let Some(problem) = problem {
            out.line(
                Line::new()
                    .styled("broken", Style::Bad)
                    .add(format!("  {label}  {at}: {problem}")),
            )?;
        } else {
            out.line(format!("ok  {label}  {at}"))?;
        }
    }
    match (seen, name) {
        (0, Some(name)) => Err(
            ApiError::not_found(format!("there is no model {name:?} here"))
                .hint("see `salus models list`")
                .into(),
        ),
        _ => Ok(exit),
    }
}

fn with_interval(evaluation: &Evaluation, name: &str, value: f64) -> String {
    match evaluation.ci95.get(name) {
        Some((low, high)) => format!("{value:.3} ({low:.3} to {high:.3})"),
        None => format!("{value:.3}"),
    }
}

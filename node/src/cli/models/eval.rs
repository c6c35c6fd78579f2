//! `salus models eval`: how good a model is on labelled images, what it makes of foreign ones, and whether its heat maps hold.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use salus_api::ApiError;
use salus_models::ModelError;
use salus_models::imaging::classifier::{Classifier, ClassifyOptions};
use salus_models::imaging::confusion::confusion_picture;
use salus_models::imaging::dataset::{Broken, Dataset, DatasetOptions};
use salus_models::imaging::foreign::Foreign;
use salus_models::imaging::occlusion::Occlusion;
use salus_models::manifest::Manifest;
use salus_models::metrics::Evaluation;
use tokio::sync::mpsc;

use super::{find, with_interval};
use crate::cli::args::EvalArgs;
use crate::cli::exit::{Exit, Outcome, Stop, file_error};
use crate::cli::json::Object;
use crate::cli::output::{Line, Out, Style};
use crate::cli::progress::{Meter, Unit};
use crate::cli::render;
use crate::cli::table::{Column, Table};
use crate::imaging::model_error;
use crate::node::blocking;
use crate::whole_file;

/// Seed of the confidence intervals: the same images give the same figures.
const EVAL_SEED: u64 = 1;
/// Foreign images that are drawn of each kind.
const DRAWN_EACH: u64 = 30;

/// Prints how many files are done.
struct Counter {
    done: AtomicU64,
    stop: AtomicBool,
    moved: mpsc::UnboundedSender<u64>,
}

impl Counter {
    /// One file is done; whether to go on.
    fn step(&self) -> bool {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        // Nobody listens any more where the command has ended.
        let _ = self.moved.send(done);
        !self.stop.load(Ordering::Relaxed)
    }
}

/// What is asked of the model besides its answers on the labelled images.
struct Judgement {
    manifest: Manifest,
    evaluation: Evaluation,
    foreign: Option<Foreign>,
    occlusion: Option<Occlusion>,
    broken: Vec<Broken>,
}

/// Runs it.
pub async fn eval(args: &EvalArgs, own: Option<&Path>, out: &mut Out) -> Outcome {
    let entry = find(&args.name, own)?;
    let folder = args.path.clone();
    let options = DatasetOptions {
        categories: Some(entry.manifest.categories.clone()),
        known_only: true,
        ..DatasetOptions::default()
    };
    let dataset =
        blocking(move || Dataset::open(&folder, &options).map_err(|e| model_error(&e))).await?;
    let left_out = dataset.others.clone();
    if !left_out.is_empty() {
        out.message(format!(
            "left out, for the model does not know them: {}",
            left_out.join(", ")
        ));
    }
    let foreign = match args.foreign_dir.clone() {
        Some(folder) => {
            let open = move || Dataset::open_kinds(&folder).map_err(|e| model_error(&e));
            Some(blocking(open).await?)
        }
        None => None,
    };
    let steps = |dataset: &Dataset| dataset.items.len() as u64;
    let total =
        steps(&dataset) * if args.occlusion { 2 } else { 1 } + foreign.as_ref().map_or(0, steps);
    let what = format!(
        "classifying {}",
        render::with_plural(steps(&dataset), "image")
    );
    let meter = Meter::start(out, &what, Unit::Steps, total);
    let (moved, mut heard) = mpsc::unbounded_channel();
    let counter = Arc::new(Counter {
        done: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        moved,
    });
    // Whoever is interrupted while this runs does not wait for the rest.
    let stop = StopOnDrop(Arc::clone(&counter));
    let judging = Arc::clone(&counter);
    let (drawn, covering) = (args.foreign, args.occlusion);
    let mut work = std::pin::pin!(blocking(move || {
        let classifier = entry.load(None).map_err(|e| model_error(&e))?;
        let wanted = (drawn, foreign.as_ref(), covering);
        judge(&classifier, &dataset, wanted, &|| judging.step()).map_err(|e| model_error(&e))
    }));
    let judgement = loop {
        tokio::select! {
            biased;
            Some(done) = heard.recv() => meter.at(done),
            ended = &mut work => break ended?,
        }
    };
    drop((meter, stop));
    let Judgement {
        manifest,
        evaluation,
        foreign,
        occlusion,
        broken,
    } = judgement;
    for broken in &broken {
        out.error(&ApiError::failed(format!(
            "{}: {}",
            broken.path.display(),
            broken.why
        )));
    }
    if let Some(file) = &args.confusion {
        let png = salus_imaging::encode_png(&confusion_picture(&evaluation));
        whole_file::write_over(file, |out| out.write_all(&png))
            .map_err(|e| file_error("write", file, &e))?;
        out.message(format!("{} written", file.display()));
    }
    if out.form().json {
        out.json(
            &Object::new()
                .with("model", &manifest.name)
                .with("version", &manifest.version)
                .with("weights", &manifest.weights.blake3)
                .with("broken", broken.len())
                .with("left_out", left_out)
                .with_some("foreign", foreign)
                .with_some("occlusion", occlusion)
                .merge(&evaluation),
        )?;
    } else {
        tables(&manifest, &evaluation, out)?;
        if let Some(foreign) = foreign {
            out.line("")?;
            foreign_table(&foreign, evaluation.metrics.refused, out)?;
        }
        if let Some(occlusion) = occlusion {
            out.line("")?;
            occlusion_table(&occlusion, out)?;
        }
    }
    let whole = broken.is_empty();
    Ok(if whole { Exit::DONE } else { Exit::FAILED })
}

fn judge(
    classifier: &Classifier,
    dataset: &Dataset,
    (drawn, foreign, covering): (bool, Option<&Dataset>, bool),
    each: &(dyn Fn() -> bool + Sync),
) -> Result<Judgement, ModelError> {
    let side = classifier.manifest().preprocessing.side;
    let squares = dataset.squares(&[side], dataset.items.len(), each)?;
    let (evaluation, _) =
        classifier.evaluate(dataset, &squares, ClassifyOptions::default(), EVAL_SEED)?;
    let mut broken = squares.broken.clone();
    let mut found = Foreign::default();
    if drawn {
        classifier.foreign_drawn(DRAWN_EACH, &mut found)?;
    }
    if let Some(foreign) = foreign {
        let squares = foreign.squares(&[side], foreign.items.len(), each)?;
        classifier.foreign(foreign, &squares, &mut found)?;
        broken.extend(squares.broken);
    }
    let occlusion = covering.then(|| classifier.occlusion(dataset, &squares, EVAL_SEED, each));
    Ok(Judgement {
        manifest: classifier.manifest().clone(),
        evaluation,
        foreign: (drawn || foreign.is_some()).then_some(found),
        occlusion: occlusion.transpose()?,
        broken,
    })
}

struct StopOnDrop(Arc<Counter>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

fn tables(manifest: &Manifest, evaluation: &Evaluation, out: &mut Out) -> Result<(), Stop> {
    let columns = out.form().columns;
    out.line(Line::new().styled(
        &format!(
            "{} {} on {} images of {} groups (95 % intervals by bootstrap over groups)",
            manifest.name, manifest.version, evaluation.n, evaluation.groups
        ),
        Style::Strong,
    ))?;
    let metrics = &evaluation.metrics;
    let mut fields = Table::fields().indented(2);
    for (label, name, value) in [
        ("accuracy", "accuracy", metrics.accuracy),
        (
            "balanced accuracy",
            "balanced_accuracy",
            metrics.balanced_accuracy,
        ),
        ("macro F1", "macro_f1", metrics.macro_f1),
        ("among the first three", "top3", metrics.top3),
        ("Brier score", "brier", metrics.brier),
        ("calibration error", "ece", metrics.ece),
        ("not assessed", "refused", metrics.refused),
    ] {
        fields.field(label, with_interval(evaluation, name, value));
    }
    if let Some(auroc) = metrics.auroc {
        fields.field("mean AUROC", with_interval(evaluation, "auroc", auroc));
    }
    if let Some(accuracy) = metrics.accuracy_assessed {
        fields.field("accuracy of the assessed", format!("{accuracy:.3}"));
    }
    out.lines(fields.lines(columns))?;

    let right = |name| (name, Column::Right);
    out.line("")?;
    let mut table = Table::new(&[
        ("category", Column::Left),
        right("images"),
        right("precision"),
        right("recall"),
        right("F1"),
        ("", Column::Left),
    ]);
    for (name, of) in &evaluation.per_class {
        let note = manifest.unreliable.contains_key(name);
        table.row([
            name.as_str().into(),
            (of.n as u64).into(),
            format!("{:.3}", of.precision).into(),
            format!("{:.3}", of.recall).into(),
            format!("{:.3}", of.f1).into(),
            if note { "unreliable" } else { "" }.into(),
        ]);
    }
    out.lines(table.lines(columns))?;
    for (title, parts) in [
        ("family", &evaluation.per_family),
        ("source", &evaluation.per_source),
    ] {
        if parts.is_empty() {
            continue;
        }
        out.line("")?;
        let mut table = Table::new(&[
            (title, Column::Left),
            right("images"),
            right("accuracy"),
            ("95 %", Column::Left),
            right("balanced"),
        ]);
        for (name, part) in parts {
            table.row([
                name.as_str().into(),
                (part.n as u64).into(),
                format!("{:.3}", part.accuracy).into(),
                format!("{:.3} to {:.3}", part.ci95.0, part.ci95.1).into(),
                format!("{:.3}", part.balanced_accuracy).into(),
            ]);
        }
        out.lines(table.lines(columns))?;
    }
    out.line("")?;
    confusion(evaluation, out)
}

/// Rows are what images are, columns what was said; columns are numbered, for names do not fit.
fn confusion(evaluation: &Evaluation, out: &mut Out) -> Result<(), Stop> {
    let widest = evaluation
        .categories
        .iter()
        .map(String::len)
        .max()
        .unwrap_or(0);
    let mut head = format!("{:widest$}     ", "is \\ said");
    for n in 1..=evaluation.categories.len() {
        let _ = write!(head, "{n:>4}");
    }
    out.line(Line::new().styled(&head, Style::Dim))?;
    for (n, (name, row)) in (1..).zip(evaluation.categories.iter().zip(&evaluation.confusion)) {
        let mut line = Line::new().add(format!("{name:widest$} {n:>3} "));
        for (said, count) in (1..).zip(row) {
            let cell = if *count == 0 {
                "   .".to_owned()
            } else {
                format!("{count:>4}")
            };
            let style = match (n == said, *count) {
                (true, _) => Style::Strong,
                (false, 0) => Style::Dim,
                (false, _) => Style::Plain,
            };
            line = line.styled(&cell, style);
        }
        out.line(line)?;
    }
    Ok(())
}

fn foreign_table(foreign: &Foreign, refused: f64, out: &mut Out) -> Result<(), Stop> {
    let columns = out.form().columns;
    let mut table = Table::new(&[
        ("foreign images", Column::Left),
        ("images", Column::Right),
        ("assessed", Column::Right),
        ("taken for", Column::Flexible),
    ]);
    let all = std::iter::once(("all", &foreign.all));
    let kinds = foreign.kinds.iter().map(|(kind, of)| (kind.as_str(), of));
    for (kind, of) in kinds.chain(all) {
        let taken: Vec<String> = of
            .taken_for
            .iter()
            .map(|(category, count)| format!("{category} {count}"))
            .collect();
        table.row([
            kind.into(),
            (of.n as u64).into(),
            (of.assessed as u64).into(),
            taken.join(", ").into(),
        ]);
    }
    out.lines(table.lines(columns))?;
    out.line(Line::new().styled(
        &format!("assessed is wrong here; of its own images {refused:.3} are not assessed"),
        Style::Dim,
    ))?;
    Ok(())
}

fn occlusion_table(occlusion: &Occlusion, out: &mut Out) -> Result<(), Stop> {
    let columns = out.form().columns;
    out.line(Line::new().styled(
        &format!(
            "how much the first category's logit falls with a square of {:.2} of the side covered, {} assessed images",
            occlusion.side, occlusion.n
        ),
        Style::Strong,
    ))?;
    let mut fields = Table::fields().indented(2);
    for (label, fall) in [
        ("the hottest", occlusion.hottest),
        ("drawn at random", occlusion.drawn),
        ("the coldest", occlusion.coldest),
        ("hottest above coldest", occlusion.hottest_falls_more),
    ] {
        let (low, high) = fall.ci95;
        fields.field(label, format!("{:.3} ({low:.3} to {high:.3})", fall.mean));
    }
    out.lines(fields.lines(columns))?;
    Ok(())
}

//! `salus models`: which models there are, whether they are whole, how good they are, and training them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use salus_api::ApiError;
use salus_models::imaging::classifier::ClassifyOptions;
use salus_models::imaging::confusion::confusion_picture;
use salus_models::imaging::dataset::{Dataset, DatasetOptions, LicencePolicy};
use salus_models::imaging::train::{BaseWeights, Event, Observer, Request, TrainSettings, train};
use salus_models::manifest::Manifest;
use salus_models::metrics::Evaluation;
use salus_models::registry::{Entry, Found, Origin, Registry};
use tokio::sync::mpsc;

use super::args::{EvalArgs, Global, Licence, ModelName, Models, TrainArgs};
use super::exit::{Exit, Outcome, Stop, file_error};
use super::json::Object;
use super::output::{Line, Out, Style};
use super::progress::{Meter, Unit};
use super::table::{Column, Table};
use super::{render, text, time};
use crate::folder::read_bounded;
use crate::imaging::{self, model_error};
use crate::node::blocking;
use crate::whole_file;

/// Where the weights to start from are looked for, in each folder above the images.
const BASE_PLACE: &str = "weights/mobilenetv2-imagenet/mobilenetv2_1.0_224.safetensors";
/// Largest weights to start from, bytes: MobileNetV2 1.0 in 32 bits has 14 million.
const MAX_BASE_BYTES: u64 = 64 << 20;
/// Largest file of settings, bytes.
const MAX_SETTINGS_BYTES: u64 = 1 << 20;
/// Seed of the confidence intervals: the same images give the same figures.
const EVAL_SEED: u64 = 1;

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
        Models::Eval(args) => eval(args, own, out).await,
        Models::Train(args) => train_model(args, own, out).await,
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

/// Prints how many files are done.
struct Counter {
    done: AtomicU64,
    stop: AtomicBool,
    moved: mpsc::UnboundedSender<u64>,
}

async fn eval(args: &EvalArgs, own: Option<&Path>, out: &mut Out) -> Outcome {
    let entry = find(&args.name, own)?;
    let categories = entry.manifest.categories.clone();
    let folder = args.path.clone();
    let options = DatasetOptions {
        categories: Some(categories),
        ..DatasetOptions::default()
    };
    let dataset =
        blocking(move || Dataset::open(&folder, &options).map_err(|e| model_error(&e))).await?;
    let total = dataset.items.len() as u64;
    let what = format!("classifying {}", render::with_plural(total, "image"));
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
    let mut work = std::pin::pin!(blocking(move || {
        let classifier = entry.load(None).map_err(|e| model_error(&e))?;
        let side = classifier.manifest().preprocessing.side;
        let each = || {
            let done = judging.done.fetch_add(1, Ordering::Relaxed) + 1;
            // Nobody listens any more where the command has ended.
            let _ = judging.moved.send(done);
            !judging.stop.load(Ordering::Relaxed)
        };
        let squares = dataset
            .squares(&[side], dataset.items.len(), &each)
            .map_err(|e| model_error(&e))?;
        let (evaluation, _) = classifier
            .evaluate(&dataset, &squares, ClassifyOptions::default(), EVAL_SEED)
            .map_err(|e| model_error(&e))?;
        Ok((classifier.manifest().clone(), evaluation, squares.broken))
    }));
    let (manifest, evaluation, broken) = loop {
        tokio::select! {
            biased;
            Some(done) = heard.recv() => meter.at(done),
            ended = &mut work => break ended?,
        }
    };
    drop((meter, stop));
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
                .merge(&evaluation),
        )?;
    } else {
        tables(&manifest, &evaluation, out)?;
    }
    let whole = broken.is_empty();
    Ok(if whole { Exit::DONE } else { Exit::FAILED })
}

struct StopOnDrop(Arc<Counter>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

fn with_interval(evaluation: &Evaluation, name: &str, value: f64) -> String {
    match evaluation.ci95.get(name) {
        Some((low, high)) => format!("{value:.3} ({low:.3} to {high:.3})"),
        None => format!("{value:.3}"),
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

/// What a training run tells, as lines; and whether it is to end.
struct Told {
    lines: mpsc::UnboundedSender<String>,
    stop: Arc<AtomicBool>,
    began: Instant,
    last: Mutex<Option<Instant>>,
}

/// Seconds between two lines about steps.
const STEP_LINE_S: u64 = 10;

impl Observer for Told {
    fn on(&self, event: &Event<'_>) -> bool {
        let line = match event {
            Event::Decoded { done, of } if done == of => Some(format!("{of} images decoded")),
            Event::Features {
                variant,
                variants,
                done,
                of,
            } => (done == of || self.is_time()).then(|| {
                let variant = variant + 1;
                format!("frozen layers: variant {variant} of {variants}, {done} of {of} images")
            }),
            Event::Step { fit, epoch, epochs, step, steps, loss, accuracy } => self.is_time().then(|| {
                format!("{fit}: epoch {epoch} of {epochs}, step {step} of {steps}, loss {loss:.3}, accuracy {accuracy:.3}")
            }),
            Event::Epoch { fit, epochs, report } => {
                let held_out = match (report.held_out_loss, report.held_out_accuracy) {
                    (Some(loss), Some(accuracy)) => format!("; held out: loss {loss:.3}, accuracy {accuracy:.3}"),
                    _ => String::new(),
                };
                Some(format!(
                    "{fit}: epoch {} of {epochs} done, loss {:.3}, accuracy {:.3}{held_out}",
                    report.epoch, report.train_loss, report.train_accuracy
                ))
            }
            Event::Note(text) => Some((*text).to_owned()),
            _ => None,
        };
        if let Some(line) = line {
            let seconds = self.began.elapsed().as_secs();
            // Nobody listens any more where the command has ended.
            let _ = self
                .lines
                .send(format!("{:>3}:{:02}  {line}", seconds / 60, seconds % 60));
        }
        !self.stop.load(Ordering::Relaxed)
    }
}

impl Told {
    fn is_time(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| at.elapsed().as_secs() >= STEP_LINE_S);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

struct EndOnDrop(Arc<AtomicBool>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn train_model(args: &TrainArgs, own: Option<&Path>, out: &mut Out) -> Outcome {
    if args.name != imaging::NAME {
        return Err(
            ApiError::not_found(format!("no model {:?} can be trained", args.name))
                .hint("`imaging` can")
                .into(),
        );
    }
    let output = match (&args.out, own) {
        (Some(out), _) => out.clone(),
        (None, Some(own)) if own.is_dir() => imaging::own_model(own, &args.name),
        (None, _) => {
            return Err(
                ApiError::usage("there is no clinic here to train the model for")
                    .hint("say where the model goes with --out DIR")
                    .into(),
            );
        }
    };
    let settings = settings(args)?;
    let base_file = base(args)?;
    let base_bytes = read_bounded(&base_file, MAX_BASE_BYTES)?;
    let base = BaseWeights::parse(
        &base_bytes,
        "MobileNetV2 1.0 at 224 pixels, ImageNet",
        "Apache-2.0",
    )
    .map_err(|error| model_error(&error))?;
    out.message(format!("starting from {}", base_file.display()));
    let (images, version) = (args.path.clone(), args.version_name.clone());
    let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let mut state = output.clone().into_os_string();
    state.push(".state");
    let state = PathBuf::from(state);
    let (lines, mut heard) = mpsc::unbounded_channel();
    let stop = Arc::new(AtomicBool::new(false));
    let end = EndOnDrop(Arc::clone(&stop));
    let told = Told {
        lines,
        stop,
        began: Instant::now(),
        last: Mutex::new(None),
    };
    let (into, kept) = (output.clone(), state.clone());
    let mut work = std::pin::pin!(blocking(move || {
        let request = Request {
            images: &images,
            base: &base,
            settings: &settings,
            state: &kept,
            output: &into,
            version: &version,
            now_ms,
        };
        train(&request, &told).map_err(|error| model_error(&error))
    }));
    let trained = loop {
        tokio::select! {
            biased;
            Some(line) = heard.recv() => out.message(line),
            ended = &mut work => break ended?,
        }
    };
    drop(end);
    while let Ok(line) = heard.try_recv() {
        out.message(line);
    }
    for broken in &trained.broken {
        out.message(format!(
            "{} gives no picture: {}",
            broken.path.display(),
            broken.why
        ));
    }
    for dropped in &trained.dropped {
        out.message(format!("{dropped} has too few images and is not learnt"));
    }
    out.message(format!(
        "{} is of no use any more and may be removed",
        state.display()
    ));
    let entry = Entry::open(&output).map_err(|error| model_error(&error))?;
    show(&entry, out)
}

fn settings(args: &TrainArgs) -> Result<TrainSettings, ApiError> {
    let mut settings = match &args.settings {
        Some(file) => {
            let bytes = read_bounded(file, MAX_SETTINGS_BYTES)?;
            serde_json::from_slice(&bytes).map_err(|error| {
                ApiError::usage(format!("{} holds no settings: {error}", file.display()))
                    .hint("`salus models show imaging --json` prints those of a model, under training.settings")
            })?
        }
        None => TrainSettings::default(),
    };
    if let Some(seed) = args.seed {
        settings.seed = seed;
    }
    settings.licences = match args.licence {
        Licence::Any => LicencePolicy::Any,
        Licence::Verified => LicencePolicy::Verified,
    };
    Ok(settings)
}

fn base(args: &TrainArgs) -> Result<PathBuf, ApiError> {
    if let Some(base) = &args.base {
        return Ok(base.clone());
    }
    let images = std::path::absolute(&args.path).map_err(|e| file_error("read", &args.path, &e))?;
    let mut places = images.ancestors().map(|folder| folder.join(BASE_PLACE));
    places.find(|place| place.is_file()).ok_or_else(|| {
        ApiError::not_found("there are no weights to start from")
            .hint("name them with --base: MobileNetV2 1.0 at 224 pixels trained on ImageNet, batch norm folded, as safetensors with torchvision's names")
    })
}

//! `salus models train`: from labelled images to a model, told as it goes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use salus_api::ApiError;
use salus_models::imaging::dataset::LicencePolicy;
use salus_models::imaging::train::{BaseWeights, Event, Observer, Request, TrainSettings, train};
use salus_models::registry::Entry;
use tokio::sync::mpsc;

use super::show;
use crate::cli::args::{Licence, TrainArgs};
use crate::cli::exit::{Outcome, file_error};
use crate::cli::output::Out;
use crate::folder::read_bounded;
use crate::imaging::{self, model_error};
use crate::node::blocking;

/// Where the weights to start from are looked for, in each folder above the images.
const BASE_PLACE: &str = "weights/mobilenetv2-imagenet/mobilenetv2_1.0_224.safetensors";
/// Largest weights to start from, bytes: MobileNetV2 1.0 in 32 bits has 14 million.
const MAX_BASE_BYTES: u64 = 64 << 20;
/// Largest file of settings, bytes.
const MAX_SETTINGS_BYTES: u64 = 1 << 20;

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

pub async fn train_model(args: &TrainArgs, own: Option<&Path>, out: &mut Out) -> Outcome {
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

//! Trains the image classifier: `train_imaging IMAGES BASE.safetensors OUTPUT [SETTINGS.json]`.
//!
//! `OUTPUT/state` keeps what an interrupted run goes on from, `OUTPUT/model` receives the model, and
//! `OUTPUT/progress.log` says how far it is. Without a settings file the defaults are written to `OUTPUT/settings.json`.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use salus_models::imaging::train::{BaseWeights, Event, Observer, Request, TrainSettings, train};

struct Log {
    started: Instant,
    file: Mutex<File>,
}

impl Log {
    fn line(&self, text: &str) {
        let seconds = self.started.elapsed().as_secs();
        if let Ok(mut file) = self.file.lock() {
            // A log that cannot be written must not end the training.
            let _ = writeln!(file, "{:>3}:{:02} {text}", seconds / 60, seconds % 60);
        }
    }
}

impl Observer for Log {
    fn on(&self, event: &Event<'_>) -> bool {
        match event {
            Event::Decoded { done, of } if done == of => self.line(&format!("decoded {of}")),
            Event::Features {
                variant,
                variants,
                done,
                of,
            } if done % 800 == 0 => self.line(&format!(
                "features of variant {variant} of {variants}: {done} of {of}"
            )),
            Event::Step {
                fit,
                epoch,
                epochs,
                step,
                steps,
                loss,
                accuracy,
            } if step % 20 == 0 => self.line(&format!(
                "{fit}: epoch {epoch}/{epochs} step {step}/{steps} loss {loss:.4} accuracy {accuracy:.3}"
            )),
            Event::Epoch {
                fit,
                epochs,
                report,
            } => self.line(&format!(
                "{fit}: epoch {}/{epochs} train {:.4} {:.4} held out {:?} {:?}",
                report.epoch,
                report.train_loss,
                report.train_accuracy,
                report.held_out_loss,
                report.held_out_accuracy
            )),
            Event::Note(text) => self.line(text),
            _ => {}
        }
        true
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [images, base, output, rest @ ..] = arguments.as_slice() else {
        return Err("usage: train_imaging IMAGES BASE.safetensors OUTPUT [SETTINGS.json]".into());
    };
    fs::create_dir_all(output)?;
    let settings: TrainSettings = match rest {
        [settings, ..] => serde_json::from_slice(&fs::read(settings)?)?,
        [] => TrainSettings::default(),
    };
    fs::write(
        output.join("settings.json"),
        serde_json::to_string_pretty(&settings)?,
    )?;
    let log = Log {
        started: Instant::now(),
        file: Mutex::new(
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(output.join("progress.log"))?,
        ),
    };
    let base = BaseWeights::parse(
        &fs::read(base)?,
        "MobileNetV2 1.0 224, ImageNet",
        "Apache-2.0",
    )?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let trained = train(
        &Request {
            images,
            base: &base,
            settings: &settings,
            state: &output.join("state"),
            output: &Path::new(output).join("model"),
            version: "1",
            now_ms: u64::try_from(now.as_millis())?,
        },
        &log,
    )?;
    log.line(&format!(
        "done: {} ({} bytes)",
        trained.manifest.weights.blake3, trained.manifest.weights.bytes
    ));
    Ok(())
}

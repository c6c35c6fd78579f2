//! A process with limits for what the product, too, leaves to one: this program itself, started again.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use salus_record::load_job;
use salus_sandbox::{Config, Job, Sandbox, SandboxError};

/// Loads a saved document.
pub(crate) const LOAD: &str = "record-load";

static JOBS: [Job; 1] = [Job {
    name: LOAD,
    run: load_job,
}];

/// What a worker may take: what the campaign lets an input take in this process, so that nothing which passes there is
/// too much here.
const MAX_MEMORY: u64 = 64 << 20;

/// A campaign of a million inputs cannot wait for long; a test on a busy machine passes more.
const USUAL_TIME: Duration = Duration::from_millis(500);

static SANDBOX: OnceLock<Sandbox> = OnceLock::new();

/// The first thing in `main`: serves as a worker where this process was started as one.
pub fn serve_if_worker() -> Option<ExitCode> {
    salus_sandbox::serve_if_worker(&JOBS)
}

/// Names the program that serves as worker where it is not this one: a test's own does not. Only the first call counts,
/// before the first input.
pub fn serve_by(program: PathBuf, time: Duration) {
    SANDBOX.get_or_init(|| {
        Sandbox::new(Config {
            program,
            time,
            ..usual()
        })
    });
}

pub(crate) fn run(job: &str, request: &[u8]) -> Result<Vec<u8>, SandboxError> {
    SANDBOX
        .get_or_init(|| Sandbox::new(usual()))
        .run(job, request)
}

fn usual() -> Config {
    Config {
        workers: 1,
        memory_bytes: MAX_MEMORY,
        time: USUAL_TIME,
        ..Config::default()
    }
}

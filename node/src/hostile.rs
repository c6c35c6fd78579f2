//! Where bytes of others are parsed that could make a parser spend too much: a child process of this program.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use salus_sandbox::{Config, Job, Sandbox};

/// Tries foreign changes on a copy of a record's document.
pub const RECORD_TRIAL: &str = "record-trial";

/// What a worker can be asked for.
static JOBS: [Job; 1] = [Job {
    name: RECORD_TRIAL,
    run: salus_record::trial_job,
}];

/// Set where this program serves as its own worker; a test's program does not.
static ISOLATED: OnceLock<Arc<Sandbox>> = OnceLock::new();

/// The first thing in `main`: serves as a worker where this process was started as one; otherwise workers are to be had from now on.
pub fn serve_if_worker() -> Option<ExitCode> {
    let code = salus_sandbox::serve_if_worker(&JOBS);
    if code.is_none() {
        ISOLATED.get_or_init(|| Arc::new(Sandbox::new(Config::default())));
    }
    code
}

/// Where hostile bytes are parsed: in a child process, or in this one where the program never called [`serve_if_worker`].
pub fn sandbox() -> Arc<Sandbox> {
    ISOLATED
        .get()
        .cloned()
        .unwrap_or_else(|| Arc::new(Sandbox::without_isolation(&JOBS)))
}

//! Where bytes of others are parsed that could make a parser spend too much: a child process of this program.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use salus_sandbox::{Config, Job, Sandbox};

/// Tries foreign changes on a copy of a record's document.
pub const RECORD_TRIAL: &str = "record-trial";

/// Loads a saved document before this process does.
pub const RECORD_LOAD: &str = "record-load";

/// What a worker can be asked for.
static JOBS: [Job; 4] = [
    Job {
        name: RECORD_TRIAL,
        run: salus_record::trial_job,
    },
    Job {
        name: RECORD_LOAD,
        run: salus_record::load_job,
    },
    Job {
        name: salus_imaging::JOB,
        run: salus_imaging::job,
    },
    Job {
        name: salus_media::JOB,
        run: salus_media::job,
    },
];

/// Set where this program serves as its own worker; a test's program does not.
static ISOLATED: OnceLock<Arc<Sandbox>> = OnceLock::new();
/// The same for images, which may take more.
static ISOLATED_IMAGES: OnceLock<Arc<Sandbox>> = OnceLock::new();
/// The same for files that are to be attached, which may take longer.
static ISOLATED_MEDIA: OnceLock<Arc<Sandbox>> = OnceLock::new();

/// The first thing in `main`: serves as a worker where this process was started as one; otherwise workers are to be had from now on.
pub fn serve_if_worker() -> Option<ExitCode> {
    let code = salus_sandbox::serve_if_worker(&JOBS);
    if code.is_none() {
        ISOLATED.get_or_init(|| Arc::new(Sandbox::new(Config::default())));
        let images = Config {
            memory_bytes: salus_imaging::JOB_MEMORY_BYTES,
            time: salus_imaging::JOB_TIME,
            max_request_bytes: salus_imaging::MAX_REQUEST_BYTES,
            max_response_bytes: salus_imaging::MAX_RESPONSE_BYTES,
            ..Config::default()
        };
        ISOLATED_IMAGES.get_or_init(|| Arc::new(Sandbox::new(images)));
        let media = Config {
            memory_bytes: salus_media::JOB_MEMORY_BYTES,
            time: salus_media::JOB_TIME,
            max_request_bytes: salus_media::MAX_REQUEST_BYTES,
            max_response_bytes: salus_media::MAX_RESPONSE_BYTES,
            ..Config::default()
        };
        ISOLATED_MEDIA.get_or_init(|| Arc::new(Sandbox::new(media)));
    }
    code
}

/// Where hostile bytes are parsed: in a child process, or in this one where the program never called [`serve_if_worker`].
pub fn sandbox() -> Arc<Sandbox> {
    or_here(&ISOLATED)
}

/// Where images are decoded: as [`sandbox`], with more memory and time.
pub fn image_sandbox() -> Arc<Sandbox> {
    or_here(&ISOLATED_IMAGES)
}

/// Where files that are to be attached are looked into: as [`image_sandbox`], with more time.
pub fn media_sandbox() -> Arc<Sandbox> {
    or_here(&ISOLATED_MEDIA)
}

fn or_here(isolated: &OnceLock<Arc<Sandbox>>) -> Arc<Sandbox> {
    isolated
        .get()
        .cloned()
        .unwrap_or_else(|| Arc::new(Sandbox::without_isolation(&JOBS)))
}

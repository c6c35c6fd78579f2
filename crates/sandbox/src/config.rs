//! What a sandbox may spend, and how a worker is told of it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The largest request or response that any configuration allows, in bytes: 1 GiB. A frame's length is 32 bits.
pub const MAX_MESSAGE_BYTES: usize = 1 << 30;

/// How many jobs a worker does until it is replaced, so that what a parser leaks stays bounded. 256: a guess;
/// a start costs a few milliseconds.
pub const JOBS_PER_WORKER: u32 = 256;

/// How long a new worker may take until its greeting. 10 s: a guess, for a machine that is busy or swaps.
pub const START_TIME: Duration = Duration::from_secs(10);

/// What a [`Sandbox`](crate::Sandbox) starts, and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The program that calls [`serve_if_worker`](crate::serve_if_worker), as an absolute path. By default the one that is
    /// running: on Linux by way of `/proc/self/exe`, which stays the same one when its file is replaced by an update.
    pub program: PathBuf,
    /// Children at once, at least 1. By default 2.
    pub workers: usize,
    /// What a job may map above what the program had mapped when it started, in bytes; request and response count.
    /// By default 256 MiB.
    pub memory_bytes: u64,
    /// Wall-clock time for one job, in whole milliseconds, without the time spent waiting for a free worker. By default 10 s.
    pub time: Duration,
    /// Largest request, in bytes, at most [`MAX_MESSAGE_BYTES`]. By default 64 MiB.
    pub max_request_bytes: usize,
    /// Largest response, in bytes, at most [`MAX_MESSAGE_BYTES`]. By default 64 MiB.
    pub max_response_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            program: this_program(),
            workers: 2,
            memory_bytes: 256 << 20,
            time: Duration::from_secs(10),
            max_request_bytes: 64 << 20,
            max_response_bytes: 64 << 20,
        }
    }
}

impl Config {
    /// The same within what frames can carry, and with one worker at least.
    pub(crate) fn bounded(self) -> Self {
        Self {
            workers: self.workers.max(1),
            max_request_bytes: self.max_request_bytes.min(MAX_MESSAGE_BYTES),
            max_response_bytes: self.max_response_bytes.min(MAX_MESSAGE_BYTES),
            ..self
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            memory_bytes: self.memory_bytes,
            time_ms: u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX),
            max_request_bytes: self.max_request_bytes as u64,
            max_response_bytes: self.max_response_bytes as u64,
        }
    }
}

/// The path of the running program. Where it cannot be found out the path is empty, and nothing can be started.
fn this_program() -> PathBuf {
    let itself = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && itself.exists() {
        return itself;
    }
    std::env::current_exe().unwrap_or_default()
}

/// The limits as a worker is told them: four numbers after its hidden argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: u64,
    pub(crate) time_ms: u64,
    pub(crate) max_request_bytes: u64,
    pub(crate) max_response_bytes: u64,
}

impl Limits {
    pub(crate) fn to_args(self) -> [String; 4] {
        [
            self.memory_bytes,
            self.time_ms,
            self.max_request_bytes,
            self.max_response_bytes,
        ]
        .map(|number| number.to_string())
    }

    /// `None` unless these are four numbers and nothing else.
    pub(crate) fn from_args(args: impl Iterator<Item = OsString>) -> Option<Self> {
        let numbers: Option<Vec<u64>> = args.map(|arg| arg.to_str()?.parse().ok()).collect();
        let [memory_bytes, time_ms, max_request_bytes, max_response_bytes] =
            numbers?.try_into().ok()?;
        Some(Self {
            memory_bytes,
            time_ms,
            max_request_bytes,
            max_response_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_told_the_limits_it_was_given() {
        let limits = Config::default().limits();
        let args = limits.to_args().map(OsString::from);
        assert_eq!(Limits::from_args(args.clone().into_iter()), Some(limits));
        assert_eq!(Limits::from_args(args.into_iter().skip(1)), None);
        let words = ["1", "2", "3", "-4"].map(OsString::from);
        assert_eq!(Limits::from_args(words.into_iter()), None);
    }

    #[test]
    fn a_configuration_beyond_the_frames_is_brought_inside() {
        let config = Config {
            workers: 0,
            max_request_bytes: usize::MAX,
            max_response_bytes: usize::MAX,
            ..Config::default()
        };
        let config = config.bounded();
        assert_eq!(config.workers, 1);
        assert_eq!(config.max_request_bytes, MAX_MESSAGE_BYTES);
        assert_eq!(config.max_response_bytes, MAX_MESSAGE_BYTES);
    }
}

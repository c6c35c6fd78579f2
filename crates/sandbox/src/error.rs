//! Why a job has no response.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// What a job came to that gave no response. None of these holds anything of what the job read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The job took longer than it may, by the wall clock or in processor time.
    #[error("reading it took longer than {} ms and was stopped", limit.as_millis())]
    TimedOut {
        /// [`Config::time`](crate::Config::time).
        limit: Duration,
    },
    /// The job asked for more memory than it may.
    #[error("reading it takes more than {} MiB of memory", limit_bytes >> 20)]
    OutOfMemory {
        /// [`Config::memory_bytes`](crate::Config::memory_bytes).
        limit_bytes: u64,
    },
    /// The job panicked. What it said stays in the child.
    #[error("the reader broke on it")]
    Panicked,
    /// The child ended otherwise: a crash, an overflow of its stack, or somebody killed it.
    #[error("the reader's process ended with {0}")]
    Died(ExitStatus),
    /// More bytes than may be sent to a job. No child has seen them.
    #[error("{bytes} bytes are more than the {limit} that may be read")]
    RequestTooLarge {
        /// The request's size.
        bytes: u64,
        /// [`Config::max_request_bytes`](crate::Config::max_request_bytes).
        limit: usize,
    },
    /// What was to be sent to the job could not be read, or had fewer bytes than was said.
    #[error("it could not be read: {0}")]
    Input(#[source] io::Error),
    /// The job made more than it may answer.
    #[error("what was read is larger than {limit} bytes")]
    ResponseTooLarge {
        /// [`Config::max_response_bytes`](crate::Config::max_response_bytes).
        limit: usize,
    },
    /// The program knows no job of this name.
    #[error("the reader's process knows no job named {0}")]
    UnknownJob(String),
    /// The child sent something that is no answer.
    #[error("the reader's process sent something that is no answer")]
    Garbled,
    /// The program started, but does not serve jobs.
    #[error("the program started as a reader does not serve as one")]
    NotAWorker,
    /// No child could be started.
    #[error("no process could be started to read it")]
    Unavailable(#[source] io::Error),
}

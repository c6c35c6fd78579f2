//! Parsers of hostile bytes run in a child process of the same binary, with memory and time limits.
//!
//! A record's changes, a DICOM file or an image may inflate a kilobyte to gigabytes, loop, or panic in a library that
//! is not ours. What such bytes do in a [`Sandbox`] ends one child process; the caller gets a [`SandboxError`] that
//! says which limit it was, and the next job gets a fresh child.
//!
//! A *job* has a name and turns the bytes of a request into those of a response. The program hands all of its jobs to
//! [`serve_if_worker`] first thing in `main`; a [`Sandbox`] starts the same program again as its worker and sends it
//! requests. What the bytes mean, errors of the parser included, is the job's own affair.
//!
//! Not here: any knowledge of what is parsed; and no cage for code. The limits hold against bytes that make a memory-safe
//! parser spend too much, not against an attacker who already executes instructions in the child.
//!
//! # What a worker gives up before it reads its first request
//!
//! | limit | by | where |
//! | --- | --- | --- |
//! | memory: [`Config::memory_bytes`] above what the program itself maps | `RLIMIT_AS` | Linux |
//! | time: [`Config::time`] of wall clock for a job | the parent ends it | everywhere |
//! | processor time, should the parent be gone or stopped | `RLIMIT_CPU`, for each job anew | Unix |
//! | no file, socket or pipe is opened; none grows; no core dump | `RLIMIT_NOFILE`, `RLIMIT_FSIZE`, `RLIMIT_CORE` | Unix |
//! | not traced or dumped by others of the same user; dies with the parent | `prctl` | Linux |
//! | no environment, working folder `/`, its own process group | when it is started | Unix; on Windows all but the group |
//!
//! Elsewhere than on Linux memory is not limited: macOS takes `RLIMIT_AS` without enforcing it, and Windows has job objects
//! instead, which need `unsafe`. There the time limit and the separate process remain.
//!
//! # Invariants
//!
//! - A job never outlives its time by more than what it takes to kill a process; reading its request counts.
//! - No child outlives the sandbox, and none is left as a zombie.
//! - What a panic said, what a parser printed and what a dead child wrote is never forwarded: it may hold patient data.
//! - At most [`Config::workers`] children exist; further callers wait for one.
//! - A child that failed once is never used again.
//! - A request that is read while it is sent ([`Sandbox::run_reading`]) is held whole by the child alone: the parent holds 64 KiB of it.
//!
//! # Frames
//!
//! ```text
//! request   u32 length of what follows, big endian | u8 n | n bytes: name of the job | the request
//! answer    u8 status | u32 length, big endian | the response
//! ```
//!
//! The first answer is a greeting with status `ready`; then one answer a request. Both ends refuse a length above
//! their limit before they read on.
//!
//! # Example
//!
//! ```no_run
//! use std::process::ExitCode;
//! use salus_sandbox::{Config, Job, Sandbox, serve_if_worker};
//!
//! const COUNT_ZEROS: &str = "count-zeros";
//!
//! fn count_zeros(request: &[u8]) -> Vec<u8> {
//!     let zeros = request.iter().filter(|byte| **byte == 0).count();
//!     (zeros as u64).to_be_bytes().to_vec()
//! }
//!
//! fn main() -> ExitCode {
//!     if let Some(code) = serve_if_worker(&[Job { name: COUNT_ZEROS, run: count_zeros }]) {
//!         return code;
//!     }
//!     let sandbox = Sandbox::new(Config::default());
//!     match sandbox.run(COUNT_ZEROS, b"\0hostile\0") {
//!         Ok(zeros) => println!("{zeros:?}"),
//!         Err(error) => eprintln!("error: {error}"),
//!     }
//!     ExitCode::SUCCESS
//! }
//! ```

mod child;
mod config;
mod confine;
mod error;
mod frame;
mod pool;
mod worker;

pub use config::{Config, JOBS_PER_WORKER, MAX_MESSAGE_BYTES, START_TIME};
pub use error::SandboxError;
pub use pool::Sandbox;
pub use worker::{Job, WORKER_ARGUMENT, serve_if_worker};

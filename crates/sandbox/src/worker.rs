//! The child's side: the same program, serving jobs until its input ends.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use crate::config::Limits;
use crate::confine;
use crate::frame::{self, Status};

/// The first argument of a program that is started as a worker. Four numbers follow; nobody types this.
pub const WORKER_ARGUMENT: &str = "__sandbox-worker";

/// What a worker can do: turn the bytes of a request into those of a response.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// How [`Sandbox::run`](crate::Sandbox::run) names it; at most 255 bytes.
    pub name: &'static str,
    /// Runs in the worker's only thread. It may panic. What it prints goes nowhere.
    pub run: fn(&[u8]) -> Vec<u8>,
}

/// Exit codes of a worker that could not go on; for somebody who traces one.
const BAD_ARGUMENTS: u8 = 2;
const NOT_CONFINED: u8 = 3;
const BAD_FRAME: u8 = 4;

/// Serves jobs if this process was started as a worker, and says how it ended; `None` if it was not. To be called before
/// anything else in `main`, before threads are started or arguments are read. A worker that cannot set its limits
/// serves nothing.
pub fn serve_if_worker(jobs: &[Job]) -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != WORKER_ARGUMENT {
        return None;
    }
    let Some(limits) = Limits::from_args(args) else {
        return Some(ExitCode::from(BAD_ARGUMENTS));
    };
    // What a panic says may hold what the job was reading.
    std::panic::set_hook(Box::new(|_| ()));
    let Ok(output) = own_output() else {
        return Some(ExitCode::from(NOT_CONFINED));
    };
    if confine::confine(&limits).is_err() {
        return Some(ExitCode::from(NOT_CONFINED));
    }
    Some(match serve(jobs, &limits, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(BAD_FRAME),
    })
}

/// The way to the parent, under a descriptor that nothing else writes to: what a job prints goes where its errors go.
#[cfg(unix)]
fn own_output() -> io::Result<impl Write> {
    let output = rustix::io::dup(rustix::stdio::stdout())?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(std::fs::File::from(output))
}

#[cfg(not(unix))]
fn own_output() -> io::Result<impl Write> {
    Ok(io::stdout())
}

fn serve(jobs: &[Job], limits: &Limits, mut output: impl Write) -> io::Result<()> {
    let mut input = io::stdin().lock();
    frame::write_answer(&mut output, Status::Ready, &[])?;
    while let Some((name, request)) = frame::read_request(&mut input, limits.max_request_bytes)? {
        confine::allow_processor_time(limits)?;
        let (status, response) = match run(jobs, &name, &request) {
            Ok(response) if response.len() as u64 > limits.max_response_bytes => {
                (Status::TooLarge, Vec::new())
            }
            Ok(response) => (Status::Answer, response),
            Err(status) => (status, Vec::new()),
        };
        frame::write_answer(&mut output, status, &response)?;
        // A panic may leave anything behind in a library: this process does no further job.
        if status == Status::Panicked {
            break;
        }
    }
    Ok(())
}

/// Runs the job of this name in this process, and says what to answer if it has no response.
pub(crate) fn run(jobs: &[Job], name: &str, request: &[u8]) -> Result<Vec<u8>, Status> {
    let job = jobs.iter().find(|job| job.name == name);
    let job = job.ok_or(Status::UnknownJob)?;
    catch_unwind(AssertUnwindSafe(|| (job.run)(request))).map_err(|said| {
        // Dropping what a panic carried may run code that panics again.
        std::mem::forget(said);
        Status::Panicked
    })
}

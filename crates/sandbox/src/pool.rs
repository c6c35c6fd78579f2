//! The sandbox itself: a few children, lent to callers one at a time.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::child::{Failure, Request, Worker};
use crate::config::{Config, JOBS_PER_WORKER};
use crate::error::SandboxError;
use crate::frame::{self, MAX_NAME_BYTES, Status};
use crate::worker::{self, Job};

/// Runs jobs in child processes: see the crate's page. Children are started when they are first needed, used again
/// and replaced after a failure or after [`JOBS_PER_WORKER`] jobs. Dropping it ends all of them.
pub struct Sandbox(Place);

enum Place {
    Children(Pool),
    Here(&'static [Job]),
}

impl Sandbox {
    /// A sandbox without children as yet.
    pub fn new(config: Config) -> Self {
        Self(Place::Children(Pool {
            config: config.bounded(),
            seats: Mutex::new(Seats::default()),
            freed: Condvar::new(),
        }))
    }

    /// Runs jobs in this very process, **without any limit** on memory or time; only panics are caught. For tests whose
    /// program is not its own worker, and for nothing else.
    pub fn without_isolation(jobs: &'static [Job]) -> Self {
        Self(Place::Here(jobs))
    }

    /// Runs a job and waits for its response. It blocks: first until a worker is free, then for
    /// [`Config::time`] at most, and a little for starting and killing processes.
    pub fn run(&self, job: &str, request: &[u8]) -> Result<Vec<u8>, SandboxError> {
        match &self.0 {
            Place::Children(pool) => pool.run(job, request, None),
            Place::Here(jobs) => here(jobs, job, request),
        }
    }

    /// The same for a request that is not in memory: `head`, and behind it the next `length` bytes of `input`. They pass through this
    /// process a piece at a time, and only the child holds all of them. `input` is read by a thread of its own, so that the limit on
    /// time holds for a slow one, too; one that never returns keeps that thread.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and [`SandboxError::Input`] where `input` fails or ends early.
    pub fn run_reading(
        &self,
        job: &str,
        head: &[u8],
        input: impl Read + Send + 'static,
        length: u64,
    ) -> Result<Vec<u8>, SandboxError> {
        match &self.0 {
            Place::Children(pool) => pool.run(job, head, Some((Box::new(input), length))),
            Place::Here(jobs) => {
                let mut request = head.to_vec();
                let read = input.take(length).read_to_end(&mut request);
                match read.map_err(SandboxError::Input)? as u64 {
                    read if read < length => {
                        Err(SandboxError::Input(io::ErrorKind::UnexpectedEof.into()))
                    }
                    _ => here(jobs, job, &request),
                }
            }
        }
    }
}

fn here(jobs: &[Job], job: &str, request: &[u8]) -> Result<Vec<u8>, SandboxError> {
    worker::run(jobs, job, request).map_err(|status| match status {
        Status::UnknownJob => SandboxError::UnknownJob(job.to_owned()),
        _ => SandboxError::Panicked,
    })
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Children(pool) => write!(f, "Sandbox({:?})", pool.config),
            Place::Here(_) => f.write_str("Sandbox(without isolation)"),
        }
    }
}

struct Pool {
    config: Config,
    seats: Mutex<Seats>,
    /// Told whenever a seat becomes free.
    freed: Condvar,
}

/// Who may have a worker now.
#[derive(Default)]
struct Seats {
    /// Calls under way, at most `Config::workers`.
    taken: usize,
    /// Workers that wait for a call; with those of the calls under way at most `Config::workers`.
    idle: Vec<Worker>,
}

impl Pool {
    fn run(
        &self,
        job: &str,
        head: &[u8],
        stream: Option<(Box<dyn Read + Send>, u64)>,
    ) -> Result<Vec<u8>, SandboxError> {
        let limit = self.config.max_request_bytes;
        let more = stream.as_ref().map_or(0, |(_, length)| *length);
        let bytes = more.saturating_add(head.len() as u64);
        let too_large = SandboxError::RequestTooLarge { bytes, limit };
        if bytes > limit as u64 {
            return Err(too_large);
        }
        if job.len() > MAX_NAME_BYTES {
            return Err(SandboxError::UnknownJob(job.to_owned()));
        }
        let mut seat = self.seat();
        let worker = seat.worker()?;
        let frame = frame::request(job, head, more).ok_or(too_large)?;
        let request = Request { frame, stream };
        match worker.call(request, &self.config) {
            Ok(response) => {
                seat.keep();
                Ok(response)
            }
            Err(Failure::UnknownJob) => {
                seat.keep();
                Err(SandboxError::UnknownJob(job.to_owned()))
            }
            Err(Failure::Error(error)) => Err(error),
        }
    }

    /// Waits for a seat, and takes an idle worker with it if there is one.
    fn seat(&self) -> Seat<'_> {
        let mut seats = self.locked();
        while seats.taken >= self.config.workers {
            seats = self
                .freed
                .wait(seats)
                .unwrap_or_else(PoisonError::into_inner);
        }
        seats.taken += 1;
        let worker = seats.idle.pop();
        Seat { pool: self, worker }
    }

    /// Nothing that can panic happens under this lock.
    fn locked(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to one worker, given back when dropped. A worker that is still in it then is ended.
struct Seat<'p> {
    pool: &'p Pool,
    worker: Option<Worker>,
}

impl Seat<'_> {
    /// The seat's worker: one that waited, unless it died meanwhile, or a new one.
    fn worker(&mut self) -> Result<&mut Worker, SandboxError> {
        let worker = match self.worker.take().filter(Worker::is_alive) {
            Some(worker) => worker,
            None => Worker::start(&self.pool.config)?,
        };
        Ok(self.worker.insert(worker))
    }

    /// The worker did its job: it may do another one.
    fn keep(&mut self) {
        if let Some(worker) = self.worker.take() {
            if worker.jobs_done() < JOBS_PER_WORKER {
                self.pool.locked().idle.push(worker);
            } else {
                drop(worker);
            }
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        // First the child is gone, then another one may be started.
        drop(self.worker.take());
        self.pool.locked().taken -= 1;
        self.pool.freed.notify_one();
    }
}

//! The parent's side of one child: a thread starts it, speaks with it and sees it end.
//!
//! The thread blocks in the pipes so that the caller can wait for it with a time limit. It lives as long as the child
//! does: on Linux a child is killed when the thread that started it ends.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::config::{Config, START_TIME};
use crate::error::SandboxError;
use crate::frame::{self, Status};
use crate::worker::WORKER_ARGUMENT;

/// How much of the end of what a child printed is kept, to see why it ended. Nobody else gets to see it.
const TAIL_BYTES: usize = 256;

/// What the standard library prints when an allocation fails, before it aborts (`std::alloc::handle_alloc_error`).
const ALLOCATION_FAILED: &[u8] = b"memory allocation of ";

/// How long a child's input may be in use after the child has answered. An honest child answers what it has read to the end, so that
/// this is what a busy machine takes to see that the last write is over.
const SENT_TIME: Duration = Duration::from_secs(2);

/// What a child is sent.
pub(crate) struct Request {
    /// A request in its frame, or its beginning.
    pub(crate) frame: Vec<u8>,
    /// The rest of it, and how many bytes that is.
    pub(crate) stream: Option<(Box<dyn Read + Send>, u64)>,
}

/// What the thread has to say.
enum Event {
    NotStarted(io::Error),
    Started(Arc<Mutex<Child>>),
    Answer(Status, Vec<u8>),
    Ended(End),
}

/// Why there is no more to say to a child.
enum Last {
    /// One side has ended.
    Ended,
    /// It answered with something that is no answer.
    Garbled,
    /// What was to be sent to it could not be read.
    Unread(io::Error),
}

impl Last {
    /// After an answer that could not be read.
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Garbled,
            _ => Self::Ended,
        }
    }
}

/// How a child ended.
struct End {
    status: io::Result<ExitStatus>,
    last: Last,
    allocation_failed: bool,
}

/// One child that serves jobs.
pub(crate) struct Worker {
    /// `None` once no more requests will come.
    requests: Option<Sender<Request>>,
    events: Receiver<Event>,
    child: Arc<Mutex<Child>>,
    thread: Option<JoinHandle<()>>,
    jobs_done: u32,
}

impl Worker {
    /// Starts a child and waits for its greeting.
    pub(crate) fn start(config: &Config) -> Result<Self, SandboxError> {
        let (requests, to_send) = channel();
        let (tell, events) = channel();
        let command = command(config);
        let max_bytes = config.max_response_bytes;
        let thread = thread::Builder::new()
            .name("sandbox".into())
            .spawn(move || tend(command, max_bytes, &to_send, &tell))
            .map_err(SandboxError::Unavailable)?;
        let child = match events.recv() {
            Ok(Event::Started(child)) => child,
            Ok(Event::NotStarted(error)) => return Err(SandboxError::Unavailable(error)),
            _ => return Err(SandboxError::NotAWorker),
        };
        let worker = Self {
            requests: Some(requests),
            events,
            child,
            thread: Some(thread),
            jobs_done: 0,
        };
        match worker.events.recv_timeout(START_TIME) {
            Ok(Event::Answer(Status::Ready, _)) => Ok(worker),
            _ => Err(SandboxError::NotAWorker),
        }
    }

    /// Sends a request and waits for the answer. After an error the worker is of no more use.
    pub(crate) fn call(&mut self, request: Request, config: &Config) -> Result<Vec<u8>, Failure> {
        self.jobs_done = self.jobs_done.saturating_add(1);
        let limit = config.time;
        // A thread that has ended has left word of why.
        if let Some(requests) = &self.requests {
            let _ = requests.send(request);
        }
        match self.events.recv_timeout(limit) {
            Ok(Event::Answer(Status::Answer, response)) => Ok(response),
            Ok(Event::Answer(Status::Panicked, _)) => Err(SandboxError::Panicked.into()),
            Ok(Event::Answer(Status::UnknownJob, _)) => Err(Failure::UnknownJob),
            Ok(Event::Answer(Status::TooLarge, _)) => {
                let limit = config.max_response_bytes;
                Err(SandboxError::ResponseTooLarge { limit }.into())
            }
            Ok(Event::Ended(end)) => Err(end.into_error(config).into()),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => Err(SandboxError::Garbled.into()),
            Err(RecvTimeoutError::Timeout) => Err(SandboxError::TimedOut { limit }.into()),
        }
    }

    /// How many jobs it has had.
    pub(crate) fn jobs_done(&self) -> u32 {
        self.jobs_done
    }

    /// Whether the child is still there, as far as can be told.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(locked(&self.child).try_wait(), Ok(None))
    }
}

/// What a call failed with.
pub(crate) enum Failure {
    /// The name is not among the program's jobs; the caller knows it.
    UnknownJob,
    /// Anything else.
    Error(SandboxError),
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        Self::Error(error)
    }
}

impl Drop for Worker {
    /// Kills the child and waits until it is gone.
    fn drop(&mut self) {
        self.requests = None;
        let _ = locked(&self.child).kill();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl End {
    fn into_error(self, config: &Config) -> SandboxError {
        let status = match self.status {
            Ok(status) => status,
            Err(error) => return SandboxError::Unavailable(error),
        };
        match self.last {
            Last::Garbled => return SandboxError::Garbled,
            Last::Unread(error) => return SandboxError::Input(error),
            Last::Ended => {}
        }
        if self.allocation_failed && was_aborted(status) {
            let limit_bytes = config.memory_bytes;
            return SandboxError::OutOfMemory { limit_bytes };
        }
        if used_up_processor_time(status) {
            let limit = config.time;
            return SandboxError::TimedOut { limit };
        }
        SandboxError::Died(status)
    }
}

#[cfg(unix)]
fn was_aborted(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(rustix::process::Signal::ABORT.as_raw())
}

#[cfg(not(unix))]
fn was_aborted(status: ExitStatus) -> bool {
    !status.success()
}

#[cfg(unix)]
fn used_up_processor_time(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(rustix::process::Signal::XCPU.as_raw())
}

#[cfg(not(unix))]
fn used_up_processor_time(_: ExitStatus) -> bool {
    false
}

fn command(config: &Config) -> Command {
    let mut command = Command::new(&config.program);
    command
        .arg(WORKER_ARGUMENT)
        .args(config.limits().to_args())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Its own process group: an interrupt typed at the terminal is the parent's to handle.
        command.current_dir("/").process_group(0).arg0("salus");
    }
    #[cfg(not(unix))]
    {
        command.current_dir(std::env::temp_dir());
        // Without it Windows finds no libraries of its own.
        if let Some(root) = std::env::var_os("SystemRoot") {
            command.env("SystemRoot", root);
        }
    }
    command
}

/// The thread's life: start, serve, see the child end.
fn tend(
    mut command: Command,
    max_bytes: usize,
    requests: &Receiver<Request>,
    tell: &Sender<Event>,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let _ = tell.send(Event::NotStarted(error));
            return;
        }
    };
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let child = Arc::new(Mutex::new(child));
    let _ = tell.send(Event::Started(Arc::clone(&child)));
    let mut last = Last::Ended;
    let mut tail = Vec::new();
    if let (Some(input), Some(output), Some(errors)) = pipes {
        let drain = thread::Builder::new()
            .name("sandbox errors".into())
            .spawn(move || tail_of(errors));
        // Without it the child's errors would fill a pipe that nobody empties.
        if let Ok(drain) = drain {
            last = converse(input, output, max_bytes, requests, tell);
            let _ = locked(&child).kill();
            tail = drain.join().unwrap_or_default();
        }
    }
    let status = {
        let mut child = locked(&child);
        // A child that has ended already keeps its status.
        let _ = child.kill();
        child.wait()
    };
    let allocation_failed = tail
        .windows(ALLOCATION_FAILED.len())
        .any(|window| window == ALLOCATION_FAILED);
    let _ = tell.send(Event::Ended(End {
        status,
        last,
        allocation_failed,
    }));
}

/// Passes requests and answers on until either side ends; says why that was.
fn converse(
    mut input: ChildStdin,
    mut output: ChildStdout,
    max_bytes: usize,
    requests: &Receiver<Request>,
    tell: &Sender<Event>,
) -> Last {
    let mut answer = frame::read_answer(&mut output, max_bytes);
    loop {
        match answer {
            Ok((status, response)) => {
                if tell.send(Event::Answer(status, response)).is_err() {
                    return Last::Ended;
                }
            }
            Err(error) => return Last::of(&error),
        }
        let Ok(Request { frame, stream }) = requests.recv() else {
            return Last::Ended;
        };
        // A child that is gone is noticed when its answer is read.
        let begun = input.write_all(&frame).and_then(|()| input.flush());
        let Some((reader, bytes)) = stream.filter(|_| begun.is_ok()) else {
            answer = frame::read_answer(&mut output, max_bytes);
            continue;
        };
        let sent = match send_beside(input, reader, bytes) {
            Ok(sent) => sent,
            Err(error) => return Last::Unread(error),
        };
        answer = frame::read_answer(&mut output, max_bytes);
        let patience = match &answer {
            Ok(_) => SENT_TIME,
            // What ended the child was said before its input ended, if it was said.
            Err(_) => Duration::ZERO,
        };
        input = match (sent.recv_timeout(patience), &answer) {
            (Ok(Ok(input)), _) => input,
            (Ok(Err(error)), _) => return Last::Unread(error),
            (Err(_), Ok(_)) => return Last::Garbled,
            (Err(_), Err(error)) => return Last::of(error),
        };
    }
}

/// Sends what a reader gives by a thread of its own, which a reader that hangs does not keep the child from being ended by. The
/// child's input comes back when all is sent.
fn send_beside(
    mut input: ChildStdin,
    mut reader: Box<dyn Read + Send>,
    bytes: u64,
) -> io::Result<Receiver<io::Result<ChildStdin>>> {
    let (done, sent) = channel();
    thread::Builder::new()
        .name("sandbox input".into())
        .spawn(
            move || match frame::send_on(&mut input, &mut *reader, bytes) {
                Ok(()) => drop(done.send(Ok(input))),
                Err(error) => {
                    // First it is said, then the child sees its input end.
                    let _ = done.send(Err(error));
                    drop(input);
                }
            },
        )?;
    Ok(sent)
}

/// Reads to the end and keeps the last bytes.
fn tail_of(mut errors: ChildStderr) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut chunk = [0; 4 * 1024];
    while let Ok(read @ 1..) = errors.read(&mut chunk) {
        tail.extend_from_slice(chunk.get(..read).unwrap_or_default());
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
    }
    tail
}

/// A panic elsewhere leaves nothing half done in a `Child`.
fn locked(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

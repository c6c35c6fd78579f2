//! The ledger's threads: store tasks come in, answers go out, and nobody waits on the engine's loop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use salus_sync::{Input, Output, TaskId};
use tokio::sync::mpsc::UnboundedSender;

use crate::event::Event;
use crate::ledger::{Ledger, LedgerError};

/// The two threads. Their queues are bounded by what the engine has under way with each peer.
pub(crate) struct Workers {
    reads: Option<mpsc::Sender<Output>>,
    commits: Option<mpsc::Sender<Output>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    pub(crate) fn spawn(
        ledger: &Arc<dyn Ledger>,
        events: &UnboundedSender<Event>,
    ) -> std::io::Result<Self> {
        let mut threads = Vec::new();
        let mut spawn = |name: &str| {
            let (sender, tasks) = mpsc::channel::<Output>();
            let (ledger, events) = (ledger.clone(), events.clone());
            let thread = std::thread::Builder::new().name(name.to_owned());
            threads.push(thread.spawn(move || {
                while let Ok(task) = tasks.recv() {
                    if let Some(event) = run(ledger.as_ref(), task)
                        && events.send(event).is_err()
                    {
                        break;
                    }
                }
            })?);
            Ok::<_, std::io::Error>(sender)
        };
        let reads = Some(spawn("salus-reads")?);
        let commits = Some(spawn("salus-commits")?);
        Ok(Self {
            reads,
            commits,
            threads,
        })
    }

    /// Queues a store task.
    pub(crate) fn give(&self, task: Output) {
        let queue = match task {
            Output::Commit { .. } => &self.commits,
            _ => &self.reads,
        };
        if let Some(queue) = queue {
            // A thread ends only when the mesh does.
            let _ended = queue.send(task);
        }
    }

    /// Lets the threads finish what they have; the handles to wait for.
    pub(crate) fn finish(&mut self) -> Vec<JoinHandle<()>> {
        self.reads = None;
        self.commits = None;
        std::mem::take(&mut self.threads)
    }
}

/// Does a task; a ledger that panics has failed.
fn run(ledger: &dyn Ledger, task: Output) -> Option<Event> {
    let id = task_id(&task)?;
    let answer = catch_unwind(AssertUnwindSafe(|| answer(ledger, task)));
    let event = match answer {
        Ok(Ok(input)) => Event::Answer(input),
        Ok(Err(error)) => Event::StoreFailed { task: id, error },
        Err(_) => Event::StoreFailed {
            task: id,
            error: LedgerError::new("it panicked"),
        },
    };
    Some(event)
}

fn task_id(task: &Output) -> Option<TaskId> {
    match task {
        Output::NeedCatalog { task, .. }
        | Output::NeedHeights { task, .. }
        | Output::Load { task, .. }
        | Output::Commit { task, .. } => Some(*task),
        _ => None,
    }
}

fn answer(ledger: &dyn Ledger, task: Output) -> Result<Input, LedgerError> {
    match task {
        Output::NeedCatalog { task, peer } => {
            let catalog = ledger.catalog(peer)?;
            Ok(Input::Catalog { task, catalog })
        }
        Output::NeedHeights { task, peer, logs } => {
            let heights = ledger.heights(peer, &logs)?;
            Ok(Input::Heights { task, heights })
        }
        Output::Load {
            task,
            peer,
            log,
            theirs,
            max_bytes,
        } => {
            let loaded = ledger.load(peer, log, &theirs, max_bytes)?;
            Ok(Input::Loaded { task, loaded })
        }
        Output::Commit {
            task,
            peer,
            entries,
            statements,
        } => {
            let committed = ledger.commit(peer, entries, statements)?;
            Ok(Input::Committed { task, committed })
        }
        _ => Err(LedgerError::new("not a task for the store")),
    }
}

//! What the sessions of one engine share: the queue of outputs, the tasks that the store has, and which peer is
//! being asked for which log.

use std::collections::{BTreeMap, VecDeque};

use salus_audit::{ClinicId, Heights, LogId};

use crate::limits::{Config, Timestamp};
use crate::port::{Output, TaskId};

/// Logs of which the last change is remembered. Changes overtake each other by the few that are made at the
/// same time; nothing comes 65,536 changes late.
const MAX_VERSIONS: usize = 131_072;

/// What a task was for.
#[derive(Debug)]
pub(crate) enum TaskKind {
    Catalog,
    Heights(Vec<LogId>),
    Load {
        log: LogId,
        theirs: Heights,
        /// Whether it is the first for these heights.
        first: bool,
    },
    Commit {
        /// How many entries were known to be accepted when the store was asked.
        accepted: u64,
    },
}

/// A task that the store has.
#[derive(Debug)]
pub(crate) struct Task {
    pub peer: ClinicId,
    /// The session that asked; a later one with the same peer has no use for the answer.
    pub session: u64,
    pub kind: TaskKind,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub config: Config,
    pub now: Timestamp,
    pub outputs: VecDeque<Output>,
    tasks: BTreeMap<TaskId, Task>,
    last_task: u64,
    /// Which peer is being asked for a log: the others are not asked at the same time.
    pulling: BTreeMap<LogId, ClinicId>,
    /// Logs that are no longer asked from anybody, to be looked at again by the sessions that waited.
    pub freed: Vec<LogId>,
    /// The version of each log's last change, so that what comes late is known as old.
    versions: BTreeMap<LogId, u64>,
    /// Entries accepted from anybody: what was pending before may fit now.
    pub accepted: u64,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            now: Timestamp::default(),
            outputs: VecDeque::new(),
            tasks: BTreeMap::new(),
            last_task: 0,
            pulling: BTreeMap::new(),
            freed: Vec::new(),
            versions: BTreeMap::new(),
            accepted: 0,
        }
    }

    /// Notes a task and makes its output from its number.
    pub(crate) fn task(&mut self, task: Task, output: impl FnOnce(TaskId) -> Output) -> TaskId {
        self.last_task += 1;
        let id = TaskId(self.last_task);
        self.tasks.insert(id, task);
        self.outputs.push_back(output(id));
        id
    }

    pub(crate) fn answered(&mut self, id: TaskId) -> Option<Task> {
        self.tasks.remove(&id)
    }

    /// Whether a change is later than what is known of the log.
    pub(crate) fn is_news(&mut self, log: LogId, version: u64) -> bool {
        let known = self.versions.entry(log).or_insert(version);
        if *known > version {
            return false;
        }
        *known = version;
        if self.versions.len() > MAX_VERSIONS {
            let oldest = version.saturating_sub(MAX_VERSIONS as u64 / 2);
            self.versions.retain(|_, known| *known >= oldest);
        }
        true
    }

    /// Who a task that is not answered yet was for.
    pub(crate) fn peer_of(&self, id: TaskId) -> Option<ClinicId> {
        self.tasks.get(&id).map(|task| task.peer)
    }

    pub(crate) fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Whether somebody else than this peer is being asked for the log.
    pub(crate) fn pulled_elsewhere(&self, log: LogId, peer: ClinicId) -> bool {
        self.pulling.get(&log).is_some_and(|other| *other != peer)
    }

    /// Notes that this peer is being asked, unless another one is.
    pub(crate) fn pull(&mut self, log: LogId, peer: ClinicId) {
        self.pulling.entry(log).or_insert(peer);
    }

    /// This peer is no longer being asked.
    pub(crate) fn release(&mut self, log: LogId, peer: ClinicId) {
        if self.pulling.get(&log) == Some(&peer) {
            self.pulling.remove(&log);
            self.freed.push(log);
        }
    }

    /// This peer is no longer being asked for anything.
    pub(crate) fn release_all(&mut self, peer: ClinicId) {
        let freed = &mut self.freed;
        self.pulling.retain(|log, by| {
            if *by == peer {
                freed.push(*log);
            }
            *by != peer
        });
    }
}

//! What the sessions of one engine share: the queue of outputs, the tasks that the store has, and which peer is
//! being asked for which log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use salus_audit::{ChainId, ClinicId, Heights, LogId};

use crate::budget::Budget;
use crate::limits::{Config, MAX_FORKS, Timestamp};
use crate::port::{Output, TaskId};

/// Logs of which the last change is remembered. Changes overtake each other by the few that are made at the
/// same time; nothing comes 65,536 changes late.
const MAX_VERSIONS: usize = 131_072;

/// Peers of which it is remembered what they cost: more than a federation has clinics.
const MAX_BUDGETS: usize = 256;

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
        /// Whether the peer asked for the same before.
        repeated: bool,
    },
    Commit {
        /// How many entries were known to be accepted when the store was asked.
        accepted: u64,
        /// Bytes of the entries.
        bytes: u64,
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
    /// Chains that are known to show two histories, so as to report each once.
    forks: BTreeSet<(LogId, ChainId)>,
    /// What each peer may cost yet.
    budgets: BTreeMap<ClinicId, Budget>,
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
            forks: BTreeSet::new(),
            budgets: BTreeMap::new(),
        }
    }

    /// What a peer may cost yet.
    pub(crate) fn budget(&mut self, peer: ClinicId) -> &mut Budget {
        let now = self.now;
        if self.budgets.len() >= MAX_BUDGETS && !self.budgets.contains_key(&peer) {
            let oldest = self.budgets.iter().min_by_key(|(_, budget)| budget.used);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.budgets.remove(&oldest);
            }
        }
        let budget = self.budgets.entry(peer).or_insert_with(|| Budget::new(now));
        budget.used = now;
        budget
    }

    /// Reports a chain that shows two histories, once.
    pub(crate) fn forked(&mut self, peer: ClinicId, log: LogId, chain: ChainId) {
        if self.forks.len() < MAX_FORKS && self.forks.insert((log, chain)) {
            let event = Output::Equivocation { peer, log, chain };
            self.outputs.push_back(event);
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

    /// The bytes that a commit which is not answered yet has to store.
    pub(crate) fn commit_bytes(&self, id: TaskId) -> u64 {
        match self.tasks.get(&id).map(|task| &task.kind) {
            Some(TaskKind::Commit { bytes, .. }) => *bytes,
            _ => 0,
        }
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

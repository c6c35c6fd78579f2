//! The engine: all sessions of one node, and the way of every input to the session that it concerns.

use std::collections::BTreeMap;

use salus_audit::{ClinicId, LogId};

use crate::frame::Frame;
use crate::limits::{Config, Timestamp};
use crate::port::{Changed, Committed, Input, Output, TaskId, Violation};
use crate::session::{Footprint, Session};
use crate::shared::{Shared, TaskKind};

/// The replication of one clinic's logs with its peers, without any I/O: see the crate's page.
#[derive(Debug)]
pub struct Engine {
    me: ClinicId,
    seed: [u8; 32],
    shared: Shared,
    sessions: BTreeMap<ClinicId, Session>,
    last_session: u64,
}

impl Engine {
    /// An engine without peers. The seed decides nothing but the order in which differences are looked for.
    pub fn new(me: ClinicId, config: Config, seed: [u8; 32]) -> Self {
        Self {
            me,
            seed,
            shared: Shared::new(config.bounded()),
            sessions: BTreeMap::new(),
            last_session: 0,
        }
    }

    /// Takes an input. Afterwards [`poll_output`](Self::poll_output) and
    /// [`poll_transmit`](Self::poll_transmit) may have something.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.advance(now);
        match input {
            Input::PeerConnected { peer, initiator } => self.connected(peer, initiator),
            Input::PeerDisconnected { peer } => self.end(peer),
            Input::Received { peer, bytes } => {
                if let Some(session) = self.sessions.get_mut(&peer)
                    && let Err(why) = session.receive(&bytes, &mut self.shared)
                {
                    self.misbehaved(peer, why);
                }
            }
            Input::Catalog { task, catalog } => {
                if let Some((session, TaskKind::Catalog, _)) = self.answered(task) {
                    session.cataloged(catalog);
                }
            }
            Input::Heights { task, heights } => {
                if let Some((session, TaskKind::Heights(logs), shared)) = self.answered(task) {
                    session.heights_read(logs, heights, shared);
                }
            }
            Input::Loaded { task, loaded } => {
                if let Some((session, kind, shared)) = self.answered(task)
                    && let TaskKind::Load {
                        log,
                        theirs,
                        first,
                        repeated,
                    } = kind
                {
                    session.loads = session.loads.saturating_sub(1);
                    if repeated {
                        let bytes: usize = loaded.entries.iter().map(Vec::len).sum();
                        let now = shared.now;
                        shared.budget(session.peer).repeated(bytes as u64, now);
                    }
                    session.loaded(log, &theirs, first, loaded, shared);
                }
            }
            Input::Committed { task, committed } => self.committed(task, &committed),
            Input::Failed { task } => {
                if let Some((session, _, shared)) = self.answered(task) {
                    let peer = session.peer;
                    shared.outputs.push_back(Output::StoreFailed { peer });
                    self.end(peer);
                }
            }
            Input::LogChanged(changed) => self.log_changed(&changed),
            Input::SyncRequested { peer } => {
                if let Some(session) = self.sessions.get_mut(&peer) {
                    session.sync_requested(&mut self.shared);
                }
            }
        }
        self.pump();
    }

    /// To be called when the time that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        let shared = &mut self.shared;
        let sessions = self.sessions.values_mut();
        let late: Vec<(ClinicId, Violation)> = sessions
            .filter_map(|session| {
                let why = session.timeout(shared).err()?;
                Some((session.peer, why))
            })
            .collect();
        for (peer, why) in late {
            self.misbehaved(peer, why);
        }
        self.pump();
    }

    /// The next thing that the driver is to do or to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.shared.outputs.pop_front()
    }

    /// The next frame for a peer; to be asked when the connection can take one, and after every input until
    /// there is none. Taking one may make outputs.
    pub fn poll_transmit(&mut self, peer: ClinicId, now: Timestamp) -> Option<Frame> {
        self.advance(now);
        let session = self.sessions.get_mut(&peer)?;
        let frame = session.transmit(&mut self.shared);
        if frame.is_some() {
            self.pump();
        }
        frame
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.sessions.values().filter_map(Session::deadline).min()
    }

    /// The peers that a session stands with.
    pub fn peers(&self) -> impl Iterator<Item = ClinicId> {
        self.sessions.keys().copied()
    }

    /// How many logs are known to differ from a peer's, or may; none if there is no session with it.
    pub fn behind(&self, peer: ClinicId) -> Option<u64> {
        self.sessions.get(&peer).map(Session::behind)
    }

    /// The logs that differ from a peer's after all was tried.
    #[cfg(test)]
    pub(crate) fn stuck(&self, peer: ClinicId) -> Vec<LogId> {
        let session = self.sessions.get(&peer).into_iter();
        session
            .flat_map(|session| session.stuck.keys().copied())
            .collect()
    }

    /// How much the session with a peer remembers.
    pub fn footprint(&self, peer: ClinicId) -> Option<Footprint> {
        self.sessions.get(&peer).map(Session::footprint)
    }

    /// How many tasks the store has.
    pub fn tasks(&self) -> usize {
        self.shared.tasks()
    }

    /// A clock that ran backwards stands still instead.
    fn advance(&mut self, now: Timestamp) {
        self.shared.now = self.shared.now.max(now);
    }

    fn connected(&mut self, peer: ClinicId, initiator: bool) {
        self.end(peer);
        if peer == self.me {
            return;
        }
        self.last_session += 1;
        let number = self.last_session;
        let session = Session::new(peer, number, initiator, &self.seed, &mut self.shared);
        self.sessions.insert(peer, session);
    }

    fn end(&mut self, peer: ClinicId) {
        if self.sessions.remove(&peer).is_some() {
            self.shared.release_all(peer);
        }
    }

    fn misbehaved(&mut self, peer: ClinicId, why: Violation) {
        self.end(peer);
        let event = Output::PeerMisbehaved { peer, why };
        self.shared.outputs.push_back(event);
    }

    /// The session that a task was for, if it still stands.
    fn answered(&mut self, task: TaskId) -> Option<(&mut Session, TaskKind, &mut Shared)> {
        let task = self.shared.answered(task)?;
        let session = self.sessions.get_mut(&task.peer)?;
        (session.number == task.session).then_some((session, task.kind, &mut self.shared))
    }

    /// What a commit changed counts even if the session that brought it is over.
    fn committed(&mut self, task: TaskId, committed: &Committed) {
        let peer = self.shared.peer_of(task);
        for changed in &committed.changed {
            self.log_changed(changed);
        }
        self.shared.accepted += committed.accepted;
        if let Some(peer) = peer
            && !committed.changed.is_empty()
        {
            let logs: Vec<LogId> = committed
                .changed
                .iter()
                .map(|changed| changed.log)
                .collect();
            self.shared
                .outputs
                .push_back(Output::Received { peer, logs });
        }
        let mut allowed = Ok(());
        if let Some(peer) = peer {
            for (log, chain) in &committed.forked {
                self.shared.forked(peer, *log, *chain);
            }
            let bytes = self.shared.commit_bytes(task);
            let now = self.shared.now;
            allowed = self.shared.budget(peer).stored(committed, bytes, now);
        }
        if let Some((session, TaskKind::Commit { accepted, .. }, shared)) = self.answered(task) {
            session.stored(task, accepted, committed, shared);
            let peer = session.peer;
            if let Err(why) = allowed {
                self.misbehaved(peer, why);
            }
        }
    }

    fn log_changed(&mut self, changed: &Changed) {
        if !self.shared.is_news(changed.log, changed.version) {
            return;
        }
        for session in self.sessions.values_mut() {
            session.changed(changed, &mut self.shared);
        }
    }

    /// Lets every session do what it can, until none frees anything for another.
    fn pump(&mut self) {
        loop {
            while let Some(log) = self.shared.freed.pop() {
                for session in self.sessions.values_mut() {
                    session.freed(log);
                }
            }
            for session in self.sessions.values_mut() {
                session.pump(&mut self.shared);
            }
            if self.shared.freed.is_empty() {
                break;
            }
        }
    }
}

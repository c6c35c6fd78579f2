//! The end of a story: everybody is connected, and what must hold then.

use std::collections::{BTreeMap, BTreeSet};

use salus_audit::{ChainId, EntryHash, LogId, LogState, Right, Verdict};

use super::act::Act;
use super::identity::identities;
use super::{Event, World};
use crate::port::Input;

/// Lines of one chain in a log from which on it may depend on the order of arrival which ones are held.
const MANY_LINES: usize = 12;

/// What a liar does when all others can reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Is not there any more.
    Gone,
    /// Keeps to the protocol.
    Tamed,
    /// Goes on.
    Lying,
}

impl World {
    /// All honest nodes become connected, edits go on for a while; until nothing is left to do. Connections that stand are kept,
    /// unless they garble: whatever changes during a session must arrive by it.
    pub(super) fn heal(&mut self, ending: Ending) {
        self.lying &= ending == Ending::Lying;
        let links: Vec<_> = self
            .links
            .iter()
            .map(|(ends, link)| (*ends, *link))
            .collect();
        for ((a, b), link) in links {
            let with_liar = !self.is_honest(a) || !self.is_honest(b);
            if link.garbles || (with_liar && ending != Ending::Lying) {
                self.cut(a, b);
            }
        }
        let garbles = false;
        let nodes = self.nodes.len();
        for a in 0..nodes {
            for b in 0..a {
                let honest = self.is_honest(a) && self.is_honest(b);
                if honest || ending != Ending::Gone {
                    let (a, b) = if self.chance(50) { (a, b) } else { (b, a) };
                    self.soon(200, Event::Act(Act::Connect { a, b, garbles }));
                }
            }
        }
        let honest = self.honest();
        for _ in 0..4 {
            let node = honest[self.pick(honest.len())];
            self.soon(400, Event::Act(Act::Write { node }));
        }
        self.run_to_rest();
        // Whoever was dropped for something from before is connected again.
        for (place, a) in honest.iter().enumerate() {
            for b in &honest[..place] {
                assert!(self.link(*a, *b).is_some(), "{a} and {b} are not connected");
            }
        }
    }

    /// Every two honest clinics that both know that the other may hold a log hold the same, and see the same in it.
    pub(super) fn check_converged(&mut self) {
        let honest = self.honest();
        let mut compared = 0;
        for (place, a) in honest.iter().copied().enumerate() {
            for b in honest[..place].iter().copied() {
                let held = |node: usize| self.nodes[node].ledger.all().map(LogState::log);
                let logs: BTreeSet<LogId> = held(a).chain(held(b)).collect();
                for log in logs {
                    if self.may_share(a, b, log) && !self.is_shredded(a, log) {
                        self.check_equal(a, b, log);
                        compared += 1;
                    }
                }
            }
        }
        *self.seen.acts.entry("compared").or_default() += compared;
    }

    /// Whether either, as far as it knows, may tell the other of the log; one that does not hold it would learn of it.
    fn may_share(&self, a: usize, b: usize, log: LogId) -> bool {
        let tells = |from: usize, to: usize| {
            let ledger = &self.nodes[from].ledger;
            ledger.state(log).map(|_| ledger.entitled(log, self.id(to)))
        };
        match (tells(a, b), tells(b, a)) {
            (Some(there), Some(back)) => there && back,
            (Some(there), None) => there && self.would_keep(b, a, log),
            (None, Some(back)) => back && self.would_keep(a, b, log),
            (None, None) => false,
        }
    }

    /// Whether a clinic that does not hold the log would keep what the other holds of it, knowing what it was sent already. It
    /// was perhaps sent its own revocation by somebody who told the other nothing of it: then it keeps neither.
    fn would_keep(&self, who: usize, holder: usize, log: LogId) -> bool {
        let ledger = &self.nodes[who].ledger;
        let mut state = LogState::new(log);
        let entries = self.nodes[holder].ledger.entries(log);
        let mut waiting: Vec<_> = entries.chain(ledger.set_aside(log)).collect();
        let mut before = usize::MAX;
        while before > waiting.len() {
            before = waiting.len();
            waiting.retain(|entry| {
                let verdict = state.admit(entry, &ledger.rosters);
                matches!(verdict, Verdict::Pending { .. })
            });
        }
        state.right_of(self.id(who)).is_some()
    }

    /// Whether a chain shows so many histories that no node has to hold them all.
    fn is_shredded(&self, node: usize, log: LogId) -> bool {
        let Some(state) = self.nodes[node].ledger.state(log) else {
            return false;
        };
        let mut lines: BTreeMap<ChainId, usize> = BTreeMap::new();
        for fork in state.forks() {
            *lines.entry(fork.chain).or_default() += fork.entries.len();
        }
        lines.values().any(|lines| *lines >= MANY_LINES)
    }

    fn check_equal(&self, a: usize, b: usize, log: LogId) {
        let states = [a, b].map(|node| self.nodes[node].ledger.state(log));
        let [Some(x), Some(y)] = states else {
            panic!("{a} or {b} lacks {log:?}");
        };
        assert_eq!(
            x.heights(),
            y.heights(),
            "{a} and {b} hold {log:?} differently"
        );
        assert_eq!(x.digest(), y.digest());
        let voids = |state: &LogState| {
            let voids = state.voids().map(|(hash, void)| (hash, format!("{void}")));
            voids.collect::<BTreeMap<EntryHash, String>>()
        };
        assert_eq!(
            voids(x),
            voids(y),
            "{a} and {b} let {log:?} count differently"
        );
        assert_eq!(x.void_digest(), y.void_digest());
        assert_eq!(x.current_epoch(), y.current_epoch());
        for clinic in &identities()[..self.clinics] {
            let rights: [Option<Right>; 2] = [x, y].map(|state| state.right_of(clinic.id));
            assert_eq!(
                rights[0], rights[1],
                "{a} and {b}: {log:?}, {:?}",
                clinic.id
            );
        }
        let grants = |state: &LogState| {
            let grants = state.grants().map(|grant| grant.entry);
            grants.collect::<BTreeSet<EntryHash>>()
        };
        assert_eq!(grants(x), grants(y), "{a} and {b}: grants of {log:?}");
    }

    /// The same entries in another order of arrival give the same log, and the same counts in it.
    pub(super) fn check_order(&mut self) {
        for node in self.honest() {
            let logs: Vec<LogId> = self.nodes[node].ledger.logs.keys().copied().collect();
            for log in logs {
                if self.is_shredded(node, log) {
                    continue;
                }
                let ledger = &self.nodes[node].ledger;
                let mut entries: Vec<_> = ledger.entries(log).cloned().collect();
                for place in (1..entries.len()).rev() {
                    entries.swap(place, self.random.below(place + 1));
                }
                let mut state = LogState::new(log);
                let mut before = usize::MAX;
                while before > entries.len() {
                    before = entries.len();
                    entries.retain(|entry| {
                        let verdict = state.admit(entry, &ledger.rosters);
                        matches!(verdict, Verdict::Pending { .. })
                    });
                }
                state.settle(&ledger.rosters);
                let held = &ledger.logs[&log];
                assert_eq!(
                    state.heights(),
                    held.heights(),
                    "{node} {log:?} in another order"
                );
                let voids = |state: &LogState| {
                    let voids = state.voids().map(|(hash, void)| (hash, format!("{void}")));
                    voids.collect::<BTreeMap<EntryHash, String>>()
                };
                assert_eq!(
                    voids(&state),
                    voids(held),
                    "{node} {log:?} in another order"
                );
                assert_eq!(state.void_digest(), held.void_digest());
            }
        }
    }

    /// Every two honest nodes have told that they are in step, and nothing that they may share is behind.
    pub(super) fn check_in_step(&self) {
        let honest = self.honest();
        for a in honest.iter().copied() {
            for b in honest.iter().copied().filter(|b| *b != a) {
                assert!(
                    self.seen.in_step.contains_key(&(a, b)),
                    "{a} is not in step with {b}"
                );
                let engine = &self.nodes[a].engine;
                let stuck = engine.stuck(self.id(b));
                // What the other may not tell any more, or not hold, stays different.
                for log in &stuck {
                    let shared = self.may_share(a, b, *log) && !self.is_shredded(a, *log);
                    assert!(!shared, "{a} has given up {log:?} of {b}");
                }
                assert_eq!(
                    engine.behind(self.id(b)),
                    Some(stuck.len() as u64),
                    "{a}, {b}"
                );
            }
        }
    }

    /// Somebody asks for a sync when all is done already: it is said to be done at once.
    pub(super) fn ask_for_a_sync(&mut self) {
        let honest = self.honest();
        let a = honest[self.pick(honest.len())];
        let b = honest[self.pick(honest.len())];
        if a == b {
            return;
        }
        self.seen.in_step.remove(&(a, b));
        let peer = self.id(b);
        self.tell(a, Input::SyncRequested { peer });
        self.run_to_rest();
        let done = self.seen.in_step.get(&(a, b));
        assert!(done.is_some(), "a sync was asked for and never done");
    }
}

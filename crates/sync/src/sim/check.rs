//! What must hold at every step.

use salus_audit::{ChainId, LogId};

use super::World;
use super::identity::identities;
use super::ledger::Ledger;
use crate::frame::{Message, Part};
use crate::limits::{MAX_LOADS, WINDOW_BYTES};
use crate::port::{ABSENT, Violation};

impl World {
    /// What may leave an honest node: nothing about a record that the other may not hold as far as this node
    /// knows, and no acknowledgement of entries that its store has not seen.
    pub(super) fn check_frame(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let message = Message::decode(bytes).expect("an engine sends frames that can be read");
        if self.trace {
            eprintln!("{:>6} {from}->{to} {message:?}", self.queue.now);
        }
        let mut named = Vec::new();
        match &message {
            Message::Answer { parts, .. } => {
                for part in parts {
                    if let Part::Listed { items, .. } = part {
                        named.extend(items.iter().map(|(log, _)| *log));
                    }
                }
                self.may_know(from, to, &named);
            }
            Message::Announce { items } => {
                named.extend(items.iter().map(|(log, _)| *log));
                self.may_know(from, to, &named);
            }
            Message::Heights { items } => {
                let says = |digest, heights: bool| digest != ABSENT || heights;
                let told = items.iter();
                let told = told.filter(|item| says(item.digest, !item.heights.is_empty()));
                let told: Vec<LogId> = told.map(|item| item.log).collect();
                self.may_know(from, to, &told);
                if self.is_honest(from) && self.is_honest(to) {
                    let asked = &self.wires[&(to, from)].named;
                    let known = |log: &LogId| told.contains(log) || asked.contains(log);
                    assert!(
                        items.iter().all(|item| known(&item.log)),
                        "asked a stranger"
                    );
                }
                named.extend(items.iter().map(|item| item.log));
            }
            Message::Entries { groups } => {
                let full = groups.iter();
                let full = full.filter(|g| !g.entries.is_empty() || g.statement.is_some());
                let full: Vec<LogId> = full.map(|group| group.log).collect();
                self.may_know(from, to, &full);
            }
            Message::Ack { frames, .. } if self.is_honest(from) => {
                let wire = &self.wires[&(to, from)];
                let frames = usize::try_from(*frames).unwrap();
                assert!(frames <= wire.entries.len(), "acknowledged nothing");
                let dealt = &self.nodes[from].ledger.dealt;
                let mut entries = wire.entries.iter().take(frames).flatten();
                assert!(
                    entries.all(|entry| dealt.contains(entry)),
                    "acknowledged too early"
                );
            }
            _ => {}
        }
        let wire = self.wires.entry((from, to)).or_default();
        wire.named.extend(named);
    }

    /// That an honest node says something of these logs to another: it knows of a right of his, or its engine was not told
    /// yet that there is none any more.
    fn may_know(&self, from: usize, to: usize, logs: &[LogId]) {
        if !self.is_honest(from) {
            return;
        }
        let peer = self.id(to);
        let node = &self.nodes[from];
        for log in logs {
            let told = node.told.get(log);
            let told = told.is_some_and(|(_, audience)| audience.contains(&peer));
            let may = node.ledger.entitled(*log, peer) || told;
            assert!(may, "{from} tells {to} of {log:?}");
        }
    }

    pub(super) fn check_memory(&self, node: usize) {
        if !self.is_honest(node) {
            return;
        }
        let node = &self.nodes[node];
        let entry = 4096;
        for peer in node.engine.peers() {
            let footprint = node.engine.footprint(peer).unwrap();
            let frame = self.config.frame_bytes;
            let outgoing = self.config.window_bytes + (MAX_LOADS + 1) * (frame + entry);
            assert!(footprint.outgoing_bytes <= outgoing, "{footprint:?}");
            assert!(footprint.incoming_bytes <= WINDOW_BYTES, "{footprint:?}");
            assert!(
                footprint.logs <= 64 && footprint.stuck <= 256,
                "{footprint:?}"
            );
        }
        assert!(node.engine.tasks() < 2_000);
    }

    /// Only a chain of the clinic that lies shows two histories.
    pub(super) fn check_accusation(&mut self, node: usize, chain: ChainId) {
        if !self.is_honest(node) {
            return;
        }
        let liar = self.liar.map(|liar| &identities()[liar]);
        let guilty = liar.is_some_and(|liar| liar.chains().any(|own| own == chain));
        assert!(guilty, "an honest clinic is accused");
        self.count("equivocation");
    }

    /// Between honest nodes nothing is held against the other, unless the connection garbled it.
    pub(super) fn check_misbehaviour(&mut self, node: usize, other: usize, why: Violation) {
        let garbled = self.link(node, other).is_some_and(|link| link.garbles);
        let honest = self.is_honest(node) && self.is_honest(other);
        assert!(garbled || !honest, "{node} says of {other}: {why}");
        self.count("misbehaved");
    }

    /// What is made from the disk is what was in memory.
    pub(super) fn check_reopened(&self, node: usize, reopened: &Ledger) {
        let before = &self.nodes[node].ledger;
        for state in before.all() {
            let log = state.log();
            let again = reopened
                .state(log)
                .unwrap_or_else(|| panic!("{node} lost {log:?}"));
            assert_eq!(again.digest(), state.digest(), "{node} {log:?}");
            assert_eq!(again.void_digest(), state.void_digest(), "{node} {log:?}");
            for clinic in &identities()[..self.clinics] {
                let rights = [again, state].map(|state| state.right_of(clinic.id));
                assert_eq!(rights[0], rights[1], "{node} {log:?}");
            }
        }
        assert_eq!(before.all().count(), reopened.all().count());
    }
}

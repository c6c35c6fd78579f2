//! What must hold at every step, and what must hold in the end.

use salus_audit::LogId;

use super::ledger::hash;
use super::world::World;
use crate::frame::{Message, Part};
use crate::limits::{MAX_LOADS, WINDOW_BYTES};
use crate::port::ABSENT;

impl World {
    /// What may leave a node: nothing about a log that the other may not hold, and no acknowledgement of
    /// entries that the store has not seen.
    pub(super) fn check_frame(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let message = Message::decode(bytes).expect("an engine sends frames that can be read");
        if std::env::var("SALUS_TRACE").is_ok() {
            eprintln!("{:>6} {from}->{to} {message:?}", self.queue.now);
        }
        let peer = self.nodes[to].id;
        let ledger = &self.nodes[from].ledger;
        let may = |log: &LogId| ledger.entitled(*log, peer);
        let mut named = Vec::new();
        let kind = match &message {
            Message::Hello { .. } => "hello",
            Message::Probe { .. } => "probe",
            Message::Answer { parts, .. } => {
                for part in parts {
                    if let Part::Listed { items, .. } = part {
                        assert!(
                            items.iter().all(|(log, _)| may(log)),
                            "listed to a stranger"
                        );
                        named.extend(items.iter().map(|(log, _)| *log));
                    }
                }
                "answer"
            }
            Message::Announce { items } => {
                assert!(
                    items.iter().all(|(log, _)| may(log)),
                    "announced to a stranger"
                );
                named.extend(items.iter().map(|(log, _)| *log));
                "announce"
            }
            Message::Heights { items } => {
                let asked = &self.wires[&(to, from)].named;
                for item in items {
                    let empty = item.digest == ABSENT && item.heights.is_empty();
                    let known = empty && asked.contains(&item.log);
                    let liar = self.liar == Some(to);
                    assert!(
                        may(&item.log) || known || (empty && liar),
                        "asked a stranger"
                    );
                    named.push(item.log);
                }
                "heights"
            }
            Message::Entries { groups } => {
                let mut entries = Vec::new();
                for group in groups {
                    assert!(
                        group.entries.is_empty() || may(&group.log),
                        "sent to a stranger"
                    );
                    entries.extend(group.entries.iter().map(|entry| hash(entry)));
                }
                self.wires
                    .entry((from, to))
                    .or_default()
                    .entries
                    .push(entries);
                "entries"
            }
            Message::Ack { frames, .. } => {
                // A liar's entries were damaged on their way.
                let lies = self.liar == Some(to);
                let wire = &self.wires[&(to, from)];
                let frames = usize::try_from(*frames).unwrap();
                if frames > 0 {
                    self.seen.acks.insert(from);
                }
                assert!(frames <= wire.entries.len() || lies, "acknowledged nothing");
                for entry in wire.entries.iter().take(frames).flatten() {
                    let stored = ledger.seen.contains(entry);
                    assert!(stored || lies, "acknowledged before it was stored");
                }
                "ack"
            }
            Message::Settled { .. } => "settled",
        };
        self.wires
            .entry((from, to))
            .or_default()
            .named
            .extend(named);
        *self.seen.frames.entry(kind).or_default() += 1;
    }

    pub(super) fn check_memory(&self, node: usize) {
        let node = &self.nodes[node];
        let entry = 4096;
        for peer in node.engine.peers() {
            let footprint = node.engine.footprint(peer).unwrap();
            let frame = self.config.frame_bytes;
            let outgoing = self.config.window_bytes + (MAX_LOADS + 1) * (frame + entry);
            assert!(footprint.outgoing_bytes <= outgoing, "{footprint:?}");
            assert!(footprint.incoming_bytes <= WINDOW_BYTES, "{footprint:?}");
        }
        assert!(node.engine.tasks() < 2_000);
    }

    /// Every clinic that may hold a log holds what its home holds.
    pub(super) fn check_converged(&self) {
        for home in &self.nodes {
            for (log, held) in &home.ledger.logs {
                if held.home != home.id {
                    continue;
                }
                for node in &self.nodes {
                    if !home.ledger.entitled(*log, node.id) {
                        continue;
                    }
                    let theirs = node.ledger.logs.get(log).map(|log| &log.heights);
                    assert_eq!(theirs, Some(&held.heights), "{log:?} at {:?}", node.id);
                }
            }
        }
    }
}

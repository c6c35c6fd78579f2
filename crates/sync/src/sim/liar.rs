//! What a clinic that lies does to its frames: garbles them, changes what they say, sends old ones, keeps some back.

use salus_audit::{ChainId, EntryHash, Height, LogId};

use super::World;
use crate::frame::{Message, Part};

impl World {
    /// What is sent instead of a frame.
    pub(super) fn tampered(&mut self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        match self.below(100) {
            0..2 => vec![self.garbled(bytes)],
            2..16 => vec![self.changed(bytes)],
            16..18 => Vec::new(),
            18..20 if !self.old_frames.is_empty() => {
                let place = self.pick(self.old_frames.len());
                let old = self.old_frames[place].clone();
                if old.is_empty() {
                    vec![bytes]
                } else {
                    vec![old, bytes]
                }
            }
            _ => vec![bytes],
        }
    }

    fn garbled(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let len = bytes.len();
        match self.below(4) {
            0 => bytes.truncate(self.pick(len)),
            1 => {
                let n = self.pick(40);
                bytes = (0..n)
                    .map(|_| u8::try_from(self.below(256)).unwrap())
                    .collect();
            }
            2 => bytes.extend([0, 1, 2]),
            _ => {
                let at = self.pick(len);
                bytes[at] ^= 1 << self.below(8);
            }
        }
        bytes
    }

    fn bytes32(&mut self) -> [u8; 32] {
        *blake3::hash(&self.below(1 << 40).to_be_bytes()).as_bytes()
    }

    /// Says something else than the truth, in good form.
    fn changed(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let Ok(mut message) = Message::decode(&bytes) else {
            return bytes;
        };
        match &mut message {
            Message::Hello { .. } => {}
            Message::Probe { ranges, .. } => {
                let place = self.pick(ranges.len());
                ranges[place].1.fingerprint = self.bytes32();
            }
            Message::Answer { parts, .. } => {
                for part in parts {
                    if let Part::Listed { items, upto: None } = part {
                        let other = self.below(3);
                        match items.last().map(|(log, _)| next(*log)) {
                            Some(log) if other == 0 => items.push((log, self.bytes32())),
                            Some(_) if other == 1 => items.truncate(items.len() / 2),
                            Some(_) => items[0].1 = self.bytes32(),
                            None => {}
                        }
                    }
                }
            }
            Message::Announce { items } => {
                if self.chance(50) {
                    items.push((LogId::from_bytes(self.bytes32()), self.bytes32()));
                }
                let place = self.pick(items.len());
                items[place].1 = self.bytes32();
            }
            Message::Heights { items } => {
                let place = self.pick(items.len());
                let item = &mut items[place];
                let hash = EntryHash::from_bytes(self.bytes32());
                let line = item.heights.keys().next().copied();
                match (self.below(5), line) {
                    (0, Some(line)) => {
                        item.heights.remove(&line);
                    }
                    (1, Some(line)) => {
                        item.heights
                            .entry(line)
                            .and_modify(|h| h.hash = hash)
                            .or_insert(Height { seq: 0, hash })
                            .seq += 1
                    }
                    (2, Some(line)) => {
                        item.heights.entry(line).and_modify(|h| h.hash = hash);
                    }
                    (3, _) => {
                        let seq = self.below(9);
                        let line = ChainId::from_bytes(self.bytes32());
                        item.heights.insert(line, Height { seq, hash });
                    }
                    _ => item.digest = self.bytes32(),
                }
            }
            Message::Entries { groups } => {
                let place = self.pick(groups.len());
                let group = &mut groups[place];
                let count = group.entries.len();
                match self.below(4) {
                    0 if count > 0 => {
                        group.entries.remove(self.pick(count));
                        group.end |= group.entries.is_empty();
                    }
                    1 if count > 0 => {
                        let place = self.pick(count);
                        let len = group.entries[place].len();
                        let at = self.pick(len);
                        group.entries[place][at] ^= 1;
                    }
                    2 if count > 0 => group.entries.extend_from_within(..),
                    _ => group.statement = group.end.then(|| vec![7; 100]),
                }
            }
            Message::Ack { frames, announces } => match self.below(3) {
                0 => *frames += 1,
                1 => *announces += 1,
                _ => *frames = 0,
            },
            Message::Settled { unresolved } => *unresolved += 7,
        }
        message.encode().into_bytes()
    }
}

/// The id after this one.
fn next(log: LogId) -> LogId {
    let mut bytes = *log.as_bytes();
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    LogId::from_bytes(bytes)
}

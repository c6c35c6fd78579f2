//! Reading frames. Every count and length has a limit, and nothing is allocated for what a count merely claims.

use minicbor::Decoder;
use salus_audit::{ChainId, EntryHash, Height, Heights, LogId, MAX_CHAINS};

use crate::frame::{Group, HeightsItem, Interval, Message, Part, Set, Summary};
use crate::limits::{
    MAX_ENTRIES, MAX_FRAME_BYTES, MAX_GROUPS, MAX_HEIGHTS_ITEMS, MAX_ITEMS, MAX_RANGES,
    MAX_STATEMENT_BYTES,
};
use crate::port::{Digest, Violation};

/// Reads one frame, without its length prefix, as the engine would: whether it is one. For fuzzing and for tools.
///
/// # Errors
/// What is wrong with it.
pub fn check_frame(bytes: &[u8]) -> Result<(), Violation> {
    Message::decode(bytes).map(drop)
}

impl Message {
    /// Reads a frame and refuses every other encoding of the same value. All forms have definite lengths, so
    /// the deterministic one is the shortest, and comparing lengths is enough.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        if bytes.len() > MAX_FRAME_BYTES {
            return Err(Violation::TooMuch("bytes in a frame"));
        }
        let mut reader = Reader(Decoder::new(bytes));
        let message = reader.message()?;
        let read = reader.0.position();
        if read != bytes.len() || message.encoded_len() != bytes.len() {
            return Err(Violation::Malformed("encoding"));
        }
        Ok(message)
    }
}

struct Reader<'b>(Decoder<'b>);

impl Reader<'_> {
    fn message(&mut self) -> Result<Message, Violation> {
        let len = self.array("frame")?;
        let kind = self.u64("kind")?;
        match (kind, len) {
            (0, 2) => Ok(Message::Hello {
                version: self.u64("version")?,
            }),
            (1, 3) => Ok(Message::Probe {
                id: self.u64("probe")?,
                ranges: self.ranges()?,
            }),
            (2, 3) => Ok(Message::Answer {
                id: self.u64("answer")?,
                parts: self.parts()?,
            }),
            (3, 2) => Ok(Message::Announce {
                items: self.pairs(&mut { MAX_ITEMS }, false)?,
            }),
            (4, 2) => Ok(Message::Heights {
                items: self.heights_items()?,
            }),
            (5, 2) => Ok(Message::Entries {
                groups: self.groups()?,
            }),
            (6, 3) => Ok(Message::Ack {
                frames: self.u64("acknowledgement")?,
                announces: self.u64("acknowledgement")?,
            }),
            (7, 2) => Ok(Message::Settled {
                unresolved: self.u64("settled")?,
            }),
            _ => Err(Violation::Malformed("kind")),
        }
    }

    fn ranges(&mut self) -> Result<Vec<(Interval, Summary)>, Violation> {
        let len = self.length(MAX_RANGES, "ranges")?;
        let mut ranges: Vec<(Interval, Summary)> = Vec::with_capacity(self.room(len));
        for _ in 0..len {
            self.array_of(5, "range")?;
            let set = match self.u64("set")? {
                0 => Set::Rosters,
                1 => Set::Records,
                _ => return Err(Violation::Malformed("set")),
            };
            let lo = LogId::from_bytes(self.bytes32("range")?);
            let hi = self.optional()?;
            if hi.is_some_and(|hi| hi <= lo) {
                return Err(Violation::Malformed("range"));
            }
            // Disjoint and ascending, so that a probe never costs more than one pass over the catalog.
            if let Some((before, _)) = ranges.last() {
                let apart = before.set < set
                    || (before.set == set && before.hi.is_some_and(|before| before <= lo));
                if !apart {
                    return Err(Violation::Malformed("order of ranges"));
                }
            }
            let summary = Summary {
                count: self.u64("count")?,
                fingerprint: self.bytes32("fingerprint")?,
            };
            ranges.push((Interval { set, lo, hi }, summary));
        }
        if ranges.is_empty() {
            return Err(Violation::Malformed("ranges"));
        }
        Ok(ranges)
    }

    fn parts(&mut self) -> Result<Vec<Part>, Violation> {
        let len = self.length(MAX_RANGES, "parts")?;
        let mut left = MAX_ITEMS;
        let mut parts = Vec::with_capacity(self.room(len));
        for _ in 0..len {
            let fields = self.array("part")?;
            let part = match (self.u64("part")?, fields) {
                (0, 1) => Part::Same,
                (1, 1) => Part::Differs,
                (2, 3) => Part::Listed {
                    upto: self.optional()?,
                    items: self.pairs(&mut left, true)?,
                },
                _ => return Err(Violation::Malformed("part")),
            };
            parts.push(part);
        }
        Ok(parts)
    }

    fn pairs(&mut self, left: &mut usize, sorted: bool) -> Result<Vec<(LogId, Digest)>, Violation> {
        let len = self.length(*left, "logs in a frame")?;
        *left -= len;
        let mut items: Vec<(LogId, Digest)> = Vec::with_capacity(self.room(len));
        for _ in 0..len {
            self.array_of(2, "item")?;
            let log = LogId::from_bytes(self.bytes32("log")?);
            if sorted && items.last().is_some_and(|(before, _)| *before >= log) {
                return Err(Violation::Malformed("order of logs"));
            }
            items.push((log, self.bytes32("digest")?));
        }
        Ok(items)
    }

    fn heights_items(&mut self) -> Result<Vec<HeightsItem>, Violation> {
        let len = self.length(MAX_HEIGHTS_ITEMS, "heights in a frame")?;
        let mut items = Vec::with_capacity(self.room(len));
        for _ in 0..len {
            self.array_of(4, "heights")?;
            let log = LogId::from_bytes(self.bytes32("log")?);
            let digest = self.bytes32("digest")?;
            let answer = self.flag("answer")?;
            let chains = self.length(MAX_CHAINS, "chains")?;
            let mut heights = Heights::new();
            for _ in 0..chains {
                self.array_of(3, "height")?;
                let chain = ChainId::from_bytes(self.bytes32("chain")?);
                let height = Height {
                    seq: self.u64("seq")?,
                    hash: EntryHash::from_bytes(self.bytes32("hash")?),
                };
                if heights
                    .last_key_value()
                    .is_some_and(|(last, _)| *last >= chain)
                {
                    return Err(Violation::Malformed("order of chains"));
                }
                heights.insert(chain, height);
            }
            items.push(HeightsItem {
                log,
                digest,
                answer,
                heights,
            });
        }
        Ok(items)
    }

    fn groups(&mut self) -> Result<Vec<Group>, Violation> {
        let len = self.length(MAX_GROUPS, "groups")?;
        let mut left = MAX_ENTRIES;
        let mut groups = Vec::with_capacity(self.room(len));
        for _ in 0..len {
            let fields = self.array("group")?;
            let log = LogId::from_bytes(self.bytes32("log")?);
            let end = self.flag("end")?;
            let count = self.length(left, "entries")?;
            left -= count;
            let mut entries = Vec::with_capacity(self.room(count));
            for _ in 0..count {
                let bytes = self.0.bytes();
                let bytes = bytes.map_err(|_| Violation::Malformed("entry"))?;
                if bytes.is_empty() {
                    return Err(Violation::Malformed("entry"));
                }
                entries.push(bytes.to_vec());
            }
            if entries.is_empty() && !end {
                return Err(Violation::Malformed("group"));
            }
            let statement = match fields {
                3 => None,
                4 if end => Some(self.statement()?),
                _ => return Err(Violation::Malformed("group")),
            };
            groups.push(Group {
                log,
                end,
                entries,
                statement,
            });
        }
        if groups.is_empty() {
            return Err(Violation::Malformed("groups"));
        }
        Ok(groups)
    }

    fn statement(&mut self) -> Result<Vec<u8>, Violation> {
        let bytes = self.0.bytes();
        let bytes = bytes.map_err(|_| Violation::Malformed("statement"))?;
        if bytes.is_empty() {
            return Err(Violation::Malformed("statement"));
        }
        if bytes.len() > MAX_STATEMENT_BYTES {
            return Err(Violation::TooMuch("bytes in a statement"));
        }
        Ok(bytes.to_vec())
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, Violation> {
        self.0.u64().map_err(|_| Violation::Malformed(what))
    }

    fn flag(&mut self, what: &'static str) -> Result<bool, Violation> {
        match self.u64(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Violation::Malformed(what)),
        }
    }

    fn bytes32(&mut self, what: &'static str) -> Result<[u8; 32], Violation> {
        let bytes = self.0.bytes().map_err(|_| Violation::Malformed(what))?;
        bytes.try_into().map_err(|_| Violation::Malformed(what))
    }

    fn optional(&mut self) -> Result<Option<LogId>, Violation> {
        match self.0.datatype() {
            Ok(minicbor::data::Type::Null) => {
                self.0.null().map_err(|_| Violation::Malformed("bound"))?;
                Ok(None)
            }
            _ => self.bytes32("bound").map(LogId::from_bytes).map(Some),
        }
    }

    fn array(&mut self, what: &'static str) -> Result<u64, Violation> {
        match self.0.array() {
            Ok(Some(len)) => Ok(len),
            _ => Err(Violation::Malformed(what)),
        }
    }

    fn array_of(&mut self, len: u64, what: &'static str) -> Result<(), Violation> {
        if self.array(what)? == len {
            Ok(())
        } else {
            Err(Violation::Malformed(what))
        }
    }

    fn length(&mut self, max: usize, what: &'static str) -> Result<usize, Violation> {
        let len = usize::try_from(self.array(what)?).map_err(|_| Violation::TooMuch(what))?;
        if len > max {
            return Err(Violation::TooMuch(what));
        }
        Ok(len)
    }

    /// Each item takes a byte at least: a length beyond the frame allocates nothing.
    fn room(&self, len: usize) -> usize {
        len.min(self.0.input().len().saturating_sub(self.0.position()))
    }
}

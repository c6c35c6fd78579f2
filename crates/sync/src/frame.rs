//! The frames: one deterministic CBOR array each (RFC 8949 section 4.2.1). The layout is drawn in the crate's page.

use std::convert::Infallible;
use std::fmt;

use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decoder, Encoder};
use salus_audit::{ChainId, EntryHash, Height, Heights, LogId, MAX_CHAINS};

use crate::limits::{
    MAX_ENTRIES, MAX_FRAME_BYTES, MAX_GROUPS, MAX_HEIGHTS_ITEMS, MAX_ITEMS, MAX_RANGES,
};
use crate::port::{Digest, Violation};

/// The bytes of one frame, without the length prefix that the driver puts before it.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Vec<u8>);

impl Frame {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: a frame has at least a kind.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.0.len())
    }
}

/// The two sets that are reconciled; rosters come first, in the order of this type too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Set {
    Rosters,
    Records,
}

/// The logs of a set from `lo` on and before `hi`, or to the end. Never empty: `lo` is before `hi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interval {
    pub set: Set,
    pub lo: LogId,
    pub hi: Option<LogId>,
}

/// What one side holds in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub count: u64,
    pub fingerprint: Digest,
}

/// What the other side holds in an interval, as far as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The same.
    Same,
    /// Something else, and both hold many logs: split it.
    Differs,
    /// Exactly these, before `upto` or in the whole interval.
    Listed {
        items: Vec<(LogId, Digest)>,
        upto: Option<LogId>,
    },
}

/// The heights of one log; asks the other side for what the sender lacks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HeightsItem {
    pub log: LogId,
    pub digest: Digest,
    /// Whether it answers the other side's heights of this log.
    pub answer: bool,
    pub heights: Heights,
}

/// Entries of one log, and whether they are the last of what was asked.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub log: LogId,
    pub end: bool,
    pub entries: Vec<Vec<u8>>,
}

impl fmt::Debug for HeightsItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} chains", self.log, self.heights.len())
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} entries", self.log, self.entries.len())
    }
}

/// A frame as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Hello {
        version: u64,
    },
    Probe {
        id: u64,
        ranges: Vec<(Interval, Summary)>,
    },
    Answer {
        id: u64,
        parts: Vec<Part>,
    },
    Announce {
        items: Vec<(LogId, Digest)>,
    },
    Heights {
        items: Vec<HeightsItem>,
    },
    Entries {
        groups: Vec<Group>,
    },
    Ack {
        frames: u64,
        announces: u64,
    },
    Settled {
        unresolved: u64,
    },
}

/// Counts what a writer would hold.
struct Length(usize);

impl Write for Length {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0 += bytes.len();
        Ok(())
    }
}

impl Message {
    pub(crate) fn encode(&self) -> Frame {
        let mut encoder = Encoder::new(Vec::with_capacity(self.encoded_len()));
        let written = self.write(&mut encoder);
        debug_assert!(written.is_ok(), "writing to memory does not fail");
        Frame(encoder.into_writer())
    }

    pub(crate) fn encoded_len(&self) -> usize {
        let mut encoder = Encoder::new(Length(0));
        let written = self.write(&mut encoder);
        debug_assert!(written.is_ok(), "counting does not fail");
        encoder.into_writer().0
    }

    fn write<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>> {
        match self {
            Self::Hello { version } => {
                e.array(2)?.u64(0)?.u64(*version)?;
            }
            Self::Probe { id, ranges } => {
                e.array(3)?.u64(1)?.u64(*id)?.array(ranges.len() as u64)?;
                for (interval, summary) in ranges {
                    e.array(5)?.u64(interval.set as u64)?;
                    e.bytes(interval.lo.as_bytes())?;
                    optional(e, interval.hi)?;
                    e.u64(summary.count)?.bytes(&summary.fingerprint)?;
                }
            }
            Self::Answer { id, parts } => {
                e.array(3)?.u64(2)?.u64(*id)?.array(parts.len() as u64)?;
                for part in parts {
                    match part {
                        Part::Same => e.array(1)?.u64(0)?.ok()?,
                        Part::Differs => e.array(1)?.u64(1)?.ok()?,
                        Part::Listed { items, upto } => {
                            e.array(3)?.u64(2)?;
                            optional(e, *upto)?;
                            pairs(e, items)?;
                        }
                    }
                }
            }
            Self::Announce { items } => {
                e.array(2)?.u64(3)?;
                pairs(e, items)?;
            }
            Self::Heights { items } => {
                e.array(2)?.u64(4)?.array(items.len() as u64)?;
                for item in items {
                    e.array(4)?.bytes(item.log.as_bytes())?;
                    e.bytes(&item.digest)?.u64(u64::from(item.answer))?;
                    e.array(item.heights.len() as u64)?;
                    for (chain, height) in &item.heights {
                        e.array(3)?.bytes(chain.as_bytes())?.u64(height.seq)?;
                        e.bytes(height.hash.as_bytes())?;
                    }
                }
            }
            Self::Entries { groups } => {
                e.array(2)?.u64(5)?.array(groups.len() as u64)?;
                for group in groups {
                    e.array(3)?.bytes(group.log.as_bytes())?;
                    e.u64(u64::from(group.end))?;
                    e.array(group.entries.len() as u64)?;
                    for entry in &group.entries {
                        e.bytes(entry)?;
                    }
                }
            }
            Self::Ack { frames, announces } => {
                e.array(3)?.u64(6)?.u64(*frames)?.u64(*announces)?;
            }
            Self::Settled { unresolved } => {
                e.array(2)?.u64(7)?.u64(*unresolved)?;
            }
        }
        Ok(())
    }

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

fn optional<W: Write>(e: &mut Encoder<W>, log: Option<LogId>) -> Result<(), EncodeError<W::Error>> {
    match log {
        Some(log) => e.bytes(log.as_bytes())?.ok(),
        None => e.null()?.ok(),
    }
}

fn pairs<W: Write>(
    e: &mut Encoder<W>,
    items: &[(LogId, Digest)],
) -> Result<(), EncodeError<W::Error>> {
    e.array(items.len() as u64)?;
    for (log, digest) in items {
        e.array(2)?.bytes(log.as_bytes())?.bytes(digest)?;
    }
    Ok(())
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
            self.array_of(3, "group")?;
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
            groups.push(Group { log, end, entries });
        }
        if groups.is_empty() {
            return Err(Violation::Malformed("groups"));
        }
        Ok(groups)
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn log() -> impl Strategy<Value = LogId> {
        any::<[u8; 32]>().prop_map(LogId::from_bytes)
    }

    fn item() -> impl Strategy<Value = (LogId, Digest)> {
        (log(), any::<Digest>())
    }

    fn sorted() -> impl Strategy<Value = Vec<(LogId, Digest)>> {
        vec(item(), 0..5).prop_map(|mut items| {
            items.sort();
            items.dedup_by_key(|item| item.0);
            items
        })
    }

    fn part() -> impl Strategy<Value = Part> {
        prop_oneof![
            Just(Part::Same),
            Just(Part::Differs),
            (sorted(), proptest::option::of(log()))
                .prop_map(|(items, upto)| Part::Listed { items, upto }),
        ]
    }

    fn ranges() -> impl Strategy<Value = Vec<(Interval, Summary)>> {
        (vec(log(), 2..8), any::<u64>(), any::<Digest>()).prop_map(|(mut cuts, count, digest)| {
            cuts.sort();
            cuts.dedup();
            let summary = Summary {
                count,
                fingerprint: digest,
            };
            let interval = |set, lo, hi| (Interval { set, lo, hi }, summary);
            let mut ranges = vec![interval(Set::Rosters, cuts[0], None)];
            for pair in cuts.windows(2) {
                ranges.push(interval(Set::Records, pair[0], Some(pair[1])));
            }
            ranges
        })
    }

    fn heights_item() -> impl Strategy<Value = HeightsItem> {
        let height = (any::<[u8; 32]>(), any::<u64>(), any::<[u8; 32]>());
        (log(), any::<Digest>(), any::<bool>(), vec(height, 0..4)).prop_map(
            |(log, digest, answer, chains)| HeightsItem {
                log,
                digest,
                answer,
                heights: chains
                    .into_iter()
                    .map(|(chain, seq, hash)| {
                        let hash = EntryHash::from_bytes(hash);
                        (ChainId::from_bytes(chain), Height { seq, hash })
                    })
                    .collect(),
            },
        )
    }

    fn group() -> impl Strategy<Value = Group> {
        (log(), any::<bool>(), vec(vec(any::<u8>(), 1..40), 0..4)).prop_map(
            |(log, end, entries)| Group {
                log,
                end: end || entries.is_empty(),
                entries,
            },
        )
    }

    pub(crate) fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            any::<u64>().prop_map(|version| Message::Hello { version }),
            (any::<u64>(), ranges()).prop_map(|(id, ranges)| Message::Probe { id, ranges }),
            (any::<u64>(), vec(part(), 0..4)).prop_map(|(id, parts)| Message::Answer { id, parts }),
            vec(item(), 0..5).prop_map(|items| Message::Announce { items }),
            vec(heights_item(), 0..4).prop_map(|items| Message::Heights { items }),
            vec(group(), 1..4).prop_map(|groups| Message::Entries { groups }),
            (any::<u64>(), any::<u64>())
                .prop_map(|(frames, announces)| Message::Ack { frames, announces }),
            any::<u64>().prop_map(|unresolved| Message::Settled { unresolved }),
        ]
    }

    proptest! {
        #[test]
        fn a_frame_is_read_back_as_it_was_written(message in message()) {
            let frame = message.encode();
            prop_assert_eq!(frame.len(), message.encoded_len());
            prop_assert_eq!(Message::decode(frame.as_bytes()), Ok(message));
        }

        #[test]
        fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
            let _ = Message::decode(&bytes);
        }

        #[test]
        fn a_damaged_frame_never_panics_and_has_one_encoding(
            message in message(),
            at in any::<prop::sample::Index>(),
            to in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = message.encode().into_bytes();
            let cut = cut.index(bytes.len()) + 1;
            let index = at.index(bytes.len());
            bytes[index] = to;
            if let Ok(read) = Message::decode(&bytes) {
                prop_assert_eq!(read.encode().into_bytes(), bytes.clone());
                if cut < bytes.len() {
                    bytes.truncate(cut);
                    prop_assert!(Message::decode(&bytes).is_err());
                }
            }
        }
    }

    #[test]
    fn a_hello_is_these_bytes() {
        let hello = Message::Hello { version: 1 };
        assert_eq!(hello.encode().as_bytes(), [0x82, 0x00, 0x01]);
        let ack = Message::Ack {
            frames: 24,
            announces: 0,
        };
        assert_eq!(ack.encode().as_bytes(), [0x83, 0x06, 0x18, 24, 0x00]);
    }

    #[test]
    fn other_encodings_of_a_hello_are_refused() {
        // A long integer, a long array head, an indefinite array, trailing bytes.
        for bytes in [
            &[0x82, 0x00, 0x18, 0x01][..],
            &[0x98, 0x02, 0x00, 0x01],
            &[0x9f, 0x00, 0x01, 0xff],
            &[0x82, 0x00, 0x01, 0x00],
            &[],
        ] {
            assert!(Message::decode(bytes).is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_count_beyond_the_frame_allocates_nothing() {
        // An announce that claims 2^32 - 1 items, and one that claims 16,384 in three bytes.
        let huge = [0x82, 0x03, 0x9a, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(
            Message::decode(&huge),
            Err(Violation::TooMuch("logs in a frame"))
        );
        assert!(Message::decode(&[0x82, 0x03, 0x99, 0x40, 0x00]).is_err());
    }

    #[test]
    fn ranges_that_overlap_are_refused() {
        let lo = LogId::from_bytes([1; 32]);
        let hi = LogId::from_bytes([2; 32]);
        let summary = Summary {
            count: 0,
            fingerprint: [0; 32],
        };
        let range = |lo, hi| {
            let set = Set::Records;
            (Interval { set, lo, hi }, summary)
        };
        let probe = |ranges| Message::Probe { id: 0, ranges }.encode();
        let bad = [
            probe(vec![range(lo, None), range(hi, None)]),
            probe(vec![range(hi, Some(lo))]),
            probe(vec![range(lo, Some(lo))]),
            probe(vec![]),
        ];
        for frame in bad {
            assert!(Message::decode(frame.as_bytes()).is_err());
        }
        let good = probe(vec![range(lo, Some(hi)), range(hi, None)]);
        assert!(Message::decode(good.as_bytes()).is_ok());
    }
}

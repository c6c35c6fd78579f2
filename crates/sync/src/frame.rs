//! The frames: one deterministic CBOR array each (RFC 8949 section 4.2.1). The layout is drawn in the crate's page.

use std::convert::Infallible;
use std::fmt;

use minicbor::Encoder;
use minicbor::encode::{Error as EncodeError, Write};
use salus_audit::{Heights, LogId};

use crate::port::Digest;

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
    /// With the last: what the sender states about the log, for the receiver's store.
    pub statement: Option<Vec<u8>>,
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
                    e.array(if group.statement.is_some() { 4 } else { 3 })?;
                    e.bytes(group.log.as_bytes())?;
                    e.u64(u64::from(group.end))?;
                    e.array(group.entries.len() as u64)?;
                    for entry in &group.entries {
                        e.bytes(entry)?;
                    }
                    if let Some(statement) = &group.statement {
                        e.bytes(statement)?;
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use salus_audit::{ChainId, EntryHash, Height};

    use super::*;
    use crate::limits::MAX_STATEMENT_BYTES;
    use crate::port::Violation;

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
        let statement = proptest::option::of(vec(any::<u8>(), 1..300));
        let entries = vec(vec(any::<u8>(), 1..40), 0..4);
        (log(), any::<bool>(), entries, statement).prop_map(|(log, end, entries, statement)| {
            let end = end || entries.is_empty();
            Group {
                log,
                end,
                entries,
                statement: statement.filter(|_| end),
            }
        })
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
        let hello = Message::Hello { version: 2 };
        assert_eq!(hello.encode().as_bytes(), [0x82, 0x00, 0x02]);
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
    fn a_statement_goes_with_an_end_and_has_its_limit() {
        let group = |end, statement| Message::Entries {
            groups: vec![Group {
                log: LogId::from_bytes([1; 32]),
                end,
                entries: vec![vec![2; 10]],
                statement,
            }],
        };
        let read = |message: Message| Message::decode(message.encode().as_bytes()).is_ok();
        assert!(read(group(true, Some(vec![3; MAX_STATEMENT_BYTES]))));
        assert!(!read(group(true, Some(vec![3; MAX_STATEMENT_BYTES + 1]))));
        assert!(!read(group(true, Some(Vec::new()))));
        assert!(!read(group(false, Some(vec![3]))));
        assert!(read(group(false, None)));
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

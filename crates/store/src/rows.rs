//! What is in the sealed rows: CBOR arrays, definite lengths, in the order of the fields here.

use std::convert::Infallible;

use minicbor::{Decoder, Encoder};
use salus_audit::{ChainId, Entry, EntryHash, LogId};

use crate::tables::Sum;

/// Bytes of a pin.
const PIN_BYTES: usize = 16;

/// Tells one sealed value from every other: BLAKE3 of it, 16 bytes. Sealing the same value again
/// gives another pin, so that an older version of a row does not pass for the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pin([u8; PIN_BYTES]);

impl Pin {
    pub(crate) fn of(sealed: &[u8]) -> Self {
        let mut pin = [0; PIN_BYTES];
        pin.copy_from_slice(&blake3::hash(sealed).as_bytes()[..PIN_BYTES]);
        Self(pin)
    }
}

/// One chain of a log: its entries have the positions `0..count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainRow {
    pub chain: ChainId,
    pub count: u64,
    /// The hash of the last entry, which by `prev` pins all before it.
    pub tip: EntryHash,
}

/// What the store knows of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogRow {
    pub log: LogId,
    /// In order of first appearance: a chain's place here is its number in entry keys.
    pub chains: Vec<ChainRow>,
    /// The document has to be rebuilt from the entries.
    pub dirty: bool,
    pub index: Option<Pin>,
    pub snapshot: Option<Pin>,
    pub summary: Option<Vec<u8>>,
}

/// The chains that one log can have in the store: the most clinics times incarnations that are
/// believable (a guess), and a bound on what a row makes us allocate.
pub(crate) const MAX_CHAINS: usize = 65_536;

impl LogRow {
    pub(crate) fn new(log: LogId) -> Self {
        Self {
            log,
            chains: Vec::new(),
            dirty: false,
            index: None,
            snapshot: None,
            summary: None,
        }
    }

    /// The number and the row of a chain.
    pub(crate) fn chain(&self, chain: &ChainId) -> Option<(u32, &ChainRow)> {
        let at = self.chains.iter().position(|row| row.chain == *chain)?;
        Some((u32::try_from(at).ok()?, &self.chains[at]))
    }

    pub(crate) fn entries(&self) -> u64 {
        self.chains
            .iter()
            .fold(0, |sum, chain| sum.saturating_add(chain.count))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let summary = self.summary.as_ref().map_or(0, Vec::len);
        to_cbor(128 + 80 * self.chains.len() + summary, |e| {
            e.array(6)?.bytes(self.log.as_bytes())?;
            e.array(self.chains.len() as u64)?;
            for ChainRow { chain, count, tip } in &self.chains {
                e.array(3)?
                    .bytes(chain.as_bytes())?
                    .u64(*count)?
                    .bytes(tip.as_bytes())?;
            }
            e.bool(self.dirty)?;
            for pin in [self.index, self.snapshot] {
                optional(e, pin.as_ref().map(|pin| &pin.0[..]))?;
            }
            optional(e, self.summary.as_deref())
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        expect_array(&mut d, 6)?;
        let log = LogId::from_bytes(fixed(&mut d)?);
        let count = usize::try_from(d.array().ok()??)
            .ok()
            .filter(|&n| n <= MAX_CHAINS)?;
        // A chain takes more than 64 bytes, so that the row's own length bounds the allocation.
        let mut chains = Vec::with_capacity(count.min(bytes.len() / 64));
        for _ in 0..count {
            expect_array(&mut d, 3)?;
            chains.push(ChainRow {
                chain: ChainId::from_bytes(fixed(&mut d)?),
                count: d.u64().ok()?,
                tip: EntryHash::from_bytes(fixed(&mut d)?),
            });
        }
        let dirty = d.bool().ok()?;
        let index = maybe(&mut d, |d| fixed(d).map(Pin))?;
        let snapshot = maybe(&mut d, |d| fixed(d).map(Pin))?;
        let summary = maybe(&mut d, |d| d.bytes().ok().map(<[u8]>::to_vec))?;
        at_end(&d, bytes).then_some(Self {
            log,
            chains,
            dirty,
            index,
            snapshot,
            summary,
        })
    }
}

/// What the store knows of itself, written with every commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Manifest {
    /// Commits ever made; the high-water mark beside the file has the same number.
    pub commits: u64,
    /// Rows of `headers` and of `hashes`.
    pub entries: u64,
    /// Rows of `payloads`.
    pub payloads: u64,
    /// Rows of `logs`, and the sum over them.
    pub logs: u64,
    pub logs_sum: Sum,
    /// Rows of `caches`.
    pub caches: u64,
    /// Rows of `tree`: the size of this incarnation's own tree.
    pub leaves: u64,
    /// Rows of `refused` are numbered `refused_first..refused_next`.
    pub refused_first: u64,
    pub refused_next: u64,
    /// Rows of `meta` under a tag, and the sum over them.
    pub metas: u64,
    pub metas_sum: Sum,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        to_cbor(192, |e| {
            e.array(11)?
                .u64(self.commits)?
                .u64(self.entries)?
                .u64(self.payloads)?;
            e.u64(self.logs)?
                .bytes(&self.logs_sum.0)?
                .u64(self.caches)?
                .u64(self.leaves)?;
            e.u64(self.refused_first)?.u64(self.refused_next)?;
            e.u64(self.metas)?.bytes(&self.metas_sum.0)?.ok()
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        expect_array(&mut d, 11)?;
        let manifest = Self {
            commits: d.u64().ok()?,
            entries: d.u64().ok()?,
            payloads: d.u64().ok()?,
            logs: d.u64().ok()?,
            logs_sum: Sum(fixed(&mut d)?),
            caches: d.u64().ok()?,
            leaves: d.u64().ok()?,
            refused_first: d.u64().ok()?,
            refused_next: d.u64().ok()?,
            metas: d.u64().ok()?,
            metas_sum: Sum(fixed(&mut d)?),
        };
        at_end(&d, bytes).then_some(manifest)
    }
}

/// An entry's row: whether its payload is held (one byte, 0 or 1), then the entry without it.
pub(crate) fn encode_header(entry: &Entry, payload: bool) -> Vec<u8> {
    let mut row = vec![u8::from(payload)];
    row.extend_from_slice(&entry.without_payload().encode());
    row
}

pub(crate) fn decode_header(row: &[u8]) -> Option<(Entry, bool)> {
    let (payload, entry) = row.split_first()?;
    let payload = match payload {
        0 => false,
        1 => true,
        _ => return None,
    };
    let entry = Entry::decode(entry).ok()?;
    entry.payload().is_none().then_some((entry, payload))
}

/// A refused entry's row: its hash, then the reason.
pub(crate) fn encode_refused(hash: &EntryHash, reason: &[u8]) -> Vec<u8> {
    [hash.as_bytes(), reason].concat()
}

pub(crate) fn decode_refused(row: &[u8]) -> Option<(EntryHash, Vec<u8>)> {
    let (hash, reason) = row.split_first_chunk::<32>()?;
    Some((EntryHash::from_bytes(*hash), reason.to_vec()))
}

type EncodeError = minicbor::encode::Error<Infallible>;

fn to_cbor(
    expected: usize,
    write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Result<(), EncodeError>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(expected);
    write(&mut Encoder::new(&mut out)).expect("a vector takes any bytes");
    out
}

fn optional(e: &mut Encoder<&mut Vec<u8>>, value: Option<&[u8]>) -> Result<(), EncodeError> {
    match value {
        Some(bytes) => e.bytes(bytes)?.ok(),
        None => e.null()?.ok(),
    }
}

fn expect_array(d: &mut Decoder<'_>, len: u64) -> Option<()> {
    (d.array().ok()?? == len).then_some(())
}

fn fixed<const N: usize>(d: &mut Decoder<'_>) -> Option<[u8; N]> {
    d.bytes().ok()?.try_into().ok()
}

/// `Some(None)` for a null.
fn maybe<'b, T>(
    d: &mut Decoder<'b>,
    read: impl FnOnce(&mut Decoder<'b>) -> Option<T>,
) -> Option<Option<T>> {
    if d.datatype().ok()? == minicbor::data::Type::Null {
        d.null().ok()?;
        return Some(None);
    }
    read(d).map(Some)
}

fn at_end(d: &Decoder<'_>, bytes: &[u8]) -> bool {
    d.position() == bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row() -> LogRow {
        LogRow {
            log: LogId::from_bytes([1; 32]),
            chains: vec![
                ChainRow {
                    chain: ChainId::from_bytes([2; 32]),
                    count: 300,
                    tip: EntryHash::from_bytes([3; 32]),
                },
                ChainRow {
                    chain: ChainId::from_bytes([4; 32]),
                    count: 1,
                    tip: EntryHash::from_bytes([5; 32]),
                },
            ],
            dirty: true,
            index: Some(Pin::of(b"index")),
            snapshot: None,
            summary: Some(b"summary".to_vec()),
        }
    }

    #[test]
    fn rows_come_back_as_they_were_and_cut_short_they_do_not() {
        for row in [row(), LogRow::new(LogId::from_bytes([9; 32]))] {
            let bytes = row.encode();
            assert_eq!(LogRow::decode(&bytes), Some(row));
            for end in 0..bytes.len() {
                assert_eq!(LogRow::decode(&bytes[..end]), None);
            }
            assert_eq!(LogRow::decode(&[&bytes[..], &[0]].concat()), None);
        }
        let manifest = Manifest {
            commits: u64::MAX,
            leaves: 7,
            ..Manifest::default()
        };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Some(manifest));
        assert_eq!(Manifest::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(row().entries(), 301);
        assert_eq!(row().chain(&ChainId::from_bytes([4; 32])).unwrap().0, 1);
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_row_are_refused_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = LogRow::decode(&bytes);
            let _ = Manifest::decode(&bytes);
            let _ = decode_header(&bytes);
            let _ = decode_refused(&bytes);
        }
    }
}

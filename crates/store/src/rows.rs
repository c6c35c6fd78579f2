//! What is in the sealed rows: CBOR arrays, definite lengths, in the order of the fields here.

use std::convert::Infallible;

use minicbor::{Decoder, Encoder};
use salus_audit::{ChainId, Entry, EntryHash, LogId};

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

/// One unbranched run of a chain's entries in a log: they have the positions `from..next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineRow {
    /// The chain itself for its trunk, an id of its own for a fork.
    pub line: ChainId,
    /// The chain that all headers of the line name.
    pub chain: ChainId,
    pub from: u64,
    pub next: u64,
    /// The hash of the last entry, which by `prev` pins all before it.
    pub tip: EntryHash,
}

/// What the store knows of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogRow {
    pub log: LogId,
    /// In order of first appearance: a line's place here is its number in entry keys, and a fork
    /// comes after the line that it leaves.
    pub lines: Vec<LineRow>,
    /// The document has to be rebuilt from the entries.
    pub dirty: bool,
    pub index: Option<Pin>,
    pub snapshot: Option<Pin>,
    pub summary: Option<Vec<u8>>,
    /// Whose last statements are kept.
    pub statements: Vec<(ChainId, Pin)>,
}

/// The lines that one log can have in the store, and the statements: the most clinics times
/// incarnations that are believable (a guess), and a bound on what a row makes us allocate.
pub(crate) const MAX_CHAINS: usize = 65_536;

impl LogRow {
    pub(crate) fn new(log: LogId) -> Self {
        Self {
            log,
            lines: Vec::new(),
            dirty: false,
            index: None,
            snapshot: None,
            summary: None,
            statements: Vec::new(),
        }
    }

    /// The number and the row of a line.
    pub(crate) fn line(&self, line: &ChainId) -> Option<(u32, &LineRow)> {
        let at = self.lines.iter().position(|row| row.line == *line)?;
        Some((u32::try_from(at).ok()?, &self.lines[at]))
    }

    /// The pin of a chain's last statement.
    pub(crate) fn statement(&self, chain: &ChainId) -> Option<Pin> {
        let found = self.statements.iter().find(|(of, _)| of == chain);
        found.map(|(_, pin)| *pin)
    }

    pub(crate) fn entries(&self) -> u64 {
        self.lines.iter().fold(0, |sum, line| {
            sum.saturating_add(line.next.saturating_sub(line.from))
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let summary = self.summary.as_ref().map_or(0, Vec::len);
        let expected = 128 + 120 * self.lines.len() + 56 * self.statements.len() + summary;
        to_cbor(expected, |e| {
            e.array(7)?.bytes(self.log.as_bytes())?;
            e.array(self.lines.len() as u64)?;
            for row in &self.lines {
                let trunk = row.line == row.chain;
                e.array(if trunk { 3 } else { 5 })?;
                e.bytes(row.line.as_bytes())?
                    .u64(row.next)?
                    .bytes(row.tip.as_bytes())?;
                if !trunk {
                    e.u64(row.from)?.bytes(row.chain.as_bytes())?;
                }
            }
            e.bool(self.dirty)?;
            for pin in [self.index, self.snapshot] {
                optional(e, pin.as_ref().map(|pin| &pin.0[..]))?;
            }
            optional(e, self.summary.as_deref())?;
            e.array(self.statements.len() as u64)?;
            for (chain, pin) in &self.statements {
                e.array(2)?.bytes(chain.as_bytes())?.bytes(&pin.0)?;
            }
            Ok(())
        })
    }

    /// Reads the present form and that of version 1, which had neither forks nor statements.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        let fields = d.array().ok()??;
        let log = LogId::from_bytes(fixed(&mut d)?);
        let count = bounded(&mut d)?;
        // A line takes more than 64 bytes, so that the row's own length bounds the allocation.
        let mut lines = Vec::with_capacity(count.min(bytes.len() / 64));
        for _ in 0..count {
            let fields = d.array().ok()??;
            let line = ChainId::from_bytes(fixed(&mut d)?);
            let next = d.u64().ok()?;
            let tip = EntryHash::from_bytes(fixed(&mut d)?);
            let (from, chain) = match fields {
                3 => (0, line),
                5 => (d.u64().ok()?, ChainId::from_bytes(fixed(&mut d)?)),
                _ => return None,
            };
            let row = LineRow {
                line,
                chain,
                from,
                next,
                tip,
            };
            // No line is empty, and only a fork has an id of its own.
            if row.from >= row.next || (fields == 5) == (line == chain) {
                return None;
            }
            lines.push(row);
        }
        let dirty = d.bool().ok()?;
        let index = maybe(&mut d, |d| fixed(d).map(Pin))?;
        let snapshot = maybe(&mut d, |d| fixed(d).map(Pin))?;
        let summary = maybe(&mut d, |d| d.bytes().ok().map(<[u8]>::to_vec))?;
        let mut statements = Vec::new();
        match fields {
            6 => {}
            7 => {
                for _ in 0..bounded(&mut d)? {
                    expect_array(&mut d, 2)?;
                    let chain = ChainId::from_bytes(fixed(&mut d)?);
                    statements.push((chain, Pin(fixed(&mut d)?)));
                }
            }
            _ => return None,
        }
        at_end(&d, bytes).then_some(Self {
            log,
            lines,
            dirty,
            index,
            snapshot,
            summary,
            statements,
        })
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

pub(crate) type EncodeError = minicbor::encode::Error<Infallible>;

pub(crate) fn to_cbor(
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

pub(crate) fn expect_array(d: &mut Decoder<'_>, len: u64) -> Option<()> {
    (d.array().ok()?? == len).then_some(())
}

pub(crate) fn fixed<const N: usize>(d: &mut Decoder<'_>) -> Option<[u8; N]> {
    d.bytes().ok()?.try_into().ok()
}

/// The length of an array of lines or statements.
fn bounded(d: &mut Decoder<'_>) -> Option<usize> {
    let count = usize::try_from(d.array().ok()??).ok()?;
    (count <= MAX_CHAINS).then_some(count)
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

pub(crate) fn at_end(d: &Decoder<'_>, bytes: &[u8]) -> bool {
    d.position() == bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(byte: u8) -> ChainId {
        ChainId::from_bytes([byte; 32])
    }

    fn row() -> LogRow {
        let line = |line, chain, from, next| LineRow {
            line: id(line),
            chain: id(chain),
            from,
            next,
            tip: EntryHash::from_bytes([line + 1; 32]),
        };
        LogRow {
            log: LogId::from_bytes([1; 32]),
            lines: vec![
                line(2, 2, 0, 300),
                line(4, 4, 0, 1),
                line(6, 2, 17, 20),
                line(8, 2, 0, 1),
            ],
            dirty: true,
            index: Some(Pin::of(b"index")),
            snapshot: None,
            summary: Some(b"summary".to_vec()),
            statements: vec![(id(4), Pin::of(b"statement"))],
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
        assert_eq!(row().entries(), 305);
        assert_eq!(row().line(&id(6)).unwrap().0, 2);
        assert_eq!(row().statement(&id(4)), Some(Pin::of(b"statement")));
        assert_eq!(row().statement(&id(2)), None);
    }

    #[test]
    fn a_line_without_entries_is_refused() {
        for (from, next) in [(3, 3), (4, 3)] {
            let mut row = row();
            (row.lines[2].from, row.lines[2].next) = (from, next);
            assert_eq!(LogRow::decode(&row.encode()), None, "{from}..{next}");
        }
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_row_are_refused_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = LogRow::decode(&bytes);
            let _ = decode_header(&bytes);
            let _ = decode_refused(&bytes);
        }
    }
}

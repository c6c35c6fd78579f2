//! The tables, the keys of their rows, and how a row is sealed.

use redb::TableDefinition;
use salus_audit::{ChainId, EntryHash, LogId};
use salus_vault::{IndexKey, OpenError, StorageKey, TAG_BYTES, pad, unpad};

/// The version of everything in this file, in the clear in the row `version` of `meta`.
pub(crate) const VERSION: u32 = 2;
/// The oldest version that is read, and brought to the present one when the store is opened.
pub(crate) const OLDEST_VERSION: u32 = 1;

/// Bytes of an entry's key: log tag, number of the line in its log (u32, big-endian), `seq` (u64,
/// big-endian), so that a log's entries stand together and in order.
pub(crate) const ENTRY_KEY_BYTES: usize = TAG_BYTES + 4 + 8;

pub(crate) type Tag = [u8; TAG_BYTES];
pub(crate) type EntryKey = [u8; ENTRY_KEY_BYTES];
/// What kind of thing a row of `caches` keeps, and the log's tag.
pub(crate) type CacheKey = [u8; 1 + TAG_BYTES];
/// The log's tag, then the chain's.
pub(crate) type StatementKey = [u8; 2 * TAG_BYTES];

/// A table: keys and values are bytes, so that what redb compares is what we sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table {
    pub name: &'static str,
    /// Whether values are padded to size classes: where their length would tell of their content.
    pub padded: bool,
}

impl Table {
    pub(crate) const fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.name)
    }
}

/// `version` (clear), `manifest`, and a row for each setting, under the tag of its name.
pub(crate) const META: Table = Table {
    name: "meta",
    padded: true,
};
/// One row a log: what belongs to it, its summary, and whether its document is out of date.
pub(crate) const LOGS: Table = Table {
    name: "logs",
    padded: true,
};
/// An entry without its payload.
pub(crate) const HEADERS: Table = Table {
    name: "headers",
    padded: false,
};
/// An entry's payload, as it was signed.
pub(crate) const PAYLOADS: Table = Table {
    name: "payloads",
    padded: false,
};
/// From the tag of an entry's hash to the entry's key. The only values that are not sealed: they
/// are keys of `headers`, and what they lead to is compared with the hash that was asked for.
pub(crate) const HASHES: Table = Table {
    name: "hashes",
    padded: false,
};
/// Index rows and snapshots, under the index key.
pub(crate) const CACHES: Table = Table {
    name: "caches",
    padded: true,
};
/// The leaves of this incarnation's own tree, by index (u64, big-endian).
pub(crate) const TREE: Table = Table {
    name: "tree",
    padded: false,
};
/// Refused entries with the reason, by running number (u64, big-endian).
pub(crate) const REFUSED: Table = Table {
    name: "refused",
    padded: false,
};

/// What other clinics last said of their chains, in their own words; since version 2.
pub(crate) const STATEMENTS: Table = Table {
    name: "statements",
    padded: false,
};

/// All of them, as they are made with the file and as they stand in a backup.
pub(crate) const TABLES: [Table; 9] = [
    META, LOGS, HEADERS, PAYLOADS, HASHES, CACHES, TREE, REFUSED, STATEMENTS,
];

/// Keys of the two rows of `meta` that are no settings. A setting's key is a tag of 16 bytes.
pub(crate) const VERSION_ROW: &[u8] = b"version";
pub(crate) const MANIFEST_ROW: &[u8] = b"manifest";

/// The kinds of rows in `caches`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cache {
    /// A record's row of the patient index.
    Index = 1,
    /// A record's document, saved.
    Snapshot = 2,
}

impl Cache {
    pub(crate) const fn key(self, log: &Tag) -> CacheKey {
        let mut key = [0; 1 + TAG_BYTES];
        key[0] = self as u8;
        let mut at = 0;
        while at < TAG_BYTES {
            key[1 + at] = log[at];
            at += 1;
        }
        key
    }
}

/// What stands in front of a row's key in its associated data.
const AAD_DOMAIN: &[u8] = b"salus/store/v1/";

fn aad(table: Table, key: &[u8]) -> Vec<u8> {
    [AAD_DOMAIN, table.name.as_bytes(), &[0], key].concat()
}

/// Names rows and seals them under the storage key.
#[derive(Clone)]
pub(crate) struct Sealer(StorageKey);

impl Sealer {
    pub(crate) fn new(key: &StorageKey) -> Self {
        Self(key.clone())
    }

    pub(crate) fn log_tag(&self, log: &LogId) -> Tag {
        self.0.tag("log", log.as_bytes())
    }

    pub(crate) fn statement_key(&self, log: &Tag, chain: &ChainId) -> StatementKey {
        let mut key = [0; 2 * TAG_BYTES];
        key[..TAG_BYTES].copy_from_slice(log);
        key[TAG_BYTES..].copy_from_slice(&self.0.tag("chain", chain.as_bytes()));
        key
    }

    pub(crate) fn hash_tag(&self, hash: &EntryHash) -> Tag {
        self.0.tag("entry", hash.as_bytes())
    }

    /// Settings and secrets are named apart, so that neither is taken for the other.
    pub(crate) fn meta_tag(&self, name: &str) -> Tag {
        self.0.tag("setting", name.as_bytes())
    }

    pub(crate) fn secret_tag(&self, name: &str) -> Tag {
        self.0.tag("secret", name.as_bytes())
    }

    pub(crate) fn seal(&self, table: Table, key: &[u8], value: &[u8]) -> Vec<u8> {
        match table.padded {
            true => self.0.seal(&aad(table, key), &pad(value)),
            false => self.0.seal(&aad(table, key), value),
        }
    }

    pub(crate) fn open(
        &self,
        table: Table,
        key: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let value = self.0.open(&aad(table, key), sealed)?;
        plain(table, value)
    }

    /// One row's part in the sum over a table: the sums are XORs of keyed hashes, which whoever
    /// lacks the key can't aim at (Bellare, Guérin, Rogaway, "XOR MACs", CRYPTO 1995).
    pub(crate) fn sum(&self, table: Table, key: &[u8], sealed: &[u8]) -> Sum {
        let hash = self
            .0
            .keyed_hash(&["sum/", table.name].concat(), &[key, sealed].concat());
        Sum(hash)
    }
}

/// Seals a value under the index key, padded.
pub(crate) fn seal_index(index: &IndexKey, table: Table, key: &[u8], value: &[u8]) -> Vec<u8> {
    index.seal(&aad(table, key), &pad(value))
}

pub(crate) fn open_index(
    index: &IndexKey,
    table: Table,
    key: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let value = index.open(&aad(table, key), sealed)?;
    unpad(&value).map(<[u8]>::to_vec).ok_or(OpenError::Padding)
}

fn plain(table: Table, value: Vec<u8>) -> Result<Vec<u8>, OpenError> {
    match table.padded {
        true => unpad(&value).map(<[u8]>::to_vec).ok_or(OpenError::Padding),
        false => Ok(value),
    }
}

/// The sum of a set of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum(pub(crate) [u8; 32]);

impl Sum {
    /// Puts a row in, or takes it out again.
    pub(crate) fn toggle(&mut self, row: Sum) {
        self.0
            .iter_mut()
            .zip(row.0)
            .for_each(|(sum, byte)| *sum ^= byte);
    }
}

pub(crate) fn entry_key(log: &Tag, line: u32, seq: u64) -> EntryKey {
    let mut key = [0; ENTRY_KEY_BYTES];
    key[..TAG_BYTES].copy_from_slice(log);
    key[TAG_BYTES..TAG_BYTES + 4].copy_from_slice(&line.to_be_bytes());
    key[TAG_BYTES + 4..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// The parts of an entry's key, or none where it is no entry's key.
pub(crate) fn split_entry_key(key: &[u8]) -> Option<(Tag, u32, u64)> {
    let (log, rest) = key.split_first_chunk()?;
    let (line, seq) = rest.split_first_chunk()?;
    let seq = seq.try_into().ok()?;
    Some((*log, u32::from_be_bytes(*line), u64::from_be_bytes(seq)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_key_sorts_by_log_line_and_position() {
        let (one, two) = ([1; 16], [2; 16]);
        let keys = [
            entry_key(&one, 0, 0),
            entry_key(&one, 0, 255),
            entry_key(&one, 0, 256),
            entry_key(&one, 1, 0),
            entry_key(&two, 0, 0),
        ];
        assert!(keys.is_sorted());
        assert_eq!(split_entry_key(&keys[2]), Some((one, 0, 256)));
        assert_eq!(split_entry_key(&keys[2][1..]), None);
    }

    #[test]
    fn a_sum_does_not_depend_on_order_and_sees_every_row() {
        let sealer = Sealer::new(&StorageKey::from_bytes([1; 32]));
        let rows = [sealer.sum(LOGS, b"a", b"1"), sealer.sum(LOGS, b"b", b"2")];
        let (mut there, mut back) = (Sum::default(), Sum::default());
        rows.iter().for_each(|&row| there.toggle(row));
        rows.iter().rev().for_each(|&row| back.toggle(row));
        assert_eq!(there, back);
        there.toggle(rows[0]);
        assert_eq!(there, rows[1]);
        assert_ne!(sealer.sum(LOGS, b"a", b"1"), sealer.sum(META, b"a", b"1"));
    }
}

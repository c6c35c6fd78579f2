//! What erasures took of a record: files that they name, or everything that was ever sealed in it.

use std::collections::BTreeSet;

use crate::clock::Tick;
use crate::id::{BlobHash, EntryHash};
use crate::kind::Kind;
use crate::state::LogState;

/// One erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The attach entries that it names, ascending; none of them for the whole record.
    pub entries: Vec<EntryHash>,
    /// Why.
    pub reason: String,
    /// The entry that erases.
    pub entry: EntryHash,
    pub(crate) at: Tick,
}

impl Erasure {
    /// Whether it takes what every entry of the record says, those that were written apart from it and those still to come included.
    pub fn is_of_record(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it takes what this entry says. Clear bodies stay: rights are judged by them.
    pub fn takes(&self, entry: &EntryHash, kind: Kind) -> bool {
        if self.is_of_record() {
            !kind.is_clear()
        } else {
            self.entries.binary_search(entry).is_ok()
        }
    }
}

impl LogState {
    /// The erasures that count, in the order in which they were accepted here.
    pub fn erasures(&self) -> impl Iterator<Item = &Erasure> {
        self.held_erasures()
            .filter(|erasure| !self.is_void(&erasure.entry))
    }

    /// The erasure of the whole record that counts, the first one held where there are several.
    pub fn record_erased(&self) -> Option<&Erasure> {
        self.erasures().find(|erasure| erasure.is_of_record())
    }

    /// The erasure that counts and takes what this entry says, the first one held where there are several.
    pub fn erased(&self, entry: &EntryHash, kind: Kind) -> Option<&Erasure> {
        self.erasures().find(|erasure| erasure.takes(entry, kind))
    }

    /// Whether an erasure that is held takes what this entry says, whether that one counts or not: then it may be without its payload.
    pub fn may_be_bare(&self, entry: &EntryHash, kind: Kind) -> bool {
        self.held_erasures()
            .any(|erasure| erasure.takes(entry, kind))
    }

    /// The entries whose payloads are to be destroyed, ascending: those that erasures which count take.
    pub fn erased_entries(&self) -> BTreeSet<EntryHash> {
        if self.record_erased().is_some() {
            let sealed = self.entries().filter(|meta| !meta.kind.is_clear());
            return sealed.map(|meta| meta.hash).collect();
        }
        let named = self.erasures().flat_map(|erasure| &erasure.entries);
        named.copied().collect()
    }

    /// The blobs that attach entries name and that no erasure took away, whether the entries count or not: each entry with the blob
    /// of its file and then, where there is one, that of its preview.
    pub fn blobs(&self) -> impl Iterator<Item = (&EntryHash, &[BlobHash])> {
        let erased = self.erased_entries();
        self.all_blobs()
            .filter(move |(entry, _)| !erased.contains(*entry))
    }

    fn held_erasures(&self) -> impl Iterator<Item = &Erasure> {
        self.rights()
            .into_iter()
            .flat_map(|rights| &rights.erasures)
    }
}

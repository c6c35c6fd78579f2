//! The sealed store of one clinic: one redb file in which the entries are the truth.
//!
//! What it does: keeps entries, each log's summary, the node's own tree, other clinics' statements,
//! refused entries and small settings, and beside them what can be made again from the entries
//! (snapshots, patient index). A [`Batch`] is one transaction: all of it is on the disk when
//! [`Store::commit`] returns, or none. A store is copied while it works ([`Store::backup`]) and made
//! again from the copy ([`Store::restore`]).
//!
//! What it does not: it judges nothing. Signatures, rights and Merkle proofs are `salus-audit`'s; the
//! store only keeps each line whole (consecutive, each entry naming the one before). A line is a
//! chain's trunk, or a fork that its caller gives an id.
//!
//! Start from [`Store`].
//!
//! Invariants:
//! - Every value is sealed, under the storage key (which a locked node holds) or the index key (which
//!   it does not), with its table and key as associated data: a value that was changed or moved does
//!   not open. Keys of rows are keyed hashes, so that the file shows counts and sizes and no id.
//! - What should be there is known from somewhere else: a log's row pins its lines' lengths and
//!   ends, its snapshot, its index row and its statements; the manifest pins the logs, the settings,
//!   the hashes and the tree. A row that was taken out or put back from before is found like one that
//!   was changed, when it is read or missed.
//! - So a flipped byte never changes an answer: reading gives an error in its place.
//!   [`Store::check_integrity`] looks at every page and every row. Opening looks at the logs, the
//!   settings and the counts, and at every page only where something does not fit; a store found
//!   damaged opens for reading only, gives what is intact, and says what is not
//!   ([`Store::problems`]).
//! - No bytes on the disk can make it panic: redb runs under `catch_unwind`.
//! - No clock is read.
//!
//! ```
//! # let folder = std::env::temp_dir().join(format!("salus-store-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! use salus_store::{Batch, Store};
//! use salus_vault::StorageKey;
//!
//! let key = StorageKey::generate();
//! let path = folder.join("store.redb");
//! let store = Store::create(&path, &key)?;
//! store.commit(Batch { meta: vec![("colour".into(), b"green".to_vec())], ..Batch::default() })?;
//! store.close()?;
//! let store = Store::open(&path, &key)?;
//! assert_eq!(store.meta("colour")?.as_deref(), Some(&b"green"[..]));
//! # drop(store);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backup;
mod batch;
mod check;
mod commit;
mod db;
mod entries;
mod error;
#[cfg(test)]
mod fixture;
mod header_walk;
mod load;
mod manifest;
mod mark;
mod medium;
mod read;
mod restore;
mod rows;
mod store;
mod tables;
mod view;

#[cfg(test)]
mod backup_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod line_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod v1_tests;

pub use backup::BackupStats;
pub use batch::{
    Batch, MAX_CACHED_BYTES, MAX_META_BYTES, MAX_META_ROWS, MAX_REFUSED, MAX_REFUSED_BYTES,
    MAX_STATEMENT_BYTES, MAX_SUMMARY_BYTES,
};
pub use check::MAX_PROBLEMS;
pub use error::{Problem, StoreError};
pub use medium::PAGE_CACHE_BYTES;
pub use read::{IndexRows, IntactEntries, Line};
pub use store::Store;

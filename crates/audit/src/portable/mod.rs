//! A portable proof: that a clinic's node recorded an entry, or signed a checkpoint, to be checked by a
//! stranger who knows nothing but the clinic's public id, offline.
//!
//! It carries the roster entries that certify the writing chain and the actor, the entry without its
//! payload, the entry's way up the chain's tree, and the checkpoint that signs the tree; and, where it was
//! asked for, an older checkpoint with the proof that nothing below it was taken out or changed since. It
//! holds nothing clinical, but it does name the clinic's staff as far as the roster entries in it do.
//!
//! It proves who signed what and that it stands in the clinic's tree. It does not prove that the entry
//! counts in its record: whether the clinic had the right is in the record's log, which is not in here.

mod build;
mod check;
mod compare;

pub use build::BuildFault;
pub use check::{CheckedEntry, CheckedProof, ProofFault};
pub use compare::{CompareFault, Comparison, Contradiction};

use std::collections::BTreeSet;

use crate::cbor::{DecodeError, Reader, Writer, string_len};
use crate::checkpoint::SignedCheckpoint;
use crate::entry::{Entry, MAX_ENTRY_BYTES};
use crate::proof::{ConsistencyProof, InclusionProof};

/// How the file begins.
pub const PROOF_MAGIC: &str = "salus/proof";
/// The only version of the file so far.
pub const PROOF_VERSION: u64 = 1;
/// Longest file in bytes. A roster entry takes about 500, so this is room for 8,000 of them.
pub const MAX_PROOF_BYTES: usize = 4 * 1024 * 1024;
/// Most roster entries in a proof: a staff of 400 who each change ten times (a guess).
pub const MAX_PROOF_ROSTER: usize = 4096;
/// Most chains that the roster entries in a proof are of: a clinic begins one a restore (a guess). What an
/// entry costs to judge grows with their number.
pub const MAX_PROOF_CHAINS: usize = 64;

/// Longest checkpoint and longest proof of a path inside the file: 64 hashes of 34 bytes, and numbers.
const MAX_PART_BYTES: usize = 4 * 1024;
const WHAT: &str = "portable proof";

/// A proof as it is sent and kept. What it says is only told by [`check`](Self::check).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Roster entries with their bodies, in a causal order.
    pub(crate) roster: Vec<Entry>,
    /// The entry without its payload, and its way up the tree. None: the proof is about a checkpoint.
    pub(crate) subject: Option<(Entry, InclusionProof)>,
    pub(crate) checkpoint: SignedCheckpoint,
    /// An earlier checkpoint of the same tree, and that the tree begins with the one it signs.
    pub(crate) older: Option<(SignedCheckpoint, ConsistencyProof)>,
}

impl Proof {
    /// The entry, if it is a proof of one.
    pub fn entry(&self) -> Option<&Entry> {
        self.subject.as_ref().map(|(entry, _)| entry)
    }

    /// The checkpoint: what a later proof has to be consistent with.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The older checkpoint, if the proof shows that nothing was taken out since.
    pub fn older(&self) -> Option<&SignedCheckpoint> {
        self.older.as_ref().map(|(checkpoint, _)| checkpoint)
    }

    /// The roster entries, in a causal order.
    pub fn roster(&self) -> &[Entry] {
        &self.roster
    }

    /// The proof without its entry: a checkpoint that names no patient's log, to be kept or passed on.
    #[must_use]
    pub fn without_entry(&self) -> Proof {
        Proof {
            subject: None,
            ..self.clone()
        }
    }

    /// The file.
    pub fn encode(&self) -> Vec<u8> {
        let roster: usize = self.roster.iter().map(Entry::encoded_len).sum();
        let mut w = Writer::with_capacity(roster + string_len(2 * MAX_PART_BYTES));
        w.array(6).text(PROOF_MAGIC).u64(PROOF_VERSION);
        w.array(self.roster.len());
        for entry in &self.roster {
            w.bytes(&entry.encode());
        }
        match &self.subject {
            Some((entry, inclusion)) => {
                w.array(2).bytes(&entry.encode()).bytes(&inclusion.encode())
            }
            None => w.null(),
        };
        w.bytes(&self.checkpoint.encode());
        match &self.older {
            Some((checkpoint, consistency)) => w
                .array(2)
                .bytes(&checkpoint.encode())
                .bytes(&consistency.encode()),
            None => w.null(),
        };
        w.finish()
    }

    /// Reads a file of at most [`MAX_PROOF_BYTES`]; refuses every encoding but the deterministic one.
    pub fn decode(bytes: &[u8]) -> Result<Proof, DecodeError> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(DecodeError::TooLong(WHAT));
        }
        let mut r = Reader::new(bytes, WHAT);
        r.array(6)?;
        if r.text(PROOF_MAGIC.len())? != PROOF_MAGIC {
            return Err(r.malformed());
        }
        if r.u64()? != PROOF_VERSION {
            return Err(DecodeError::Version(WHAT));
        }
        let roster = r.list(MAX_PROOF_ROSTER, |r| {
            Entry::decode(r.bytes(MAX_ENTRY_BYTES)?)
        })?;
        if count_chains(&roster) > MAX_PROOF_CHAINS {
            return Err(DecodeError::TooLong(WHAT));
        }
        let subject = r.optional(|r| {
            r.array(2)?;
            let entry = Entry::decode(r.bytes(MAX_ENTRY_BYTES)?)?;
            Ok((entry, InclusionProof::decode(r.bytes(MAX_PART_BYTES)?)?))
        })?;
        let checkpoint = SignedCheckpoint::decode(r.bytes(MAX_PART_BYTES)?)?;
        let older = r.optional(|r| {
            r.array(2)?;
            let checkpoint = SignedCheckpoint::decode(r.bytes(MAX_PART_BYTES)?)?;
            let consistency = ConsistencyProof::decode(r.bytes(MAX_PART_BYTES)?)?;
            Ok((checkpoint, consistency))
        })?;
        r.end()?;
        if subject
            .as_ref()
            .is_some_and(|(entry, _)| entry.payload().is_some())
        {
            return Err(DecodeError::Impossible("payload in a portable proof"));
        }
        Ok(Proof {
            roster,
            subject,
            checkpoint,
            older,
        })
    }
}

fn count_chains(roster: &[Entry]) -> usize {
    let chains = roster.iter().map(|entry| entry.header().chain);
    chains.collect::<BTreeSet<_>>().len()
}

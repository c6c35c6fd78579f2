//! Making a portable proof from what a node has.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::control::Control;
use crate::entry::Entry;
use crate::id::{ActorId, ChainId, EntryHash};
use crate::kind::Kind;
use crate::portable::{MAX_PROOF_BYTES, MAX_PROOF_CHAINS, MAX_PROOF_ROSTER};
use crate::portable::{Proof, ProofFault, count_chains};
use crate::proof::ProofError;
use crate::prover::Prover;
use crate::tree::TreeHash;

/// Why a portable proof cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildFault {
    /// Some entry of the roster is not among those given.
    #[error("the roster is not complete: an entry that the proof needs is missing")]
    RosterGap {
        /// Which.
        missing: EntryHash,
    },
    /// No entry of the roster begins the checkpoint's chain.
    #[error("the roster does not certify the chain that signed the checkpoint")]
    Chain,
    /// A checkpoint that its chain did not sign.
    #[error("a checkpoint is not signed by the chain that it names")]
    Checkpoint,
    /// The entry is another chain's.
    #[error("the entry was recorded by another node, which has to prove it")]
    EntryChain,
    /// The entry is younger than the checkpoint.
    #[error("the entry is not below the checkpoint: sign a newer one")]
    EntryIndex,
    /// The older checkpoint is another tree's.
    #[error("the older checkpoint is of another chain: nothing joins the two trees")]
    OlderChain,
    /// Entries are missing: the chain has signed more than there is.
    #[error("the older checkpoint is of a larger tree: entries were taken out here")]
    OlderLarger,
    /// Entries are missing or were changed.
    #[error("the tree does not begin with what the older checkpoint signs: it was changed here")]
    OlderDiffers,
    /// Fewer leaves than the checkpoint says.
    #[error("leaves of the tree are missing")]
    Leaves,
    /// The leaves are not the ones that the checkpoint signs.
    #[error("the leaves are not those that the checkpoint signs")]
    Root,
    /// The proof would be refused for its size.
    #[error("the roster is too large for a portable proof")]
    TooLong,
    /// The proof would be refused.
    #[error("the proof would not hold: {0}")]
    Refused(#[from] ProofFault),
}

impl Proof {
    /// Makes the proof of an entry, or of the checkpoint alone, and checks it as a stranger will.
    ///
    /// `roster` has the rosters that the entry relies on, or more, in any order: those needed are picked,
    /// and what closed the chain since or retired the actor or who certified the actor. `leaves` are the leaves of the
    /// checkpoint's chain from index 0; they go past once and none is held, so a million need no more
    /// memory than ten. With `since`, the proof shows that the tree continues that checkpoint's.
    pub fn build(
        roster: &[Entry],
        entry: Option<&Entry>,
        checkpoint: &SignedCheckpoint,
        since: Option<&SignedCheckpoint>,
        leaves: impl IntoIterator<Item = TreeHash>,
    ) -> Result<Proof, BuildFault> {
        let signed =
            |checkpoint: &SignedCheckpoint| checkpoint.verify().map_err(|_| BuildFault::Checkpoint);
        let (now, then) = (signed(checkpoint)?, since.map(signed).transpose()?);
        check_places(entry, &now, then.as_ref())?;
        let roster = pick(roster, entry, now.origin)?;

        let index = entry.map(|entry| entry.header().tree_index);
        let prover = Prover::new(now.size, index, then.map(|then| then.size));
        let mut prover = prover.map_err(|_: ProofError| BuildFault::Leaves)?;
        let count = usize::try_from(now.size).unwrap_or(usize::MAX);
        for leaf in leaves.into_iter().take(count) {
            prover.push(leaf);
        }
        let proven = prover.finish().map_err(|_| BuildFault::Leaves)?;
        // Which of the two is at odds with the leaves: the older one tells more.
        if let (Some(then), Some((root, _))) = (&then, &proven.consistency)
            && then.root != *root
        {
            return Err(BuildFault::OlderDiffers);
        }
        if proven.root != now.root {
            return Err(BuildFault::Root);
        }
        let proof = Proof {
            roster,
            subject: entry.map(Entry::without_payload).zip(proven.inclusion),
            checkpoint: checkpoint.clone(),
            older: since.cloned().zip(proven.consistency.map(|(_, path)| path)),
        };
        let chains = count_chains(&proof.roster);
        if chains > MAX_PROOF_CHAINS || proof.encode().len() > MAX_PROOF_BYTES {
            return Err(BuildFault::TooLong);
        }
        proof.check(None)?;
        Ok(proof)
    }
}

fn check_places(
    entry: Option<&Entry>,
    now: &Checkpoint,
    then: Option<&Checkpoint>,
) -> Result<(), BuildFault> {
    if let Some(header) = entry.map(Entry::header) {
        if header.chain != now.origin {
            return Err(BuildFault::EntryChain);
        }
        if header.tree_index >= now.size {
            return Err(BuildFault::EntryIndex);
        }
    }
    if let Some(then) = then {
        if then.origin != now.origin {
            return Err(BuildFault::OlderChain);
        }
        if then.size > now.size {
            return Err(BuildFault::OlderLarger);
        }
    }
    Ok(())
}

/// The roster entries that the proof needs, in a causal order.
fn pick(
    roster: &[Entry],
    entry: Option<&Entry>,
    origin: ChainId,
) -> Result<Vec<Entry>, BuildFault> {
    let index: BTreeMap<EntryHash, &Entry> =
        roster.iter().map(|entry| (entry.hash(), entry)).collect();
    let heads = match entry {
        Some(entry) if index.contains_key(&entry.hash()) => vec![entry.hash()],
        Some(entry) => entry.header().authority.clone(),
        None => {
            let begins = |entry: &&Entry| {
                let header = entry.header();
                header.chain == origin
                    && header.seq == 0
                    && matches!(header.kind, Kind::Genesis | Kind::Incarnation)
            };
            let begins = roster.iter().find(begins).ok_or(BuildFault::Chain)?;
            vec![begins.hash()]
        }
    };
    let mut picked = Picked::default();
    let needed = picked.add(&index, &heads);
    needed.map_err(|missing| BuildFault::RosterGap { missing })?;
    if picked.order.len() > MAX_PROOF_ROSTER {
        return Err(BuildFault::TooLong);
    }
    // What came later is told as far as there is room; the proof holds without it.
    let people = entry.map_or_else(BTreeSet::new, |entry| concerned(roster, entry));
    for cut in roster.iter().filter(|entry| cuts(entry, origin, &people)) {
        let mut more = picked.clone();
        if more.add(&index, &[cut.hash()]).is_ok()
            && more.order.len() <= MAX_PROOF_ROSTER
            && more.bytes(&index) <= MAX_PROOF_BYTES / 2
        {
            picked = more;
        }
    }
    let entries = picked.order.iter().filter_map(|hash| index.get(hash));
    Ok(entries.map(|entry| (*entry).clone()).collect())
}

/// The actor, and those who certified the actor: only the root certifies these again.
fn concerned(roster: &[Entry], entry: &Entry) -> BTreeSet<ActorId> {
    let actor = entry.header().actor;
    let certifies =
        |entry: &&Entry| matches!(body(entry), Some(Control::Certify { key, .. }) if key == actor);
    let by = roster.iter().filter(certifies);
    by.map(|entry| entry.header().actor)
        .chain([actor])
        .collect()
}

/// Whether the roster entry closes the chain or retires one of these people.
fn cuts(entry: &Entry, origin: ChainId, people: &BTreeSet<ActorId>) -> bool {
    match body(entry) {
        Some(Control::Incarnation { closes, .. }) => {
            closes.iter().any(|(chain, _)| *chain == origin)
        }
        Some(Control::Retire { key, .. }) => people.contains(&key),
        _ => false,
    }
}

fn body(entry: &Entry) -> Option<Control> {
    let kind = entry.header().kind;
    let bodies = matches!(kind, Kind::Certify | Kind::Retire | Kind::Incarnation);
    let payload = entry.payload().filter(|_| bodies)?;
    Control::decode(kind, payload).ok()
}

/// A set of entries that holds the causal past of each, in a causal order.
#[derive(Debug, Clone, Default)]
struct Picked {
    held: BTreeSet<EntryHash>,
    order: Vec<EntryHash>,
}

impl Picked {
    /// Adds these entries and all before them. Names what is missing.
    fn add(
        &mut self,
        index: &BTreeMap<EntryHash, &Entry>,
        heads: &[EntryHash],
    ) -> Result<(), EntryHash> {
        let mut stack: Vec<(EntryHash, bool)> = heads.iter().map(|hash| (*hash, false)).collect();
        while let Some((hash, past_is_added)) = stack.pop() {
            if past_is_added {
                self.order.push(hash);
                continue;
            }
            if !self.held.insert(hash) {
                continue;
            }
            let entry = index.get(&hash).ok_or(hash)?;
            let header = entry.header();
            stack.push((hash, true));
            let past = header.prev.iter().chain(&header.parents);
            stack.extend(past.map(|hash| (*hash, false)));
        }
        Ok(())
    }

    fn bytes(&self, index: &BTreeMap<EntryHash, &Entry>) -> usize {
        let entries = self.order.iter().filter_map(|hash| index.get(hash));
        entries.map(|entry| entry.encoded_len()).sum()
    }
}

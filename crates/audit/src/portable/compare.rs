//! Two portable proofs side by side: does the newer one continue the older one?
//!
//! Every claim of a contradiction rests on the chain's own signatures: two entries, or two signed trees
//! with the nodes below their roots that verified paths lay open. A path is nobody's signature, so one
//! that fails shows nothing about the chain: such a proof is refused as a whole.

use std::collections::BTreeMap;

use crate::checkpoint::Checkpoint;
use crate::entry::Entry;
use crate::id::ChainId;
use crate::portable::{CheckedProof, Proof, ProofFault};
use crate::proof::Leaves;
use crate::tree::{TreeHash, node};

/// What a chain signed twice. Two signed things that contradict each other are evidence that anybody can
/// check: an honest node never makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// Two entries for one place of a log.
    #[error("the chain signed two different entries for place {seq} of one log")]
    LogPlace {
        /// The place.
        seq: u64,
    },
    /// Two entries for one place of its tree.
    #[error("the chain signed two different entries for leaf {index} of its tree")]
    TreePlace {
        /// The place.
        index: u64,
    },
    /// Two trees over the same number of entries.
    #[error("the chain signed two trees that differ in the first {size} leaves")]
    Root {
        /// The number.
        size: u64,
    },
    /// Two trees that differ in leaves that both have.
    #[error("the chain signed two trees that differ in the leaves {from} to {to}")]
    Leaves {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// A log and the tree tell two orders.
    #[error("the chain signed one order in a log and another in its tree")]
    Order,
    /// Less written at a later time: the one contradiction that rests on the chain's clock.
    #[error("by its own clock the chain took entries back, unless that clock was set back")]
    TakenBack,
}

/// How two portable proofs go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Comparison {
    /// The larger tree is shown to begin with the smaller one: nothing was taken out or changed.
    Consistent,
    /// Both are signed, and both cannot be true. The two proofs together are evidence.
    Contradiction {
        /// Whose.
        chain: ChainId,
        /// What it signed twice.
        contradiction: Contradiction,
    },
    /// The newer one does not show that it continues the older one, nor that it does not. The clinic can
    /// be asked for a proof since the older one: it has none if something was taken out.
    Unproven,
    /// The newer one has the smaller tree: they are the wrong way round, or the clinic shows a past state.
    Smaller,
    /// The same clinic, after a restore. The older one's chain is closed, or should be, and the entries
    /// beyond are not in the newer tree.
    OtherIncarnation {
        /// The last tree index accepted from the older one's chain, as the newer one's roster says.
        closed: Option<u64>,
    },
    /// Of different clinics.
    Unrelated,
}

/// Which of two portable proofs does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompareFault {
    /// The older one.
    #[error("the older proof does not hold: {0}")]
    Older(#[source] ProofFault),
    /// The newer one.
    #[error("the newer proof does not hold: {0}")]
    Newer(#[source] ProofFault),
}

impl Proof {
    /// Checks both proofs and compares them. Whether they are of the clinic that is meant,
    /// [`check`](Self::check) tells.
    pub fn compare(older: &Proof, newer: &Proof) -> Result<Comparison, CompareFault> {
        let (old, _) = older
            .check_with_rosters(None)
            .map_err(CompareFault::Older)?;
        let (new, rosters) = newer
            .check_with_rosters(None)
            .map_err(CompareFault::Newer)?;
        if let Some((chain, contradiction)) = compare_entries(older, newer) {
            return Ok(Comparison::Contradiction {
                chain,
                contradiction,
            });
        }
        let (before, now) = (old.checkpoint, new.checkpoint);
        if before.origin != now.origin {
            if old.clinic != new.clinic {
                return Ok(Comparison::Unrelated);
            }
            let life = rosters
                .get(new.clinic)
                .and_then(|roster| roster.incarnation(before.origin));
            let closed = life.and_then(|life| life.closed);
            return Ok(Comparison::OtherIncarnation { closed });
        }
        let (known_before, known_now) = (older.nodes(&old), newer.nodes(&new));
        Ok(
            match compare_trees((&before, &known_before), (&now, &known_now)) {
                Err(contradiction) => Comparison::Contradiction {
                    chain: now.origin,
                    contradiction,
                },
                Ok(true) => Comparison::Consistent,
                Ok(false) if now.size < before.size => Comparison::Smaller,
                Ok(false) => Comparison::Unproven,
            },
        )
    }

    /// Every node of the tree that the proof, which holds, tells; all follow from the signed root.
    fn nodes(&self, checked: &CheckedProof) -> BTreeMap<Leaves, TreeHash> {
        let checkpoint = checked.checkpoint;
        let mut nodes = BTreeMap::from([((0, checkpoint.size), checkpoint.root)]);
        if let Some((entry, inclusion)) = &self.subject {
            nodes.extend(inclusion.nodes(&entry.leaf()));
        }
        if let (Some((_, consistency)), Some(older)) = (&self.older, checked.older) {
            nodes.extend(consistency.nodes(&older.root));
        }
        nodes
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.roster.iter().chain(self.entry())
    }
}

/// Two entries that one chain signed and that do not go together.
fn compare_entries(older: &Proof, newer: &Proof) -> Option<(ChainId, Contradiction)> {
    let mut by_tree = BTreeMap::new();
    let mut by_log = BTreeMap::new();
    for entry in older.entries().chain(newer.entries()) {
        let (header, hash) = (entry.header(), entry.hash());
        let (chain, index, seq) = (header.chain, header.tree_index, header.seq);
        if *by_log
            .entry((chain, header.log, seq))
            .or_insert((index, hash))
            != (index, hash)
        {
            return Some((chain, Contradiction::LogPlace { seq }));
        }
        if *by_tree.entry((chain, index)).or_insert(hash) != hash {
            return Some((chain, Contradiction::TreePlace { index }));
        }
    }
    let mut before = None;
    for ((chain, log, _), (index, _)) in by_log {
        if before.is_some_and(|(at, last)| at == (chain, log) && last >= index) {
            return Some((chain, Contradiction::Order));
        }
        before = Some(((chain, log), index));
    }
    None
}

/// Whether the smaller tree is shown to be the beginning of the larger one.
fn compare_trees(
    a: (&Checkpoint, &BTreeMap<Leaves, TreeHash>),
    b: (&Checkpoint, &BTreeMap<Leaves, TreeHash>),
) -> Result<bool, Contradiction> {
    // The smallest part that differs tells most.
    let differ = a.1.iter().filter(|(leaves, hash)| {
        let other = b.1.get(leaves);
        other.is_some_and(|other| other != *hash)
    });
    let smallest = differ.min_by_key(|((from, to), _)| (to.saturating_sub(*from), *from));
    match smallest {
        None => {}
        Some(((0, size), _)) => return Err(Contradiction::Root { size: *size }),
        Some(((from, to), _)) => {
            let (from, to) = (*from, to.saturating_sub(1));
            return Err(Contradiction::Leaves { from, to });
        }
    }
    let ((small, _), (large, known)) = if a.0.size <= b.0.size { (a, b) } else { (b, a) };
    match root_at(small.size, large, known) {
        None => Ok(false),
        Some(root) if root == small.root => Ok(true),
        Some(_) => Err(Contradiction::Root { size: small.size }),
    }
}

/// The root over the first `size` leaves of a tree, if the known nodes make it up.
fn root_at(size: u64, tree: &Checkpoint, known: &BTreeMap<Leaves, TreeHash>) -> Option<TreeHash> {
    if size == tree.size {
        return Some(tree.root);
    }
    if let Some(root) = known.get(&(0, size)) {
        return Some(*root);
    }
    if size == 0 {
        return Some(crate::tree::empty_root());
    }
    // The complete subtrees from the left, as many as bits are set (RFC 6962 section 2.1).
    let mut subtrees = Vec::new();
    let mut from: u64 = 0;
    while from < size {
        let rest = size - from;
        let to = from + (1 << rest.ilog2());
        subtrees.push(*known.get(&(from, to))?);
        from = to;
    }
    subtrees
        .into_iter()
        .rev()
        .reduce(|right, left| node(&left, &right))
}

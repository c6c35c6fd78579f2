//! Proofs about a tree: that a leaf is in it, and that it has only been appended to.
//!
//! Both are made from the leaves ([`Prover`](crate::Prover) does without holding them) and verified with
//! two roots, offline, by anybody (RFC 9162 sections 2.1.3 and 2.1.4; the names below are theirs).
//!
//! A path fixes the leaf and its place for a given size, but hardly the size: trees of two sizes can have
//! the same shape above a leaf. The size is only to be believed from a signed
//! [`Checkpoint`](crate::Checkpoint), and has to be compared with it.

use crate::cbor::{DecodeError, Reader, Writer};
use crate::tree::{MAX_TREE_SIZE, TreeHash, node, root_of};

/// Longest path in hashes: one a level of the largest tree, and one more for consistency.
const MAX_PATH: usize = 64;
const WHAT: &str = "proof";

/// A proof that does not prove what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// There is no such leaf or no such size among the leaves given.
    #[error("the tree is too small")]
    OutOfRange,
    /// The path does not lead to the root.
    #[error("the proof does not hold")]
    DoesNotHold,
}

/// That a leaf is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The leaf's index.
    pub index: u64,
    /// The tree's size.
    pub size: u64,
    /// The siblings on the way to the root, lowest first.
    pub path: Vec<TreeHash>,
}

impl InclusionProof {
    /// Proves that the leaf at `index` is in the tree over all these leaves.
    pub fn prove(leaves: &[TreeHash], index: u64) -> Result<InclusionProof, ProofError> {
        let size = leaves.len() as u64;
        if index >= size {
            return Err(ProofError::OutOfRange);
        }
        let path = roots_of(leaves, &inclusion_path(index, size))?;
        Ok(InclusionProof { index, size, path })
    }

    /// Verifies that `leaf` is at the proof's index in the tree with this root.
    pub fn verify(&self, leaf: &TreeHash, root: &TreeHash) -> Result<(), ProofError> {
        if self.index >= self.size || self.size > MAX_TREE_SIZE {
            return Err(ProofError::OutOfRange);
        }
        let (mut fn_, mut sn) = (self.index, self.size - 1);
        let mut hash = *leaf;
        for sibling in &self.path {
            if sn == 0 {
                return Err(ProofError::DoesNotHold);
            }
            if fn_ & 1 == 1 || fn_ == sn {
                hash = node(sibling, &hash);
                climb_to_odd(&mut fn_, &mut sn);
            } else {
                hash = node(&hash, sibling);
            }
            fn_ >>= 1;
            sn >>= 1;
        }
        if sn == 0 && hash == *root {
            Ok(())
        } else {
            Err(ProofError::DoesNotHold)
        }
    }

    /// Every subtree that the proof tells the root of, given that it holds for this leaf.
    pub(crate) fn nodes(&self, leaf: &TreeHash) -> Vec<(Leaves, TreeHash)> {
        let at = (self.index, self.index.saturating_add(1));
        let path = inclusion_path(self.index, self.size);
        let siblings: Vec<_> = path.into_iter().zip(self.path.iter().copied()).collect();
        climb((at, *leaf), &siblings)
    }

    /// The form in which it is sent and kept.
    pub fn encode(&self) -> Vec<u8> {
        encode(self.index, self.size, &self.path)
    }

    /// Reads the form in which it is sent and kept.
    pub fn decode(bytes: &[u8]) -> Result<InclusionProof, DecodeError> {
        let (index, size, path) = decode(bytes)?;
        Ok(InclusionProof { index, size, path })
    }
}

/// That a tree begins with the leaves of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The earlier tree's size.
    pub old_size: u64,
    /// The later tree's size.
    pub new_size: u64,
    /// What joins the two roots.
    pub path: Vec<TreeHash>,
}

impl ConsistencyProof {
    /// Proves that the tree over all these leaves begins with the tree over the first `old_size`.
    pub fn prove(leaves: &[TreeHash], old_size: u64) -> Result<ConsistencyProof, ProofError> {
        let new_size = leaves.len() as u64;
        if old_size > new_size {
            return Err(ProofError::OutOfRange);
        }
        let path = roots_of(leaves, &consistency_path(old_size, new_size))?;
        Ok(ConsistencyProof {
            old_size,
            new_size,
            path,
        })
    }

    /// Verifies that the tree with `new_root` begins with the one with `old_root`.
    pub fn verify(&self, old_root: &TreeHash, new_root: &TreeHash) -> Result<(), ProofError> {
        if self.old_size > self.new_size || self.new_size > MAX_TREE_SIZE {
            return Err(ProofError::OutOfRange);
        }
        let holds = |holds: bool| {
            if holds {
                Ok(())
            } else {
                Err(ProofError::DoesNotHold)
            }
        };
        if self.old_size == self.new_size {
            return holds(self.path.is_empty() && old_root == new_root);
        }
        if self.old_size == 0 {
            return holds(self.path.is_empty() && *old_root == root_of(&[]));
        }
        let mut path = self.path.iter();
        let first = if self.old_size.is_power_of_two() {
            Some(old_root)
        } else {
            path.next()
        };
        let Some(first) = first else {
            return Err(ProofError::DoesNotHold);
        };
        let (mut fn_, mut sn) = (self.old_size - 1, self.new_size - 1);
        while fn_ & 1 == 1 {
            fn_ >>= 1;
            sn >>= 1;
        }
        let (mut old, mut new) = (*first, *first);
        for sibling in path {
            if sn == 0 {
                return Err(ProofError::DoesNotHold);
            }
            if fn_ & 1 == 1 || fn_ == sn {
                old = node(sibling, &old);
                new = node(sibling, &new);
                climb_to_odd(&mut fn_, &mut sn);
            } else {
                new = node(&new, sibling);
            }
            fn_ >>= 1;
            sn >>= 1;
        }
        holds(sn == 0 && old == *old_root && new == *new_root)
    }

    /// Every subtree that the proof tells the root of, given that it holds for this earlier root.
    pub(crate) fn nodes(&self, old_root: &TreeHash) -> Vec<(Leaves, TreeHash)> {
        let old = ((0, self.old_size), *old_root);
        let path = consistency_path(self.old_size, self.new_size);
        let path: Vec<_> = path.into_iter().zip(self.path.iter().copied()).collect();
        match path.split_first() {
            Some((first, rest)) if !self.old_size.is_power_of_two() => {
                let mut nodes = climb(*first, rest);
                nodes.push(old);
                nodes
            }
            _ => climb(old, &path),
        }
    }

    /// The form in which it is sent and kept.
    pub fn encode(&self) -> Vec<u8> {
        encode(self.old_size, self.new_size, &self.path)
    }

    /// Reads the form in which it is sent and kept.
    pub fn decode(bytes: &[u8]) -> Result<ConsistencyProof, DecodeError> {
        let (old_size, new_size, path) = decode(bytes)?;
        Ok(ConsistencyProof {
            old_size,
            new_size,
            path,
        })
    }
}

/// Consecutive leaves: from the first index up to, without, the second.
pub(crate) type Leaves = (u64, u64);

/// The subtrees whose roots are the path of an inclusion proof, lowest first (RFC 9162 section 2.1.3.1).
/// `index` is below `size`, which is at most [`MAX_TREE_SIZE`].
pub(crate) fn inclusion_path(index: u64, size: u64) -> Vec<Leaves> {
    let mut path = Vec::new();
    let (mut from, mut to) = (0, size);
    while let Some(middle) = divide(from, to) {
        if index < middle {
            path.push((middle, to));
            to = middle;
        } else {
            path.push((from, middle));
            from = middle;
        }
    }
    path.reverse();
    path
}

/// The subtrees whose roots are the path of a consistency proof, in its order (RFC 9162 section 2.1.4.1).
/// `old` is at most `new`, which is at most [`MAX_TREE_SIZE`].
pub(crate) fn consistency_path(old: u64, new: u64) -> Vec<Leaves> {
    let mut path = Vec::new();
    if old == 0 || old == new {
        return path;
    }
    let (mut from, mut to, mut whole) = (0, new, true);
    while old < to
        && let Some(middle) = divide(from, to)
    {
        if old <= middle {
            path.push((middle, to));
            to = middle;
        } else {
            path.push((from, middle));
            from = middle;
            whole = false;
        }
    }
    // The verifier has the old root already if the old tree is one complete subtree.
    if !whole {
        path.push((from, to));
    }
    path.reverse();
    path
}

/// Where leaves are divided: at the largest power of two below their number (RFC 6962 section 2.1).
fn divide(from: u64, to: u64) -> Option<u64> {
    let count = to.saturating_sub(from);
    (count >= 2).then(|| from + count.next_power_of_two() / 2)
}

fn roots_of(leaves: &[TreeHash], path: &[Leaves]) -> Result<Vec<TreeHash>, ProofError> {
    let subtree = |(from, to): &Leaves| {
        let (from, to) = (usize::try_from(*from).ok()?, usize::try_from(*to).ok()?);
        leaves.get(from..to).map(root_of)
    };
    let roots = path.iter().map(subtree).collect::<Option<_>>();
    roots.ok_or(ProofError::OutOfRange)
}

/// A subtree and all that a path says on the way up from it: the siblings, and the nodes that they make.
fn climb(start: (Leaves, TreeHash), siblings: &[(Leaves, TreeHash)]) -> Vec<(Leaves, TreeHash)> {
    let mut nodes = vec![start];
    let ((mut from, mut to), mut hash) = start;
    for (leaves, sibling) in siblings {
        if leaves.0 == to {
            (hash, to) = (node(&hash, sibling), leaves.1);
        } else {
            (hash, from) = (node(sibling, &hash), leaves.0);
        }
        nodes.extend([(*leaves, *sibling), ((from, to), hash)]);
    }
    nodes
}

/// Skips the levels at which a node on the right edge has no sibling.
fn climb_to_odd(fn_: &mut u64, sn: &mut u64) {
    while *fn_ & 1 == 0 && *fn_ != 0 {
        *fn_ >>= 1;
        *sn >>= 1;
    }
}

fn encode(first: u64, second: u64, path: &[TreeHash]) -> Vec<u8> {
    let mut w = Writer::with_capacity(24 + 34 * path.len());
    w.array(3).u64(first).u64(second).array(path.len());
    for hash in path {
        w.bytes(hash);
    }
    w.finish()
}

fn decode(bytes: &[u8]) -> Result<(u64, u64, Vec<TreeHash>), DecodeError> {
    let mut r = Reader::new(bytes, WHAT);
    r.array(3)?;
    let proof = (r.u64()?, r.u64()?, r.list(MAX_PATH, |r| r.array_of())?);
    r.end()?;
    Ok(proof)
}

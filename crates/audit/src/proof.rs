//! Proofs about a tree: that a leaf is in it, and that it has only been appended to.
//!
//! Both are made from the leaves and verified with two roots, offline, by anybody (RFC 9162 sections 2.1.3
//! and 2.1.4; the numbering of the steps below is theirs).

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
        let at = usize::try_from(index).map_err(|_| ProofError::OutOfRange)?;
        if at >= leaves.len() {
            return Err(ProofError::OutOfRange);
        }
        let mut path = Vec::new();
        let (mut rest, mut at) = (leaves, at);
        while let Some((left, right)) = halves(rest) {
            let sibling = if at < left.len() {
                rest = left;
                right
            } else {
                at -= left.len();
                rest = right;
                left
            };
            path.push(root_of(sibling));
        }
        path.reverse();
        Ok(InclusionProof {
            index,
            size: leaves.len() as u64,
            path,
        })
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
        let old = usize::try_from(old_size).map_err(|_| ProofError::OutOfRange)?;
        if old > leaves.len() {
            return Err(ProofError::OutOfRange);
        }
        let mut path = Vec::new();
        if old > 0 && old < leaves.len() {
            let (mut rest, mut old, mut whole) = (leaves, old, true);
            while old < rest.len()
                && let Some((left, right)) = halves(rest)
            {
                if old <= left.len() {
                    path.push(root_of(right));
                    rest = left;
                } else {
                    path.push(root_of(left));
                    old -= left.len();
                    rest = right;
                    whole = false;
                }
            }
            // The verifier has the old root already if the old tree is one complete subtree.
            if !whole {
                path.push(root_of(rest));
            }
            path.reverse();
        }
        Ok(ConsistencyProof {
            old_size,
            new_size: leaves.len() as u64,
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

/// Divides the leaves at the largest power of two below their number (RFC 6962 section 2.1).
fn halves(leaves: &[TreeHash]) -> Option<(&[TreeHash], &[TreeHash])> {
    if leaves.len() < 2 {
        return None;
    }
    leaves.split_at_checked(leaves.len().next_power_of_two() / 2)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All sizes up to this, all pairs.
    const SIZES: u8 = 64;

    fn leaves(count: u8) -> Vec<TreeHash> {
        (0..count)
            .map(|index| *blake3::hash(&[index]).as_bytes())
            .collect()
    }

    #[test]
    fn every_leaf_of_every_tree_is_proved_and_no_other() {
        for size in 0..=SIZES {
            let leaves = leaves(size);
            let root = root_of(&leaves);
            for index in 0..size {
                let at = usize::from(index);
                let proof = InclusionProof::prove(&leaves, u64::from(index)).unwrap();
                assert_eq!(proof.verify(&leaves[at], &root), Ok(()));
                assert_eq!(proof.verify(&[0; 32], &root), Err(ProofError::DoesNotHold));
                assert!(proof.verify(&leaves[at], &[0; 32]).is_err());
                let moved = InclusionProof {
                    index: proof.index ^ 1,
                    ..proof.clone()
                };
                assert!(size == 1 || moved.verify(&leaves[at], &root).is_err());
                assert_eq!(InclusionProof::decode(&proof.encode()), Ok(proof));
            }
            let beyond = InclusionProof::prove(&leaves, u64::from(size));
            assert_eq!(beyond, Err(ProofError::OutOfRange));
        }
    }

    #[test]
    fn every_tree_is_consistent_with_every_earlier_one_and_with_no_other() {
        let leaves = leaves(SIZES);
        let roots: Vec<_> = (0..=leaves.len())
            .map(|size| root_of(&leaves[..size]))
            .collect();
        for (new, new_root) in roots.iter().enumerate() {
            for (old, old_root) in roots[..=new].iter().enumerate() {
                let proof = ConsistencyProof::prove(&leaves[..new], old as u64).unwrap();
                assert_eq!(proof.verify(old_root, new_root), Ok(()), "{old} of {new}");
                assert!(proof.verify(&[0; 32], new_root).is_err(), "{old} of {new}");
                if old > 0 {
                    assert!(proof.verify(old_root, &[0; 32]).is_err(), "{old} of {new}");
                }
                for cut in 0..proof.path.len() {
                    let path = proof.path[..cut].to_vec();
                    let shorter = ConsistencyProof {
                        path,
                        ..proof.clone()
                    };
                    assert!(shorter.verify(old_root, new_root).is_err());
                }
                let mut longer = proof.clone();
                longer.path.push([0; 32]);
                assert!(longer.verify(old_root, new_root).is_err());
                assert_eq!(ConsistencyProof::decode(&proof.encode()), Ok(proof));
            }
            assert!(ConsistencyProof::prove(&leaves[..new], new as u64 + 1).is_err());
        }
    }

    #[test]
    fn a_rewritten_leaf_breaks_consistency() {
        let honest = leaves(20);
        let old_root = root_of(&honest[..10]);
        let mut rewritten = honest;
        rewritten[3] = [7; 32];
        let proof = ConsistencyProof::prove(&rewritten, 10).unwrap();
        let verdict = proof.verify(&old_root, &root_of(&rewritten));
        assert_eq!(verdict, Err(ProofError::DoesNotHold));
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let path = vec![[0; 32]; 64];
        for (index, size) in [(0, 0), (1, 1), (u64::MAX, u64::MAX), (0, u64::MAX)] {
            let proof = InclusionProof {
                index,
                size,
                path: path.clone(),
            };
            assert!(proof.verify(&[0; 32], &[0; 32]).is_err());
            let proof = ConsistencyProof {
                old_size: index,
                new_size: size,
                path: path.clone(),
            };
            assert!(proof.verify(&[0; 32], &[0; 32]).is_err());
        }
    }
}

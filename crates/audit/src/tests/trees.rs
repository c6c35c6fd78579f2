//! Trees and proofs against the definitions of RFC 6962 section 2.1, for every size up to [`SIZES`] and
//! every pair of sizes.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::proof::{Leaves, consistency_path, inclusion_path};
use crate::tree::node;
use crate::*;

const SIZES: usize = 300;

/// The definitions, word for word, but that each hash is computed once.
struct Reference {
    leaves: Vec<TreeHash>,
    roots: Vec<Option<TreeHash>>,
}

impl Reference {
    fn new() -> Reference {
        let leaf = |index: usize| *blake3::hash(&index.to_le_bytes()).as_bytes();
        let leaves: Vec<TreeHash> = (0..SIZES).map(leaf).collect();
        let mut reference = Reference {
            leaves,
            roots: vec![None; (SIZES + 1) * (SIZES + 1)],
        };
        for size in 0..=SIZES {
            for from in 0..=SIZES - size {
                let root = reference.define(from, from + size);
                reference.roots[from * (SIZES + 1) + from + size] = Some(root);
            }
        }
        reference
    }

    /// MTH(D[from:to]), from those of fewer leaves.
    fn define(&self, from: usize, to: usize) -> TreeHash {
        match to - from {
            0 => *blake3::hash(b"").as_bytes(),
            1 => self.leaves[from],
            n => node(
                &self.root(from, from + below(n)),
                &self.root(from + below(n), to),
            ),
        }
    }

    fn root(&self, from: usize, to: usize) -> TreeHash {
        self.roots[from * (SIZES + 1) + to].unwrap()
    }

    fn path(&self, m: usize, from: usize, to: usize) -> Vec<TreeHash> {
        let n = to - from;
        if n == 1 {
            return Vec::new();
        }
        let k = below(n);
        let (mut path, sibling) = if m < k {
            (self.path(m, from, from + k), self.root(from + k, to))
        } else {
            (self.path(m - k, from + k, to), self.root(from, from + k))
        };
        path.push(sibling);
        path
    }

    fn subproof(&self, m: usize, from: usize, to: usize, whole: bool) -> Vec<TreeHash> {
        let n = to - from;
        if m == n {
            return if whole {
                Vec::new()
            } else {
                vec![self.root(from, to)]
            };
        }
        let k = below(n);
        let (mut path, sibling) = if m <= k {
            (
                self.subproof(m, from, from + k, whole),
                self.root(from + k, to),
            )
        } else {
            (
                self.subproof(m - k, from + k, to, false),
                self.root(from, from + k),
            )
        };
        path.push(sibling);
        path
    }
}

/// The largest power of two below n.
fn below(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// A different bit for each call, spread over all 256.
fn flipped(hash: &TreeHash, salt: usize) -> TreeHash {
    let bit = (salt * 89 + 7) % 256;
    let mut hash = *hash;
    hash[bit / 8] ^= 1 << (bit % 8);
    hash
}

fn long(number: usize) -> u64 {
    number as u64
}

#[test]
fn every_root_is_the_one_of_the_definition() {
    let reference = Reference::new();
    let mut tree = Tree::new();
    for size in 0..=SIZES {
        assert_eq!(tree.root(), reference.root(0, size), "{size}");
        assert_eq!(root_of(&reference.leaves[..size]), tree.root());
        assert_eq!(tree.size(), long(size));
        if let Some(leaf) = reference.leaves.get(size) {
            assert_eq!(tree.append(*leaf), long(size));
        }
    }
}

#[test]
fn every_leaf_of_every_tree_is_proved_and_nothing_else() {
    let reference = Reference::new();
    for size in 0..=SIZES {
        let leaves = &reference.leaves[..size];
        let root = reference.root(0, size);
        for index in 0..size {
            let proof = InclusionProof::prove(leaves, long(index)).unwrap();
            assert_eq!(
                proof.path,
                reference.path(index, 0, size),
                "{index} in {size}"
            );
            let leaf = &leaves[index];
            assert_eq!(proof.verify(leaf, &root), Ok(()), "{index} in {size}");
            refuse_changed_inclusion(&proof, leaf, &root);
        }
        let beyond = InclusionProof::prove(leaves, long(size));
        assert_eq!(beyond, Err(ProofError::OutOfRange));
    }
}

fn refuse_changed_inclusion(proof: &InclusionProof, leaf: &TreeHash, root: &TreeHash) {
    let (index, size) = (proof.index, proof.size);
    let salt = usize::try_from(index * 301 + size).unwrap();
    let refused = |changed: &InclusionProof| {
        let verdict = changed.verify(leaf, root);
        assert!(verdict.is_err(), "{changed:?}");
    };
    assert!(proof.verify(&flipped(leaf, salt), root).is_err());
    assert!(proof.verify(leaf, &flipped(root, salt)).is_err());
    if !proof.path.is_empty() {
        let mut changed = proof.clone();
        let at = salt % changed.path.len();
        changed.path[at] = flipped(&changed.path[at], salt);
        refused(&changed);
    }
    for wrong in [
        index ^ 1,
        index + 1,
        index.wrapping_sub(1),
        size - 1 - index,
        size,
        u64::MAX,
    ] {
        if wrong != index {
            refused(&InclusionProof {
                index: wrong,
                ..proof.clone()
            });
        }
    }
    let path = &proof.path;
    let extended = [&path[..], &[[0; 32]]].concat();
    let doubled = path.last().map(|last| [&path[..], &[*last]].concat());
    let cut_above = path.split_last().map(|(_, rest)| rest.to_vec());
    let cut_below = path.split_first().map(|(_, rest)| rest.to_vec());
    for path in [Some(extended), doubled, cut_above, cut_below]
        .into_iter()
        .flatten()
    {
        refused(&InclusionProof {
            path,
            ..proof.clone()
        });
    }
}

#[test]
fn every_tree_continues_every_earlier_one_and_no_other() {
    let reference = Reference::new();
    for new in 0..=SIZES {
        let leaves = &reference.leaves[..new];
        let new_root = reference.root(0, new);
        for old in 0..=new {
            let old_root = reference.root(0, old);
            let proof = ConsistencyProof::prove(leaves, long(old)).unwrap();
            if old > 0 {
                assert_eq!(
                    proof.path,
                    reference.subproof(old, 0, new, true),
                    "{old} of {new}"
                );
            }
            assert_eq!(proof.verify(&old_root, &new_root), Ok(()), "{old} of {new}");
            refuse_changed_consistency(&proof, &old_root, &new_root);
        }
        let beyond = ConsistencyProof::prove(leaves, long(new) + 1);
        assert_eq!(beyond, Err(ProofError::OutOfRange));
    }
}

fn refuse_changed_consistency(proof: &ConsistencyProof, old_root: &TreeHash, new_root: &TreeHash) {
    let (old_size, new_size) = (proof.old_size, proof.new_size);
    let salt = usize::try_from(old_size * 301 + new_size).unwrap();
    let refused = |changed: &ConsistencyProof| {
        assert!(changed.verify(old_root, new_root).is_err(), "{changed:?}");
    };
    assert!(proof.verify(&flipped(old_root, salt), new_root).is_err());
    // Every tree continues the empty one.
    if old_size > 0 {
        assert!(proof.verify(old_root, &flipped(new_root, salt)).is_err());
    }
    if !proof.path.is_empty() {
        let mut changed = proof.clone();
        let at = salt % changed.path.len();
        changed.path[at] = flipped(&changed.path[at], salt);
        refused(&changed);
    }
    let path = &proof.path;
    let extended = [&path[..], &[[0; 32]]].concat();
    let cut_above = path.split_last().map(|(_, rest)| rest.to_vec());
    let cut_below = path.split_first().map(|(_, rest)| rest.to_vec());
    for path in [Some(extended), cut_above, cut_below].into_iter().flatten() {
        refused(&ConsistencyProof {
            path,
            ..proof.clone()
        });
    }
    if old_size != new_size {
        refused(&ConsistencyProof {
            old_size: new_size,
            new_size: old_size,
            ..proof.clone()
        });
        refused(&ConsistencyProof {
            old_size: new_size,
            ..proof.clone()
        });
    }
}

#[test]
fn every_single_bit_of_a_path_counts() {
    let reference = Reference::new();
    for size in [2, 3, 7, 8, 64, 65, 255, 256, 257, SIZES] {
        let leaves = &reference.leaves[..size];
        let root = reference.root(0, size);
        for part in [0, size / 3, size - 1] {
            let inclusion = InclusionProof::prove(leaves, long(part)).unwrap();
            let consistency = ConsistencyProof::prove(leaves, long(part)).unwrap();
            let old_root = reference.root(0, part);
            for bit in 0..inclusion.path.len() * 256 {
                let mut changed = inclusion.clone();
                changed.path[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
                assert!(changed.verify(&leaves[part], &root).is_err());
            }
            for bit in 0..consistency.path.len() * 256 {
                let mut changed = consistency.clone();
                changed.path[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
                assert!(changed.verify(&old_root, &root).is_err());
            }
        }
    }
}

/// On which side the siblings are, from the leaf up.
fn sides(index: usize, size: usize) -> Vec<bool> {
    let path = inclusion_path(long(index), long(size));
    path.iter().map(|(_, to)| *to <= long(index)).collect()
}

#[test]
fn a_wrong_index_never_passes_and_a_wrong_size_only_where_the_tree_has_the_same_shape() {
    let reference = Reference::new();
    for size in 1..40 {
        let root = reference.root(0, size);
        for index in 0..size {
            let leaf = &reference.leaves[index];
            let proof = InclusionProof::prove(&reference.leaves[..size], long(index)).unwrap();
            for other_size in 1..80 {
                for other in 0..other_size {
                    let claimed = InclusionProof {
                        index: long(other),
                        size: long(other_size),
                        path: proof.path.clone(),
                    };
                    let passes = claimed.verify(leaf, &root).is_ok();
                    let same_shape = sides(other, other_size) == sides(index, size);
                    assert_eq!(
                        passes, same_shape,
                        "{other} in {other_size} for {index} in {size}"
                    );
                    assert!(!passes || other_size != size || other == index);
                }
            }
        }
    }
}

#[test]
fn every_node_that_a_proof_tells_is_the_trees() {
    let reference = Reference::new();
    let right = |nodes: Vec<(Leaves, TreeHash)>| {
        for ((from, to), hash) in nodes {
            let (from, to) = (usize::try_from(from).unwrap(), usize::try_from(to).unwrap());
            assert_eq!(hash, reference.root(from, to), "{from} to {to}");
        }
    };
    for size in (0..=70).chain([127, 128, 129, 255, 256, SIZES]) {
        let leaves = &reference.leaves[..size];
        for part in 0..=size {
            let consistency = ConsistencyProof::prove(leaves, long(part)).unwrap();
            right(consistency.nodes(&reference.root(0, part)));
            if let Some(leaf) = leaves.get(part) {
                let inclusion = InclusionProof::prove(leaves, long(part)).unwrap();
                let nodes = inclusion.nodes(leaf);
                assert_eq!(nodes.len(), 1 + 2 * inclusion.path.len());
                right(nodes);
            }
        }
    }
}

#[test]
fn a_prover_makes_the_same_proofs_from_leaves_that_go_past_once() {
    let reference = Reference::new();
    for size in 0..=SIZES {
        let leaves = &reference.leaves[..size];
        for step in 0..6 {
            let (index, old) = ((size * step * 7 + step) % size.max(1), (size * step) / 5);
            let index = (size > 0).then_some(long(index));
            let old = (old <= size).then_some(long(old));
            let mut prover = Prover::new(long(size), index, old).unwrap();
            // Those beyond the size make no difference.
            for leaf in reference.leaves.iter().take(size + step) {
                prover.push(*leaf);
            }
            let proven = prover.finish().unwrap();
            assert_eq!(proven.root, reference.root(0, size));
            let inclusion = index.map(|index| InclusionProof::prove(leaves, index).unwrap());
            assert_eq!(proven.inclusion, inclusion);
            let consistency = old.map(|old| {
                let old_root = reference.root(0, usize::try_from(old).unwrap());
                (old_root, ConsistencyProof::prove(leaves, old).unwrap())
            });
            assert_eq!(proven.consistency, consistency);
        }
    }
}

#[test]
fn a_prover_without_all_its_leaves_proves_nothing() {
    let mut prover = Prover::new(3, Some(0), Some(1)).unwrap();
    prover.push([1; 32]);
    prover.push([2; 32]);
    assert_eq!(prover.finish(), Err(ProofError::OutOfRange));
    let refused = |size, index, old| {
        assert_eq!(
            Prover::new(size, index, old).err(),
            Some(ProofError::OutOfRange)
        );
    };
    refused(3, Some(3), None);
    refused(3, None, Some(4));
    refused(0, Some(0), None);
    refused(u64::MAX, None, None);
    refused(MAX_TREE_SIZE + 1, None, None);
}

#[test]
fn a_rewritten_leaf_breaks_consistency() {
    let honest = Reference::new().leaves;
    let old_root = root_of(&honest[..100]);
    for victim in 0..100 {
        let mut rewritten = honest[..200].to_vec();
        rewritten[victim] = [7; 32];
        let proof = ConsistencyProof::prove(&rewritten, 100).unwrap();
        let verdict = proof.verify(&old_root, &root_of(&rewritten));
        assert_eq!(verdict, Err(ProofError::DoesNotHold));
    }
}

#[test]
fn absurd_sizes_are_refused() {
    for (index, size) in [
        (0, 0),
        (1, 1),
        (u64::MAX, u64::MAX),
        (0, u64::MAX),
        (1, 1 << 49),
    ] {
        for length in [0, 1, 48, 64] {
            let path = vec![[0; 32]; length];
            let proof = InclusionProof {
                index,
                size,
                path: path.clone(),
            };
            assert!(proof.verify(&[0; 32], &[1; 32]).is_err());
            let proof = ConsistencyProof {
                old_size: index,
                new_size: size,
                path,
            };
            assert!(proof.verify(&[0; 32], &[1; 32]).is_err());
        }
    }
}

#[test]
fn paths_in_the_largest_tree_are_short() {
    let last = MAX_TREE_SIZE - 1;
    assert_eq!(inclusion_path(last, MAX_TREE_SIZE).len(), 48);
    assert_eq!(inclusion_path(0, MAX_TREE_SIZE).len(), 48);
    assert_eq!(consistency_path(last, MAX_TREE_SIZE).len(), 49);
}

proptest! {
    #[test]
    fn no_path_of_any_bytes_makes_verifying_panic(
        index in any::<u64>(),
        size in any::<u64>(),
        path in vec(any::<[u8; 32]>(), 0..64),
        leaf in any::<[u8; 32]>(),
        root in any::<[u8; 32]>(),
    ) {
        for (index, size) in [(index, size), (index % 64, size % 64), (index >> 16, size >> 16)] {
            let inclusion = InclusionProof { index, size, path: path.clone() };
            prop_assert!(inclusion.verify(&leaf, &root).is_err());
            prop_assert_eq!(InclusionProof::decode(&inclusion.encode()), Ok(inclusion));
            let proof = ConsistencyProof { old_size: index, new_size: size, path: path.clone() };
            prop_assert!(proof.verify(&leaf, &root).is_err());
            prop_assert_eq!(ConsistencyProof::decode(&proof.encode()), Ok(proof));
        }
    }
}

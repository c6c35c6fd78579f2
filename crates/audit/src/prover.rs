//! Making proofs from leaves that go past once: for trees too large to hold.

use crate::proof::{ConsistencyProof, InclusionProof, Leaves, ProofError};
use crate::proof::{consistency_path, inclusion_path};
use crate::tree::{MAX_TREE_SIZE, Tree, TreeHash};

/// Makes proofs about one tree from its leaves, pushed in order. It holds the hashes of the paths and the
/// right edges of the subtrees on them: for a million leaves at most 20 subtrees of 20 hashes a proof.
#[derive(Debug, Clone)]
pub struct Prover {
    size: u64,
    whole: Tree,
    inclusion: Option<(u64, Subtrees)>,
    consistency: Option<(u64, TreeHash, Subtrees)>,
}

/// What a [`Prover`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The root over all leaves.
    pub root: TreeHash,
    /// That the leaf at the index asked for is in the tree.
    pub inclusion: Option<InclusionProof>,
    /// The root over the first leaves, as many as asked for, and that the tree begins with theirs.
    pub consistency: Option<(TreeHash, ConsistencyProof)>,
}

impl Prover {
    /// Prepares proofs about the tree of the first `size` leaves: of the leaf at `index`, and of the
    /// tree's beginning with the tree of the first `old_size`.
    pub fn new(size: u64, index: Option<u64>, old_size: Option<u64>) -> Result<Prover, ProofError> {
        let beyond = index.is_some_and(|index| index >= size);
        if size > MAX_TREE_SIZE || beyond || old_size.is_some_and(|old| old > size) {
            return Err(ProofError::OutOfRange);
        }
        let inclusion = index.map(|index| (index, Subtrees::new(inclusion_path(index, size))));
        let consistency = old_size.map(|old| {
            let path = Subtrees::new(consistency_path(old, size));
            (old, Tree::new().root(), path)
        });
        Ok(Prover {
            size,
            whole: Tree::new(),
            inclusion,
            consistency,
        })
    }

    /// Takes the next leaf; those beyond the size are left alone.
    pub fn push(&mut self, leaf: TreeHash) {
        if self.whole.size() >= self.size {
            return;
        }
        let index = self.whole.append(leaf);
        if let Some((_, path)) = &mut self.inclusion {
            path.push(index, leaf);
        }
        if let Some((old, old_root, path)) = &mut self.consistency {
            path.push(index, leaf);
            if self.whole.size() == *old {
                *old_root = self.whole.root();
            }
        }
    }

    /// The proofs, if all leaves went past.
    pub fn finish(self) -> Result<Proven, ProofError> {
        if self.whole.size() < self.size {
            return Err(ProofError::OutOfRange);
        }
        let size = self.size;
        let inclusion = self.inclusion.map(|(index, path)| InclusionProof {
            index,
            size,
            path: path.roots(),
        });
        let consistency = self.consistency.map(|(old_size, old_root, path)| {
            let proof = ConsistencyProof {
                old_size,
                new_size: size,
                path: path.roots(),
            };
            (old_root, proof)
        });
        Ok(Proven {
            root: self.whole.root(),
            inclusion,
            consistency,
        })
    }
}

/// Subtrees that are wanted, none inside another.
#[derive(Debug, Clone)]
struct Subtrees {
    /// In the order of a path, each as far as it has grown.
    trees: Vec<(Leaves, Tree)>,
    /// Their places, in the order of the leaves, the next one last.
    waiting: Vec<usize>,
}

impl Subtrees {
    fn new(path: Vec<Leaves>) -> Subtrees {
        let mut waiting: Vec<(Leaves, usize)> = path.iter().copied().zip(0..).collect();
        waiting.sort_unstable_by(|a, b| b.cmp(a));
        Subtrees {
            trees: path.into_iter().map(|at| (at, Tree::new())).collect(),
            waiting: waiting.into_iter().map(|(_, place)| place).collect(),
        }
    }

    fn push(&mut self, index: u64, leaf: TreeHash) {
        let next = self
            .waiting
            .last()
            .and_then(|place| self.trees.get_mut(*place));
        let Some(((from, to), tree)) = next else {
            return;
        };
        if index >= *from {
            tree.append(leaf);
        }
        if index.saturating_add(1) >= *to {
            self.waiting.pop();
        }
    }

    fn roots(self) -> Vec<TreeHash> {
        self.trees.iter().map(|(_, tree)| tree.root()).collect()
    }
}

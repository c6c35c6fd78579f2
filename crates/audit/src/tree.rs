//! The tree of an incarnation: an append-only Merkle tree over all entries that it wrote, in the shape of
//! RFC 6962 section 2.1, hashed with BLAKE3.

use crate::cbor::{DecodeError, Reader, Writer};

/// A hash in a tree: a leaf ([`Entry::leaf`](crate::Entry::leaf)), an inner node or a root.
pub type TreeHash = [u8; 32];

/// Most leaves: far above what one node can write (a million entries a second for nine years) and far
/// below where sizes overflow.
pub const MAX_TREE_SIZE: u64 = 1 << 48;

/// The first byte under an inner node's hash (RFC 6962 section 2.1).
const NODE_PREFIX: u8 = 1;
const WHAT: &str = "tree";

/// A tree's right edge: the roots of its complete subtrees, largest first. That is all it takes to
/// append and to tell the root; proofs need the leaves ([`InclusionProof`](crate::InclusionProof)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    size: u64,
    /// One hash for each bit that is set in `size`, from the highest.
    edge: Vec<TreeHash>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Tree {
        Tree::default()
    }

    /// Adds a leaf and tells its index.
    pub fn append(&mut self, leaf: TreeHash) -> u64 {
        let index = self.size;
        let mut hash = leaf;
        // Each trailing one of the size is a complete subtree as large as what has grown so far.
        for _ in 0..index.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                hash = node(&left, &hash);
            }
        }
        self.edge.push(hash);
        self.size = index.saturating_add(1);
        index
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root; the hash of nothing for an empty tree (RFC 6962 section 2.1).
    pub fn root(&self) -> TreeHash {
        let subtrees = self.edge.iter().rev().copied();
        subtrees
            .reduce(|right, left| node(&left, &right))
            .unwrap_or_else(empty_root)
    }

    /// The form in which it is kept.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(16 + 34 * self.edge.len());
        w.array(2).u64(self.size).array(self.edge.len());
        for hash in &self.edge {
            w.bytes(hash);
        }
        w.finish()
    }

    /// Reads the form in which it is kept.
    pub fn decode(bytes: &[u8]) -> Result<Tree, DecodeError> {
        let mut r = Reader::new(bytes, WHAT);
        r.array(2)?;
        let size = r.u64()?;
        let edge = r.list(64, |r| r.array_of())?;
        r.end()?;
        if size > MAX_TREE_SIZE || edge.len() as u64 != u64::from(size.count_ones()) {
            return Err(DecodeError::Impossible(WHAT));
        }
        Ok(Tree { size, edge })
    }
}

impl FromIterator<TreeHash> for Tree {
    fn from_iter<I: IntoIterator<Item = TreeHash>>(leaves: I) -> Tree {
        let mut tree = Tree::new();
        for leaf in leaves {
            tree.append(leaf);
        }
        tree
    }
}

/// The root of the tree over these leaves.
pub fn root_of(leaves: &[TreeHash]) -> TreeHash {
    leaves.iter().copied().collect::<Tree>().root()
}

pub(crate) fn node(left: &TreeHash, right: &TreeHash) -> TreeHash {
    let mut bytes = [NODE_PREFIX; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    blake3::hash(&bytes).into()
}

pub(crate) fn empty_root() -> TreeHash {
    blake3::hash(&[]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_that_was_kept_goes_on_as_before() {
        let mut tree = Tree::new();
        assert_eq!(Tree::decode(&tree.encode()), Ok(Tree::new()));
        for index in 0..40 {
            assert_eq!(tree.append([index; 32]), u64::from(index));
            let kept = tree.encode();
            assert_eq!(Tree::decode(&kept), Ok(tree.clone()));
            assert!(Tree::decode(&kept[..kept.len() - 1]).is_err());
        }
    }

    #[test]
    fn an_edge_that_does_not_fit_its_size_is_refused() {
        let tree: Tree = (0..5).map(|byte| [byte; 32]).collect();
        let wrong = Tree {
            size: 7,
            ..tree.clone()
        };
        assert_eq!(
            Tree::decode(&wrong.encode()),
            Err(DecodeError::Impossible(WHAT))
        );
        let huge = Tree {
            size: u64::MAX,
            edge: vec![[0; 32]; 64],
        };
        assert_eq!(
            Tree::decode(&huge.encode()),
            Err(DecodeError::Impossible(WHAT))
        );
    }

    #[test]
    fn the_root_is_the_one_of_the_definition() {
        let leaf = |byte: u8| [byte; 32];
        assert_eq!(root_of(&[]), *blake3::hash(b"").as_bytes());
        assert_eq!(root_of(&[leaf(1)]), leaf(1));
        let left = node(&leaf(1), &leaf(2));
        assert_eq!(root_of(&[leaf(1), leaf(2), leaf(3)]), node(&left, &leaf(3)));
    }
}

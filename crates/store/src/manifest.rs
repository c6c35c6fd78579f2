//! What the store knows of itself, written with every commit.

use minicbor::Decoder;
use salus_audit::Tree;

use crate::rows::{at_end, expect_array, fixed, to_cbor};
use crate::tables::Sum;

/// Counts and sums of the tables, so that a missing row is missed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Manifest {
    /// Commits ever made; the high-water mark beside the file has the same number.
    pub commits: u64,
    /// Rows of `headers` and of `hashes`.
    pub entries: u64,
    /// Rows of `payloads`.
    pub payloads: u64,
    /// Rows of `logs`, and the sum over them.
    pub logs: u64,
    pub logs_sum: Sum,
    /// Rows of `caches`.
    pub caches: u64,
    /// This incarnation's own tree: its size is the number of rows of `tree`.
    pub tree: Tree,
    /// Rows of `refused` are numbered `refused_first..refused_next`.
    pub refused_first: u64,
    pub refused_next: u64,
    /// Rows of `meta` under a tag, and the sum over them.
    pub metas: u64,
    pub metas_sum: Sum,
    /// The sum over `hashes`: with it, that an entry is not found means that it is not held.
    pub hashes_sum: Sum,
    /// Rows of `statements`.
    pub statements: u64,
    /// The high-water mark was gone once, and no new incarnation has begun since.
    pub mark_lost: bool,
}

/// A manifest of version 1, and what it did not have.
pub(crate) struct ManifestV1 {
    pub manifest: Manifest,
    /// Rows of `tree`.
    pub leaves: u64,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let tree = self.tree.encode();
        to_cbor(256 + tree.len(), |e| {
            e.array(14)?
                .u64(self.commits)?
                .u64(self.entries)?
                .u64(self.payloads)?;
            e.u64(self.logs)?
                .bytes(&self.logs_sum.0)?
                .u64(self.caches)?
                .bytes(&tree)?;
            e.u64(self.refused_first)?.u64(self.refused_next)?;
            e.u64(self.metas)?.bytes(&self.metas_sum.0)?;
            e.bytes(&self.hashes_sum.0)?
                .u64(self.statements)?
                .bool(self.mark_lost)?
                .ok()
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        expect_array(&mut d, 14)?;
        let manifest = Self {
            commits: d.u64().ok()?,
            entries: d.u64().ok()?,
            payloads: d.u64().ok()?,
            logs: d.u64().ok()?,
            logs_sum: Sum(fixed(&mut d)?),
            caches: d.u64().ok()?,
            tree: Tree::decode(d.bytes().ok()?).ok()?,
            refused_first: d.u64().ok()?,
            refused_next: d.u64().ok()?,
            metas: d.u64().ok()?,
            metas_sum: Sum(fixed(&mut d)?),
            hashes_sum: Sum(fixed(&mut d)?),
            statements: d.u64().ok()?,
            mark_lost: d.bool().ok()?,
        };
        at_end(&d, bytes).then_some(manifest)
    }

    /// Reads the form of version 1.
    pub(crate) fn decode_v1(bytes: &[u8]) -> Option<ManifestV1> {
        let mut d = Decoder::new(bytes);
        expect_array(&mut d, 11)?;
        let mut manifest = Self {
            commits: d.u64().ok()?,
            entries: d.u64().ok()?,
            payloads: d.u64().ok()?,
            logs: d.u64().ok()?,
            logs_sum: Sum(fixed(&mut d)?),
            caches: d.u64().ok()?,
            ..Self::default()
        };
        let leaves = d.u64().ok()?;
        manifest.refused_first = d.u64().ok()?;
        manifest.refused_next = d.u64().ok()?;
        manifest.metas = d.u64().ok()?;
        manifest.metas_sum = Sum(fixed(&mut d)?);
        at_end(&d, bytes).then_some(ManifestV1 { manifest, leaves })
    }

    /// Rows of `refused`.
    pub(crate) fn refused(&self) -> u64 {
        self.refused_next.wrapping_sub(self.refused_first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_manifest_comes_back_as_it_was_and_cut_short_it_does_not() {
        let manifest = Manifest {
            commits: u64::MAX,
            tree: (0..7).map(|leaf| [leaf; 32]).collect(),
            hashes_sum: Sum([3; 32]),
            mark_lost: true,
            ..Manifest::default()
        };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Some(manifest));
        for end in 0..bytes.len() {
            assert_eq!(Manifest::decode(&bytes[..end]), None);
        }
        assert!(Manifest::decode_v1(&bytes).is_none());
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_manifest_are_refused_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let _ = Manifest::decode(&bytes);
            let _ = Manifest::decode_v1(&bytes);
        }
    }
}

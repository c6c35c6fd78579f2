//! A checkpoint: an incarnation's signed statement of how its tree stands.

use crate::cbor::{DecodeError, Reader, Writer};
use crate::id::ChainId;
use crate::key::{self, BadSignature, SIGNATURE_BYTES, SigningKey};
use crate::tree::{MAX_TREE_SIZE, Tree, TreeHash};
use crate::weak::is_weak_key;

/// What the chain signs: this, then the checkpoint's bytes.
pub const CHECKPOINT_DOMAIN: &[u8; 19] = b"salus/checkpoint/v1";

const WHAT: &str = "checkpoint";

/// How an incarnation's tree stands (C2SP tlog-checkpoint: origin, size, root).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose tree it is.
    pub origin: ChainId,
    /// How many leaves it has.
    pub size: u64,
    /// Its root.
    pub root: TreeHash,
}

impl Checkpoint {
    /// How the tree of this chain stands now.
    pub fn of(origin: ChainId, tree: &Tree) -> Checkpoint {
        Checkpoint {
            origin,
            size: tree.size(),
            root: tree.root(),
        }
    }

    /// Signs it with the origin's own key.
    pub fn sign(self, chain: &SigningKey) -> Result<SignedCheckpoint, BadSignature> {
        if chain.chain() != self.origin {
            return Err(BadSignature);
        }
        let signature = chain.sign(&self.message());
        Ok(SignedCheckpoint {
            checkpoint: self,
            signature,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(80);
        w.array(3)
            .bytes(self.origin.as_bytes())
            .u64(self.size)
            .bytes(&self.root);
        w.finish()
    }

    fn message(&self) -> Vec<u8> {
        [CHECKPOINT_DOMAIN.as_slice(), &self.encode()].concat()
    }
}

/// A checkpoint as it is sent and kept. What it says is only told by [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    signature: [u8; SIGNATURE_BYTES],
}

impl SignedCheckpoint {
    /// The checkpoint, if its origin signed it. A weak key, which anybody could sign for, is no origin.
    pub fn verify(&self) -> Result<Checkpoint, BadSignature> {
        let origin = self.checkpoint.origin.as_bytes();
        if is_weak_key(origin) {
            return Err(BadSignature);
        }
        key::verify(origin, &self.checkpoint.message(), &self.signature)?;
        Ok(self.checkpoint)
    }

    /// The form in which it is sent and kept.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(160);
        w.array(2)
            .bytes(&self.checkpoint.encode())
            .bytes(&self.signature);
        w.finish()
    }

    /// Reads the form in which it is sent and kept.
    pub fn decode(bytes: &[u8]) -> Result<SignedCheckpoint, DecodeError> {
        let mut outer = Reader::new(bytes, WHAT);
        outer.array(2)?;
        let inner = outer.bytes(128)?;
        let signature = outer.array_of()?;
        outer.end()?;
        let mut r = Reader::new(inner, WHAT);
        r.array(3)?;
        let origin = ChainId::from_bytes(r.array_of()?);
        let checkpoint = Checkpoint {
            origin,
            size: r.u64()?,
            root: r.array_of()?,
        };
        r.end()?;
        if checkpoint.size > MAX_TREE_SIZE {
            return Err(DecodeError::Impossible(WHAT));
        }
        Ok(SignedCheckpoint {
            checkpoint,
            signature,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_size_and_a_weak_origin_are_refused() {
        let key = SigningKey::from_seed([1; 32]);
        let checkpoint = Checkpoint {
            origin: key.chain(),
            size: MAX_TREE_SIZE + 1,
            root: [0; 32],
        };
        let bytes = checkpoint.sign(&key).unwrap().encode();
        assert_eq!(
            SignedCheckpoint::decode(&bytes),
            Err(DecodeError::Impossible(WHAT))
        );
        // The identity "signs" everything: s = 0 and R = the identity fit every message.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; SIGNATURE_BYTES];
        signature[0] = 1;
        let checkpoint = Checkpoint {
            origin: ChainId::from_bytes(identity),
            size: 1,
            root: [0; 32],
        };
        assert_eq!(
            key::verify(&identity, &checkpoint.message(), &signature),
            Ok(())
        );
        let forged = SignedCheckpoint {
            checkpoint,
            signature,
        };
        assert_eq!(forged.verify(), Err(BadSignature));
    }

    #[test]
    fn a_checkpoint_is_believed_only_from_its_origin() {
        let (mine, other) = (
            SigningKey::from_seed([1; 32]),
            SigningKey::from_seed([2; 32]),
        );
        let tree: Tree = (0..5).map(|byte| [byte; 32]).collect();
        let checkpoint = Checkpoint::of(mine.chain(), &tree);
        assert_eq!(checkpoint.sign(&other).err(), Some(BadSignature));
        let signed = checkpoint.sign(&mine).unwrap();
        assert_eq!(signed.verify(), Ok(checkpoint));
        let bytes = signed.encode();
        assert_eq!(SignedCheckpoint::decode(&bytes), Ok(signed));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let refused = SignedCheckpoint::decode(&changed)
                .map_or(true, |checkpoint| checkpoint.verify().is_err());
            assert!(refused, "byte {at}");
        }
    }
}

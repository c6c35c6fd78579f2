//! Ed25519 keys, judged by ZIP-215 alone.

use std::fmt;

use ed25519_zebra as zebra;
use zeroize::{Zeroize, Zeroizing};

use crate::id::{ActorId, ChainId};

/// The length of an Ed25519 signature in bytes (RFC 8032 section 5.1.6).
pub const SIGNATURE_BYTES: usize = 64;

/// A signature that does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// A secret Ed25519 key (RFC 8032) of an actor or a chain, wiped when dropped.
#[derive(Clone)]
pub struct SigningKey {
    inner: Zeroizing<zebra::SigningKey>,
}

impl SigningKey {
    /// The key that grows from this seed, which the caller draws from the operating system.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let inner = Zeroizing::new(zebra::SigningKey::from(seed));
        seed.zeroize();
        Self { inner }
    }

    /// The seed, to be sealed and kept.
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.inner.as_bytes())
    }

    /// The public key's bytes.
    pub fn public(&self) -> [u8; 32] {
        zebra::VerificationKeyBytes::from(&*self.inner).into()
    }

    /// The actor that signs with this key.
    pub fn actor(&self) -> ActorId {
        ActorId::from_bytes(self.public())
    }

    /// The chain that is signed with this key.
    pub fn chain(&self) -> ChainId {
        ChainId::from_bytes(self.public())
    }

    /// Signs the message as it is: domain separation is the caller's.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.inner.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.actor())
    }
}

/// Verifies one signature by the rules of ZIP-215, the same that batches are judged by.
pub fn verify(
    public: &[u8; 32],
    message: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<(), BadSignature> {
    zebra::VerificationKey::try_from(*public)
        .and_then(|key| key.verify(&zebra::Signature::from_bytes(signature), message))
        .map_err(|_| BadSignature)
}

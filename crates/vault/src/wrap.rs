//! Epoch keys on their way to a clinic: HPKE (RFC 9180), base mode, with DHKEM(X25519,
//! HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305. Who sends is told by the grant's signatures.

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::CryptoRng;
use hpke::{
    Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable, single_shot_open,
    single_shot_seal_with_rng,
};
use salus_audit::{ClinicId, EntryHash, LogId};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::payload::EpochKey;
use crate::seal::random_bytes;

/// In front of what HPKE's `info` binds: a wrapped key is a Salus epoch key and nothing else.
const INFO_DOMAIN: &[u8] = b"salus/hpke/epoch/v1";
/// Bytes of an encapsulated X25519 key (RFC 9180, section 7.1, Nenc).
const ENCAPSULATED_BYTES: usize = 32;
/// Bytes of a wrapped epoch key: encapsulated key, 32 bytes of key, 16 bytes of tag.
pub const WRAPPED_KEY_BYTES: usize = ENCAPSULATED_BYTES + 32 + 16;

/// Why an epoch key was not wrapped or unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// The recipient's public key is no key that anybody can hold (a point of low order).
    #[error("the recipient's key is not a usable HPKE key")]
    BadRecipientKey,
    /// Not [`WRAPPED_KEY_BYTES`] long.
    #[error("a wrapped epoch key has the wrong length")]
    Length,
    /// Meant for another key, log, epoch or clinic, or changed on the way.
    #[error("a wrapped epoch key does not open here")]
    Refused,
    /// It opened, and the key in it is not the one that the epoch's entry commits to.
    #[error("a wrapped epoch key is not the key that its epoch commits to")]
    NotCommitted,
}

/// The secret that a clinic's grants are wrapped to. Its public half is certified in the roster.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct HpkeSecret([u8; 32]);

impl HpkeSecret {
    /// A new key, derived as RFC 9180 section 7.1.3 has it from the operating system's randomness.
    pub fn generate() -> Self {
        let material = Zeroizing::new(random_bytes::<32>());
        let (secret, _) = X25519HkdfSha256::derive_keypair(&*material);
        Self(secret.to_bytes().into())
    }

    /// The secret that was kept as these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret's bytes, to be kept sealed.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// The public key, for the roster.
    pub fn public(&self) -> [u8; 32] {
        X25519HkdfSha256::sk_to_pk(&self.private())
            .to_bytes()
            .into()
    }

    fn private(&self) -> <X25519HkdfSha256 as Kem>::PrivateKey {
        <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&self.0)
            .expect("any 32 bytes are an X25519 secret (RFC 7748, section 5)")
    }
}

impl std::fmt::Debug for HpkeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HpkeSecret(..)")
    }
}

/// Wraps an epoch's key to one clinic, for a grant entry. `recipient_key` is the HPKE key that the
/// clinic's roster certifies; the result opens for this log, epoch and clinic only.
pub fn wrap_epoch_key(
    recipient_key: &[u8; 32],
    log: LogId,
    epoch: EntryHash,
    recipient: ClinicId,
    key: &EpochKey,
) -> Result<Vec<u8>, WrapError> {
    let info = info(log, epoch, recipient);
    hpke_seal(
        recipient_key,
        &info,
        b"",
        &*key.to_bytes(),
        &mut UnwrapErr(SysRng),
    )
    .map_err(|_| WrapError::BadRecipientKey)
}

/// Unwraps what [`wrap_epoch_key`] wrapped, and checks the key against the `commitment` that the
/// epoch's entry published: a key that reads other things for others is refused here.
pub fn unwrap_epoch_key(
    secret: &HpkeSecret,
    log: LogId,
    epoch: EntryHash,
    recipient: ClinicId,
    wrapped: &[u8],
    commitment: &[u8; 32],
) -> Result<EpochKey, WrapError> {
    if wrapped.len() != WRAPPED_KEY_BYTES {
        return Err(WrapError::Length);
    }
    let info = info(log, epoch, recipient);
    let opened = hpke_open(secret, &info, b"", wrapped).map_err(|_| WrapError::Refused)?;
    let bytes: [u8; 32] = opened
        .as_slice()
        .try_into()
        .map_err(|_| WrapError::Length)?;
    let key = EpochKey::from_bytes(bytes);
    if key.matches(commitment) {
        Ok(key)
    } else {
        Err(WrapError::NotCommitted)
    }
}

fn info(log: LogId, epoch: EntryHash, recipient: ClinicId) -> Vec<u8> {
    [
        INFO_DOMAIN,
        log.as_bytes(),
        epoch.as_bytes(),
        recipient.as_bytes(),
    ]
    .concat()
}

/// `enc ‖ ct` (RFC 9180, section 6.1, one shot).
fn hpke_seal(
    recipient: &[u8; 32],
    info: &[u8],
    aad: &[u8],
    message: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, HpkeError> {
    let recipient = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(recipient)?;
    let (encapsulated, ciphertext) = single_shot_seal_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        X25519HkdfSha256,
    >(&OpModeS::Base, &recipient, info, message, aad, rng)?;
    Ok([encapsulated.to_bytes().as_slice(), &ciphertext].concat())
}

fn hpke_open(
    secret: &HpkeSecret,
    info: &[u8],
    aad: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, HpkeError> {
    let (encapsulated, ciphertext) = wrapped
        .split_at_checked(ENCAPSULATED_BYTES)
        .ok_or(HpkeError::OpenError)?;
    let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated)?;
    single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret.private(),
        &encapsulated,
        info,
        ciphertext,
        aad,
    )
    .map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::tests::hex;
    use getrandom::rand_core::{TryCryptoRng, TryRng};
    use std::convert::Infallible;

    /// Gives the same bytes to whoever asks: the ephemeral key's material of the RFC's vector.
    struct Given(Vec<u8>);

    impl TryRng for Given {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(0)
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(0)
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.copy_from_slice(&self.0);
            Ok(())
        }
    }
    impl TryCryptoRng for Given {}

    fn ids() -> (LogId, EntryHash, ClinicId) {
        (
            LogId::from_bytes([1; 32]),
            EntryHash::from_bytes([2; 32]),
            ClinicId::from_bytes([3; 32]),
        )
    }

    /// RFC 9180, appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base.
    #[test]
    fn the_base_mode_vector_of_rfc_9180_holds() {
        let info = hex("4f6465206f6e2061204772656369616e2055726e");
        let plain = hex("4265617574792069732074727574682c20747275746820626561757479");
        let aad = hex("436f756e742d30");
        let enc = hex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
        let ct = hex(
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81\
                      883d2dd1b51a28",
        );
        let material = hex("909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b");
        let public: [u8; 32] =
            hex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
                .try_into()
                .unwrap();
        let secret = HpkeSecret::from_bytes(
            hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb")
                .try_into()
                .unwrap(),
        );
        assert_eq!(secret.public(), public);
        let wrapped = hpke_seal(&public, &info, &aad, &plain, &mut Given(material)).unwrap();
        assert_eq!(wrapped, [enc, ct].concat());
        assert_eq!(*hpke_open(&secret, &info, &aad, &wrapped).unwrap(), plain);
    }

    #[test]
    fn a_wrapped_key_opens_for_its_recipient_log_epoch_and_commitment_only() {
        let (log, epoch, clinic) = ids();
        let (secret, key) = (HpkeSecret::generate(), EpochKey::generate());
        let commitment = key.commitment();
        let wrapped = wrap_epoch_key(&secret.public(), log, epoch, clinic, &key).unwrap();
        assert_eq!(wrapped.len(), WRAPPED_KEY_BYTES);
        let open = |secret: &HpkeSecret, log, epoch, clinic, commitment: &[u8; 32]| {
            unwrap_epoch_key(secret, log, epoch, clinic, &wrapped, commitment)
                .map(|key| key.commitment())
        };
        assert_eq!(
            open(&secret, log, epoch, clinic, &commitment),
            Ok(commitment)
        );
        let other = [9; 32];
        let refused = Err(WrapError::Refused);
        assert_eq!(
            open(&HpkeSecret::generate(), log, epoch, clinic, &commitment),
            refused
        );
        assert_eq!(
            open(
                &secret,
                LogId::from_bytes(other),
                epoch,
                clinic,
                &commitment
            ),
            refused
        );
        assert_eq!(
            open(
                &secret,
                log,
                EntryHash::from_bytes(other),
                clinic,
                &commitment
            ),
            refused
        );
        assert_eq!(
            open(
                &secret,
                log,
                epoch,
                ClinicId::from_bytes(other),
                &commitment
            ),
            refused
        );
        assert_eq!(
            open(&secret, log, epoch, clinic, &other),
            Err(WrapError::NotCommitted)
        );
    }

    #[test]
    fn every_flipped_byte_and_every_cut_of_a_wrapped_key_is_refused() {
        let (log, epoch, clinic) = ids();
        let (secret, key) = (HpkeSecret::generate(), EpochKey::generate());
        let wrapped = wrap_epoch_key(&secret.public(), log, epoch, clinic, &key).unwrap();
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            let commitment = key.commitment();
            let refused = unwrap_epoch_key(&secret, log, epoch, clinic, &changed, &commitment);
            assert!(refused.is_err(), "byte {at}");
            let cut = unwrap_epoch_key(&secret, log, epoch, clinic, &wrapped[..at], &commitment);
            assert_eq!(cut.err(), Some(WrapError::Length));
        }
    }

    #[test]
    fn a_recipient_key_of_low_order_is_refused() {
        let (log, epoch, clinic) = ids();
        let mut one = [0; 32];
        one[0] = 1;
        for public in [[0; 32], one] {
            assert_eq!(
                wrap_epoch_key(&public, log, epoch, clinic, &EpochKey::generate()),
                Err(WrapError::BadRecipientKey)
            );
        }
    }

    #[test]
    fn a_secret_is_kept_as_bytes_and_not_shown() {
        let secret = HpkeSecret::generate();
        assert_eq!(
            HpkeSecret::from_bytes(*secret.to_bytes()).public(),
            secret.public()
        );
        assert_ne!(HpkeSecret::generate().public(), secret.public());
        assert_eq!(format!("{secret:?}"), "HpkeSecret(..)");
    }
}

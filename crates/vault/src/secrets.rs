//! What a vault holds: the node's own keys, and those of the person who opened it.

use minicbor::Decoder;
use salus_audit::{ActorId, SigningKey};
use zeroize::Zeroizing;

use crate::keys::{IndexKey, StorageKey};
use crate::seal::random_bytes;
use crate::wrap::HpkeSecret;

/// The keys of one node, in one incarnation of its store.
#[derive(Clone)]
pub struct NodeSecrets {
    /// Signs the chain's half of every entry this incarnation writes, and its checkpoints.
    pub chain: SigningKey,
    /// The iroh endpoint's secret key (an Ed25519 seed).
    pub endpoint: Zeroizing<[u8; 32]>,
    /// Opens the grants that are wrapped to this clinic.
    pub hpke: HpkeSecret,
    /// Seals the store; stays in memory while locked.
    pub storage: StorageKey,
    /// Seals snapshots and the patient index; in memory while unlocked only.
    pub index: IndexKey,
}

impl NodeSecrets {
    /// New keys of every kind, from the operating system's generator.
    pub fn generate() -> Self {
        Self {
            chain: generate_signing_key(),
            endpoint: Zeroizing::new(random_bytes()),
            hpke: HpkeSecret::generate(),
            storage: StorageKey::generate(),
            index: IndexKey::generate(),
        }
    }
}

/// A new Ed25519 key from the operating system's generator: for staff, and for a chain that begins.
pub fn generate_signing_key() -> SigningKey {
    SigningKey::from_seed(*Zeroizing::new(random_bytes()))
}

/// What a node holds while somebody works: made by [`VaultFile::unlock`](crate::VaultFile::unlock),
/// wiped when dropped.
pub struct Unlocked {
    /// The name of who unlocked, as it was given when the slot was made.
    pub staff_name: String,
    /// That person's signing key, which only their own passphrase opens.
    pub staff_key: SigningKey,
    /// The node's keys.
    pub secrets: NodeSecrets,
    pub(crate) vault_key: Zeroizing<[u8; 32]>,
}

impl Unlocked {
    /// Wipes the staff's, the vault's, the index' and the HPKE key, and keeps what a locked node
    /// works with. (Epoch keys are the caller's to drop.)
    pub fn lock(self) -> LockedSecrets {
        let NodeSecrets {
            chain,
            endpoint,
            storage,
            ..
        } = self.secrets;
        LockedSecrets {
            chain,
            endpoint,
            storage,
        }
    }
}

/// What a locked node holds: it verifies, stores, serves and cosigns, and reads no record.
#[derive(Clone)]
pub struct LockedSecrets {
    /// Signs checkpoints and the node's statements.
    pub chain: SigningKey,
    /// The iroh endpoint's secret key (an Ed25519 seed).
    pub endpoint: Zeroizing<[u8; 32]>,
    /// Opens the store.
    pub storage: StorageKey,
}

/// One person who can open the vault.
#[derive(Clone, PartialEq, Eq)]
pub struct StaffSlot {
    /// The name they unlock with.
    pub name: String,
    /// The public half of their signing key.
    pub actor: ActorId,
    pub(crate) slot: [u8; 16],
}

impl std::fmt::Debug for NodeSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeSecrets(..)")
    }
}

impl std::fmt::Debug for Unlocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unlocked(..)")
    }
}

impl std::fmt::Debug for LockedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LockedSecrets(..)")
    }
}

impl std::fmt::Debug for StaffSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StaffSlot({:?})", self.actor)
    }
}

/// What is sealed once in a vault file, under its vault key: the node's keys, and who has a slot.
pub(crate) struct Shared {
    pub secrets: NodeSecrets,
    pub staff: Vec<StaffSlot>,
}

impl Shared {
    /// CBOR `[chain, endpoint, hpke, storage, index, [[slot, name, actor], …]]`; keys are bytes.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Reserved once: a vector that grows leaves copies of what it held behind.
        let names: usize = self.staff.iter().map(|staff| staff.name.len() + 64).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(256 + names));
        let NodeSecrets {
            chain,
            endpoint,
            hpke,
            storage,
            index,
        } = &self.secrets;
        encode(&mut out, |e| {
            e.array(6)?;
            e.bytes(&*chain.to_seed())?;
            e.bytes(&**endpoint)?;
            e.bytes(&*hpke.to_bytes())?;
            e.bytes(&*storage.to_bytes())?;
            e.bytes(&*index.to_bytes())?;
            e.array(self.staff.len() as u64)?;
            for StaffSlot { name, actor, slot } in &self.staff {
                e.array(3)?
                    .bytes(slot)?
                    .str(name)?
                    .bytes(actor.as_bytes())?;
            }
            Ok(())
        });
        out
    }

    /// None where the bytes are not what [`Shared::encode`] writes.
    pub(crate) fn decode(bytes: &[u8], max_staff: usize) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        (d.array().ok()?? == 6).then_some(())?;
        let secrets = NodeSecrets {
            chain: SigningKey::from_seed(*array(&mut d)?),
            endpoint: array(&mut d)?,
            hpke: HpkeSecret::from_bytes(*array(&mut d)?),
            storage: StorageKey::from_bytes(*array(&mut d)?),
            index: IndexKey::from_bytes(*array(&mut d)?),
        };
        let count = usize::try_from(d.array().ok()??)
            .ok()
            .filter(|&n| n <= max_staff)?;
        let mut staff = Vec::with_capacity(count);
        for _ in 0..count {
            (d.array().ok()?? == 3).then_some(())?;
            let slot = *array(&mut d)?;
            let name = d.str().ok()?.to_owned();
            staff.push(StaffSlot {
                name,
                actor: ActorId::from_bytes(*array(&mut d)?),
                slot,
            });
        }
        (d.position() == bytes.len()).then_some(Self { secrets, staff })
    }
}

/// What is sealed in a staff member's slot, under their passphrase alone.
pub(crate) struct Personal {
    pub vault_key: Zeroizing<[u8; 32]>,
    pub staff_key: SigningKey,
    pub name: String,
}

impl Personal {
    /// CBOR `[vault key, staff seed, name]`.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(96 + self.name.len()));
        encode(&mut out, |e| {
            e.array(3)?;
            e.bytes(&*self.vault_key)?;
            e.bytes(&*self.staff_key.to_seed())?;
            e.str(&self.name)?;
            Ok(())
        });
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        (d.array().ok()?? == 3).then_some(())?;
        let vault_key = array(&mut d)?;
        let staff_key = SigningKey::from_seed(*array(&mut d)?);
        let name = d.str().ok()?.to_owned();
        (d.position() == bytes.len()).then_some(Self {
            vault_key,
            staff_key,
            name,
        })
    }
}

/// A byte string of exactly `N` bytes.
pub(crate) fn array<const N: usize>(d: &mut Decoder<'_>) -> Option<Zeroizing<[u8; N]>>
where
    [u8; N]: zeroize::Zeroize,
{
    d.bytes().ok()?.try_into().ok().map(Zeroizing::new)
}

type Encoder<'a> = minicbor::Encoder<&'a mut Vec<u8>>;
type EncodeError = minicbor::encode::Error<std::convert::Infallible>;

/// Appends CBOR to a vector, which never fails.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Encoder<'_>) -> Result<(), EncodeError>,
) {
    write(&mut minicbor::Encoder::new(out)).expect("a vector takes any bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_and_personal_secrets_come_back_as_they_were() {
        let secrets = NodeSecrets::generate();
        let staff_key = generate_signing_key();
        let slot = StaffSlot {
            name: "Ada".into(),
            actor: staff_key.actor(),
            slot: [7; 16],
        };
        let shared = Shared {
            secrets,
            staff: vec![slot],
        };
        let bytes = shared.encode();
        let again = Shared::decode(&bytes, 1).unwrap();
        assert_eq!(again.secrets.chain.public(), shared.secrets.chain.public());
        assert_eq!(again.secrets.endpoint, shared.secrets.endpoint);
        assert_eq!(again.secrets.hpke.public(), shared.secrets.hpke.public());
        assert_eq!(
            again.secrets.storage.to_bytes(),
            shared.secrets.storage.to_bytes()
        );
        assert_eq!(
            again.secrets.index.to_bytes(),
            shared.secrets.index.to_bytes()
        );
        assert_eq!(again.staff, shared.staff);
        assert!(
            Shared::decode(&bytes, 0).is_none(),
            "more staff than allowed"
        );

        let vault_key = Zeroizing::new([9; 32]);
        let personal = Personal {
            vault_key,
            staff_key,
            name: "Ada".into(),
        };
        let bytes = personal.encode();
        let again = Personal::decode(&bytes).unwrap();
        assert_eq!(again.staff_key.public(), personal.staff_key.public());
        assert_eq!(
            (again.vault_key, again.name),
            (personal.vault_key.clone(), "Ada".into())
        );
        for end in 0..bytes.len() {
            assert!(Personal::decode(&bytes[..end]).is_none());
        }
    }

    #[test]
    fn debug_shows_no_key_and_no_name() {
        let key = generate_signing_key();
        let unlocked = Unlocked {
            staff_name: "Ada Lovelace".into(),
            staff_key: key.clone(),
            secrets: NodeSecrets::generate(),
            vault_key: Zeroizing::new([1; 32]),
        };
        let slot = StaffSlot {
            name: "Ada Lovelace".into(),
            actor: key.actor(),
            slot: [0; 16],
        };
        let shown = format!("{unlocked:?} {:?} {slot:?}", unlocked.secrets);
        assert!(!shown.contains("Ada"), "{shown}");
        assert!(shown.contains("Unlocked(..) NodeSecrets(..)"), "{shown}");
        assert_eq!(format!("{:?}", unlocked.lock()), "LockedSecrets(..)");
    }
}

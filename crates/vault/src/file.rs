//! The vault file: a node's keys on disk, opened by each member of staff with their own passphrase.

use minicbor::Decoder;
use salus_audit::SigningKey;
use zeroize::Zeroizing;

use crate::padding::{pad, unpad};
use crate::passphrase::{
    Argon2Params, MAX_PASSPHRASE_BYTES, MIN_PASSPHRASE_CHARS, ParamsError, slot_key,
};
use crate::seal::{SEAL_OVERHEAD_BYTES, open, random_bytes, seal};
use crate::secrets::{NodeSecrets, Personal, Shared, StaffSlot, Unlocked, encode};
use crate::slot::{Slot, canonical_name, hint};

/// The largest vault file in bytes that is looked at: [`MAX_SLOTS`] of them take about 150 KiB.
pub const MAX_VAULT_FILE_BYTES: usize = 512 * 1024;
/// The most members of staff with a slot (a guess: a large clinic's staff).
pub const MAX_SLOTS: usize = 256;
/// The most slots tried for one name. With [`MAX_SLOTS`] slots a hint fits one other on average;
/// 16 or more fit with a probability of 10^-14 (Poisson).
pub const MAX_TRIES: usize = 16;
/// The longest name of staff in bytes.
pub const MAX_STAFF_NAME_BYTES: usize = 128;

/// The file's first item.
const MAGIC: &str = "salus/vault";
/// The layout that this code reads and writes.
const VERSION: u32 = 1;
/// BLAKE3 `derive_key` context of the key that the shared secrets are sealed under.
const SHARED_CONTEXT: &str = "salus/vault/v1 shared secrets";
/// CBOR's head of the checksum, and the checksum: BLAKE3 of everything before its head.
const CHECKSUM_HEAD: [u8; 2] = [0x58, 32];
const CHECKSUM_BYTES: usize = 34;

/// Why a vault did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// No slot of that name opens with that passphrase. Which of the two is wrong is not said.
    #[error("the name or the passphrase is wrong")]
    WrongPassphrase,
    /// Several people have a slot: say who you are.
    #[error("several people can unlock this node: a name is needed")]
    StaffNeeded,
    /// The file was changed since it was written.
    #[error("the vault file is damaged: {0}")]
    Damaged(&'static str),
    /// Argon2id did not get its memory.
    #[error(transparent)]
    Params(#[from] ParamsError),
}

/// Why a vault file was not made, read or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// Not a vault file, or one that was changed since it was written.
    #[error("the vault file is damaged: {0}")]
    Damaged(&'static str),
    /// Written by a later Salus.
    #[error("the vault file has version {0}; this program reads version {VERSION}")]
    Version(u32),
    /// Someone else has a slot under this name.
    #[error("somebody of that name can already unlock this node")]
    NameTaken,
    /// Empty, or longer than [`MAX_STAFF_NAME_BYTES`].
    #[error("a name has 1 to {MAX_STAFF_NAME_BYTES} bytes")]
    BadName,
    /// Nobody has a slot under this name.
    #[error("nobody of that name can unlock this node")]
    UnknownStaff,
    /// The vault would have no slot left, and nobody could open it again.
    #[error("the last person who can unlock this node can't be removed")]
    LastStaff,
    /// See [`MAX_SLOTS`].
    #[error("at most {MAX_SLOTS} people can unlock a node")]
    TooManyStaff,
    /// Shorter than [`MIN_PASSPHRASE_CHARS`] or longer than [`MAX_PASSPHRASE_BYTES`].
    #[error(
        "a passphrase has at least {MIN_PASSPHRASE_CHARS} characters and at most \
         {MAX_PASSPHRASE_BYTES} bytes"
    )]
    BadPassphrase,
    /// Argon2id was asked for something outside its bounds, or did not get its memory.
    #[error(transparent)]
    Params(#[from] ParamsError),
}

/// A node's keys, sealed. What can be read without a passphrase: that this is a vault, how many
/// people open it, what a guess costs, and one byte about each name (see `slot::hint`).
///
/// Each slot seals the vault key and one person's signing key under that person's passphrase. The
/// vault key seals the node's keys, with all the rest of the file as associated data: whoever
/// unlocks finds out when any slot was changed, removed or added by hand. A whole file that was put
/// back from before is not found out here, and a person removed can open a copy they kept: what
/// they sign is stopped by the roster, not by the vault.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultFile {
    id: [u8; 16],
    slots: Vec<Slot>,
    shared: Vec<u8>,
}

impl VaultFile {
    /// A vault with its first member of staff, and what unlocking it gives.
    pub fn create(
        secrets: NodeSecrets,
        staff_name: &str,
        passphrase: &str,
        staff_key: SigningKey,
        params: Argon2Params,
    ) -> Result<(Self, Unlocked), VaultError> {
        let mut file = Self {
            id: random_bytes(),
            slots: Vec::new(),
            shared: Vec::new(),
        };
        let mut shared = Shared {
            secrets,
            staff: Vec::new(),
        };
        let vault_key = Zeroizing::new(random_bytes());
        let personal = Personal {
            vault_key: vault_key.clone(),
            staff_key,
            name: staff_name.to_owned(),
        };
        file.push(&mut shared, &personal, passphrase, params)?;
        file.seal_shared(&vault_key, &shared);
        let unlocked = Unlocked {
            staff_name: personal.name,
            staff_key: personal.staff_key,
            secrets: shared.secrets,
            vault_key,
        };
        Ok((file, unlocked))
    }

    /// Opens the vault for the person of this name, or for the only person there is: one run of
    /// Argon2id for each slot whose hint fits, and one where none does, so that the time does not
    /// tell who works here.
    pub fn unlock(&self, staff: Option<&str>, passphrase: &str) -> Result<Unlocked, UnlockError> {
        let passphrase = match passphrase.len() {
            0..=MAX_PASSPHRASE_BYTES => passphrase,
            _ => "",
        };
        let wanted = staff.map(canonical_name);
        let tried: Vec<&Slot> = match (&wanted, &*self.slots) {
            (None, [only]) => vec![only],
            (None, _) => return Err(UnlockError::StaffNeeded),
            (Some(name), slots) => {
                let hint = hint(&self.id, name);
                slots
                    .iter()
                    .filter(|slot| slot.hint == hint)
                    .take(MAX_TRIES)
                    .collect()
            }
        };
        if tried.is_empty()
            && let Some(any) = self.slots.first()
        {
            slot_key(passphrase, &random_bytes::<16>(), any.params)?;
        }
        for slot in tried {
            let Some(personal) = slot.open(&self.id, passphrase)? else {
                continue;
            };
            if wanted
                .as_ref()
                .is_some_and(|name| *name != canonical_name(&personal.name))
            {
                continue;
            }
            let Shared { secrets, staff } = self
                .open_shared(&personal.vault_key)
                .ok_or(UnlockError::Damaged("its parts don't belong together"))?;
            let actor = personal.staff_key.actor();
            if !staff
                .iter()
                .any(|staff| staff.slot == slot.id && staff.actor == actor)
            {
                return Err(UnlockError::Damaged("a slot is not in its list of staff"));
            }
            return Ok(Unlocked {
                staff_name: personal.name,
                staff_key: personal.staff_key,
                secrets,
                vault_key: personal.vault_key,
            });
        }
        Err(UnlockError::WrongPassphrase)
    }

    /// Who can unlock. Names are sealed: this takes somebody who has.
    pub fn staff(&self, unlocked: &Unlocked) -> Result<Vec<StaffSlot>, VaultError> {
        Ok(self.shared(unlocked)?.staff)
    }

    /// How many people can unlock; in the clear.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// What a guess of a passphrase costs: the dearest of all slots, and what a further person's slot is to cost.
    pub fn params(&self) -> Argon2Params {
        let cost = |params: &Argon2Params| (params.memory_kib(), params.iterations());
        let dearest = self.slots.iter().map(|slot| slot.params).max_by_key(cost);
        dearest.unwrap_or(Argon2Params::RECOMMENDED)
    }

    /// Gives one more person a slot, with a signing key of their own.
    pub fn add_staff(
        &mut self,
        unlocked: &Unlocked,
        name: &str,
        passphrase: &str,
        staff_key: SigningKey,
        params: Argon2Params,
    ) -> Result<(), VaultError> {
        let mut shared = self.shared(unlocked)?;
        let vault_key = unlocked.vault_key.clone();
        let personal = Personal {
            vault_key,
            staff_key,
            name: name.to_owned(),
        };
        self.push(&mut shared, &personal, passphrase, params)?;
        self.seal_shared(&unlocked.vault_key, &shared);
        Ok(())
    }

    /// Seals the slot of who unlocked under a new passphrase. The old one opens older copies of the
    /// file, if somebody kept one.
    pub fn change_passphrase(
        &mut self,
        unlocked: &Unlocked,
        passphrase: &str,
        params: Argon2Params,
    ) -> Result<(), VaultError> {
        check_passphrase(passphrase)?;
        let mut shared = self.shared(unlocked)?;
        // By the key, not by the slot that was opened: another session of theirs may have changed it since.
        let actor = unlocked.staff_key.actor();
        let listed = shared
            .staff
            .iter()
            .position(|staff| staff.actor == actor)
            .ok_or(VaultError::UnknownStaff)?;
        let at = self.position(&shared.staff[listed].slot)?;
        let personal = Personal {
            vault_key: unlocked.vault_key.clone(),
            staff_key: unlocked.staff_key.clone(),
            name: unlocked.staff_name.clone(),
        };
        let slot = Slot::seal(&self.id, &personal, passphrase, params)?;
        shared.staff[listed].slot = slot.id;
        self.slots[at] = slot;
        self.seal_shared(&unlocked.vault_key, &shared);
        Ok(())
    }

    /// Takes a person's slot out of the file. Retire them in the roster too: that is what stops
    /// their signature.
    pub fn remove_staff(&mut self, unlocked: &Unlocked, name: &str) -> Result<(), VaultError> {
        let mut shared = self.shared(unlocked)?;
        let wanted = canonical_name(name);
        let listed = shared
            .staff
            .iter()
            .position(|staff| canonical_name(&staff.name) == wanted)
            .ok_or(VaultError::UnknownStaff)?;
        let at = self.position(&shared.staff[listed].slot)?;
        if self.slots.len() == 1 {
            return Err(VaultError::LastStaff);
        }
        shared.staff.remove(listed);
        self.slots.remove(at);
        self.seal_shared(&unlocked.vault_key, &shared);
        Ok(())
    }

    /// Puts other node keys in: after a key was rotated, or for a new incarnation. What `unlocked` holds stays as it was.
    pub fn replace_node_secrets(
        &mut self,
        unlocked: &Unlocked,
        secrets: NodeSecrets,
    ) -> Result<(), VaultError> {
        let mut shared = self.shared(unlocked)?;
        shared.secrets = secrets;
        self.seal_shared(&unlocked.vault_key, &shared);
        Ok(())
    }

    /// The file: CBOR `["salus/vault", version, id, slots, shared secrets, checksum]`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.head();
        encode(&mut out, |e| e.bytes(&self.shared)?.ok());
        let checksum = blake3::hash(&out);
        out.extend_from_slice(&CHECKSUM_HEAD);
        out.extend_from_slice(checksum.as_bytes());
        out
    }

    /// Reads what [`VaultFile::encode`] wrote; any other byte is an error, before a passphrase is
    /// asked for.
    pub fn decode(bytes: &[u8]) -> Result<Self, VaultError> {
        if bytes.len() > MAX_VAULT_FILE_BYTES {
            return Err(VaultError::Damaged("it is too large"));
        }
        let mut d = Decoder::new(bytes);
        if d.array().ok().flatten() != Some(6) || d.str().ok() != Some(MAGIC) {
            return Err(VaultError::Damaged("it is no vault file"));
        }
        // Every version ends with the checksum, so that a flipped version byte reads as damage.
        let (content, checksum) = bytes.split_at(bytes.len().saturating_sub(CHECKSUM_BYTES));
        let expected = blake3::hash(content);
        if checksum.strip_prefix(&CHECKSUM_HEAD) != Some(expected.as_bytes().as_slice()) {
            return Err(VaultError::Damaged("its checksum is wrong"));
        }
        let layout = VaultError::Damaged("its layout is wrong");
        match d.u32().map_err(|_| layout)? {
            VERSION => {}
            version => return Err(VaultError::Version(version)),
        }
        let file = Self::decode_rest(&mut d).ok_or(layout)?;
        // One file has one encoding: longer forms of numbers and lengths are refused.
        if file.encode() == bytes {
            Ok(file)
        } else {
            Err(layout)
        }
    }

    fn decode_rest(d: &mut Decoder<'_>) -> Option<Self> {
        let id = *crate::secrets::array(d)?;
        let count = usize::try_from(d.array().ok()??).ok()?;
        (1..=MAX_SLOTS).contains(&count).then_some(())?;
        let slots = (0..count)
            .map(|_| Slot::decode(d))
            .collect::<Option<Vec<_>>>()?;
        let shared = d.bytes().ok()?;
        (shared.len() >= SEAL_OVERHEAD_BYTES).then_some(())?;
        Some(Self {
            id,
            slots,
            shared: shared.to_vec(),
        })
    }

    /// Everything before the shared secrets: their associated data.
    fn head(&self) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, |e| {
            e.array(6)?.str(MAGIC)?.u32(VERSION)?.bytes(&self.id)?;
            e.array(self.slots.len() as u64)?.ok()
        });
        for slot in &self.slots {
            slot.encode(&mut out);
        }
        out
    }

    fn push(
        &mut self,
        shared: &mut Shared,
        personal: &Personal,
        passphrase: &str,
        params: Argon2Params,
    ) -> Result<(), VaultError> {
        check_passphrase(passphrase)?;
        let name = canonical_name(&personal.name);
        if name.is_empty() || personal.name.len() > MAX_STAFF_NAME_BYTES {
            return Err(VaultError::BadName);
        }
        if self.slots.len() >= MAX_SLOTS {
            return Err(VaultError::TooManyStaff);
        }
        if shared
            .staff
            .iter()
            .any(|staff| canonical_name(&staff.name) == name)
        {
            return Err(VaultError::NameTaken);
        }
        let slot = Slot::seal(&self.id, personal, passphrase, params)?;
        let actor = personal.staff_key.actor();
        shared.staff.push(StaffSlot {
            name: personal.name.clone(),
            actor,
            slot: slot.id,
        });
        self.slots.push(slot);
        Ok(())
    }

    fn position(&self, slot: &[u8; 16]) -> Result<usize, VaultError> {
        self.slots
            .iter()
            .position(|candidate| candidate.id == *slot)
            .ok_or(VaultError::Damaged("a member of staff has no slot"))
    }

    fn shared(&self, unlocked: &Unlocked) -> Result<Shared, VaultError> {
        self.open_shared(&unlocked.vault_key)
            .ok_or(VaultError::Damaged("its parts don't belong together"))
    }

    fn open_shared(&self, vault_key: &[u8; 32]) -> Option<Shared> {
        let key = shared_key(vault_key);
        let plain = Zeroizing::new(open(&key, &self.head(), &self.shared).ok()?);
        Shared::decode(unpad(&plain)?, MAX_SLOTS)
    }

    fn seal_shared(&mut self, vault_key: &[u8; 32], shared: &Shared) {
        self.shared = seal(&shared_key(vault_key), &self.head(), &pad(&shared.encode()));
    }
}

impl std::fmt::Debug for VaultFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VaultFile({} slots)", self.slots.len())
    }
}

fn shared_key(vault_key: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(blake3::derive_key(SHARED_CONTEXT, vault_key))
}

fn check_passphrase(passphrase: &str) -> Result<(), VaultError> {
    let long_enough = passphrase.chars().count() >= MIN_PASSPHRASE_CHARS;
    if long_enough && passphrase.len() <= MAX_PASSPHRASE_BYTES {
        Ok(())
    } else {
        Err(VaultError::BadPassphrase)
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;

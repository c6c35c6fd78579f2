//! A staff member's slot in a vault file: the vault key and their own key, under their passphrase.

use minicbor::Decoder;

use crate::padding::{pad, unpad};
use crate::passphrase::{Argon2Params, ParamsError, slot_key};
use crate::phrase::normalized;
use crate::seal::{open, random_bytes, seal};
use crate::secrets::{Personal, array, encode};

/// BLAKE3 `derive_key` context of the key that names are hinted under; the vault's id is the key
/// material. It is no secret: see [`hint`].
const HINT_CONTEXT: &str = "salus/vault/v1 hint of a staff name";
/// What a slot's associated data begins with.
const SLOT_DOMAIN: &[u8] = b"salus/vault/v1 slot";
/// The largest sealed slot in bytes: a padded name and two keys stay in one class of 256 bytes
/// with names of 128; this leaves room for a later version's fields.
const MAX_SEALED_SLOT_BYTES: usize = 1_024;

/// One slot, as it stands in the file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub id: [u8; 16],
    pub hint: u8,
    pub salt: [u8; 16],
    pub params: Argon2Params,
    pub sealed: Vec<u8>,
}

impl Slot {
    /// A new slot with an id and a salt of its own.
    pub(crate) fn seal(
        vault: &[u8; 16],
        personal: &Personal,
        passphrase: &str,
        params: Argon2Params,
    ) -> Result<Self, ParamsError> {
        let salt = random_bytes();
        let key = slot_key(passphrase, &salt, params)?;
        let hint = hint(vault, &personal.name);
        let mut slot = Self {
            id: random_bytes(),
            hint,
            salt,
            params,
            sealed: Vec::new(),
        };
        slot.sealed = seal(&key, &slot.aad(vault), &pad(&personal.encode()));
        Ok(slot)
    }

    /// None where the passphrase is not this slot's: one run of Argon2id either way.
    pub(crate) fn open(
        &self,
        vault: &[u8; 16],
        passphrase: &str,
    ) -> Result<Option<Personal>, ParamsError> {
        let key = slot_key(passphrase, &self.salt, self.params)?;
        let opened = open(&key, &self.aad(vault), &self.sealed).map(zeroize::Zeroizing::new);
        Ok(opened
            .ok()
            .and_then(|plain| Personal::decode(unpad(&plain)?)))
    }

    /// Everything about the slot that is not sealed, so that no part of it can be changed or moved
    /// to another vault.
    fn aad(&self, vault: &[u8; 16]) -> Vec<u8> {
        let mut out = [SLOT_DOMAIN, vault].concat();
        self.encode_clear(&mut out);
        out
    }

    fn encode_clear(&self, out: &mut Vec<u8>) {
        encode(out, |e| {
            e.array(7)?
                .bytes(&self.id)?
                .u8(self.hint)?
                .bytes(&self.salt)?;
            e.u32(self.params.memory_kib())?
                .u32(self.params.iterations())?;
            e.u32(self.params.parallelism())?;
            Ok(())
        });
    }

    /// CBOR `[id, hint, salt, memory in KiB, passes, lanes, sealed]`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.encode_clear(out);
        encode(out, |e| e.bytes(&self.sealed)?.ok());
    }

    /// None where this is no slot, or one that asks for more than this machine should give.
    pub(crate) fn decode(d: &mut Decoder<'_>) -> Option<Self> {
        (d.array().ok()?? == 7).then_some(())?;
        let id = *array(d)?;
        let hint = d.u8().ok()?;
        let salt = *array(d)?;
        let params = Argon2Params::read(d.u32().ok()?, d.u32().ok()?, d.u32().ok()?).ok()?;
        let sealed = d
            .bytes()
            .ok()
            .filter(|sealed| sealed.len() <= MAX_SEALED_SLOT_BYTES)?;
        Some(Self {
            id,
            hint,
            salt,
            params,
            sealed: sealed.to_vec(),
        })
    }
}

/// One byte that tells which slots to try for a name, so that unlocking costs one run of Argon2id
/// and not one for each member of staff.
///
/// It leaks: who holds the file can test a guess at a name and be wrong in 1 of 256 cases, so that
/// a list of candidate names shrinks. It does not leak across vaults: the same name has another hint
/// in each, and one byte fits 1 of 256 names of the world.
pub(crate) fn hint(vault: &[u8; 16], name: &str) -> u8 {
    let key = blake3::derive_key(HINT_CONTEXT, vault);
    blake3::keyed_hash(&key, canonical_name(name).as_bytes()).as_bytes()[0]
}

/// A name as it is compared: one case, one spacing, one way to write an accent.
pub(crate) fn canonical_name(name: &str) -> String {
    let lower = normalized(name).to_lowercase();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_however_it_is_typed() {
        assert_eq!(
            canonical_name("  Ren\u{e9}e   NOËL "),
            canonical_name("rene\u{301}e noe\u{308}l")
        );
        assert_ne!(canonical_name("Renee"), canonical_name("Renée"));
        assert_eq!(hint(&[1; 16], "Ada"), hint(&[1; 16], " ada "));
    }

    #[test]
    fn hints_spread_and_differ_between_vaults() {
        let names: Vec<String> = (0..64).map(|n| format!("staff {n}")).collect();
        let hints = |vault| {
            names
                .iter()
                .map(|name| hint(&[vault; 16], name))
                .collect::<Vec<_>>()
        };
        let mut one = hints(1);
        assert_ne!(one, hints(2));
        one.sort_unstable();
        one.dedup();
        assert!(one.len() > 48, "64 names share {} hints", one.len());
    }
}

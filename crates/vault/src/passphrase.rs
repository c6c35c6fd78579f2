//! From a passphrase to a key: Argon2id (RFC 9106), with its cost recorded beside each salt.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::{Zeroize, Zeroizing};

use crate::phrase::normalized;

/// The least memory in KiB outside tests: 64 MiB (RFC 9106, section 4, second recommended option).
pub const MIN_MEMORY_KIB: u32 = 65_536;
/// The most memory in KiB that a vault file may ask for: 1 GiB, which a clinic's desktop has.
pub const MAX_MEMORY_KIB: u32 = 1_048_576;
/// The most passes that a vault file may ask for: 16 over 1 GiB take about 20 s (extrapolated from
/// 0.93 s for 3 over 256 MiB, measured 2026-11).
pub const MAX_ITERATIONS: u32 = 16;
/// The most lanes that a vault file may ask for.
pub const MAX_PARALLELISM: u32 = 16;
/// The fewest characters of a new passphrase (NIST SP 800-63B-4, section 3.1.1.2, as a second
/// factor to holding the disk).
pub const MIN_PASSPHRASE_CHARS: usize = 8;
/// The longest passphrase in bytes that is looked at.
pub const MAX_PASSPHRASE_BYTES: usize = 1_024;

/// BLAKE3 `derive_key` context between Argon2id's output and the key of a slot.
const SLOT_CONTEXT: &str = "salus/vault/v1 key of a staff slot";

/// Why Argon2id did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// Outside the bounds of this module.
    #[error(
        "Argon2id with {memory_kib} KiB, {iterations} passes and {parallelism} lanes is outside \
         the bounds"
    )]
    OutOfBounds {
        /// Memory asked for, in KiB.
        memory_kib: u32,
        /// Passes asked for.
        iterations: u32,
        /// Lanes asked for.
        parallelism: u32,
    },
    /// The machine does not have the memory.
    #[error("there is not enough memory for Argon2id with {memory_kib} KiB")]
    OutOfMemory {
        /// Memory asked for, in KiB.
        memory_kib: u32,
    },
}

/// What one guess of a passphrase costs. Recorded in each slot, so that it can rise later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
}

impl Argon2Params {
    /// RFC 9106, section 4, second recommended option: 64 MiB, 3 passes, 4 lanes; 155 to 226 ms
    /// on one core (measured, 2026-11).
    pub const RECOMMENDED: Self = Self {
        memory_kib: MIN_MEMORY_KIB,
        iterations: 3,
        parallelism: 4,
    };

    /// A cost of at least 64 MiB and inside the bounds.
    pub fn new(memory_kib: u32, iterations: u32, parallelism: u32) -> Result<Self, ParamsError> {
        if memory_kib < MIN_MEMORY_KIB {
            return Err(ParamsError::OutOfBounds {
                memory_kib,
                iterations,
                parallelism,
            });
        }
        Self::read(memory_kib, iterations, parallelism)
    }

    /// A cost of nothing, for tests that unlock a hundred times. Never for a real vault.
    pub const fn insecure_for_tests() -> Self {
        Self {
            memory_kib: 8,
            iterations: 1,
            parallelism: 1,
        }
    }

    /// A cost found in a file: bounded above, so that a hostile file costs bounded time and memory.
    /// Not bounded below: a lower cost does not open a slot that was sealed at a higher one.
    pub(crate) fn read(
        memory_kib: u32,
        iterations: u32,
        parallelism: u32,
    ) -> Result<Self, ParamsError> {
        // RFC 9106, section 3.1: at least eight blocks of 1 KiB a lane.
        let sound = (1..=MAX_PARALLELISM).contains(&parallelism)
            && (1..=MAX_ITERATIONS).contains(&iterations)
            && (8 * parallelism..=MAX_MEMORY_KIB).contains(&memory_kib);
        if sound {
            Ok(Self {
                memory_kib,
                iterations,
                parallelism,
            })
        } else {
            Err(ParamsError::OutOfBounds {
                memory_kib,
                iterations,
                parallelism,
            })
        }
    }

    /// Memory in KiB.
    pub fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Lanes.
    pub fn parallelism(&self) -> u32 {
        self.parallelism
    }
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self::RECOMMENDED
    }
}

/// The key of a slot. The passphrase is normalised first (NFKD), so that it does not depend on the
/// keyboard that wrote an accent.
pub(crate) fn slot_key(
    passphrase: &str,
    salt: &[u8],
    params: Argon2Params,
) -> Result<Zeroizing<[u8; 32]>, ParamsError> {
    let stretched = argon2id(normalized(passphrase).as_bytes(), salt, params)?;
    Ok(Zeroizing::new(blake3::derive_key(
        SLOT_CONTEXT,
        &*stretched,
    )))
}

fn argon2id(
    passphrase: &[u8],
    salt: &[u8],
    params: Argon2Params,
) -> Result<Zeroizing<[u8; 32]>, ParamsError> {
    let Argon2Params {
        memory_kib,
        iterations,
        parallelism,
    } = params;
    let bounds = ParamsError::OutOfBounds {
        memory_kib,
        iterations,
        parallelism,
    };
    let costs = Params::new(memory_kib, iterations, parallelism, None).map_err(|_| bounds)?;
    // Our own memory: a gibibyte that is not there is an error here, and the blocks are wiped.
    let count = costs.block_count();
    let mut blocks: Vec<Block> = Vec::new();
    blocks
        .try_reserve_exact(count)
        .map_err(|_| ParamsError::OutOfMemory { memory_kib })?;
    blocks.resize(count, Block::default());
    let mut out = Zeroizing::new([0; 32]);
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, costs)
        .hash_password_into_with_memory(passphrase, salt, &mut *out, blocks.as_mut_slice());
    blocks.iter_mut().for_each(Zeroize::zeroize);
    done.map(|()| out).map_err(|_| bounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::tests::hex;
    use argon2::{AssociatedData, ParamsBuilder};

    /// RFC 9106, section 5.3. Our slots use neither secret nor associated data, so this one asks the
    /// primitive itself.
    #[test]
    fn the_argon2id_vector_of_rfc_9106_holds() {
        let mut builder = ParamsBuilder::new();
        builder
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(AssociatedData::new(&[4; 12]).unwrap());
        let secret = [3; 8];
        let argon = Argon2::new_with_secret(
            &secret,
            Algorithm::Argon2id,
            Version::V0x13,
            builder.build().unwrap(),
        )
        .unwrap();
        let mut out = [0; 32];
        argon
            .hash_password_into(&[1; 32], &[2; 16], &mut out)
            .unwrap();
        assert_eq!(
            out.to_vec(),
            hex("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659")
        );
    }

    /// The reference implementation's own vector (P-H-C/phc-winner-argon2, src/test.c, version
    /// 0x13, Argon2id), at the memory that real slots use.
    #[test]
    fn our_argon2id_is_that_of_the_reference_implementation() {
        let params = Argon2Params::new(65_536, 2, 1).unwrap();
        let out = argon2id(b"password", b"somesalt", params).unwrap();
        assert_eq!(
            out.to_vec(),
            hex("09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7")
        );
    }

    #[test]
    fn costs_outside_the_bounds_are_refused() {
        assert!(Argon2Params::new(65_535, 3, 4).is_err(), "less than 64 MiB");
        assert!(
            Argon2Params::new(1_048_577, 3, 4).is_err(),
            "more than 1 GiB"
        );
        assert!(Argon2Params::new(65_536, 17, 4).is_err());
        assert!(Argon2Params::new(65_536, 0, 4).is_err());
        assert!(Argon2Params::new(65_536, 3, 17).is_err());
        assert!(Argon2Params::new(65_536, 3, 0).is_err());
        assert!(Argon2Params::read(7, 1, 1).is_err());
        assert!(Argon2Params::read(u32::MAX, u32::MAX, u32::MAX).is_err());
        assert_eq!(
            Argon2Params::new(65_536, 3, 4).unwrap(),
            Argon2Params::default()
        );
    }

    #[test]
    fn an_accent_typed_in_two_ways_is_one_passphrase() {
        let params = Argon2Params::insecure_for_tests();
        let key = |text| slot_key(text, &[0; 16], params).unwrap();
        assert_eq!(*key("caf\u{e9} au lait"), *key("cafe\u{301} au lait"));
        assert_ne!(*key("café au lait"), *key("cafe au lait"));
    }
}

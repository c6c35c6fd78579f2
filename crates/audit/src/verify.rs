//! Verification of many entries at once.
//!
//! Every signature is judged by ZIP-215, singly and in batch: the two always agree, so replicas do. A
//! batch weighs each signature by a number that nobody could foresee when signing. The weights are
//! drawn here from a hash of everything that they weigh (the entries' hashes, which cover the keys, and
//! both signatures of each), as in the Fiat–Shamir transform: a forger would have to find a batch whose
//! own hash makes its errors cancel, one chance in 2^128 a try. So no random source is needed.

use std::convert::Infallible;

use ed25519_zebra::{Signature, VerificationKeyBytes, batch};
use rand_core::{TryCryptoRng, TryRng};

use crate::entry::Entry;
use crate::key;
use crate::verdict::Refusal;

/// Separates the weights of a batch from all other hashes (BLAKE3 `derive_key` context).
pub const BATCH_DOMAIN: &str = "salus/batch/v1";

/// Entries in one batch, two signatures each: 4,096 signatures verify at 135,000 a second, twice as
/// many gain nothing more (`p2p-stack.md` section 7).
const BATCH_ENTRIES: usize = 2048;
/// A batch that fails is divided by this and tried again, so that one bad entry among many good ones
/// costs a small part of their time.
const DIVISOR: usize = 8;
/// Below this a batch gains too little to be tried again: entries are verified singly.
const SINGLY_ENTRIES: usize = 8;

/// Verifies both signatures of each entry, and its payload where it is held, against its header.
///
/// The answers are in the entries' order. The work is a pure function of the slice: callers with
/// several cores divide it.
pub fn verify_signatures(entries: &[Entry]) -> Vec<Result<(), Refusal>> {
    let mut results = Vec::with_capacity(entries.len());
    for batch in entries.chunks(BATCH_ENTRIES) {
        verify_range(batch, &mut results);
    }
    for (entry, result) in entries.iter().zip(&mut results) {
        if result.is_ok() {
            *result = verify_payload(entry);
        }
    }
    results
}

/// Verifies one entry, with the verdict that [`verify_signatures`] gives it in any batch.
pub fn verify_entry(entry: &Entry) -> Result<(), Refusal> {
    verify_singly(entry).and_then(|()| verify_payload(entry))
}

fn verify_range(entries: &[Entry], results: &mut Vec<Result<(), Refusal>>) {
    if entries.len() < SINGLY_ENTRIES {
        results.extend(entries.iter().map(verify_singly));
    } else if verify_batch(entries) {
        results.extend(entries.iter().map(|_| Ok(())));
    } else {
        for part in entries.chunks(entries.len().div_ceil(DIVISOR)) {
            verify_range(part, results);
        }
    }
}

fn verify_batch(entries: &[Entry]) -> bool {
    let mut transcript = blake3::Hasher::new_derive_key(BATCH_DOMAIN);
    let mut verifier = batch::Verifier::new();
    for entry in entries {
        let (hash, actor_sig, chain_sig) = (entry.hash(), entry.actor_sig(), entry.chain_sig());
        transcript
            .update(hash.as_bytes())
            .update(actor_sig)
            .update(chain_sig);
        verifier.queue((
            VerificationKeyBytes::from(*entry.header().actor.as_bytes()),
            Signature::from_bytes(actor_sig),
            &Entry::actor_message(&hash)[..],
        ));
        verifier.queue((
            VerificationKeyBytes::from(*entry.header().chain.as_bytes()),
            Signature::from_bytes(chain_sig),
            &Entry::chain_message(&hash, actor_sig)[..],
        ));
    }
    verifier.verify(Weights(transcript.finalize_xof())).is_ok()
}

fn verify_singly(entry: &Entry) -> Result<(), Refusal> {
    let (hash, actor_sig) = (entry.hash(), entry.actor_sig());
    key::verify(
        entry.header().actor.as_bytes(),
        &Entry::actor_message(&hash),
        actor_sig,
    )
    .map_err(|_| Refusal::ActorSignature)?;
    let message = Entry::chain_message(&hash, actor_sig);
    key::verify(entry.header().chain.as_bytes(), &message, entry.chain_sig())
        .map_err(|_| Refusal::ChainSignature)
}

fn verify_payload(entry: &Entry) -> Result<(), Refusal> {
    let Some(payload) = entry.payload() else {
        return Ok(());
    };
    let header = entry.header();
    let same_hash = *blake3::hash(payload).as_bytes() == header.payload_hash;
    if same_hash && payload.len() as u64 == header.payload_len {
        Ok(())
    } else {
        Err(Refusal::Payload)
    }
}

/// The weights of one batch, as the generator that ed25519-zebra asks for.
struct Weights(blake3::OutputReader);

impl TryRng for Weights {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Weights {}

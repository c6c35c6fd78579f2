//! Writing an entry: a draft gets a position, its payload is sealed, and two keys sign it.

use crate::cbor::DecodeError;
use crate::entry::{Entry, hash_of};
use crate::header::{HEADER_VERSION, Header, MAX_PAYLOAD_BYTES};
use crate::id::{ActorId, BlobHash, ChainId, EntryHash, LogId};
use crate::key::SigningKey;
use crate::kind::{Kind, Scope};

/// Why a draft cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// The key given for the actor is another one's.
    #[error("the actor's key does not belong to the draft's actor")]
    ActorKey,
    /// The key given for the chain is another one's.
    #[error("the chain's key does not belong to the position's chain")]
    ChainKey,
    /// The payload is longer than [`MAX_PAYLOAD_BYTES`].
    #[error("the payload is too long for one entry")]
    Payload,
    /// The header would be refused by everyone.
    #[error("the entry cannot be written")]
    Header(#[from] DecodeError),
}

/// What somebody wants to write, before it has a place in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The log.
    pub log: LogId,
    /// The heads that the writer knows, in any order; the one before it in the chain may be among
    /// them.
    pub parents: Vec<EntryHash>,
    /// The roster and federation heads that the writer relies on, in any order.
    pub authority: Vec<EntryHash>,
    /// What it does.
    pub kind: Kind,
    /// What part of the document it may touch.
    pub scope: Option<Scope>,
    /// The epoch whose key seals the payload.
    pub epoch: Option<EntryHash>,
    /// Sealed attachments that the payload describes.
    pub blobs: Vec<BlobHash>,
    /// The time that the writer claims, in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// Who does it.
    pub actor: ActorId,
}

/// The next free place of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The chain.
    pub chain: ChainId,
    /// Position in the chain, from 0.
    pub seq: u64,
    /// The last entry of the chain so far.
    pub prev: Option<EntryHash>,
    /// The size of the incarnation's tree so far.
    pub tree_index: u64,
}

impl Draft {
    /// The additional data that the payload is to be sealed with.
    pub fn aad(&self, position: &Position) -> Vec<u8> {
        self.clone().into_header(position, &[]).aad()
    }

    /// Signs the entry with this payload: sealed with [`aad`](Self::aad) for clinical kinds, the
    /// clear body for control kinds.
    pub fn sign(
        self,
        position: Position,
        payload: Vec<u8>,
        actor: &SigningKey,
        chain: &SigningKey,
    ) -> Result<Entry, DraftError> {
        if actor.actor() != self.actor {
            return Err(DraftError::ActorKey);
        }
        if chain.chain() != position.chain {
            return Err(DraftError::ChainKey);
        }
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(DraftError::Payload);
        }
        let header = self.into_header(&position, &payload);
        header.check()?;
        let bytes = header.encode();
        let hash = hash_of(&bytes);
        let actor_sig = actor.sign(&Entry::actor_message(&hash));
        let chain_sig = chain.sign(&Entry::chain_message(&hash, &actor_sig));
        Ok(Entry::signed(
            header, bytes, hash, actor_sig, chain_sig, payload,
        ))
    }

    fn into_header(self, position: &Position, payload: &[u8]) -> Header {
        let ascending = |mut hashes: Vec<EntryHash>| {
            hashes.sort_unstable();
            hashes.dedup();
            hashes
        };
        let mut parents = ascending(self.parents);
        parents.retain(|parent| Some(*parent) != position.prev);
        Header {
            version: HEADER_VERSION,
            log: self.log,
            chain: position.chain,
            seq: position.seq,
            prev: position.prev,
            parents,
            authority: ascending(self.authority),
            tree_index: position.tree_index,
            actor: self.actor,
            time_ms: self.time_ms,
            kind: self.kind,
            scope: self.scope,
            epoch: self.epoch,
            blobs: self.blobs,
            payload_hash: blake3::hash(payload).into(),
            payload_len: payload.len() as u64,
        }
    }
}

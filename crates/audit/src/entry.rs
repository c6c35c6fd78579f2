//! An entry: a header, who did it, which node recorded it, and the payload while it is held.

use std::fmt;

use crate::cbor::{DecodeError, Reader, Writer, string_len};
use crate::header::{Header, MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES};
use crate::id::EntryHash;
use crate::key::SIGNATURE_BYTES;

/// Longest stored or sent entry in bytes: the largest header and payload, two signatures, CBOR heads.
pub const MAX_ENTRY_BYTES: usize = MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES + 2 * SIGNATURE_BYTES + 16;

/// What the actor signs: this, then the entry's hash.
pub const ACTOR_DOMAIN: &[u8; 14] = b"salus/actor/v1";
/// What the chain signs: this, then the entry's hash, then the actor's signature.
pub const CHAIN_DOMAIN: &[u8; 14] = b"salus/chain/v1";

/// The first byte under a leaf's hash (RFC 6962 section 2.1).
const LEAF_PREFIX: u8 = 0;
const WHAT: &str = "entry";

/// One signed entry. It cannot be changed, and its hash is always the hash of its header's bytes;
/// its signatures and its payload are only trusted after
/// [`verify_signatures`](crate::verify_signatures).
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    header: Header,
    header_bytes: Vec<u8>,
    actor_sig: [u8; SIGNATURE_BYTES],
    chain_sig: [u8; SIGNATURE_BYTES],
    payload: Option<Vec<u8>>,
    hash: EntryHash,
}

impl Entry {
    /// Puts an entry together from parts that are kept or sent apart.
    pub fn from_parts(
        header_bytes: Vec<u8>,
        actor_sig: [u8; SIGNATURE_BYTES],
        chain_sig: [u8; SIGNATURE_BYTES],
        payload: Option<Vec<u8>>,
    ) -> Result<Entry, DecodeError> {
        let header = Header::decode(&header_bytes)?;
        let hash = hash_of(&header_bytes);
        Entry {
            header,
            header_bytes,
            actor_sig,
            chain_sig,
            payload: None,
            hash,
        }
        .with_payload(payload)
    }

    pub(crate) fn signed(
        header: Header,
        header_bytes: Vec<u8>,
        hash: EntryHash,
        actor_sig: [u8; SIGNATURE_BYTES],
        chain_sig: [u8; SIGNATURE_BYTES],
        payload: Vec<u8>,
    ) -> Entry {
        Entry {
            header,
            header_bytes,
            actor_sig,
            chain_sig,
            payload: Some(payload),
            hash,
        }
    }

    /// Reads the form that is stored and sent; refuses every encoding but the deterministic one.
    pub fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(DecodeError::TooLong(WHAT));
        }
        let mut r = Reader::new(bytes, WHAT);
        r.array(4)?;
        let header = r.bytes(MAX_HEADER_BYTES)?;
        let actor_sig = r.array_of()?;
        let chain_sig = r.array_of()?;
        let payload = r.optional(|r| r.bytes(MAX_PAYLOAD_BYTES))?;
        r.end()?;
        Entry::from_parts(
            header.to_vec(),
            actor_sig,
            chain_sig,
            payload.map(<[u8]>::to_vec),
        )
    }

    /// The form that is stored and sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.encoded_len());
        w.array(4)
            .bytes(&self.header_bytes)
            .bytes(&self.actor_sig)
            .bytes(&self.chain_sig);
        match &self.payload {
            Some(payload) => w.bytes(payload),
            None => w.null(),
        };
        w.finish()
    }

    /// How long [`encode`](Self::encode) is, in bytes.
    pub fn encoded_len(&self) -> usize {
        encoded_len(self.header_bytes.len(), self.payload.as_ref().map(Vec::len))
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes that were signed.
    pub fn header_bytes(&self) -> &[u8] {
        &self.header_bytes
    }

    /// The actor's signature: who did it.
    pub fn actor_sig(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.actor_sig
    }

    /// The chain's signature: which node recorded it.
    pub fn chain_sig(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.chain_sig
    }

    /// The payload as stored (sealed for clinical kinds), where it is held.
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    /// BLAKE3 of the header's bytes.
    pub fn hash(&self) -> EntryHash {
        self.hash
    }

    /// What the actor signs.
    pub fn actor_message(hash: &EntryHash) -> [u8; 46] {
        let mut message = [0; 46];
        message[..14].copy_from_slice(ACTOR_DOMAIN);
        message[14..].copy_from_slice(hash.as_bytes());
        message
    }

    /// What the chain signs.
    pub fn chain_message(hash: &EntryHash, actor_sig: &[u8; SIGNATURE_BYTES]) -> [u8; 110] {
        let mut message = [0; 110];
        message[..14].copy_from_slice(CHAIN_DOMAIN);
        message[14..46].copy_from_slice(hash.as_bytes());
        message[46..].copy_from_slice(actor_sig);
        message
    }

    /// The entry's leaf in its incarnation's tree: it covers the header and both signatures, not the
    /// payload, which can be erased.
    pub fn leaf(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[LEAF_PREFIX]);
        hasher
            .update(&self.header_bytes)
            .update(&self.actor_sig)
            .update(&self.chain_sig);
        hasher.finalize().into()
    }

    /// The same entry, its payload detached.
    pub fn without_payload(&self) -> Entry {
        Entry {
            header: self.header.clone(),
            header_bytes: self.header_bytes.clone(),
            actor_sig: self.actor_sig,
            chain_sig: self.chain_sig,
            payload: None,
            hash: self.hash,
        }
    }

    /// The same entry with this payload, whose length is compared with the header's here and whose
    /// hash is compared by [`verify_signatures`](crate::verify_signatures).
    pub fn with_payload(mut self, payload: Option<Vec<u8>>) -> Result<Entry, DecodeError> {
        if payload
            .as_ref()
            .is_some_and(|payload| payload.len() as u64 != self.header.payload_len)
        {
            return Err(DecodeError::Impossible("payload length"));
        }
        self.payload = payload;
        Ok(self)
    }

    /// Takes the entry apart into its payload alone, without a copy.
    pub fn into_payload(self) -> Option<Vec<u8>> {
        self.payload
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("hash", &self.hash)
            .field("kind", &self.header.kind)
            .field("log", &self.header.log)
            .field("chain", &self.header.chain)
            .field("seq", &self.header.seq)
            .field("payload_held", &self.payload.is_some())
            .finish_non_exhaustive()
    }
}

pub(crate) fn hash_of(header_bytes: &[u8]) -> EntryHash {
    EntryHash::from_bytes(blake3::hash(header_bytes).into())
}

fn encoded_len(header: usize, payload: Option<usize>) -> usize {
    let signature = string_len(SIGNATURE_BYTES);
    1 + string_len(header) + 2 * signature + payload.map_or(1, string_len)
}

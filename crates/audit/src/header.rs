//! The header: everything about an entry that is signed and clear.

use crate::cbor::{DecodeError, Reader, Writer};
use crate::id::{ActorId, BlobHash, ChainId, EntryHash, LogId};
use crate::kind::{Kind, Scope};

/// The only version of the header so far.
pub const HEADER_VERSION: u8 = 1;
/// Longest header in bytes. The lists at their limits make about 5.2 KiB; the rest is a margin.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;
/// Most other heads that an entry may merge. A log with more open heads is merged in steps; 64 is a
/// guess well above the clinics that write one record at once.
pub const MAX_PARENTS: usize = 64;
/// Most roster and federation heads that an entry may rely on (a guess: a roster is nearly linear).
pub const MAX_AUTHORITY: usize = 16;
/// Most blobs that an entry may name (a guess: a series of images is several entries).
pub const MAX_BLOBS: usize = 64;
/// Longest payload in bytes: a few Automerge changes, or an attachment small enough to stay inline.
pub const MAX_PAYLOAD_BYTES: usize = 4 * 1024 * 1024;
/// Latest time that can be claimed: the end of the year 9999, as far as ISO 8601 goes with four digits.
pub const MAX_TIME_MS: u64 = 253_402_300_799_999;

/// How many items the header's array has, and the additional data's (all but the last two).
const HEADER_ITEMS: usize = 16;
const AAD_ITEMS: usize = 14;
const WHAT: &str = "header";

/// What is signed. `docs/formats.md` draws the layout; every field is public because a header is only
/// trusted inside an [`Entry`](crate::Entry), which cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// [`HEADER_VERSION`].
    pub version: u8,
    /// The log that the entry belongs to.
    pub log: LogId,
    /// The chain that the entry extends: the writing incarnation's key.
    pub chain: ChainId,
    /// Position in the chain, from 0.
    pub seq: u64,
    /// The entry before it in the chain; absent exactly for `seq` 0.
    pub prev: Option<EntryHash>,
    /// The other heads that the writer knew, ascending, without `prev`.
    pub parents: Vec<EntryHash>,
    /// The roster and federation heads that the writer relied on, ascending.
    pub authority: Vec<EntryHash>,
    /// Position in the incarnation's tree, over all logs.
    pub tree_index: u64,
    /// Who did it.
    pub actor: ActorId,
    /// The writer's claim of the time, in milliseconds since 1970-01-01 UTC; never decides a right.
    pub time_ms: u64,
    /// What it does.
    pub kind: Kind,
    /// What part of the document it may touch.
    pub scope: Option<Scope>,
    /// The epoch whose key seals the payload; absent for clear bodies.
    pub epoch: Option<EntryHash>,
    /// Sealed attachments that the payload describes.
    pub blobs: Vec<BlobHash>,
    /// BLAKE3 of the payload as stored.
    pub payload_hash: [u8; 32],
    /// Length of the payload as stored, in bytes.
    pub payload_len: u64,
}

impl Header {
    /// The bytes that are signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.size_hint());
        w.array(HEADER_ITEMS);
        self.write_common(&mut w);
        w.bytes(&self.payload_hash).u64(self.payload_len);
        w.finish()
    }

    /// The additional data that a sealed payload is bound to: the header without `payload_hash` and
    /// `payload_len`, which exist only after sealing.
    pub fn aad(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.size_hint());
        w.array(AAD_ITEMS);
        self.write_common(&mut w);
        w.finish()
    }

    /// Reads a header; refuses every encoding but the deterministic one.
    pub fn decode(bytes: &[u8]) -> Result<Header, DecodeError> {
        if bytes.len() > MAX_HEADER_BYTES {
            return Err(DecodeError::TooLong(WHAT));
        }
        let mut r = Reader::new(bytes, WHAT);
        r.array(HEADER_ITEMS)?;
        if r.u64()? != u64::from(HEADER_VERSION) {
            return Err(DecodeError::Version(WHAT));
        }
        let hash = |r: &mut Reader<'_>| r.array_of().map(EntryHash::from_bytes);
        let header = Header {
            version: HEADER_VERSION,
            log: LogId::from_bytes(r.array_of()?),
            chain: ChainId::from_bytes(r.array_of()?),
            seq: r.u64()?,
            prev: r.optional(hash)?,
            parents: r.list(MAX_PARENTS, hash)?,
            authority: r.list(MAX_AUTHORITY, hash)?,
            tree_index: r.u64()?,
            actor: ActorId::from_bytes(r.array_of()?),
            time_ms: r.u64()?,
            kind: Kind::from_code(r.u64()?).ok_or(DecodeError::Malformed("kind"))?,
            scope: r
                .optional(|r| Scope::from_code(r.u64()?).ok_or(DecodeError::Malformed("scope")))?,
            epoch: r.optional(hash)?,
            blobs: r.list(MAX_BLOBS, |r| r.array_of().map(BlobHash::from_bytes))?,
            payload_hash: r.array_of()?,
            payload_len: r.u64()?,
        };
        r.end()?;
        header.check()?;
        Ok(header)
    }

    /// What must hold for any header, whatever the log: order, limits, and fields that contradict
    /// each other.
    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        let ascending = |hashes: &[EntryHash]| hashes.is_sorted_by(|a, b| a < b);
        if self.version != HEADER_VERSION {
            return Err(DecodeError::Version(WHAT));
        }
        if self.parents.len() > MAX_PARENTS {
            return Err(DecodeError::TooLong("parents"));
        }
        if self.authority.len() > MAX_AUTHORITY {
            return Err(DecodeError::TooLong("authority"));
        }
        if self.blobs.len() > MAX_BLOBS {
            return Err(DecodeError::TooLong("blobs"));
        }
        if self.payload_len > MAX_PAYLOAD_BYTES as u64 {
            return Err(DecodeError::TooLong("payload"));
        }
        if self.prev.is_some() != (self.seq > 0) {
            return Err(DecodeError::Impossible("prev"));
        }
        if !ascending(&self.parents) || self.prev.is_some_and(|prev| self.parents.contains(&prev)) {
            return Err(DecodeError::Impossible("parents"));
        }
        if !ascending(&self.authority) {
            return Err(DecodeError::Impossible("authority"));
        }
        if self.tree_index < self.seq {
            return Err(DecodeError::Impossible("tree index"));
        }
        if self.time_ms > MAX_TIME_MS {
            return Err(DecodeError::Impossible("time"));
        }
        Ok(())
    }

    fn write_common(&self, w: &mut Writer) {
        w.u64(u64::from(self.version))
            .bytes(self.log.as_bytes())
            .bytes(self.chain.as_bytes());
        w.u64(self.seq);
        write_optional(w, self.prev.as_ref());
        write_hashes(w, &self.parents);
        write_hashes(w, &self.authority);
        w.u64(self.tree_index)
            .bytes(self.actor.as_bytes())
            .u64(self.time_ms);
        w.u64(u64::from(self.kind.code()));
        match self.scope {
            Some(scope) => w.u64(u64::from(scope.code())),
            None => w.null(),
        };
        write_optional(w, self.epoch.as_ref());
        w.array(self.blobs.len());
        for blob in &self.blobs {
            w.bytes(blob.as_bytes());
        }
    }

    /// Room for the encoding, so that it is allocated once: 34 bytes a hash, the rest rounded up.
    fn size_hint(&self) -> usize {
        288 + 34 * (self.parents.len() + self.authority.len() + self.blobs.len())
    }
}

fn write_optional(w: &mut Writer, hash: Option<&EntryHash>) {
    match hash {
        Some(hash) => w.bytes(hash.as_bytes()),
        None => w.null(),
    };
}

fn write_hashes(w: &mut Writer, hashes: &[EntryHash]) {
    w.array(hashes.len());
    for hash in hashes {
        w.bytes(hash.as_bytes());
    }
}

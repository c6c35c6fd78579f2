//! Blobs: files sealed in segments, so that a stream of any length is sealed in little memory, and any part of it is opened by
//! itself.
//!
//! ```text
//! blob    = head ‖ segments
//! head    = salt (16 random bytes) ‖ owner (16 bytes): the first of derive_key("… owner", salt ‖ log)
//! segment = XChaCha20-Poly1305(65,536 bytes of plaintext ‖ zeros) ‖ tag; the last one may be shorter
//! ```
//!
//! The segments are a STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance", CRYPTO 2015): each nonce holds the segment's number and whether it is the last, so that none can be moved,
//! left out or put behind the end. The plaintext is padded to its size class ([`padded_len`]).
//!
//! The owner's tag says whose blob it is to whoever knows the log's id, and nothing to others: a node that cannot open a blob still
//! sees that an entry of one record names a blob of another.

use std::io::{self, Read, Write};

use aead_stream::{NewStream, StreamBE32, StreamPrimitive};
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::Key;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::padding::padded_len;
use crate::seal::{AEAD_TAG_BYTES, random_bytes};

/// BLAKE3 `derive_key` contexts: of the cipher's key, of the nonces' common part, and of the owner's tag.
const CIPHER_CONTEXT: &str = "salus/vault/v1 blob key: cipher";
const NONCE_CONTEXT: &str = "salus/vault/v1 blob key: nonces";
const OWNER_CONTEXT: &str = "salus/vault/v1 owner of a blob";

/// Plaintext bytes of a segment. What is read of a blob is read in whole segments; 64 KiB cost 0.02 % of tags.
pub const SEGMENT_BYTES: usize = 64 * 1024;
/// Bytes of a whole segment as it is sealed.
pub const SEALED_SEGMENT_BYTES: usize = SEGMENT_BYTES + AEAD_TAG_BYTES;
/// Bytes in front of the segments.
pub const BLOB_HEAD_BYTES: usize = SALT_BYTES + OWNER_BYTES;
/// The longest file that is sealed, in bytes: 1 TiB, far below the 2^32 segments of a STREAM.
pub const MAX_BLOB_BYTES: u64 = 1 << 40;

const SALT_BYTES: usize = 16;
const OWNER_BYTES: usize = 16;
/// Bytes of an XChaCha nonce that the STREAM leaves: 24 without its counter (4) and its mark of the last one (1).
const NONCE_PREFIX_BYTES: usize = 19;

/// The key of one blob: drawn for it, used for nothing else, and carried by the entry that attaches it, inside the seal.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct BlobKey([u8; 32]);

impl BlobKey {
    /// A new key from the operating system's generator.
    pub fn generate() -> Self {
        Self(random_bytes())
    }

    /// The key that was kept as these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes, to be kept sealed.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    fn stream(&self, head: &BlobHead) -> StreamBE32<XChaCha20Poly1305> {
        let cipher = Zeroizing::new(blake3::derive_key(CIPHER_CONTEXT, &self.0));
        let material = Zeroizing::new([&self.0[..], head].concat());
        let nonces = blake3::derive_key(NONCE_CONTEXT, &material);
        let mut prefix = [0; NONCE_PREFIX_BYTES];
        prefix.copy_from_slice(&nonces[..NONCE_PREFIX_BYTES]);
        StreamBE32::new(&Key::<XChaCha20Poly1305>::from(*cipher), &prefix.into())
    }
}

impl std::fmt::Debug for BlobKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlobKey(..)")
    }
}

/// What stands in front of a blob's segments.
pub type BlobHead = [u8; BLOB_HEAD_BYTES];

fn new_head(log: &[u8; 32]) -> BlobHead {
    let salt: [u8; SALT_BYTES] = random_bytes();
    let mut head = [0; BLOB_HEAD_BYTES];
    head[..SALT_BYTES].copy_from_slice(&salt);
    head[SALT_BYTES..].copy_from_slice(&owner(&salt, log));
    head
}

fn owner(salt: &[u8], log: &[u8; 32]) -> [u8; OWNER_BYTES] {
    let hash = blake3::derive_key(OWNER_CONTEXT, &[salt, log].concat());
    let mut tag = [0; OWNER_BYTES];
    tag.copy_from_slice(&hash[..OWNER_BYTES]);
    tag
}

/// Whether a blob that begins so was sealed for this log.
pub fn blob_belongs_to(head: &BlobHead, log: &[u8; 32]) -> bool {
    let (salt, tag) = head.split_at(SALT_BYTES);
    owner(salt, log).ct_eq(tag).into()
}

/// Bytes of the blob that a file of so many bytes becomes; none above [`MAX_BLOB_BYTES`].
pub fn sealed_blob_len(plain: u64) -> Option<u64> {
    let padded = padded_blob_len(plain)?;
    let segments = padded.div_ceil(SEGMENT_BYTES as u64);
    Some(BLOB_HEAD_BYTES as u64 + padded + segments * AEAD_TAG_BYTES as u64)
}

fn padded_blob_len(plain: u64) -> Option<u64> {
    let plain = usize::try_from(plain)
        .ok()
        .filter(|_| plain <= MAX_BLOB_BYTES)?;
    Some(padded_len(plain) as u64)
}

/// What is left of a stream of segments.
struct Left {
    /// Plaintext bytes that are still to come, padding not counted.
    plain: u64,
    /// The same with padding.
    padded: u64,
    /// The number of the next segment.
    position: u32,
}

impl Left {
    fn of(plain: u64) -> io::Result<Self> {
        let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "longer than 1 TiB");
        Ok(Self {
            plain,
            padded: padded_blob_len(plain).ok_or_else(too_long)?,
            position: 0,
        })
    }

    /// Plaintext bytes of the next segment with and without padding, and whether it is the last; none behind the last.
    fn next(&self) -> Option<(usize, usize, bool)> {
        let size = usize::try_from(self.padded.min(SEGMENT_BYTES as u64)).ok()?;
        let filled = usize::try_from(self.plain.min(SEGMENT_BYTES as u64)).ok()?;
        (size > 0).then_some((size, filled, self.padded == size as u64))
    }

    fn done(&mut self, size: usize, filled: usize) {
        self.padded -= size as u64;
        self.plain -= filled as u64;
        self.position += 1;
    }
}

/// The sealed form of what a reader gives, to be read: a blob, a segment at a time.
pub struct SealingReader<R> {
    inner: R,
    stream: StreamBE32<XChaCha20Poly1305>,
    head: BlobHead,
    left: Left,
    /// Sealed bytes, and how many of them were handed out.
    ready: Vec<u8>,
    given: usize,
}

impl<R: Read> SealingReader<R> {
    /// Seals the `len` bytes that `inner` gives under a key of their own, for this log.
    ///
    /// # Errors
    /// If they are more than [`MAX_BLOB_BYTES`].
    pub fn new(inner: R, len: u64, key: &BlobKey, log: &[u8; 32]) -> io::Result<Self> {
        let head = new_head(log);
        Ok(Self {
            inner,
            stream: key.stream(&head),
            head,
            left: Left::of(len)?,
            ready: head.to_vec(),
            given: 0,
        })
    }

    /// The reader inside.
    pub fn into_inner(self) -> R {
        self.inner
    }

    fn fill(&mut self) -> io::Result<()> {
        let Some((size, filled, last)) = self.left.next() else {
            return Ok(());
        };
        self.ready.clear();
        self.given = 0;
        self.ready.reserve(SEALED_SEGMENT_BYTES);
        self.ready.resize(filled, 0);
        let changed = |_| {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was read",
            )
        };
        let read = self.inner.read_exact(&mut self.ready);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => changed(error),
            _ => error,
        })?;
        if last && self.inner.read(&mut [0])? > 0 {
            self.ready.clear();
            return Err(io::Error::other("the file became longer while it was read"));
        }
        self.ready.resize(size, 0);
        let sealed =
            self.stream
                .encrypt_in_place(self.left.position, last, &self.head, &mut self.ready);
        sealed.map_err(|_| io::Error::other("a segment could not be sealed"))?;
        self.left.done(size, filled);
        Ok(())
    }
}

impl<R: Read> Read for SealingReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            self.fill()?;
        }
        let rest = self.ready.get(self.given..).unwrap_or_default();
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.given += n;
        Ok(n)
    }
}

/// The opened form of a blob, written on as it comes.
pub struct OpeningWriter<W> {
    inner: W,
    key: BlobKey,
    log: [u8; 32],
    stream: Option<(BlobHead, StreamBE32<XChaCha20Poly1305>)>,
    left: Left,
    held: Zeroizing<Vec<u8>>,
}

impl<W: Write> OpeningWriter<W> {
    /// Opens a blob of `len` plaintext bytes that was sealed for this log, and writes these to `inner`.
    ///
    /// # Errors
    /// If they are more than [`MAX_BLOB_BYTES`].
    pub fn new(inner: W, len: u64, key: &BlobKey, log: &[u8; 32]) -> io::Result<Self> {
        Ok(Self {
            inner,
            key: key.clone(),
            log: *log,
            stream: None,
            left: Left::of(len)?,
            held: Zeroizing::new(Vec::with_capacity(SEALED_SEGMENT_BYTES)),
        })
    }

    /// The end: an error where the blob was cut off.
    ///
    /// # Errors
    /// If something is missing, or the inner writer fails.
    pub fn finish(mut self) -> io::Result<W> {
        if self.left.next().is_some() || !self.held.is_empty() {
            return Err(refused("the blob is cut off"));
        }
        self.inner.flush()?;
        Ok(self.inner)
    }

    /// Sealed bytes that make up what comes next: the head, or a segment. None behind the end.
    fn wanted(&self) -> Option<usize> {
        match self.stream {
            None => Some(BLOB_HEAD_BYTES),
            Some(_) => self.left.next().map(|(size, ..)| size + AEAD_TAG_BYTES),
        }
    }

    fn take_in(&mut self) -> io::Result<()> {
        let Some((head, stream)) = &self.stream else {
            let mut head = [0; BLOB_HEAD_BYTES];
            head.copy_from_slice(&self.held);
            self.held.clear();
            if !blob_belongs_to(&head, &self.log) {
                return Err(refused("the blob belongs to another record"));
            }
            self.stream = Some((head, self.key.stream(&head)));
            return Ok(());
        };
        let Some((size, filled, last)) = self.left.next() else {
            return Err(refused("the blob is longer than its entry says"));
        };
        let opened = stream.decrypt_in_place(self.left.position, last, head, &mut *self.held);
        opened.map_err(|_| {
            refused("a segment of the blob does not open: another key, or changed bytes")
        })?;
        let (plain, padding) = self.held.split_at(filled);
        if padding.iter().any(|&byte| byte != 0) {
            return Err(refused("the blob is not padded as the format says"));
        }
        self.inner.write_all(plain)?;
        self.held.clear();
        self.left.done(size, filled);
        Ok(())
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl<W: Write> Write for OpeningWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(wanted) = self.wanted() else {
            if bytes.is_empty() {
                return Ok(0);
            }
            return Err(refused("the blob is longer than its entry says"));
        };
        let n = wanted.saturating_sub(self.held.len()).min(bytes.len());
        self.held.extend_from_slice(&bytes[..n]);
        if self.held.len() == wanted {
            self.take_in()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOG: [u8; 32] = [7; 32];

    fn seal(plain: &[u8], key: &BlobKey) -> Vec<u8> {
        let mut sealed = Vec::new();
        let len = plain.len() as u64;
        SealingReader::new(plain, len, key, &LOG)
            .unwrap()
            .read_to_end(&mut sealed)
            .unwrap();
        assert_eq!(sealed.len() as u64, sealed_blob_len(len).unwrap());
        sealed
    }

    fn open(sealed: &[u8], len: usize, key: &BlobKey, log: &[u8; 32]) -> io::Result<Vec<u8>> {
        let mut writer = OpeningWriter::new(Vec::new(), len as u64, key, log)?;
        writer.write_all(sealed)?;
        writer.finish()
    }

    fn made_up(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new()
            .update(&len.to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    #[test]
    fn files_of_every_length_around_a_segment_come_back_whole() {
        let key = BlobKey::generate();
        let edges = [
            0,
            1,
            255,
            256,
            257,
            SEGMENT_BYTES - 1,
            SEGMENT_BYTES,
            SEGMENT_BYTES + 1,
            3 * SEGMENT_BYTES + 5,
        ];
        for len in edges {
            let plain = made_up(len);
            let sealed = seal(&plain, &key);
            assert_eq!(open(&sealed, len, &key, &LOG).unwrap(), plain, "{len}");
        }
    }

    #[test]
    fn files_of_one_size_class_are_as_long_sealed() {
        assert_eq!(sealed_blob_len(1_000_000), sealed_blob_len(1_000_001));
        assert_eq!(sealed_blob_len(0), sealed_blob_len(256));
        assert_eq!(sealed_blob_len(MAX_BLOB_BYTES + 1), None);
        assert!(
            SealingReader::new(io::empty(), MAX_BLOB_BYTES + 1, &BlobKey::generate(), &LOG)
                .is_err()
        );
    }

    #[test]
    fn one_file_sealed_twice_shows_nothing_that_is_equal() {
        let plain = made_up(100_000);
        let (one, two) = (
            seal(&plain, &BlobKey::generate()),
            seal(&plain, &BlobKey::generate()),
        );
        assert_ne!(one, two);
        let key = BlobKey::generate();
        let (one, two) = (seal(&plain, &key), seal(&plain, &key));
        let equal = one.iter().zip(&two).filter(|(a, b)| a == b).count();
        assert!(equal < one.len() / 64, "{equal} of {} bytes", one.len());
    }

    #[test]
    fn a_blob_says_whose_it_is_to_who_knows_the_log() {
        let sealed = seal(b"an image", &BlobKey::generate());
        let head = *sealed.first_chunk().unwrap();
        assert!(blob_belongs_to(&head, &LOG));
        assert!(!blob_belongs_to(&head, &[8; 32]));
        assert!(sealed.windows(32).all(|window| window != LOG));
    }

    #[test]
    fn a_blob_of_another_record_another_key_or_another_length_is_refused() {
        let key = BlobKey::generate();
        let plain = made_up(SEGMENT_BYTES + 10);
        let sealed = seal(&plain, &key);
        for (why, outcome) in [
            ("another record", open(&sealed, plain.len(), &key, &[8; 32])),
            (
                "does not open",
                open(&sealed, plain.len(), &BlobKey::generate(), &LOG),
            ),
            ("does not open", open(&sealed, 5, &key, &LOG)),
            ("cut off", open(&sealed, 9 * SEGMENT_BYTES, &key, &LOG)),
        ] {
            let error = outcome.expect_err(why).to_string();
            assert!(
                error.contains(why) || error.contains("does not open"),
                "{error}"
            );
        }
    }

    #[test]
    fn segments_that_are_changed_moved_left_out_or_added_are_refused() {
        let key = BlobKey::generate();
        let plain = made_up(4 * SEGMENT_BYTES);
        let sealed = seal(&plain, &key);
        let part = |n: usize| {
            BLOB_HEAD_BYTES + n * SEALED_SEGMENT_BYTES
                ..BLOB_HEAD_BYTES + (n + 1) * SEALED_SEGMENT_BYTES
        };
        let swapped = [
            &sealed[..BLOB_HEAD_BYTES],
            &sealed[part(1)],
            &sealed[part(0)],
            &sealed[part(2)],
            &sealed[part(3)],
        ]
        .concat();
        let without = [&sealed[..part(1).start], &sealed[part(1).end..]].concat();
        let longer = [&sealed[..], &sealed[part(3)]].concat();
        for (what, bytes) in [
            ("swapped", swapped),
            ("without", without),
            ("longer", longer),
        ] {
            assert!(open(&bytes, plain.len(), &key, &LOG).is_err(), "{what}");
        }
        assert!(open(&sealed[..part(3).start], plain.len(), &key, &LOG).is_err());
        assert!(
            open(&sealed[..part(3).start], 3 * SEGMENT_BYTES, &key, &LOG).is_err(),
            "the last one's mark"
        );
        for at in [
            0,
            SALT_BYTES,
            BLOB_HEAD_BYTES,
            part(2).start,
            sealed.len() - 1,
        ] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(
                open(&changed, plain.len(), &key, &LOG).is_err(),
                "byte {at}"
            );
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_refused() {
        let key = BlobKey::generate();
        for (len, why) in [(9, "longer"), (11, "shorter")] {
            let mut reader = SealingReader::new(&[1; 10][..], len, &key, &LOG).unwrap();
            let error = reader.read_to_end(&mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_come_to_the_same(len in 0_usize..200_000, piece in 1_usize..70_000) {
            let key = BlobKey::generate();
            let plain = made_up(len);
            let sealed = seal(&plain, &key);
            let mut writer = OpeningWriter::new(Vec::new(), len as u64, &key, &LOG).unwrap();
            for piece in sealed.chunks(piece) {
                writer.write_all(piece).unwrap();
            }
            prop_assert_eq!(writer.finish().unwrap(), plain);
        }
    }
}

//! Ids: 32 bytes each, one type per meaning, written as 64 lowercase hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

/// The length of every id in bytes: a BLAKE3 hash, an Ed25519 public key, or 32 random bytes.
pub const ID_BYTES: usize = 32;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text has another length than 64 digits.
    #[error("an id has 64 hexadecimal digits")]
    Length,
    /// The text has a character outside `0-9a-f`.
    #[error("an id has only the digits 0-9 and a-f")]
    Digit,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; ID_BYTES]);

        impl $name {
            /// Wraps the bytes; nothing about them is checked.
            pub const fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                write_hex(f, &self.0[..4])?;
                f.write_str(")")
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex(text).map(Self)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let bytes = d.bytes()?;
                let bytes = bytes
                    .try_into()
                    .map_err(|_| decode::Error::message("an id is a string of 32 bytes"))?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                d.deserialize_str(HexVisitor).map(Self)
            }
        }
    };
}

id!(
    /// Names a log (of a record, a roster or a federation): 32 random bytes.
    LogId
);
id!(
    /// Names an entry: BLAKE3 of its header's bytes.
    EntryHash
);
id!(
    /// Names a chain and the incarnation that writes it: the incarnation's Ed25519 public key.
    ChainId
);
id!(
    /// Names who acts: the Ed25519 public key of a staff member, or a clinic's root key.
    ActorId
);
id!(
    /// Names a clinic: the hash of its roster's genesis entry.
    ClinicId
);
id!(
    /// Names an attachment's sealed bytes: BLAKE3 of the ciphertext.
    BlobHash
);

impl ClinicId {
    /// The clinic whose roster begins with this entry.
    pub const fn from_genesis(hash: EntryHash) -> Self {
        Self(hash.0)
    }

    /// The genesis entry of the clinic's roster.
    pub const fn genesis(&self) -> EntryHash {
        EntryHash(self.0)
    }
}

/// Separates the ids of forks' lines from all other hashes (BLAKE3 `derive_key` context).
pub const FORK_DOMAIN: &str = "salus/fork/v1";

impl ChainId {
    /// The line of a fork of this chain that begins with this entry. A line's id stands where a chain's
    /// stands in heights and in the store's rows, never in a header.
    pub fn fork(chain: ChainId, first: EntryHash) -> ChainId {
        let mut hasher = blake3::Hasher::new_derive_key(FORK_DOMAIN);
        hasher.update(chain.as_bytes()).update(first.as_bytes());
        ChainId(hasher.finalize().into())
    }
}

struct HexVisitor;

impl serde::de::Visitor<'_> for HexVisitor {
    type Value = [u8; ID_BYTES];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("64 lowercase hexadecimal digits")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        parse_hex(text).map_err(E::custom)
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn parse_hex(text: &str) -> Result<[u8; ID_BYTES], IdError> {
    let digits = text.as_bytes();
    if digits.len() != 2 * ID_BYTES {
        return Err(IdError::Length);
    }
    let mut bytes = [0; ID_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(IdError::Digit),
            };
            *byte = (*byte << 4) | value;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_64_lowercase_digits_and_read_back() {
        let id = LogId::from_bytes([0xa5; 32]);
        let text = id.to_string();
        assert_eq!(text, "a5".repeat(32));
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(format!("{id:?}"), "LogId(a5a5a5a5)");
        assert_eq!(text.to_uppercase().parse::<LogId>(), Err(IdError::Digit));
        assert_eq!(text[1..].parse::<LogId>(), Err(IdError::Length));
        assert_eq!("é".repeat(32).parse::<LogId>(), Err(IdError::Digit));
    }

    #[test]
    fn an_id_is_a_hex_string_in_json_and_32_bytes_in_cbor() {
        let id = EntryHash::from_bytes([7; 32]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<EntryHash>(&json).unwrap(), id);
        let cbor = minicbor::to_vec(id).unwrap();
        assert_eq!(cbor[..2], [0x58, 32]);
        assert_eq!(minicbor::decode::<EntryHash>(&cbor).unwrap(), id);
        assert!(minicbor::decode::<EntryHash>(&cbor[..33]).is_err());
        assert!(minicbor::decode::<EntryHash>(&[0x41, 1]).is_err());
    }
}

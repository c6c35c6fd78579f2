//! A statement: what a node says, under its chain's signature, when it serves a log.
//!
//! Whoever keeps statements can hold a clinic to them: two that cannot both be true are evidence that
//! anybody can check with the chain's public key alone.

use crate::cbor::{DecodeError, Reader, Writer};
use crate::entry::Entry;
use crate::header::MAX_TIME_MS;
use crate::id::{ChainId, EntryHash, LogId};
use crate::key::{self, BadSignature, SIGNATURE_BYTES, SigningKey};
use crate::portable::Contradiction;
use crate::tree::MAX_TREE_SIZE;
use crate::weak::is_weak_key;

/// What the chain signs: this, then the statement's bytes.
pub const STATEMENT_DOMAIN: &[u8; 18] = b"salus/statement/v1";
/// Longest signed statement in bytes: 132 and at most 27 of numbers, the signature, CBOR heads.
pub const MAX_STATEMENT_BYTES: usize = 256;

const WHAT: &str = "statement";

/// How far a chain has written in one log, and how large its tree was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// The log.
    pub log: LogId,
    /// The chain, which signs.
    pub chain: ChainId,
    /// The chain's last position in the log.
    pub seq: u64,
    /// The entry there.
    pub hash: EntryHash,
    /// The size of the chain's tree; above `seq`, and at most [`MAX_TREE_SIZE`].
    pub tree_size: u64,
    /// When, as the chain's clock claims, in milliseconds since 1970-01-01 UTC. A node never claims an
    /// earlier time than in a statement before.
    pub time_ms: u64,
}

/// Why a statement cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// The key given is another chain's.
    #[error("the key does not belong to the statement's chain")]
    ChainKey,
    /// Everybody would refuse it.
    #[error("the statement cannot be true: {0}")]
    Impossible(#[from] DecodeError),
}

impl Statement {
    /// What this statement and another one of the same chain show together, in whatever order they came:
    /// `None` if both can be true. Both must have been verified.
    pub fn contradicts(&self, other: &Statement) -> Option<Contradiction> {
        if self.chain != other.chain {
            return None;
        }
        if self.log == other.log {
            if self.seq == other.seq && self.hash != other.hash {
                return Some(Contradiction::LogPlace { seq: self.seq });
            }
            // What a chain has written in a log follows from how much it has written in all, and grows
            // with it. That needs no clock.
            let by_tree = self.tree_size.cmp(&other.tree_size);
            let by_log = self.seq.cmp(&other.seq);
            if by_log.is_ne() && by_log != by_tree {
                return Some(Contradiction::Order);
            }
        }
        let (first, last) = if self.time_ms <= other.time_ms {
            (self, other)
        } else {
            (other, self)
        };
        (first.time_ms < last.time_ms && first.tree_size > last.tree_size)
            .then_some(Contradiction::TakenBack)
    }

    /// Whether an entry that its chain signed contradicts the statement. Both must have been verified.
    pub fn contradicts_entry(&self, entry: &Entry) -> Option<Contradiction> {
        let header = entry.header();
        if (header.chain, header.log) != (self.chain, self.log) {
            return None;
        }
        if header.seq == self.seq && entry.hash() != self.hash {
            return Some(Contradiction::LogPlace { seq: self.seq });
        }
        let stated_in_log = header.seq <= self.seq;
        let stated_in_tree = header.tree_index < self.tree_size;
        (stated_in_log != stated_in_tree).then_some(Contradiction::Order)
    }

    fn check(&self) -> Result<(), DecodeError> {
        if self.tree_size > MAX_TREE_SIZE || self.seq >= self.tree_size {
            return Err(DecodeError::Impossible("tree size"));
        }
        if self.time_ms > MAX_TIME_MS {
            return Err(DecodeError::Impossible("time"));
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(MAX_STATEMENT_BYTES);
        w.array(6)
            .bytes(self.log.as_bytes())
            .bytes(self.chain.as_bytes())
            .u64(self.seq)
            .bytes(self.hash.as_bytes())
            .u64(self.tree_size)
            .u64(self.time_ms);
        w.finish()
    }

    fn message(&self) -> Vec<u8> {
        [STATEMENT_DOMAIN.as_slice(), &self.encode()].concat()
    }
}

/// A statement as it is sent and kept. What it says is only told by [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    statement: Statement,
    signature: [u8; SIGNATURE_BYTES],
}

impl SignedStatement {
    /// Signs it with the chain's own key.
    pub fn sign(
        statement: Statement,
        chain: &SigningKey,
    ) -> Result<SignedStatement, StatementError> {
        if chain.chain() != statement.chain {
            return Err(StatementError::ChainKey);
        }
        statement.check()?;
        let signature = chain.sign(&statement.message());
        Ok(SignedStatement {
            statement,
            signature,
        })
    }

    /// The statement, if its chain signed it. Which clinic the chain is, a roster tells.
    pub fn verify(&self) -> Result<Statement, BadSignature> {
        let chain = self.statement.chain.as_bytes();
        if is_weak_key(chain) {
            return Err(BadSignature);
        }
        key::verify(chain, &self.statement.message(), &self.signature)?;
        Ok(self.statement)
    }

    /// The form in which it is sent and kept.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(MAX_STATEMENT_BYTES);
        w.array(2)
            .bytes(&self.statement.encode())
            .bytes(&self.signature);
        w.finish()
    }

    /// Reads the form in which it is sent and kept; refuses every encoding but the deterministic one.
    pub fn decode(bytes: &[u8]) -> Result<SignedStatement, DecodeError> {
        if bytes.len() > MAX_STATEMENT_BYTES {
            return Err(DecodeError::TooLong(WHAT));
        }
        let mut outer = Reader::new(bytes, WHAT);
        outer.array(2)?;
        let inner = outer.bytes(MAX_STATEMENT_BYTES)?;
        let signature = outer.array_of()?;
        outer.end()?;
        let mut r = Reader::new(inner, WHAT);
        r.array(6)?;
        let statement = Statement {
            log: LogId::from_bytes(r.array_of()?),
            chain: ChainId::from_bytes(r.array_of()?),
            seq: r.u64()?,
            hash: EntryHash::from_bytes(r.array_of()?),
            tree_size: r.u64()?,
            time_ms: r.u64()?,
        };
        r.end()?;
        statement.check()?;
        Ok(SignedStatement {
            statement,
            signature,
        })
    }
}

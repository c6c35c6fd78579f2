//! Control bodies: clear and signed, so that locked nodes and custodians can judge them.

use crate::cbor::{DecodeError, Reader, Writer};
use crate::id::{ActorId, ChainId, ClinicId, EntryHash, LogId};
use crate::kind::{Kind, Right, Role};
use crate::tree::MAX_TREE_SIZE;

/// Longest name of a clinic or a person in bytes (a guess; the longest in the sample data has 40).
pub const MAX_NAME_BYTES: usize = 200;
/// Longest wrapped epoch key in bytes: 80 with X25519, about 1,200 with a post-quantum hybrid.
pub const MAX_WRAPPED_BYTES: usize = 2 * 1024;
/// Most chains that one body may cut: the incarnations of one clinic (a guess: one a restore).
pub const MAX_CUTS: usize = 1024;
/// Most edits that one quarantine may name (a guess: what broke together; more take several entries).
pub const MAX_QUARANTINED: usize = 64;
/// Most attachments that one erasure may name (a guess: more take several entries).
pub const MAX_ERASED: usize = 64;
/// Longest reason of a quarantine or an erasure in bytes: a line for people, several times over.
pub const MAX_REASON_BYTES: usize = 1024;
/// Longest sealed key of the previous epoch in bytes: nonce, 32 bytes and tag make 72; the rest is room.
pub const MAX_SEALED_KEY_BYTES: usize = 256;
/// Longest control body in bytes: [`MAX_CUTS`] cuts of at most 44 bytes, and room.
pub const MAX_CONTROL_BYTES: usize = 64 * 1024;

/// Separates the ids of logs from all other hashes (BLAKE3 `derive_key` context).
pub const LOG_DOMAIN: &str = "salus/log/v1";

const ROSTER_TAG: u64 = 0;
const RECORD_TAG: u64 = 1;
const WHAT: &str = "control body";

/// The body of a control entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Begins a roster, and with it a clinic.
    RosterGenesis {
        /// The clinic's name.
        name: String,
        /// The clinic's root key.
        root: ActorId,
        /// The first incarnation's chain.
        chain: ChainId,
        /// The first incarnation's iroh endpoint.
        endpoint: [u8; 32],
        /// The first incarnation's HPKE public key.
        hpke: [u8; 32],
    },
    /// Begins a record; the entry's hash is the id of its first epoch.
    RecordGenesis {
        /// The clinic that owns the record.
        home: ClinicId,
        /// What the first epoch's key must hash to.
        commitment: [u8; 32],
    },
    /// Certifies a staff member, or changes name or roles.
    Certify {
        /// The staff member's key.
        key: ActorId,
        /// The staff member's name.
        name: String,
        /// At least one role, ascending.
        roles: Vec<Role>,
    },
    /// Ends a staff member's key for good.
    Retire {
        /// The staff member's key.
        key: ActorId,
        /// The last tree index accepted from each incarnation, ascending by chain.
        cuts: Vec<(ChainId, u64)>,
    },
    /// Begins a new life of the clinic's store.
    Incarnation {
        /// The new chain, which signs this entry itself.
        chain: ChainId,
        /// The iroh endpoint.
        endpoint: [u8; 32],
        /// The HPKE public key.
        hpke: [u8; 32],
        /// The last tree index accepted from each earlier incarnation, ascending by chain.
        closes: Vec<(ChainId, u64)>,
    },
    /// Entitles a clinic to the record.
    Grant {
        /// Who is entitled.
        clinic: ClinicId,
        /// To what.
        right: Right,
        /// The epoch whose key is given.
        epoch: EntryHash,
        /// The epoch's key, wrapped for the clinic (HPKE `enc` ‖ ciphertext); empty for a custodian.
        wrapped: Vec<u8>,
    },
    /// Ends all grants of a clinic that this entry's writer did not see written after it.
    Revoke {
        /// Whose.
        clinic: ClinicId,
        /// The last tree index accepted from each of its incarnations in this log, ascending by chain.
        cuts: Vec<(ChainId, u64)>,
    },
    /// Makes a new epoch, whose id is this entry's hash.
    Rotate {
        /// What the epoch's key must hash to.
        commitment: [u8; 32],
        /// The epoch before.
        previous: EntryHash,
        /// The key of the epoch before, sealed under the new one.
        sealed_previous: Vec<u8>,
    },
    /// Holds edits out of the document, for everyone.
    Quarantine {
        /// At least one edit, ascending.
        entries: Vec<EntryHash>,
        /// Why, in a line for people.
        reason: String,
    },
    /// Authorises everyone to destroy what attach entries said and brought, or all that was ever sealed in the record.
    Erase {
        /// Attach entries, ascending; none for the whole record.
        entries: Vec<EntryHash>,
        /// Why, in a line for people. It is in the clear: whoever may hold the log reads it.
        reason: String,
    },
}

impl Control {
    /// The kind of entry that carries this body.
    pub fn kind(&self) -> Kind {
        match self {
            Control::RosterGenesis { .. } | Control::RecordGenesis { .. } => Kind::Genesis,
            Control::Certify { .. } => Kind::Certify,
            Control::Retire { .. } => Kind::Retire,
            Control::Incarnation { .. } => Kind::Incarnation,
            Control::Grant { .. } => Kind::Grant,
            Control::Revoke { .. } => Kind::Revoke,
            Control::Rotate { .. } => Kind::Rotate,
            Control::Quarantine { .. } => Kind::Quarantine,
            Control::Erase { .. } => Kind::Erase,
        }
    }

    /// The id of the log that this genesis begins when `chain` writes it; `None` for other bodies.
    ///
    /// The id follows from the genesis, so that nobody can begin a second log under an id that is in
    /// use: a replica would keep whichever it saw first. It is as unguessable as the root key or the
    /// epoch key's commitment in it.
    pub fn log_id(&self, chain: ChainId) -> Option<LogId> {
        let (tag, owner, secret) = match self {
            Control::RosterGenesis { root, hpke, .. } => (ROSTER_TAG, root.as_bytes(), hpke),
            Control::RecordGenesis { home, commitment } => {
                (RECORD_TAG, home.as_bytes(), commitment)
            }
            _ => return None,
        };
        let mut hasher = blake3::Hasher::new_derive_key(LOG_DOMAIN);
        hasher.update(&tag.to_le_bytes()[..1]);
        hasher.update(owner).update(secret).update(chain.as_bytes());
        Some(LogId::from_bytes(hasher.finalize().into()))
    }

    /// The payload of the entry.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(256);
        match self {
            Control::RosterGenesis {
                name,
                root,
                chain,
                endpoint,
                hpke,
            } => {
                w.array(6).u64(ROSTER_TAG).text(name);
                w.bytes(root.as_bytes())
                    .bytes(chain.as_bytes())
                    .bytes(endpoint)
                    .bytes(hpke);
            }
            Control::RecordGenesis { home, commitment } => {
                w.array(3)
                    .u64(RECORD_TAG)
                    .bytes(home.as_bytes())
                    .bytes(commitment);
            }
            Control::Certify { key, name, roles } => {
                w.array(3)
                    .bytes(key.as_bytes())
                    .text(name)
                    .array(roles.len());
                for role in roles {
                    w.u64(u64::from(role.code()));
                }
            }
            Control::Retire { key, cuts } => {
                w.array(2).bytes(key.as_bytes());
                write_cuts(&mut w, cuts);
            }
            Control::Incarnation {
                chain,
                endpoint,
                hpke,
                closes,
            } => {
                w.array(4)
                    .bytes(chain.as_bytes())
                    .bytes(endpoint)
                    .bytes(hpke);
                write_cuts(&mut w, closes);
            }
            Control::Grant {
                clinic,
                right,
                epoch,
                wrapped,
            } => {
                w.array(4)
                    .bytes(clinic.as_bytes())
                    .u64(u64::from(right.code()));
                w.bytes(epoch.as_bytes()).bytes(wrapped);
            }
            Control::Revoke { clinic, cuts } => {
                w.array(2).bytes(clinic.as_bytes());
                write_cuts(&mut w, cuts);
            }
            Control::Rotate {
                commitment,
                previous,
                sealed_previous,
            } => {
                w.array(3)
                    .bytes(commitment)
                    .bytes(previous.as_bytes())
                    .bytes(sealed_previous);
            }
            Control::Quarantine { entries, reason } | Control::Erase { entries, reason } => {
                w.array(2).array(entries.len());
                for entry in entries {
                    w.bytes(entry.as_bytes());
                }
                w.text(reason);
            }
        }
        w.finish()
    }

    /// Reads the body of an entry of this kind; refuses every encoding but the deterministic one.
    pub fn decode(kind: Kind, bytes: &[u8]) -> Result<Control, DecodeError> {
        if bytes.len() > MAX_CONTROL_BYTES {
            return Err(DecodeError::TooLong(WHAT));
        }
        let mut r = Reader::new(bytes, WHAT);
        let control = match kind {
            Kind::Genesis => read_genesis(&mut r)?,
            Kind::Certify => {
                r.array(3)?;
                Control::Certify {
                    key: ActorId::from_bytes(r.array_of()?),
                    name: read_name(&mut r)?,
                    roles: read_roles(&mut r)?,
                }
            }
            Kind::Retire => {
                r.array(2)?;
                Control::Retire {
                    key: ActorId::from_bytes(r.array_of()?),
                    cuts: read_cuts(&mut r)?,
                }
            }
            Kind::Incarnation => {
                r.array(4)?;
                Control::Incarnation {
                    chain: ChainId::from_bytes(r.array_of()?),
                    endpoint: r.array_of()?,
                    hpke: r.array_of()?,
                    closes: read_cuts(&mut r)?,
                }
            }
            Kind::Grant => {
                r.array(4)?;
                Control::Grant {
                    clinic: ClinicId::from_bytes(r.array_of()?),
                    right: Right::from_code(r.u64()?).ok_or(DecodeError::Malformed("right"))?,
                    epoch: EntryHash::from_bytes(r.array_of()?),
                    wrapped: r.bytes(MAX_WRAPPED_BYTES)?.to_vec(),
                }
            }
            Kind::Revoke => {
                r.array(2)?;
                Control::Revoke {
                    clinic: ClinicId::from_bytes(r.array_of()?),
                    cuts: read_cuts(&mut r)?,
                }
            }
            Kind::Rotate => {
                r.array(3)?;
                Control::Rotate {
                    commitment: r.array_of()?,
                    previous: EntryHash::from_bytes(r.array_of()?),
                    sealed_previous: match r.bytes(MAX_SEALED_KEY_BYTES)? {
                        [] => return Err(DecodeError::Impossible("sealed key")),
                        sealed => sealed.to_vec(),
                    },
                }
            }
            Kind::Quarantine => {
                r.array(2)?;
                let entries = read_named(&mut r, MAX_QUARANTINED)?;
                if entries.is_empty() {
                    return Err(DecodeError::Impossible("named entries"));
                }
                Control::Quarantine {
                    entries,
                    reason: read_reason(&mut r)?,
                }
            }
            Kind::Erase => {
                r.array(2)?;
                Control::Erase {
                    entries: read_named(&mut r, MAX_ERASED)?,
                    reason: read_reason(&mut r)?,
                }
            }
            _ => return Err(r.malformed()),
        };
        r.end()?;
        Ok(control)
    }
}

fn read_genesis(r: &mut Reader<'_>) -> Result<Control, DecodeError> {
    match r.any_array()? {
        6 if r.u64()? == ROSTER_TAG => Ok(Control::RosterGenesis {
            name: read_name(r)?,
            root: ActorId::from_bytes(r.array_of()?),
            chain: ChainId::from_bytes(r.array_of()?),
            endpoint: r.array_of()?,
            hpke: r.array_of()?,
        }),
        3 if r.u64()? == RECORD_TAG => Ok(Control::RecordGenesis {
            home: ClinicId::from_bytes(r.array_of()?),
            commitment: r.array_of()?,
        }),
        _ => Err(r.malformed()),
    }
}

fn read_name(r: &mut Reader<'_>) -> Result<String, DecodeError> {
    match r.text(MAX_NAME_BYTES)? {
        "" => Err(DecodeError::Impossible("name")),
        name => Ok(name.to_owned()),
    }
}

fn read_roles(r: &mut Reader<'_>) -> Result<Vec<Role>, DecodeError> {
    let roles = r.list(Role::ALL.len(), |r| {
        Role::from_code(r.u64()?).ok_or(DecodeError::Malformed("role"))
    })?;
    if roles.is_empty() || !roles.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Impossible("roles"));
    }
    Ok(roles)
}

fn read_named(r: &mut Reader<'_>, max: usize) -> Result<Vec<EntryHash>, DecodeError> {
    let entries = r.list(max, |r| r.array_of().map(EntryHash::from_bytes))?;
    if !entries.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Impossible("named entries"));
    }
    Ok(entries)
}

fn read_reason(r: &mut Reader<'_>) -> Result<String, DecodeError> {
    match r.text(MAX_REASON_BYTES)? {
        "" => Err(DecodeError::Impossible("reason")),
        reason => Ok(reason.to_owned()),
    }
}

fn read_cuts(r: &mut Reader<'_>) -> Result<Vec<(ChainId, u64)>, DecodeError> {
    let cuts = r.list(MAX_CUTS, |r| {
        r.array(2)?;
        Ok((ChainId::from_bytes(r.array_of()?), r.u64()?))
    })?;
    let in_range = cuts.iter().all(|(_, last)| *last <= MAX_TREE_SIZE);
    if !in_range || !cuts.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(DecodeError::Impossible("cuts"));
    }
    Ok(cuts)
}

fn write_cuts(w: &mut Writer, cuts: &[(ChainId, u64)]) {
    w.array(cuts.len());
    for (chain, last) in cuts {
        w.array(2).bytes(chain.as_bytes()).u64(*last);
    }
}

//! What a stranger does with a portable proof.

use crate::checkpoint::Checkpoint;
use crate::control::Control;
use crate::entry::Entry;
use crate::header::Header;
use crate::id::{ActorId, ChainId, ClinicId, EntryHash, LogId};
use crate::kind::{Kind, Role, Scope};
use crate::portable::Proof;
use crate::roster::Roster;
use crate::rosters::Rosters;
use crate::standing::Void;
use crate::state::LogState;
use crate::verdict::{Refusal, Verdict};
use crate::verify::{verify_entry, verify_signatures};

/// What a portable proof proves. Times are the writer's claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedProof {
    /// The clinic. Whoever did not say which one it must be has to compare this with what they know.
    pub clinic: ClinicId,
    /// What the clinic calls itself.
    pub clinic_name: String,
    /// The signed state of the tree.
    pub checkpoint: Checkpoint,
    /// The earlier state that it is shown to continue.
    pub older: Option<Checkpoint>,
    /// The last tree index that the clinic accepts from the chain, if the roster in the proof closes it.
    pub closed: Option<u64>,
    /// Whether the roster in the proof shows two histories at some place: a node of the clinic lied, or was
    /// set back, and the proof itself is the evidence.
    pub forked: bool,
    /// The entry, if it is a proof of one.
    pub entry: Option<CheckedEntry>,
}

/// An entry that a portable proof proves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedEntry {
    /// The entry's hash.
    pub hash: EntryHash,
    /// The log that it belongs to.
    pub log: LogId,
    /// Its place in its chain.
    pub seq: u64,
    /// Its place in the tree.
    pub tree_index: u64,
    /// What it does.
    pub kind: Kind,
    /// What part of the document it may touch.
    pub scope: Option<Scope>,
    /// The time that its writer claims, in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// BLAKE3 of the payload as stored, by which whoever holds the payload can show that it is this one.
    pub payload_hash: [u8; 32],
    /// Who did it.
    pub actor: ActorId,
    /// The actor's name, as certified where the entry was written; the clinic's for its root key.
    pub actor_name: String,
    /// The actor's roles, as certified where the entry was written, by a certificate that counts if there
    /// is one; none for the root key.
    pub roles: Vec<Role>,
    /// Whether the clinic's root key did it.
    pub by_root: bool,
    /// Whether the roster in the proof retires the actor later.
    pub retired: bool,
    /// Why the entry does not count, as far as the roster in the proof tells: the actor was retired or the
    /// chain closed, and this is beyond the cut, or the actor's certificate does not count.
    pub void: Option<Void>,
}

/// Why a portable proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofFault {
    /// A signature or a body in the roster.
    #[error("a roster entry in the proof does not verify: {0}")]
    RosterSignature(Refusal),
    /// A roster entry that its own past does not allow.
    #[error("a roster entry in the proof is refused: {0}")]
    RosterEntry(Refusal),
    /// A roster entry whose past or body is not there.
    #[error("the roster in the proof has a gap or is out of order")]
    RosterGap,
    /// The same roster entry twice.
    #[error("a roster entry is in the proof twice")]
    RosterTwice,
    /// Two roster entries for one place, of which one could not even be held.
    #[error("the roster in the proof has two histories, and one of them is refused")]
    RosterForked,
    /// Another clinic's proof.
    #[error("the proof is of another clinic")]
    OtherClinic {
        /// Whose it is.
        found: ClinicId,
    },
    /// The checkpoint's signature.
    #[error("the checkpoint is not signed by the chain that it names")]
    CheckpointSignature,
    /// The checkpoint's chain.
    #[error("the roster in the proof does not certify the chain that signed the checkpoint")]
    CheckpointChain,
    /// The entry's signatures.
    #[error("the entry does not verify: {0}")]
    EntrySignature(Refusal),
    /// The entry and the checkpoint have nothing to do with each other.
    #[error("the entry was not recorded by the chain that signed the checkpoint")]
    EntryChain,
    /// What the entry relies on is not there.
    #[error("the roster in the proof does not reach what the entry relies on")]
    AuthorityGap,
    /// The roster does not stand behind the entry.
    #[error("the roster in the proof does not stand behind the entry: {0}")]
    Authority(Refusal),
    /// The entry says that it is elsewhere in the tree.
    #[error("the entry claims another place in the tree than the one that is proved")]
    EntryIndex,
    /// The path is one of another tree.
    #[error("the proof is about a tree of another size than the checkpoint's")]
    TreeSize,
    /// The path does not lead to the root.
    #[error("the entry is not in the tree that the checkpoint signs")]
    NotIncluded,
    /// The older checkpoint's signature.
    #[error("the older checkpoint is not signed by the chain that it names")]
    OlderSignature,
    /// The older checkpoint is about another tree.
    #[error("the older checkpoint is of another chain")]
    OlderChain,
    /// The path does not join the two roots.
    #[error("the tree is not shown to begin with the one that the older checkpoint signs")]
    NotConsistent,
}

impl Proof {
    /// Checks everything that the proof says. With `expected`, the proof must be that clinic's; without,
    /// whether the clinic that it tells is the one that is meant is left to the caller.
    pub fn check(&self, expected: Option<ClinicId>) -> Result<CheckedProof, ProofFault> {
        self.check_with_rosters(expected)
            .map(|(checked, _)| checked)
    }

    pub(crate) fn check_with_rosters(
        &self,
        expected: Option<ClinicId>,
    ) -> Result<(CheckedProof, Rosters), ProofFault> {
        let rosters = self.fold()?;
        let signed = self.checkpoint.verify();
        let checkpoint = signed.map_err(|_| ProofFault::CheckpointSignature)?;
        let writer = match &self.subject {
            Some((entry, _)) => Some(self.writer(entry, checkpoint.origin, &rosters)?),
            None => None,
        };
        let clinic = match &writer {
            Some(writer) => writer.clinic,
            None => clinic_of(checkpoint.origin, &rosters).ok_or(ProofFault::CheckpointChain)?,
        };
        if expected.is_some_and(|expected| expected != clinic) {
            return Err(ProofFault::OtherClinic { found: clinic });
        }
        let roster = rosters.get(clinic).ok_or(ProofFault::CheckpointChain)?;
        let life = roster.incarnation(checkpoint.origin);
        let closed = life.ok_or(ProofFault::CheckpointChain)?.closed;
        let mut checked_entry = None;
        if let (Some((entry, inclusion)), Some(writer)) = (&self.subject, writer) {
            if inclusion.index != entry.header().tree_index {
                return Err(ProofFault::EntryIndex);
            }
            if inclusion.size != checkpoint.size {
                return Err(ProofFault::TreeSize);
            }
            let included = inclusion.verify(&entry.leaf(), &checkpoint.root);
            included.map_err(|_| ProofFault::NotIncluded)?;
            checked_entry = Some(tell(entry, writer, roster, closed));
        }
        let older = self.check_older(&checkpoint)?;
        let state = rosters.state(clinic);
        let checked = CheckedProof {
            forked: state.is_some_and(|state| state.forks().next().is_some()),
            clinic,
            clinic_name: roster.name().to_owned(),
            checkpoint,
            older,
            closed,
            entry: checked_entry,
        };
        Ok((checked, rosters))
    }

    /// The rosters that the proof's entries make.
    fn fold(&self) -> Result<Rosters, ProofFault> {
        for verified in verify_signatures(&self.roster) {
            verified.map_err(ProofFault::RosterSignature)?;
        }
        let mut rosters = Rosters::new();
        for entry in &self.roster {
            match rosters.admit(entry) {
                // Two histories are told: what one of them proves may still hold.
                Verdict::Accepted | Verdict::Forked { .. } => {}
                Verdict::Duplicate => return Err(ProofFault::RosterTwice),
                Verdict::Pending { .. } => return Err(ProofFault::RosterGap),
                Verdict::Refused(refusal) => return Err(ProofFault::RosterEntry(refusal)),
                Verdict::Equivocation { .. } => return Err(ProofFault::RosterForked),
            }
        }
        Ok(rosters)
    }

    /// Who wrote the entry, as far as what it relies on tells.
    fn writer(
        &self,
        entry: &Entry,
        origin: ChainId,
        rosters: &Rosters,
    ) -> Result<Writer, ProofFault> {
        verify_entry(entry).map_err(ProofFault::EntrySignature)?;
        let header = entry.header();
        if header.chain != origin {
            return Err(ProofFault::EntryChain);
        }
        if let Some(state) = rosters.log(header.log) {
            return self.keeper(entry, state);
        }
        let clinic = match rosters.writer(header, None) {
            Ok(writer) => writer.roster.clinic(),
            Err(Verdict::Refused(refusal)) => return Err(ProofFault::Authority(refusal)),
            Err(_) => return Err(ProofFault::AuthorityGap),
        };
        let state = rosters.state(clinic).ok_or(ProofFault::AuthorityGap)?;
        let certified = self.certified(header, state, &header.authority);
        let certified = certified.ok_or(ProofFault::Authority(Refusal::Actor))?;
        Ok(Writer {
            clinic,
            name: certified.name,
            roles: certified.roles,
            by_root: false,
            void: (!certified.counts).then_some(Void::Uncertified),
        })
    }

    /// Who wrote an entry of a roster, which has been admitted with the others.
    fn keeper(&self, entry: &Entry, state: &LogState) -> Result<Writer, ProofFault> {
        let header = entry.header();
        let roster = state
            .roster()
            .filter(|_| state.entry_meta(&entry.hash()).is_some());
        let roster = roster.ok_or(ProofFault::AuthorityGap)?;
        let by_root = header.actor == roster.root();
        let (name, roles) = if by_root {
            (roster.name().to_owned(), Vec::new())
        } else {
            let past: Vec<EntryHash> = header.prev.iter().chain(&header.parents).copied().collect();
            let certified = self.certified(header, state, &past);
            let certified = certified.ok_or(ProofFault::Authority(Refusal::Actor))?;
            (certified.name, certified.roles)
        };
        Ok(Writer {
            clinic: roster.clinic(),
            roles,
            name,
            by_root,
            void: state.void(&entry.hash()),
        })
    }

    /// The actor's name and roles, as last certified in the causal past of these entries: by what counts,
    /// or else by what does not.
    fn certified(
        &self,
        header: &Header,
        state: &LogState,
        heads: &[EntryHash],
    ) -> Option<Certified> {
        let mut last = None;
        for entry in &self.roster {
            let hash = entry.hash();
            let known = |head: &EntryHash| state.is_ancestor(&hash, head) == Some(true);
            if entry.header().kind != Kind::Certify || !heads.iter().any(known) {
                continue;
            }
            let body = Control::decode(Kind::Certify, entry.payload()?).ok()?;
            let Control::Certify { key, name, roles } = body else {
                continue;
            };
            let counts = state.void(&hash).is_none();
            let rank = (counts, state.entry_meta(&hash).map(|meta| meta.depth), hash);
            if key == header.actor && last.as_ref().is_none_or(|(before, _)| *before < rank) {
                let certified = Certified {
                    name,
                    roles,
                    counts,
                };
                last = Some((rank, certified));
            }
        }
        last.map(|(_, certified)| certified)
    }

    fn check_older(&self, checkpoint: &Checkpoint) -> Result<Option<Checkpoint>, ProofFault> {
        let Some((older, consistency)) = &self.older else {
            return Ok(None);
        };
        let older = older.verify().map_err(|_| ProofFault::OlderSignature)?;
        if older.origin != checkpoint.origin {
            return Err(ProofFault::OlderChain);
        }
        if (consistency.old_size, consistency.new_size) != (older.size, checkpoint.size) {
            return Err(ProofFault::TreeSize);
        }
        let consistent = consistency.verify(&older.root, &checkpoint.root);
        consistent.map_err(|_| ProofFault::NotConsistent)?;
        Ok(Some(older))
    }
}

struct Writer {
    clinic: ClinicId,
    name: String,
    roles: Vec<Role>,
    by_root: bool,
    /// Why the entry does not count, cuts by the roster left out.
    void: Option<Void>,
}

struct Certified {
    name: String,
    roles: Vec<Role>,
    counts: bool,
}

fn tell(entry: &Entry, writer: Writer, roster: &Roster, closed: Option<u64>) -> CheckedEntry {
    let header = entry.header();
    let staff = roster.staff(header.actor).filter(|member| member.retired);
    let beyond = |last: Option<u64>| last.is_none_or(|last| header.tree_index > last);
    let beyond_retirement = staff.is_some_and(|member| {
        let mut cuts = member.cuts.iter();
        let cut = cuts.find(|(chain, _)| *chain == header.chain);
        beyond(cut.map(|(_, last)| *last))
    });
    let cut = if writer.by_root {
        // What the root signed always counts.
        None
    } else if beyond_retirement {
        Some(Void::Retired)
    } else if closed.is_some() && beyond(closed) {
        Some(Void::ChainClosed)
    } else {
        None
    };
    CheckedEntry {
        hash: entry.hash(),
        log: header.log,
        seq: header.seq,
        tree_index: header.tree_index,
        kind: header.kind,
        scope: header.scope,
        time_ms: header.time_ms,
        payload_hash: header.payload_hash,
        actor: header.actor,
        actor_name: writer.name,
        roles: writer.roles,
        by_root: writer.by_root,
        retired: staff.is_some(),
        void: cut.or(writer.void),
    }
}

/// The one clinic whose roster certifies the chain.
fn clinic_of(chain: ChainId, rosters: &Rosters) -> Option<ClinicId> {
    let certifies = |clinic: &ClinicId| {
        let roster = rosters.get(*clinic);
        roster.is_some_and(|roster| roster.incarnation(chain).is_some())
    };
    let mut clinics = rosters.clinics().filter(certifies);
    clinics.next().filter(|_| clinics.next().is_none())
}

//! Who may write what: the rules by which an entry is admitted.
//!
//! Everything is judged by what the entry itself names: its bytes, its causal past, and the roster heads
//! that it relies on. What a replica happens to know beyond that never matters, so all decide alike.

use crate::clock::{MAX_SEQ, Meta, Past, Tick};
use crate::control::{Control, MAX_CONTROL_BYTES};
use crate::entry::Entry;
use crate::header::Header;
use crate::id::{ActorId, ChainId, EntryHash};
use crate::kind::{Kind, Right, Role, Scope};
use crate::lines::MAX_FORKS;
use crate::rights::{
    MAX_EPOCHS, MAX_ERASURES, MAX_GRANTS, MAX_HOME_GRANTS, MAX_QUARANTINES, MAX_REVOCATIONS, Rights,
};
use crate::roster::{MAX_RETIREMENTS, Roster, Standing};
use crate::rosters::{Rosters, Writer};
use crate::state::{LogState, MAX_CHAINS};
use crate::tree::MAX_TREE_SIZE;
use crate::verdict::{Refusal, Verdict};
use crate::weak::is_weak_key;

/// An entry that may be added.
pub(crate) struct Judged<'r> {
    /// Its clear body, if it is a control entry.
    pub(crate) control: Option<Control>,
    /// The roster of the clinic that wrote it, in a record.
    pub(crate) writer: Option<&'r Roster>,
    /// The entry that holds its place in the chain already: it forks the chain.
    pub(crate) other: Option<EntryHash>,
}

impl LogState {
    /// What is to be added, or why the entry may not be.
    pub(crate) fn judge<'r>(
        &self,
        entry: &Entry,
        rosters: &'r Rosters,
    ) -> Result<Judged<'r>, Verdict> {
        let header = entry.header();
        if header.log != self.log() {
            return Err(Verdict::Refused(Refusal::WrongLog));
        }
        if self.entry_meta(&entry.hash()).is_some() {
            return Err(Verdict::Duplicate);
        }
        let prev = header.prev.and_then(|prev| self.entry_meta(&prev));
        let other = self.holder(header, prev);
        let judged = self.judge_at(entry, prev, other, rosters);
        judged.map_err(|verdict| match (verdict, other) {
            // It is signed by the chain, as the other one is: evidence, even where it is not kept.
            (Verdict::Refused(_), Some(other)) => Verdict::Equivocation { other },
            (verdict, _) => verdict,
        })
    }

    /// The entry that holds the place already, where the predecessor is held.
    fn holder(&self, header: &Header, prev: Option<&Meta>) -> Option<EntryHash> {
        if prev.is_some_and(|prev| prev.chain != header.chain)
            || header.prev.is_some() != prev.is_some()
        {
            return None;
        }
        let before = prev.map(Meta::at);
        let holders = self.lines.successors(&header.chain, before);
        let hashes = holders.iter().filter_map(|at| self.meta_at(*at));
        hashes.map(|meta| meta.hash).min()
    }

    fn judge_at<'r>(
        &self,
        entry: &Entry,
        prev: Option<&Meta>,
        other: Option<EntryHash>,
        rosters: &'r Rosters,
    ) -> Result<Judged<'r>, Verdict> {
        let header = entry.header();
        check_shape(header).map_err(Verdict::Refused)?;
        check_position(header, prev)?;
        self.check_parents(header)?;
        self.check_room(header, prev, other)
            .map_err(Verdict::Refused)?;
        let control = self.decode_control(entry)?;
        let judged = |control, writer| Judged {
            control,
            writer,
            other,
        };
        if header.kind == Kind::Genesis {
            self.judge_genesis(header, control.as_ref(), rosters)?;
            return Ok(judged(control, None));
        }
        let past = self.past(header);
        self.check_histories(header, prev, other, &past)
            .map_err(Verdict::Refused)?;
        let mut roster = None;
        match (self.roster(), self.rights()) {
            (Some(own), _) => {
                judge_roster(own, header, control.as_ref(), &past).map_err(Verdict::Refused)?;
            }
            (_, Some(rights)) => {
                let writer = rosters.writer(header, prev)?;
                roster = Some(writer.roster);
                self.judge_record(rights, header, control.as_ref(), &past, writer)
                    .map_err(Verdict::Refused)?;
            }
            // Nothing has begun, and the shape demands that a parent is named: it is missing.
            (None, None) => {}
        }
        Ok(judged(control, roster))
    }

    /// A log has room for so many lines, and a chain for so many histories.
    fn check_room(
        &self,
        header: &Header,
        prev: Option<&Meta>,
        other: Option<EntryHash>,
    ) -> Result<(), Refusal> {
        if prev.is_some() && other.is_none() {
            return Ok(());
        }
        let forks = other.map_or(0, |_| self.lines.of(&header.chain).len());
        if self.lines.len() >= MAX_CHAINS || forks >= MAX_FORKS {
            return Err(Refusal::TooManyChains);
        }
        Ok(())
    }

    /// Nobody builds on two histories of their own: what else of the chain is in the past must lead to
    /// the predecessor.
    fn check_histories(
        &self,
        header: &Header,
        prev: Option<&Meta>,
        other: Option<EntryHash>,
        past: &Past<'_>,
    ) -> Result<(), Refusal> {
        if other.is_none() && !self.lines.forked().contains_key(&header.chain) {
            return Ok(());
        }
        let own = |at: &Tick| {
            let line = self.lines.get(at.line);
            line.is_some_and(|line| line.chain == header.chain)
        };
        let mut ticks = past.0.iter().flat_map(|meta| meta.ticks()).filter(own);
        if ticks.any(|at| !prev.is_some_and(|prev| prev.covers(at))) {
            return Err(Refusal::Frozen);
        }
        Ok(())
    }

    fn check_parents(&self, header: &Header) -> Result<(), Verdict> {
        let parents = header.parents.iter().copied();
        let missing: Vec<EntryHash> = parents
            .filter(|hash| self.entry_meta(hash).is_none())
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Verdict::Pending { missing })
        }
    }

    fn judge_genesis(
        &self,
        header: &Header,
        control: Option<&Control>,
        rosters: &Rosters,
    ) -> Result<(), Verdict> {
        let follows = control.and_then(|control| control.log_id(header.chain));
        if !self.is_empty() || follows != Some(header.log) {
            return Err(Verdict::Refused(Refusal::Genesis));
        }
        let refused = |refusal| Err(Verdict::Refused(refusal));
        match control {
            Some(Control::RosterGenesis { root, chain, .. }) => {
                if !header.authority.is_empty() {
                    return refused(Refusal::Shape("authority"));
                }
                if *root != header.actor {
                    return refused(Refusal::Actor);
                }
                if *chain != header.chain {
                    return refused(Refusal::Chain);
                }
                if is_weak_key(root.as_bytes()) || is_weak_key(chain.as_bytes()) {
                    return refused(Refusal::WeakKey);
                }
                Ok(())
            }
            Some(Control::RecordGenesis { home, .. }) => {
                let writer = rosters.writer(header, None)?;
                if writer.roster.clinic() != *home {
                    return refused(Refusal::Right);
                }
                if !writer.roles.iter().any(|role| role.may_grant()) {
                    return refused(Refusal::Role);
                }
                Ok(())
            }
            _ => refused(Refusal::Genesis),
        }
    }

    fn judge_record(
        &self,
        rights: &Rights,
        header: &Header,
        control: Option<&Control>,
        past: &Past<'_>,
        writer: Writer<'_>,
    ) -> Result<(), Refusal> {
        let knows_epoch = |epoch: &EntryHash| {
            let made = rights.epochs.get(epoch);
            made.is_some_and(|made| past.covers(made.at))
        };
        if header.epoch.is_some_and(|epoch| !knows_epoch(&epoch)) {
            return Err(Refusal::Epoch);
        }
        let right = rights
            .of_at(writer.roster.clinic(), past)
            .ok_or(Refusal::Right)?;
        if right < header.kind.needs() {
            return Err(Refusal::Right);
        }
        let mut roles = writer.roles.iter();
        if !roles.any(|role| header.kind.is_covered_by(*role, header.scope)) {
            return Err(Refusal::Role);
        }
        let known =
            |ticks: &mut dyn Iterator<Item = Tick>| ticks.filter(|at| past.covers(*at)).count();
        match (header.kind, control) {
            (
                Kind::Edit
                | Kind::Attach
                | Kind::View
                | Kind::Link
                | Kind::Unlink
                | Kind::Inference
                | Kind::Verdict,
                _,
            ) => Ok(()),
            (
                Kind::Grant,
                Some(Control::Grant {
                    clinic,
                    right: granted,
                    epoch,
                    wrapped,
                }),
            ) => {
                // Of the same chain: what others wrote must not keep home from giving its new keys.
                let same_chain = |entry: &EntryHash| {
                    let meta = self.entry_meta(entry);
                    meta.is_some_and(|meta| meta.chain == header.chain)
                };
                let mut grants = rights
                    .grants
                    .iter()
                    .filter(|grant| same_chain(&grant.entry))
                    .map(|grant| grant.at);
                let most = match right {
                    Right::Home => MAX_HOME_GRANTS,
                    _ => MAX_GRANTS,
                };
                if known(&mut grants) >= most {
                    return Err(Refusal::TooManyGrants);
                }
                // Only home entitles again whom it revoked.
                let revoked = rights
                    .revocations_of(*clinic)
                    .any(|(_, other)| past.covers(other.at));
                if revoked && right != Right::Home {
                    return Err(Refusal::Right);
                }
                // Home gives its own key to itself, so that its later incarnations can have it.
                let to_itself = right == Right::Home && *clinic == rights.home;
                if *granted > Right::Write && !to_itself {
                    return Err(Refusal::Right);
                }
                if (*granted == Right::Custodian) != wrapped.is_empty() {
                    return Err(Refusal::Shape("wrapped key"));
                }
                if knows_epoch(epoch) {
                    Ok(())
                } else {
                    Err(Refusal::Epoch)
                }
            }
            (Kind::Revoke, Some(Control::Revoke { clinic, .. })) => {
                let revocations = &mut rights.revocations.iter().map(|other| other.at);
                if *clinic == rights.home {
                    Err(Refusal::Right)
                } else if known(revocations) >= MAX_REVOCATIONS {
                    Err(Refusal::TooManyControls)
                } else {
                    Ok(())
                }
            }
            (Kind::Rotate, Some(Control::Rotate { previous, .. })) => {
                let epochs = &mut rights.epochs.values().map(|epoch| epoch.at);
                if !knows_epoch(previous) {
                    Err(Refusal::Epoch)
                } else if known(epochs) >= MAX_EPOCHS {
                    Err(Refusal::TooManyControls)
                } else {
                    Ok(())
                }
            }
            (Kind::Quarantine, Some(Control::Quarantine { entries, .. })) => {
                let is_edit = |hash: &EntryHash| {
                    let meta = self.entry_meta(hash);
                    meta.is_some_and(|meta| meta.kind == Kind::Edit && past.covers(meta.at()))
                };
                let quarantines = &mut rights.quarantines.iter().map(|other| other.at);
                if !entries.iter().all(is_edit) {
                    Err(Refusal::Unknown)
                } else if known(quarantines) >= MAX_QUARANTINES {
                    Err(Refusal::TooManyControls)
                } else {
                    Ok(())
                }
            }
            (Kind::Erase, Some(Control::Erase { entries, .. })) => {
                // Home erases whatever is in the record and the record itself, others what they attached.
                let may_erase = |hash: &EntryHash| {
                    let meta = self.entry_meta(hash);
                    meta.is_some_and(|meta| {
                        meta.kind == Kind::Attach
                            && past.covers(meta.at())
                            && (right == Right::Home || meta.chain == header.chain)
                    })
                };
                // Of the same chain: what others wrote must not keep home from erasing; nor files from erasing the record.
                let of_chain = |entry: &EntryHash| {
                    let meta = self.entry_meta(entry);
                    meta.is_some_and(|meta| meta.chain == header.chain)
                };
                let erasures = &mut rights
                    .erasures
                    .iter()
                    .filter(|other| other.is_of_record() == entries.is_empty())
                    .filter(|other| of_chain(&other.entry))
                    .map(|other| other.at);
                if entries.is_empty() && right != Right::Home {
                    Err(Refusal::Right)
                } else if !entries.iter().all(may_erase) {
                    Err(Refusal::Unknown)
                } else if known(erasures) >= MAX_ERASURES {
                    Err(Refusal::TooManyControls)
                } else {
                    Ok(())
                }
            }
            _ => Err(Refusal::WrongKind),
        }
    }
}

/// The next place after its predecessor.
fn check_position(header: &Header, prev: Option<&Meta>) -> Result<(), Verdict> {
    if header.seq > MAX_SEQ {
        return Err(Verdict::Refused(Refusal::Prev));
    }
    // Beyond it no cut could let an entry through.
    if header.tree_index > MAX_TREE_SIZE {
        return Err(Verdict::Refused(Refusal::TreeIndex));
    }
    let Some(named) = header.prev else {
        return Ok(());
    };
    let Some(prev) = prev else {
        return Err(Verdict::Pending {
            missing: vec![named],
        });
    };
    if prev.chain != header.chain || prev.seq.checked_add(1) != Some(header.seq) {
        return Err(Verdict::Refused(Refusal::Prev));
    }
    if prev.tree_index >= header.tree_index {
        return Err(Verdict::Refused(Refusal::TreeIndex));
    }
    Ok(())
}

/// Blobs that an attach entry may name: its file, and a preview.
const MAX_ATTACH_BLOBS: usize = 2;

/// What holds for every entry of a kind, whatever the log.
fn check_shape(header: &Header) -> Result<(), Refusal> {
    let kind = header.kind;
    if !kind.is_supported() {
        return Err(Refusal::NotSupported);
    }
    if kind.is_clear() == header.epoch.is_some() {
        return Err(Refusal::Shape("epoch"));
    }
    let scope_fits = match kind {
        Kind::Edit => header.scope.is_some(),
        Kind::Attach => header.scope == Some(Scope::Attachment),
        Kind::Inference | Kind::Verdict => header.scope == Some(Scope::Ai),
        _ => header.scope.is_none(),
    };
    if !scope_fits {
        return Err(Refusal::Shape("scope"));
    }
    if !header.blobs.is_empty() && (kind != Kind::Attach || header.blobs.len() > MAX_ATTACH_BLOBS) {
        return Err(Refusal::Shape("blobs"));
    }
    let begins = header.prev.is_none() && header.parents.is_empty();
    if begins != (kind == Kind::Genesis) {
        return Err(Refusal::Shape("parents"));
    }
    if kind.is_clear() && header.payload_len > MAX_CONTROL_BYTES as u64 {
        return Err(Refusal::Shape("payload length"));
    }
    Ok(())
}

fn judge_roster(
    roster: &Roster,
    header: &Header,
    control: Option<&Control>,
    past: &Past<'_>,
) -> Result<(), Refusal> {
    if !header.authority.is_empty() {
        return Err(Refusal::Shape("authority"));
    }
    if let Some(Control::Incarnation { chain, closes, .. }) = control {
        return judge_incarnation(roster, header, *chain, closes, past);
    }
    if !roster.has_chain(header.chain, past) {
        return Err(Refusal::Chain);
    }
    if roster.is_closed(header.chain, past) {
        return Err(Refusal::ChainClosed);
    }
    match control {
        Some(Control::Certify { key, roles, .. }) => {
            if is_weak_key(key.as_bytes()) {
                return Err(Refusal::WeakKey);
            }
            let standing = roster.standing(*key, past);
            if *key == roster.root() {
                return Err(Refusal::RootKey);
            }
            if standing == Standing::Retired {
                return Err(Refusal::ActorRetired);
            }
            judge_keeper(
                roster,
                header.actor,
                past,
                is_admin(standing) || roles.contains(&Role::Admin),
            )
        }
        Some(Control::Retire { key, cuts }) => {
            let standing = roster.standing(*key, past);
            let known = cuts.iter().all(|(chain, _)| roster.has_chain(*chain, past));
            if standing == Standing::Unknown || !known {
                return Err(Refusal::Unknown);
            }
            if roster.retirements_in(*key, past) >= MAX_RETIREMENTS {
                return Err(Refusal::TooManyRetirements);
            }
            judge_keeper(roster, header.actor, past, is_admin(standing))
        }
        _ => Err(Refusal::WrongKind),
    }
}

/// The root does everything; an admin does what does not touch an admin.
fn judge_keeper(
    roster: &Roster,
    actor: ActorId,
    past: &Past<'_>,
    touches_admin: bool,
) -> Result<(), Refusal> {
    if actor == roster.root() {
        return Ok(());
    }
    match roster.standing(actor, past) {
        Standing::Unknown => Err(Refusal::Actor),
        Standing::Retired => Err(Refusal::ActorRetired),
        standing if is_admin(standing) && !touches_admin => Ok(()),
        Standing::Holds(_) => Err(Refusal::Role),
    }
}

fn is_admin(standing: Standing<'_>) -> bool {
    matches!(standing, Standing::Holds(roles) if roles.contains(&Role::Admin))
}

/// A new chain enters by an entry of its own, signed by itself: nobody can certify a chain that is
/// another's. The root begins one with any cut; an admin, who restores a backup, only with the cut that
/// takes nothing away, so that what was written stays.
fn judge_incarnation(
    roster: &Roster,
    header: &Header,
    chain: ChainId,
    closes: &[(ChainId, u64)],
    past: &Past<'_>,
) -> Result<(), Refusal> {
    if header.actor != roster.root() {
        match roster.standing(header.actor, past) {
            Standing::Unknown => return Err(Refusal::Actor),
            Standing::Retired => return Err(Refusal::ActorRetired),
            standing if !is_admin(standing) => return Err(Refusal::Role),
            Standing::Holds(_) => {}
        }
        if closes.iter().any(|(_, last)| *last != MAX_TREE_SIZE) {
            return Err(Refusal::Role);
        }
    }
    if chain != header.chain || header.seq != 0 {
        return Err(Refusal::Chain);
    }
    if is_weak_key(chain.as_bytes()) {
        return Err(Refusal::WeakKey);
    }
    if closes
        .iter()
        .all(|(closed, _)| roster.has_chain(*closed, past))
    {
        Ok(())
    } else {
        Err(Refusal::Unknown)
    }
}

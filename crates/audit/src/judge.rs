//! Who may write what: the rules by which an entry is admitted.
//!
//! Everything is judged by what the entry itself names: its bytes, its causal past, and the roster heads
//! that it relies on. What a replica happens to know beyond that never matters, so all decide alike.

use crate::clock::Past;
use crate::control::{Control, MAX_CONTROL_BYTES};
use crate::entry::Entry;
use crate::header::Header;
use crate::id::{ActorId, ChainId, EntryHash};
use crate::kind::{Kind, Right, Role, Scope};
use crate::rights::{MAX_GRANTS, Rights};
use crate::roster::{Roster, Standing};
use crate::rosters::{Rosters, Writer};
use crate::state::LogState;
use crate::verdict::{Refusal, Verdict};
use crate::weak::is_weak_key;

impl LogState {
    /// The clear body of an entry that may be added, or why it may not.
    pub(crate) fn judge(
        &self,
        entry: &Entry,
        rosters: &Rosters,
    ) -> Result<Option<Control>, Verdict> {
        let header = entry.header();
        if header.log != self.log() {
            return Err(Verdict::Refused(Refusal::WrongLog));
        }
        if self.entry_meta(&entry.hash()).is_some() {
            return Err(Verdict::Duplicate);
        }
        check_shape(header).map_err(Verdict::Refused)?;
        self.check_position(entry)?;
        self.check_parents(header)?;
        if !self.has_room_for(header.chain) {
            return Err(Verdict::Refused(Refusal::TooManyChains));
        }
        let control = self.decode_control(entry)?;
        if header.kind == Kind::Genesis {
            self.judge_genesis(header, control.as_ref(), rosters)?;
            return Ok(control);
        }
        let past = self.past(header);
        match (self.roster(), self.rights()) {
            (Some(roster), _) => {
                judge_roster(roster, header, control.as_ref(), &past).map_err(Verdict::Refused)?;
            }
            (_, Some(rights)) => {
                let prev = header.prev.and_then(|prev| self.entry_meta(&prev));
                let writer = rosters.writer(header, prev)?;
                self.judge_record(rights, header, control.as_ref(), &past, writer)
                    .map_err(Verdict::Refused)?;
            }
            // Nothing has begun, and the shape demands that a parent is named: it is missing.
            (None, None) => {}
        }
        Ok(control)
    }

    /// The next place of its chain, and no other.
    fn check_position(&self, entry: &Entry) -> Result<(), Verdict> {
        let header = entry.header();
        if let Some(held) = self.entry_at(header.chain, header.seq) {
            return Err(Verdict::Equivocation { other: held.hash });
        }
        if self.equivocations().contains_key(&header.chain) {
            return Err(Verdict::Refused(Refusal::Frozen));
        }
        let Some(prev) = header.prev else {
            return Ok(());
        };
        let Some(before) = self.entry_meta(&prev) else {
            return Err(Verdict::Pending {
                missing: vec![prev],
            });
        };
        if before.chain != header.chain || before.seq.checked_add(1) != Some(header.seq) {
            return Err(Verdict::Refused(Refusal::Prev));
        }
        if before.tree_index >= header.tree_index {
            return Err(Verdict::Refused(Refusal::TreeIndex));
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
                if writer.clinic != *home {
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
            let made = rights
                .epochs
                .get(epoch)
                .and_then(|_| self.entry_meta(epoch));
            made.is_some_and(|made| past.covers(made.at))
        };
        if header.epoch.is_some_and(|epoch| !knows_epoch(&epoch)) {
            return Err(Refusal::Epoch);
        }
        let right = rights.of_at(writer.clinic, past).ok_or(Refusal::Right)?;
        let may = |needed: Right, role: &dyn Fn(&Role) -> bool| {
            if right < needed {
                Err(Refusal::Right)
            } else if writer.roles.iter().any(role) {
                Ok(())
            } else {
                Err(Refusal::Role)
            }
        };
        match (header.kind, control) {
            (Kind::Edit | Kind::Attach, _) => {
                let scope = header.scope.ok_or(Refusal::Shape("scope"))?;
                may(Right::Write, &|role| role.may_edit(scope))
            }
            (Kind::View, _) => may(Right::Read, &|role| role.may_view()),
            (
                Kind::Grant,
                Some(Control::Grant {
                    clinic,
                    right: granted,
                    epoch,
                    wrapped,
                }),
            ) => {
                may(Right::Write, &|role| role.may_grant())?;
                let known = rights
                    .grants
                    .iter()
                    .filter(|grant| past.covers(grant.at))
                    .count();
                if known >= MAX_GRANTS {
                    return Err(Refusal::TooManyGrants);
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
            _ => Err(Refusal::WrongKind),
        }
    }
}

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
        _ => header.scope.is_none(),
    };
    if !scope_fits {
        return Err(Refusal::Shape("scope"));
    }
    if !header.blobs.is_empty() && kind != Kind::Attach {
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

/// A new chain enters by an entry of its own, signed by itself and by the root: nobody can certify a
/// chain that is another's.
fn judge_incarnation(
    roster: &Roster,
    header: &Header,
    chain: ChainId,
    closes: &[(ChainId, u64)],
    past: &Past<'_>,
) -> Result<(), Refusal> {
    if header.actor != roster.root() {
        return Err(Refusal::Actor);
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

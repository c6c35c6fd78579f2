//! Standing: which of the entries that are held count.
//!
//! Admission asks whether an entry may be held, and looks at nothing but its past. Standing asks whether
//! it counts, and looks at everything that is held: a revocation that arrives late takes force from what
//! arrived before it. It is a pure function of the held entries of the log and of the held rosters, so
//! replicas with equal sets agree on it. Entries that do not count are void: held and passed on for ever,
//! kept out of the document, shown with the reason. The rules, for a record:
//!
//! 1. *Cuts.* An entry is beyond a cut if a counting retirement of its actor or a closing of its chain in
//!    its clinic's roster cuts it off at a lesser tree index; if an active revocation of its clinic does,
//!    unless a counting grant to the clinic that knew of that revocation is in the entry's past; if its
//!    chain shows several histories at or before its place; or if no certification that counts gives its
//!    actor a role for it, or begins its chain. What the entry's writer knew, and when, makes no difference, and neither do
//!    clocks.
//! 2. *Rights.* An entry is without a right if no counting grant in its past gives its clinic what its
//!    kind needs, in the knowledge of every active revocation of the clinic in that past.
//! 3. *Active revocations* are those that are themselves beyond no cut. They are never rescued.
//! 4. *Rescue.* An entry beyond cuts counts after all if it has its right and some entry of another
//!    clinic has it in its past, which itself counts, is beyond no cut, needs the write right, and knew of
//!    none of those cuts: honest work that was built on in good faith is not lost. Somebody knows of a
//!    revocation that is in the past; of a retirement or closing if the entry or anything in its past
//!    relied on a roster that had it; of a fork whose other side is in the past. Standing is the *least*
//!    fixpoint of this: nothing counts only because it would, so that liars cannot hold each other up.
//!    It stops after [`MAX_ROUNDS`](crate::trial::MAX_ROUNDS) steps from grants that were rescued to rescuers that hold them.
//! 5. *Quarantine.* An edit that a counting quarantine names is void. It is not rescued, and it still
//!    rescues: its content is broken, its writer need not be a liar. (So that a quarantine never changes
//!    who counts, itself included.)
//! 6. The genesis always counts: a log without it would be nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::{Meta, Tick};
use crate::id::{ClinicId, EntryHash};
use crate::kind::{Kind, Right, Role};
use crate::rights::{GrantState, Rights};
use crate::roster::Roster;
use crate::rosters::Rosters;
use crate::state::{Fold, LogState};

/// Separates the digests of void sets from all other hashes (BLAKE3 `derive_key` context).
pub const VOIDS_DOMAIN: &str = "salus/voids/v1";

/// Why an entry that is held does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Void {
    /// The actor's key was retired, and this is beyond the cut.
    #[error("the person's key was retired, and this was written beyond the cut")]
    Retired,
    /// The clinic's grants were revoked, and this is beyond the cut.
    #[error("the clinic's access was revoked, and this was written beyond the cut")]
    Revoked,
    /// The incarnation was closed, and this is beyond the cut.
    #[error("the clinic's node was replaced, and this was written beyond the cut")]
    ChainClosed,
    /// The certification that gives the actor a role for this, or the one of the chain, does not count.
    #[error("the certificate of the person or node that wrote this does not count")]
    Uncertified,
    /// The grant that gives the clinic the right to write this does not count.
    #[error("the grant that this relies on does not count")]
    Ungranted,
    /// The chain shows another history at this place or before.
    #[error("the node that wrote this shows two histories")]
    Forked,
    /// Home holds the edit out of the document.
    #[error("the record's home clinic holds this edit out")]
    Quarantined,
}

/// What settling found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) voids: BTreeMap<EntryHash, Void>,
    /// Where void entries are, the quarantined ones left out: what a rescue could be about.
    pub(crate) places: BTreeSet<Tick>,
    /// The last entry of each line that rescues what it can, as far as there was anything to rescue.
    pub(crate) rescuers: BTreeMap<u32, u32>,
    /// The rosters' version that this stands for; `None` before the first time.
    pub(crate) version: Option<u64>,
    /// How often the rosters of the clinics that write here changed a cut.
    pub(crate) cuts: Vec<(ClinicId, u64)>,
    /// Whether any roster cuts off anything here.
    pub(crate) is_cut: bool,
}

impl Outcome {
    pub(crate) fn is_void(&self, hash: &EntryHash) -> bool {
        !self.voids.is_empty() && self.voids.contains_key(hash)
    }
}

impl LogState {
    /// Finds out anew which entries count, if entries or rosters changed since. [`admit`](Self::admit)
    /// leaves the state settled; call this after [`replay`](Self::replay), and when a roster has changed.
    ///
    /// It costs next to nothing where no cut, fork or quarantine concerns the log. Otherwise it takes time
    /// in proportion to the entries, times the steps of a rescue (two, as a rule).
    pub fn settle(&mut self, rosters: &Rosters) {
        if !matches!(self.fold, Fold::Record(_)) || self.outcome.version == Some(rosters.version())
        {
            return;
        }
        let (cuts, is_cut) = self.roster_cuts(rosters);
        let same = cuts == self.outcome.cuts || !(is_cut || self.outcome.is_cut);
        if self.outcome.version.is_some() && same {
            self.outcome.version = Some(rosters.version());
            self.outcome.cuts = cuts;
        } else {
            self.settle_anew(rosters);
        }
    }

    /// Why the entry does not count; `None` if it does, or is not held.
    pub fn void(&self, hash: &EntryHash) -> Option<Void> {
        self.outcome.voids.get(hash).copied()
    }

    /// The entries that do not count, ascending, each with the reason.
    pub fn voids(&self) -> impl ExactSizeIterator<Item = (EntryHash, Void)> {
        self.outcome.voids.iter().map(|(hash, void)| (*hash, *void))
    }

    /// Stands for the set of entries that do not count; all zeros if there are none.
    pub fn void_digest(&self) -> [u8; 32] {
        if self.outcome.voids.is_empty() {
            return [0; 32];
        }
        let mut hasher = blake3::Hasher::new_derive_key(VOIDS_DOMAIN);
        for hash in self.outcome.voids.keys() {
            hasher.update(hash.as_bytes());
        }
        hasher.finalize().into()
    }

    /// How often the rosters of the clinics that write here changed a cut, and whether any of them cuts
    /// off anything here.
    pub(crate) fn roster_cuts(&self, rosters: &Rosters) -> (Vec<(ClinicId, u64)>, bool) {
        let (mut cuts, mut is_cut) = (BTreeMap::new(), false);
        for ((number, actor), top) in &self.tops() {
            let Some(line) = self.lines.get(*number) else {
                continue;
            };
            for owner in rosters.owners(line.chain) {
                let Some(roster) = rosters.get(*owner) else {
                    continue;
                };
                cuts.insert(*owner, roster.cut_version());
                is_cut |= roster.has_void_certifications()
                    || roster.cut(*actor, line.chain, *top).is_some();
            }
        }
        (cuts.into_iter().collect(), is_cut)
    }

    pub(crate) fn settle_anew(&mut self, rosters: &Rosters) {
        let (cuts, is_cut) = self.roster_cuts(rosters);
        let Some(rights) = self.rights() else {
            return;
        };
        let concerned = is_cut
            || !self.lines.forked().is_empty()
            || !rights.revocations.is_empty()
            || !rights.quarantines.is_empty();
        if concerned {
            self.settle_all(rosters);
        } else {
            self.outcome = Outcome::default();
            self.set_force(|_| true, |_| true);
        }
        self.outcome.version = Some(rosters.version());
        (self.outcome.cuts, self.outcome.is_cut) = (cuts, is_cut);
    }

    /// Gives force to the grants, epochs and revocations that count and takes it from the others.
    pub(crate) fn set_force(
        &mut self,
        counts: impl Fn(Tick) -> bool,
        is_active: impl Fn(usize) -> bool,
    ) {
        if let Fold::Record(rights) = &mut self.fold {
            for grant in &mut rights.grants {
                grant.counts = counts(grant.at);
            }
            for (index, revocation) in rights.revocations.iter_mut().enumerate() {
                revocation.active = is_active(index);
            }
            rights.set_epochs(|epoch| counts(epoch.at));
            rights.set_live();
        }
    }

    /// A state that was rebuilt: a roster is settled, and in a record everything counts so far.
    pub(crate) fn settle_replayed(&mut self) {
        match &mut self.fold {
            Fold::Roster(_) => self.settle_roster(),
            Fold::Record(rights) => rights.set_live(),
            Fold::Empty => {}
        }
    }

    /// Settles what the entry that was just added changes. Nothing has it in its past yet, so the others
    /// change only if it cuts them off, forks a chain, or rescues them.
    pub(crate) fn reconsider(&mut self, writer: Option<&Roster>, forks: bool, rosters: &Rosters) {
        if matches!(self.fold, Fold::Roster(_)) {
            self.reconsider_roster(forks);
            return;
        }
        let Some(meta) = self.entries.last() else {
            return;
        };
        let (Some(rights), Some(writer)) = (self.rights(), writer) else {
            self.settle_anew(rosters);
            return;
        };
        if forks || self.outcome.version.is_none() {
            self.settle_anew(rosters);
            return;
        }
        // The cheap case first: there are no cuts at all, so whoever was admitted has the right.
        let is_plain = self.outcome.voids.is_empty()
            && rights.revocations.is_empty()
            && self.lines.forked().is_empty();
        let fixed = self.fixed_cut(meta, writer, rosters);
        let void = match fixed {
            None if !is_plain => self.right_cut(meta, writer.clinic(), rights),
            other => other,
        };
        let (at, hash, kind) = (meta.at(), meta.hash, meta.kind);
        if kind.is_clear() {
            self.reconsider_control(kind, hash, void, rosters);
        }
        if let Some(void) = void {
            self.outcome.voids.insert(hash, void);
            self.outcome.places.insert(at);
            self.outcome.is_cut |= fixed.is_some();
        } else if kind.needs() >= Right::Write && !self.outcome.places.is_empty() {
            if self.may_rescue() {
                self.settle_anew(rosters);
            } else {
                self.outcome.rescuers.insert(at.line, at.seq);
            }
        }
    }

    /// What the control entry that was just added changes beside itself.
    fn reconsider_control(
        &mut self,
        kind: Kind,
        hash: EntryHash,
        void: Option<Void>,
        rosters: &Rosters,
    ) {
        let counts = void.is_none();
        let Fold::Record(rights) = &mut self.fold else {
            return;
        };
        match kind {
            Kind::Grant => {
                if let Some(mut grant) = rights.grants.pop() {
                    grant.counts = counts;
                    grant.live = rights.is_live(&grant);
                    rights.grants.push(grant);
                }
            }
            Kind::Rotate if !counts => rights.order.retain(|id| *id != hash),
            Kind::Revoke => {
                if let Some(last) = rights.revocations.last_mut() {
                    last.active = counts;
                }
                rights.set_live();
                if counts && self.last_revocation_cuts(rosters) {
                    self.settle_anew(rosters);
                }
            }
            Kind::Quarantine if counts => self.hold_out(),
            _ => {}
        }
    }

    /// Whether the revocation that was just added cuts off anything that is held.
    fn last_revocation_cuts(&self, rosters: &Rosters) -> bool {
        let Some(last) = self.rights().and_then(|rights| rights.revocations.last()) else {
            return false;
        };
        self.tops().iter().any(|((number, _), top)| {
            self.lines.get(*number).is_some_and(|line| {
                let reaches = last.from(line.chain) <= *top;
                reaches && rosters.owners(line.chain).contains(&last.clinic)
            })
        })
    }

    /// The edits that counting quarantines name are void, unless they are already.
    pub(crate) fn hold_out(&mut self) {
        let Fold::Record(rights) = &self.fold else {
            return;
        };
        let named = rights.quarantines.iter().filter(|quarantine| {
            let entry = self.meta_at(quarantine.at);
            entry.is_some_and(|entry| !self.outcome.voids.contains_key(&entry.hash))
        });
        let named: BTreeSet<EntryHash> = named
            .flat_map(|quarantine| quarantine.entries.iter().copied())
            .filter(|hash| self.index.contains_key(hash))
            .collect();
        for hash in named {
            let void = self.outcome.voids.entry(hash);
            void.or_insert(Void::Quarantined);
        }
    }

    /// The cut of an entry (no genesis) that no grant bears on: of actor, chain and certification.
    pub(crate) fn fixed_cut(
        &self,
        meta: &Meta,
        roster: &Roster,
        rosters: &Rosters,
    ) -> Option<Void> {
        if let Some(void) = roster.cut(meta.actor, meta.chain, meta.tree_index) {
            return Some(void);
        }
        if self.is_beyond_fork(meta) {
            return Some(Void::Forked);
        }
        let uncertified = roster.has_void_certifications() && {
            let (_, past) = rosters.judged_by(meta.chain, &meta.authority)?;
            let roles = roster.staff(meta.actor);
            let roles = roles.map_or(&[][..], |member| member.counting_roles_at(&past));
            !is_covered(meta, roles) || roster.life_cut(meta.chain, &past).is_some()
        };
        uncertified.then_some(Void::Uncertified)
    }

    fn is_beyond_fork(&self, meta: &Meta) -> bool {
        let Some(forked) = self.lines.forked().get(&meta.chain) else {
            return false;
        };
        let mut branches = forked.branches.iter().flat_map(|branch| &branch.entries);
        branches.any(|first| meta.covers(*first))
    }

    /// Beyond an active revocation, or without a grant that counts, by the force that the grants have now.
    fn right_cut(&self, meta: &Meta, writer: ClinicId, rights: &Rights) -> Option<Void> {
        if writer == rights.home {
            return None;
        }
        let covered = |grant: &&GrantState| grant.counts && meta.covers(grant.at);
        let revoked = rights.revocations_of(writer).any(|(index, revocation)| {
            revocation.active
                && revocation.from(meta.chain) <= meta.tree_index
                && !(meta.covers(revocation.at)
                    && rights
                        .grants_to(writer)
                        .filter(covered)
                        .any(|grant| grant.after.contains(&index)))
        });
        if revoked {
            return Some(Void::Revoked);
        }
        let revocations = rights.revocations_of(writer);
        let known = revocations
            .filter(|(_, revocation)| revocation.active && meta.covers(revocation.at))
            .count();
        let granted = rights
            .grants_to(writer)
            .filter(covered)
            .any(|grant| grant.right >= meta.kind.needs() && rights.active_before(grant) == known);
        (!granted).then_some(Void::Ungranted)
    }

    /// Whether the entry that was just added could rescue anything that the last one of its line which
    /// could rescue could not. Along a line one covers more and knows more, so what that one covered and
    /// did not rescue stays void.
    fn may_rescue(&self) -> bool {
        let Some(meta) = self.entries.last() else {
            return false;
        };
        let last = self.outcome.rescuers.get(&meta.number);
        let last = last.and_then(|seq| {
            let (line, seq) = (meta.number, *seq);
            self.meta_at(Tick { line, seq })
        });
        meta.ticks().any(|tick| {
            let known = last.and_then(|last| last.reach(tick.line));
            let line = tick.line;
            let from = known.map_or(0, |seq| seq.saturating_add(1));
            let from = Tick { line, seq: from };
            from <= tick && self.outcome.places.range(from..=tick).next().is_some()
        })
    }
}

/// Whether one of the roles covers the entry.
pub(crate) fn is_covered(meta: &Meta, roles: &[Role]) -> bool {
    let mut roles = roles.iter();
    roles.any(|role| meta.kind.is_covered_by(*role, meta.scope))
}

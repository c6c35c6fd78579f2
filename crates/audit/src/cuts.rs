//! The cuts of a record's entries that no grant bears on: of actors, chains, forks and certifications.

use std::collections::BTreeMap;

use crate::clock::{Meta, Tick};
use crate::id::{ActorId, ClinicId, EntryHash};
use crate::kind::Kind;
use crate::knowledge::{Cause, CauseId};
use crate::standing::{Void, is_covered};
use crate::trial::{Cut, Trial, Writer};

/// Why, from which tree index on, and the cause.
type RosterCut = (Void, u64, CauseId);

impl Trial<'_> {
    /// The clinic whose roster each entry was admitted by.
    pub(crate) fn find_writers(&mut self) {
        let mut numbers: BTreeMap<ClinicId, Writer> = BTreeMap::new();
        let mut last: BTreeMap<u32, (&[EntryHash], Option<Writer>)> = BTreeMap::new();
        for meta in &self.state.entries {
            let before = last.get(&meta.number);
            let same = before.filter(|before| std::ptr::eq(before.0, &*meta.authority));
            let writer = match same {
                Some((_, writer)) => *writer,
                None => {
                    let judged = self.rosters.judged_by(meta.chain, &meta.authority);
                    judged.map(|(roster, _)| {
                        let clinic = roster.clinic();
                        let next = Writer::try_from(self.clinics.len()).unwrap_or(Writer::MAX);
                        *numbers.entry(clinic).or_insert_with(|| {
                            self.clinics.push(clinic);
                            next
                        })
                    })
                }
            };
            last.insert(meta.number, (&meta.authority, writer));
            self.writers.push(writer);
        }
    }

    /// The cuts of actors, chains, forks and certifications.
    pub(crate) fn find_fixed(&mut self) {
        let cuts = self.find_roster_cuts();
        let forks = self.find_fork_cuts();
        let doubtful: Vec<bool> = self
            .clinics
            .iter()
            .map(|clinic| {
                let roster = self.rosters.get(*clinic);
                roster.is_some_and(|roster| roster.has_void_certifications())
            })
            .collect();
        let any = !cuts.is_empty() || !forks.is_empty() || doubtful.contains(&true);
        for place in 0..if any { self.state.entries.len() } else { 0 } {
            let (Some(meta), Some(writer)) = (self.state.entries.get(place), self.writer(place))
            else {
                continue;
            };
            let (mut void, mut causes) = (None, Vec::new());
            for (why, from, cause) in cuts
                .get(&(meta.number, writer, meta.actor))
                .into_iter()
                .flatten()
            {
                if *from <= meta.tree_index {
                    void = void.or(Some(*why));
                    causes.push(*cause);
                }
            }
            for (seq, cause) in forks.get(&meta.number).into_iter().flatten() {
                if u64::from(*seq) <= meta.seq {
                    void = void.or(Some(Void::Forked));
                    causes.push(*cause);
                }
            }
            let doubtful = usize::try_from(writer).ok().and_then(|at| doubtful.get(at));
            if doubtful == Some(&true)
                && let Some(cause) = self.find_certification_cut(meta)
            {
                void = void.or(Some(Void::Uncertified));
                causes.push(self.knowledge.cause(cause));
            }
            if let Some(void) = void.filter(|_| meta.kind != Kind::Genesis) {
                let causes = self.set(causes);
                self.fixed.insert(place, Cut { void, causes });
            }
        }
    }

    /// By line, writer and actor: reasons, first tree indices cut off, causes.
    fn find_roster_cuts(&mut self) -> BTreeMap<(u32, Writer, ActorId), Vec<RosterCut>> {
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ((number, actor), top) in &self.state.tops() {
            let Some(line) = self.state.lines.get(*number) else {
                continue;
            };
            for (writer, clinic) in (0..).zip(&self.clinics) {
                let Some(roster) = self.rosters.get(*clinic) else {
                    continue;
                };
                if !self.rosters.owners(line.chain).contains(clinic) {
                    continue;
                }
                for (void, at, from) in roster.cuts_of(*actor, line.chain) {
                    if from <= *top {
                        let cause = Cause::Roster(*clinic, vec![at]);
                        let cause = self.knowledge.cause(cause);
                        let cuts = found.entry((*number, writer, *actor)).or_default();
                        cuts.push((void, from, cause));
                    }
                }
            }
        }
        found
    }

    /// By line: the places with several histories on the way to it.
    fn find_fork_cuts(&mut self) -> BTreeMap<u32, Vec<(u32, CauseId)>> {
        let mut found: BTreeMap<u32, Vec<(u32, CauseId)>> = BTreeMap::new();
        for forked in self.state.lines.forked().values() {
            for number in &forked.numbers {
                let (line, seq) = (*number, u32::MAX);
                let path = self.state.lines.path(Tick { line, seq });
                let on_path = |first: &Tick| {
                    let mut path = path.iter();
                    path.any(|at| at.line == first.line && first.seq <= at.seq)
                };
                for branch in &forked.branches {
                    let Some(first) = branch.entries.iter().find(|first| on_path(first)) else {
                        continue;
                    };
                    let others = branch.entries.iter().filter(|other| *other != first);
                    let cause = self.knowledge.cause(Cause::Here(others.copied().collect()));
                    let cuts = found.entry(*number).or_default();
                    cuts.push((branch.seq, cause));
                }
            }
        }
        found
    }

    fn find_certification_cut(&self, meta: &Meta) -> Option<Cause> {
        let (roster, past) = self.rosters.judged_by(meta.chain, &meta.authority)?;
        let member = roster.staff(meta.actor)?;
        let life_cut = roster.life_cut(meta.chain, &past);
        let is_covered = is_covered(meta, member.counting_roles_at(&past));
        if is_covered && life_cut.is_none() {
            return None;
        }
        let mut places = life_cut.unwrap_or_default();
        if !is_covered {
            let certified = member.certified.iter();
            let known = certified.filter(|certified| past.covers(certified.at));
            places.extend(known.flat_map(|other| other.cut_by.iter().copied()));
        }
        places.sort_unstable();
        places.dedup();
        Some(Cause::Roster(roster.clinic(), places))
    }
}

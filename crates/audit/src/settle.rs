//! Settling a whole log. A record takes a [`Trial`]; in a roster what the root signed stands fixed and
//! everything else follows from it.

use std::collections::BTreeMap;

use crate::clock::{Meta, Tick};
use crate::id::EntryHash;
use crate::kind::Kind;
use crate::rosters::Rosters;
use crate::standing::Void;
use crate::state::{Fold, LogState};
use crate::trial::Trial;

impl LogState {
    /// Settles a record from nothing.
    pub(crate) fn settle_all(&mut self, rosters: &Rosters) {
        let Some(rights) = self.rights() else {
            return;
        };
        let mut trial = Trial::new(self, rights, rosters);
        let is_settled = trial.decide();
        let outcome = trial.outcome(is_settled);
        let (counts, active) = (trial.pass.counts, trial.active);
        self.outcome = outcome;
        let places: BTreeMap<Tick, bool> = self
            .control_places()
            .map(|(at, place)| (at, counts.get(place).copied().unwrap_or(true)))
            .collect();
        self.set_force(
            |at| places.get(&at).copied().unwrap_or(true),
            |index| active.get(index).copied().unwrap_or(true),
        );
        self.hold_out();
    }

    fn control_places(&self) -> impl Iterator<Item = (Tick, usize)> {
        let rights = self.rights().into_iter();
        rights
            .flat_map(|rights| {
                let grants = rights.grants.iter().map(|grant| grant.at);
                grants.chain(rights.epochs.values().map(|epoch| epoch.at))
            })
            .filter_map(|at| Some((at, self.lines.place(at)?)))
    }

    /// Why an entry of a roster does not count, and what who knew of it would know.
    fn roster_cut(&self, meta: &Meta) -> Option<(Void, Vec<Tick>)> {
        let roster = self.roster()?;
        if meta.actor == roster.root() {
            return None;
        }
        let cuts = roster.own_cuts(meta);
        let mut void = cuts.first().map(|cut| cut.0);
        let mut places: Vec<Tick> = cuts.into_iter().map(|cut| cut.1).collect();
        if let Some(forked) = self.lines.forked().get(&meta.chain) {
            for branch in &forked.branches {
                if branch.entries.iter().any(|first| meta.covers(*first)) {
                    void = void.or(Some(Void::Forked));
                    let others = branch.entries.iter().filter(|first| !meta.covers(**first));
                    places.extend(others);
                }
            }
        }
        Some((void?, places))
    }

    /// Settles a roster from nothing.
    pub(crate) fn settle_roster(&mut self) {
        let cuts: BTreeMap<Tick, (EntryHash, Void, Vec<Tick>)> = self
            .entries
            .iter()
            .filter_map(|meta| {
                let (void, places) = self.roster_cut(meta)?;
                Some((meta.at(), (meta.hash, void, places)))
            })
            .collect();
        let voids = cuts.values().map(|(hash, void, _)| (*hash, *void));
        self.outcome.voids = voids.collect();
        if let Fold::Roster(roster) = &mut self.fold {
            roster.set_force(|at| cuts.get(&at).map_or_else(Vec::new, |cut| cut.2.clone()));
        }
        self.refresh_roster_heads();
    }

    /// Settles what the roster entry that was just added changes.
    pub(crate) fn reconsider_roster(&mut self, forks: bool) {
        let Some(meta) = self.entries.last() else {
            return;
        };
        let (hash, at) = (meta.hash, meta.at());
        let cuts_others = matches!(meta.kind, Kind::Retire | Kind::Incarnation)
            && self.tops().iter().any(|((number, actor), top)| {
                let line = self.lines.get(*number);
                line.zip(self.roster()).is_some_and(|(line, roster)| {
                    *actor != roster.root() && roster.cut(*actor, line.chain, *top).is_some()
                })
            });
        if forks || cuts_others {
            self.settle_roster();
            return;
        }
        if let Some((void, places)) = self.roster_cut(meta) {
            self.outcome.voids.insert(hash, void);
            if let Fold::Roster(roster) = &mut self.fold {
                roster.weaken(at, &places);
            }
        }
        self.refresh_roster_heads();
    }

    fn refresh_roster_heads(&mut self) {
        let heads = self.standing_heads();
        if let Fold::Roster(roster) = &mut self.fold {
            roster.set_heads(heads);
        }
    }
}

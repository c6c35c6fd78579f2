//! Who knew of a cut: the earliest entry of each line that did.

use std::collections::BTreeMap;

use crate::clock::{Meta, Tick};
use crate::id::{ClinicId, EntryHash};
use crate::rosters::Rosters;
use crate::state::LogState;

/// Something that cuts off entries. Whoever has one of the places in the past, or relied on it, knew.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// Entries of this log: a revocation, or the other side of a fork.
    Here(Vec<Tick>),
    /// Entries of the clinic's roster: retirements, closings, what cuts off a certification.
    Roster(ClinicId, Vec<Tick>),
}

/// A cause by its number.
pub(crate) type CauseId = usize;

/// For a roster's line: the highest `seq` relied on from each `seq` of a record's line onwards, rising.
type Reliance = Vec<(u32, u32)>;

/// All causes of one log, and who knew of them.
pub(crate) struct Knowledge<'a> {
    state: &'a LogState,
    causes: Vec<Cause>,
    ids: BTreeMap<Cause, CauseId>,
    /// By the roster's clinic, the record's line and the roster's line.
    reliance: BTreeMap<(ClinicId, u32, u32), Reliance>,
    /// Of each cause in a roster, the first `seq` of each line that relied on it itself.
    relied: BTreeMap<CauseId, BTreeMap<u32, u32>>,
    first: BTreeMap<(CauseId, u32), u32>,
}

/// The first `seq` of a line that never knows.
pub(crate) const NEVER: u32 = u32::MAX;

impl<'a> Knowledge<'a> {
    pub(crate) fn new(state: &'a LogState) -> Knowledge<'a> {
        Knowledge {
            state,
            causes: Vec::new(),
            ids: BTreeMap::new(),
            reliance: BTreeMap::new(),
            relied: BTreeMap::new(),
            first: BTreeMap::new(),
        }
    }

    pub(crate) fn cause(&mut self, cause: Cause) -> CauseId {
        if let Some(id) = self.ids.get(&cause) {
            return *id;
        }
        let id = self.causes.len();
        self.ids.insert(cause.clone(), id);
        self.causes.push(cause);
        id
    }

    /// Finds what of the rosters that have causes the entries relied on.
    pub(crate) fn read_reliance(&mut self, rosters: &Rosters) {
        let clinics = self.causes.iter().filter_map(|cause| match cause {
            Cause::Roster(clinic, _) => Some((*clinic, ())),
            Cause::Here(_) => None,
        });
        let clinics: BTreeMap<ClinicId, ()> = clinics.collect();
        if clinics.is_empty() {
            return;
        }
        let mut last: BTreeMap<u32, &[EntryHash]> = BTreeMap::new();
        for meta in &self.state.entries {
            let before = last.insert(meta.number, &meta.authority);
            if before.is_some_and(|before| std::ptr::eq(before, &*meta.authority)) {
                continue;
            }
            for hash in meta.authority.iter() {
                let Some((clinic, _, head)) = rosters.find(hash) else {
                    continue;
                };
                if !clinics.contains_key(&clinic) {
                    continue;
                }
                for tick in head.ticks() {
                    let key = (clinic, meta.number, tick.line);
                    let reliance = self.reliance.entry(key).or_default();
                    if reliance.last().is_none_or(|(to, _)| *to < tick.seq) {
                        reliance.push((tick.seq, meta.at().seq));
                    }
                }
            }
        }
    }

    /// The first `seq` of the line that knew of the cause.
    pub(crate) fn first(&mut self, id: CauseId, line: u32) -> u32 {
        if let Some(first) = self.first.get(&(id, line)) {
            return *first;
        }
        let first = self.find_first(id, line);
        self.first.insert((id, line), first);
        first
    }

    /// What is in the past of an entry is in the past of those after it in the line.
    fn find_first(&mut self, id: CauseId, number: u32) -> u32 {
        if matches!(self.causes.get(id), Some(Cause::Roster(..))) && !self.relied.contains_key(&id)
        {
            let relied = self.find_relied(id);
            self.relied.insert(id, relied);
        }
        let Some(line) = self.state.lines.get(number) else {
            return NEVER;
        };
        let ignorant = line.places.partition_point(|place| {
            let meta = self.state.entries.get(*place);
            !meta.is_some_and(|meta| self.knows(id, meta))
        });
        if ignorant == line.places.len() {
            return NEVER;
        }
        let ignorant = u32::try_from(ignorant).unwrap_or(NEVER);
        line.base.saturating_add(ignorant)
    }

    fn knows(&self, id: CauseId, meta: &Meta) -> bool {
        match self.causes.get(id) {
            Some(Cause::Here(places)) => places.iter().any(|at| meta.covers(*at)),
            Some(Cause::Roster(..)) => {
                let relied = self.relied.get(&id);
                relied.is_some_and(|relied| {
                    let mut ticks = meta.ticks();
                    ticks.any(|tick| relied.get(&tick.line).is_some_and(|seq| *seq <= tick.seq))
                })
            }
            None => false,
        }
    }

    fn find_relied(&self, id: CauseId) -> BTreeMap<u32, u32> {
        let Some(Cause::Roster(clinic, places)) = self.causes.get(id) else {
            return BTreeMap::new();
        };
        let lines = self.state.lines.iter();
        let first = lines.filter_map(|(line, _)| {
            let seqs = places.iter().filter_map(|at| {
                let reliance = self.reliance.get(&(*clinic, line, at.line))?;
                let short = reliance.partition_point(|(to, _)| *to < at.seq);
                reliance.get(short).map(|(_, seq)| *seq)
            });
            Some((line, seqs.min()?))
        });
        first.collect()
    }
}

//! The trial of a record: the least fixpoint of the rules in `standing.rs`.
//!
//! One pass over the entries in causal order finds who counts, given which entries were rescued so far;
//! then whoever counts and is beyond no cut rescues; and again, until nobody more is rescued. A pass costs
//! the entries, times the grants to one clinic where an entry merges others; a rescue step costs the
//! different sets of cuts that void entries have, times the lines, times a binary search.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::{Meta, Tick};
use crate::id::{ChainId, ClinicId};
use crate::kind::Right;
use crate::knowledge::{Cause, CauseId, Knowledge};
use crate::rights::Rights;
use crate::rosters::Rosters;
use crate::standing::{Outcome, Void};
use crate::state::LogState;

/// Most steps from a rescued grant to an entry that rests on it and rescues in turn (a guess: each needs a
/// clinic that granted to another one beyond a cut that neither knew of).
pub(crate) const MAX_ROUNDS: usize = 32;

/// A set of causes by its number in one trial: entries of one actor or clinic share theirs.
pub(crate) type SetId = u32;

/// The cuts that an entry is beyond: the first reason, and all causes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) void: Void,
    pub(crate) causes: SetId,
}

/// A clinic by its number in one trial.
pub(crate) type Writer = u32;

pub(crate) struct Trial<'a> {
    pub(crate) state: &'a LogState,
    pub(crate) rights: &'a Rights,
    pub(crate) rosters: &'a Rosters,
    pub(crate) knowledge: Knowledge<'a>,
    pub(crate) clinics: Vec<ClinicId>,
    /// Who wrote each entry; `None` where its roster is not held.
    pub(crate) writers: Vec<Option<Writer>>,
    /// By place: the cuts that no grant bears on.
    pub(crate) fixed: BTreeMap<usize, Cut>,
    /// By revocation.
    pub(crate) active: Vec<bool>,
    pub(crate) revocation_causes: Vec<CauseId>,
    /// By grant: how many active revocations of its clinic its writer knew.
    pub(crate) active_before: Vec<usize>,
    pub(crate) grant_at: BTreeMap<usize, usize>,
    pub(crate) sets: Vec<Vec<CauseId>>,
    pub(crate) set_ids: BTreeMap<Vec<CauseId>, SetId>,
    /// By place.
    pub(crate) rescued: Vec<bool>,
    pub(crate) pass: Pass,
}

/// What one pass finds.
#[derive(Default)]
pub(crate) struct Pass {
    pub(crate) counts: Vec<bool>,
    /// By place, ascending.
    pub(crate) cut: Vec<(usize, Cut)>,
    pub(crate) ungranted: Vec<usize>,
    pub(crate) grant_counts: Vec<bool>,
    /// Of each line and writer, the entries that rescue what they can.
    pub(crate) rescuers: BTreeMap<u32, BTreeMap<Writer, Vec<u32>>>,
}

/// What a clinic has learnt of its rights on one line.
#[derive(Default)]
struct Learnt {
    others: Option<*const Tick>,
    grants: BTreeSet<usize>,
    forgiven: BTreeSet<usize>,
    right: Option<Right>,
    /// The active revocations of the clinic, each by the first tree index of this chain that it cuts off.
    revocations: Vec<(u64, usize)>,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(state: &'a LogState, rights: &'a Rights, rosters: &'a Rosters) -> Trial<'a> {
        let grant_at = (0..)
            .zip(&rights.grants)
            .filter_map(|(index, grant)| Some((state.lines.place(grant.at)?, index)));
        Trial {
            state,
            rights,
            rosters,
            knowledge: Knowledge::new(state),
            clinics: Vec::new(),
            writers: Vec::new(),
            fixed: BTreeMap::new(),
            active: Vec::new(),
            revocation_causes: Vec::new(),
            active_before: Vec::new(),
            grant_at: grant_at.collect(),
            sets: Vec::new(),
            set_ids: BTreeMap::new(),
            rescued: vec![false; state.entries.len()],
            pass: Pass::default(),
        }
    }

    /// Whether the fixpoint was reached.
    pub(crate) fn decide(&mut self) -> bool {
        self.find_writers();
        self.find_fixed();
        let revocations = self.rights.revocations.iter();
        self.active = revocations
            .map(|revocation| {
                let place = self.state.lines.place(revocation.at);
                !place.is_some_and(|place| self.fixed.contains_key(&place))
            })
            .collect();
        for revocation in &self.rights.revocations {
            let cause = self.knowledge.cause(Cause::Here(vec![revocation.at]));
            self.revocation_causes.push(cause);
        }
        let is_active = |index: &&usize| self.active.get(**index).copied().unwrap_or(false);
        self.active_before = self
            .rights
            .grants
            .iter()
            .map(|grant| grant.after.iter().filter(is_active).count())
            .collect();
        self.knowledge.read_reliance(self.rosters);
        for _ in 0..MAX_ROUNDS {
            self.run_pass();
            if !self.rescue() {
                return true;
            }
        }
        self.run_pass();
        false
    }

    pub(crate) fn outcome(&self, is_settled: bool) -> Outcome {
        let mut outcome = Outcome::default();
        let mut add = |place: usize, void: Void| {
            if let Some(meta) = self.state.entries.get(place) {
                outcome.voids.insert(meta.hash, void);
                outcome.places.insert(meta.at());
            }
        };
        for place in &self.pass.ungranted {
            add(*place, Void::Ungranted);
        }
        for (place, cut) in &self.pass.cut {
            if !self.is_rescued(*place) {
                add(*place, cut.void);
            }
        }
        if is_settled {
            let lasts = self.pass.rescuers.iter().filter_map(|(line, writers)| {
                // Two writers of one line is two clinics of one hand: then each entry is looked at.
                let seqs = writers.values().next().filter(|_| writers.len() == 1)?;
                Some((*line, *seqs.last()?))
            });
            outcome.rescuers = lasts.collect();
        }
        outcome
    }
    pub(crate) fn clinic(&self, writer: Writer) -> Option<ClinicId> {
        let at = usize::try_from(writer).ok()?;
        self.clinics.get(at).copied()
    }

    pub(crate) fn writer(&self, place: usize) -> Option<Writer> {
        self.writers.get(place).copied().flatten()
    }

    /// Who counts, given who was rescued so far.
    fn run_pass(&mut self) {
        let mut pass = Pass {
            grant_counts: vec![false; self.rights.grants.len()],
            ..Pass::default()
        };
        let mut learnt: BTreeMap<(u32, Writer), Learnt> = BTreeMap::new();
        let state = self.state;
        for (place, meta) in state.entries.iter().enumerate() {
            let writer = self.writer(place);
            let clinic = writer.and_then(|writer| self.clinic(writer));
            let mut cut = self.fixed.get(&place).copied();
            let mut is_granted = true;
            if let (Some(writer), Some(clinic)) = (writer, clinic)
                && clinic != self.rights.home
            {
                let learnt = learnt
                    .entry((meta.number, writer))
                    .or_insert_with(|| self.begin_learning(clinic, meta.chain));
                self.learn(learnt, clinic, meta, &pass.grant_counts);
                let beyond = learnt.revocations.iter().filter(|(from, index)| {
                    *from <= meta.tree_index && !learnt.forgiven.contains(index)
                });
                let beyond = beyond.filter_map(|(_, index)| self.revocation_causes.get(*index));
                let beyond: Vec<CauseId> = beyond.copied().collect();
                if !beyond.is_empty() {
                    let fixed = cut.map_or_else(Vec::new, |cut| self.causes(cut).to_vec());
                    cut = Some(Cut {
                        void: cut.map_or(Void::Revoked, |cut| cut.void),
                        causes: self.set([fixed, beyond].concat()),
                    });
                }
                is_granted = learnt.right.is_some_and(|right| right >= meta.kind.needs());
            }
            let is_cut = cut.is_some();
            let counts = is_granted && (!is_cut || self.is_rescued(place));
            pass.counts.push(counts);
            if let Some(cut) = cut {
                pass.cut.push((place, cut));
            }
            if !is_granted {
                pass.ungranted.push(place);
            }
            if let Some(count) = self
                .grant_at
                .get(&place)
                .and_then(|index| pass.grant_counts.get_mut(*index))
            {
                *count = counts;
            }
            if let Some(writer) = writer
                && counts
                && !is_cut
                && meta.kind.needs() >= Right::Write
            {
                let line = pass.rescuers.entry(meta.number).or_default();
                line.entry(writer).or_default().push(meta.at().seq);
            }
        }
        self.pass = pass;
    }

    pub(crate) fn set(&mut self, causes: Vec<CauseId>) -> SetId {
        if let Some(id) = self.set_ids.get(&causes) {
            return *id;
        }
        let id = SetId::try_from(self.sets.len()).unwrap_or(SetId::MAX);
        self.sets.push(causes.clone());
        self.set_ids.insert(causes, id);
        id
    }

    fn causes(&self, cut: Cut) -> &[CauseId] {
        let set = usize::try_from(cut.causes).ok();
        set.and_then(|set| self.sets.get(set))
            .map_or(&[], Vec::as_slice)
    }

    fn is_rescued(&self, place: usize) -> bool {
        self.rescued.get(place) == Some(&true)
    }

    fn begin_learning(&self, clinic: ClinicId, chain: ChainId) -> Learnt {
        let revocations = self.rights.revocations_of(clinic);
        let active = revocations.filter(|(index, _)| self.active.get(*index) == Some(&true));
        let mut revocations: Vec<(u64, usize)> = active
            .map(|(index, revocation)| (revocation.from(chain), index))
            .collect();
        revocations.sort_unstable();
        Learnt {
            revocations,
            ..Learnt::default()
        }
    }

    /// Takes in the grants and revocations that came into the line's past. Where an entry merges nothing
    /// new there are none, but for those of its own line.
    fn learn(&self, learnt: &mut Learnt, clinic: ClinicId, meta: &Meta, counts: &[bool]) {
        let others = Some(meta.others.as_ptr());
        if learnt.others == others && !meta.kind.is_clear() {
            return;
        }
        // A control entry may be a grant of the line to itself: look again after it.
        learnt.others = others.filter(|_| !meta.kind.is_clear());
        let indices = self.rights.granted.get(&clinic);
        for index in indices.into_iter().flatten() {
            let grant = self.rights.grants.get(*index);
            if let Some(grant) = grant
                && counts.get(*index) == Some(&true)
                && !learnt.grants.contains(index)
                && meta.covers(grant.at)
            {
                learnt.grants.insert(*index);
                learnt.forgiven.extend(&grant.after);
            }
        }
        let known = learnt.revocations.iter().filter(|(_, index)| {
            let revocation = self.rights.revocations.get(*index);
            revocation.is_some_and(|revocation| meta.covers(revocation.at))
        });
        let known = known.count();
        let rights = learnt.grants.iter().filter_map(|index| {
            let grant = self.rights.grants.get(*index)?;
            (self.active_before.get(*index) == Some(&known)).then_some(grant.right)
        });
        learnt.right = rights.max();
    }

    /// Lets those who count and are beyond no cut rescue; whether anybody was.
    fn rescue(&mut self) -> bool {
        let mut reach: BTreeMap<(u32, Writer, SetId), Option<u32>> = BTreeMap::new();
        let mut rescued = Vec::new();
        for (place, cut) in &self.pass.cut {
            if self.is_rescued(*place) {
                continue;
            }
            let writer = self.writers.get(*place).copied().flatten();
            let (Some(meta), Some(writer)) = (self.state.entries.get(*place), writer) else {
                continue;
            };
            let key = (meta.number, writer, cut.causes);
            let to = reach.entry(key).or_insert_with(|| {
                let set = usize::try_from(cut.causes).ok();
                let causes = set.and_then(|set| self.sets.get(set));
                let causes = causes.map_or(&[][..], Vec::as_slice);
                let (rescuers, line) = (&self.pass.rescuers, (meta.number, writer));
                reach_of(self.state, &mut self.knowledge, rescuers, line, causes)
            });
            if to.is_some_and(|to| meta.seq <= u64::from(to)) {
                rescued.push(*place);
            }
        }
        let any = !rescued.is_empty();
        for place in rescued {
            if let Some(is_rescued) = self.rescued.get_mut(place) {
                *is_rescued = true;
            }
        }
        any
    }
}

/// How far along a line the entries of others reach that rescue and knew of none of these causes. Along a
/// line one covers more and knows more, so only the last who did not know matters.
fn reach_of(
    state: &LogState,
    knowledge: &mut Knowledge<'_>,
    rescuers: &BTreeMap<u32, BTreeMap<Writer, Vec<u32>>>,
    (line, writer): (u32, Writer),
    causes: &[CauseId],
) -> Option<u32> {
    let mut furthest = None;
    for (number, by_writer) in rescuers {
        let known = causes.iter().map(|cause| knowledge.first(*cause, *number));
        let known = known.min().unwrap_or(0);
        for (other, seqs) in by_writer {
            let ignorant = seqs.partition_point(|seq| *seq < known);
            let last = ignorant.checked_sub(1).and_then(|last| seqs.get(last));
            let (Some(last), true) = (last, *other != writer) else {
                continue;
            };
            let (number, seq) = (*number, *last);
            let meta = state.meta_at(Tick { line: number, seq });
            furthest = furthest.max(meta.and_then(|meta| meta.reach(line)));
        }
    }
    furthest
}

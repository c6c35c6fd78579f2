//! The rules of standing, written down a second time straight from their text (`standing.rs`): sets and
//! "there is", no clocks, no lines, no care for speed. It never looks at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::*;

type Set = BTreeSet<usize>;
/// The entry, whom it revokes, its cuts.
type Revocation<'a> = (usize, ClinicId, &'a [(ChainId, u64)]);

/// All accepted entries of a record and of the rosters.
pub(crate) struct Oracle<'a> {
    entries: Vec<&'a Entry>,
    controls: Vec<Option<Control>>,
    at: BTreeMap<EntryHash, usize>,
    /// Everything that an entry builds on, itself included.
    pasts: Vec<Set>,
    /// The roster entries that an entry or anything in its past relied on.
    relied: Vec<Set>,
}

/// Something that cuts an entry off: whoever has one of the entries in the past knew.
struct Cause {
    void: Void,
    known_by: Set,
}

/// Which entries count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) voids: BTreeMap<EntryHash, Void>,
    pub(crate) live: BTreeSet<EntryHash>,
    pub(crate) epochs: Vec<EntryHash>,
    pub(crate) rights: BTreeMap<ClinicId, Right>,
    /// Whose payloads are to be destroyed.
    pub(crate) erased: BTreeSet<EntryHash>,
}

impl<'a> Oracle<'a> {
    /// `entries` in a causal order.
    pub(crate) fn new(entries: Vec<&'a Entry>) -> Oracle<'a> {
        let (mut at, mut pasts, mut relied) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut controls = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let header = entry.header();
            let mut past = Set::from([index]);
            for before in header.prev.iter().chain(&header.parents) {
                let before: &Set = &pasts[at[before]];
                past.extend(before);
            }
            let mut rosters = Set::new();
            for before in past.iter().filter(|before| **before != index) {
                let before: &Set = &relied[*before];
                rosters.extend(before);
            }
            for head in &header.authority {
                let head: &Set = &pasts[at[head]];
                rosters.extend(head);
            }
            at.insert(entry.hash(), index);
            pasts.push(past);
            relied.push(rosters);
            let kind = header.kind;
            let control = kind
                .is_clear()
                .then(|| Control::decode(kind, entry.payload().unwrap()));
            controls.push(control.map(Result::unwrap));
        }
        Oracle {
            entries,
            controls,
            at,
            pasts,
            relied,
        }
    }

    fn header(&self, entry: usize) -> &Header {
        self.entries[entry].header()
    }

    fn log(&self, log: LogId) -> Vec<usize> {
        (0..self.entries.len())
            .filter(|entry| self.header(*entry).log == log)
            .collect()
    }

    fn genesis(&self, log: LogId) -> usize {
        self.log(log)[0]
    }

    fn is_beyond(&self, entry: usize, cuts: &[(ChainId, u64)]) -> bool {
        let header = self.header(entry);
        let cut = cuts.iter().find(|cut| cut.0 == header.chain);
        cut.is_none_or(|cut| header.tree_index > cut.1)
    }

    /// The places with several histories at or before the entry, each by what is on the other side.
    fn forks(&self, entry: usize) -> Vec<Set> {
        let header = self.header(entry);
        let of_chain = self.log(header.log);
        let of_chain: Vec<usize> = of_chain
            .into_iter()
            .filter(|other| self.header(*other).chain == header.chain)
            .collect();
        let mut places: BTreeMap<Option<EntryHash>, Set> = BTreeMap::new();
        for other in of_chain {
            places
                .entry(self.header(other).prev)
                .or_default()
                .insert(other);
        }
        let mut found = Vec::new();
        for followers in places.values().filter(|followers| followers.len() > 1) {
            if followers
                .iter()
                .any(|follower| self.pasts[entry].contains(follower))
            {
                found.push(followers.difference(&self.pasts[entry]).copied().collect());
            }
        }
        found
    }

    fn root(&self, roster: LogId) -> ActorId {
        match &self.controls[self.genesis(roster)] {
            Some(Control::RosterGenesis { root, .. }) => *root,
            other => panic!("{other:?}"),
        }
    }

    fn closings(&self, roster: LogId, entry: usize) -> Vec<Cause> {
        let header = self.header(entry);
        let mut found = Vec::new();
        for other in self.log(roster) {
            if let Some(Control::Incarnation { closes, .. }) = &self.controls[other] {
                let closes: Vec<_> = closes
                    .iter()
                    .filter(|cut| cut.0 == header.chain)
                    .copied()
                    .collect();
                if !closes.is_empty() && self.is_beyond(entry, &closes) {
                    found.push(Cause {
                        void: Void::ChainClosed,
                        known_by: Set::from([other]),
                    });
                }
            }
        }
        found
    }

    fn retirements(&self, roster: LogId, entry: usize, by: impl Fn(usize) -> bool) -> Vec<Cause> {
        let mut found = Vec::new();
        for other in self.log(roster) {
            if let Some(Control::Retire { key, cuts }) = &self.controls[other]
                && *key == self.header(entry).actor
                && by(other)
                && self.is_beyond(entry, cuts)
            {
                found.push(Cause {
                    void: Void::Retired,
                    known_by: Set::from([other]),
                });
            }
        }
        found
    }

    /// What cuts off an entry of a roster.
    fn roster_cuts(&self, entry: usize) -> Vec<Cause> {
        let log = self.header(entry).log;
        let root = self.root(log);
        if self.header(entry).actor == root {
            return Vec::new();
        }
        let mut causes = self.retirements(log, entry, |other| self.header(other).actor == root);
        causes.extend(self.closings(log, entry));
        let forks = self.forks(entry).into_iter();
        causes.extend(forks.map(|known_by| Cause {
            void: Void::Forked,
            known_by,
        }));
        causes
    }

    /// The roster by which an entry of the record was admitted.
    fn roster_of(&self, entry: usize) -> LogId {
        let header = self.header(entry);
        let heads = header.authority.iter().map(|head| self.at[head]);
        let mut found = BTreeSet::new();
        for head in heads {
            for known in &self.pasts[head] {
                match &self.controls[*known] {
                    Some(
                        Control::RosterGenesis { chain, .. } | Control::Incarnation { chain, .. },
                    ) if *chain == header.chain => {
                        found.insert(self.header(*known).log);
                    }
                    _ => {}
                }
            }
        }
        assert_eq!(found.len(), 1);
        found.into_iter().next().unwrap()
    }

    fn clinic_of(&self, entry: usize) -> ClinicId {
        let genesis = self.genesis(self.roster_of(entry));
        ClinicId::from_genesis(self.entries[genesis].hash())
    }

    fn certification(&self, entry: usize) -> Option<Cause> {
        let header = self.header(entry);
        let roster = self.roster_of(entry);
        let (mut certified, mut lives) = (Vec::new(), Vec::new());
        for head in header.authority.iter().map(|head| self.at[head]) {
            for known in self.pasts[head]
                .iter()
                .filter(|known| self.header(**known).log == roster)
            {
                if let Some(
                    Control::RosterGenesis { chain, .. } | Control::Incarnation { chain, .. },
                ) = &self.controls[*known]
                    && *chain == header.chain
                {
                    lives.push(*known);
                }
                if let Some(Control::Certify { key, roles, .. }) = &self.controls[*known]
                    && *key == header.actor
                {
                    certified.push((
                        self.pasts[*known].len(),
                        self.entries[*known].hash(),
                        *known,
                        roles,
                    ));
                }
            }
        }
        let counting = certified
            .iter()
            .filter(|other| self.roster_cuts(other.2).is_empty());
        let roles = counting.max().map_or(&[][..], |newest| newest.3.as_slice());
        let covers = |role: &Role| match header.kind {
            Kind::Edit | Kind::Attach => role.may_edit(header.scope.unwrap()),
            Kind::View => role.may_view(),
            Kind::Inference | Kind::Verdict => *role == Role::Physician,
            Kind::Link | Kind::Unlink => role.may_edit(Scope::Demographics),
            _ => role.may_grant(),
        };
        let is_covered = roles.iter().any(covers);
        let is_alive = lives.iter().any(|life| self.roster_cuts(*life).is_empty());
        if is_covered && is_alive {
            return None;
        }
        let uncertified = certified
            .iter()
            .filter(|_| !is_covered)
            .map(|other| other.2);
        let dead = lives.into_iter().filter(|_| !is_alive);
        let cuts = uncertified
            .chain(dead)
            .flat_map(|other| self.roster_cuts(other));
        let known_by = cuts.flat_map(|cause| cause.known_by).collect();
        Some(Cause {
            void: Void::Uncertified,
            known_by,
        })
    }

    /// What cuts off an entry of the record, whatever the grants say; and what of it is in rosters.
    fn fixed_cuts(&self, entry: usize) -> Vec<Cause> {
        if self.header(entry).kind == Kind::Genesis {
            return Vec::new();
        }
        let roster = self.roster_of(entry);
        let counts = |other: usize| self.roster_cuts(other).is_empty();
        let mut causes = self.retirements(roster, entry, counts);
        causes.extend(self.closings(roster, entry));
        let forks = self.forks(entry).into_iter();
        causes.extend(forks.map(|known_by| Cause {
            void: Void::Forked,
            known_by,
        }));
        causes.extend(self.certification(entry));
        causes
    }

    fn knows(&self, entry: usize, cause: &Cause) -> bool {
        let mut known = self.pasts[entry].union(&self.relied[entry]);
        known.any(|known| cause.known_by.contains(known))
    }

    pub(crate) fn judge(&self, log: LogId, clinics: &[ClinicId]) -> Judgement {
        let record = self.log(log);
        let fixed: BTreeMap<usize, Vec<Cause>> = record
            .iter()
            .map(|entry| (*entry, self.fixed_cuts(*entry)))
            .collect();
        let writers: BTreeMap<usize, ClinicId> = record
            .iter()
            .map(|entry| (*entry, self.clinic_of(*entry)))
            .collect();
        let home = writers[&record[0]];
        let revocations: Vec<Revocation<'_>> = record
            .iter()
            .filter(|entry| fixed[entry].is_empty())
            .filter_map(|entry| match &self.controls[*entry] {
                Some(Control::Revoke { clinic, cuts }) => Some((*entry, *clinic, cuts.as_slice())),
                _ => None,
            })
            .collect();
        let of = |clinic: ClinicId| revocations.iter().filter(move |other| other.1 == clinic);
        let grants: Vec<(usize, ClinicId, Right)> = record
            .iter()
            .filter_map(|entry| match &self.controls[*entry] {
                Some(Control::Grant { clinic, right, .. }) => Some((*entry, *clinic, *right)),
                _ => None,
            })
            .collect();
        let mut rescued = Set::new();
        let (counting, voids) = loop {
            let mut counting = Set::new();
            let mut uncut = Set::new();
            let mut voids: BTreeMap<usize, Void> = BTreeMap::new();
            let mut cut_by: BTreeMap<usize, Vec<&Cause>> = BTreeMap::new();
            let mut revoked_by: BTreeMap<usize, Vec<Cause>> = BTreeMap::new();
            for entry in &record {
                let (past, writer) = (&self.pasts[*entry], writers[entry]);
                let counting_grants: Vec<_> = grants
                    .iter()
                    .filter(|grant| {
                        grant.1 == writer && past.contains(&grant.0) && counting.contains(&grant.0)
                    })
                    .collect();
                let mut revoked = Vec::new();
                for (revocation, _, cuts) in of(writer) {
                    let mut again = counting_grants.iter();
                    if self.is_beyond(*entry, cuts)
                        && !again.any(|grant| self.pasts[grant.0].contains(revocation))
                    {
                        revoked.push(Cause {
                            void: Void::Revoked,
                            known_by: Set::from([*revocation]),
                        });
                    }
                }
                let needed = match self.header(*entry).kind {
                    Kind::View | Kind::Inference | Kind::Verdict => Right::Read,
                    Kind::Genesis | Kind::Revoke | Kind::Rotate | Kind::Quarantine => Right::Home,
                    _ => Right::Write,
                };
                let is_granted = writer == home
                    || counting_grants.iter().any(|grant| {
                        let mut known = of(writer).filter(|other| past.contains(&other.0));
                        grant.2 >= needed
                            && known.all(|other| self.pasts[grant.0].contains(&other.0))
                    });
                let is_cut = !fixed[entry].is_empty() || !revoked.is_empty();
                if is_cut && !rescued.contains(entry) {
                    let mut causes = fixed[entry].iter().chain(&revoked);
                    voids.insert(*entry, causes.next().unwrap().void);
                } else if !is_granted {
                    voids.insert(*entry, Void::Ungranted);
                } else {
                    counting.insert(*entry);
                }
                if !is_cut && is_granted {
                    uncut.insert(*entry);
                }
                revoked_by.insert(*entry, revoked);
            }
            for entry in &record {
                cut_by.insert(
                    *entry,
                    fixed[entry].iter().chain(&revoked_by[entry]).collect(),
                );
            }
            let reads = |kind| matches!(kind, Kind::View | Kind::Inference | Kind::Verdict);
            let may_write = |entry: usize| !reads(self.header(entry).kind);
            let newly: Set = record
                .iter()
                .copied()
                .filter(|entry| !cut_by[entry].is_empty() && !rescued.contains(entry))
                .filter(|entry| {
                    uncut.iter().any(|other| {
                        may_write(*other)
                            && writers[other] != writers[entry]
                            && self.pasts[*other].contains(entry)
                            && cut_by[entry].iter().all(|cause| !self.knows(*other, cause))
                    })
                })
                .collect();
            if newly.is_empty() {
                break (counting, voids);
            }
            rescued.extend(newly);
        };
        let mut voids: BTreeMap<EntryHash, Void> = voids
            .into_iter()
            .map(|(entry, void)| (self.entries[entry].hash(), void))
            .collect();
        for entry in &counting {
            if let Some(Control::Quarantine { entries, .. }) = &self.controls[*entry] {
                for named in entries {
                    voids.entry(*named).or_insert(Void::Quarantined);
                }
            }
        }
        let live: Vec<_> = grants
            .iter()
            .filter(|grant| counting.contains(&grant.0))
            .filter(|grant| of(grant.1).all(|other| self.pasts[grant.0].contains(&other.0)))
            .collect();
        let mut epochs: Vec<(usize, EntryHash)> = record
            .iter()
            .filter(|entry| matches!(self.header(**entry).kind, Kind::Genesis | Kind::Rotate))
            .filter(|entry| counting.contains(entry))
            .map(|entry| (self.pasts[*entry].len(), self.entries[*entry].hash()))
            .collect();
        epochs.sort();
        let right = |clinic: ClinicId| {
            let granted = live
                .iter()
                .filter(|grant| grant.1 == clinic)
                .map(|grant| grant.2)
                .max();
            if clinic == home {
                Some(Right::Home)
            } else {
                granted
            }
        };
        let mut erased = BTreeSet::new();
        for entry in &counting {
            if let Some(Control::Erase { entries, .. }) = &self.controls[*entry] {
                let sealed = record
                    .iter()
                    .filter(|one| !self.header(**one).kind.is_clear());
                match entries.as_slice() {
                    [] => erased.extend(sealed.map(|one| self.entries[*one].hash())),
                    named => erased.extend(named),
                }
            }
        }
        Judgement {
            erased,
            voids,
            live: live
                .iter()
                .map(|grant| self.entries[grant.0].hash())
                .collect(),
            epochs: epochs.into_iter().map(|epoch| epoch.1).collect(),
            rights: clinics
                .iter()
                .filter_map(|clinic| Some((*clinic, right(*clinic)?)))
                .collect(),
        }
    }

    /// The entries of a roster that do not count.
    pub(crate) fn roster_voids(&self, log: LogId) -> BTreeMap<EntryHash, Void> {
        let cuts = self.log(log).into_iter().filter_map(|entry| {
            let void = self.roster_cuts(entry).first()?.void;
            Some((self.entries[entry].hash(), void))
        });
        cuts.collect()
    }

    /// Whether the entry has something in its past, or is something, that a rule cuts off by itself.
    pub(crate) fn is_concerned(&self, entry: &EntryHash) -> bool {
        let entry = self.at[entry];
        self.pasts[entry].iter().any(|before| {
            let revoked = self.controls.iter().enumerate().any(|(other, control)| {
                let same = self.header(other).log == self.header(entry).log;
                matches!(control, Some(Control::Revoke { clinic, cuts })
                    if same && *clinic == self.clinic_of(*before) && self.is_beyond(*before, cuts))
            });
            revoked || !self.fixed_cuts(*before).is_empty()
        })
    }
}

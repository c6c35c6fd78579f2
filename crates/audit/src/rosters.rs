//! The rosters that a node knows, by which it judges the entries of records.

use std::collections::BTreeMap;

use crate::clock::{Meta, Past};
use crate::entry::Entry;
use crate::header::Header;
use crate::id::{ActorId, ChainId, ClinicId, EntryHash, LogId};
use crate::kind::Role;
use crate::roster::{Roster, StaffMember, Standing};
use crate::state::LogState;
use crate::verdict::{Refusal, Verdict};

/// Several rosters. Whom to believe to be a clinic is the caller's decision: a roster certifies itself.
#[derive(Debug, Clone, Default)]
pub struct Rosters {
    logs: BTreeMap<LogId, LogState>,
    clinics: BTreeMap<ClinicId, LogId>,
    /// The clinics whose rosters name the chain, ascending.
    chains: BTreeMap<ChainId, Vec<ClinicId>>,
    entries: BTreeMap<EntryHash, ClinicId>,
    version: u64,
}

impl Rosters {
    /// No roster at all.
    pub fn new() -> Rosters {
        Rosters::default()
    }

    /// Admits an entry of a roster, known or new. The signatures must have been verified. Only pass the
    /// genesis of a roster whose clinic is wanted.
    pub fn admit(&mut self, entry: &Entry) -> Verdict {
        let log = entry.header().log;
        let state = self.logs.entry(log).or_insert_with(|| LogState::new(log));
        let verdict = state.admit(entry, &Rosters::default());
        match state.roster().map(Roster::clinic) {
            Some(clinic) if matches!(verdict, Verdict::Accepted | Verdict::Forked { .. }) => {
                self.version += 1;
                self.entries.insert(entry.hash(), clinic);
                self.index(clinic, log);
            }
            Some(_) => {}
            // No genesis was among it: nothing has begun. (A record's genesis needs a roster to rely on,
            // and there is none inside a roster.)
            None => {
                self.logs.remove(&log);
            }
        }
        verdict
    }

    /// Adds a roster that was rebuilt from disk, in place of what was known of it. Gives the state back
    /// if it is not a roster's.
    pub fn insert(&mut self, state: LogState) -> Result<ClinicId, Box<LogState>> {
        let Some(clinic) = state.roster().map(Roster::clinic) else {
            return Err(Box::new(state));
        };
        let log = state.log();
        self.version += 1;
        self.entries
            .extend(state.entries().map(|meta| (meta.hash, clinic)));
        self.logs.insert(log, state);
        self.index(clinic, log);
        Ok(clinic)
    }

    /// The clinic's roster.
    pub fn get(&self, clinic: ClinicId) -> Option<&Roster> {
        self.state(clinic)?.roster()
    }

    /// The clinic's roster as a log.
    pub fn state(&self, clinic: ClinicId) -> Option<&LogState> {
        self.logs.get(self.clinics.get(&clinic)?)
    }

    /// The roster with this log.
    pub fn log(&self, log: LogId) -> Option<&LogState> {
        self.logs.get(&log)
    }

    /// All known clinics, ascending.
    pub fn clinics(&self) -> impl Iterator<Item = ClinicId> {
        self.clinics.keys().copied()
    }

    /// Grows with every roster entry that is accepted: [`LogState::settle`] does nothing where it did
    /// not. Compare versions of one and the same `Rosters` only.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The clinic that writes this chain.
    pub fn clinic_of(&self, chain: ChainId) -> Option<ClinicId> {
        self.owners(chain).first().copied()
    }

    /// What an entry of this clinic's that follows `prev` in its chain names as authority: the heads of
    /// what counts in the roster, and what `prev` relied on and these heads do not build on (it counts no
    /// more, but a chain never relies on less than before).
    pub fn authority(&self, clinic: ClinicId, prev: Option<&Meta>) -> Vec<EntryHash> {
        let Some(state) = self.state(clinic) else {
            return Vec::new();
        };
        let mut heads = state
            .roster()
            .map_or_else(Vec::new, |roster| roster.heads().to_vec());
        let metas = heads.iter().filter_map(|head| state.entry_meta(head));
        let known = Past(metas.collect());
        let before = prev.map_or(&[][..], |prev| &prev.authority);
        let before = before.iter().filter_map(|hash| state.entry_meta(hash));
        let lost = before.filter(|meta| !known.covers(meta.at()));
        let lost: Vec<EntryHash> = lost.map(|meta| meta.hash).collect();
        heads.extend(lost);
        heads.sort_unstable();
        heads.dedup();
        heads
    }

    /// The clinics whose rosters name the chain, ascending. A chain signs the entry that certifies it, so
    /// two clinics share one only if the same hand runs both.
    pub(crate) fn owners(&self, chain: ChainId) -> &[ClinicId] {
        self.chains.get(&chain).map_or(&[], Vec::as_slice)
    }

    /// The clinic's staff member with this key.
    pub fn staff(&self, clinic: ClinicId, key: ActorId) -> Option<&StaffMember> {
        self.get(clinic)?.staff(key)
    }

    fn index(&mut self, clinic: ClinicId, log: LogId) {
        self.clinics.insert(clinic, log);
        let roster = self.logs.get(&log).and_then(LogState::roster);
        for life in roster.into_iter().flat_map(Roster::incarnations) {
            let owners = self.chains.entry(life.chain).or_default();
            if let Err(at) = owners.binary_search(&clinic) {
                owners.insert(at, clinic);
            }
        }
    }

    pub(crate) fn find(&self, entry: &EntryHash) -> Option<(ClinicId, &LogState, &Meta)> {
        let clinic = *self.entries.get(entry)?;
        let state = self.state(clinic)?;
        Some((clinic, state, state.entry_meta(entry)?))
    }

    /// The rosters that these heads belong to, each with what they know of it, or the heads that are not
    /// held.
    fn relied(&self, authority: &[EntryHash]) -> Result<Vec<(&Roster, Past<'_>)>, Vec<EntryHash>> {
        let mut relied: Vec<(&Roster, Past<'_>)> = Vec::new();
        let mut missing = Vec::new();
        for hash in authority {
            let found = self
                .find(hash)
                .and_then(|(_, state, meta)| Some((state.roster()?, meta)));
            match found {
                Some((roster, meta)) => {
                    match relied
                        .iter_mut()
                        .find(|(known, _)| known.clinic() == roster.clinic())
                    {
                        Some((_, past)) => past.0.push(meta),
                        None => relied.push((roster, Past(vec![meta]))),
                    }
                }
                None => missing.push(*hash),
            }
        }
        if missing.is_empty() {
            Ok(relied)
        } else {
            Err(missing)
        }
    }

    /// The roster by which an accepted entry of this chain was judged, and what of it the entry knew.
    pub(crate) fn judged_by(
        &self,
        chain: ChainId,
        authority: &[EntryHash],
    ) -> Option<(&Roster, Past<'_>)> {
        let mut relied = self.relied(authority).ok()?.into_iter();
        relied.find(|(roster, past)| roster.has_chain(chain, past))
    }

    /// Which clinic wrote the entry and what its actor may do, as far as the entry's own `authority`
    /// tells: the rosters may know more by now, and every replica must answer alike.
    pub(crate) fn writer(
        &self,
        header: &Header,
        prev: Option<&Meta>,
    ) -> Result<Writer<'_>, Verdict> {
        if header.authority.is_empty() {
            return Err(Verdict::Refused(Refusal::Shape("authority")));
        }
        let relied = self.relied(&header.authority);
        let relied = relied.map_err(|missing| Verdict::Pending { missing })?;
        let mut owners = relied
            .iter()
            .filter(|(roster, past)| roster.has_chain(header.chain, past));
        let (Some((roster, past)), None) = (owners.next(), owners.next()) else {
            return Err(Verdict::Refused(Refusal::Chain));
        };
        if roster.is_closed(header.chain, past) {
            return Err(Verdict::Refused(Refusal::ChainClosed));
        }
        if let Some(prev) = prev.filter(|prev| *prev.authority != *header.authority) {
            for hash in prev.authority.iter() {
                let Some((clinic, _, meta)) = self.find(hash) else {
                    return Err(Verdict::Pending {
                        missing: vec![*hash],
                    });
                };
                if clinic == roster.clinic() && !past.covers(meta.at()) {
                    return Err(Verdict::Refused(Refusal::AuthorityShrank));
                }
            }
        }
        match roster.standing(header.actor, past) {
            Standing::Unknown => Err(Verdict::Refused(Refusal::Actor)),
            Standing::Retired => Err(Verdict::Refused(Refusal::ActorRetired)),
            Standing::Holds(roles) => Ok(Writer { roster, roles }),
        }
    }
}

/// Who wrote an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) roster: &'a Roster,
    pub(crate) roles: &'a [Role],
}

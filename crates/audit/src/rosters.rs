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
    chains: BTreeMap<ChainId, ClinicId>,
    entries: BTreeMap<EntryHash, ClinicId>,
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
            Some(clinic) if verdict == Verdict::Accepted => {
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

    /// The clinic that writes this chain.
    pub fn clinic_of(&self, chain: ChainId) -> Option<ClinicId> {
        self.chains.get(&chain).copied()
    }

    /// The clinic's staff member with this key.
    pub fn staff(&self, clinic: ClinicId, key: ActorId) -> Option<&StaffMember> {
        self.get(clinic)?.staff(key)
    }

    fn index(&mut self, clinic: ClinicId, log: LogId) {
        self.clinics.insert(clinic, log);
        let roster = self.logs.get(&log).and_then(LogState::roster);
        for life in roster.into_iter().flat_map(Roster::incarnations) {
            // A chain signs the entry that certifies it, so two clinics share one only if the same
            // hand runs both; the lesser id then wins, whatever the order of arrival.
            let owner = self.chains.entry(life.chain).or_insert(clinic);
            *owner = clinic.min(*owner);
        }
    }

    fn find(&self, entry: &EntryHash) -> Option<(ClinicId, &LogState, &Meta)> {
        let clinic = *self.entries.get(entry)?;
        let state = self.state(clinic)?;
        Some((clinic, state, state.entry_meta(entry)?))
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
        let mut relied: Vec<(&Roster, Past<'_>)> = Vec::new();
        let mut missing = Vec::new();
        for hash in &header.authority {
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
        if !missing.is_empty() {
            return Err(Verdict::Pending { missing });
        }
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
                if clinic == roster.clinic() && !past.covers(meta.at) {
                    return Err(Verdict::Refused(Refusal::AuthorityShrank));
                }
            }
        }
        match roster.standing(header.actor, past) {
            Standing::Unknown => Err(Verdict::Refused(Refusal::Actor)),
            Standing::Retired => Err(Verdict::Refused(Refusal::ActorRetired)),
            Standing::Holds(roles) => Ok(Writer {
                clinic: roster.clinic(),
                roles,
            }),
        }
    }
}

/// Who wrote an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) clinic: ClinicId,
    pub(crate) roles: &'a [Role],
}

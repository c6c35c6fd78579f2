//! What a frame of a long log needs from later ones: entries that go ahead of their turn.
//!
//! A clinic keeps nothing of a record that it is not entitled to, and takes no entry without its payload unless an erasure took that. The
//! grant and the erasure come after what they are about, maybe many frames later; until then all of it would wait in memory, for which there
//! is little room. So they are sent ahead as well. There they cannot be judged yet: they count for what a frame needs if they are signed by
//! who could have written them in any case, and are stored when their turn comes.

use std::collections::BTreeSet;

use salus_api::ApiError;
use salus_audit::{ChainId, ClinicId, Control, Entry, EntryHash, Kind, LogId, Right};

use super::{Core, failure};

/// Entries that go ahead of one frame, at most: files are erased one or a few at a time.
const MAX_AHEAD: usize = 64;

/// The parts of a frame that may need what comes later.
#[derive(Default)]
pub(super) struct Framed {
    /// All entries in it.
    pub entries: BTreeSet<EntryHash>,
    /// Those of them without their payloads.
    pub bare: Vec<(EntryHash, Kind)>,
}

impl Core {
    /// The entries that go ahead of this frame of a log: the grants that entitle a peer that has nothing of it yet, and the erasures that
    /// took what the frame leaves out.
    pub(super) fn ahead(
        &mut self,
        peer: ClinicId,
        log: LogId,
        is_first: bool,
        frame: &Framed,
    ) -> Result<Vec<Vec<u8>>, ApiError> {
        let mut wanted = if is_first {
            self.entitling(peer, log)?
        } else {
            Vec::new()
        };
        let state = self.log(log)?;
        for (entry, kind) in &frame.bare {
            let mut named = state.erasures().filter(|erasure| !erasure.is_of_record());
            let taken = named.find(|erasure| erasure.takes(entry, *kind));
            wanted.extend(taken.map(|erasure| erasure.entry));
        }
        wanted.retain(|entry| !frame.entries.contains(entry));
        let mut seen = BTreeSet::new();
        wanted.retain(|entry| seen.insert(*entry));
        wanted.truncate(MAX_AHEAD);
        let metas = wanted.iter().filter_map(|entry| state.entry_meta(entry));
        let places: Vec<_> = metas.map(|meta| (meta.line, meta.seq)).collect();
        let mut ahead = Vec::with_capacity(places.len());
        for (line, seq) in places {
            let entry = self.store.entry(log, line, seq).map_err(failure::store)?;
            ahead.extend(entry.map(|entry| entry.encode()));
        }
        Ok(ahead)
    }

    /// The grants that count by which a clinic is entitled, and those by which who gave them was, up to home.
    fn entitling(&mut self, clinic: ClinicId, log: LogId) -> Result<Vec<EntryHash>, ApiError> {
        let state = self.log(log)?;
        let mut grants: Vec<(EntryHash, ClinicId, ChainId)> = Vec::new();
        for grant in state.grants() {
            if let Some(meta) = state.entry_meta(&grant.entry) {
                grants.push((grant.entry, grant.clinic, meta.chain));
            }
        }
        let home = state.home();
        let (mut found, mut asked) = (Vec::new(), vec![clinic]);
        let mut seen: BTreeSet<ClinicId> = home.into_iter().chain([clinic]).collect();
        while let Some(clinic) = asked.pop() {
            for (entry, _, chain) in grants.iter().filter(|grant| grant.1 == clinic) {
                found.push(*entry);
                let by = self.rosters.clinic_of(*chain);
                asked.extend(by.filter(|by| seen.insert(*by)));
            }
        }
        Ok(found)
    }

    /// Whether entries that wait for their turn say that this clinic is entitled to a record: granted by its home, or by whom its home
    /// granted the right to grant.
    pub(super) fn is_promised(&mut self, log: LogId, waiting: &[Entry]) -> bool {
        let Ok(Some(home)) = self.log(log).map(|state| state.home()) else {
            return false;
        };
        let of_log = waiting.iter().filter(|entry| entry.header().log == log);
        let grants: Vec<(ClinicId, ClinicId, Right)> = of_log
            .filter_map(|entry| {
                let by = self.rosters.clinic_of(entry.header().chain)?;
                match control(entry)? {
                    Control::Grant { clinic, right, .. } => Some((by, clinic, right)),
                    _ => None,
                }
            })
            .collect();
        let (mut may_grant, mut next) = (BTreeSet::from([home]), vec![home]);
        while let Some(by) = next.pop() {
            for (_, clinic, right) in grants.iter().filter(|grant| grant.0 == by) {
                if *clinic == self.me {
                    return true;
                }
                if *right >= Right::Write && may_grant.insert(*clinic) {
                    next.push(*clinic);
                }
            }
        }
        false
    }

    /// The attach entries whose payloads were erased as entries say that wait for their turn, signed by the record's home: it could have
    /// left them out in any case.
    pub(super) fn explained(&mut self, waiting: &[Entry]) -> BTreeSet<(LogId, EntryHash)> {
        let mut explained = BTreeSet::new();
        for entry in waiting {
            let (log, chain) = (entry.header().log, entry.header().chain);
            let Some(Control::Erase { entries, .. }) = control(entry) else {
                continue;
            };
            let by = self.rosters.clinic_of(chain);
            if by.is_some() && self.log(log).is_ok_and(|state| state.home() == by) {
                explained.extend(entries.into_iter().map(|entry| (log, entry)));
            }
        }
        explained
    }
}

fn control(entry: &Entry) -> Option<Control> {
    let kind = entry.header().kind;
    if !matches!(kind, Kind::Grant | Kind::Erase) {
        return None;
    }
    Control::decode(kind, entry.payload()?).ok()
}

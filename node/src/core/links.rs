//! Two records of one person: found, shown as one by a signed link, taken apart again by another entry. Nothing is deleted.

use std::collections::{BTreeMap, BTreeSet};

use salus_api::{ApiError, DuplicateView, PatientView};
use salus_audit::{Body, EntryHash, Kind, LogId, Meta};
use salus_record::RecordContent;

use super::{Core, Said, Staff, failure};

/// Records that are shown as one with another, at most (a guess: a person registered at every clinic of a region).
const MAX_LINKED: usize = 16;
/// Candidates that are listed of one record.
const MAX_DUPLICATES: usize = 20;
/// Pairs that are listed of the whole clinic: a morning's work.
const MAX_PAIRS: usize = 200;

impl Core {
    /// Records that may be of the same person, the likeliest first; those that are linked say so.
    pub fn duplicates(&mut self, log: LogId) -> Result<Vec<DuplicateView>, ApiError> {
        let linked = self.linked(log)?;
        let index = &self.opened()?.index;
        let Some(of) = index.get(&log).map(|row| row.view(log)) else {
            return Ok(Vec::new());
        };
        Ok(index
            .duplicates_of(&log, MAX_DUPLICATES, &|_, _| false)
            .into_iter()
            .filter_map(|candidate| {
                Some(DuplicateView {
                    of: of.clone(),
                    row: index.get(&candidate.log)?.view(candidate.log),
                    score: candidate.score,
                    reasons: candidate.reasons,
                    linked: linked.contains(&candidate.log),
                })
            })
            .collect())
    }

    /// Pairs of records that may be of one person and are not linked, the likeliest first.
    pub fn all_duplicates(&mut self) -> Result<Vec<DuplicateView>, ApiError> {
        let index = &self.opened()?.index;
        let linked =
            |one: &LogId, two: &LogId| index.get(one).is_some_and(|row| row.linked.contains(two));
        Ok(index
            .duplicates(MAX_PAIRS, &linked)
            .into_iter()
            .filter(|(_, _, candidate)| candidate.is_duplicate())
            .filter_map(|(one, two, candidate)| {
                Some(DuplicateView {
                    of: index.get(&one)?.view(one),
                    row: index.get(&two)?.view(two),
                    score: candidate.score,
                    reasons: candidate.reasons,
                    linked: false,
                })
            })
            .collect())
    }

    /// Shows two records as one from now on; `false` where they are already.
    pub fn link(&mut self, who: &Staff, log: LogId, other: LogId) -> Result<bool, ApiError> {
        if log == other {
            return Err(ApiError::usage("both are the same record"));
        }
        if self.links_of(log)?.contains(&other) && self.links_of(other)?.contains(&log) {
            return Ok(false);
        }
        if self.linked(log)?.len() >= MAX_LINKED {
            return Err(ApiError::failed(format!(
                "{MAX_LINKED} records are shown as one already"
            )));
        }
        self.link_both(who, [log, other], |other| Body::Link { other })
    }

    /// Takes a link back; `false` where there is none.
    pub fn unlink(&mut self, who: &Staff, log: LogId, other: LogId) -> Result<bool, ApiError> {
        if !self.links_of(log)?.contains(&other) && !self.links_of(other)?.contains(&log) {
            return Ok(false);
        }
        self.link_both(who, [log, other], |other| Body::Unlink { other })
    }

    /// Says the same in both logs, in one transaction.
    fn link_both(
        &mut self,
        who: &Staff,
        [one, two]: [LogId; 2],
        body: impl Fn(LogId) -> Body,
    ) -> Result<bool, ApiError> {
        self.transact(|core, pending| {
            for (log, other) in [(one, two), (two, one)] {
                let (epoch, key) = core.newest_key(log)?;
                let said = body(other);
                core.append(
                    pending,
                    &who.key,
                    log,
                    None,
                    Said::Sealed(&said, epoch, &key),
                )?;
                // The index follows once the entries can be read; should that not come about now, then with the next digestion.
                pending.batch.dirty.push(log);
            }
            Ok(())
        })?;
        self.transact(|core, pending| {
            core.refresh(one, pending)?;
            core.refresh(two, pending)
        })?;
        Ok(true)
    }

    /// The records that a record's own log links it with: of the entries about each, the last decides.
    pub(super) fn links_of(&mut self, log: LogId) -> Result<BTreeSet<LogId>, ApiError> {
        let state = self.log(log)?;
        let metas: Vec<Meta> = state
            .entries()
            .filter(|meta| matches!(meta.kind, Kind::Link | Kind::Unlink))
            .filter(|meta| state.void(&meta.hash).is_none())
            .cloned()
            .collect();
        let mut last: BTreeMap<LogId, ((u64, EntryHash), bool)> = BTreeMap::new();
        for meta in metas {
            let entry = self
                .store()
                .entry(log, meta.line, meta.seq)
                .map_err(failure::store)?;
            let Some(entry) = entry else { continue };
            let (other, on) = match self.open_body(log, &entry) {
                Ok(Body::Link { other }) => (other, true),
                Ok(Body::Unlink { other }) => (other, false),
                _ => continue,
            };
            // Depth rises along causality; between concurrent entries the hash decides, on every replica alike.
            let rank = (meta.depth, meta.hash);
            if last.get(&other).is_none_or(|(known, _)| *known < rank) {
                last.insert(other, (rank, on));
            }
        }
        Ok(last
            .into_iter()
            .filter(|(_, (_, on))| *on)
            .map(|(other, _)| other)
            .take(MAX_LINKED)
            .collect())
    }

    /// Every readable record that is shown as one with this, over any number of links, as the index has them.
    pub(super) fn linked(&mut self, log: LogId) -> Result<BTreeSet<LogId>, ApiError> {
        let index = &self.opened()?.index;
        let mut found = BTreeSet::from([log]);
        let mut next = vec![log];
        while let Some(at) = next.pop() {
            let Some(row) = index.get(&at) else { continue };
            for other in &row.linked {
                // Both logs must say so: whoever may write into one of them cannot show another record in it.
                let mutual = index.get(other).is_some_and(|row| row.linked.contains(&at));
                if mutual && found.len() <= MAX_LINKED && found.insert(*other) {
                    next.push(*other);
                }
            }
        }
        found.remove(&log);
        Ok(found)
    }

    /// A record, and then those that are shown as one with it.
    pub fn person(&mut self, log: LogId) -> Result<Vec<LogId>, ApiError> {
        let mut logs = vec![log];
        logs.extend(self.linked(log)?);
        Ok(logs)
    }

    /// Adds what linked records say to a record's view: their items and files after its own; who the patient is stays its own.
    pub(super) fn add_linked(
        &mut self,
        log: LogId,
        view: &mut PatientView,
    ) -> Result<(), ApiError> {
        for other in self.linked(log)? {
            // A linked record whose log is damaged is named; this one is shown all the same.
            let said = match self.document(other) {
                Ok(document) => document.record.view(),
                Err(error) => {
                    view.problems.push(error.message);
                    continue;
                }
            };
            add_items(&mut view.content, said.content);
            match self.attachment_views(other) {
                Ok(files) => view.attachments.extend(files),
                Err(error) => view.problems.push(error.message),
            }
            let row = self.opened()?.index.get(&other).map(|row| row.view(other));
            view.linked.extend(row);
            let found = self.conflicts(other)?;
            if !found.conflicts.is_empty() || !found.concerns.is_empty() {
                view.warnings.push(format!(
                    "the linked {} has conflicts of its own to settle",
                    self.short(other)
                ));
            }
        }
        Ok(())
    }
}

fn add_items(content: &mut RecordContent, other: RecordContent) {
    content.allergies.extend(other.allergies);
    content.conditions.extend(other.conditions);
    content.medications.extend(other.medications);
    content.observations.extend(other.observations);
    content.diagnostic_reports.extend(other.diagnostic_reports);
    content.immunizations.extend(other.immunizations);
    content.procedures.extend(other.procedures);
    content.encounters.extend(other.encounters);
    content.notes.extend(other.notes);
}

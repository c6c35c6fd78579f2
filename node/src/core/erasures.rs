//! Erasing: what was said in a record, of one file or at all, is destroyed here and wherever the erasure reaches.
//!
//! An erasure is an entry that everybody may read. What it takes leaves the store in the transaction from which on it counts, here as
//! elsewhere: payloads, the record's row of the index and its saved document. Entries whose payloads were destroyed are passed on bare;
//! a bare entry is taken only together with the erasure that explains it.

use std::collections::{BTreeMap, BTreeSet};

use salus_api::ApiError;
use salus_audit::{Control, Entry, EntryHash, Kind, LogId, Right, Role};
use salus_sync::Committed;

use super::attachments::What;
use super::edits::instant;
use super::{Core, Pending, Said, Staff, rights};

/// Why something is not here that nothing took.
pub(super) const VAIN_ERASURE: &str =
    "by an erasure that counts no more; another clinic may still have it";
/// Least characters of an id by which an erased record is found.
const MIN_ID_CHARS: usize = 4;
/// Characters of an id that are shown, enough to give it again.
const SHOWN_ID_CHARS: usize = 12;

impl Core {
    /// Destroys a file for everyone: its entry's payload goes with the commit, its blobs are named no more.
    pub fn erase_file(
        &mut self,
        who: &Staff,
        log: LogId,
        text: &str,
        reason: &str,
    ) -> Result<String, ApiError> {
        let (log, file) = self.attachment_of_person(log, text)?;
        let reason = rights::reason(reason)?;
        if self
            .log(log)?
            .erased(&file.meta.hash, Kind::Attach)
            .is_some()
        {
            return Ok("nothing to change: the file is erased already".to_owned());
        }
        if matches!(file.what, What::Inline { .. }) {
            return Err(ApiError::usage(format!(
                "{} is the source of an import: the record's items came from it",
                file.id()
            ))
            .hint("correct the items themselves; files that were attached can be erased, and so can the whole record"));
        }
        self.may_erase(who, "files")?;
        let (me, chain) = (self.me, self.chain_id());
        let right = self.log(log)?.right_of(me);
        let own = file.meta.chain == chain && right.is_some_and(|right| right >= Right::Write);
        if right != Some(Right::Home) && !own {
            return Err(ApiError::refused(format!(
                "not permitted: {} was attached elsewhere, or in another life of this clinic, which is not the record's home",
                file.id()
            ))
            .hint("ask the record's home clinic (`salus grants PATIENT` shows it), or who attached it"));
        }
        let control = Control::Erase {
            entries: vec![file.meta.hash],
            reason,
        };
        self.transact(|core, pending| {
            core.append(pending, &who.key, log, None, Said::Clear(&control))?;
            core.refresh(log, pending)
        })?;
        Ok(format!(
            "erased {} here; every clinic that this reaches erases it, too",
            file.id()
        ))
    }

    /// Destroys all that was ever sealed in a record, and all that others may still write into it without knowing.
    pub fn erase_record(
        &mut self,
        who: &Staff,
        log: LogId,
        reason: &str,
    ) -> Result<String, ApiError> {
        let reason = rights::reason(reason)?;
        if self.log(log)?.record_erased().is_some() {
            return Ok("nothing to change: the record is erased already".to_owned());
        }
        self.may_erase(who, "records")?;
        let me = self.me;
        if self.log(log)?.right_of(me) != Some(Right::Home) {
            return Err(ApiError::refused(
                "not permitted: only a record's home clinic erases it",
            )
            .hint("`salus grants PATIENT` shows which clinic that is; files that were attached here can be erased here"));
        }
        let control = Control::Erase {
            entries: Vec::new(),
            reason,
        };
        let short = self.short(log);
        self.transact(|core, pending| {
            core.append(pending, &who.key, log, None, Said::Clear(&control))?;
            core.refresh(log, pending)
        })?;
        Ok(format!(
            "erased the {short} here; every clinic that this reaches erases it, too"
        ))
    }

    fn may_erase(&self, who: &Staff, what: &str) -> Result<(), ApiError> {
        let mut roles = Role::ALL.iter().filter(|role| role.may_erase());
        if roles.any(|role| self.has_role(who, *role)) {
            return Ok(());
        }
        Err(
            ApiError::refused(format!("not permitted: this role erases no {what}"))
                .hint("a physician or an administrator does"),
        )
    }

    /// The patient that a text means, or the record that was erased of which it is the id or its beginning: for what can be asked of that.
    pub fn patient_or_erased(&mut self, text: &str) -> Result<LogId, ApiError> {
        match self.patient(text) {
            Ok(log) => Ok(log),
            Err(error) => match self.erased_records(text).as_slice() {
                [log] => Ok(*log),
                _ => Err(error),
            },
        }
    }

    /// The erased records whose ids begin so.
    pub(super) fn erased_records(&mut self, start: &str) -> Vec<LogId> {
        let start = start.trim().to_lowercase();
        if start.len() < MIN_ID_CHARS {
            return Vec::new();
        }
        // What is no beginning of an id is no number either.
        let Ok(least) = format!("{start:0<64}").parse::<LogId>() else {
            return Vec::new();
        };
        let summaries = self.logs.summaries().range(least..);
        let named: Vec<LogId> = summaries
            .take_while(|(log, _)| log.to_string().starts_with(&start))
            .filter(|(_, summary)| !summary.roster)
            .map(|(log, _)| *log)
            .collect();
        let erased = named.into_iter().filter(|log| {
            let state = self.log(*log);
            state.is_ok_and(|state| state.record_erased().is_some())
        });
        erased.collect()
    }

    /// Refuses what nothing is left of.
    pub(super) fn refuse_erased(&mut self, log: LogId) -> Result<(), ApiError> {
        match self.log(log)?.record_erased() {
            None => Ok(()),
            Some(_) => Err(self.was_erased(log)),
        }
    }

    /// Says when, by whom and why a record was erased.
    pub(super) fn was_erased(&mut self, log: LogId) -> ApiError {
        let said = self.who_erased(log).unwrap_or_default();
        let id: String = log.to_string().chars().take(SHOWN_ID_CHARS).collect();
        ApiError::not_found(format!("record {id} was erased{said}")).hint(format!(
            "nothing is left of it here but that it was; `salus audit log {id}` shows who did what and when"
        ))
    }

    fn who_erased(&mut self, log: LogId) -> Option<String> {
        let state = self.log(log).ok()?;
        let erasure = state.record_erased()?;
        let meta = state.entry_meta(&erasure.entry)?;
        let (chain, actor, day) = (meta.chain, meta.actor, instant(meta.time_ms));
        let reason = erasure.reason.clone();
        let day = day.get(..10).unwrap_or(&day);
        Some(format!(
            " on {day} by {} at {}: {reason}",
            self.actor_name(chain, actor),
            self.chain_clinic(chain)
        ))
    }

    /// Has the payloads destroyed that erasures take, where this transaction or what it changes makes them others; of an erased record its
    /// row of the index and its saved document, too. Returns the entries, log by log.
    pub(super) fn destroy_erased(
        &mut self,
        pending: &mut Pending,
    ) -> Vec<(LogId, BTreeSet<EntryHash>)> {
        let mut taken = Vec::new();
        for log in pending.touched.clone() {
            let Ok(state) = self.log(log) else { continue };
            let erased = state.erased_entries();
            let whole = state.record_erased().is_some();
            let before = self.logs.destroyed(&log);
            pending.batch.detach.extend(erased.difference(before));
            let is_other = erased != *before;
            if whole {
                self.forget_record(log, pending);
            }
            if is_other {
                taken.push((log, erased));
            }
        }
        taken
    }

    /// Takes what is known of a record's content out of index and cache.
    pub(super) fn forget_record(&mut self, log: LogId, pending: &mut Pending) {
        // Who is shown with this record's items in theirs is to be shown anew.
        let linked = self.linked(log).unwrap_or_default();
        pending.shown_anew.extend(linked);
        pending.batch.index_rows.retain(|(other, _)| *other != log);
        pending.batch.snapshots.retain(|(other, _)| *other != log);
        pending.batch.snapshots.push((log, None));
        self.hide(log, pending);
        if let Some(opened) = &mut self.opened {
            opened.forget(&log);
        }
    }

    /// What was set aside for the logs of these entries and the entries themselves; apart from the rest entries without their payloads
    /// that nothing among them, or held here, says were erased.
    pub(super) fn part_bare(&mut self, entries: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
        let all = self.with_unproven(entries);
        let mut named: BTreeSet<EntryHash> = BTreeSet::new();
        let mut records: BTreeSet<LogId> = BTreeSet::new();
        for entry in all.iter().filter(|e| e.header().kind == Kind::Erase) {
            let control = Control::decode(Kind::Erase, entry.payload().unwrap_or_default());
            match control {
                Ok(Control::Erase { entries, .. }) if entries.is_empty() => {
                    records.insert(entry.header().log);
                }
                Ok(Control::Erase { entries, .. }) => named.extend(entries),
                _ => {}
            }
        }
        all.into_iter().partition(|entry| {
            let (log, hash) = (entry.header().log, entry.hash());
            is_bare(entry)
                && !named.contains(&hash)
                && !records.contains(&log)
                && self.log(log).is_ok_and(|state| {
                    state.entry_meta(&hash).is_none()
                        && !state.may_be_bare(&hash, entry.header().kind)
                })
        })
    }

    /// Sets entries without their payloads aside until the erasure comes that took them, with what builds on them.
    pub(super) fn set_bare_aside(
        &mut self,
        bare: Vec<Entry>,
        waiting: &mut BTreeMap<EntryHash, Vec<Entry>>,
        committed: &mut Committed,
    ) {
        if bare.is_empty() {
            return;
        }
        let logs: BTreeSet<LogId> = bare.iter().map(|entry| entry.header().log).collect();
        let building = waiting
            .values_mut()
            .flat_map(|entries| entries.extract_if(.., |entry| logs.contains(&entry.header().log)));
        for entry in bare.into_iter().chain(building) {
            committed.pending += 1;
            let log = entry.header().log;
            self.unproven.entry(log).or_default().push(entry);
        }
        waiting.retain(|_, entries| !entries.is_empty());
        committed.waiting.extend(logs);
        self.bound_unproven();
    }

    /// The logs of which this transaction has an entry without its payload that no erasure takes, held or ahead of its turn.
    pub(super) fn without_erasure(
        &mut self,
        pending: &Pending,
        waiting: &[Entry],
    ) -> BTreeSet<LogId> {
        let entries = pending.batch.entries.iter();
        let entries = entries.chain(pending.batch.forks.iter().map(|(_, entry)| entry));
        let bare: Vec<(LogId, EntryHash, Kind)> = entries
            .filter(|entry| is_bare(entry))
            .map(|entry| (entry.header().log, entry.hash(), entry.header().kind))
            .collect();
        if bare.is_empty() {
            return BTreeSet::new();
        }
        let explained = self.explained(waiting);
        let unexplained = bare.into_iter().filter(|(log, entry, kind)| {
            let state = self.log(*log);
            let taken = state.is_ok_and(|state| state.may_be_bare(entry, *kind));
            let ahead = *kind == Kind::Attach && explained.contains(&(*log, *entry));
            !taken && !ahead
        });
        unexplained.map(|(log, ..)| log).collect()
    }

    /// Whether what this entry says is missing here, because of an erasure that counts no more or has never come.
    pub(super) fn lacks_payload(&mut self, entry: &Entry) -> bool {
        let (log, hash, kind) = (entry.header().log, entry.hash(), entry.header().kind);
        if entry.payload().is_none() || kind.is_clear() {
            return false;
        }
        let Ok(state) = self.log(log) else {
            return false;
        };
        if state.erased(&hash, kind).is_some() {
            return false;
        }
        let Some((line, seq)) = state.entry_meta(&hash).map(|meta| (meta.line, meta.seq)) else {
            return false;
        };
        let held = self.store.entry(log, line, seq);
        held.is_ok_and(|held| held.is_some_and(|held| held.payload().is_none()))
    }

    /// Keeps what an entry says that is held without it, and has the record's document made anew.
    pub(super) fn say_again(&mut self, entry: Entry, pending: &mut Pending) {
        let log = entry.header().log;
        let line = self.line_of(log, &entry);
        pending.keep(line, entry);
        pending.said_again += 1;
        pending.touched.insert(log);
        pending.batch.snapshots.push((log, None));
        if let Some(opened) = &mut self.opened {
            opened.forget(&log);
        }
    }
}

/// Whether an entry is without the payload that only an erasure can have taken; without a clear body it says nothing at all and is refused.
pub(super) fn is_bare(entry: &Entry) -> bool {
    entry.payload().is_none() && !entry.header().kind.is_clear()
}

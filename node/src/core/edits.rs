//! What a person at work does to a record.

use salus_api::{ApiError, ErrorKind, NewPatient, PatientRow, Stoppable};
use salus_audit::{Body, LogId};
use salus_record::{Collection, Edit, Item, Note, Patient, RecordContent, Timing};

use super::index::Found;
use super::{Core, Pending, Prepared, Said, Staff, entry_scope};

/// Ids shown when words are ambiguous.
const MAX_CANDIDATES: usize = 5;
/// Longest name of a patient that a person registers, bytes.
const MAX_NAME_BYTES: usize = 200;
/// Longest note, bytes (record's own bound is per field).
const MAX_NOTE_BYTES: usize = 256 << 10;

impl Core {
    /// The record that an id, a prefix of it, an MRN or an exact name means.
    pub fn patient(&mut self, text: &str) -> Result<LogId, ApiError> {
        let index = &self.opened()?.index;
        match index.find(text) {
            Found::One(log) => Ok(log),
            Found::Nobody => Err(match self.erased_records(text).as_slice() {
                [log] => self.was_erased(*log),
                [] => ApiError::not_found(format!("no patient here is `{text}`"))
                    .hint("search with `salus patient find WORDS`; an id, its beginning, an MRN or an exact name will do"),
                several => ApiError::usage(format!("{} erased records are `{text}`", several.len()))
                    .hint("give more of the id"),
            }),
            Found::Several(logs) => {
                let shown: Vec<String> = logs
                    .iter()
                    .take(MAX_CANDIDATES)
                    .map(|log| log.to_string().chars().take(16).collect())
                    .collect();
                Err(ApiError::usage(format!("{} patients are `{text}`", logs.len()))
                    .hint(format!("give more of the id: {}", shown.join(", "))))
            }
        }
    }

    /// Every patient of the index.
    pub fn patients(&mut self) -> Result<Vec<PatientRow>, ApiError> {
        Ok(self.opened()?.index.all())
    }

    /// Patients that match every word.
    pub fn search(&mut self, text: &str, limit: usize) -> Result<Vec<PatientRow>, ApiError> {
        Ok(self.opened()?.index.search(text, limit))
    }

    /// Registers a patient.
    pub fn register(&mut self, who: &Staff, new: NewPatient) -> Result<PatientRow, ApiError> {
        let sex = new.sex.parse().map_err(|()| {
            ApiError::usage(format!("`{}` is not a sex", new.sex))
                .hint("write male, female, other or unknown")
        })?;
        if new.family.trim().is_empty() && new.given.trim().is_empty() {
            return Err(ApiError::usage("a patient needs a name").hint("give --family and --given"));
        }
        for (what, text) in [("family", &new.family), ("given", &new.given)] {
            if text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control) {
                return Err(ApiError::usage(format!(
                    "the {what} name has at most {MAX_NAME_BYTES} bytes and no control characters"
                )));
            }
        }
        let birth_date = (!new.birth_date.is_empty()).then_some(new.birth_date);
        let mrn = match new.mrn.filter(|mrn| !mrn.trim().is_empty()) {
            Some(mrn) => {
                if self.opened()?.index.has_mrn(&mrn) {
                    return Err(
                        ApiError::usage(format!("`{mrn}` already means a patient here"))
                            .hint("open that patient, or give another --mrn"),
                    );
                }
                mrn.trim().to_owned()
            }
            None => self.draw_mrn()?,
        };
        let patient = Patient {
            mrn: Some(mrn),
            family: some(&new.family),
            given: new.given.split_whitespace().map(str::to_owned).collect(),
            birth_date,
            sex,
            phone: new.phone.as_deref().and_then(some),
            ..Patient::default()
        };
        let content = RecordContent {
            patient,
            ..RecordContent::default()
        };
        let prepared =
            Prepared::new_record(content, None, self.me(), self.chain_id(), self.now_ms())
                .map_err(|error| {
                    match error.kind {
            ErrorKind::Usage => error.hint(
                "write a birth date as YYYY-MM-DD, or YYYY-MM or YYYY where no more is known",
            ),
            _ => error,
        }
                })?;
        let log = prepared.log();
        self.transact(|core, pending| core.store_prepared(pending, who, prepared))?;
        let index = &self.opened()?.index;
        index
            .get(&log)
            .map(|row| row.view(log))
            .ok_or_else(|| ApiError::failed("the patient was stored but is not in the index"))
    }

    fn draw_mrn(&mut self) -> Result<String, ApiError> {
        // Six digits: a clinic's lifetime of patients; a number in use is drawn again.
        for _ in 0..64 {
            let mut bytes = [0u8; 4];
            getrandom::fill(&mut bytes).map_err(|e| {
                ApiError::failed(format!("the system's random generator failed: {e}"))
            })?;
            let mrn = format!("{:06}", u32::from_le_bytes(bytes) % 1_000_000);
            if !self.opened()?.index.has_mrn(&mrn) {
                return Ok(mrn);
            }
        }
        Err(ApiError::failed("no free record number was found").hint("give one with --mrn"))
    }

    /// Sets one demographic field.
    pub fn set(
        &mut self,
        who: &Staff,
        log: LogId,
        path: &str,
        value: &str,
    ) -> Result<bool, ApiError> {
        self.check_identity(log, path, value)?;
        let path = path
            .strip_prefix("patient/")
            .or_else(|| path.strip_prefix("patient."))
            .unwrap_or(path);
        let edit = Edit::SetPatient {
            path: path.to_owned(),
            value: some(value),
        };
        self.edit(who, log, vec![edit], format!("{path} set"))
    }

    /// What `register` demands of a patient stays true: a name, and a record number that is nobody else's.
    fn check_identity(&mut self, log: LogId, path: &str, value: &str) -> Result<(), ApiError> {
        let value = value.trim();
        if path.ends_with("mrn") && !value.is_empty() {
            let index = &self.opened()?.index;
            let own = index.get(&log).and_then(|row| row.mrn.as_deref());
            if own != Some(value) && index.has_mrn(value) {
                return Err(ApiError::usage(format!(
                    "`{value}` already is another patient's record number here"
                )));
            }
        }
        if value.is_empty() && (path.ends_with("family") || path.ends_with("given")) {
            let patient = self.document(log)?.record.patient();
            let other = if path.ends_with("family") {
                patient.given.is_empty()
            } else {
                patient.family.is_none()
            };
            if other {
                return Err(
                    ApiError::usage("a patient needs a name").hint("set the other name first")
                );
            }
        }
        Ok(())
    }

    /// Writes a note; its id is returned.
    pub fn note(&mut self, who: &Staff, log: LogId, text: &str) -> Result<String, ApiError> {
        if text.trim().is_empty() {
            return Err(ApiError::usage("an empty note says nothing"));
        }
        if text.len() > MAX_NOTE_BYTES {
            return Err(ApiError::usage(format!(
                "a note of {} bytes is too long; {MAX_NOTE_BYTES} are allowed",
                text.len()
            )));
        }
        let id = fresh_id()?;
        let note = Note {
            id: id.clone(),
            created_ms: self.now_ms(),
            author: who.name.clone(),
            encounter: None,
            text: text.to_owned(),
        };
        self.edit(
            who,
            log,
            vec![Edit::NewNote(note)],
            "note written".to_owned(),
        )?;
        Ok(id)
    }

    /// Adds an item; its id is returned.
    pub fn add(&mut self, who: &Staff, log: LogId, mut item: Item) -> Result<String, ApiError> {
        let now = instant(self.now_ms());
        complete(&mut item, &now)?;
        let id = item.id().to_owned();
        let summary = format!("{} added: {}", item.collection().singular(), item.label());
        self.edit(who, log, vec![Edit::Put(item)], summary)?;
        Ok(id)
    }

    /// Ends a medicine, a condition or an allergy, named by id, a prefix of it, or the words of its code.
    pub fn stop(
        &mut self,
        who: &Staff,
        log: LogId,
        kind: Stoppable,
        item: &str,
        why: Option<String>,
    ) -> Result<String, ApiError> {
        let at = instant(self.now_ms());
        let content = self.document(log)?.record.view().content;
        let over = |status: &Option<String>, ends: &[&str]| {
            status
                .as_deref()
                .is_some_and(|status| ends.contains(&status))
        };
        // Id, words, and whether it is over already.
        let (collection, items): (_, Vec<(String, String, bool)>) = match kind {
            Stoppable::Medication => (
                Collection::Medications,
                content
                    .medications
                    .into_iter()
                    .map(|m| {
                        let is_over = over(&m.status, &["stopped", "completed"]);
                        (m.id, m.code.label().to_owned(), is_over)
                    })
                    .collect(),
            ),
            Stoppable::Condition => (
                Collection::Conditions,
                content
                    .conditions
                    .into_iter()
                    .map(|c| {
                        let is_over = over(&c.clinical_status, &["resolved"]);
                        (c.id, c.code.label().to_owned(), is_over)
                    })
                    .collect(),
            ),
            Stoppable::Allergy => (
                Collection::Allergies,
                content
                    .allergies
                    .into_iter()
                    .map(|a| {
                        let is_over = over(&a.clinical_status, &["inactive", "resolved"]);
                        (a.id, a.code.label().to_owned(), is_over)
                    })
                    .collect(),
            ),
        };
        let wanted = item.to_lowercase();
        let exact: Vec<_> = items
            .iter()
            .filter(|(id, label, _)| id == item || label.to_lowercase() == wanted)
            .collect();
        let mut found = if exact.is_empty() {
            items
                .iter()
                .filter(|(id, label, _)| {
                    id.starts_with(item) || label.to_lowercase().starts_with(&wanted)
                })
                .collect()
        } else {
            exact
        };
        // Of several with the same words, those that are over are not meant.
        if found.len() > 1 && found.iter().any(|(_, _, is_over)| !is_over) {
            found.retain(|(_, _, is_over)| !is_over);
        }
        let (id, label) = match found.as_slice() {
            [(_, label, true)] => {
                return Err(ApiError::failed(format!(
                    "the {} {label} is over already; nothing was changed",
                    collection.singular()
                ))
                .hint("`salus patient show PATIENT` tells when it ended and why"));
            }
            [(id, label, false)] => (id.clone(), label.clone()),
            [] => {
                return Err(ApiError::not_found(format!(
                    "the record has no {} `{item}`",
                    collection.singular()
                ))
                .hint("see `salus patient show PATIENT` for the items and their ids"));
            }
            several => {
                let ids: Vec<_> = several
                    .iter()
                    .take(MAX_CANDIDATES)
                    .map(|(id, _, _)| id.as_str())
                    .collect();
                return Err(
                    ApiError::usage(format!("`{item}` means {} items", several.len()))
                        .hint(format!("give one of the ids: {}", ids.join(", "))),
                );
            }
        };
        let summary = format!("{} stopped: {label}", collection.singular());
        self.edit(
            who,
            log,
            vec![Edit::Stop {
                collection,
                id,
                at,
                why,
            }],
            summary,
        )?;
        Ok(label)
    }

    /// Makes edits of one scope as one entry; `false` where they change nothing.
    pub(super) fn edit(
        &mut self,
        who: &Staff,
        log: LogId,
        edits: Vec<Edit>,
        summary: String,
    ) -> Result<bool, ApiError> {
        self.transact(|core, pending| {
            let changed = core.edit_in(pending, who, log, &edits, summary)?;
            if changed {
                core.tend(pending, who, log)?;
                let now = core.now_ms();
                core.covers_all(log, now)?;
                core.refresh(log, pending)?;
            }
            Ok(changed)
        })
    }

    /// Makes many edits of one record, an entry each, in one transaction.
    pub fn edit_many(
        &mut self,
        who: &Staff,
        log: LogId,
        batch: impl Iterator<Item = Vec<Edit>>,
        summary: &str,
    ) -> Result<(), ApiError> {
        self.transact(|core, pending| {
            for edits in batch {
                core.edit_in(pending, who, log, &edits, summary.to_owned())?;
            }
            core.refresh(log, pending)
        })
    }

    /// Some stored entries, for measuring.
    pub fn sample_entries(&mut self, limit: usize) -> Result<Vec<salus_audit::Entry>, ApiError> {
        let logs: Vec<LogId> = self.logs.summaries().keys().copied().collect();
        let mut sample = Vec::new();
        for log in logs {
            let headers = self.store.log_headers(log).map_err(super::failure::store)?;
            sample.extend(headers.into_iter().map(|(_, entry)| entry));
            if sample.len() >= limit {
                break;
            }
        }
        sample.truncate(limit);
        Ok(sample)
    }

    /// The same within a transaction; the caller refreshes.
    pub(super) fn edit_in(
        &mut self,
        pending: &mut Pending,
        who: &Staff,
        log: LogId,
        edits: &[Edit],
        summary: String,
    ) -> Result<bool, ApiError> {
        let now = self.now_ms();
        pending.touched.insert(log);
        let document = self.document(log)?;
        let Some(change) = document.record.edit(edits, now).map_err(edit_error)? else {
            return Ok(false);
        };
        let (epoch, key) = self.newest_key(log)?;
        let body = Body::Edit {
            changes: vec![change.bytes],
            summary,
        };
        let scope = entry_scope(change.scope);
        let entry = self.append(
            pending,
            &who.key,
            log,
            Some(scope),
            Said::Sealed(&body, epoch, &key),
        )?;
        self.covers_all(log, entry.header().time_ms)?;
        Ok(true)
    }
}

/// An edit that the document refused, in the API's words.
pub(super) fn edit_error(error: salus_record::EditError) -> ApiError {
    use salus_record::EditError;
    let message = error.to_string();
    match error {
        EditError::NoSuchItem { .. } => ApiError::not_found(message),
        EditError::NotCreated => {
            ApiError::failed(message).hint("sync with the clinic it came from, then try again")
        }
        EditError::Engine => ApiError::failed(message),
        _ => ApiError::usage(message),
    }
}

/// A random id for an item: 128 bits, hex.
pub fn fresh_id() -> Result<String, ApiError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| ApiError::failed(format!("the system's random generator failed: {e}")))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// A claimed time as a FHIR instant in UTC, to the second.
pub(super) fn instant(ms: u64) -> String {
    i64::try_from(ms / 1000)
        .ok()
        .and_then(|s| jiff::Timestamp::from_second(s).ok())
        .map_or_else(|| "1970-01-01T00:00:00Z".to_owned(), |t| t.to_string())
}

/// Fills in what a person leaves out: the id, the date, the status that "added now" means.
fn complete(item: &mut Item, now: &str) -> Result<(), ApiError> {
    fn or<T>(slot: &mut Option<T>, value: impl FnOnce() -> T) {
        if slot.is_none() {
            *slot = Some(value());
        }
    }
    let id = match item {
        Item::Allergy(i) => {
            or(&mut i.clinical_status, || "active".into());
            or(&mut i.recorded_date, || now.to_owned());
            &mut i.id
        }
        Item::Condition(i) => {
            or(&mut i.clinical_status, || "active".into());
            or(&mut i.recorded_date, || now.to_owned());
            &mut i.id
        }
        Item::Medication(i) => {
            or(&mut i.status, || "active".into());
            or(&mut i.intent, || "order".into());
            or(&mut i.authored_on, || now.to_owned());
            &mut i.id
        }
        Item::Observation(i) => {
            or(&mut i.status, || "final".into());
            or(&mut i.effective, || Timing::DateTime(now.to_owned()));
            &mut i.id
        }
        Item::DiagnosticReport(i) => {
            or(&mut i.status, || "final".into());
            or(&mut i.effective, || Timing::DateTime(now.to_owned()));
            &mut i.id
        }
        Item::Immunization(i) => {
            or(&mut i.status, || "completed".into());
            or(&mut i.occurrence, || Timing::DateTime(now.to_owned()));
            &mut i.id
        }
        Item::Procedure(i) => {
            or(&mut i.status, || "completed".into());
            or(&mut i.performed, || Timing::DateTime(now.to_owned()));
            &mut i.id
        }
        Item::Encounter(i) => {
            or(&mut i.status, || "in-progress".into());
            or(&mut i.period, || salus_record::Period {
                start: Some(now.to_owned()),
                end: None,
            });
            &mut i.id
        }
    };
    if id.is_empty() {
        *id = fresh_id()?;
    }
    Ok(())
}

fn some(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

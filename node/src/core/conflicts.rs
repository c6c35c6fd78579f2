//! What clinicians must settle: values that were written apart, and merges that are unsafe although nothing conflicts.

use std::collections::HashMap;

use salus_api::{
    ApiError, ConcernView, ConcernWriter, ConflictChoice, ConflictView, ConflictsView,
};
use salus_audit::{Body, Kind, LogId, Meta};
use salus_record::Edit;
use serde_json::Value;

use super::documents::Document;
use super::{Core, Staff, failure, rights};

/// Hex digits of a concern's id: 48 bits tell a record's few apart.
const CONCERN_ID_CHARS: usize = 12;

/// Who wrote a change, as faces name them.
#[derive(Clone)]
pub(super) struct Author {
    pub(super) actor: String,
    pub(super) clinic: String,
    pub(super) time_ms: u64,
}

impl Core {
    /// Values that were written apart and differ, and merges that need a clinician's eye, with who wrote what.
    pub fn conflicts(&mut self, log: LogId) -> Result<ConflictsView, ApiError> {
        let document = self.document(log)?;
        let found = (document.record.conflicts(), document.record.concerns());
        self.named(log, found)
    }

    /// The same of a document that is not the present one.
    pub(super) fn conflicts_of(
        &mut self,
        log: LogId,
        document: &Document,
    ) -> Result<ConflictsView, ApiError> {
        let found = (document.record.conflicts(), document.record.concerns());
        self.named(log, found)
    }

    fn named(
        &mut self,
        log: LogId,
        (conflicts, concerns): (Vec<salus_record::Conflict>, Vec<salus_record::Concern>),
    ) -> Result<ConflictsView, ApiError> {
        let mut view = ConflictsView::default();
        if conflicts.is_empty() && concerns.is_empty() {
            return Ok(view);
        }
        let mut authors = Authors::default();
        for conflict in conflicts {
            let mut values = Vec::new();
            for (choice, value) in (1u32..).zip(conflict.values) {
                let author = authors.of(self, log, &value.change)?;
                values.push(ConflictChoice {
                    choice,
                    value: value.value,
                    author: author.actor,
                    clinic: author.clinic,
                    time_ms: author.time_ms,
                    shown: value.winner,
                });
            }
            view.conflicts.push(ConflictView {
                path: conflict.path,
                label: conflict.label,
                values,
            });
        }
        for concern in concerns {
            let id = concern_id(&concern);
            let mut writers = Vec::new();
            for write in concern.writes {
                let author = authors.of(self, log, &write.change)?;
                writers.push(ConcernWriter {
                    author: author.actor,
                    clinic: author.clinic,
                    time_ms: author.time_ms,
                    path: write.path,
                    value: write.value,
                });
            }
            view.concerns.push(ConcernView {
                id,
                code: concern.kind.as_str().to_owned(),
                text: concern.sentence,
                paths: concern.items,
                writers,
            });
        }
        Ok(view)
    }

    /// Settles a conflict by one of its values, or by another one with a reason.
    pub fn resolve(
        &mut self,
        who: &Staff,
        log: LogId,
        path: &str,
        value: Value,
        why: Option<&str>,
    ) -> Result<(), ApiError> {
        let conflicts = self.document(log)?.record.conflicts();
        let in_patient = format!("patient/{path}");
        let conflict = conflicts
            .iter()
            .find(|c| c.path == path || c.path == in_patient)
            .ok_or_else(|| {
                ApiError::not_found(format!("the record has no conflict at `{path}`"))
                    .hint("see `salus patient conflicts PATIENT`")
            })?;
        let one_of_them = conflict.values.iter().any(|known| known.value == value);
        if !one_of_them && why.is_none_or(|why| why.trim().is_empty()) {
            return Err(ApiError::usage(format!(
                "that is none of the values of `{}`",
                conflict.path
            ))
            .hint(
                "choose one that `salus patient conflicts PATIENT` shows, or say why with --why",
            ));
        }
        let mut summary = format!("conflict settled: {}", conflict.label);
        if let Some(why) = why {
            summary = format!("{summary}; {}", rights::reason(why)?);
        }
        let edit = Edit::Resolve {
            path: conflict.path.clone(),
            choice: value,
        };
        self.edit(who, log, vec![edit], summary).map(|_| ())
    }

    /// Notes that a clinician looked at a merge and lets it stand.
    pub fn acknowledge(
        &mut self,
        who: &Staff,
        log: LogId,
        concern: &str,
        why: &str,
    ) -> Result<(), ApiError> {
        let why = rights::reason(why)?;
        let concerns = self.document(log)?.record.concerns();
        let mut found = concerns
            .iter()
            .filter(|known| concern_id(known).starts_with(concern));
        let concern = match (found.next(), found.next()) {
            (Some(one), None) if !concern.is_empty() => one,
            (None, _) => {
                return Err(
                    ApiError::not_found(format!("the record has no warning `{concern}`"))
                        .hint("see `salus patient conflicts PATIENT`"),
                );
            }
            _ => return Err(ApiError::usage("several warnings begin like that")),
        };
        let summary = format!("looked at: {}; {why}", concern.sentence);
        let edit = Edit::Acknowledge {
            items: concern.items.clone(),
        };
        self.edit(who, log, vec![edit], summary).map(|_| ())
    }

    pub(super) fn author(&self, meta: &Meta) -> Author {
        Author {
            actor: self.actor_name(meta.chain, meta.actor),
            clinic: self.chain_clinic(meta.chain),
            time_ms: meta.time_ms,
        }
    }
}

/// Names a concern: by what is unsafe, about which items. Hex.
fn concern_id(concern: &salus_record::Concern) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(concern.kind.as_str().as_bytes());
    for item in &concern.items {
        hasher.update(&[0]).update(item.as_bytes());
    }
    hasher
        .finalize()
        .to_hex()
        .chars()
        .take(CONCERN_ID_CHARS)
        .collect()
}

/// Which entry carried which change: found once for all values of a record.
#[derive(Default)]
struct Authors {
    by_change: Option<HashMap<[u8; 32], Author>>,
}

impl Authors {
    fn of(&mut self, core: &mut Core, log: LogId, change: &[u8; 32]) -> Result<Author, ApiError> {
        let known = match &self.by_change {
            Some(known) => known,
            None => self.by_change.insert(authors(core, log)?),
        };
        Ok(known.get(change).cloned().unwrap_or_else(|| Author {
            actor: "unknown".into(),
            clinic: "unknown".into(),
            time_ms: 0,
        }))
    }
}

/// The authors of every change that a record's log carries and that can be read here.
fn authors(core: &mut Core, log: LogId) -> Result<HashMap<[u8; 32], Author>, ApiError> {
    let edits: Vec<Meta> = core
        .log(log)?
        .entries()
        .filter(|meta| meta.kind == Kind::Edit)
        .cloned()
        .collect();
    let mut authors = HashMap::new();
    for meta in edits {
        let entry = core
            .store()
            .entry(log, meta.line, meta.seq)
            .map_err(failure::store)?;
        let Some(entry) = entry else { continue };
        let Ok(Body::Edit { changes, .. }) = core.open_body(log, &entry) else {
            continue;
        };
        let author = core.author(&meta);
        for bytes in changes {
            if let Ok(inspected) = salus_record::inspect_change(&bytes) {
                authors.insert(inspected.hash, author.clone());
            }
        }
    }
    Ok(authors)
}

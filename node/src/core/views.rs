//! What is shown of a record and its log.

use std::collections::BTreeMap;

use salus_api::{ApiError, AuditRow, HeightView, PatientView};
use salus_audit::{ActorId, Body, ChainId, Kind, LogId, Meta};

use super::documents::Document;
use super::people::api_right;
use super::suggestions::{inference_line, verdict_line};
use super::{Core, Said, Staff};

/// A look is logged once per actor, record and this stretch of time, milliseconds.
const LOOK_MS: u64 = 3_600_000;

impl Core {
    /// The whole record as it stands, with what linked records say of the same person. The look itself is logged by
    /// [`Core::log_look`].
    pub fn show(&mut self, log: LogId) -> Result<PatientView, ApiError> {
        // A copy that this clinic cannot read is refused before anything else is said of it.
        self.newest_key(log)?;
        let document = self.take_document(log)?;
        let view = self.view_of(log, &document);
        self.opened()?.put_document(log, document);
        let mut view = view?;
        self.add_linked(log, &mut view)?;
        Ok(view)
    }

    /// What a document of a record's says, with what the log says beside it.
    pub(super) fn view_of(
        &mut self,
        log: LogId,
        document: &Document,
    ) -> Result<PatientView, ApiError> {
        let found = self.conflicts_of(log, document)?;
        let attachments = self.attachment_views(log)?;
        let suggestions = self.suggestions(log)?;
        let me = self.me();
        let state = self.log(log)?;
        let heights: BTreeMap<String, HeightView> = state
            .heights()
            .iter()
            .map(|(chain, h)| {
                (
                    chain.to_string(),
                    HeightView {
                        seq: h.seq,
                        hash: h.hash.to_string(),
                    },
                )
            })
            .collect();
        let entries = state.len() as u64;
        let placed = state.unplaced().is_empty();
        let void = state.voids().count() as u64;
        let forks: Vec<ChainId> = state.forks().map(|fork| fork.chain).collect();
        let right = state.right_of(me);
        let home = state.home();
        let home = home
            .map(|clinic| self.clinic_name(clinic))
            .unwrap_or_default();
        let synced_ms = self.last_in_step(log)?;
        let warnings = self.warnings(&forks, void);
        let said = document.record.view();
        let mut problems: Vec<String> = said
            .problems
            .iter()
            .map(|p| format!("{}: {}", p.path, p.what))
            .collect();
        problems.extend(document.held_out.iter().cloned());
        if suggestions.left_out > 0 {
            problems.push(format!(
                "{} entries about suggestions of models are not shown: too many, sealed to this clinic, or of a later version",
                suggestions.left_out
            ));
        }
        let broken = document.held_out.len() as u64;
        let row = self
            .opened()?
            .index
            .get(&log)
            .map(|row| row.view(log))
            .ok_or_else(|| ApiError::not_found(format!("record {log} is not in the index")))?;
        let right = right.ok_or_else(|| {
            ApiError::refused("this clinic has no right to that record any more")
                .hint("ask its home clinic")
        })?;
        Ok(PatientView {
            row,
            content: said.content,
            attachments,
            conflicts: found.conflicts,
            concerns: found.concerns,
            suggestions: suggestions.suggestions,
            linked: Vec::new(),
            at: None,
            warnings,
            heights,
            home,
            right: api_right(right),
            verified: placed && forks.is_empty() && broken == 0,
            entries,
            held_out: broken + void,
            synced_ms,
            problems,
        })
    }

    /// What must be said wherever a record is shown.
    fn warnings(&self, forks: &[ChainId], void: u64) -> Vec<String> {
        let mut clinics: Vec<String> = forks
            .iter()
            .map(|chain| self.chain_clinic(*chain))
            .collect();
        clinics.sort_unstable();
        clinics.dedup();
        let mut warnings: Vec<String> = clinics
            .into_iter()
            .map(|clinic| {
                format!("{clinic} showed two histories of this record; both are kept as evidence")
            })
            .collect();
        if void > 0 {
            let (entries, count) = if void == 1 {
                ("entry", "counts")
            } else {
                ("entries", "count")
            };
            warnings.push(format!(
                "{void} {entries} no longer {count}: the history says which and why"
            ));
        }
        warnings
    }

    /// Logs that somebody looks at a record, unless the same person's look of this hour is logged already.
    pub fn log_look(&mut self, who: &Staff, log: LogId, purpose: &str) -> Result<(), ApiError> {
        if self.look_is_logged(who, log)? {
            return Ok(());
        }
        self.log_disclosure(who, log, purpose)
    }

    pub(super) fn look_is_logged(&mut self, who: &Staff, log: LogId) -> Result<bool, ApiError> {
        let now = self.now_ms();
        let chain = self.chain_id();
        let actor = ActorId::from_bytes(who.key.public());
        let hour = now / LOOK_MS;
        let own = |meta: &&Meta| meta.chain == chain;
        for meta in self.log(log)?.entries().rev().filter(own) {
            let of = meta.time_ms / LOOK_MS;
            if meta.kind == Kind::View && meta.actor == actor && of == hour {
                return Ok(true);
            }
            // The clock was set back since: a look before that, in this same hour, is not this one.
            if of > hour {
                break;
            }
        }
        Ok(false)
    }

    /// Logs that a record was opened, whatever was logged before: an export is an entry each time.
    pub fn log_disclosure(
        &mut self,
        who: &Staff,
        log: LogId,
        purpose: &str,
    ) -> Result<(), ApiError> {
        let (epoch, key) = self.current_key(log)?;
        let body = Body::View {
            purpose: purpose.to_owned(),
        };
        self.transact(|core, pending| {
            core.append(
                pending,
                &who.key,
                log,
                None,
                Said::Sealed(&body, epoch, &key),
            )?;
            Ok(())
        })
    }

    /// The name of the person whose key this is, in the clinic that the chain belongs to.
    pub(super) fn actor_name(&self, chain: ChainId, actor: ActorId) -> String {
        let clinic = self.rosters.clinic_of(chain);
        let named = clinic.and_then(|clinic| {
            if let Some(member) = self.rosters.staff(clinic, actor) {
                return Some(member.name.clone());
            }
            let roster = self.rosters.get(clinic)?;
            (roster.root() == actor).then(|| "root key".to_owned())
        });
        named.unwrap_or_else(|| {
            format!(
                "key {}",
                actor.to_string().chars().take(8).collect::<String>()
            )
        })
    }

    pub(super) fn chain_clinic(&self, chain: ChainId) -> String {
        self.rosters.clinic_of(chain).map_or_else(
            || "unknown clinic".to_owned(),
            |clinic| self.clinic_name(clinic),
        )
    }

    /// A log's entries, newest first.
    /// `open`: with what sealed bodies say, for people who may see the record.
    pub fn history(
        &mut self,
        log: LogId,
        limit: usize,
        open: bool,
    ) -> Result<Vec<AuditRow>, ApiError> {
        let mut metas: Vec<Meta> = self.log(log)?.entries().cloned().collect();
        metas.reverse();
        metas.truncate(limit);
        metas
            .iter()
            .map(|meta| self.audit_row(log, meta, open))
            .collect()
    }

    /// Who saw, received or exported a record, newest first: looks, shares, grants and what ended them.
    /// `open`: with what sealed bodies say, for people who may see the record.
    pub fn accesses(
        &mut self,
        log: LogId,
        limit: usize,
        open: bool,
    ) -> Result<Vec<AuditRow>, ApiError> {
        let tells = |kind: Kind| {
            matches!(
                kind,
                Kind::View
                    | Kind::Grant
                    | Kind::Revoke
                    | Kind::Share
                    | Kind::Redeem
                    | Kind::Inference
                    | Kind::BreakGlass
            )
        };
        let mut metas: Vec<Meta> = self
            .log(log)?
            .entries()
            .filter(|meta| tells(meta.kind))
            .cloned()
            .collect();
        metas.reverse();
        metas.truncate(limit);
        metas
            .iter()
            .map(|meta| self.audit_row(log, meta, open))
            .collect()
    }

    /// A record as a line of a log names it.
    pub(super) fn short(&self, log: LogId) -> String {
        let id: String = log.to_string().chars().take(12).collect();
        format!("record {id}")
    }

    /// The entries of all logs, newest first by their claimed times: headers and control bodies only, because what sealed bodies
    /// say is shown, and logged as a look, a record at a time.
    pub fn audit_log(&mut self, limit: usize) -> Result<Vec<AuditRow>, ApiError> {
        let logs: Vec<LogId> = self.logs.summaries().keys().copied().collect();
        let mut all: Vec<(LogId, Meta)> = Vec::new();
        for log in logs {
            match self.log(log) {
                Ok(state) => all.extend(state.entries().map(|meta| (log, meta.clone()))),
                // A damaged log is named by verification; the others are still told of.
                Err(error) => tracing::warn!(%error, "a log is left out of the audit log"),
            }
            if all.len() > limit.saturating_mul(4).max(10_000) {
                newest_first(&mut all, limit);
            }
        }
        newest_first(&mut all, limit);
        all.iter()
            .map(|(log, meta)| self.audit_row(*log, meta, false))
            .collect()
    }

    fn audit_row(&mut self, log: LogId, meta: &Meta, open: bool) -> Result<AuditRow, ApiError> {
        let patient = self
            .opened
            .as_ref()
            .filter(|_| open)
            .and_then(|opened| opened.index.get(&log))
            .map(super::IndexRow::name);
        let summary = if open || meta.kind.is_clear() {
            self.summarise(log, meta)?
        } else {
            Vec::new()
        };
        Ok(AuditRow {
            hash: meta.hash.to_string(),
            log: log.to_string(),
            patient,
            chain: meta.chain.to_string(),
            seq: meta.seq,
            clinic: self.chain_clinic(meta.chain),
            actor: self.actor_name(meta.chain, meta.actor),
            time_ms: meta.time_ms,
            kind: meta.kind.to_string(),
            scope: meta.scope.map(|scope| scope.to_string()),
            summary,
            void: self.log(log)?.void(&meta.hash).map(|void| void.to_string()),
        })
    }

    fn summarise(&mut self, log: LogId, meta: &Meta) -> Result<Vec<String>, ApiError> {
        use salus_audit::Control;
        let entry = self
            .store()
            .entry(log, meta.line, meta.seq)
            .map_err(super::failure::store)?;
        let Some(entry) = entry else {
            return Ok(vec!["payload is not held".into()]);
        };
        if !meta.kind.is_clear() && entry.payload().is_none() {
            let what = match meta.kind {
                Kind::Attach => "a file, erased since",
                _ => "erased since",
            };
            return Ok(vec![what.into()]);
        }
        if !meta.kind.is_clear() {
            return Ok(match self.open_body(log, &entry) {
                Ok(Body::Edit { summary, .. }) => vec![summary],
                Ok(Body::View { purpose }) => vec![purpose],
                Ok(Body::Attach {
                    name, bytes_len, ..
                }) => {
                    vec![format!("{name} kept as received, {bytes_len} bytes")]
                }
                Ok(Body::Attachment(attachment)) => {
                    vec![format!(
                        "{} attached, {} bytes",
                        attachment.name, attachment.content.len
                    )]
                }
                Ok(Body::Link { other }) => {
                    vec![format!("shown as one with {}", self.short(other))]
                }
                Ok(Body::Unlink { other }) => {
                    vec![format!("no longer shown as one with {}", self.short(other))]
                }
                Ok(Body::Inference(inference)) => vec![inference_line(&inference)],
                Ok(Body::Verdict {
                    inference,
                    decision,
                }) => vec![verdict_line(&inference, &decision)],
                Err(_) => Vec::new(),
            });
        }
        let payload = entry.payload().unwrap_or_default();
        let Ok(control) = Control::decode(meta.kind, payload) else {
            return Ok(Vec::new());
        };
        Ok(vec![match control {
            Control::RosterGenesis { name, .. } => format!("clinic founded: {name}"),
            Control::RecordGenesis { .. } => "record begun".into(),
            Control::Certify { name, roles, .. } => {
                let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
                format!("{name} certified as {}", roles.join(", "))
            }
            Control::Retire { key, .. } => {
                format!("{} retired", self.actor_name(meta.chain, key))
            }
            Control::Incarnation { .. } => "the clinic's store began a new life".into(),
            Control::Grant { clinic, right, .. } => {
                format!("{right} granted to {}", self.clinic_name(clinic))
            }
            Control::Revoke { clinic, .. } => format!("{} revoked", self.clinic_name(clinic)),
            Control::Rotate { .. } => "a new key for what follows".into(),
            Control::Quarantine { entries, reason } => {
                let hashes: Vec<String> = entries
                    .iter()
                    .map(|hash| hash.to_string().chars().take(8).collect())
                    .collect();
                format!("held out: {}: {reason}", hashes.join(", "))
            }
            Control::Erase { entries, reason } => {
                let files = match entries.len() {
                    0 => "the whole record".to_owned(),
                    1 => "a file".to_owned(),
                    n => format!("{n} files"),
                };
                format!("{files} erased: {reason}")
            }
        }])
    }

    /// When a clinic that shares the record was last in step with us.
    fn last_in_step(&self, log: LogId) -> Result<Option<u64>, ApiError> {
        let Some(summary) = self.logs.summary(&log) else {
            return Ok(None);
        };
        Ok(self
            .peers()?
            .into_iter()
            .filter(|peer| summary.may_hold(&peer.clinic))
            .filter_map(|peer| peer.synced_ms)
            .max())
    }
}

fn newest_first(rows: &mut Vec<(LogId, Meta)>, limit: usize) {
    rows.sort_by_key(|(log, meta)| {
        (
            std::cmp::Reverse(meta.time_ms),
            *log,
            std::cmp::Reverse(meta.depth),
        )
    });
    rows.truncate(limit);
}

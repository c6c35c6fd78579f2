//! What models suggested, what clinicians made of it, and how a finding that was accepted enters the record.
//!
//! An inference is an entry that changes nothing in the document. A verdict is another, which names the first. Only an
//! acceptance at a clinic that may write brings the finding into the record, as a DiagnosticReport, by an ordinary edit in
//! the same transaction.
//!
//! Of the verdicts about one suggestion those stand that no later one knew of. Where they agree, the suggestion is accepted
//! or rejected; where clinicians decided apart and differently it is disputed, and the next verdict, which knows of both,
//! settles it.

mod form;
mod report;
mod words;

use std::collections::BTreeSet;

use salus_api::{
    ApiError, ErrorKind, SuggestionState, SuggestionView, SuggestionsView, VerdictView,
};
use salus_audit::{
    Body, Decision, EntryHash, Inference, Kind, LogId, Meta, Model, Output, Right, Scope,
};
use salus_record::{DiagnosticReport, Edit, Item};

use super::index::IndexedImage;
use super::{Core, Pending, Said, Staff, failure, rights};
use form::{checked, own_label, shown};
use report::{IN_ERROR, report};
use words::short;

pub(super) use form::probability;
pub(super) use words::{inference_line, verdict_line};

/// Inferences of one record that are read, the newest first: a guess, far above what a clinic has of one patient, so that
/// a clinic that floods a record slows nobody down.
const MAX_SUGGESTIONS: usize = 500;
/// Verdicts of one record that are read, the newest first. A guess likewise.
const MAX_VERDICTS: usize = 2_000;
/// The component whose inputs are images.
const IMAGING: &str = "imaging";
/// One inference with the verdicts about it.
struct Suggestion {
    meta: Meta,
    inference: Inference,
    /// The oldest first.
    verdicts: Vec<Verdict>,
}

struct Verdict {
    meta: Meta,
    decision: Decision,
    stands: bool,
}

/// The suggestions of a record, the newest first.
#[derive(Default)]
struct Suggestions {
    list: Vec<Suggestion>,
    left_out: u64,
}

impl Suggestion {
    /// What the model suggests, unless it did not assess its input.
    fn suggested(&self) -> Option<&str> {
        let top = self.inference.top().filter(|_| !self.inference.uncertain);
        top.map(|output| output.label.as_str())
    }

    fn standing(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| verdict.stands)
    }

    /// The label that a verdict accepts.
    fn accepted<'a>(&'a self, verdict: &'a Verdict) -> Option<&'a str> {
        match &verdict.decision {
            Decision::Accept { label } => label.as_deref().or_else(|| self.suggested()),
            Decision::Reject { .. } => None,
        }
    }

    /// What became of it, and the finding.
    fn state(&self) -> (SuggestionState, Option<&str>) {
        let decided: BTreeSet<Option<&str>> = self
            .standing()
            .map(|verdict| self.accepted(verdict))
            .collect();
        let accepted = decided.iter().flatten().next().copied();
        let state = match (decided.len(), accepted) {
            (0, _) => SuggestionState::Open,
            (1, Some(_)) => SuggestionState::Accepted,
            (1, None) => SuggestionState::Rejected,
            _ => SuggestionState::Disputed,
        };
        (state, accepted.or_else(|| self.suggested()))
    }

    /// What the model said of a label.
    fn output(&self, label: &str) -> Option<&Output> {
        let mut outputs = self.inference.outputs.iter();
        outputs.find(|output| output.label == label)
    }

    fn image(&self) -> Option<IndexedImage> {
        let (state, label) = self.state();
        let label = label.filter(|_| self.inference.component == IMAGING)?;
        let output = self.output(label);
        let Model { name, version, .. } = &self.inference.model;
        Some(IndexedImage {
            suggestion: self.meta.hash,
            image: self.inference.input.hash,
            name: self.inference.input.name.clone(),
            label: label.to_owned(),
            p: output.and_then(|output| output.p),
            note: output.and_then(|output| output.note.clone()),
            state,
            model: format!("{name} {version}"),
            chain: self.meta.chain,
            time_ms: self.meta.time_ms,
        })
    }
}

impl Core {
    /// Writes what a model said as a suggestion; its id is returned.
    pub fn infer(
        &mut self,
        who: &Staff,
        log: LogId,
        inference: salus_api::Inference,
    ) -> Result<EntryHash, ApiError> {
        let body = Body::Inference(Box::new(checked(inference)?));
        self.transact(|core, pending| {
            let entry = core.append_ai(pending, who, log, &body)?;
            core.refresh(log, pending)?;
            Ok(entry)
        })
    }

    fn append_ai(
        &mut self,
        pending: &mut Pending,
        who: &Staff,
        log: LogId,
        body: &Body,
    ) -> Result<EntryHash, ApiError> {
        let (epoch, key) = self.newest_key(log)?;
        let said = Said::Sealed(body, epoch, &key);
        let entry = self.append(pending, &who.key, log, Some(Scope::Ai), said)?;
        pending.said.insert(entry.hash(), body.clone());
        Ok(entry.hash())
    }

    /// What models suggested about a patient. The look itself is logged by [`Core::log_look`].
    pub fn suggestions(&mut self, log: LogId) -> Result<SuggestionsView, ApiError> {
        let read = self.read_suggestions(log, None, None)?;
        let views = read
            .list
            .iter()
            .map(|suggestion| self.suggestion_view(suggestion));
        Ok(SuggestionsView {
            suggestions: views.collect(),
            left_out: read.left_out,
        })
    }

    /// The same as far as these entries go: of a record as it was.
    pub(super) fn suggestions_within(
        &mut self,
        log: LogId,
        past: &[Meta],
    ) -> Result<Vec<SuggestionView>, ApiError> {
        let past: BTreeSet<EntryHash> = past.iter().map(|meta| meta.hash).collect();
        let read = self.read_suggestions(log, None, Some(&past))?;
        let views = read
            .list
            .iter()
            .map(|suggestion| self.suggestion_view(suggestion));
        Ok(views.collect())
    }

    /// The images that a record's row keeps, entries of a transaction that is not stored yet included.
    pub(super) fn images_of(
        &mut self,
        log: LogId,
        pending: Option<&Pending>,
    ) -> Result<Vec<IndexedImage>, ApiError> {
        let read = self.read_suggestions(log, pending, None)?;
        Ok(read.list.iter().filter_map(Suggestion::image).collect())
    }

    /// Accepts a suggestion, with another label than the model's where one is given; what came of it is returned in words.
    pub fn accept(
        &mut self,
        who: &Staff,
        log: LogId,
        id: &str,
        label: Option<&str>,
    ) -> Result<String, ApiError> {
        let suggestion = self.suggestion(log, id)?;
        let own = label.map(own_label).transpose()?;
        let suggested = suggestion.suggested().map(str::to_owned);
        let finding = own.clone().or_else(|| suggested.clone()).ok_or_else(|| {
            ApiError::usage(
                "the model did not assess this, so there is nothing to accept as it stands",
            )
            .hint("say what it shows with --label TEXT, or reject it with --why TEXT")
        })?;
        let may_write = self.may_write(log)?;
        let report = report(&suggestion, &finding, who, &self.clinic_name(self.me));
        let (state, accepted) = suggestion.state();
        let is_accepted = state == SuggestionState::Accepted && accepted == Some(finding.as_str());
        if is_accepted && (!may_write || self.holds_finding(log, &report)?) {
            let by = suggestion.standing().next();
            let by = by.map_or_else(String::new, |verdict| {
                format!(
                    " by {}",
                    self.actor_name(verdict.meta.chain, verdict.meta.actor)
                )
            });
            return Ok(format!(
                "nothing to change: {finding} is accepted{by} already"
            ));
        }
        let body = Body::Verdict {
            inference: suggestion.meta.hash,
            decision: Decision::Accept {
                label: own.filter(|own| Some(own) != suggested.as_ref()),
            },
        };
        let summary = format!(
            "finding accepted: {finding} (suggestion {})",
            short(&suggestion.meta.hash.to_string())
        );
        let edit = may_write.then(|| (Edit::Put(Item::DiagnosticReport(report.clone())), summary));
        self.decide(who, log, &body, edit)?;
        Ok(if may_write {
            format!(
                "accepted: {finding}. It is in the record now, as report {}",
                short(&report.id)
            )
        } else {
            format!(
                "accepted: {finding}. This clinic may not write to the record: it enters when a clinic that may accepts it, too"
            )
        })
    }

    /// Rejects a suggestion; what came of it is returned in words.
    pub fn reject(
        &mut self,
        who: &Staff,
        log: LogId,
        id: &str,
        why: &str,
    ) -> Result<String, ApiError> {
        let suggestion = self.suggestion(log, id)?;
        let why = rights::reason(why)?;
        let finding = self.finding(log, &suggestion.finding_id())?;
        let finding = finding.filter(|report| report.status.as_deref() != Some(IN_ERROR));
        let may_write = self.may_write(log)?;
        let is_rejected = suggestion.state().0 == SuggestionState::Rejected;
        if is_rejected && (finding.is_none() || !may_write) {
            return Ok("nothing to change: the suggestion is rejected already".to_owned());
        }
        let body = Body::Verdict {
            inference: suggestion.meta.hash,
            decision: Decision::Reject { why },
        };
        let in_record = finding.is_some();
        let edit = finding.filter(|_| may_write).map(|mut report| {
            report.status = Some(IN_ERROR.to_owned());
            let summary = format!(
                "finding taken back: entered in error (suggestion {})",
                short(&suggestion.meta.hash.to_string())
            );
            (Edit::Put(Item::DiagnosticReport(report)), summary)
        });
        self.decide(who, log, &body, edit)?;
        Ok(match (in_record, may_write) {
            (false, _) => "the suggestion is rejected",
            (true, true) => {
                "the suggestion is rejected, and the finding that was in the record is marked as entered in error"
            }
            (true, false) => {
                "the suggestion is rejected. This clinic may not write to the record: the finding stays in it until a clinic that may rejects it, too"
            }
        }
        .to_owned())
    }

    /// Writes a verdict, and what it changes in the record, in one transaction.
    fn decide(
        &mut self,
        who: &Staff,
        log: LogId,
        verdict: &Body,
        edit: Option<(Edit, String)>,
    ) -> Result<(), ApiError> {
        self.transact(|core, pending| {
            core.append_ai(pending, who, log, verdict)?;
            if let Some((edit, summary)) = edit {
                let changed = core.edit_in(pending, who, log, &[edit], summary)?;
                if changed {
                    core.tend(pending, who, log)?;
                    let now = core.now_ms();
                    core.covers_all(log, now)?;
                }
            }
            core.refresh(log, pending)
        })
    }

    fn may_write(&mut self, log: LogId) -> Result<bool, ApiError> {
        let me = self.me;
        let right = self.log(log)?.right_of(me);
        Ok(right.is_some_and(|right| right >= Right::Write))
    }

    fn finding(&mut self, log: LogId, id: &str) -> Result<Option<DiagnosticReport>, ApiError> {
        let reports = self.document(log)?.record.view().content.diagnostic_reports;
        Ok(reports.into_iter().find(|report| report.id == id))
    }

    /// Whether the record says what this report says, whoever accepted it.
    fn holds_finding(&mut self, log: LogId, wanted: &DiagnosticReport) -> Result<bool, ApiError> {
        let held = self.finding(log, &wanted.id)?;
        Ok(held.is_some_and(|held| {
            held.status == wanted.status && held.conclusion == wanted.conclusion
        }))
    }

    /// The suggestion that an id or its beginning means.
    fn suggestion(&mut self, log: LogId, id: &str) -> Result<Suggestion, ApiError> {
        let wanted = id.trim().to_lowercase();
        let read = self.read_suggestions(log, None, None)?;
        let meant = |suggestion: &Suggestion| {
            !wanted.is_empty() && suggestion.meta.hash.to_string().starts_with(&wanted)
        };
        let mut found = read.list.into_iter().filter(meant);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(
                ApiError::not_found(format!("the record has no suggestion `{id}`"))
                    .hint("see `salus ai suggestions PATIENT`"),
            ),
            _ => Err(
                ApiError::usage(format!("several suggestions begin with `{id}`"))
                    .hint("give more of the id"),
            ),
        }
    }

    /// Every suggestion of a record whose entry counts, with the verdicts about it that count.
    fn read_suggestions(
        &mut self,
        log: LogId,
        pending: Option<&Pending>,
        within: Option<&BTreeSet<EntryHash>>,
    ) -> Result<Suggestions, ApiError> {
        let state = self.log(log)?;
        let mut kinds: [Vec<Meta>; 2] = Default::default();
        for meta in state.entries() {
            let at = match meta.kind {
                Kind::Inference => 0,
                Kind::Verdict => 1,
                _ => continue,
            };
            let is_within = within.is_none_or(|within| within.contains(&meta.hash));
            if is_within && state.void(&meta.hash).is_none() {
                kinds[at].push(meta.clone());
            }
        }
        let [mut inferences, mut verdicts] = kinds;
        let mut read = Suggestions::default();
        for (metas, most) in [
            (&mut inferences, MAX_SUGGESTIONS),
            (&mut verdicts, MAX_VERDICTS),
        ] {
            // Depth rises along causality; between concurrent entries the hash decides, on every replica alike.
            metas.sort_by_key(|meta| std::cmp::Reverse((meta.depth, meta.hash)));
            read.left_out += metas.len().saturating_sub(most) as u64;
            metas.truncate(most);
        }
        for meta in inferences {
            match self.said(log, &meta, pending)? {
                Some(Body::Inference(inference)) => read.list.push(Suggestion {
                    meta,
                    inference: *inference,
                    verdicts: Vec::new(),
                }),
                _ => read.left_out += 1,
            }
        }
        for meta in verdicts.into_iter().rev() {
            let Some(Body::Verdict {
                inference,
                decision,
            }) = self.said(log, &meta, pending)?
            else {
                read.left_out += 1;
                continue;
            };
            let state = self.log(log)?;
            // About something that its writer did not know of it says nothing.
            if state.is_ancestor(&inference, &meta.hash) != Some(true) {
                continue;
            }
            let about = read.list.iter_mut().find(|one| one.meta.hash == inference);
            let Some(about) = about else { continue };
            // An acceptance of nothing, by a program that does not keep the rules.
            if matches!(decision, Decision::Accept { label: None }) && about.suggested().is_none() {
                continue;
            }
            for earlier in &mut about.verdicts {
                earlier.stands &= state.is_ancestor(&earlier.meta.hash, &meta.hash) != Some(true);
            }
            about.verdicts.push(Verdict {
                meta,
                decision,
                stands: true,
            });
        }
        Ok(read)
    }

    /// What an entry says; none where it cannot be read here.
    fn said(
        &mut self,
        log: LogId,
        meta: &Meta,
        pending: Option<&Pending>,
    ) -> Result<Option<Body>, ApiError> {
        if let Some(body) = pending.and_then(|pending| pending.said.get(&meta.hash)) {
            return Ok(Some(body.clone()));
        }
        let entry = self.store().entry(log, meta.line, meta.seq);
        match entry.map_err(failure::store) {
            Ok(entry) => Ok(entry.and_then(|entry| self.open_body(log, &entry).ok())),
            // A damaged entry is named by verification; it must not hide the others.
            Err(error) if error.kind == ErrorKind::Integrity => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn suggestion_view(&self, suggestion: &Suggestion) -> SuggestionView {
        let (state, label) = suggestion.state();
        let p = label
            .and_then(|label| suggestion.output(label))
            .and_then(|output| output.p);
        let verdicts = suggestion.verdicts.iter().map(|verdict| {
            let author = self.author(&verdict.meta);
            let (accepted, label, why) = match &verdict.decision {
                Decision::Accept { label } => (true, label.clone(), None),
                Decision::Reject { why } => (false, None, Some(why.clone())),
            };
            VerdictView {
                entry: verdict.meta.hash.to_string(),
                accepted,
                label,
                why,
                actor: author.actor,
                clinic: author.clinic,
                time_ms: author.time_ms,
                stands: verdict.stands,
            }
        });
        let author = self.author(&suggestion.meta);
        SuggestionView {
            id: suggestion.meta.hash.to_string(),
            state,
            label: label.map(str::to_owned),
            p: p.map(probability),
            inference: shown(&suggestion.inference),
            actor: author.actor,
            clinic: author.clinic,
            time_ms: author.time_ms,
            verdicts: verdicts.collect(),
        }
    }
}

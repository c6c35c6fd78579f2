//! What clinics may do with a record: grants, revocations with a new epoch behind them, quarantine.

use std::collections::BTreeSet;

use salus_api::{ApiError, GrantView};
use salus_audit::{ChainId, ClinicId, Control, EntryHash, Kind, LogId, Right};
use salus_vault::{EpochKey, seal_previous_key, wrap_epoch_key};

use super::people::api_right;
use super::{Core, Pending, Said, Staff};

/// Longest reason that a person gives, bytes: a line of the log.
const MAX_REASON_BYTES: usize = salus_audit::MAX_LINE_BYTES;

impl Core {
    /// Entitles a clinic to a record; `false` where it is entitled to as much already.
    pub fn grant(
        &mut self,
        who: &Staff,
        log: LogId,
        clinic: ClinicId,
        right: Right,
    ) -> Result<bool, ApiError> {
        if right == Right::Home {
            return Err(ApiError::usage("a record's home is not granted")
                .hint("grant write, read or custodian"));
        }
        if self
            .log(log)?
            .right_of(clinic)
            .is_some_and(|held| held >= right)
        {
            return Ok(false);
        }
        let (epoch, key) = self.newest_key(log)?;
        self.transact(|core, pending| {
            core.grant_in(pending, who, log, (clinic, right), (epoch, &key))?;
            Ok(true)
        })
    }

    /// Writes one grant, with the epoch's key for who may read.
    pub(super) fn grant_in(
        &mut self,
        pending: &mut Pending,
        who: &Staff,
        log: LogId,
        (clinic, right): (ClinicId, Right),
        (epoch, key): (EntryHash, &EpochKey),
    ) -> Result<(), ApiError> {
        let wrapped = if right == Right::Custodian {
            Vec::new()
        } else {
            let hpke = self.hpke_of(clinic)?;
            wrap_epoch_key(&hpke, log, epoch, clinic, key)
                .map_err(|e| ApiError::failed(format!("the record's key cannot be wrapped: {e}")))?
        };
        let grant = Control::Grant {
            clinic,
            right,
            epoch,
            wrapped,
        };
        self.append(pending, &who.key, log, None, Said::Clear(&grant))?;
        Ok(())
    }

    fn hpke_of(&self, clinic: ClinicId) -> Result<[u8; 32], ApiError> {
        self.rosters
            .get(clinic)
            .and_then(|roster| roster.current())
            .map(|life| life.hpke)
            .ok_or_else(|| {
                ApiError::failed(format!(
                    "the keys of {} are not known here yet",
                    self.clinic_name(clinic)
                ))
                .hint("sync with it once (`salus sync`), then try again")
            })
    }

    /// Ends a clinic's entitlement at what is held here now, and begins a new epoch that it cannot read; `false` where it has none.
    pub fn revoke(&mut self, who: &Staff, log: LogId, clinic: ClinicId) -> Result<bool, ApiError> {
        self.require_home(log, "revokes")?;
        if clinic == self.me() {
            return Err(ApiError::usage("a record's home clinic cannot be revoked"));
        }
        if self.log(log)?.right_of(clinic).is_none() {
            return Ok(false);
        }
        let chains: Vec<ChainId> = self
            .rosters
            .get(clinic)
            .into_iter()
            .flat_map(|roster| roster.incarnations())
            .map(|life| life.chain)
            .collect();
        self.transact(|core, pending| {
            let cuts = core.log(log)?.cuts_for(chains);
            let revoke = Control::Revoke { clinic, cuts };
            core.append(pending, &who.key, log, None, Said::Clear(&revoke))?;
            core.rotate_in(pending, who, log)?;
            // What the clinic had written beyond the cut, if anything, no longer counts.
            core.refresh(log, pending)?;
            Ok(true)
        })
    }

    /// Begins a new epoch: a new key, the one before sealed under it, and a grant of it to everybody who may read.
    pub(super) fn rotate_in(
        &mut self,
        pending: &mut Pending,
        who: &Staff,
        log: LogId,
    ) -> Result<(), ApiError> {
        let (previous, previous_key) = self.current_key(log)?;
        let key = EpochKey::generate();
        let rotate = Control::Rotate {
            commitment: key.commitment(),
            previous,
            sealed_previous: seal_previous_key(&key, log, previous, &previous_key),
        };
        let entry = self.append(pending, &who.key, log, None, Said::Clear(&rotate))?;
        let epoch = entry.hash();
        self.opened()?.keep_key(log, epoch, key.clone());
        for to in self.readers(log)? {
            self.give_key(pending, who, log, to, (epoch, &key));
        }
        Ok(())
    }

    /// Gives somebody who may read an epoch's key, if that can be done: one clinic whose keys are unknown or unusable must not keep
    /// others from being revoked. It is tried again by [`Core::tend`].
    fn give_key(
        &mut self,
        pending: &mut Pending,
        who: &Staff,
        log: LogId,
        to: (ClinicId, Right),
        key: (EntryHash, &EpochKey),
    ) {
        if let Err(error) = self.grant_in(pending, who, log, to, key) {
            tracing::warn!(%log, clinic = %to.0, %error, "a clinic could not be given a record's new key");
        }
    }

    /// Every clinic that may read a record now, this one included, with its right.
    fn readers(&mut self, log: LogId) -> Result<Vec<(ClinicId, Right)>, ApiError> {
        let state = self.log(log)?;
        let clinics: BTreeSet<ClinicId> = state.grants().map(|grant| grant.clinic).collect();
        Ok(clinics
            .into_iter()
            .filter_map(|clinic| Some((clinic, state.right_of(clinic)?)))
            .filter(|(_, right)| *right > Right::Custodian)
            .collect())
    }

    /// At a record's home: gives the newest epoch's key to whoever may read and lacks it, because their grant was written apart from
    /// the rotation. Done along with other work of somebody who may grant.
    pub(super) fn tend(
        &mut self,
        pending: &mut Pending,
        who: &Staff,
        log: LogId,
    ) -> Result<(), ApiError> {
        let me = self.me();
        let own: BTreeSet<ChainId> = self
            .rosters
            .get(me)
            .into_iter()
            .flat_map(|roster| roster.incarnations())
            .map(|life| life.chain)
            .collect();
        let state = self.log(log)?;
        if state.home() != Some(me) || state.epochs().nth(1).is_none() {
            return Ok(());
        }
        let Some(epoch) = state.current_epoch() else {
            return Ok(());
        };
        // Only what home itself gave is known to be the key: others may write anything into a grant.
        let served: BTreeSet<ClinicId> = state
            .all_grants()
            .iter()
            .filter(|grant| grant.epoch == epoch)
            .filter(|grant| {
                let meta = state.entry_meta(&grant.entry);
                meta.is_some_and(|meta| own.contains(&meta.chain))
            })
            .map(|grant| grant.clinic)
            .collect();
        if !self.may_grant(who) {
            return Ok(());
        }
        let lacking: Vec<(ClinicId, Right)> = self
            .readers(log)?
            .into_iter()
            .filter(|(clinic, _)| !served.contains(clinic) && self.hpke_of(*clinic).is_ok())
            .collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let key = self.epoch_key(log, epoch)?;
        for to in lacking {
            self.give_key(pending, who, log, to, (epoch, &key));
        }
        Ok(())
    }

    /// Holds an edit out of the record's document, everywhere.
    pub fn quarantine(
        &mut self,
        who: &Staff,
        log: LogId,
        entry: &str,
        why: &str,
    ) -> Result<Option<EntryHash>, ApiError> {
        self.require_home(log, "quarantines edits")?;
        let reason = reason(why)?;
        let hash = self.find_entry(log, entry)?;
        let state = self.log(log)?;
        if state.void(&hash).is_some() {
            return Ok(None);
        }
        let kind = state.entry_meta(&hash).map(|meta| meta.kind);
        if kind != Some(Kind::Edit) {
            return Err(ApiError::usage("only an edit can be quarantined")
                .hint("`salus patient history PATIENT` shows which entries are edits"));
        }
        self.nothing_goes_with(log, &hash)?;
        self.transact(|core, pending| {
            let quarantine = Control::Quarantine {
                entries: vec![hash],
                reason,
            };
            core.append(pending, &who.key, log, None, Said::Clear(&quarantine))?;
            core.refresh(log, pending)
        })?;
        Ok(Some(hash))
    }

    /// An edit that others build on takes them with it when it is held out: what is merely wrong is corrected, not quarantined.
    fn nothing_goes_with(&mut self, log: LogId, edit: &EntryHash) -> Result<(), ApiError> {
        let state = self.log(log)?;
        let edits: Vec<_> = state
            .entries()
            .filter(|meta| meta.kind == Kind::Edit && state.void(&meta.hash).is_none())
            .cloned()
            .collect();
        let without: Vec<_> = edits
            .iter()
            .filter(|meta| meta.hash != *edit)
            .cloned()
            .collect();
        let chain = edits
            .iter()
            .find(|meta| meta.hash == *edit)
            .map(|meta| meta.chain);
        let now = self.document_of(log, &edits)?.held_out.len();
        let then = self.document_of(log, &without)?.held_out.len();
        if now > 0 && then <= now {
            // It is broken, and what builds on it is held out already.
            return Ok(());
        }
        if then > 0 || chain == Some(self.chain_id()) {
            return Err(ApiError::refused(format!(
                "that edit is sound, and {} build on it: they would go with it",
                match then {
                    0 => "this node's next edits".to_owned(),
                    1 => "another edit".to_owned(),
                    n => format!("{n} others"),
                }
            ))
            .hint("correct the record instead: add, stop or set what is right; the history keeps both"));
        }
        Ok(())
    }

    fn require_home(&mut self, log: LogId, does: &str) -> Result<(), ApiError> {
        let home = self.log(log)?.home();
        if home == Some(self.me()) {
            return Ok(());
        }
        let name = home.map_or_else(
            || "another clinic".to_owned(),
            |home| self.clinic_name(home),
        );
        Err(ApiError::refused(format!(
            "only the record's home clinic {does}; that is {name}"
        ))
        .hint("ask there"))
    }

    /// The entry of a log that a hash or its beginning means.
    pub(super) fn find_entry(&mut self, log: LogId, text: &str) -> Result<EntryHash, ApiError> {
        let wanted = text.trim().to_lowercase();
        let usable = wanted.len() >= 4 && wanted.bytes().all(|b| b.is_ascii_hexdigit());
        if !usable {
            return Err(ApiError::usage(format!("`{text}` is not an entry's hash"))
                .hint("give at least its first 4 hex digits; `salus patient history PATIENT --json` shows them"));
        }
        let found: Vec<EntryHash> = self
            .log(log)?
            .entries()
            .map(|meta| meta.hash)
            .filter(|hash| hash.to_string().starts_with(&wanted))
            .take(2)
            .collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(
                ApiError::not_found(format!("the record has no entry `{text}`")).hint(
                    "`salus patient history PATIENT --json` shows the entries and their hashes",
                ),
            ),
            _ => Err(
                ApiError::usage(format!("several entries begin with `{text}`"))
                    .hint("give more of the hash"),
            ),
        }
    }

    /// Who is and was entitled to a record: each right of a clinic once, with the grant that it goes back to.
    pub fn grants(&mut self, log: LogId) -> Result<Vec<GrantView>, ApiError> {
        let state = self.log(log)?;
        let grants: Vec<_> = state
            .all_grants()
            .iter()
            .filter_map(|grant| {
                let meta = state.entry_meta(&grant.entry)?.clone();
                Some((grant.clone(), meta, state.void(&grant.entry)))
            })
            .collect();
        let mut views: Vec<GrantView> = Vec::new();
        for (grant, meta, void) in grants {
            let view = GrantView {
                clinic: grant.clinic.to_string(),
                name: self.clinic_name(grant.clinic),
                right: api_right(grant.right),
                by: self.actor_name(meta.chain, meta.actor),
                time_ms: meta.time_ms,
                ended: match void {
                    Some(void) => Some(void.to_string()),
                    None if grant.live => None,
                    None => Some("revoked".to_owned()),
                },
            };
            // Every new epoch is granted anew to all who stay: the same right once more.
            let told = |other: &&mut GrantView| {
                (&other.clinic, other.right, &other.ended)
                    == (&view.clinic, view.right, &view.ended)
            };
            match views.iter_mut().find(told) {
                Some(first) if first.time_ms <= view.time_ms => {}
                Some(first) => *first = view,
                None => views.push(view),
            }
        }
        Ok(views)
    }
}

/// A reason that a person gives, within bounds.
pub(super) fn reason(why: &str) -> Result<String, ApiError> {
    let why = why.trim();
    if why.is_empty() || why.len() > MAX_REASON_BYTES || why.chars().any(char::is_control) {
        return Err(ApiError::usage(format!(
            "a reason is needed: one line of at most {MAX_REASON_BYTES} bytes"
        )));
    }
    Ok(why.to_owned())
}

//! Files of a record: what its log says of them, how one comes in, and how one is destroyed.
//!
//! A file's bytes are blobs, which are not the core's business: it knows which blobs the entries name, and who may have them.

use std::collections::{BTreeMap, BTreeSet};

use salus_api::{ApiError, AttachmentView, ErrorKind};
use salus_audit::{
    Attachment, BlobHash, Body, ClinicId, Encoding, EntryHash, Kind, LogId, Meta, Right, Role,
    Scope,
};
use salus_vault::sealed_blob_len;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::erasures::VAIN_ERASURE;
use super::logs::MAX_NAMED_BLOBS;
use super::{Core, Said, Staff, failure};

/// The setting that names the records whose files are kept here in full: their ids, one after the other.
const META_PINNED: &str = "pinned";
/// Such records, at most: what the setting has room for, and half of that.
const MAX_PINNED: usize = 16_384;
/// Longest file in the log that is put together, packed, bytes.
const MAX_INLINE_BYTES: usize = 256 << 20;
/// Least characters by which the hash of an entry is known.
const MIN_ENTRY_CHARS: usize = 12;
/// The member of the facts that holds the tags of a DICOM file.
const DICOM: &str = "dicom";

/// A file on its way into a record, its blobs being stored already.
pub struct NewAttachment {
    /// What its entry says.
    pub attachment: Attachment,
    /// The blob of the file, and that of its preview where there is one.
    pub blobs: Vec<BlobHash>,
}

/// A file of a record.
#[derive(Clone)]
pub struct Attached {
    /// The entry that attached it; the first one of a file that took several.
    pub meta: Meta,
    /// What is said of it.
    pub what: What,
}

/// What is held of a file, beyond that it was attached.
#[derive(Clone)]
pub enum What {
    /// Its bytes are blobs.
    Blobs {
        /// What its entry says.
        attachment: Box<Attachment>,
        /// The file's blob.
        content: BlobHash,
        /// The preview's.
        preview: Option<BlobHash>,
    },
    /// Its bytes are in the log.
    Inline {
        /// Id within the record.
        id: String,
        /// File name.
        name: String,
        /// Media type.
        mime: String,
        /// Length, bytes.
        len: u64,
    },
    /// It was destroyed.
    Erased {
        /// Why.
        reason: String,
    },
}

impl Attached {
    /// Its id within the record; that of its entry where it is erased.
    pub fn id(&self) -> String {
        match &self.what {
            What::Blobs { attachment, .. } => attachment.id.clone(),
            What::Inline { id, .. } => id.clone(),
            What::Erased { .. } => self.meta.hash.to_string(),
        }
    }

    fn name(&self) -> &str {
        match &self.what {
            What::Blobs { attachment, .. } => &attachment.name,
            What::Inline { name, .. } => name,
            What::Erased { .. } => "",
        }
    }
}

impl Core {
    /// Whether somebody may attach files to a record; why not, in words.
    pub fn may_attach(&mut self, who: &Staff, log: LogId) -> Result<(), ApiError> {
        let role = Role::ALL.iter();
        let mut roles = role.filter(|role| role.may_edit(Scope::Attachment));
        if !roles.any(|role| self.has_role(who, *role)) {
            return Err(
                ApiError::refused("not permitted: this role attaches no files")
                    .hint("a physician attaches files; `salus staff list` shows who is one"),
            );
        }
        let me = self.me;
        let right = self.log(log)?.right_of(me);
        if right.is_none_or(|right| right < Right::Write) {
            return Err(ApiError::refused(
                "not permitted: this clinic may not write to the record",
            )
            .hint("ask the record's home clinic for a write grant (`salus grants` shows it)"));
        }
        Ok(())
    }

    /// The records whose files are kept here in full.
    fn pinned(&self) -> Result<BTreeSet<LogId>, ApiError> {
        let bytes = self.store.meta(META_PINNED).map_err(failure::store)?;
        let bytes = bytes.unwrap_or_default();
        let ids = bytes.chunks_exact(32).filter_map(|id| id.try_into().ok());
        Ok(ids.map(LogId::from_bytes).collect())
    }

    /// Whether a record's files are kept here in full.
    pub fn is_pinned(&self, log: LogId) -> Result<bool, ApiError> {
        Ok(self.pinned()?.contains(&log))
    }

    /// Has a record's files kept here in full, or not; whether that is a change.
    pub fn pin(&mut self, log: LogId, pin: bool) -> Result<bool, ApiError> {
        let mut pinned = self.pinned()?;
        let changed = if pin {
            pinned.insert(log)
        } else {
            pinned.remove(&log)
        };
        if !changed {
            return Ok(false);
        }
        if pinned.len() > MAX_PINNED {
            return Err(
                ApiError::failed(format!("{MAX_PINNED} records are pinned already"))
                    .hint("unpin some, or raise `eager_below` in settings.json"),
            );
        }
        let ids: Vec<u8> = pinned.iter().flat_map(|log| *log.as_bytes()).collect();
        self.transact(|_, pending| {
            pending.batch.meta.push((META_PINNED.to_owned(), ids));
            Ok(())
        })?;
        Ok(true)
    }

    /// Attaches files whose blobs are stored, in one transaction. A file that this clinic attached already, by its bytes, and still holds
    /// is left out: what others claim of a file proves nothing. Of each the id is returned, and whether it is new.
    pub fn attach(
        &mut self,
        who: &Staff,
        log: LogId,
        files: Vec<NewAttachment>,
        held: &BTreeSet<BlobHash>,
    ) -> Result<Vec<(String, bool)>, ApiError> {
        let me = self.me;
        let mut known: BTreeMap<[u8; 32], String> = BTreeMap::new();
        for file in self.attached(log)? {
            let own = self.rosters.clinic_of(file.meta.chain) == Some(me);
            if let What::Blobs {
                attachment,
                content,
                ..
            } = file.what
                && own
                && held.contains(&content)
            {
                known.insert(attachment.sha256, attachment.id.clone());
            }
        }
        let chain = self.chain_id();
        let state = self.log(log)?;
        let of_own = state.blobs().filter(|(entry, _)| {
            let meta = state.entry_meta(entry);
            meta.is_some_and(|meta| meta.chain == chain)
        });
        let named: usize = of_own.map(|(_, blobs)| blobs.len()).sum();
        let coming: usize = files.iter().map(|file| file.blobs.len()).sum();
        // Half of what is kept of a record, so that others have room.
        let most = MAX_NAMED_BLOBS / 2;
        if named + coming > most {
            return Err(ApiError::failed(format!(
                "a clinic has room for {most} files and previews in one record, and {named} are taken"
            ))
            .hint("put the rest of a large archive into a record of its own and link the two"));
        }
        let (epoch, key) = self.newest_key(log)?;
        self.transact(|core, pending| {
            let mut outcomes = Vec::with_capacity(files.len());
            for NewAttachment { attachment, blobs } in files {
                if let Some(id) = known.get(&attachment.sha256) {
                    outcomes.push((id.clone(), false));
                    continue;
                }
                attachment.check().map_err(|error| {
                    ApiError::failed(format!("{} cannot be attached: {error}", attachment.name))
                })?;
                known.insert(attachment.sha256, attachment.id.clone());
                outcomes.push((attachment.id.clone(), true));
                let body = Body::Attachment(Box::new(attachment));
                let said = Said::Sealed(&body, epoch, &key);
                let scope = Some(Scope::Attachment);
                core.append_naming(pending, &who.key, log, scope, said, blobs)?;
            }
            core.refresh(log, pending)?;
            Ok(outcomes)
        })
    }

    /// Every file of a record whose entry counts, in causal order.
    pub fn attached(&mut self, log: LogId) -> Result<Vec<Attached>, ApiError> {
        let state = self.log(log)?;
        let erased: BTreeMap<EntryHash, &str> = state
            .erasures()
            .flat_map(|erasure| {
                let entries = erasure.entries.iter();
                entries.map(|entry| (*entry, erasure.reason.as_str()))
            })
            .collect();
        let metas: Vec<(Meta, Option<String>)> = state
            .entries()
            .filter(|meta| meta.kind == Kind::Attach && state.void(&meta.hash).is_none())
            .map(|meta| {
                let reason = erased.get(&meta.hash);
                (meta.clone(), reason.map(|reason| (*reason).to_owned()))
            })
            .collect();
        let mut files: Vec<Attached> = Vec::with_capacity(metas.len());
        let mut inline: BTreeSet<String> = BTreeSet::new();
        for (meta, erased) in metas {
            let what = match erased {
                Some(reason) => Some(What::Erased { reason }),
                None => self.what(log, &meta)?,
            };
            // Further parts of the same file.
            let repeats = match &what {
                Some(What::Inline { id, .. }) => !inline.insert(id.clone()),
                _ => false,
            };
            if let (Some(what), false) = (what, repeats) {
                files.push(Attached { meta, what });
            }
        }
        Ok(files)
    }

    /// What one attach entry says; nothing where it cannot be read, which verification names.
    fn what(&mut self, log: LogId, meta: &Meta) -> Result<Option<What>, ApiError> {
        let entry = match self.store().entry(log, meta.line, meta.seq) {
            Ok(entry) => entry,
            Err(error) => match failure::store(error) {
                error if error.kind == ErrorKind::Integrity => return Ok(None),
                error => return Err(error),
            },
        };
        let Some(entry) = entry else { return Ok(None) };
        if entry.payload().is_none() && self.log(log)?.may_be_bare(&meta.hash, meta.kind) {
            return Ok(Some(What::Erased {
                reason: VAIN_ERASURE.into(),
            }));
        }
        let blobs = &entry.header().blobs;
        Ok(match self.open_body(log, &entry) {
            Ok(Body::Attach {
                id,
                name,
                mime,
                bytes_len,
                ..
            }) => Some(What::Inline {
                id,
                name,
                mime,
                len: bytes_len,
            }),
            // Header and body are signed together: a writer whose two disagree says nothing.
            Ok(Body::Attachment(attachment)) if attachment.blobs() == blobs.len() => {
                blobs.first().map(|content| What::Blobs {
                    content: *content,
                    preview: blobs.get(1).copied(),
                    attachment,
                })
            }
            _ => None,
        })
    }

    /// The file that an id, its beginning or an exact name means.
    pub fn attachment(&mut self, log: LogId, text: &str) -> Result<Attached, ApiError> {
        let wanted = text.trim();
        let files = self.attached(log)?;
        // The entry's hash tells files apart whose writers gave them one id.
        let by_entry = |file: &&Attached| {
            wanted.len() >= MIN_ENTRY_CHARS
                && file
                    .meta
                    .hash
                    .to_string()
                    .starts_with(&wanted.to_lowercase())
        };
        let exact = |file: &&Attached| file.id() == wanted || file.name() == wanted;
        let begins =
            |file: &&Attached| !wanted.is_empty() && file.id().starts_with(&wanted.to_lowercase());
        let mut found: Vec<&Attached> = files.iter().filter(by_entry).collect();
        if found.is_empty() {
            found = files.iter().filter(exact).collect();
        }
        if found.is_empty() {
            found = files.iter().filter(begins).collect();
        }
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(no_such_attachment(text)),
            several => Err(ambiguous(text, several.iter().copied())),
        }
    }

    /// The same among the files of this record and of those that are shown as one with it: the record that has it, and the file.
    pub fn attachment_of_person(
        &mut self,
        log: LogId,
        text: &str,
    ) -> Result<(LogId, Attached), ApiError> {
        let mut found = Vec::new();
        let mut missing = None;
        for of in self.person(log)? {
            match self.attachment(of, text) {
                Ok(file) => found.push((of, file)),
                Err(error) if error.kind == ErrorKind::NotFound => {
                    missing.get_or_insert(error);
                }
                Err(error) if of == log || error.kind == ErrorKind::Usage => return Err(error),
                // A linked record that is damaged does not take this one's files away.
                Err(error) => {
                    tracing::warn!(log = %of, %error, "files of a linked record cannot be read")
                }
            }
        }
        match found.as_slice() {
            [_] => {}
            [] => return Err(missing.unwrap_or_else(|| no_such_attachment(text))),
            several => return Err(ambiguous(text, several.iter().map(|(_, file)| file))),
        }
        found.pop().ok_or_else(|| no_such_attachment(text))
    }

    /// Files of a record as faces show them; which bytes are here is not known to the core.
    pub fn attachment_views(&mut self, log: LogId) -> Result<Vec<AttachmentView>, ApiError> {
        let files = self.attached(log)?;
        Ok(files
            .iter()
            .map(|file| self.attachment_view(file))
            .collect())
    }

    /// One of them.
    pub fn attachment_view(&self, file: &Attached) -> AttachmentView {
        let view = AttachmentView {
            id: file.id(),
            added_ms: file.meta.time_ms,
            clinic: self.chain_clinic(file.meta.chain),
            actor: self.actor_name(file.meta.chain, file.meta.actor),
            entry: file.meta.hash.to_string(),
            ..AttachmentView::default()
        };
        match &file.what {
            What::Erased { reason } => AttachmentView {
                erased: Some(reason.clone()),
                ..view
            },
            What::Inline {
                name, mime, len, ..
            } => AttachmentView {
                name: name.clone(),
                mime: mime.clone(),
                bytes: *len,
                available: true,
                held: *len,
                ..view
            },
            What::Blobs {
                attachment,
                content,
                preview,
            } => {
                let (dicom, facts) = facts(&attachment.facts);
                AttachmentView {
                    name: attachment.name.clone(),
                    mime: attachment.mime.clone(),
                    bytes: attachment.content.len,
                    sha256: hex(&attachment.sha256),
                    preview: preview.is_some(),
                    dicom,
                    facts,
                    about: attachment.about.clone(),
                    blob: content.to_string(),
                    preview_blob: preview.map_or_else(String::new, |blob| blob.to_string()),
                    ..view
                }
            }
        }
    }

    /// The bytes of a file that is in the log, unpacked.
    pub fn inline_bytes(&mut self, log: LogId, id: &str) -> Result<Vec<u8>, ApiError> {
        let state = self.log(log)?;
        let metas: Vec<Meta> = state
            .entries()
            .filter(|meta| meta.kind == Kind::Attach && state.void(&meta.hash).is_none())
            .cloned()
            .collect();
        let mut packed = Vec::new();
        let mut form = None;
        let mut chain = None;
        for meta in metas {
            // A file's parts are of one chain: what others write under its id is not part of it.
            if chain.is_some_and(|chain| chain != meta.chain) {
                continue;
            }
            let entry = self.store().entry(log, meta.line, meta.seq);
            let Some(entry) = entry.map_err(failure::store)? else {
                continue;
            };
            if let Ok(Body::Attach {
                id: of,
                encoding,
                bytes_len,
                inline,
                ..
            }) = self.open_body(log, &entry)
                && of == id
            {
                if packed.len() + inline.len() > MAX_INLINE_BYTES {
                    break;
                }
                chain = Some(meta.chain);
                packed.extend_from_slice(&inline);
                form = Some((encoding, bytes_len));
            }
        }
        let damaged = || ApiError::integrity(format!("the attachment {id} is not whole"));
        let (encoding, len) = form.ok_or_else(damaged)?;
        let bytes = match encoding {
            Encoding::Identity => packed,
            Encoding::Deflate => inflated(&packed, len).ok_or_else(damaged)?,
        };
        if bytes.len() as u64 == len {
            Ok(bytes)
        } else {
            Err(damaged())
        }
    }

    /// Adds the SHA-256 of files that are in the log.
    pub fn hash_inline(
        &mut self,
        log: LogId,
        views: &mut [AttachmentView],
    ) -> Result<(), ApiError> {
        let inline = |view: &&mut AttachmentView| view.blob.is_empty() && view.erased.is_none();
        for view in views.iter_mut().filter(inline) {
            // What is not whole has no hash; it must not hide the others.
            match self.inline_bytes(log, &view.id) {
                Ok(bytes) => view.sha256 = hex(&Sha256::digest(&bytes).into()),
                Err(error) if error.kind == ErrorKind::Integrity => view.available = false,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether a clinic may have a blob: some record that it may hold names it. Whose record the blob belongs to is in the blob itself.
    pub fn logs_naming_for(&self, peer: ClinicId, blob: &BlobHash) -> Vec<LogId> {
        let may_hold = |log: &&LogId| {
            let summary = self.logs.summary(log);
            summary.is_some_and(|summary| summary.may_hold(&peer))
        };
        self.logs.naming(blob).filter(may_hold).copied().collect()
    }

    /// Every blob that a record names: what must be kept.
    pub fn named_blobs(&self) -> BTreeSet<BlobHash> {
        self.logs.blobs().copied().collect()
    }

    /// The records that name a blob.
    pub fn logs_naming(&self, blob: &BlobHash) -> Vec<LogId> {
        self.logs.naming(blob).copied().collect()
    }

    /// Blobs that a record's entries name and that are kept for it: the file's, and its preview's.
    pub fn blobs_of_log(
        &mut self,
        log: LogId,
    ) -> Result<Vec<(BlobHash, Option<BlobHash>)>, ApiError> {
        let state = self.log(log)?;
        let named = state.blobs().filter_map(|(_, blobs)| {
            let content = blobs.first()?;
            Some((*content, blobs.get(1).copied()))
        });
        let mut named: Vec<_> = named.collect();
        // What the log's summary has no room for would be collected again.
        named.retain(|(content, _)| self.logs.naming(content).any(|of| *of == log));
        Ok(named)
    }

    /// How long a record's blobs are, sealed; of none where the node is locked, and only entries' headers can be read.
    pub fn blob_sizes(&mut self, log: LogId) -> BTreeMap<BlobHash, u64> {
        let mut sizes = BTreeMap::new();
        let files = match self.is_unlocked() {
            true => self.attached(log).unwrap_or_default(),
            false => Vec::new(),
        };
        for file in files {
            let What::Blobs {
                attachment,
                content,
                preview,
            } = file.what
            else {
                continue;
            };
            let small = preview.zip(attachment.preview);
            for (blob, sealed) in [(content, attachment.content)].into_iter().chain(small) {
                if let Some(len) = sealed_blob_len(sealed.len) {
                    sizes.insert(blob, len);
                }
            }
        }
        sizes
    }

    /// The clinics that may hold a record, this one left out: where its blobs may be found.
    pub fn holders(&self, log: LogId) -> Vec<ClinicId> {
        let Some(summary) = self.logs.summary(&log) else {
            return Vec::new();
        };
        let clinics = summary.audience.iter().map(|(clinic, _)| *clinic);
        clinics.filter(|clinic| *clinic != self.me).collect()
    }

    /// Blobs that this clinic itself attached: nobody else need have them.
    pub fn own_blobs(&mut self) -> Result<BTreeSet<BlobHash>, ApiError> {
        let mut own = BTreeSet::new();
        for log in self.record_logs() {
            let state = self.logs.state(log, &self.store, &self.rosters)?;
            for (entry, blobs) in state.blobs() {
                let chain = state.entry_meta(entry).map(|meta| meta.chain);
                let clinic = chain.and_then(|chain| self.rosters.clinic_of(chain));
                if clinic == Some(self.me) {
                    own.extend(blobs);
                }
            }
        }
        Ok(own)
    }

    /// Blobs of a record that erasures took and that no record names: they are to go.
    pub fn erased_blobs(&mut self, log: LogId) -> Result<Vec<BlobHash>, ApiError> {
        let state = self.log(log)?;
        let erased = state.erased_entries();
        let blobs = erased.iter().flat_map(|entry| state.blobs_of(entry));
        let mut blobs: Vec<BlobHash> = blobs.copied().collect();
        blobs.retain(|blob| self.logs.naming(blob).next().is_none());
        Ok(blobs)
    }

    /// Records of which something was erased, as far as that was looked at since the start.
    pub fn logs_with_erasures(&self) -> Vec<LogId> {
        self.logs.with_destroyed().collect()
    }

    /// Records that name blobs.
    pub fn record_logs(&self) -> Vec<LogId> {
        let records = self.logs.summaries().iter();
        records
            .filter(|(_, summary)| !summary.roster && !summary.blobs.is_empty())
            .map(|(log, _)| *log)
            .collect()
    }
}

fn no_such_attachment(text: &str) -> ApiError {
    ApiError::not_found(format!("the record has no attachment `{text}`"))
        .hint("see `salus attachments PATIENT`")
}

/// Entries tell files apart whose writers gave them one name or id.
fn ambiguous<'a>(text: &str, files: impl ExactSizeIterator<Item = &'a Attached>) -> ApiError {
    let count = files.len();
    let entries = files.take(5).map(|file| file.meta.hash.to_string());
    let ids: Vec<String> = entries
        .map(|hash| hash.chars().take(2 * MIN_ENTRY_CHARS).collect())
        .collect();
    ApiError::usage(format!("{count} attachments are `{text}`"))
        .hint(format!("give the entry of one: {}", ids.join(", ")))
}

/// The tags of a DICOM file, and the other facts.
fn facts(text: &str) -> (Option<Map<String, Value>>, Map<String, Value>) {
    let mut facts = match serde_json::from_str(text) {
        Ok(Value::Object(facts)) => facts,
        _ => Map::new(),
    };
    let dicom = match facts.remove(DICOM) {
        Some(Value::Object(dicom)) => Some(dicom),
        _ => None,
    };
    (dicom, facts)
}

fn inflated(packed: &[u8], len: u64) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    // One byte more than is said: a longer one is no file of ours.
    let mut reader = flate2::read::DeflateDecoder::new(packed).take(len.checked_add(1)?);
    reader.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

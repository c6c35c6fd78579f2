//! Taking foreign files in: a new record is prepared without the core, so that several files are worked on at once.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use salus_api::ApiError;
use salus_audit::{Body, ChainId, ClinicId, Control, Encoding, EntryHash, LogId, Right, Scope};
use salus_fhir::PatientImport;
use salus_record::{Change, Edit, Patient, Record, RecordContent};
use salus_vault::{EpochKey, wrap_epoch_key};

use super::edits::{edit_error, fresh_id};
use super::{Core, Pending, Said, Staff, entry_scope};

/// Bytes of a packed source that go into one entry; larger sources take several. Below the entry's payload bound of 4 MiB with
/// room for padding.
const MAX_INLINE_BYTES: usize = 3 << 20;

/// A source file's part that belongs to one patient, packed for keeping.
pub struct Source {
    /// BLAKE3 of its canonical form.
    pub hash: [u8; 32],
    /// The file's name.
    pub name: String,
    /// Length before packing, bytes.
    pub bytes: u64,
    /// Raw DEFLATE.
    pub packed: Vec<u8>,
}

impl Source {
    /// Packs a patient's part of a file.
    pub fn pack(import: &PatientImport, name: &str) -> Result<Self, ApiError> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        let packed = encoder
            .write_all(&import.raw)
            .and_then(|()| encoder.finish())
            .map_err(|e| ApiError::failed(format!("the source of {name} cannot be packed: {e}")))?;
        Ok(Self {
            hash: import.source_hash,
            name: name.to_owned(),
            bytes: import.raw.len() as u64,
            packed,
        })
    }
}

/// A new record, its document built and its keys drawn, ready to be written into a log.
pub struct Prepared {
    log: LogId,
    genesis: Control,
    key: EpochKey,
    record: Record,
    changes: Vec<(Scope, Vec<Vec<u8>>, String)>,
    source: Option<Source>,
}

impl Prepared {
    /// Builds the document of a new record.
    pub fn new_record(
        content: RecordContent,
        source: Option<Source>,
        home: ClinicId,
        chain: ChainId,
        time_ms: u64,
    ) -> Result<Self, ApiError> {
        let key = EpochKey::generate();
        let genesis = Control::RecordGenesis {
            home,
            commitment: key.commitment(),
        };
        let log = genesis
            .log_id(chain)
            .ok_or_else(|| ApiError::failed("the record's id could not be derived"))?;
        let actor = salus_record::actor_for(*chain.as_bytes(), *log.as_bytes());
        let (mut record, first) = Record::create(actor, time_ms).map_err(edit_error)?;
        let mut edits = Edit::all(content);
        if let Some(source) = &source {
            edits.insert(
                0,
                Edit::Source {
                    hash: source.hash,
                    name: source.name.clone(),
                    time_ms,
                },
            );
        }
        let mut changes = by_scope(&mut record, edits, time_ms)?
            .into_iter()
            .map(|(change, summary)| (entry_scope(change.scope), vec![change.bytes], summary))
            .collect::<Vec<_>>();
        // The change that makes the collections travels with the first one: it says nothing of the patient.
        match changes.first_mut() {
            Some((Scope::Demographics, bytes, _)) => bytes.insert(0, first.bytes),
            _ => changes.insert(
                0,
                (
                    Scope::Demographics,
                    vec![first.bytes],
                    "record begun".into(),
                ),
            ),
        }
        Ok(Self {
            log,
            genesis,
            key,
            record,
            changes,
            source,
        })
    }

    /// The record's id.
    pub fn log(&self) -> LogId {
        self.log
    }

    /// Entries that it will make, those of its source left out.
    pub fn entries(&self) -> usize {
        // Genesis and the home clinic's own grant come before the edits.
        2 + self.changes.len()
    }
}

/// Makes edits of any scopes as changes of one scope each, with a line for people about each.
pub(super) fn by_scope(
    record: &mut Record,
    edits: Vec<Edit>,
    time_ms: u64,
) -> Result<Vec<(Change, String)>, ApiError> {
    let mut items: Vec<(salus_record::Scope, usize)> = Vec::new();
    for scope in edits.iter().filter_map(|edit| edit.scope().ok().flatten()) {
        match items.iter_mut().find(|(s, _)| *s == scope) {
            Some((_, n)) => *n += 1,
            None => items.push((scope, 1)),
        }
    }
    let changes = record.import(edits, time_ms).map_err(edit_error)?;
    Ok(changes
        .into_iter()
        .map(|change| {
            let n = items
                .iter()
                .find(|(s, _)| *s == change.scope)
                .map_or(0, |(_, n)| *n);
            let noun = if n == 1 { "item" } else { "items" };
            let summary = format!("imported: {n} {noun} of {}", change.scope.as_str());
            (change, summary)
        })
        .collect())
}

/// One patient of a file on the way into the core.
pub enum ToImport {
    /// Already here.
    Known(LogId, Box<RecordContent>, Source),
    /// New: the source's id of the patient, and the prepared record.
    New(String, Box<Prepared>),
}

/// What became of one patient of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// New here.
    Created(LogId),
    /// Known, and changed.
    Updated(LogId),
    /// Known; nothing to change.
    Unchanged(LogId),
}

impl Core {
    /// The record that holds a source's patient, where there is one. A FHIR id means one patient on one server only, and small systems
    /// count from 1: where two of birth date, sex, family and first given name contradict, it is another person's record.
    pub fn known_source(
        &mut self,
        source_id: &str,
        patient: &Patient,
    ) -> Result<Option<LogId>, ApiError> {
        let index = &self.opened()?.index;
        let differ = |ours: Option<&str>, theirs: Option<&str>| {
            ours.zip(theirs)
                .is_some_and(|(a, b)| a.to_lowercase() != b.to_lowercase())
        };
        let first = |given: &str| given.split_whitespace().next().map(str::to_owned);
        let same_person = |log: &LogId| {
            let Some(row) = index.get(log) else {
                return false;
            };
            let given = (
                first(&row.given),
                patient.given.first().and_then(|g| first(g)),
            );
            let contradictions = [
                differ(row.birth_date.as_deref(), patient.birth_date.as_deref()),
                differ(row.family.as_deref(), patient.family.as_deref()),
                differ(given.0.as_deref(), given.1.as_deref()),
                differ(Some(&row.sex), Some(patient.sex.as_str())),
            ];
            contradictions
                .iter()
                .filter(|contradicts| **contradicts)
                .count()
                < 2
        };
        // A record that began here or at another clinic is exported under its own id.
        let by_id = source_id.parse::<LogId>().ok();
        let mut candidates = by_id.into_iter().chain(index.by_source(source_id));
        Ok(candidates.find(same_person))
    }

    /// Stores all patients of one file in one transaction.
    pub fn import(&mut self, who: &Staff, file: Vec<ToImport>) -> Result<Vec<Imported>, ApiError> {
        self.transact(|core, pending| {
            let mut outcomes = Vec::with_capacity(file.len());
            for patient in file {
                outcomes.push(match patient {
                    ToImport::Known(log, content, source) => {
                        core.update_from(pending, who, log, *content, source)?
                    }
                    ToImport::New(source_id, prepared) => {
                        if core
                            .known_source(&source_id, &prepared.record.patient())?
                            .is_some()
                        {
                            return Err(ApiError::failed(
                                "the same patient was imported by another call at this moment",
                            )
                            .hint("import the file again: what it adds is taken in then"));
                        }
                        let log = prepared.log();
                        core.store_prepared(pending, who, *prepared)?;
                        Imported::Created(log)
                    }
                });
            }
            Ok(outcomes)
        })
    }

    /// Stores new records with edits of an entry each behind them, granted to others, in one transaction.
    pub fn register_many(
        &mut self,
        who: &Staff,
        records: Vec<(Prepared, Vec<Vec<Edit>>)>,
        grants: &[(ClinicId, Right)],
    ) -> Result<(), ApiError> {
        self.transact(|core, pending| {
            for (prepared, edits) in records {
                let log = prepared.log();
                core.store_prepared(pending, who, prepared)?;
                for edits in edits {
                    core.edit_in(pending, who, log, &edits, "item added".to_owned())?;
                }
                for to in grants {
                    let (epoch, key) = core.newest_key(log)?;
                    core.grant_in(pending, who, log, *to, (epoch, &key))?;
                }
                core.refresh(log, pending)?;
            }
            Ok(())
        })
    }

    /// Writes a prepared record: genesis, the home clinic's own grant, the edits, the source as received.
    pub(crate) fn store_prepared(
        &mut self,
        pending: &mut Pending,
        who: &Staff,
        prepared: Prepared,
    ) -> Result<(), ApiError> {
        let Prepared {
            log,
            genesis,
            key,
            record,
            changes,
            source,
        } = prepared;
        let mut time_ms = 0;
        let me = self.me();
        let genesis = self.append(pending, &who.key, log, None, Said::Clear(&genesis))?;
        let epoch = genesis.hash();
        let wrapped = wrap_epoch_key(&self.opened()?.hpke_public(), log, epoch, me, &key)
            .map_err(|e| ApiError::failed(format!("the record's key cannot be wrapped: {e}")))?;
        let grant = Control::Grant {
            clinic: me,
            right: Right::Home,
            epoch,
            wrapped,
        };
        self.append(pending, &who.key, log, None, Said::Clear(&grant))?;
        for (scope, changes, summary) in changes {
            let body = Body::Edit { changes, summary };
            let entry = self.append(
                pending,
                &who.key,
                log,
                Some(scope),
                Said::Sealed(&body, epoch, &key),
            )?;
            time_ms = entry.header().time_ms;
        }
        if let Some(source) = source {
            self.attach_source(pending, who, log, source, epoch, &key)?;
        }
        let state = self.logs.state(log, &self.store, &self.rosters)?;
        if let Some(opened) = &mut self.opened {
            opened.keep_key(log, epoch, key);
            opened.keep_document(log, record, state, time_ms);
        }
        self.refresh(log, pending)
    }

    /// Brings a known record up to what a file says of its patient; a file that was imported before changes nothing.
    pub(crate) fn update_from(
        &mut self,
        pending: &mut Pending,
        who: &Staff,
        log: LogId,
        content: RecordContent,
        source: Source,
    ) -> Result<Imported, ApiError> {
        let now = self.now_ms();
        if self.document(log)?.record.view().has_source(&source.hash) {
            return Ok(Imported::Unchanged(log));
        }
        pending.touched.insert(log);
        let mut edits = Edit::all(content);
        edits.insert(
            0,
            Edit::Source {
                hash: source.hash,
                name: source.name.clone(),
                time_ms: now,
            },
        );
        let changes = by_scope(&mut self.document(log)?.record, edits, now)?;
        let (epoch, key) = self.newest_key(log)?;
        for (change, summary) in changes {
            let scope = entry_scope(change.scope);
            let body = Body::Edit {
                changes: vec![change.bytes],
                summary,
            };
            let entry = self.append(
                pending,
                &who.key,
                log,
                Some(scope),
                Said::Sealed(&body, epoch, &key),
            )?;
            self.covers_all(log, entry.header().time_ms)?;
        }
        self.attach_source(pending, who, log, source, epoch, &key)?;
        self.covers_all(log, now)?;
        self.refresh(log, pending)?;
        Ok(Imported::Updated(log))
    }

    fn attach_source(
        &mut self,
        pending: &mut Pending,
        who: &Staff,
        log: LogId,
        source: Source,
        epoch: EntryHash,
        key: &EpochKey,
    ) -> Result<(), ApiError> {
        let id = fresh_id()?;
        for part in source.packed.chunks(MAX_INLINE_BYTES) {
            let body = Body::Attach {
                id: id.clone(),
                name: source.name.clone(),
                mime: "application/fhir+json".into(),
                encoding: Encoding::Deflate,
                bytes_len: source.bytes,
                inline: part.to_vec(),
            };
            let said = Said::Sealed(&body, epoch, key);
            self.append(pending, &who.key, log, Some(Scope::Attachment), said)?;
        }
        Ok(())
    }
}

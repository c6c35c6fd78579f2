//! Attachments at work: files sealed into blobs, brought from other clinics, opened again.
//!
//! What an entry says of a file, and who may have which blob, is the core's ([`crate::core`]); storing and sending blobs is the
//! mesh's ([`BlobStore`]). Here the two meet: a file's blobs are stored before its entry is written, and guarded until
//! then, so that neither is ever without the other.

mod bring;
mod classify;
mod copy;
mod examine;
mod facts;
mod identity;
mod keep;
mod look;
mod seal;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use salus_api::{ApiError, AttachedView, AttachmentView, ErrorKind, Progress, Reply};
use salus_audit::{Attachment, BlobHash, LogId};
use salus_media::{InspectOptions, Inspected, MediaType};
use salus_mesh::blobs::{Added, BlobGuard, BlobOptions, BlobStore, Presence, RateLimit};
use salus_record::Patient;
use tokio::sync::mpsc;

pub use bring::{ToFetch, fetch};
pub use classify::classify;
pub use copy::{copy_in, copy_out, guarded};
pub use examine::{all_held, examine};
pub use keep::{Keeper, Policy, catch_up, keep, pin};
pub use look::{ToLook, preview};
#[cfg(test)]
pub use seal::seal_file;
pub use seal::{belongs_to, blob_error};

use crate::core::{Core, NewAttachment, Staff};
use crate::inspect::{LookedInto, inspect_file};
use crate::node::{Node, blocking, lock};

/// The folder of blobs, in the data folder.
const FOLDER: &str = "blobs";
/// How often bytes are removed that no record names: what a process left that was killed while it attached.
const COLLECT_EVERY: Duration = Duration::from_secs(60 * 60);
/// Files that are attached in one go, at most.
pub const MAX_AT_ONCE: usize = 1_024;
/// Progress is told after so many bytes: about a hundred times for a file of 1 GiB.
const STEP_BYTES: u64 = 8 << 20;

/// The node's blobs, opened when they are first needed.
#[derive(Default)]
pub struct Blobs {
    store: tokio::sync::Mutex<Option<BlobStore>>,
    /// The rate at which they are taken, by all fetches together.
    limit: RateLimit,
}

impl Blobs {
    /// The store of blobs. Only while the node is not sealed: what must be kept is known to the core alone.
    pub async fn get(&self, node: &Arc<Node>) -> Result<BlobStore, ApiError> {
        let mut slot = self.store.lock().await;
        if let Some(store) = &*slot {
            return Ok(store.clone());
        }
        node.core()?;
        let weak = Arc::downgrade(node);
        let protect = move || {
            // Without a core nobody knows what is needed, and nothing is collected.
            let core = weak.upgrade()?.core().ok()?;
            let named = lock(&core).named_blobs();
            Some(named.into_iter().collect())
        };
        let folder = folder(node.folder.root());
        let options = BlobOptions {
            collect_every: Some(COLLECT_EVERY),
            ..BlobOptions::new(Arc::new(protect))
        };
        let store = BlobStore::open(&folder, options);
        let store = store.await.map_err(|error| blob_error(&error))?;
        if let Some((aside, why)) = &store.repairs().index_set_aside {
            tracing::warn!(%why, aside = %aside.display(), "the index of blobs was made anew from the files");
        }
        *slot = Some(store.clone());
        Ok(store)
    }

    /// Has at most so many bytes a second taken.
    pub fn limit(&self, bytes_per_s: Option<u64>) {
        self.limit.set(bytes_per_s);
    }

    /// Lets go of the folder.
    pub async fn close(&self) {
        if let Some(store) = self.store.lock().await.take() {
            store.shutdown().await;
        }
    }
}

/// Where the blobs of a data folder are.
pub fn folder(data: &Path) -> PathBuf {
    data.join(FOLDER)
}

/// Tells a caller how far something has come.
#[derive(Clone)]
pub struct Teller {
    what: String,
    total: u64,
    told: u64,
    replies: mpsc::Sender<Reply>,
}

impl Teller {
    /// For something of so many bytes.
    pub fn new(what: String, total: u64, replies: &mpsc::Sender<Reply>) -> Self {
        Self {
            what,
            total,
            told: 0,
            replies: replies.clone(),
        }
    }

    /// Tells now and then.
    pub fn at(&mut self, done: u64) {
        if done >= self.told + STEP_BYTES || done == self.total {
            self.told = done;
            let step = Progress {
                what: self.what.clone(),
                done,
                total: self.total,
            };
            // Who is slow to listen hears of a later step.
            let _ = self.replies.try_send(Reply::Progress(step));
        }
    }
}

/// Whose files they are.
struct Owner {
    log: LogId,
    patient: Patient,
    about: Option<String>,
}

/// What `Attach` asks for.
pub struct ToAttach {
    /// Whose files.
    pub patient: String,
    /// The files.
    pub paths: Vec<PathBuf>,
    /// The item that they belong to, or the beginning of its id.
    pub about: Option<String>,
    /// Whether tags of another person were confirmed.
    pub confirmed: bool,
    /// Whether each is attached or left out by itself.
    pub each: bool,
}

/// Attaches files: all or none, or each by itself.
pub async fn attach(
    node: &Arc<Node>,
    who: &Staff,
    asked: ToAttach,
    replies: &mpsc::Sender<Reply>,
) -> Result<Vec<AttachedView>, ApiError> {
    let ToAttach {
        patient,
        paths,
        about,
        confirmed,
        each,
    } = asked;
    if paths.is_empty() {
        return Err(ApiError::usage("no file was named"));
    }
    if paths.len() > MAX_AT_ONCE {
        return Err(
            ApiError::usage(format!("more than {MAX_AT_ONCE} files at once"))
                .hint("attach them in several goes"),
        );
    }
    let me = who.clone();
    let owner = node
        .with_core(move |core| {
            let log = core.patient(&patient)?;
            core.may_attach(&me, log)?;
            owner(core, log, about)
        })
        .await?;
    let store = node.blobs.get(node).await?;
    let mut files = Vec::with_capacity(paths.len());
    let mut guards = Vec::with_capacity(2 * paths.len());
    let mut views = Vec::with_capacity(paths.len());
    let mut others: Vec<String> = Vec::new();
    for path in &paths {
        let mut view = AttachedView {
            file: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into(),
            attachment: None,
            error: None,
            added: false,
            warnings: Vec::new(),
        };
        match one(&store, &owner, path, confirmed, replies).await {
            Ok(ready) => {
                files.push(ready.new);
                guards.extend(ready.guards);
                view.warnings = ready.warnings;
            }
            Err(error) if each => view.error = Some(error),
            // All of them are told, so that a person confirms what they saw and nothing more.
            Err(error) if error.kind == ErrorKind::Refused => others.push(error.message),
            Err(error) if paths.len() > 1 => {
                return Err(match error.hint.clone() {
                    Some(hint) if hint.starts_with("nothing ") => error,
                    Some(hint) => error.hint(format!("nothing was attached; {hint}")),
                    None => error.hint("nothing was attached"),
                });
            }
            Err(error) => return Err(error),
        }
        views.push(view);
    }
    if !others.is_empty() {
        return Err(ApiError::refused(others.join("; ")).hint(
            "nothing was attached; attach it to the right patient, or confirm that it is this one's (--yes)",
        ));
    }
    let held = held(node, &store, owner.log).await?;
    let writer = who.clone();
    let (who, log) = (who.clone(), owner.log);
    let written = node
        .with_core(move |core| {
            let written = core.attach(&who, log, files, &held)?;
            let all = core.attached(log)?;
            let views = written.into_iter().map(|(id, added)| {
                let file = all.iter().find(|file| file.id() == id);
                (file.map(|file| core.attachment_view(file)), added)
            });
            Ok(views.collect::<Vec<_>>())
        })
        .await?;
    // From here on the entries name the blobs.
    drop(guards);
    let record = owner.log.to_string();
    let attached = views.iter_mut().filter(|view| view.error.is_none());
    for (view, (attachment, added)) in attached.zip(written) {
        view.added = added;
        view.attachment = attachment;
        let Some(attachment) = &mut view.attachment else {
            continue;
        };
        fill_in(&store, attachment).await;
        if added && node.settings.attachments.classify && is_picture(&attachment.mime) {
            let said = classify(node, &writer, record.clone(), attachment.id.clone()).await;
            if let Err(error) = said {
                view.warnings
                    .push(format!("not classified: {}", error.message));
            }
        }
    }
    Ok(views)
}

/// The blobs of a record's files that are here in full.
async fn held(
    node: &Arc<Node>,
    store: &BlobStore,
    log: LogId,
) -> Result<BTreeSet<BlobHash>, ApiError> {
    let named = node.with_core(move |core| core.blobs_of_log(log)).await?;
    let mut held = BTreeSet::new();
    for (content, _) in named {
        if let Ok(Presence::Complete { .. }) = store.presence(content).await {
            held.insert(content);
        }
    }
    Ok(held)
}

fn owner(core: &mut Core, log: LogId, about: Option<String>) -> Result<Owner, ApiError> {
    let content = core.show(log)?.content;
    let about = about.map(|text| item(&content, &text)).transpose()?;
    Ok(Owner {
        log,
        patient: content.patient,
        about,
    })
}

/// The item of a record whose id begins so.
fn item(content: &salus_record::RecordContent, text: &str) -> Result<String, ApiError> {
    let wanted = text.trim();
    let ids = core_ids(content);
    let exact = ids.iter().find(|id| *id == wanted).cloned();
    let mut found: Vec<String> = ids
        .into_iter()
        .filter(|id| !wanted.is_empty() && id.starts_with(wanted))
        .collect();
    match (exact, found.len()) {
        (Some(id), _) => Ok(id),
        (None, 1) => Ok(found.remove(0)),
        (None, 0) => Err(
            ApiError::not_found(format!("the record has no item `{text}`")).hint(
                "`salus patient show PATIENT` shows the ids of reports, encounters and notes",
            ),
        ),
        (None, n) => {
            Err(ApiError::usage(format!("{n} items begin with `{text}`"))
                .hint("give more of the id"))
        }
    }
}

/// What files belong to: reports, consultations, notes, and what was found or done.
fn core_ids(content: &salus_record::RecordContent) -> Vec<String> {
    let reports = content.diagnostic_reports.iter().map(|item| &item.id);
    let encounters = content.encounters.iter().map(|item| &item.id);
    let notes = content.notes.iter().map(|item| &item.id);
    let procedures = content.procedures.iter().map(|item| &item.id);
    let conditions = content.conditions.iter().map(|item| &item.id);
    let observations = content.observations.iter().map(|item| &item.id);
    reports
        .chain(encounters)
        .chain(notes)
        .chain(procedures)
        .chain(conditions)
        .chain(observations)
        .cloned()
        .collect()
}

/// A file whose blobs are stored.
struct Ready {
    new: NewAttachment,
    guards: Vec<BlobGuard>,
    warnings: Vec<String>,
}

async fn one(
    store: &BlobStore,
    owner: &Owner,
    path: &Path,
    confirmed: bool,
    replies: &mpsc::Sender<Reply>,
) -> Result<Ready, ApiError> {
    // A link that somebody names leads to what they mean; what it leads to is opened as itself.
    let looked_at = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (inspected, mut looked_into) = blocking(move || {
        // The stored samples of a DICOM file are counted: what the record says of it can be checked against the file anywhere.
        let options = InspectOptions {
            statistics: true,
            ..InspectOptions::default()
        };
        inspect_file(&looked_at, &options)
    })
    .await?;
    if let Some(name) = path.file_name() {
        looked_into.source.name = name.to_string_lossy().into_owned();
    }
    let name = &looked_into.source.name;
    let mut warnings = Vec::new();
    if let Some(dicom) = &inspected.facts.dicom {
        let differs = identity::contradictions(dicom, &owner.patient);
        if !differs.is_empty() {
            let what = format!(
                "{name}: its tags name another person: {} {}",
                differs.join(", "),
                if differs.len() == 1 {
                    "differs"
                } else {
                    "differ"
                }
            );
            if !confirmed {
                return Err(ApiError::refused(what).hint(
                    "attach it to the right patient, or confirm that it is this one's (--yes)",
                ));
            }
            warnings.push(format!("{what}; confirmed when it was attached"));
        }
    }
    if inspected.facts.media.extension_differs(name).is_some() {
        warnings.push(format!(
            "{name}: by its content this is {}, whatever its name says",
            inspected.facts.media.name()
        ));
    }
    warnings.extend(inspected.note.clone());
    sealed(store, owner, inspected, looked_into, warnings, replies).await
}

async fn sealed(
    store: &BlobStore,
    owner: &Owner,
    inspected: Inspected,
    looked_into: LookedInto,
    warnings: Vec<String>,
    replies: &mpsc::Sender<Reply>,
) -> Result<Ready, ApiError> {
    let from = looked_into.read();
    let source = looked_into.source;
    let (name, bytes) = (source.name, source.file.bytes);
    let mut teller = Teller::new(format!("{name}: sealed"), bytes, replies);
    let told = move |done| teller.at(done);
    let (content, content_key, passed) =
        seal::seal_file(store, owner.log, &name, (from, bytes), told).await?;
    let mut blobs = vec![content.hash];
    let mut guards = vec![content.guard];
    let mut preview_key = None;
    if let Some(preview) = &inspected.preview {
        let bytes = preview.encode();
        let len = bytes.len() as u64;
        let from = (std::io::Cursor::new(bytes), len);
        let (Added { hash, guard, .. }, key, _) =
            seal::seal_file(store, owner.log, &name, from, |_| ()).await?;
        blobs.push(hash);
        guards.push(guard);
        preview_key = Some(key);
    }
    let facts = facts::as_json(&inspected.facts, inspected.note.as_deref(), &warnings);
    let facts = if facts.len() <= salus_audit::MAX_FACTS_BYTES {
        facts
    } else {
        // Tags of a size that no device writes; what was confirmed stays.
        facts::without_tags(&inspected.facts, &warnings)
    };
    let attachment = Attachment {
        id: crate::core::fresh_id()?,
        name: shortened(&name),
        mime: inspected.facts.media.mime().to_owned(),
        sha256: passed.sha256,
        blake3: passed.blake3,
        content: content_key,
        preview: preview_key,
        about: owner.about.clone(),
        facts,
    };
    Ok(Ready {
        new: NewAttachment { attachment, blobs },
        guards,
        warnings,
    })
}

/// A name as long as an entry takes, its end kept: that tells what it is.
fn shortened(name: &str) -> String {
    let most = salus_audit::MAX_FILE_NAME_BYTES;
    if name.is_empty() {
        return "file".to_owned();
    }
    if name.len() <= most {
        return name.to_owned();
    }
    let from = (name.len() - most..name.len()).find(|at| name.is_char_boundary(*at));
    name.get(from.unwrap_or(0)..).unwrap_or_default().to_owned()
}

/// Removes the bytes that no record names any more.
pub async fn collect(node: &Arc<Node>) -> Result<(), ApiError> {
    let store = node.blobs.get(node).await?;
    store.collect().await.map_err(|error| blob_error(&error))?;
    Ok(())
}

/// Says of each file which bytes are here.
pub async fn fill_in_all(node: &Arc<Node>, views: &mut [AttachmentView]) {
    if views.iter().all(|view| view.blob.is_empty()) {
        return;
    }
    let Ok(store) = node.blobs.get(node).await else {
        return;
    };
    for view in views {
        fill_in(&store, view).await;
    }
}

async fn fill_in(store: &BlobStore, view: &mut AttachmentView) {
    let Ok(blob) = view.blob.parse() else { return };
    match store.presence(blob).await {
        Ok(Presence::Complete { .. }) => {
            view.available = true;
            view.held = view.bytes;
        }
        // Sealed bytes are a little more than the file's.
        Ok(Presence::Partial { have, .. }) => view.held = have.min(view.bytes),
        _ => {}
    }
}

/// Whether a file of this kind can be classified as an image.
pub fn is_picture(mime: &str) -> bool {
    MediaType::of_mime(mime).is_some_and(MediaType::is_picture)
}

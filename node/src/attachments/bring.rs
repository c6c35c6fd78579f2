//! Files brought from other clinics, and written to disk in the clear.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use salus_api::{ApiError, ErrorKind, FetchedView, Reply};
use salus_audit::{BlobHash, LogId, SealedBlob};
use salus_mesh::blobs::{
    BlobError, BlobFetchError, BlobStore, FetchOptions, FetchProgress, FetchStats, Presence, Wanted,
};
use salus_vault::sealed_blob_len;
use tokio::sync::{mpsc, watch};

use super::seal::{self, OpenedBlob, belongs_to, blob_error};
use super::{Teller, fill_in};
use crate::core::{Attached, Staff, What};
use crate::folder::not_written;
use crate::node::{Node, blocking};

/// What bringing a blob took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Brought {
    /// Sealed bytes that came.
    pub received: u64,
    /// Seconds.
    pub seconds: f64,
}

/// Makes sure that a blob of a record is held in full: brings it from the clinics that may hold the record.
///
/// `len` is how long the file is, where that is known; nothing longer is taken. A blob that turns out to be another record's is
/// dropped.
pub async fn ensure(
    node: &Arc<Node>,
    store: &BlobStore,
    log: LogId,
    blob: BlobHash,
    max_bytes: u64,
    mut teller: Option<Teller>,
) -> Result<Brought, ApiError> {
    let have = match store.presence(blob).await {
        Ok(Presence::Complete { .. }) => return Ok(Brought::default()),
        Ok(Presence::Partial { have, .. }) => have,
        _ => 0,
    };
    // A part of it would fill the disk, so that nothing else could be written.
    let free = crate::folder::free_bytes(node.folder.root());
    if max_bytes < u64::MAX && free.is_some_and(|free| free < max_bytes.saturating_sub(have)) {
        return Err(blob_error(&BlobError::Full));
    }
    let Some(mesh) = node.mesh().await else {
        return Err(ApiError::not_found(
            "the file is not here, and this node runs without a network",
        )
        .hint("run `salus node`, or `salus sync`, and try again"));
    };
    let providers = node.with_core(move |core| Ok(core.holders(log))).await?;
    let wanted = Wanted {
        blob,
        providers,
        max_bytes,
    };
    let options = options(node);
    let (tell, mut told) = watch::channel(FetchProgress::default());
    let fetch = mesh.fetch(&wanted, &options, Some(&tell));
    let mut fetch = std::pin::pin!(fetch);
    let stats = loop {
        tokio::select! {
            stats = &mut fetch => break stats,
            Ok(()) = told.changed() => {
                let have = told.borrow_and_update().have;
                if let Some(teller) = &mut teller {
                    teller.at(have);
                }
            }
        }
    };
    let FetchStats {
        bytes_received,
        took,
        ..
    } = stats.map_err(|error| fetch_error(&error))?;
    keep_own(node, store, log, blob).await?;
    Ok(Brought {
        received: bytes_received,
        seconds: took.as_secs_f64(),
    })
}

/// How this node fetches.
pub fn options(node: &Node) -> FetchOptions {
    FetchOptions {
        limit: node.blobs.limit.clone(),
        ..FetchOptions::default()
    }
}

/// Drops a blob that came for a record and belongs to another.
pub async fn keep_own(
    node: &Arc<Node>,
    store: &BlobStore,
    log: LogId,
    blob: BlobHash,
) -> Result<(), ApiError> {
    if belongs_to(store, blob, log)
        .await
        .map_err(|error| blob_error(&error))?
    {
        return Ok(());
    }
    let named = node
        .with_core(move |core| Ok(core.logs_naming(&blob)))
        .await?;
    if named.len() < 2 {
        store
            .discard(blob)
            .await
            .map_err(|error| blob_error(&error))?;
    }
    Err(ApiError::integrity(format!(
        "blob {blob} belongs to another record than the entry that names it"
    ))
    .hint("whoever attached it sent something false; ask that clinic"))
}

/// What `Fetch` asks for.
pub struct ToFetch {
    /// Whose file.
    pub patient: String,
    /// Which.
    pub attachment: String,
    /// Where to: a file, or a folder.
    pub to: PathBuf,
    /// Whether a file that is there is replaced.
    pub replace: bool,
}

/// Writes a file of a record to disk; an export.
pub async fn fetch(
    node: &Arc<Node>,
    who: &Staff,
    asked: ToFetch,
    replies: &mpsc::Sender<Reply>,
) -> Result<FetchedView, ApiError> {
    let ToFetch {
        patient,
        attachment,
        to,
        replace,
    } = asked;
    let (log, file, mut view) = node
        .with_core(move |core| {
            let log = core.patient(&patient)?;
            let (log, file) = core.attachment_of_person(log, &attachment)?;
            let view = core.attachment_view(&file);
            Ok((log, file, view))
        })
        .await?;
    if let What::Erased { reason } = &file.what {
        return Err(ApiError::not_found(format!(
            "the file was erased: {reason}"
        )));
    }
    let path = place(&to, &view.name, replace)?;
    not_inside(node.folder.root(), &path)?;
    let mut brought = Brought::default();
    if let What::Blobs { content, .. } = &file.what {
        let store = node.blobs.get(node).await?;
        let teller = Teller::new(format!("{}: received", view.name), view.bytes, replies);
        let most = sealed_blob_len(view.bytes).unwrap_or(u64::MAX);
        brought = ensure(node, &store, log, *content, most, Some(teller)).await?;
        fill_in(&store, &mut view).await;
    }
    // It is known to have left before it leaves.
    let (me, said) = (who.clone(), format!("file exported: {}", view.id));
    node.with_core(move |core| core.log_disclosure(&me, log, &said))
        .await?;
    write(node, log, &file, (&path, replace), replies).await?;
    Ok(FetchedView {
        attachment: view,
        path: path.display().to_string(),
        received: brought.received,
        seconds: brought.seconds,
    })
}

/// Where a file goes: into a folder under its own name, without what a name may not hold.
fn place(to: &Path, name: &str, replace: bool) -> Result<PathBuf, ApiError> {
    let path = if to.is_dir() {
        let safe: String = name
            .chars()
            .map(|c| match c {
                '/' | '\\' | ':' | '\0' => '_',
                c if c.is_control() => '_',
                c => c,
            })
            .collect();
        let safe = safe.trim_start_matches('.').trim();
        to.join(if safe.is_empty() { "attachment" } else { safe })
    } else {
        to.to_owned()
    };
    match std::fs::symlink_metadata(&path) {
        Ok(about) if about.is_dir() || (about.is_file() && !replace) => Err(ApiError::failed(
            format!("{} is there already", path.display()),
        )
        .hint("nothing was written; name another place with -o")),
        _ => Ok(path),
    }
}

/// Refuses to write where the node keeps what is its own.
fn not_inside(data: &Path, path: &Path) -> Result<(), ApiError> {
    let whole = |path: &Path| std::fs::canonicalize(path).ok();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = whole(folder.unwrap_or(Path::new(".")));
    match (whole(data), folder) {
        (Some(data), Some(folder)) if folder.starts_with(&data) => Err(ApiError::refused(
            "files are not written into the data folder",
        )
        .hint("name another place with -o")),
        _ => Ok(()),
    }
}

async fn write(
    node: &Arc<Node>,
    log: LogId,
    file: &Attached,
    (path, replace): (&Path, bool),
    replies: &mpsc::Sender<Reply>,
) -> Result<(), ApiError> {
    let failed = |error: std::io::Error| crate::folder::io_error("write", path, &error);
    // A device or a pipe is written to, never replaced by a file.
    if std::fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        let out = File::options().write(true).open(path).map_err(failed)?;
        return open(node, log, file, out, replies).await.map(drop);
    }
    // Beside its place first: a file that is not whole is never seen.
    let beside = crate::whole_file::beside(path).map_err(failed)?;
    let out = beside.as_file().try_clone().map_err(failed)?;
    open(node, log, file, out, replies).await?;
    let finished = if replace {
        crate::whole_file::finish_over(beside, path)
    } else {
        crate::whole_file::finish_new(beside, path)
    };
    finished.map_err(failed)
}

/// Writes what a file holds, wherever that is kept, and checks that it is what was attached.
async fn open(
    node: &Arc<Node>,
    log: LogId,
    file: &Attached,
    mut out: File,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), ApiError> {
    match &file.what {
        What::Erased { .. } => Ok(()),
        What::Inline { id, .. } => {
            let id = id.clone();
            let bytes = node
                .with_core(move |core| core.inline_bytes(log, &id))
                .await?;
            blocking(move || {
                use std::io::Write;
                out.write_all(&bytes)
                    .map_err(|error| not_written("the file", &error))
            })
            .await
        }
        What::Blobs {
            attachment,
            content,
            ..
        } => {
            let store = node.blobs.get(node).await?;
            let mut teller = Teller::new(
                format!("{}: written", attachment.name),
                attachment.content.len,
                replies,
            );
            let told = move |done| teller.at(done);
            let blob = (*content, &attachment.content);
            let (_, passed) = seal::open_blob(&store, log, blob, out, told).await?;
            if passed.sha256 == attachment.sha256 {
                return Ok(());
            }
            Err(ApiError::integrity(format!(
                "{} is not the file that was attached: its SHA-256 differs",
                attachment.name
            ))
            .hint("whoever attached it stated something false; ask that clinic"))
        }
    }
}

/// A file that can be decoded here: not above the bound of decoders, and brought where need be.
pub async fn to_decode(
    node: &Arc<Node>,
    log: LogId,
    (blob, sealed): (BlobHash, &SealedBlob),
) -> Result<OpenedBlob, ApiError> {
    if sealed.len > salus_imaging::MAX_FILE_BYTES as u64 {
        return Err(ApiError::failed(format!(
            "the file has {} bytes: too large to look at here",
            sealed.len
        ))
        .hint("write it to disk with `salus fetch`"));
    }
    let store = node.blobs.get(node).await?;
    let max = sealed_blob_len(sealed.len).unwrap_or(u64::MAX);
    ensure(node, &store, log, blob, max, None).await?;
    Ok(OpenedBlob::new(store, log, blob, sealed.clone()))
}

/// A failed fetch, in the API's words.
pub fn fetch_error(error: &BlobFetchError) -> ApiError {
    match error {
        BlobFetchError::Store(error) => blob_error(error),
        error => ApiError {
            kind: ErrorKind::NotFound,
            ..ApiError::failed(error.to_string())
        }
        .hint("what arrived is kept; the rest is brought when a clinic that has it can be reached"),
    }
}

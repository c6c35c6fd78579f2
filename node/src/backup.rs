//! Backup into one sealed file, and restoring it as a new life of the clinic.
//!
//! A backup is vault, settings and store as they are: everything in it is sealed as in the data folder, so it opens with a passphrase of the
//! staff and shows no more than the folder does. A restored store never goes on with the old chain: it would sign a second history if
//! anything was written after the backup. It begins a new incarnation instead, and other clinics give back what came after.
//!
//! ```text
//! file = "salus backup" ‖ version u32 ‖ settings length u32 ‖ settings ‖ vault length u32 ‖ vault ‖ the store's own stream ‖ blobs
//! blobs = (length u64, at least 1 ‖ address (32 bytes) ‖ blob)* ‖ 0 u64
//! ```
//! Numbers are little-endian. The store's stream ends with a hash of its own; vault and settings are judged when they are read, and a
//! blob is compared with its address. A backup of version 1 ends with the store's stream.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use salus_api::{ApiError, Passphrase};
use salus_store::Store;
use salus_vault::{VaultFile, generate_signing_key};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::attachments;
use crate::core::{Core, failure};
use crate::folder::{Folder, Settings, io_error};
use crate::node::{Node, Worker, blocking, endpoint_of, lock};
use crate::setup::system_clock;
use crate::whole_file::write_new_with;

const MAGIC: &[u8; 12] = b"salus backup";
const VERSION: u32 = 2;
/// The oldest version that is restored: it holds no blobs.
const OLDEST_VERSION: u32 = 1;
/// Longest settings in a backup, bytes: the bound of the settings file.
const MAX_SETTINGS: u32 = 64 << 10;
/// Longest vault in a backup, bytes: the bound of the vault file.
const MAX_VAULT: u32 = 16 << 20;

/// Writes everything that this node holds into a new file, which is whole or not there. Work goes on meanwhile.
pub async fn backup(node: &Arc<Node>, worker: &Worker, path: PathBuf) -> Result<String, ApiError> {
    let core = node.core()?;
    if !lock(&core).has_role(&worker.staff, salus_audit::Role::Admin) {
        return Err(ApiError::refused("only an administrator makes backups")
            .hint("`salus staff list` shows who is one"));
    }
    let node = Arc::clone(node);
    let runtime = Handle::current();
    blocking(move || {
        if path.exists() {
            return Err(
                ApiError::usage(format!("{} exists already", path.display()))
                    .hint("name a file that does not exist; nothing was changed"),
            );
        }
        let failed = |e: std::io::Error| io_error("write", &path, &e);
        let mut left_out = 0;
        let write = |file: &mut File| {
            let (bytes, bad) = write_backup(&node, &path, &runtime, file)?;
            left_out = bad;
            Ok(bytes)
        };
        let bytes = write_new_with(&path, write, failed)?;
        let mut said = format!(
            "backed up to {}: {bytes} bytes, sealed; a passphrase of this clinic's staff opens it",
            path.display()
        );
        if left_out > 0 {
            said.push_str(&format!(
                ". {left_out} damaged files are not in it: `salus doctor --repair` brings them again from other clinics"
            ));
        }
        Ok(said)
    })
    .await
}

fn write_backup(
    node: &Arc<Node>,
    path: &Path,
    runtime: &Handle,
    file: &mut File,
) -> Result<(u64, u64), ApiError> {
    let failed = |e: std::io::Error| io_error("write", path, &e);
    let mut out = BufWriter::new(file);
    let settings = serde_json::to_vec(&node.settings)
        .map_err(|e| ApiError::failed(format!("the settings cannot be written: {e}")))?;
    let vault = node.vault_bytes();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    for part in [
        &MAGIC[..],
        &VERSION.to_le_bytes(),
        &length(&settings),
        &settings,
        &length(&vault),
        &vault,
    ] {
        out.write_all(part).map_err(failed)?;
    }
    // The store makes its own consistent picture; the core is only held to begin it.
    let core = node.core()?;
    let store = lock(&core).store_handle();
    store.backup(&mut out).map_err(failure::store)?;
    // After the store: every file that it names and that is here is among them.
    let mut left_out = 0;
    for (blob, size) in runtime.block_on(attachments::all_held(node))? {
        match runtime.block_on(attachments::guarded(node, blob)) {
            Ok(_kept) => {
                out.write_all(&size.to_le_bytes()).map_err(failed)?;
                out.write_all(blob.as_bytes()).map_err(failed)?;
                runtime.block_on(attachments::copy_out(node, blob, &mut out))?;
            }
            // A damaged file must not keep the rest from being saved.
            Err(error) => {
                tracing::warn!(%error, "a file is not in the backup");
                left_out += 1;
            }
        }
    }
    out.write_all(&0_u64.to_le_bytes()).map_err(failed)?;
    let file = out.into_inner().map_err(|e| failed(e.into_error()))?;
    Ok((file.metadata().map_err(failed)?.len(), left_out))
}

/// What `restore` needs.
pub struct RestoreOptions {
    /// The backup.
    pub file: PathBuf,
    /// The folder to make; it must not hold a clinic.
    pub data_dir: PathBuf,
    /// Who restores; needed only where several are enrolled.
    pub staff: Option<String>,
    /// Their passphrase.
    pub passphrase: Passphrase,
    /// The clinic's recovery words; an administrator needs none.
    pub recovery: Option<Passphrase>,
}

/// What `restore` made.
pub struct Restored {
    /// The clinic's name.
    pub name: String,
    /// The clinic's id.
    pub clinic: String,
    /// Entries held.
    pub entries: u64,
}

/// Makes a data folder from a backup, as a new life of the clinic. Nothing is left behind where it fails.
pub fn restore(options: &RestoreOptions) -> Result<Restored, ApiError> {
    let folder = Folder::new(&options.data_dir);
    let taken = || {
        ApiError::failed(format!(
            "a clinic lives in {} already",
            folder.root().display()
        ))
        .hint("name another folder with --data-dir; nothing was changed")
    };
    let files = attachments::folder(folder.root());
    if folder.is_initialised() || folder.store().exists() || files.exists() {
        return Err(taken());
    }
    let file = File::open(&options.file).map_err(|e| io_error("read", &options.file, &e))?;
    let mut input = BufReader::new(file);
    let (version, settings, vault) = read_head(&mut input, &options.file)?;
    let unlocked = vault
        .unlock(options.staff.as_deref(), options.passphrase.expose())
        .map_err(failure::unlock)?;
    folder.create()?;
    let _held = folder.lock()?.ok_or_else(|| {
        ApiError::failed(format!(
            "{} is in use by another process",
            folder.root().display()
        ))
    })?;
    if folder.is_initialised() || folder.store().exists() || files.exists() {
        return Err(taken());
    }
    let made = make(
        options,
        &folder,
        &settings,
        vault,
        unlocked,
        (version, &mut input),
    );
    if made.is_err() {
        // Whatever is there was made a moment ago, here.
        for path in folder.own_files() {
            let _ = std::fs::remove_file(path);
        }
        let _ = std::fs::remove_dir_all(files);
    }
    made
}

fn make(
    options: &RestoreOptions,
    folder: &Folder,
    settings: &Settings,
    mut vault: VaultFile,
    unlocked: salus_vault::Unlocked,
    (version, mut input): (u32, &mut (dyn Read + Send)),
) -> Result<Restored, ApiError> {
    let secrets = &unlocked.secrets;
    let store = Store::restore(&folder.store(), &secrets.storage, &mut input).map_err(|error| {
        let error = failure::store(error);
        ApiError {
            hint: Some(format!(
                "{} is damaged or incomplete; nothing was restored: try another backup",
                options.file.display()
            )),
            ..error
        }
    })?;
    if version > OLDEST_VERSION {
        attachments::copy_in(folder.root(), input).map_err(|error| {
            ApiError::failed(format!("{}: {}", options.file.display(), error.message)).hint(
                "the backup is damaged or incomplete, or the disk is full; nothing was restored",
            )
        })?;
    }
    let (notices, _unheard) = mpsc::unbounded_channel();
    let mut core = Core::open(store, secrets.chain.clone(), system_clock(), notices)?;
    // The keys may have been replaced while the backup was made: then the store knows of them and the vault does not yet.
    let mut held = secrets.clone();
    if let Some(newer) = core.next_life(&held)? {
        core.write_with(newer.chain.clone());
        held = newer;
    }
    core.unlock(&held)?;
    // The endpoint stays: other clinics know this one by it, and its old life is over.
    let mut next = held.clone();
    next.chain = generate_signing_key();
    let signer = match &options.recovery {
        Some(words) => core.root_key(words.expose())?,
        None => unlocked.staff_key.clone(),
    };
    core.incarnate(&signer, &next, endpoint_of(&next), None)
        .map_err(|error| match error.kind {
            salus_api::ErrorKind::Refused => error.hint(
                "an administrator restores, or anybody of the staff with the recovery words (--recovery FILE)",
            ),
            _ => error,
        })?;
    vault
        .replace_node_secrets(&unlocked, next)
        .map_err(failure::vault)?;
    folder.write_settings(settings)?;
    let restored = Restored {
        name: core.clinic_name(core.me()),
        clinic: core.me().to_string(),
        entries: core.size().1,
    };
    drop(core);
    // The vault comes last: a folder with a vault is a whole clinic.
    folder.write_vault(&vault.encode())?;
    Ok(restored)
}

fn read_head(input: &mut impl Read, path: &Path) -> Result<(u32, Settings, VaultFile), ApiError> {
    let not_one = || {
        ApiError::failed(format!("{} is not a backup of salus", path.display()))
            .hint("name a file that `salus backup` wrote")
    };
    let mut magic = [0; 12];
    let mut number = [0; 4];
    input.read_exact(&mut magic).map_err(|_| not_one())?;
    input.read_exact(&mut number).map_err(|_| not_one())?;
    if &magic != MAGIC {
        return Err(not_one());
    }
    let version = u32::from_le_bytes(number);
    if !(OLDEST_VERSION..=VERSION).contains(&version) {
        return Err(ApiError::failed(format!(
            "{} is a backup of version {version}, this program knows version {VERSION}",
            path.display()
        ))
        .hint("use the version of salus that wrote it, or a newer one"));
    }
    let settings = part(input, MAX_SETTINGS).ok_or_else(not_one)?;
    let settings = serde_json::from_slice(&settings).map_err(|_| not_one())?;
    let vault = part(input, MAX_VAULT).ok_or_else(not_one)?;
    let vault = VaultFile::decode(&vault).map_err(failure::vault)?;
    Ok((version, settings, vault))
}

fn part(input: &mut impl Read, most: u32) -> Option<Vec<u8>> {
    let mut number = [0; 4];
    input.read_exact(&mut number).ok()?;
    let length = u32::from_le_bytes(number);
    if length > most {
        return None;
    }
    let mut bytes = Vec::new();
    input.take(u64::from(length)).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == u64::from(length)).then_some(bytes)
}

//! The data folder: which files are in it, who holds it, and how they are written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use salus_api::{ApiError, NetworkMode};
use serde::{Deserialize, Serialize};

/// Largest settings, daemon or session file that is read, bytes. They are below 1 KiB.
const MAX_SMALL_FILE: u64 = 64 << 10;
/// Largest vault file that is read, bytes: the vault's own bound is below it.
const MAX_VAULT_FILE: u64 = 16 << 20;

/// How long a folder is waited for that another command holds: most take a fraction of a second.
pub const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often a held folder is tried.
const LOCK_RETRY: Duration = Duration::from_millis(25);

/// A data folder. Nothing in it tells whose it is: names stand only in sealed values.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

/// What a node must know before anybody has unlocked it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Version of this file's form: 1.
    pub version: u32,
    /// Where the node looks for others.
    pub network: NetworkMode,
    /// UDP port that the node listens on, so that its addresses outlive a restart.
    pub port: u16,
    /// Which files it brings from other clinics without being asked.
    #[serde(default)]
    pub attachments: crate::attachments::Policy,
}

impl Settings {
    /// The address to listen on.
    pub fn listen(&self) -> SocketAddr {
        match self.network {
            NetworkMode::Loopback => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port),
            NetworkMode::Lan | NetworkMode::Internet => {
                SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), self.port)
            }
        }
    }
}

/// Holds the folder for this process until it is dropped; the operating system frees it if the process dies.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl Folder {
    /// Names a folder; nothing is touched.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The vault: wrapped keys.
    pub fn vault(&self) -> PathBuf {
        self.root.join("vault.salus")
    }

    /// The store: entries, snapshots, index.
    pub fn store(&self) -> PathBuf {
        self.root.join("store.redb")
    }

    /// The number of the store's last commit, sealed: a store that was set back alone is noticed.
    fn store_mark(&self) -> PathBuf {
        self.root.join("store.redb.mark")
    }

    /// The files that make a clinic.
    pub fn own_files(&self) -> [PathBuf; 4] {
        [
            self.vault(),
            self.store(),
            self.store_mark(),
            self.root.join("settings.json"),
        ]
    }

    /// Where and how a running daemon is reached.
    pub fn daemon(&self) -> PathBuf {
        self.root.join("daemon.json")
    }

    /// Session token of the last `unlock` with a daemon.
    pub fn session(&self) -> PathBuf {
        self.root.join("session")
    }

    /// Whether a clinic lives here.
    pub fn is_initialised(&self) -> bool {
        self.vault().exists()
    }

    /// The error for a folder without a clinic, or `Ok`.
    pub fn require_initialised(&self) -> Result<(), ApiError> {
        match self.vault().try_exists() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(io_error("read", &self.root, &error)),
        }
        if self.store().exists() {
            return Err(
                ApiError::integrity(format!("{} is missing", self.vault().display()))
                    .hint("restore it from a backup: without it nothing in the store can be read"),
            );
        }
        Err(ApiError::not_found(format!("no clinic lives in {}", self.root.display()))
            .hint("make one with `salus init --clinic NAME --staff NAME`, or name its folder with --data-dir"))
    }

    /// Makes the folder, for its owner only.
    pub fn create(&self) -> Result<(), ApiError> {
        fs::create_dir_all(&self.root)
            .and_then(|()| private_folder(&self.root))
            .map_err(|e| io_error("make the folder", &self.root, &e))
    }

    /// Takes the folder for this process; `None` where another process holds it.
    pub fn lock(&self) -> Result<Option<FolderLock>, ApiError> {
        let path = self.root.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| io_error("open", &path, &e))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FolderLock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(io_error("lock", &path, &e)),
        }
    }

    /// Takes the folder as soon as a command that holds it ends; `None` where somebody holds it longer than [`LOCK_WAIT`].
    /// `waiting` is told once, where it is not free at once.
    pub async fn lock_soon(&self, waiting: impl FnOnce()) -> Result<Option<FolderLock>, ApiError> {
        let begun = std::time::Instant::now();
        let mut waiting = Some(waiting);
        loop {
            if let Some(lock) = self.lock()? {
                return Ok(Some(lock));
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            if begun.elapsed() > LOCK_WAIT {
                return Ok(None);
            }
            tokio::time::sleep(LOCK_RETRY).await;
        }
    }

    /// Reads the settings.
    pub fn settings(&self) -> Result<Settings, ApiError> {
        let path = self.root.join("settings.json");
        let bytes = read_bounded(&path, MAX_SMALL_FILE)?;
        let settings: Settings = serde_json::from_slice(&bytes).map_err(|_| {
            ApiError::integrity(format!("{} is not a settings file", path.display()))
                .hint("it holds the network mode and the port, for instance {\"version\":1,\"network\":\"loopback\",\"port\":4433}")
        })?;
        if settings.version != 1 {
            return Err(ApiError::failed(format!(
                "{} is of version {}, this program knows version 1",
                path.display(),
                settings.version
            ))
            .hint("use the version of salus that wrote it, or a newer one"));
        }
        Ok(settings)
    }

    /// Writes the settings.
    pub fn write_settings(&self, settings: &Settings) -> Result<(), ApiError> {
        let text = serde_json::to_vec_pretty(settings)
            .map_err(|e| ApiError::failed(format!("cannot write the settings: {e}")))?;
        write_durably(&self.root.join("settings.json"), &text)
    }

    /// Reads the vault file.
    pub fn read_vault(&self) -> Result<Vec<u8>, ApiError> {
        read_bounded(&self.vault(), MAX_VAULT_FILE)
    }

    /// Replaces the vault file, durably and at once.
    pub fn write_vault(&self, bytes: &[u8]) -> Result<(), ApiError> {
        write_durably(&self.vault(), bytes)
    }
}

/// Bytes that this user may still write where a folder is; `None` where the platform does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let about = rustix::fs::statvfs(path).ok()?;
        Some(about.f_bavail.saturating_mul(about.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// An I/O failure in words, with what to do.
pub fn io_error(doing: &str, path: &Path, error: &io::Error) -> ApiError {
    let api = ApiError::failed(format!("cannot {doing} {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::NotFound => ApiError {
            kind: salus_api::ErrorKind::NotFound,
            ..api
        },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            api.hint("make the folder writable for this user, or name another one with --data-dir")
        }
        _ if is_full(error) => api.hint("free some space; nothing was changed"),
        _ => api,
    }
}

/// Whether there is no room for what was to be written: on the disk, in a quota, or in a limit on files.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Something was to be written outside of the data folder, and was not.
pub fn not_written(what: &str, error: &io::Error) -> ApiError {
    let api = ApiError::failed(format!("{what} could not be written: {error}"));
    if is_full(error) {
        return api.hint("free some space, or name a place with more room; nothing was left there");
    }
    api
}

/// Reads a file that must not be larger than `limit` bytes.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ApiError> {
    use io::Read;
    let file = File::open(path).map_err(|e| io_error("open", path, &e))?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| io_error("read", path, &e))?;
    if bytes.len() as u64 > limit {
        return Err(ApiError::failed(format!(
            "{} is larger than the {limit} bytes that it may have",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Replaces a file so that after a power cut either the old or the new one is there, whole; readable by its owner only.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), ApiError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut options = File::options();
        options.create(true).truncate(true).write(true);
        private_file(&mut options);
        let mut file = options.open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        if let Some(folder) = path.parent() {
            sync_folder(folder)?;
        }
        Ok(())
    };
    write().map_err(|e| {
        // The half-written file is of no use; that it may be gone already is no failure.
        let _ = fs::remove_file(&fresh);
        io_error("write", path, &e)
    })
}

/// A loopback UDP port that is free now.
pub fn free_port() -> Result<u16, ApiError> {
    std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .map(|address| address.port())
        .map_err(|e| ApiError::failed(format!("no free UDP port on this machine: {e}")))
}

/// Addresses that others can dial, for a socket that may be bound to every interface.
pub fn dialable(bound: SocketAddr) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let probe = |local: IpAddr, remote: IpAddr| -> io::Result<IpAddr> {
        // Connecting a UDP socket sends nothing; it asks the routing table which address would be used.
        let socket = std::net::UdpSocket::bind((local, 0))?;
        socket.connect((remote, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    let mut found = Vec::new();
    // 192.0.2.1 and 2001:db8::1 are documentation addresses (RFC 5737, RFC 3849): never anybody's.
    let v4 = probe(
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv4Addr::new(192, 0, 2, 1).into(),
    );
    let v6 = probe(
        Ipv6Addr::UNSPECIFIED.into(),
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    );
    for ip in [v4, v6].into_iter().flatten() {
        if ip.is_ipv4() == bound.is_ipv4() {
            found.push(SocketAddr::new(ip, bound.port()));
        }
    }
    found.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port()));
    found
}

#[cfg(unix)]
fn private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn private_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn private_file(options: &mut fs::OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn private_file(_options: &mut fs::OpenOptions) {}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_what_to_do() {
        let hint = |kind: io::ErrorKind| not_written("the backup", &kind.into()).hint;
        for kind in [
            io::ErrorKind::StorageFull,
            io::ErrorKind::QuotaExceeded,
            io::ErrorKind::FileTooLarge,
        ] {
            assert!(hint(kind).is_some_and(|hint| hint.contains("free some space")));
            let inside = io_error("write", Path::new("store"), &kind.into());
            assert!(inside.hint.is_some());
        }
        assert_eq!(hint(io::ErrorKind::BrokenPipe), None);
    }

    #[test]
    fn a_folder_is_held_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("clinic"));
        folder.create().unwrap();
        let held = folder.lock().unwrap();
        assert!(held.is_some());
        assert!(folder.lock().unwrap().is_none());
        drop(held);
        assert!(folder.lock().unwrap().is_some());
    }

    #[tokio::test]
    async fn whoever_waits_for_a_folder_is_told_once_and_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("clinic"));
        folder.create().unwrap();
        let mut told = 0;
        let free = folder.lock_soon(|| told += 1).await.unwrap();
        assert!(free.is_some());
        assert_eq!(told, 0);
        // What is told is that somebody holds it: here they let go then.
        let held = free;
        let waited = folder.lock_soon(|| {
            told += 1;
            drop(held);
        });
        assert!(waited.await.unwrap().is_some());
        assert_eq!(told, 1);
    }

    #[test]
    fn settings_come_back_as_written_and_garbage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let settings = Settings {
            version: 1,
            network: NetworkMode::Loopback,
            port: 4433,
            attachments: crate::attachments::Policy::default(),
        };
        folder.write_settings(&settings).unwrap();
        assert_eq!(folder.settings().unwrap(), settings);
        fs::write(dir.path().join("settings.json"), b"{").unwrap();
        let error = folder.settings().unwrap_err();
        assert_eq!(error.kind, salus_api::ErrorKind::Integrity);
        assert!(error.message.contains("settings.json"));
    }

    #[test]
    fn a_loopback_socket_is_dialled_where_it_is_bound() {
        let bound: SocketAddr = "127.0.0.1:4433".parse().unwrap();
        assert_eq!(dialable(bound), [bound]);
    }
}

//! A running node: folder, vault, core and network, in one of three states.
//!
//! *Sealed*: nobody has unlocked since the start; no network, nothing readable. *Locked*: endpoint, chain and storage keys are in memory, so the node
//! syncs and serves; staff, vault, index and epoch keys are not. *Unlocked*: somebody works.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use salus_api::{ApiError, Auth, Event, LockState, Passphrase, SessionToken};
use salus_audit::SigningKey;
use salus_mesh::{Mesh, MeshConfig, PeerAddress};
use salus_store::Store;
use salus_vault::{NodeSecrets, Unlocked, VaultFile};
use tokio::sync::{Notify, broadcast, mpsc};
use zeroize::Zeroizing;

use crate::core::{Clock, Core, CoreLedger, Notice, Staff, failure, roster_role};
use crate::folder::{Folder, FolderLock, Settings};

/// A session that nobody has used for this long is closed; with the last one the node locks. Long enough for a consultation without
/// a keystroke, short enough for a desk that was left.
const SESSION_IDLE: Duration = Duration::from_secs(15 * 60);
/// Records taken into documents and index at a time, so that others get their turn at the core.
const DIGEST_AT_ONCE: usize = 16;
/// How long connections may take to be closed in order.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long a connected clinic may take to hear of this node's new keys before the old endpoint goes.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Events that a slow subscriber may lag behind before it misses some.
const EVENTS_KEPT: usize = 256;

/// How a node runs.
#[derive(Clone)]
pub struct NodeOptions {
    /// Whether it talks to other clinics.
    pub network: bool,
    /// Whether it dials the clinics it knows by itself and stays connected.
    pub keep_connected: bool,
    /// Where to listen, in place of the settings' port.
    pub listen: Option<std::net::SocketAddr>,
    /// Whether it serves other processes.
    pub daemon: bool,
    /// The clock.
    pub clock: Clock,
}

impl NodeOptions {
    /// A node inside a command or a demo: no other process comes to it.
    pub fn in_process(network: bool, keep_connected: bool) -> Self {
        Self {
            network,
            keep_connected,
            listen: None,
            daemon: false,
            clock: crate::setup::system_clock(),
        }
    }
}

/// Somebody at work in one call.
#[derive(Clone)]
pub struct Worker {
    /// Who.
    pub staff: Staff,
    /// What their passphrase opened.
    pub unlocked: Arc<Unlocked>,
}

struct Session {
    worker: Worker,
    used: Instant,
}

/// A running node.
pub struct Node {
    /// Its folder.
    pub folder: Folder,
    /// Its settings.
    pub settings: Settings,
    /// How it runs.
    pub options: NodeOptions,
    vault: Mutex<VaultFile>,
    /// The iroh endpoint's key, from the first unlock on.
    endpoint: Mutex<Option<Zeroizing<[u8; 32]>>>,
    core: Mutex<Option<Arc<Mutex<Core>>>>,
    mesh: tokio::sync::Mutex<Option<Arc<Mesh>>>,
    sessions: Mutex<HashMap<String, Session>>,
    events: broadcast::Sender<Event>,
    notices: mpsc::UnboundedSender<Notice>,
    digest: Arc<Notify>,
    working: Mutex<usize>,
    /// The image classifier, once somebody asked for it.
    pub imaging: crate::imaging::OnDemand,
    /// The sealed files, once somebody asked for them.
    pub blobs: crate::attachments::Blobs,
    /// What brings files that others have.
    pub keeper: Arc<crate::attachments::Keeper>,
    _held: FolderLock,
}

impl Node {
    /// Starts a sealed node on a folder that no other process holds; `held` proves it.
    pub fn start(
        folder: Folder,
        held: FolderLock,
        options: NodeOptions,
    ) -> Result<Arc<Self>, ApiError> {
        folder.require_initialised()?;
        let settings = folder.settings()?;
        let vault = VaultFile::decode(&folder.read_vault()?).map_err(failure::vault)?;
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let (notices, heard) = mpsc::unbounded_channel();
        let node = Arc::new(Self {
            folder,
            settings,
            options,
            vault: Mutex::new(vault),
            endpoint: Mutex::new(None),
            core: Mutex::new(None),
            mesh: tokio::sync::Mutex::new(None),
            sessions: Mutex::new(HashMap::new()),
            events,
            notices,
            digest: Arc::new(Notify::new()),
            working: Mutex::new(0),
            imaging: crate::imaging::OnDemand::default(),
            blobs: crate::attachments::Blobs::default(),
            keeper: Arc::default(),
            _held: held,
        });
        tokio::spawn(hear(Arc::downgrade(&node), heard));
        tokio::spawn(keep(Arc::downgrade(&node)));
        tokio::spawn(crate::attachments::keep(Arc::downgrade(&node)));
        Ok(node)
    }

    /// How much is open.
    pub fn state(&self) -> LockState {
        // The slot is let go of before the core is waited for: others only want the handle.
        let core = lock(&self.core).clone();
        match core {
            None => LockState::Sealed,
            Some(core) if lock(&core).is_unlocked() => LockState::Unlocked,
            Some(_) => LockState::Locked,
        }
    }

    /// What changes, from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Recognises who asks; the first one ever unseals the node.
    pub async fn recognise(self: &Arc<Self>, auth: Auth) -> Result<Worker, ApiError> {
        match auth {
            Auth::Nobody => Err(ApiError::refused("nobody is signed in")
                .hint("give a passphrase (SALUS_PASSPHRASE, --passphrase-file or at the prompt), or `salus unlock` a running node")),
            Auth::Session(token) => {
                let mut sessions = lock(&self.sessions);
                sessions.retain(|_, session| session.used.elapsed() < SESSION_IDLE);
                let session = sessions.get_mut(token.expose()).ok_or_else(|| {
                    ApiError::refused("the session is over: the node was locked or restarted")
                        .hint("unlock it again with `salus unlock`")
                })?;
                session.used = Instant::now();
                Ok(session.worker.clone())
            }
            Auth::Passphrase { staff, passphrase } => {
                let node = Arc::clone(self);
                let worker = blocking(move || {
                    let vault = lock(&node.vault).clone();
                    let unlocked = vault
                        .unlock(staff.as_deref(), passphrase.expose())
                        .map_err(failure::unlock)?;
                    let worker = Worker {
                        staff: Staff {
                            name: unlocked.staff_name.clone(),
                            key: unlocked.staff_key.clone(),
                        },
                        unlocked: Arc::new(unlocked),
                    };
                    node.open(&worker)?;
                    Ok(worker)
                })
                .await?;
                // Local work needs no network: a port that is taken is told where the network is asked for.
                if let Err(error) = self.connect().await {
                    tracing::warn!(%error, "this node is not on the network");
                }
                Ok(worker)
            }
        }
    }

    /// Opens store and index with what a passphrase opened, as far as they are not open.
    fn open(&self, worker: &Worker) -> Result<(), ApiError> {
        let mut secrets = worker.unlocked.secrets.clone();
        *lock(&self.endpoint) = Some(secrets.endpoint.clone());
        let mut slot = lock(&self.core);
        let core = match slot.as_ref() {
            Some(core) => Arc::clone(core),
            None => {
                if !self.folder.store().exists() {
                    return Err(ApiError::integrity(format!(
                        "{} is missing",
                        self.folder.store().display()
                    ))
                    .hint("restore the data folder from a backup"));
                }
                let store =
                    Store::open(&self.folder.store(), &secrets.storage).map_err(failure::store)?;
                let mut core = Core::open(
                    store,
                    secrets.chain.clone(),
                    Arc::clone(&self.options.clock),
                    self.notices.clone(),
                )?;
                if let Some(next) = core.next_life(&secrets)? {
                    // The process ended between the roster and the vault when the keys were replaced.
                    core.write_with(next.chain.clone());
                    *lock(&self.endpoint) = Some(next.endpoint.clone());
                    self.put_in_vault(worker, next.clone())?;
                    secrets = next;
                }
                let core = Arc::new(Mutex::new(core));
                *slot = Some(Arc::clone(&core));
                core
            }
        };
        drop(slot);
        let mut core = lock(&core);
        if !core.is_member(&worker.staff) {
            return Err(
                ApiError::refused("this key was retired from the clinic's roster")
                    .hint("ask an administrator to enrol you again"),
            );
        }
        if !core.is_unlocked() {
            core.unlock(&secrets)?;
            // A full disk or a damaged store keeps the index as it was; what is intact stays usable.
            loop {
                match core.digest_dirty(DIGEST_AT_ONCE) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "received entries could not be taken into the index");
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Starts the network where this node is to have one and has none: at the first unlock, or after
    /// [`Node::disconnect`].
    pub async fn connect(self: &Arc<Self>) -> Result<(), ApiError> {
        if !self.options.network {
            return Ok(());
        }
        let Some(secret) = lock(&self.endpoint).clone() else {
            return Ok(());
        };
        let mut slot = self.mesh.lock().await;
        if slot.is_some() {
            return Ok(());
        }
        let core = self.core()?;
        let me = lock(&core).me();
        let listen = self
            .options
            .listen
            .unwrap_or_else(|| self.settings.listen());
        let config = MeshConfig::new(
            *secret,
            me,
            listen,
            crate::network::network(self.settings.network),
        );
        let blobs = self.blobs.get(self).await?;
        let ledger = CoreLedger::new(core).with_blobs(blobs.clone());
        let config = MeshConfig {
            blobs: Some(blobs),
            ..config
        };
        let mesh = Mesh::start(config, Arc::new(ledger))
            .await
            .map_err(crate::network::mesh_error)?;
        let rate = self.settings.attachments.bytes_per_s;
        mesh.serve_limit().set(rate);
        self.blobs.limit(rate);
        let mesh = Arc::new(mesh);
        tokio::spawn(crate::network::listen(
            Arc::downgrade(self),
            mesh.subscribe(),
        ));
        *slot = Some(Arc::clone(&mesh));
        drop(slot);
        self.tell_peers().await?;
        self.keeper.look_at_all();
        if self.options.keep_connected {
            mesh.keep_connected(true);
        }
        Ok(())
    }

    /// Takes the node off the network, as pulling the cable does.
    pub async fn disconnect(&self) {
        if let Some(mesh) = self.mesh.lock().await.take() {
            // Goodbyes take a round trip; a dial that nobody answers would hold the end up for seconds.
            let _ = tokio::time::timeout(GOODBYE, mesh.shutdown()).await;
        }
    }

    /// The network, where this node has one.
    pub async fn mesh(&self) -> Option<Arc<Mesh>> {
        self.mesh.lock().await.clone()
    }

    /// Tells the network which clinics are known, and where.
    pub async fn tell_peers(&self) -> Result<(), ApiError> {
        let Some(mesh) = self.mesh().await else {
            return Ok(());
        };
        let core = self.core()?;
        let peers = {
            let core = lock(&core);
            core.peers()?
                .into_iter()
                .map(|peer| PeerAddress {
                    clinic: peer.clinic,
                    endpoint: core.endpoint_of(&peer),
                    addresses: peer.sockets(),
                })
                .collect()
        };
        mesh.set_peers(peers);
        Ok(())
    }

    /// The core, where the node is not sealed.
    pub fn core(&self) -> Result<Arc<Mutex<Core>>, ApiError> {
        lock(&self.core).clone().ok_or_else(|| {
            ApiError::refused("the node is sealed: nobody has unlocked it since it started")
                .hint("unlock it with `salus unlock`, or give a passphrase")
        })
    }

    /// Does something with the core, on a thread where blocking is allowed.
    pub async fn with_core<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Core) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let core = self.core()?;
        blocking(move || work(&mut lock(&core))).await
    }

    /// Opens a session for somebody who was recognised.
    pub fn open_session(&self, worker: Worker) -> Result<SessionToken, ApiError> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes)
            .map_err(|e| ApiError::failed(format!("the system's random generator failed: {e}")))?;
        let token = blake3::Hash::from_bytes(bytes).to_hex().to_string();
        let session = Session {
            worker,
            used: Instant::now(),
        };
        lock(&self.sessions).insert(token.clone(), session);
        Ok(SessionToken::new(token))
    }

    /// Closes every session and wipes what only an unlocked node has in memory.
    pub fn lock_now(&self) {
        lock(&self.sessions).clear();
        self.lock_core();
        self.tell(Event::Locked);
    }

    /// Counts a call; the node stays open until the guard is dropped.
    pub fn at_work(self: &Arc<Self>) -> AtWork {
        *lock(&self.working) += 1;
        AtWork(Arc::clone(self))
    }

    /// Tells subscribers.
    pub fn tell(&self, event: Event) {
        // Nobody listening is no failure.
        let _ = self.events.send(event);
    }

    /// Adds a person to the vault and the roster. An administrator is certified by the root key, which the recovery words give.
    pub fn enrol(
        &self,
        worker: &Worker,
        name: &str,
        role: salus_api::Role,
        passphrase: &Passphrase,
        recovery: Option<&Passphrase>,
    ) -> Result<(), ApiError> {
        let core = self.core()?;
        let role = roster_role(role);
        let signer = {
            let core = lock(&core);
            if core.member_named(name).is_some() {
                return Err(ApiError::usage(format!("`{name}` is enrolled already")));
            }
            keeper(
                &core,
                worker,
                role == salus_audit::Role::Admin,
                recovery,
                "enrols staff",
            )?
        };
        let key = salus_vault::generate_signing_key();
        let mut slot = lock(&self.vault);
        let mut vault = slot.clone();
        let params = vault.params();
        // Deriving the key from the passphrase takes its time; nobody waits for the core meanwhile.
        vault
            .add_staff(
                &worker.unlocked,
                name,
                passphrase.expose(),
                key.clone(),
                params,
            )
            .map_err(failure::vault)?;
        self.folder.write_vault(&vault.encode())?;
        let before = std::mem::replace(&mut *slot, vault);
        let certified = lock(&core).certify(&signer, name, key.actor(), vec![role]);
        if certified.is_err() {
            // A slot without a certificate could unlock: take it out again.
            self.folder.write_vault(&before.encode())?;
            *slot = before;
        }
        certified
    }

    /// Ends a person's key in the roster, takes their slot out of the vault and closes their sessions.
    pub fn retire(
        &self,
        worker: &Worker,
        name: &str,
        recovery: Option<&Passphrase>,
    ) -> Result<String, ApiError> {
        let core = self.core()?;
        let (member, signer) = {
            let core = lock(&core);
            let member = core.member_named(name).ok_or_else(|| {
                ApiError::not_found(format!("nobody called `{name}` works here"))
                    .hint("`salus staff list` shows who does")
            })?;
            let is_admin = member.has_role(salus_audit::Role::Admin);
            let signer = keeper(&core, worker, is_admin, recovery, "retires staff")?;
            (member, signer)
        };
        let own = member.key == worker.staff.key.actor();
        if own {
            return Err(ApiError::usage("nobody retires themselves")
                .hint("another administrator does, or the recovery words with another person's passphrase"));
        }
        // The roster first: from here on the key is worth nothing anywhere. The slot is of no use to anybody then.
        lock(&core).retire(&signer, member.key)?;
        lock(&self.sessions).retain(|_, session| session.worker.staff.key.actor() != member.key);
        let mut slot = lock(&self.vault);
        let mut vault = slot.clone();
        match vault.remove_staff(&worker.unlocked, &member.name) {
            Ok(()) => {
                self.folder.write_vault(&vault.encode())?;
                *slot = vault;
            }
            // Enrolled in another life of this store, or taken out before: nothing is left to take out.
            Err(salus_vault::VaultError::UnknownStaff) => {}
            Err(error) => return Err(failure::vault(error)),
        }
        Ok(member.name)
    }

    /// Changes the passphrase of whoever works.
    pub fn change_passphrase(&self, worker: &Worker, new: &Passphrase) -> Result<(), ApiError> {
        let mut slot = lock(&self.vault);
        let mut vault = slot.clone();
        let params = vault.params();
        vault
            .change_passphrase(&worker.unlocked, new.expose(), params)
            .map_err(failure::vault)?;
        self.folder.write_vault(&vault.encode())?;
        *slot = vault;
        Ok(())
    }

    /// Replaces the node's keys: a new life in the roster, closed off from the old one at what is held here now. Other clinics that are
    /// connected learn of it before the old endpoint goes; the node is sealed afterwards.
    pub async fn rotate_key(
        self: &Arc<Self>,
        worker: &Worker,
        recovery: Passphrase,
    ) -> Result<(), ApiError> {
        let node = Arc::clone(self);
        let worker = worker.clone();
        blocking(move || {
            let core = node.core()?;
            let mut next = worker.unlocked.secrets.clone();
            let fresh = NodeSecrets::generate();
            (next.chain, next.endpoint, next.hpke) = (fresh.chain, fresh.endpoint, fresh.hpke);
            {
                let mut core = lock(&core);
                let root = core.root_key(recovery.expose())?;
                let last = core.last_index();
                core.incarnate(&root, &next, endpoint_of(&next), last)?;
            }
            // The vault comes before the core where both are held: here the core is let go of first.
            node.put_in_vault(&worker, next)
        })
        .await?;
        // The roster's change is announced over the old endpoint while it stands.
        let core = self.core()?;
        let heard = lock(&core).flush_notices();
        heard.notified().await;
        if let Some(mesh) = self.mesh().await {
            for peer in mesh.peers().await {
                if peer.connected {
                    let _ = tokio::time::timeout(LAST_WORDS, mesh.sync(peer.clinic)).await;
                }
            }
        }
        self.close().await;
        *lock(&self.endpoint) = None;
        Ok(())
    }

    /// Puts the keys of a new life into the vault.
    fn put_in_vault(&self, worker: &Worker, next: NodeSecrets) -> Result<(), ApiError> {
        let mut slot = lock(&self.vault);
        let mut vault = slot.clone();
        vault
            .replace_node_secrets(&worker.unlocked, next)
            .map_err(failure::vault)?;
        self.folder.write_vault(&vault.encode())?;
        *slot = vault;
        Ok(())
    }

    /// Looks at the vault and mends it where `mend` says that it did; nobody else changes it meanwhile. The core may be taken within.
    pub fn mend_vault<T>(
        &self,
        mend: impl FnOnce(&mut VaultFile) -> Result<(T, bool), ApiError>,
    ) -> Result<T, ApiError> {
        let mut slot = lock(&self.vault);
        let mut vault = slot.clone();
        let (outcome, mended) = mend(&mut vault)?;
        if mended {
            self.folder.write_vault(&vault.encode())?;
            *slot = vault;
        }
        Ok(outcome)
    }

    /// A copy of the vault as it stands.
    pub fn vault_bytes(&self) -> Vec<u8> {
        lock(&self.vault).encode()
    }

    /// Closes sessions, network and store.
    pub async fn close(&self) {
        self.disconnect().await;
        self.lock_now();
        // Without a core nobody opens the blobs again.
        lock(&self.core).take();
        self.blobs.close().await;
    }

    fn lock_core(&self) {
        let core = lock(&self.core).clone();
        if let Some(core) = core {
            lock(&core).lock();
        }
    }

    fn lock_if_idle(&self) {
        // Held to the end, so that no call begins meanwhile and is locked out by this one's end.
        let working = lock(&self.working);
        if *working > 0 {
            return;
        }
        let idle = {
            let mut sessions = lock(&self.sessions);
            let had = !sessions.is_empty();
            sessions.retain(|_, session| session.used.elapsed() < SESSION_IDLE);
            (had, sessions.is_empty())
        };
        if let (had, true) = idle {
            self.lock_core();
            if had {
                self.tell(Event::Locked);
            }
        }
    }
}

/// Whose key signs a change of the roster: the worker's, or the root's where an administrator is concerned.
fn keeper(
    core: &Core,
    worker: &Worker,
    touches_admin: bool,
    recovery: Option<&Passphrase>,
    does: &str,
) -> Result<SigningKey, ApiError> {
    if let Some(words) = recovery {
        return core.root_key(words.expose());
    }
    if !core.has_role(&worker.staff, salus_audit::Role::Admin) {
        return Err(ApiError::refused(format!("only an administrator {does}"))
            .hint("`salus staff list` shows who is one"));
    }
    if touches_admin {
        return Err(ApiError::refused(
            "only the clinic's root key certifies or retires an administrator",
        )
        .hint("give the recovery words that `salus init` printed, with --recovery FILE"));
    }
    Ok(worker.staff.key.clone())
}

/// The public half of an endpoint's key.
pub fn endpoint_of(secrets: &NodeSecrets) -> [u8; 32] {
    *iroh::SecretKey::from_bytes(&secrets.endpoint)
        .public()
        .as_bytes()
}

/// Keeps a node from being locked while a call works.
pub struct AtWork(Arc<Node>);

impl Drop for AtWork {
    fn drop(&mut self) {
        *lock(&self.0.working) -= 1;
        self.0.lock_if_idle();
    }
}

/// Passes on what commits have to say: to the network, to subscribers, to the digestion of foreign entries.
async fn hear(node: std::sync::Weak<Node>, mut notices: mpsc::UnboundedReceiver<Notice>) {
    while let Some(notice) = notices.recv().await {
        let Some(node) = node.upgrade() else { return };
        match notice {
            Notice::Log { changed, foreign } => {
                if changed.is_roster && foreign {
                    // A roster may certify another endpoint than the one that was typed.
                    if let Err(error) = node.tell_peers().await {
                        tracing::warn!(%error, "known clinics could not be read");
                    }
                }
                if foreign {
                    if !changed.is_roster {
                        node.keeper.changed(changed.log);
                    }
                } else if let Some(mesh) = node.mesh().await {
                    mesh.log_changed(changed);
                }
            }
            Notice::Patients(logs) => {
                let ids = logs.iter().map(ToString::to_string).collect();
                node.tell(Event::PatientsChanged(ids));
            }
            Notice::Dirty => node.digest.notify_one(),
            Notice::Flushed(heard) => heard.tell(),
        }
    }
}

/// Digests foreign entries as they come, and locks the node when everybody has left.
async fn keep(node: std::sync::Weak<Node>) {
    let Some(digest) = node.upgrade().map(|node| Arc::clone(&node.digest)) else {
        return;
    };
    loop {
        let timed = tokio::time::timeout(Duration::from_secs(30), digest.notified()).await;
        let Some(node) = node.upgrade() else { return };
        node.lock_if_idle();
        if timed.is_err() {
            continue;
        }
        loop {
            match node
                .with_core(|core| core.digest_dirty(DIGEST_AT_ONCE))
                .await
            {
                Ok(left) if left > 0 => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "received entries could not be taken into the index");
                    break;
                }
            }
        }
    }
}

/// Runs blocking work off the async threads.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        ApiError::failed("an internal error stopped the operation; nothing was stored")
    })?
}

/// Takes a lock; what a panicking holder left is sound, because memory changes only after a commit.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

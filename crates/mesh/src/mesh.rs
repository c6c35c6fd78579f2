//! The handle of a mesh: what a node holds.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use iroh::endpoint::{NetReportConfig, PortmapperConfig, QuicTransportConfig, presets};
use iroh::protocol::Router;
use iroh::{Endpoint, RelayMode, SecretKey};
use salus_audit::ClinicId;
use salus_sync::{Changed, Engine, SyncStats};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::blobs::{
    BLOBS_ALPN, BlobDoor, BlobFetchError, Connections, FetchOptions, FetchProgress, FetchStats,
    Fetcher, ManyProgress, RateLimit, Wanted,
};
use crate::config::{MeshConfig, Network, PeerAddress};
use crate::core::{Core, Parts};
use crate::error::MeshError;
use crate::event::Command;
use crate::gate::{Door, Gate, Hooks};
use crate::ledger::Ledger;
use crate::status::{MeshEvent, PeerStatus};
use crate::worker::Workers;

/// The protocol's name in the TLS handshake.
pub const ALPN: &[u8] = b"salus/sync/1";

/// Bytes that a connection may have unread: twice iroh's default window of one stream (1.25 MB, left as it is:
/// larger ones lose the connection). iroh's default has no limit.
const RECEIVE_WINDOW_BYTES: u32 = 2_500_000;

/// Streams that the other side may open: one is used.
const STREAMS: u32 = 2;

/// Events that somebody who listens slowly may be behind before missing some.
const EVENTS_KEPT: usize = 1_024;

/// A node's connections to its peers, and the sync over them. Ends when it is dropped; better by
/// [`shutdown`](Self::shutdown), which says goodbye.
pub struct Mesh {
    endpoint: Endpoint,
    commands: mpsc::UnboundedSender<Command>,
    news: broadcast::Sender<MeshEvent>,
    fetcher: Option<Fetcher>,
    serve_limit: RateLimit,
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mesh({})", self.endpoint.id().fmt_short())
    }
}

impl Mesh {
    /// Listens, and admits the endpoints that the ledger knows. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on, or does not fit the network mode.
    pub async fn start(config: MeshConfig, ledger: Arc<dyn Ledger>) -> Result<Self, MeshError> {
        let listen = config.listen;
        if config.network == Network::Loopback && !listen.ip().to_canonical().is_loopback() {
            return Err(MeshError::NotLoopback { listen });
        }
        let bind = |source: Box<dyn std::error::Error + Send + Sync>| MeshError::Bind {
            listen,
            source: source.into(),
        };
        let (events, event_queue) = mpsc::unbounded_channel();
        let gate = Gate::new(
            ledger.clone(),
            events.clone(),
            config.network,
            config.timing.clone(),
        );
        let transport = QuicTransportConfig::builder()
            .max_concurrent_bidi_streams(STREAMS.into())
            .max_concurrent_uni_streams(0u32.into())
            .receive_window(RECEIVE_WINDOW_BYTES.into())
            .build();
        // No relay, no lookup service, no port mapping, no probes: packets go to peers' addresses and nowhere else.
        let endpoint = Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::from_bytes(&config.secret))
            .relay_mode(RelayMode::Disabled)
            .clear_address_lookup()
            .portmapper_config(PortmapperConfig::Disabled)
            .net_report_config(NetReportConfig::minimal())
            .transport_config(transport)
            .hooks(Hooks(gate.clone()))
            .clear_ip_transports()
            .bind_addr(listen)
            .map_err(|error| bind(error.into()))?
            .bind()
            .await
            .map_err(|error| bind(error.into()))?;
        let seed = *endpoint.id().as_bytes();
        let engine = Engine::new(config.me, config.sync, seed);
        let workers = Workers::spawn(&ledger, &events).map_err(|error| bind(error.into()))?;
        let filter = gate.clone();
        let (news, _) = broadcast::channel(EVENTS_KEPT);
        let (commands, command_queue) = mpsc::unbounded_channel();
        let serve_limit = RateLimit::default();
        let mut router = Router::builder(endpoint.clone())
            .accept(ALPN, Door(gate.clone()))
            .incoming_filter(Arc::new(move |incoming| filter.filter(incoming)));
        let fetcher = config.blobs.map(|store| {
            let connections = Connections::new(
                endpoint.clone(),
                gate.clone(),
                commands.clone(),
                config.timing.dial_ms,
            );
            Fetcher::new(store, connections)
        });
        if let Some(fetcher) = &fetcher {
            let store = fetcher.store.clone();
            let door = BlobDoor::new(gate.clone(), ledger, store, serve_limit.clone());
            router = router.accept(BLOBS_ALPN, door);
        }
        let router = router.spawn();
        let core = Core::new(Parts {
            endpoint: endpoint.clone(),
            router,
            gate,
            engine,
            workers,
            events,
            news: news.clone(),
            network: config.network,
            timing: config.timing,
        });
        tokio::spawn(core.run(command_queue, event_queue));
        Ok(Self {
            endpoint,
            commands,
            news,
            fetcher,
            serve_limit,
        })
    }

    /// This node's endpoint id.
    pub fn endpoint_id(&self) -> [u8; 32] {
        *self.endpoint.id().as_bytes()
    }

    /// The addresses at which this node can be dialled, as far as it knows.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let bound = self.endpoint.bound_sockets();
        let (open, fixed): (Vec<_>, Vec<_>) = bound
            .into_iter()
            .partition(|address| address.ip().is_unspecified());
        let mut addresses = fixed;
        if !open.is_empty() {
            addresses.extend(self.endpoint.addr().ip_addrs());
        }
        addresses.sort();
        addresses.dedup();
        addresses
    }

    /// Replaces what is known of where peers are. Connections to clinics whose endpoint the ledger does not
    /// know any more are closed.
    pub fn set_peers(&self, peers: Vec<PeerAddress>) {
        self.send(Command::SetPeers(peers));
    }

    /// Syncs with a clinic until both are in step; dials it if no connection stands.
    ///
    /// # Errors
    /// When it cannot be reached, refuses this node, breaks the protocol, stops answering, or the own store fails.
    pub async fn sync(&self, clinic: ClinicId) -> Result<SyncStats, MeshError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Sync { clinic, reply });
        answer.await.unwrap_or(Err(MeshError::Closed))
    }

    /// Whether to stay connected with every known peer, as a daemon does: lost connections are dialled again.
    pub fn keep_connected(&self, keep: bool) {
        self.send(Command::KeepConnected(keep));
    }

    /// A log was changed by this node itself; connected peers that may hold it are told.
    pub fn log_changed(&self, changed: Changed) {
        self.send(Command::Changed(changed));
    }

    /// How things stand with each peer.
    pub async fn peers(&self) -> Vec<PeerStatus> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Peers(reply));
        answer.await.unwrap_or_default()
    }

    /// What happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<MeshEvent> {
        self.news.subscribe()
    }

    /// Fetches a blob from the clinics named, and waits until it is on the disk. What arrives is verified and kept, also
    /// where this fails or is given up, and never asked for again. Where several clinics hold a large blob, they share it.
    ///
    /// # Errors
    /// When none of the clinics gives it in full, or the own store fails.
    pub async fn fetch(
        &self,
        wanted: &Wanted,
        options: &FetchOptions,
        progress: Option<&watch::Sender<FetchProgress>>,
    ) -> Result<FetchStats, BlobFetchError> {
        let fetcher = self.fetcher.as_ref().ok_or(BlobFetchError::NoStore)?;
        fetcher.fetch(wanted, options, progress).await
    }

    /// Fetches many blobs, several at once over one connection to each clinic; much quicker for small ones than one by
    /// one. The answers are in the order of the blobs, each as of [`fetch`](Self::fetch).
    pub async fn fetch_many(
        &self,
        wanted: Vec<Wanted>,
        options: &FetchOptions,
        progress: Option<&watch::Sender<ManyProgress>>,
    ) -> Vec<Result<FetchStats, BlobFetchError>> {
        match &self.fetcher {
            Some(fetcher) => fetcher.fetch_many(wanted, options, progress).await,
            None => wanted
                .iter()
                .map(|_| Err(BlobFetchError::NoStore))
                .collect(),
        }
    }

    /// The rate at which blobs are served to all peers together; it may be changed at any time.
    pub fn serve_limit(&self) -> &RateLimit {
        &self.serve_limit
    }

    /// Sends what is on its way, closes all connections in order and lets the ledger finish what it was given.
    pub async fn shutdown(&self) {
        let (reply, done) = oneshot::channel();
        self.send(Command::Shutdown(reply));
        let _ended_already = done.await;
    }

    fn send(&self, command: Command) {
        // The loop ends only by shutdown; after it nothing is done, and those who wait are told so.
        let _ended_already = self.commands.send(command);
    }
}

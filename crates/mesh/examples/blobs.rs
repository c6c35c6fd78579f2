//! Blobs from node to node over loopback: through the mesh, and beside it the same bytes sent plain by iroh-blobs with the
//! same settings, and over a bare iroh stream. Both ends are in this process, with folders of their own.
//!
//! `cargo run --release -p salus-mesh --example blobs -- --mib 1024 --count 10000 --bytes 20480 --inline 65536 --rounds 1`

#![expect(clippy::print_stdout, reason = "it is what this program is for")]

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use iroh::endpoint::{Connection, QuicTransportConfig, presets};
use iroh::{Endpoint, EndpointAddr, RelayMode};
use iroh_blobs::Hash;
use iroh_blobs::provider::{events::EventSender, handle_connection};
use iroh_blobs::store::fs::{FsStore, options::Options};
use salus_audit::{BlobHash, ClinicId, Heights, LogId};
use salus_mesh::blobs::{BLOBS_ALPN, BlobOptions, BlobStore, FetchOptions, INLINE_BYTES, Wanted};
use salus_mesh::{Ledger, LedgerError, Mesh, MeshConfig, Network, PeerAddress};
use salus_sync::{CatalogAnswer, Committed, Loaded};

type Outcome<T> = Result<T, Box<dyn Error>>;

const RAW_ALPN: &[u8] = b"raw";
const MIB: u64 = 1 << 20;
/// Requests at once, as the mesh has them.
const AT_ONCE: usize = 31;

#[derive(Clone, Copy)]
struct Plan {
    mib: u64,
    count: u64,
    bytes: usize,
    inline: u64,
    rounds: u64,
}

impl Plan {
    fn read() -> Outcome<Self> {
        let mut given = HashMap::new();
        let mut words = std::env::args().skip(1);
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            given.insert(name, value.parse::<u64>()?);
        }
        let get = |name: &str, default| given.get(name).copied().unwrap_or(default);
        Ok(Self {
            mib: get("--mib", 1_024),
            count: get("--count", 10_000),
            bytes: usize::try_from(get("--bytes", 20_480))?,
            inline: get("--inline", INLINE_BYTES),
            rounds: get("--rounds", 1),
        })
    }
}

/// A ledger that knows one peer and gives it everything.
struct Open(ClinicId);

impl Ledger for Open {
    fn clinic_of(&self, _: [u8; 32]) -> Option<ClinicId> {
        Some(self.0)
    }

    fn catalog(&self, _: ClinicId) -> Result<CatalogAnswer, LedgerError> {
        Ok(CatalogAnswer::default())
    }

    fn heights(&self, _: ClinicId, logs: &[LogId]) -> Result<Vec<Heights>, LedgerError> {
        Ok(vec![Heights::new(); logs.len()])
    }

    fn load(&self, _: ClinicId, _: LogId, _: &Heights, _: usize) -> Result<Loaded, LedgerError> {
        Ok(Loaded::default())
    }

    fn commit(
        &self,
        _: ClinicId,
        _: Vec<Vec<u8>>,
        _: Vec<(LogId, Vec<u8>)>,
    ) -> Result<Committed, LedgerError> {
        Ok(Committed::default())
    }

    fn may_fetch(&self, _: ClinicId, _: BlobHash) -> bool {
        true
    }
}

/// Bytes that nothing compresses, in pieces of 1 MiB.
fn noise(seed: u64, bytes: u64) -> impl Iterator<Item = io::Result<Bytes>> + Send {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    let mut reader = hasher.finalize_xof();
    (0..bytes.div_ceil(MIB)).map(move |n| {
        let len = usize::try_from((bytes - n * MIB).min(MIB)).unwrap_or(0);
        let mut piece = vec![0; len];
        reader.fill(&mut piece);
        Ok(piece.into())
    })
}

/// What a phase took, and the most memory that was resident in it (both ends together).
struct Phase {
    began: Instant,
}

impl Phase {
    fn begin() -> Self {
        // Begins to count anew, where the system lets us.
        let _not_there = fs::write("/proc/self/clear_refs", "5");
        Self {
            began: Instant::now(),
        }
    }

    fn end(self, name: &str, bytes: u64, count: u64) -> f64 {
        let seconds = self.began.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "figures to be read")]
        let (rate, each) = (bytes as f64 / 1e6 / seconds, count as f64 / seconds);
        let peak = peak_mb().map_or_else(String::new, |peak| format!("  peak RSS {peak:5} MB"));
        println!("{name:44} {seconds:8.2} s {rate:8.1} MB/s {each:9.1} blobs/s{peak}");
        rate
    }
}

fn peak_mb() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1_024 / 1_000_000)
}

/// An endpoint as the mesh has it.
async fn endpoint(alpns: &[&[u8]]) -> Outcome<Endpoint> {
    let transport = QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(32u32.into())
        .receive_window(2_500_000u32.into())
        .build();
    let endpoint = Endpoint::builder(presets::Minimal)
        .alpns(alpns.iter().map(|alpn| alpn.to_vec()).collect())
        .relay_mode(RelayMode::Disabled)
        .transport_config(transport)
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")?
        .bind()
        .await?;
    Ok(endpoint)
}

async fn connect(to: &Endpoint, alpn: &[u8]) -> Outcome<(Endpoint, Connection)> {
    let from = endpoint(&[]).await?;
    let sockets = to.bound_sockets().into_iter();
    let address = sockets.fold(EndpointAddr::new(to.id()), EndpointAddr::with_ip_addr);
    let connection = from.connect(address, alpn).await?;
    Ok((from, connection))
}

async fn raw(bytes: u64) -> Outcome<f64> {
    let server = endpoint(&[RAW_ALPN]).await?;
    let sending = tokio::spawn({
        let server = server.clone();
        async move {
            let connection = server.accept().await?.await.ok()?;
            let (mut send, _recv) = connection.accept_bi().await.ok()?;
            let piece = noise(0, MIB).next()?.ok()?;
            for _ in 0..bytes.div_ceil(MIB) {
                send.write_chunk(piece.clone()).await.ok()?;
            }
            send.finish().ok()?;
            connection.closed().await;
            Some(())
        }
    });
    let (client, connection) = connect(&server, RAW_ALPN).await?;
    let phase = Phase::begin();
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_all(&[1]).await?;
    let mut came = 0;
    while let Some(piece) = recv.read_chunk(1 << 16).await? {
        came += piece.len() as u64;
    }
    let rate = phase.end("one bare iroh stream", came, 1);
    client.close().await;
    server.close().await;
    sending.await?;
    Ok(rate)
}

async fn plain_store(folder: &Path, plan: &Plan) -> Outcome<FsStore> {
    let mut options = Options::new(folder);
    options.inline.max_data_inlined = plan.inline;
    Ok(FsStore::load_with_opts(folder.join("blobs.db"), options).await?)
}

/// What iroh-blobs leaves to the operating system.
fn flush(folder: &Path, hash: Hash) -> io::Result<()> {
    for part in ["data", "obao4"] {
        let path = folder
            .join("data")
            .join(format!("{}.{part}", hash.to_hex()));
        match File::open(path) {
            Ok(file) => file.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    File::open(folder.join("data"))?.sync_all()
}

/// The rates of iroh-blobs by itself: one large blob and the same flushed, or many small ones.
async fn plain(folder: &Path, plan: &Plan, seed: u64) -> Outcome<(f64, f64)> {
    let (from, to) = (folder.join("plain-from"), folder.join("plain-to"));
    let (source, target) = (
        plain_store(&from, plan).await?,
        plain_store(&to, plan).await?,
    );
    let large = stream::iter(noise(seed, plan.mib * MIB));
    let large = source.add_stream(large).await.temp_tag().await?;
    let mut small = Vec::new();
    for n in 0..plan.count {
        let bytes: Vec<Bytes> = noise(seed + 1 + n, plan.bytes as u64).collect::<Result<_, _>>()?;
        small.push(source.add_bytes(bytes.concat()).temp_tag().await?);
    }
    source.sync_db().await?;
    let server = endpoint(&[BLOBS_ALPN]).await?;
    let serving = tokio::spawn({
        let (server, source) = (server.clone(), (*source).clone());
        async move {
            while let Some(incoming) = server.accept().await {
                if let Ok(connection) = incoming.await {
                    let events = EventSender::DEFAULT;
                    tokio::spawn(handle_connection(connection, source.clone(), events));
                }
            }
        }
    });
    let (client, connection) = connect(&server, BLOBS_ALPN).await?;
    let phase = Phase::begin();
    let rates = if plan.mib > 0 {
        let fetching = target.remote().fetch(connection.clone(), large.hash());
        fetching.complete().await?;
        let bytes = plan.mib * MIB;
        let unflushed = Phase { began: phase.began };
        let rate = unflushed.end("1 large blob, iroh-blobs plain, not flushed", bytes, 1);
        flush(&to, large.hash())?;
        target.sync_db().await?;
        let flushed = phase.end("1 large blob, iroh-blobs plain, then flushed", bytes, 1);
        (rate, flushed)
    } else {
        let remote = target.remote();
        let fetches = stream::iter(small.iter().map(|tag| tag.hash())).map(|hash| {
            let connection = connection.clone();
            async move { remote.fetch(connection, hash).complete().await }
        });
        let mut fetches = fetches.buffer_unordered(AT_ONCE);
        while let Some(fetched) = fetches.next().await {
            fetched?;
        }
        target.sync_db().await?;
        let bytes = plan.count * plan.bytes as u64;
        let rate = phase.end("many small blobs, iroh-blobs plain", bytes, plan.count);
        (rate, rate)
    };
    client.close().await;
    server.close().await;
    serving.await?;
    source.shutdown().await?;
    target.shutdown().await?;
    Ok(rates)
}

struct Node {
    mesh: Mesh,
    store: BlobStore,
    clinic: ClinicId,
}

impl Node {
    async fn start(n: u8, folder: &Path, plan: &Plan) -> Outcome<Self> {
        let [clinic, peer] = [n, 3 - n].map(|n| ClinicId::from_bytes([n; 32]));
        let mut options = BlobOptions::new(Arc::new(|| None));
        options.inline_bytes = plan.inline;
        let store = BlobStore::open(folder, options).await?;
        let listen = ([127, 0, 0, 1], 0).into();
        let mut config = MeshConfig::new([n; 32], clinic, listen, Network::Loopback);
        config.blobs = Some(store.clone());
        let mesh = Mesh::start(config, Arc::new(Open(peer))).await?;
        Ok(Self {
            mesh,
            store,
            clinic,
        })
    }

    async fn end(self) {
        self.mesh.shutdown().await;
        self.store.shutdown().await;
    }
}

/// The rate of the mesh, verified and on the disk: of one large blob, or of many small ones.
async fn ours(folder: &Path, plan: &Plan, seed: u64) -> Outcome<f64> {
    let source = Node::start(1, &folder.join("from"), plan).await?;
    let target = Node::start(2, &folder.join("to"), plan).await?;
    target.mesh.set_peers(vec![PeerAddress {
        clinic: source.clinic,
        endpoint: source.mesh.endpoint_id(),
        addresses: source.mesh.addresses(),
    }]);
    let options = FetchOptions::default();
    let wanted = |blob, max_bytes| Wanted {
        blob,
        providers: vec![source.clinic],
        max_bytes,
    };
    let phase = Phase::begin();
    let rate = if plan.mib > 0 {
        let bytes = plan.mib * MIB;
        let large = source.store.add(stream::iter(noise(seed, bytes))).await?;
        phase.end("1 large blob added (noise made, flushed)", bytes, 1);
        let phase = Phase::begin();
        let wanted = wanted(large.hash, bytes);
        target.mesh.fetch(&wanted, &options, None).await?;
        phase.end("1 large blob, mesh, verified and on the disk", bytes, 1)
    } else {
        let pieces = stream::iter(0..plan.count).map(|n| {
            let store = source.store.clone();
            let piece = stream::iter(noise(seed + 1 + n, plan.bytes as u64));
            async move { store.add(piece).await }
        });
        let added: Vec<_> = pieces.buffer_unordered(64).collect().await;
        let bytes = plan.count * plan.bytes as u64;
        phase.end("many small blobs added (flushed)", bytes, plan.count);
        let mut many = Vec::new();
        for added in added {
            many.push(wanted(added?.hash, plan.bytes as u64));
        }
        let phase = Phase::begin();
        for answer in target.mesh.fetch_many(many, &options, None).await {
            answer?;
        }
        phase.end(
            "many small blobs, mesh, verified and on the disk",
            bytes,
            plan.count,
        )
    };
    target.end().await;
    source.end().await;
    Ok(rate)
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let plan = Plan::read()?;
    println!(
        "1 x {} MiB, {} x {} bytes, inline up to {} bytes",
        plan.mib, plan.count, plan.bytes, plan.inline
    );
    for round in 0..plan.rounds {
        raw(plan.mib * MIB).await?;
        let large = Plan { count: 0, ..plan };
        let small = Plan { mib: 0, ..plan };
        // The large one first: what the index caches of the small ones would count as its memory.
        for (name, plan) in [("large", &large), ("small", &small)] {
            let here = std::env::current_dir()?;
            let folder = here.join(format!("blobs-bench-{}", std::process::id()));
            // The folder goes with its contents, also where something failed.
            let figures = async {
                let plain = plain(&folder, plan, round << 32).await?;
                fs::remove_dir_all(&folder)?;
                Ok::<_, Box<dyn Error>>((plain, ours(&folder, plan, round << 32).await?))
            };
            let figures = figures.await;
            fs::remove_dir_all(&folder)?;
            let ((plain, flushed), ours) = figures?;
            println!(
                "{name}: {:.2} of iroh-blobs plain, {:.2} of the same flushed",
                ours / plain,
                ours / flushed
            );
        }
    }
    Ok(())
}

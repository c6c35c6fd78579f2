//! The client API between processes: one iroh connection, one stream a call, JSON frames.
//!
//! A daemon listens for its own machine's clients on an endpoint of its own, with a key drawn at each start and bound to
//! 127.0.0.1, so that a sealed node, whose network identity is still sealed, can be asked to unlock. Its address
//! and a token stand in `daemon.json`, readable by the folder's owner only; the token opens the door, the staff
//! session or passphrase in each call decides what may be done.
//!
//! A stream carries: token (32 bytes) ‖ length (u32 LE) ‖ call as JSON, then replies, each length ‖ JSON, until `Done`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{
    Connection, PortmapperConfig, QuicTransportConfig, RecvStream, SendStream, presets,
};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode, SecretKey};
use salus_api::{ApiError, Call, Client, Envelope, Reply};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use zeroize::Zeroize;

use crate::folder::{Folder, read_bounded, write_durably};

/// Names the protocol to iroh.
const ALPN: &[u8] = b"salus/api/1";
/// Largest call, bytes: a note or an item; files go by path.
const MAX_CALL_BYTES: usize = 8 << 20;
/// Largest reply, bytes: 100,000 patient rows are about 25 MB.
const MAX_REPLY_BYTES: usize = 256 << 20;
/// Connections that a daemon serves at once; further ones wait.
const MAX_CONNECTIONS: usize = 64;
/// On one machine a peer that is silent for this long is gone: killed, or stopped.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// How often a living one says so.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// A client that has connected must send its call within this time.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A daemon on the same machine answers the connection in milliseconds; after this it is taken for dead.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How a client finds the daemon: the content of `daemon.json`.
#[derive(Serialize, Deserialize)]
struct Door {
    version: u32,
    endpoint: String,
    address: SocketAddr,
    token: String,
}

/// A daemon's door for the clients of its own machine. Dropping it leaves the file behind; `close` removes it.
#[derive(Debug)]
pub struct ApiServer {
    endpoint: Endpoint,
    folder: Folder,
    accept: tokio::task::JoinHandle<()>,
}

impl ApiServer {
    /// Opens the door and serves every call that comes through it with `client`.
    pub async fn start(folder: Folder, client: Client) -> Result<Self, ApiError> {
        let endpoint = bind().await?;
        let address = bound_address(&endpoint)?;
        let mut token = [0u8; 32];
        getrandom::fill(&mut token)
            .map_err(|e| ApiError::failed(format!("the system's random generator failed: {e}")))?;
        let door = Door {
            version: 1,
            endpoint: endpoint.id().to_string(),
            address,
            token: blake3::Hash::from_bytes(token).to_hex().to_string(),
        };
        let text = serde_json::to_vec(&door)
            .map_err(|e| ApiError::failed(format!("cannot describe the daemon: {e}")))?;
        write_durably(&folder.daemon(), &text)?;
        let accept = tokio::spawn(accept(endpoint.clone(), token, client));
        Ok(Self {
            endpoint,
            folder,
            accept,
        })
    }

    /// Closes the door and takes the sign down.
    pub async fn close(self) {
        // Nobody is told of a file that is gone already.
        let _ = std::fs::remove_file(self.folder.daemon());
        self.accept.abort();
        self.endpoint.close().await;
    }
}

async fn bind() -> Result<Endpoint, ApiError> {
    let failed = |e: String| ApiError::failed(format!("cannot open a local socket: {e}"));
    let transport = QuicTransportConfig::builder()
        .keep_alive_interval(KEEP_ALIVE)
        .max_idle_timeout(IDLE_TIMEOUT.try_into().ok())
        .build();
    Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::generate())
        .clear_ip_transports()
        .bind_addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .map_err(|e| failed(e.to_string()))?
        .relay_mode(RelayMode::Disabled)
        .portmapper_config(PortmapperConfig::Disabled)
        .transport_config(transport)
        .alpns(vec![ALPN.to_vec()])
        .bind()
        .await
        .map_err(|e| failed(e.to_string()))
}

fn bound_address(endpoint: &Endpoint) -> Result<SocketAddr, ApiError> {
    endpoint
        .bound_sockets()
        .into_iter()
        .next()
        .ok_or_else(|| ApiError::failed("the local socket has no address"))
}

async fn accept(endpoint: Endpoint, token: [u8; 32], client: Client) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some(incoming) = endpoint.accept().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let client = client.clone();
        tokio::spawn(async move {
            if let Ok(Ok(connection)) =
                tokio::time::timeout(CALL_TIMEOUT, async { incoming.await }).await
            {
                serve(connection, token, client).await;
            }
            drop(place);
        });
    }
}

async fn serve(connection: Connection, token: [u8; 32], client: Client) {
    while let Ok((send, recv)) = connection.accept_bi().await {
        let client = client.clone();
        let connection = connection.clone();
        tokio::spawn(async move {
            if answer(send, recv, &token, &client).await.is_none() {
                // Wrong token or not a call: nothing more is heard from there.
                connection.close(1u32.into(), b"not a call");
            }
        });
    }
}

async fn answer(
    mut send: SendStream,
    mut recv: RecvStream,
    token: &[u8; 32],
    client: &Client,
) -> Option<()> {
    let call = tokio::time::timeout(CALL_TIMEOUT, async {
        let mut shown = [0u8; 32];
        recv.read_exact(&mut shown).await.ok()?;
        // blake3::Hash compares in constant time.
        if blake3::Hash::from_bytes(shown) != blake3::Hash::from_bytes(*token) {
            return None;
        }
        read_frame::<Call>(&mut recv, MAX_CALL_BYTES).await
    })
    .await
    .ok()??;
    let mut replies = match client.open(call.auth, call.request).await {
        Ok(replies) => replies,
        Err(error) => {
            write_frame(&mut send, &Reply::Done(Err(error))).await?;
            return Some(());
        }
    };
    loop {
        tokio::select! {
            reply = replies.recv() => {
                let Some(reply) = reply else { break };
                let last = matches!(reply, Reply::Done(_));
                if write_frame(&mut send, &reply).await.is_none() { break }
                if last { break }
            }
            // The client hung up: dropping `replies` tells the node.
            _ = send.stopped() => break,
        }
    }
    let _ = send.finish();
    let _ = send.stopped().await;
    Some(())
}

/// A client's side of the door.
#[derive(Debug)]
pub struct RemoteNode {
    endpoint: Endpoint,
    pump: tokio::task::JoinHandle<()>,
}

impl RemoteNode {
    /// Connects to the daemon of a folder; `None` where the folder shows none, or the one it shows is dead.
    pub async fn connect(folder: &Folder) -> Result<Option<(Self, Client)>, ApiError> {
        let path = folder.daemon();
        if !path.exists() {
            return Ok(None);
        }
        let bytes = read_bounded(&path, 64 << 10)?;
        let Ok(mut door) = serde_json::from_slice::<Door>(&bytes) else {
            return Ok(None);
        };
        let (Ok(id), Ok(token)) = (
            door.endpoint.parse::<EndpointId>(),
            blake3::Hash::from_hex(&door.token),
        ) else {
            return Ok(None);
        };
        door.token.zeroize();
        // A daemon's door is on this machine: a file that says otherwise was not written by one.
        if !door.address.ip().is_loopback() {
            return Ok(None);
        }
        let endpoint = bind().await?;
        let address = EndpointAddr::new(id).with_ip_addr(door.address);
        let connected =
            tokio::time::timeout(CONNECT_TIMEOUT, endpoint.connect(address, ALPN)).await;
        let Ok(Ok(connection)) = connected else {
            endpoint.close().await;
            return Ok(None);
        };
        let (client, calls) = salus_api::channel();
        let pump = tokio::spawn(pump(connection, *token.as_bytes(), calls));
        Ok(Some((Self { endpoint, pump }, client)))
    }

    /// Hangs up.
    pub async fn close(self) {
        self.pump.abort();
        self.endpoint.close().await;
    }
}

async fn pump(connection: Connection, token: [u8; 32], mut calls: mpsc::Receiver<Envelope>) {
    while let Some(envelope) = calls.recv().await {
        let connection = connection.clone();
        tokio::spawn(async move {
            let replies = envelope.replies.clone();
            if carry(&connection, &token, envelope).await.is_none() {
                let lost = ApiError::failed("the daemon went away before it answered")
                    .hint("see whether `salus node` still runs, then ask again");
                let _ = replies.send(Reply::Done(Err(lost))).await;
            }
        });
    }
}

/// Carries one call there and its replies back; `None` where the connection broke before `Done`.
async fn carry(connection: &Connection, token: &[u8; 32], envelope: Envelope) -> Option<()> {
    let (mut send, mut recv) = connection.open_bi().await.ok()?;
    send.write_all(token).await.ok()?;
    write_frame(&mut send, &envelope.call).await?;
    loop {
        tokio::select! {
            reply = read_frame::<Reply>(&mut recv, MAX_REPLY_BYTES) => {
                let reply = reply?;
                let last = matches!(reply, Reply::Done(_));
                if envelope.replies.send(reply).await.is_err() || last {
                    return Some(());
                }
            }
            () = envelope.replies.closed() => {
                // The caller hung up; the daemon learns it from the stream.
                let _ = recv.stop(0u32.into());
                return Some(());
            }
        }
    }
}

async fn write_frame<T: Serialize>(send: &mut SendStream, value: &T) -> Option<()> {
    let bytes = serde_json::to_vec(value).ok()?;
    let length = u32::try_from(bytes.len()).ok()?;
    send.write_all(&length.to_le_bytes()).await.ok()?;
    send.write_all(&bytes).await.ok()
}

async fn read_frame<T: DeserializeOwned>(recv: &mut RecvStream, limit: usize) -> Option<T> {
    let mut length = [0u8; 4];
    recv.read_exact(&mut length).await.ok()?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
    if length > limit {
        return None;
    }
    // Grown as it arrives: a length alone reserves nothing.
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let chunk = recv.read_chunk(length - bytes.len()).await.ok()??;
        bytes.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&bytes).ok()
}

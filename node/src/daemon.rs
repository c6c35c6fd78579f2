//! `salus node`: the daemon. It serves this machine's clients and syncs with other clinics, also while locked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;

use salus_api::{ApiError, Auth, LockState, Request, Response, Status};

use crate::folder::Folder;
use crate::node::NodeOptions;
use crate::remote::{ApiServer, RemoteNode};
use crate::service;
use crate::setup::system_clock;

/// Runs until SIGINT or SIGTERM. With a passphrase it opens the network and then locks: it syncs and
/// serves, and shows nothing until somebody unlocks it. Without one it starts sealed. `waiting` is told where another process
/// holds the folder and is waited for, `ready` when all is up.
pub async fn run(
    data_dir: PathBuf,
    listen: Option<SocketAddr>,
    auth: Auth,
    waiting: impl FnOnce(),
    ready: impl FnOnce(&Status),
) -> Result<(), ApiError> {
    let end = End::new()?;
    let folder = Folder::new(&data_dir);
    folder.require_initialised()?;
    let held = match folder.lock()? {
        Some(held) => Some(held),
        None => {
            // A daemon holds the folder for as long as it runs: nothing to wait for.
            if let Some((daemon, _)) = RemoteNode::connect(&folder).await? {
                daemon.close().await;
                return Err(ApiError::failed(format!(
                    "a daemon runs already on the data folder {}",
                    data_dir.display()
                ))
                .hint("ask it with `salus status`, or end it first"));
            }
            folder.lock_soon(waiting).await?
        }
    };
    let held = held.ok_or_else(|| {
        ApiError::failed(format!(
            "the data folder {} is in use by another process",
            data_dir.display()
        ))
        .hint("a command works on it: wait until it has ended")
    })?;
    // The sign of a daemon that was killed would send clients to a dead door.
    let _ = std::fs::remove_file(folder.daemon());
    let options = NodeOptions {
        network: true,
        keep_connected: true,
        listen,
        daemon: true,
        clock: system_clock(),
    };
    let (node, client) = service::open(folder.clone(), held, options)?;
    let outcome = async {
        // With a passphrase the call opens the network; its work ends with it, so the node is locked again at once.
        let answer = client.call(auth, Request::Status).await?;
        if node.state() != LockState::Sealed {
            // Other commands may do without a network; a daemon that has none, because its port is taken, says so and ends.
            node.connect().await?;
        }
        let door = ApiServer::start(folder.clone(), client.clone()).await?;
        if let Response::Status(status) = answer {
            ready(&status);
        }
        end.reached().await;
        door.close().await;
        Ok(())
    }
    .await;
    // A session token outlives the daemon only as a useless file.
    let _ = std::fs::remove_file(folder.session());
    drop(client);
    node.close().await;
    outcome
}

/// What ends a daemon. Made before anything else, so that no signal is missed.
struct End {
    interrupt: Pin<Box<dyn Future<Output = ()> + Send>>,
    terminate: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl End {
    #[cfg(unix)]
    fn new() -> Result<Self, ApiError> {
        use tokio::signal::unix::{SignalKind, signal};
        let heard = |kind| -> Result<Pin<Box<dyn Future<Output = ()> + Send>>, ApiError> {
            let mut signals = signal(kind)
                .map_err(|e| ApiError::failed(format!("signals cannot be listened for: {e}")))?;
            Ok(Box::pin(async move {
                signals.recv().await;
            }))
        };
        Ok(Self {
            interrupt: heard(SignalKind::interrupt())?,
            terminate: heard(SignalKind::terminate())?,
        })
    }

    #[cfg(not(unix))]
    fn new() -> Result<Self, ApiError> {
        Ok(Self {
            interrupt: Box::pin(async {
                // Without a listener the system's own handling ends the process.
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }),
            terminate: Box::pin(std::future::pending()),
        })
    }

    async fn reached(self) {
        tokio::select! {
            () = self.interrupt => {}
            () = self.terminate => {}
        }
    }
}

//! How a face gets its handle: through the daemon where one runs on the folder, else by opening the folder here.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use salus_api::{ApiError, Client};

use crate::folder::{Folder, FolderLock, LOCK_WAIT};
use crate::node::{Node, NodeOptions};
use crate::remote::RemoteNode;
use crate::service;

/// How often a folder that is held, and its daemon, are tried.
const RETRY: Duration = Duration::from_millis(50);

/// How a folder is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// Whether a node opened in this process talks to other clinics.
    pub network: bool,
    /// Whether it dials them by itself and stays connected, as the terminal UI wants it.
    pub stay_connected: bool,
}

/// A handle to the node of a folder.
pub struct Connection {
    /// The handle.
    pub client: Client,
    /// Whether a daemon answers.
    pub daemon: bool,
    end: End,
}

enum End {
    Remote(RemoteNode),
    Here(Arc<Node>),
}

impl Connection {
    /// Hangs up; a node in this process is closed, and its folder freed.
    pub async fn close(self) {
        drop(self.client);
        match self.end {
            End::Remote(remote) => remote.close().await,
            End::Here(node) => node.close().await,
        }
    }
}

enum Reached {
    Folder(FolderLock),
    Daemon(RemoteNode, Client),
    Nothing,
}

/// The folder where nobody holds it, else the daemon that does; a daemon that is just starting, or a command that is just ending, is
/// waited for.
async fn take_or_reach(folder: &Folder) -> Result<Reached, ApiError> {
    let begun = Instant::now();
    loop {
        if let Some(held) = folder.lock()? {
            return Ok(Reached::Folder(held));
        }
        if let Some((remote, client)) = RemoteNode::connect(folder).await? {
            return Ok(Reached::Daemon(remote, client));
        }
        if begun.elapsed() > LOCK_WAIT {
            return Ok(Reached::Nothing);
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Gets a handle to the node of a folder.
pub async fn open(data_dir: &Path, options: &OpenOptions) -> Result<Connection, ApiError> {
    let folder = Folder::new(data_dir);
    folder.require_initialised()?;
    let held = match take_or_reach(&folder).await? {
        Reached::Folder(held) => held,
        Reached::Daemon(remote, client) => {
            return Ok(Connection {
                client,
                daemon: true,
                end: End::Remote(remote),
            });
        }
        Reached::Nothing => {
            return Err(ApiError::failed(format!(
                "the data folder {} is in use by another process",
                data_dir.display()
            ))
            .hint(if folder.daemon().exists() {
                "a daemon seems to hold it and does not answer: look at it, or stop it; it writes daemon.json anew when it starts"
            } else {
                "wait for that command to end, or close the terminal UI; a daemon (`salus node`) would let both work"
            }));
        }
    };
    let options = NodeOptions::in_process(options.network, options.stay_connected);
    let (node, client) = service::open(folder, held, options)?;
    Ok(Connection {
        client,
        daemon: false,
        end: End::Here(node),
    })
}

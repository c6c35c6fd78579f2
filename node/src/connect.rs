//! How a face gets its handle: through the daemon where one runs on the folder, else by opening the folder here.

use std::path::Path;
use std::sync::Arc;

use salus_api::{ApiError, Client};

use crate::folder::Folder;
use crate::node::{Node, NodeOptions};
use crate::remote::RemoteNode;
use crate::service;
use crate::setup::system_clock;

/// How a folder is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// Whether a node opened in this process talks to other clinics (for `sync` and the terminal UI).
    pub network: bool,
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

/// Gets a handle to the node of a folder.
pub async fn open(data_dir: &Path, options: &OpenOptions) -> Result<Connection, ApiError> {
    let folder = Folder::new(data_dir);
    folder.require_initialised()?;
    let Some(held) = folder.lock()? else {
        if let Some((remote, client)) = RemoteNode::connect(&folder).await? {
            return Ok(Connection {
                client,
                daemon: true,
                end: End::Remote(remote),
            });
        }
        return Err(ApiError::failed(format!(
            "the data folder {} is in use by another process",
            data_dir.display()
        ))
        .hint("wait for that command to end, or close the terminal UI; a daemon (`salus node`) would let both work"));
    };
    let node = Node::start(
        folder,
        held,
        NodeOptions {
            network: options.network,
            keep_connected: options.network,
            listen: None,
            daemon: false,
            clock: system_clock(),
        },
    )?;
    let (client, calls) = salus_api::channel();
    tokio::spawn(service::serve(Arc::clone(&node), calls));
    Ok(Connection {
        client,
        daemon: false,
        end: End::Here(node),
    })
}

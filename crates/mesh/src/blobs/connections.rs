//! Connections for blobs: one to a clinic, kept for a while after its last use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iroh::Endpoint;
use iroh::endpoint::Connection;
use salus_audit::ClinicId;
use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::BLOBS_ALPN;
use super::error::ProviderError;
use crate::connect::connect;
use crate::error::MeshError;
use crate::event::{Command, DialError};
use crate::gate::Gate;
use crate::link::Close;

/// How long a connection that nobody uses is kept: commands that come one after the other share one.
const LINGER: Duration = Duration::from_secs(5);

type Slot = Arc<tokio::sync::Mutex<Option<Leased>>>;

/// A connection, and who uses it.
#[derive(Clone)]
pub(crate) struct Leased {
    pub connection: Connection,
    users: Arc<()>,
}

impl Leased {
    fn stands(&self) -> bool {
        self.connection.close_reason().is_none()
    }
}

pub(crate) struct Connections {
    endpoint: Endpoint,
    gate: Arc<Gate>,
    commands: UnboundedSender<Command>,
    dial_ms: u64,
    slots: Mutex<HashMap<ClinicId, Slot>>,
}

impl Connections {
    pub(crate) fn new(
        endpoint: Endpoint,
        gate: Arc<Gate>,
        commands: UnboundedSender<Command>,
        dial_ms: u64,
    ) -> Self {
        Self {
            endpoint,
            gate,
            commands,
            dial_ms,
            slots: Mutex::default(),
        }
    }

    /// The connection to a clinic; it is dialled if none stands.
    pub(crate) async fn to(&self, clinic: ClinicId) -> Result<Leased, ProviderError> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.entry(clinic).or_default().clone()
        };
        // Those who come meanwhile wait for the same dial.
        let mut standing = slot.lock().await;
        if let Some(leased) = standing.as_ref().filter(|leased| leased.stands()) {
            return Ok(leased.clone());
        }
        let dialled = self.dial(clinic).await;
        let connection = dialled.map_err(ProviderError::Connection)?;
        // Nothing is served on a connection that was dialled to fetch.
        connection.set_max_concurrent_bi_streams(0u32.into());
        let users = Arc::new(());
        let leased = Leased { connection, users };
        *standing = Some(leased.clone());
        drop(standing);
        tokio::spawn(linger(leased.clone(), slot));
        Ok(leased)
    }

    /// Does not use this connection again.
    pub(crate) fn forget(&self, clinic: ClinicId, leased: &Leased) {
        Close::Bye.close(&leased.connection);
        tracing::debug!(%clinic, "a connection for blobs is given up");
    }

    async fn dial(&self, clinic: ClinicId) -> Result<Connection, MeshError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Address { clinic, reply };
        let _ended_already = self.commands.send(command);
        let address = answer.await.unwrap_or(Err(MeshError::Closed))?;
        let dialled = connect(
            &self.endpoint,
            &self.gate,
            address,
            BLOBS_ALPN,
            self.dial_ms,
        );
        dialled.await.map_err(|error| match error {
            DialError::Failed(error) => error,
            DialError::Duplicate => MeshError::Refused { clinic },
        })
    }
}

/// Closes a connection when it was not used for a while.
async fn linger(leased: Leased, slot: Slot) {
    let mut idle = false;
    loop {
        tokio::select! {
            _ = leased.connection.closed() => break,
            () = tokio::time::sleep(LINGER) => {}
        }
        let mut standing = slot.lock().await;
        // One user is here, one in the slot.
        let unused = Arc::strong_count(&leased.users) <= 2;
        if unused && idle {
            standing.take();
            Close::Bye.close(&leased.connection);
            break;
        }
        idle = unused;
    }
}

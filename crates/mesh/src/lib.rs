//! The iroh endpoint and the drivers of sync.

mod config;
mod connect;
mod core;
mod dial;
mod error;
mod event;
mod gate;
mod ledger;
mod link;
mod mesh;
mod status;
#[cfg(test)]
mod tests;
mod worker;

pub use config::{MeshConfig, Network, PeerAddress, Timing};
pub use error::MeshError;
pub use ledger::{Ledger, LedgerError};
pub use mesh::{ALPN, Mesh};
pub use status::{MeshEvent, PeerStatus};

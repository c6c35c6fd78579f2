//! The iroh endpoint of a clinic's node, the driver that runs sync over it, and the sealed [`blobs`] that go over it. Start
//! from [`Mesh`].
//!
//! A node gives it a [`Ledger`] and the addresses of its peers, and tells it what it changed; the mesh connects, keeps
//! connected if it is asked to, and has `salus_sync`'s engine bring both sides in step. One connection stands
//! between two clinics, with one stream of frames each way, each after its length as 4 bytes, big-endian, and all after
//! one byte `01`.
//!
//! Blobs go over connections of their own, dialled by who fetches: opaque ciphertext, addressed by its BLAKE3 hash, kept in a
//! [`BlobStore`](blobs::BlobStore), verified as it comes.
//!
//! Not here: what a log, an entry or a blob means, who may have it, and the protocols themselves; gossip (later, on the same
//! endpoint).
//!
//! # Invariants
//!
//! - Nothing outside is asked for anything: no relay, no DNS, no port mapping, no probe. In loopback mode only loopback addresses
//!   are bound, dialled and admitted.
//! - Whoever the ledger does not know is turned away right after the handshake, and learns that somebody listens. Handshakes under
//!   way are counted, and limited in number and time.
//! - The loop that has the engine awaits no peer and no disk: each link has room for one frame, is filled when it has room, and
//!   reads two frames ahead; the ledger has two threads of its own. One slow peer slows nobody else.
//! - What a peer does wrong ends its connection; whoever broke the protocol is neither let in nor dialled for a while, each time
//!   longer. Whoever dials again and again is let in at a rate.
//! - Entries are acknowledged when [`Ledger::commit`] has returned, and not before.
//! - A blob is given when [`Ledger::may_fetch`] says so, asked for each request and again while it is sent. Whatever else is asked
//!   for gets the answer of a blob that is not held, before the store is looked at.
//! - A blob that was added or fetched is on the disk when that is told; bytes are verified when they come and each time they are read. No
//!   blob is collected that the node names, or that is in use; where the node cannot say, none is.
//!
//! # Example
//!
//! ```no_run
//! use std::sync::Arc;
//! use salus_audit::ClinicId;
//! use salus_mesh::{Ledger, Mesh, MeshConfig, MeshError, Network, PeerAddress};
//!
//! # async fn example(ledger: Arc<dyn Ledger>, secret: [u8; 32], me: ClinicId, peer: PeerAddress)
//! # -> Result<(), MeshError> {
//! let listen = ([127, 0, 0, 1], 0).into();
//! let mesh = Mesh::start(MeshConfig::new(secret, me, listen, Network::Loopback), ledger).await?;
//! mesh.set_peers(vec![peer.clone()]);
//! let stats = mesh.sync(peer.clinic).await?;
//! assert_eq!(stats.unresolved, 0);
//! mesh.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod blobs;
mod config;
mod connect;
mod core;
mod dial;
mod error;
mod event;
mod gate;
mod ledger;
mod link;
mod links;
mod mesh;
mod peers;
mod status;
#[cfg(test)]
mod tests;
mod worker;

pub use config::{MeshConfig, Network, PeerAddress, Timing};
pub use error::MeshError;
pub use ledger::{Ledger, LedgerError};
pub use mesh::{ALPN, Mesh};
pub use status::{MeshEvent, PeerStatus};

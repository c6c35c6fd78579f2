//! Who this node is, where it listens, whom it may reach, and how long it waits.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use salus_audit::ClinicId;

use crate::blobs::BlobStore;

/// How far this node may look. No mode uses a relay or a lookup service: peers are dialled by id and address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// This machine only: binds a loopback address, dials and admits loopback addresses.
    Loopback,
    /// The local network: dials and admits private, link-local and loopback addresses.
    Lan,
    /// Any address.
    Internet,
}

impl Network {
    /// Whether packets may go to this address, and come from it.
    pub fn admits(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Self::Loopback => address.is_loopback(),
            Self::Lan => {
                address.is_loopback()
                    || match address {
                        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
                        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
                    }
            }
            Self::Internet => true,
        }
    }
}

/// Where a clinic's node is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    /// The clinic.
    pub clinic: ClinicId,
    /// Its node's endpoint id.
    pub endpoint: [u8; 32],
    /// Addresses to try; with none the node can only be waited for.
    pub addresses: Vec<SocketAddr>,
}

/// How long things may take, in milliseconds, and how many may be under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Until a dialled node has answered; iroh itself gives up after 10 s.
    pub dial_ms: u64,
    /// Until somebody who dials has shown an endpoint id, and until the stream stands. A handshake
    /// takes 2 ms on loopback and two round trips elsewhere; 10 s is a guess for the worst link.
    pub handshake_ms: u64,
    /// Until a frame that has begun is complete: 4.5 MiB at 0.3 Mbit/s.
    pub frame_ms: u64,
    /// Between the first dial that failed and the next; doubles each time.
    pub retry_ms: u64,
    /// Between two dials at most.
    pub retry_max_ms: u64,
    /// How long the node with the higher endpoint id leaves it to the other to dial.
    pub grace_ms: u64,
    /// How long the last frames may take when a connection is closed in order.
    pub close_ms: u64,
    /// Handshakes of strangers under way at once. Each costs some 10 KB and a signature.
    pub max_handshakes: usize,
    /// How long a peer that broke the protocol is neither let in nor dialled; doubles each time, until a session went well.
    pub shun_ms: u64,
    /// The longest such time.
    pub shun_max_ms: u64,
    /// Connections that one peer may dial in quick succession: a bad link makes a few, commands that a script gives one
    /// after the other make some more. Each costs some 2 ms.
    pub max_calls: u32,
    /// After how long it may dial once more.
    pub call_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            dial_ms: 10_000,
            handshake_ms: 10_000,
            frame_ms: 120_000,
            retry_ms: 1_000,
            retry_max_ms: 60_000,
            grace_ms: 15_000,
            close_ms: 1_000,
            max_handshakes: 64,
            shun_ms: 1_000,
            shun_max_ms: 600_000,
            max_calls: 64,
            call_ms: 250,
        }
    }
}

/// All that a mesh is started with.
#[derive(Clone)]
pub struct MeshConfig {
    /// The endpoint's Ed25519 secret key.
    pub secret: [u8; 32],
    /// This clinic.
    pub me: ClinicId,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How far to look.
    pub network: Network,
    /// How long to wait.
    pub timing: Timing,
    /// What the sync engine may tune.
    pub sync: salus_sync::Config,
    /// The blobs that are served and fetched; without it this node does neither.
    pub blobs: Option<BlobStore>,
}

impl MeshConfig {
    /// With the default times and sizes.
    pub fn new(secret: [u8; 32], me: ClinicId, listen: SocketAddr, network: Network) -> Self {
        Self {
            secret,
            me,
            listen,
            network,
            timing: Timing::default(),
            sync: salus_sync::Config::default(),
            blobs: None,
        }
    }
}

impl fmt::Debug for MeshConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshConfig")
            .field("me", &self.me)
            .field("listen", &self.listen)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_admits_what_it_says() {
        let admitted = |network: Network| {
            let addresses = [
                "127.0.0.1",
                "::1",
                "::ffff:127.0.0.1",
                "192.168.1.7",
                "10.0.0.1",
            ];
            let others = [
                "169.254.3.4",
                "fe80::1",
                "fd00::1",
                "8.8.8.8",
                "2001:db8::1",
            ];
            let all = addresses.iter().chain(&others);
            all.filter(|text| network.admits(text.parse().unwrap()))
                .count()
        };
        assert_eq!(admitted(Network::Loopback), 3);
        assert_eq!(admitted(Network::Lan), 8);
        assert_eq!(admitted(Network::Internet), 10);
    }

    #[test]
    fn a_configuration_does_not_print_its_secret() {
        let listen = "127.0.0.1:0".parse().unwrap();
        let me = ClinicId::from_bytes([1; 32]);
        let config = MeshConfig::new([0xab; 32], me, listen, Network::Loopback);
        let text = format!("{config:?}");
        assert!(!text.contains("ab") && !text.contains("171"), "{text}");
    }
}

//! Who is who: staff, other clinics, and what clinics may do with a record.

use std::net::SocketAddr;

use minicbor::{Decode, Encode};
use salus_api::{ApiError, ClinicView, StaffView};
use salus_audit::{ActorId, ClinicId, Control, Right, Role, SigningKey};

use super::{Core, Said, Staff, documents, failure};

/// Where the store keeps this clinic's id.
pub(super) const META_CLINIC: &str = "clinic";
/// Where the store keeps the clinics that were made known.
const META_PEERS: &str = "peers";
/// Clinics that can be made known. Far above a federation's size.
const MAX_PEERS: usize = 1_024;
/// Addresses kept for one clinic.
const MAX_ADDRESSES: usize = 16;

/// A clinic that somebody here made known (CBOR array, sealed by the storage key).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KnownPeer {
    /// Its id.
    #[n(0)]
    pub clinic: ClinicId,
    /// Its iroh endpoint.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub endpoint: [u8; 32],
    /// Where it can be dialled, as text (`IP:PORT`).
    #[n(2)]
    pub addresses: Vec<String>,
    /// When it was last in step with us, milliseconds since 1970-01-01 UTC.
    #[n(3)]
    pub synced_ms: Option<u64>,
}

impl KnownPeer {
    /// The addresses that can be dialled.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        self.addresses
            .iter()
            .filter_map(|a| a.parse().ok())
            .collect()
    }
}

impl Core {
    /// Writes a new clinic's first entries: its roster, and the person who founds it.
    pub fn found(
        &mut self,
        root: &SigningKey,
        roster: &Control,
        founder: &Staff,
        roles: Vec<Role>,
    ) -> Result<ClinicId, ApiError> {
        let log = roster
            .log_id(self.chain_id())
            .ok_or_else(|| ApiError::failed("the roster's id could not be derived"))?;
        let clinic = self.transact(|core, pending| {
            let genesis = core.append(pending, root, log, None, Said::Clear(roster))?;
            let clinic = ClinicId::from_bytes(*genesis.hash().as_bytes());
            let certify = Control::Certify {
                key: ActorId::from_bytes(founder.key.public()),
                name: founder.name.clone(),
                roles,
            };
            core.append(pending, root, log, None, Said::Clear(&certify))?;
            pending
                .batch
                .meta
                .push((META_CLINIC.into(), clinic.as_bytes().to_vec()));
            Ok(clinic)
        })?;
        self.me = clinic;
        Ok(clinic)
    }

    /// Whether somebody's key is certified here and not retired.
    pub fn is_member(&self, who: &Staff) -> bool {
        self.is_certified(who.key.actor())
    }

    /// Whether somebody's roles let them open records.
    pub fn may_view(&self, who: &Staff) -> bool {
        Role::ALL
            .iter()
            .any(|role| role.may_view() && self.has_role(who, *role))
    }

    /// Whether somebody's roles let them entitle other clinics.
    pub fn may_grant(&self, who: &Staff) -> bool {
        Role::ALL
            .iter()
            .any(|role| role.may_grant() && self.has_role(who, *role))
    }

    /// Whether somebody has a role.
    pub fn has_role(&self, who: &Staff, role: Role) -> bool {
        self.rosters
            .staff(self.me, ActorId::from_bytes(who.key.public()))
            .is_some_and(|member| !member.retired && member.has_role(role))
    }

    /// The staff of this clinic.
    pub fn staff(&self) -> Vec<StaffView> {
        let roster = self.rosters.get(self.me);
        roster
            .into_iter()
            .flat_map(|roster| roster.staff_list())
            .map(|member| StaffView {
                name: member.name.clone(),
                roles: member.roles.iter().map(|role| api_role(*role)).collect(),
                key: member.key.to_string(),
                retired: member.retired,
            })
            .collect()
    }

    /// A clinic's name as its roster tells it, or the beginning of its id.
    pub fn clinic_name(&self, clinic: ClinicId) -> String {
        self.rosters.get(clinic).map_or_else(
            || {
                format!(
                    "clinic {}",
                    clinic.to_string().chars().take(8).collect::<String>()
                )
            },
            |roster| roster.name().to_owned(),
        )
    }

    /// This clinic, as others need to know it.
    pub fn clinic_view(&self, addresses: &[SocketAddr]) -> ClinicView {
        let endpoint = self
            .rosters
            .get(self.me)
            .and_then(|roster| roster.current())
            .map(|life| hex(&life.endpoint))
            .unwrap_or_default();
        let addresses: Vec<String> = addresses
            .iter()
            .map(|address| format!("{endpoint}@{address}"))
            .collect();
        ClinicView {
            id: self.me.to_string(),
            name: self.clinic_name(self.me),
            add_command: format!("salus peers add {} {}", self.me, addresses.join(" ")),
            endpoint,
            addresses,
        }
    }

    /// The clinics that were made known.
    pub fn peers(&self) -> Result<Vec<KnownPeer>, ApiError> {
        let Some(bytes) = self.store.meta(META_PEERS).map_err(failure::store)? else {
            return Ok(Vec::new());
        };
        minicbor::decode(&bytes)
            .map_err(|_| ApiError::integrity("the list of known clinics cannot be read"))
    }

    /// Makes a clinic known, or replaces its addresses. `ENDPOINT@IP:PORT` each; `IP:PORT` alone where its endpoint is known.
    pub fn add_peer(&mut self, id: &str, addresses: &[String]) -> Result<KnownPeer, ApiError> {
        let clinic: ClinicId = id.trim().parse().map_err(|_| {
            ApiError::usage(format!("`{id}` is not a clinic's id"))
                .hint("type the whole line that `salus clinic id` prints at the other clinic")
        })?;
        if clinic == self.me {
            return Err(ApiError::usage("that is this clinic's own id"));
        }
        let mut peers = self.peers()?;
        let known = peers.iter().position(|peer| peer.clinic == clinic);
        let mut endpoint = known
            .and_then(|at| peers.get(at))
            .map(|peer| peer.endpoint)
            .or_else(|| {
                self.rosters
                    .get(clinic)
                    .and_then(|r| r.current())
                    .map(|life| life.endpoint)
            });
        let mut sockets = Vec::new();
        for text in addresses.iter().take(MAX_ADDRESSES) {
            let socket = match text.split_once('@') {
                Some((id, socket)) => {
                    endpoint = Some(unhex(id).ok_or_else(|| bad_address(text))?);
                    socket
                }
                None => text,
            };
            let socket: SocketAddr = socket.parse().map_err(|_| bad_address(text))?;
            sockets.push(socket.to_string());
        }
        let endpoint = endpoint.ok_or_else(|| {
            ApiError::usage("no endpoint id is known for that clinic")
                .hint("give an address as ENDPOINT@IP:PORT, as `salus clinic id` prints it at the other clinic")
        })?;
        let peer = KnownPeer {
            clinic,
            endpoint,
            addresses: sockets,
            synced_ms: None,
        };
        let full = peers.len() >= MAX_PEERS;
        match known.and_then(|at| peers.get_mut(at)) {
            Some(slot) => {
                *slot = KnownPeer {
                    synced_ms: slot.synced_ms,
                    ..peer.clone()
                }
            }
            None if full => {
                return Err(ApiError::failed(format!(
                    "{MAX_PEERS} clinics are known already"
                )));
            }
            None => peers.push(peer.clone()),
        }
        self.write_peers(&peers)?;
        Ok(peer)
    }

    /// Notes that a clinic is in step with us now.
    pub fn in_step(&mut self, clinic: ClinicId) -> Result<(), ApiError> {
        let now = self.now_ms();
        let mut peers = self.peers()?;
        if let Some(peer) = peers.iter_mut().find(|peer| peer.clinic == clinic) {
            peer.synced_ms = Some(now);
            self.write_peers(&peers)?;
        }
        Ok(())
    }

    fn write_peers(&mut self, peers: &[KnownPeer]) -> Result<(), ApiError> {
        self.transact(|_, pending| {
            let bytes = documents::encoded(&peers.to_vec());
            pending.batch.meta.push((META_PEERS.into(), bytes));
            Ok(())
        })
    }

    /// The clinic that an id, a prefix of it or an exact name means, among those known.
    pub fn find_clinic(&self, text: &str) -> Result<ClinicId, ApiError> {
        let wanted = text.trim().to_lowercase();
        // Only clinics that somebody here made known go by name or prefix: a roster that was passed on may call itself anything.
        if let Ok(clinic) = wanted.parse::<ClinicId>()
            && self.rosters.get(clinic).is_some()
        {
            return Ok(clinic);
        }
        let known: Vec<ClinicId> = self.peers()?.into_iter().map(|peer| peer.clinic).collect();
        let matches = |clinic: &ClinicId| {
            (!wanted.is_empty() && clinic.to_string().starts_with(&wanted))
                || self.clinic_name(*clinic).to_lowercase() == wanted
        };
        let found: Vec<ClinicId> = known.into_iter().filter(matches).collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(ApiError::not_found(format!("no clinic known here is `{text}`"))
                .hint("make it known with `salus peers add ID ADDRESS`; `salus peers` lists the known ones")),
            several => Err(ApiError::usage(format!("{} clinics are `{text}`", several.len()))
                .hint("give more of the id; `salus peers` lists them")),
        }
    }

    /// Whether a clinic's roster, and with it its keys, is held.
    pub fn knows_roster(&self, clinic: ClinicId) -> bool {
        self.rosters.get(clinic).is_some()
    }
}

/// A roster's word for a role, in the API's.
pub(super) fn api_role(role: Role) -> salus_api::Role {
    match role {
        Role::Physician => salus_api::Role::Physician,
        Role::Nurse => salus_api::Role::Nurse,
        Role::Registrar => salus_api::Role::Registrar,
        Role::Auditor => salus_api::Role::Auditor,
        Role::Admin => salus_api::Role::Admin,
    }
}

/// The API's word for a role, in the roster's.
pub fn roster_role(role: salus_api::Role) -> Role {
    match role {
        salus_api::Role::Physician => Role::Physician,
        salus_api::Role::Nurse => Role::Nurse,
        salus_api::Role::Registrar => Role::Registrar,
        salus_api::Role::Auditor => Role::Auditor,
        salus_api::Role::Admin => Role::Admin,
    }
}

/// A log's word for a right, in the API's.
pub(super) fn api_right(right: Right) -> salus_api::Right {
    match right {
        Right::Home => salus_api::Right::Home,
        Right::Write => salus_api::Right::Write,
        Right::Read => salus_api::Right::Read,
        Right::Custodian => salus_api::Right::Custodian,
    }
}

/// The API's word for a right, in the log's.
pub fn log_right(right: salus_api::Right) -> Right {
    match right {
        salus_api::Right::Home => Right::Home,
        salus_api::Right::Write => Right::Write,
        salus_api::Right::Read => Right::Read,
        salus_api::Right::Custodian => Right::Custodian,
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(text.trim())
        .ok()
        .map(|hash| *hash.as_bytes())
}

fn bad_address(text: &str) -> ApiError {
    ApiError::usage(format!("`{text}` is not an address"))
        .hint("write ENDPOINT@IP:PORT, as `salus clinic id` prints it at the other clinic")
}

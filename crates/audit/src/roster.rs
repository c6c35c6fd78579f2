//! The roster: who a clinic is, which nodes write for it, who works there.

use std::collections::BTreeMap;

use crate::clock::{Meta, Past, Tick};
use crate::id::{ActorId, ChainId, ClinicId, EntryHash, LogId};
use crate::kind::Role;

/// The fold of one roster log: what its accepted entries say together.
#[derive(Debug, Clone)]
pub struct Roster {
    clinic: ClinicId,
    log: LogId,
    name: String,
    root: ActorId,
    heads: Vec<EntryHash>,
    incarnations: BTreeMap<ChainId, Incarnation>,
    staff: BTreeMap<ActorId, StaffMember>,
}

/// One life of the clinic's store.
#[derive(Debug, Clone)]
pub struct Incarnation {
    /// Its chain.
    pub chain: ChainId,
    /// Its iroh endpoint.
    pub endpoint: [u8; 32],
    /// Its HPKE public key.
    pub hpke: [u8; 32],
    /// The roster entry that began it.
    pub entry: EntryHash,
    /// The last tree index accepted from it, once a later incarnation has closed it.
    pub closed: Option<u64>,
    rank: Rank,
    at: Tick,
    closings: Vec<Tick>,
}

/// A person with a certified key.
#[derive(Debug, Clone)]
pub struct StaffMember {
    /// The key.
    pub key: ActorId,
    /// The name, as last certified.
    pub name: String,
    /// The roles, ascending, as last certified.
    pub roles: Vec<Role>,
    /// Whether the key was retired, for good.
    pub retired: bool,
    /// The last tree index accepted from each incarnation, as each retirement says.
    pub cuts: Vec<(ChainId, u64)>,
    certified: Vec<Certified>,
    retirements: Vec<Tick>,
}

#[derive(Debug, Clone)]
struct Certified {
    rank: Rank,
    at: Tick,
    roles: Vec<Role>,
}

/// Orders entries along their causality, and concurrent ones the same way on every replica: depth rises
/// along every path, and the hash decides between equals.
type Rank = (u64, EntryHash);

fn rank(meta: &Meta) -> Rank {
    (meta.depth, meta.hash)
}

impl StaffMember {
    /// Whether one of the roles is certified.
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// What the key counts for where somebody knew this much of the roster.
    pub(crate) fn roles_at(&self, past: &Past<'_>) -> Standing<'_> {
        if self.retirements.iter().any(|at| past.covers(*at)) {
            return Standing::Retired;
        }
        let known = self
            .certified
            .iter()
            .filter(|certified| past.covers(certified.at));
        match known.max_by_key(|certified| certified.rank) {
            Some(certified) => Standing::Holds(&certified.roles),
            None => Standing::Unknown,
        }
    }
}

/// What a key counts for at a place of the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    Unknown,
    Retired,
    Holds(&'a [Role]),
}

impl Roster {
    /// The clinic.
    pub fn clinic(&self) -> ClinicId {
        self.clinic
    }

    /// The roster's log.
    pub fn log(&self) -> LogId {
        self.log
    }

    /// The clinic's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The clinic's root key.
    pub fn root(&self) -> ActorId {
        self.root
    }

    /// The heads, ascending: what an entry written now names as authority.
    pub fn heads(&self) -> &[EntryHash] {
        &self.heads
    }

    /// The incarnation with this chain.
    pub fn incarnation(&self, chain: ChainId) -> Option<&Incarnation> {
        self.incarnations.get(&chain)
    }

    /// All incarnations, ascending by chain.
    pub fn incarnations(&self) -> impl Iterator<Item = &Incarnation> {
        self.incarnations.values()
    }

    /// The incarnation that is not closed; the latest, where a roster was forked into several.
    pub fn current(&self) -> Option<&Incarnation> {
        let open = self
            .incarnations
            .values()
            .filter(|life| life.closed.is_none());
        open.max_by_key(|life| life.rank)
    }

    /// The staff member with this key, retired or not.
    pub fn staff(&self, key: ActorId) -> Option<&StaffMember> {
        self.staff.get(&key)
    }

    /// All staff members, retired or not, ascending by key.
    pub fn staff_list(&self) -> impl Iterator<Item = &StaffMember> {
        self.staff.values()
    }

    pub(crate) fn standing(&self, key: ActorId, past: &Past<'_>) -> Standing<'_> {
        self.staff
            .get(&key)
            .map_or(Standing::Unknown, |member| member.roles_at(past))
    }

    pub(crate) fn has_chain(&self, chain: ChainId, past: &Past<'_>) -> bool {
        self.incarnations
            .get(&chain)
            .is_some_and(|life| past.covers(life.at))
    }

    pub(crate) fn is_closed(&self, chain: ChainId, past: &Past<'_>) -> bool {
        let life = self.incarnations.get(&chain);
        life.is_some_and(|life| life.closings.iter().any(|at| past.covers(*at)))
    }

    pub(crate) fn begin(log: LogId, name: String, root: ActorId, genesis: EntryHash) -> Roster {
        Roster {
            clinic: ClinicId::from_genesis(genesis),
            log,
            name,
            root,
            heads: Vec::new(),
            incarnations: BTreeMap::new(),
            staff: BTreeMap::new(),
        }
    }

    pub(crate) fn set_heads(&mut self, heads: Vec<EntryHash>) {
        self.heads = heads;
    }

    pub(crate) fn incarnate(
        &mut self,
        meta: &Meta,
        (chain, endpoint, hpke): (ChainId, [u8; 32], [u8; 32]),
        closes: &[(ChainId, u64)],
    ) {
        for (closed, last) in closes {
            if let Some(life) = self.incarnations.get_mut(closed) {
                life.closed = Some(life.closed.map_or(*last, |other| other.min(*last)));
                life.closings.push(meta.at);
            }
        }
        let (rank, at, entry) = (rank(meta), meta.at, meta.hash);
        let closings = Vec::new();
        let life = Incarnation {
            chain,
            endpoint,
            hpke,
            entry,
            closed: None,
            rank,
            at,
            closings,
        };
        self.incarnations.insert(chain, life);
    }

    pub(crate) fn certify(&mut self, meta: &Meta, key: ActorId, name: String, roles: Vec<Role>) {
        let member = self.staff.entry(key).or_insert_with(|| StaffMember {
            key,
            name: String::new(),
            roles: Vec::new(),
            retired: false,
            cuts: Vec::new(),
            certified: Vec::new(),
            retirements: Vec::new(),
        });
        let rank = rank(meta);
        if member.certified.iter().all(|other| other.rank < rank) {
            member.name = name;
            member.roles.clone_from(&roles);
        }
        member.certified.push(Certified {
            rank,
            at: meta.at,
            roles,
        });
    }

    pub(crate) fn retire(&mut self, meta: &Meta, key: ActorId, cuts: Vec<(ChainId, u64)>) {
        if let Some(member) = self.staff.get_mut(&key) {
            member.retired = true;
            member.retirements.push(meta.at);
            for (chain, last) in cuts {
                match member.cuts.iter_mut().find(|cut| cut.0 == chain) {
                    Some(cut) => cut.1 = cut.1.min(last),
                    None => member.cuts.push((chain, last)),
                }
            }
            member.cuts.sort_unstable();
        }
    }
}

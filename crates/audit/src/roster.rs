//! The roster: who a clinic is, which nodes write for it, who works there.

use std::collections::BTreeMap;

use crate::clock::{Meta, Past, Tick};
use crate::id::{ActorId, ChainId, ClinicId, EntryHash, LogId};
use crate::kind::Role;
use crate::rights::first_cut;
use crate::standing::Void;

/// Most retirements of one key in the causal past of another one. One is enough; more move its cuts back
/// (a guess).
pub const MAX_RETIREMENTS: usize = 16;

/// The fold of one roster log: what its accepted entries say together.
///
/// What it shows is what counts: an admin's entry beyond the cut of that admin's retirement is held and
/// says nothing. Admission of entries goes by everything that is held, so that it never depends on what
/// else arrives.
#[derive(Debug, Clone)]
pub struct Roster {
    clinic: ClinicId,
    log: LogId,
    name: String,
    root: ActorId,
    heads: Vec<EntryHash>,
    incarnations: BTreeMap<ChainId, Incarnation>,
    staff: BTreeMap<ActorId, StaffMember>,
    /// Grows whenever a cut is added or a certification or retirement gains or loses its force.
    cut_version: u64,
    has_cuts: bool,
    has_void_certifications: bool,
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
    /// The entries that began it: several only where one chain was begun twice.
    began: Vec<Beginning>,
    pub(crate) closings: Vec<Closing>,
}

/// An entry that began an incarnation.
#[derive(Debug, Clone)]
struct Beginning {
    at: Tick,
    /// What cuts it off, none if it counts.
    cut_by: Vec<Tick>,
}

impl Incarnation {
    /// Whether it counts: one that a retired administrator began beyond the cut does not.
    pub fn counts(&self) -> bool {
        self.began.iter().any(|began| began.cut_by.is_empty())
    }

    fn refresh(&mut self) {
        let counting = self.closings.iter().filter(|closing| closing.counts);
        self.closed = counting.map(|closing| closing.last).min();
    }
}

/// The close of a chain by a later incarnation.
#[derive(Debug, Clone)]
pub(crate) struct Closing {
    pub(crate) at: Tick,
    pub(crate) last: u64,
    counts: bool,
}

impl Closing {
    /// The first tree index that it cuts off.
    pub(crate) fn from(&self) -> u64 {
        self.last.saturating_add(1)
    }
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
    /// The last tree index accepted from each incarnation, as the retirements say together; nothing is
    /// accepted from an incarnation that is not named.
    pub cuts: Vec<(ChainId, u64)>,
    pub(crate) certified: Vec<Certified>,
    pub(crate) retirements: Vec<Retirement>,
}

#[derive(Debug, Clone)]
pub(crate) struct Certified {
    rank: Rank,
    pub(crate) at: Tick,
    name: String,
    roles: Vec<Role>,
    /// What cuts it off, none if it counts: places in this roster; who knows of one knows.
    pub(crate) cut_by: Vec<Tick>,
}

#[derive(Debug, Clone)]
pub(crate) struct Retirement {
    pub(crate) at: Tick,
    by_root: bool,
    cuts: Vec<(ChainId, u64)>,
    counts: bool,
}

impl Retirement {
    /// The first tree index of the chain that it cuts off.
    pub(crate) fn from(&self, chain: ChainId) -> u64 {
        first_cut(&self.cuts, chain)
    }
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

    /// What the key is admitted for where somebody knew this much of the roster.
    pub(crate) fn roles_at(&self, past: &Past<'_>) -> Standing<'_> {
        if self.retirements.iter().any(|other| past.covers(other.at)) {
            return Standing::Retired;
        }
        match self.newest(past, |_| true) {
            Some(certified) => Standing::Holds(&certified.roles),
            None => Standing::Unknown,
        }
    }

    /// The roles that count where somebody knew this much of the roster.
    pub(crate) fn counting_roles_at(&self, past: &Past<'_>) -> &[Role] {
        let counting = self.newest(past, |certified| certified.cut_by.is_empty());
        counting.map_or(&[], |certified| &certified.roles)
    }

    fn newest(&self, past: &Past<'_>, filter: impl Fn(&Certified) -> bool) -> Option<&Certified> {
        let known = self.certified.iter();
        known
            .filter(|certified| past.covers(certified.at) && filter(certified))
            .max_by_key(|certified| certified.rank)
    }

    /// The retirements that count.
    pub(crate) fn counting_retirements(&self) -> impl Iterator<Item = &Retirement> {
        self.retirements.iter().filter(|other| other.counts)
    }

    /// The retirements that count in the roster itself.
    fn root_retirements(&self) -> impl Iterator<Item = &Retirement> {
        self.retirements.iter().filter(|other| other.by_root)
    }

    /// Finds name, roles and cuts anew.
    fn refresh(&mut self) {
        // A key that only entries without force certified keeps its name, and no role.
        let newest = |counting: bool| {
            let certified = self.certified.iter();
            certified
                .filter(|certified| !counting || certified.cut_by.is_empty())
                .max_by_key(|certified| certified.rank)
        };
        let (any, counting) = (newest(false), newest(true));
        self.name = counting
            .or(any)
            .map_or_else(String::new, |certified| certified.name.clone());
        self.roles = counting.map_or_else(Vec::new, |certified| certified.roles.clone());
        let mut counting = self.retirements.iter().filter(|other| other.counts);
        let first = counting.next();
        let (retired, mut cuts) = (
            first.is_some(),
            first.map_or_else(Vec::new, |first| first.cuts.clone()),
        );
        for other in counting {
            cuts.retain_mut(|(chain, last)| {
                let from = other.from(*chain);
                *last = from.checked_sub(1).map_or(0, |other| other.min(*last));
                from > 0
            });
        }
        (self.retired, self.cuts) = (retired, cuts);
    }
}

/// What a key is admitted for at a place of the roster.
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

    /// The heads of what counts, ascending: what an entry written now names as authority, with what
    /// [`Rosters::authority`](crate::Rosters::authority) adds.
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
            .filter(|life| life.closed.is_none() && life.counts());
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

    /// How many retirements of the key are in this past.
    pub(crate) fn retirements_in(&self, key: ActorId, past: &Past<'_>) -> usize {
        let member = self.staff.get(&key).into_iter();
        let retirements = member.flat_map(|member| &member.retirements);
        retirements.filter(|other| past.covers(other.at)).count()
    }

    pub(crate) fn has_chain(&self, chain: ChainId, past: &Past<'_>) -> bool {
        self.incarnations
            .get(&chain)
            .is_some_and(|life| life.began.iter().any(|began| past.covers(began.at)))
    }

    pub(crate) fn is_closed(&self, chain: ChainId, past: &Past<'_>) -> bool {
        let life = self.incarnations.get(&chain);
        life.is_some_and(|life| life.closings.iter().any(|closing| past.covers(closing.at)))
    }

    /// What cuts off every entry in this past that began the chain; `None` if one of them counts.
    pub(crate) fn life_cut(&self, chain: ChainId, past: &Past<'_>) -> Option<Vec<Tick>> {
        let began = self
            .incarnations
            .get(&chain)
            .map_or(&[][..], |life| &life.began);
        let known: Vec<_> = began.iter().filter(|began| past.covers(began.at)).collect();
        if known.iter().any(|began| began.cut_by.is_empty()) {
            return None;
        }
        Some(
            known
                .iter()
                .flat_map(|began| began.cut_by.iter().copied())
                .collect(),
        )
    }

    pub(crate) fn cut_version(&self) -> u64 {
        self.cut_version
    }

    pub(crate) fn has_void_certifications(&self) -> bool {
        self.has_void_certifications
    }

    /// The retirements of the key and the closings of the chain that count in records: each by its place
    /// and the first tree index that it cuts off.
    pub(crate) fn cuts_of(
        &self,
        actor: ActorId,
        chain: ChainId,
    ) -> impl Iterator<Item = (Void, Tick, u64)> {
        let member = self.staff.get(&actor).into_iter();
        let retired = member
            .flat_map(StaffMember::counting_retirements)
            .map(move |other| (Void::Retired, other.at, other.from(chain)));
        retired.chain(self.closings_of(chain))
    }

    fn closings_of(&self, chain: ChainId) -> impl Iterator<Item = (Void, Tick, u64)> {
        let life = self.incarnations.get(&chain).into_iter();
        life.flat_map(|life| &life.closings)
            .filter(|closing| closing.counts)
            .map(|closing| (Void::ChainClosed, closing.at, closing.from()))
    }

    /// What cuts off an entry in records for this reason: the first that reaches so far.
    pub(crate) fn cut(&self, actor: ActorId, chain: ChainId, tree_index: u64) -> Option<Void> {
        if !self.has_cuts {
            return None;
        }
        let beyond = self
            .cuts_of(actor, chain)
            .find(|(_, _, from)| *from <= tree_index);
        beyond.map(|(why, _, _)| why)
    }

    /// What cuts off an entry of the roster itself: only the root retires admins, and what the root
    /// signed always counts.
    pub(crate) fn own_cuts(&self, meta: &Meta) -> Vec<(Void, Tick)> {
        if meta.actor == self.root || !self.has_cuts {
            return Vec::new();
        }
        let member = self.staff.get(&meta.actor).into_iter();
        let retired = member
            .flat_map(StaffMember::root_retirements)
            .map(|other| (Void::Retired, other.at, other.from(meta.chain)));
        let beyond = retired
            .chain(self.closings_of(meta.chain))
            .filter(|(_, _, from)| *from <= meta.tree_index);
        beyond.map(|(why, at, _)| (why, at)).collect()
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
            cut_version: 0,
            has_cuts: false,
            has_void_certifications: false,
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
                let (at, last, counts) = (meta.at(), *last, true);
                life.closings.push(Closing { at, last, counts });
                life.refresh();
                self.has_cuts = true;
                self.cut_version += 1;
            }
        }
        let (rank, entry) = (rank(meta), meta.hash);
        let life = self.incarnations.entry(chain).or_insert(Incarnation {
            chain,
            endpoint,
            hpke,
            entry,
            closed: None,
            rank,
            began: Vec::new(),
            closings: Vec::new(),
        });
        life.began.push(Beginning {
            at: meta.at(),
            cut_by: Vec::new(),
        });
        if rank > life.rank {
            (life.endpoint, life.hpke) = (endpoint, hpke);
            (life.entry, life.rank) = (entry, rank);
        }
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
        let (rank, at, cut_by) = (rank(meta), meta.at(), Vec::new());
        member.certified.push(Certified {
            rank,
            at,
            name,
            roles,
            cut_by,
        });
        member.refresh();
    }

    pub(crate) fn retire(&mut self, meta: &Meta, key: ActorId, cuts: Vec<(ChainId, u64)>) {
        let by_root = meta.actor == self.root;
        if let Some(member) = self.staff.get_mut(&key) {
            let (at, counts) = (meta.at(), true);
            member.retirements.push(Retirement {
                at,
                by_root,
                cuts,
                counts,
            });
            member.refresh();
            self.has_cuts = true;
            self.cut_version += 1;
        }
    }

    /// Takes the force from what was just added at this place.
    pub(crate) fn weaken(&mut self, at: Tick, cut_by: &[Tick]) {
        for member in self.staff.values_mut() {
            let certified = member.certified.last_mut().filter(|other| other.at == at);
            let retirement = member.retirements.last_mut().filter(|other| other.at == at);
            if certified.is_none() && retirement.is_none() {
                continue;
            }
            if let Some(certified) = certified {
                certified.cut_by = cut_by.to_vec();
                self.has_void_certifications = true;
            }
            if let Some(retirement) = retirement {
                retirement.counts = false;
            }
            member.refresh();
        }
        for life in self.incarnations.values_mut() {
            for began in life.began.iter_mut().filter(|began| began.at == at) {
                began.cut_by = cut_by.to_vec();
                self.has_void_certifications = true;
            }
            let mut closings = life.closings.iter_mut();
            if let Some(closing) = closings.find(|closing| closing.at == at) {
                closing.counts = false;
                life.refresh();
            }
        }
        self.cut_version += 1;
    }

    /// Gives force to what counts of certifications, retirements and lives, and takes it from the others.
    /// `cut` says what cuts off the entry at a place, nothing if it counts.
    pub(crate) fn set_force(&mut self, cut: impl Fn(Tick) -> Vec<Tick>) {
        self.has_void_certifications = false;
        for member in self.staff.values_mut() {
            for certified in &mut member.certified {
                certified.cut_by = cut(certified.at);
                self.has_void_certifications |= !certified.cut_by.is_empty();
            }
            for retirement in &mut member.retirements {
                retirement.counts = cut(retirement.at).is_empty();
            }
            member.refresh();
        }
        for life in self.incarnations.values_mut() {
            for began in &mut life.began {
                began.cut_by = cut(began.at);
                self.has_void_certifications |= !began.cut_by.is_empty();
            }
            for closing in &mut life.closings {
                closing.counts = cut(closing.at).is_empty();
            }
            life.refresh();
        }
        self.cut_version += 1;
    }
}

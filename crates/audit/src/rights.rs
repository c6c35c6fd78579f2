//! What a record's control entries say about who may do what with it.

use std::collections::BTreeMap;

use crate::clock::{Meta, Past, Tick};
use crate::erasures::Erasure;
use crate::id::{ChainId, ClinicId, EntryHash};
use crate::kind::Right;

/// Most grants of one record by one chain in the causal past of another of that chain. A federation has tens of clinics; the
/// bound keeps a malicious one from making a record too heavy to keep (a guess).
pub const MAX_GRANTS: usize = 1000;
/// The same for a chain of the home clinic, which gives every reader each new epoch's key (a guess: 60 readers, 1,000 epochs).
pub const MAX_HOME_GRANTS: usize = 65_536;
/// Most revocations of one record in the causal past of another one: as many as grants.
pub const MAX_REVOCATIONS: usize = MAX_GRANTS;
/// Most epochs of one record in the causal past of another one: each revocation asks for one.
pub const MAX_EPOCHS: usize = 2 * MAX_REVOCATIONS;
/// Most quarantines of one record in the causal past of another one, each of at most
/// [`MAX_QUARANTINED`](crate::MAX_QUARANTINED) edits (a guess: a broken edit is rare).
pub const MAX_QUARANTINES: usize = 1000;

/// Most erasures of files by one chain in the causal past of another one of that chain, each of at most
/// [`MAX_ERASED`](crate::MAX_ERASED) attachments (a guess: one a wrong file); as many of the record itself.
pub const MAX_ERASURES: usize = 1000;

/// The fold of a record's control entries.
#[derive(Debug, Clone)]
pub(crate) struct Rights {
    pub(crate) home: ClinicId,
    /// The id is the hash of the entry that made the epoch.
    pub(crate) epochs: BTreeMap<EntryHash, EpochState>,
    /// The epochs that count, oldest first.
    pub(crate) order: Vec<EntryHash>,
    pub(crate) grants: Vec<GrantState>,
    pub(crate) granted: BTreeMap<ClinicId, Vec<usize>>,
    pub(crate) revocations: Vec<Revocation>,
    pub(crate) revoked: BTreeMap<ClinicId, Vec<usize>>,
    pub(crate) quarantines: Vec<Quarantine>,
    pub(crate) erasures: Vec<Erasure>,
}

/// One grant of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantState {
    /// Who is entitled.
    pub clinic: ClinicId,
    /// To what.
    pub right: Right,
    /// The epoch whose key is given.
    pub epoch: EntryHash,
    /// The epoch's key, wrapped for the clinic; empty for a custodian.
    pub wrapped: Vec<u8>,
    /// The entry that grants.
    pub entry: EntryHash,
    /// Whether the entry counts and no revocation of the clinic stands against it: one that the grant's
    /// writer did not know of does.
    pub live: bool,
    pub(crate) counts: bool,
    /// The revocations of the same clinic in the grant's causal past, by index.
    pub(crate) after: Vec<usize>,
    pub(crate) at: Tick,
}

/// One key of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochState {
    /// The epoch: the hash of the entry that made it.
    pub id: EntryHash,
    /// What its key must hash to.
    pub commitment: [u8; 32],
    /// The epoch before and its key, sealed under this one's; `None` for the first.
    pub previous: Option<(EntryHash, Vec<u8>)>,
    pub(crate) depth: u64,
    pub(crate) at: Tick,
}

/// One revocation.
#[derive(Debug, Clone)]
pub(crate) struct Revocation {
    pub(crate) clinic: ClinicId,
    pub(crate) cuts: Vec<(ChainId, u64)>,
    pub(crate) at: Tick,
    /// Whether it counts: a revocation that is itself beyond a cut ends nothing.
    pub(crate) active: bool,
}

impl Revocation {
    /// The first tree index of the chain that it cuts off.
    pub(crate) fn from(&self, chain: ChainId) -> u64 {
        first_cut(&self.cuts, chain)
    }
}

/// The first tree index of the chain beyond these cuts: everything, where the chain has none.
pub(crate) fn first_cut(cuts: &[(ChainId, u64)], chain: ChainId) -> u64 {
    cuts.binary_search_by_key(&chain, |cut| cut.0)
        .ok()
        .and_then(|found| cuts.get(found))
        .map_or(0, |cut| cut.1.saturating_add(1))
}

/// One quarantine.
#[derive(Debug, Clone)]
pub(crate) struct Quarantine {
    pub(crate) entries: Vec<EntryHash>,
    pub(crate) at: Tick,
}

impl Rights {
    pub(crate) fn begin(home: ClinicId, commitment: [u8; 32], genesis: &Meta) -> Rights {
        let mut rights = Rights {
            home,
            epochs: BTreeMap::new(),
            order: Vec::new(),
            grants: Vec::new(),
            granted: BTreeMap::new(),
            revocations: Vec::new(),
            revoked: BTreeMap::new(),
            quarantines: Vec::new(),
            erasures: Vec::new(),
        };
        rights.add_epoch(genesis, commitment, None);
        rights
    }

    pub(crate) fn add_epoch(
        &mut self,
        meta: &Meta,
        commitment: [u8; 32],
        previous: Option<(EntryHash, Vec<u8>)>,
    ) {
        let epoch = EpochState {
            id: meta.hash,
            commitment,
            previous,
            depth: meta.depth,
            at: meta.at(),
        };
        let rank = |id: &EntryHash| self.epochs.get(id).map(|epoch| (epoch.depth, epoch.id));
        let older = |id: &EntryHash| rank(id) < Some((epoch.depth, epoch.id));
        let at = self.order.partition_point(older);
        self.order.insert(at, meta.hash);
        self.epochs.insert(meta.hash, epoch);
    }

    /// Which epochs count.
    pub(crate) fn set_epochs(&mut self, counts: impl Fn(&EpochState) -> bool) {
        let counting = self.epochs.values().filter(|epoch| counts(epoch));
        let mut order: Vec<(u64, EntryHash)> =
            counting.map(|epoch| (epoch.depth, epoch.id)).collect();
        order.sort_unstable();
        self.order = order.into_iter().map(|(_, id)| id).collect();
    }

    pub(crate) fn add_grant(&mut self, grant: GrantState) {
        let index = self.grants.len();
        self.granted.entry(grant.clinic).or_default().push(index);
        self.grants.push(grant);
    }

    pub(crate) fn add_revocation(&mut self, revocation: Revocation) {
        let index = self.revocations.len();
        self.revoked
            .entry(revocation.clinic)
            .or_default()
            .push(index);
        self.revocations.push(revocation);
    }

    pub(crate) fn grants_to(&self, clinic: ClinicId) -> impl Iterator<Item = &GrantState> {
        let indices = self.granted.get(&clinic).map_or(&[][..], Vec::as_slice);
        indices.iter().filter_map(|index| self.grants.get(*index))
    }

    /// The revocations of the clinic, each with its index.
    pub(crate) fn revocations_of(
        &self,
        clinic: ClinicId,
    ) -> impl Iterator<Item = (usize, &Revocation)> {
        let indices = self.revoked.get(&clinic).map_or(&[][..], Vec::as_slice);
        indices
            .iter()
            .filter_map(|index| Some((*index, self.revocations.get(*index)?)))
    }

    fn is_active(&self, revocation: usize) -> bool {
        self.revocations
            .get(revocation)
            .is_some_and(|revocation| revocation.active)
    }

    /// How many active revocations of its clinic the grant's writer knew.
    pub(crate) fn active_before(&self, grant: &GrantState) -> usize {
        let known = grant.after.iter();
        known.filter(|index| self.is_active(**index)).count()
    }

    /// Finds which grants are live.
    pub(crate) fn set_live(&mut self) {
        let live: Vec<bool> = self
            .grants
            .iter()
            .map(|grant| self.is_live(grant))
            .collect();
        for (grant, live) in self.grants.iter_mut().zip(live) {
            grant.live = live;
        }
    }

    pub(crate) fn is_live(&self, grant: &GrantState) -> bool {
        let revocations = self.revocations_of(grant.clinic);
        let active = revocations.filter(|(_, revocation)| revocation.active);
        grant.counts && self.active_before(grant) == active.count()
    }

    /// The strongest live right of the clinic.
    pub(crate) fn of(&self, clinic: ClinicId) -> Option<Right> {
        if clinic == self.home {
            return Some(Right::Home);
        }
        let live = self.grants_to(clinic).filter(|grant| grant.live);
        live.map(|grant| grant.right).max()
    }

    /// The strongest right that the clinic has as far as this past tells, whatever else is held: granted
    /// by somebody who knew of every revocation of the clinic that is in this past.
    pub(crate) fn of_at(&self, clinic: ClinicId, past: &Past<'_>) -> Option<Right> {
        if clinic == self.home {
            return Some(Right::Home);
        }
        let revocations = self.revocations_of(clinic);
        let known = revocations.filter(|(_, revocation)| past.covers(revocation.at));
        // What a grant in this past knew is in this past too: equal numbers mean equal sets.
        let known = known.count();
        let granted = self.grants_to(clinic);
        granted
            .filter(|grant| grant.after.len() == known && past.covers(grant.at))
            .map(|grant| grant.right)
            .max()
    }
}

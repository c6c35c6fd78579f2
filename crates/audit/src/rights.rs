//! What a record's log says about who may do what with it.

use std::collections::BTreeMap;

use crate::clock::{Past, Tick};
use crate::id::{ClinicId, EntryHash};
use crate::kind::Right;

/// Most grants of one record in the causal past of another grant. A federation has tens of clinics; the bound keeps a
/// malicious one from making a record too heavy to keep (a guess).
pub const MAX_GRANTS: usize = 1000;

/// The fold of a record's control entries.
#[derive(Debug, Clone)]
pub(crate) struct Rights {
    pub(crate) home: ClinicId,
    /// Epoch -> what its key must hash to. The id is the hash of the entry that made the epoch, so its
    /// place in the log is that entry's.
    pub(crate) epochs: BTreeMap<EntryHash, [u8; 32]>,
    pub(crate) newest_epoch: EntryHash,
    pub(crate) grants: Vec<GrantState>,
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
    pub(crate) at: Tick,
}

impl Rights {
    pub(crate) fn begin(home: ClinicId, commitment: [u8; 32], genesis: EntryHash) -> Rights {
        let epochs = BTreeMap::from([(genesis, commitment)]);
        Rights {
            home,
            epochs,
            newest_epoch: genesis,
            grants: Vec::new(),
        }
    }

    /// The strongest right that the clinic has.
    pub(crate) fn of(&self, clinic: ClinicId) -> Option<Right> {
        self.strongest(clinic, |_| true)
    }

    /// The strongest right that the clinic has as far as this past tells.
    pub(crate) fn of_at(&self, clinic: ClinicId, past: &Past<'_>) -> Option<Right> {
        self.strongest(clinic, |grant| past.covers(grant.at))
    }

    fn strongest(&self, clinic: ClinicId, counts: impl Fn(&GrantState) -> bool) -> Option<Right> {
        if clinic == self.home {
            return Some(Right::Home);
        }
        let granted = self
            .grants
            .iter()
            .filter(|grant| grant.clinic == clinic && counts(grant));
        granted.map(|grant| grant.right).max()
    }
}

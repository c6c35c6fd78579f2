//! The clinics of the simulation: keys from fixed seeds, and the beginning of each one's roster.

use std::sync::OnceLock;

use salus_audit::{
    ActorId, ChainId, ClinicId, Control, Draft, DraftError, Entry, Kind, LogId, LogState, Position,
    Role, Rosters, SigningKey, Verdict,
};

/// Clinics that there are keys for.
pub(super) const MAX_CLINICS: usize = 7;

/// Lives of one clinic's store that there are keys for.
pub(super) const MAX_LIVES: usize = 3;

/// 2026-09-21, in milliseconds since 1970.
pub(super) const NOON_MS: u64 = 1_790_000_000_000;

/// What each clinic's staff members are, by their place in [`Identity::staff`].
const STAFF: [&[Role]; 4] = [
    &[Role::Physician, Role::Admin],
    &[Role::Registrar],
    &[Role::Nurse],
    &[Role::Physician],
];

#[derive(Debug)]
pub(super) struct Identity {
    pub id: ClinicId,
    pub roster: LogId,
    pub root: SigningKey,
    /// The chain key of each life of the store.
    pub lives: Vec<SigningKey>,
    pub staff: Vec<SigningKey>,
    /// The roster's first entries: genesis, and a certificate for each of the staff.
    pub entries: Vec<Entry>,
}

/// All clinics that there may be.
pub(super) fn identities() -> &'static [Identity] {
    static ALL: OnceLock<Vec<Identity>> = OnceLock::new();
    ALL.get_or_init(|| (0..MAX_CLINICS).map(Identity::new).collect())
}

fn key(clinic: usize, what: &str, n: usize) -> SigningKey {
    let text = format!("{clinic} {what} {n}");
    SigningKey::from_seed(*blake3::hash(text.as_bytes()).as_bytes())
}

pub(super) fn certify(key: ActorId, roles: &[Role]) -> Control {
    Control::Certify {
        key,
        name: "Somebody".to_owned(),
        roles: roles.to_vec(),
    }
}

impl Identity {
    fn new(clinic: usize) -> Self {
        let root = key(clinic, "root", 0);
        let lives: Vec<_> = (0..MAX_LIVES).map(|n| key(clinic, "life", n)).collect();
        let staff: Vec<_> = (0..STAFF.len()).map(|n| key(clinic, "staff", n)).collect();
        let genesis = Control::RosterGenesis {
            name: format!("Clinic {clinic}"),
            root: root.actor(),
            chain: lives[0].chain(),
            endpoint: [1; 32],
            hpke: *root.actor().as_bytes(),
        };
        let roster = genesis.log_id(lives[0].chain()).unwrap();
        let certificates = staff.iter().zip(STAFF);
        let certificates = certificates.map(|(key, roles)| certify(key.actor(), roles));
        let mut state = LogState::new(roster);
        let mut entries = Vec::new();
        for (n, control) in std::iter::once(genesis).chain(certificates).enumerate() {
            let position = state.position(lives[0].chain(), n as u64);
            let entry = sign_roster(&state, position, &control, &root, &lives[0], NOON_MS);
            let entry = entry.unwrap();
            assert_eq!(state.admit(&entry, &Rosters::new()), Verdict::Accepted);
            entries.push(entry);
        }
        Self {
            id: ClinicId::from_genesis(entries[0].hash()),
            roster,
            root,
            lives,
            staff,
            entries,
        }
    }

    /// The chains of all lives that there may be.
    pub(super) fn chains(&self) -> impl Iterator<Item = ChainId> {
        self.lives.iter().map(SigningKey::chain)
    }
}

/// A roster entry that the root signs.
pub(super) fn sign_roster(
    state: &LogState,
    position: Position,
    control: &Control,
    root: &SigningKey,
    chain: &SigningKey,
    time_ms: u64,
) -> Result<Entry, DraftError> {
    let parents = match control.kind() {
        Kind::Genesis => Vec::new(),
        _ => state.parents(chain.chain()),
    };
    let draft = Draft {
        log: state.log(),
        parents,
        authority: Vec::new(),
        kind: control.kind(),
        scope: None,
        epoch: None,
        blobs: Vec::new(),
        time_ms,
        actor: root.actor(),
    };
    draft.sign(position, control.encode(), root, chain)
}

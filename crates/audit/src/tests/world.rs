//! Clinics, staff and a record to play with. Every key grows from a fixed seed.

use crate::*;

pub(crate) const NOON_MS: u64 = 1_790_000_000_000;

/// A clinic that can write, honestly or not.
pub(crate) struct Clinic {
    pub(crate) id: ClinicId,
    pub(crate) root: SigningKey,
    pub(crate) chain: SigningKey,
    pub(crate) roster: LogState,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tree_size: u64,
    /// What its clock shows, before a millisecond for each entry that it wrote.
    pub(crate) clock_ms: u64,
}

/// What to write; everything that a test may want to falsify.
pub(crate) struct Write<'a> {
    pub(crate) actor: &'a SigningKey,
    pub(crate) kind: Kind,
    pub(crate) scope: Option<Scope>,
    pub(crate) epoch: Option<EntryHash>,
    pub(crate) authority: Vec<EntryHash>,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

impl Clinic {
    /// A clinic with the keys of seeds `seed` (root) and `seed + 1` (chain).
    pub(crate) fn new(seed: u8) -> Clinic {
        Clinic::with_chain(seed, key(seed + 1))
    }

    /// A clinic whose first chain has this key.
    pub(crate) fn with_chain(seed: u8, chain: SigningKey) -> Clinic {
        let root = key(seed);
        let control = genesis(seed, &root, &chain);
        let log = control.log_id(chain.chain()).unwrap();
        let draft = Draft {
            log,
            parents: Vec::new(),
            authority: Vec::new(),
            kind: Kind::Genesis,
            scope: None,
            epoch: None,
            blobs: Vec::new(),
            time_ms: NOON_MS,
            actor: root.actor(),
        };
        let position = Position {
            chain: chain.chain(),
            seq: 0,
            prev: None,
            tree_index: 0,
        };
        let entry = draft
            .sign(position, control.encode(), &root, &chain)
            .unwrap();
        let mut roster = LogState::new(log);
        assert_eq!(roster.admit(&entry, &Rosters::new()), Verdict::Accepted);
        let id = ClinicId::from_genesis(entry.hash());
        Clinic {
            id,
            root,
            chain,
            roster,
            entries: vec![entry],
            tree_size: 1,
            clock_ms: NOON_MS,
        }
    }

    /// Signs an entry for the next place of this clinic's chain in the log.
    pub(crate) fn write(&mut self, state: &LogState, write: Write<'_>) -> Entry {
        let parents = state.parents(self.chain.chain());
        self.write_on(state, parents, write)
    }

    /// The same on parents that somebody honest would not name.
    pub(crate) fn edit_on(
        &mut self,
        state: &LogState,
        actor: &SigningKey,
        parents: Vec<EntryHash>,
    ) -> Entry {
        let write = Write {
            actor,
            kind: Kind::Edit,
            scope: Some(Scope::Note),
            epoch: state.current_epoch(),
            authority: self.heads(),
            payload: vec![2; 64],
        };
        self.write_on(state, parents, write)
    }

    fn write_on(&mut self, state: &LogState, parents: Vec<EntryHash>, write: Write<'_>) -> Entry {
        let position = state.position(self.chain.chain(), self.tree_size);
        self.tree_size += 1;
        let draft = Draft {
            log: state.log(),
            parents,
            authority: write.authority,
            kind: write.kind,
            scope: write.scope,
            epoch: write.epoch,
            blobs: Vec::new(),
            time_ms: self.clock_ms + self.tree_size,
            actor: write.actor.actor(),
        };
        draft
            .sign(position, write.payload, write.actor, &self.chain)
            .unwrap()
    }

    /// Signs a roster entry without adding it.
    pub(crate) fn draft_roster(&mut self, actor: &SigningKey, control: &Control) -> Entry {
        let roster = self.roster.clone();
        let (kind, payload) = (control.kind(), control.encode());
        let write = Write {
            actor,
            kind,
            scope: None,
            epoch: None,
            authority: Vec::new(),
            payload,
        };
        self.write(&roster, write)
    }

    /// Adds to the roster as the root.
    pub(crate) fn keep(&mut self, control: &Control) -> Entry {
        let root = self.root.clone();
        let entry = self.draft_roster(&root, control);
        assert_eq!(
            self.roster.admit(&entry, &Rosters::new()),
            Verdict::Accepted
        );
        self.entries.push(entry.clone());
        entry
    }

    /// Certifies a staff member with the key of this seed.
    pub(crate) fn hire(&mut self, seed: u8, roles: &[Role]) -> SigningKey {
        let key = key(seed);
        let (name, roles) = (format!("Staff {seed}"), roles.to_vec());
        self.keep(&Control::Certify {
            key: key.actor(),
            name,
            roles,
        });
        key
    }

    pub(crate) fn heads(&self) -> Vec<EntryHash> {
        self.roster.heads().iter().copied().collect()
    }

    /// A record that belongs to this clinic, begun by this staff member.
    pub(crate) fn begin_record(&mut self, actor: &SigningKey, seed: u8) -> (LogId, Entry) {
        let control = Control::RecordGenesis {
            home: self.id,
            commitment: [seed; 32],
        };
        let state = LogState::new(control.log_id(self.chain.chain()).unwrap());
        let entry = self.control(&state, actor, &control);
        (state.log(), entry)
    }

    pub(crate) fn control(
        &mut self,
        state: &LogState,
        actor: &SigningKey,
        control: &Control,
    ) -> Entry {
        let (kind, payload) = (control.kind(), control.encode());
        let authority = self.heads();
        self.write(
            state,
            Write {
                actor,
                kind,
                scope: None,
                epoch: None,
                authority,
                payload,
            },
        )
    }

    pub(crate) fn edit(&mut self, state: &LogState, actor: &SigningKey, scope: Scope) -> Entry {
        let payload = vec![self.tree_size.to_le_bytes()[0]; 300];
        let (epoch, authority) = (state.current_epoch(), self.heads());
        let (kind, scope) = (Kind::Edit, Some(scope));
        self.write(
            state,
            Write {
                actor,
                kind,
                scope,
                epoch,
                authority,
                payload,
            },
        )
    }

    pub(crate) fn view(&mut self, state: &LogState, actor: &SigningKey) -> Entry {
        let (epoch, authority) = (state.current_epoch(), self.heads());
        let (kind, payload) = (Kind::View, vec![1; 64]);
        self.write(
            state,
            Write {
                actor,
                kind,
                scope: None,
                epoch,
                authority,
                payload,
            },
        )
    }

    pub(crate) fn grant(
        &mut self,
        state: &LogState,
        actor: &SigningKey,
        clinic: ClinicId,
        right: Right,
    ) -> Entry {
        let epoch = state.current_epoch().unwrap();
        let wrapped = if right == Right::Custodian {
            Vec::new()
        } else {
            vec![9; 80]
        };
        self.control(
            state,
            actor,
            &Control::Grant {
                clinic,
                right,
                epoch,
                wrapped,
            },
        )
    }
}

pub(crate) fn genesis(seed: u8, root: &SigningKey, chain: &SigningKey) -> Control {
    Control::RosterGenesis {
        name: format!("Clinic {seed}"),
        root: root.actor(),
        chain: chain.chain(),
        endpoint: [seed + 2; 32],
        hpke: [seed + 3; 32],
    }
}

/// Two clinics that know each other's rosters, and a record of the first that the second may write.
pub(crate) struct World {
    pub(crate) harbour: Clinic,
    pub(crate) hill: Clinic,
    pub(crate) rosters: Rosters,
    pub(crate) state: LogState,
    /// All accepted entries of the record, in order.
    pub(crate) entries: Vec<Entry>,
    /// Harbour's physician, who is an admin too.
    pub(crate) ada: SigningKey,
    /// Harbour's nurse.
    pub(crate) nils: SigningKey,
    /// Hill's physician.
    pub(crate) bo: SigningKey,
}

impl World {
    pub(crate) fn new() -> World {
        let (mut harbour, mut hill) = (Clinic::new(10), Clinic::new(20));
        let ada = harbour.hire(30, &[Role::Physician, Role::Admin]);
        let nils = harbour.hire(31, &[Role::Nurse]);
        let bo = hill.hire(32, &[Role::Physician]);
        let (log, genesis) = harbour.begin_record(&ada, 40);
        let mut world = World {
            rosters: rosters(&[&harbour, &hill]),
            harbour,
            hill,
            state: LogState::new(log),
            entries: Vec::new(),
            ada,
            nils,
            bo,
        };
        world.accept(genesis);
        let grant = world
            .harbour
            .grant(&world.state, &world.ada, world.hill.id, Right::Write);
        world.accept(grant);
        world
    }

    pub(crate) fn admit(&mut self, entry: &Entry) -> Verdict {
        self.state.admit(entry, &self.rosters)
    }

    pub(crate) fn accept(&mut self, entry: Entry) {
        assert_eq!(self.admit(&entry), Verdict::Accepted);
        self.entries.push(entry);
    }

    pub(crate) fn refused(&mut self, entry: &Entry) -> Refusal {
        let before = (self.state.digest(), self.state.len());
        let verdict = self.admit(entry);
        assert_eq!((self.state.digest(), self.state.len()), before);
        match verdict {
            Verdict::Refused(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn know(&mut self) {
        self.rosters = rosters(&[&self.harbour, &self.hill]);
    }
}

/// The entry as a store keeps it where no chain is forked.
pub(crate) fn stored(entry: &Entry) -> (ChainId, Entry) {
    (entry.header().chain, entry.clone())
}

pub(crate) fn rosters(clinics: &[&Clinic]) -> Rosters {
    let mut rosters = Rosters::new();
    for clinic in clinics {
        for entry in &clinic.entries {
            assert_eq!(rosters.admit(entry), Verdict::Accepted);
        }
    }
    rosters
}

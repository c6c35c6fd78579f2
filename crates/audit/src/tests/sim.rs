//! Random histories: clinics that write on replicas which meet now and then, honest and not.
//!
//! No signatures: admission never looks at them. Everything follows from one seed.

use std::collections::BTreeMap;

use super::dice::Dice;
use crate::*;

pub(crate) struct Hospital {
    pub(crate) id: ClinicId,
    root: ActorId,
    people: Vec<ActorId>,
    admins: Vec<ActorId>,
}

/// A place where somebody writes: a node with its chain and what it holds.
#[derive(Clone)]
struct Replica {
    clinic: usize,
    chain: ChainId,
    tree_size: u64,
    record: LogState,
    rosters: Rosters,
}

/// What somebody wants to write.
struct Plan {
    actor: ActorId,
    kind: Kind,
    scope: Option<Scope>,
    payload: Vec<u8>,
}

impl Plan {
    fn control(actor: ActorId, control: &Control) -> Plan {
        Plan {
            actor,
            kind: control.kind(),
            scope: None,
            payload: control.encode(),
        }
    }
}

pub(crate) struct History {
    pub(crate) clinics: Vec<Hospital>,
    pub(crate) log: LogId,
    /// Everything that was written, also what nobody accepts, in the order of writing.
    pub(crate) entries: Vec<Entry>,
    /// Whether anything was done that can cut anything off.
    pub(crate) has_cuts: bool,
}

pub(crate) struct Sim {
    dice: Dice,
    history: History,
    by_hash: BTreeMap<EntryHash, usize>,
    replicas: Vec<Replica>,
    names: usize,
    /// Whether anybody is revoked, retired or lies in this history.
    troubled: bool,
}

impl Sim {
    pub(crate) fn run(seed: u64) -> History {
        let mut dice = Dice::new(seed);
        let (clinics, steps) = (3 + dice.below(3), 10 + dice.below(40));
        let troubled = !dice.one_in(6);
        let history = History {
            clinics: Vec::new(),
            log: LogId::from_bytes([0; 32]),
            entries: Vec::new(),
            has_cuts: false,
        };
        let mut sim = Sim {
            dice,
            history,
            by_hash: BTreeMap::new(),
            replicas: Vec::new(),
            names: 0,
            troubled,
        };
        sim.begin(clinics);
        for _ in 0..steps {
            sim.step();
        }
        sim.history
    }

    fn new_id(&mut self, what: &str) -> [u8; 32] {
        self.names += 1;
        blake3::hash(format!("{what} {}", self.names).as_bytes()).into()
    }

    fn begin(&mut self, clinics: usize) {
        for at in 0..clinics {
            self.begin_clinic(at);
        }
        // All know each other; home begins the record.
        for from in 0..clinics {
            for to in 0..clinics {
                self.give(from, to, usize::MAX);
            }
        }
        let home = self.history.clinics[0].id;
        let commitment = [7; 32];
        let genesis = Control::RecordGenesis { home, commitment };
        let log = genesis.log_id(self.replicas[0].chain).unwrap();
        self.history.log = log;
        for replica in &mut self.replicas {
            replica.record = LogState::new(log);
        }
        let actor = self.history.clinics[0].people[0];
        assert!(self.write(0, Plan::control(actor, &genesis)));
        for to in 1..clinics {
            let rights = [Right::Write, Right::Write, Right::Write, Right::Read];
            let right = self
                .dice
                .pick(&rights[..rights.len() - usize::from(to == 1)]);
            let clinic = self.history.clinics[to].id;
            self.grant(0, actor, clinic, right.unwrap());
        }
        for to in 1..clinics {
            self.give(0, to, usize::MAX);
        }
    }

    fn begin_clinic(&mut self, at: usize) {
        let root = ActorId::from_bytes(self.new_id("root"));
        let chain = ChainId::from_bytes(self.new_id("chain"));
        let genesis = Control::RosterGenesis {
            name: format!("Clinic {at}"),
            root,
            chain,
            endpoint: [1; 32],
            hpke: [2; 32],
        };
        let log = genesis.log_id(chain).unwrap();
        let mut replica = Replica {
            clinic: at,
            chain,
            tree_size: 0,
            record: LogState::new(log),
            rosters: Rosters::new(),
        };
        let plan = Plan::control(root, &genesis);
        let entry = self.entry(&mut replica, &LogState::new(log), plan, vec![], vec![]);
        assert_eq!(replica.rosters.admit(&entry), Verdict::Accepted);
        let clinic = ClinicId::from_genesis(entry.hash());
        self.keep(entry);
        self.history.clinics.push(Hospital {
            id: clinic,
            root,
            people: vec![],
            admins: vec![],
        });
        self.replicas.push(replica);
        let chief = [Role::Physician, Role::Admin];
        for roles in [&chief[..1], &chief, &[Role::Nurse]] {
            let key = ActorId::from_bytes(self.new_id("person"));
            self.certify_key(at, root, key, roles);
        }
    }

    fn step(&mut self) {
        let who = self.dice.below(self.replicas.len());
        let hospital = &self.history.clinics[self.replicas[who].clinic];
        let (people, root) = (hospital.people.clone(), hospital.root);
        let admin = self.dice.pick(&hospital.admins).unwrap_or(root);
        let actor = self.dice.pick(&people).unwrap();
        let others: Vec<ClinicId> = self.history.clinics[1..].iter().map(|one| one.id).collect();
        let other = self.dice.pick(&others).unwrap();
        let keeper = if self.dice.one_in(2) { root } else { admin };
        match self.dice.below(24) {
            0..=5 => {
                let scope = self.dice.pick(&[Scope::Observation, Scope::Clinical]);
                self.write_clinical(who, actor, Kind::Edit, scope);
            }
            6 => {
                let kinds = [
                    Kind::View,
                    Kind::Link,
                    Kind::Inference,
                    Kind::Verdict,
                    Kind::Attach,
                    Kind::Attach,
                ];
                let kind = self.dice.pick(&kinds).unwrap();
                let scope = match kind {
                    Kind::Inference | Kind::Verdict => Some(Scope::Ai),
                    Kind::Attach => Some(Scope::Attachment),
                    _ => None,
                };
                self.write_clinical(who, actor, kind, scope);
            }
            16 if self.dice.one_in(2) => self.erase(who, actor),
            7 | 8 => {
                let rights = [Right::Write, Right::Write, Right::Read, Right::Custodian];
                let right = self.dice.pick(&rights).unwrap();
                self.grant(who, actor, other, right);
            }
            9..=15 => {
                let to = self.dice.below(self.replicas.len());
                let partly = self.dice.one_in(3);
                let most = if partly {
                    self.dice.below(6)
                } else {
                    usize::MAX
                };
                self.give(who, to, most);
            }
            16 | 17 => self.home_acts(other),
            _ if !self.troubled => {}
            18 => {
                let cuts = self.some_cuts(who);
                self.history.has_cuts = true;
                self.write_roster(who, keeper, &Control::Retire { key: actor, cuts });
            }
            19 => {
                let roles = [&[Role::Physician][..], &[Role::Nurse], &[Role::Admin]];
                let roles = self.dice.pick(&roles).unwrap();
                self.certify(who, keeper, roles);
            }
            20 => self.begin_life(who, keeper, keeper == root),
            // A liar's second self: the same chain, and from now on another history.
            21 if self.replicas.len() < 9 => {
                self.history.has_cuts = true;
                self.replicas.push(self.replicas[who].clone());
            }
            _ => {
                // A certificate, and what relies on it.
                if let Some(actor) = self.certify(who, admin, &[Role::Physician]) {
                    self.write_clinical(who, actor, Kind::Edit, Some(Scope::Clinical));
                }
            }
        }
    }

    /// Any of home's replicas and people: revokes, rotates or holds out.
    fn home_acts(&mut self, other: ClinicId) {
        let is_home = |at: &usize| self.replicas[*at].clinic == 0;
        let homes: Vec<usize> = (0..self.replicas.len()).filter(is_home).collect();
        let home = self.dice.pick(&homes).unwrap();
        let actor = self.dice.pick(&self.history.clinics[0].people).unwrap();
        let replica = &self.replicas[home];
        let control = match self.dice.below(5) {
            0 => {
                let edits = replica
                    .record
                    .entries()
                    .filter(|meta| meta.kind == Kind::Edit);
                let edits: Vec<EntryHash> = edits.map(|meta| meta.hash).collect();
                let mut entries: Vec<_> = (0..2).filter_map(|_| self.dice.pick(&edits)).collect();
                entries.sort();
                entries.dedup();
                let reason = "broken".to_owned();
                (!entries.is_empty()).then_some(Control::Quarantine { entries, reason })
            }
            1 => {
                let previous = replica.record.current_epoch();
                previous.map(|previous| Control::Rotate {
                    commitment: [8; 32],
                    previous,
                    sealed_previous: vec![1; 72],
                })
            }
            _ if !self.troubled => None,
            _ => {
                self.history.has_cuts = true;
                let lives = replica.rosters.get(other).into_iter();
                let chains = lives.flat_map(Roster::incarnations).map(|life| life.chain);
                let mut cuts = replica.record.cuts_for(chains);
                if self.dice.one_in(3) {
                    for cut in &mut cuts {
                        cut.1 = cut.1.saturating_sub(self.dice.next() % 4);
                    }
                }
                if self.dice.one_in(6) {
                    cuts.pop();
                }
                Some(Control::Revoke {
                    clinic: other,
                    cuts,
                })
            }
        };
        if let Some(control) = control {
            self.write(home, Plan::control(actor, &control));
        }
    }

    /// Files of the record or, more rarely, all of it; of whoever has no right to, too.
    fn erase(&mut self, who: usize, actor: ActorId) {
        let held = self.replicas[who].record.entries();
        let files = held.filter(|meta| meta.kind == Kind::Attach);
        let files: Vec<EntryHash> = files.map(|meta| meta.hash).collect();
        let mut entries: Vec<_> = (0..2).filter_map(|_| self.dice.pick(&files)).collect();
        entries.sort();
        entries.dedup();
        if entries.is_empty() && !self.dice.one_in(8) {
            return;
        }
        let reason = "a mistake".to_owned();
        let control = Control::Erase { entries, reason };
        self.write(who, Plan::control(actor, &control));
    }

    /// A new life, of a replica that goes on as the old one or does not.
    fn begin_life(&mut self, who: usize, keeper: ActorId, is_root: bool) {
        self.history.has_cuts = true;
        let mut closes = self.some_cuts(who);
        if !is_root {
            closes.iter_mut().for_each(|cut| cut.1 = MAX_TREE_SIZE);
        }
        let mut replica = self.replicas[who].clone();
        let chain = ChainId::from_bytes(self.new_id("chain"));
        (replica.chain, replica.tree_size) = (chain, 0);
        self.replicas.push(replica);
        let control = Control::Incarnation {
            chain,
            endpoint: [3; 32],
            hpke: [4; 32],
            closes,
        };
        let at = self.replicas.len() - 1;
        if !self.write_roster(at, keeper, &control) {
            self.replicas.pop();
        } else if self.dice.one_in(2) {
            self.replicas.swap_remove(who);
        }
    }

    /// Cuts of the clinic's chains: at what is held, before it, beyond it, or none.
    fn some_cuts(&mut self, who: usize) -> Vec<(ChainId, u64)> {
        let replica = &self.replicas[who];
        let clinic = self.history.clinics[replica.clinic].id;
        let lives = replica.rosters.get(clinic).into_iter();
        let chains = lives.flat_map(Roster::incarnations).map(|life| life.chain);
        let chains: Vec<ChainId> = chains.collect();
        let own = (replica.chain, replica.tree_size);
        let mut cuts = Vec::new();
        for chain in chains {
            let elsewhere = 6 + self.dice.next() % 10;
            let size = if chain == own.0 { own.1 } else { elsewhere };
            let before = 1 + self.dice.next() % 6;
            match self.dice.below(6) {
                0 => {}
                1 => cuts.push((chain, MAX_TREE_SIZE)),
                2 | 3 => cuts.push((chain, size.saturating_sub(before))),
                _ => cuts.push((chain, size)),
            }
        }
        cuts
    }

    fn certify(&mut self, who: usize, by: ActorId, roles: &[Role]) -> Option<ActorId> {
        let clinic = self.replicas[who].clinic;
        let known = self.dice.pick(&self.history.clinics[clinic].people);
        let known = known.filter(|_| self.dice.one_in(8));
        let key = known.unwrap_or_else(|| ActorId::from_bytes(self.new_id("person")));
        self.certify_key(who, by, key, roles).then_some(key)
    }

    fn certify_key(&mut self, who: usize, by: ActorId, key: ActorId, roles: &[Role]) -> bool {
        let clinic = self.replicas[who].clinic;
        let (name, roles) = ("Somebody".to_owned(), roles.to_vec());
        let is_admin = roles.contains(&Role::Admin);
        if !self.write_roster(who, by, &Control::Certify { key, name, roles }) {
            return false;
        }
        let hospital = &mut self.history.clinics[clinic];
        if !hospital.people.contains(&key) {
            hospital.people.push(key);
        }
        if is_admin {
            hospital.admins.push(key);
        }
        true
    }

    fn grant(&mut self, who: usize, actor: ActorId, clinic: ClinicId, right: Right) {
        let epochs = self.replicas[who].record.epochs().map(|epoch| epoch.id);
        let epochs: Vec<EntryHash> = epochs.collect();
        let Some(epoch) = self.dice.pick(&epochs) else {
            return;
        };
        let wrapped = vec![9; if right == Right::Custodian { 0 } else { 80 }];
        let control = Control::Grant {
            clinic,
            right,
            epoch,
            wrapped,
        };
        self.write(who, Plan::control(actor, &control));
    }

    fn write_clinical(&mut self, who: usize, actor: ActorId, kind: Kind, scope: Option<Scope>) {
        let payload = self.new_id("payload").to_vec();
        self.write(
            who,
            Plan {
                actor,
                kind,
                scope,
                payload,
            },
        );
    }

    /// Writes into the record on this replica; whether the replica itself accepts it.
    fn write(&mut self, who: usize, plan: Plan) -> bool {
        let mut replica = self.replicas[who].clone();
        let state = replica.record.clone();
        let own = state.position(replica.chain, 0).prev;
        let mut parents = state.parents(replica.chain);
        if self.troubled && !state.is_empty() && self.dice.one_in(8) {
            // A liar names what suits.
            let held: Vec<EntryHash> = state.entries().map(|meta| meta.hash).collect();
            let count = self.dice.below(3);
            let mut named: Vec<_> = (0..count).filter_map(|_| self.dice.pick(&held)).collect();
            named.sort();
            named.dedup();
            named.retain(|hash| Some(*hash) != own);
            if own.is_some() || !named.is_empty() {
                parents = named;
            }
        }
        let clinic = self.history.clinics[replica.clinic].id;
        let prev = own.and_then(|own| state.entry_meta(&own));
        let mut authority = replica.rosters.authority(clinic, prev);
        if self.dice.one_in(10) {
            // Somebody who says that they know another clinic's roster.
            let other = self.dice.below(self.history.clinics.len());
            let other = replica.rosters.get(self.history.clinics[other].id);
            authority.extend(other.into_iter().flat_map(Roster::heads));
            authority.sort();
            authority.dedup();
        }
        let entry = self.entry(&mut replica, &state, plan, parents, authority);
        let verdict = replica.record.admit(&entry, &replica.rosters);
        let is_held = matches!(verdict, Verdict::Accepted | Verdict::Forked { .. });
        // What is refused is sometimes written all the same, and nobody may accept it.
        if is_held || self.dice.one_in(4) {
            self.keep(entry);
        }
        if is_held {
            self.replicas[who] = replica;
        }
        is_held
    }

    fn write_roster(&mut self, who: usize, actor: ActorId, control: &Control) -> bool {
        let mut replica = self.replicas[who].clone();
        let clinic = self.history.clinics[replica.clinic].id;
        let state = replica.rosters.state(clinic).unwrap().clone();
        let parents = state.parents(replica.chain);
        let plan = Plan::control(actor, control);
        let entry = self.entry(&mut replica, &state, plan, parents, vec![]);
        let verdict = replica.rosters.admit(&entry);
        let is_held = matches!(verdict, Verdict::Accepted | Verdict::Forked { .. });
        if is_held {
            self.replicas[who] = replica;
            self.keep(entry);
        }
        is_held
    }

    fn keep(&mut self, entry: Entry) {
        let at = self.history.entries.len();
        self.by_hash.insert(entry.hash(), at);
        self.history.entries.push(entry);
    }

    fn entry(
        &mut self,
        replica: &mut Replica,
        state: &LogState,
        plan: Plan,
        parents: Vec<EntryHash>,
        authority: Vec<EntryHash>,
    ) -> Entry {
        let position = state.position(replica.chain, replica.tree_size);
        replica.tree_size += 1;
        if self.dice.one_in(8) {
            // It wrote into other logs too.
            replica.tree_size += self.dice.next() % 4;
        }
        let header = Header {
            version: HEADER_VERSION,
            log: state.log(),
            chain: replica.chain,
            seq: position.seq,
            prev: position.prev,
            parents,
            authority,
            tree_index: position.tree_index.max(position.seq),
            actor: plan.actor,
            time_ms: self.dice.next() % MAX_TIME_MS,
            kind: plan.kind,
            scope: plan.scope,
            epoch: state.current_epoch().filter(|_| !plan.kind.is_clear()),
            blobs: Vec::new(),
            payload_hash: blake3::hash(&plan.payload).into(),
            payload_len: plan.payload.len() as u64,
        };
        Entry::from_parts(header.encode(), [1; 64], [2; 64], Some(plan.payload)).unwrap()
    }

    /// One gives the other at most this many of the entries that it lacks, roster entries first.
    fn give(&mut self, from: usize, to: usize, most: usize) {
        if from == to {
            return;
        }
        let giver = self.replicas[from].clone();
        let taker = &mut self.replicas[to];
        let mut left = most;
        for clinic in giver.rosters.clinics() {
            let state = giver.rosters.state(clinic).unwrap();
            for meta in state.entries() {
                let known = taker.rosters.log(state.log());
                let is_known = known.is_some_and(|known| known.entry_meta(&meta.hash).is_some());
                if left > 0 && !is_known {
                    let entry = &self.history.entries[self.by_hash[&meta.hash]];
                    let _ = taker.rosters.admit(entry);
                    left -= 1;
                }
            }
        }
        for meta in giver.record.entries() {
            if left > 0 && taker.record.entry_meta(&meta.hash).is_none() {
                let entry = &self.history.entries[self.by_hash[&meta.hash]];
                let _ = taker.record.admit(entry, &taker.rosters);
                left -= 1;
            }
        }
        taker.record.settle(&taker.rosters);
    }
}

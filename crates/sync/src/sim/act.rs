//! What people and machines do in a story.

use salus_audit::{ChainId, ClinicId, Control, Kind, LogId, LogState, Right, Role, Scope};

use super::identity::{MAX_LIVES, certify, identities};
use super::ledger::{Ledger, What};
use super::{Event, World};
use crate::engine::Engine;
use crate::port::{Changed, Input};

/// Records that one story has: few, so that much happens to each.
const MAX_RECORDS: usize = 5;

#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Write {
        node: usize,
    },
    Connect {
        a: usize,
        b: usize,
        garbles: bool,
    },
    Cut {
        a: usize,
        b: usize,
    },
    Crash {
        node: usize,
    },
    /// The clinic that lies has another node, which goes its own ways from the same disk.
    Twin {
        node: usize,
    },
    /// Copies the disk.
    BackUp {
        node: usize,
    },
    /// Goes on from the copy.
    Restore {
        node: usize,
    },
    Request {
        a: usize,
        b: usize,
    },
}

impl World {
    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Write { node } => {
                let changed = self.write(node);
                self.tell_soon(node, changed);
            }
            Act::Connect { a, b, garbles } => self.connect(a, b, garbles),
            Act::Cut { a, b } => self.cut(a, b),
            Act::Crash { node } => {
                self.count("crash");
                self.crash(node);
            }
            Act::Twin { node } => {
                self.count("twin");
                let twin = self.twin(node);
                self.set_loose(node, twin);
            }
            Act::BackUp { node } => {
                let disk = self.nodes[node].ledger.disk.clone();
                self.nodes[node].backup = Some(disk);
            }
            Act::Restore { node } => self.restore(node),
            Act::Request { a, b } => {
                let peer = self.id(b);
                self.tell(a, Input::SyncRequested { peer });
            }
        }
    }

    /// Another node of the same clinic, from the same disk.
    pub(super) fn twin(&mut self, node: usize) -> usize {
        let disk = self.nodes[node].ledger.disk.clone();
        let twin = Ledger::from_disk(&self.nodes[node].ledger, disk);
        let who = self.nodes[node].who;
        let twin = self.add(who, twin);
        self.nodes[twin].ledger.deaf = self.chance(50);
        twin
    }

    /// Has the twins speak with others and write, each what it likes.
    fn set_loose(&mut self, node: usize, twin: usize) {
        for _ in 0..2 + self.pick(4) {
            let other = self.pick(twin);
            let (a, b, garbles) = (twin, other, false);
            self.soon(400, Event::Act(Act::Connect { a, b, garbles }));
        }
        for writer in [node, twin] {
            for _ in 0..2 + self.pick(5) {
                self.soon(600, Event::Act(Act::Write { node: writer }));
            }
        }
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.seen.acts.entry(what).or_default() += 1;
    }

    fn restore(&mut self, node: usize) {
        let life = self.nodes[node].ledger.disk.life;
        let Some(disk) = self.nodes[node].backup.take() else {
            return;
        };
        if life + 1 >= MAX_LIVES || !self.is_honest(node) {
            return;
        }
        self.count("restore");
        self.crash(node);
        let time_ms = self.clock_ms(node);
        let (ledger, changed) = Ledger::restored(&self.nodes[node].ledger, disk, time_ms);
        self.nodes[node].ledger = ledger;
        // It is a new node: whatever its engine was told is of another life.
        let (id, config) = (self.id(node), self.config.clone());
        self.nodes[node].engine = Engine::new(id, config, [8; 32]);
        self.tell_soon(node, changed);
    }

    /// Something that may be written at this node, and is.
    pub(super) fn write(&mut self, node: usize) -> Vec<Changed> {
        let who = self.nodes[node].who;
        let me = &identities()[who];
        let honest = self.is_honest(node);
        let ledger = &self.nodes[node].ledger;
        let mine = |state: &&LogState| state.right_of(me.id).is_some();
        let records: Vec<LogId> = ledger
            .logs
            .values()
            .filter(mine)
            .map(LogState::log)
            .collect();
        let any = ledger.logs.len();
        let dice = self.below(100);
        if dice < 7 {
            return self.keep_roster(node);
        }
        if records.is_empty() || (dice < 22 && any < MAX_RECORDS) {
            return self.begin_record(node);
        }
        let log = records[self.pick(records.len())];
        let state = &self.nodes[node].ledger.logs[&log];
        let is_home = state.home() == Some(me.id);
        let chance = self.below(100);
        let what = match chance {
            0..14 => self.grant(node, log),
            14..24 if is_home => self.revoke(node, log),
            24..30 if is_home => self.rotate(node, log),
            30..36 if is_home => self.quarantine(node, log),
            36..40 => Some(What::Link),
            40..46 => Some(What::View),
            _ => Some(What::Edit(Scope::Note)),
        };
        let Some(what) = what else {
            return Vec::new();
        };
        let name = match &what {
            What::Control(control) => control.kind().as_str(),
            What::Edit(_) => "edit",
            What::View => "view",
            What::Link => "link",
        };
        // The registrar may not do all of it; physicians do.
        let actor = match what {
            What::Control(_) | What::Link => [0, 1, 3][self.pick(3)],
            _ => [0, 2, 3][self.pick(3)],
        };
        let early = !honest && self.chance(30);
        self.append(node, Some(log), &what, actor, early, name)
    }

    pub(super) fn append(
        &mut self,
        node: usize,
        log: Option<LogId>,
        what: &What,
        actor: usize,
        early: bool,
        name: &'static str,
    ) -> Vec<Changed> {
        let time_ms = self.clock_ms(node);
        let ledger = &mut self.nodes[node].ledger;
        let changed = ledger.write(log, what, actor, time_ms, early);
        if self.trace {
            let now = self.queue.now;
            let log = changed.first().map(|changed| changed.log).or(log);
            let done = if changed.is_empty() {
                "may not"
            } else {
                "does"
            };
            eprintln!("{now:>6} {node} {done} {name} by {actor} in {log:?}");
        }
        if changed.is_empty() {
            self.count("not admitted");
        } else {
            self.count(name);
        }
        changed
    }

    /// Retires somebody, or certifies somebody anew.
    fn keep_roster(&mut self, node: usize) -> Vec<Changed> {
        let me = &identities()[self.nodes[node].who];
        let roster = self.nodes[node].ledger.rosters.get(me.id).unwrap();
        let tree_size = self.nodes[node].ledger.disk.tree_size;
        let life = self.nodes[node].ledger.disk.life;
        let own = me.lives[life].chain();
        let mut cuts: Vec<(ChainId, u64)> = roster
            .incarnations()
            .filter(|life| life.chain == own || life.closed.is_some())
            .map(|life| {
                (
                    life.chain,
                    life.closed.unwrap_or(tree_size.saturating_sub(1)),
                )
            })
            .collect();
        cuts.sort_unstable();
        let person = 1 + self.pick(3);
        let key = me.staff[person].actor();
        let (control, name) = if self.chance(70) {
            (Control::Retire { key, cuts }, "retire")
        } else {
            (
                certify(key, &[Role::Nurse, Role::Physician][self.pick(2)..][..1]),
                "certify",
            )
        };
        let what = What::Control(control);
        self.append(node, Some(me.roster), &what, 0, false, name)
    }

    fn begin_record(&mut self, node: usize) -> Vec<Changed> {
        let me = identities()[self.nodes[node].who].id;
        let commitment = *blake3::hash(&self.below(1 << 40).to_be_bytes()).as_bytes();
        let genesis = Control::RecordGenesis {
            home: me,
            commitment,
        };
        let what = What::Control(genesis);
        let mut changed = self.append(node, None, &what, 0, false, "genesis");
        let Some(log) = changed.first().map(|changed| changed.log) else {
            return changed;
        };
        for _ in 0..1 + self.pick(self.clinics) {
            if let Some(what) = self.grant(node, log) {
                changed.extend(self.append(node, Some(log), &what, 0, false, "grant"));
            }
        }
        changed
    }

    fn other_clinic(&mut self, node: usize) -> ClinicId {
        let who = self.nodes[node].who;
        let other = (who + 1 + self.pick(self.clinics - 1)) % self.clinics;
        identities()[other].id
    }

    fn grant(&mut self, node: usize, log: LogId) -> Option<What> {
        let clinic = self.other_clinic(node);
        let right = [Right::Write, Right::Write, Right::Read, Right::Custodian][self.pick(4)];
        let state = &self.nodes[node].ledger.logs[&log];
        let wrapped = if right == Right::Custodian {
            Vec::new()
        } else {
            vec![9; 80]
        };
        Some(What::Control(Control::Grant {
            clinic,
            right,
            epoch: state.current_epoch()?,
            wrapped,
        }))
    }

    fn revoke(&mut self, node: usize, log: LogId) -> Option<What> {
        let state = &self.nodes[node].ledger.logs[&log];
        let me = identities()[self.nodes[node].who].id;
        let granted = identities()[..self.clinics].iter();
        let granted =
            granted.filter(|clinic| clinic.id != me && state.right_of(clinic.id).is_some());
        let granted: Vec<_> = granted.collect();
        let clinic = granted.get(self.random.below(granted.len()))?;
        let cuts = state.cuts_for(clinic.chains());
        let clinic = clinic.id;
        Some(What::Control(Control::Revoke { clinic, cuts }))
    }

    fn rotate(&mut self, node: usize, log: LogId) -> Option<What> {
        let state = &self.nodes[node].ledger.logs[&log];
        let previous = state.current_epoch()?;
        Some(What::Control(Control::Rotate {
            commitment: self
                .random
                .below(1 << 40)
                .to_be_bytes()
                .repeat(4)
                .try_into()
                .ok()?,
            previous,
            sealed_previous: vec![5; 72],
        }))
    }

    fn quarantine(&mut self, node: usize, log: LogId) -> Option<What> {
        let state = &self.nodes[node].ledger.logs[&log];
        let edits: Vec<_> = state
            .entries()
            .filter(|meta| meta.kind == Kind::Edit)
            .map(|meta| meta.hash)
            .collect();
        let edit = *edits.get(self.random.below(edits.len()))?;
        Some(What::Control(Control::Quarantine {
            entries: vec![edit],
            reason: "of another patient".to_owned(),
        }))
    }
}

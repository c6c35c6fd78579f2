//! A clinic's roster and a record's log, made as the product makes them; and admitting changed entries to them.

use std::mem::discriminant;

use salus_audit::{
    ClinicId, Control, Draft, Entry, EntryHash, Kind, LogId, LogState, Right, Role, Rosters, Scope,
    SigningKey, Verdict,
};

use super::{Target, same};
use crate::mutate::join;
use crate::rng::Rng;
use crate::subject::{Broken, Form, Outcome, Subject};

/// Entries, one after the other, admitted to a log that holds some already.
pub(super) const ADMIT: Target = Target {
    name: "admit",
    about: "entries admitted to a roster and a record, signatures taken for granted",
    form: Form::Frames,
    max_bytes: 32 * 1024,
    make: |rng| Box::new(Admit(Log::new(rng))),
};

/// 2026-09-21.
const TIME_MS: u64 = 1_790_000_000_000;

/// All entries that a small clinic with one record writes.
pub(super) struct Log {
    pub(super) record: LogState,
    pub(super) roster_entries: Vec<Entry>,
    pub(super) record_entries: Vec<Entry>,
    /// One of each kind.
    pub(super) controls: Vec<Control>,
    /// The key of the chain that wrote all but the incarnation.
    pub(super) chain: SigningKey,
}

/// Who writes.
struct Writer {
    chain: SigningKey,
    tree_size: u64,
}

impl Writer {
    fn write(
        &mut self,
        state: &LogState,
        actor: &SigningKey,
        authority: &[EntryHash],
        what: (Kind, Option<Scope>, Vec<u8>),
    ) -> Entry {
        let (kind, scope, payload) = what;
        let chain = self.chain.chain();
        let sealed = !kind.is_clear();
        let position = state.position(chain, self.tree_size);
        self.tree_size += 1;
        let draft = Draft {
            log: state.log(),
            parents: state.parents(chain),
            authority: authority.to_vec(),
            kind,
            scope,
            epoch: state.current_epoch().filter(|_| sealed),
            blobs: Vec::new(),
            time_ms: TIME_MS + self.tree_size,
            actor: actor.actor(),
        };
        draft
            .sign(position, payload, actor, &self.chain)
            .expect("what is written here is well-formed")
    }
}

impl Log {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut key = || SigningKey::from_seed(rng.array32());
        let (root, staff, nurse, chain, second) = (key(), key(), key(), key(), key());
        let genesis = Control::RosterGenesis {
            name: "Harbour clinic".into(),
            root: root.actor(),
            chain: chain.chain(),
            endpoint: rng.array32(),
            hpke: rng.array32(),
        };
        let begin = |control: &Control, chain: &SigningKey| {
            let log = control.log_id(chain.chain());
            LogState::new(log.unwrap_or(LogId::from_bytes([0; 32])))
        };
        let mut writer = Writer {
            chain: chain.clone(),
            tree_size: 0,
        };
        let clear = |control: &Control| (control.kind(), None, control.encode());

        let mut rosters = Rosters::new();
        let mut roster = begin(&genesis, &chain);
        let mut roster_entries = Vec::new();
        let mut controls = vec![genesis];
        for (key, name, roles) in [
            (&staff, "Ada", vec![Role::Physician, Role::Admin]),
            (&nurse, "Nils", vec![Role::Nurse]),
        ] {
            controls.push(Control::Certify {
                key: key.actor(),
                name: name.into(),
                roles,
            });
        }
        controls.push(Control::Retire {
            key: nurse.actor(),
            cuts: vec![(chain.chain(), 1)],
        });
        for control in &controls {
            let entry = writer.write(&roster, &root, &[], clear(control));
            let _ = roster.admit(&entry, &Rosters::new());
            let _ = rosters.admit(&entry);
            roster_entries.push(entry);
        }
        let incarnation = Control::Incarnation {
            chain: second.chain(),
            endpoint: rng.array32(),
            hpke: rng.array32(),
            closes: vec![(chain.chain(), 3)],
        };
        // A chain of its own begins with it; the record's go on in the first one.
        let mut later = Writer {
            chain: second,
            tree_size: 0,
        };
        let heads: Vec<_> = roster.heads().iter().copied().collect();
        roster_entries.push(later.write(&roster, &root, &[], clear(&incarnation)));
        controls.push(incarnation);

        let home = ClinicId::from_genesis(
            roster_entries
                .first()
                .map_or_else(|| EntryHash::from_bytes([0; 32]), Entry::hash),
        );
        let genesis = Control::RecordGenesis {
            home,
            commitment: rng.array32(),
        };
        let mut record = begin(&genesis, &chain);
        let mut record_entries = Vec::new();
        let mut add = |record: &mut LogState, what| {
            let entry = writer.write(record, &staff, &heads, what);
            let _ = record.admit(&entry, &rosters);
            record_entries.push(entry);
        };
        add(&mut record, clear(&genesis));
        let epoch = record.current_epoch();
        let grant = Control::Grant {
            clinic: home,
            right: Right::Home,
            epoch: epoch.unwrap_or(EntryHash::from_bytes([0; 32])),
            wrapped: rng.bytes(80),
        };
        add(&mut record, clear(&grant));
        add(
            &mut record,
            (Kind::Edit, Some(Scope::Clinical), rng.bytes(296)),
        );
        add(&mut record, (Kind::View, None, rng.bytes(40)));
        add(
            &mut record,
            (Kind::Attach, Some(Scope::Attachment), rng.bytes(296)),
        );
        controls.extend([genesis, grant]);
        let hash = |rng: &mut Rng| EntryHash::from_bytes(rng.array32());
        let revoke = Control::Revoke {
            clinic: home,
            cuts: vec![(chain.chain(), 5)],
        };
        let rotate = Control::Rotate {
            commitment: rng.array32(),
            previous: hash(rng),
            sealed_previous: rng.bytes(72),
        };
        let quarantine = Control::Quarantine {
            entries: vec![hash(rng)],
            reason: "it broke the merge".into(),
        };
        let erase = Control::Erase {
            entries: vec![hash(rng)],
            reason: "of another patient".into(),
        };
        let erase_all = Control::Erase {
            entries: Vec::new(),
            reason: "the patient asked for it".into(),
        };
        controls.extend([revoke, rotate, quarantine, erase, erase_all]);
        Self {
            record,
            roster_entries,
            record_entries,
            controls,
            chain,
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.roster_entries.iter().chain(&self.record_entries)
    }
}

struct Admit(Log);

impl Admit {
    /// What was admitted to one log after another.
    fn admit(&self, frames: &[&[u8]]) -> Result<Vec<Verdict>, Broken> {
        let mut rosters = Rosters::new();
        let mut record = LogState::new(self.0.record.log());
        let mut verdicts = Vec::new();
        for frame in frames {
            let Ok(entry) = Entry::decode(frame) else {
                continue;
            };
            let verdict = if entry.header().log == record.log() {
                record.admit(&entry, &rosters)
            } else {
                rosters.admit(&entry)
            };
            let again = if entry.header().log == record.log() {
                record.admit(&entry, &rosters)
            } else {
                rosters.admit(&entry)
            };
            let settled = match verdict {
                Verdict::Accepted | Verdict::Forked { .. } => again == Verdict::Duplicate,
                _ => discriminant(&again) == discriminant(&verdict),
            };
            same(&settled, &true, "an entry offered twice is judged alike")?;
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }
}

impl Subject for Admit {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let all: Vec<Vec<u8>> = self.0.entries().map(Entry::encode).collect();
        let roster = self.0.roster_entries.len();
        vec![
            join(0, &all),
            join(0, all.get(..roster).unwrap_or_default()),
        ]
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        let (_, frames) = crate::mutate::split(input);
        let verdicts = self.admit(&frames)?;
        let accepted = verdicts.contains(&Verdict::Accepted);
        // The hashes of what is missing or forked are no news.
        let kinds: Vec<String> = verdicts
            .iter()
            .map(|verdict| match verdict {
                Verdict::Refused(refusal) => format!("{refusal:?}"),
                other => {
                    let text = format!("{other:?}");
                    text.chars().take_while(|c| c.is_alphabetic()).collect()
                }
            })
            .collect();
        let last = kinds.last().cloned().unwrap_or_default();
        let feature = format!("{accepted} {last}");
        Ok(if accepted {
            Outcome::accepted(feature)
        } else {
            Outcome::refused(feature)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_seeds_are_made_of_is_admitted_whole() {
        let log = Log::new(&mut Rng::new(1, "log"));
        let seeds = Admit(log).seeds();
        let (_, frames) = crate::mutate::split(&seeds[0]);
        let log = Log::new(&mut Rng::new(1, "log"));
        let verdicts = Admit(log).admit(&frames).unwrap();
        assert_eq!(verdicts.len(), 10);
        assert!(
            verdicts.iter().all(|v| *v == Verdict::Accepted),
            "{verdicts:?}"
        );
    }
}

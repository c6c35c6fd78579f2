//! Automerge's bytes: changes from elsewhere, and documents from the cache.

use salus_fhir::{Limits, read_bytes};
use salus_record::{
    Conflict, Edit, Incoming, LoadProof, Record, RecordView, Scope, Trust, actor_for,
    inspect_change, load_job,
};
use salus_sandbox::SandboxError;
use sha2::{Digest, Sha256};

use super::fhir::BUNDLE;
use super::{Target, same};
use crate::mutate::{join, split};
use crate::rng::Rng;
use crate::subject::{Broken, Form, Outcome, Subject};
use crate::worker;

pub(super) const CHANGE: Target = Target {
    name: "change",
    about: "inspect_change: an Automerge change without a document",
    form: Form::Bytes,
    max_bytes: 16 * 1024,
    make: |rng| Box::new(Changes(World::new(rng))),
};

pub(super) const APPLY: Target = Target {
    name: "apply",
    about: "changes taken in by a copy of a record, in both orders, then shown, saved and loaded",
    form: Form::Frames,
    max_bytes: 16 * 1024,
    make: |rng| Box::new(Applies(World::new(rng))),
};

pub(super) const SNAPSHOT: Target = Target {
    name: "snapshot",
    about: "a saved document, loaded by a worker, then by Record::load, then shown",
    form: Form::Bytes,
    max_bytes: 32 * 1024,
    make: |rng| Box::new(Snapshots(World::new(rng))),
};

/// A record at two clinics: what both have, and what each wrote apart.
struct World {
    base: Record,
    apart: Vec<(Vec<u8>, Scope)>,
    whole: Record,
    actor: [u8; 16],
}

impl World {
    fn new(rng: &mut Rng) -> Self {
        let log = rng.array32();
        let actors = [(); 3].map(|()| actor_for(rng.array32(), log));
        let [here, there, reader] = actors;
        let expect = "a record of made-up data can be made";
        let (mut base, _) = Record::create(here, 1_700_000_000_000).expect(expect);
        let small = |path: &str, value: &str| Edit::SetPatient {
            path: path.into(),
            value: Some(value.into()),
        };
        base.edit(&[small("family", "Hopkins")], 0).expect(expect);
        let note = salus_record::Note {
            id: "n1".into(),
            author: "Ada".into(),
            text: "first line".into(),
            ..salus_record::Note::default()
        };
        base.edit(&[Edit::NewNote(note)], 0).expect(expect);
        let base_changes = base.changes_since(&[]);
        let mut other = Record::new(there);
        other.apply(base_changes, Trust::Own).expect(expect);

        let mut apart = Vec::new();
        let text = |text: &str| Edit::EditNote {
            id: "n1".into(),
            text: text.into(),
        };
        let mut mine = base.clone();
        for (record, edits) in [
            (
                &mut mine,
                vec![small("phone", "555-1"), small("email", "a@b.c")],
            ),
            (&mut other, vec![small("phone", "555-2")]),
        ] {
            for edits in [edits, vec![text("first line, and more")]] {
                let change = record.edit(&edits, 0).expect(expect).expect(expect);
                apart.push((change.bytes, change.scope));
            }
        }
        let content = read_bytes(BUNDLE.as_bytes(), &Limits::default())
            .ok()
            .and_then(|import| import.patients.into_iter().next())
            .map(|patient| patient.content);
        for change in mine
            .import(Edit::all(content.unwrap_or_default()), 0)
            .expect(expect)
        {
            apart.push((change.bytes, change.scope));
        }
        Self {
            base,
            apart,
            whole: mine,
            actor: reader,
        }
    }

    fn base(&self) -> Record {
        self.base.clone()
    }
}

/// Length and checksum of an Automerge chunk, made right: magic 4, checksum 4, type 1, length LEB128, contents.
fn repair_chunk(bytes: &mut Vec<u8>) {
    let Some((head, rest)) = bytes.split_at_checked(9) else {
        return;
    };
    let Some(end) = rest.iter().take(10).position(|byte| byte & 0x80 == 0) else {
        return;
    };
    let contents = rest.get(end + 1..).unwrap_or_default();
    let mut hashed = vec![head[8]];
    let mut len = contents.len();
    while len >= 0x80 {
        hashed.push(0x80 | len.to_le_bytes()[0]);
        len >>= 7;
    }
    hashed.push(len.to_le_bytes()[0]);
    hashed.extend_from_slice(contents);
    let hash = Sha256::digest(&hashed);
    let mut mended = head.get(..4).unwrap_or_default().to_vec();
    mended.extend_from_slice(hash.get(..4).unwrap_or_default());
    mended.append(&mut hashed);
    *bytes = mended;
}

struct Changes(World);

impl Subject for Changes {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let all = self.0.whole.changes_since(&[]);
        let apart = self.0.apart.iter().map(|(bytes, _)| bytes.clone());
        all.into_iter().chain(apart).collect()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        Ok(match inspect_change(input) {
            Ok(meta) => {
                let checksum = input.get(4..8) == meta.hash.get(..4);
                same(&checksum, &true, "a change has its checksum")?;
                Outcome::accepted(format!("{} {}", meta.deps.len() > 1, meta.len_ops > 1))
            }
            Err(fault) => Outcome::refused(fault),
        })
    }

    fn repair(&self, input: &mut Vec<u8>) {
        repair_chunk(input);
    }
}

struct Applies(World);

/// All that is shown of a record.
#[derive(PartialEq)]
struct Shown {
    view: RecordView,
    conflicts: Vec<Conflict>,
    lines: Vec<String>,
}

impl Shown {
    fn of(record: &Record) -> Self {
        Self {
            view: record.view(),
            conflicts: record.conflicts(),
            lines: record.describe(&[], &record.heads()),
        }
    }
}

impl Subject for Applies {
    /// What was written apart, in the order written.
    fn seeds(&self) -> Vec<Vec<u8>> {
        let frames: Vec<&Vec<u8>> = self.0.apart.iter().map(|(bytes, _)| bytes).collect();
        let few = |count: usize| frames.get(..count).unwrap_or_default();
        vec![join(0, few(1)), join(0, few(3)), join(1, few(5))]
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        let (options, frames) = split(input);
        // With an odd option each is held to the scope that its neighbour in the seed had.
        let scopes = self.0.apart.iter().map(|(_, scope)| *scope).cycle();
        let incoming: Vec<Incoming> = frames
            .iter()
            .zip(scopes)
            .map(|(bytes, scope)| Incoming {
                bytes: bytes.to_vec(),
                scope: Some(scope).filter(|_| options & 1 == 1),
                actor: None,
            })
            .collect();
        let mut record = self.0.base();
        let part = record.apply_what_holds(incoming.clone(), Trust::Foreign);
        let taken = part.applied.changes.len();
        let fault = part.held_out.first().map(|(_, fault)| fault.to_string());
        let mut conflicts = 0;
        if taken > 0 {
            let shown = Shown::of(&record);
            let saved = record.save();
            let loaded = LoadProof::ask(&saved, |request| Some(load_job(request)))
                .and_then(|proof| Record::load(&saved, self.0.actor, &proof))
                .map_err(|_| "what was saved can be loaded".to_owned())?;
            same(
                &loaded.heads(),
                &record.heads(),
                "a loaded record has its heads",
            )?;
            same(
                &Shown::of(&loaded),
                &shown,
                "a loaded record shows the same",
            )?;
            conflicts = shown.conflicts.len();
        } else {
            same(
                &record.heads(),
                &self.0.base.heads(),
                "what is refused changes nothing",
            )?;
        }
        let mut backwards = self.0.base();
        let reversed: Vec<Incoming> = incoming.into_iter().rev().collect();
        let again = backwards.apply_what_holds(reversed, Trust::Foreign);
        if !part.rebuild && !again.rebuild {
            same(
                &backwards.heads(),
                &record.heads(),
                "the order does not matter",
            )?;
        }
        let conflicts = "c".repeat(conflicts.min(20));
        let feature = format!("{} {fault:?} {conflicts}", "x".repeat(taken.min(9)));
        Ok(if taken > 0 {
            Outcome::accepted(feature)
        } else {
            Outcome::refused(feature)
        })
    }

    fn repair(&self, input: &mut Vec<u8>) {
        let (options, frames) = split(input);
        let mut frames: Vec<Vec<u8>> = frames.into_iter().map(<[u8]>::to_vec).collect();
        frames.iter_mut().for_each(repair_chunk);
        *input = join(options, &frames);
    }
}

struct Snapshots(World);

impl Subject for Snapshots {
    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![self.0.base.save(), self.0.whole.save()]
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        // As a node does: what ends the worker is never loaded here.
        let mut failed = None;
        let proof = LoadProof::ask(input, |request| {
            worker::run(worker::LOAD, request)
                .map_err(|error| failed = Some(error))
                .ok()
        });
        match failed {
            Some(error @ (SandboxError::Unavailable(_) | SandboxError::NotAWorker)) => {
                return Err(format!("no worker to load it: {error}"));
            }
            Some(error) => return Ok(Outcome::refused(error)),
            None => {}
        }
        let Ok(proof) = proof else {
            return Ok(Outcome::refused("the worker could not load it"));
        };
        let record = Record::load(input, self.0.actor, &proof)
            .map_err(|_| "what a worker loaded can be loaded".to_owned())?;
        let Shown {
            view,
            lines,
            conflicts,
        } = Shown::of(&record);
        let shown = view.content.observations.len() + lines.len() + conflicts.len();
        // Digits don't tell features apart.
        let shown: String = std::iter::repeat_n('x', shown.min(64)).collect();
        Ok(Outcome::accepted(shown))
    }

    fn repair(&self, input: &mut Vec<u8>) {
        repair_chunk(input);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_repaired_to_what_it_was() {
        let world = World::new(&mut Rng::new(1, "record"));
        for (bytes, _) in &world.apart {
            let mut mended = bytes.clone();
            mended[5] ^= 1;
            assert!(inspect_change(&mended).is_err());
            repair_chunk(&mut mended);
            assert_eq!(&mended, bytes);
        }
        repair_chunk(&mut vec![1, 2, 3]);
        repair_chunk(&mut vec![0xff; 40]);
    }
}

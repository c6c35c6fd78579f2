//! What a foreign change must be, judged by its bytes and its causal past alone.
//!
//! Every replica must come to the same verdict whatever else it holds, so a change is compared only with the
//! changes that it names as its past: its actor's earlier ones, the operations it refers to, the collections
//! that these belong to.

use std::collections::{BTreeSet, HashMap};

use automerge::legacy::{ElementId, Key, ObjectId, OpId, OpType};
use automerge::{ActorId, Automerge, Change as AmChange, ObjId, ObjType, Prop, ReadDoc};

use crate::apply::Fault;
use crate::schema::{Collection, Scope};

/// Operation counters stay below this: Automerge keeps them in 32 bits and panics beyond.
const MAX_OP: u64 = 1 << 31;

/// Deepest nesting of objects: this version needs three (a note's text); the rest is for later ones. Without a
/// bound, one change could nest 200,000 maps, and paths grow with the square of that.
const MAX_DEPTH: usize = 8;

/// What a change writes to: collections of this version, or others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) collections: BTreeSet<Collection>,
    /// Whether it creates the collections of a new record.
    pub(crate) creates: bool,
}

impl Touched {
    /// Whether all of it may be written by a change of this scope.
    pub(crate) fn check(&self, scope: Scope) -> Result<(), Fault> {
        match self
            .collections
            .iter()
            .find(|c| c.scope().is_some_and(|s| s != scope))
        {
            Some(&collection) => Err(Fault::OutOfScope { scope, collection }),
            None => Ok(()),
        }
    }

    /// The scopes that cover it.
    pub(crate) fn scopes(&self) -> BTreeSet<Scope> {
        self.collections.iter().filter_map(|c| c.scope()).collect()
    }
}

/// An object: where it hangs, and what it is.
#[derive(Clone, Copy)]
struct Object {
    /// `None`: a collection of a later version, or something in one.
    collection: Option<Collection>,
    kind: ObjType,
    /// How many objects it is below the root.
    depth: usize,
}

/// One change of the past.
struct Past {
    start_op: u64,
    max_op: u64,
    /// By actor: how many of its changes are this one or before it.
    clock: Vec<u64>,
}

/// The changes that a document holds, and those that passed the checks since.
pub(crate) struct History<'d> {
    doc: &'d Automerge,
    actors: HashMap<ActorId, usize>,
    changes: HashMap<[u8; 32], Past>,
    /// By actor: (first, last) operation of each of its changes, by seq.
    ranges: Vec<Vec<(u64, u64)>>,
    /// Objects made by changes that are not in the document yet, and objects already looked up.
    objects: HashMap<(u64, ActorId), Object>,
}

impl<'d> History<'d> {
    /// The history of a document: one pass over its changes.
    pub(crate) fn of(doc: &'d Automerge) -> Self {
        let mut history = Self {
            doc,
            actors: HashMap::new(),
            changes: HashMap::new(),
            ranges: Vec::new(),
            objects: HashMap::new(),
        };
        // In causal order, as the document's graph holds them.
        for meta in doc.get_changes_meta(&[]) {
            let deps = meta.deps.iter().map(|d| d.0);
            history.add(meta.hash.0, &meta.actor, (meta.start_op, meta.max_op), deps);
        }
        history
    }

    fn actor(&mut self, actor: &ActorId) -> usize {
        if let Some(&index) = self.actors.get(actor) {
            return index;
        }
        self.ranges.push(Vec::new());
        self.actors.insert(actor.clone(), self.ranges.len() - 1);
        self.ranges.len() - 1
    }

    fn add(
        &mut self,
        hash: [u8; 32],
        actor: &ActorId,
        (start_op, max_op): (u64, u64),
        deps: impl Iterator<Item = [u8; 32]>,
    ) {
        let actor = self.actor(actor);
        let mut clock = self.clock(deps);
        clock.resize(clock.len().max(actor + 1), 0);
        if let Some(ranges) = self.ranges.get_mut(actor) {
            ranges.push((start_op, max_op));
            if let Some(seen) = clock.get_mut(actor) {
                *seen = ranges.len() as u64;
            }
        }
        self.changes.insert(
            hash,
            Past {
                start_op,
                max_op,
                clock,
            },
        );
    }

    /// How much of each actor is in the past of a change with these dependencies.
    fn clock(&self, deps: impl Iterator<Item = [u8; 32]>) -> Vec<u64> {
        let mut clock: Vec<u64> = Vec::new();
        for past in deps.filter_map(|dep| self.changes.get(&dep)) {
            clock.resize(clock.len().max(past.clock.len()), 0);
            for (mine, theirs) in clock.iter_mut().zip(&past.clock) {
                *mine = (*mine).max(*theirs);
            }
        }
        clock
    }

    /// Checks a change against its past, all of which is here, and adds it.
    pub(crate) fn admit(&mut self, change: &AmChange) -> Result<Touched, Fault> {
        let deps = || change.deps().iter().map(|d| d.0);
        let (start_op, len) = (change.start_op().get(), change.len() as u64);
        let max_op = start_op.saturating_add(len).saturating_sub(1);
        let expected = deps()
            .filter_map(|d| self.changes.get(&d))
            .map(|past| past.max_op.max(past.start_op))
            .max()
            .map_or(1, |max| max + 1);
        if start_op != expected || len == 0 || max_op >= MAX_OP {
            return Err(Fault::OperationRange);
        }
        let clock = self.clock(deps());
        let index = self.actors.get(change.actor_id()).copied();
        let before = index.and_then(|i| clock.get(i)).copied().unwrap_or(0);
        let held = index.and_then(|i| self.ranges.get(i)).map_or(0, Vec::len) as u64;
        if change.seq() != before + 1 || held != before {
            return Err(Fault::Sequence);
        }
        if change.deps().is_empty() && !self.changes.is_empty() {
            return Err(Fault::SecondBeginning);
        }
        let touched = self.walk(change, &clock)?;
        if change.deps().is_empty() && !touched.creates {
            return Err(Fault::Collections);
        }
        self.add(
            change.hash().0,
            change.actor_id(),
            (start_op, max_op),
            deps(),
        );
        Ok(touched)
    }

    /// What a change writes to, without checking it or adding it.
    pub(crate) fn touched(&mut self, change: &AmChange) -> Result<Touched, Fault> {
        let clock = self.clock(change.deps().iter().map(|d| d.0));
        self.walk(change, &clock)
    }

    /// Looks at each operation: what it refers to must be in the past, or earlier in the change itself.
    fn walk(&mut self, change: &AmChange, clock: &[u64]) -> Result<Touched, Fault> {
        let me = change.actor_id();
        let start_op = change.start_op().get();
        let mut touched = Touched::default();
        let Self {
            doc,
            actors,
            ranges,
            objects,
            ..
        } = self;
        for (id, op) in (start_op..).zip(&change.decode().operations) {
            let known = |r: &OpId| {
                let own = r.1 == *me && (start_op..id).contains(&r.0);
                own || is_past(actors, ranges, r, clock)
            };
            if !op.pred.iter().all(known) {
                return Err(Fault::Reference);
            }
            let parent = match &op.obj {
                ObjectId::Root => None,
                ObjectId::Id(r) if known(r) => Some(object(doc, objects, r)?),
                ObjectId::Id(_) => return Err(Fault::Reference),
            };
            let fits = match (&op.key, parent.map_or(ObjType::Map, |p| p.kind)) {
                (Key::Map(_), ObjType::Map) => !op.insert,
                (Key::Seq(ElementId::Head), ObjType::List | ObjType::Text) => op.insert,
                (Key::Seq(ElementId::Id(e)), ObjType::List | ObjType::Text) => known(e),
                _ => false,
            };
            if !fits {
                return Err(Fault::Reference);
            }
            let collection = match (parent, &op.key) {
                (Some(parent), _) => parent.collection,
                (None, Key::Map(name)) => {
                    let collection = Collection::from_name(name);
                    if collection.is_some() {
                        // A known collection is created once, and never replaced or removed.
                        let made = matches!(op.action, OpType::Make(ObjType::Map));
                        if !made || !op.pred.is_empty() || !change.deps().is_empty() {
                            return Err(Fault::Collections);
                        }
                        touched.creates = true;
                    }
                    collection
                }
                (None, Key::Seq(_)) => return Err(Fault::Reference),
            };
            if let (Some(collection), Some(_)) = (collection, parent) {
                touched.collections.insert(collection);
            }
            if let OpType::Make(kind) = op.action {
                if kind == ObjType::Table {
                    return Err(Fault::Reference);
                }
                let depth = parent.map_or(0, |p| p.depth) + 1;
                if depth > MAX_DEPTH {
                    return Err(Fault::Nesting);
                }
                objects.insert(
                    (id, me.clone()),
                    Object {
                        collection,
                        kind,
                        depth,
                    },
                );
            }
        }
        Ok(touched)
    }
}

/// Whether an operation is of a change in the past that the clock tells.
fn is_past(
    actors: &HashMap<ActorId, usize>,
    ranges: &[Vec<(u64, u64)>],
    op: &OpId,
    clock: &[u64],
) -> bool {
    let Some(&actor) = actors.get(&op.1) else {
        return false;
    };
    let seen = clock.get(actor).copied().unwrap_or(0);
    let Some(ranges) = ranges.get(actor) else {
        return false;
    };
    let at = ranges.partition_point(|(_, max)| *max < op.0);
    (at as u64) < seen && ranges.get(at).is_some_and(|(start, _)| *start <= op.0)
}

/// The object that an operation made.
fn object(
    doc: &Automerge,
    objects: &mut HashMap<(u64, ActorId), Object>,
    id: &OpId,
) -> Result<Object, Fault> {
    let key = (id.0, id.1.clone());
    if let Some(object) = objects.get(&key) {
        return Ok(*object);
    }
    let object_id = ObjId::Id(id.0, id.1.clone(), 0);
    let kind = doc.object_type(&object_id).map_err(|_| Fault::Reference)?;
    let path = doc
        .parents(&object_id)
        .map_err(|_| Fault::Reference)?
        .path();
    let collection = match path.first() {
        Some((ObjId::Root, Prop::Map(name))) => Collection::from_name(name),
        _ => return Err(Fault::Reference),
    };
    let object = Object {
        collection,
        kind,
        depth: path.len(),
    };
    objects.insert(key, object);
    Ok(object)
}

//! What a foreign change must be, judged by its bytes and its causal past alone.
//!
//! Every replica must come to the same verdict whatever else it holds, so a change is compared only with the
//! changes that it names as its past: its actor's earlier ones, the operations that it refers to, the objects and
//! collections that these belong to. What a change of the past wrote is read from that change, never from the
//! merged document. That each (actor, number) is taken once is not judged here, because it depends on what else
//! arrived ([`crate::sift`]).

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{Automerge, Change as AmChange, ChangeHash, ObjType, ReadDoc};

use crate::apply::{Fault, guard};
use crate::concern::acknowledged;
use crate::graph::{Clock, Graph};
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

/// An operation: actor, counter. The root is (0, 0), as counters start at 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Id {
    actor: u32,
    counter: u32,
}

const ROOT: Id = Id {
    actor: 0,
    counter: 0,
};

/// What an operation is, as far as others that refer to it must know. 40 bytes, where Automerge's own form takes
/// some 200.
#[derive(Clone, Copy)]
struct Written {
    obj: Id,
    /// The element that it writes; of an inserted one, itself.
    element: Id,
    /// Hash of the key that it writes.
    key: [u8; 16],
    /// Whether it makes an object, and of what kind.
    makes: Option<ObjType>,
    insert: bool,
    /// Whether it can be overwritten: it puts a value or makes an object.
    is_value: bool,
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

/// Judges changes by those that a document holds and those admitted since.
pub(crate) struct Judge {
    doc: Automerge,
    pub(crate) graph: Graph,
    /// What changes wrote, as far as it was asked for.
    written: HashMap<usize, Rc<[Written]>>,
    objects: HashMap<Id, Object>,
    keys: [([u8; 16], Collection); Collection::ALL.len()],
}

impl Judge {
    pub(crate) fn of(doc: &Automerge) -> Self {
        Self {
            doc: doc.clone(),
            graph: Graph::of(doc),
            written: HashMap::new(),
            objects: HashMap::new(),
            keys: Collection::ALL.map(|c| (digest(c.as_str()), c)),
        }
    }

    /// Judges a change, all of whose past is here, and adds it if it is sound and `accept` takes what it writes to.
    pub(crate) fn admit(
        &mut self,
        change: &AmChange,
        accept: impl FnOnce(&Touched) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let deps = || change.deps().iter().map(|d| d.0);
        let mut distinct: Vec<[u8; 32]> = deps().collect();
        distinct.sort_unstable();
        if distinct.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(Fault::Malformed("dependencies"));
        }
        let (start_op, len) = (change.start_op().get(), change.len() as u64);
        let max_op = start_op.saturating_add(len).saturating_sub(1);
        let expected = deps()
            .filter_map(|d| self.graph.node(self.graph.find(&d)?))
            .map(|past| past.max_op.max(past.start_op))
            .max()
            .map_or(1, |max| max + 1);
        if start_op != expected || len == 0 || max_op >= MAX_OP {
            return Err(Fault::OperationRange);
        }
        let clock = self.graph.clock(deps());
        let actor = self.graph.actor_or_new(change.actor_id());
        if change.seq() != clock.seen(actor) + 1 {
            return Err(Fault::Sequence);
        }
        let (touched, written) = self.walk(change, &clock)?;
        if change.deps().is_empty() && !touched.creates {
            return Err(Fault::Collections);
        }
        accept(&touched)?;
        let ops = (start_op, max_op);
        let index = self
            .graph
            .add(change.hash().0, change.actor_id(), ops, deps());
        self.written.insert(index, written.into());
        Ok(())
    }

    /// What a change writes to, without adding it. All of its past must be here.
    pub(crate) fn touched(&mut self, change: &AmChange) -> Result<Touched, Fault> {
        let clock = self.graph.clock(change.deps().iter().map(|d| d.0));
        self.walk(change, &clock).map(|(touched, _)| touched)
    }

    /// Looks at each operation: what it refers to must be in the past, or earlier in the change itself, and be what
    /// such an operation can refer to. Automerge drops references that are not, and then cannot load what it saved.
    fn walk(&mut self, change: &AmChange, clock: &Clock) -> Result<(Touched, Vec<Written>), Fault> {
        let expanded = change.decode();
        let mut walk = Walk {
            own: self.graph.actor_or_new(change.actor_id()),
            start: change.start_op().get(),
            begins: change.deps().is_empty(),
            change,
            clock,
            written: Vec::with_capacity(expanded.operations.len()),
            made: HashMap::new(),
            touched: Touched::default(),
            last_key: None,
        };
        for op in &expanded.operations {
            walk.operation(self, op)?;
        }
        // Automerge does not keep a change's bytes but makes them again: of another form, they would get another hash.
        if AmChange::from(expanded).raw_bytes() != change.raw_bytes() {
            return Err(Fault::Malformed("form"));
        }
        Ok((walk.touched, walk.written))
    }

    /// What one operation of the past is.
    fn lookup(&mut self, id: Id) -> Option<Written> {
        let actor = usize::try_from(id.actor).ok()?;
        let index = self.graph.of_op(actor, u64::from(id.counter))?;
        let start = self.graph.node(index)?.start_op;
        let place = usize::try_from(u64::from(id.counter) - start).ok()?;
        if !self.written.contains_key(&index) {
            let written = self.read(index)?;
            self.written.insert(index, written.into());
        }
        self.written.get(&index)?.get(place).copied()
    }

    /// What a change that the document holds wrote.
    fn read(&self, index: usize) -> Option<Vec<Written>> {
        let node = self.graph.node(index)?;
        let change = self.doc.get_change_by_hash(&ChangeHash(node.hash))?;
        let expanded = change.decode();
        let mut keys = None;
        let mut written = Vec::with_capacity(expanded.operations.len());
        for (counter, op) in (node.start_op..).zip(&expanded.operations) {
            let me = self.id(counter, node.actor)?;
            let by = |r: &OpId| self.id(r.0, self.graph.actor(&r.1)?);
            written.push(compact(op, me, by, &mut keys)?);
        }
        Some(written)
    }

    fn id(&self, counter: u64, actor: usize) -> Option<Id> {
        Some(Id {
            actor: u32::try_from(actor).ok()?,
            counter: u32::try_from(counter).ok()?,
        })
    }

    /// The object that an operation of the past made.
    fn object(&mut self, id: Id) -> Result<Object, Fault> {
        if let Some(object) = self.objects.get(&id) {
            return Ok(*object);
        }
        let written = self.lookup(id).ok_or(Fault::Reference)?;
        let kind = written.makes.ok_or(Fault::Reference)?;
        let object = if written.obj == ROOT {
            let mut keys = self.keys.iter();
            let known = keys.find(|(key, _)| *key == written.key);
            Object {
                collection: known.map(|(_, collection)| *collection),
                kind,
                depth: 1,
            }
        } else {
            // Counters fall from child to parent, so this ends; and whatever was admitted is not deep.
            let parent = self.object(written.obj)?;
            Object {
                collection: parent.collection,
                kind,
                depth: parent.depth + 1,
            }
        };
        self.objects.insert(id, object);
        Ok(object)
    }
}

/// Whether a change that follows no other is the sound beginning of a record.
pub(crate) fn begins(change: &AmChange) -> bool {
    let empty = Automerge::new();
    guard(|| Judge::of(&empty).admit(change, |_| Ok(())).is_ok()).unwrap_or(false)
}

/// One change on its way.
struct Walk<'c> {
    change: &'c AmChange,
    clock: &'c Clock,
    /// The change's actor.
    own: usize,
    start: u64,
    begins: bool,
    written: Vec<Written>,
    made: HashMap<Id, Object>,
    touched: Touched,
    last_key: LastKey,
}

impl Walk<'_> {
    fn operation(&mut self, judge: &mut Judge, op: &Op) -> Result<(), Fault> {
        let counter = self.start + self.written.len() as u64;
        let me = judge.id(counter, self.own).ok_or(Fault::OperationRange)?;
        let mut last_key = self.last_key.take();
        let known = |r: &OpId| self.known(judge, r, counter);
        let written = compact(op, me, known, &mut last_key).ok_or(Fault::Reference)?;
        self.last_key = last_key;
        let parent = match written.obj {
            ROOT => None,
            id => Some(self.object(judge, id)?),
        };
        let fits = match (&op.key, parent.map_or(ObjType::Map, |p| p.kind)) {
            (Key::Map(_), ObjType::Map) => !op.insert,
            (Key::Seq(ElementId::Head), ObjType::List | ObjType::Text) => op.insert,
            (Key::Seq(ElementId::Id(e)), ObjType::List | ObjType::Text) => {
                // It is written or inserted behind an element of this very object.
                let id = self.known(judge, e, counter).ok_or(Fault::Reference)?;
                let element = self.lookup(judge, id).ok_or(Fault::Reference)?;
                element.insert && element.obj == written.obj
            }
            _ => false,
        };
        if !fits {
            return Err(Fault::Reference);
        }
        let mut before = None;
        for pred in op.pred.iter() {
            let id = self.known(judge, pred, counter).ok_or(Fault::Reference)?;
            let old = self.lookup(judge, id).ok_or(Fault::Reference)?;
            let same = old.obj == written.obj
                && old.key == written.key
                && old.element == written.element
                && old.is_value;
            if !same || op.insert || before == Some(id) {
                return Err(Fault::Reference);
            }
            before = Some(id);
        }
        let needs_pred = matches!(op.action, OpType::Delete | OpType::Increment(_));
        if needs_pred && op.pred.is_empty() {
            return Err(Fault::Reference);
        }
        let collection = match (parent, &op.key) {
            (Some(parent), _) => {
                self.touched.collections.extend(parent.collection);
                parent.collection
            }
            (None, Key::Map(name)) => self.at_root(name, op)?,
            (None, Key::Seq(_)) => return Err(Fault::Reference),
        };
        if let Some(kind) = written.makes {
            let depth = parent.map_or(0, |p| p.depth) + 1;
            if kind == ObjType::Table {
                return Err(Fault::Reference);
            }
            if depth > MAX_DEPTH {
                return Err(Fault::Nesting);
            }
            let object = Object {
                collection,
                kind,
                depth,
            };
            self.made.insert(me, object);
        }
        self.written.push(written);
        Ok(())
    }

    /// The collection that a key at the root is.
    fn at_root(&mut self, name: &str, op: &Op) -> Result<Option<Collection>, Fault> {
        if let Some(collection) = acknowledged(name) {
            if !matches!(op.action, OpType::Put(_)) {
                return Err(Fault::Collections);
            }
            self.touched.collections.insert(collection);
            return Ok(None);
        }
        let collection = Collection::from_name(name);
        if collection.is_some() {
            // A known collection is created once, and never replaced or removed.
            let made = matches!(op.action, OpType::Make(ObjType::Map));
            if !made || !op.pred.is_empty() || !self.begins {
                return Err(Fault::Collections);
            }
            self.touched.creates = true;
        }
        Ok(collection)
    }

    /// The id of an operation that a change may refer to: one in its past, or earlier in itself.
    fn known(&self, judge: &Judge, r: &OpId, now: u64) -> Option<Id> {
        if r.1 == *self.change.actor_id() && (self.start..now).contains(&r.0) {
            return judge.id(r.0, self.own);
        }
        let actor = judge.graph.actor(&r.1)?;
        let node = judge.graph.node(judge.graph.of_op(actor, r.0)?)?;
        (node.seq <= self.clock.seen(actor))
            .then(|| judge.id(r.0, actor))
            .flatten()
    }

    fn lookup(&self, judge: &mut Judge, id: Id) -> Option<Written> {
        let own = u32::try_from(self.own) == Ok(id.actor);
        match u64::from(id.counter).checked_sub(self.start) {
            Some(place) if own => self.written.get(usize::try_from(place).ok()?).copied(),
            _ => judge.lookup(id),
        }
    }

    fn object(&self, judge: &mut Judge, id: Id) -> Result<Object, Fault> {
        match self.made.get(&id) {
            Some(object) => Ok(*object),
            None if u32::try_from(self.own) == Ok(id.actor)
                && u64::from(id.counter) >= self.start =>
            {
                Err(Fault::Reference)
            }
            None => judge.object(id),
        }
    }
}

/// The key hashed last: keys come in runs.
type LastKey = Option<(String, [u8; 16])>;

/// An operation in short; `None` if it refers to what `by` does not know.
fn compact(
    op: &Op,
    me: Id,
    by: impl Fn(&OpId) -> Option<Id>,
    last: &mut LastKey,
) -> Option<Written> {
    let obj = match &op.obj {
        ObjectId::Root => ROOT,
        ObjectId::Id(r) => by(r)?,
    };
    let (element, key) = match &op.key {
        Key::Map(name) => {
            let known = last.as_ref().filter(|(key, _)| key == name.as_str());
            let key = match known {
                Some((_, digest)) => *digest,
                None => digest(name),
            };
            if known.is_none() {
                *last = Some((name.to_string(), key));
            }
            (ROOT, key)
        }
        Key::Seq(_) if op.insert => (me, [0; 16]),
        Key::Seq(ElementId::Head) => (ROOT, [0; 16]),
        Key::Seq(ElementId::Id(e)) => (by(e)?, [0; 16]),
    };
    Some(Written {
        obj,
        element,
        key,
        makes: match op.action {
            OpType::Make(kind) => Some(kind),
            _ => None,
        },
        insert: op.insert,
        is_value: matches!(op.action, OpType::Make(_) | OpType::Put(_)),
    })
}

/// A key by 16 bytes of its hash: as good as the key itself, and of one size.
fn digest(key: &str) -> [u8; 16] {
    let mut digest = [0; 16];
    blake3::Hasher::new()
        .update(key.as_bytes())
        .finalize_xof()
        .fill(&mut digest);
    digest
}

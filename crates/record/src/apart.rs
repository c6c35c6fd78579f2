//! Which writes of a merged document were made apart: what concerns are found from.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, ObjId, ObjType, ROOT, ReadDoc, ValueRef};
use serde_json::Value;

use crate::concern::{
    ACKNOWLEDGED, Concern, ConcernKind, ConcernWrite, MAX_CONCERNS, acknowledgement,
};
use crate::field::{Field, from_fields, names};
use crate::graph::Graph;
use crate::item::Stored;
use crate::model::{AllergyIntolerance, Condition, Medication};
use crate::read::{Roots, item_fields, maps};
use crate::substance::Substance;

/// Most items of one collection that are compared with each other: those written apart, by id.
const MAX_ITEMS: usize = 512;

/// Most changes of one item that are compared with others', the latest: a hostile member can make any number.
const MAX_WRITES: usize = 64;

/// By what concerns are acknowledged under ([`acknowledgement`]): the changes that do.
pub(crate) fn seen(doc: &Automerge, graph: &Graph) -> BTreeMap<String, Vec<usize>> {
    let mut seen = BTreeMap::new();
    for entry in doc.map_range(ROOT, ACKNOWLEDGED.to_owned()..) {
        let Some(path) = entry.key.strip_prefix(ACKNOWLEDGED) else {
            break;
        };
        let ids = match entry.conflict {
            true => doc.get_all(ROOT, entry.key.as_ref()).unwrap_or_default(),
            false => vec![(automerge::Value::from(0), entry.id())],
        };
        let nodes = ids
            .iter()
            .filter_map(|(_, id)| node_of(graph, id))
            .collect();
        seen.insert(path.to_owned(), nodes);
    }
    seen
}

/// The change that an operation belongs to.
fn node_of(graph: &Graph, id: &ObjId) -> Option<usize> {
    match id {
        ObjId::Id(counter, actor, _) => graph.of_op(graph.actor(actor)?, *counter),
        ObjId::Root => None,
    }
}

/// A value that stands in the document, and the change that wrote it.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) field: String,
    pub(crate) node: usize,
    pub(crate) value: Value,
}

/// Chooses writes.
pub(crate) type Which<'f> = &'f dyn Fn(&Written) -> bool;

/// An item that something was written to apart from something else.
pub(crate) struct Touched<I> {
    pub(crate) path: String,
    pub(crate) label: String,
    pub(crate) item: I,
    pub(crate) substance: Substance,
    pub(crate) writes: Vec<Written>,
}

impl<I> Touched<I> {
    /// Whether a change with both in its past has written to the item.
    fn settles(&self, graph: &Graph, a: usize, b: usize) -> bool {
        let mut nodes = self.writes.iter().map(|w| w.node);
        nodes.any(|n| graph.knows(n, a) && graph.knows(n, b))
    }
}

pub(crate) struct Finder<'d> {
    pub(crate) doc: &'d Automerge,
    pub(crate) roots: &'d Roots,
    pub(crate) graph: Graph,
    /// By change: whether any other is concurrent with it.
    pub(crate) apart: Vec<bool>,
    pub(crate) seen: BTreeMap<String, Vec<usize>>,
    pub(crate) found: Vec<Concern>,
}

impl Finder<'_> {
    /// The items of a collection that were written to apart, by id.
    pub(crate) fn items<I: Stored + Coded>(&self) -> Vec<Touched<I>> {
        let root = self.roots.get(I::COLLECTION);
        let mut items = Vec::new();
        for entry in self.doc.map_range(root, ..) {
            let found = match (entry.conflict, &entry.value) {
                (true, _) => maps(self.doc, root, &entry.key),
                (false, ValueRef::Object(ObjType::Map)) => vec![entry.id()],
                _ => continue,
            };
            let writes = self.writes(&found);
            let is_apart = |w: &Written| self.apart.get(w.node).copied().unwrap_or(false);
            if !writes.iter().any(is_apart) {
                continue;
            }
            let fields = item_fields(self.doc, &found, names::<I>());
            let fields = fields.iter().map(|(k, v)| (k.as_ref(), v));
            let item: I = from_fields(&entry.key, fields, &mut Vec::new());
            let path = format!("{}/{}", I::COLLECTION, entry.key);
            let label = match crate::describe::shorten(item.label()) {
                empty if empty.is_empty() => crate::describe::shorten(&entry.key),
                label => label,
            };
            items.push(Touched {
                path,
                label,
                substance: Substance::of(item.code()),
                item,
                writes,
            });
            if items.len() == MAX_ITEMS {
                break;
            }
        }
        items
    }

    /// What stands in an item and who wrote it, each change once a field.
    fn writes(&self, maps: &[ObjId]) -> Vec<Written> {
        let mut writes = Vec::new();
        for map in maps {
            for entry in self.doc.map_range(map, ..) {
                let value_of =
                    |value: Option<Field<'_>>| value.map_or(Value::Null, |f| f.to_value());
                if !entry.conflict {
                    if let Some(node) = node_of(&self.graph, &entry.id()) {
                        writes.push(Written {
                            field: entry.key.to_string(),
                            node,
                            value: value_of(Field::read(entry.value)),
                        });
                    }
                    continue;
                }
                let mut nodes = BTreeSet::new();
                for (value, id) in self
                    .doc
                    .get_all(map, entry.key.as_ref())
                    .unwrap_or_default()
                {
                    if let Some(node) = node_of(&self.graph, &id)
                        && nodes.insert(node)
                    {
                        writes.push(Written {
                            field: entry.key.to_string(),
                            node,
                            value: value_of(Field::read_value(&value)),
                        });
                    }
                }
            }
        }
        if writes.len() > MAX_WRITES {
            // The latest, by what all replicas number alike.
            let order = |w: &Written| self.graph.node(w.node).map(|n| (n.start_op, n.hash));
            writes.sort_by_key(|w| std::cmp::Reverse(order(w)));
            writes.truncate(MAX_WRITES);
        }
        writes
    }

    /// The writes of two items that were made apart and that nobody has settled.
    pub(crate) fn apart<A, B>(
        &self,
        (a, of_a): (&Touched<A>, Which<'_>),
        (b, of_b): (&Touched<B>, Which<'_>),
    ) -> Vec<ConcernWrite> {
        let seen = self.seen.get(&acknowledgement(&[&a.path, &b.path]));
        let acknowledged = |x: usize, y: usize| {
            let mut nodes = seen.into_iter().flatten();
            nodes.any(|n| self.graph.knows(*n, x) && self.graph.knows(*n, y))
        };
        let mut chosen: BTreeSet<(bool, usize)> = BTreeSet::new();
        for (i, x) in a.writes.iter().enumerate().filter(|(_, w)| of_a(w)) {
            for (j, y) in b.writes.iter().enumerate().filter(|(_, w)| of_b(w)) {
                if self.graph.concurrent(x.node, y.node)
                    && !a.settles(&self.graph, x.node, y.node)
                    && !b.settles(&self.graph, x.node, y.node)
                    && !acknowledged(x.node, y.node)
                {
                    chosen.insert((false, i));
                    chosen.insert((true, j));
                }
            }
        }
        let writes = chosen
            .into_iter()
            .filter_map(|(second, place)| match second {
                false => self.told(&a.path, a.writes.get(place)?),
                true => self.told(&b.path, b.writes.get(place)?),
            });
        sorted(writes.collect())
    }

    /// A write as callers see it.
    pub(crate) fn told(&self, item: &str, write: &Written) -> Option<ConcernWrite> {
        let node = self.graph.node(write.node)?;
        let path = match write.field.as_str() {
            "" => item.to_owned(),
            field => format!("{item}/{field}"),
        };
        Some(ConcernWrite {
            path,
            value: write.value.clone(),
            change: node.hash,
            actor: self.graph.actor_id(node.actor)?.to_bytes().to_vec(),
        })
    }

    /// Adds a concern, if any writes speak for it.
    pub(crate) fn raise(
        &mut self,
        kind: ConcernKind,
        items: &[&str],
        writes: Vec<ConcernWrite>,
        sentence: impl FnOnce() -> String,
    ) {
        // Room for all kinds: the list is sorted before it is cut.
        if !writes.is_empty() && self.found.len() < MAX_CONCERNS * 8 {
            self.found.push(Concern {
                kind,
                items: items.iter().map(|i| (*i).to_owned()).collect(),
                sentence: sentence(),
                writes,
            });
        }
    }
}

/// What can be looked up by its code.
pub(crate) trait Coded {
    fn code(&self) -> &crate::model::CodeableConcept;
}

impl Coded for AllergyIntolerance {
    fn code(&self) -> &crate::model::CodeableConcept {
        &self.code
    }
}

impl Coded for Condition {
    fn code(&self) -> &crate::model::CodeableConcept {
        &self.code
    }
}

impl Coded for Medication {
    fn code(&self) -> &crate::model::CodeableConcept {
        &self.code
    }
}

/// By path, then change; each once.
pub(crate) fn sorted(mut writes: Vec<ConcernWrite>) -> Vec<ConcernWrite> {
    writes.sort_by(|a, b| (&a.path, a.change).cmp(&(&b.path, b.change)));
    writes.dedup_by(|a, b| (&a.path, a.change) == (&b.path, b.change));
    writes
}

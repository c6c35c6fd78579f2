//! Items removed at one place and changed at another: the merged document shows neither, so the changes are asked.
//!
//! This version removes no items, but a later one or another program may. Only changes that another is concurrent with
//! are looked into.

use std::collections::{BTreeMap, HashMap};

use automerge::legacy::{Key, ObjectId, OpId, OpType};
use automerge::{ChangeHash, ObjId, ReadDoc};
use serde_json::Value;

use crate::apart::{Finder, Written, sorted};
use crate::concern::ConcernKind;
use crate::field::Field;
use crate::model::CodeableConcept;
use crate::read::maps;
use crate::schema::Collection;

/// Most operations that are looked into; beyond, removals are not found. A guess: far above what clinics write apart
/// between two syncs, and some 50 ms.
const MAX_OPS: usize = 1 << 17;

/// One item's removals.
struct Removal {
    collection: Collection,
    id: String,
    node: usize,
    /// The maps that were removed.
    maps: Vec<OpId>,
}

pub(crate) fn find(finder: &mut Finder<'_>) {
    let collections = [
        Collection::Allergies,
        Collection::Conditions,
        Collection::Medications,
    ];
    let roots: Vec<(Collection, OpId)> = collections
        .into_iter()
        .filter_map(|collection| match finder.roots.get(collection) {
            ObjId::Id(counter, actor, _) => Some((collection, OpId(*counter, actor.clone()))),
            ObjId::Root => None,
        })
        .collect();
    let mut removals: Vec<Removal> = Vec::new();
    // By map: what was written into it apart.
    let mut written: HashMap<OpId, Vec<Written>> = HashMap::new();
    let mut ops = 0;
    for (node, apart) in finder.apart.iter().enumerate() {
        let hash = finder.graph.node(node).map(|n| ChangeHash(n.hash));
        let Some(change) = hash
            .filter(|_| *apart)
            .and_then(|hash| finder.doc.get_change_by_hash(&hash))
        else {
            continue;
        };
        ops += change.len();
        if ops > MAX_OPS {
            return;
        }
        for op in change.decode().operations {
            let (ObjectId::Id(obj), Key::Map(key)) = (op.obj, op.key) else {
                continue;
            };
            let root = roots.iter().find(|(_, root)| *root == obj);
            match (root, &op.action) {
                (Some((collection, _)), OpType::Delete) => removals.push(Removal {
                    collection: *collection,
                    id: key.to_string(),
                    node,
                    maps: op.pred.iter().cloned().collect(),
                }),
                (None, OpType::Put(scalar)) => {
                    let value = automerge::Value::Scalar(std::borrow::Cow::Borrowed(scalar));
                    let value = Field::read_value(&value).map_or(Value::Null, |f| f.to_value());
                    written.entry(obj).or_default().push(Written {
                        field: key.to_string(),
                        node,
                        value,
                    });
                }
                _ => {}
            }
        }
    }
    let mut by_item: BTreeMap<String, Vec<Removal>> = BTreeMap::new();
    for removal in removals {
        let root = finder.roots.get(removal.collection);
        if maps(finder.doc, root, &removal.id).is_empty() {
            let path = format!("{}/{}", removal.collection, removal.id);
            by_item.entry(path).or_default().push(removal);
        }
    }
    for (path, removals) in by_item {
        item(finder, &path, &removals, &written);
    }
}

fn item(
    finder: &mut Finder<'_>,
    path: &str,
    removals: &[Removal],
    written: &HashMap<OpId, Vec<Written>>,
) {
    let seen = finder.seen.get(path).cloned().unwrap_or_default();
    let mut writes = Vec::new();
    // What it was called by the latest of the changes, by what all replicas number alike.
    let mut label: Option<((u64, [u8; 32]), String)> = None;
    for removal in removals {
        let edits = removal
            .maps
            .iter()
            .filter_map(|map| Some((map, written.get(map)?)));
        for (map, edits) in edits {
            for edit in edits {
                let graph = &finder.graph;
                let both = |n: &usize| graph.knows(*n, edit.node) && graph.knows(*n, removal.node);
                if !graph.concurrent(edit.node, removal.node) || seen.iter().any(both) {
                    continue;
                }
                let order = graph.node(edit.node).map(|n| (n.start_op, n.hash));
                if let Some(order) = order
                    && label.as_ref().is_none_or(|(other, _)| *other < order)
                    && let Some(words) = called(finder, map, edit.node)
                {
                    label = Some((order, words));
                }
                writes.extend(finder.told(path, edit));
                let gone = Written {
                    field: String::new(),
                    node: removal.node,
                    value: Value::Null,
                };
                writes.extend(finder.told(path, &gone));
            }
        }
    }
    let Some(collection) = removals.first().map(|r| r.collection) else {
        return;
    };
    finder.raise(ConcernKind::ItemRemoved, &[path], sorted(writes), || {
        let (what, label) = (
            collection.singular(),
            label.map_or_else(String::new, |(_, words)| words),
        );
        let name = format!("{what} {label}");
        let name = name.trim_end();
        format!(
            "the {name} was removed at one place while it was changed at another, and is not shown"
        )
    });
}

/// What an item was called when it was changed.
fn called(finder: &Finder<'_>, map: &OpId, node: usize) -> Option<String> {
    let heads = [ChangeHash(finder.graph.node(node)?.hash)];
    let map = ObjId::Id(map.0, map.1.clone(), 0);
    let (value, _) = finder.doc.get_at(&map, "code", &heads).ok()??;
    let code = Field::read_value(&value)?.to_value();
    let code: CodeableConcept = serde_json::from_value(code).ok()?;
    Some(crate::describe::shorten(code.label()))
}

//! Concurrent values: kept, shown, and settled by a person.

use automerge::{Automerge, ObjId, ObjType, ReadDoc, Value as AmValue, ValueRef};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::apply::guard;
use crate::field::{Field, from_fields, names};
use crate::item::{Stored, with_type};
use crate::read::{Roots, item_fields, maps};
use crate::schema::{Collection, FieldPath};

/// A field to which several clinics gave different values, none of them knowing of the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// Where: `patient/phone`, `conditions/<id>/clinical_status`. [`crate::Edit::Resolve`] takes it.
    pub path: String,
    /// Where, in words: `phone`, `clinical status of condition Asthma`.
    pub label: String,
    /// The values, the one shown in the view first.
    pub values: Vec<ConflictValue>,
}

/// One of a conflict's values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictValue {
    /// The value; null if this version cannot read it.
    pub value: Value,
    /// Hash of the change that wrote it: its entry says who and when.
    pub change: [u8; 32],
    /// Automerge actor that wrote it.
    pub actor: Vec<u8>,
    /// Whether it is the one that the view shows.
    pub winner: bool,
}

/// Most values listed for one field; beyond, the latest are.
const MAX_VALUES: usize = 64;

/// Finds all conflicts, in the order of the collections.
pub(crate) fn conflicts(doc: &Automerge) -> Vec<Conflict> {
    guard(|| find(doc)).unwrap_or_default()
}

fn find(doc: &Automerge) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let Some(roots) = Roots::of(doc) else {
        return conflicts;
    };
    let finder = Finder { doc };
    for collection in Collection::ALL {
        let root = roots.get(collection);
        match collection {
            Collection::Patient => {
                finder.item(collection, "", std::slice::from_ref(root), &mut conflicts);
            }
            // Marks of one source differ in when it was imported, which nobody needs to settle.
            Collection::Sources => {}
            _ => {
                for entry in doc.map_range(root, ..) {
                    let found = match (entry.conflict, &entry.value) {
                        (true, _) => maps(doc, root, &entry.key),
                        (false, ValueRef::Object(ObjType::Map)) => vec![entry.id()],
                        _ => continue,
                    };
                    finder.item(collection, &entry.key, &found, &mut conflicts);
                }
            }
        }
    }
    conflicts
}

struct Finder<'d> {
    doc: &'d Automerge,
}

impl Finder<'_> {
    fn item(&self, collection: Collection, id: &str, maps: &[ObjId], out: &mut Vec<Conflict>) {
        let known = with_type!(collection, names(), return);
        let mut suspects: Vec<String> = Vec::new();
        for map in maps {
            for entry in self.doc.map_range(map, ..) {
                let key = entry.key.as_ref();
                if (entry.conflict || maps.len() > 1)
                    && known.contains(&key)
                    && !suspects.iter().any(|s| s == key)
                {
                    suspects.push(entry.key.into_owned());
                }
            }
        }
        suspects.sort();
        for field in suspects {
            let values = self.values(maps, &field);
            let Some((first, others)) = values.split_first() else {
                continue;
            };
            if others.iter().all(|v| v.value == first.value) {
                continue;
            }
            let words = field.replace('_', " ");
            let label = match collection {
                Collection::Patient => words,
                _ => {
                    let item = with_type!(collection, label(self.doc, id, maps), String::new());
                    format!("{words} of {} {item}", collection.singular())
                }
            };
            let path = FieldPath {
                collection,
                id: id.to_owned(),
                field,
            }
            .to_string();
            out.push(Conflict {
                path,
                label: label.trim_end().to_owned(),
                values,
            });
        }
    }

    /// The concurrent values of one field, the latest first.
    fn values(&self, maps: &[ObjId], field: &str) -> Vec<ConflictValue> {
        let mut found = Vec::new();
        for map in maps {
            found.extend(self.doc.get_all(map, field).unwrap_or_default());
        }
        found.sort_by(|(_, a), (_, b)| b.cmp(a));
        found.truncate(MAX_VALUES);
        found
            .into_iter()
            .enumerate()
            .map(|(place, (value, id))| ConflictValue {
                value: match &value {
                    AmValue::Object(ObjType::Text) => {
                        self.doc.text(&id).map_or(Value::Null, Value::String)
                    }
                    other => Field::read_value(other).map_or(Value::Null, |f| f.to_value()),
                },
                change: self.doc.hash_for_opid(&id).map_or([0; 32], |h| h.0),
                actor: match &id {
                    ObjId::Id(_, actor, _) => actor.to_bytes().to_vec(),
                    ObjId::Root => Vec::new(),
                },
                winner: place == 0,
            })
            .collect()
    }
}

/// What an item is called.
fn label<I: Stored>(doc: &Automerge, id: &str, maps: &[ObjId]) -> String {
    let fields = item_fields(doc, maps, names::<I>());
    let item: I = from_fields(
        id,
        fields.iter().map(|(k, v)| (k.as_ref(), v)),
        &mut Vec::new(),
    );
    let label = crate::describe::shorten(item.label());
    if label.is_empty() {
        id.to_owned()
    } else {
        label
    }
}

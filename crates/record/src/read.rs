//! Reading the document's maps, from a document or from within a transaction.

use std::borrow::Cow;
use std::collections::BTreeMap;

use automerge::{ObjId, ObjType, ROOT, ReadDoc, Value, ValueRef};

use crate::field::{Field, Fields};
use crate::schema::Collection;

/// The maps at the root of a document, one per collection.
pub(crate) struct Roots(Vec<ObjId>);

impl Roots {
    /// Finds them; `None` if the document was not created as a record (or nothing of it has arrived yet).
    pub(crate) fn of<D: ReadDoc>(doc: &D) -> Option<Self> {
        Collection::ALL
            .into_iter()
            .map(|c| match doc.get(ROOT, c.as_str()) {
                Ok(Some((Value::Object(ObjType::Map), id))) => Some(id),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    pub(crate) fn get(&self, collection: Collection) -> &ObjId {
        // `of` filled all of them, in the order of the enum.
        self.0.get(collection as usize).unwrap_or(&ROOT)
    }

    /// The maps that hold the fields at one place: the item's own, the winner first; for the patient the root
    /// map. Several mean that the item was created concurrently.
    pub(crate) fn maps<D: ReadDoc>(&self, doc: &D, collection: Collection, id: &str) -> Vec<ObjId> {
        match collection {
            Collection::Patient => vec![self.get(collection).clone()],
            _ => maps(doc, self.get(collection), id),
        }
    }
}

/// The map objects under one key, the winner first.
pub(crate) fn maps<D: ReadDoc>(doc: &D, parent: &ObjId, key: &str) -> Vec<ObjId> {
    let values = doc.get_all(parent, key).unwrap_or_default();
    values
        .into_iter()
        .rev()
        .filter(|(value, _)| matches!(value, Value::Object(ObjType::Map)))
        .map(|(_, id)| id)
        .collect()
}

/// The fields of an item that this version knows, merged over all maps that hold it: of several values the one
/// written last (by Lamport time, as Automerge itself decides) is shown. A text object reads as its text.
pub(crate) fn item_fields<'d, D: ReadDoc>(
    doc: &'d D,
    maps: &[ObjId],
    known: &[&str],
) -> Fields<'d> {
    let mut fields = Fields::new();
    let mut written: BTreeMap<String, ObjId> = BTreeMap::new();
    for map in maps {
        for entry in doc.map_range(map, ..) {
            if !known.contains(&entry.key.as_ref()) {
                continue;
            }
            if maps.len() > 1 {
                let id = entry.id();
                match written.get(entry.key.as_ref()) {
                    Some(other) if *other > id => continue,
                    _ => written.insert(entry.key.to_string(), id),
                };
            }
            let field = match entry.value {
                ValueRef::Object(ObjType::Text) => doc
                    .text(entry.id())
                    .map_or(Field::Foreign, |t| Field::Text(Cow::Owned(t))),
                ValueRef::Object(_) => Field::Foreign,
                scalar => Field::read(scalar).unwrap_or(Field::Foreign),
            };
            fields.insert(entry.key, field);
        }
    }
    fields
}

/// Where an item's text object is: the one written last, among all maps that hold the item.
pub(crate) fn text_object<D: ReadDoc>(doc: &D, maps: &[ObjId], key: &str) -> Option<ObjId> {
    maps.iter()
        .filter_map(|map| match doc.get(map, key) {
            Ok(Some((Value::Object(ObjType::Text), id))) => Some(id),
            _ => None,
        })
        .max()
}

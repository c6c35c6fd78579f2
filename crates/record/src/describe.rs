//! What a change did, in a few short lines.

use std::collections::BTreeMap;

use automerge::{
    Automerge, ChangeHash, ObjId, ObjType, Patch, PatchAction, Prop, ROOT, ReadDoc,
    Value as AmValue,
};
use serde_json::Value;

use crate::concern::{ACKNOWLEDGED, item_path};
use crate::field::Field;
use crate::schema::Collection;

/// Most lines of one description.
pub const MAX_DESCRIPTION_LINES: usize = 32;

/// From this many on, new items of one collection are counted instead of named.
const MANY_ADDED: usize = 6;

/// Longest value shown, in letters.
const MAX_SHOWN: usize = 80;

/// What happened to one item.
#[derive(Default)]
struct Happened {
    added: bool,
    removed: bool,
    /// Field: the map that holds it.
    fields: BTreeMap<String, ObjId>,
    /// Letters that came into its text, and letters that left it.
    letters: (usize, usize),
    /// Somebody saw what was written to it apart.
    reviewed: bool,
}

/// Describes what differs between two states.
pub(crate) fn describe(
    doc: &Automerge,
    before: &[ChangeHash],
    after: &[ChangeHash],
) -> Vec<String> {
    let mut items: BTreeMap<(Collection, String), Happened> = BTreeMap::new();
    let mut created = false;
    for patch in doc.diff(before, after) {
        sort_in(&patch, &mut items, &mut created);
    }
    let mut lines = Vec::new();
    if created {
        lines.push("record created".to_owned());
    }
    let teller = Teller { doc, before, after };
    for collection in Collection::ALL {
        let of = |c: Collection| move |((other, _), _): &(&(Collection, String), _)| *other == c;
        let added = items
            .iter()
            .filter(of(collection))
            .filter(|(_, h)| h.added)
            .count();
        if added >= MANY_ADDED {
            lines.push(format!("{added} {} added", collection.plural()));
        }
        for ((_, id), happened) in items.iter().filter(of(collection)) {
            if happened.added && added >= MANY_ADDED {
                continue;
            }
            teller.item(collection, id, happened, &mut lines);
            // Each item is a line at least; the exact cut is made below.
            if lines.len() > MAX_DESCRIPTION_LINES * 2 {
                break;
            }
        }
    }
    if lines.len() > MAX_DESCRIPTION_LINES {
        lines.truncate(MAX_DESCRIPTION_LINES - 1);
        lines.push("and more".to_owned());
    }
    lines
}

/// Notes what a patch says under the item that it is about.
fn sort_in(
    patch: &Patch,
    items: &mut BTreeMap<(Collection, String), Happened>,
    created: &mut bool,
) {
    let mut keys = patch.path.iter().map(|(_, prop)| match prop {
        Prop::Map(key) => key.as_str(),
        Prop::Seq(_) => "",
    });
    let (put, deleted) = match &patch.action {
        PatchAction::PutMap { key, .. }
        | PatchAction::Conflict {
            prop: Prop::Map(key),
        } => (Some(key.as_str()), None),
        PatchAction::DeleteMap { key } => (None, Some(key.as_str())),
        _ => (None, None),
    };
    let key = put.or(deleted);
    let Some(root) = keys.next() else {
        *created |= key.and_then(Collection::from_name).is_some();
        let items_of = key.and_then(|key| key.strip_prefix(ACKNOWLEDGED));
        for item in items_of.into_iter().flat_map(|items| items.split('+')) {
            if let Some((collection, id)) = item_path(item) {
                let item = items.entry((collection, id.to_owned())).or_default();
                item.reviewed = true;
            }
        }
        return;
    };
    let Some(collection) = Collection::from_name(root) else {
        return;
    };
    let id = match collection {
        Collection::Patient => Some(""),
        _ => keys.next(),
    };
    let Some(id) = id else {
        // The patch is about the collection itself: an item came or went.
        let Some(key) = key else { return };
        let happened = items.entry((collection, key.to_owned())).or_default();
        match &patch.action {
            PatchAction::PutMap {
                conflict: false, ..
            } => happened.added = true,
            PatchAction::DeleteMap { .. } => happened.removed = true,
            _ => {}
        }
        return;
    };
    let happened = items.entry((collection, id.to_owned())).or_default();
    match (keys.next(), key) {
        (None, Some(field)) => {
            happened.fields.insert(field.to_owned(), patch.obj.clone());
        }
        (Some("text"), None) => match &patch.action {
            PatchAction::SpliceText { value, .. } => {
                happened.letters.0 += value.make_string().chars().count();
            }
            PatchAction::DeleteSeq { length, .. } => happened.letters.1 += length,
            _ => {}
        },
        _ => {}
    }
}

struct Teller<'d> {
    doc: &'d Automerge,
    before: &'d [ChangeHash],
    after: &'d [ChangeHash],
}

impl Teller<'_> {
    fn item(&self, collection: Collection, id: &str, happened: &Happened, out: &mut Vec<String>) {
        let name = match collection {
            Collection::Patient => String::new(),
            _ => self.name(collection, id),
        };
        if happened.removed {
            out.push(format!("{name} removed"));
            return;
        }
        if happened.added {
            out.push(match happened.letters.0 {
                0 => format!("{name} added"),
                letters => format!("{name} added, {letters} characters"),
            });
            return;
        }
        for (field, map) in &happened.fields {
            let words = field.replace('_', " ");
            let old = self.value(map, field, self.before);
            let new = self.value(map, field, self.after);
            let change = match (old, new) {
                (Some(old), Some(new)) if old == new => format!("{words}: conflict over {new}"),
                (Some(old), Some(new)) => format!("{words}: {old} -> {new}"),
                (None, Some(new)) => format!("{words}: {new}"),
                (Some(old), None) => format!("{words} removed (was {old})"),
                (None, None) => continue,
            };
            out.push(if name.is_empty() {
                change
            } else {
                format!("{name}, {change}")
            });
        }
        if happened.reviewed {
            out.push(format!("{name} reviewed"));
        }
        let (came, left) = happened.letters;
        if came + left > 0 {
            out.push(format!(
                "{name} edited, {came} characters added, {left} removed"
            ));
        }
    }

    /// `observation Blood pressure`.
    fn name(&self, collection: Collection, id: &str) -> String {
        let field = match collection {
            Collection::Notes => "author",
            Collection::Sources => "name",
            _ => "code",
        };
        let label = self.map(ROOT, collection.as_str()).and_then(|root| {
            let item = self.map(root, id)?;
            self.value(&item, field, self.after)
        });
        let what = collection.singular();
        match (collection, label) {
            (_, None) => what.to_owned(),
            (Collection::Notes, Some(author)) => format!("note of {author}"),
            (_, Some(label)) => format!("{what} {label}"),
        }
    }

    fn map(&self, parent: ObjId, key: &str) -> Option<ObjId> {
        match self.doc.get_at(&parent, key, self.after) {
            Ok(Some((AmValue::Object(ObjType::Map), id))) => Some(id),
            _ => None,
        }
    }

    fn value(&self, map: &ObjId, field: &str, heads: &[ChangeHash]) -> Option<String> {
        if heads.is_empty() {
            return None;
        }
        let (value, _) = self.doc.get_at(map, field, heads).ok().flatten()?;
        Some(shorten(&show(&Field::read_value(&value)?.to_value())))
    }
}

/// A value in words: what a concept is called, an amount with its unit, the ends of a period.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "(unreadable)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(values) => join(values.iter(), ", "),
        Value::Object(fields) => {
            if let Some(start) = fields.get("start").or(fields.get("end")) {
                return match (fields.get("start"), fields.get("end")) {
                    (Some(start), Some(end)) => format!("{} to {}", show(start), show(end)),
                    (Some(_), None) => format!("from {}", show(start)),
                    _ => format!("until {}", show(start)),
                };
            }
            if let Some(value) = fields.get("value") {
                let parts = [fields.get("comparator"), Some(value), fields.get("unit")];
                return join(parts.into_iter().flatten(), " ");
            }
            // A concept says itself in words; a coding by its display.
            for key in ["text", "display", "code", "coding"] {
                if let Some(words) = fields.get(key) {
                    return show(words);
                }
            }
            join(fields.values(), ", ")
        }
    }
}

fn join<'v>(values: impl Iterator<Item = &'v Value>, between: &str) -> String {
    let shown: Vec<String> = values.map(show).filter(|v| !v.is_empty()).collect();
    shown.join(between)
}

/// One line of bounded length.
pub(crate) fn shorten(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(MAX_SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        line.push('…');
    }
    line
}

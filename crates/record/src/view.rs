//! The typed view of a document.

use automerge::{Automerge, ObjId, ObjType, ReadDoc, ValueRef};
use serde::{Deserialize, Serialize};

use crate::apply::guard;
use crate::field::{from_fields, names};
use crate::item::Stored;
use crate::model::{Note, Patient, RecordContent};
use crate::read::{Roots, item_fields, maps};
use crate::schema::Collection;
use crate::write::hex;

/// All that a record says at its heads. A function of the document alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordView {
    /// The typed record. Of concurrent values the one written last (by Lamport time) stands here; all of them
    /// are in [`crate::Record::conflicts`].
    pub content: RecordContent,
    /// Which sources were imported, by time.
    pub sources: Vec<SourceMark>,
    /// What the document holds but this version cannot read; it is kept, and left out above.
    pub problems: Vec<Problem>,
}

/// A source that was imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceMark {
    /// BLAKE3 hash of the source.
    pub hash: [u8; 32],
    /// What it was called.
    pub name: String,
    /// When it was imported, milliseconds since 1970-01-01 UTC, as the importer's clock claimed.
    pub time_ms: u64,
}

/// Something that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where: `<collection>/<id>/<field>`, `patient/<field>`, or shorter.
    pub path: String,
    /// What is wrong, in words.
    pub what: String,
}

/// Most problems listed: a hostile change can make one of each of its operations.
const MAX_PROBLEMS: usize = 100;

impl RecordView {
    /// Whether this source was imported already.
    pub fn has_source(&self, hash: &[u8; 32]) -> bool {
        self.sources.iter().any(|s| s.hash == *hash)
    }
}

/// Reads the whole document; what cannot be read is listed.
pub(crate) fn view(doc: &Automerge) -> RecordView {
    guard(|| read(doc)).unwrap_or_else(|| RecordView {
        problems: vec![Problem {
            path: String::new(),
            what: "the document is broken".to_owned(),
        }],
        ..RecordView::default()
    })
}

/// Reads who the record is about, and nothing else: a row of an index needs no more.
pub(crate) fn patient(doc: &Automerge) -> Patient {
    guard(|| {
        let roots = Roots::of(doc)?;
        let reader = Reader { doc, roots: &roots };
        Some(reader.patient(&mut Vec::new()))
    })
    .flatten()
    .unwrap_or_default()
}

fn read(doc: &Automerge) -> RecordView {
    let mut view = RecordView::default();
    let Some(roots) = Roots::of(doc) else {
        return view;
    };
    let reader = Reader { doc, roots: &roots };
    let problems = &mut view.problems;
    view.content = RecordContent {
        patient: reader.patient(problems),
        allergies: reader.items(problems),
        conditions: reader.items(problems),
        medications: reader.items(problems),
        observations: reader.items(problems),
        diagnostic_reports: reader.items(problems),
        immunizations: reader.items(problems),
        procedures: reader.items(problems),
        encounters: reader.items(problems),
        notes: reader.items(problems),
    };
    let by_time = |a: &Note, b: &Note| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id));
    view.content.notes.sort_by(by_time);
    view.sources = reader.sources(problems);
    view.problems.truncate(MAX_PROBLEMS);
    view
}

struct Reader<'d> {
    doc: &'d Automerge,
    roots: &'d Roots,
}

impl Reader<'_> {
    fn patient(&self, problems: &mut Vec<Problem>) -> Patient {
        let fields = std::slice::from_ref(self.roots.get(Collection::Patient));
        self.item::<Patient>("", fields, names::<Patient>(), problems)
    }

    /// The items of one collection, by date, then id.
    fn items<I: Stored>(&self, problems: &mut Vec<Problem>) -> Vec<I> {
        let known = names::<I>();
        let mut items = Vec::new();
        self.each(I::COLLECTION, problems, |id, maps, problems| {
            items.push(self.item::<I>(id, maps, known, problems));
        });
        items.sort_by(|a, b| (a.when(), a.id()).cmp(&(b.when(), b.id())));
        items
    }

    /// Calls `f` with the id and the maps of each item.
    fn each(
        &self,
        collection: Collection,
        problems: &mut Vec<Problem>,
        mut f: impl FnMut(&str, &[ObjId], &mut Vec<Problem>),
    ) {
        let root = self.roots.get(collection);
        for entry in self.doc.map_range(root, ..) {
            let found = match (entry.conflict, &entry.value) {
                (false, ValueRef::Object(ObjType::Map)) => vec![entry.id()],
                // Created concurrently: several maps, or a map beside something else.
                (true, _) => maps(self.doc, root, &entry.key),
                (false, _) => Vec::new(),
            };
            if found.is_empty() {
                problem(problems, collection, &entry.key, None, "not an item");
            } else {
                f(&entry.key, &found, problems);
            }
        }
    }

    fn item<I: Stored>(
        &self,
        id: &str,
        maps: &[ObjId],
        known: &[&str],
        problems: &mut Vec<Problem>,
    ) -> I {
        let fields = item_fields(self.doc, maps, known);
        let mut bad = Vec::new();
        let item = from_fields(id, fields.iter().map(|(k, v)| (k.as_ref(), v)), &mut bad);
        for field in bad {
            problem(
                problems,
                I::COLLECTION,
                id,
                Some(&field),
                "not of the field's type",
            );
        }
        item
    }

    fn sources(&self, problems: &mut Vec<Problem>) -> Vec<SourceMark> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Stored {
            name: String,
            time_ms: u64,
        }
        let mut sources = Vec::new();
        self.each(Collection::Sources, problems, |key, maps, problems| {
            let Some(hash) = unhex(key) else {
                problem(problems, Collection::Sources, key, None, "not a hash");
                return;
            };
            let fields = item_fields(self.doc, maps, &["name", "time_ms"]);
            let fields = fields.iter().map(|(k, v)| (k.as_ref(), v));
            let Stored { name, time_ms } = from_fields("", fields, &mut Vec::new());
            sources.push(SourceMark {
                hash,
                name,
                time_ms,
            });
        });
        sources.sort_by_key(|s| (s.time_ms, s.hash));
        sources
    }
}

fn problem(
    problems: &mut Vec<Problem>,
    collection: Collection,
    id: &str,
    field: Option<&str>,
    what: &str,
) {
    if problems.len() < MAX_PROBLEMS {
        let parts = [collection.as_str(), id, field.unwrap_or("")];
        let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        problems.push(Problem {
            path: parts.join("/"),
            what: what.to_owned(),
        });
    }
}

/// 64 lowercase hexadecimal digits as 32 bytes.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    (hex(&bytes) == text).then_some(bytes)
}

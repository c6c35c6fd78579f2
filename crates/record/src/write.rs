//! Carrying out typed edits in one Automerge transaction.

use std::collections::HashMap;
use std::fmt::Write as _;

use automerge::ObjId;
use automerge::hydrate;
use automerge::transaction::Transactable;
use serde_json::Value;

use crate::bulk::{self, NewItem, NewItems};
use crate::concern::{ACKNOWLEDGED, acknowledgement, item_path};
use crate::date::is_date_time;
use crate::edit::{Edit, EditError};
use crate::field::{Field, Fields, fits, from_fields, names, to_fields};
use crate::item::{Stored, with_type};
use crate::model::{AllergyIntolerance, Condition, Item, Medication, Patient, Period, Timing};
use crate::patient;
use crate::read::{Roots, item_fields};
use crate::rules;
use crate::schema::{Collection, FieldPath};
use crate::{MAX_CHANGE_BYTES, MAX_FIELD_BYTES, MAX_ID_BYTES};

/// What one operation costs in a change beside its key and value, in bytes: lengths, and what run-length coding
/// leaves of the ids. An estimate: 1,600 operations of an import took 5.6 each (measured 2026-11-22).
const OP_BYTES: usize = 6;

/// Carries out edits in a transaction.
pub(crate) struct Writer<'t, T> {
    pub(crate) tx: &'t mut T,
    roots: &'t Roots,
    /// Items to create: kept back until the end, because many are cheaper together.
    new: NewItems,
    /// About how many bytes the change will have.
    bytes: usize,
}

impl<'t, T: Transactable> Writer<'t, T> {
    pub(crate) fn new(tx: &'t mut T, roots: &'t Roots) -> Self {
        Self {
            tx,
            roots,
            new: NewItems::default(),
            bytes: 0,
        }
    }

    /// Ends the edits. What remains to be created after the transaction, if it is worth it: the transaction has one
    /// operation at least then.
    pub(crate) fn finish(mut self) -> Result<Vec<NewItem>, EditError> {
        if self.new.len() < bulk::MANY {
            self.create_new(usize::MAX)?;
        } else if self.tx.pending_ops() == 0 {
            self.create_new(1)?;
        }
        Ok(self.new.take(usize::MAX))
    }

    pub(crate) fn edit(&mut self, edit: &Edit) -> Result<(), EditError> {
        match edit {
            Edit::Patient(patient) => self.put(patient),
            Edit::SetPatient { path, value } => {
                let mut patient = self.read::<Patient>("")?;
                patient::set(&mut patient, path, value.as_deref())?;
                self.put(&patient)
            }
            Edit::Put(item) => match item {
                Item::Allergy(i) => self.put(i),
                Item::Condition(i) => self.put(i),
                Item::Medication(i) => self.put(i),
                Item::Observation(i) => self.put(i),
                Item::DiagnosticReport(i) => self.put(i),
                Item::Immunization(i) => self.put(i),
                Item::Procedure(i) => self.put(i),
                Item::Encounter(i) => self.put(i),
            },
            Edit::NewNote(note) => self.put(note),
            Edit::AppendNote { id, text } => self.append_note(id, text),
            Edit::EditNote { id, text } => {
                let maps = self.held(Collection::Notes, id)?;
                self.set_text(&maps, text)
            }
            Edit::Stop {
                collection,
                id,
                at,
                why,
            } => {
                if !is_date_time(at) {
                    return Err(EditError::Invalid {
                        path: "the end",
                        wanted: patient::DATE,
                    });
                }
                self.stop(
                    *collection,
                    id,
                    at,
                    why.as_deref().filter(|w| !w.trim().is_empty()),
                )
            }
            Edit::Resolve { path, choice } => self.resolve(path, choice),
            Edit::Acknowledge { items } => self.acknowledge(items),
            Edit::Source {
                hash,
                name,
                time_ms,
            } => self.source(hash, name, *time_ms),
        }
    }

    /// Writes the fields of an item that differ from what is held.
    fn put<I: Stored>(&mut self, item: &I) -> Result<(), EditError> {
        if I::COLLECTION != Collection::Patient {
            check_id(item.id())?;
        }
        let mut fields = to_fields(item)?;
        // A note's text is an object of its own, not a scalar.
        let text = match I::COLLECTION {
            Collection::Notes => Some(match fields.remove("text") {
                Some(Field::Text(text)) => text.into_owned(),
                _ => String::new(),
            }),
            _ => None,
        };
        if fields.values().any(|f| f.len() > MAX_FIELD_BYTES) {
            return Err(EditError::TooLong {
                what: "a field",
                limit: MAX_FIELD_BYTES,
            });
        }
        let maps = self.roots.maps(self.tx, I::COLLECTION, item.id());
        match (maps.is_empty(), text) {
            (true, text) => {
                self.spend(item.id().len())?;
                for (key, field) in &fields {
                    self.spend(key.len() + field.len())?;
                }
                match text {
                    Some(text) => self.create(I::COLLECTION, item.id(), fields, Some(text)),
                    None => {
                        self.new.put(I::COLLECTION, item.id(), fields);
                        Ok(())
                    }
                }
            }
            (false, text) => {
                self.write_differences::<I>(&maps, &fields)?;
                text.map_or(Ok(()), |text| self.set_text(&maps, &text))
            }
        }
    }

    /// Creates the first `count` of the items kept back, in the transaction.
    fn create_new(&mut self, count: usize) -> Result<(), EditError> {
        for NewItem {
            collection,
            id,
            fields,
        } in self.new.take(count)
        {
            self.create(collection, &id, fields, None)?;
        }
        Ok(())
    }

    /// Adds a new item: one batch, which costs Automerge far less than a put for each field.
    fn create(
        &mut self,
        collection: Collection,
        id: &str,
        fields: Fields<'static>,
        text: Option<String>,
    ) -> Result<(), EditError> {
        let mut map: HashMap<String, hydrate::Value> = fields
            .into_iter()
            .map(|(key, field)| (key.into_owned(), hydrate::Value::Scalar(field.to_scalar())))
            .collect();
        if let Some(text) = text {
            self.check_text(&text)?;
            self.spend_text(0, text.len())?;
            let text = hydrate::Value::text(self.tx.text_encoding(), &text);
            map.insert("text".to_owned(), text);
        }
        let map = hydrate::Value::Map(map.into());
        self.tx
            .batch_create_object(self.roots.get(collection), id, &map, false)?;
        Ok(())
    }

    fn write_differences<I: Stored>(
        &mut self,
        maps: &[ObjId],
        new: &Fields<'static>,
    ) -> Result<(), EditError> {
        let held = owned(item_fields(self.tx, maps, names::<I>()));
        // A field that was never written reads as its default: writing the default would change nothing.
        let default = to_fields(&I::default())?;
        for (key, field) in new {
            match held.get(key).or_else(|| default.get(key)) {
                Some(old) if old.same(field) => {}
                _ => self.put_field(maps, key, field)?,
            }
        }
        let is_text = |key: &str| I::COLLECTION == Collection::Notes && key == "text";
        for (key, old) in &held {
            // What this version cannot read was not shown to whoever made the edit, so it stays.
            if !new.contains_key(key) && !is_text(key) && fits::<I>(key, old) {
                self.delete_field(maps, key)?;
            }
        }
        Ok(())
    }

    /// Writes a field into the first map and takes it out of the others, so that what stands afterwards is one
    /// value, whatever had been written concurrently.
    fn put_field(&mut self, maps: &[ObjId], key: &str, field: &Field) -> Result<(), EditError> {
        let Some((first, others)) = maps.split_first() else {
            return Ok(());
        };
        self.spend(key.len() + field.len())?;
        self.tx.put(first, key, field.to_scalar())?;
        for map in others {
            self.delete_field(std::slice::from_ref(map), key)?;
        }
        Ok(())
    }

    pub(crate) fn delete_field(&mut self, maps: &[ObjId], key: &str) -> Result<(), EditError> {
        for map in maps {
            self.spend(key.len())?;
            self.tx.delete(map, key)?;
        }
        Ok(())
    }

    /// The maps that hold an item that must be there.
    pub(crate) fn held(
        &mut self,
        collection: Collection,
        id: &str,
    ) -> Result<Vec<ObjId>, EditError> {
        if self.new.contains(collection, id) {
            self.create_new(usize::MAX)?;
        }
        let maps = self.roots.maps(self.tx, collection, id);
        if maps.is_empty() {
            Err(EditError::NoSuchItem { collection })
        } else {
            Ok(maps)
        }
    }

    /// An item as it is held.
    fn read<I: Stored>(&mut self, id: &str) -> Result<I, EditError> {
        let maps = self.held(I::COLLECTION, id)?;
        let fields = item_fields(self.tx, &maps, names::<I>());
        Ok(from_fields(
            id,
            fields.iter().map(|(k, v)| (k.as_ref(), v)),
            &mut Vec::new(),
        ))
    }

    fn stop(
        &mut self,
        collection: Collection,
        id: &str,
        at: &str,
        why: Option<&str>,
    ) -> Result<(), EditError> {
        match collection {
            Collection::Medications => {
                let mut item = self.read::<Medication>(id)?;
                item.status = Some("stopped".to_owned());
                if let Some(why) = why {
                    item.status_reason = Some(why.to_owned());
                }
                let end = Some(at.to_owned());
                item.effective = Some(match item.effective.take() {
                    None => Timing::Period(Period { start: None, end }),
                    Some(Timing::DateTime(start)) => Timing::Period(Period {
                        start: Some(start),
                        end,
                    }),
                    Some(Timing::Period(p)) => Timing::Period(Period {
                        start: p.start,
                        end,
                    }),
                    // An age or words cannot take an end; the status says that it is over.
                    Some(other) => other,
                });
                self.put(&item)
            }
            Collection::Conditions => {
                let mut item = self.read::<Condition>(id)?;
                item.clinical_status = Some("resolved".to_owned());
                item.abatement = Some(Timing::DateTime(at.to_owned()));
                remark(&mut item.note, why);
                self.put(&item)
            }
            Collection::Allergies => {
                let mut item = self.read::<AllergyIntolerance>(id)?;
                item.clinical_status = Some("resolved".to_owned());
                // FHIR gives an allergy no end date, so the remark says it.
                let ended = match why {
                    Some(why) => format!("resolved {at}: {why}"),
                    None => format!("resolved {at}"),
                };
                remark(&mut item.note, Some(&ended));
                self.put(&item)
            }
            collection => Err(EditError::CannotStop { collection }),
        }
    }

    /// Writes one value over all concurrent ones.
    fn resolve(&mut self, path: &str, choice: &Value) -> Result<(), EditError> {
        let path = FieldPath::parse(path).ok_or(EditError::UnknownPath)?;
        let known = with_type!(path.collection, names(), return Err(EditError::UnknownPath));
        if path.field == "id" || !known.contains(&path.field.as_str()) {
            return Err(EditError::UnknownPath);
        }
        let maps = self.held(path.collection, &path.id)?;
        if path.collection == Collection::Notes && path.field == "text" {
            return self.resolve_text(&maps, choice);
        }
        let Some(field) = Field::of(choice) else {
            return self.delete_field(&maps, &path.field);
        };
        if field.len() > MAX_FIELD_BYTES {
            return Err(EditError::TooLong {
                what: "the value",
                limit: MAX_FIELD_BYTES,
            });
        }
        if !with_type!(path.collection, fits(&path.field, &field), false) {
            return Err(EditError::Invalid {
                path: "the choice",
                wanted: "a value of the field's type",
            });
        }
        let stands = maps.iter().any(|map| {
            let values = self.tx.get_all(map, path.field.as_str());
            let mut held = values.iter().flatten();
            held.any(|(value, _)| Field::read_value(value).is_some_and(|held| held.same(&field)))
        });
        if !stands {
            rules::check(path.collection, &path.field, choice)?;
        }
        self.put_field(&maps, &path.field, &field)
    }

    /// Leaves a mark for a concern about these items, held or gone, that is another one for each state of the document.
    fn acknowledge(&mut self, items: &[String]) -> Result<(), EditError> {
        for item in items {
            let (_, id) = item_path(item).ok_or(EditError::UnknownPath)?;
            check_id(id)?;
        }
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let mut seen = blake3::Hasher::new();
        for head in self.tx.base_heads() {
            seen.update(&head.0);
        }
        let key = format!("{ACKNOWLEDGED}{}", acknowledgement(&items));
        let mark = hex(seen.finalize().as_bytes());
        self.spend(key.len() + mark.len())?;
        self.tx.put(automerge::ROOT, key, mark)?;
        Ok(())
    }

    fn source(&mut self, hash: &[u8; 32], name: &str, time_ms: u64) -> Result<(), EditError> {
        let key = hex(hash);
        if !self
            .roots
            .maps(self.tx, Collection::Sources, &key)
            .is_empty()
        {
            return Ok(());
        }
        let name: String = name.chars().take(MAX_ID_BYTES).collect();
        let name_len = name.len();
        let fields = [
            ("name", Value::from(name)),
            ("time_ms", Value::from(time_ms)),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(key, value)| Some((key.into(), Field::of(&value)?)))
            .collect();
        self.spend(key.len() + name_len)?;
        self.create(Collection::Sources, &key, fields, None)
    }

    /// Stops early what will not fit into one change; the exact size is checked once the change is there.
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), EditError> {
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(OP_BYTES);
        if self.bytes > MAX_CHANGE_BYTES {
            Err(EditError::TooLarge)
        } else {
            Ok(())
        }
    }
}

fn check_id(id: &str) -> Result<(), EditError> {
    if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
        return Err(EditError::InvalidId);
    }
    Ok(())
}

fn remark(note: &mut Option<String>, why: Option<&str>) {
    let Some(why) = why else { return };
    match note {
        Some(note) => {
            note.push('\n');
            note.push_str(why);
        }
        None => *note = Some(why.to_owned()),
    }
}

fn owned(fields: Fields<'_>) -> Fields<'static> {
    fields
        .into_iter()
        .map(|(k, v)| (k.into_owned().into(), v.into_owned()))
        .collect()
}

/// Lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}

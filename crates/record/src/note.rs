//! Writing the text of notes: as splices of what differs, so that what others write at the same time stays.

use automerge::transaction::Transactable;
use automerge::{ObjId, ObjType, hydrate};
use serde_json::Value;

use crate::MAX_NOTE_BYTES;
use crate::edit::EditError;
use crate::read::text_object;
use crate::schema::Collection;
use crate::write::Writer;

/// Above this product of lengths (in bytes) a changed passage is replaced whole instead of diffed letter by
/// letter: the diff's time grows with it. A guess; 2,000 letters against 2,000 stay under 10 ms.
const MAX_DIFF: usize = 4_000_000;

impl<T: Transactable> Writer<'_, T> {
    pub(crate) fn append_note(&mut self, id: &str, text: &str) -> Result<(), EditError> {
        let maps = self.held(Collection::Notes, id)?;
        let Some(object) = text_object(self.tx, &maps, "text") else {
            return self.set_text(&maps, text);
        };
        let old = self.tx.text(&object)?;
        let added = match old.is_empty() {
            true => text.to_owned(),
            false => format!("\n{text}"),
        };
        if old.len() + added.len() > MAX_NOTE_BYTES {
            return Err(EditError::TooLong {
                what: "the note",
                limit: MAX_NOTE_BYTES,
            });
        }
        self.spend_text(0, added.len())?;
        let end = self.tx.length(&object);
        self.tx.splice_text(&object, end, 0, &added)?;
        Ok(())
    }

    /// Brings a note's text to a new one by splices of what differs.
    pub(crate) fn set_text(&mut self, maps: &[ObjId], new: &str) -> Result<(), EditError> {
        self.check_text(new)?;
        let object = match text_object(self.tx, maps, "text") {
            Some(object) => object,
            None => {
                let Some(first) = maps.first() else {
                    return Ok(());
                };
                self.spend("text".len())?;
                self.tx.put_object(first, "text", ObjType::Text)?
            }
        };
        let old = self.tx.text(&object)?;
        if old == new {
            return Ok(());
        }
        let before = common(old.chars(), new.chars());
        let old_rest: String = old.chars().skip(before).collect();
        let new_rest: String = new.chars().skip(before).collect();
        let after = common(old_rest.chars().rev(), new_rest.chars().rev());
        let old_len = old_rest.chars().count() - after;
        let new_len = new_rest.chars().count() - after;
        self.spend_text(old_len, new_rest.len())?;
        if old_len.saturating_mul(new_len) <= MAX_DIFF {
            self.tx.update_text(&object, new)?;
        } else {
            let passage: String = new_rest.chars().take(new_len).collect();
            let deleted = isize::try_from(old_len).map_err(|_| EditError::Engine)?;
            self.tx.splice_text(&object, before, deleted, &passage)?;
        }
        Ok(())
    }

    /// Only concurrent creation makes a note's text conflict: a new text object takes the place of all.
    pub(crate) fn resolve_text(&mut self, maps: &[ObjId], choice: &Value) -> Result<(), EditError> {
        let Value::String(text) = choice else {
            return Err(EditError::Invalid {
                path: "the choice",
                wanted: "a text",
            });
        };
        let mut objects = Vec::new();
        for map in maps {
            objects.extend(self.tx.get_all(map, "text")?.into_iter().map(|(_, id)| id));
        }
        let Some((first, others)) = maps.split_first().filter(|_| objects.len() > 1) else {
            return self.set_text(maps, text);
        };
        self.check_text(text)?;
        self.spend_text(0, text.len())?;
        let new = hydrate::Value::text(self.tx.text_encoding(), text);
        self.tx.batch_create_object(first, "text", &new, false)?;
        self.delete_field(others, "text")
    }

    pub(crate) fn check_text(&self, text: &str) -> Result<(), EditError> {
        match text.len() > MAX_NOTE_BYTES {
            true => Err(EditError::TooLong {
                what: "the note",
                limit: MAX_NOTE_BYTES,
            }),
            false => Ok(()),
        }
    }

    /// Text is one operation a letter, but its columns are run-length coded: about 2 bytes for each byte added and
    /// 4 for each letter removed.
    pub(crate) fn spend_text(&mut self, removed: usize, added: usize) -> Result<(), EditError> {
        self.spend(
            removed
                .saturating_mul(4)
                .saturating_add(added.saturating_mul(2)),
        )
    }
}

/// How many letters are equal from the start.
fn common(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

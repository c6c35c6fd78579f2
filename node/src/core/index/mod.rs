//! The patient index: one row for each readable record, in memory while the node is unlocked.
//!
//! On disk each row is sealed by the index key. A row is a function of the record's document and of what its log says of links and
//! of models' suggestions, so a lost row costs a rebuild and nothing else.
//!
//! Each row has a slot, a number that tables of names, record numbers, dates, telephones and sources lead to; a change
//! of one row touches its own keys and no others. [`Index::search`] is for a person who types, [`Index::find`] for a command's
//! one patient (it never guesses), [`Index::duplicates`] for pairs of records that may be one patient's.

mod alike;
mod duplicates;
mod edit;
mod fold;
mod image;
mod keys;
mod number;
mod query;
mod row;
mod score;
mod search;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use salus_api::PatientRow;
use salus_audit::{ID_BYTES, LogId};

pub use image::IndexedImage;
pub use row::IndexRow;
pub use score::DUPLICATE_SCORE;

use fold::{fold, key, words};
use keys::{Folded, hash, mrn_key};
use number::Phone;
use table::Table;

/// A row and whose it is.
struct Indexed {
    log: LogId,
    row: IndexRow,
}

/// All rows, searchable.
#[derive(Default)]
pub struct Index {
    /// Rows by slot; `None` is a slot to be used again.
    slots: Vec<Option<Box<Indexed>>>,
    free: Vec<u32>,
    by_log: BTreeMap<LogId, u32>,
    /// Slots as listed: by the folded family name and given names, then by id.
    order: BTreeMap<(Box<str>, LogId), u32>,
    /// Words of names.
    names: Table,
    /// Record numbers without punctuation.
    mrns: Table,
    dates: Table,
    /// Telephone numbers by [`Phone::key`].
    phones: Table,
    /// Hashes of the ids where they were imported from, and slots.
    sources: BTreeSet<(u32, u32)>,
    /// What may make a row another's duplicate, by slot.
    blocks: Vec<duplicates::Blocks>,
}

/// What a person's words for a patient lead to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody.
    Nobody,
    /// One patient.
    One(LogId),
    /// So many patients: the words are ambiguous.
    Several(Vec<LogId>),
}

impl Index {
    /// Sets or replaces a row.
    pub fn set(&mut self, log: LogId, mut row: IndexRow) {
        if let Some(slot) = self.by_log.get(&log).copied() {
            if let Some(held) = self.held_mut(slot)
                && held.row.is_found_like(&row)
            {
                held.row = row;
                return;
            }
            self.remove(&log);
        }
        shrink(&mut row);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot =
                    u32::try_from(self.slots.len()).expect("memory holds fewer than 2^32 rows");
                self.slots.push(None);
                self.blocks.push(duplicates::Blocks::default());
                slot
            }
        };
        let folded = Folded::of(&row);
        self.keys(&row, &folded, slot, Table::add);
        if let Some(source) = &row.source_id {
            self.sources.insert((hash(source), slot));
        }
        self.order.insert((folded.sort_key(), log), slot);
        self.by_log.insert(log, slot);
        if let Some(blocks) = self.blocks.get_mut(slot as usize) {
            *blocks = duplicates::blocks(&row, &folded);
        }
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(Box::new(Indexed { log, row }));
        }
    }

    /// Takes a row out; whether there was one.
    pub fn remove(&mut self, log: &LogId) -> bool {
        let Some(slot) = self.by_log.remove(log) else {
            return false;
        };
        if let Some(held) = self.slots.get_mut(slot as usize).and_then(Option::take) {
            let folded = Folded::of(&held.row);
            self.keys(&held.row, &folded, slot, Table::remove);
            if let Some(source) = &held.row.source_id {
                self.sources.remove(&(hash(source), slot));
            }
            self.order.remove(&(folded.sort_key(), *log));
        }
        if let Some(blocks) = self.blocks.get_mut(slot as usize) {
            *blocks = duplicates::Blocks::default();
        }
        self.free.push(slot);
        true
    }

    /// One row.
    pub fn get(&self, log: &LogId) -> Option<&IndexRow> {
        let slot = self.by_log.get(log)?;
        self.held(*slot).map(|held| &held.row)
    }

    /// Every row, by family name, given names and id.
    pub fn all(&self) -> Vec<PatientRow> {
        self.views(self.order.values().copied())
    }

    /// Patients that match every word, best first: a whole record number or telephone number, whole words and dates, their beginnings, what stands
    /// within them, and names with one slip (a wrong, missing, doubled or swapped letter). Nothing typed lists everybody.
    pub fn search(&self, text: &str, limit: usize) -> Vec<PatientRow> {
        self.views(search::search(self, text, limit))
    }

    /// The patient that an id, an unambiguous prefix of it, an MRN or an exact name means.
    pub fn find(&self, text: &str) -> Found {
        let wanted = fold(text);
        let candidates: [&dyn Fn() -> Vec<LogId>; 3] =
            [&|| self.by_mrn(&wanted), &|| self.by_id(&wanted), &|| {
                self.by_name(&wanted)
            }];
        for candidate in candidates {
            let mut found = candidate();
            found.sort_unstable();
            match found.as_slice() {
                [] => {}
                [one] => return Found::One(*one),
                _ => return Found::Several(found),
            }
        }
        Found::Nobody
    }

    /// Whether a patient here has this medical record number.
    pub fn has_mrn(&self, mrn: &str) -> bool {
        !self.by_mrn(&fold(mrn)).is_empty()
    }

    /// The records whose Patient resource had this id where it came from.
    pub fn by_source(&self, source_id: &str) -> Vec<LogId> {
        let hash = hash(source_id);
        let slots = self.sources.range((hash, 0)..=(hash, u32::MAX));
        self.logs(slots.map(|(_, slot)| slot), |row| {
            row.source_id.as_deref() == Some(source_id)
        })
    }

    /// Records with a folded record number, exactly: the table knows no punctuation, and `A-1` is not `A1`.
    fn by_mrn(&self, wanted: &str) -> Vec<LogId> {
        self.logs(self.mrns.exact(&mrn_key(wanted)), |row| {
            row.mrn.as_deref().is_some_and(|mrn| fold(mrn) == wanted)
        })
    }

    fn by_id(&self, start: &str) -> Vec<LogId> {
        if start.is_empty() || start.len() > 2 * ID_BYTES || !is_hex(start) {
            return Vec::new();
        }
        let least: LogId = match format!("{start:0<64}").parse() {
            Ok(least) => least,
            Err(_) => return Vec::new(),
        };
        self.by_log
            .range(least..)
            .map(|(log, _)| *log)
            .take_while(|log| log.to_string().starts_with(start))
            .collect()
    }

    /// Records whose names are exactly these words, in one of both orders.
    fn by_name(&self, wanted: &str) -> Vec<LogId> {
        let wanted: Vec<&str> = words(wanted).collect();
        let mut of_words: Vec<&[u32]> = wanted
            .iter()
            .map(|word| self.names.exact(key(word)))
            .collect();
        of_words.sort_unstable_by_key(|slots| slots.len());
        let Some((rarest, others)) = of_words.split_first() else {
            return Vec::new();
        };
        let with_all = rarest
            .iter()
            .filter(|slot| others.iter().all(|slots| slots.binary_search(slot).is_ok()));
        self.logs(with_all, |row| Folded::of(row).is_named(&wanted))
    }

    fn logs<'a>(
        &self,
        slots: impl IntoIterator<Item = &'a u32>,
        is_meant: impl Fn(&IndexRow) -> bool,
    ) -> Vec<LogId> {
        let mut found: Vec<LogId> = slots
            .into_iter()
            .filter_map(|slot| self.held(*slot))
            .filter(|held| is_meant(&held.row))
            .map(|held| held.log)
            .collect();
        found.sort_unstable();
        found
    }

    fn views(&self, slots: impl IntoIterator<Item = u32>) -> Vec<PatientRow> {
        slots
            .into_iter()
            .filter_map(|slot| self.held(slot))
            .map(|held| held.row.view(held.log))
            .collect()
    }

    fn held(&self, slot: u32) -> Option<&Indexed> {
        self.slots.get(slot as usize)?.as_deref()
    }

    fn held_mut(&mut self, slot: u32) -> Option<&mut Indexed> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Brings every key of a row to its table: the same keys when it comes and when it goes.
    fn keys(
        &mut self,
        row: &IndexRow,
        folded: &Folded,
        slot: u32,
        bring: impl Fn(&mut Table, &str, u32),
    ) {
        folded.each_name_key(|word| bring(&mut self.names, word, slot));
        let date = row.birth_date.as_deref().unwrap_or("");
        let phone = folded.phone.as_ref().map(Phone::key);
        for (table, key) in [
            (&mut self.mrns, mrn_key(&folded.mrn).as_str()),
            (&mut self.dates, key(date)),
            (&mut self.phones, phone.as_deref().unwrap_or("")),
        ] {
            // No date has a line feed; a table's lines do.
            if !key.is_empty() && !key.contains('\n') {
                bring(table, key, slot);
            }
        }
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A row stays for as long as the node is unlocked: no text keeps room to grow.
fn shrink(row: &mut IndexRow) {
    let texts = [
        &mut row.mrn,
        &mut row.family,
        &mut row.birth_date,
        &mut row.phone,
        &mut row.source_id,
    ];
    for text in texts.into_iter().flatten() {
        text.shrink_to_fit();
    }
    row.given.shrink_to_fit();
    row.sex.shrink_to_fit();
    row.linked.shrink_to_fit();
    row.images.shrink_to_fit();
    row.identifiers.shrink_to_fit();
}

//! From a key to the rows that have it, in the order of the keys.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::OnceLock;

use memchr::{memchr, memchr_iter, memmem, memrchr};

/// The rows of one key: mostly one. Sorted, each once.
enum Slots {
    One(u32),
    /// Behind one pointer, so that the many keys of one row stay small.
    Many(Box<Sorted>),
}

struct Sorted(Vec<u32>);

impl Slots {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(slots) => &slots.0,
        }
    }
}

/// Keys and the rows that have them.
#[derive(Default)]
pub(super) struct Table {
    keys: BTreeMap<Box<str>, Slots>,
    /// For what cannot be looked up and must be looked for: made when first needed after a key came or went, in a few ms for 50,000.
    /// It is read ten times as fast as the tree, whose keys lie scattered in memory.
    lines: OnceLock<Lines>,
}

struct Lines {
    /// All keys in order, each between line feeds; a key has none.
    text: String,
    /// For each key its row, or [`MANY`].
    slots: Vec<u32>,
}

/// A key that was come upon; its rows, which are looked up where there are several, by [`Table::rows`].
pub(super) struct Line<'a> {
    pub(super) key: &'a str,
    slot: &'a u32,
}

/// In [`Lines`]: the tree knows the rows. (The tree also knows the one row of that number, should there ever be so many.)
const MANY: u32 = u32::MAX;

impl Table {
    /// Notes that a row has the key; once is enough.
    pub(super) fn add(&mut self, key: &str, slot: u32) {
        let slots = match self.keys.entry(key.into()) {
            Entry::Vacant(place) => {
                place.insert(Slots::One(slot));
                self.lines.take();
                return;
            }
            Entry::Occupied(place) => place.into_mut(),
        };
        match slots {
            Slots::One(one) if *one == slot => {}
            Slots::One(one) => {
                let both = vec![slot.min(*one), slot.max(*one)];
                *slots = Slots::Many(Box::new(Sorted(both)));
                self.lines.take();
            }
            Slots::Many(many) => {
                if let Err(at) = many.0.binary_search(&slot) {
                    many.0.insert(at, slot);
                }
            }
        }
    }

    /// Notes that a row has the key no more.
    pub(super) fn remove(&mut self, key: &str, slot: u32) {
        let is_gone = match self.keys.get_mut(key) {
            None => false,
            Some(Slots::One(one)) => *one == slot,
            Some(Slots::Many(many)) => {
                if let Ok(at) = many.0.binary_search(&slot) {
                    many.0.remove(at);
                }
                many.0.is_empty()
            }
        };
        if is_gone {
            self.keys.remove(key);
            self.lines.take();
        }
    }

    /// The rows of one key.
    pub(super) fn exact(&self, key: &str) -> &[u32] {
        self.keys.get(key).map_or(&[], Slots::as_slice)
    }

    /// The keys that begin so, and their rows.
    pub(super) fn prefix<'a>(
        &'a self,
        start: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a [u32])> {
        self.keys
            .range::<str, _>((Bound::Included(start), Bound::Unbounded))
            .map(|(key, slots)| (&**key, slots.as_slice()))
            .take_while(move |(key, _)| key.starts_with(start))
    }

    /// All keys, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        let lines = self.lines();
        let keys = lines.text.split('\n').skip(1);
        keys.zip(&lines.slots).map(|(key, slot)| Line { key, slot })
    }

    /// The keys that have this part anywhere, in order; at their end, where it ends with a line feed.
    pub(super) fn containing<'a>(&'a self, part: &'a str) -> impl Iterator<Item = Line<'a>> {
        let Lines { text, slots } = self.lines();
        let bytes = text.as_bytes();
        let finder = memmem::Finder::new(part);
        let (mut from, mut feeds) = (0, 0);
        std::iter::from_fn(move || {
            let at = from + finder.find(bytes.get(from..)?)?;
            feeds += memchr_iter(b'\n', &bytes[from..at]).count();
            let start = memrchr(b'\n', &bytes[..at])? + 1;
            let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |feed| at + feed);
            from = end;
            let slot = slots.get(feeds.checked_sub(1)?)?;
            Some(Line {
                key: &text[start..end],
                slot,
            })
        })
    }

    /// The rows of a line's key.
    pub(super) fn rows<'a>(&'a self, line: &Line<'a>) -> &'a [u32] {
        match *line.slot {
            MANY => self.exact(line.key),
            _ => std::slice::from_ref(line.slot),
        }
    }

    fn lines(&self) -> &Lines {
        self.lines.get_or_init(|| {
            let bytes = self.keys.keys().map(|key| key.len() + 1).sum::<usize>() + 1;
            let mut text = String::with_capacity(bytes);
            let mut slots = Vec::with_capacity(self.keys.len());
            for (key, rows) in &self.keys {
                text.push('\n');
                text.push_str(key);
                slots.push(match rows {
                    Slots::One(slot) => *slot,
                    Slots::Many(_) => MANY,
                });
            }
            text.push('\n');
            Lines { text, slots }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<'a>(
        table: &'a Table,
        lines: impl Iterator<Item = Line<'a>>,
    ) -> Vec<(&'a str, &'a [u32])> {
        lines.map(|line| (line.key, table.rows(&line))).collect()
    }

    #[test]
    fn a_key_goes_with_its_last_row() {
        let mut table = Table::default();
        for slot in [5, 1, 3, 1, 5] {
            table.add("ana", slot);
        }
        table.add("anna", 2);
        assert_eq!(table.exact("ana"), [1, 3, 5]);
        assert_eq!(table.prefix("an").count(), 2);
        assert_eq!(table.prefix("ann").count(), 1);
        let both = [("ana", &[1, 3, 5][..]), ("anna", &[2])];
        assert_eq!(all(&table, table.iter()), both);
        assert_eq!(all(&table, table.containing("nna")), both[1..]);
        assert_eq!(table.containing("a").count(), 2);
        assert_eq!(table.containing("x").count(), 0);
        assert_eq!(all(&table, table.containing("nna\n")), both[1..]);
        assert_eq!(table.containing("nn\n").count(), 0);
        for slot in [3, 9, 1, 5, 5] {
            table.remove("ana", slot);
        }
        table.remove("nobody", 1);
        table.remove("anna", 7);
        assert_eq!(table.exact("ana"), [0; 0]);
        assert_eq!(all(&table, table.iter()), [("anna", &[2][..])]);
    }

    #[test]
    fn keys_that_came_after_a_search_are_found_by_the_next() {
        let mut table = Table::default();
        assert_eq!(table.iter().count() + table.containing("anna").count(), 0);
        table.add("anna", 2);
        assert_eq!(table.containing("anna").count(), 1);
        table.add("joanna", 1);
        let both = [("anna", &[2][..]), ("joanna", &[1])];
        assert_eq!(all(&table, table.containing("anna")), both);
        table.add("anna", 7);
        let both = [("anna", &[2, 7][..]), ("joanna", &[1])];
        assert_eq!(all(&table, table.containing("anna")), both);
        assert_eq!(all(&table, table.containing("o")), both[1..]);
        table.remove("joanna", 1);
        assert_eq!(all(&table, table.containing("anna")), both[..1]);
    }
}

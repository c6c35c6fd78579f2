//! By what a row is found, listed and compared: its fields folded once.

use super::IndexRow;
use super::fold::{compact, fold, is_unspaced, key, words};
use super::number::Phone;

/// Words of one patient's names that can be searched for. A guess; a name beyond is a mistake or an attack.
const MAX_NAME_WORDS: usize = 32;

/// A row's fields as they are compared.
pub(super) struct Folded {
    pub(super) family: String,
    pub(super) given: String,
    /// "" where there is none.
    pub(super) mrn: String,
    pub(super) phone: Option<Phone>,
}

impl Folded {
    pub(super) fn of(row: &IndexRow) -> Self {
        let folded = |text: &Option<String>| text.as_deref().map(fold).unwrap_or_default();
        Self {
            family: folded(&row.family),
            given: fold(&row.given),
            mrn: folded(&row.mrn),
            phone: row.phone.as_deref().map(fold).and_then(|p| Phone::of(&p)),
        }
    }

    /// Where the row stands in the list. The separator is below every letter: `Li` comes before `Liang`.
    pub(super) fn sort_key(&self) -> Box<str> {
        let mut key = String::with_capacity(self.family.len() + 1 + self.given.len());
        key.push_str(&self.family);
        key.push('\0');
        key.push_str(&self.given);
        key.into_boxed_str()
    }

    /// Family and given words, in this order.
    pub(super) fn name_words(&self) -> impl Iterator<Item = &str> {
        words(&self.family).chain(words(&self.given))
    }

    /// Whether these words are the names exactly, in one of both orders, or without a blank where the script has none.
    pub(super) fn is_named(&self, wanted: &[&str]) -> bool {
        let is_same = |names: &mut dyn Iterator<Item = &str>| names.eq(wanted.iter().copied());
        is_same(&mut self.name_words())
            || is_same(&mut words(&self.given).chain(words(&self.family)))
            || matches!(wanted, [one] if self.unspaced().iter().flatten().any(|name| name == one))
    }

    /// Every word to find the names by.
    pub(super) fn each_name_key(&self, mut each: impl FnMut(&str)) {
        let mut left = MAX_NAME_WORDS;
        let names = self.family.split_whitespace();
        for name in names.chain(self.given.split_whitespace()) {
            let mut parts = 0;
            for word in words(name).take(left) {
                each(key(word));
                parts += 1;
            }
            left -= parts;
            if parts > 1 {
                // `O'Brien` is typed `obrien` too.
                each(key(&compact(name)));
            }
        }
        for name in self.unspaced().iter().flatten() {
            each(key(name));
        }
    }

    /// Names without a blank between, in both orders, where the script has none.
    fn unspaced(&self) -> Option<[String; 2]> {
        (is_unspaced(&self.family) && is_unspaced(&self.given)).then(|| {
            let (family, given) = (compact(&self.family), compact(&self.given));
            [format!("{family}{given}"), format!("{given}{family}")]
        })
    }
}

/// The key of a folded record number: without punctuation, but for one that has nothing else.
pub(super) fn mrn_key(folded: &str) -> String {
    let compact = compact(folded);
    let text = if compact.is_empty() { folded } else { &compact };
    key(text).to_owned()
}

/// FNV-1a, 0 for nothing and only for it. Equal hashes are looked at twice: who makes them equal on purpose gains a slower search.
pub(super) fn hash(text: &str) -> u32 {
    if text.is_empty() {
        return 0;
    }
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash.max(1)
}

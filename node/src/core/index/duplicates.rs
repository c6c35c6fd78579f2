//! Which records may be one patient's.
//!
//! Nobody compares all with all: rows are compared that share a block, which is a birth date, a telephone, a record number, an id of
//! the source, all words of the name in any order, or the sound of the family name with the year of birth. A large block
//! (a date that stands for "unknown", a very common name) is sorted by name and date, and each row is compared with the next few
//! (the sorted neighbourhood of Hernández and Stolfo, 1995). So the work is bounded by the rows, and a pair that differs in all of
//! these is not found.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use salus_audit::LogId;

use super::fold::words;
use super::keys::{Folded, hash};
use super::number::Phone;
use super::score::{Facts, Likeness, SHOWN, compare};
use super::{DUPLICATE_SCORE, Index, IndexRow};

/// Kinds of blocks.
const BLOCKS: usize = 6;

/// Rows of a block that are all compared with each other: 2,016 pairs at most.
const MAX_BLOCK: usize = 64;

/// Next rows that a row of a larger block is compared with.
const WINDOW: usize = 16;

/// Least letters of a family name's sound.
const SOUND_LETTERS: usize = 4;

/// The blocks that a row is in, each by a hash that is not 0; 0 is no block. A collision costs one comparison more.
#[derive(Clone, Copy, Default)]
pub(super) struct Blocks([u32; BLOCKS]);

impl Blocks {
    fn shares_one(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .any(|(own, other)| *own != 0 && own == other)
    }
}

/// A record that may be the same patient's.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The record.
    pub log: LogId,
    /// The probability, 0 to 1, by guessed weights; from [`DUPLICATE_SCORE`] on a duplicate.
    pub score: f64,
    /// Whether they may be twins; the score then is below [`DUPLICATE_SCORE`].
    pub possible_twins: bool,
    /// What speaks for and against it, in words for a person.
    pub reasons: Vec<String>,
}

impl Candidate {
    fn new(log: LogId, found: Likeness) -> Self {
        Self {
            log,
            score: found.score(),
            possible_twins: found.possible_twins,
            reasons: found.reasons.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Whether it is as likely as not the same patient.
    pub fn is_duplicate(&self) -> bool {
        self.score >= DUPLICATE_SCORE
    }
}

/// Best first, then by both ids.
type Rank = (Reverse<i32>, LogId, LogId);

impl Index {
    /// Records that may be the same patient's as this, best first, with a score of 0.2 at least. Pairs for which `linked` holds are left out.
    pub fn duplicates_of(
        &self,
        log: &LogId,
        limit: usize,
        linked: &dyn Fn(&LogId, &LogId) -> bool,
    ) -> Vec<Candidate> {
        let Some(slot) = self.by_log.get(log).copied() else {
            return Vec::new();
        };
        let (Some(own), Some(blocks)) = (self.held(slot), self.blocks.get(slot as usize)) else {
            return Vec::new();
        };
        let facts = Facts::of(&own.row);
        let mut found: Vec<(Rank, Likeness)> = Vec::new();
        for (held, other) in self.slots.iter().zip(&self.blocks) {
            let Some(held) = held.as_ref().filter(|held| held.log != *log) else {
                continue;
            };
            let shares_identifier = || {
                let identifiers = &held.row.identifiers;
                identifiers.iter().any(|i| own.row.identifiers.contains(i))
            };
            if !(blocks.shares_one(other) || shares_identifier()) {
                continue;
            }
            let likeness = compare(&facts, &Facts::of(&held.row));
            if likeness.weight >= SHOWN && !linked(log, &held.log) {
                found.push(((Reverse(likeness.weight), *log, held.log), likeness));
            }
        }
        found.sort_unstable_by_key(|(rank, _)| *rank);
        found
            .into_iter()
            .take(limit)
            .map(|((_, _, other), likeness)| Candidate::new(other, likeness))
            .collect()
    }

    /// Pairs of records that may be one patient's, best first, each once, the lesser id first, and the candidate is the second. Pairs for which
    /// `linked` holds are left out.
    pub fn duplicates(
        &self,
        limit: usize,
        linked: &dyn Fn(&LogId, &LogId) -> bool,
    ) -> Vec<(LogId, LogId, Candidate)> {
        if limit == 0 {
            return Vec::new();
        }
        let facts: Vec<Option<(LogId, Facts)>> = self
            .slots
            .iter()
            .map(|held| {
                let held = held.as_ref()?;
                Some((held.log, Facts::of(&held.row)))
            })
            .collect();
        let mut best: BTreeMap<Rank, Likeness> = BTreeMap::new();
        let mut pair = |a: usize, b: usize| {
            let (Some(Some((a, a_facts))), Some(Some((b, b_facts)))) = (facts.get(a), facts.get(b))
            else {
                return;
            };
            let likeness = compare(a_facts, b_facts);
            if likeness.weight < SHOWN {
                return;
            }
            let rank = (Reverse(likeness.weight), *a.min(b), *a.max(b));
            let is_full = best.len() >= limit;
            let is_worse = is_full && best.last_key_value().is_some_and(|(last, _)| *last <= rank);
            // A pair that shares two blocks comes twice, with the same rank.
            if is_worse || best.contains_key(&rank) || linked(&rank.1, &rank.2) {
                return;
            }
            if is_full {
                best.pop_last();
            }
            best.insert(rank, likeness);
        };
        for kind in 0..BLOCKS {
            let keyed = self.blocks.iter().enumerate();
            let keyed = keyed.map(|(slot, blocks)| (u64::from(blocks.0[kind]), slot));
            each_pair(keyed.filter(|(key, _)| *key != 0), &facts, &mut pair);
        }
        let identifiers = self.slots.iter().enumerate().flat_map(|(slot, held)| {
            let row = held.as_ref().map(|held| &held.row);
            row.into_iter()
                .flat_map(move |row| row.identifiers.iter().map(move |key| (*key, slot)))
        });
        each_pair(identifiers, &facts, &mut pair);
        best.into_iter()
            .map(|((_, a, b), likeness)| (a, b, Candidate::new(b, likeness)))
            .collect()
    }
}

/// Calls `pair` for the rows of each key that are to be compared.
fn each_pair(
    keyed: impl Iterator<Item = (u64, usize)>,
    facts: &[Option<(LogId, Facts)>],
    pair: &mut impl FnMut(usize, usize),
) {
    let mut keyed: Vec<(u64, usize)> = keyed.collect();
    keyed.sort_unstable();
    for block in keyed.chunk_by_mut(|(a, _), (b, _)| a == b) {
        let reach = if block.len() > MAX_BLOCK {
            block.sort_unstable_by_key(|(_, slot)| {
                let row = facts.get(*slot).and_then(Option::as_ref);
                row.map(|(log, f)| (&f.family, &f.given, &f.date, log))
            });
            WINDOW
        } else {
            MAX_BLOCK
        };
        for (at, (_, a)) in block.iter().enumerate() {
            for (_, b) in block.iter().skip(at + 1).take(reach) {
                pair(*a, *b);
            }
        }
    }
}

/// The blocks of a row.
pub(super) fn blocks(row: &IndexRow, folded: &Folded) -> Blocks {
    let date = row.birth_date.as_deref().unwrap_or("");
    let mut all: Vec<&str> = folded.name_words().collect();
    all.sort_unstable();
    // One word is no name to look for duplicates by.
    let name = if all.len() > 1 {
        all.join(" ")
    } else {
        String::new()
    };
    let sound = words(&folded.family).next().map(sound).unwrap_or_default();
    let sound_and_year = match date.get(..4) {
        Some(year) if !sound.is_empty() => format!("{sound} {year}"),
        _ => String::new(),
    };
    let day = if date.len() == 10 { date } else { "" };
    Blocks([
        hash(day),
        hash(folded.phone.as_ref().and_then(Phone::local).unwrap_or("")),
        hash(&folded.mrn),
        hash(row.source_id.as_deref().unwrap_or("")),
        hash(&name),
        hash(&sound_and_year),
    ])
}

/// How a folded name sounds, roughly: American Soundex for Latin letters (its first letter, then the classes of the consonants, without repetition),
/// and the first letters of any other script.
fn sound(name: &str) -> String {
    if !name.is_ascii() {
        return name.chars().take(SOUND_LETTERS).collect();
    }
    let class = |c: char| match c {
        'b' | 'f' | 'p' | 'v' => '1',
        'c' | 'g' | 'j' | 'k' | 'q' | 's' | 'x' | 'z' => '2',
        'd' | 't' => '3',
        'l' => '4',
        'm' | 'n' => '5',
        'r' => '6',
        // These two stand between letters of one class as if nothing did.
        'h' | 'w' => ' ',
        _ => '0',
    };
    let mut out = String::new();
    let mut last = '0';
    for c in name.chars() {
        let class = class(c);
        if out.is_empty() {
            out.push(c);
            last = class;
            continue;
        }
        if class == ' ' {
            continue;
        }
        if class != '0' && class != last {
            out.push(class);
        }
        last = class;
        if out.len() == SOUND_LETTERS {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_sound_share_a_block() {
        // The examples of the National Archives' description of Soundex, but for the padding.
        for (name, code) in [
            ("washington", "w252"),
            ("lee", "l"),
            ("gutierrez", "g362"),
            ("pfister", "p236"),
            ("jackson", "j250"),
            ("tymczak", "t522"),
            ("ashcraft", "a261"),
        ] {
            assert_eq!(sound(name), code.trim_end_matches('0'), "{name}");
        }
        assert_eq!(sound("семенов"), "семе");
        assert_eq!(sound(""), "");
    }
}

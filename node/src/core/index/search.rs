//! Search: every row gets a cost for every word typed, and the cheapest rows come first.
//!
//! Costs are added over the words, and each is more than all cheaper ones together can be: a row with fewer slips always comes before
//! a row with more, and among equals the one with fewer hits in the midst of a name, and so on. Rows of one cost
//! are in the order of the list. What is looked at is each distinct word of all names, not each row: a name of a thousand patients is read once.

use super::Index;
use super::edit::Slip;
use super::number::{DateQuery, Phone};
use super::query::{Group, Query, Token};
use super::table::Table;

/// The record number or telephone number, whole.
const NUMBER: u16 = 0;
/// A whole word or date.
const WORD: u16 = 1;
/// The beginning of a word, number or date.
const BEGINNING: u16 = 9;
/// Something within a name or number.
const INSIDE: u16 = 81;
/// A name with one slip.
const SLIP: u16 = 729;
/// Not at all.
const NONE: u16 = u16::MAX;

/// Letters or digits from which on a number is looked for within a number.
const INSIDE_DIGITS: usize = 3;

/// One cost a slot.
type Costs = Vec<u16>;

/// The slots that a search finds, best first.
pub(super) fn search(index: &Index, text: &str, limit: usize) -> Vec<u32> {
    let query = Query::parse(text);
    if query.groups.is_empty() {
        let listed = if text.trim().is_empty() { limit } else { 0 };
        return index.order.values().take(listed).copied().collect();
    }
    // Where whole words and beginnings fill the list, nothing that is looked for more laboriously could come into it.
    let pass = |is_deep| Pass { index, is_deep }.costs(&query);
    let mut costs = pass(false);
    if costs
        .iter()
        .filter(|cost| **cost != NONE)
        .take(limit)
        .count()
        < limit
    {
        costs = pass(true);
    }
    let mut hits: Vec<(u16, u32)> = index
        .order
        .values()
        .filter_map(|slot| {
            let cost = costs.get(*slot as usize).copied().unwrap_or(NONE);
            (cost != NONE).then_some((cost, *slot))
        })
        .collect();
    hits.sort_by_key(|(cost, _)| *cost);
    hits.into_iter().take(limit).map(|(_, slot)| slot).collect()
}

struct Pass<'a> {
    index: &'a Index,
    /// Whether to look within words and for slips too.
    is_deep: bool,
}

impl Pass<'_> {
    fn costs(&self, query: &Query) -> Costs {
        let mut total = vec![0; self.index.slots.len()];
        for group in &query.groups {
            add(&mut total, &self.group(group));
        }
        lower(&mut total, self.index.mrns.exact(&query.whole), NUMBER);
        // A slot without a row costs nothing by no word; it is in no list either, but would be counted.
        for slot in &self.index.free {
            if let Some(cost) = total.get_mut(*slot as usize) {
                *cost = NONE;
            }
        }
        total
    }

    fn none(&self) -> Costs {
        vec![NONE; self.index.slots.len()]
    }

    fn group(&self, group: &Group) -> Costs {
        let mut costs = self.none();
        for (at, token) in group.tokens.iter().enumerate() {
            let of_token = self.token(token);
            if at == 0 {
                costs = of_token;
            } else {
                add(&mut costs, &of_token);
            }
        }
        if let Some(phone) = &group.joined {
            self.phone(phone, &mut costs);
        }
        costs
    }

    fn token(&self, token: &Token) -> Costs {
        let mut costs = self.none();
        for (at, part) in token.parts.iter().enumerate() {
            if at == 0 {
                self.name(part, &mut costs);
            } else {
                let mut of_part = self.none();
                self.name(part, &mut of_part);
                add(&mut costs, &of_part);
            }
        }
        if token.parts.len() > 1 {
            self.name(&token.compact, &mut costs);
        }
        self.mrn(&token.compact, &mut costs);
        for date in &token.dates {
            self.date(date, &mut costs);
        }
        if let Some(phone) = &token.phone {
            self.phone(phone, &mut costs);
        }
        costs
    }

    fn name(&self, word: &str, costs: &mut Costs) {
        words_and_beginnings(&self.index.names, word, WORD, costs);
        if !self.is_deep {
            return;
        }
        let names = &self.index.names;
        if !word.is_ascii() || word.len() > 1 {
            for line in names.containing(word) {
                lower(costs, names.rows(&line), INSIDE);
            }
        }
        if word.bytes().any(|b| b.is_ascii_digit()) {
            // Another digit is another number.
            return;
        }
        let slip = Slip::of(word);
        for line in names.iter().filter(|line| slip.is_of(line.key)) {
            lower(costs, names.rows(&line), SLIP);
        }
    }

    fn mrn(&self, mrn: &str, costs: &mut Costs) {
        words_and_beginnings(&self.index.mrns, mrn, NUMBER, costs);
        if self.is_deep && mrn.len() >= INSIDE_DIGITS {
            let mrns = &self.index.mrns;
            for line in mrns.containing(mrn) {
                lower(costs, mrns.rows(&line), INSIDE);
            }
        }
    }

    fn date(&self, date: &DateQuery, costs: &mut Costs) {
        let cost = if date.is_whole() { WORD } else { BEGINNING };
        match date {
            DateQuery::Begins(start) => {
                for (_, slots) in self.index.dates.prefix(start) {
                    lower(costs, slots, cost);
                }
            }
            DateQuery::Day { .. } => {
                let dates = &self.index.dates;
                for line in dates.iter().filter(|line| date.is_met_by(line.key)) {
                    lower(costs, dates.rows(&line), cost);
                }
            }
        }
    }

    fn phone(&self, phone: &Phone, costs: &mut Costs) {
        for start in phone.key_starts() {
            for (key, slots) in self.index.phones.prefix(&start) {
                if phone.is_same(key) {
                    lower(costs, slots, NUMBER);
                }
            }
        }
        if self.is_deep && phone.len() >= INSIDE_DIGITS {
            let (anywhere, beginnings) = phone.parts();
            let phones = &self.index.phones;
            for line in phones.containing(&anywhere) {
                lower(costs, phones.rows(&line), INSIDE);
            }
            for mut start in beginnings {
                start.push('\n');
                for line in phones.containing(&start) {
                    lower(costs, phones.rows(&line), INSIDE);
                }
            }
        }
    }
}

fn words_and_beginnings(table: &Table, word: &str, whole: u16, costs: &mut Costs) {
    for (key, slots) in table.prefix(word) {
        let is_whole = key.len() == word.len();
        lower(costs, slots, if is_whole { whole } else { BEGINNING });
    }
}

fn lower(costs: &mut Costs, slots: &[u32], to: u16) {
    for slot in slots {
        if let Some(cost) = costs.get_mut(*slot as usize) {
            *cost = to.min(*cost);
        }
    }
}

fn add(costs: &mut Costs, more: &Costs) {
    for (cost, more) in costs.iter_mut().zip(more) {
        // `NONE` is the largest number: it stays.
        *cost = cost.saturating_add(*more);
    }
}

//! Range-based set reconciliation: one side's search for the logs in which the two differ, and the other
//! side's answers, which need no memory of the search.
//!
//! The searcher asks with fingerprints of disjoint ranges and waits for the answer before it asks on, depth first,
//! so that what it remembers grows with the depth of the search and not with the number of logs.

use std::collections::VecDeque;

use salus_audit::LogId;

use crate::catalog::Catalog;
use crate::frame::{Interval, Message, Part, Set, Summary};
use crate::limits::{LIST_ITEMS, MAX_ITEMS, MAX_LISTED, MAX_RANGES};
use crate::port::{ABSENT, Digest, Violation};

/// A small generator (SplitMix64, Steele, Lea, Flood 2014): decides nothing but the order of a search, so that two
/// nodes that fetch from each other's sources do not fetch the same logs at the same time.
#[derive(Debug, Clone)]
pub(crate) struct Shuffle(u64);

impl Shuffle {
    pub(crate) fn new(seed: &[u8; 32], salt: &[u8]) -> Self {
        let hash = blake3::Hasher::new_keyed(seed).update(salt).finalize();
        let state = hash.as_bytes()[..8]
            .iter()
            .fold(0, |value, byte| (value << 8) | u64::from(*byte));
        Self(state)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let bound = bound.max(1) as u64;
        usize::try_from(z % bound).unwrap_or(0)
    }
}

/// A log that the two hold differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Difference {
    pub log: LogId,
    pub set: Set,
    pub theirs: Digest,
}

/// What the other side listed and is not compared yet.
#[derive(Debug)]
struct Listed {
    interval: Interval,
    after: Option<LogId>,
    theirs: VecDeque<(LogId, Digest)>,
}

/// A search under way.
#[derive(Debug, Default)]
pub(crate) struct Round {
    opened: bool,
    /// What is still to be asked; the next on top.
    stack: Vec<Interval>,
    asked: Option<(u64, Vec<(Interval, Summary)>)>,
    listed: VecDeque<Listed>,
    listed_in_all: u64,
}

impl Round {
    /// Whether nothing is left to be asked or compared.
    pub(crate) fn is_done(&self) -> bool {
        self.opened && self.stack.is_empty() && self.asked.is_none() && self.listed.is_empty()
    }

    pub(crate) fn awaits_answer(&self) -> bool {
        self.asked.is_some()
    }

    /// Ranges and listed logs that are remembered.
    pub(crate) fn footprint(&self) -> usize {
        let listed: usize = self.listed.iter().map(|listed| listed.theirs.len()).sum();
        let asked = self.asked.as_ref().map_or(0, |(_, ranges)| ranges.len());
        self.stack.len() + asked + listed
    }

    /// The next question, if it may be asked now. Records wait while rosters are still under way: entries are
    /// judged by the rosters of their writers.
    pub(crate) fn probe(
        &mut self,
        catalog: &Catalog,
        id: u64,
        rosters_busy: bool,
    ) -> Option<Message> {
        if self.asked.is_some() || !self.listed.is_empty() {
            return None;
        }
        let mut intervals = Vec::new();
        if self.opened {
            let set = self.stack.last()?.set;
            if set == Set::Records && rosters_busy {
                return None;
            }
            while intervals.len() < MAX_RANGES
                && let Some(interval) = self.stack.pop_if(|top| top.set == set)
            {
                intervals.push(interval);
            }
            intervals.sort();
        } else {
            self.opened = true;
            intervals.push(Interval::whole(Set::Rosters));
            intervals.push(Interval::whole(Set::Records));
        }
        let ranges = intervals.into_iter();
        let ranges: Vec<_> = ranges
            .map(|interval| (interval, catalog.summary(&interval)))
            .collect();
        self.asked = Some((id, ranges.clone()));
        Some(Message::Probe { id, ranges })
    }

    /// Takes in the other side's answer.
    pub(crate) fn answered(
        &mut self,
        id: u64,
        parts: Vec<Part>,
        catalog: &Catalog,
        shuffle: &mut Shuffle,
    ) -> Result<(), Violation> {
        let Some((_, ranges)) = self.asked.take_if(|(asked, _)| *asked == id) else {
            return Err(Violation::Unexpected("an answer to no question"));
        };
        if parts.is_empty() || parts.len() > ranges.len() {
            return Err(Violation::Malformed("answer"));
        }
        let rosters_differ = ranges
            .iter()
            .zip(&parts)
            .any(|((interval, _), part)| interval.set == Set::Rosters && *part != Part::Same);
        let unanswered = ranges.get(parts.len()..).unwrap_or_default();
        self.push(unanswered.iter().map(|(interval, _)| *interval).collect());
        for ((interval, summary), part) in ranges.into_iter().zip(parts).rev() {
            match part {
                Part::Same => {}
                // Asked again once the rosters are equal; it has changed by then anyway.
                _ if interval.set == Set::Records && rosters_differ => self.push(vec![interval]),
                Part::Differs if summary.count > LIST_ITEMS as u64 => {
                    self.push(rotated(catalog.split(&interval), shuffle));
                }
                Part::Differs => return Err(Violation::Malformed("answer")),
                Part::Listed { items, upto } => self.list(interval, items, upto, shuffle)?,
            }
        }
        Ok(())
    }

    fn list(
        &mut self,
        interval: Interval,
        items: Vec<(LogId, Digest)>,
        upto: Option<LogId>,
        shuffle: &mut Shuffle,
    ) -> Result<(), Violation> {
        if upto.is_some_and(|upto| upto == interval.lo || !interval.contains(upto)) {
            return Err(Violation::Malformed("answer"));
        }
        let part = Interval {
            hi: upto.or(interval.hi),
            ..interval
        };
        // The items are ascending: the frame's reader has seen to it.
        let ends = [items.first(), items.last()].into_iter().flatten();
        let outside = ends.filter(|item| !part.contains(item.0)).count();
        if outside > 0 {
            return Err(Violation::Malformed("answer"));
        }
        self.listed_in_all += items.len() as u64;
        if self.listed_in_all > MAX_LISTED {
            return Err(Violation::TooMuch("logs listed in a round"));
        }
        if let Some(upto) = upto {
            let rest = Interval {
                lo: upto,
                ..interval
            };
            self.push(rotated(rest.split_evenly(), shuffle));
        }
        self.listed.push_front(Listed {
            interval: part,
            after: None,
            theirs: items.into(),
        });
        Ok(())
    }

    /// The next log in which the two differ, as far as is known.
    pub(crate) fn next_difference(
        &mut self,
        catalog: &Catalog,
        rosters_busy: bool,
    ) -> Option<Difference> {
        loop {
            let listed = self.listed.front_mut()?;
            let set = listed.interval.set;
            if set == Set::Records && rosters_busy {
                return None;
            }
            let ours = catalog.next(&listed.interval, listed.after);
            let theirs = listed.theirs.front().copied();
            let (log, ours, theirs) = match (ours, theirs) {
                (None, None) => {
                    self.listed.pop_front();
                    continue;
                }
                (Some((log, ours)), Some((other, _))) if log < other => (log, ours, ABSENT),
                (Some((log, ours)), Some((other, theirs))) if log == other => (log, ours, theirs),
                (_, Some((log, theirs))) => (log, ABSENT, theirs),
                (Some((log, ours)), None) => (log, ours, ABSENT),
            };
            if listed.theirs.front().is_some_and(|item| item.0 == log) {
                listed.theirs.pop_front();
            }
            listed.after = Some(log);
            if ours != theirs {
                return Some(Difference { log, set, theirs });
            }
        }
    }

    /// The other side told the digest of a log after it answered: what it listed before is old.
    pub(crate) fn heard(&mut self, log: LogId, theirs: Digest, ours: Option<Set>) {
        for listed in &mut self.listed {
            if listed.after.is_some_and(|after| log <= after) {
                continue;
            }
            match listed.theirs.binary_search_by(|item| item.0.cmp(&log)) {
                Ok(at) => {
                    if let Some(item) = listed.theirs.get_mut(at) {
                        item.1 = theirs;
                    }
                }
                // In which set the other side has a log that is not held here is not known: it is noted in both.
                Err(at) => {
                    let set = listed.interval.set;
                    if ours.unwrap_or(set) == set && listed.interval.contains(log) {
                        listed.theirs.insert(at, (log, theirs));
                    }
                }
            }
        }
    }

    /// Puts these on the stack so that the first is asked first.
    fn push(&mut self, intervals: Vec<Interval>) {
        self.stack.extend(intervals.into_iter().rev());
    }
}

/// The same intervals, begun somewhere else.
fn rotated(mut intervals: Vec<Interval>, shuffle: &mut Shuffle) -> Vec<Interval> {
    let start = shuffle.below(intervals.len());
    intervals.rotate_left(start);
    intervals
}

/// What this side says to another's question. It may answer only the first ranges; the others are asked again.
pub(crate) fn answer(catalog: &Catalog, id: u64, ranges: &[(Interval, Summary)]) -> Message {
    let mut left = MAX_ITEMS;
    let mut parts = Vec::with_capacity(ranges.len());
    for (interval, theirs) in ranges {
        let ours = catalog.summary(interval);
        let many = LIST_ITEMS as u64;
        if ours == *theirs {
            parts.push(Part::Same);
        } else if ours.count > many && theirs.count > many {
            parts.push(Part::Differs);
        } else if left == 0 {
            break;
        } else {
            let (items, upto) = catalog.page(interval, left);
            left -= items.len();
            parts.push(Part::Listed { items, upto });
        }
    }
    Message::Answer { id, parts }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::port::CatalogItem;

    fn log(n: u32) -> LogId {
        LogId::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes())
    }

    fn catalog(logs: &BTreeMap<u32, u8>) -> Catalog {
        let mut catalog = Catalog::default();
        for (n, version) in logs {
            catalog.insert(&CatalogItem {
                log: log(*n),
                digest: [*version + 1; 32],
                is_roster: *n % 7 == 0,
            });
        }
        catalog
    }

    /// Runs a round between two catalogs; the found differences and the number of questions.
    fn run(ours: &Catalog, theirs: &Catalog) -> (BTreeSet<LogId>, usize) {
        let mut round = Round::default();
        let mut shuffle = Shuffle::new(&[1; 32], b"test");
        let mut found = BTreeSet::new();
        let mut probes = 0;
        while !round.is_done() {
            while let Some(difference) = round.next_difference(ours, false) {
                assert!(found.insert(difference.log), "found twice");
                assert_eq!(difference.theirs, theirs.digest(difference.log));
            }
            let Some(probe) = round.probe(ours, probes, false) else {
                continue;
            };
            probes += 1;
            let Ok(Message::Probe { id, ranges }) = Message::decode(probe.encode().as_bytes())
            else {
                panic!("not a probe");
            };
            let answer = answer(theirs, id, &ranges).encode();
            let Ok(Message::Answer { id, parts }) = Message::decode(answer.as_bytes()) else {
                panic!("not an answer");
            };
            round.answered(id, parts, ours, &mut shuffle).unwrap();
        }
        (found, usize::try_from(probes).unwrap())
    }

    fn differing(a: &BTreeMap<u32, u8>, b: &BTreeMap<u32, u8>) -> BTreeSet<LogId> {
        let all: BTreeSet<_> = a.keys().chain(b.keys()).collect();
        all.into_iter()
            .filter(|n| a.get(n) != b.get(n))
            .map(|n| log(*n))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn exactly_the_differences_are_found(
            a in prop::collection::btree_map(0..2000u32, 0..3u8, 0..1500),
            changes in prop::collection::btree_map(0..3000u32, prop::option::of(0..3u8), 0..300),
        ) {
            let mut b = a.clone();
            for (n, version) in changes {
                match version {
                    Some(version) => { b.insert(n, version); }
                    None => { b.remove(&n); }
                }
            }
            let (found, _) = run(&catalog(&a), &catalog(&b));
            prop_assert_eq!(found, differing(&a, &b));
        }
    }

    #[test]
    fn two_in_step_ask_once_whatever_the_number_of_logs() {
        for count in [0, 1, 100, 20_000] {
            let logs: BTreeMap<u32, u8> = (0..count).map(|n| (n, 0)).collect();
            let (found, probes) = run(&catalog(&logs), &catalog(&logs));
            assert_eq!((found.len(), probes), (0, 1));
        }
    }

    #[test]
    fn one_change_among_many_is_found_in_few_questions() {
        let logs: BTreeMap<u32, u8> = (0..40_000).map(|n| (n, 0)).collect();
        let mut changed = logs.clone();
        changed.insert(777, 1);
        let (found, probes) = run(&catalog(&logs), &catalog(&changed));
        assert_eq!(found, [log(777)].into());
        // The rosters' whole; theirs again in 16, then 16 of 16 until 64 are left; then the records.
        assert!(probes <= 8, "{probes} questions");
    }

    #[test]
    fn an_empty_side_finds_all_in_pages_from_either_end() {
        let none = catalog(&BTreeMap::new());
        let logs: BTreeMap<u32, u8> = (0..50_000).map(|n| (n, 0)).collect();
        let all = catalog(&logs);
        let (found, probes) = run(&none, &all);
        assert_eq!(found.len(), logs.len());
        assert!(probes < 40, "{probes} questions");
        let (found, probes) = run(&all, &none);
        assert_eq!(found.len(), logs.len());
        assert!(probes <= 3, "{probes} questions");
    }

    #[test]
    fn what_is_heard_after_a_list_counts_more_than_the_list() {
        let ours = catalog(&(1..4).map(|n| (n, 0)).collect());
        let theirs = catalog(&[(1, 1)].into());
        let mut round = Round::default();
        let Some(Message::Probe { id, ranges }) = round.probe(&ours, 0, false) else {
            panic!("not a probe");
        };
        let Message::Answer { id, parts } = answer(&theirs, id, &ranges) else {
            panic!("not an answer");
        };
        let mut shuffle = Shuffle::new(&[1; 32], b"test");
        round.answered(id, parts, &ours, &mut shuffle).unwrap();
        for n in [1, 2] {
            round.heard(log(n), ours.digest(log(n)), ours.set_of(log(n)));
        }
        let found = std::iter::from_fn(|| round.next_difference(&ours, false));
        assert_eq!(
            found.map(|difference| difference.log).collect::<Vec<_>>(),
            [log(3)]
        );
    }

    #[test]
    fn a_lying_answer_ends_the_round() {
        let logs: BTreeMap<u32, u8> = (1..7).map(|n| (n, 0)).collect();
        let ours = catalog(&logs);
        let mut shuffle = Shuffle::new(&[1; 32], b"test");
        let listed = |items: Vec<(LogId, Digest)>, upto| Part::Listed { items, upto };
        let low = LogId::from_bytes([0; 32]);
        let high = LogId::from_bytes([0xee; 32]);
        let lies = [
            vec![],
            vec![Part::Same; 3],
            // Few logs are listed, not split.
            vec![Part::Same, Part::Differs],
            // A page that ends where it begins.
            vec![Part::Same, listed(vec![], Some(low))],
            // A log beyond the page's end.
            vec![Part::Same, listed(vec![(high, [1; 32])], Some(high))],
        ];
        for parts in lies {
            let mut round = Round::default();
            round.probe(&ours, 5, false).unwrap();
            assert!(round.answered(5, parts, &ours, &mut shuffle).is_err());
        }
        let mut round = Round::default();
        round.probe(&ours, 5, false).unwrap();
        let wrong = round.answered(6, vec![Part::Same], &ours, &mut shuffle);
        assert!(wrong.is_err());
    }
}

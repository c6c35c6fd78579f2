//! What this node holds and one peer may hold: two sorted sets of (log, digest), summarised by range.

use std::collections::BTreeMap;
use std::ops::Bound;

use salus_audit::LogId;

use crate::frame::{Interval, Set, Summary};
use crate::limits::SPLIT;
use crate::port::{ABSENT, CatalogItem, Digest};

/// Separates fingerprints from all other hashes (BLAKE3 `derive_key` context).
pub const FINGERPRINT_DOMAIN: &str = "salus/sync/fingerprint/v1";

/// The least log id.
pub(crate) const FIRST: LogId = LogId::from_bytes([0; 32]);

/// Bytes that are hashed at once: 16 chunks of BLAKE3, the widest its vector code takes.
const HASHED_AT_ONCE: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Catalog {
    rosters: BTreeMap<LogId, Digest>,
    records: BTreeMap<LogId, Digest>,
}

impl From<Vec<CatalogItem>> for Catalog {
    /// Items that are ascending by log make a tree in one pass, three times as fast as others.
    fn from(items: Vec<CatalogItem>) -> Self {
        let (rosters, records): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|item| item.is_roster);
        let tree = |items: Vec<CatalogItem>| {
            let pairs = items.into_iter().map(|item| (item.log, item.digest));
            pairs.collect()
        };
        Self {
            rosters: tree(rosters),
            records: tree(records),
        }
    }
}

impl Catalog {
    pub(crate) fn insert(&mut self, item: &CatalogItem) {
        let (to, from) = if item.is_roster {
            (&mut self.rosters, &mut self.records)
        } else {
            (&mut self.records, &mut self.rosters)
        };
        from.remove(&item.log);
        to.insert(item.log, item.digest);
    }

    pub(crate) fn remove(&mut self, log: LogId) {
        self.rosters.remove(&log);
        self.records.remove(&log);
    }

    /// [`ABSENT`] for a log that is not here.
    pub(crate) fn digest(&self, log: LogId) -> Digest {
        let found = self.records.get(&log).or_else(|| self.rosters.get(&log));
        found.copied().unwrap_or(ABSENT)
    }

    pub(crate) fn set_of(&self, log: LogId) -> Option<Set> {
        if self.rosters.contains_key(&log) {
            Some(Set::Rosters)
        } else {
            self.records.contains_key(&log).then_some(Set::Records)
        }
    }

    pub(crate) fn contains(&self, log: LogId) -> bool {
        self.set_of(log).is_some()
    }

    /// The logs that are here with another digest than in the old one. One pass over both: a search for each of
    /// 100,000 logs takes ten times as long.
    pub(crate) fn changed_since(&self, old: &Self) -> Vec<(Set, LogId)> {
        let mut changed = Vec::new();
        for set in [Set::Rosters, Set::Records] {
            let mut before = old.set(set).iter().peekable();
            for (log, digest) in self.set(set) {
                while before.next_if(|(earlier, _)| *earlier < log).is_some() {}
                let same = before.next_if(|(same, _)| *same == log);
                if same.is_none_or(|(_, known)| known != digest) {
                    changed.push((set, *log));
                }
            }
        }
        changed
    }

    pub(crate) fn summary(&self, interval: &Interval) -> Summary {
        let mut hasher = blake3::Hasher::new_derive_key(FINGERPRINT_DOMAIN);
        let mut buffer = Vec::with_capacity(HASHED_AT_ONCE);
        let mut count = 0;
        for (log, digest) in self.within(interval) {
            buffer.extend_from_slice(log.as_bytes());
            buffer.extend_from_slice(digest);
            count += 1;
            if buffer.len() >= HASHED_AT_ONCE {
                hasher.update(&buffer);
                buffer.clear();
            }
        }
        hasher.update(&buffer);
        Summary {
            count,
            fingerprint: hasher.finalize().into(),
        }
    }

    /// At most [`SPLIT`] intervals with equal counts, ascending, that together are this one.
    pub(crate) fn split(&self, interval: &Interval) -> Vec<Interval> {
        let count = self.within(interval).count();
        let step = count.div_ceil(SPLIT).max(1);
        let cuts = self.within(interval).map(|(log, _)| *log);
        let cuts: Vec<LogId> = cuts.step_by(step).skip(1).collect();
        cut(interval, &cuts)
    }

    /// The first `max` logs, and where the next one would be.
    pub(crate) fn page(
        &self,
        interval: &Interval,
        max: usize,
    ) -> (Vec<(LogId, Digest)>, Option<LogId>) {
        let mut logs = self.within(interval).map(|(log, digest)| (*log, *digest));
        let items = logs.by_ref().take(max).collect();
        let upto = logs.next().map(|(log, _)| log);
        (items, upto)
    }

    /// The first log of the interval that comes after `after`.
    pub(crate) fn next(
        &self,
        interval: &Interval,
        after: Option<LogId>,
    ) -> Option<(LogId, Digest)> {
        let from = after.map_or(Bound::Included(interval.lo), Bound::Excluded);
        // An empty or turned interval would make `range` panic.
        if after.is_some_and(|after| interval.hi.is_some_and(|hi| hi <= after)) {
            return None;
        }
        let to = interval.hi.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.set(interval.set).range((from, to));
        rest.next().map(|(log, digest)| (*log, *digest))
    }

    fn within(&self, interval: &Interval) -> impl Iterator<Item = (&LogId, &Digest)> {
        let turned = interval.hi.is_some_and(|hi| hi <= interval.lo);
        let to = interval.hi.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (!turned).then(|| {
            self.set(interval.set)
                .range((Bound::Included(interval.lo), to))
        });
        range.into_iter().flatten()
    }

    fn set(&self, set: Set) -> &BTreeMap<LogId, Digest> {
        match set {
            Set::Rosters => &self.rosters,
            Set::Records => &self.records,
        }
    }
}

impl Interval {
    /// A whole set.
    pub(crate) fn whole(set: Set) -> Self {
        Self {
            set,
            lo: FIRST,
            hi: None,
        }
    }

    pub(crate) fn contains(&self, log: LogId) -> bool {
        self.lo <= log && self.hi.is_none_or(|hi| log < hi)
    }

    /// At most [`SPLIT`] intervals of equal width in the space of ids, ascending, that together are this one:
    /// for a side that holds nothing in it to split by. Log ids are random, so that equal width is equal count.
    pub(crate) fn split_evenly(&self) -> Vec<Self> {
        let lo = leading(self.lo);
        let hi = self.hi.map_or(u64::MAX, leading);
        let step = hi.saturating_sub(lo) / SPLIT as u64;
        if step == 0 {
            return vec![*self];
        }
        let cuts: Vec<LogId> = (1..SPLIT as u64)
            .map(|n| {
                let mut id = [0; 32];
                id[..8].copy_from_slice(&(lo + n * step).to_be_bytes());
                LogId::from_bytes(id)
            })
            .collect();
        cut(self, &cuts)
    }
}

fn leading(log: LogId) -> u64 {
    let bytes = log.as_bytes();
    bytes[..8]
        .iter()
        .fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

/// The intervals between `cuts`, which are ascending and inside.
fn cut(interval: &Interval, cuts: &[LogId]) -> Vec<Interval> {
    let mut lo = interval.lo;
    let mut parts = Vec::with_capacity(cuts.len() + 1);
    for &hi in cuts {
        if hi > lo && interval.hi.is_none_or(|end| hi < end) {
            parts.push(Interval {
                set: interval.set,
                lo,
                hi: Some(hi),
            });
            lo = hi;
        }
    }
    parts.push(Interval { lo, ..*interval });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(n: u16) -> LogId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        LogId::from_bytes(id)
    }

    fn catalog(records: impl Iterator<Item = u16>) -> Catalog {
        let mut catalog = Catalog::default();
        for n in records {
            catalog.insert(&CatalogItem {
                log: log(n),
                digest: [7; 32],
                is_roster: false,
            });
        }
        catalog
    }

    #[test]
    fn the_parts_of_a_split_are_the_whole_and_nearly_equal() {
        let all = Interval::whole(Set::Records);
        for count in [0, 1, 15, 16, 17, 65, 1000, 4097] {
            let catalog = catalog(0..count);
            let parts = catalog.split(&all);
            assert!(parts.len() <= SPLIT);
            assert_eq!(parts[0].lo, FIRST);
            assert_eq!(parts.last().unwrap().hi, None);
            assert!(parts.windows(2).all(|pair| pair[0].hi == Some(pair[1].lo)));
            let counts = parts.iter().map(|part| catalog.summary(part).count);
            assert_eq!(counts.clone().sum::<u64>(), u64::from(count));
            assert!(counts.max().unwrap() <= u64::from(count).div_ceil(SPLIT as u64).max(1));
        }
    }

    #[test]
    fn the_parts_of_an_even_split_are_the_whole() {
        let interval = Interval {
            set: Set::Records,
            lo: log(3),
            hi: Some(log(40_000)),
        };
        for interval in [interval, Interval::whole(Set::Rosters)] {
            let parts = interval.split_evenly();
            assert_eq!(parts.len(), SPLIT);
            assert_eq!(parts[0].lo, interval.lo);
            assert_eq!(parts.last().unwrap().hi, interval.hi);
            assert!(parts.windows(2).all(|pair| pair[0].hi == Some(pair[1].lo)));
        }
        let narrow = Interval {
            set: Set::Records,
            lo: LogId::from_bytes([1; 32]),
            hi: Some(LogId::from_bytes([1; 32])),
        };
        assert_eq!(narrow.split_evenly(), [narrow]);
    }

    #[test]
    fn a_fingerprint_tells_every_difference() {
        let all = Interval::whole(Set::Records);
        let base = catalog(0..300);
        assert_eq!(base.summary(&all), catalog(0..300).summary(&all));
        assert_ne!(base.summary(&all), catalog(0..299).summary(&all));
        assert_ne!(base.summary(&all), catalog(1..301).summary(&all));
        let mut other = catalog(0..300);
        other.insert(&CatalogItem {
            log: log(17),
            digest: [8; 32],
            is_roster: false,
        });
        assert_ne!(base.summary(&all), other.summary(&all));
    }

    #[test]
    fn a_log_is_in_one_set_only() {
        let mut catalog = catalog(0..3);
        let item = CatalogItem {
            log: log(1),
            digest: [9; 32],
            is_roster: true,
        };
        catalog.insert(&item);
        assert_eq!(catalog.set_of(log(1)), Some(Set::Rosters));
        assert_eq!(catalog.digest(log(1)), [9; 32]);
        assert_eq!(catalog.summary(&Interval::whole(Set::Records)).count, 2);
        catalog.remove(log(1));
        assert_eq!(catalog.digest(log(1)), ABSENT);
    }

    #[test]
    fn a_new_catalog_tells_what_changed() {
        let old = catalog(0..5);
        let mut new = catalog(1..7);
        new.insert(&CatalogItem {
            log: log(2),
            digest: [8; 32],
            is_roster: false,
        });
        let changed = new.changed_since(&old);
        let changed: Vec<_> = changed.into_iter().map(|(_, log)| log).collect();
        assert_eq!(changed, [log(2), log(5), log(6)]);
    }

    #[test]
    fn pages_follow_each_other() {
        let catalog = catalog(0..10);
        let mut interval = Interval::whole(Set::Records);
        let mut seen = Vec::new();
        loop {
            let (items, upto) = catalog.page(&interval, 4);
            seen.extend(items.iter().map(|item| item.0));
            let Some(upto) = upto else { break };
            interval.lo = upto;
        }
        assert_eq!(seen, (0..10).map(log).collect::<Vec<_>>());
        let whole = Interval::whole(Set::Records);
        assert_eq!(catalog.next(&whole, None).unwrap().0, log(0));
        assert_eq!(catalog.next(&whole, Some(log(3))).unwrap().0, log(4));
        assert_eq!(catalog.next(&whole, Some(log(9))), None);
        let short = Interval {
            hi: Some(log(2)),
            ..whole
        };
        assert_eq!(catalog.next(&short, Some(log(5))), None);
    }
}

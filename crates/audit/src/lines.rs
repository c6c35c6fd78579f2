//! Lines: a chain that shows two histories is held as several unbranched runs.
//!
//! A chain that is honest has one line, whose id is the chain's. Where it has two entries for one place,
//! the one that came first here stays on its line and the other begins a new one: these *physical* lines
//! depend on the order of arrival, and the store and the clocks use them. The *canonical* lines, of which
//! heights speak, do not: at a place with two successors each successor begins a line.

use std::collections::BTreeMap;

use crate::clock::Tick;
use crate::heights::{Height, Heights};
use crate::id::{ChainId, EntryHash};

/// Most lines of one chain in a log. An honest clinic has one; a guess at how many histories a liar must
/// be shown with. Beyond it which ones are held depends on the order of arrival.
pub const MAX_FORKS: usize = 16;

/// A place at which a chain shows several histories.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fork {
    /// The chain.
    pub chain: ChainId,
    /// The place.
    pub seq: u64,
    /// The entries for that place, ascending: each with its signatures is evidence against the chain.
    pub entries: Vec<EntryHash>,
}

/// A physical line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) id: ChainId,
    pub(crate) chain: ChainId,
    /// The `seq` of its first entry.
    pub(crate) base: u32,
    /// The entry before its first one.
    pub(crate) parent: Option<Tick>,
    /// Where its entries are in the state, by `seq` from `base`.
    pub(crate) places: Vec<usize>,
}

impl Line {
    pub(crate) fn place(&self, seq: u32) -> Option<usize> {
        let offset = usize::try_from(seq.checked_sub(self.base)?).ok()?;
        self.places.get(offset).copied()
    }

    /// The `seq` after its last entry.
    fn end(&self) -> u32 {
        let length = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.base.saturating_add(length)
    }

    pub(crate) fn last(&self) -> Option<u32> {
        (!self.places.is_empty()).then(|| self.end().saturating_sub(1))
    }
}

/// A canonical line of a forked chain.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) id: ChainId,
    /// Pieces of physical lines, both ends included, from its first entry to its last.
    pub(crate) runs: Vec<Run>,
    /// Whether nothing follows.
    pub(crate) is_tip: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) line: u32,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Segment {
    pub(crate) fn end(&self) -> Option<Tick> {
        self.runs.last().map(|run| Tick {
            line: run.line,
            seq: run.to,
        })
    }
}

/// A place with several histories, by physical places.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) seq: u32,
    pub(crate) entries: Vec<Tick>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Forked {
    pub(crate) numbers: Vec<u32>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) branches: Vec<Branch>,
}

/// All lines of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    lines: Vec<Line>,
    numbers: BTreeMap<ChainId, u32>,
    /// The chains that have another line than one of their own name.
    forked: BTreeMap<ChainId, Forked>,
}

impl Lines {
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Line> {
        self.lines.get(usize::try_from(number).ok()?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Line)> {
        (0..).zip(&self.lines)
    }

    pub(crate) fn number(&self, id: &ChainId) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    pub(crate) fn forked(&self) -> &BTreeMap<ChainId, Forked> {
        &self.forked
    }

    /// The numbers of the chain's lines.
    pub(crate) fn of(&self, chain: &ChainId) -> Vec<u32> {
        match self.forked.get(chain) {
            Some(forked) => forked.numbers.clone(),
            None => self.number(chain).into_iter().collect(),
        }
    }

    pub(crate) fn place(&self, at: Tick) -> Option<usize> {
        self.get(at.line)?.place(at.seq)
    }

    /// How many entries of the line there are up to this one.
    pub(crate) fn length_to(&self, at: Tick) -> u64 {
        let base = self.get(at.line).map_or(0, |line| line.base);
        u64::from(at.seq.saturating_sub(base)) + 1
    }

    /// The entries of the chain that follow this one, or begin it.
    pub(crate) fn successors(&self, chain: &ChainId, before: Option<Tick>) -> Vec<Tick> {
        let mut found = Vec::new();
        if let Some(before) = before {
            let next = Tick {
                seq: before.seq.saturating_add(1),
                ..before
            };
            if self.place(next).is_some() {
                found.push(next);
            }
        }
        if self.forked.contains_key(chain) || before.is_none() {
            for number in self.of(chain) {
                let begins = self
                    .get(number)
                    .filter(|line| line.parent == before && (before.is_some() || line.base == 0));
                if let Some(line) = begins {
                    found.push(Tick {
                        line: number,
                        seq: line.base,
                    });
                }
            }
        }
        found
    }

    /// Begins a line; the caller has checked that there is room.
    pub(crate) fn begin(
        &mut self,
        id: ChainId,
        chain: ChainId,
        base: u32,
        parent: Option<Tick>,
    ) -> u32 {
        let number = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
        let before = self.of(&chain);
        self.numbers.insert(id, number);
        self.lines.push(Line {
            id,
            chain,
            base,
            parent,
            places: Vec::new(),
        });
        if id != chain || !before.is_empty() {
            let forked = self.forked.entry(chain).or_default();
            forked.numbers = before;
            forked.numbers.push(number);
        }
        number
    }

    /// Puts an entry at the end of a line and keeps the heights.
    pub(crate) fn push(
        &mut self,
        number: u32,
        place: usize,
        height: Height,
        heights: &mut Heights,
        hash: impl Fn(usize) -> Option<EntryHash>,
    ) {
        let Some(line) = usize::try_from(number)
            .ok()
            .and_then(|at| self.lines.get_mut(at))
        else {
            return;
        };
        let (chain, seq) = (line.chain, line.end());
        line.places.push(place);
        let Some(forked) = self.forked.get_mut(&chain) else {
            heights.insert(chain, height);
            return;
        };
        // The next entry of a line that goes on unbranched, or a change of the chain's shape.
        let grows = forked.segments.iter_mut().find(|segment| {
            segment.is_tip
                && segment
                    .end()
                    .is_some_and(|end| end.line == number && Some(end.seq) == seq.checked_sub(1))
        });
        match grows {
            Some(segment) => {
                if let Some(run) = segment.runs.last_mut() {
                    run.to = seq;
                }
                heights.insert(segment.id, height);
            }
            None => self.reshape(chain, heights, hash),
        }
    }

    /// Finds the canonical lines and the places with several histories of a forked chain anew.
    fn reshape(
        &mut self,
        chain: ChainId,
        heights: &mut Heights,
        hash: impl Fn(usize) -> Option<EntryHash>,
    ) {
        let hash_at = |at: Tick| self.place(at).and_then(&hash);
        let numbers = self.of(&chain);
        let mut segments: Vec<Segment> = Vec::new();
        let mut branches: Vec<Branch> = Vec::new();
        let mut open: Vec<(Tick, ChainId)> = Vec::new();
        let roots = self.successors(&chain, None);
        let start = |next: &[Tick], open: &mut Vec<(Tick, ChainId)>| {
            for at in next {
                if let Some(first) = hash_at(*at) {
                    open.push((*at, ChainId::fork(chain, first)));
                }
            }
        };
        match roots.as_slice() {
            [root] => open.push((*root, chain)),
            roots => {
                start(roots, &mut open);
                branches.push(Branch {
                    seq: 0,
                    entries: roots.to_vec(),
                });
            }
        }
        while let Some((first, id)) = open.pop() {
            let (mut at, mut runs) = (first, Vec::new());
            let is_tip = loop {
                let parents = numbers
                    .iter()
                    .filter_map(|number| self.get(*number)?.parent);
                let stop = parents
                    .filter(|parent| parent.line == at.line && parent.seq >= at.seq)
                    .map(|parent| parent.seq)
                    .min();
                let last = self.get(at.line).and_then(Line::last).unwrap_or(at.seq);
                let to = stop.unwrap_or(last);
                runs.push(Run {
                    line: at.line,
                    from: at.seq,
                    to,
                });
                let next = self.successors(
                    &chain,
                    Some(Tick {
                        line: at.line,
                        seq: to,
                    }),
                );
                match next.as_slice() {
                    [] => break true,
                    [only] => at = *only,
                    several => {
                        start(several, &mut open);
                        branches.push(Branch {
                            seq: to.saturating_add(1),
                            entries: several.to_vec(),
                        });
                        break false;
                    }
                }
            };
            segments.push(Segment { id, runs, is_tip });
        }
        let ends = segments.iter().filter_map(|segment| {
            let end = segment.end()?;
            let (seq, hash) = (u64::from(end.seq), hash_at(end)?);
            Some((segment.id, Height { seq, hash }))
        });
        let ends: Vec<(ChainId, Height)> = ends.collect();
        let Some(forked) = self.forked.get_mut(&chain) else {
            return;
        };
        heights.remove(&chain);
        for segment in &forked.segments {
            heights.remove(&segment.id);
        }
        heights.extend(ends);
        branches.sort_by_key(|branch| branch.seq);
        (forked.segments, forked.branches) = (segments, branches);
    }

    /// The canonical line of a place.
    pub(crate) fn canonical(&self, at: Tick) -> Option<ChainId> {
        let line = self.get(at.line)?;
        let Some(forked) = self.forked.get(&line.chain) else {
            return Some(line.id);
        };
        let holds = |run: &Run| run.line == at.line && run.from <= at.seq && at.seq <= run.to;
        let segment = forked
            .segments
            .iter()
            .find(|segment| segment.runs.iter().any(holds));
        segment.map(|segment| segment.id)
    }

    /// The lines that lead to the end of this one, each with the last `seq` that is on the way.
    pub(crate) fn path(&self, end: Tick) -> Vec<Tick> {
        let mut path = vec![end];
        let mut line = self.get(end.line);
        while let Some(parent) = line.and_then(|line| line.parent) {
            path.push(parent);
            line = self.get(parent.line);
        }
        path
    }
}

//! What another replica lacks, told from its heights.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::clock::Tick;
use crate::heights::Heights;
use crate::id::{ChainId, EntryHash};
use crate::lines::Segment;
use crate::state::LogState;

/// What the owner of some heights lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Physical line, `seq` and hash of each entry, in causal order.
    pub entries: Vec<(ChainId, u64, EntryHash)>,
    /// The chains of which the two hold different histories, ascending. Where they part is not known, so
    /// all that is held of such a chain and not known to be held there is listed.
    pub forked: Vec<ChainId>,
}

impl LogState {
    /// What the owner of these heights lacks of what is held here.
    ///
    /// A hash that is held here says that they hold that entry and all before it in its chain. One that
    /// is not says that they are ahead, unless this state has another entry at that place or several
    /// histories after it: then the chain is forked between the two. It also takes heights that speak of
    /// an older shape of a chain, or of entries on their way ([`line_of`](Self::line_of)): each adds to
    /// what they are known to hold.
    pub fn lacking(&self, theirs: &Heights) -> Lacking {
        self.lacking_first(theirs, usize::MAX)
    }

    /// The first entries of [`lacking`](Self::lacking), at most this many: as many as fit into a load.
    pub fn lacking_first(&self, theirs: &Heights, most: usize) -> Lacking {
        let (held, forked) = self.held_by(theirs);
        // The next entry of each line that they lack; the earliest accepted here goes first.
        let mut next: BinaryHeap<Reverse<(usize, Tick)>> = BinaryHeap::new();
        let push = |next: &mut BinaryHeap<_>, at: Tick| {
            if let Some(place) = self.lines.place(at) {
                next.push(Reverse((place, at)));
            }
        };
        for (line, held_to) in self.lines.iter().map(|(number, line)| {
            let held = held.get(&number).map(|seq| seq.saturating_add(1));
            (number, held.unwrap_or(line.base))
        }) {
            push(&mut next, Tick { line, seq: held_to });
        }
        let mut entries = Vec::new();
        while let Some(Reverse((place, at))) = next.pop() {
            if entries.len() >= most {
                break;
            }
            if let Some(meta) = self.entries.get(place) {
                entries.push((meta.line, meta.seq, meta.hash));
            }
            let seq = at.seq.saturating_add(1);
            push(&mut next, Tick { seq, ..at });
        }
        Lacking { entries, forked }
    }

    /// The last place of each line that they are known to hold, and the chains that are forked.
    fn held_by(&self, theirs: &Heights) -> (BTreeMap<u32, u32>, Vec<ChainId>) {
        let mut held: BTreeMap<u32, u32> = BTreeMap::new();
        let mut forked: BTreeSet<ChainId> = BTreeSet::new();
        let mut hold = |end: Tick| {
            for at in self.lines.path(end) {
                let seq = held.entry(at.line).or_insert(at.seq);
                *seq = at.seq.max(*seq);
            }
        };
        for (id, height) in theirs {
            if let Some(meta) = self.entry_meta(&height.hash) {
                hold(meta.at());
                continue;
            }
            match self.their_line(id) {
                Theirs::Unknown => {}
                Theirs::Within(chain) => {
                    forked.insert(chain);
                }
                Theirs::Tip(chain, end) => {
                    if height.seq > u64::from(end.seq) {
                        hold(end);
                    } else {
                        forked.insert(chain);
                    }
                }
            }
        }
        (held, forked.into_iter().collect())
    }

    /// What is known here of a line that they name.
    fn their_line(&self, id: &ChainId) -> Theirs {
        for (chain, forked) in self.lines.forked() {
            let named = |segment: &&Segment| segment.id == *id;
            let segment = forked.segments.iter().find(named);
            match segment.map(|segment| (segment.is_tip, segment.end())) {
                Some((true, Some(end))) => return Theirs::Tip(*chain, end),
                Some(_) => return Theirs::Within(*chain),
                None if chain == id => return Theirs::Within(*chain),
                None => {}
            }
        }
        let line = self.lines.number(id);
        let line = line.and_then(|number| Some((number, self.lines.get(number)?)));
        let Some((number, line)) = line else {
            return Theirs::Unknown;
        };
        match line.last() {
            // A physical line that is no canonical one belongs to a forked chain: looked at above.
            Some(seq) if !self.lines.forked().contains_key(&line.chain) => {
                Theirs::Tip(line.chain, Tick { line: number, seq })
            }
            _ => Theirs::Within(line.chain),
        }
    }
}

enum Theirs {
    /// No entry of it is held here.
    Unknown,
    /// Other lines follow it here.
    Within(ChainId),
    /// It ends here at this place.
    Tip(ChainId, Tick),
}

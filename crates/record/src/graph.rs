//! Which change knew of which: the causal graph of a document.
//!
//! An actor's changes are one chain, so all that a change knows is one number for each actor: how many of that
//! actor's changes are in its past. Two changes are concurrent if neither is in the other's past.

use std::collections::HashMap;

use automerge::{ActorId, Automerge};

/// One change.
pub(crate) struct Node {
    pub(crate) hash: [u8; 32],
    /// Index of its actor in [`Graph::actors`].
    pub(crate) actor: usize,
    /// Its number among its actor's changes, from 1.
    pub(crate) seq: u64,
    pub(crate) start_op: u64,
    pub(crate) max_op: u64,
    /// By actor: how many of its changes are this one or before it. Shorter than the list of actors where the
    /// rest is 0.
    clock: Vec<u64>,
}

/// What some changes know, by actor.
pub(crate) struct Clock(Vec<u64>);

impl Clock {
    /// How many changes of this actor are known.
    pub(crate) fn seen(&self, actor: usize) -> u64 {
        self.0.get(actor).copied().unwrap_or(0)
    }
}

/// The changes of a document, in causal order, and those admitted after them.
#[derive(Default)]
pub(crate) struct Graph {
    actors: HashMap<ActorId, usize>,
    names: Vec<ActorId>,
    by_hash: HashMap<[u8; 32], usize>,
    nodes: Vec<Node>,
    /// By actor: its changes by seq, as indices into `nodes`.
    chains: Vec<Vec<usize>>,
}

impl Graph {
    /// The graph of a document: one pass over its changes.
    pub(crate) fn of(doc: &Automerge) -> Self {
        let mut graph = Self::default();
        // In causal order, as the document's graph holds them.
        for meta in doc.get_changes_meta(&[]) {
            let deps = meta.deps.iter().map(|d| d.0);
            let ops = (meta.start_op, meta.max_op);
            graph.add(meta.hash.0, &meta.actor, ops, deps);
        }
        graph
    }

    /// Adds a change whose past is here, as the next one of its actor.
    pub(crate) fn add(
        &mut self,
        hash: [u8; 32],
        actor: &ActorId,
        (start_op, max_op): (u64, u64),
        deps: impl Iterator<Item = [u8; 32]>,
    ) -> usize {
        let Clock(mut clock) = self.clock(deps);
        let actor = self.actor_or_new(actor);
        let index = self.nodes.len();
        let chain_len = self.chains.get_mut(actor).map_or(0, |chain| {
            chain.push(index);
            chain.len()
        });
        let seq = chain_len as u64;
        clock.resize(clock.len().max(actor + 1), 0);
        if let Some(seen) = clock.get_mut(actor) {
            *seen = seq;
        }
        self.by_hash.insert(hash, index);
        self.nodes.push(Node {
            hash,
            actor,
            seq,
            start_op,
            max_op,
            clock,
        });
        index
    }

    /// The index of an actor, whether it has changes here or not.
    pub(crate) fn actor_or_new(&mut self, actor: &ActorId) -> usize {
        if let Some(&index) = self.actors.get(actor) {
            return index;
        }
        let index = self.chains.len();
        self.chains.push(Vec::new());
        self.names.push(actor.clone());
        self.actors.insert(actor.clone(), index);
        index
    }

    pub(crate) fn actor(&self, actor: &ActorId) -> Option<usize> {
        self.actors.get(actor).copied()
    }

    pub(crate) fn actor_id(&self, actor: usize) -> Option<&ActorId> {
        self.names.get(actor)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(crate) fn find(&self, hash: &[u8; 32]) -> Option<usize> {
        self.by_hash.get(hash).copied()
    }

    pub(crate) fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    /// The `seq`-th change of an actor, from 1.
    pub(crate) fn at(&self, actor: usize, seq: u64) -> Option<&Node> {
        let place = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.nodes.get(*self.chains.get(actor)?.get(place)?)
    }

    /// What is in the past of a change with these dependencies.
    pub(crate) fn clock(&self, deps: impl Iterator<Item = [u8; 32]>) -> Clock {
        let mut clock: Vec<u64> = Vec::new();
        for node in deps.filter_map(|dep| self.nodes.get(self.find(&dep)?)) {
            clock.resize(clock.len().max(node.clock.len()), 0);
            for (mine, theirs) in clock.iter_mut().zip(&node.clock) {
                *mine = (*mine).max(*theirs);
            }
        }
        Clock(clock)
    }

    /// The change that an operation belongs to.
    pub(crate) fn of_op(&self, actor: usize, counter: u64) -> Option<usize> {
        let chain = self.chains.get(actor)?;
        let max_op = |index: &usize| self.nodes.get(*index).map_or(0, |n| n.max_op);
        let place = chain.partition_point(|index| max_op(index) < counter);
        let index = *chain.get(place)?;
        (self.nodes.get(index)?.start_op <= counter).then_some(index)
    }

    /// Whether `later` has `earlier` in its past, or is it.
    pub(crate) fn knows(&self, later: usize, earlier: usize) -> bool {
        match (self.nodes.get(later), self.nodes.get(earlier)) {
            (Some(later), Some(earlier)) => {
                later.clock.get(earlier.actor).copied().unwrap_or(0) >= earlier.seq
            }
            _ => false,
        }
    }

    /// Whether neither of two changes is in the other's past.
    pub(crate) fn concurrent(&self, a: usize, b: usize) -> bool {
        !self.knows(a, b) && !self.knows(b, a)
    }

    /// By change: whether any other is concurrent with it. In a document that nobody wrote apart, none is.
    pub(crate) fn apart(&self) -> Vec<bool> {
        let mut apart = vec![false; self.nodes.len()];
        // What every change so far after this point knows at least, from the last to the first.
        let mut least: Option<Vec<u64>> = None;
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let known: u64 = node.clock.iter().sum();
            let all_before = known == index as u64 + 1;
            let all_after = least
                .as_ref()
                .is_none_or(|least| least.get(node.actor).copied().unwrap_or(0) >= node.seq);
            if let Some(flag) = apart.get_mut(index) {
                *flag = !(all_before && all_after);
            }
            match &mut least {
                None => least = Some(node.clock.clone()),
                Some(least) => {
                    least.truncate(node.clock.len());
                    for (seen, theirs) in least.iter_mut().zip(&node.clock) {
                        *seen = (*seen).min(*theirs);
                    }
                }
            }
        }
        apart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diamond_knows_who_wrote_apart() {
        let mut graph = Graph::default();
        let actor = |n: u8| ActorId::from(&[n; 16][..]);
        let hash = |n: u8| [n; 32];
        graph.add(hash(0), &actor(0), (1, 11), std::iter::empty());
        let a = graph.add(hash(1), &actor(0), (12, 12), [hash(0)].into_iter());
        let b = graph.add(hash(2), &actor(1), (12, 14), [hash(0)].into_iter());
        let both = graph.add(hash(3), &actor(0), (15, 15), [hash(1), hash(2)].into_iter());
        let last = graph.add(hash(4), &actor(2), (16, 16), [hash(3)].into_iter());
        assert!(graph.concurrent(a, b));
        assert!(graph.knows(both, a) && graph.knows(last, b) && !graph.knows(a, both));
        assert_eq!(graph.apart(), [false, true, true, false, false]);
        assert_eq!(graph.of_op(1, 13), Some(b));
        assert_eq!(graph.of_op(0, 13), None);
        assert_eq!(graph.at(0, 3).map(|n| n.hash), Some(hash(3)));
        // A third head nobody has seen: everything but the beginning is concurrent with it.
        graph.add(hash(5), &actor(3), (12, 12), [hash(0)].into_iter());
        assert_eq!(graph.apart(), [false, true, true, true, true, true]);
    }
}

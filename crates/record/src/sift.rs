//! Which of many changes hold.
//!
//! Three steps, each a function of the set of changes and not of its order. *Places*: an actor's changes are numbered
//! and a record begins once, so of several changes for one place the one with the smallest hash stands and the others
//! are held out (even if that one is faulty: a chain that equivocates has no claim to be continued). *Judging*, in causal order (of those that are ready the smallest hash first). *Trying* what is left,
//! all at once or in windows of bounded size; if that breaks, the first change whose addition breaks is found in about log2(n) trials and held out.
//! Whatever follows a held-out change is held out with it, the later changes of its actor among them: so at most one
//! change of each chain can make trials necessary.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use automerge::{ActorId, Automerge, Change as AmChange};

use crate::apply::{Applied, AppliedPart, Fault, Incoming, Trust, guard, parse};
use crate::judge::Judge;
use crate::record::Record;
use crate::schema::Scope;
use crate::trial::{self, Outcome};

/// What came of it: the document with all that holds, if that is anything new.
pub(crate) struct Sifted {
    pub(crate) doc: Option<Automerge>,
    pub(crate) part: AppliedPart,
}

/// A parsed change, given once or several times.
struct Candidate {
    change: AmChange,
    /// Where it stood in the caller's list.
    indices: Vec<usize>,
    /// The scopes that its entries declare; `None`: no check. One that fits is enough.
    scopes: Vec<Option<Scope>>,
    fault: Option<Fault>,
}

impl Record {
    pub(crate) fn sift(&self, changes: &[Incoming], trust: Trust) -> Sifted {
        self.sift_with(changes, trust, &mut |doc, tried| {
            let tried = match trust {
                Trust::Foreign => trial::proved(doc, tried),
                Trust::Own | Trust::Proven => trial::applied(doc, tried),
            };
            tried.map_or(Outcome::Breaks { at: None }, applied)
        })
    }

    pub(crate) fn sift_proved(
        &self,
        changes: &[Incoming],
        mut prove: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Sifted {
        self.sift_with(changes, Trust::Proven, &mut |doc, tried| {
            let bytes: Vec<&[u8]> = tried.iter().map(|change| change.raw_bytes()).collect();
            trial::asked(&doc.save(), &bytes, &mut prove)
        })
    }

    fn sift_with(
        &self,
        changes: &[Incoming],
        trust: Trust,
        prove: &mut dyn FnMut(&Automerge, &[AmChange]) -> Outcome,
    ) -> Sifted {
        let mut part = AppliedPart {
            applied: Applied {
                before: self.heads(),
                ..Applied::default()
            },
            ..AppliedPart::default()
        };
        let mut candidates = self.candidates(changes, &mut part);
        if candidates.is_empty() {
            part.held_out.sort_by_key(|(index, _)| *index);
            return Sifted { doc: None, part };
        }
        let judge = Judge::of(&self.doc);
        part.rebuild = self.places(&mut candidates, &judge);
        let judged = trust != Trust::Own
            || candidates
                .values()
                .any(|c| c.scopes.iter().any(Option::is_some));
        let mut sieve = Sieve {
            doc: self.doc.clone(),
            judge,
            judged,
            candidates: &mut candidates,
            admitted: HashSet::new(),
            window: Vec::new(),
            ops: 0,
            bytes: 0,
            taken: Vec::new(),
            prove,
        };
        sieve.run();
        let Sieve { doc, taken, .. } = sieve;
        part.applied.changes = taken;
        let doc = (!part.applied.changes.is_empty()).then_some(doc);
        for candidate in candidates.into_values() {
            if let Some(fault) = candidate.fault {
                let held_out = candidate.indices.iter().map(|i| (*i, fault.clone()));
                part.held_out.extend(held_out);
            } else {
                part.applied.duplicates += candidate.indices.len() - 1;
            }
        }
        part.held_out.sort_by_key(|(index, _)| *index);
        Sifted { doc, part }
    }

    /// Parses the changes; those that are held already only count.
    fn candidates(
        &self,
        changes: &[Incoming],
        part: &mut AppliedPart,
    ) -> BTreeMap<[u8; 32], Candidate> {
        let mut candidates: BTreeMap<[u8; 32], Candidate> = BTreeMap::new();
        for (index, incoming) in changes.iter().enumerate() {
            let change = match parse(&incoming.bytes) {
                Ok(change) => change,
                Err(fault) => {
                    part.held_out.push((index, fault));
                    continue;
                }
            };
            let actor = change.actor_id().to_bytes();
            if incoming.actor.is_some_and(|a| a.as_slice() != actor) {
                part.held_out.push((index, Fault::Actor));
                continue;
            }
            let hash = change.hash().0;
            if self.has_change(&hash) {
                part.applied.duplicates += 1;
                continue;
            }
            let candidate = candidates.entry(hash).or_insert_with(|| Candidate {
                change,
                indices: Vec::new(),
                scopes: Vec::new(),
                fault: None,
            });
            candidate.indices.push(index);
            candidate.scopes.push(incoming.scope);
        }
        candidates
    }

    /// Gives each place to one change. Returns whether one that lost would have won against what is held.
    fn places(&self, candidates: &mut BTreeMap<[u8; 32], Candidate>, judge: &Judge) -> bool {
        let founder = self.founder();
        let mut taken: HashMap<(ActorId, u64), [u8; 32]> = HashMap::new();
        let mut begun = false;
        let mut rebuild = false;
        // In the order of hashes, so the smallest comes first.
        for (hash, candidate) in candidates.iter_mut() {
            let change = &candidate.change;
            let actor = judge.graph.actor(change.actor_id());
            let held = actor.and_then(|a| judge.graph.at(a, change.seq()));
            let place = (change.actor_id().clone(), change.seq());
            let stands = *taken.entry(place).or_insert_with(|| match held {
                Some(node) => {
                    rebuild |= *hash < node.hash;
                    node.hash
                }
                None => *hash,
            });
            if stands != *hash {
                candidate.fault = Some(Fault::Forked { stands });
            } else if change.deps().is_empty() {
                let founds = founder.is_none_or(|f| f.as_slice() == change.actor_id().to_bytes());
                // What is no sound beginning takes no place; the judge says why.
                let begins = crate::judge::begins(change);
                if !judge.graph.is_empty() {
                    candidate.fault = Some(Fault::SecondBeginning);
                    rebuild |= begins && founds && self.begun_by_another(hash, judge);
                } else if begins && founds && !begun {
                    begun = true;
                } else if begins {
                    candidate.fault = Some(Fault::SecondBeginning);
                }
            }
        }
        rebuild
    }

    /// Whether a beginning would have won against the one that the document has.
    fn begun_by_another(&self, hash: &[u8; 32], judge: &Judge) -> bool {
        let Some(held) = judge.graph.node(0) else {
            return false;
        };
        match (self.founder(), judge.graph.actor_id(held.actor)) {
            (Some(founder), Some(actor)) if actor.to_bytes() != founder => true,
            _ => *hash < held.hash,
        }
    }
}

/// Most bytes of changes that are tried at once, but for the change that exceeds them.
const MAX_BYTES_AT_ONCE: usize = 8 << 20;

/// Most operations that are tried at once, but for those of the change that exceeds them: memory grows with them. A
/// record of some 10,000 items has as many.
const MAX_OPS_AT_ONCE: usize = 1 << 16;

/// Candidates on their way through judge and trial, window by window.
struct Sieve<'s> {
    /// The document with all that was taken so far.
    doc: Automerge,
    judge: Judge,
    judged: bool,
    candidates: &'s mut BTreeMap<[u8; 32], Candidate>,
    /// Judged sound, and not known to break.
    admitted: HashSet<[u8; 32]>,
    /// Admitted, but not tried yet, in causal order.
    window: Vec<AmChange>,
    /// How many operations and bytes the window has.
    ops: usize,
    bytes: usize,
    taken: Vec<[u8; 32]>,
    prove: &'s mut dyn FnMut(&Automerge, &[AmChange]) -> Outcome,
}

impl Sieve<'_> {
    /// Takes each change after those that it follows; of those that are ready the one with the smallest hash first.
    fn run(&mut self) {
        let mut waiting: HashMap<[u8; 32], usize> = HashMap::new();
        let mut followers: HashMap<[u8; 32], Vec<[u8; 32]>> = HashMap::new();
        let mut ready = BinaryHeap::new();
        for (hash, candidate) in self.candidates.iter() {
            let mut deps: Vec<[u8; 32]> = candidate.change.deps().iter().map(|d| d.0).collect();
            deps.sort_unstable();
            deps.dedup();
            deps.retain(|dep| self.judge.graph.find(dep).is_none());
            for dep in &deps {
                followers.entry(*dep).or_default().push(*hash);
            }
            waiting.insert(*hash, deps.len());
            if deps.is_empty() {
                ready.push(Reverse(*hash));
            }
        }
        // Hashes cannot form a circle, so every change whose past is complete gets its turn.
        while let Some(Reverse(hash)) = ready.pop() {
            self.take(&hash);
            for follower in followers.get(&hash).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(follower) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(Reverse(*follower));
                    }
                }
            }
        }
        self.flush();
        // What had no turn waits for something that is not here.
        let given: HashSet<[u8; 32]> = self.candidates.keys().copied().collect();
        let stuck = |hash: &[u8; 32]| waiting.get(hash).is_some_and(|count| *count > 0);
        for (_, candidate) in self.candidates.iter_mut().filter(|(hash, _)| stuck(hash)) {
            let deps = candidate.change.deps().iter().map(|d| d.0);
            let absent = deps
                .filter(|dep| self.judge.graph.find(dep).is_none() && !self.admitted.contains(dep));
            let (known, missing): (Vec<_>, Vec<_>) = absent.partition(|dep| given.contains(dep));
            let fault = match (missing.is_empty(), known.first()) {
                (true, Some(&held_out)) => Fault::Follows { held_out },
                _ => Fault::MissingDependencies { missing },
            };
            candidate.fault.get_or_insert(fault);
        }
    }

    /// Judges a change whose whole past had its turn.
    fn take(&mut self, hash: &[u8; 32]) {
        let Some(candidate) = self.candidates.get_mut(hash) else {
            return;
        };
        if candidate.fault.is_none() {
            let here = |dep: &[u8; 32]| {
                self.judge.graph.find(dep).is_some() || self.admitted.contains(dep)
            };
            let out = candidate.change.deps().iter().find(|dep| !here(&dep.0));
            candidate.fault = match out {
                Some(dep) => Some(Fault::Follows { held_out: dep.0 }),
                None if self.judged => verdict(&mut self.judge, candidate).err(),
                None => None,
            };
        }
        if candidate.fault.is_some() {
            return;
        }
        self.admitted.insert(*hash);
        self.ops += candidate.change.len();
        self.bytes += candidate.change.raw_bytes().len();
        self.window.push(candidate.change.clone());
        if self.ops >= MAX_OPS_AT_ONCE || self.bytes >= MAX_BYTES_AT_ONCE {
            self.flush();
            self.judge = Judge::of(&self.doc);
        }
    }

    /// Tries what was judged sound since the last time, and holds out what breaks.
    fn flush(&mut self) {
        (self.ops, self.bytes) = (0, 0);
        let mut window = std::mem::take(&mut self.window);
        while !window.is_empty() {
            let at = match self.attempt(&window) {
                Outcome::Applied(doc) => {
                    self.doc = *doc;
                    self.taken
                        .extend(window.iter().map(|change| change.hash().0));
                    return;
                }
                Outcome::Breaks { at: Some(at) } if at < window.len() => at,
                _ => self.first_bad(&window),
            };
            // In causal order, so one pass finds all that follows.
            let mut out: HashSet<[u8; 32]> = HashSet::new();
            let mut place = 0..;
            window.retain(|change| {
                let hash = change.hash().0;
                let follows = change.deps().iter().find(|dep| out.contains(&dep.0));
                let fault = match follows {
                    Some(dep) => Fault::Follows { held_out: dep.0 },
                    None if place.next() == Some(at) => Fault::Engine,
                    None => return true,
                };
                out.insert(hash);
                self.admitted.remove(&hash);
                if let Some(candidate) = self.candidates.get_mut(&hash) {
                    candidate.fault = Some(fault);
                }
                false
            });
        }
    }

    fn attempt(&mut self, changes: &[AmChange]) -> Outcome {
        match (self.prove)(&self.doc, changes) {
            Outcome::Holds => {
                trial::applied(&self.doc, changes).map_or(Outcome::Breaks { at: None }, applied)
            }
            outcome => outcome,
        }
    }

    /// Any beginning of the causal order can be tried: the shortest one that breaks ends with the culprit.
    fn first_bad(&mut self, changes: &[AmChange]) -> usize {
        let (mut good, mut bad) = (0, changes.len());
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            match self.attempt(changes.get(..middle).unwrap_or(&[])) {
                Outcome::Breaks { .. } => bad = middle,
                Outcome::Applied(_) | Outcome::Holds => good = middle,
            }
        }
        good
    }
}

fn applied(doc: Automerge) -> Outcome {
    Outcome::Applied(Box::new(doc))
}

/// Judges one change whose past was admitted.
fn verdict(judge: &mut Judge, candidate: &Candidate) -> Result<(), Fault> {
    guard(|| {
        judge.admit(&candidate.change, |touched| {
            let mut worst = Ok(());
            for scope in &candidate.scopes {
                match scope.map_or(Ok(()), |scope| touched.check(scope)) {
                    Ok(()) => return Ok(()),
                    fault => worst = fault,
                }
            }
            worst
        })
    })
    .unwrap_or(Err(Fault::Engine))
}

//! `audit verify`: everything that is stored, judged again from nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use salus_api::{ApiError, ErrorKind, Problem, VerifyReport};
use salus_audit::{
    ChainId, Entry, EntryHash, LogId, LogState, Rosters, Tree, Verdict, verify_signatures,
};
use salus_store::{Store, StoreError};

use super::erasures::is_bare;
use super::{Core, LogSummary, failure};
use crate::node::lock;

/// Problems that are listed; more are counted.
const MAX_PROBLEMS: usize = 1_000;
/// Entries that a worker judges at a time: enough for a batch of signatures, few enough for memory.
const ENTRIES_AT_ONCE: usize = 4_096;

#[derive(Default)]
struct Findings {
    report: VerifyReport,
    more: u64,
    seen: BTreeSet<LogId>,
    missing: Vec<LogId>,
}

impl Findings {
    fn add(&mut self, log: &str, chain: &str, seq: u64, what: impl Into<String>) {
        if self.report.problems.len() < MAX_PROBLEMS {
            self.report.problems.push(Problem {
                log: log.to_owned(),
                chain: chain.to_owned(),
                seq,
                what: what.into(),
            });
        } else {
            self.more += 1;
        }
    }

    fn entry(&mut self, entry: &Entry, what: impl Into<String>) {
        let header = entry.header();
        self.add(
            &header.log.to_string(),
            &header.chain.to_string(),
            header.seq,
            what,
        );
    }

    fn store(&mut self, problem: &salus_store::Problem) {
        let text = |id: Option<String>| id.unwrap_or_default();
        self.add(
            &text(problem.log.map(|log| log.to_string())),
            &text(problem.chain.map(|chain| chain.to_string())),
            problem.seq.unwrap_or(0),
            format!("{}: {}", problem.table, problem.what),
        );
    }

    /// Something could not be read: damage is a finding, anything else ends the verification.
    fn failed(&mut self, error: StoreError) -> Result<(), ApiError> {
        let error = failure::store(error);
        if error.kind != ErrorKind::Integrity {
            return Err(error);
        }
        self.add("", "", 0, error.message);
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.report.logs += other.report.logs;
        self.report.entries += other.report.entries;
        self.more += other.more;
        self.seen.extend(other.seen);
        for problem in other.report.problems {
            self.add(&problem.log, &problem.chain, problem.seq, problem.what);
        }
    }

    fn finish(mut self) -> VerifyReport {
        if self.more > 0 {
            let more = self.more;
            self.report.problems.push(Problem {
                log: String::new(),
                chain: String::new(),
                seq: 0,
                what: format!("and {more} more"),
            });
        }
        self.report.ok = self.report.problems.is_empty();
        self.report
    }
}

impl Core {
    /// Records whose documents and index rows are behind their logs.
    pub fn dirty_count(&self) -> usize {
        self.store.dirty_logs().len()
    }

    /// Refused entries that are kept aside.
    pub fn refused_count(&self) -> Result<usize, ApiError> {
        Ok(self.store.refused().map_err(failure::store)?.len())
    }

    /// Verifies one record: each entry's hash, signatures, place, rights and payload, the log's summary, and the document that is shown.
    pub fn verify_record(&mut self, log: LogId) -> Result<VerifyReport, ApiError> {
        let mut findings = Findings::default();
        let rosters = self.rosters_again(&mut findings)?;
        let name = log.to_string();
        let summary = self.logs.summary(&log).cloned();
        let (headers, problems) = self.store.log_headers_intact(log).map_err(failure::store)?;
        for problem in problems {
            findings.store(&problem);
        }
        let mut entries = Vec::with_capacity(headers.len());
        for (line, header) in headers {
            // With its payload, so that this is compared with its hash, too.
            match self.store.entry(log, line, header.header().seq) {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => findings.entry(&header, "the entry is missing"),
                Err(error) => findings.entry(&header, error.to_string()),
            }
        }
        findings.report.logs += 1;
        judge_again(log, summary.as_ref(), &entries, &rosters, &mut findings);
        self.check_bare(log, &entries, &mut findings);
        if self.opened.is_some() {
            self.check_document(log, &name, &mut findings);
        }
        Ok(findings.finish())
    }

    /// Folds every roster from nothing, its signatures verified: records are judged by them.
    fn rosters_again(&mut self, findings: &mut Findings) -> Result<Rosters, ApiError> {
        let mut rosters = Rosters::default();
        let logs: Vec<(LogId, LogSummary)> = self
            .logs
            .summaries()
            .iter()
            .filter(|(_, summary)| summary.roster)
            .map(|(log, summary)| (*log, summary.clone()))
            .collect();
        for (log, summary) in logs {
            let entries: Vec<Entry> = match self.store.log_entries_for_replay(log) {
                Ok(entries) => entries.into_iter().map(|(_, entry)| entry).collect(),
                Err(error) => {
                    findings.add(&log.to_string(), "", 0, error.to_string());
                    continue;
                }
            };
            signatures(&entries, findings);
            admit_all(&entries, findings, |entry| rosters.admit(entry));
            let sound = rosters
                .log(log)
                .and_then(LogSummary::of)
                .is_some_and(|fresh| fresh == summary);
            if !sound {
                findings.add(&log.to_string(), "", 0, NOT_ITS_SUMMARY);
            }
        }
        Ok(rosters)
    }

    /// Names entries without what they say that no erasure took which counts.
    fn check_bare(&mut self, log: LogId, entries: &[Entry], findings: &mut Findings) {
        let Ok(state) = self.log(log) else { return };
        for entry in entries.iter().filter(|entry| is_bare(entry)) {
            let (hash, kind) = (entry.hash(), entry.header().kind);
            if state.erased(&hash, kind).is_none() {
                let why = match state.may_be_bare(&hash, kind) {
                    true => "what it says was erased, by an erasure that counts no more",
                    false => "what it says is not held, and no erasure took it",
                };
                findings.entry(entry, why);
            }
        }
    }

    /// Rebuilds a record's document from its entries and compares it with the one that is shown.
    fn check_document(&mut self, log: LogId, name: &str, findings: &mut Findings) {
        let readable = self.log(log).is_ok_and(|state| !state.is_empty());
        if !readable || self.newest_key(log).is_err() {
            return;
        }
        let shown = match self.document(log) {
            Ok(document) => {
                for what in &document.held_out {
                    findings.add(name, "", 0, what.clone());
                }
                document.record.heads()
            }
            Err(error) => return findings.add(name, "", 0, error.message),
        };
        match self.rebuilt_heads(log) {
            Ok(rebuilt) if rebuilt == shown => {}
            Ok(_) => findings.add(
                name,
                "",
                0,
                "the stored document is not what its entries make",
            ),
            Err(error) => findings.add(name, "", 0, error.message),
        }
    }
}

const NOT_ITS_SUMMARY: &str = "the log's summary is not what its entries say";

/// What the whole store is compared with, as it was when verification began.
struct Begun {
    store: Arc<Store>,
    rosters: Rosters,
    summaries: BTreeMap<LogId, LogSummary>,
    chain: ChainId,
    tree: Tree,
}

/// Verifies everything: each stored value opens, each entry's hash, signatures, place, rights and payload hold, each summary is what its
/// entries say, each leaf of this node's tree resolves to an entry. The core is free meanwhile but for the beginning and the end.
pub fn verify_all(
    core: &Mutex<Core>,
    mut progress: impl FnMut(u64, u64),
) -> Result<VerifyReport, ApiError> {
    let mut findings = Findings::default();
    let begun = {
        let mut core = lock(core);
        let rosters = core.rosters_again(&mut findings)?;
        Begun {
            store: core.store_handle(),
            rosters,
            summaries: core.logs.summaries().clone(),
            chain: core.chain_id(),
            tree: core.tree.clone(),
        }
    };
    let total: u64 = begun
        .summaries
        .values()
        .map(|summary| summary.entries)
        .sum();
    let size = usize::try_from(begun.tree.size()).unwrap_or(usize::MAX);
    let judged = Judged {
        findings: Mutex::new(findings),
        leaves: Mutex::new(vec![None; size]),
        changed: Mutex::new(Vec::new()),
        done: AtomicU64::new(0),
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let problems = std::thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel::<Vec<(LogId, Vec<Entry>)>>(workers);
        let receive = Arc::new(Mutex::new(receive));
        for _ in 0..workers {
            let (receive, begun, judged) = (Arc::clone(&receive), &begun, &judged);
            scope.spawn(move || {
                loop {
                    let next = lock(&receive).recv();
                    let Ok(logs) = next else { break };
                    judged.take(logs, begun);
                }
            });
        }
        drop(receive);
        let (mut batch, mut entries) = (Vec::new(), 0);
        let problems = begun.store.check_integrity_with(|log, held| {
            entries += held.len();
            batch.push((log, held.into_iter().map(|(_, entry)| entry).collect()));
            if entries >= ENTRIES_AT_ONCE {
                entries = 0;
                // Workers end only after this does.
                let _ = send.send(std::mem::take(&mut batch));
                progress(judged.done.load(Ordering::Relaxed).min(total), total);
            }
            ControlFlow::Continue(())
        });
        let _ = send.send(batch);
        drop(send);
        problems
    });
    let mut findings = judged
        .findings
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    match problems {
        Ok(problems) => problems.iter().for_each(|problem| findings.store(problem)),
        Err(error) => findings.failed(error)?,
    }
    let leaves = judged
        .leaves
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = check_tree(&begun, &leaves, &mut findings) {
        findings.failed(error)?;
    }
    // What changed while it was looked at is looked at once more, in peace.
    let changed = judged
        .changed
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let core = lock(core);
    for log in changed {
        let summary = core.logs.summary(&log).cloned();
        let entries: Vec<Entry> = match core.store.log_entries_for_replay(log) {
            Ok(entries) => entries.into_iter().map(|(_, entry)| entry).collect(),
            Err(error) => {
                findings.add(&log.to_string(), "", 0, error.to_string());
                continue;
            }
        };
        let rosters = core.rosters.clone();
        judge_again(log, summary.as_ref(), &entries, &rosters, &mut findings);
    }
    for log in core
        .logs
        .summaries()
        .keys()
        .filter(|log| begun.summaries.contains_key(log))
    {
        if !findings.seen.contains(log) && !begun.summaries.get(log).is_some_and(|s| s.roster) {
            findings.missing.push(*log);
        }
    }
    for log in std::mem::take(&mut findings.missing) {
        findings.add(&log.to_string(), "", 0, "no entry of the log is readable");
    }
    progress(total, total);
    Ok(findings.finish())
}

/// What the workers of one verification have found.
struct Judged {
    findings: Mutex<Findings>,
    /// This life's own entries, by tree index, as leaves.
    leaves: Mutex<Vec<Option<[u8; 32]>>>,
    /// Logs that are not what their summary said when verification began: changed since, or damaged.
    changed: Mutex<Vec<LogId>>,
    done: AtomicU64,
}

impl Judged {
    fn take(&self, logs: Vec<(LogId, Vec<Entry>)>, begun: &Begun) {
        let mut findings = Findings::default();
        let mut changed = Vec::new();
        let mut leaves = Vec::new();
        for (log, entries) in logs {
            let count = entries.len() as u64;
            findings.report.logs += 1;
            findings.seen.insert(log);
            for entry in entries
                .iter()
                .filter(|entry| entry.header().chain == begun.chain)
            {
                leaves.push((entry.header().tree_index, entry.leaf()));
            }
            match begun.summaries.get(&log) {
                Some(summary) if summary.roster => findings.report.entries += count,
                Some(summary) => {
                    // What is not as it was may have been changed meanwhile: nothing is said of it until it was looked at in peace.
                    let mut of_log = Findings::default();
                    if is_sound(log, Some(summary), &entries, &begun.rosters, &mut of_log) {
                        findings.merge(of_log);
                    } else {
                        changed.push(log);
                    }
                }
                // Begun since.
                None => changed.push(log),
            }
            self.done.fetch_add(count, Ordering::Relaxed);
        }
        lock(&self.findings).merge(findings);
        lock(&self.changed).extend(changed);
        let mut own = lock(&self.leaves);
        for (index, leaf) in leaves {
            let slot = usize::try_from(index)
                .ok()
                .and_then(|index| own.get_mut(index));
            if let Some(slot) = slot {
                *slot = Some(leaf);
            }
        }
    }
}

/// Judges a log's entries from nothing.
fn judge_again(
    log: LogId,
    summary: Option<&LogSummary>,
    entries: &[Entry],
    rosters: &Rosters,
    findings: &mut Findings,
) {
    if !is_sound(log, summary, entries, rosters, findings) {
        findings.add(&log.to_string(), "", 0, NOT_ITS_SUMMARY);
    }
}

/// Judges a log's entries from nothing, and says whether they make the summary that is kept.
fn is_sound(
    log: LogId,
    summary: Option<&LogSummary>,
    entries: &[Entry],
    rosters: &Rosters,
    findings: &mut Findings,
) -> bool {
    findings.report.entries += entries.len() as u64;
    signatures(entries, findings);
    let mut state = LogState::new(log);
    admit_all(entries, findings, |entry| state.admit(entry, rosters));
    state.settle(rosters);
    LogSummary::of(&state).as_ref() == summary
}

fn signatures(entries: &[Entry], findings: &mut Findings) {
    for (entry, outcome) in entries.iter().zip(verify_signatures(entries)) {
        if let Err(refusal) = outcome {
            findings.entry(entry, refusal.to_string());
        }
    }
}

/// Admits entries in whatever order they come, naming those that do not belong.
fn admit_all(entries: &[Entry], findings: &mut Findings, mut admit: impl FnMut(&Entry) -> Verdict) {
    let mut ready: VecDeque<&Entry> = entries.iter().collect();
    let mut waiting: BTreeMap<EntryHash, Vec<&Entry>> = BTreeMap::new();
    while let Some(entry) = ready.pop_front() {
        match admit(entry) {
            Verdict::Accepted | Verdict::Forked { .. } => {
                ready.extend(waiting.remove(&entry.hash()).unwrap_or_default());
            }
            Verdict::Duplicate => {}
            Verdict::Pending { missing } => {
                let first = missing.first().copied().unwrap_or(entry.hash());
                waiting.entry(first).or_default().push(entry);
            }
            Verdict::Refused(refusal) => findings.entry(entry, refusal.to_string()),
            Verdict::Equivocation { .. } => {
                findings.entry(entry, "the chain has another entry at this place");
            }
        }
    }
    for entry in waiting.into_values().flatten() {
        findings.entry(entry, "what the entry builds on is missing");
    }
}

/// Compares this node's tree with the entries that it wrote.
fn check_tree(
    begun: &Begun,
    own: &[Option<[u8; 32]>],
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let chain = begun.chain.to_string();
    let mut tree = Tree::new();
    begun
        .store
        .each_own_leaf(..begun.tree.size(), |index, leaf| {
            let held = usize::try_from(index).ok().and_then(|index| own.get(index));
            match held {
                Some(Some(found)) if *found == leaf => {}
                Some(Some(_)) => {
                    findings.add("", &chain, index, "a leaf of the tree is another entry's");
                }
                _ => findings.add("", &chain, index, "a leaf of the tree has no entry"),
            }
            tree.append(leaf);
            ControlFlow::Continue(())
        })?;
    if tree.size() != begun.tree.size() {
        let what = format!("{} leaves of {}", tree.size(), begun.tree.size());
        findings.add("", &chain, tree.size(), what);
    } else if tree.root() != begun.tree.root() {
        findings.add("", &chain, 0, "the tree's root is not the one in memory");
    }
    Ok(())
}

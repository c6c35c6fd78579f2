//! `audit verify`: everything that is stored, judged again from nothing.

use std::collections::BTreeMap;

use salus_api::{ApiError, Problem, VerifyReport};
use salus_audit::{Entry, LogId, Rosters, Verdict, verify_signatures};

use super::{Core, LogSummary, failure};

/// Problems that are listed; more are counted.
const MAX_PROBLEMS: usize = 1_000;
/// Bytes read from the store at a time.
const READ_BYTES: usize = 8 << 20;

#[derive(Default)]
struct Findings {
    report: VerifyReport,
    more: u64,
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
    /// Verifies one record, or everything: each stored value opens, each entry's hash, signatures, place, rights and payload hold,
    /// each summary is what its entries say, each leaf of this node's tree resolves to an entry, each open document is
    /// what its entries make.
    pub fn verify(
        &mut self,
        only: Option<LogId>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<VerifyReport, ApiError> {
        let mut findings = Findings::default();
        if only.is_none() {
            for problem in self.store.check_integrity().map_err(failure::store)? {
                findings.add(
                    &problem.log.map(|log| log.to_string()).unwrap_or_default(),
                    &problem
                        .chain
                        .map(|chain| chain.to_string())
                        .unwrap_or_default(),
                    problem.seq.unwrap_or(0),
                    format!("{}: {}", problem.table, problem.what),
                );
            }
        }
        let all: Vec<(LogId, LogSummary)> = self
            .logs
            .summaries()
            .iter()
            .map(|(log, s)| (*log, s.clone()))
            .collect();
        let total: u64 = all
            .iter()
            .filter(|(log, _)| only.is_none_or(|only| only == *log))
            .map(|(_, s)| s.entries)
            .sum();
        // Rosters first, from nothing: records are judged by them.
        let mut rosters = Rosters::default();
        let mut own_leaves: BTreeMap<u64, [u8; 32]> = BTreeMap::new();
        let (rosters_of, records): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, s)| s.roster);
        let mut done = 0;
        for (log, summary) in rosters_of.into_iter().chain(records) {
            let wanted = only.is_none_or(|only| only == log);
            if !wanted && !summary.roster {
                continue;
            }
            let entries = self.read_log(log, &summary, &mut findings);
            self.judge_again(
                log,
                &summary,
                entries,
                &mut rosters,
                &mut own_leaves,
                &mut findings,
            );
            done += summary.entries;
            progress(done.min(total), total);
            if wanted && !summary.roster && self.opened.is_some() {
                self.check_document(log, &mut findings);
            }
        }
        if only.is_none() {
            self.check_tree(&own_leaves, &mut findings)?;
        }
        Ok(findings.finish())
    }

    /// Reads every stored entry of a log, naming those that do not open.
    fn read_log(&self, log: LogId, summary: &LogSummary, findings: &mut Findings) -> Vec<Entry> {
        let mut entries = Vec::new();
        let chains = match self.store.heights(log) {
            Ok(chains) => chains,
            Err(error) => {
                findings.add(&log.to_string(), "", 0, error.to_string());
                return entries;
            }
        };
        let log_text = log.to_string();
        for (chain, (count, _)) in chains {
            let chain_text = chain.to_string();
            let mut seq = 0;
            while seq < count {
                match self.store.entries(log, chain, seq..=count - 1, READ_BYTES) {
                    Ok(read) if !read.is_empty() => {
                        seq += read.len() as u64;
                        entries.extend(read);
                        continue;
                    }
                    // Somewhere in this stretch; one by one it is named.
                    _ => match self.store.entry(log, chain, seq) {
                        Ok(Some(entry)) => entries.push(entry),
                        Ok(None) => {
                            findings.add(&log_text, &chain_text, seq, "the entry is missing")
                        }
                        Err(error) => findings.add(&log_text, &chain_text, seq, error.to_string()),
                    },
                }
                seq += 1;
            }
        }
        findings.report.logs += 1;
        if (entries.len() as u64) < summary.entries {
            findings.add(
                &log.to_string(),
                "",
                0,
                format!(
                    "{} of {} entries are readable",
                    entries.len(),
                    summary.entries
                ),
            );
        }
        entries
    }

    fn judge_again(
        &self,
        log: LogId,
        summary: &LogSummary,
        entries: Vec<Entry>,
        rosters: &mut Rosters,
        own_leaves: &mut BTreeMap<u64, [u8; 32]>,
        findings: &mut Findings,
    ) {
        findings.report.entries += entries.len() as u64;
        for (entry, outcome) in entries.iter().zip(verify_signatures(&entries)) {
            if let Err(refusal) = outcome {
                let header = entry.header();
                findings.add(
                    &log.to_string(),
                    &header.chain.to_string(),
                    header.seq,
                    refusal.to_string(),
                );
            }
            if entry.header().chain == self.chain.chain() {
                own_leaves.insert(entry.header().tree_index, entry.leaf());
            }
        }
        let mut state = salus_audit::LogState::new(log);
        let mut waiting = entries;
        loop {
            let before = waiting.len();
            let mut still = Vec::new();
            for entry in waiting {
                let verdict = if summary.roster {
                    rosters.admit(&entry)
                } else {
                    state.admit(&entry, rosters)
                };
                let header = entry.header();
                match verdict {
                    Verdict::Accepted | Verdict::Duplicate => {}
                    Verdict::Pending { .. } => still.push(entry),
                    Verdict::Refused(refusal) => findings.add(
                        &log.to_string(),
                        &header.chain.to_string(),
                        header.seq,
                        refusal.to_string(),
                    ),
                    Verdict::Equivocation { .. } => findings.add(
                        &log.to_string(),
                        &header.chain.to_string(),
                        header.seq,
                        "the chain has two entries at this place",
                    ),
                }
            }
            waiting = still;
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        for entry in &waiting {
            let header = entry.header();
            findings.add(
                &log.to_string(),
                &header.chain.to_string(),
                header.seq,
                "what the entry builds on is missing",
            );
        }
        let judged = if summary.roster {
            rosters.log(log)
        } else {
            Some(&state)
        };
        let sound = judged
            .and_then(LogSummary::of)
            .is_some_and(|fresh| fresh == *summary);
        if !sound {
            findings.add(
                &log.to_string(),
                "",
                0,
                "the log's summary is not what its entries say",
            );
        }
    }

    /// Rebuilds a record's document from its entries and compares it with the one that is shown.
    fn check_document(&mut self, log: LogId, findings: &mut Findings) {
        let name = log.to_string();
        let readable = self.log(log).is_ok_and(|state| !state.is_empty());
        if !readable || self.newest_key(log).is_err() {
            return;
        }
        let shown = match self.document(log) {
            Ok(document) => {
                for what in &document.held_out {
                    findings.add(&name, "", 0, what.clone());
                }
                document.record.heads()
            }
            Err(error) => return findings.add(&name, "", 0, error.message),
        };
        match self.rebuilt_heads(log) {
            Ok(rebuilt) if rebuilt == shown => {}
            Ok(_) => findings.add(
                &name,
                "",
                0,
                "the stored document is not what its entries make",
            ),
            Err(error) => findings.add(&name, "", 0, error.message),
        }
    }

    /// Compares this node's tree with the entries that it wrote.
    fn check_tree(
        &self,
        own_leaves: &BTreeMap<u64, [u8; 32]>,
        findings: &mut Findings,
    ) -> Result<(), ApiError> {
        let chain = self.chain.chain().to_string();
        let leaves = self.store.own_leaves(0).map_err(failure::store)?;
        for (index, leaf) in (0u64..).zip(&leaves) {
            match own_leaves.get(&index) {
                Some(found) if found == leaf => {}
                Some(_) => findings.add("", &chain, index, "a leaf of the tree is another entry's"),
                None => findings.add("", &chain, index, "a leaf of the tree has no entry"),
            }
        }
        if own_leaves.len() != leaves.len() {
            findings.add(
                "",
                &chain,
                leaves.len() as u64,
                format!("{} own entries, {} leaves", own_leaves.len(), leaves.len()),
            );
        }
        if salus_audit::root_of(&leaves) != self.tree.root() {
            findings.add("", &chain, 0, "the tree's root is not the one in memory");
        }
        Ok(())
    }
}

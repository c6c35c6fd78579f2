//! Trying changes on a copy, in this process or in one of its own.
//!
//! A judged change can still meet a defect of Automerge. So a copy of the document takes the changes, is read once,
//! saved and loaded again. Where memory matters too, a process with limits of its own does it: [`trial_request`] gives
//! the bytes that it needs, [`trial_job`] runs there, [`trial_verdict`] reads what came back. Requests and responses
//! never leave the machine, and both sides are the same program.
//!
//! ```text
//! request:  "salus-trial" | version 1 | length u32, saved document | count u32 | (length u32, change) each
//! response: "salus-trial" | version 1 | BLAKE3 of the request | 0 holds, or 1 breaks | index u32 of the first that breaks
//! ```
//! Numbers are little-endian.

use automerge::{Automerge, Change as AmChange};

use crate::apply::{Incoming, guard, parse};
use crate::record::Record;
use crate::saved;

/// First bytes of requests and responses, the version last.
const MAGIC: &[u8; 12] = b"salus-trial\x01";

/// Largest request, in bytes. A guess: far above any record, below what a pipe should carry.
pub const MAX_TRIAL_BYTES: usize = 1 << 28;

/// Most changes of one request. A guess: a record of years, rebuilt at once.
const MAX_TRIAL_CHANGES: usize = 1 << 20;

/// What a trial said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialVerdict {
    /// All changes hold.
    Holds,
    /// The engine breaks on one.
    Breaks {
        /// Index of the first change whose addition breaks, in the order of the request.
        first: usize,
    },
}

/// A response that is none: of another version, or cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the verdict of a trial")]
pub struct NotAVerdict;

/// What came of a trial.
pub(crate) enum Outcome {
    /// All holds, and this is the document with it.
    Applied(Box<Automerge>),
    /// All holds, as somebody else found.
    Holds,
    /// Something breaks: the change at this place, where known.
    Breaks { at: Option<usize> },
}

/// Applies changes to a copy. `None`: something broke.
pub(crate) fn applied(doc: &Automerge, changes: &[AmChange]) -> Option<Automerge> {
    guard(|| {
        let mut copy = doc.clone();
        copy.apply_changes(changes.iter().cloned()).ok()?;
        let is_in = |c: &AmChange| copy.get_change_meta_by_hash(&c.hash()).is_some();
        changes.iter().all(is_in).then_some(copy)
    })
    .flatten()
}

/// Applies changes to a copy and proves it: whatever is asked of a document later is asked here once.
pub(crate) fn proved(doc: &Automerge, changes: &[AmChange]) -> Option<Automerge> {
    let copy = applied(doc, changes)?;
    guard(|| {
        saved::look(&copy);
        let loaded = saved::read(&copy.save())?;
        (loaded.get_heads() == copy.get_heads()).then_some(copy)
    })
    .flatten()
}

/// What a process needs to try changes on a record. The changes must come in causal order and be judged already;
/// [`Record::apply_proved`] sees to both.
pub fn trial_request(record: &Record, changes: &[Incoming]) -> Vec<u8> {
    let bytes: Vec<&[u8]> = changes.iter().map(|c| c.bytes.as_slice()).collect();
    request(&record.save(), &bytes)
}

fn request(saved: &[u8], changes: &[&[u8]]) -> Vec<u8> {
    let lengths: usize = changes.iter().map(|c| c.len() + 4).sum();
    let mut out = Vec::with_capacity(MAGIC.len() + 8 + saved.len() + lengths);
    out.extend_from_slice(MAGIC);
    put(&mut out, saved);
    out.extend_from_slice(&length(changes.len()));
    for change in changes {
        put(&mut out, change);
    }
    out
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes.len()));
    out.extend_from_slice(bytes);
}

/// A length; one beyond 32 bits makes a request that is refused, as it is too long anyway.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// Tries what a request asks for. Total: whatever the bytes are, an answer comes, unless the process is ended for what
/// it takes. What is not a request gets an answer that no [`trial_verdict`] takes.
pub fn trial_job(request: &[u8]) -> Vec<u8> {
    let Some(first) = run(request) else {
        return Vec::new();
    };
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(blake3::hash(request).as_bytes());
    out.push(u8::from(first.is_some()));
    out.extend_from_slice(&length(first.unwrap_or(0)));
    out
}

/// The first change that breaks; the outer `None` if the bytes are not a request.
fn run(request: &[u8]) -> Option<Option<usize>> {
    if request.len() > MAX_TRIAL_BYTES {
        return None;
    }
    let mut input = request.strip_prefix(MAGIC)?;
    let saved = chunk(&mut input)?;
    let count = number(&mut input)?;
    if count > MAX_TRIAL_CHANGES {
        return None;
    }
    let doc = saved::read(saved)?;
    let mut changes = Vec::new();
    for index in 0..count {
        match parse(chunk(&mut input)?) {
            Ok(change) => changes.push(change),
            Err(_) => return Some(Some(index)),
        }
    }
    if !input.is_empty() {
        return None;
    }
    if proved(&doc, &changes).is_some() {
        return Some(None);
    }
    let (mut good, mut bad) = (0, changes.len());
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        match changes.get(..middle).and_then(|some| proved(&doc, some)) {
            Some(_) => good = middle,
            None => bad = middle,
        }
    }
    Some(Some(good))
}

fn number(input: &mut &[u8]) -> Option<usize> {
    let (bytes, rest) = input.split_first_chunk::<4>()?;
    *input = rest;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

fn chunk<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(input)?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

/// Reads what [`trial_job`] gave.
///
/// # Errors
/// If it is no verdict.
pub fn trial_verdict(response: &[u8]) -> Result<TrialVerdict, NotAVerdict> {
    read_verdict(response)
        .map(|(_, verdict)| verdict)
        .ok_or(NotAVerdict)
}

/// The verdict, and the hash of the request that it answers.
fn read_verdict(response: &[u8]) -> Option<([u8; 32], TrialVerdict)> {
    let (hash, rest) = response.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
    let (breaks, mut rest) = rest.split_first()?;
    let first = number(&mut rest)?;
    let verdict = match breaks {
        0 if first == 0 => TrialVerdict::Holds,
        1 => TrialVerdict::Breaks { first },
        _ => return None,
    };
    rest.is_empty().then_some((*hash, verdict))
}

/// Has somebody else try changes.
pub(crate) fn asked(
    saved: &[u8],
    changes: &[&[u8]],
    prove: &mut impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Outcome {
    let request = request(saved, changes);
    let answer = (request.len() <= MAX_TRIAL_BYTES)
        .then(|| prove(&request))
        .flatten();
    match answer.as_deref().and_then(read_verdict) {
        Some((hash, verdict)) if hash == *blake3::hash(&request).as_bytes() => match verdict {
            TrialVerdict::Holds => Outcome::Holds,
            TrialVerdict::Breaks { first } => Outcome::Breaks { at: Some(first) },
        },
        _ => Outcome::Breaks { at: None },
    }
}

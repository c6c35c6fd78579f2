//! From the entries of a batch to rows: where each goes, and how rows get into redb quickly.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::CursorError;
use salus_audit::{ChainId, Entry, EntryHash, LogId};

use crate::batch::Batch;
use crate::commit::{Logs, RedbTable, Touched, insert};
use crate::db::get;
use crate::error::{Problem, StoreError, redb_error};
use crate::manifest::Manifest;
use crate::rows::{LineRow, LogRow, MAX_CHAINS, decode_header, encode_header};
use crate::tables::{EntryKey, HASHES, HEADERS, PAYLOADS, Sealer, Table, Tag, entry_key};

/// The tables that entries go to.
pub(crate) struct Tables<'t> {
    pub headers: RedbTable<'t>,
    pub payloads: RedbTable<'t>,
    pub hashes: RedbTable<'t>,
}

/// Where an entry is to go: a trunk has the id of its chain.
#[derive(Clone, Copy)]
struct Placed<'a> {
    line: ChainId,
    entry: &'a Entry,
}

impl Placed<'_> {
    fn place(&self) -> (LogId, ChainId, u64) {
        let header = self.entry.header();
        (header.log, self.line, header.seq)
    }

    fn is_fork(&self) -> bool {
        self.line != self.entry.header().chain
    }
}

/// Rows on their way.
#[derive(Default)]
struct New<'a> {
    headers: Vec<(EntryKey, Vec<u8>)>,
    payloads: Vec<(EntryKey, &'a [u8])>,
    hashes: Vec<(Tag, EntryKey)>,
    /// The entries that this batch brings: log, chain and position by hash, for forks that leave
    /// them. Filled only where there are forks.
    places: BTreeMap<EntryHash, (LogId, ChainId, u64)>,
}

/// Puts the entries of a batch in.
pub(crate) fn put(
    batch: &Batch,
    sealer: &Sealer,
    manifest: &mut Manifest,
    logs: &mut Logs<'_, '_>,
    tables: &mut Tables<'_>,
) -> Result<(), StoreError> {
    let mut new = New::default();
    for placed in in_order(batch)? {
        let entry = placed.entry;
        let header = entry.header();
        let Touched { tag, row, .. } = logs.touch(&header.log)?;
        let (tag, begins) = (*tag, placed.is_fork() && row.line(&placed.line).is_none());
        if begins && !leaves_its_chain(&placed, sealer, tables, &new)? {
            return Err(out_of_order(&placed, header.seq));
        }
        let (number, held) = place(row, &placed)?;
        let key = entry_key(&tag, number, header.seq);
        if !held {
            let hash = entry.hash();
            let hash_tag = sealer.hash_tag(&hash);
            new.headers
                .push((key, encode_header(entry, entry.payload().is_some())));
            new.hashes.push((hash_tag, key));
            manifest.entries += 1;
            manifest
                .hashes_sum
                .toggle(sealer.sum(HASHES, &hash_tag, &key));
            if !batch.forks.is_empty() {
                new.places
                    .insert(hash, (header.log, header.chain, header.seq));
            }
        } else if !is_held(sealer, &tables.headers, &key, &placed)? {
            // It was held without its payload.
            new.headers.push((key, encode_header(entry, true)));
        } else {
            continue;
        }
        if let Some(payload) = entry.payload() {
            new.payloads.push((key, payload));
            manifest.payloads += 1;
        }
    }
    new.headers.sort_unstable_by_key(|&(key, _)| key);
    new.payloads.sort_unstable_by_key(|&(key, _)| key);
    new.hashes.sort_unstable();
    insert_runs(sealer, HEADERS, &mut tables.headers, &new.headers)?;
    insert_runs(sealer, PAYLOADS, &mut tables.payloads, &new.payloads)?;
    for (tag, key) in new.hashes {
        let before = tables.hashes.insert(&tag[..], &key[..]);
        if before.map_err(redb_error)?.is_some() {
            return Err(StoreError::Invalid("an entry is given on two lines"));
        }
    }
    Ok(())
}

/// Takes the payloads of these entries out, where they are held.
pub(crate) fn detach(
    entries: &[EntryHash],
    sealer: &Sealer,
    manifest: &mut Manifest,
    tables: &mut Tables<'_>,
) -> Result<(), StoreError> {
    for hash in entries {
        let Some(key) = get(&tables.hashes, &sealer.hash_tag(hash))? else {
            continue;
        };
        let misled = Problem::new(HASHES.name, "a row leads to another entry");
        let sealed = get(&tables.headers, &key)?.ok_or(misled)?;
        let row = sealer.open(HEADERS, &key, &sealed).ok();
        let (held, has_payload) = row
            .and_then(|row| decode_header(&row))
            .filter(|(held, _)| held.hash() == *hash)
            .ok_or(misled)?;
        if !has_payload {
            continue;
        }
        let bare = sealer.seal(HEADERS, &key, &encode_header(&held, false));
        insert(&mut tables.headers, &key, &bare)?;
        let gone = tables.payloads.remove(&key[..]).map_err(redb_error)?;
        if gone.is_some() {
            manifest.payloads = manifest.payloads.saturating_sub(1);
        }
    }
    Ok(())
}

/// Trunks before forks, both by log, and each line by position; a fork comes after the one that it
/// leaves. Of one entry given twice, the one with its payload is kept.
fn in_order(batch: &Batch) -> Result<Vec<Placed<'_>>, StoreError> {
    let mut trunks: Vec<Placed<'_>> = Vec::with_capacity(batch.entries.len());
    let mut forks: Vec<Placed<'_>> = Vec::with_capacity(batch.forks.len());
    trunks.extend(batch.entries.iter().map(|entry| Placed {
        line: entry.header().chain,
        entry,
    }));
    for (line, entry) in &batch.forks {
        let placed = Placed { line: *line, entry };
        match placed.is_fork() {
            true => forks.push(placed),
            false => trunks.push(placed),
        }
    }
    let by_hash = |placed: &Placed<'_>| (placed.entry.hash(), placed.entry.payload().is_none());
    trunks.sort_by_key(|placed| (placed.place(), by_hash(placed)));
    // By position first: what a fork leaves has a lower one.
    forks.sort_by_key(|placed| {
        let (log, line, seq) = placed.place();
        ((log, seq, line), by_hash(placed))
    });
    let mut placed = trunks;
    placed.append(&mut forks);
    let mut conflict = None;
    placed.dedup_by(|later, kept| {
        if later.place() != kept.place() {
            return false;
        }
        if later.entry.hash() != kept.entry.hash() {
            conflict = conflict.or(Some(later.place()));
        }
        true
    });
    match conflict {
        None => Ok(placed),
        Some((log, chain, seq)) => Err(StoreError::Conflict { log, chain, seq }),
    }
}

fn out_of_order(placed: &Placed<'_>, next: u64) -> StoreError {
    let (log, chain, seq) = placed.place();
    StoreError::OutOfOrder {
        log,
        chain,
        seq,
        next,
    }
}

/// Whether the first entry of a fork's line follows an entry of its chain, or begins the chain.
fn leaves_its_chain(
    placed: &Placed<'_>,
    sealer: &Sealer,
    tables: &Tables<'_>,
    new: &New<'_>,
) -> Result<bool, StoreError> {
    let header = placed.entry.header();
    let Some(prev) = header.prev else {
        return Ok(header.seq == 0);
    };
    let Some(before) = header.seq.checked_sub(1) else {
        return Ok(false);
    };
    let wanted = (header.log, header.chain, before);
    if let Some(place) = new.places.get(&prev) {
        return Ok(*place == wanted);
    }
    let Some(key) = get(&tables.hashes, &sealer.hash_tag(&prev))? else {
        return Ok(false);
    };
    let misled = Problem::new(HASHES.name, "a row leads to another entry");
    let sealed = get(&tables.headers, &key)?.ok_or(misled)?;
    let (held, _) = sealer
        .open(HEADERS, &key, &sealed)
        .ok()
        .and_then(|row| decode_header(&row))
        .filter(|(held, _)| held.hash() == prev)
        .ok_or(misled)?;
    let held = held.header();
    Ok((held.log, held.chain, held.seq) == wanted)
}

/// Where an entry goes: its line's number, and whether its position is taken. A line takes its next
/// entry only, and only one that names the last one held.
fn place(row: &mut LogRow, placed: &Placed<'_>) -> Result<(u32, bool), StoreError> {
    let header = placed.entry.header();
    let number =
        |at: usize| u32::try_from(at).map_err(|_| StoreError::Invalid("a log has too many chains"));
    // Entries come line by line, and most logs have few.
    let Some(at) = row.lines.iter().position(|row| row.line == placed.line) else {
        if !placed.is_fork() && (header.seq > 0 || header.prev.is_some()) {
            return Err(out_of_order(placed, 0));
        }
        if row.lines.len() >= MAX_CHAINS {
            return Err(StoreError::Invalid("a log has too many chains"));
        }
        row.lines.push(LineRow {
            line: placed.line,
            chain: header.chain,
            from: header.seq,
            next: header.seq + 1,
            tip: placed.entry.hash(),
        });
        return Ok((number(row.lines.len() - 1)?, false));
    };
    let line = &mut row.lines[at];
    if (line.from..line.next).contains(&header.seq) {
        return Ok((number(at)?, true));
    }
    if header.seq != line.next || header.prev != Some(line.tip) || header.chain != line.chain {
        return Err(out_of_order(placed, line.next));
    }
    line.next += 1;
    line.tip = placed.entry.hash();
    Ok((number(at)?, false))
}

/// Whether all of this entry is held; an error where another one is in its place.
fn is_held(
    sealer: &Sealer,
    headers: &RedbTable<'_>,
    key: &EntryKey,
    placed: &Placed<'_>,
) -> Result<bool, StoreError> {
    let (log, chain, seq) = placed.place();
    let damaged = |what| {
        let problem = Problem::new(HEADERS.name, what).log(log);
        StoreError::from(problem.chain(chain).seq(seq))
    };
    let sealed = get(headers, key)?.ok_or_else(|| damaged("it is missing"))?;
    let (held, payload) = sealer
        .open(HEADERS, key, &sealed)
        .ok()
        .and_then(|row| decode_header(&row))
        .ok_or_else(|| damaged("it does not open"))?;
    if held.hash() != placed.entry.hash() {
        return Err(StoreError::Conflict { log, chain, seq });
    }
    Ok(payload || placed.entry.payload().is_none())
}

/// Seals rows and puts them in by rising key. Runs of one line go through a cursor, which fills
/// redb's pages where single insertions leave them half empty.
fn insert_runs(
    sealer: &Sealer,
    name: Table,
    table: &mut RedbTable<'_>,
    rows: &[(EntryKey, impl AsRef<[u8]>)],
) -> Result<(), StoreError> {
    for run in rows.chunk_by(|(one, _), (two, _)| one[..20] == two[..20]) {
        let mut rest = run;
        let first = run.first().map(|(key, _)| &key[..]);
        if let Some(first) = first.filter(|_| run.len() > 1) {
            let mut cursor = table
                .lower_bound_mut(Bound::Included(first))
                .map_err(redb_error)?;
            while let Some(((key, value), others)) = rest.split_first() {
                let sealed = sealer.seal(name, key, value.as_ref());
                match cursor.insert_before(&key[..], sealed.as_slice()) {
                    Ok(()) => rest = others,
                    // A row is there already: it is one that gets its payload.
                    Err(CursorError::UnorderedKey) => break,
                    Err(error) => return Err(redb_error(error)),
                }
            }
            cursor.close().map_err(redb_error)?;
        }
        for (key, value) in rest {
            insert(table, key, &sealer.seal(name, key, value.as_ref()))?;
        }
    }
    Ok(())
}

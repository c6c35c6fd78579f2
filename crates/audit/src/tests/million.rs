//! A log of a million entries: `cargo test -p salus-audit million -- --ignored --nocapture`. No signatures:
//! these are measured by `speed.rs`.

use std::time::Instant;

use super::world::*;
use crate::*;

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.unwrap_or(0) / 1024
}

/// An edit of this clinic's without signatures.
fn edit(clinic: &mut Clinic, state: &LogState, actor: ActorId) -> Entry {
    let chain = clinic.chain.chain();
    let position = state.position(chain, clinic.tree_size);
    clinic.tree_size += 1;
    let header = Header {
        version: HEADER_VERSION,
        log: state.log(),
        chain,
        seq: position.seq,
        prev: position.prev,
        parents: state.parents(chain),
        authority: clinic.heads(),
        tree_index: position.tree_index,
        actor,
        time_ms: NOON_MS,
        kind: Kind::Edit,
        scope: Some(Scope::Note),
        epoch: state.current_epoch(),
        blobs: Vec::new(),
        payload_hash: [1; 32],
        payload_len: 300,
    };
    Entry::from_parts(header.encode(), [1; 64], [2; 64], None).unwrap()
}

#[test]
#[ignore = "a measurement, not a check"]
fn a_million_entries() {
    const COUNT: usize = 1_000_000;
    let mut w = World::new();
    let mut state = w.state.clone();
    let begun = Instant::now();
    let (mut admitting, mut held) = (0.0, 0);
    for at in 0..COUNT {
        let entry = if at % 3 == 0 {
            edit(&mut w.harbour, &state, w.ada.actor())
        } else {
            edit(&mut w.hill, &state, w.bo.actor())
        };
        let one = Instant::now();
        let verdict = state.admit(&entry, &w.rosters);
        admitting += one.elapsed().as_secs_f64();
        assert_eq!(verdict, Verdict::Accepted);
        held += 1;
    }
    println!("built in {:.1} s", begun.elapsed().as_secs_f64());
    println!("admitted {:.0} /s", f64::from(held) / admitting);
    println!("{} MiB resident, the state alone", resident_mib());
    // A revocation that cuts off half of it, arriving last: what is held by others since is rescued.
    let clinic = w.hill.id;
    let begun = Instant::now();
    let base = &w.state;
    let cuts = base.cuts_for([w.hill.chain.chain()]);
    let revoke = w
        .harbour
        .control(&state, &w.ada, &Control::Revoke { clinic, cuts });
    assert_eq!(state.admit(&revoke, &w.rosters), Verdict::Accepted);
    println!("a revocation: {:.2} s", begun.elapsed().as_secs_f64());
    println!(
        "{} void, {} MiB resident",
        state.voids().len(),
        resident_mib()
    );
    let begun = Instant::now();
    for _ in 0..1000 {
        let entry = edit(&mut w.harbour, &state, w.ada.actor());
        assert_eq!(state.admit(&entry, &w.rosters), Verdict::Accepted);
    }
    println!("then {:.0} /s", 1000.0 / begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let lacking = state.lacking_first(&Heights::new(), 1000);
    assert_eq!(lacking.entries.len(), 1000);
    println!(
        "the first load: {:.3} ms",
        begun.elapsed().as_secs_f64() * 1e3
    );
}

//! How fast the hot paths are: `cargo test -p salus-audit speed -- --ignored --nocapture`.

use std::time::Instant;

use super::world::*;
use crate::*;

#[test]
#[ignore = "a measurement, not a check"]
fn speed() {
    let mut w = World::new();
    let rate = |what: &str, count: usize, begun: Instant| {
        let seconds = begun.elapsed().as_secs_f64();
        println!("{what:<28} {:>10.0} /s", count as f64 / seconds);
    };
    let count = 8192;
    let begun = Instant::now();
    let mut ahead = w.state.clone();
    for at in 0..count {
        let edit = if at % 3 == 0 {
            w.harbour.edit(&ahead, &w.ada, Scope::Note)
        } else {
            w.hill.edit(&ahead, &w.bo, Scope::Note)
        };
        assert_eq!(ahead.admit(&edit, &w.rosters), Verdict::Accepted);
        w.entries.push(edit);
    }
    rate("sign and admit", count, begun);
    let bytes: Vec<Vec<u8>> = w.entries.iter().map(Entry::encode).collect();
    println!(
        "{:<28} {:>10} bytes",
        "an edit of 300 bytes",
        bytes[bytes.len() - 1].len()
    );
    let begun = Instant::now();
    let entries: Vec<Entry> = bytes
        .iter()
        .map(|bytes| Entry::decode(bytes).unwrap())
        .collect();
    rate("decode", entries.len(), begun);
    let begun = Instant::now();
    assert!(verify_signatures(&entries).iter().all(Result::is_ok));
    rate("verify in batch", entries.len(), begun);
    let begun = Instant::now();
    assert!(
        entries
            .iter()
            .take(1024)
            .all(|entry| verify_entry(entry).is_ok())
    );
    rate("verify singly", 1024, begun);
    let mut bad = entries.clone();
    bad[5000] =
        Entry::from_parts(bad[5000].header_bytes().to_vec(), [1; 64], [2; 64], None).unwrap();
    let begun = Instant::now();
    assert_eq!(
        verify_signatures(&bad)
            .iter()
            .filter(|result| result.is_err())
            .count(),
        1
    );
    rate("verify, one of them bad", bad.len(), begun);
    let begun = Instant::now();
    let mut state = LogState::new(w.state.log());
    for entry in &entries {
        assert_eq!(state.admit(entry, &w.rosters), Verdict::Accepted);
    }
    rate("admit", entries.len(), begun);
    let count = entries.len();
    let begun = Instant::now();
    let replayed = LogState::replay(
        w.state.log(),
        entries.iter().map(|entry| stored(&entry.without_payload())),
    );
    rate("replay (nothing placed)", count, begun);
    assert!(replayed.is_empty());
    let leaves: Vec<TreeHash> = entries.iter().map(Entry::leaf).collect();
    let begun = Instant::now();
    let replayed = LogState::replay(w.state.log(), entries.iter().map(stored));
    rate("replay", count, begun);
    assert_eq!(replayed.digest(), state.digest());
    let begun = Instant::now();
    let tree: Tree = leaves.iter().copied().collect();
    rate("append to a tree", count, begun);
    assert_eq!(tree.root(), root_of(&leaves));
}

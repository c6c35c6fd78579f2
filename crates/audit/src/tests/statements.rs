//! What a node says when it serves a log, and what two such statements show.

use proptest::prelude::*;

use super::world::*;
use crate::*;

fn statement() -> Statement {
    Statement {
        log: LogId::from_bytes([1; 32]),
        chain: key(2).chain(),
        seq: 300,
        hash: EntryHash::from_bytes([3; 32]),
        tree_size: 70_000,
        time_ms: NOON_MS,
    }
}

#[test]
fn a_statement_is_believed_only_from_its_chain() {
    let signed = SignedStatement::sign(statement(), &key(2)).unwrap();
    assert_eq!(signed.verify(), Ok(statement()));
    let stranger = SignedStatement::sign(statement(), &key(3));
    assert_eq!(stranger, Err(StatementError::ChainKey));
    let bytes = signed.encode();
    assert_eq!(SignedStatement::decode(&bytes), Ok(signed));
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let believed =
            SignedStatement::decode(&changed).is_ok_and(|signed| signed.verify().is_ok());
        assert!(!believed, "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(SignedStatement::decode(&bytes[..len]).is_err());
    }
    assert!(SignedStatement::decode(&[&bytes[..], &[0]].concat()).is_err());
    assert!(SignedStatement::decode(&[0; MAX_STATEMENT_BYTES + 1]).is_err());
}

#[test]
fn a_statement_has_its_known_bytes() {
    let signed = SignedStatement::sign(statement(), &key(2)).unwrap();
    let bytes = signed.encode();
    // [bstr of 120 bytes, bstr of 64 bytes]
    assert_eq!(bytes[..3], [0x82, 0x58, 120]);
    assert_eq!(bytes[3..6], [0x86, 0x58, 32]);
    assert_eq!(bytes[123..125], [0x58, 64]);
    assert_eq!(bytes.len(), 189);
    let message = [b"salus/statement/v1".as_slice(), &bytes[3..123]].concat();
    let signature: [u8; 64] = bytes[125..].try_into().unwrap();
    assert_eq!(verify(&key(2).public(), &message, &signature), Ok(()));
}

#[test]
fn a_statement_that_cannot_be_true_is_not_signed() {
    let refused = |change: fn(&mut Statement)| {
        let mut impossible = statement();
        change(&mut impossible);
        let signed = SignedStatement::sign(impossible, &key(2));
        assert!(matches!(signed, Err(StatementError::Impossible(_))));
    };
    refused(|statement| statement.seq = statement.tree_size);
    refused(|statement| statement.tree_size = MAX_TREE_SIZE + 1);
    refused(|statement| statement.time_ms = MAX_TIME_MS + 1);
}

#[test]
fn a_weak_chain_states_nothing() {
    // The identity "signs" everything: s = 0 and R = the identity fit every message.
    let mut bytes = SignedStatement::sign(statement(), &key(2))
        .unwrap()
        .encode();
    let chain = statement().chain;
    let at = bytes
        .windows(32)
        .position(|part| part == chain.as_bytes())
        .unwrap();
    bytes[at..at + 32].fill(0);
    bytes[at] = 1;
    bytes[125..].fill(0);
    bytes[125] = 1;
    let forged = SignedStatement::decode(&bytes).unwrap();
    assert_eq!(forged.verify(), Err(BadSignature));
}

#[test]
fn two_histories_of_one_place_are_a_contradiction() {
    let (one, mut two) = (statement(), statement());
    assert_eq!(one.contradicts(&two), None);
    two.hash = EntryHash::from_bytes([4; 32]);
    let place = Some(Contradiction::LogPlace { seq: 300 });
    assert_eq!(one.contradicts(&two), place);
    // The tree has grown and time has passed: the place is still another one's.
    two.tree_size += 5;
    two.time_ms += 5;
    assert_eq!(one.contradicts(&two), place);
    // Other logs and other chains have nothing to do with it.
    two.log = LogId::from_bytes([9; 32]);
    assert_eq!(one.contradicts(&two), None);
    let other = Statement {
        chain: key(5).chain(),
        ..two
    };
    assert_eq!(
        one.contradicts(&Statement {
            log: one.log,
            ..other
        }),
        None
    );
}

#[test]
fn a_chain_that_took_entries_back_contradicts_itself() {
    let before = statement();
    let shorter_log = Statement {
        seq: 299,
        time_ms: NOON_MS + 1,
        ..before
    };
    assert_eq!(before.contradicts(&shorter_log), Some(Contradiction::Order));
    let regrown = Statement {
        tree_size: 80_000,
        ..shorter_log
    };
    assert_eq!(before.contradicts(&regrown), Some(Contradiction::Order));
    let shorter = Statement {
        tree_size: 60_000,
        ..shorter_log
    };
    assert_eq!(before.contradicts(&shorter), Some(Contradiction::TakenBack));
    assert_eq!(shorter.contradicts(&before), Some(Contradiction::TakenBack));
    let in_another_log = Statement {
        log: LogId::from_bytes([9; 32]),
        ..shorter
    };
    assert_eq!(
        before.contradicts(&in_another_log),
        Some(Contradiction::TakenBack)
    );
    // At the same or an earlier time that is simply what was true then.
    let earlier = Statement {
        time_ms: NOON_MS - 1,
        ..shorter
    };
    assert_eq!(before.contradicts(&earlier), None);
}

#[test]
fn an_entry_that_was_stated_otherwise_is_a_contradiction() {
    let mut w = World::new();
    let edit = w.harbour.edit(&w.state, &w.ada, Scope::Note);
    let (header, hash) = (edit.header().clone(), edit.hash());
    let stated = Statement {
        log: header.log,
        chain: header.chain,
        seq: header.seq,
        hash,
        tree_size: header.tree_index + 1,
        time_ms: NOON_MS,
    };
    assert_eq!(stated.contradicts_entry(&edit), None);
    let another = Statement {
        hash: w.entries[0].hash(),
        ..stated
    };
    let place = Contradiction::LogPlace { seq: header.seq };
    assert_eq!(another.contradicts_entry(&edit), Some(place));
    let not_yet = Statement {
        seq: header.seq - 1,
        ..another
    };
    assert_eq!(not_yet.contradicts_entry(&edit), Some(Contradiction::Order));
    let smaller = Statement {
        tree_size: header.tree_index,
        ..not_yet
    };
    assert_eq!(smaller.contradicts_entry(&edit), None);
    let elsewhere = Statement {
        log: LogId::from_bytes([9; 32]),
        ..another
    };
    assert_eq!(elsewhere.contradicts_entry(&edit), None);
}

/// Which log each leaf of a tree belongs to, and what a chain with that tree states at some size.
fn state_at(logs: &[u8], size: usize, log: u8, time_ms: u64) -> Option<Statement> {
    let seq = logs[..size]
        .iter()
        .filter(|at| **at == log)
        .count()
        .checked_sub(1)?;
    Some(Statement {
        log: LogId::from_bytes([log; 32]),
        chain: key(2).chain(),
        seq: seq as u64,
        hash: EntryHash::from_bytes([u8::try_from(seq).unwrap(); 32]),
        tree_size: size as u64,
        time_ms,
    })
}

proptest! {
    #[test]
    fn an_honest_chain_never_contradicts_itself(
        logs in proptest::collection::vec(0..4u8, 1..60),
        (one, two) in (any::<u16>(), any::<u16>()),
        (log, other) in (0..4u8, 0..4u8),
    ) {
        let size = |drawn: u16| 1 + usize::from(drawn) % logs.len();
        let (one, two) = (size(one), size(two));
        let states = (
            state_at(&logs, one, log, NOON_MS + one as u64 / 3),
            state_at(&logs, two, other, NOON_MS + two as u64 / 3),
        );
        if let (Some(one), Some(two)) = states {
            prop_assert_eq!(one.contradicts(&two), None);
            prop_assert_eq!(two.contradicts(&one), None);
        }
    }

    #[test]
    fn contradictions_do_not_depend_on_the_order(
        seqs in any::<[u8; 2]>(),
        sizes in any::<[u16; 2]>(),
        times in any::<[u8; 2]>(),
        hashes in any::<[bool; 2]>(),
    ) {
        let make = |at: usize| Statement {
            seq: u64::from(seqs[at] % 4),
            tree_size: u64::from(sizes[at] % 4) + 4,
            time_ms: u64::from(times[at] % 4),
            hash: EntryHash::from_bytes([u8::from(hashes[at]); 32]),
            ..statement()
        };
        let (one, two) = (make(0), make(1));
        prop_assert_eq!(one.contradicts(&two), two.contradicts(&one));
        prop_assert_eq!(one.contradicts(&one), None);
    }

    #[test]
    fn no_bytes_make_a_statement_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(signed) = SignedStatement::decode(&bytes) {
            prop_assert_eq!(signed.encode(), bytes);
        }
    }
}

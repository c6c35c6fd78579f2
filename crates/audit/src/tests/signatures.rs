//! ZIP-215: one verdict singly and in every batch, for honest and for crafted signatures.

use super::world::*;
use crate::weak::is_weak_key;
use crate::*;

/// The order of the base point, little-endian (RFC 8032 section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The 14 encodings of the eight points of small order that decode: 8 canonical, 6 not (ZIP-215).
fn small_order() -> Vec<[u8; 32]> {
    let texts = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let plain = texts.map(|text| *text.parse::<LogId>().unwrap().as_bytes());
    let negated = plain.map(|mut point| {
        point[31] |= 0x80;
        point
    });
    plain.into_iter().chain(negated).collect()
}

fn header() -> Header {
    World::new().entries[0].header().clone()
}

/// An entry whose actor is this point and whose actor's signature is this; the chain signs honestly.
fn crafted(actor: [u8; 32], actor_sig: [u8; 64]) -> Entry {
    let chain = key(11);
    let header = Header {
        actor: ActorId::from_bytes(actor),
        chain: chain.chain(),
        ..header()
    };
    let bytes = header.encode();
    let hash = EntryHash::from_bytes(*blake3::hash(&bytes).as_bytes());
    let chain_sig = chain.sign(&Entry::chain_message(&hash, &actor_sig));
    Entry::from_parts(bytes, actor_sig, chain_sig, None).unwrap()
}

fn signature(r: [u8; 32], s: [u8; 32]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&r);
    bytes[32..].copy_from_slice(&s);
    bytes
}

/// Honest entries to hide among.
fn honest(count: usize) -> Vec<Entry> {
    let mut w = World::new();
    for _ in 0..count {
        let edit = w.harbour.edit(&w.state, &w.ada, Scope::Note);
        w.accept(edit);
    }
    w.entries
}

#[test]
fn small_order_points_get_one_verdict_singly_and_in_batch() {
    let points = small_order();
    let mut entries = honest(8);
    for actor in &points {
        for r in &points {
            // [8][0]B = [8]R + [8][k]A holds for any k if both are of small order.
            entries.push(crafted(*actor, signature(*r, [0; 32])));
        }
    }
    let singly: Vec<_> = entries.iter().map(verify_entry).collect();
    assert_eq!(
        singly,
        vec![Ok(()); entries.len()],
        "ZIP-215 accepts all 196"
    );
    assert_eq!(verify_signatures(&entries), singly);
    assert!(points.iter().all(is_weak_key));
    assert!(!is_weak_key(&key(1).public()));
}

#[test]
fn an_s_that_is_not_reduced_is_refused_singly_and_in_batch() {
    let mut entries = honest(20);
    let mut beyond = ORDER;
    beyond[0] += 1;
    for s in [ORDER, beyond, [0xff; 32]] {
        entries.push(crafted(small_order()[1], signature(small_order()[1], s)));
    }
    // An honest signature with the order added to its s: the same equation, another encoding.
    let last = entries[0].clone();
    let mut s = [0; 32];
    s.copy_from_slice(&last.actor_sig()[32..]);
    let mut carry = 0u16;
    for (byte, add) in s.iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = (carry & 0xff) as u8;
        carry >>= 8;
    }
    let mut r = [0; 32];
    r.copy_from_slice(&last.actor_sig()[..32]);
    entries.push(crafted(*last.header().actor.as_bytes(), signature(r, s)));
    let results = verify_signatures(&entries);
    let singly: Vec<_> = entries.iter().map(verify_entry).collect();
    assert_eq!(results, singly);
    assert!(
        results[22..]
            .iter()
            .all(|result| *result == Err(Refusal::ActorSignature))
    );
    assert!(results[..22].iter().all(Result::is_ok));
}

#[test]
fn bytes_that_are_no_point_are_refused_singly_and_in_batch() {
    let mut entries = honest(10);
    let count = entries.len();
    // y = 2 is not on the curve.
    let mut off = [0; 32];
    off[0] = 2;
    entries.push(crafted(off, signature(small_order()[1], [0; 32])));
    entries.push(crafted(small_order()[1], signature(off, [0; 32])));
    let results = verify_signatures(&entries);
    assert_eq!(
        results,
        entries.iter().map(verify_entry).collect::<Vec<_>>()
    );
    assert!(results[count..].iter().all(Result::is_err));
}

#[test]
fn one_bad_entry_is_found_among_many() {
    let mut entries = honest(300);
    for at in [0, 7, 150, 301] {
        let entry = &entries[at];
        let mut sig = *entry.chain_sig();
        sig[3] ^= 4;
        let (bytes, actor_sig) = (entry.header_bytes().to_vec(), *entry.actor_sig());
        entries[at] = Entry::from_parts(bytes, actor_sig, sig, None).unwrap();
    }
    let results = verify_signatures(&entries);
    for (at, result) in results.iter().enumerate() {
        let bad = [0, 7, 150, 301].contains(&at);
        assert_eq!(
            *result,
            if bad {
                Err(Refusal::ChainSignature)
            } else {
                Ok(())
            },
            "{at}"
        );
    }
    assert!(verify_signatures(&[]).is_empty());
}

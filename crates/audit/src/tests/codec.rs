//! What is read is what would be written: for anything else there is an error, never a panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::world::key;
use crate::*;

fn hashes(max: usize) -> impl Strategy<Value = Vec<EntryHash>> {
    proptest::collection::btree_set(any::<[u8; 32]>(), 0..=max)
        .prop_map(|set| set.into_iter().map(EntryHash::from_bytes).collect())
}

prop_compose! {
    fn any_header()(
        ids in any::<[[u8; 32]; 5]>(),
        seq in prop_oneof![Just(0), 1..30u64, any::<u32>().prop_map(u64::from)],
        parents in hashes(6),
        authority in hashes(4),
        ahead in any::<u32>(),
        time_ms in 0..=MAX_TIME_MS,
        kind in proptest::sample::select(Kind::ALL),
        scope in proptest::option::of(proptest::sample::select(Scope::ALL)),
        epoch in proptest::option::of(any::<[u8; 32]>().prop_map(EntryHash::from_bytes)),
        blobs in vec(any::<[u8; 32]>().prop_map(BlobHash::from_bytes), 0..3),
        payload_len in 0..=MAX_PAYLOAD_BYTES as u64,
    ) -> Header {
        Header {
            version: HEADER_VERSION,
            log: LogId::from_bytes(ids[0]),
            chain: ChainId::from_bytes(ids[1]),
            seq,
            prev: (seq > 0).then_some(EntryHash::from_bytes(ids[2])),
            parents,
            authority,
            tree_index: seq + u64::from(ahead),
            actor: ActorId::from_bytes(ids[3]),
            time_ms,
            kind,
            scope,
            epoch,
            blobs,
            payload_hash: ids[4],
            payload_len,
        }
    }
}

fn cuts() -> impl Strategy<Value = Vec<(ChainId, u64)>> {
    proptest::collection::btree_map(
        any::<[u8; 32]>().prop_map(ChainId::from_bytes),
        0..=MAX_TREE_SIZE,
        0..4,
    )
    .prop_map(|map| map.into_iter().collect())
}

fn any_control() -> impl Strategy<Value = Control> {
    let key = || any::<[u8; 32]>().prop_map(ActorId::from_bytes);
    let chain = || any::<[u8; 32]>().prop_map(ChainId::from_bytes);
    let clinic = || any::<[u8; 32]>().prop_map(ClinicId::from_bytes);
    let bytes = any::<[u8; 32]>;
    let name = || "[a-zé ]{1,30}";
    let roles = proptest::sample::subsequence(Role::ALL, 1..=Role::ALL.len());
    let right = proptest::sample::select(Right::ALL);
    prop_oneof![
        (name(), key(), chain(), bytes(), bytes()).prop_map(
            |(name, root, chain, endpoint, hpke)| Control::RosterGenesis {
                name,
                root,
                chain,
                endpoint,
                hpke
            }
        ),
        (clinic(), bytes())
            .prop_map(|(home, commitment)| Control::RecordGenesis { home, commitment }),
        (key(), name(), roles).prop_map(|(key, name, roles)| Control::Certify { key, name, roles }),
        (key(), cuts()).prop_map(|(key, cuts)| Control::Retire { key, cuts }),
        (chain(), bytes(), bytes(), cuts()).prop_map(|(chain, endpoint, hpke, closes)| {
            Control::Incarnation {
                chain,
                endpoint,
                hpke,
                closes,
            }
        }),
        (clinic(), right, bytes(), vec(any::<u8>(), 0..100)).prop_map(
            |(clinic, right, epoch, wrapped)| {
                let epoch = EntryHash::from_bytes(epoch);
                Control::Grant {
                    clinic,
                    right,
                    epoch,
                    wrapped,
                }
            }
        ),
        (clinic(), cuts()).prop_map(|(clinic, cuts)| Control::Revoke { clinic, cuts }),
        (bytes(), bytes(), vec(any::<u8>(), 1..100)).prop_map(
            |(commitment, previous, sealed_previous)| Control::Rotate {
                commitment,
                previous: EntryHash::from_bytes(previous),
                sealed_previous,
            }
        ),
        (bytes(), hashes(5), name()).prop_map(|(first, mut entries, reason)| {
            entries.push(EntryHash::from_bytes(first));
            entries.sort();
            Control::Quarantine { entries, reason }
        }),
        (hashes(5), name()).prop_map(|(mut entries, reason)| {
            entries.sort();
            Control::Erase { entries, reason }
        }),
    ]
}

fn any_body() -> impl Strategy<Value = Body> {
    let bytes = || vec(any::<u8>(), 0..300);
    let line = || "[a-zé ]{0,40}";
    prop_oneof![
        (vec(bytes(), 1..4), line()).prop_map(|(changes, summary)| Body::Edit { changes, summary }),
        line().prop_map(|purpose| Body::View { purpose }),
        (any::<[u8; 32]>(), any::<bool>()).prop_map(|(other, link)| {
            let other = LogId::from_bytes(other);
            if link {
                Body::Link { other }
            } else {
                Body::Unlink { other }
            }
        }),
        (
            line(),
            line(),
            line(),
            bytes(),
            proptest::option::of(0..MAX_ATTACHMENT_BYTES)
        )
            .prop_map(|(id, name, mime, inline, inflated)| Body::Attach {
                id,
                name,
                mime,
                encoding: if inflated.is_some() {
                    Encoding::Deflate
                } else {
                    Encoding::Identity
                },
                bytes_len: inflated.unwrap_or(inline.len() as u64),
                inline,
            }),
        (
            [line(), line(), line(), line()],
            any::<[[u8; 32]; 4]>(),
            [0..MAX_BLOB_ATTACHMENT_BYTES, 0..MAX_BLOB_ATTACHMENT_BYTES],
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(|(lines, ids, lens, preview, about)| {
                let [id, name, mime, facts] = lines.map(|line| format!("-{line}"));
                let blob = |of: usize| SealedBlob {
                    key: ids[of],
                    len: lens[of],
                };
                Body::Attachment(Box::new(Attachment {
                    about: about.then(|| id.clone()),
                    id,
                    name,
                    mime,
                    sha256: ids[2],
                    blake3: ids[3],
                    content: blob(0),
                    preview: preview.then(|| blob(1)),
                    facts,
                }))
            }),
        any_inference().prop_map(|inference| Body::Inference(Box::new(inference))),
        (
            any::<[u8; 32]>(),
            proptest::option::of("[a-zé ]{1,40}"),
            any::<bool>()
        )
            .prop_map(|(inference, text, accepted)| Body::Verdict {
                inference: EntryHash::from_bytes(inference),
                decision: match (accepted, text) {
                    (true, label) => Decision::Accept { label },
                    (false, why) => Decision::Reject {
                        why: why.unwrap_or_else(|| "artefact".into()),
                    },
                },
            }),
    ]
}

fn any_inference() -> impl Strategy<Value = Inference> {
    let line = || "[a-zé ]{1,40}";
    let outputs = vec(
        (
            "[a-z0-9-]{1,32}",
            proptest::option::of(0..=MILLION),
            proptest::option::of(line()),
        ),
        1..8,
    );
    (
        ("[a-z-]{1,32}", line(), line(), any::<[[u8; 32]; 2]>()),
        outputs,
        any::<bool>(),
        proptest::option::of(0..=MAX_DISTANCE),
        "[a-zé ]{0,40}",
    )
        .prop_map(|(names, mut outputs, uncertain, distance, explanation)| {
            let (component, name, version, [weights, hash]) = names;
            outputs.sort_by_key(|output| std::cmp::Reverse(output.1));
            let outputs = outputs.into_iter().enumerate();
            Inference {
                component,
                model: Model {
                    name,
                    version,
                    weights,
                },
                input: Input {
                    hash,
                    media_type: "image/png".into(),
                    name: explanation.clone(),
                },
                outputs: outputs
                    .map(|(n, (what, p, note))| Output {
                        what,
                        label: format!("label {n}"),
                        p,
                        note,
                    })
                    .collect(),
                uncertain,
                distance,
                explanation,
            }
        })
}

/// One small violence done to bytes.
fn mutated(mut bytes: Vec<u8>, (what, at, value): (u8, usize, u8)) -> Vec<u8> {
    let at = at % bytes.len().max(1);
    match what % 5 {
        0 => bytes[at] = value,
        1 => bytes[at] ^= 1 << (value % 8),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, value),
        _ => {
            bytes.remove(at);
        }
    }
    bytes
}

fn violence() -> impl Strategy<Value = (u8, usize, u8)> {
    any::<(u8, usize, u8)>()
}

const DECODED_KINDS: [Kind; 15] = [
    Kind::Genesis,
    Kind::Certify,
    Kind::Retire,
    Kind::Incarnation,
    Kind::Grant,
    Kind::Edit,
    Kind::View,
    Kind::Attach,
    Kind::Revoke,
    Kind::Rotate,
    Kind::Quarantine,
    Kind::Link,
    Kind::Unlink,
    Kind::Inference,
    Kind::Verdict,
];

/// Every decoder on these bytes: what it accepts, it writes the same.
fn decode_everything(bytes: &[u8]) {
    if let Ok(header) = Header::decode(bytes) {
        assert_eq!(header.encode(), bytes);
    }
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode(), bytes);
        assert_eq!(entry.encoded_len(), bytes.len());
    }
    for kind in DECODED_KINDS {
        if let Ok(control) = Control::decode(kind, bytes) {
            assert_eq!(control.encode(), bytes);
        }
        if let Ok(body) = Body::decode(kind, bytes) {
            assert_eq!(body.encode(), bytes);
        }
    }
    if let Ok(tree) = Tree::decode(bytes) {
        assert_eq!(tree.encode(), bytes);
    }
    if let Ok(proof) = InclusionProof::decode(bytes) {
        assert_eq!(proof.encode(), bytes);
        let _ = proof.verify(&[0; 32], &[0; 32]);
    }
    if let Ok(proof) = ConsistencyProof::decode(bytes) {
        assert_eq!(proof.encode(), bytes);
        let _ = proof.verify(&[0; 32], &[0; 32]);
    }
    if let Ok(checkpoint) = SignedCheckpoint::decode(bytes) {
        assert_eq!(checkpoint.encode(), bytes);
        assert!(checkpoint.verify().is_err());
    }
}

proptest! {
    #[test]
    fn a_header_reads_back_as_it_was(header in any_header()) {
        let bytes = header.encode();
        prop_assert_eq!(Header::decode(&bytes), Ok(header.clone()));
        let aad = header.aad();
        prop_assert_eq!(aad[0], 0x8e);
        prop_assert_eq!(&aad[1..], &bytes[1..aad.len()], "the rest of the header follows");
    }

    #[test]
    fn an_entry_reads_back_as_it_was(
        header in any_header(),
        payload in proptest::option::of(vec(any::<u8>(), 0..600)),
        sigs in any::<([[u8; 32]; 2], [[u8; 32]; 2])>(),
    ) {
        let payload_len = payload.as_ref().map_or(header.payload_len, |bytes| bytes.len() as u64);
        let header = Header { payload_len, ..header };
        let sig = |halves: [[u8; 32]; 2]| {
            let mut bytes = [0; 64];
            bytes[..32].copy_from_slice(&halves[0]);
            bytes[32..].copy_from_slice(&halves[1]);
            bytes
        };
        let entry = Entry::from_parts(header.encode(), sig(sigs.0), sig(sigs.1), payload).unwrap();
        let bytes = entry.encode();
        prop_assert_eq!(bytes.len(), entry.encoded_len());
        prop_assert_eq!(Entry::decode(&bytes), Ok(entry));
    }

    #[test]
    fn control_bodies_read_back_as_they_were(control in any_control()) {
        prop_assert_eq!(Control::decode(control.kind(), &control.encode()), Ok(control));
    }

    #[test]
    fn clinical_bodies_read_back_as_they_were(body in any_body()) {
        prop_assert_eq!(Body::decode(body.kind(), &body.encode()), Ok(body));
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        decode_everything(&bytes);
    }

    #[test]
    fn a_mutated_header_has_one_form_or_none(header in any_header(), how in violence()) {
        decode_everything(&mutated(header.encode(), how));
    }

    #[test]
    fn a_mutated_body_has_one_form_or_none(
        control in any_control(),
        body in any_body(),
        how in violence(),
    ) {
        decode_everything(&mutated(control.encode(), how));
        decode_everything(&mutated(body.encode(), how));
    }

    #[test]
    fn a_mutated_entry_has_one_form_or_none(header in any_header(), how in violence()) {
        let header = Header { payload_len: 3, ..header };
        let entry = Entry::from_parts(header.encode(), [1; 64], [2; 64], Some(vec![7; 3])).unwrap();
        decode_everything(&mutated(entry.encode(), how));
    }
}

fn plain_header() -> Header {
    Header {
        version: HEADER_VERSION,
        log: LogId::from_bytes([1; 32]),
        chain: key(1).chain(),
        seq: 0,
        prev: None,
        parents: vec![],
        authority: vec![],
        tree_index: 0,
        actor: key(2).actor(),
        time_ms: 0,
        kind: Kind::View,
        scope: None,
        epoch: None,
        blobs: vec![],
        payload_hash: [0; 32],
        payload_len: 0,
    }
}

#[test]
fn named_malformed_headers_are_refused() {
    let bytes = plain_header().encode();
    let replaced = |at: usize, old: &[u8], new: &[u8]| {
        assert_eq!(&bytes[at..at + old.len()], old);
        [&bytes[..at], new, &bytes[at + old.len()..]].concat()
    };
    let not_canonical = DecodeError::NotCanonical("header");
    let malformed = DecodeError::Malformed("header");
    let cases: Vec<(&str, Vec<u8>, DecodeError)> = vec![
        (
            "an indefinite array",
            [&[0x9f], &bytes[1..], &[0xff]].concat(),
            malformed,
        ),
        (
            "a long array head",
            replaced(0, &[0x90], &[0x98, 16]),
            not_canonical,
        ),
        (
            "a long version",
            replaced(1, &[1], &[0x18, 1]),
            not_canonical,
        ),
        (
            "another version",
            replaced(1, &[1], &[2]),
            DecodeError::Version("header"),
        ),
        (
            "a long string head",
            replaced(2, &[0x58, 32], &[0x59, 0, 32]),
            not_canonical,
        ),
        (
            "a long seq",
            replaced(70, &[0], &[0x19, 0, 0]),
            not_canonical,
        ),
        (
            "undefined for null",
            replaced(71, &[0xf6], &[0xf7]),
            malformed,
        ),
        ("one item more", [&bytes[..], &[0]].concat(), malformed),
        (
            "one byte less",
            bytes[..bytes.len() - 1].to_vec(),
            malformed,
        ),
        ("nothing", vec![], malformed),
        ("a tag", [&[0xc0], &bytes[..]].concat(), malformed),
        ("a negative number", replaced(1, &[1], &[0x20]), malformed),
        (
            "an endless list",
            replaced(72, &[0x80], &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255]),
            DecodeError::TooLong("header"),
        ),
        (
            "too many bytes",
            vec![0; MAX_HEADER_BYTES + 1],
            DecodeError::TooLong("header"),
        ),
    ];
    for (what, bytes, error) in cases {
        assert_eq!(Header::decode(&bytes), Err(error), "{what}");
    }
}

#[test]
fn contradictions_in_a_header_are_refused() {
    let hash = |byte| EntryHash::from_bytes([byte; 32]);
    let plain = plain_header();
    let cases = [
        (
            "prev",
            Header {
                prev: Some(hash(1)),
                ..plain.clone()
            },
        ),
        (
            "prev",
            Header {
                seq: 1,
                tree_index: 1,
                ..plain.clone()
            },
        ),
        (
            "parents",
            Header {
                parents: vec![hash(2), hash(1)],
                ..plain.clone()
            },
        ),
        (
            "parents",
            Header {
                parents: vec![hash(1), hash(1)],
                ..plain.clone()
            },
        ),
        (
            "parents",
            Header {
                seq: 1,
                tree_index: 1,
                prev: Some(hash(1)),
                parents: vec![hash(1)],
                ..plain.clone()
            },
        ),
        (
            "authority",
            Header {
                authority: vec![hash(2), hash(1)],
                ..plain.clone()
            },
        ),
        (
            "tree index",
            Header {
                seq: 2,
                prev: Some(hash(1)),
                tree_index: 1,
                ..plain.clone()
            },
        ),
        (
            "time",
            Header {
                time_ms: MAX_TIME_MS + 1,
                ..plain.clone()
            },
        ),
    ];
    for (what, header) in cases {
        assert_eq!(
            Header::decode(&header.encode()),
            Err(DecodeError::Impossible(what))
        );
    }
    let long = Header {
        payload_len: MAX_PAYLOAD_BYTES as u64 + 1,
        ..plain
    };
    assert_eq!(
        Header::decode(&long.encode()),
        Err(DecodeError::TooLong("payload"))
    );
}

#[test]
fn the_largest_header_fits_its_limit() {
    let hashes = |count: u8| {
        (0..count)
            .map(|at| EntryHash::from_bytes([at; 32]))
            .collect()
    };
    let header = Header {
        seq: 1 << 40,
        prev: Some(EntryHash::from_bytes([255; 32])),
        parents: hashes(u8::try_from(MAX_PARENTS).unwrap()),
        authority: hashes(u8::try_from(MAX_AUTHORITY).unwrap()),
        tree_index: u64::MAX,
        time_ms: MAX_TIME_MS,
        kind: Kind::Attach,
        scope: Some(Scope::Attachment),
        epoch: Some(EntryHash::from_bytes([3; 32])),
        blobs: vec![BlobHash::from_bytes([4; 32]); MAX_BLOBS],
        payload_len: MAX_PAYLOAD_BYTES as u64,
        ..plain_header()
    };
    let bytes = header.encode();
    assert!(bytes.len() < MAX_HEADER_BYTES, "{}", bytes.len());
    assert_eq!(Header::decode(&bytes), Ok(header));
    let entry =
        Entry::from_parts(bytes, [0; 64], [0; 64], Some(vec![0; MAX_PAYLOAD_BYTES])).unwrap();
    assert!(entry.encoded_len() <= MAX_ENTRY_BYTES);
}

#[test]
fn impossible_bodies_are_refused() {
    let roles = Control::Certify {
        key: key(1).actor(),
        name: "A".into(),
        roles: vec![],
    };
    assert!(Control::decode(Kind::Certify, &roles.encode()).is_err());
    let roles = vec![Role::Nurse, Role::Physician];
    let roles = Control::Certify {
        key: key(1).actor(),
        name: "A".into(),
        roles,
    };
    assert!(Control::decode(Kind::Certify, &roles.encode()).is_err());
    let name = Control::Certify {
        key: key(1).actor(),
        name: "A".repeat(MAX_NAME_BYTES + 1),
        roles: vec![Role::Nurse],
    };
    assert!(Control::decode(Kind::Certify, &name.encode()).is_err());
    let name = Control::Certify {
        key: key(1).actor(),
        name: "".into(),
        roles: vec![Role::Nurse],
    };
    assert!(Control::decode(Kind::Certify, &name.encode()).is_err());
    let cut = (key(1).chain(), 1);
    let twice = Control::Retire {
        key: key(1).actor(),
        cuts: vec![cut, cut],
    };
    assert!(Control::decode(Kind::Retire, &twice.encode()).is_err());
    let far = Control::Retire {
        key: key(1).actor(),
        cuts: vec![(key(1).chain(), MAX_TREE_SIZE + 1)],
    };
    assert!(Control::decode(Kind::Retire, &far.encode()).is_err());
    let id = |byte| EntryHash::from_bytes([byte; 32]);
    let reason = || "broken".to_owned();
    for entries in [vec![], vec![id(2), id(1)], vec![id(1), id(1)]] {
        let reason = reason();
        let control = Control::Quarantine { entries, reason };
        assert!(Control::decode(Kind::Quarantine, &control.encode()).is_err());
    }
    let many = (0..=u8::try_from(MAX_QUARANTINED).unwrap()).map(id);
    let many = Control::Quarantine {
        entries: many.collect(),
        reason: reason(),
    };
    assert!(Control::decode(Kind::Quarantine, &many.encode()).is_err());
    let why = Control::Quarantine {
        entries: vec![id(1)],
        reason: String::new(),
    };
    assert!(Control::decode(Kind::Quarantine, &why.encode()).is_err());
    for len in [0, MAX_SEALED_KEY_BYTES + 1] {
        let rotate = Control::Rotate {
            commitment: [1; 32],
            previous: id(1),
            sealed_previous: vec![0; len],
        };
        assert!(Control::decode(Kind::Rotate, &rotate.encode()).is_err());
    }
    let empty = Body::Edit {
        changes: vec![],
        summary: String::new(),
    };
    assert!(Body::decode(Kind::Edit, &empty.encode()).is_err());
    let long = Body::Edit {
        changes: vec![vec![0; MAX_CHANGE_BYTES + 1]],
        summary: String::new(),
    };
    assert!(Body::decode(Kind::Edit, &long.encode()).is_err());
    let attach = |encoding, bytes_len| Body::Attach {
        id: "a".into(),
        name: "b".into(),
        mime: "text/plain".into(),
        encoding,
        bytes_len,
        inline: vec![1, 2, 3],
    };
    let wrong = attach(Encoding::Identity, 4);
    assert!(Body::decode(Kind::Attach, &wrong.encode()).is_err());
    let bomb = attach(Encoding::Deflate, MAX_ATTACHMENT_BYTES + 1);
    assert!(Body::decode(Kind::Attach, &bomb.encode()).is_err());
    assert!(Body::decode(Kind::View, &wrong.encode()).is_err());
    assert!(Control::decode(Kind::View, &[]).is_err());
}

#[test]
fn a_truncated_entry_is_refused() {
    let header = Header {
        payload_len: 3,
        ..plain_header()
    };
    let entry = Entry::from_parts(header.encode(), [1; 64], [2; 64], Some(vec![7; 3])).unwrap();
    let bytes = entry.encode();
    for len in 0..bytes.len() {
        assert!(Entry::decode(&bytes[..len]).is_err(), "{len}");
    }
    let header = entry.header_bytes();
    for len in 0..header.len() {
        assert!(Header::decode(&header[..len]).is_err(), "{len}");
    }
}

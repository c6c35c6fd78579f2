//! The decoders of the log: each accepts exactly what its encoder writes.

use salus_audit::{
    Attachment, Body, ChainId, Checkpoint, ConsistencyProof, Control, Decision, Encoding, Entry,
    EntryHash, Header, InclusionProof, Inference, Input, Kind, LogId, Model, Output, Proof,
    SealedBlob, SignedCheckpoint, SignedStatement, SigningKey, Statement, Tree, TreeHash, root_of,
    verify_entry,
};

use super::log::Log;
use super::{Target, same};
use crate::rng::Rng;
use crate::subject::{Broken, Form, Outcome, Subject};

const PROMISE: &str = "what is decoded encodes to the same bytes";

pub(super) const ENTRY: Target = Target {
    name: "entry",
    about: "Entry::decode, verify_entry, and the clear body inside",
    form: Form::Cbor,
    max_bytes: 16 * 1024,
    make: |rng| Box::new(Entries(Log::new(rng))),
};

struct Entries(Log);

impl Subject for Entries {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let detached = self.0.entries().map(Entry::without_payload);
        let all = self.0.entries().cloned().chain(detached);
        all.map(|entry| entry.encode()).collect()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        let entry = match Entry::decode(input) {
            Ok(entry) => entry,
            Err(error) => return Ok(Outcome::refused(error)),
        };
        same(&entry.encode().as_slice(), &input, PROMISE)?;
        same(&entry.encoded_len(), &input.len(), "its length is known")?;
        let kind = entry.header().kind;
        let _ = (entry.leaf(), entry.header().aad(), format!("{entry:?}"));
        let body = entry.payload().filter(|_| kind.is_clear());
        let body = body.map(|body| Control::decode(kind, body).map(|_| ()));
        // Signatures take long: a few are enough.
        let signed = (input.last() == Some(&0)).then(|| verify_entry(&entry).is_ok());
        Ok(Outcome::accepted(format!("{kind} {body:?} {signed:?}")))
    }
}

pub(super) const HEADER: Target = Target {
    name: "header",
    about: "Header::decode",
    form: Form::Cbor,
    max_bytes: 10 * 1024,
    make: |rng| Box::new(Headers(Log::new(rng))),
};

struct Headers(Log);

impl Subject for Headers {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let headers = self.0.entries().map(|entry| entry.header_bytes().to_vec());
        headers.collect()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        match Header::decode(input) {
            Ok(header) => {
                same(&header.encode().as_slice(), &input, PROMISE)?;
                Ok(Outcome::accepted(header.kind))
            }
            Err(error) => Ok(Outcome::refused(error)),
        }
    }
}

pub(super) const CONTROL: Target = Target {
    name: "control",
    about: "Control::decode, the first byte being the kind",
    form: Form::TaggedCbor,
    max_bytes: 70 * 1024,
    make: |rng| Box::new(Controls(Log::new(rng).controls)),
};

struct Controls(Vec<Control>);

/// Takes the kind from the first byte.
fn tagged(input: &[u8]) -> Option<(Kind, &[u8])> {
    let (kind, body) = input.split_first()?;
    Some((Kind::from_code(u64::from(*kind))?, body))
}

impl Subject for Controls {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let seed = |control: &Control| [vec![control.kind().code()], control.encode()].concat();
        self.0.iter().map(seed).collect()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        let Some((kind, body)) = tagged(input) else {
            return Ok(Outcome::refused("no kind"));
        };
        match Control::decode(kind, body) {
            Ok(control) => {
                same(&control.encode().as_slice(), &body, PROMISE)?;
                same(&control.kind(), &kind, "its kind stays")?;
                let _ = control.log_id(ChainId::from_bytes([1; 32]));
                Ok(Outcome::accepted(kind))
            }
            Err(error) => Ok(Outcome::refused(format!("{kind} {error}"))),
        }
    }
}

pub(super) const BODY: Target = Target {
    name: "body",
    about: "Body::decode of what was unsealed, the first byte being the kind",
    form: Form::TaggedCbor,
    max_bytes: 16 * 1024,
    make: |rng| Box::new(Bodies::new(rng)),
};

struct Bodies(Vec<Body>);

impl Bodies {
    fn new(rng: &mut Rng) -> Self {
        Self(vec![
            Body::Edit {
                changes: vec![rng.bytes(60), rng.bytes(20)],
                summary: "two changes".into(),
            },
            Body::View {
                purpose: "treatment".into(),
            },
            Body::Link {
                other: LogId::from_bytes(rng.array32()),
            },
            Body::Unlink {
                other: LogId::from_bytes(rng.array32()),
            },
            Body::Attach {
                id: "a1".into(),
                name: "letter.txt".into(),
                mime: "text/plain".into(),
                encoding: Encoding::Identity,
                bytes_len: 30,
                inline: rng.bytes(30),
            },
            Body::Attach {
                id: "a2".into(),
                name: "bundle.json".into(),
                mime: "application/fhir+json".into(),
                encoding: Encoding::Deflate,
                bytes_len: 3_000,
                inline: rng.bytes(30),
            },
            Body::Attachment(Box::new(Attachment {
                id: "a3".into(),
                name: "scan.dcm".into(),
                mime: "application/dicom".into(),
                sha256: rng.array32(),
                blake3: rng.array32(),
                content: SealedBlob {
                    key: rng.array32(),
                    len: 500_000,
                },
                preview: Some(SealedBlob {
                    key: rng.array32(),
                    len: 20_000,
                }),
                about: Some("r1".into()),
                facts: r#"{"width":512}"#.into(),
            })),
            Body::Inference(Box::new(inference(rng))),
            Body::Inference(Box::new(Inference {
                outputs: Vec::new(),
                uncertain: true,
                distance: None,
                ..inference(rng)
            })),
            Body::Verdict {
                inference: EntryHash::from_bytes(rng.array32()),
                decision: Decision::Accept { label: None },
            },
            Body::Verdict {
                inference: EntryHash::from_bytes(rng.array32()),
                decision: Decision::Accept {
                    label: Some("effusion".into()),
                },
            },
            Body::Verdict {
                inference: EntryHash::from_bytes(rng.array32()),
                decision: Decision::Reject {
                    why: "artefact".into(),
                },
            },
        ])
    }
}

/// Three outputs of two sorts.
fn inference(rng: &mut Rng) -> Inference {
    let output = |what: &str, label: &str, p, note: Option<&str>| Output {
        what: what.into(),
        label: label.into(),
        p,
        note: note.map(str::to_owned),
    };
    Inference {
        component: "imaging".into(),
        model: Model {
            name: "imaging".into(),
            version: "1.0".into(),
            weights: rng.array32(),
        },
        input: Input {
            hash: rng.array32(),
            media_type: "image/png".into(),
            name: "chest.png".into(),
        },
        outputs: vec![
            output("category", "pneumonia", Some(700_000), Some("unreliable")),
            output("category", "normal", Some(300_000), None),
            output("urgency", "soon", None, None),
        ],
        uncertain: false,
        distance: Some(412),
        explanation: "opacity at the right base".into(),
    }
}

impl Subject for Bodies {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let seed = |body: &Body| [vec![body.kind().code()], body.encode()].concat();
        self.0.iter().map(seed).collect()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        let Some((kind, bytes)) = tagged(input) else {
            return Ok(Outcome::refused("no kind"));
        };
        match Body::decode(kind, bytes) {
            Ok(body) => {
                same(&body.encode().as_slice(), &bytes, PROMISE)?;
                Ok(Outcome::accepted(kind))
            }
            Err(error) => Ok(Outcome::refused(format!("{kind} {error}"))),
        }
    }
}

pub(super) const CHECKPOINT: Target = Target {
    name: "checkpoint",
    about: "SignedCheckpoint::decode and verify",
    form: Form::Cbor,
    max_bytes: 1024,
    make: |rng| Box::new(Checkpoints::new(rng)),
};

struct Checkpoints(Vec<Vec<u8>>);

impl Checkpoints {
    fn new(rng: &mut Rng) -> Self {
        let key = SigningKey::from_seed(rng.array32());
        let sizes = [0, 1, 5, 300];
        let signed = sizes.iter().filter_map(|size| {
            let tree: Tree = (0..*size).map(|_| rng.array32()).collect();
            Checkpoint::of(key.chain(), &tree).sign(&key).ok()
        });
        Self(signed.map(|signed| signed.encode()).collect())
    }
}

impl Subject for Checkpoints {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.0.clone()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        match SignedCheckpoint::decode(input) {
            Ok(signed) => {
                same(&signed.encode().as_slice(), &input, PROMISE)?;
                let verified = signed.verify().is_ok();
                let genuine = self.0.iter().any(|seed| seed == input);
                same(&verified, &genuine, "only what was signed verifies")?;
                Ok(Outcome::accepted(verified))
            }
            Err(error) => Ok(Outcome::refused(error)),
        }
    }
}

pub(super) const PROOF: Target = Target {
    name: "proof",
    about: "inclusion and consistency proofs, decoded and verified; stored trees",
    form: Form::Cbor,
    max_bytes: 4 * 1024,
    make: |rng| Box::new(Proofs::new(rng)),
};

struct Proofs {
    leaves: Vec<TreeHash>,
    root: TreeHash,
}

/// A size at which paths turn both ways.
const LEAVES: usize = 21;

impl Proofs {
    fn new(rng: &mut Rng) -> Self {
        let leaves: Vec<TreeHash> = (0..LEAVES).map(|_| rng.array32()).collect();
        let root = root_of(&leaves);
        Self { leaves, root }
    }

    fn old_root(&self, size: u64) -> Option<TreeHash> {
        let size = usize::try_from(size).ok()?;
        self.leaves.get(..size).map(root_of)
    }
}

impl Subject for Proofs {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let sizes = 0..=LEAVES as u64;
        let inclusion = sizes.clone().filter_map(|index| {
            let proof = InclusionProof::prove(&self.leaves, index).ok()?;
            Some(proof.encode())
        });
        let consistency = sizes.clone().filter_map(|size| {
            let proof = ConsistencyProof::prove(&self.leaves, size).ok()?;
            Some(proof.encode())
        });
        let trees = [0, 1, 7, 16].map(|size| {
            let tree: Tree = self.leaves.iter().take(size).copied().collect();
            tree.encode()
        });
        inclusion.chain(consistency).chain(trees).collect()
    }

    /// One layout serves both proofs: an input is tried as either.
    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        let mut outcome = Outcome::refused("neither");
        if let Ok(tree) = Tree::decode(input) {
            same(&tree.encode().as_slice(), &input, PROMISE)?;
            let mut grown = tree.clone();
            grown.append([1; 32]);
            let _ = (tree.root(), grown.root());
            outcome = Outcome::accepted("tree");
        }
        if let Ok(proof) = InclusionProof::decode(input) {
            same(&proof.encode().as_slice(), &input, PROMISE)?;
            let at = usize::try_from(proof.index).unwrap_or(usize::MAX);
            let leaf = self.leaves.get(at).copied().unwrap_or([9; 32]);
            let holds = proof.verify(&leaf, &self.root);
            let genuine = InclusionProof::prove(&self.leaves, proof.index);
            if holds.is_ok() && proof.size == LEAVES as u64 {
                let only = genuine.as_ref() == Ok(&proof);
                same(&only, &true, "one proof leads to a leaf")?;
            }
            outcome = Outcome::accepted(format!("inclusion {holds:?}"));
        }
        if let Ok(proof) = ConsistencyProof::decode(input) {
            same(&proof.encode().as_slice(), &input, PROMISE)?;
            let old = self.old_root(proof.old_size).unwrap_or([9; 32]);
            let holds = proof.verify(&old, &self.root);
            if holds.is_ok() {
                outcome = Outcome::accepted(format!("consistency {holds:?}"));
            }
        }
        Ok(outcome)
    }
}

pub(super) const STATEMENT: Target = Target {
    name: "statement",
    about: "SignedStatement::decode and verify",
    form: Form::Cbor,
    max_bytes: 1024,
    make: |rng| Box::new(Statements::new(rng)),
};

struct Statements(Vec<Vec<u8>>);

impl Statements {
    fn new(rng: &mut Rng) -> Self {
        let key = SigningKey::from_seed(rng.array32());
        let sizes = [1, 2, 300];
        let signed = sizes.iter().filter_map(|tree_size| {
            let statement = Statement {
                log: LogId::from_bytes(rng.array32()),
                chain: key.chain(),
                seq: tree_size - 1,
                hash: EntryHash::from_bytes(rng.array32()),
                tree_size: *tree_size,
                time_ms: 1_790_000_000_000,
            };
            SignedStatement::sign(statement, &key).ok()
        });
        Self(signed.map(|signed| signed.encode()).collect())
    }
}

impl Subject for Statements {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.0.clone()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        match SignedStatement::decode(input) {
            Ok(signed) => {
                same(&signed.encode().as_slice(), &input, PROMISE)?;
                let verified = signed.verify().is_ok();
                let genuine = self.0.iter().any(|seed| seed == input);
                same(&verified, &genuine, "only what was signed verifies")?;
                Ok(Outcome::accepted(verified))
            }
            Err(error) => Ok(Outcome::refused(error)),
        }
    }
}

pub(super) const PORTABLE: Target = Target {
    name: "portable",
    about: "Proof::decode and check: a proof to be shown to a stranger",
    form: Form::Cbor,
    max_bytes: 32 * 1024,
    make: |rng| Box::new(Portable::new(rng)),
};

struct Portable(Vec<Vec<u8>>);

impl Portable {
    fn new(rng: &mut Rng) -> Self {
        let log = Log::new(rng);
        let chain = &log.chain;
        // The second chain's only entry is in a tree of its own.
        let leaves: Vec<TreeHash> = log
            .entries()
            .filter(|entry| entry.header().chain == chain.chain())
            .map(Entry::leaf)
            .collect();
        let checkpoint = |size: usize| {
            let tree: Tree = leaves.iter().take(size).copied().collect();
            Checkpoint::of(chain.chain(), &tree).sign(chain).ok()
        };
        let (old, new) = (checkpoint(3), checkpoint(leaves.len()));
        let edit = log.record_entries.get(2);
        let forms = [
            (edit, old.as_ref()),
            (edit, None),
            (None, old.as_ref()),
            (None, None),
        ];
        let proofs = forms.into_iter().filter_map(|(entry, since)| {
            let leaves = leaves.iter().copied();
            Proof::build(&log.roster_entries, entry, new.as_ref()?, since, leaves).ok()
        });
        Self(proofs.map(|proof| proof.encode()).collect())
    }
}

impl Subject for Portable {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.0.clone()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        let proof = match Proof::decode(input) {
            Ok(proof) => proof,
            Err(error) => return Ok(Outcome::refused(error)),
        };
        same(&proof.encode().as_slice(), &input, PROMISE)?;
        // Signatures take long: one in four is enough, and the seeds.
        let genuine = self.0.iter().any(|seed| seed == input);
        if !genuine && blake3::hash(input).as_bytes()[0] & 3 != 0 {
            return Ok(Outcome::accepted("not checked"));
        }
        match proof.check(None) {
            Ok(_) => Ok(Outcome::accepted("holds")),
            Err(fault) => {
                same(&genuine, &false, "a genuine proof holds")?;
                Ok(Outcome::accepted(fault))
            }
        }
    }
}

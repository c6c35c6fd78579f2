//! Known answers: `vectors/*.json` from fixed seeds. `docs/formats.md` quotes them; a change here is a
//! change of the format. `SALUS_UPDATE_VECTORS=1` writes them anew.

use serde_json::{Value, json};

use super::erasures::attachment;
use super::inferences::inference;
use super::world::*;
use crate::*;

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn check(name: &str, value: &Value) {
    let path = format!("{}/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = format!("{}\n", serde_json::to_string_pretty(value).unwrap());
    if std::env::var_os("SALUS_UPDATE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept, *value, "{name} differs from its vector");
}

fn entry_vector(entry: &Entry, aad: &[u8]) -> Value {
    json!({
        "header": hex(entry.header_bytes()),
        "aad": hex(aad),
        "hash": entry.hash(),
        "actor_sig": hex(entry.actor_sig()),
        "chain_sig": hex(entry.chain_sig()),
        "leaf": hex(entry.leaf()),
        "payload": hex(entry.payload().unwrap()),
        "entry": hex(entry.encode()),
    })
}

#[test]
fn a_roster_genesis_has_its_known_bytes() {
    let clinic = Clinic::new(10);
    let entry = &clinic.entries[0];
    let mut vector = entry_vector(entry, &entry.header().aad());
    vector["what"] = "roster genesis; seeds are 32 equal bytes".into();
    vector["root_seed"] = hex([10; 32]).into();
    vector["chain_seed"] = hex([11; 32]).into();
    vector["log"] = clinic.roster.log().to_string().into();
    vector["clinic"] = clinic.id.to_string().into();
    check("roster_genesis", &vector);
    assert_eq!(Entry::decode(&entry.encode()).as_ref(), Ok(entry));
    assert_eq!(verify_entry(entry), Ok(()));
}

#[test]
fn an_edit_has_its_known_bytes() {
    let mut w = World::new();
    let edit = w.hill.edit(&w.state, &w.bo, Scope::Clinical);
    let mut vector = entry_vector(&edit, &edit.header().aad());
    vector["what"] = "an edit by another clinic; its payload is not really sealed here".into();
    vector["actor_seed"] = hex([32; 32]).into();
    vector["chain_seed"] = hex([21; 32]).into();
    vector["log"] = w.state.log().to_string().into();
    vector["record_genesis"] = entry_vector(&w.entries[0], &w.entries[0].header().aad());
    vector["grant"] = entry_vector(&w.entries[1], &w.entries[1].header().aad());
    w.accept(edit);
    vector["heights_digest"] = hex(w.state.digest()).into();
    check("edit", &vector);
}

#[test]
fn bodies_have_their_known_bytes() {
    let (key_1, chain) = (key(1).actor(), key(2).chain());
    let (name, roles) = ("Ada".to_owned(), vec![Role::Physician, Role::Admin]);
    let id = |byte| EntryHash::from_bytes([byte; 32]);
    let (endpoint, hpke, closes) = ([4; 32], [5; 32], vec![(key(3).chain(), 300)]);
    let controls = json!({
        "certify": hex(Control::Certify { key: key_1, name, roles }.encode()),
        "retire": hex(Control::Retire { key: key_1, cuts: vec![(chain, 7)] }.encode()),
        "incarnation": hex(Control::Incarnation { chain, endpoint, hpke, closes }.encode()),
        "grant": hex(Control::Grant {
            clinic: ClinicId::from_bytes([6; 32]),
            right: Right::Read,
            epoch: id(7),
            wrapped: vec![8; 80],
        }.encode()),
        "revoke": hex(Control::Revoke {
            clinic: ClinicId::from_bytes([6; 32]),
            cuts: vec![(chain, 7)],
        }.encode()),
        "rotate": hex(Control::Rotate {
            commitment: [9; 32],
            previous: id(7),
            sealed_previous: vec![8; 72],
        }.encode()),
        "quarantine": hex(Control::Quarantine {
            entries: vec![id(1), id(2)],
            reason: "breaks the document".to_owned(),
        }.encode()),
        "erase": hex(Control::Erase {
            entries: vec![id(3), id(4)],
            reason: "of another patient".to_owned(),
        }.encode()),
    });
    let (changes, summary) = (vec![vec![1, 2, 3], vec![4; 30]], "note".to_owned());
    let clinical = json!({
        "edit": hex(Body::Edit { changes, summary }.encode()),
        "view": hex(Body::View { purpose: "visit".to_owned() }.encode()),
        "attach": hex(Body::Attach {
            id: "doc-1".to_owned(),
            name: "scan.txt".to_owned(),
            mime: "text/plain".to_owned(),
            encoding: Encoding::Identity,
            bytes_len: 3,
            inline: vec![1, 2, 3],
        }.encode()),
        "attachment": hex(Body::Attachment(Box::new(attachment())).encode()),
        "attachment_bare": hex(Body::Attachment(Box::new(Attachment {
            preview: None,
            about: None,
            facts: String::new(),
            ..attachment()
        })).encode()),
        "link": hex(Body::Link { other: LogId::from_bytes([10; 32]) }.encode()),
        "unlink": hex(Body::Unlink { other: LogId::from_bytes([10; 32]) }.encode()),
        "inference": hex(Body::Inference(Box::new(inference())).encode()),
        "inference_not_assessed": hex(Body::Inference(Box::new(Inference {
            outputs: Vec::new(),
            uncertain: true,
            distance: None,
            explanation: String::new(),
            ..inference()
        })).encode()),
        "verdict_accept": hex(Body::Verdict {
            inference: id(11),
            decision: Decision::Accept { label: None },
        }.encode()),
        "verdict_accept_edited": hex(Body::Verdict {
            inference: id(11),
            decision: Decision::Accept { label: Some("pleural effusion".to_owned()) },
        }.encode()),
        "verdict_reject": hex(Body::Verdict {
            inference: id(11),
            decision: Decision::Reject { why: "artefact".to_owned() },
        }.encode()),
    });
    let fork = hex(ChainId::fork(chain, id(1)).as_bytes());
    check(
        "bodies",
        &json!({ "control": controls, "clinical": clinical, "fork_of_key_2_at_1": fork }),
    );
}

#[test]
fn trees_have_their_known_roots() {
    let leaves: Vec<TreeHash> = (0..8).map(|byte| [byte; 32]).collect();
    let roots: Vec<String> = (0..=8).map(|size| hex(root_of(&leaves[..size]))).collect();
    let tree: Tree = leaves[..7].iter().copied().collect();
    let chain = key(11);
    let signed = Checkpoint::of(chain.chain(), &tree).sign(&chain).unwrap();
    let vector = json!({
        "what": "leaf n is 32 bytes of n",
        "roots_of_sizes_0_to_8": roots,
        "inclusion_of_5_in_7": hex(InclusionProof::prove(&leaves[..7], 5).unwrap().encode()),
        "consistency_of_3_with_7": hex(ConsistencyProof::prove(&leaves[..7], 3).unwrap().encode()),
        "tree_of_7": hex(tree.encode()),
        "checkpoint_seed": hex([11; 32]),
        "checkpoint_of_7": hex(signed.encode()),
    });
    check("tree", &vector);
}

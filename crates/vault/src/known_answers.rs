//! Known answers of this format, as `docs/formats.md` gives them: another program can check itself
//! against them, and a change that would not read yesterday's files fails here. Hashes, payload and
//! storage values were checked with the `blake3` and PyNaCl packages of Python on 2026-11-22.

use salus_audit::{ClinicId, EntryHash, LogId};

use crate::seal::tests::hex;
use crate::{
    EpochKey, HpkeSecret, IndexKey, RecoveryPhrase, StorageKey, VaultFile, open_payload,
    unwrap_epoch_key,
};

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn commitments_tags_and_the_root_key_are_what_they_were() {
    assert_eq!(
        to_hex(&EpochKey::from_bytes([1; 32]).commitment()),
        "aa5f92c5069d703f3bc98c92e8a6be971d51cd3e9ff6026188674d1cc12ce18a"
    );
    let storage = StorageKey::from_bytes([2; 32]);
    assert_eq!(
        to_hex(&storage.tag("log", &[3; 32])),
        "5057739cfd90ce317841cae62c7e9615"
    );
    let phrase: RecoveryPhrase = include_str!("../testdata/phrase.txt").parse().unwrap();
    assert_eq!(
        to_hex(&phrase.to_root_key().public()),
        "1aa5535794b4b97e88ec973f85205339d9fc0f1d0966931b1e1e71c1d045c780"
    );
}

#[test]
fn sealed_values_of_version_1_open() {
    let sealed = hex(include_str!("../testdata/payload-v1.hex").trim());
    let opened = open_payload(&EpochKey::from_bytes([1; 32]), b"header", &sealed).unwrap();
    assert_eq!(opened, b"allergic to penicillin");
    let sealed = hex(include_str!("../testdata/storage-v1.hex").trim());
    assert_eq!(
        StorageKey::from_bytes([2; 32])
            .open(b"row", &sealed)
            .unwrap(),
        b"value"
    );
    let sealed = hex(include_str!("../testdata/index-v1.hex").trim());
    assert_eq!(
        IndexKey::from_bytes([2; 32]).open(b"row", &sealed).unwrap(),
        b"value"
    );
}

#[test]
fn a_wrapped_key_of_version_1_opens() {
    let key = EpochKey::from_bytes([1; 32]);
    let opened = unwrap_epoch_key(
        &HpkeSecret::from_bytes([4; 32]),
        LogId::from_bytes([5; 32]),
        EntryHash::from_bytes([6; 32]),
        ClinicId::from_bytes([7; 32]),
        &hex(include_str!("../testdata/wrapped-v1.hex").trim()),
        &key.commitment(),
    );
    assert_eq!(opened.unwrap().to_bytes(), key.to_bytes());
}

#[test]
fn a_vault_file_of_version_1_opens() {
    let bytes = hex(include_str!("../testdata/vault-v1.hex").trim());
    let file = VaultFile::decode(&bytes).unwrap();
    assert_eq!(file.encode(), bytes);
    let unlocked = file.unlock(Some("grace hopper"), "battery staple").unwrap();
    assert_eq!(unlocked.staff_name, "Grace Hopper");
    assert_eq!(*unlocked.staff_key.to_seed(), [9; 32]);
    assert_eq!(*unlocked.secrets.chain.to_seed(), [10; 32]);
    assert_eq!(*unlocked.secrets.endpoint, [11; 32]);
    assert_eq!(*unlocked.secrets.hpke.to_bytes(), [4; 32]);
    assert_eq!(*unlocked.secrets.storage.to_bytes(), [2; 32]);
    assert_eq!(*unlocked.secrets.index.to_bytes(), [2; 32]);
    assert_eq!(file.staff(&unlocked).unwrap().len(), 2);
}

/// Writes the files that the tests above read; run it for a new version only, into new files.
#[test]
#[ignore = "writes the known answers of a version"]
fn write_known_answers() {
    use crate::{Argon2Params, NodeSecrets, seal_payload, wrap_epoch_key};
    use salus_audit::SigningKey;

    let key = EpochKey::from_bytes([1; 32]);
    let storage = StorageKey::from_bytes([2; 32]);
    let index = IndexKey::from_bytes([2; 32]);
    let hpke = HpkeSecret::from_bytes([4; 32]);
    let wrapped = wrap_epoch_key(
        &hpke.public(),
        LogId::from_bytes([5; 32]),
        EntryHash::from_bytes([6; 32]),
        ClinicId::from_bytes([7; 32]),
        &key,
    );
    let secrets = NodeSecrets {
        chain: SigningKey::from_seed([10; 32]),
        endpoint: zeroize::Zeroizing::new([11; 32]),
        hpke,
        storage: storage.clone(),
        index: index.clone(),
    };
    let params = Argon2Params::insecure_for_tests();
    let ada = SigningKey::from_seed([8; 32]);
    let (mut file, unlocked) =
        VaultFile::create(secrets, "Ada Lovelace", "correct horse", ada, params).unwrap();
    let grace = SigningKey::from_seed([9; 32]);
    file.add_staff(&unlocked, "Grace Hopper", "battery staple", grace, params)
        .unwrap();
    let payload = seal_payload(&key, b"header", b"allergic to penicillin").unwrap();
    for (name, bytes) in [
        ("payload", payload),
        ("storage", storage.seal(b"row", b"value")),
        ("index", index.seal(b"row", b"value")),
        ("wrapped", wrapped.unwrap()),
        ("vault", file.encode()),
    ] {
        let path = format!("{}/testdata/{name}-v1.hex", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, to_hex(&bytes) + "\n").unwrap();
    }
}

use super::*;
use crate::secrets::generate_signing_key;

const PARAMS: Argon2Params = Argon2Params::insecure_for_tests();

fn clinic() -> (VaultFile, Unlocked) {
    VaultFile::create(
        NodeSecrets::generate(),
        "Ada Lovelace",
        "correct horse",
        generate_signing_key(),
        PARAMS,
    )
    .unwrap()
}

fn clinic_of_two() -> (VaultFile, Unlocked, SigningKey) {
    let (mut file, ada) = clinic();
    let key = generate_signing_key();
    file.add_staff(&ada, "Grace Hopper", "battery staple", key.clone(), PARAMS)
        .unwrap();
    (file, ada, key)
}

fn reread(file: &VaultFile) -> VaultFile {
    let again = VaultFile::decode(&file.encode()).unwrap();
    assert_eq!(&again, file);
    again
}

/// Puts a right checksum on changed bytes, as somebody who knows the format would.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 32;
    let checksum = blake3::hash(&bytes[..end - 2]);
    bytes[end..].copy_from_slice(checksum.as_bytes());
    bytes
}

fn same(one: &Unlocked, two: &Unlocked) -> bool {
    one.staff_name == two.staff_name
        && one.staff_key.public() == two.staff_key.public()
        && one.secrets.chain.public() == two.secrets.chain.public()
        && one.secrets.endpoint == two.secrets.endpoint
        && one.secrets.hpke.public() == two.secrets.hpke.public()
        && one.secrets.storage.to_bytes() == two.secrets.storage.to_bytes()
        && one.secrets.index.to_bytes() == two.secrets.index.to_bytes()
}

#[test]
fn each_opens_the_vault_with_their_own_passphrase_and_gets_their_own_key() {
    let (file, ada, key) = clinic_of_two();
    let file = reread(&file);
    let again = file
        .unlock(Some(" ada  LOVELACE "), "correct horse")
        .unwrap();
    assert!(same(&again, &ada));
    let grace = file.unlock(Some("Grace Hopper"), "battery staple").unwrap();
    assert_eq!(grace.staff_key.public(), key.public());
    assert_eq!(grace.secrets.chain.public(), ada.secrets.chain.public());
    let staff = file.staff(&grace).unwrap();
    let names: Vec<&str> = staff.iter().map(|staff| staff.name.as_str()).collect();
    assert_eq!(names, ["Ada Lovelace", "Grace Hopper"]);
    assert_eq!(staff[1].actor, key.actor());
}

#[test]
fn the_wrong_passphrase_or_name_opens_nothing() {
    let (file, _, _) = clinic_of_two();
    let wrong = |name, passphrase: &str| file.unlock(name, passphrase).err();
    let refused = Some(UnlockError::WrongPassphrase);
    assert_eq!(wrong(Some("Ada Lovelace"), "battery staple"), refused);
    assert_eq!(wrong(Some("Grace Hopper"), "correct horse"), refused);
    assert_eq!(wrong(Some("Nobody"), "correct horse"), refused);
    assert_eq!(wrong(Some(""), ""), refused);
    let huge = "x".repeat(1 << 20);
    assert_eq!(wrong(Some("Ada Lovelace"), &huge), refused);
    assert_eq!(wrong(None, "correct horse"), Some(UnlockError::StaffNeeded));
}

#[test]
fn one_person_alone_needs_no_name() {
    let (file, ada) = clinic();
    assert!(same(&file.unlock(None, "correct horse").unwrap(), &ada));
    assert_eq!(
        file.unlock(None, "correct house").err(),
        Some(UnlockError::WrongPassphrase)
    );
}

/// The unlocked vault of one, together with the whole file, gives none of the other's key.
#[test]
fn a_colleague_does_not_get_the_others_key_from_an_unlocked_vault() {
    let (file, ada, grace) = clinic_of_two();
    let seed = grace.to_seed();
    let shared = file.shared(&ada).unwrap().encode();
    let holds = |bytes: &[u8]| bytes.windows(32).any(|window| window == *seed);
    assert!(!holds(&shared));
    assert!(!holds(&file.encode()));
    let slot = &file.slots[1];
    for key in [*ada.vault_key, *shared_key(&ada.vault_key)] {
        assert!(open(&key, &[], &slot.sealed).is_err());
    }
    assert!(slot.open(&file.id, "correct horse").unwrap().is_none());
}

#[test]
fn a_changed_passphrase_works_and_the_old_one_does_not() {
    let (mut file, ada, _) = clinic_of_two();
    file.change_passphrase(&ada, "a better one", PARAMS)
        .unwrap();
    let file = reread(&file);
    assert!(same(
        &file.unlock(Some("ada lovelace"), "a better one").unwrap(),
        &ada
    ));
    assert!(file.unlock(Some("ada lovelace"), "correct horse").is_err());
    assert!(file.unlock(Some("grace hopper"), "battery staple").is_ok());
    let mut twice = file.clone();
    twice
        .change_passphrase(&ada, "and another one", PARAMS)
        .unwrap();
    assert!(
        twice
            .unlock(Some("ada lovelace"), "and another one")
            .is_ok()
    );
}

#[test]
fn a_removed_person_opens_nothing_and_the_last_one_stays() {
    let (mut file, ada, _) = clinic_of_two();
    assert_eq!(
        file.remove_staff(&ada, "nobody"),
        Err(VaultError::UnknownStaff)
    );
    file.remove_staff(&ada, "GRACE hopper").unwrap();
    let mut file = reread(&file);
    assert_eq!(
        file.unlock(Some("Grace Hopper"), "battery staple").err(),
        Some(UnlockError::WrongPassphrase)
    );
    assert_eq!(file.slots(), 1);
    assert_eq!(
        file.remove_staff(&ada, "Ada Lovelace"),
        Err(VaultError::LastStaff)
    );
    assert!(same(&file.unlock(None, "correct horse").unwrap(), &ada));
}

#[test]
fn names_are_unique_and_bounded_and_passphrases_have_a_length() {
    let (mut file, ada) = clinic();
    let mut add = |name: &str, passphrase: &str| {
        file.add_staff(&ada, name, passphrase, generate_signing_key(), PARAMS)
    };
    assert_eq!(
        add("ada lovelace", "long enough"),
        Err(VaultError::NameTaken)
    );
    assert_eq!(add("  ", "long enough"), Err(VaultError::BadName));
    assert_eq!(
        add(&"x".repeat(129), "long enough"),
        Err(VaultError::BadName)
    );
    assert_eq!(add("Bob", "short"), Err(VaultError::BadPassphrase));
    assert_eq!(
        add("Bob", &"x".repeat(1_025)),
        Err(VaultError::BadPassphrase)
    );
    assert_eq!(add(&"x".repeat(128), "long enough"), Ok(()));
}

#[test]
fn other_node_keys_can_be_put_in() {
    let (mut file, ada, _) = clinic_of_two();
    let secrets = NodeSecrets::generate();
    file.replace_node_secrets(&ada, secrets.clone()).unwrap();
    let grace = reread(&file)
        .unlock(Some("Grace Hopper"), "battery staple")
        .unwrap();
    assert_eq!(grace.secrets.chain.public(), secrets.chain.public());
}

#[test]
fn who_unlocked_another_vault_changes_nothing_in_this_one() {
    let (mut file, _, _) = clinic_of_two();
    let (_, stranger) = clinic();
    let before = file.clone();
    let key = generate_signing_key();
    assert!(
        file.add_staff(&stranger, "Mallory", "long enough", key, PARAMS)
            .is_err()
    );
    assert!(file.remove_staff(&stranger, "Grace Hopper").is_err());
    assert_eq!(file, before);
}

#[test]
fn every_flipped_byte_of_a_vault_file_is_refused() {
    let (file, _, _) = clinic_of_two();
    let bytes = file.encode();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(
            matches!(VaultFile::decode(&changed), Err(VaultError::Damaged(_))),
            "byte {at}"
        );
        // And where the checksum was made right again, whoever unlocks finds out.
        if at < bytes.len() - CHECKSUM_BYTES
            && let Ok(changed) = VaultFile::decode(&with_checksum(changed))
        {
            for (name, passphrase) in [
                ("Ada Lovelace", "correct horse"),
                ("Grace Hopper", "battery staple"),
            ] {
                assert!(
                    changed.unlock(Some(name), passphrase).is_err(),
                    "byte {at}, {name}"
                );
            }
        }
    }
}

#[test]
fn a_slot_moved_removed_or_brought_from_elsewhere_is_found() {
    let (file, ada, _) = clinic_of_two();
    let damaged = Some(UnlockError::Damaged("its parts don't belong together"));
    let unlock = |file: &VaultFile| file.unlock(Some("Ada Lovelace"), "correct horse").err();
    let mut changed = file.clone();
    changed.slots.swap(0, 1);
    assert_eq!(unlock(&changed), damaged);
    let mut changed = file.clone();
    changed.slots.pop();
    assert_eq!(unlock(&changed), damaged);
    let mut changed = file.clone();
    changed.slots.push(clinic().0.slots[0].clone());
    assert_eq!(unlock(&changed), damaged);
    let mut changed = file.clone();
    changed.slots[0].params = Argon2Params::new(65_536, 1, 1).unwrap();
    assert_eq!(unlock(&changed), Some(UnlockError::WrongPassphrase));
    let mut older = file.clone();
    older.remove_staff(&ada, "Grace Hopper").unwrap();
    let mut mixed = file.clone();
    mixed.shared = older.shared.clone();
    assert_eq!(unlock(&mixed), damaged);
}

#[test]
fn a_hostile_vault_file_costs_little_and_is_refused() {
    let (file, _, _) = clinic_of_two();
    let bytes = file.encode();
    for end in 0..bytes.len() {
        assert!(VaultFile::decode(&bytes[..end]).is_err(), "cut at {end}");
        if end > 40 {
            assert!(VaultFile::decode(&with_checksum(bytes[..end].to_vec())).is_err());
        }
    }
    assert!(VaultFile::decode(&vec![0x86; MAX_VAULT_FILE_BYTES + 1]).is_err());
    assert!(VaultFile::decode(&[&bytes[..], b"more"].concat()).is_err());

    // Thousands of slots, and a count of 2^60 of them with nothing behind.
    let mut crowded = file.clone();
    crowded.slots = vec![file.slots[0].clone(); MAX_SLOTS + 1];
    assert!(VaultFile::decode(&crowded.encode()).is_err());
    let mut claimed = Vec::new();
    encode(&mut claimed, |e| {
        e.array(6)?
            .str(MAGIC)?
            .u32(VERSION)?
            .bytes(&[0; 16])?
            .array(1 << 60)?
            .ok()
    });
    claimed.extend_from_slice(&CHECKSUM_HEAD);
    claimed.extend_from_slice(&[0; 32]);
    assert!(VaultFile::decode(&with_checksum(claimed)).is_err());

    // Slots that would take all the machine's memory or a week of its time.
    for (memory, passes, lanes) in [(u32::MAX, 1, 1), (65_536, u32::MAX, 1), (65_536, 3, 1_000)] {
        let mut out = Vec::new();
        encode(&mut out, |e| {
            e.array(6)?
                .str(MAGIC)?
                .u32(VERSION)?
                .bytes(&[0; 16])?
                .array(1)?;
            e.array(7)?.bytes(&[0; 16])?.u8(0)?.bytes(&[0; 16])?;
            e.u32(memory)?.u32(passes)?.u32(lanes)?.bytes(&[0; 300])?;
            e.bytes(&[0; 300])?.ok()
        });
        out.extend_from_slice(&CHECKSUM_HEAD);
        out.extend_from_slice(&[0; 32]);
        assert_eq!(
            VaultFile::decode(&with_checksum(out)),
            Err(VaultError::Damaged("its layout is wrong"))
        );
    }
}

#[test]
fn a_file_of_a_later_version_is_named_as_such() {
    let mut bytes = clinic().0.encode();
    let version = 1 + 1 + MAGIC.len();
    assert_eq!(bytes[version], 1);
    bytes[version] = 2;
    assert_eq!(
        VaultFile::decode(&with_checksum(bytes)),
        Err(VaultError::Version(2))
    );
}

/// What `grep` would look for on a stolen disk.
#[test]
fn the_file_shows_no_name_and_no_key_and_hides_the_length_of_names() {
    let (mut file, ada, key) = clinic_of_two();
    let bytes = file.encode();
    let lower = bytes.to_ascii_lowercase();
    for word in ["ada", "lovelace", "grace", "hopper"] {
        assert!(
            !lower
                .windows(word.len())
                .any(|window| window == word.as_bytes()),
            "{word}"
        );
    }
    let secrets = &ada.secrets;
    let keys = [
        *key.to_seed(),
        key.public(),
        *secrets.chain.to_seed(),
        *secrets.endpoint,
        *secrets.hpke.to_bytes(),
        *secrets.storage.to_bytes(),
        *secrets.index.to_bytes(),
        *ada.vault_key,
    ];
    for key in keys {
        assert!(!bytes.windows(32).any(|window| window == key));
    }
    file.add_staff(
        &ada,
        &"x".repeat(128),
        "long enough",
        generate_signing_key(),
        PARAMS,
    )
    .unwrap();
    let sizes: Vec<usize> = file.slots.iter().map(|slot| slot.sealed.len()).collect();
    assert_eq!(sizes, [256 + SEAL_OVERHEAD_BYTES; 3]);
}

#[test]
fn a_full_vault_takes_nobody_more_and_everybody_gets_in() {
    let (mut file, ada) = clinic();
    for n in 1..MAX_SLOTS {
        let name = format!("staff {n}");
        file.add_staff(&ada, &name, "long enough", generate_signing_key(), PARAMS)
            .unwrap();
    }
    let key = generate_signing_key();
    assert_eq!(
        file.add_staff(&ada, "one more", "long enough", key, PARAMS),
        Err(VaultError::TooManyStaff)
    );
    let bytes = file.encode();
    assert!(bytes.len() < MAX_VAULT_FILE_BYTES, "{}", bytes.len());
    let file = VaultFile::decode(&bytes).unwrap();
    for n in (1..MAX_SLOTS).step_by(17) {
        assert!(
            file.unlock(Some(&format!("staff {n}")), "long enough")
                .is_ok()
        );
    }
}

#[test]
fn no_two_sealings_of_one_vault_share_a_nonce_or_a_salt() {
    let (mut file, ada) = clinic();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        file.change_passphrase(&ada, "a better one", PARAMS)
            .unwrap();
        let slot = &file.slots[0];
        assert!(seen.insert(slot.salt.to_vec()));
        assert!(seen.insert(slot.sealed[..24].to_vec()));
        assert!(seen.insert(file.shared[..24].to_vec()));
    }
}

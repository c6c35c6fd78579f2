//! Damaged files, damaged index.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use salus_audit::BlobHash;
use tokio::time::{sleep, timeout};

use super::super::SOON;
use super::{Keeper, needed, noise, open, options, three};
use crate::blobs::{BlobError, BlobFetchError, BlobStore, Mended, Presence, ProviderError};

fn file(folder: &Path, blob: BlobHash, part: &str) -> PathBuf {
    folder.join("data").join(format!("{blob}.{part}"))
}

/// Inverts some bytes.
fn flip(path: &Path, places: impl IntoIterator<Item = usize>) {
    let mut bytes = fs::read(path).unwrap();
    for place in places {
        bytes[place] ^= 0xff;
    }
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_found_not_served_dropped_and_fetched_again() {
    let [a, b, c] = three().await;
    let bytes = noise(1, 9_000_000);
    let blob = a.hold(&bytes).await;
    b.hold(&bytes).await;
    for (from, to) in [(&a, &b), (&a, &c), (&b, &a), (&b, &c)] {
        from.grant(to, blob);
    }
    type Damage = fn(&Path, BlobHash);
    let damages: [(&str, Damage); 5] = [
        ("a flipped byte", |folder, blob| {
            flip(&file(folder, blob, "data"), [5_000_000])
        }),
        ("a flipped byte in the tree", |folder, blob| {
            flip(&file(folder, blob, "obao4"), [64, 20_000]);
        }),
        ("a short file", |folder, blob| {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(file(folder, blob, "data"));
            file.unwrap().set_len(4_000_000).unwrap();
        }),
        ("no file", |folder, blob| {
            fs::remove_file(file(folder, blob, "data")).unwrap()
        }),
        ("no tree", |folder, blob| {
            fs::remove_file(file(folder, blob, "obao4")).unwrap()
        }),
    ];
    for (what, damage) in damages {
        damage(a.folder.path(), blob);
        // A file that was open stays readable until it is closed.
        let found = timeout(SOON, async {
            loop {
                match a.store.verify(blob).await {
                    Ok(_) => sleep(Duration::from_millis(20)).await,
                    Err(found) => break found,
                }
            }
        });
        let found = found.await.unwrap();
        assert!(
            matches!(found, BlobError::Damaged { .. }),
            "{what}: {found:?}"
        );
        let fetched = c.fetch(blob, &[&a]).await;
        assert!(
            matches!(&fetched, Err(BlobFetchError::Failed { tried, .. })
                if matches!(tried[..], [(_, ProviderError::Incomplete)])),
            "{what}: {fetched:?}"
        );
        let mended = a.store.mend(blob).await.unwrap();
        if what.ends_with("tree") {
            assert_eq!(mended, Mended::Restored, "{what}");
            assert!(a.holds(blob, &bytes).await, "{what}");
            a.store.discard(blob).await.unwrap();
        } else {
            assert_eq!(mended, Mended::Dropped, "{what}");
        }
        assert_eq!(
            a.store.presence(blob).await.unwrap(),
            Presence::Absent,
            "{what}"
        );
        let again = a.fetch(blob, &[&b]).await.unwrap();
        assert_eq!(again.bytes_received, 9_000_000, "{what}");
        assert_eq!(a.store.mend(blob).await.unwrap(), Mended::Sound);
    }
    // What the damaged one sent before it broke off was sound.
    c.fetch(blob, &[&a]).await.unwrap();
    assert!(c.holds(blob, &bytes).await);
    for keeper in [a, b, c] {
        keeper.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_refuses_is_told_of_and_nothing_is_half_there() {
    let [a, b, c] = three().await;
    let bytes = noise(1, 700_000);
    let blob = a.hold(&bytes).await;
    a.grant(&b, blob);
    // Where the bytes are to go stands something that is no file.
    let (data, temp) = (
        file(b.folder.path(), blob, "data"),
        b.folder.path().join("temp"),
    );
    fs::create_dir(&data).unwrap();
    fs::remove_dir_all(&temp).unwrap();
    let fetched = b.fetch(blob, &[&a]).await;
    assert!(
        matches!(fetched, Err(BlobFetchError::Store(_))),
        "{fetched:?}"
    );
    let added = b.store.add_bytes(bytes.clone()).await;
    assert!(matches!(added, Err(BlobError::Io { .. })), "{added:?}");
    assert!(matches!(
        b.store.read(blob, 0..1).await,
        Err(BlobError::Absent { .. })
    ));
    fs::remove_dir(&data).unwrap();
    fs::create_dir(&temp).unwrap();
    b.fetch(blob, &[&a]).await.unwrap();
    assert!(b.holds(blob, &bytes).await);
    for keeper in [a, b, c] {
        keeper.end().await;
    }
}

/// A folder that was closed in order, with small and large blobs in it.
async fn filled() -> (tempfile::TempDir, Vec<(BlobHash, Bytes)>) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, &needed()).await;
    let mut held = Vec::new();
    for n in 0..24_u64 {
        let bytes = noise(n, if n % 4 == 0 { 200_000 } else { 9_000 });
        held.push((store.add_bytes(bytes.clone()).await.unwrap().hash, bytes));
    }
    store.shutdown().await;
    (folder, held)
}

/// How many are whole; whatever is read is right.
async fn whole(store: &BlobStore, held: &[(BlobHash, Bytes)], large_only: bool) -> usize {
    let mut whole = 0;
    for (blob, bytes) in held {
        if large_only && bytes.len() < 100_000 {
            continue;
        }
        match store.read(*blob, 0..u64::MAX).await {
            Ok(read) => {
                assert_eq!(read, *bytes);
                whole += 1;
            }
            Err(BlobError::Absent { .. } | BlobError::Damaged { .. } | BlobError::Index { .. }) => {
            }
            Err(error) => panic!("{error}"),
        }
    }
    whole
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_usable_index_the_files_are_taken_in_again() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("garbage", |index| {
            fs::write(index, noise(9, 100_000)).unwrap()
        }),
        ("empty", |index| fs::write(index, []).unwrap()),
        ("cut", |index| {
            let len = fs::metadata(index).unwrap().len();
            let file = fs::OpenOptions::new().write(true).open(index);
            file.unwrap().set_len(len / 3).unwrap();
        }),
        ("another head", |index| flip(index, 0..512)),
        ("gone", |index| fs::remove_file(index).unwrap()),
    ];
    for (what, damage) in damages {
        let (folder, held) = filled().await;
        damage(&folder.path().join("blobs.db"));
        let store = open(&folder, &needed()).await;
        let repairs = store.repairs().clone();
        assert!(repairs.recovered >= 6, "{what}: {repairs:?}");
        assert_eq!(repairs.index_set_aside.is_some(), what != "gone", "{what}");
        assert_eq!(whole(&store, &held, true).await, 6, "{what}");
        // It works on, and the next start finds nothing to mend.
        let added = store.add_bytes(noise(99, 70_000)).await.unwrap();
        store.shutdown().await;
        drop(store);
        let store = open(&folder, &needed()).await;
        assert_eq!(store.repairs(), &Default::default(), "{what}");
        assert!(store.verify(added.hash).await.is_ok(), "{what}");
        store.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bytes_in_the_index_never_lose_a_file_or_give_wrong_bytes() {
    let mut set_aside = 0;
    for seed in 0..5 {
        let (folder, held) = filled().await;
        let index = folder.path().join("blobs.db");
        let len = fs::metadata(&index).unwrap().len();
        let random = noise(1_000 + seed, 8 * 24);
        let places = random.chunks(8).map(|place| {
            let place = u64::from_le_bytes(place.try_into().unwrap());
            usize::try_from(place % len).unwrap()
        });
        flip(&index, places);
        let store = open(&folder, &needed()).await;
        set_aside += usize::from(store.repairs().index_set_aside.is_some());
        whole(&store, &held, false).await;
        store.shutdown().await;
        drop(store);
        // Whatever the first start did not find, a thorough one does.
        let mut thorough = options(&needed());
        thorough.examine = true;
        let store = BlobStore::open(folder.path(), thorough).await.unwrap();
        set_aside += usize::from(store.repairs().index_set_aside.is_some());
        for (blob, _) in held.iter().filter(|(_, bytes)| bytes.len() > 100_000) {
            let mended = store.mend(*blob).await;
            assert!(
                matches!(mended, Ok(Mended::Sound | Mended::Restored)),
                "{seed}: {mended:?}"
            );
        }
        assert_eq!(whole(&store, &held, true).await, 6, "{seed}");
        store.shutdown().await;
    }
    println!("{set_aside} indexes were set aside in 10 starts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_on_its_way_when_the_power_failed_is_verified_at_the_next_start() {
    let keeper = Keeper::start(1).await;
    let (sound, hollow) = (noise(1, 200_000), noise(2, 200_000));
    let sound_hash = keeper.hold(&sound).await;
    let hollow_hash = keeper.hold(&hollow).await;
    let _stays = keeper.store.mark(&[sound_hash, hollow_hash]).await.unwrap();
    let Keeper {
        node,
        store,
        needed,
        folder,
    } = keeper;
    node.mesh.shutdown().await;
    store.shutdown().await;
    drop((node, store));
    // The index reached the disk, and the bytes did not.
    fs::write(file(folder.path(), hollow_hash, "data"), vec![0; 200_000]).unwrap();
    let store = open(&folder, &needed).await;
    assert_eq!(store.repairs().dropped, [hollow_hash]);
    assert_eq!(store.presence(hollow_hash).await.unwrap(), Presence::Absent);
    assert!(store.verify(sound_hash).await.is_ok());
    store.shutdown().await;
}

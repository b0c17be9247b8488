//! The folder: locks, limits, and what happens to it in use.

use std::{fs, time::Instant};

use super::*;
use crate::{ENCODING_VERSION, ErrorKind};

#[tokio::test]
async fn a_start_sweeps_what_is_ours_and_leaves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 1).await;
    let good = tier.store().path(&key(0));
    let missing = tier.store().path(&key(1));
    drop(tier);

    let temporary = missing.with_added_extension("7.tmp");
    fs::create_dir_all(missing.parent().unwrap()).unwrap();
    fs::write(&temporary, "half a chunk").unwrap();
    let foreign = good.with_file_name("notes.txt");
    fs::write(&foreign, "not ours").unwrap();
    let old = folder.path().join("v0/ab").join(format!("{:032x}", 0xab_u128 << 120));
    let kept = folder.path().join("v0/cd/notes.txt");
    for path in [&old, &kept] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "of another version").unwrap();
    }

    let store = open(folder.path()).await;
    assert!(!temporary.exists() && !old.exists() && !old.parent().unwrap().exists());
    assert!(good.exists() && foreign.exists() && kept.exists());
    assert_eq!(store.snapshot().bytes, FILE);
}

#[tokio::test]
async fn a_start_with_less_room_removes_what_is_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 40).await;
    drop(tier);
    let capacity_bytes = 16 * FILE;
    let settings = DiskSettings { capacity_bytes, ..settings(folder.path()) };
    let store = DiskStore::open(settings).await.unwrap();
    let seen = store.snapshot();
    assert!(seen.bytes <= capacity_bytes && seen.bytes >= 10 * FILE, "{seen:?}");
    assert_eq!(seen.evictions, 40 - seen.bytes / FILE);
    assert_eq!(bytes_under(folder.path()), seen.bytes);
}

#[tokio::test]
async fn a_second_store_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).await;
    let refused = DiskStore::open(settings(folder.path())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.message().contains(&folder.path().display().to_string()), "{refused}");
    assert!(refused.message().contains("another store has it"), "{refused}");
    drop(first);
    open(folder.path()).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    for bad in [file.clone(), file.join("below")] {
        let refused = DiskStore::open(settings(&bad)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.message().contains(&bad.display().to_string()), "{refused}");
    }
}

#[tokio::test]
async fn a_folder_deleted_in_use_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("cache");
    let (_, tier) = filled(&root, 2).await;
    fs::remove_dir_all(&root).unwrap();
    fetch(&tier, &columns(&[0, 1, 2])).await;
    let seen = tier.store().snapshot();
    assert_eq!((seen.misses, seen.corrupt, seen.write_errors, seen.writes), (5, 0, 0, 5));
    fetch(&tier, &columns(&[0, 1, 2])).await;
    assert_eq!(tier.store().snapshot().hits, 3);
    let refused = DiskStore::open(settings(&root)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_folder_that_another_store_took_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("cache");
    let (_, first) = filled(&root, 2).await;
    fs::remove_dir_all(&root).unwrap();
    let (_, second) = filled(&root, 1).await;
    let taken = second.store().path(&key(0));

    fetch(&first, &columns(&[0, 1, 2])).await;
    let seen = first.store().snapshot();
    assert_eq!(seen.writes, 2, "{seen:?}");
    assert!(seen.write_errors > 0 && seen.hits == 1, "{seen:?}");
    first.store().evict(|_| true).await;
    assert!(taken.exists());
    drop(second);
    fetch(&first, &columns(&[0, 1, 2])).await;
    assert_eq!(first.store().snapshot().writes, 5);
}

#[tokio::test]
async fn files_are_written_by_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 1).await;
    let file = fs::metadata(tier.store().path(&key(0))).unwrap();
    assert!(file.permissions().readonly());
}

/// A file where the folder should be stands for every disk that refuses: it does so for root too.
#[tokio::test]
async fn a_disk_that_refuses_fails_no_read_and_is_used_again_when_it_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 1).await;
    let chunks = tier.store().path(&key(0)).ancestors().nth(2).unwrap().to_owned();
    fs::remove_dir_all(&chunks).unwrap();
    fs::write(&chunks, "in the way").unwrap();
    for _ in 0..2 {
        fetch(&tier, &columns(&[0, 1])).await;
    }
    let seen = tier.store().snapshot();
    assert!(seen.write_errors >= 2, "{seen:?}");
    assert_eq!((seen.hits, seen.misses, seen.writes), (0, 5, 1));

    fs::remove_file(&chunks).unwrap();
    fetch(&tier, &columns(&[0, 1])).await;
    fetch(&tier, &columns(&[0, 1])).await;
    assert_eq!(tier.store().snapshot().hits, 2);
}

#[tokio::test]
#[ignore = "creates 100,000 files, which takes a while; the start itself is what is timed"]
async fn a_start_with_a_hundred_thousand_files_takes_under_two_seconds() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..100_000u128 {
        let digest = at.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let parent = folder.path().join(format!("v{ENCODING_VERSION}/{:02x}", digest >> 120));
        fs::create_dir_all(&parent).unwrap();
        fs::write(parent.join(format!("{digest:032x}")), [0]).unwrap();
    }
    let settings = DiskSettings { capacity_bytes: 1 << 40, ..settings(folder.path()) };
    let began = Instant::now();
    let store = DiskStore::open(settings).await.unwrap();
    let took = began.elapsed();
    assert_eq!(store.snapshot().bytes, 100_000 * 4096);
    assert!(took.as_secs_f64() < 2.0, "{took:?}");
}

//! Files that are leased to other processes.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{super::lease::LEASE_TIME, *};
use crate::{Leased, LeasedFile};

async fn files(store: &DiskStore, columns: &[u32]) -> Vec<LeasedFile> {
    match store.lease(columns.iter().map(|column| key(*column)).collect()).await {
        Leased::Files(files) => files,
        other => panic!("{other:?}"),
    }
}

/// A store with room for eleven files beside what it keeps free, and the first three in it.
async fn full(folder: &Path) -> DiskTier<Origin> {
    let capacity_bytes = 16 * FILE;
    let settings = DiskSettings { capacity_bytes, pending_bytes: 12 * FILE, ..settings(folder) };
    let tier = DiskTier::new(origin(), DiskStore::open(settings).await.unwrap());
    for column in 0..3 {
        fetch(&tier, &columns(&[column])).await;
    }
    tier
}

/// Reads others until the file of `column` has lost its place.
async fn displace(tier: &DiskTier<Origin>, column: u32) {
    for turn in 0..1000 {
        let before = tier.store().entries(100).await;
        if !before.iter().any(|(held, _)| *held == key(column)) {
            return;
        }
        // What was asked for often is taken in the place of what was not.
        let other = 100 + turn / 8;
        fetch(tier, &columns(&[other])).await;
    }
    panic!("column {column} keeps its place");
}

#[tokio::test]
async fn a_leased_file_is_told_as_it_is_and_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 2).await;
    let leased = files(tier.store(), &[1, 0, 1]).await;
    assert_eq!(leased[0], leased[2]);
    for (file, column) in leased.iter().zip([1, 0]) {
        assert_eq!(file.path, tier.store().path(&key(column)));
        let bytes = fs::read(&file.path).unwrap();
        assert_eq!(file.bytes, bytes.len() as u64);
        assert_eq!(file.checksum.to_le_bytes(), bytes[8..24]);
    }
    assert_eq!(tier.store().snapshot().leases, 3);
    assert_eq!(tier.store().lease(vec![key(0), key(2)]).await, Leased::Absent);
    assert_eq!(tier.store().snapshot().leases, 3);
}

/// Without a lease a displaced file goes at once; with one it goes when the lease is over.
#[tokio::test]
async fn a_lease_keeps_a_file_from_eviction_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let tier = full(folder.path()).await;
    let (plain, kept) = (tier.store().path(&key(1)), files(tier.store(), &[0]).await.remove(0));
    displace(&tier, 1).await;
    assert!(!plain.exists());
    displace(&tier, 0).await;
    assert!(kept.path.exists());
    assert_eq!(tier.store().lease(vec![key(0)]).await, Leased::Absent, "it has lost its place");
    let most = 16 * FILE + 4096;
    assert!(bytes_under(folder.path()) <= most, "what is kept has room of its own");

    let open = fs::File::open(&kept.path).unwrap();
    let now = Instant::now();
    tier.store().end_leases(now);
    assert!(kept.path.exists(), "it ended too early");
    tier.store().end_leases(now + LEASE_TIME);
    assert!(!kept.path.exists(), "nobody removes it");
    assert_eq!(open.metadata().unwrap().len(), kept.bytes, "an open file was cut");
}

#[tokio::test]
async fn a_file_that_finds_a_place_again_survives_the_end_of_its_lease() {
    let folder = tempfile::tempdir().unwrap();
    let tier = full(folder.path()).await;
    let kept = files(tier.store(), &[0]).await.remove(0);
    displace(&tier, 0).await;
    for _ in 0..100 {
        fetch(&tier, &columns(&[0])).await;
    }
    assert!(matches!(tier.store().lease(vec![key(0)]).await, Leased::Files(_)));
    tier.store().end_leases(Instant::now() + 2 * LEASE_TIME);
    assert!(kept.path.exists());
    let hits = tier.store().snapshot().hits;
    fetch(&tier, &columns(&[0])).await;
    assert_eq!(tier.store().snapshot().hits, hits + 1);
}

/// The room for files without a place is small: what does not fit goes at once.
#[tokio::test]
async fn what_leases_keep_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let tier = full(folder.path()).await;
    let leased = files(tier.store(), &[0, 1, 2]).await;
    for column in 0..3 {
        displace(&tier, column).await;
    }
    let left = leased.iter().filter(|file| file.path.exists()).count();
    assert_eq!(left, 1, "one file is the 16th of the capacity");
}

#[tokio::test]
async fn a_damaged_file_is_not_handed_out_but_counted_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 2).await;
    let path = tier.store().path(&key(0));
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    overwrite(&path, &bytes);
    assert_eq!(tier.store().lease(vec![key(1), key(0)]).await, Leased::Absent);
    assert_eq!(tier.store().snapshot().corrupt, 1);
    assert!(!path.exists());
    fetch(&tier, &columns(&[0])).await;
    assert_eq!(files(tier.store(), &[0, 1]).await.len(), 2);
}

#[tokio::test]
async fn what_could_not_wait_to_be_written_is_written_when_it_is_offered() {
    let folder = tempfile::tempdir().unwrap();
    let settings = DiskSettings { pending_bytes: 4 * 4096, ..settings(folder.path()) };
    let tier = DiskTier::new(origin(), DiskStore::open(settings).await.unwrap());
    let wanted: Vec<u32> = (0..20).collect();
    let chunks = fetch(&tier, &columns(&wanted)).await;
    let absent: Vec<u32> =
        wanted.iter().filter(|one| !tier.store().path(&key(**one)).exists()).copied().collect();
    assert!(!absent.is_empty(), "all found room");
    for column in &wanted {
        tier.store().offer(key(*column), chunks[*column as usize].clone());
        tier.store().flush().await;
    }
    assert_eq!(files(tier.store(), &wanted).await.len(), 20);
    assert_eq!(tier.store().snapshot().writes, 20, "what is there is not written again");
}

/// A lease that is prolonged for ever would never be looked at again.
#[tokio::test]
async fn a_file_that_is_leased_on_and_on_is_verified_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 1).await;
    let file = files(tier.store(), &[0]).await.remove(0);
    let mut bytes = fs::read(&file.path).unwrap();
    bytes[1000] ^= 1;
    overwrite(&file.path, &bytes);
    let start = Instant::now();
    let lease = |after: u64| tier.store().lease_at(&[key(0)], start + Duration::from_secs(after));
    assert!(matches!(lease(59), Leased::Files(_)), "verified once a lease");
    assert_eq!(lease(61), Leased::Absent);
    assert_eq!(tier.store().snapshot().corrupt, 1);
}

//! The tier in front of a source.

use std::time::Duration;

use super::*;
use crate::{Error, MemoryBudget, MemorySettings, MemoryTier, Meter, contract};

#[tokio::test]
async fn holds_the_contract_alone_metered_and_under_memory() {
    let parts = vec![
        Part::Column { row_group: 0, column: 3 },
        Part::Footer,
        Part::Range { start: 5, end: 50 },
        Part::Range { start: 5, end: 5 },
    ];
    let request = FetchRequest::new(object("a"), parts);
    let folder = tempfile::tempdir().unwrap();
    let fresh = async || {
        let folder = tempfile::tempdir_in(folder.path()).unwrap().keep();
        DiskTier::new(origin(), open(&folder).await)
    };
    contract::check(async || (fresh().await, request.clone())).await.unwrap();
    let metered = async || Meter::new(fresh().await, arc(|_| {}));
    contract::check(async || (metered().await, request.clone())).await.unwrap();
    let stacked = async || {
        let settings = MemorySettings {
            capacity_bytes: 10_000,
            max_fills: 2,
            queue_timeout: Duration::from_secs(20),
            fill_timeout: Duration::from_secs(20),
        };
        let budget = MemoryBudget::new(10_000, 1 << 30);
        MemoryTier::new(metered().await, settings, budget, arc(|_: &FetchRequest| 8000))
    };
    contract::check(async || (stacked().await, request.clone())).await.unwrap();
}

#[tokio::test]
async fn a_restart_keeps_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 3).await;
    drop(tier);

    let origin = origin();
    let tier = DiskTier::new(origin.clone(), open(folder.path()).await);
    assert_eq!(tier.store().snapshot().bytes, 3 * FILE);
    let wanted = FetchRequest::new(object("a"), vec![key(2).part, key(0).part]);
    fetch(&tier, &wanted).await;
    assert!(origin.log().is_empty());
    let seen = tier.store().snapshot();
    assert_eq!((seen.hits, seen.misses, seen.corrupt), (2, 0, 0));
}

#[tokio::test]
async fn only_what_is_missing_is_fetched_once_and_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, tier) = filled(folder.path(), 2).await;
    fetch(&tier, &columns(&[5, 0, 5, 1])).await;
    assert_eq!(origin.log()[1].parts, [key(5).part]);
    let seen = tier.store().snapshot();
    assert_eq!((seen.hits, seen.misses, seen.writes, seen.bytes), (2, 4, 3, 3 * FILE));
}

#[tokio::test]
async fn a_failing_source_fails_the_read_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, tier) = filled(folder.path(), 1).await;
    origin.fail_next(Error::stale("object moved on"));
    assert!(tier.fetch(&columns(&[0, 1])).await.is_err());
    tier.store().flush().await;
    assert_eq!(tier.store().snapshot().writes, 1);
    fetch(&tier, &columns(&[0, 1])).await;
}

#[tokio::test]
async fn objects_without_a_version_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 0).await;
    let mut unversioned = (*object("a")).clone();
    unversioned.etag.clear();
    fetch(&tier, &FetchRequest::new(arc(unversioned), vec![key(0).part])).await;
    assert_eq!(tier.store().snapshot().writes, 0);
}

#[tokio::test]
async fn what_cannot_wait_is_not_written_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    // Room for one column, a second one must not wait with it.
    let settings = DiskSettings { pending_bytes: 4 * 4096, ..settings(folder.path()) };
    let tier = DiskTier::new(origin(), DiskStore::open(settings).await.unwrap());
    fetch(&tier, &columns(&[0, 1])).await;
    let seen = tier.store().snapshot();
    assert_eq!((seen.writes, seen.writes_skipped, seen.misses), (1, 1, 2));
    let huge = Part::Range { start: 0, end: 5 * 4096 };
    fetch(&tier, &FetchRequest::new(object("a"), vec![huge])).await;
    assert_eq!(tier.store().snapshot().writes_skipped, 2);
    fetch(&tier, &columns(&[0, 1])).await;
    assert_eq!(tier.store().snapshot().writes, 2);
}

#[tokio::test]
async fn a_scan_does_not_flush_what_is_read_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    // A quarter is kept free for writes, so there is room for 40 files: 25 are hot.
    let capacity_bytes = 40 * FILE * 4 / 3 + 4096;
    let settings = DiskSettings { capacity_bytes, ..settings(folder.path()) };
    let tier = DiskTier::new(origin(), DiskStore::open(settings).await.unwrap());
    let hot: Vec<u32> = (0..25).collect();
    for _ in 0..4 {
        for &hot in &hot {
            fetch(&tier, &columns(&[hot])).await;
        }
    }
    for cold in 1000..1400 {
        fetch(&tier, &columns(&[cold])).await;
        assert!(bytes_under(folder.path()) <= capacity_bytes);
    }
    let before = tier.store().snapshot();
    fetch(&tier, &columns(&hot)).await;
    let seen = tier.store().snapshot();
    let hits = seen.hits - before.hits;
    assert!(hits * 10 >= 25 * 9, "{hits} of 25 hot chunks are left");
    assert_eq!(before.writes + before.writes_rejected, 425);
    assert_eq!(before.bytes, (before.writes - before.evictions) * FILE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_folder_stays_within_its_bound_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let capacity_bytes = 20 * FILE;
    let settings = DiskSettings { capacity_bytes, ..settings(folder.path()) };
    let tier = DiskTier::new(origin(), DiskStore::open(settings).await.unwrap());
    let loads: Vec<_> = (0..8)
        .map(|load| {
            let tier = tier.clone();
            tokio::spawn(async move {
                for at in 0..40 {
                    // Twice, so that each has a use to its name and is let in.
                    tier.fetch(&columns(&[load * 100 + at])).await.unwrap();
                    tier.fetch(&columns(&[load * 100 + at])).await.unwrap();
                }
            })
        })
        .collect();
    while !loads.iter().all(tokio::task::JoinHandle::is_finished) {
        assert!(bytes_under(folder.path()) <= capacity_bytes);
        tokio::task::yield_now().await;
    }
    for load in loads {
        load.await.unwrap();
    }
    tier.store().flush().await;
    let seen = tier.store().snapshot();
    assert!(seen.writes > 20 && seen.evictions > 0, "{seen:?}");
    assert_eq!(bytes_under(folder.path()), seen.bytes);
}

#[tokio::test]
async fn only_what_matches_is_evicted() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 2).await;
    let kept = FetchRequest::new(object("kept"), vec![Part::Footer]);
    fetch(&tier, &kept).await;
    let held = fetch(&tier, &columns(&[0])).await;
    assert_eq!(tier.store().evict(|object| object.path == "a").await, 2 * FILE);
    assert!(!tier.store().path(&key(0)).exists());
    assert_eq!(bytes_under(folder.path()), tier.store().snapshot().bytes);
    assert_eq!(held, fetch(&tier, &columns(&[0])).await);
    let before = tier.store().snapshot();
    fetch(&tier, &kept).await;
    assert_eq!(tier.store().snapshot().hits, before.hits + 1);
    assert_eq!(before.evictions, 0);
}

//! The memory tier: single flight, counters, failures, scans.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::join_all};

use crate::{
    Chunk, ChunkSource, Error, ErrorKind, FetchRequest, MemoryBudget, MemorySettings, MemoryTier,
    ObjectId, Part, contract,
    fault::{FaultSource, Synthetic, object},
};

/// Rows of a column, and so 8000 bytes.
const ROWS: usize = 1000;
const CHUNK: u64 = 8 * ROWS as u64;
const TIMEOUT: Duration = Duration::from_secs(5);

type Tier = MemoryTier<FaultSource<Synthetic>>;

fn origin() -> FaultSource<Synthetic> {
    FaultSource::new(Synthetic { rows: ROWS })
}

fn tier_of(origin: &FaultSource<Synthetic>, capacity_bytes: u64, headroom_bytes: u64) -> Tier {
    let settings = MemorySettings {
        capacity_bytes,
        max_fills: 4,
        queue_timeout: TIMEOUT,
        fill_timeout: TIMEOUT,
    };
    let budget = MemoryBudget::new(capacity_bytes, headroom_bytes);
    let estimate = |request: &FetchRequest| request.parts.len() as u64 * CHUNK;
    MemoryTier::new(origin.clone(), settings, budget, Arc::new(estimate))
}

fn tier(origin: &FaultSource<Synthetic>) -> Tier {
    tier_of(origin, 1 << 30, 1 << 30)
}

fn columns(columns: &[u32]) -> FetchRequest {
    FetchRequest::columns(object("a"), 0, columns)
}

fn column(column: u32) -> Part {
    Part::Column { row_group: 0, column }
}

fn expected(request: &FetchRequest) -> Vec<Chunk> {
    request.keys().map(|key| Synthetic { rows: ROWS }.chunk(&key).unwrap()).collect()
}

/// Yields until `reached`.
async fn until(reached: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(Instant::now() < deadline, "waited for too long");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn holds_the_contract() {
    let parts = vec![column(3), Part::Footer, Part::Range { start: 5, end: 50 }, column(1)];
    let request = FetchRequest::new(object("a"), parts);
    contract::check(async || (Synthetic { rows: 9 }, request.clone())).await.unwrap();
    contract::check(async || (tier(&origin()), request.clone())).await.unwrap();
    contract::check(async || (tier_of(&origin(), 0, 1 << 30), request.clone())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stampede_is_one_fetch() {
    let origin = origin();
    let tier = tier(&origin);
    let gate = origin.close_gate();
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let tier = tier.clone();
            tokio::spawn(async move { tier.fetch(&columns(&[1, 2])).await })
        })
        .collect();
    until(|| tier.snapshot().joined == 126).await;
    drop(gate);
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), expected(&columns(&[1, 2])));
    }
    assert_eq!(origin.log().len(), 1);
    let seen = tier.snapshot();
    assert_eq!((seen.hits, seen.misses, seen.joined, seen.entries), (0, 2, 126, 2));
    tier.fetch(&columns(&[2])).await.unwrap();
    assert_eq!(tier.snapshot().hits, 1);
}

#[tokio::test]
async fn overlapping_requests_fetch_the_overlap_once() {
    let origin = origin();
    let tier = tier(&origin);
    let gate = origin.close_gate();
    let (wanted_a, wanted_b) = (columns(&[1, 2]), columns(&[2, 3]));
    let (a, b, ()) = tokio::join!(tier.fetch(&wanted_a), tier.fetch(&wanted_b), async {
        origin.arrived(2).await;
        drop(gate);
    });
    assert_eq!(a.unwrap(), expected(&wanted_a));
    assert_eq!(b.unwrap(), expected(&wanted_b));
    assert_eq!(origin.fetches_of(column(2)), 1);
    let seen = tier.snapshot();
    assert_eq!((seen.hits, seen.misses, seen.joined), (0, 3, 1));
}

#[tokio::test]
async fn a_part_asked_for_twice_is_fetched_once() {
    let origin = origin();
    let tier = tier(&origin);
    let wanted = columns(&[1, 1, 2]);
    assert_eq!(tier.fetch(&wanted).await.unwrap(), expected(&wanted));
    assert_eq!(origin.log()[0].parts, [column(1), column(2)]);
    let seen = tier.snapshot();
    assert_eq!((seen.hits, seen.misses, seen.joined), (0, 2, 1));
}

#[tokio::test]
async fn a_fill_survives_its_first_caller() {
    let origin = origin();
    let tier = tier(&origin);
    let gate = origin.close_gate();
    assert!(tier.fetch(&columns(&[1])).now_or_never().is_none());
    origin.arrived(1).await;
    drop(gate);
    until(|| tier.len() == 1).await;
    tier.fetch(&columns(&[1])).await.unwrap();
    assert_eq!(origin.log().len(), 1);
    assert_eq!(tier.snapshot().hits, 1);
}

#[tokio::test]
async fn a_failed_fill_fails_all_who_wait_and_leaves_nothing() {
    let origin = origin();
    let tier = tier(&origin);
    let wanted = columns(&[1]);
    for panics in [false, true] {
        let gate = origin.close_gate();
        let before = origin.log().len();
        if panics {
            origin.panic_next();
        } else {
            origin.fail_next(Error::stale("object moved on"));
        }
        let (failed, ()) = tokio::join!(join_all((0..8).map(|_| tier.fetch(&wanted))), async {
            origin.arrived(before + 1).await;
            drop(gate);
        });
        let kind = if panics { ErrorKind::Internal } else { ErrorKind::Stale };
        assert!(failed.iter().all(|failed| failed.as_ref().unwrap_err().kind() == kind));
        assert_eq!(origin.log().len(), before + 1);
        assert_eq!((tier.len(), tier.budget().used(), tier.budget().leased()), (0, 0, 0));
    }
    assert_eq!(tier.fetch(&wanted).await.unwrap(), expected(&wanted));
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_hangs_ends_at_its_timeout() {
    let origin = origin();
    let tier = tier(&origin);
    let gate = origin.close_gate();
    let failed = tier.fetch(&columns(&[1])).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert!(failed.message().contains("5000 ms"), "{failed}");

    // Five of a store and, behind them, five of others: of four fills at a time three are of one.
    let of_store = |request: FetchRequest, store: u32| {
        let object = ObjectId { store: format!("test://{store}"), ..(*request.object).clone() };
        FetchRequest { object: Arc::new(object), ..request }
    };
    let of_one = (0..5).map(|at| columns(&[at]));
    let of_others = (0..5).map(|at| of_store(columns(&[at]), at));
    let wanted: Vec<_> = of_one.chain(of_others).collect();
    let fetches = join_all(wanted.iter().map(|wanted| tier.fetch(wanted)));
    let (failed, ()) = tokio::join!(fetches, async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let log = origin.log();
        let of_one = |asked: &&FetchRequest| asked.object.store == wanted[0].object.store;
        let running = (log.len() - 1, log.iter().skip(1).filter(of_one).count());
        assert_eq!(running, (4, 3), "four fills at a time, three of them of one store");
    });
    assert!(failed.iter().all(Result::is_err));
    drop(gate);
    assert_eq!(tier.fetch(&wanted[0]).await.unwrap(), expected(&wanted[0]));
}

#[tokio::test]
async fn a_source_that_answers_too_little_is_an_error() {
    #[derive(Debug)]
    struct Short;
    #[async_trait::async_trait]
    impl ChunkSource for Short {
        async fn fetch(&self, _: &FetchRequest) -> crate::Result<Vec<Chunk>> {
            Ok(Vec::new())
        }
    }
    let settings = MemorySettings {
        capacity_bytes: 1 << 20,
        max_fills: 1,
        queue_timeout: TIMEOUT,
        fill_timeout: TIMEOUT,
    };
    let tier = MemoryTier::new(Short, settings, MemoryBudget::new(1 << 20, 0), Arc::new(|_| 0));
    let failed = tier.fetch(&columns(&[1])).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_scan_does_not_flush_what_is_read_again_and_again() {
    let origin = origin();
    // Room for 40 chunks: 25 are hot, 400 are scanned once. moka counts uses once a cache is half
    // full.
    let tier = tier_of(&origin, 40 * (CHUNK + 300), 1 << 30);
    let hot: Vec<u32> = (0..25).collect();
    for _ in 0..6 {
        tier.fetch(&columns(&hot)).await.unwrap();
    }
    for cold in 1000..1400 {
        tier.fetch(&columns(&[cold])).await.unwrap();
        assert!(tier.bytes() <= 40 * (CHUNK + 300));
    }
    let before = tier.snapshot();
    tier.fetch(&columns(&hot)).await.unwrap();
    let hits = tier.snapshot().hits - before.hits;
    assert!(hits * 10 >= 25 * 9, "{hits} of 25 hot chunks are left");
    assert!(before.evictions >= 380, "{before:?}");
}

#[tokio::test(start_paused = true)]
async fn evicted_arrays_that_are_still_read_hold_fills_back() {
    let origin = origin();
    let tier = tier_of(&origin, 20_000, CHUNK);
    let stream = tier.fetch(&columns(&[0, 1])).await.unwrap();
    assert!(tier.evict(&|_| true) >= 2 * CHUNK);
    assert_eq!((tier.len(), tier.bytes()), (0, 0));
    let more = tier.fetch(&columns(&[2])).await.unwrap();
    assert_eq!(tier.budget().used(), 3 * CHUNK);

    let wanted = columns(&[3]);
    let (fetched, ()) = tokio::join!(tier.fetch(&wanted), async {
        // The fill's task runs up to the budget, where it waits.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(origin.log().len(), 2);
        drop(stream);
    });
    assert_eq!(fetched.as_ref().unwrap(), &expected(&wanted));
    // moka lets go of what was evicted when no other thread reads any cache of the process.
    until(|| tier.evict(&|_| false) == 0 && tier.budget().used() == 2 * CHUNK).await;

    let fits = tier.fetch(&columns(&[4])).await.unwrap();
    let past_the_ceiling = tier.fetch(&columns(&[5])).await.unwrap();
    let failed = tier.fetch(&columns(&[6])).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Exhausted);
    assert!(failed.message().contains("memory budget of 20000 bytes"), "{failed}");
    drop((more, fetched, fits, past_the_ceiling));
}

#[tokio::test]
async fn only_what_matches_is_evicted() {
    let tier = tier(&origin());
    let kept = FetchRequest::new(object("kept"), vec![column(0)]);
    tier.fetch(&columns(&[0, 1])).await.unwrap();
    tier.fetch(&kept).await.unwrap();
    let (bytes, sum) = (tier.bytes(), tier.entries().map(|held| held.bytes).sum::<u64>());
    assert_eq!(bytes, sum);
    let freed = tier.evict(&|object| object.path == "a");
    assert_eq!((tier.len(), tier.bytes()), (1, bytes - freed));
    assert_eq!(tier.snapshot().evictions, 0);
    tier.fetch(&kept).await.unwrap();
    assert_eq!(tier.snapshot().hits, 1);
}

#[tokio::test]
async fn what_is_held_tells_how_often_it_was_served() {
    let tier = tier(&origin());
    for wanted in [&[0, 1][..], &[1], &[1]] {
        tier.fetch(&columns(wanted)).await.unwrap();
    }
    let mut held: Vec<_> = tier.entries().map(|held| (held.key.part, held.hits)).collect();
    held.sort();
    assert_eq!(held, [(column(0), 0), (column(1), 2)]);
}

#[tokio::test]
async fn objects_without_a_version_pass_through() {
    let origin = origin();
    let tier = tier(&origin);
    let mut unversioned = (*object("a")).clone();
    unversioned.etag.clear();
    let wanted = FetchRequest::new(Arc::new(unversioned), vec![column(1); 2]);
    for _ in 0..3 {
        tier.fetch(&wanted).await.unwrap();
    }
    assert_eq!(origin.log().len(), 3);
    let seen = tier.snapshot();
    assert_eq!((seen.hits, seen.misses, seen.joined, seen.entries), (0, 6, 0, 0));
    let held = tier.fetch(&wanted).await.unwrap();
    assert!(tier.budget().used() >= CHUNK, "what a reader holds is charged");
    drop(held);
    assert_eq!((tier.budget().used(), tier.budget().leased()), (0, 0));
}

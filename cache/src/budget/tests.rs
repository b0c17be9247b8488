//! The budget: charges, leases, turns.

use std::{pin::pin, time::Duration};

use arrow::{
    array::{Array, ArrayRef, Int64Array, StringArray, StructArray},
    datatypes::Field,
};
use futures::{FutureExt, poll};

use super::*;
use crate::{Column, ErrorKind};

fn column(array: ArrayRef) -> Chunk {
    let field = Field::new("c", array.data_type().clone(), true);
    Chunk::Column(Column::try_new(Arc::new(field), vec![array]).unwrap())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(900)
}

#[tokio::test]
async fn an_allocation_is_charged_once_until_its_last_reader_drops_it() {
    let budget = MemoryBudget::new(1 << 20, 0);
    let array: ArrayRef = Arc::new(Int64Array::from(vec![7; 1000]));
    let claimed = budget.claim(column(Arc::clone(&array)));
    assert_eq!(budget.used(), 8000);
    assert_eq!(budget.used(), claimed.bytes() as u64);

    let again = budget.claim(claimed.clone());
    let sliced = budget.claim(column(array.slice(10, 20)));
    assert_eq!(budget.used(), 8000);

    let Chunk::Column(reader) = sliced else { panic!("a column stays a column") };
    drop((array, claimed, again));
    assert_eq!(budget.used(), 8000);
    drop(reader);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn children_nulls_and_opaque_bytes_are_charged() {
    let budget = MemoryBudget::new(1 << 20, 0);
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("lineitem"), None, Some("orders")]));
    let field = Arc::new(Field::new("text", text.data_type().clone(), true));
    let nested = column(Arc::new(StructArray::from(vec![(field, text)])));
    let expected = nested.bytes() as u64;
    let nested = budget.claim(nested);
    assert_eq!(budget.used(), expected);

    let bytes = budget.claim(Chunk::Bytes(Bytes::from(vec![1; 300])));
    assert_eq!(bytes.as_bytes().unwrap(), &vec![1; 300]);
    let part = bytes.as_bytes().unwrap().slice(5..6);
    drop((bytes, nested));
    assert_eq!(budget.used(), 300);
    drop(part);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn waits_in_order_and_wakes_when_memory_is_dropped() {
    let budget = MemoryBudget::new(1000, 7000);
    let held = budget.claim(column(Arc::new(Int64Array::from(vec![7; 1000]))));
    let mut large = pin!(budget.acquire("a", 6000, soon()));
    let mut small = pin!(budget.acquire("b", 1000, soon()));
    assert!(poll!(&mut large).is_pending());
    assert!(poll!(&mut small).is_pending());

    drop(held);
    assert!(poll!(&mut small).is_pending(), "the small one must not overtake");
    let lease = large.await.unwrap();
    let other = small.await.unwrap();
    assert_eq!(budget.leased(), 7000);
    drop((lease, other));
    assert_eq!(budget.leased(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_everything_is_admitted_alone() {
    let budget = MemoryBudget::new(1000, 100);
    let first = budget.acquire("a", 50, soon()).await.unwrap();
    let mut huge = pin!(budget.acquire("a", 1 << 40, soon()));
    assert!(poll!(&mut huge).is_pending());
    drop(first);
    let huge = huge.await.unwrap();
    let refused = budget.acquire("a", 1, soon()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Exhausted);
    drop(huge);
    budget.acquire("a", 1, soon()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_the_headroom_passes_a_full_cache() {
    let budget = MemoryBudget::new(8000, 100);
    let full = budget.claim(column(Arc::new(Int64Array::from(vec![7; 1000]))));
    budget.acquire("a", 500, soon()).await.unwrap();
    let beyond = budget.claim(Chunk::Bytes(Bytes::from(vec![1; 50])));
    budget.acquire("a", 50, soon()).await.unwrap();
    let refused = budget.acquire("a", 500, soon()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Exhausted);
    assert!(refused.message().contains("8000 bytes and 100 bytes headroom"), "{refused}");
    assert!(refused.message().contains("room for 500 bytes"), "{refused}");
    drop((full, beyond));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_goes_away_gives_up_its_place() {
    let budget = MemoryBudget::new(100, 0);
    let held = budget.acquire("a", 100, soon()).await.unwrap();
    {
        let mut gone = pin!(budget.acquire("a", 100, soon()));
        assert!(poll!(&mut gone).is_pending());
        let mut next = pin!(budget.acquire("a", 10, soon()));
        assert!(poll!(&mut next).is_pending());
        drop(held);
        assert!(poll!(&mut next).is_pending());
    }
    budget.acquire("a", 100, soon()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn readers_that_wait_for_each_other_go_on_one_at_a_time() {
    let budget = MemoryBudget::new(4000, 5000);
    let held = budget.claim(column(Arc::new(Int64Array::from(vec![7; 1000]))));
    let patient = || Instant::now() + Duration::from_secs(5);
    let began = Instant::now();
    let first = budget.acquire("a", 2000, patient()).await.unwrap();
    assert!(began.elapsed() >= STUCK, "past the ceiling, as nobody frees anything");
    let mut second = pin!(budget.acquire("a", 2000, patient()));
    assert!(poll!(&mut second).is_pending());
    let filled = budget.claim(Chunk::Bytes(Bytes::from(vec![1; 2000])));
    drop(first);
    let refused = second.await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Exhausted, "no second one past the ceiling");
    drop(filled);
    budget.acquire("a", 2000, patient()).await.unwrap();
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_fills_hang_leaves_room_to_others() {
    let budget = MemoryBudget::new(0, 1600);
    let mut hung = Vec::new();
    for _ in 0..12 {
        hung.push(budget.acquire("hangs", 100, soon()).await.unwrap());
    }
    let mut waits = pin!(budget.acquire("hangs", 100, soon()));
    assert!(poll!(&mut waits).is_pending());
    let other = budget.acquire("answers", 300, soon()).now_or_never().unwrap().unwrap();
    assert_eq!(budget.leased(), 1500);
    drop(other);
    assert!(poll!(&mut waits).is_pending());
    // More than is free: it has its turn before those who wait for their own store, and passes the
    // ceiling when nothing is freed.
    let began = Instant::now();
    let large = budget.acquire("answers", 800, began + 5 * STUCK).await.unwrap();
    assert!(began.elapsed() >= STUCK);
    assert_eq!(waits.await.unwrap_err().kind(), ErrorKind::Exhausted);
    drop((hung, large));
    assert_eq!(budget.leased(), 0);
}

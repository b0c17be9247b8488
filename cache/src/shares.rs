//! Room that stores share: one that does not answer cannot take all of it.
//!
//! ```text
//!  one store     ███████████████░░░░░   at most three times what it leaves free
//!  a second one  ███████████████▒▒▒▒░   always finds room, and leaves some for a third
//! ```
//!
//! A bound that moves with what is free needs no number of stores beforehand, and only the part
//! left free is given up for it: the dynamic threshold of Choudhury and Hahne, "Dynamic queue
//! length thresholds for shared-memory packet switches".

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

/// What one store may hold, as a multiple of what it leaves free.
const RATIO: u64 = 3;

/// Shares of stores that nobody holds or waits for are forgotten once there are so many.
const FORGET_AT: usize = 64;

/// Who holds how much.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<HashMap<String, Weak<Share>>>);

/// What one store holds.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// Held by the one waiter of the store whose turn it is: first come, first served.
    pub(crate) turn: tokio::sync::Mutex<()>,
    held: AtomicU64,
}

impl Shares {
    /// The share of `store`.
    pub(crate) fn of(&self, store: &str) -> Arc<Share> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(store).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= FORGET_AT {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::<Share>::default();
        shares.insert(store.to_owned(), Arc::downgrade(&share));
        share
    }
}

impl Share {
    /// Whether the store may hold `amount` more where `free` is free. One that holds nothing may
    /// have what there is.
    pub(crate) fn allows(&self, amount: u64, free: u64) -> bool {
        let held = self.held();
        held == 0 || held.saturating_add(amount) <= free.saturating_sub(amount) * RATIO
    }

    /// What the store holds.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Acquire)
    }

    /// Notes that it holds `amount` more.
    pub(crate) fn take(&self, amount: u64) {
        self.held.fetch_add(amount, Ordering::AcqRel);
    }

    /// Notes that it holds `amount` less.
    pub(crate) fn give_back(&self, amount: u64) {
        self.held.fetch_sub(amount, Ordering::AcqRel);
    }
}

/// Places for work on stores, one a piece. A store gets at most three times as many as are left
/// free; its waiters are served first come, first served, and wait for no other store's. `Clone`
/// shares the places.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    free: Mutex<u64>,
    shares: Shares,
    freed: Notify,
}

/// A place; given back on drop.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    share: Arc<Share>,
}

impl Slots {
    /// `most` places, one at least.
    pub fn new(most: usize) -> Self {
        let free = Mutex::new(most.max(1) as u64);
        Self(Arc::new(Inner { free, shares: Shares::default(), freed: Notify::new() }))
    }

    /// Waits for a place for work on `store`. Dropping the future gives up its turn.
    pub async fn acquire(&self, store: &str) -> Slot {
        let share = self.0.shares.of(store);
        let turn = share.turn.lock().await;
        loop {
            let freed = self.0.freed.notified();
            if self.take(&share) {
                drop(turn);
                return Slot { slots: self.clone(), share };
            }
            freed.await;
        }
    }

    fn take(&self, share: &Share) -> bool {
        let mut free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = *free > 0 && share.allows(1, *free);
        if granted {
            *free -= 1;
            share.take(1);
        }
        granted
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Inner { free, freed, .. } = &*self.slots.0;
        let mut free = free.lock().unwrap_or_else(PoisonError::into_inner);
        self.share.give_back(1);
        *free += 1;
        drop(free);
        freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::{FutureExt, poll};

    use super::*;

    /// As many places as `store` gets at once.
    fn all(slots: &Slots, store: &str) -> Vec<Slot> {
        std::iter::from_fn(|| slots.acquire(store).now_or_never()).collect()
    }

    #[test]
    fn a_store_leaves_room_for_others_however_many_there_are() {
        for (most, expected) in [
            (1, vec![1, 0]),
            (2, vec![1, 1, 0]),
            (4, vec![3, 1, 0]),
            (64, vec![48, 12, 3, 1, 0]),
            (1000, vec![750, 187, 47, 12, 3, 1, 0]),
        ] {
            let slots = Slots::new(most);
            let held: Vec<_> =
                (0..expected.len()).map(|store| all(&slots, &store.to_string())).collect();
            assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), expected);
            drop(held);
            assert_eq!(*slots.0.free.lock().unwrap(), most as u64);
        }
    }

    #[tokio::test]
    async fn waiters_are_served_in_turn_and_a_full_store_holds_up_no_other() {
        let slots = Slots::new(4);
        let mut held = all(&slots, "a");
        let mut first = pin!(slots.acquire("a"));
        let mut second = pin!(slots.acquire("a"));
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending());
        drop(slots.acquire("b").now_or_never().unwrap());
        held.pop();
        assert!(poll!(&mut second).is_pending(), "it must not overtake");
        let first = first.now_or_never().unwrap();
        drop(held);
        drop((first, second.now_or_never().unwrap()));
        assert_eq!(all(&slots, "b").len(), 3);
    }

    #[test]
    fn shares_that_nobody_holds_are_forgotten() {
        let slots = Slots::new(2);
        let held = slots.acquire("held").now_or_never().unwrap();
        for store in 0..1000 {
            drop(slots.acquire(&store.to_string()).now_or_never().unwrap());
        }
        assert!(slots.0.shares.0.lock().unwrap().len() <= FORGET_AT + 1);
        assert_eq!(slots.0.shares.of("held").held(), 1);
        drop(held);
    }
}

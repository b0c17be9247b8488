//! Places for queries that run, shared out fairly between principals.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use flightcache_cache::{Error, Result};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// Callers that may wait for a place at once.
const MAX_WAITING: usize = 256;

type Principal = Option<Arc<str>>;

/// The places there are. `Clone` shares them.
///
/// Who comes while places are free gets one. Then a free place goes to the principal that has the
/// fewest, the one that has waited longest among these; and where callers are known, nobody has
/// all of them.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: usize,
    /// Places of one principal at most.
    each: usize,
    state: Mutex<State>,
    /// Places of queries that are read through several endpoints, by id.
    queries: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Weak<Slot>>>>>,
}

#[derive(Debug, Default)]
struct State {
    taken: HashMap<Principal, usize>,
    waiting: VecDeque<(Principal, oneshot::Sender<Slot>)>,
    /// Reads that got no place.
    refused: u64,
}

impl State {
    fn of(&self, principal: &Principal) -> usize {
        self.taken.get(principal).copied().unwrap_or(0)
    }

    fn all(&self) -> usize {
        self.taken.values().sum()
    }
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    principal: Principal,
}

impl Slots {
    /// `total` places; where callers are `known`, one of them at most all but one.
    pub(crate) fn new(total: usize, known: bool) -> Self {
        let each = if known { (total - 1).max(1) } else { total };
        let (state, queries) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { total, each, state, queries }))
    }

    /// A place for `principal`, waited for until `until`.
    ///
    /// # Errors
    /// `Exhausted` if none is free by then, or too many wait already.
    pub(crate) async fn take(&self, principal: Option<&str>, until: Instant) -> Result<Slot> {
        let principal: Principal = principal.map(Arc::from);
        let exhausted = || {
            let total = self.0.total;
            Error::exhausted(format!("{total} queries run already: try again later or elsewhere"))
        };
        let waiting = {
            let mut state = self.lock();
            if state.all() < self.0.total && state.of(&principal) < self.0.each {
                *state.taken.entry(principal.clone()).or_default() += 1;
                return Ok(Slot { slots: self.clone(), principal });
            }
            state.waiting.retain(|(_, sender)| !sender.is_closed());
            if state.waiting.len() >= MAX_WAITING {
                state.refused += 1;
                return Err(exhausted());
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push_back((principal, sender));
            receiver
        };
        if let Ok(Ok(slot)) = timeout_at(until, waiting).await {
            return Ok(slot);
        }
        self.lock().refused += 1;
        Err(exhausted())
    }

    /// Reads that wait for a place, and those that got none so far.
    pub(crate) fn waiting_and_refused(&self) -> (u64, u64) {
        let state = self.lock();
        let waiting = state.waiting.iter().filter(|(_, sender)| !sender.is_closed());
        (waiting.count() as u64, state.refused)
    }

    /// The place of the query `id`, which all reads of its endpoints share: a client that reads
    /// several at once and finishes one after the other would wait for itself.
    ///
    /// # Errors
    /// As [`Slots::take`].
    pub(crate) async fn share(
        &self,
        id: &str,
        principal: Option<&str>,
        until: Instant,
    ) -> Result<Arc<Slot>> {
        let place = {
            let mut queries = self.0.queries.lock().unwrap_or_else(PoisonError::into_inner);
            queries.retain(|_, place| {
                let idle = place.try_lock().is_ok_and(|slot| slot.strong_count() == 0);
                !idle || Arc::strong_count(place) > 1
            });
            Arc::clone(queries.entry(id.to_owned()).or_default())
        };
        let exhausted = || Error::exhausted("the query waits for its place: try again later");
        let Ok(mut known) = timeout_at(until, place.lock()).await else {
            self.lock().refused += 1;
            return Err(exhausted());
        };
        if let Some(slot) = known.upgrade() {
            return Ok(slot);
        }
        let slot = Arc::new(self.take(principal, until).await?);
        *known = Arc::downgrade(&slot);
        Ok(slot)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place back, and finds out whom it goes to.
    fn give_back(&self, principal: &Principal) -> Option<(oneshot::Sender<Slot>, Slot)> {
        let mut state = self.lock();
        if let Some(taken) = state.taken.get_mut(principal) {
            *taken -= 1;
            if *taken == 0 {
                state.taken.remove(principal);
            }
        }
        state.waiting.retain(|(_, sender)| !sender.is_closed());
        let next = state.waiting.iter().enumerate();
        let next = next
            .map(|(at, (principal, _))| (state.of(principal), at))
            .filter(|(taken, _)| *taken < self.0.each)
            .min();
        let (principal, sender) = state.waiting.remove(next?.1)?;
        *state.taken.entry(principal.clone()).or_default() += 1;
        Some((sender, Slot { slots: self.clone(), principal }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some((sender, slot)) = self.slots.give_back(&self.principal) {
            // One whose waiter is gone comes back as the error, and so goes to the next.
            drop(sender.send(slot));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt, poll};
    use tokio::{pin, time::pause};

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    #[tokio::test]
    async fn a_free_place_goes_to_whoever_has_fewest() {
        let slots = Slots::new(3, true);
        let alice = slots.take(Some("alice"), soon()).await.unwrap();
        let _second = slots.take(Some("alice"), soon()).await.unwrap();
        // The third is nobody's who has two already.
        let third = slots.take(Some("alice"), soon());
        pin!(third);
        assert!(poll!(third.as_mut()).is_pending());
        let bob = slots.take(Some("bob"), soon()).now_or_never().unwrap().unwrap();
        let more = slots.take(Some("bob"), soon());
        pin!(more);
        assert!(poll!(more.as_mut()).is_pending());
        drop(bob);
        let bob = more.now_or_never().unwrap().unwrap();
        assert!(poll!(third.as_mut()).is_pending());
        drop(alice);
        let third = third.now_or_never().unwrap().unwrap();
        drop((bob, third));
        assert_eq!(slots.lock().all(), 1);
    }

    #[tokio::test]
    async fn who_waits_too_long_is_turned_away_and_leaves_no_place_taken() {
        pause();
        let slots = Slots::new(1, false);
        let one = slots.take(None, soon()).await.unwrap();
        let refused = slots.take(None, soon()).await.unwrap_err();
        assert_eq!(refused.kind(), flightcache_cache::ErrorKind::Exhausted);
        assert_eq!(slots.waiting_and_refused(), (0, 1));
        {
            let gone = slots.take(None, soon());
            pin!(gone);
            assert!(poll!(gone.as_mut()).is_pending());
            assert_eq!(slots.waiting_and_refused(), (1, 1));
        }
        assert_eq!(slots.waiting_and_refused(), (0, 1));
        drop(one);
        assert!(slots.take(None, soon()).await.is_ok());
        assert_eq!(slots.lock().all(), 0);
    }

    #[tokio::test]
    async fn the_endpoints_of_a_query_share_one_place() {
        let slots = Slots::new(1, false);
        let first = slots.share("q1", None, soon()).await.unwrap();
        let second = slots.share("q1", None, soon()).await.unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        drop(first);
        assert_eq!(slots.lock().all(), 1);
        drop(second);
        let other = slots.share("q2", None, soon()).await.unwrap();
        assert_eq!(slots.0.queries.lock().unwrap().len(), 1);
        drop(other);
        assert_eq!(slots.lock().all(), 0);
    }
}

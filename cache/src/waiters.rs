//! Who waits for a ceiling, and since when.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The callers that wait for room under some ceiling. `Clone` shares the list.
///
/// How long the first of them has waited tells whether memory is merely in use, or held by
/// somebody who does not go on.
#[derive(Clone, Debug, Default)]
pub struct Waiters(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    since: BTreeSet<(Instant, u64)>,
    entered: u64,
    pressed_until: Option<Instant>,
}

impl Waiters {
    /// Notes one more who waits, until the answer is dropped.
    pub fn enter(&self) -> Waiter {
        let mut list = self.lock();
        list.entered += 1;
        let place = (Instant::now(), list.entered);
        list.since.insert(place);
        Waiter { waiters: self.clone(), place }
    }

    /// How long the one who waits longest has waited; zero if nobody waits.
    pub fn longest(&self) -> Duration {
        self.lock().since.first().map_or(Duration::ZERO, |(since, _)| since.elapsed())
    }

    /// Whether somebody has waited for `patience`, or had not long ago: who frees memory should
    /// free enough for the next who waits, too.
    pub fn pressed(&self, patience: Duration) -> bool {
        let mut list = self.lock();
        let now = Instant::now();
        if list.since.first().is_some_and(|(since, _)| since.elapsed() >= patience) {
            list.pressed_until = Some(now + 2 * patience);
        }
        list.pressed_until.is_some_and(|until| now < until)
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits.
#[derive(Debug)]
pub struct Waiter {
    waiters: Waiters,
    place: (Instant, u64),
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiters.lock().since.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_who_still_waits_counts() {
        let waiters = Waiters::default();
        assert_eq!(waiters.longest(), Duration::ZERO);
        let first = waiters.enter();
        tokio::time::advance(Duration::from_secs(2)).await;
        let second = waiters.enter();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(waiters.longest(), Duration::from_secs(3));
        drop(first);
        assert_eq!(waiters.longest(), Duration::from_secs(1));
        assert!(!waiters.pressed(Duration::from_secs(2)));
        assert!(waiters.pressed(Duration::from_secs(1)));
        drop(second);
        assert_eq!(waiters.longest(), Duration::ZERO);
        assert!(waiters.pressed(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!waiters.pressed(Duration::from_secs(1)));
    }
}

//! A file system that is full before the capacity is: how much the folder may hold then.
//!
//! ```text
//!  no space ──► pause ──► the least recently used go, up to a part of what was held
//!                             └──► that is the ceiling for a while, then the capacity again
//! ```
//!
//! So the folder goes on taking what is read, and a write fails now and then, not every time.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Nothing is written for so long after a write found no space.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the ceiling stands: space that others gave back is taken after it.
const STANDS: Duration = Duration::from_mins(1);

/// One part in so many of what is held goes when a ceiling is reached, so that it is not reached
/// with the next file again.
const PARTS: u64 = 16;

/// What is known of the space there is.
#[derive(Debug, Default)]
pub(super) struct Full(Mutex<Option<Found>>);

#[derive(Clone, Copy, Debug)]
struct Found {
    at: Instant,
    ceiling: u64,
}

/// Whether a write failed for want of space.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Full {
    /// Whether a write found no space a moment ago.
    pub(super) fn pauses(&self) -> bool {
        self.lock().is_some_and(|found| found.at.elapsed() < PAUSE)
    }

    /// A write found no space where `held` bytes were held: how many may stay, if they are to go for
    /// this one. Writes that were under way together are one finding.
    pub(super) fn find(&self, held: u64) -> Option<u64> {
        let mut found = self.lock();
        if found.is_some_and(|found| found.at.elapsed() < PAUSE) {
            return None;
        }
        let ceiling = less(held);
        *found = Some(Found { at: Instant::now(), ceiling });
        Some(ceiling)
    }

    /// How many of `held` bytes may stay, if there are more than may be.
    pub(super) fn over(&self, held: u64) -> Option<u64> {
        let found = self.lock().filter(|found| found.at.elapsed() < STANDS)?;
        (held > found.ceiling).then(|| less(found.ceiling))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn less(bytes: u64) -> u64 {
    bytes - bytes.div_ceil(PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_held_is_the_ceiling_for_a_while() {
        let full = Full::default();
        assert!(!full.pauses() && full.over(u64::MAX).is_none());
        assert_eq!(full.find(1600), Some(1500));
        assert!(full.pauses());
        assert_eq!(full.find(1500), None, "one finding");
        assert_eq!((full.over(1500), full.over(1501)), (None, Some(1406)));
        let earlier = |by| {
            let found = full.lock().unwrap();
            *full.lock() = Some(Found { at: Instant::now().checked_sub(by).unwrap(), ..found });
        };
        earlier(PAUSE);
        assert!(!full.pauses() && full.over(1501).is_some());
        earlier(STANDS);
        assert_eq!(full.over(1501), None);
        assert_eq!(full.find(0), Some(0));
        assert_eq!(full.over(1), Some(0));
    }
}

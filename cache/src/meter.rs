//! Counts what passes: a wrapper that goes between any two sources.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{Chunk, ChunkSource, FetchRequest, Result};

/// Told the time of each fetch that ended, failed ones included.
pub type ObserveLatency = Arc<dyn Fn(Duration) + Send + Sync>;

/// A [`ChunkSource`] that counts the fetches of the one inside. `Clone` shares the counters.
///
/// A fetch whose caller dropped it counts as a request, but has no latency and no error.
#[derive(Clone)]
pub struct Meter<S> {
    inner: S,
    counters: Arc<Counters>,
    observe: ObserveLatency,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    parts: AtomicU64,
    errors: AtomicU64,
}

/// What a [`Meter`] counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterSnapshot {
    /// Fetches begun.
    pub requests: u64,
    /// Parts asked for in them.
    pub parts: u64,
    /// Fetches that ended in an error.
    pub errors: u64,
}

impl<S> Meter<S> {
    /// Counts what is fetched from `inner`, and tells `observe` how long each fetch took.
    pub fn new(inner: S, observe: ObserveLatency) -> Self {
        Self { inner, counters: Arc::default(), observe }
    }

    /// The counters as they stand; reading resets nothing.
    pub fn snapshot(&self) -> MeterSnapshot {
        MeterSnapshot {
            requests: self.counters.requests.load(Ordering::Relaxed),
            parts: self.counters.parts.load(Ordering::Relaxed),
            errors: self.counters.errors.load(Ordering::Relaxed),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Meter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("inner", &self.inner)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: ChunkSource> ChunkSource for Meter<S> {
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Chunk>> {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        self.counters.parts.fetch_add(request.parts.len() as u64, Ordering::Relaxed);
        let began = Instant::now();
        let fetched = self.inner.fetch(request).await;
        (self.observe)(began.elapsed());
        if fetched.is_err() {
            self.counters.errors.fetch_add(1, Ordering::Relaxed);
        }
        fetched
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        Error, Part,
        fault::{FaultSource, Synthetic, object},
    };

    #[tokio::test(start_paused = true)]
    async fn counts_requests_parts_errors_and_time() {
        let origin = FaultSource::new(Synthetic { rows: 8 });
        origin.fail_next(Error::unavailable("origin is down"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let observe: ObserveLatency = Arc::new(move |time| sink.lock().unwrap().push(time));
        let meter = Meter::new(origin.clone(), observe);
        let request = FetchRequest::new(object("a"), vec![Part::Footer; 3]);

        assert!(meter.fetch(&request).await.is_err());
        let gate = origin.close_gate();
        let (fetched, ()) = tokio::join!(meter.fetch(&request), async {
            origin.arrived(2).await;
            tokio::time::advance(Duration::from_millis(70)).await;
            drop(gate);
        });
        assert_eq!(fetched.unwrap().len(), 3);

        assert_eq!(meter.snapshot(), MeterSnapshot { requests: 2, parts: 6, errors: 1 });
        assert_eq!(*seen.lock().unwrap(), [Duration::ZERO, Duration::from_millis(70)]);
    }
}

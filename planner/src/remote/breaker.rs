//! Leaves a node alone for some time after it failed.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long a node is left alone after it failed.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The most that this doubles to, with each probe that fails.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Whether a node may be asked.
///
/// ```text
///            failure                   pause over, one request
///  closed ─────────────► open, paused ─────────────────────────► probing
///     ▲                        ▲        failure: twice the pause    │
///     │                        └────────────────────────────────────┤
///     └─────────────────────────────────────────────────────────────┘ success
/// ```
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
        pause: Duration,
    },
    Probing {
        pause: Duration,
    },
}

/// A request that may be sent; dropped without a verdict it leaves the next one the probe.
#[derive(Debug)]
pub(super) struct Admitted<'a>(&'a Breaker);

impl Breaker {
    /// Whether a request would be let through at this moment.
    pub(super) fn lets_through(&self) -> bool {
        match *self.state() {
            State::Closed => true,
            State::Open { until, .. } => Instant::now() >= until,
            State::Probing { .. } => false,
        }
    }

    /// Lets a request through, or not: of those after a pause one alone, until it has a verdict.
    pub(super) fn admit(&self) -> Option<Admitted<'_>> {
        let mut state = self.state();
        match *state {
            State::Closed => {}
            State::Open { until, pause } if Instant::now() >= until => {
                *state = State::Probing { pause };
            }
            State::Open { .. } | State::Probing { .. } => return None,
        }
        Some(Admitted(self))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted<'_> {
    /// The node answered.
    pub(super) fn succeeded(self) {
        *self.0.state() = State::Closed;
    }

    /// The node did not answer as it must.
    pub(super) fn failed(self) {
        let mut state = self.0.state();
        let pause = match *state {
            State::Closed => FIRST_PAUSE,
            State::Probing { pause } => (pause * 2).min(LONGEST_PAUSE),
            // One of several that were under way when the first of them failed.
            State::Open { .. } => return,
        };
        *state = State::Open { until: Instant::now() + pause, pause };
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if let State::Probing { pause } = *state {
            *state = State::Open { until: Instant::now(), pause };
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_one_request_probes_and_the_pause_doubles() {
        let breaker = Breaker::default();
        let (one, other) = (breaker.admit().unwrap(), breaker.admit().unwrap());
        one.failed();
        other.failed();
        for pause in [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4] {
            assert!(breaker.admit().is_none() && !breaker.lets_through());
            advance(pause.checked_sub(Duration::from_millis(1)).unwrap()).await;
            assert!(breaker.admit().is_none());
            advance(Duration::from_millis(1)).await;
            assert!(breaker.lets_through());
            let probe = breaker.admit().unwrap();
            assert!(breaker.admit().is_none(), "one probes");
            probe.failed();
        }
        advance(LONGEST_PAUSE).await;
        drop(breaker.admit().unwrap());
        let probe = breaker.admit().expect("the one before had no verdict");
        probe.succeeded();
        let both = (breaker.admit().unwrap(), breaker.admit().unwrap());
        both.0.failed();
        advance(FIRST_PAUSE).await;
        assert!(breaker.admit().is_some(), "the pause is the first again");
    }
}

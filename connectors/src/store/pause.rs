//! When a store may be asked again, by its own `Retry-After`.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header::RETRY_AFTER};
use tokio::time::{Instant, sleep_until};

/// Holds the requests of one client back for as long as the store asked.
///
/// A store that turns one request away is as busy for the next, so all wait, not the one alone.
#[derive(Debug)]
pub(super) struct Pause {
    until: Mutex<Option<Instant>>,
    longest: Duration,
}

impl Pause {
    /// No pause yet; none will hold a request longer than `longest`, whatever a store says.
    pub(super) fn new(longest: Duration) -> Self {
        Self { until: Mutex::default(), longest }
    }

    /// Begins or prolongs the pause as the headers of an answer 429 or 503 say.
    pub(super) fn heed(&self, headers: &HeaderMap) {
        let Some(wait) = retry_after(headers, SystemTime::now()) else { return };
        let until = Instant::now() + wait.min(self.longest);
        let mut held = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(held.map_or(until, |held| held.max(until)));
    }

    /// Waits until the pause is over.
    pub(super) async fn over(&self) {
        let latest = Instant::now() + self.longest;
        loop {
            let held = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
            match held.map(|until| until.min(latest)) {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }
}

/// Seconds, or a date; `None` where it is neither.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        let wait = |value| retry_after(&headers(value), now).map(|wait| wait.as_secs());
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:30 GMT"), Some(30));
        for nothing in ["Wed, 21 Oct 2015 07:27:00 GMT", "-1", "soon", ""] {
            assert_eq!(wait(nothing), None, "{nothing}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everyone_and_is_bounded() {
        let pause = Pause::new(Duration::from_secs(10));
        let start = Instant::now();
        pause.over().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        pause.heed(&headers("3"));
        pause.heed(&headers("2"));
        tokio::join!(pause.over(), pause.over());
        assert!(start.elapsed().abs_diff(Duration::from_secs(3)) < Duration::from_millis(10));
        pause.heed(&headers("86400"));
        pause.over().await;
        assert!(start.elapsed().abs_diff(Duration::from_secs(13)) < Duration::from_millis(10));
    }
}

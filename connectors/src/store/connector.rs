//! What every request to a store goes through: pauses, counted throttling, and a look at the answer.

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE},
};
use object_store::{
    ClientOptions, Result as StoreResult,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    },
};

use super::{client::client, pause::Pause};
use crate::{OriginCounters, OriginSettings, counters::add};

/// Makes HTTP clients that follow no redirect, wait as long as a store's `Retry-After` says, and
/// count answers 429 and 503, those that are retried included.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    counters: Arc<OriginCounters>,
    stall_timeout: Duration,
    longest_pause: Duration,
}

impl Connector {
    pub(crate) fn new(origin: &OriginSettings, counters: Arc<OriginCounters>) -> Self {
        let OriginSettings { stall_timeout, retry_timeout, .. } = *origin;
        Self { counters, stall_timeout, longest_pause: retry_timeout }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> StoreResult<HttpClient> {
        Ok(HttpClient::new(Guarded {
            inner: HttpClient::new(client(options, self.stall_timeout)?),
            pause: Pause::new(self.longest_pause),
            counters: Arc::clone(&self.counters),
        }))
    }
}

#[derive(Debug)]
struct Guarded {
    inner: HttpClient,
    pause: Pause,
    counters: Arc<OriginCounters>,
}

#[async_trait]
impl HttpService for Guarded {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.pause.over().await;
        let asked = bounded_range(request.headers());
        let response = self.inner.execute(request).await?;
        if matches!(response.status().as_u16(), 429 | 503) {
            add(&self.counters.throttled, 1);
            self.pause.heed(response.headers());
        }
        // object_store looks at the first answer of a read alone: what it appends after a
        // connection broke in the middle must be the missing bytes too.
        match asked {
            Some(asked) if response.status().is_success() && !answers(&response, asked) => {
                let wrong = format!("asked for bytes {}-{}, got others", asked.0, asked.1);
                Err(HttpError::new(HttpErrorKind::Decode, io::Error::other(wrong)))
            }
            _ => Ok(response),
        }
    }
}

/// First and last byte of `Range: bytes=FIRST-LAST`; `None` for other ranges.
fn bounded_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    numbers(headers.get(RANGE)?.to_str().ok()?.strip_prefix("bytes=")?)
}

/// Whether `response` says that it is the bytes from `first` to `last`, and as many.
fn answers(response: &HttpResponse, (first, last): (u64, u64)) -> bool {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let given = text(CONTENT_RANGE).and_then(|value| value.strip_prefix("bytes ")?.split_once('/'));
    let Some((range, size)) = given else { return false };
    // A range that reaches past the end comes back cut at the end.
    let end = size.parse().map_or(last, |size: u64| last.min(size.saturating_sub(1)));
    let length = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && numbers(range) == Some((first, end))
        && length.is_none_or(|length: u64| Some(length) == (end + 1).checked_sub(first))
}

fn numbers(range: &str) -> Option<(u64, u64)> {
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> bool {
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        answers(&response.body(String::new().into()).unwrap(), (2, 9))
    }

    #[test]
    fn only_what_was_asked_for_is_an_answer() {
        let range = ("content-range", "bytes 2-9/20");
        assert!(answer(206, &[range]));
        assert!(answer(206, &[range, ("content-length", "8")]));
        assert!(answer(206, &[("content-range", "bytes 2-9/*")]));
        assert!(answer(206, &[("content-range", "bytes 2-4/5")]), "the object ends there");
        assert!(!answer(206, &[range, ("content-length", "9")]));
        assert!(!answer(206, &[("content-range", "bytes 1-8/20")]));
        assert!(!answer(206, &[("content-range", "bytes 2-8/20")]));
        assert!(!answer(206, &[("content-range", "rows 2-9/20")]));
        assert!(!answer(200, &[range]));
        assert!(!answer(206, &[]));
    }

    #[test]
    fn ranges_with_both_ends_are_looked_at() {
        let asked = |value: &'static str| {
            bounded_range(&HeaderMap::from_iter([(RANGE, value.parse().unwrap())]))
        };
        assert_eq!(asked("bytes=2-9"), Some((2, 9)));
        assert_eq!((asked("bytes=2-"), asked("bytes=-9"), asked("rows=1-2")), (None, None, None));
        assert_eq!(bounded_range(&HeaderMap::new()), None);
    }
}

//! Our errors as gRPC's: the one match that maps kinds to codes, and the one place that logs them.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use flightcache_cache::{Error, ErrorKind};
use prost::Message;
use tonic::{Code, Status};
use tracing::{debug, error, warn};

/// Longest message that a status carries whole, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024;

/// The gRPC status of `error`, which ended `call`; logs it.
///
/// The status carries the one-line message alone, and of `Exhausted` when to come back; what lies
/// beneath is for the log.
pub(crate) fn status(call: &'static str, error: &Error) -> Status {
    log(call, error);
    told(error)
}

/// The gRPC status of an error that was logged in another way.
pub(crate) fn told(error: &Error) -> Status {
    let (code, message) = (code(error.kind()), shortened(error.message()));
    if error.kind() != ErrorKind::Exhausted {
        return Status::new(code, message);
    }
    let details = retry_info(code, &message, retry_delay());
    Status::with_details(code, message, details.into())
}

/// When a caller that was turned away should come back: in one to two seconds, so that those who
/// were turned away together do not come back together.
fn retry_delay() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(1000 + u64::from(now.subsec_micros() % 1000))
}

/// `google.rpc.Status` with a `google.rpc.RetryInfo` in it, the form in which gRPC's clients
/// look for such a hint: `grpc-status-details-bin`, pyarrow's `extra_info`.
fn retry_info(code: Code, message: &str, delay: Duration) -> Vec<u8> {
    let retry_delay = prost_types::Duration {
        seconds: delay.as_secs() as i64,
        nanos: delay.subsec_nanos() as i32,
    };
    let info = RetryInfo { retry_delay: Some(retry_delay) };
    let detail = prost_types::Any { type_url: RETRY_INFO.to_owned(), value: info.encode_to_vec() };
    let message = message.to_owned();
    RpcStatus { code: code.into(), message, details: vec![detail] }.encode_to_vec()
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

/// Logs `error`, met by `call`, by how much an operator should care.
pub(crate) fn log(call: &'static str, error: &Error) {
    let kind = error.kind().name();
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let cause = cause.as_deref();
    match error.kind() {
        ErrorKind::Internal => error!(call, kind, cause, "{error}"),
        ErrorKind::Unavailable | ErrorKind::Data => warn!(call, kind, cause, "{error}"),
        _ => debug!(call, kind, cause, "{error}"),
    }
}

/// `message` without its middle where it is too long: a status travels in HTTP/2 headers, of which
/// clients take 8 KiB and less.
fn shortened(message: &str) -> Cow<'_, str> {
    if message.len() <= MAX_MESSAGE_BYTES {
        return Cow::Borrowed(message);
    }
    let head: String = message.chars().take(MAX_MESSAGE_BYTES / 4).collect();
    let tail = message.chars().rev().take(MAX_MESSAGE_BYTES / 4).collect::<Vec<_>>();
    Cow::Owned(format!("{head} ... {}", tail.into_iter().rev().collect::<String>()))
}

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Denied => Code::PermissionDenied,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::Stale => Code::Aborted,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Data => Code::DataLoss,
        ErrorKind::Internal => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_keep_their_ends() {
        let long = format!("filter `{}`: über", "(".repeat(100_000));
        let status = status("GetFlightInfo", &Error::invalid(long));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().len() < 2 * MAX_MESSAGE_BYTES);
        assert!(status.message().starts_with("filter") && status.message().ends_with("über"));
    }

    #[test]
    fn who_is_turned_away_is_told_when_to_come_back() {
        let status = status("DoGet", &Error::exhausted("all 2 streams are taken"));
        let told = RpcStatus::decode(status.details()).unwrap();
        assert_eq!((told.code, told.message.as_str()), (8, "all 2 streams are taken"));
        assert_eq!(told.details[0].type_url, RETRY_INFO);
        let info = RetryInfo::decode(told.details[0].value.as_slice()).unwrap();
        assert_eq!(info.retry_delay.unwrap().seconds, 1);
        assert!(super::status("DoGet", &Error::invalid("no")).details().is_empty());
    }
}

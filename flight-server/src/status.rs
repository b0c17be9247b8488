//! Our errors as gRPC's: the one match that maps kinds to codes, and the one place that logs them.

use std::borrow::Cow;

use flightcache_cache::{Error, ErrorKind};
use tonic::{Code, Status};
use tracing::{debug, error, warn};

/// Longest message that a status carries whole, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024;

/// The gRPC status of `error`, which ended `call`; logs it.
///
/// The status carries the one-line message alone; what lies beneath is for the log.
pub(crate) fn status(call: &'static str, error: &Error) -> Status {
    log(call, error);
    told(error)
}

/// The gRPC status of an error that was logged in another way.
pub(crate) fn told(error: &Error) -> Status {
    Status::new(code(error.kind()), shortened(error.message()))
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
}

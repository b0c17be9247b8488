//! Our errors as gRPC's: the one match that maps kinds to codes, and the one place that logs them.

use flightcache_cache::{Error, ErrorKind};
use tonic::{Code, Status};
use tracing::{debug, error, warn};

/// The gRPC status of `error`, which ended `call`.
///
/// The status carries the one-line message alone; what lies beneath is logged, by how much an
/// operator should care.
pub(crate) fn status(call: &'static str, error: &Error) -> Status {
    let kind = error.kind().name();
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let cause = cause.as_deref();
    match error.kind() {
        ErrorKind::Internal => error!(call, kind, cause, "{error}"),
        ErrorKind::Unavailable | ErrorKind::Data => warn!(call, kind, cause, "{error}"),
        _ => debug!(call, kind, cause, "{error}"),
    }
    Status::new(code(error.kind()), error.message())
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

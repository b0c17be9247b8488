//! Where log lines go and what they look like.

use std::{io, panic, thread};

use flightcache_cache::{Error, Result, is_guarded};
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// What is logged where nothing says otherwise.
const DEFAULT_FILTER: &str = "info";

/// Sends the log of the whole process to stderr: text on a terminal, JSON otherwise.
///
/// `filter` is in `RUST_LOG`'s language; absent: `info`.
///
/// # Errors
/// `Invalid` for a filter that does not parse, `Internal` if the process logs already.
pub fn init(filter: Option<&str>, terminal: bool) -> Result<()> {
    let filter = parse_filter(filter.unwrap_or(DEFAULT_FILTER))?;
    let text = terminal.then(|| fmt::layer().with_writer(io::stderr));
    let json = (!terminal).then(|| fmt::layer().json().flatten_event(true).with_writer(io::stderr));
    panic::set_hook(Box::new(log_panic));
    tracing_subscriber::registry().with(filter).with(text).with(json).try_init().map_err(|error| {
        Error::internal("the process logs already, start it once").with_source(error)
    })
}

/// A panic of a decoder on bytes it does not expect becomes an error, which is logged where it is
/// handled. Any other one is our bug. Its message is left out where it may quote data.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    if is_guarded() {
        return tracing::debug!(at, "a decoder panicked");
    }
    let message = panic.payload().downcast_ref::<&str>().copied().unwrap_or_default();
    let thread = thread::current();
    tracing::error!(at, thread = thread.name(), message, "panicked");
}

fn parse_filter(filter: &str) -> Result<EnvFilter> {
    EnvFilter::try_new(filter).map_err(|error| {
        let filter = filter.escape_debug();
        let message =
            format!("RUST_LOG `{filter}` is no filter: {error}; write one as info,h2=warn");
        Error::invalid(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_bad_ones_named() {
        assert!(parse_filter(DEFAULT_FILTER).is_ok());
        assert!(parse_filter("info,flightcache=debug").is_ok());
        let error = parse_filter("flightcache=loud").unwrap_err();
        assert!(error.message().starts_with("RUST_LOG `flightcache=loud`"), "{error}");
    }
}

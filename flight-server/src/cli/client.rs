//! Commands that ask a running node.

use flightcache_cache::{Error, ErrorKind, Result};

use super::{ClientCommand, output::Output, report, scan, sql, top, warm};
use crate::{client::Client, config::Environment};

/// Connects, asks, and writes the answer.
///
/// # Errors
/// What the node answered, `Unavailable` where nobody answers, and what cannot be written; see
/// [`conclude`](super::conclude) for a pipe that was closed.
pub async fn run(
    command: &ClientCommand,
    environment: &Environment,
    output: &mut Output,
) -> Result<()> {
    let connection = command.connection().connection(environment)?;
    let client = Client::open(&connection).await.map_err(with_flags)?;
    match command {
        ClientCommand::Scan(args) => scan::run(args, &client, output).await,
        ClientCommand::Sql(args) => sql::run(args, &client, output).await,
        ClientCommand::Datasets(_) => report::datasets(&client, output).await,
        ClientCommand::Warm(args) => warm::run(args, &client, output).await,
        ClientCommand::Refresh(args) => report::refresh(args, &client, output).await,
        ClientCommand::Evict(args) => report::evict(args, &client, output).await,
        ClientCommand::Stats(args) => report::stats(args, &client, output).await,
        ClientCommand::Top(args) => top::run(args, &client, output).await,
    }
}

/// `error` of connecting, with the flags that it may be the fault of.
fn with_flags(error: Error) -> Error {
    let flags = match error.kind() {
        ErrorKind::Invalid => "--ca, --cert, --key and --token",
        ErrorKind::Unavailable if !error.message().contains("; ") => "--url",
        _ => return error,
    };
    Error::new(error.kind(), format!("{}; check {flags}", error.message()))
}

//! `flightcache sql`: the rows of a query.

use std::io::{self, Read};

use flightcache_cache::{Error, Result};

use super::{arguments::SqlArgs, output::Output, rows::Rows};
use crate::client::Client;

/// Longest query that is read from standard input, in bytes; a node reads no longer one.
const MAX_QUERY_BYTES: u64 = 2 << 20;

pub(super) async fn run(args: &SqlArgs, client: &Client, output: &mut Output) -> Result<()> {
    let query = if args.query == "-" { from_stdin()? } else { args.query.clone() };
    let rows = Rows::of(&args.rows);
    rows.write(client.plan_sql(&query), client, output).await
}

fn from_stdin() -> Result<String> {
    let mut query = String::new();
    let read = io::stdin().lock().take(MAX_QUERY_BYTES).read_to_string(&mut query);
    read.map_err(|error| Error::invalid(format!("the query on standard input: {error}")))?;
    Ok(query)
}

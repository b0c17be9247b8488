//! `flightcache scan`: rows of a dataset, in the order of its endpoints.

use flightcache_cache::{Error, Result};
use flightcache_protocol::ScanCommand;
use futures::TryStreamExt;

use super::{
    arguments::{Format, ScanArgs},
    destination::Destination,
    format::sink,
    output::Output,
};
use crate::client::Client;

/// Rows of a table, which holds them all at once, unless `--limit` says otherwise.
const TABLE_ROWS: u64 = 100;

/// Endpoints read at once.
const PARALLEL: usize = 4;

pub(super) async fn run(args: &ScanArgs, client: &Client, output: &mut Output) -> Result<()> {
    if args.output.is_none() {
        return copy(args, client, output).await;
    }
    tokio::select! {
        copied = copy(args, client, output) => copied,
        // So that the temporary file is removed.
        Ok(()) = tokio::signal::ctrl_c() => {
            Err(Error::unavailable("interrupted; nothing was written"))
        }
    }
}

async fn copy(args: &ScanArgs, client: &Client, output: &mut Output) -> Result<()> {
    let format = args.format();
    let shortened = format == Format::Table && args.limit.is_none();
    // One row more than is shown tells whether there are more.
    let asked = if shortened { Some(TABLE_ROWS + 1) } else { args.limit };
    let mut left = if shortened { TABLE_ROWS } else { args.limit.unwrap_or(u64::MAX) };
    let plan = client.plan(&command(args, asked)).await?;
    let mut destination = Destination::open(args.output.as_deref(), output)?;
    let mut sink = sink(format, &plan.schema, &mut destination)?;
    let mut batches = client.read_all(plan.info.endpoint, PARALLEL);
    let mut more = false;
    while let Some(batch) = batches.try_next().await? {
        let rows = batch.num_rows() as u64;
        if rows > left {
            sink.write(&batch.slice(0, left as usize))?;
            more = true;
            break;
        }
        left -= rows;
        sink.write(&batch)?;
    }
    drop(batches);
    sink.finish()?;
    destination.commit()?;
    if shortened && more {
        output.note(format!("the first {TABLE_ROWS} rows; --limit N or --format csv shows more"));
    }
    Ok(())
}

fn command(args: &ScanArgs, limit: Option<u64>) -> ScanCommand {
    ScanCommand {
        columns: args.columns.clone(),
        filter: args.filter.clone(),
        limit,
        ..ScanCommand::dataset(&args.dataset)
    }
}

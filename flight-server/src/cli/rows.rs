//! Writes the rows of a scan or a query, in the order of its endpoints.

use std::path::Path;

use flightcache_cache::{Error, Result};
use futures::TryStreamExt;

use super::{
    arguments::{Format, RowsArgs},
    destination::Destination,
    format::sink,
    output::Output,
};
use crate::client::{Client, Plan};

/// Rows of a table, which holds them all at once, unless `--limit` says otherwise.
const TABLE_ROWS: u64 = 100;

/// Endpoints read at once.
const PARALLEL: usize = 4;

/// How rows are written, how many, and where to.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    format: Format,
    limit: Option<u64>,
    /// A file; else standard output.
    file: Option<&'a Path>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(args: &'a RowsArgs) -> Self {
        Self { format: args.format(), limit: args.limit, file: args.output.as_deref() }
    }

    fn is_shortened(self) -> bool {
        self.format == Format::Table && self.limit.is_none()
    }

    /// Rows to ask for: one more than is shown tells whether there are more.
    pub(super) fn asked(self) -> Option<u64> {
        if self.is_shortened() { Some(TABLE_ROWS + 1) } else { self.limit }
    }

    /// Writes what `plan` gives; a file is there whole or not at all.
    pub(super) async fn write(
        self,
        plan: impl Future<Output = Result<Plan>>,
        client: &Client,
        output: &mut Output,
    ) -> Result<()> {
        if self.file.is_none() {
            return self.copy(plan.await?, client, output).await;
        }
        tokio::select! {
            copied = async { self.copy(plan.await?, client, output).await } => copied,
            // So that the temporary file is removed.
            Ok(()) = tokio::signal::ctrl_c() => {
                Err(Error::unavailable("interrupted; nothing was written"))
            }
        }
    }

    async fn copy(self, plan: Plan, client: &Client, output: &mut Output) -> Result<()> {
        let mut left = if self.is_shortened() { Some(TABLE_ROWS) } else { self.limit };
        let mut destination = Destination::open(self.file, output)?;
        let mut sink = sink(self.format, &plan.schema, &mut destination)?;
        let mut batches = client.read_all(plan.info.endpoint, PARALLEL);
        let mut more = false;
        while let Some(batch) = batches.try_next().await? {
            let rows = batch.num_rows() as u64;
            if let Some(left) = left.filter(|left| rows > *left) {
                sink.write(&batch.slice(0, left as usize))?;
                more = true;
                break;
            }
            left = left.map(|left| left - rows);
            sink.write(&batch)?;
            if left == Some(0) && !self.is_shortened() {
                break;
            }
        }
        drop(batches);
        sink.finish()?;
        destination.commit()?;
        if self.is_shortened() && more {
            output
                .note(format!("the first {TABLE_ROWS} rows; --limit N or --format csv shows more"));
        }
        Ok(())
    }
}

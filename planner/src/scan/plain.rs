//! Splits whose batches are the cached columns as they are: a client that has the chunks needs no
//! stream.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::physical_expr::{expressions::Column, projection::ProjectionExprs};
use flightcache_cache::{FetchRequest, Result};
use flightcache_connectors::Footer;
use flightcache_protocol::{ScanCommand, TicketSplit};

use super::{Planner, check::Scan, file_adapter};
use crate::{
    error::from_datafusion,
    source::{
        opener::{rows_of, with_first_rows},
        prune,
    },
    table::{DatasetTable, TableObject},
};

/// A row group that a split gives whole, as it lies in chunks.
#[derive(Clone, Debug)]
pub struct PlainRowGroup {
    /// Ordinal in its file.
    pub row_group: u32,
    /// Its first row, counted from the start of the file.
    pub first_row: u64,
    /// Its rows, at least one.
    pub rows: u64,
    /// A chunk for each column of the scan's schema, in its order.
    pub chunks: FetchRequest,
}

impl Planner {
    /// The row groups that `split` of `command` gives, in file order, if it gives all their rows and
    /// each column is one of the file as it is cached: not where a filter must be kept to, and not
    /// where a column comes from a folder, is missing in the file, has another type there or is INT96.
    ///
    /// # Errors
    /// As [`Planner::read`]; what reading the footer gives.
    pub async fn plain(
        &self,
        table: &DatasetTable,
        command: &ScanCommand,
        split: &TicketSplit,
    ) -> Result<Option<Vec<PlainRowGroup>>> {
        let scan = Scan::check(&self.parser, table, command)?;
        let object = table.object(&split.path, &split.etag, split.size)?;
        let filtered = scan.filter.is_some() && !scan.advisory;
        if filtered || scan.projection.is_empty() || !object.object.id.is_versioned() {
            return Ok(None);
        }
        let footer = self.context().footers.get(&object.object.id).await?;
        let Some(columns) = plain_columns(table, &scan, object, &footer)? else { return Ok(None) };
        let kept = kept(table, &scan, object, &footer, split)?;
        let row_groups = with_first_rows(&footer, &kept).into_iter();
        let row_groups = row_groups.map(|(row_group, first_row)| PlainRowGroup {
            row_group,
            first_row,
            rows: rows_of(&footer, row_group),
            chunks: FetchRequest::columns(Arc::clone(&object.object.id), row_group, &columns),
        });
        Ok(Some(row_groups.filter(|row_group| row_group.rows > 0).collect()))
    }
}

/// The ordinal in the file of each column of the scan, if each is one of the file's.
fn plain_columns(
    table: &DatasetTable,
    scan: &Scan,
    object: &TableObject,
    footer: &Footer,
) -> Result<Option<Vec<u32>>> {
    let projection = ProjectionExprs::from_indices(&scan.projection, table.schema());
    let projection = file_adapter(table, object, footer)
        .and_then(|adapter| adapter.projection(projection))
        .map_err(|error| from_datafusion(&error))?;
    let columns = projection.expr_iter().zip(scan.schema.fields()).map(|(expr, shown)| {
        let column = expr.downcast_ref::<Column>()?;
        // A file of the cache does not tell what of it is INT96; a stream's schema does.
        let told = !footer.holds_int96(column.index());
        let alike = is_alike(&footer.schema, column.index(), shown);
        (alike && told).then_some(column.index() as u32)
    });
    Ok(columns.collect())
}

fn is_alike(file: &Schema, column: usize, shown: &Field) -> bool {
    file.fields().get(column).is_some_and(|held| {
        held.name() == shown.name()
            && held.data_type() == shown.data_type()
            && held.is_nullable() == shown.is_nullable()
    })
}

/// The row groups of `split` that a read of it does not prune.
fn kept(
    table: &DatasetTable,
    scan: &Scan,
    object: &TableObject,
    footer: &Footer,
    split: &TicketSplit,
) -> Result<Vec<u32>> {
    let adapter = file_adapter(table, object, footer).map_err(|error| from_datafusion(&error))?;
    let hint = scan.prune.clone().map(|prune| adapter.expr(prune)).transpose();
    let hint = hint.map_err(|error| from_datafusion(&error))?;
    let mut kept = prune::row_groups(footer, hint.as_ref(), split.start..split.end);
    if let Some(named) = &scan.row_groups {
        kept.retain(|row_group| named.contains(row_group));
    }
    Ok(kept)
}

//! A scan command checked against a table: what it reads, filters and prunes by.

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::physical_expr::{
    PhysicalExpr, split_conjunction,
    utils::{collect_columns, conjunction_opt},
};
use flightcache_cache::{Error, PIECE_ROWS, Result};
use flightcache_protocol::ScanCommand;

use crate::{names::near, predicate::PredicateParser, table::DatasetTable};

/// Bytes that the literals of a filter may come to over all rows it is evaluated for at a time.
const MAX_FILTER_BYTES: usize = 64 << 20;

/// A command checked against a table.
pub(super) struct Scan {
    /// Rows for which this is not true are left out: all of them, or where that pays if the filter
    /// is `advisory`.
    pub(super) filter: Option<Arc<dyn PhysicalExpr>>,
    pub(super) advisory: bool,
    pub(super) filter_rows: usize,
    /// What row groups are pruned by, beside the filter.
    pub(super) prune: Option<Arc<dyn PhysicalExpr>>,
    pub(super) projection: Vec<usize>,
    pub(super) schema: SchemaRef,
    /// The row groups to read; all if absent.
    pub(super) row_groups: Option<Arc<HashSet<u32>>>,
}

impl Scan {
    /// What `command` asks of `table`.
    ///
    /// # Errors
    /// `Invalid` naming a column or row group that does not exist or a predicate that does not type.
    pub(super) fn check(
        parser: &PredicateParser,
        table: &DatasetTable,
        command: &ScanCommand,
    ) -> Result<Self> {
        let schema = table.schema();
        let parse = |what, sql: &Option<String>| {
            sql.as_ref().map(|sql| parser.parse(what, sql, schema)).transpose()
        };
        let projection = projection(schema, command.columns.as_deref())?;
        let projected = schema
            .project(&projection)
            .map_err(|error| Error::internal("projection failed").with_source(error))?;
        let filter = parse("filter", &command.filter)?;
        let prefilter = parse("prefilter", &command.prefilter)?;
        let advisory = filter.is_none() && prefilter.is_some();
        let text = if advisory { &command.prefilter } else { &command.filter };
        let prunes = parse("prune", &command.prune)?.into_iter().chain(prefilter.clone());
        Ok(Self {
            filter: if advisory { within(prefilter, &projected) } else { filter },
            advisory,
            filter_rows: text.as_ref().map_or(PIECE_ROWS, |sql| rows_at_once(sql)),
            prune: conjunction_opt(prunes),
            projection,
            schema: Arc::new(projected),
            row_groups: row_groups(table, command)?,
        })
    }
}

/// The parts of `prefilter` whose columns are read anyway: others would cost more than they spare.
fn within(
    prefilter: Option<Arc<dyn PhysicalExpr>>,
    projected: &Schema,
) -> Option<Arc<dyn PhysicalExpr>> {
    let prefilter = prefilter?;
    let is_read = |part: &&Arc<dyn PhysicalExpr>| {
        collect_columns(part).iter().all(|column| projected.index_of(column.name()).is_ok())
    };
    conjunction_opt(split_conjunction(&prefilter).into_iter().filter(is_read).cloned())
}

/// Rows that a filter is evaluated over at a time: each row's value may hold all of its literals.
fn rows_at_once(sql: &str) -> usize {
    MAX_FILTER_BYTES / sql.len().max(1)
}

/// Ordinals of `columns`, or of all.
///
/// # Errors
/// `Invalid` naming a column that does not exist or is asked for twice.
pub(super) fn projection(schema: &Schema, columns: Option<&[String]>) -> Result<Vec<usize>> {
    let Some(columns) = columns else { return Ok((0..schema.fields().len()).collect()) };
    let mut seen = HashSet::new();
    columns
        .iter()
        .map(|name| {
            if !seen.insert(name) {
                return Err(Error::invalid(format!("column `{name}` is asked for twice")));
            }
            schema.index_of(name).map_err(|_| {
                let known = schema.fields().iter().map(|field| field.name().as_str());
                Error::invalid(format!(
                    "column `{name}` does not exist in the dataset{}",
                    near(name, known)
                ))
            })
        })
        .collect()
}

/// The row groups that `command` names.
fn row_groups(table: &DatasetTable, command: &ScanCommand) -> Result<Option<Arc<HashSet<u32>>>> {
    let Some(named) = &command.row_groups else { return Ok(None) };
    let [object] = table.objects.as_slice() else {
        let objects = table.objects.len();
        return Err(Error::invalid(format!(
            "`row_groups` are of one object, and the `url` names {objects}"
        )));
    };
    let end = object.splits.last().map_or(0, |split| split.row_groups.end);
    match named.iter().find(|ordinal| **ordinal >= end) {
        Some(unknown) => {
            let path = &object.object.id.path;
            Err(Error::invalid(format!("{path} has {end} row groups, no {unknown}")))
        }
        None => Ok(Some(Arc::new(named.iter().copied().collect()))),
    }
}

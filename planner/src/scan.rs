//! Plans and reads scans: the main path of a read.
//!
//! ```text
//!  ScanCommand ── plan ──► splits that may hold matching rows, each one endpoint
//!  a split ────── read ──► DataSourceExec(CachedSource) ──► batches
//! ```

mod check;
mod plain;

use std::{collections::HashSet, fmt, mem, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder},
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    execution::{TaskContext, object_store::ObjectStoreUrl},
    physical_expr::{PhysicalExpr, projection::ProjectionExprs, utils::conjunction_opt},
    physical_plan::{ExecutionPlan, execute_stream},
    prelude::{SessionConfig, SessionContext},
};
use flightcache_cache::{ChunkSource, FetchRequest, PIECE_ROWS, Result};
use flightcache_connectors::{Footer, Footers, Snapshot, midpoint};
use flightcache_protocol::{
    ColumnStatistics, RowGroupMetadata, ScanCommand, SplitObject, TicketSplit,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use self::check::Scan;
pub use self::plain::PlainRowGroup;
use crate::{
    error::from_datafusion,
    predicate::PredicateParser,
    source::adapt::FileAdapter,
    source::ahead::LookAhead,
    source::late::Selectivities,
    source::opener::{FileSplit, columns_of},
    source::prune,
    source::{CachedSource, ScanContext},
    table::bounds::Bounds,
    table::tables::Tables,
    table::{DatasetTable, TableObject},
};

/// Objects whose footers are looked at together while a scan is planned.
const OBJECTS_AT_ONCE: usize = 64;

/// Pruned objects that are told: an answer must not grow with what is not read.
const MAX_PRUNED: usize = 10_000;

/// Plans and reads scans of cached datasets.
#[derive(Debug)]
pub struct Planner {
    context: ScanContext,
    parser: PredicateParser,
    tables: Tables,
    selectivities: Selectivities,
    session: Session,
}

/// What plans run in; DataFusion's own type has no `Debug`.
struct Session(Arc<TaskContext>);

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(..)")
    }
}

/// The batches of a scan.
pub type BatchStream = BoxStream<'static, Result<RecordBatch>>;

/// A planned scan.
#[derive(Clone, Debug)]
pub struct ScanPlan {
    /// The schema of every batch.
    pub schema: SchemaRef,
    /// The splits to read, in path and file order.
    pub splits: Vec<PlannedSplit>,
    /// With a `prune`, the objects none of whose row groups may match; they show no row groups.
    pub pruned: Vec<SplitObject>,
    /// Rows in all, where no filter makes that unknown.
    pub rows: Option<u64>,
    /// Whether the splits must be read through one endpoint, since only a reader of all of them
    /// can tell when the limit is reached.
    pub single_endpoint: bool,
}

/// One split of a planned scan.
#[derive(Clone, Debug)]
pub struct PlannedSplit {
    /// What a ticket says of it.
    pub ticket: TicketSplit,
    /// The object and those of its row groups that may hold matching rows.
    pub object: SplitObject,
    /// Rows to return at most, where a limit ends inside or before this split.
    pub limit: Option<u64>,
    /// Rows before any filter and limit.
    pub rows: u64,
}

impl Planner {
    /// A planner that reads `chunks`, and footers through `footers`; all its scans together may
    /// read ahead by `ahead_bytes` decoded bytes.
    pub fn new(chunks: Arc<dyn ChunkSource>, footers: Arc<Footers>, ahead_bytes: u64) -> Self {
        let config = SessionConfig::new().with_batch_size(PIECE_ROWS).with_target_partitions(1);
        Self {
            context: ScanContext { chunks, footers, ahead: LookAhead::new(ahead_bytes) },
            parser: PredicateParser::new(),
            tables: Tables::default(),
            selectivities: Selectivities::default(),
            session: Session(SessionContext::new_with_config(config).task_ctx()),
        }
    }

    /// What its scans read from.
    pub(crate) fn context(&self) -> &ScanContext {
        &self.context
    }

    /// The table of a snapshot, built once and kept while it is used.
    ///
    /// # Errors
    /// What reading the footers gives; `Data` naming a file whose schema cannot be reconciled.
    pub async fn table(&self, snapshot: &Arc<Snapshot>) -> Result<Arc<DatasetTable>> {
        self.tables.get(snapshot, &self.context.footers).await
    }

    /// The schema of the batches that `command` gives.
    ///
    /// # Errors
    /// `Invalid` naming a column that does not exist or a predicate that does not type.
    pub fn schema(&self, table: &DatasetTable, command: &ScanCommand) -> Result<SchemaRef> {
        Ok(Scan::check(&self.parser, table, command)?.schema)
    }

    /// Plans `command`: the splits that may hold matching rows, pruned by partition values,
    /// statistics and page indexes.
    ///
    /// # Errors
    /// `Invalid` naming a column or row group that does not exist or a predicate that does not
    /// type; what reading a footer gives.
    pub async fn plan(&self, table: &DatasetTable, command: &ScanCommand) -> Result<ScanPlan> {
        let scan = Scan::check(&self.parser, table, command)?;
        let hint = conjunction_opt(scan.filter.iter().chain(&scan.prune).cloned());
        let mut splits = plan_splits(&self.context, &table.schema, table, hint.as_ref()).await?;
        let pruned = if scan.prune.is_some() { pruned(table, &splits) } else { Vec::new() };
        if let Some(named) = &scan.row_groups {
            keep_row_groups(&mut splits, named);
        }
        let single_endpoint = scan.filter.is_some() && command.limit.is_some();
        let mut rows = None;
        if scan.filter.is_none() {
            rows = Some(limit_splits(&mut splits, command.limit));
        }
        Ok(ScanPlan { schema: scan.schema, splits, pruned, rows, single_endpoint })
    }

    /// Reads one split of `command`, or all of them if `split` is absent, at most `limit` rows.
    ///
    /// Each batch tells which rows of the file it covers; see
    /// [`covered_rows`](crate::covered_rows). The stream does its work where it is polled.
    ///
    /// # Errors
    /// `Stale` if the table has no such object version; `Invalid` as [`plan`](Self::plan).
    pub fn read(
        &self,
        table: &DatasetTable,
        command: &ScanCommand,
        split: Option<&TicketSplit>,
        limit: Option<u64>,
    ) -> Result<(SchemaRef, BatchStream)> {
        let scan = Scan::check(&self.parser, table, command)?;
        let files = match split {
            Some(split) => {
                let object = table.object(&split.path, &split.etag, split.size)?;
                vec![partitioned_file(object, split.start..split.end)]
            }
            None => table
                .objects
                .iter()
                .flat_map(|object| {
                    let ranges = object.splits.iter();
                    ranges.map(|range| partitioned_file(object, range.row_groups.clone()))
                })
                .collect(),
        };
        let only = |file: PartitionedFile| match &scan.row_groups {
            Some(named) => only_row_groups(file, named),
            None => file,
        };
        let files = files.into_iter().map(only).collect();
        let plan = self.scan_plan(table, (&scan, command), files, limit)?;
        let batches = execute_stream(plan, Arc::clone(&self.session.0))
            .map_err(|error| from_datafusion(&error))?
            .map(|batch| batch.map_err(|error| from_datafusion(&error)));
        Ok((scan.schema, batches.boxed()))
    }

    /// The chunks that `command` reads, one request a fragment, for warming.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub async fn fragments(
        &self,
        table: &DatasetTable,
        command: &ScanCommand,
    ) -> Result<Vec<FetchRequest>> {
        let scan = Scan::check(&self.parser, table, command)?;
        let plan = self.plan(table, command).await?;
        let mut requests = Vec::new();
        for split in plan.splits {
            let ticket = &split.ticket;
            let object = table.object(&ticket.path, &ticket.etag, ticket.size)?;
            let footer = self.context.footers.get(&object.object.id).await?;
            let columns = file_columns(table, &scan, object, &footer)
                .map_err(|error| from_datafusion(&error))?;
            requests.extend(split.object.row_groups.iter().map(|row_group| {
                FetchRequest::columns(Arc::clone(&object.object.id), row_group.ordinal, &columns)
            }));
        }
        Ok(requests)
    }

    /// What footers tell exactly of the columns that `command` asks for by `statistics`.
    ///
    /// # Errors
    /// `Invalid` naming a column that does not exist; what reading a footer gives.
    pub async fn statistics(
        &self,
        table: &DatasetTable,
        command: &ScanCommand,
    ) -> Result<Vec<ColumnStatistics>> {
        let Some(names) = &command.statistics else { return Ok(Vec::new()) };
        let columns = check::projection(table.schema(), Some(names))?;
        let (schema, in_files) = (table.schema(), table.schema.file_schema().fields().len());
        let mut all = vec![Bounds::EMPTY; columns.len()];
        let loading = table.objects.iter().map(|object| load(&self.context.footers, object));
        let mut loading = stream::iter(loading.collect::<Vec<_>>()).buffered(OBJECTS_AT_ONCE);
        while let Some((object, footer)) = loading.try_next().await? {
            let rows = footer.row_group_rows().sum();
            for (bounds, &at) in all.iter_mut().zip(&columns) {
                let folder =
                    at.checked_sub(in_files).and_then(|at| object.partition_values.get(at));
                let more = match folder {
                    Some(value) => Bounds::of_folder(value, rows),
                    None => Bounds::of_file(&footer, schema.field(at)),
                };
                *bounds = mem::replace(bounds, Bounds::EMPTY).join(more);
            }
        }
        Ok(all.into_iter().zip(names).map(|(bounds, name)| bounds.told(name)).collect())
    }

    fn scan_plan(
        &self,
        table: &DatasetTable,
        (scan, command): (&Scan, &ScanCommand),
        files: Vec<PartitionedFile>,
        limit: Option<u64>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let source = CachedSource::new(self.context.clone(), table.schema.clone())
            .with_filter(scan.filter.clone(), scan.filter_rows)
            .with_advisory(scan.advisory)
            .with_prune(scan.prune.clone())
            .with_row_ranges();
        let source = match command.filter.as_ref().or(command.prefilter.as_ref()) {
            Some(filter) => source.with_selectivity(self.selectivities.of(table, filter)),
            None => source,
        };
        // The URL names a store that is always registered and never read: chunks come from the cache.
        let config =
            FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
                .with_projection_indices(Some(scan.projection.clone()))
                .map_err(|error| from_datafusion(&error))?
                .with_file_groups(vec![FileGroup::new(files)])
                .with_limit(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)))
                .with_preserve_order(true)
                .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

async fn load<'a>(
    footers: &Footers,
    object: &'a TableObject,
) -> Result<(&'a TableObject, Arc<Footer>)> {
    footers.get(&object.object.id).await.map(|footer| (object, footer))
}

/// Ordinals of the columns of one file that a scan needs.
fn file_columns(
    table: &DatasetTable,
    scan: &Scan,
    object: &TableObject,
    footer: &Footer,
) -> datafusion::error::Result<Vec<u32>> {
    let adapter = file_adapter(table, object, footer)?;
    let filter = scan.filter.clone().map(|filter| adapter.expr(filter)).transpose()?;
    let projection = ProjectionExprs::from_indices(&scan.projection, table.schema());
    let projection = adapter.projection(projection)?;
    let columns = columns_of(filter.into_iter().chain(projection.expr_iter()));
    Ok(columns.into_iter().map(|column| column as u32).collect())
}

fn file_adapter(
    table: &DatasetTable,
    object: &TableObject,
    footer: &Footer,
) -> datafusion::error::Result<FileAdapter> {
    FileAdapter::try_new(&table.schema, Arc::clone(&footer.schema), &object.partition_values)
}

/// The splits of `table` without row groups in which `hint`, over `schema`, is never true.
///
/// # Errors
/// What reading a footer gives; `Internal` if the hint does not fit the schema.
pub(crate) async fn plan_splits(
    context: &ScanContext,
    schema: &TableSchema,
    table: &DatasetTable,
    hint: Option<&Arc<dyn PhysicalExpr>>,
) -> Result<Vec<PlannedSplit>> {
    let planning = table.objects.iter().map(|object| async move {
        let footer = context.footers.get(&object.object.id).await?;
        let hint = hint
            .map(|hint| {
                let columns = Arc::clone(&footer.schema);
                let adapter = FileAdapter::try_new(schema, columns, &object.partition_values)?;
                adapter.expr(Arc::clone(hint))
            })
            .transpose()
            .map_err(|error| from_datafusion(&error))?;
        Ok(plan_object(object, &footer, hint.as_ref()))
    });
    let splits: Vec<Vec<PlannedSplit>> =
        stream::iter(planning.collect::<Vec<_>>()).buffered(OBJECTS_AT_ONCE).try_collect().await?;
    Ok(splits.into_iter().flatten().collect())
}

/// The splits of one object, `hint` being over its own schema.
fn plan_object(
    object: &TableObject,
    footer: &Footer,
    hint: Option<&Arc<dyn PhysicalExpr>>,
) -> Vec<PlannedSplit> {
    let described = row_groups_metadata(footer);
    let mut planned = Vec::with_capacity(object.splits.len());
    for split in &object.splits {
        let kept = prune::row_groups(footer, hint, split.row_groups.clone());
        let row_groups: Vec<_> = kept
            .into_iter()
            .filter_map(|ordinal| described.get(ordinal as usize).copied())
            .collect();
        if row_groups.is_empty() {
            continue;
        }
        let id = &object.object.id;
        planned.push(PlannedSplit {
            rows: row_groups.iter().map(|row_group| row_group.rows).sum(),
            ticket: TicketSplit {
                path: id.path.clone(),
                etag: id.etag.clone(),
                size: id.size,
                start: split.row_groups.start,
                end: split.row_groups.end,
            },
            object: split_object(object, row_groups),
            limit: None,
        });
    }
    planned
}

/// The objects of `table` that `splits` do not read, in path order, as far as they are told.
fn pruned(table: &DatasetTable, splits: &[PlannedSplit]) -> Vec<SplitObject> {
    let read: HashSet<_> = splits.iter().map(|split| split.object.path.as_str()).collect();
    let left = table.objects.iter().filter(|object| !read.contains(object.object.id.path.as_str()));
    left.take(MAX_PRUNED).map(|object| split_object(object, Vec::new())).collect()
}

fn split_object(object: &TableObject, row_groups: Vec<RowGroupMetadata>) -> SplitObject {
    let id = &object.object.id;
    SplitObject {
        path: id.path.clone(),
        size: id.size,
        etag: id.etag.clone(),
        modified_ms: object.object.last_modified_ms,
        row_groups,
    }
}

/// Drops from `splits` the row groups that `named` does not name.
fn keep_row_groups(splits: &mut Vec<PlannedSplit>, named: &HashSet<u32>) {
    splits.retain_mut(|split| {
        let row_groups = &mut split.object.row_groups;
        row_groups.retain(|row_group| named.contains(&row_group.ordinal));
        split.rows = row_groups.iter().map(|row_group| row_group.rows).sum();
        !row_groups.is_empty()
    });
}

fn only_row_groups(file: PartitionedFile, named: &Arc<HashSet<u32>>) -> PartitionedFile {
    let Some(split) = file.extension::<FileSplit>().cloned() else { return file };
    file.with_extension(FileSplit { only: Some(Arc::clone(named)), ..split })
}

/// Gives each split its share of `limit` and drops those with none; the rows in all.
fn limit_splits(splits: &mut Vec<PlannedSplit>, limit: Option<u64>) -> u64 {
    let mut left = limit.unwrap_or(u64::MAX);
    splits.retain_mut(|split| {
        let wanted = left > 0;
        if split.rows > left {
            split.limit = Some(left);
        }
        left = left.saturating_sub(split.rows);
        wanted
    });
    splits.iter().map(|split| split.limit.unwrap_or(split.rows)).sum()
}

pub(crate) fn partitioned_file(
    object: &TableObject,
    row_groups: std::ops::Range<u32>,
) -> PartitionedFile {
    let id = &object.object.id;
    PartitionedFile::new(id.path.clone(), id.size)
        .with_partition_values(object.partition_values.clone())
        .with_extension(FileSplit::new(Arc::clone(id), row_groups))
}

/// What is told of every row group of a file.
fn row_groups_metadata(footer: &Footer) -> Vec<RowGroupMetadata> {
    let mut next_row = 0;
    let groups = (0..).zip(footer.metadata.row_groups());
    groups
        .map(|(ordinal, group)| {
            let (rows, first_row) = (u64::try_from(group.num_rows()).unwrap_or(0), next_row);
            next_row += rows;
            // A row group without columns has no bytes: no range can hold it but that of its start.
            let midpoint = midpoint(footer, ordinal).unwrap_or(0);
            RowGroupMetadata { ordinal, first_row, rows, midpoint }
        })
        .collect()
}

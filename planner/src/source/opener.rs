//! Opens one split: footer, pruning, chunks, batches.

use std::{
    collections::{BTreeSet, HashSet},
    ops::Range,
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    datasource::{
        listing::{FileRange, PartitionedFile},
        physical_plan::{FileOpenFuture, FileOpener, FileSource},
    },
    error::Result,
    physical_expr::{
        PhysicalExpr,
        utils::{collect_columns, conjunction_opt},
    },
    physical_expr_common::physical_expr::{snapshot_generation, snapshot_physical_expr},
};
use flightcache_cache::{Chunk, Error, FetchRequest, ObjectId, Tally};
use flightcache_connectors::{Footer, estimate_bytes, midpoint, stored_bytes};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};

use crate::{
    error::external,
    source::CachedSource,
    source::adapt::FileAdapter,
    source::fragment::{Evaluation, FragmentBatches},
    source::late::Payload,
    source::metrics::ScanMetrics,
    source::prune,
};

/// What a `PartitionedFile` of a cached scan carries: the split to read.
#[derive(Clone, Debug)]
pub(crate) struct FileSplit {
    /// The object version.
    pub(crate) object: Arc<ObjectId>,
    /// The row groups to read, before pruning.
    pub(crate) row_groups: Range<u32>,
    /// Of these only those named here, where some are.
    pub(crate) only: Option<Arc<HashSet<u32>>>,
}

impl FileSplit {
    /// `row_groups` of `object`.
    pub(crate) fn new(object: Arc<ObjectId>, row_groups: Range<u32>) -> Self {
        Self { object, row_groups, only: None }
    }

    fn names(&self, row_group: u32) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&row_group))
    }
}

/// Opens the files of one partition of a [`CachedSource`].
#[derive(Clone, Debug)]
pub(crate) struct CachedOpener {
    source: CachedSource,
    output: SchemaRef,
    metrics: Arc<ScanMetrics>,
}

impl CachedOpener {
    pub(crate) fn try_new(source: CachedSource, partition: usize) -> Result<Self> {
        let output =
            Arc::new(source.projection.project_schema(source.table_schema.table_schema())?);
        let metrics = Arc::new(ScanMetrics::new(source.metrics(), partition));
        Ok(Self { source, output, metrics })
    }
}

impl FileOpener for CachedOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let split = file.extension::<FileSplit>().cloned().ok_or_else(|| {
            external(Error::internal(format!("{} is not a cached split", file.path())))
        })?;
        let opener = self.clone();
        Ok(async move {
            let footers = &opener.source.context.footers;
            let footer = footers.get(&split.object).await.map_err(external)?;
            Ok(SplitScan::try_new(opener, &file, split, footer)?.batches().boxed())
        }
        .boxed())
    }
}

/// One split with everything decided.
struct SplitScan {
    source: CachedSource,
    metrics: Arc<ScanMetrics>,
    split: FileSplit,
    footer: Arc<Footer>,
    /// Row groups that may match, with the row of the file each starts at.
    row_groups: Vec<(u32, u64)>,
    /// Ordinals of the file's columns that are fetched.
    columns: Vec<u32>,
    /// Those of them that the filter needs, and those that only the output needs.
    early: Vec<u32>,
    payload: Vec<u32>,
    evaluation: Arc<Evaluation>,
    /// The dynamic filter over the file's own schema, with its state when the file was opened.
    dynamic: Option<(Arc<dyn PhysicalExpr>, u64)>,
}

impl SplitScan {
    fn try_new(
        opener: CachedOpener,
        file: &PartitionedFile,
        split: FileSplit,
        footer: Arc<Footer>,
    ) -> Result<Self> {
        let CachedOpener { source, output, metrics } = opener;
        let columns = Arc::clone(&footer.schema);
        let adapter = FileAdapter::try_new(&source.table_schema, columns, &file.partition_values)?;
        let adapt = |expr: &Option<_>| expr.clone().map(|expr| adapter.expr(expr)).transpose();
        let (filter, prune) = (adapt(&source.filter)?, adapt(&source.prune)?);
        let dynamic = adapt(&source.dynamic)?;
        let projection = adapter.projection(source.projection.clone())?;

        let known = dynamic.clone().map(snapshot_physical_expr).transpose()?;
        let hint = conjunction_opt(filter.iter().chain(&prune).chain(&known).cloned());
        let range = |row_group: &u32| {
            split.names(*row_group) && in_range(&footer, *row_group, file.range.as_ref())
        };
        let asked = prune::row_groups(&footer, None, split.row_groups.clone());
        let asked = asked.iter().filter(|row_group| range(row_group)).count();
        let mut kept = prune::row_groups(&footer, hint.as_ref(), split.row_groups.clone());
        kept.retain(range);
        metrics.pruned(asked - kept.len());
        let row_groups = with_first_rows(&footer, &kept);

        let columns = columns_of(filter.iter().cloned().chain(projection.expr_iter()));
        let early = ordinals(columns_of(filter.iter().cloned()));
        let payload: Vec<_> = ordinals(columns.clone())
            .into_iter()
            .filter(|column| !early.contains(column))
            .collect();
        let evaluation = Evaluation::try_new(
            &adapter.file_schema().project(&columns)?,
            (filter, projection),
            &source,
            (output, Arc::clone(&metrics)),
        )?;
        let dynamic = dynamic.map(|dynamic| {
            let generation = snapshot_generation(&dynamic);
            (dynamic, generation)
        });
        Ok(Self {
            source,
            metrics,
            split,
            footer,
            row_groups,
            columns: ordinals(columns),
            early,
            payload,
            evaluation: Arc::new(evaluation),
            dynamic,
        })
    }

    fn batches(self) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
        let scan = Arc::new(self);
        let fragments = scan.row_groups.iter().map(|&(row_group, first_row)| {
            let bytes = estimate_bytes(&scan.footer, row_group, &scan.columns);
            ((row_group, first_row), bytes)
        });
        let fragments = fragments.collect();
        let ahead = scan.source.context.ahead.clone();
        ahead
            .fetch(fragments, move |(row_group, first_row)| {
                Arc::clone(&scan).fragment(row_group, first_row)
            })
            .map_ok(stream::iter)
            .try_flatten()
    }

    /// Whether the dynamic filter has become such that `row_group` cannot hold a matching row.
    fn is_ruled_out(&self, row_group: u32) -> Result<bool> {
        let Some((dynamic, opened)) = &self.dynamic else { return Ok(false) };
        if snapshot_generation(dynamic) == *opened {
            return Ok(false);
        }
        let known = snapshot_physical_expr(Arc::clone(dynamic))?;
        let range = row_group..row_group + 1;
        Ok(prune::row_groups(&self.footer, Some(&known), range).is_empty())
    }

    async fn fragment(self: Arc<Self>, row_group: u32, first_row: u64) -> Result<FragmentBatches> {
        if self.is_ruled_out(row_group)? {
            self.metrics.pruned(1);
            return Ok(FragmentBatches::none(Arc::clone(&self.evaluation)));
        }
        let rows = usize::try_from(rows_of(&self.footer, row_group))
            .map_err(|_| external(Error::data("row group has too many rows")))?;
        let (chunks, payload) = if self.columns.is_empty() || rows == 0 {
            (Vec::new(), None)
        } else if self.is_late(row_group) {
            let early = self.fetch(row_group, &self.early).await?.0;
            if !self.evaluation.matches(&early, rows).await? {
                return Ok(FragmentBatches::none(Arc::clone(&self.evaluation)));
            }
            let (late, came) = self.fetch(row_group, &self.payload).await?;
            (self.in_order(early, late), Some(came))
        } else {
            let (chunks, came) = self.fetch(row_group, &self.columns).await?;
            (chunks, (!self.early.is_empty() && !self.payload.is_empty()).then_some(came))
        };
        let evaluation = Arc::clone(&self.evaluation);
        let batches = FragmentBatches::try_new(evaluation, &chunks, row_group, first_row, rows);
        let batches = batches.map_err(external)?;
        Ok(match payload {
            Some(came) => batches.noting(came),
            None => batches,
        })
    }

    /// Whether the payload of `row_group` waits until a row has passed the filter.
    fn is_late(&self, row_group: u32) -> bool {
        !self.early.is_empty()
            && !self.payload.is_empty()
            && self.source.selectivity.is_late(stored_bytes(&self.footer, row_group, &self.payload))
    }

    async fn fetch(&self, row_group: u32, columns: &[u32]) -> Result<(Vec<Chunk>, Payload)> {
        let object = Arc::clone(&self.split.object);
        let request = FetchRequest::columns(object, row_group, columns).counted(Tally::counting());
        let chunks = self.source.context.chunks.fetch(&request).await.map_err(external)?;
        let tallied = request.tally.tallied();
        self.metrics.fetched(&tallied);
        let missed = tallied.misses > 0 || tallied.joined > 0 || tallied.origin_requests > 0;
        Ok((chunks, if missed { Payload::Missed } else { Payload::Held }))
    }

    /// The chunks of all columns, of which `early` are the filter's and `late` the others.
    fn in_order(&self, early: Vec<Chunk>, late: Vec<Chunk>) -> Vec<Chunk> {
        let (mut early, mut late) = (early.into_iter(), late.into_iter());
        let mut next = |column: &u32| {
            if self.early.contains(column) { early.next() } else { late.next() }
        };
        self.columns.iter().filter_map(&mut next).collect()
    }
}

fn ordinals(columns: Vec<usize>) -> Vec<u32> {
    columns.into_iter().map(|column| column as u32).collect()
}

/// Whether `row_group` belongs to a byte range: whether its midpoint lies in it, so that ranges that
/// cover a file read each row group once.
fn in_range(footer: &Footer, row_group: u32, range: Option<&FileRange>) -> bool {
    let Some(range) = range else { return true };
    let midpoint = midpoint(footer, row_group).and_then(|at| i64::try_from(at).ok());
    midpoint.is_some_and(|at| range.contains(at))
}

/// Ordinals of the columns that `expressions` over a file's schema use, ascending.
pub(crate) fn columns_of(expressions: impl Iterator<Item = Arc<dyn PhysicalExpr>>) -> Vec<usize> {
    let columns: BTreeSet<usize> =
        expressions.flat_map(|expr| collect_columns(&expr)).map(|column| column.index()).collect();
    columns.into_iter().collect()
}

pub(crate) fn rows_of(footer: &Footer, row_group: u32) -> u64 {
    footer
        .metadata
        .row_groups()
        .get(row_group as usize)
        .map_or(0, |group| u64::try_from(group.num_rows()).unwrap_or(0))
}

pub(crate) fn with_first_rows(footer: &Footer, kept: &[u32]) -> Vec<(u32, u64)> {
    let mut first_row = 0;
    let mut groups = Vec::with_capacity(kept.len());
    let mut kept = kept.iter().copied().peekable();
    for row_group in 0..footer.metadata.num_row_groups() as u32 {
        if kept.next_if_eq(&row_group).is_some() {
            groups.push((row_group, first_row));
        }
        first_row += rows_of(footer, row_group);
    }
    groups
}

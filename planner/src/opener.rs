//! Opens one split: footer, pruning, chunks, batches.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use datafusion::{
    common::ScalarValue,
    datasource::{
        listing::{FileRange, PartitionedFile},
        physical_plan::{FileOpenFuture, FileOpener},
    },
    error::Result,
    physical_expr::{
        PhysicalExpr, conjunction,
        utils::{collect_columns, reassign_expr_columns},
    },
};
use flightcache_cache::{Error, FetchRequest, ObjectId};
use flightcache_connectors::{Footer, estimate_bytes, midpoint};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};

use crate::{
    adapt::FileAdapter,
    error::external,
    fragment::{Evaluation, FragmentBatches},
    prune,
    source::CachedSource,
};

/// What a `PartitionedFile` of a cached scan carries: the split to read.
#[derive(Clone, Debug)]
pub(crate) struct FileSplit {
    /// The object version.
    pub(crate) object: Arc<ObjectId>,
    /// The row groups to read, before pruning.
    pub(crate) row_groups: Range<u32>,
}

/// Opens the files of a [`CachedSource`].
#[derive(Debug)]
pub(crate) struct CachedOpener {
    source: CachedSource,
    output: SchemaRef,
}

impl CachedOpener {
    pub(crate) fn try_new(source: CachedSource) -> Result<Self> {
        let output =
            Arc::new(source.projection.project_schema(source.table_schema.table_schema())?);
        Ok(Self { source, output })
    }
}

impl FileOpener for CachedOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let split = file.extension::<FileSplit>().cloned().ok_or_else(|| {
            external(Error::internal(format!("{} is not a cached split", file.path())))
        })?;
        let (source, output) = (self.source.clone(), Arc::clone(&self.output));
        let (partition_values, range) = (file.partition_values, file.range);
        Ok(async move {
            let footer = source.context.footers.get(&split.object).await.map_err(external)?;
            let mut scan = SplitScan::try_new(source, output, split, footer, &partition_values)?;
            if let Some(range) = range {
                scan.keep_range(&range);
            }
            Ok(scan.batches().boxed())
        }
        .boxed())
    }
}

/// One split with everything decided.
struct SplitScan {
    source: CachedSource,
    split: FileSplit,
    footer: Arc<Footer>,
    /// Row groups that may match, with the row of the file each starts at.
    row_groups: Vec<(u32, u64)>,
    /// Ordinals of the file's columns that are fetched.
    columns: Vec<u32>,
    evaluation: Arc<Evaluation>,
}

impl SplitScan {
    fn try_new(
        source: CachedSource,
        output: SchemaRef,
        split: FileSplit,
        footer: Arc<Footer>,
        partition_values: &[ScalarValue],
    ) -> Result<Self> {
        let adapter = FileAdapter::try_new(
            &source.table_schema,
            Arc::clone(&footer.schema),
            partition_values,
        )?;
        let filter = source.filter.clone().map(|filter| adapter.expr(filter)).transpose()?;
        let prune = source.prune.clone().map(|prune| adapter.expr(prune)).transpose()?;
        let projection = adapter.projection(source.projection.clone())?;
        let hints: Vec<_> = filter.iter().chain(&prune).cloned().collect();
        let hint = (!hints.is_empty()).then(|| conjunction(hints));
        let kept = prune::row_groups(&footer, hint.as_ref(), split.row_groups.clone());
        let row_groups = with_first_rows(&footer, &kept);

        let columns = columns_of(filter.iter().cloned().chain(projection.expr_iter()));
        let input = Arc::new(adapter.file_schema().project(&columns)?);
        let filter = filter.map(|filter| reassign_expr_columns(filter, &input)).transpose()?;
        let projector = projection
            .try_map_exprs(|expr| reassign_expr_columns(expr, &input))?
            .make_projector(&input)?;
        let row_ranges = source.row_ranges;
        let evaluation = Arc::new(Evaluation {
            input: without_metadata(&input),
            filter,
            filter_rows: source.filter_rows,
            projector,
            output,
            row_ranges,
        });
        let columns = columns.into_iter().map(|column| column as u32).collect();
        Ok(Self { source, split, footer, row_groups, columns, evaluation })
    }

    /// Keeps the row groups that belong to a byte range: those whose midpoint lies in it, so that
    /// ranges that cover a file read each once.
    fn keep_range(&mut self, range: &FileRange) {
        let footer = &self.footer;
        self.row_groups.retain(|&(row_group, _)| {
            let midpoint = midpoint(footer, row_group).and_then(|at| i64::try_from(at).ok());
            midpoint.is_some_and(|at| range.contains(at))
        });
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

    async fn fragment(self: Arc<Self>, row_group: u32, first_row: u64) -> Result<FragmentBatches> {
        let rows = rows_of(&self.footer, row_group);
        let chunks = if self.columns.is_empty() || rows == 0 {
            Vec::new()
        } else {
            let object = Arc::clone(&self.split.object);
            let request = FetchRequest::columns(object, row_group, &self.columns);
            self.source.context.chunks.fetch(&request).await.map_err(external)?
        };
        let rows = usize::try_from(rows)
            .map_err(|_| external(Error::data("row group has too many rows")))?;
        FragmentBatches::try_new(Arc::clone(&self.evaluation), &chunks, row_group, first_row, rows)
            .map_err(external)
    }
}

/// Ordinals of the columns that `expressions` over a file's schema use, ascending.
pub(crate) fn columns_of(expressions: impl Iterator<Item = Arc<dyn PhysicalExpr>>) -> Vec<usize> {
    let columns: BTreeSet<usize> =
        expressions.flat_map(|expr| collect_columns(&expr)).map(|column| column.index()).collect();
    columns.into_iter().collect()
}

fn rows_of(footer: &Footer, row_group: u32) -> u64 {
    footer
        .metadata
        .row_groups()
        .get(row_group as usize)
        .map_or(0, |group| u64::try_from(group.num_rows()).unwrap_or(0))
}

fn with_first_rows(footer: &Footer, kept: &[u32]) -> Vec<(u32, u64)> {
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

fn without_metadata(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().clone()))
}

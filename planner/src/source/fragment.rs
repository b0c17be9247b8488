//! Batches cut from the chunks of one row group.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions},
    compute::{BatchCoalescer, filter_record_batch},
    datatypes::{Schema, SchemaRef},
};
use datafusion::{
    error::{DataFusionError, Result},
    physical_expr::{
        PhysicalExpr,
        projection::{ProjectionExprs, Projector},
        utils::{collect_columns, reassign_expr_columns},
    },
};
use flightcache_cache::{Chunk, Error, PIECE_ROWS};
use flightcache_protocol::BatchMetadata;

use crate::{
    error::external,
    source::CachedSource,
    source::late::{Payload, Selectivity},
    source::metrics::ScanMetrics,
};

/// Bytes of Arrow data a batch aims at: Flight messages do best between 1 and 4 MiB.
const TARGET_BATCH_BYTES: usize = 2 << 20;
/// Bytes above which a batch of more than one row is cut in two.
const MAX_BATCH_BYTES: usize = 3 << 20;
/// Batches that are left unfiltered behind one of which most rows pass an advisory filter.
const UNFILTERED: usize = 7;
const ROWS_KEY: &str = "flightcache.rows";

/// What one file's fragments are evaluated with: expressions over its fetched columns alone.
#[derive(Debug)]
pub(crate) struct Evaluation {
    /// The fetched columns.
    input: SchemaRef,
    /// Rows for which this is not true are dropped.
    filter: Option<Arc<dyn PhysicalExpr>>,
    /// Whether they may stay.
    advisory: bool,
    /// The columns that the filter needs, and the filter over these alone.
    early: Option<(SchemaRef, Arc<dyn PhysicalExpr>)>,
    selectivity: Arc<Selectivity>,
    /// The fetched columns that the projector needs, and where they are among all.
    kept: (SchemaRef, Vec<usize>),
    /// From the columns that are kept to the output.
    projector: Projector,
    output: SchemaRef,
    /// Rows that expressions are evaluated over at a time, at most.
    batch_rows: usize,
    /// Whether each batch says in its schema's metadata which rows of the file it covers.
    row_ranges: bool,
    metrics: Arc<ScanMetrics>,
}

impl Evaluation {
    /// `filter` and `projection`, both over the file's schema, evaluated as `source` asks over
    /// `fetched`, the fetched columns of the file.
    pub(crate) fn try_new(
        fetched: &Schema,
        (filter, projection): (Option<Arc<dyn PhysicalExpr>>, ProjectionExprs),
        source: &CachedSource,
        (output, metrics): (SchemaRef, Arc<ScanMetrics>),
    ) -> Result<Self> {
        let kept = positions(fetched, projection.expr_iter());
        let kept_schema = fetched.project(&kept)?;
        let early = filter.clone().map(|filter| {
            let schema = fetched.project(&positions(fetched, [Arc::clone(&filter)].into_iter()))?;
            let filter = reassign_expr_columns(filter, &schema)?;
            Ok::<_, DataFusionError>((without_metadata(&schema), filter))
        });
        let projector = projection
            .try_map_exprs(|expr| reassign_expr_columns(expr, &kept_schema))?
            .make_projector(&kept_schema)?;
        Ok(Self {
            input: without_metadata(fetched),
            filter: filter.map(|filter| reassign_expr_columns(filter, fetched)).transpose()?,
            advisory: source.advisory,
            early: early.transpose()?,
            selectivity: Arc::clone(&source.selectivity),
            kept: (without_metadata(&kept_schema), kept),
            projector,
            output,
            batch_rows: source.batch_rows.min(source.filter_rows),
            row_ranges: source.row_ranges,
            metrics,
        })
    }
}

/// Where the columns that `expressions` use are in `schema`.
fn positions(
    schema: &Schema,
    expressions: impl Iterator<Item = Arc<dyn PhysicalExpr>>,
) -> Vec<usize> {
    let wanted: HashSet<String> = expressions
        .flat_map(|expr| collect_columns(&expr))
        .map(|column| column.name().to_owned())
        .collect();
    let named = schema.fields().iter().enumerate();
    named.filter(|(_, field)| wanted.contains(field.name())).map(|(at, _)| at).collect()
}

fn without_metadata(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().clone()))
}

/// The rows of a file that `schema`'s batch covers, where the scan was asked to say so.
pub fn covered_rows(schema: &Schema) -> Option<BatchMetadata> {
    let mut numbers = schema.metadata().get(ROWS_KEY)?.split(',');
    let mut next = || numbers.next()?.parse::<u64>().ok();
    Some(BatchMetadata {
        row_group: u32::try_from(next()?).ok()?,
        first_row: next()?,
        rows: next()?,
    })
}

/// Iterates over the batches of one row group.
///
/// Batches are zero-copy slices of the cached pieces wherever neither filter nor projection
/// computes anything. They are sized by the bytes they hold, not by rows alone. What a filter
/// leaves of several is put together, unless each must say which rows it covers.
#[derive(Debug)]
pub(crate) struct FragmentBatches {
    evaluation: Arc<Evaluation>,
    columns: Vec<Vec<ArrayRef>>,
    row_group: u32,
    /// The fragment's first row, counted from the start of the file.
    first_row: u64,
    /// Row ranges of the fragment still to do, as (first, rows); none crosses a piece.
    todo: VecDeque<(usize, usize)>,
    /// Filtered rows that do not make up a batch yet.
    gathered: Option<BatchCoalescer>,
    /// What is noted of the fragment once it is done: how its payload came.
    payload: Option<Payload>,
    /// Whether some row passed the filter.
    matched: bool,
    /// Batches still to leave unfiltered.
    unfiltered: usize,
}

impl FragmentBatches {
    /// The batches of `rows` rows held by `chunks`, one for each column of `evaluation`'s input.
    pub(crate) fn try_new(
        evaluation: Arc<Evaluation>,
        chunks: &[Chunk],
        row_group: u32,
        first_row: u64,
        rows: usize,
    ) -> flightcache_cache::Result<Self> {
        let columns = pieces_of(chunks, rows)?;
        let bytes: usize = chunks.iter().map(Chunk::bytes).sum();
        let step = match (rows, bytes) {
            (0, _) | (_, 0) => PIECE_ROWS,
            _ => (rows.saturating_mul(TARGET_BATCH_BYTES) / bytes).clamp(1, PIECE_ROWS),
        };
        let step = step.min(evaluation.batch_rows);
        let mut todo = VecDeque::new();
        for piece in (0..rows).step_by(PIECE_ROWS) {
            let end = rows.min(piece + PIECE_ROWS);
            todo.extend((piece..end).step_by(step).map(|first| (first, step.min(end - first))));
        }
        let gathered = (evaluation.filter.is_some() && !evaluation.row_ranges)
            .then(|| BatchCoalescer::new(Arc::clone(&evaluation.kept.0), evaluation.batch_rows));
        Ok(Self { columns, row_group, first_row, todo, gathered, ..Self::none(evaluation) })
    }

    /// The same batches, of which is noted once they are done what the filter left, and that the
    /// payload came so.
    pub(crate) fn noting(self, payload: Payload) -> Self {
        Self { payload: Some(payload), ..self }
    }

    /// No batch.
    pub(crate) fn none(evaluation: Arc<Evaluation>) -> Self {
        Self {
            evaluation,
            columns: Vec::new(),
            row_group: 0,
            first_row: 0,
            todo: VecDeque::new(),
            gathered: None,
            payload: None,
            matched: false,
            unfiltered: 0,
        }
    }

    /// The batch that a row range leads to; `None` if there is none yet.
    fn evaluate(&mut self, first: usize, rows: usize) -> Result<Option<RecordBatch>> {
        let batch = slice(&self.evaluation.input, &self.columns, first, rows)?;
        let selected = self.select(&batch)?;
        if selected.as_ref().is_some_and(|selected| selected.true_count() == 0) {
            return Ok(None);
        }
        self.matched = true;
        let batch = self.evaluation.keep(&batch)?;
        let schema = self.output_schema(first, rows);
        let Some(gathered) = &mut self.gathered else {
            let batch = match selected {
                Some(selected) => filter_record_batch(&batch, &selected)?,
                None => batch,
            };
            return self.evaluation.project(&batch, schema).map(Some);
        };
        match selected {
            None if gathered.is_empty() => {
                return self.evaluation.project(&batch, schema).map(Some);
            }
            None => gathered.push_batch(batch)?,
            Some(selected) => gathered.push_batch_with_filter(batch, &selected)?,
        }
        let done = gathered.next_completed_batch();
        done.map(|batch| self.evaluation.project(&batch, schema)).transpose()
    }

    /// The rows of `batch` to keep; `None` if all.
    ///
    /// An advisory filter is not applied where more than half of the rows pass: copying those costs
    /// more than sending the others. What passes mostly does so in the batches behind, too.
    fn select(&mut self, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
        let Some(filter) = &self.evaluation.filter else { return Ok(None) };
        if self.unfiltered > 0 {
            self.unfiltered -= 1;
            return Ok(None);
        }
        let selected = match booleans(filter, batch) {
            // What cannot be said of a row leaves it in.
            Err(_) if self.evaluation.advisory => return Ok(None),
            selected => selected?,
        };
        let (rows, kept) = (batch.num_rows(), selected.true_count());
        if self.evaluation.advisory && kept > rows / 2 {
            self.unfiltered = UNFILTERED;
            return Ok(None);
        }
        self.evaluation.metrics.filtered(rows - kept);
        Ok((kept < rows).then_some(selected))
    }

    /// What is left of the filtered rows, once.
    fn rest(&mut self) -> Result<Option<RecordBatch>> {
        let Some(gathered) = &mut self.gathered else { return Ok(None) };
        gathered.finish_buffered_batch()?;
        let Some(batch) = gathered.next_completed_batch() else { return Ok(None) };
        self.evaluation.project(&batch, Arc::clone(&self.evaluation.output)).map(Some)
    }

    fn output_schema(&self, first: usize, rows: usize) -> SchemaRef {
        if !self.evaluation.row_ranges {
            return Arc::clone(&self.evaluation.output);
        }
        let mut schema = self.evaluation.output.as_ref().clone();
        let range = format!("{},{},{rows}", self.row_group, self.first_row + first as u64);
        schema.metadata.insert(ROWS_KEY.to_owned(), range);
        Arc::new(schema)
    }
}

/// The pieces of each of `chunks`, which hold `rows` rows.
fn pieces_of(chunks: &[Chunk], rows: usize) -> flightcache_cache::Result<Vec<Vec<ArrayRef>>> {
    let pieces = chunks.iter().map(|chunk| {
        let column = chunk.as_column()?;
        if column.rows() == rows {
            return Ok(column.pieces().to_vec());
        }
        let (name, held) = (column.field().name(), column.rows());
        Err(Error::internal(format!("chunk of column {name} holds {held} of {rows} rows")))
    });
    pieces.collect()
}

/// `rows` rows from `first` on of `columns`, within one piece.
fn slice(
    schema: &SchemaRef,
    columns: &[Vec<ArrayRef>],
    first: usize,
    rows: usize,
) -> Result<RecordBatch> {
    let (piece, offset) = (first / PIECE_ROWS, first % PIECE_ROWS);
    let arrays = columns.iter().map(|pieces| {
        let array = pieces
            .get(piece)
            .filter(|array| array.len() >= offset + rows)
            .ok_or_else(|| external(Error::internal("chunk lacks a piece")))?;
        Ok(array.slice(offset, rows))
    });
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}

impl Evaluation {
    /// Whether some of `rows` rows passes the filter, whose columns `chunks` are. What it is
    /// evaluated over beyond the first that does is evaluated again by whoever needs the rows.
    pub(crate) async fn matches(&self, chunks: &[Chunk], rows: usize) -> Result<bool> {
        let Some((schema, filter)) = &self.early else { return Ok(rows > 0) };
        let columns = pieces_of(chunks, rows).map_err(external)?;
        let step = self.batch_rows.min(PIECE_ROWS);
        for piece in (0..rows).step_by(PIECE_ROWS) {
            let end = rows.min(piece + PIECE_ROWS);
            for first in (piece..end).step_by(step) {
                let batch = slice(schema, &columns, first, step.min(end - first))?;
                let selected = booleans(filter, &batch);
                if (self.advisory && selected.is_err()) || selected?.true_count() > 0 {
                    return Ok(true);
                }
            }
            // Whoever polls has other fragments that wait for nothing but that.
            tokio::task::yield_now().await;
        }
        self.metrics.filtered(rows);
        self.metrics.payload_spared();
        self.selectivity.note(false, Payload::Spared);
        Ok(false)
    }

    /// The columns of `batch` that the projector needs.
    fn keep(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let (schema, kept) = &self.kept;
        let columns = kept.iter().filter_map(|&at| batch.columns().get(at)).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
    }

    /// The output for matching rows.
    fn project(&self, batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch> {
        let (_, arrays, length) = self.projector.project_batch(batch)?.into_parts();
        let options = RecordBatchOptions::new().with_row_count(Some(length));
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }
}

fn booleans(filter: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<BooleanArray> {
    let selected = filter.evaluate(batch)?.into_array(batch.num_rows())?;
    let selected = selected.as_boolean_opt().cloned();
    selected.ok_or_else(|| external(Error::internal("filter did not give booleans")))
}

impl Iterator for FragmentBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((first, rows)) = self.todo.pop_front() {
            let batch = match self.evaluate(first, rows) {
                Ok(Some(batch)) => batch,
                Ok(None) => continue,
                Err(error) => return Some(Err(error)),
            };
            let whole = self.gathered.is_none() && rows > 1 && batch.num_rows() > 1;
            if whole && data_bytes(&batch) > MAX_BATCH_BYTES {
                let half = rows / 2;
                self.todo.push_front((first + half, rows - half));
                self.todo.push_front((first, half));
                continue;
            }
            return Some(Ok(batch));
        }
        if let Some(payload) = self.payload.take() {
            self.evaluation.selectivity.note(self.matched, payload);
        }
        self.rest().transpose()
    }
}

/// Bytes of the rows of `batch`, without what its buffers hold beside them.
pub(crate) fn data_bytes(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|array| {
            array
                .to_data()
                .get_slice_memory_size()
                .unwrap_or_else(|_| array.get_array_memory_size())
        })
        .sum()
}

//! The cached source: DataFusion's file scan, reading chunks instead of files.

use std::{fmt, sync::Arc};

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    datasource::{
        physical_plan::{FileOpener, FileScanConfig, FileSource},
        table_schema::TableSchema,
    },
    error::Result,
    object_store::ObjectStore,
    physical_expr::{PhysicalExpr, projection::ProjectionExprs},
    physical_plan::{DisplayFormatType, metrics::ExecutionPlanMetricsSet},
};
use flightcache_cache::{ChunkSource, PIECE_ROWS};
use flightcache_connectors::Footers;

use crate::{ahead::LookAhead, opener::CachedOpener};

/// What scans read from. `Clone` shares it.
#[derive(Clone, Debug)]
pub(crate) struct ScanContext {
    /// Where columns come from.
    pub(crate) chunks: Arc<dyn ChunkSource>,
    /// Parsed footers.
    pub(crate) footers: Arc<Footers>,
    /// The budget for what is read before it is needed.
    pub(crate) ahead: LookAhead,
}

/// A [`FileSource`] that reads cached chunks.
///
/// It stands inside a `DataSourceExec` where a `ParquetSource` would, so projection, limit,
/// partition columns, statistics and schema adaptation stay DataFusion's.
#[derive(Clone, Debug)]
pub(crate) struct CachedSource {
    pub(crate) context: ScanContext,
    pub(crate) table_schema: TableSchema,
    pub(crate) projection: ProjectionExprs,
    pub(crate) filter: Option<Arc<dyn PhysicalExpr>>,
    pub(crate) filter_rows: usize,
    pub(crate) prune: Option<Arc<dyn PhysicalExpr>>,
    pub(crate) row_ranges: bool,
    metrics: ExecutionPlanMetricsSet,
}

impl CachedSource {
    /// A scan of every row and column of a table of `table_schema`.
    pub(crate) fn new(context: ScanContext, table_schema: TableSchema) -> Self {
        let schema = table_schema.table_schema();
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let projection = ProjectionExprs::from_indices(&all, schema);
        Self {
            context,
            table_schema,
            projection,
            filter: None,
            filter_rows: PIECE_ROWS,
            prune: None,
            row_ranges: false,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The same scan, of only those rows for which `filter`, over the table schema, is true;
    /// evaluated over at most `rows` rows at a time.
    pub(crate) fn with_filter(
        mut self,
        filter: Option<Arc<dyn PhysicalExpr>>,
        rows: usize,
    ) -> Self {
        self.filter = filter;
        self.filter_rows = rows.clamp(1, PIECE_ROWS);
        self
    }

    /// The same scan, without row groups in which `prune`, over the table schema, is never true.
    pub(crate) fn with_prune(mut self, prune: Option<Arc<dyn PhysicalExpr>>) -> Self {
        self.prune = prune;
        self
    }

    /// The same scan, each batch telling in its schema's metadata which rows of the file it
    /// covers; see `covered_rows`.
    pub(crate) fn with_row_ranges(mut self) -> Self {
        self.row_ranges = true;
        self
    }
}

impl FileSource for CachedSource {
    fn create_file_opener(
        &self,
        _object_store: Arc<dyn ObjectStore>,
        _base_config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        Ok(Arc::new(CachedOpener::try_new(self.clone())?))
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, _batch_size: usize) -> Arc<dyn FileSource> {
        // Batches are sized by bytes; DataFusion splits what is longer than its batch size.
        Arc::new(self.clone())
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.filter.clone()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection)
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let mut source = self.clone();
        source.projection = self.projection.try_merge(projection)?;
        Ok(Some(Arc::new(source)))
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &'static str {
        "cached parquet"
    }

    fn fmt_extra(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(filter) = &self.filter {
            write!(f, ", filter={filter}")?;
        }
        if let Some(prune) = &self.prune {
            write!(f, ", prune={prune}")?;
        }
        Ok(())
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let expressions = self.filter.iter().chain(&self.prune).cloned();
        for expression in expressions.chain(self.projection.expr_iter()) {
            if f(&expression)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
}

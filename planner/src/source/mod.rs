//! The cached source: DataFusion's file scan, reading chunks instead of files.

pub(crate) mod adapt;
pub(crate) mod ahead;
pub(crate) mod fragment;
pub(crate) mod late;
pub(crate) mod metrics;
pub(crate) mod opener;
pub(crate) mod prune;

use std::{fmt, sync::Arc};

use datafusion::{
    common::{config::ConfigOptions, tree_node::TreeNodeRecursion},
    datasource::{
        physical_plan::{FileOpener, FileScanConfig, FileSource},
        table_schema::TableSchema,
    },
    error::Result,
    object_store::ObjectStore,
    physical_expr::{
        DynamicFilterTracking, PhysicalExpr,
        projection::ProjectionExprs,
        utils::{collect_columns, conjunction_opt},
    },
    physical_expr_common::physical_expr::is_volatile,
    physical_plan::{
        DisplayFormatType,
        filter_pushdown::{FilterPushdownPropagation, PushedDown},
        metrics::ExecutionPlanMetricsSet,
    },
};
use flightcache_cache::{ChunkSource, PIECE_ROWS};
use flightcache_connectors::Footers;

pub use fragment::covered_rows;

use crate::{source::ahead::LookAhead, source::late::Selectivity, source::opener::CachedOpener};

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

/// Whether `expr` may change while the query runs.
pub(crate) fn is_dynamic(expr: &Arc<dyn PhysicalExpr>) -> bool {
    DynamicFilterTracking::classify(expr).contains_dynamic_filter()
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
    /// Whether rows that do not pass `filter` may stay.
    pub(crate) advisory: bool,
    pub(crate) prune: Option<Arc<dyn PhysicalExpr>>,
    pub(crate) dynamic: Option<Arc<dyn PhysicalExpr>>,
    pub(crate) batch_rows: usize,
    pub(crate) row_ranges: bool,
    /// What `filter` did to row groups so far.
    pub(crate) selectivity: Arc<Selectivity>,
    /// Objects whose version is not known for sure, which are never cached.
    read_through: usize,
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
            advisory: false,
            prune: None,
            dynamic: None,
            batch_rows: PIECE_ROWS,
            row_ranges: false,
            selectivity: Arc::default(),
            read_through: 0,
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
        self.selectivity = Arc::default();
        self
    }

    /// The same scan, whose filter is applied only where that pays, if `advisory`.
    pub(crate) fn with_advisory(self, advisory: bool) -> Self {
        Self { advisory, ..self }
    }

    /// The same scan, going by what its filter is known to have done elsewhere, and adding to it.
    pub(crate) fn with_selectivity(self, selectivity: Arc<Selectivity>) -> Self {
        Self { selectivity, ..self }
    }

    /// The same scan, of what `projection`, over the table schema, makes of each row.
    pub(crate) fn with_projection(self, projection: ProjectionExprs) -> Self {
        Self { projection, ..self }
    }

    /// The same scan, of only those of its rows for which `filter` is true.
    pub(crate) fn and_filter(mut self, filter: Arc<dyn PhysicalExpr>) -> Self {
        self.filter = conjunction_opt(self.filter.into_iter().chain([filter]));
        self.selectivity = Arc::default();
        self
    }

    /// The same scan, without row groups in which `prune` is never true either.
    pub(crate) fn and_prune(mut self, prune: Arc<dyn PhysicalExpr>) -> Self {
        self.prune = conjunction_opt(self.prune.into_iter().chain([prune]));
        self
    }

    /// The same scan, without row groups in which `dynamic` cannot be true when they are read.
    pub(crate) fn and_dynamic(mut self, dynamic: Arc<dyn PhysicalExpr>) -> Self {
        self.dynamic = conjunction_opt(self.dynamic.into_iter().chain([dynamic]));
        self
    }

    /// Whether there are statistics by which `filter` can prune. A join that is to find the bounds
    /// of keys that have none, such as maps, fails.
    fn prunes_by(&self, filter: &Arc<dyn PhysicalExpr>) -> bool {
        let schema = self.table_schema.table_schema();
        let nested = |name| schema.field_with_name(name).is_ok_and(|f| f.data_type().is_nested());
        !collect_columns(filter).iter().any(|column| nested(column.name()))
    }

    /// The same scan, without row groups in which `prune`, over the table schema, is never true.
    pub(crate) fn with_prune(mut self, prune: Option<Arc<dyn PhysicalExpr>>) -> Self {
        self.prune = prune;
        self
    }

    /// The same scan, telling that `objects` of it are read through.
    pub(crate) fn with_read_through(self, objects: usize) -> Self {
        Self { read_through: objects, ..self }
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
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        Ok(Arc::new(CachedOpener::try_new(self.clone(), partition)?))
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_rows: batch_size.clamp(1, PIECE_ROWS), ..self.clone() })
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        conjunction_opt(self.filter.iter().chain(&self.dynamic).cloned())
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        // A filter costs the same here as in an operator above, and spares the columns of the rows
        // that it drops; so each is applied. Those that change while the query runs, a join's keys
        // or the threshold of a top-k, prune row groups and no more: their operators look at every
        // row anyway, and looking twice made most of TPC-H slower.
        let mut source = self.clone();
        let taken = filters
            .into_iter()
            .map(|filter| {
                if is_volatile(&filter) {
                    return PushedDown::No;
                }
                let scan = source.clone();
                if is_dynamic(&filter) {
                    if scan.prunes_by(&filter) {
                        source = scan.and_dynamic(filter);
                    }
                    PushedDown::No
                } else {
                    source = scan.and_filter(filter);
                    PushedDown::Yes
                }
            })
            .collect();
        let node = Arc::new(source) as Arc<dyn FileSource>;
        Ok(FilterPushdownPropagation::with_parent_pushdown_result(taken).with_updated_node(node))
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
        if self.read_through > 0 {
            write!(f, ", not cached: {} objects have no strong ETag", self.read_through)?;
        }
        if let Some(filter) = &self.filter {
            let name = if self.advisory { "prefilter" } else { "filter" };
            write!(f, ", {name}={filter}")?;
        }
        if let Some(prune) = &self.prune {
            write!(f, ", prune={prune}")?;
        }
        if let Some(dynamic) = &self.dynamic {
            write!(f, ", dynamic={dynamic}")?;
        }
        Ok(())
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let expressions = self.filter.iter().chain(&self.prune).chain(&self.dynamic).cloned();
        for expression in expressions.chain(self.projection.expr_iter()) {
            if f(&expression)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
}

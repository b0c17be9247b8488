//! Row groups of a file that cannot hold a matching row, found as DataFusion finds them.

use std::{ops::Range, sync::Arc};

use datafusion::{
    common::ScalarValue,
    datasource::physical_plan::{
        ParquetFileMetrics,
        parquet::{
            PagePruningAccessPlanFilter, ParquetAccessPlan, RowGroupAccess,
            RowGroupAccessPlanFilter,
        },
    },
    physical_expr::{PhysicalExpr, expressions::Literal},
    physical_optimizer::pruning::PruningPredicateBuilder,
    physical_plan::metrics::{Count, ExecutionPlanMetricsSet},
};
use flightcache_cache::guarded;
use flightcache_connectors::Footer;

use crate::predicate::prunable;

/// The row groups among `range` that may hold rows for which `predicate`, over the file's own
/// schema, is true: by its value alone, by row group statistics, then by the page index.
pub(crate) fn row_groups(
    footer: &Footer,
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    range: Range<u32>,
) -> Vec<u32> {
    let groups = footer.metadata.num_row_groups();
    let range = range.start..range.end.min(groups as u32);
    let Some(predicate) = predicate else { return range.collect() };
    if never_true(predicate) {
        return Vec::new();
    }
    let Some(predicate) = prunable(predicate, &footer.schema) else { return range.collect() };
    // Statistics of a broken file may make DataFusion panic; a hint that fails drops nothing.
    let kept = guarded(|| may_match(footer, &predicate, range.clone()));
    kept.unwrap_or_else(|| range.collect())
}

fn may_match(footer: &Footer, predicate: &Arc<dyn PhysicalExpr>, range: Range<u32>) -> Vec<u32> {
    let metadata = &footer.metadata;
    let groups = metadata.row_groups();
    let mut plan = ParquetAccessPlan::new_none(groups.len());
    for row_group in range {
        plan.scan(row_group as usize);
    }
    let metrics = ParquetFileMetrics::new(0, "", &ExecutionPlanMetricsSet::new());
    let parquet_schema = metadata.file_metadata().schema_descr();
    let mut filter = RowGroupAccessPlanFilter::new(plan);
    let errors = Count::new();
    let statistics = PruningPredicateBuilder::new()
        .with_file_schema(Arc::clone(&footer.schema))
        .with_error_counter(&errors)
        .build(Arc::clone(predicate));
    if let Some(statistics) = statistics {
        filter.prune_by_statistics(&footer.schema, parquet_schema, groups, &statistics, &metrics);
    }
    let plan = PagePruningAccessPlanFilter::new(predicate, Arc::clone(&footer.schema))
        .prune_plan_with_page_index(
            filter.build(),
            &footer.schema,
            parquet_schema,
            metadata,
            &metrics,
        );
    plan.inner()
        .iter()
        .zip(0u32..)
        .filter(|(access, _)| match access {
            RowGroupAccess::Skip => false,
            RowGroupAccess::Scan => true,
            RowGroupAccess::Selection(selection) => selection.row_count() > 0,
        })
        .map(|(_, row_group)| row_group)
        .collect()
}

/// Whether `predicate` is a constant that is not true.
pub(crate) fn never_true(predicate: &Arc<dyn PhysicalExpr>) -> bool {
    predicate
        .downcast_ref::<Literal>()
        .is_some_and(|literal| literal.value() != &ScalarValue::Boolean(Some(true)))
}

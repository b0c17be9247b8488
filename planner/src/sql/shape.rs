//! Statements whose rows can be told from one split at a time.

use std::sync::Arc;

use datafusion::{
    common::{
        DFSchema,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    datasource::source_as_provider,
    error::Result as PlanResult,
    execution::SessionState,
    logical_expr::{Expr, LogicalPlan, TableScan, Volatility, utils::conjunction},
    physical_expr::PhysicalExpr,
};
use flightcache_cache::Result;

use crate::{
    error::from_datafusion,
    scan::{PlannedSplit, plan_splits},
    source::ScanContext,
};

use super::table::CachedTable;

/// The splits that `plan` can be answered by one at a time, without those that cannot
/// hold a matching row; `None` if `plan` does more than filter and project one scan.
///
/// # Errors
/// What reading a footer gives.
pub(super) async fn splits(
    context: &ScanContext,
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<Option<Vec<PlannedSplit>>> {
    let Some(scan) = only_scan(plan).map_err(|error| from_datafusion(&error))? else {
        return Ok(None);
    };
    let provider = source_as_provider(&scan.source).map_err(|error| from_datafusion(&error))?;
    let Some(cached) = provider.downcast_ref::<CachedTable>() else { return Ok(None) };
    let hint = hint(state, scan).map_err(|error| from_datafusion(&error))?;
    plan_splits(context, cached.table_schema(), cached.dataset(), hint.as_ref()).await.map(Some)
}

/// Whether `plan`, before it is optimized, asks for what is the same only within one query: the
/// splits of a query are read by several, each at a time of its own.
pub(super) fn depends_on_when(plan: &LogicalPlan) -> PlanResult<bool> {
    let mut depends = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            depends |= expr.exists(|expr| Ok(is_stable(expr)))?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(depends)
}

fn is_stable(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.signature().volatility == Volatility::Stable)
}

/// The scan of a plan that filters and projects it, row by row, and does nothing else.
fn only_scan(plan: &LogicalPlan) -> PlanResult<Option<&TableScan>> {
    let mut by_row = true;
    plan.apply_expressions(|expr| {
        by_row &= !expr.is_volatile() && !expr.exists(|expr| Ok(reads_more(expr)))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !by_row {
        return Ok(None);
    }
    match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() => Ok(Some(scan)),
        LogicalPlan::Projection(projection) => only_scan(&projection.input),
        LogicalPlan::Filter(filter) => only_scan(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => only_scan(&alias.input),
        _ => Ok(None),
    }
}

fn reads_more(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
    )
}

/// What the scan itself is given of the filters.
fn hint(state: &SessionState, scan: &TableScan) -> PlanResult<Option<Arc<dyn PhysicalExpr>>> {
    let schema = &scan.source.schema();
    let schema = DFSchema::try_from_qualified_schema(scan.table_name.clone(), schema)?;
    let Some(filter) = conjunction(scan.filters.iter().cloned()) else { return Ok(None) };
    state.create_physical_expr(filter, &schema).map(Some)
}

//! Works around a wrong answer of DataFusion 55: of two projections in a row whose expressions are
//! equal, its optimizer drops one, although `a + 1 AS a` twice adds 2.

use std::sync::Arc;

use datafusion::{
    common::{
        Column,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    logical_expr::{Expr, LogicalPlan, Projection, expr_rewriter::NamePreserver},
    optimizer::AnalyzerRule,
};

/// Gives the columns of an inner projection other names where an outer one is equal to it.
#[derive(Debug)]
pub(super) struct TellApart;

impl AnalyzerRule for TellApart {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut renamed = 0;
        // From the top: a projection whose columns got other names is equal to none below it.
        let plan = plan.transform_down_with_subqueries(|node| {
            let LogicalPlan::Projection(outer) = &node else { return Ok(Transformed::no(node)) };
            let LogicalPlan::Projection(inner) = outer.input.as_ref() else {
                return Ok(Transformed::no(node));
            };
            let repeated = inner.expr == outer.expr;
            if !repeated || outer.expr.iter().all(|expr| matches!(expr, Expr::Column(_))) {
                return Ok(Transformed::no(node));
            }
            renamed += 1;
            told_apart(outer, inner, renamed).map(Transformed::yes)
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "tell_projections_apart"
    }
}

fn told_apart(outer: &Projection, inner: &Projection, number: usize) -> Result<LogicalPlan> {
    let name = |at: usize| format!("__{number}_{at}");
    let renamed = inner.expr.iter().cloned().enumerate();
    let renamed = renamed.map(|(at, expr)| expr.unalias().alias(name(at))).collect();
    let below = LogicalPlan::Projection(Projection::try_new(renamed, Arc::clone(&inner.input))?);
    let names = NamePreserver::new_for_projection();
    let exprs = outer
        .expr
        .iter()
        .map(|expr| {
            let saved = names.save(expr);
            let rewritten = expr.clone().transform_up(|expr| match &expr {
                Expr::Column(column) => {
                    let at = inner.schema.index_of_column(column)?;
                    Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name(at)))))
                }
                _ => Ok(Transformed::no(expr)),
            })?;
            Ok(saved.restore(rewritten.data))
        })
        .collect::<Result<Vec<_>>>()?;
    let schema = Arc::clone(&outer.schema);
    Projection::try_new_with_schema(exprs, Arc::new(below), schema).map(LogicalPlan::Projection)
}

//! How much the literals of a plan come to for each row.

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    error::Result,
    logical_expr::{Expr, LogicalPlan},
};

/// Bytes that the literals of an operator may come to in one batch: a literal may be held once for
/// each row.
pub(super) const BATCH_LITERAL_BYTES: usize = 64 << 20;

/// Bytes of literals that some operator of `plan` may hold for one row, at most; without those of
/// `IN` lists, which are held once.
pub(super) fn bytes(plan: &LogicalPlan) -> Result<usize> {
    let mut most = 0;
    plan.apply_with_subqueries(|node| {
        let mut sum = 0;
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                Ok(match expr {
                    Expr::Literal(value, _) => {
                        sum += value.size();
                        TreeNodeRecursion::Continue
                    }
                    Expr::InList(list)
                        if list.list.iter().all(|item| matches!(item, Expr::Literal(..))) =>
                    {
                        TreeNodeRecursion::Jump
                    }
                    _ => TreeNodeRecursion::Continue,
                })
            })
        })?;
        most = most.max(sum);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(most)
}

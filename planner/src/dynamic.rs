//! Filters that other operators learn while a query runs: the threshold of a top-k, the keys of a
//! join's build side.
//!
//! They never change answers, so each is applied where it pays and left out where it does not:
//!
//! ```text
//!  row group ── cannot match its bounds ──► not fetched
//!      │ may match
//!      ▼
//!   batches ── while enough rows are dropped ──► those rows go no further
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    error::Result,
    physical_expr::{PhysicalExpr, expressions::DynamicFilterPhysicalExpr},
};

/// Rows that are looked at before it is decided whether a filter pays.
const TRIAL_ROWS: u64 = 32 * 1024;
/// Of so many batches one is filtered although it did not pay so far: filters get tighter.
const RETRY_EVERY: u64 = 16;
/// A filter pays that drops one row of so many: what drops less costs more than the operators
/// above save.
const PAYS_AT_ONE_IN: u64 = 3;

/// Whether `expr` may change while the query runs.
pub(crate) fn is_dynamic(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let mut dynamic = false;
    // The walk itself cannot fail.
    let _ = expr.apply(|expr| {
        dynamic |= expr.is::<DynamicFilterPhysicalExpr>();
        Ok(if dynamic { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    dynamic
}

/// What a scan's dynamic filters have been worth so far, over all its files. `Clone` shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payoff(Arc<Tally>);

#[derive(Debug, Default)]
struct Tally {
    seen: AtomicU64,
    dropped: AtomicU64,
    skipped: AtomicU64,
}

impl Payoff {
    /// Whether to filter the next batch.
    fn try_again(&self) -> bool {
        let (seen, dropped) =
            (self.0.seen.load(Ordering::Relaxed), self.0.dropped.load(Ordering::Relaxed));
        if seen < TRIAL_ROWS || dropped.saturating_mul(PAYS_AT_ONE_IN) >= seen {
            return true;
        }
        self.0.skipped.fetch_add(1, Ordering::Relaxed) % RETRY_EVERY == 0
    }

    /// Notes what a filter did to `rows` rows; what is long past counts less.
    fn note(&self, rows: u64, dropped: u64) {
        let seen = self.0.seen.fetch_add(rows, Ordering::Relaxed) + rows;
        let dropped = self.0.dropped.fetch_add(dropped, Ordering::Relaxed) + dropped;
        if seen > 4 * TRIAL_ROWS {
            self.0.seen.store(seen / 2, Ordering::Relaxed);
            self.0.dropped.store(dropped / 2, Ordering::Relaxed);
        }
    }
}

/// A dynamic filter over the fetched columns of one file.
#[derive(Clone, Debug)]
pub(crate) struct DynamicFilter {
    pub(crate) expr: Arc<dyn PhysicalExpr>,
    pub(crate) payoff: Payoff,
}

impl DynamicFilter {
    /// The rows of `batch` to keep; `None` for all of them, or where it does not pay to ask.
    pub(crate) fn select(&self, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
        if !self.payoff.try_again() {
            return Ok(None);
        }
        let rows = batch.num_rows();
        let kept = self.expr.evaluate(batch)?.into_array(rows)?;
        let Some(kept) = kept.as_boolean_opt() else { return Ok(None) };
        let dropped = rows - kept.true_count();
        self.payoff.note(rows as u64, dropped as u64);
        Ok((dropped > 0).then(|| kept.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(payoff: &Payoff, of: usize) -> usize {
        (0..of).filter(|_| payoff.try_again()).count()
    }

    #[test]
    fn what_drops_little_is_asked_rarely_and_again_once_it_drops_more() {
        let payoff = Payoff::default();
        assert_eq!(asked(&payoff, 10), 10, "nothing is known");
        payoff.note(TRIAL_ROWS, TRIAL_ROWS / 10);
        assert_eq!(asked(&payoff, 32), 2);
        for _ in 0..8 {
            payoff.note(TRIAL_ROWS, TRIAL_ROWS);
        }
        assert_eq!(asked(&payoff, 10), 10);
        for _ in 0..8 {
            payoff.note(TRIAL_ROWS, 0);
        }
        assert!(asked(&payoff, 32) <= 2);
    }
}

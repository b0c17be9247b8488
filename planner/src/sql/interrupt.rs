//! Queries that can be ended, and that let others run.
//!
//! A join may compare for minutes without a row to give, inside one poll: no task that is aborted
//! ends before that, and as many such queries as there are threads would stop everything else. So
//! the filters of joins look, at every batch, whether the query is to end, and hand the thread's
//! other tasks over when they have kept it for long; and what joins and unnesting give is counted
//! against the budget of their task, so that it yields.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use arrow::{
    array::RecordBatch,
    datatypes::{FieldRef, Schema},
};
use datafusion::{
    common::tree_node::{Transformed, TreeNode},
    error::Result,
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
    physical_plan::{
        ExecutionPlan,
        coop::CooperativeExec,
        joins::{HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, utils::JoinFilter},
        unnest::UnnestExec,
    },
};
use flightcache_cache::Error;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::external;

/// How long the filters of a query may keep their threads.
const HAND_OVER_AFTER: Duration = Duration::from_millis(10);
/// How long a thread stands back so that another takes its tasks.
const HAND_OVER: Duration = Duration::from_micros(100);

/// Ends a query. `Clone` shares it.
#[derive(Clone, Debug)]
pub(super) struct Interrupt(Arc<State>);

#[derive(Debug)]
struct State {
    start: Instant,
    ended: AtomicBool,
    /// When tasks were handed over last, after `start`.
    handed_over_us: AtomicU64,
}

impl Default for Interrupt {
    fn default() -> Self {
        let (ended, handed_over_us) = (AtomicBool::new(false), AtomicU64::new(0));
        Self(Arc::new(State { start: Instant::now(), ended, handed_over_us }))
    }
}

impl Interrupt {
    /// What ends the query when it is dropped.
    pub(super) fn on_drop(&self) -> EndOnDrop {
        EndOnDrop(self.clone())
    }

    /// Fails if the query is to end; hands over if it has run for long.
    fn check(&self) -> Result<()> {
        if self.0.ended.load(Ordering::Relaxed) {
            return Err(external(Error::unavailable("the query was ended")));
        }
        let now = u64::try_from(self.0.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let last = self.0.handed_over_us.load(Ordering::Relaxed);
        if Duration::from_micros(now.saturating_sub(last)) > HAND_OVER_AFTER {
            self.0.handed_over_us.store(now, Ordering::Relaxed);
            hand_over();
        }
        Ok(())
    }
}

/// Lets another thread take the tasks of this one.
#[expect(clippy::disallowed_methods, reason = "the thread waits for the one that takes over")]
fn hand_over() {
    let threads = Handle::try_current().map(|handle| handle.runtime_flavor());
    if matches!(threads, Ok(RuntimeFlavor::MultiThread)) {
        // Empty work would be over before another thread had a chance.
        tokio::task::block_in_place(|| thread::sleep(HAND_OVER));
    }
}

/// Ends a query when dropped.
#[derive(Debug)]
pub(super) struct EndOnDrop(Interrupt);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.0.ended.store(true, Ordering::Relaxed);
    }
}

/// `plan`, all of whose joins heed `interrupt`.
///
/// # Errors
/// What making a join anew gives.
pub(super) fn heeding(
    plan: Arc<dyn ExecutionPlan>,
    interrupt: &Interrupt,
) -> Result<Arc<dyn ExecutionPlan>> {
    let heeding = plan.transform_up(|node| {
        if node.children().len() < 2 && node.downcast_ref::<UnnestExec>().is_none() {
            return Ok(Transformed::no(node));
        }
        let filtered = |filter: &JoinFilter| {
            let expr = Arc::clone(filter.expression());
            let heeding = Arc::new(Heeding { expr, interrupt: interrupt.clone() });
            let columns = filter.column_indices().to_vec();
            Some(JoinFilter::new(heeding, columns, Arc::clone(filter.schema())))
        };
        let node = if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
            && let Some(filter) = join.filter()
        {
            let join = NestedLoopJoinExecBuilder::from(join).with_filter(filtered(filter));
            Arc::new(join.build()?)
        } else if let Some(join) = node.downcast_ref::<HashJoinExec>()
            && let Some(filter) = join.filter()
        {
            join.builder().with_filter(filtered(filter)).build_exec()?
        } else {
            node
        };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as _))
    })?;
    Ok(heeding.data)
}

/// An expression that is evaluated only while the query goes on.
#[derive(Debug)]
struct Heeding {
    expr: Arc<dyn PhysicalExpr>,
    interrupt: Interrupt,
}

impl fmt::Display for Heeding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.expr)
    }
}

impl PartialEq for Heeding {
    fn eq(&self, other: &Self) -> bool {
        self.expr.eq(&other.expr)
    }
}

impl Eq for Heeding {}

impl Hash for Heeding {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expr.hash(state);
    }
}

impl PhysicalExpr for Heeding {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.interrupt.check()?;
        self.expr.evaluate(batch)
    }

    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        self.expr.return_field(input_schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.expr]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.expr));
        Ok(Arc::new(Self { expr, interrupt: self.interrupt.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt_sql(f)
    }
}

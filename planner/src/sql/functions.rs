//! Functions that make large values of small ones, held to a bound.
//!
//! `repeat('a', 1000000000)` is evaluated while it is planned, and DataFusion's memory pools know
//! nothing of the batches that operators pass on. So the functions whose value may be larger than
//! their arguments are wrapped: each estimates its value from above before it makes it. Values that
//! only add their arguments up, such as those of `concat`, double with each nested query, so these
//! are among them.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow::datatypes::{DataType, FieldRef};
use datafusion::{
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    error::{DataFusionError, Result},
    execution::SessionState,
    logical_expr::{
        BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ReturnFieldArgs,
        ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
        expr_rewriter::NamePreserver,
    },
    optimizer::AnalyzerRule,
};
use flightcache_cache::Error;

use super::sizes::{AMPLIFYING, output_bytes};

/// Bytes that all wrapped functions of a statement may make of one batch together.
const BATCH_BYTES: usize = 128 << 20;
/// Bytes that one of them may always make.
const LEAST_BYTES: usize = 64 << 10;
/// Bytes of a constant that is made while planning, and of a value whose lists become rows.
const CONSTANT_BYTES: usize = 1 << 20;

/// What the wrapped functions of one statement may make. `Clone` shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds(Arc<AtomicUsize>);

impl Bounds {
    /// Divides what there is among `calls`, whose lists become rows if `unnested`.
    fn set(&self, calls: usize, unnested: bool) {
        let each = (BATCH_BYTES / calls.max(1)).max(LEAST_BYTES);
        self.0.store(if unnested { each.min(CONSTANT_BYTES) } else { each }, Ordering::Relaxed);
    }

    fn bytes(&self, constant: bool) -> u64 {
        let each = self.0.load(Ordering::Relaxed).max(LEAST_BYTES);
        (if constant { each.min(CONSTANT_BYTES) } else { each }) as u64
    }

    fn check(&self, name: &str, args: &[ColumnarValue], rows: usize) -> Result<()> {
        let constant = args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { rows };
        let (bytes, limit) = (output_bytes(name, args, rows)?, self.bytes(constant));
        if bytes <= limit {
            return Ok(());
        }
        Err(exhausted(format!(
            "{name} would make up to {bytes} bytes at once, more than {limit}; ask for shorter values"
        )))
    }
}

fn exhausted(message: String) -> DataFusionError {
    crate::error::external(Error::exhausted(message))
}

/// Lets the functions of `state` make no more than `bounds`.
pub(super) fn bounded(mut state: SessionState, bounds: &Bounds) -> SessionState {
    state.add_analyzer_rule(Arc::new(Bound { bounds: bounds.clone() }));
    state
}

/// Counts the functions of `plan` that [`bounded`] wraps, and divides among them.
pub(super) fn count(plan: &LogicalPlan, bounds: &Bounds) -> Result<()> {
    let (mut calls, mut unnested) = (0, false);
    plan.apply_with_subqueries(|node| {
        unnested |= matches!(node, LogicalPlan::Unnest(_));
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                calls += usize::from(amplifies(expr));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    bounds.set(calls, unnested);
    Ok(())
}

fn amplifies(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(call) => AMPLIFYING.contains(&call.name()),
        Expr::BinaryExpr(binary) => binary.op == Operator::StringConcat,
        _ => false,
    }
}

/// Wraps functions, once types are known and before constants are folded.
#[derive(Debug)]
struct Bound {
    bounds: Bounds,
}

impl AnalyzerRule for Bound {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let wrapped = expr.transform_up(|expr| Ok(self.wrap(expr)))?;
                Ok(wrapped.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "bound_functions"
    }
}

impl Bound {
    fn wrap(&self, expr: Expr) -> Transformed<Expr> {
        if !amplifies(&expr) {
            return Transformed::no(expr);
        }
        let bounds = self.bounds.clone();
        match expr {
            Expr::ScalarFunction(call) if !call.func.inner().is::<Bounded>() => {
                let bounded = Bounded { inner: call.func, bounds };
                let func = Arc::new(ScalarUDF::new_from_impl(bounded));
                Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args: call.args }))
            }
            Expr::BinaryExpr(binary) if !is_checked(&binary.left) => {
                let sides = vec![binary.left.as_ref().clone(), *binary.right.clone()];
                let checked =
                    ScalarUDF::new_from_impl(Checked { bounds, signature: Checked::signature() });
                let left =
                    Expr::ScalarFunction(ScalarFunction { func: Arc::new(checked), args: sides });
                Transformed::yes(Expr::BinaryExpr(BinaryExpr { left: Box::new(left), ..binary }))
            }
            other => Transformed::no(other),
        }
    }
}

fn is_checked(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.inner().is::<Checked>())
}

/// A function that makes no more than its bounds.
#[derive(Debug)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    bounds: Bounds,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.bounds.check(self.name(), &args.args, args.number_rows)?;
        self.inner.invoke_with_args(args)
    }
}

/// The left side of `||`, after a look at both.
#[derive(Debug)]
struct Checked {
    bounds: Bounds,
    signature: Signature,
}

impl Checked {
    fn signature() -> Signature {
        Signature::any(2, Volatility::Immutable)
    }
}

impl PartialEq for Checked {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Checked {}

impl Hash for Checked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        "checked"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.bounds.check("||", &args.args, args.number_rows)?;
        let left = args.args.into_iter().next();
        left.ok_or_else(|| crate::error::external(Error::internal("|| lacks a side")))
    }
}

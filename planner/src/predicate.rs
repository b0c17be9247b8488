//! SQL boolean expressions of clients as physical predicates over a dataset's columns.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::{
    common::{DFSchema, ScalarValue, tree_node::TreeNode},
    error::DataFusionError,
    execution::{SessionState, SessionStateBuilder},
    logical_expr::{Expr, ExprSchemable, Operator, Volatility},
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, Literal},
        split_conjunction,
        utils::collect_columns,
    },
    prelude::{SessionConfig, lit},
    sql::sqlparser::{
        dialect::GenericDialect,
        keywords::Keyword,
        tokenizer::{Token, Tokenizer},
    },
};
use flightcache_cache::{Error, Result};

use crate::{
    error::{from_datafusion, missing_column},
    names::near,
};

/// Operators, keywords and parentheses of a predicate, at most: so deep may it nest, and everything
/// that walks an expression, dropping it included, recurses. DataFusion's time to type and simplify
/// grows with the square: a second for this many.
const MAX_OPERATORS: usize = 1_000;

/// Stack in bytes that threads need which parse, plan or evaluate predicates: what
/// [`MAX_OPERATORS`] take in a debug build, four times.
pub const STACK_BYTES: usize = 64 << 20;

/// Functions whose value may be larger than their arguments by any factor.
const AMPLIFYING: [&str; 14] = [
    "array_repeat",
    "array_resize",
    "concat",
    "concat_ws",
    "generate_series",
    "list_repeat",
    "list_resize",
    "lpad",
    "overlay",
    "range",
    "regexp_replace",
    "repeat",
    "replace",
    "rpad",
];

/// Parses and types predicates.
#[derive(Debug)]
pub(crate) struct PredicateParser {
    exact: SessionState,
    folded: SessionState,
}

impl PredicateParser {
    pub(crate) fn new() -> Self {
        let state = |fold: bool| {
            let mut config = SessionConfig::new();
            config.options_mut().sql_parser.enable_ident_normalization = fold;
            SessionStateBuilder::new().with_default_features().with_config(config).build()
        };
        Self { exact: state(false), folded: state(true) }
    }

    /// The predicate that `sql` says, over `schema`; `what` names it in errors.
    ///
    /// Column names are taken as written, and in lower case where that names no column.
    ///
    /// # Errors
    /// `Invalid` if it does not parse (with the position), names no column (with near names), is
    /// not boolean, or is not a function of one row alone.
    pub(crate) fn parse(
        &self,
        what: &str,
        sql: &str,
        schema: &SchemaRef,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        check_size(sql).map_err(|error| error.context(what))?;
        let df_schema = DFSchema::try_from(schema.as_ref().clone())
            .map_err(|error| from_datafusion(&error).context(what))?;
        let exact = Self::build(&self.exact, sql, &df_schema);
        let built = match exact {
            Err(ref error) if missing_column(error).is_some() => {
                Self::build(&self.folded, sql, &df_schema).or(exact)
            }
            other => other,
        };
        built.map_err(|error| match missing_column(&error) {
            Some(name) => Error::invalid(format!(
                "{what} names column `{name}`, which does not exist{}",
                near(&name, schema.fields().iter().map(|field| field.name().as_str()))
            )),
            None => Error::invalid(format!("{what} `{sql}`: {}", from_datafusion(&error))),
        })
    }

    fn build(
        state: &SessionState,
        sql: &str,
        schema: &DFSchema,
    ) -> std::result::Result<Arc<dyn PhysicalExpr>, DataFusionError> {
        let expr = state.create_logical_expr(sql, schema)?;
        check(&expr)?;
        let kind = expr.get_type(schema)?;
        if !matches!(kind, DataType::Boolean | DataType::Null) {
            return Err(DataFusionError::Plan(format!("is of type {kind}, not Boolean")));
        }
        let expr = if kind == DataType::Null { lit(ScalarValue::Boolean(None)) } else { expr };
        state.create_physical_expr(expr, schema)
    }
}

/// Counts what can nest before anything recurses over it.
fn check_size(sql: &str) -> Result<()> {
    let operators = operators(sql);
    if operators > MAX_OPERATORS {
        return Err(Error::invalid(format!(
            "{operators} operators are more than {MAX_OPERATORS}: write long lists with IN"
        )));
    }
    Ok(())
}

/// Operators, keywords and opening parentheses in `sql`: no more of it can nest.
pub(crate) fn operators(sql: &str) -> usize {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize();
    // What is no token is the parser's to report, with its position.
    tokens.unwrap_or_default().iter().filter(|token| nests(token)).count()
}

fn nests(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword != Keyword::NoKeyword,
        Token::Whitespace(_)
        | Token::Comma
        | Token::Number(..)
        | Token::Period
        | Token::RParen
        | Token::SingleQuotedString(_) => false,
        _ => true,
    }
}

fn check(expr: &Expr) -> std::result::Result<(), DataFusionError> {
    let refused = expr.exists(|expr| {
        Ok(match expr {
            Expr::ScalarSubquery(_)
            | Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::Placeholder(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::Unnest(_) => true,
            // What depends on the time of the call differs from endpoint to endpoint.
            Expr::ScalarFunction(function) => {
                function.func.signature().volatility != Volatility::Immutable
            }
            _ => false,
        })
    })?;
    let amplifying = expr.exists(|expr| match expr {
        Expr::ScalarFunction(function) => Ok(AMPLIFYING.contains(&function.name())),
        _ => Ok(false),
    })?;
    if amplifying {
        return Err(DataFusionError::Plan(format!(
            "may not use {}: they make large values of small ones",
            AMPLIFYING.join(", ")
        )));
    }
    if refused {
        return Err(DataFusionError::Plan(
            "may use the columns of one row alone: no subquery, aggregate, window or parameter, \
             and no function of the time or of chance"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The part of `predicate` that min and max statistics may safely decide.
///
/// Writers leave NaN out of statistics, while a comparison puts NaN above every number, so for a
/// floating point column only what no NaN can satisfy may prune.
pub(crate) fn prunable(
    predicate: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
) -> Option<Arc<dyn PhysicalExpr>> {
    let safe: Vec<_> = split_conjunction(predicate)
        .into_iter()
        .filter(|part| excludes_nan(part, schema))
        .cloned()
        .collect();
    datafusion::physical_expr::utils::conjunction_opt(safe)
}

fn excludes_nan(part: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> bool {
    let floating = collect_columns(part).iter().any(|column| {
        schema.field_with_name(column.name()).is_ok_and(|field| may_hold_nan(field.data_type()))
    });
    if !floating {
        return true;
    }
    let Some(comparison) = part.downcast_ref::<BinaryExpr>() else { return false };
    let (left, right) = (comparison.left(), comparison.right());
    match comparison.op() {
        Operator::Lt | Operator::LtEq => left.is::<Column>() && is_number(right),
        Operator::Gt | Operator::GtEq => right.is::<Column>() && is_number(left),
        Operator::Eq => {
            (left.is::<Column>() && is_number(right)) || (right.is::<Column>() && is_number(left))
        }
        _ => false,
    }
}

fn may_hold_nan(data_type: &DataType) -> bool {
    data_type.is_floating() || data_type.is_nested()
}

fn is_number(expr: &Arc<dyn PhysicalExpr>) -> bool {
    use ScalarValue::{Float16, Float32, Float64};
    expr.downcast_ref::<Literal>().is_some_and(|literal| match literal.value() {
        Float16(value) => value.is_some_and(|value| !value.is_nan()),
        Float32(value) => value.is_some_and(|value| !value.is_nan()),
        Float64(value) => value.is_some_and(|value| !value.is_nan()),
        _ => false,
    })
}

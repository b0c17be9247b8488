//! Our errors through DataFusion and back, and DataFusion's as ours.

use arrow::error::ArrowError;
use datafusion::{
    common::SchemaError, error::DataFusionError, sql::sqlparser::parser::ParserError,
};
use flightcache_cache::Error;

/// Wraps one of our errors so that its kind survives the way through a plan.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Our error for what DataFusion reports while it plans or runs: one of ours that went through a
/// plan comes back as it was, what the request caused is `Invalid`, the rest `Internal`.
pub(crate) fn from_datafusion(error: &DataFusionError) -> Error {
    if let Some(own) = own_error(error) {
        return own;
    }
    let root = error.find_root();
    let message = match root {
        DataFusionError::SQL(error, _) => parse_error(error),
        // Without the prefix that DataFusion's own text has.
        DataFusionError::Plan(message)
        | DataFusionError::NotImplemented(message)
        | DataFusionError::Execution(message) => first_line(message),
        other => first_line(&other.strip_backtrace()),
    };
    if spills(root) {
        // A plan reads and writes no file but those it spills to.
        return Error::exhausted(if message.contains(SPILLED_TOO_MUCH) {
            "the query spills more than [sql] spill allows: read less, or raise it".to_owned()
        } else {
            format!("the query cannot spill: {message}")
        });
    }
    match root {
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_)
        // Evaluation fails on values: a division by zero, a cast that does not fit.
        | DataFusionError::ArrowError(..)
        | DataFusionError::Execution(_) => Error::invalid(message),
        DataFusionError::ResourcesExhausted(_) => Error::exhausted(message),
        _ => Error::internal(message),
    }
}

/// What DataFusion says when the bound on what is spilled is passed.
const SPILLED_TOO_MUCH: &str = "used disk space during the spilling";

fn spills(root: &DataFusionError) -> bool {
    match root {
        DataFusionError::IoError(_) => true,
        DataFusionError::ArrowError(error, _) => matches!(**error, ArrowError::IoError(..)),
        _ => false,
    }
}

/// The column that the error says does not exist.
pub(crate) fn missing_column(error: &DataFusionError) -> Option<String> {
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. } => Some(field.name.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn own_error(error: &DataFusionError) -> Option<Error> {
    let mut current: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(own) = current.downcast_ref::<Error>() {
            return Some(own.clone());
        }
        if let Some(DataFusionError::External(inner)) = current.downcast_ref::<DataFusionError>()
            && let Some(own) = inner.downcast_ref::<Error>()
        {
            return Some(own.clone());
        }
        current = current.source()?;
    }
}

/// What the parser says and where; it has no position for what ends too early.
fn parse_error(error: &ParserError) -> String {
    let (ParserError::TokenizerError(message) | ParserError::ParserError(message)) = error else {
        return "is nested too deeply".to_owned();
    };
    match message.strip_suffix(", found: EOF") {
        Some(expected) => format!("{expected}, found nothing at its end"),
        None => first_line(message),
    }
}

/// The first line, and the next where it says what was perhaps meant.
fn first_line(message: &str) -> String {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default();
    match lines.next().filter(|next| next.starts_with("Did you mean")) {
        Some(hint) => format!("{first} {hint}"),
        None => first.to_owned(),
    }
}

//! `flightcache.metrics` and `flightcache.queries`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, StringArray, TimestampMillisecondArray},
    datatypes::Field,
};
use flightcache_cache::{Error, Result};
use serde_json::Value;

use super::{count, signed, text, time};
use crate::{auth::Caller, metrics::StatsSource, node::Node, sql::QueryRecord};

pub(super) fn metric_fields() -> Vec<Field> {
    vec![text("metric"), count("value")]
}

/// The node's figures as `flightcache.stats` answers them.
pub(super) fn metrics(node: &Node, caller: &Caller) -> Result<Vec<Vec<ArrayRef>>> {
    caller.acting("flightcache.metrics").decide_watch()?;
    let stats = serde_json::to_value(node.stats())
        .map_err(|error| Error::internal("figures cannot be written").with_source(error))?;
    let mut figures = Vec::new();
    flatten("", &stats, &mut figures);
    figures.sort();
    Ok(vec![vec![
        Arc::new(StringArray::from_iter_values(figures.iter().map(|(name, _)| name))),
        Arc::new(Int64Array::from_iter_values(figures.iter().map(|(_, value)| *value))),
    ]])
}

fn flatten(name: &str, value: &Value, figures: &mut Vec<(String, i64)>) {
    match value {
        Value::Object(parts) => {
            for (part, value) in parts {
                let name = if name.is_empty() { part.clone() } else { format!("{name}.{part}") };
                flatten(&name, value, figures);
            }
        }
        Value::Number(number) => {
            figures.push((name.to_owned(), number.as_u64().map_or(0, signed)));
        }
        _ => {}
    }
}

pub(super) fn query_fields() -> Vec<Field> {
    vec![
        text("query"),
        text("principal").with_nullable(true),
        text("sql"),
        text("state"),
        text("error").with_nullable(true),
        time("started"),
        count("elapsed_ms"),
        count("rows"),
        count("bytes"),
        count("peak_memory_bytes"),
    ]
}

/// One row for each read of a query's endpoint: of all queries for who may watch the node, else of
/// the caller's own.
pub(super) fn queries(node: &Node, caller: &Caller) -> Vec<Vec<ArrayRef>> {
    let all = caller.may_watch();
    let mut shown = node.sql.queries.records();
    shown.retain(|one| all || one.principal.as_deref() == caller.principal());
    let texts = |of: fn(&QueryRecord) -> Option<&str>| -> ArrayRef {
        Arc::new(shown.iter().map(of).collect::<StringArray>())
    };
    let counts = |of: fn(&QueryRecord) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(shown.iter().map(|one| signed(of(one)))))
    };
    let started = shown.iter().map(|one| signed(one.started_ms));
    let started = TimestampMillisecondArray::from_iter_values(started).with_timezone("UTC");
    vec![vec![
        texts(|one| Some(&one.id)),
        texts(|one| one.principal.as_deref()),
        texts(|one| Some(&one.sql)),
        texts(|one| Some(one.state.name())),
        texts(|one| one.error.as_deref()),
        Arc::new(started),
        counts(|one| one.elapsed_ms),
        counts(|one| one.rows),
        counts(|one| one.bytes),
        counts(|one| one.peak_memory_bytes),
    ]]
}

//! Schemas and tables, by the patterns that clients send.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Schema, SchemaRef},
};
use arrow_flight::sql::{
    Command, CommandGetDbSchemas, CommandGetTables, metadata::GetTablesBuilder,
};
use flightcache_cache::{Error, Result};
use flightcache_planner::sql::{CATALOG, DATASETS, INFORMATION, SYSTEM, columns};
use flightcache_protocol::ScanCommand;
use futures::{FutureExt, StreamExt, future::ready, stream};

use super::metadata::unbuilt;
use crate::{
    auth::Caller,
    node::Node,
    service::info::at_snapshot,
    sql::{Wanted, prepare, system_tables},
    status::log,
};

/// The types of tables: system tables, datasets, and the views of the information schema.
pub(super) const TYPES: [&str; 3] = ["SYSTEM TABLE", "TABLE", "VIEW"];
/// The views of the information schema.
const VIEWS: [&str; 6] = ["columns", "parameters", "routines", "schemata", "tables", "views"];
/// Longest pattern, in bytes: no name is longer.
const MAX_PATTERN_BYTES: usize = 1 << 10;
/// Datasets whose columns are looked at together.
const LISTED_AT_ONCE: usize = 8;

/// Checks the patterns of `command`.
///
/// # Errors
/// `Invalid` for one that is too long.
pub(super) fn check(command: &Command) -> Result<()> {
    let patterns = match command {
        Command::CommandGetDbSchemas(of) => [&of.db_schema_filter_pattern, &None],
        Command::CommandGetTables(of) => {
            [&of.db_schema_filter_pattern, &of.table_name_filter_pattern]
        }
        _ => return Ok(()),
    };
    let long = patterns.into_iter().flatten().any(|pattern| pattern.len() > MAX_PATTERN_BYTES);
    if long {
        return Err(Error::invalid(format!("a pattern is longer than {MAX_PATTERN_BYTES} bytes")));
    }
    Ok(())
}

fn unmatched(error: &arrow_flight::error::FlightError) -> Error {
    Error::invalid(format!("a pattern cannot be used: {error}"))
}

/// The schemas that `of` asks for.
pub(super) fn schemas(of: CommandGetDbSchemas) -> Result<RecordBatch> {
    let mut schemas = of.into_builder();
    for name in [SYSTEM, INFORMATION, DATASETS] {
        schemas.append(CATALOG, name);
    }
    schemas.build().map_err(|error| unmatched(&error))
}

/// The tables that `of` asks for and `caller` may read; of a dataset that cannot be read, the name
/// without columns.
pub(super) async fn tables(
    node: &Arc<Node>,
    caller: &Caller,
    of: CommandGetTables,
) -> Result<RecordBatch> {
    let include_schema = of.include_schema;
    let mut named = CommandGetTables { include_schema: false, ..of }.into_builder();
    let mut append = |schema: &str, name: &str, kind: &str| {
        named.append(CATALOG, schema, name, kind, &Schema::empty()).map_err(|error| unbuilt(&error))
    };
    for dataset in node.datasets.readable(caller) {
        append(DATASETS, dataset.name(), "TABLE")?;
    }
    let system: BTreeMap<&str, SchemaRef> =
        system_tables(node, caller).iter().map(|table| (table.name(), table.schema())).collect();
    for name in system.keys() {
        append(SYSTEM, name, "SYSTEM TABLE")?;
    }
    for name in VIEWS {
        append(INFORMATION, name, "VIEW")?;
    }
    let named = named.build().map_err(|error| unmatched(&error))?;
    if !include_schema {
        return Ok(named);
    }
    // Columns are looked up of what was asked for, and no more.
    let texts = |column: usize| named.column(column).as_string::<i32>().iter().flatten();
    let wanted = texts(1).zip(texts(2)).zip(texts(3));
    let wanted: Vec<[String; 3]> =
        wanted.map(|((schema, name), kind)| [schema, name, kind].map(str::to_owned)).collect();
    let mut described = stream::iter(wanted)
        .map(|[schema, name, kind]| {
            let known = system.get(&*name).cloned().filter(|_| schema == SYSTEM);
            async move {
                let columns = match known {
                    Some(known) => known,
                    None => described(node, caller, &schema, &name).await,
                };
                (schema, name, kind, columns)
            }
        })
        .buffered(LISTED_AT_ONCE);
    let none: [&str; 0] = [];
    let mut tables = GetTablesBuilder::new(None::<&str>, None::<&str>, None::<&str>, none, true);
    while let Some((schema, name, kind, columns)) = described.next().await {
        let appended = tables.append(CATALOG, schema, name, kind, &columns);
        appended.map_err(|error| unbuilt(&error))?;
    }
    drop(described);
    tables.build().map_err(|error| unbuilt(&error))
}

async fn described(node: &Arc<Node>, caller: &Caller, schema: &str, name: &str) -> SchemaRef {
    let known = if schema == DATASETS {
        let command = ScanCommand::dataset(name);
        let table = at_snapshot(node, caller, &command, |_, table| ready(Ok(table)).boxed());
        table.await.map(|table| columns(&table))
    } else {
        let sql = format!("SELECT * FROM {schema}.{name}");
        let wanted = Wanted { sql, ..Wanted::default() };
        prepare(node, caller, wanted, |view| async move { Ok(Arc::clone(view.schema())) }).await
    };
    known.unwrap_or_else(|error| {
        log("GetTables", &error);
        Arc::new(Schema::empty())
    })
}

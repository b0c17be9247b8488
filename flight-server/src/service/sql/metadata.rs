//! Metadata commands: catalogs, schemas, tables, types, keys, and what this server can do.

use std::{future::pending, sync::Arc};

use arrow::{array::RecordBatch, datatypes::Schema};
use arrow_flight::{
    FlightDescriptor, FlightInfo,
    error::FlightError,
    sql::{
        Any, Command,
        metadata::{GetCatalogsBuilder, SqlInfoDataBuilder, XdbcTypeInfoDataBuilder},
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use flightcache_cache::{Error, Result};
use flightcache_planner::sql::CATALOG;
use flightcache_protocol::SqlRequest;
use futures::{StreamExt, stream};
use prost::Message;

use super::{about, flight_info, keys, parse, sealed_endpoint, tables, types};
use crate::{
    auth::Caller,
    node::Node,
    service::{
        Answer,
        read::{Admitted, Rows},
        stream::Reader,
    },
};

/// Whether `command` asks for metadata.
pub(super) fn is(command: &Command) -> bool {
    schema(command).is_ok()
}

/// The schema of what `command` answers.
///
/// # Errors
/// `Invalid` if it asks for no metadata.
pub(super) fn schema(command: &Command) -> Result<Schema> {
    Ok(match command {
        Command::CommandGetCatalogs(_) => GetCatalogsBuilder::new().schema().as_ref().clone(),
        Command::CommandGetDbSchemas(of) => of.clone().into_builder().schema().as_ref().clone(),
        Command::CommandGetTables(of) => of.clone().into_builder().schema().as_ref().clone(),
        Command::CommandGetTableTypes(of) => of.into_builder().schema().as_ref().clone(),
        Command::CommandGetSqlInfo(_) => SqlInfoDataBuilder::schema().clone(),
        Command::CommandGetXdbcTypeInfo(_) => {
            XdbcTypeInfoDataBuilder::new().schema().as_ref().clone()
        }
        Command::CommandGetPrimaryKeys(_) => keys::primary(),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => keys::foreign(),
        _ => return Err(Error::invalid("that command asks for no metadata")),
    })
}

/// One endpoint, whose ticket holds the command.
pub(super) fn plan(
    node: &Arc<Node>,
    caller: &Caller,
    descriptor: FlightDescriptor,
    command: &Command,
) -> Result<FlightInfo> {
    let schema = schema(command)?;
    tables::check(command)?;
    let sealed = BASE64_STANDARD.encode(command.clone().into_any().encode_to_vec());
    let endpoint = sealed_endpoint(node, caller, SqlRequest::Metadata(sealed), Vec::new())?;
    flight_info(&schema, descriptor, vec![endpoint], Vec::new())
}

/// Streams the answer of a metadata command.
pub(super) async fn read(
    node: Arc<Node>,
    caller: &Caller,
    reader: Reader,
    command: &str,
) -> Result<http::Response<Answer>> {
    let broken = || Error::internal("a sealed command cannot be read again");
    let bytes = BASE64_STANDARD.decode(command).map_err(|_| broken())?;
    let command = parse(Any::decode(&*bytes).map_err(|_| broken())?)?;
    let admitted = Admitted::new(&node, reader).await?;
    let batch = answer(&node, caller, &command).await?;
    let schema = batch.schema();
    let batches = stream::iter([Ok(batch)]).boxed();
    // It is sent at once.
    let may_go_on = Box::new(|| Ok(()));
    admitted.respond(Rows { schema, batches, copies: true, may_go_on }, pending(), |_| {})
}

async fn answer(node: &Arc<Node>, caller: &Caller, command: &Command) -> Result<RecordBatch> {
    match command {
        Command::CommandGetCatalogs(_) => {
            let mut catalogs = GetCatalogsBuilder::new();
            catalogs.append(CATALOG);
            catalogs.build().map_err(|error| unbuilt(&error))
        }
        Command::CommandGetTableTypes(of) => {
            let mut types = of.into_builder();
            for name in tables::TYPES {
                types.append(name);
            }
            types.build().map_err(|error| unbuilt(&error))
        }
        Command::CommandGetDbSchemas(of) => tables::schemas(of.clone()),
        Command::CommandGetTables(of) => tables::tables(node, caller, of.clone()).await,
        Command::CommandGetSqlInfo(of) => {
            let infos = about::infos(node)?;
            of.clone().into_builder(&infos).build().map_err(|error| unbuilt(&error))
        }
        Command::CommandGetXdbcTypeInfo(of) => {
            let types = types::types()?;
            of.into_builder(&types).build().map_err(|error| unbuilt(&error))
        }
        other => Ok(RecordBatch::new_empty(Arc::new(schema(other)?))),
    }
}

pub(super) fn unbuilt(error: &FlightError) -> Error {
    Error::internal(format!("metadata cannot be written: {error}"))
}

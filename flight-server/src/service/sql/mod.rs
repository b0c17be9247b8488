//! Flight SQL: its commands, its actions, and what its tickets serve.
//!
//! ```text
//!  GetFlightInfo(statement) ──► statement::plan ──► one endpoint, or one a split ──► statement::read
//!  GetFlightInfo(metadata) ───► metadata::plan ───► one endpoint ──────────────────► metadata::read
//!  CreatePreparedStatement ───► prepared::create ─► a handle: the sealed statement
//!  DoPut(handle, values) ─────► prepared::bind ───► a handle with its values
//! ```

mod about;
mod keys;
mod metadata;
pub(super) mod prepared;
mod statement;
mod tables;
mod types;

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, SchemaResult,
    flight_descriptor::DescriptorType,
    sql::{Any, Command},
};
use flightcache_cache::{Error, Result};
use flightcache_protocol::{SqlRequest, SqlStatement, SqlTicket, is_sql_ticket};
use prost::Message;

use super::{Answer, info, stream::Reader};
use crate::{
    auth::Caller,
    node::{Node, now_ms},
};

/// How the type URLs of Flight SQL's messages begin.
const TYPES: &str = "type.googleapis.com/arrow.flight.protocol.sql.";

/// The command of Flight SQL in `descriptor`, if it is one.
///
/// # Errors
/// `Invalid` if it is broken or unknown.
pub(super) fn command(descriptor: &FlightDescriptor) -> Result<Option<Command>> {
    if descriptor.r#type() != DescriptorType::Cmd {
        return Ok(None);
    }
    let Some(any) =
        Any::decode(&*descriptor.cmd).ok().filter(|any| any.type_url.starts_with(TYPES))
    else {
        return Ok(None);
    };
    parse(any).map(Some)
}

fn parse(any: Any) -> Result<Command> {
    let name = any.type_url.strip_prefix(TYPES).unwrap_or_default().escape_debug().to_string();
    match Command::try_from(any) {
        Ok(Command::Unknown(_)) => {
            Err(Error::invalid(format!("`{name}` is no command of Flight SQL")))
        }
        Ok(command) => Ok(command),
        Err(_) => Err(Error::invalid(format!("{name} cannot be read"))),
    }
}

/// Plans `command`.
pub(super) async fn plan(
    node: &Arc<Node>,
    caller: &Caller,
    descriptor: FlightDescriptor,
    command: Command,
) -> Result<FlightInfo> {
    match asked(node, caller, command)? {
        Asked::Statement(statement) => statement::plan(node, caller, descriptor, statement).await,
        Asked::Metadata(command) => metadata::plan(node, caller, descriptor, &command),
    }
}

/// The schema of what `command` answers.
pub(super) async fn schema(
    node: &Arc<Node>,
    caller: &Caller,
    command: Command,
) -> Result<SchemaResult> {
    match asked(node, caller, command)? {
        Asked::Statement(statement) => {
            let schema = statement::schema(node, caller, &statement).await?;
            info::schema_result(&schema)
        }
        Asked::Metadata(command) => info::schema_result(&metadata::schema(&command)?),
    }
}

/// Serves a ticket of SQL.
pub(super) async fn read(
    node: Arc<Node>,
    caller: &Caller,
    reader: Reader,
    ticket: &[u8],
) -> Result<http::Response<Answer>> {
    let ticket = open(&node, caller, ticket)?;
    match ticket.request {
        SqlRequest::Query(query) => statement::read(node, caller, reader, query).await,
        SqlRequest::Metadata(command) => metadata::read(node, caller, reader, &command).await,
        SqlRequest::Statement(_) => Err(Error::invalid(
            "that is a prepared statement's handle: get a ticket by GetFlightInfo",
        )),
    }
}

enum Asked {
    Statement(SqlStatement),
    Metadata(Command),
}

fn asked(node: &Node, caller: &Caller, command: Command) -> Result<Asked> {
    match command {
        Command::CommandStatementQuery(query) => {
            no_transaction(query.transaction_id.as_deref())?;
            Ok(Asked::Statement(SqlStatement { sql: query.query, parameters: None }))
        }
        Command::CommandPreparedStatementQuery(query) => {
            let handle = &query.prepared_statement_handle;
            prepared::statement(node, caller, handle).map(Asked::Statement)
        }
        Command::CommandStatementUpdate(_)
        | Command::CommandPreparedStatementUpdate(_)
        | Command::CommandStatementIngest(_) => Err(read_only()),
        Command::CommandStatementSubstraitPlan(_) => {
            Err(Error::invalid("Substrait plans are not understood: send SQL"))
        }
        command if metadata::is(&command) => Ok(Asked::Metadata(command)),
        other => {
            let name = other.type_url().strip_prefix(TYPES).unwrap_or_default().to_owned();
            Err(Error::invalid(format!("{name} is no command that has a flight")))
        }
    }
}

pub(super) fn read_only() -> Error {
    Error::denied("writing is refused: SQL here reads datasets, no more")
}

fn no_transaction(id: Option<&[u8]>) -> Result<()> {
    if id.is_some_and(|id| !id.is_empty()) {
        return Err(Error::invalid("there are no transactions: SQL here only reads"));
    }
    Ok(())
}

fn open(node: &Node, caller: &Caller, bytes: &[u8]) -> Result<SqlTicket> {
    let ticket = node.ticket_keys.get().open_sql(bytes, now_ms())?;
    caller.must_own(ticket.principal.as_deref())?;
    Ok(ticket)
}

/// The id of the query that `info` is of, if it is one of `caller`'s.
///
/// # Errors
/// `Denied` if it is another principal's.
pub(super) fn query_id(node: &Node, caller: &Caller, info: &FlightInfo) -> Result<Option<String>> {
    for endpoint in &info.endpoint {
        let sealed = endpoint.ticket.as_ref().map(|ticket| &*ticket.ticket).unwrap_or_default();
        if is_sql_ticket(sealed)
            && let SqlRequest::Query(query) = open(node, caller, sealed)?.request
        {
            return Ok(Some(query.id));
        }
    }
    Ok(None)
}

fn sealed_endpoint(
    node: &Node,
    caller: &Caller,
    request: SqlRequest,
    metadata: Vec<u8>,
) -> Result<FlightEndpoint> {
    let expires_ms = info::expiry(node);
    let principal = caller.principal().map(str::to_owned);
    let ticket = SqlTicket { request, principal, expires_ms };
    let sealed = node.ticket_keys.get().seal_sql(&ticket)?;
    Ok(info::endpoint_of(node, sealed, expires_ms, metadata))
}

fn flight_info(
    schema: &Schema,
    descriptor: FlightDescriptor,
    endpoint: Vec<FlightEndpoint>,
    metadata: Vec<u8>,
) -> Result<FlightInfo> {
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(|error| Error::internal("schema cannot be sent").with_source(error))?
        .with_total_records(-1)
        .with_total_bytes(-1)
        .with_descriptor(descriptor)
        .with_app_metadata(metadata);
    Ok(FlightInfo { ordered: endpoint.len() < 2, endpoint, ..info })
}

#[cfg(test)]
mod tests {
    use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
    use flightcache_cache::ErrorKind;

    use super::*;

    fn of(cmd: impl Into<bytes::Bytes>) -> Result<Option<Command>> {
        command(&FlightDescriptor::new_cmd(cmd.into()))
    }

    #[test]
    fn commands_of_flight_sql_are_told_from_scan_commands() {
        let query = CommandStatementQuery { query: "SELECT 1".into(), transaction_id: None };
        let any = query.as_any();
        assert!(matches!(
            of(any.encode_to_vec()),
            Ok(Some(Command::CommandStatementQuery(same))) if same == query
        ));
        for scan in ["{\"dataset\": \"a\"}", "\n{\"dataset\": \"a\"}", "", "no JSON"] {
            assert!(matches!(of(scan), Ok(None)), "{scan}");
        }
        let path = FlightDescriptor::new_path(vec!["a".into()]);
        assert!(matches!(command(&path), Ok(None)));
    }

    #[test]
    fn broken_and_unknown_commands_are_named() {
        for (name, value) in [("CommandNothing\n", ""), ("CommandStatementQuery", "\u{1}")] {
            let any = Any { type_url: format!("{TYPES}{name}"), value: value.into() };
            let error = of(any.encode_to_vec()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().contains(name.trim()), "{error}");
            assert!(!error.message().contains('\n'), "{error}");
        }
    }
}

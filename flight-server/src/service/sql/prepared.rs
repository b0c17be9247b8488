//! Prepared statements. A handle is the sealed statement, so no server remembers it; binding values
//! gives a new handle that holds them.

use std::{io::Cursor, sync::Arc, time::Duration};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use arrow_flight::{
    FlightData, IpcMessage, PutResult, SchemaAsIpc,
    sql::{
        ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, Command,
        DoPutPreparedStatementResult,
    },
    utils::flight_data_to_batches,
};
use arrow_ipc::{reader::StreamReader, writer::IpcWriteOptions, writer::StreamWriter};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use flightcache_cache::{Error, Result, guarded};
use flightcache_protocol::{SqlRequest, SqlStatement, SqlTicket};
use futures::{Stream, StreamExt, stream};
use prost::Message;
use tonic::Status;

use super::{TYPES, no_transaction, open, parse, read_only};
use crate::{
    auth::Caller,
    node::{Node, now_ms},
    service::BoxStream,
    sql::{Wanted, prepare},
};

/// How long a handle is good: connection pools keep statements.
const HANDLE_TTL: Duration = Duration::from_hours(24);
/// Bytes of the values of a statement's parameters, at most.
const MAX_PARAMETER_BYTES: usize = 1 << 20;
/// Messages in which they come, at most.
const MAX_PARAMETER_MESSAGES: usize = 1_000;

/// Prepares a statement: its handle, and the schemas of its answer and its parameters.
pub(in crate::service) async fn create(
    node: &Arc<Node>,
    caller: &Caller,
    request: ActionCreatePreparedStatementRequest,
) -> Result<ActionCreatePreparedStatementResult> {
    no_transaction(request.transaction_id.as_deref())?;
    let wanted = Wanted { sql: request.query.clone(), ..Wanted::default() };
    let schemas = prepare(node, caller, wanted, |statement| async move {
        Ok((Arc::clone(statement.schema()), Arc::clone(statement.parameters())))
    });
    let (answer, parameters) = schemas.await?;
    let statement = SqlStatement { sql: request.query, parameters: None };
    Ok(ActionCreatePreparedStatementResult {
        prepared_statement_handle: handle(node, caller, statement)?,
        dataset_schema: message(&answer)?,
        parameter_schema: message(&told(&parameters))?,
    })
}

/// The statement behind a handle of `caller`'s.
///
/// # Errors
/// `Invalid` if it is no handle, `Stale` if it is too old, `Denied` if it is another's.
pub(in crate::service) fn statement(
    node: &Node,
    caller: &Caller,
    handle: &[u8],
) -> Result<SqlStatement> {
    match open(node, caller, handle)?.request {
        SqlRequest::Statement(statement) => Ok(statement),
        _ => Err(Error::invalid("that is no handle of a prepared statement")),
    }
}

/// Answers `DoPut`: binds values to a prepared statement, and refuses all else that is Flight SQL;
/// `None` for what is not.
pub(in crate::service) async fn put(
    node: &Arc<Node>,
    caller: &Caller,
    messages: impl Stream<Item = std::result::Result<FlightData, Status>> + Send + Unpin,
) -> Result<Option<BoxStream<PutResult>>> {
    let messages = collect(messages).await?;
    let descriptor = messages.first().and_then(|first| first.flight_descriptor.as_ref());
    let any = descriptor.and_then(|descriptor| Any::decode(&*descriptor.cmd).ok());
    let Some(any) = any.filter(|any| any.type_url.starts_with(TYPES)) else {
        return Ok(None);
    };
    let Command::CommandPreparedStatementQuery(query) = parse(any)? else {
        return Err(read_only());
    };
    let statement = statement(node, caller, &query.prepared_statement_handle)?;
    let values = values(&messages)?;
    let bound = SqlStatement { parameters: Some(encode(&values)?), ..statement };
    let result = DoPutPreparedStatementResult {
        prepared_statement_handle: Some(handle(node, caller, bound)?),
    };
    let put = PutResult { app_metadata: result.encode_to_vec().into() };
    Ok(Some(stream::iter([Ok(put)]).boxed()))
}

async fn collect(
    mut messages: impl Stream<Item = std::result::Result<FlightData, Status>> + Unpin,
) -> Result<Vec<FlightData>> {
    let (mut collected, mut bytes) = (Vec::new(), 0);
    while let Some(message) = messages.next().await {
        let message = message.map_err(|status| Error::invalid(status.message().to_owned()))?;
        bytes += message.encoded_len();
        // What is refused anyway need not be read to its end.
        let bind = collected.is_empty().then(|| is_bind(&message));
        collected.push(message);
        if bind == Some(false) {
            break;
        }
        // The handle comes with the first message, and may be as large as a ticket.
        if bytes > 3 * MAX_PARAMETER_BYTES || collected.len() > MAX_PARAMETER_MESSAGES {
            return Err(Error::invalid(format!(
                "values of parameters come to more than {MAX_PARAMETER_BYTES} bytes"
            )));
        }
    }
    Ok(collected)
}

fn is_bind(message: &FlightData) -> bool {
    let descriptor = message.flight_descriptor.as_ref();
    let any = descriptor.and_then(|descriptor| Any::decode(&*descriptor.cmd).ok());
    any.is_some_and(|any| any.type_url.ends_with(".CommandPreparedStatementQuery"))
}

/// The one row of values in `messages`.
fn values(messages: &[FlightData]) -> Result<RecordBatch> {
    let broken = || Error::invalid("values of parameters are not Arrow batches");
    let batches = guarded(|| flight_data_to_batches(messages)).and_then(std::result::Result::ok);
    let mut batches = batches.ok_or_else(broken)?.into_iter().filter(|batch| batch.num_rows() > 0);
    match (batches.next(), batches.next()) {
        (Some(batch), None) if batch.num_rows() == 1 => Ok(batch),
        (None, _) => Err(Error::invalid("no values for the parameters were sent")),
        _ => Err(Error::invalid(
            "several rows of parameters were sent: run the statement once for each",
        )),
    }
}

fn handle(node: &Node, caller: &Caller, statement: SqlStatement) -> Result<Bytes> {
    let ttl = u64::try_from(HANDLE_TTL.as_millis()).unwrap_or(u64::MAX);
    let ticket = SqlTicket {
        request: SqlRequest::Statement(statement),
        principal: caller.principal().map(str::to_owned),
        expires_ms: now_ms().saturating_add(ttl),
    };
    node.ticket_keys.get().seal_sql(&ticket).map(Bytes::from)
}

fn message(schema: &Schema) -> Result<Bytes> {
    let message: IpcMessage = SchemaAsIpc::new(schema, &IpcWriteOptions::default())
        .try_into()
        .map_err(|error| Error::internal("schema cannot be sent").with_source(error))?;
    Ok(message.0)
}

/// Parameters as clients are told them: JDBC binds nothing to a parameter of no type.
fn told(parameters: &SchemaRef) -> Schema {
    let told = parameters.fields().iter().map(|field| match field.data_type() {
        DataType::Null => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        _ => Arc::clone(field),
    });
    Schema::new(told.collect::<Vec<_>>())
}

fn encode(values: &RecordBatch) -> Result<String> {
    let unfit = |error| Error::invalid("values of parameters cannot be kept").with_source(error);
    let mut written = Vec::new();
    let mut writer = StreamWriter::try_new(&mut written, values.schema_ref()).map_err(unfit)?;
    writer.write(values).and_then(|()| writer.finish()).map_err(unfit)?;
    drop(writer);
    if written.len() > MAX_PARAMETER_BYTES {
        return Err(Error::invalid(format!(
            "values of parameters come to {} bytes: at most {MAX_PARAMETER_BYTES} are taken",
            written.len()
        )));
    }
    Ok(BASE64_STANDARD.encode(written))
}

/// The values in a statement that was sealed here.
pub(super) fn decode(parameters: &str) -> Result<RecordBatch> {
    let broken = || Error::internal("values of parameters cannot be read again");
    let written = BASE64_STANDARD.decode(parameters).map_err(|_| broken())?;
    let mut reader = StreamReader::try_new(Cursor::new(written), None).map_err(|_| broken())?;
    reader.next().and_then(std::result::Result::ok).ok_or_else(broken)
}

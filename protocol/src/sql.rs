//! What tickets and handles of Flight SQL hold: no server has to remember a statement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TicketSplit;

/// What one endpoint of a SQL command serves, or what a prepared statement's handle stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlTicket {
    /// What is asked for.
    pub request: SqlRequest,
    /// Whom it was made for; absent where the node that made it asks nobody who he is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_ms: u64,
}

/// What a SQL ticket asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SqlRequest {
    /// The rows of a statement: the ticket of an endpoint.
    Query(SqlQuery),
    /// A prepared statement: its handle.
    Statement(SqlStatement),
    /// A metadata command, the protobuf of Flight SQL in base64: the ticket of an endpoint.
    Metadata(String),
}

/// A statement with the values of its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlStatement {
    /// Its text.
    pub sql: String,
    /// One row of values, an Arrow IPC stream in base64; absent until they are bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<String>,
}

/// A statement planned against datasets at one snapshot each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlQuery {
    /// Names the query, the same for all its endpoints; random.
    pub id: String,
    /// What is run.
    pub statement: SqlStatement,
    /// The snapshots that it reads, by dataset.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshots: BTreeMap<String, String>,
    /// The split to read; absent where one endpoint serves the whole answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<TicketSplit>,
    /// Digest of the schema that the client was told: no other is sent.
    pub schema: u64,
}

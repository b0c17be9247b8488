//! What `flightcache.map` takes and answers: where a split's columns lie on the node's disk.
//!
//! A client on the same machine maps the files instead of reading the split's stream. It finds out
//! itself whether it is on that machine, by looking whether the files are there as told.

use serde::{Deserialize, Serialize};

/// Body of `flightcache.map`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapRequest {
    /// The ticket of an endpoint, in standard base64.
    pub ticket: String,
}

/// Answer of `flightcache.map`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapReply {
    /// The ticket's rows, as they lie in files: its row groups in file order.
    RowGroups(Vec<MappedRowGroup>),
    /// Why they do not: they are to be read by `DoGet`.
    Streamed(String),
}

/// A row group in files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedRowGroup {
    /// Ordinal of the row group in its object.
    pub row_group: u32,
    /// Its first row, counted from the start of the object.
    pub first_row: u64,
    /// Its rows.
    pub rows: u64,
    /// A file for each column of the scan's schema, in its order.
    pub columns: Vec<MappedFile>,
}

/// A file of one column: immutable, and there for some seconds, in which it must be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedFile {
    /// Where it is on the node's machine, from the root on.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its bytes 8 to 24, the checksum of what follows them, in hex.
    pub checksum: String,
}

//! The JSON in `app_metadata`: of a scan, of each endpoint, of each batch.

use serde::{Deserialize, Serialize};

/// `app_metadata` of a whole `FlightInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanMetadata {
    /// Snapshot the scan was planned against.
    pub snapshot: String,
    /// Bytes of the snapshot's objects as stored.
    pub bytes: u64,
    /// Objects in the snapshot.
    pub objects: u64,
    /// Different schemas among the files: where there is one, each has every column and field.
    #[serde(default)]
    pub schemas: u64,
    /// Columns that come from folders, and not from the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_columns: Vec<String>,
    /// Of a command with a `prune` or `prefilter`, the objects none of whose row groups may match: they are in the
    /// snapshot and no endpoint reads them. The first ten thousand of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pruned: Vec<SplitObject>,
    /// Of a command with `statistics`, what footers tell exactly of each of these columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statistics: Vec<ColumnStatistics>,
}

/// What the footers of all objects together tell exactly of a column.
///
/// Bounds are decimal numbers: the value of an integer, of a decimal without its point, the days since
/// the Unix epoch of a date, the time since then of a timestamp, in its unit, 0 or 1 of a boolean. Those
/// of a string, compared as bytes, are the strings themselves; other types have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// Name of the column.
    pub column: String,
    /// Rows that are null; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nulls: Option<u64>,
    /// Lowest value; absent if unknown, and where all rows are null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// Highest value, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
}

/// `app_metadata` of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitMetadata {
    /// The objects the endpoint reads: one, or several where a filter and a limit together need
    /// one endpoint for the whole scan.
    pub objects: Vec<SplitObject>,
}

/// One object version and the row groups of it that are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitObject {
    /// Path inside the container.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// ETag, as the store gave it; empty where the store gives none.
    pub etag: String,
    /// When it was written, in milliseconds since the Unix epoch, as the store says.
    pub modified_ms: i64,
    /// The row groups, in file order.
    pub row_groups: Vec<RowGroupMetadata>,
}

/// One row group of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowGroupMetadata {
    /// Ordinal in the file.
    pub ordinal: u32,
    /// Its first row, counted from the start of the file.
    pub first_row: u64,
    /// Rows it holds before any filter.
    pub rows: u64,
    /// Byte by which parquet-mr assigns it to a byte range: start of its first page plus half of
    /// its compressed size.
    pub midpoint: u64,
}

/// `app_metadata` of one batch: the rows of the file it covers.
///
/// With a filter or a prefilter a batch holds those of the covered rows that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchMetadata {
    /// Ordinal of the row group.
    pub row_group: u32,
    /// First covered row, counted from the start of the file.
    pub first_row: u64,
    /// Covered rows.
    pub rows: u64,
}

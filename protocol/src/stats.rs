//! The figures of a node, as `flightcache.stats` answers and `/metrics` shows them.

use serde::{Deserialize, Serialize};

/// All figures of a node. Counters only grow; `capacity`, `streams_open`, bytes that are
/// held and queries that run or wait are gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// The memory tier.
    pub memory: MemoryStats,
    /// The disk tier.
    pub disk: DiskStats,
    /// The object stores behind the node.
    pub origin: OriginStats,
    /// Streams to clients.
    pub flight: FlightStats,
    /// Queries; absent in the answers of nodes that do not tell.
    #[serde(default)]
    pub sql: SqlStats,
}

/// Figures of the memory tier, in chunks and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// Chunks served from memory.
    pub hits: u64,
    /// Chunks for which a fill was started.
    pub misses: u64,
    /// Chunks that waited on somebody else's fill.
    pub joined: u64,
    /// Chunks dropped to stay under the capacity.
    pub evictions: u64,
    /// Bytes cached.
    pub bytes: u64,
    /// Bytes that may be cached.
    pub capacity: u64,
}

/// Figures of the disk tier, in files and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStats {
    /// Chunks served from disk.
    pub hits: u64,
    /// Chunks that were not on disk.
    pub misses: u64,
    /// Files dropped to stay under the capacity.
    pub evictions: u64,
    /// Files that failed verification and were deleted.
    pub corrupt: u64,
    /// Files that could not be read.
    pub read_errors: u64,
    /// Writes that failed.
    pub write_errors: u64,
    /// Writes not tried because too much was waiting to be written.
    pub writes_skipped: u64,
    /// Chunks not written because the files that are there are read more often.
    pub writes_rejected: u64,
    /// Files handed out to be mapped by clients on the same machine; absent in older answers.
    #[serde(default)]
    pub leases: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes that may be on disk.
    pub capacity: u64,
}

/// Figures of the object stores behind the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginStats {
    /// Data reads: ranged GETs, footers included.
    pub requests: u64,
    /// Bytes those reads returned.
    pub bytes: u64,
    /// Requests that failed after all retries.
    pub errors: u64,
    /// Requests the store asked to slow down.
    pub throttled: u64,
    /// Listings and HEADs.
    pub metadata_requests: u64,
}

/// Figures of streams to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlightStats {
    /// Streams open at this moment.
    pub streams_open: u64,
    /// Streams opened.
    pub streams: u64,
    /// Bytes of messages handed to the transport.
    pub bytes: u64,
}

/// Figures of SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlStats {
    /// Reads of queries that run at this moment.
    pub queries_running: u64,
    /// Reads of queries that wait for a place at this moment.
    pub queries_waiting: u64,
    /// Reads of queries that got no place.
    pub queries_refused: u64,
    /// Bytes that sorts, joins and aggregations hold.
    pub memory_bytes: u64,
    /// Bytes that are spilled and still needed.
    pub spilled_bytes: u64,
}

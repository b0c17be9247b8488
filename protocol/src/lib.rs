//! What clients say and what they are told: scan commands, tickets, actions, metadata, figures.
//!
//! Everything here is plain data with one canonical form on the wire; golden vectors for clients in
//! other languages stand in `protocol/testdata`. Nothing here reads a clock, a key file or a socket.
//!
//! ```text
//!  client ── ScanCommand ──► GetFlightInfo ──► ScanMetadata, per endpoint SplitMetadata + Ticket
//!  client ── Ticket ───────► DoGet ──────────► batches, each with BatchMetadata
//!  client ── JSON ─────────► DoAction ───────► Progress, Summary, Stats, ...
//! ```

mod action;
mod command;
mod int96;
mod map;
mod metadata;
mod sql;
mod stats;
#[doc(hidden)]
pub mod testing;
mod ticket;

pub use action::{
    Action, DatasetRequest, EvictReply, FillFailure, RefreshReply, WarmProgress, WarmReply,
    WarmRequest, WarmSummary,
};
pub use command::{MAX_COMMAND_BYTES, ScanCommand, ScanTarget};
pub use int96::{INT96_KEY, Int96Path, int96_text};
pub use map::{MapReply, MapRequest, MappedFile, MappedRowGroup};
pub use metadata::{
    BatchMetadata, ColumnStatistics, RowGroupMetadata, ScanMetadata, SplitMetadata, SplitObject,
};
pub use sql::{SqlQuery, SqlRequest, SqlStatement, SqlTicket};
pub use stats::{DiskStats, FlightStats, MemoryStats, OriginStats, SqlStats, Stats};
pub use ticket::{Ticket, TicketKey, TicketKeys, TicketSplit, is_sql_ticket};

#[cfg(test)]
mod tests;

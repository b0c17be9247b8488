//! Chunks, keys, memory and disk tiers, single flight, budgets: a cache of decoded columns.
//!
//! A cache is a source in front of a source. One trait, [`ChunkSource`], fetches chunks; the tiers,
//! the meter and the Parquet origin all implement it and are stacked:
//!
//! ```text
//!  scan ──► MemoryTier ──► DiskTier ──► Meter ──► origin
//!            hit: clone     hit: map     counts    ranged reads, decode
//!            miss: fill     miss: write
//!            joined: wait   behind
//! ```
//!
//! Nothing here knows a network, SQL or a file format of the origin.

mod budget;
mod chunk;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod disk;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod fault;
mod guard;
mod key;
mod memory;
mod meter;
mod shares;
mod source;
mod tally;
mod waiters;

pub use budget::{Lease, MemoryBudget};
pub use chunk::{Chunk, Column, PIECE_ROWS};
#[cfg(any(test, feature = "testing"))]
pub use disk::testing as disk_testing;
pub use disk::{DiskSettings, DiskSnapshot, DiskStore, DiskTier, Leased, LeasedFile};
pub use error::{Error, ErrorKind, Result};
pub use guard::{guarded, is_guarded};
pub use key::{ChunkKey, ENCODING_VERSION, ObjectId, Part};
pub use memory::{EstimateBytes, HeldChunk, MemorySettings, MemorySnapshot, MemoryTier};
pub use meter::{Meter, MeterSnapshot, ObserveLatency};
pub use shares::{Slot, Slots};
pub use source::{ChunkSource, FetchRequest};
pub use tally::{Tallied, Tally};
pub use waiters::{Waiter, Waiters};

//! Origins: object stores, credentials, listing and snapshots, Parquet reader.
//!
//! The only crate that names a cloud or a file format reader.
//!
//! ```text
//!  Dataset ──► Snapshot ──► Object ──► Footer ──► splits
//!     │        listing       id, ETag     │
//!     ▼                                   ▼
//!  Stores ◄── FooterOrigin ◄─ [disk] ◄─ Footers ◄── ParquetOrigin ◄── tiers
//!  one Store   raw footers,             parsed      ranges, decode     of columns
//!  a container byte ranges
//! ```
//!
//! How the parts are put together:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use flightcache_connectors::*;
//! # fn compose(cpu: tokio::runtime::Handle) -> flightcache_cache::Result<ParquetOrigin> {
//! let counters = Arc::new(OriginCounters::default());
//! let stores = Arc::new(Stores::new(Vec::new(), OriginSettings::default(), counters)?);
//! let raw = Arc::new(FooterOrigin::new(Arc::clone(&stores), cpu.clone()));
//! // A disk tier in front of `raw` keeps footers over a restart.
//! let footers = Footers::new(Arc::clone(&stores), raw, 256 << 20, cpu.clone());
//! Ok(ParquetOrigin::new(Arc::new(footers), stores, cpu, 0))
//! # }
//! ```
//!
//! Requests run on the runtime that polls them; parsing and decoding run on the blocking threads
//! of the runtime `cpu`.

mod column;
mod counters;
mod cpu;
mod footer;
mod settings;
mod snapshot;
mod split;
mod store;
#[cfg(test)]
mod testing;

pub use column::ParquetOrigin;
pub use counters::{OriginCounters, OriginCounts};
pub use footer::{
    Footer, FooterOrigin, Footers, Int96Leaf, estimate_bytes, has_path, stored_bytes,
};
pub use settings::{OriginSettings, StoreSettings};
pub use snapshot::{Dataset, Object, Snapshot, SnapshotBook, partition::partitions};
pub use split::{SPLIT_BYTES, SplitRange, midpoint, splits};
pub use store::{Location, Store, Stores};

//! DataFusion over cached chunks: scan planning, pruning, and the cached source.
//!
//! The only crate that names DataFusion. A scan is a plan with one scan in it:
//!
//! ```text
//!  Planner::plan ──► splits (pruned by partition values, statistics, page indexes)
//!  Planner::read ──► DataSourceExec
//!                      └ FileScanConfig: projection, limit, partition columns  (DataFusion)
//!                          └ CachedSource ─ opener ─ ChunkSource::fetch        (ours)
//! ```

mod embed;
mod error;
mod names;
mod predicate;
pub mod remote;
mod scan;
mod source;
pub mod sql;
mod table;

pub use embed::{EmbeddedCache, EmbeddedSettings};

pub use names::near;
pub use predicate::STACK_BYTES;
pub use scan::{BatchStream, PlainRowGroup, PlannedSplit, Planner, ScanPlan};
pub use source::covered_rows;
pub use table::DatasetTable;

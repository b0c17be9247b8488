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

mod adapt;
mod ahead;
mod error;
mod fragment;
mod metrics;
mod names;
mod opener;
mod partition;
mod predicate;
mod prune;
mod scan;
mod schema;
mod source;
pub mod sql;
mod statistics;
mod table;
mod tables;

pub use fragment::covered_rows;
pub use names::near;
pub use predicate::STACK_BYTES;
pub use scan::{BatchStream, PlannedSplit, Planner, ScanPlan};
pub use table::DatasetTable;

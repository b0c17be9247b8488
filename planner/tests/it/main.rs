//! The planner over real connectors and DataFusion's own reader side by side.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod bounds;
mod embedded;
mod harness;
mod int96;
mod late;
mod splits;
mod sql;
#[path = "../tpch/mod.rs"]
mod tpch;
mod tpch_answers;

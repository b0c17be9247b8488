//! The planner over real connectors and DataFusion's own reader side by side.

mod answers;
mod harness;
mod splits;

//! The `flightcache` binary as a library: configuration, Flight services, admission, admin, CLI.
//!
//! ```text
//!  main ─► cli ─► serve ─► node ─► datasets ─► snapshots   (connectors)
//!                   │        ├───► planner ──► scans       (planner)
//!                   │        └───► stack ────► chunks      (cache over connectors)
//!                   ├─► auth ► service: who calls, and what Flight clients call
//!                   └─► admin:   /livez /readyz /metrics, on a thread of its own
//! ```

mod accept;
pub mod admin;
pub mod auth;
pub mod cli;
pub mod client;
pub mod config;
pub mod datasets;
pub mod demo;
pub mod metrics;
pub mod node;
pub mod serve;
pub mod service;
pub mod sql;
pub mod stack;
mod status;
pub mod telemetry;

//! The memory tier: decoded chunks, bounded in bytes, filled once however many ask.
//!
//! ```text
//!             ┌────────────── MemoryTier ──────────────┐
//!   fetch ──► │ moka cache ──miss──► Flights           │
//!             │  hit: clone           mine: one fill ──┼──► inner source
//!             │                       others': joined  │
//!             └────────────────────────────────────────┘
//! ```
//!
//! A fill is a detached task: it takes a permit, then a lease on the [`MemoryBudget`], fetches all
//! parts its caller claimed in one request, inserts them and answers everyone who waits. Whoever
//! asked first may go away; the fill does not.

mod flight;
mod tier;

pub use tier::{EstimateBytes, HeldChunk, MemorySettings, MemorySnapshot, MemoryTier};

#[cfg(test)]
mod tests;

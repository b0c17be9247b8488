//! The disk tier: chunks as immutable files, bounded in bytes, mapped when read.
//!
//! ```text
//!   fetch ──► DiskTier ──miss──► inner source
//!               │  ▲                │
//!           hit │  └── write behind ┘   pending bytes bounded, else skipped
//!               ▼
//!            DiskStore: index (moka) ── DIR/v2/ab/ab…cd   one file a chunk
//!                                       DIR/LOCK           one store a folder
//! ```
//!
//! A file is written to a temporary name and renamed, never changed, and leaves by unlink alone, so
//! whoever has it mapped keeps what it maps; its blocks are free once the last map is gone. A file
//! that somebody else cut short while we have it mapped would end the process (SIGBUS): files are
//! read-only, the folder is locked, and nobody but the store has any business in it. Every read
//! verifies the checksum and the key. Nothing that goes wrong here fails a read: it is a miss,
//! and a counter says so.
//!
//! A file may be leased to another process on the machine, which maps it as we do: it is verified
//! first, and for some seconds it keeps its name even if it loses its place, so that it can be opened.

mod counters;
mod folder;
mod format;
mod full;
mod index;
mod lease;
mod lock;
mod payload;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tier;

pub use counters::DiskSnapshot;
pub use lease::{Leased, LeasedFile};
pub use store::{DiskSettings, DiskStore};
pub use tier::DiskTier;

#[cfg(test)]
mod tests;

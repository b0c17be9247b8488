//! A node in this process and those who read through it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod harness;
mod remote;

//! A node in this process and those who read through it.

mod harness;
mod remote;

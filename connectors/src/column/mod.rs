//! Decoded columns: which bytes they need, how those are read, what they decode to.

mod decode;
mod int96;
mod origin;
mod pages;
mod pieces;

pub use origin::ParquetOrigin;

#[cfg(test)]
mod tests;

//! Claims of page headers that are refused before the decoder relies on them.
//!
//! The parquet crate makes room for what a page header claims, and lets gzip, Brotli and LZ4 frames
//! go on beyond it: a page of a few kilobytes could take gigabytes. So every header is looked at
//! first, and a page that may hold such a bomb is decompressed once for its length alone.

use std::{
    io::{self, Read},
    ops::ControlFlow,
};

use bytes::Bytes;
use parquet::{
    basic::Compression,
    file::{metadata::ColumnChunkMetaData, reader::ChunkReader},
};

use super::pieces::Pieces;
use crate::footer::{
    parse::bytes_of,
    thrift::{Kind, Thrift},
};

/// Bytes that a page may always decompress to, whatever the footer says of its column.
const ALWAYS_BYTES: u64 = 64 << 20;

/// Bytes that a header may claim beyond what its codec can make of the page.
const SLACK_BYTES: u64 = 1 << 10;

/// What a page header says.
#[derive(Debug, Default)]
struct Page {
    uncompressed: i64,
    compressed: i64,
    /// Values, nulls included; 0 for a dictionary.
    values: i64,
    /// Bytes at its start that are never compressed.
    levels: i64,
    plain: bool,
}

/// Checks the pages of `chunk`, which `pieces` hold: together they have no more values than the
/// footer admits, none claims more bytes than its codec can give, or far more than `estimate`, the
/// bytes that the column will decode to, and none gives more than it claims.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn check(
    chunk: &ColumnChunkMetaData,
    pieces: &Pieces,
    estimate: u64,
) -> Result<(), String> {
    let range = bytes_of(chunk);
    let length = usize::try_from(range.end - range.start).map_err(|error| error.to_string())?;
    let bytes = pieces.get_bytes(range.start, length).map_err(|error| error.to_string())?;
    let most = ALWAYS_BYTES.saturating_add(estimate.saturating_mul(2));
    let mut left = chunk.num_values();
    let mut at = 0;
    while at < bytes.len() {
        let (page, body) = header(&bytes, at)
            .ok_or_else(|| format!("has a page header at {} that makes no sense", range.start))?;
        left -= page.values;
        if left < 0 {
            return Err(format!("has more than {} values", chunk.num_values()));
        }
        at = body + page.compressed as usize;
        page.check(chunk.compression(), most, &bytes.slice(body..at))?;
    }
    Ok(())
}

impl Page {
    fn check(&self, codec: Compression, most: u64, body: &Bytes) -> Result<(), String> {
        if self.plain || codec == Compression::UNCOMPRESSED {
            return Ok(());
        }
        let (claimed, stored) = (self.uncompressed as u64, body.len() as u64);
        let possible = stored.saturating_mul(expansion(codec)).saturating_add(SLACK_BYTES);
        if claimed > possible || claimed > most {
            return Err(format!("claims {claimed} bytes for a page of {stored}"));
        }
        if possible <= claimed.saturating_add(ALWAYS_BYTES) || claimed == 0 {
            return Ok(());
        }
        let compressed = body.get(self.levels as usize..).unwrap_or_default();
        let real = match codec {
            Compression::GZIP(_) => length(flate2::read::MultiGzDecoder::new(compressed), claimed),
            Compression::BROTLI(_) => length(brotli::Decompressor::new(compressed, 4096), claimed),
            Compression::LZ4 => length(lz4_flex::frame::FrameDecoder::new(compressed), claimed),
            // These are told how much room there is, and stop there.
            _ => return Ok(()),
        };
        match real {
            Ok(real) if real > claimed => {
                Err(format!("gives more than the {claimed} bytes that a page of it claims"))
            }
            // What is broken the decoder says better.
            _ => Ok(()),
        }
    }
}

/// The page header at `at`, and where its page begins; `None` if either is not all there.
fn header(bytes: &[u8], at: usize) -> Option<(Page, usize)> {
    const V2_LEVELS: [i64; 2] = [5, 6];
    let mut thrift = Thrift::new(bytes.get(at..)?);
    let mut page = Page::default();
    let integer = |thrift: &Thrift<'_>| thrift.clone().zigzag().filter(|value| *value >= 0);
    let mut negative = false;
    let _: ControlFlow<()> = thrift.fields(0, |thrift, id, kind| {
        match id {
            2 | 3 if kind == Kind::I32 => {
                let value = integer(thrift);
                negative |= value.is_none();
                *(if id == 2 { &mut page.uncompressed } else { &mut page.compressed }) = value?;
            }
            5 | 8 if kind == Kind::STRUCT => {
                let mut inside = thrift.clone();
                let _: ControlFlow<()> = inside.fields(1, |thrift, inner, kind| {
                    let value = || integer(thrift).unwrap_or(i64::from(i32::MAX));
                    match inner {
                        1 if kind == Kind::I32 => page.values = value(),
                        _ if id == 8 && V2_LEVELS.contains(&inner) && kind == Kind::I32 => {
                            page.levels += value();
                        }
                        7 if id == 8 => page.plain = kind == Kind::FALSE,
                        _ => {}
                    }
                    None
                })?;
            }
            _ => {}
        }
        None
    })?;
    let body = bytes.len() - thrift.remaining();
    let fits = usize::try_from(page.compressed).ok()? <= thrift.remaining();
    (fits && !negative).then_some((page, body))
}

/// Times that a codec can expand its input at most: of LZ4 and Snappy by their longest copies, of
/// gzip by deflate's, of zstd by its longest run; of Brotli by its longest metablock.
fn expansion(codec: Compression) -> u64 {
    match codec {
        Compression::SNAPPY => 32,
        Compression::LZ4 | Compression::LZ4_RAW => 256,
        Compression::GZIP(_) => 1032,
        Compression::ZSTD(_) => 64 << 10,
        _ => 16 << 20,
    }
}

/// Bytes that `decoder` gives, at most one more than `claimed`.
fn length(decoder: impl Read, claimed: u64) -> io::Result<u64> {
    io::copy(&mut decoder.take(claimed + 1), &mut io::sink())
}

//! What must hold of any bytes on disk, for property tests, fuzz targets and the replay of their
//! corpus. Each check panics if it does not hold.

use bytes::Bytes;

use super::{
    format::{self, Layout},
    payload,
};
use crate::{Chunk, ChunkKey, Result};

/// The chunk in a cache file, and its key.
fn read(file: &[u8]) -> Result<(ChunkKey, Chunk)> {
    let layout = Layout::parse(file)?;
    let key = ChunkKey::decode(layout.verify(file)?)?;
    let payload = file.get(layout.payload).unwrap_or_default();
    Ok((key, payload::decode(layout.kind, aligned(payload))?))
}

/// For fuzzers, which end at every panic: those that [`guarded`](crate::guarded) catches are none.
pub fn end_at_unguarded_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !crate::is_guarded() {
            default(panic);
        }
    }));
}

/// A whole file is refused unless it is exactly what would be written for its key and chunk, but
/// for how Arrow frames the values.
///
/// # Panics
/// If it does not hold of `bytes`.
pub fn file(bytes: &[u8]) {
    let Ok((key, chunk)) = read(bytes) else { return };
    let again = written(&key, &chunk);
    assert!(again.is_some_and(|again| again == (key, chunk)), "a file is read as another chunk");
}

/// An Arrow stream that nobody vouches for is a column or an error; a column survives being
/// written.
///
/// # Panics
/// If it does not hold of `bytes`.
pub fn column(bytes: &[u8]) {
    const COLUMN: u8 = 1;
    let Ok(chunk) = payload::decode(COLUMN, aligned(bytes)) else { return };
    // Values were not validated: they are told apart from others by the checksum alone.
    assert!(chunk.bytes() <= bytes.len() + 1024, "a column points beyond its file");
}

/// A key that is read is written as the same bytes.
///
/// # Panics
/// If it does not hold of `bytes`.
pub fn key(bytes: &[u8]) {
    if let Ok(key) = ChunkKey::decode(bytes) {
        assert!(key.encode() == bytes, "two spellings of one key");
    }
}

/// What a chunk is read back as.
fn written(key: &ChunkKey, chunk: &Chunk) -> Option<(ChunkKey, Chunk)> {
    let payload = payload::encode(chunk).ok()?;
    let head = format::head(&key.encode(), payload.kind, &payload.buffers)?;
    let mut file = head;
    payload.buffers.iter().for_each(|buffer| file.extend_from_slice(buffer));
    read(&file).ok()
}

/// A copy of `bytes` that is as aligned as a mapped file.
fn aligned(bytes: &[u8]) -> Bytes {
    const ALIGNMENT: usize = 64;
    let mut copy: Vec<u8> = Vec::with_capacity(bytes.len() + ALIGNMENT);
    let start = copy.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    copy.resize(start, 0);
    copy.extend_from_slice(bytes);
    Bytes::from(copy).slice(start..)
}

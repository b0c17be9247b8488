//! The disk tier.

mod damage;
mod folder;
mod lease;
mod properties;
mod round_trip;
mod tier;

use std::{path::Path, sync::Arc};

use crate::{
    Chunk, ChunkKey, ChunkSource, DiskSettings, DiskStore, DiskTier, FetchRequest, Part,
    fault::{FaultSource, Synthetic, object},
};

/// Rows of a column: its file takes three blocks.
const ROWS: usize = 1000;
const FILE: u64 = 3 * 4096;

type Origin = FaultSource<Synthetic>;

fn origin() -> Origin {
    FaultSource::new(Synthetic { rows: ROWS })
}

fn settings(folder: &Path) -> DiskSettings {
    DiskSettings { folder: folder.to_owned(), capacity_bytes: 64 << 20, pending_bytes: 16 << 20 }
}

async fn open(folder: &Path) -> DiskStore {
    DiskStore::open(settings(folder)).await.unwrap()
}

fn columns(columns: &[u32]) -> FetchRequest {
    FetchRequest::columns(object("a"), 0, columns)
}

fn key(column: u32) -> ChunkKey {
    ChunkKey::new(object("a"), Part::Column { row_group: 0, column })
}

/// Fetches, compares with what the origin has, and waits for what that caused to be written.
async fn fetch(tier: &DiskTier<Origin>, request: &FetchRequest) -> Vec<Chunk> {
    let chunks = tier.fetch(request).await.unwrap();
    let expected: Vec<_> =
        request.keys().map(|key| Synthetic { rows: ROWS }.chunk(&key).unwrap()).collect();
    assert_eq!(chunks, expected);
    tier.store().flush().await;
    chunks
}

/// A tier whose folder holds the columns `0..columns`.
async fn filled(folder: &Path, columns_held: u32) -> (Origin, DiskTier<Origin>) {
    let origin = origin();
    let tier = DiskTier::new(origin.clone(), open(folder).await);
    fetch(&tier, &columns(&(0..columns_held).collect::<Vec<_>>())).await;
    assert_eq!(tier.store().snapshot().writes, u64::from(columns_held));
    (origin, tier)
}

/// Puts other bytes in the place of a cache file, which is read-only.
fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Bytes of all files under `folder`, in whole blocks.
fn bytes_under(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(entry_is) if entry_is.is_dir() => bytes_under(&entry.path()),
            Ok(entry_is) => entry_is.len().next_multiple_of(4096),
            Err(_) => 0,
        })
        .sum()
}

fn arc<T>(value: T) -> Arc<T> {
    Arc::new(value)
}

//! Snapshots: immutable lists of a dataset's objects, and the datasets that make them.

mod book;
mod dataset;
mod listing;
pub(crate) mod partition;

use std::{sync::Arc, time::SystemTime};

pub use book::SnapshotBook;
pub use dataset::Dataset;
use flightcache_cache::{Error, ObjectId, Result};

use crate::store::is_under;

/// Hexadecimal characters of a snapshot's id.
const ID_CHARS: usize = 32;

/// One version of one object of a dataset. `Clone` is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The version. Its `etag` is weak where the store gives none that is strong: such an object
    /// may change unseen, and must not be cached.
    pub id: Arc<ObjectId>,
    /// When the object was written, in milliseconds since 1970 (UTC), as the store says.
    pub last_modified_ms: i64,
    /// Values of [`Snapshot::partition_columns`], in their order; `None` is null.
    pub partition_values: Vec<Option<String>>,
}

/// An immutable list of a dataset's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Digest of the list: the same objects have the same id on every node.
    pub id: String,
    /// The objects, sorted by path.
    pub objects: Vec<Object>,
    /// Names of the hive-style partition columns, in the order of the folders.
    pub partition_columns: Vec<String>,
    /// Bytes of all objects as stored.
    pub bytes: u64,
    /// When the listing began.
    pub listed_at: SystemTime,
}

impl Snapshot {
    /// A snapshot of `objects`, in any order.
    pub(crate) fn new(
        mut objects: Vec<Object>,
        partition_columns: Vec<String>,
        listed_at: SystemTime,
    ) -> Self {
        objects.sort_by(|a, b| a.id.path.cmp(&b.id.path));
        let mut digest = blake3::Hasher::new();
        let mut bytes = Vec::new();
        for column in &partition_columns {
            bytes.extend_from_slice(&(column.len() as u64).to_le_bytes());
            bytes.extend_from_slice(column.as_bytes());
        }
        bytes.extend_from_slice(&(partition_columns.len() as u64).to_le_bytes());
        for object in &objects {
            object.id.encode(&mut bytes);
            digest.update(&bytes);
            bytes.clear();
        }
        let id = digest.finalize().to_hex().chars().take(ID_CHARS).collect();
        let bytes = objects.iter().map(|object| object.id.size).sum();
        Self { id, objects, partition_columns, bytes, listed_at }
    }

    /// Whether the object at `path` is among the objects in the version that has `etag`.
    pub fn holds(&self, path: &str, etag: &str) -> bool {
        let at = self.objects.binary_search_by(|object| object.id.path.as_str().cmp(path));
        at.ok().and_then(|at| self.objects.get(at)).is_some_and(|object| object.id.etag == etag)
    }

    /// The objects at `path_prefix`, which is a file or a folder of the container, as
    /// [`Dataset::under`] gives it. Id, partition columns and order stay those of the whole, so
    /// that the id still pins it.
    ///
    /// # Errors
    /// `NotFound` if nothing is there.
    pub fn restrict(&self, path_prefix: &str) -> Result<Self> {
        let folder = path_prefix.trim_matches('/');
        let inside = |object: &&Object| is_under(&object.id.path, folder);
        let objects: Vec<_> = self.objects.iter().filter(inside).cloned().collect();
        if objects.is_empty() {
            return Err(Error::not_found(format!("no objects of the dataset under {folder}")));
        }
        let bytes = objects.iter().map(|object| object.id.size).sum();
        let (id, partition_columns) = (self.id.clone(), self.partition_columns.clone());
        Ok(Self { id, objects, partition_columns, bytes, listed_at: self.listed_at })
    }
}

#[cfg(test)]
mod tests;

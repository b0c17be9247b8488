//! One listing of a dataset, made into a snapshot.

use std::{collections::HashSet, sync::Arc, time::SystemTime};

use flightcache_cache::{Error, ObjectId, Result};

use super::{
    Object, Snapshot,
    partition::{Partitions, is_hidden, partitions, values},
};
use crate::store::{Listed, Location};

/// Lists what `url`, which points at `location`, holds now: one file, or the files of a folder
/// and of the folders in it.
///
/// # Errors
/// `NotFound` if nothing is there, `Data` if the partition folders disagree, `Denied`,
/// `Unavailable`.
pub(crate) async fn list(location: &Location, url: &str) -> Result<Snapshot> {
    let listed_at = SystemTime::now();
    if !location.folder
        && let Some(listed) = location.store.head(&location.path, url).await?
    {
        return snapshot(location, url, vec![listed], listed_at);
    }
    let listed = location.store.list(&location.path, url).await?;
    snapshot(location, url, listed, listed_at)
}

/// The snapshot that `listed` makes, in which nothing is left out: what the store showed at
/// `listed_at` of `location`.
///
/// # Errors
/// `NotFound` if nothing is there, `Data` if the partition folders disagree.
pub(super) fn snapshot(
    location: &Location,
    url: &str,
    listed: Vec<Listed>,
    listed_at: SystemTime,
) -> Result<Snapshot> {
    let one = listed.len() == 1;
    let mut found: Vec<(Listed, Partitions)> = Vec::new();
    for listed in listed {
        if one && listed.path == location.path {
            let object = object(location, listed, Vec::new());
            return Ok(Snapshot::new(vec![object], Vec::new(), listed_at));
        }
        let path = relative(&listed.path, &location.path);
        // Zero bytes hold no Parquet: they are marks of folders and of jobs.
        if listed.size > 0 && !is_hidden(path) {
            let partitions = partitions(path);
            found.push((listed, partitions));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    let Some((_, first)) = found.first() else {
        return Err(Error::not_found(format!("no objects under {url}")));
    };
    let columns: Vec<_> = first.iter().map(|(name, _)| name.clone()).collect();
    if columns.iter().collect::<HashSet<_>>().len() != columns.len() {
        return Err(Error::data(format!("folders under {url} repeat a partition column")));
    }
    let mut objects = Vec::with_capacity(found.len());
    for (listed, partitions) in found {
        let values = values(partitions, &columns, &listed.path)?;
        objects.push(object(location, listed, values));
    }
    Ok(Snapshot::new(objects, columns, listed_at))
}

fn relative<'a>(path: &'a str, folder: &str) -> &'a str {
    path.strip_prefix(folder).unwrap_or(path).trim_start_matches('/')
}

fn object(location: &Location, listed: Listed, partition_values: Vec<Option<String>>) -> Object {
    let Listed { path, etag, size, last_modified_ms } = listed;
    let store = location.store.name().to_owned();
    let container = location.store.container().to_owned();
    let id = Arc::new(ObjectId { store, container, path, etag, size });
    Object { id, last_modified_ms, partition_values }
}

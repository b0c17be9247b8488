//! Snapshots on disk, so that one can be pinned after many newer ones and after a restart.
//!
//! A file holds what a listing showed. A snapshot's id is the digest of that, so a file proves
//! itself: one that gives another id than its name says is removed.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use flightcache_cache::{Error, Result};

use super::{ID_CHARS, Snapshot, listing};
use crate::store::{Listed, Location};

/// Most files, whatever their size.
const MAX_FILES: usize = 4096;

/// A folder of snapshots, bounded in bytes: those that were not pinned for longest go.
#[derive(Debug)]
pub struct SnapshotBook {
    folder: PathBuf,
    max_bytes: u64,
    next_temporary: AtomicU64,
}

impl SnapshotBook {
    /// The book in `folder`, created if need be and nobody else's to write, of at most `max_bytes`.
    /// What a crash left half written is removed.
    ///
    /// # Errors
    /// `Invalid`, naming the folder, if it cannot be created.
    pub fn open(folder: PathBuf, max_bytes: u64) -> Result<Self> {
        fs::create_dir_all(&folder).map_err(|error| {
            let message = format!("folder {} cannot be created: {error}", folder.display());
            Error::invalid(message).with_source(error)
        })?;
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "tmp") {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { folder, max_bytes, next_temporary: AtomicU64::new(0) })
    }

    /// Writes a snapshot of the dataset at `location`. Blocks.
    ///
    /// # Errors
    /// What the system says; then nothing is left.
    pub(super) fn write(&self, location: &Location, snapshot: &Snapshot) -> io::Result<()> {
        let path = self.path(location, &snapshot.id);
        if path.exists() {
            return Ok(());
        }
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{number}.tmp"));
        let written = File::create(&temporary)
            .and_then(|mut file| file.write_all(&encode(snapshot)))
            .and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        self.prune();
        written
    }

    /// The snapshot `id` of the dataset at `location`, which `url` names, if it is there. Blocks.
    pub(super) fn read(&self, location: &Location, url: &str, id: &str) -> Option<Snapshot> {
        if id.len() != ID_CHARS || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let path = self.path(location, id);
        let (bytes, listed_at) = read(&path).ok()?;
        let listed = decode(&bytes);
        let snapshot = listed
            .and_then(|listed| listing::snapshot(location, url, listed, listed_at).ok())
            .filter(|snapshot| snapshot.id == id);
        if snapshot.is_none() {
            let _ = fs::remove_file(path);
        } else if let Ok(file) = File::open(&path) {
            // Whoever cannot note the use loses its place in the order, no more.
            let _ = file.set_modified(SystemTime::now());
        }
        snapshot
    }

    fn path(&self, location: &Location, id: &str) -> PathBuf {
        let mut dataset = blake3::Hasher::new();
        for field in [location.store.name(), location.store.container(), &location.path] {
            dataset.update(&(field.len() as u64).to_le_bytes());
            dataset.update(field.as_bytes());
        }
        let dataset = dataset.finalize().to_hex();
        self.folder.join(format!("{}-{id}", dataset.get(..ID_CHARS).unwrap_or_default()))
    }

    /// Removes what is over the bounds, the files that were not used for longest first.
    fn prune(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries
            .filter_map(|entry| {
                let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((meta.modified().ok()?, meta.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        let mut left = files.len();
        for (_, length, path) in files {
            if bytes <= self.max_bytes && left <= MAX_FILES {
                break;
            }
            let _ = fs::remove_file(path);
            bytes -= length;
            left -= 1;
        }
    }
}

fn read(path: &Path) -> io::Result<(Vec<u8>, SystemTime)> {
    let listed_at = fs::metadata(path)?.modified()?;
    Ok((fs::read(path)?, listed_at))
}

fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    for object in &snapshot.objects {
        for text in [&object.id.path, &object.id.etag] {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(&object.id.size.to_le_bytes());
        bytes.extend_from_slice(&object.last_modified_ms.to_le_bytes());
    }
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<Vec<Listed>> {
    let mut listed = Vec::new();
    while !bytes.is_empty() {
        let (path, etag) = (text(&mut bytes)?, text(&mut bytes)?);
        let size = u64::from_le_bytes(array(&mut bytes)?);
        let last_modified_ms = i64::from_le_bytes(array(&mut bytes)?);
        listed.push(Listed { path, etag, size, last_modified_ms });
    }
    Some(listed)
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(u64::from_le_bytes(array(bytes)?)).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

fn array(bytes: &mut &[u8]) -> Option<[u8; 8]> {
    let (array, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*array)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::testing::{World, impatient};

    #[tokio::test]
    async fn what_was_written_proves_itself_and_what_is_broken_goes() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("s")).unwrap();
        let half = folder.path().join("s/x.0.tmp");
        fs::write(&half, "half").unwrap();
        let book = SnapshotBook::open(folder.path().join("s"), 1 << 20).unwrap();
        assert!(!half.exists());
        let world = World::new(impatient());
        world.put("t/y=1/a ä.parquet", "x").await;
        world.put("t/y=2/b", "xyz").await;
        let dataset = world.dataset("mem://bucket/t/", Duration::ZERO);
        let (location, snapshot) = (dataset.location(), dataset.snapshot().await.unwrap());
        book.write(location, &snapshot).unwrap();
        let again = book.read(location, "u", &snapshot.id).unwrap();
        assert_eq!(Snapshot { listed_at: snapshot.listed_at, ..again }, *snapshot);

        let other = world.dataset("mem://bucket/t/y=1/", Duration::ZERO);
        assert_eq!(book.read(other.location(), "u", &snapshot.id), None, "another dataset's");
        for id in ["", "../x", "0123", &"/".repeat(ID_CHARS), &"0".repeat(ID_CHARS)] {
            assert_eq!(book.read(location, "u", id), None, "{id}");
        }
        let path = book.path(location, &snapshot.id);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            let read = book.read(location, "u", &snapshot.id);
            // When an object was written is no part of its identity.
            let same = read.is_none_or(|read| {
                let ids = |of: &Snapshot| {
                    of.objects.iter().map(|o| Arc::clone(&o.id)).collect::<Vec<_>>()
                };
                ids(&read) == ids(&snapshot)
            });
            assert!(same, "{at}");
            fs::write(&path, &good[..at]).unwrap();
            assert_eq!(book.read(location, "u", &snapshot.id), None);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn the_folder_is_bounded_and_what_was_pinned_stays() {
        let folder = tempfile::tempdir().unwrap();
        let book = SnapshotBook::open(folder.path().to_owned(), 1000).unwrap();
        let world = World::new(impatient());
        let dataset = world.dataset("mem://bucket/t/", Duration::ZERO);
        let mut ids = Vec::new();
        for version in 0..100 {
            world.put("t/1", vec![b'x'; version + 1]).await;
            let snapshot = dataset.refresh().await.unwrap();
            book.write(dataset.location(), &snapshot).unwrap();
            ids.push(snapshot.id.clone());
            assert!(book.read(dataset.location(), "u", &ids[0]).is_some(), "{version}");
            let bytes: u64 = fs::read_dir(folder.path())
                .unwrap()
                .map(|e| e.unwrap().metadata().unwrap().len())
                .sum();
            assert!(bytes <= 1000);
        }
        assert!(book.read(dataset.location(), "u", &ids[1]).is_none());
    }
}

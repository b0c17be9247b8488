//! The store: read, write behind, evict, and count what goes wrong.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use arrow_buffer::Buffer;
use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use super::{
    counters::{Counters, DiskSnapshot, count},
    folder::Folder,
    format::{self, Layout},
    full::{Full, is_full},
    index::{BLOCK_BYTES, Index, Place},
    lease::{LEASE_TIME, Leased, LeasedFile, Leases},
    payload,
};
use crate::{Chunk, ChunkKey, Error, ObjectId, Result};

/// Files written at a time; more would only make the disk seek.
const WRITERS: usize = 4;

/// Most bytes of files that have lost their place and stay for their lease, beside a 16th of the
/// capacity.
const MAX_KEPT_BYTES: u64 = 64 << 20;

/// Longest silence between two warnings about writes that fail.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// Limits of a [`DiskStore`].
#[derive(Clone, Debug)]
pub struct DiskSettings {
    /// The folder; created if it is not there, and used by this store alone.
    pub folder: PathBuf,
    /// Most bytes the folder may hold, files being written included.
    pub capacity_bytes: u64,
    /// Most bytes of chunks that wait to be written, at most a quarter of the capacity. A chunk
    /// that is larger than this is never written.
    pub pending_bytes: u64,
}

/// Chunks in files, in a folder of their own. `Clone` shares the store; the folder is unlocked when
/// the last clone is dropped and what it was writing is written.
#[derive(Clone)]
pub struct DiskStore(Arc<Inner>);

struct Inner {
    settings: DiskSettings,
    folder: Arc<Folder>,
    index: Index,
    counters: Arc<Counters>,
    /// Blocks of chunks that wait to be written; that many blocks of the capacity are kept free.
    pending: Arc<Semaphore>,
    pending_blocks: u32,
    writers: Semaphore,
    leases: Arc<Leases>,
    full: Full,
    warned: Mutex<Option<Instant>>,
}

impl DiskStore {
    /// Opens the store in its folder and takes in the files that are there.
    ///
    /// # Errors
    /// `Invalid`, naming the folder, if it cannot be created or written, or if another store has it.
    pub async fn open(settings: DiskSettings) -> Result<Self> {
        let opened = blocking(move || Inner::open(settings)).await?;
        Ok(Self(Arc::new(opened?)))
    }

    /// The counters and gauges as they stand; reading resets nothing.
    pub fn snapshot(&self) -> DiskSnapshot {
        let inner = &self.0;
        inner.counters.snapshot(inner.index.bytes(), inner.settings.capacity_bytes)
    }

    /// Waits until every write that is under way has ended; chunks offered meanwhile are skipped.
    pub async fn flush(&self) {
        // The semaphore is never closed.
        let _ = self.0.pending.acquire_many(self.0.pending_blocks).await;
    }

    /// The keys of at most `limit` chunks with their bytes, in no order, looked up in their files; as
    /// they stand, while others come and go.
    pub async fn entries(&self, limit: usize) -> Vec<(ChunkKey, u64)> {
        let inner = Arc::clone(&self.0);
        let entries = blocking(move || {
            let files = inner.index.files().into_iter().take(limit);
            files
                .filter_map(|(digest, bytes)| Some((inner.folder.read_key(digest).ok()?, bytes)))
                .collect()
        });
        entries.await.unwrap_or_default()
    }

    /// Removes the chunks of every object that `matches`, once pending writes have ended; returns
    /// their bytes. Readers keep what they hold.
    pub async fn evict(&self, matches: impl Fn(&ObjectId) -> bool + Send + 'static) -> u64 {
        self.flush().await;
        let inner = Arc::clone(&self.0);
        let evicted = blocking(move || {
            let digests = inner.index.files().into_iter().map(|(digest, _)| digest);
            let freed = digests
                .filter(|&digest| {
                    inner.folder.read_key(digest).is_ok_and(|key| matches(&key.object))
                })
                .map(|digest| inner.index.remove(digest))
                .sum();
            inner.index.settle();
            freed
        });
        evicted.await.unwrap_or(0)
    }

    /// Hands out the files of `keys`, in order, for other processes to map: each is verified, and
    /// stays for some seconds after it was last handed out. Damaged ones are counted and removed.
    pub async fn lease(&self, keys: Vec<ChunkKey>) -> Leased {
        let inner = Arc::clone(&self.0);
        let leased = blocking(move || inner.lease(&keys, Instant::now())).await;
        if self.0.leases.must_sweep() {
            let inner = Arc::downgrade(&self.0);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LEASE_TIME).await;
                    let Some(inner) = inner.upgrade() else { return };
                    let swept = blocking(move || inner.end_leases(Instant::now())).await;
                    if !swept.unwrap_or(false) {
                        return;
                    }
                }
            });
        }
        leased.unwrap_or(Leased::Absent)
    }

    /// As [`lease`](Self::lease), at `now`.
    #[cfg(test)]
    pub(super) fn lease_at(&self, keys: &[ChunkKey], now: Instant) -> Leased {
        self.0.lease(keys, now)
    }

    /// Ends the leases whose time is over at `now`.
    #[cfg(test)]
    pub(super) fn end_leases(&self, now: Instant) -> bool {
        self.0.end_leases(now)
    }

    /// Reads `keys` in order; what is not there, or not whole, is `None`.
    pub(super) async fn read(&self, keys: Vec<ChunkKey>) -> Vec<Option<Chunk>> {
        let inner = Arc::clone(&self.0);
        let wanted = keys.len();
        let read = blocking(move || inner.read(&keys));
        read.await.unwrap_or_else(|_| vec![None; wanted])
    }

    /// Writes a chunk that is not on disk, off the caller's path, if there is room for it to wait: one
    /// for which there was none when it came stays in memory alone otherwise.
    pub fn offer(&self, key: ChunkKey, chunk: Chunk) {
        if key.object.is_versioned() && !self.0.index.contains(key.digest()) {
            self.write_behind(key, chunk);
        }
    }

    /// Writes a chunk off the caller's path, if there is room for it to wait.
    pub(super) fn write_behind(&self, key: ChunkKey, chunk: Chunk) {
        let inner = Arc::clone(&self.0);
        let Some(mut permit) = inner.reserve(room_for(chunk.bytes() as u64)) else {
            return count(&inner.counters.writes_skipped);
        };
        tokio::spawn(async move {
            let writer = Arc::clone(&inner);
            let turn = inner.writers.acquire().await;
            let write = move || {
                writer.write(&key, &chunk, &mut permit);
                permit
            };
            let written = spawn_blocking(write).await;
            drop(turn);
            drop(inner);
            // The permit is in there and goes last: after a flush nothing holds the store.
            drop(written);
        });
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    #[cfg(test)]
    pub(super) fn path(&self, key: &ChunkKey) -> PathBuf {
        self.0.folder.path(key.digest())
    }
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore")
            .field("settings", &self.0.settings)
            .field("counters", &self.0.counters)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn open(settings: DiskSettings) -> Result<Self> {
        let folder = Arc::new(Folder::open(&settings.folder)?);
        let counters = Arc::<Counters>::default();
        let pending_bytes = settings.pending_bytes.min(settings.capacity_bytes / 4);
        let pending_blocks = u32::try_from(pending_bytes / BLOCK_BYTES).unwrap_or(u32::MAX);
        let leased_bytes = (settings.capacity_bytes / 16).min(MAX_KEPT_BYTES);
        let leased_blocks = u32::try_from(leased_bytes / BLOCK_BYTES).unwrap_or(u32::MAX);
        let leases = Arc::new(Leases::new(leased_blocks));
        let kept_free = (u64::from(pending_blocks) + u64::from(leased_blocks)) * BLOCK_BYTES;
        let index = {
            let (folder, counters) = (Arc::clone(&folder), Arc::clone(&counters));
            let leases = Arc::clone(&leases);
            Index::new(settings.capacity_bytes - kept_free, move |digest, for_room| {
                if for_room {
                    count(&counters.evictions);
                    if leases.keep(digest) {
                        return;
                    }
                }
                if let Err(error) = folder.unlink(digest) {
                    tracing::debug!(folder = %folder.root().display(), %error, "cannot unlink");
                }
            })
        };
        index.restore(folder.scan());
        Ok(Self {
            settings,
            folder,
            index,
            counters,
            pending: Arc::new(Semaphore::new(pending_blocks as usize)),
            pending_blocks,
            writers: Semaphore::new(WRITERS),
            leases,
            full: Full::default(),
            warned: Mutex::default(),
        })
    }

    fn read(&self, keys: &[ChunkKey]) -> Vec<Option<Chunk>> {
        // All are opened before the first is verified, so that the kernel reads ahead of us.
        let files: Vec<_> = keys
            .iter()
            .map(|key| {
                let digest = key.digest();
                self.open_chunk(digest).map(|file| (digest, file))
            })
            .collect();
        keys.iter()
            .zip(files)
            .map(|(key, file)| file.and_then(|(digest, file)| self.decode(key, digest, &file)))
            .collect()
    }

    fn open_chunk(&self, digest: u128) -> Option<Bytes> {
        if !self.index.is_ready(digest) {
            return None;
        }
        self.folder
            .open_chunk(digest)
            .inspect_err(|error| {
                if error.kind() == io::ErrorKind::NotFound {
                    self.index.remove(digest);
                } else {
                    count(&self.counters.read_errors);
                }
            })
            .ok()
    }

    fn decode(&self, key: &ChunkKey, digest: u128, file: &Bytes) -> Option<Chunk> {
        decode(key, file).inspect_err(|error| self.discard(digest, error)).ok()
    }

    fn discard(&self, digest: u128, error: &Error) {
        count(&self.counters.corrupt);
        self.index.remove(digest);
        let path = self.folder.path(digest);
        tracing::debug!(path = %path.display(), %error, "removed a bad cache file");
    }

    fn lease(&self, keys: &[ChunkKey], now: Instant) -> Leased {
        let mut files = Vec::with_capacity(keys.len());
        for key in keys {
            let digest = key.digest();
            let known = self.index.is_ready(digest).then(|| self.leases.prolong(digest, now));
            let (bytes, checksum) = match known {
                None => return Leased::Absent,
                Some(Some(verified)) => verified,
                Some(None) => {
                    let Some((bytes, checksum)) = self.verify(key, digest) else {
                        return Leased::Absent;
                    };
                    if !self.leases.add(digest, bytes, checksum, now) {
                        return Leased::Full;
                    }
                    (bytes, checksum)
                }
            };
            // One that lost its place before its lease began is gone.
            let path = std::path::absolute(self.folder.path(digest)).ok();
            let Some(path) = path.filter(|_| self.index.contains(digest)) else {
                return Leased::Absent;
            };
            files.push(LeasedFile { path, bytes, checksum });
        }
        self.counters.leases.fetch_add(files.len() as u64, Ordering::Relaxed);
        Leased::Files(files)
    }

    /// Length and checksum of the file of `key`, if it is whole.
    fn verify(&self, key: &ChunkKey, digest: u128) -> Option<(u64, u128)> {
        let file = self.open_chunk(digest)?;
        let layout = verify(key, &file).inspect_err(|error| self.discard(digest, error)).ok()?;
        Some((file.len() as u64, layout.checksum))
    }

    /// Ends the leases whose time is over; whether some are left.
    fn end_leases(&self, now: Instant) -> bool {
        for (digest, room) in self.leases.ended(now) {
            let unlink = || drop(self.folder.unlink(digest));
            if !self.index.settled_without(digest, unlink) {
                self.leases.keep_on(digest, room, now);
            }
        }
        self.leases.any_left()
    }

    /// Writes a chunk in the room that `permit` gives, which it may extend.
    fn write(&self, key: &ChunkKey, chunk: &Chunk, permit: &mut OwnedSemaphorePermit) {
        let digest = key.digest();
        if self.index.contains(digest) {
            return;
        }
        if self.full.pauses() {
            return count(&self.counters.writes_skipped);
        }
        let encoded = payload::encode(chunk).ok().and_then(|payload| {
            let head = format::head(&key.encode(), payload.kind, &payload.buffers)?;
            Some((head, payload.buffers))
        });
        let Some((head, payload)) = encoded else {
            return count(&self.counters.writes_skipped);
        };
        let bytes = head.len() + payload.iter().map(Buffer::len).sum::<usize>();
        let more = (bytes as u64).div_ceil(BLOCK_BYTES).saturating_sub(permit.num_permits() as u64);
        match self.reserve(more * BLOCK_BYTES) {
            Some(extra) => permit.merge(extra),
            None => return count(&self.counters.writes_skipped),
        }
        let slot = match self.index.place(digest, bytes as u64) {
            Place::Given(slot) => slot,
            Place::Taken => return,
            Place::Refused => return count(&self.counters.writes_rejected),
        };
        if let Some(left) = self.full.over(self.index.bytes()) {
            self.shrink(left);
            if self.full.over(self.index.bytes()).is_some() {
                // What others left of the file system has no room for it.
                self.forget(digest);
                return count(&self.counters.writes_rejected);
            }
        }
        if let Err(error) = self.folder.write(digest, &head, &payload) {
            self.forget(digest);
            count(&self.counters.write_errors);
            if is_full(&error)
                && let Some(left) = self.full.find(self.index.bytes())
            {
                self.shrink(left);
            }
            return self.warn(&error);
        }
        count(&self.counters.writes);
        if !self.index.finish(digest, &slot) {
            // Whether it went or not, it is not read again; the next scan finds what stayed.
            let _ = self.folder.unlink(digest);
        }
    }

    /// Gives up the place of a file that is not there.
    fn forget(&self, digest: u128) {
        self.index.remove(digest);
        self.index.settle();
    }

    /// Evicts until `bytes` are left, or nothing more can go.
    fn shrink(&self, bytes: u64) {
        let gone = self.index.shrink(bytes);
        self.counters.evictions.fetch_add(gone, Ordering::Relaxed);
    }

    /// Room for `bytes` to wait to be written, or to be on disk beside what has its place there.
    fn reserve(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK_BYTES)).ok()?;
        Arc::clone(&self.pending).try_acquire_many_owned(blocks).ok()
    }

    fn warn(&self, error: &io::Error) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            *warned = Some(Instant::now());
            let folder = self.folder.root().display();
            tracing::warn!(%folder, %error, "cannot write cache files");
        }
    }
}

/// The chunk in `file`, verified.
fn decode(key: &ChunkKey, file: &Bytes) -> Result<Chunk> {
    let layout = verify(key, file)?;
    payload::decode(layout.kind, file.slice(layout.payload))
}

/// Where things are in `file`, once it is whole and that of `key`.
fn verify(key: &ChunkKey, file: &Bytes) -> Result<Layout> {
    let layout = Layout::parse(file)?;
    if layout.verify(file)? != key.encode() {
        return Err(Error::data("cache file holds another chunk"));
    }
    Ok(layout)
}

/// Bytes that a file of a chunk of `bytes` will take, head and framing included: a guess that is
/// rarely too low, and never nothing, so that a flush waits for every write.
fn room_for(bytes: u64) -> u64 {
    bytes + bytes / 16 + BLOCK_BYTES
}

/// Runs file work on the blocking pool.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("disk task ended without an answer").with_source(error))
}

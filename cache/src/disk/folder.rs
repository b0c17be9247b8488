//! The folder on disk: its lock, its names, and the few things done to files in it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_buffer::Buffer;
use bytes::Bytes;
use memmap2::{Advice, Mmap};

use super::format::{HEADER_BYTES, Layout};
use crate::{ChunkKey, ENCODING_VERSION, Error, Result};

/// A locked cache folder: `ROOT/LOCK`, and `ROOT/v1/ab/ab…cd` for the chunk with that digest.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    chunks: PathBuf,
    lock: Mutex<File>,
    next_temporary: AtomicU64,
}

impl Folder {
    /// Creates the folder if need be, locks it, and sees that it can be written.
    ///
    /// # Errors
    /// `Invalid`, naming the folder, if any of that fails.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let failed = |what: &str| {
            let message = format!("cache folder {} {what}", root.display());
            move |error: io::Error| Error::invalid(format!("{message}: {error}")).with_source(error)
        };
        let chunks = root.join(version_name(ENCODING_VERSION));
        fs::create_dir_all(&chunks).map_err(failed("cannot be created"))?;
        let lock = lock(root).map_err(failed("cannot be locked"))?;
        let probe = chunks.join("probe");
        File::create(&probe)
            .and_then(|mut file| file.write_all(b"probe"))
            .and_then(|()| fs::remove_file(&probe))
            .map_err(failed("cannot be written"))?;
        let next_temporary = AtomicU64::new(0);
        Ok(Self { root: root.to_owned(), chunks, lock: Mutex::new(lock), next_temporary })
    }

    /// The folder as configured.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Digest and size in bytes of every chunk, from names and sizes alone. Temporary files that
    /// a crash left are removed, and so are the chunks of other versions; what is not ours stays.
    pub(super) fn scan(&self) -> Vec<(u128, u64)> {
        for name in names(&self.root) {
            let version = name.strip_prefix('v').and_then(|digits| digits.parse().ok());
            if version.is_some_and(|version: u16| version != ENCODING_VERSION) {
                remove_version(&self.root.join(name));
            }
        }
        let mut found = Vec::new();
        for prefix in prefixes() {
            let folder = self.chunks.join(&prefix);
            for name in names(&folder) {
                match Name::parse(&prefix, &name) {
                    Name::Chunk(digest) => {
                        let entry = fs::symlink_metadata(folder.join(name));
                        let file = entry.ok().filter(fs::Metadata::is_file);
                        found.extend(file.map(|file| (digest, file.len())));
                    }
                    Name::Temporary => drop(fs::remove_file(folder.join(name))),
                    Name::Foreign => {}
                }
            }
        }
        found
    }

    /// Maps a chunk's file and has the kernel read ahead.
    ///
    /// # Errors
    /// `NotFound` if there is none, else what the system says.
    pub(super) fn map(&self, digest: u128) -> io::Result<Bytes> {
        let file = File::open(self.path(digest))?;
        // SAFETY: the folder is locked for this process, which never changes or truncates a file
        // once it has its name: files leave by unlink, and a map outlives that.
        let map = unsafe { Mmap::map(&file)? };
        // Advice that is refused costs speed, nothing else.
        let _ = map.advise(Advice::WillNeed);
        Ok(Bytes::from_owner(map))
    }

    /// The key in a chunk's file, from its head alone and so not verified.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be read, `Data` if its head makes no sense.
    pub(super) fn read_key(&self, digest: u128) -> Result<ChunkKey> {
        let unreadable = |error| Error::unavailable("cache file cannot be read").with_source(error);
        let mut file = File::open(self.path(digest)).map_err(unreadable)?;
        let mut head = vec![0; HEADER_BYTES];
        file.read_exact(&mut head).map_err(unreadable)?;
        let layout = Layout::parse(&head)?;
        let mut key = vec![0; layout.key.len()];
        file.read_exact(&mut key).map_err(unreadable)?;
        ChunkKey::decode(&key)
    }

    /// Writes a file under a temporary name and renames it. Folders that are missing are made.
    ///
    /// # Errors
    /// What the system says; then nothing is left.
    pub(super) fn write(&self, digest: u128, head: &[u8], payload: &[Buffer]) -> io::Result<()> {
        let path = self.path(digest);
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_added_extension(format!("{number}.tmp"));
        let create = || OpenOptions::new().write(true).create_new(true).open(&temporary);
        let file = create().or_else(|error| {
            if error.kind() != ErrorKind::NotFound {
                return Err(error);
            }
            self.restore(&path)?;
            create()
        })?;
        let written = write_all(file, head, payload).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            // What cannot be removed now is removed by the next scan.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Removes a chunk's file, if it is there.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn unlink(&self, digest: u128) -> io::Result<()> {
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Where the chunk with this digest is.
    pub(super) fn path(&self, digest: u128) -> PathBuf {
        let name = format!("{digest:032x}");
        self.chunks.join(format!("{:02x}", digest >> 120)).join(name)
    }

    /// Makes the folder of `path`, and takes the lock again if the whole cache folder was deleted.
    fn restore(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !fs::exists(lock_path(&self.root))? {
            *held = lock(&self.root)?;
        }
        Ok(())
    }
}

/// What a name in a chunk folder says.
enum Name {
    Chunk(u128),
    Temporary,
    Foreign,
}

impl Name {
    fn parse(prefix: &str, name: &str) -> Self {
        let mut parts = name.split('.');
        let stem = parts.next().unwrap_or_default();
        let hex = stem.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if stem.len() != 32 || !hex || !stem.starts_with(prefix) {
            return Self::Foreign;
        }
        match (parts.next_back(), u128::from_str_radix(stem, 16)) {
            (None, Ok(digest)) => Self::Chunk(digest),
            (Some("tmp"), _) => Self::Temporary,
            _ => Self::Foreign,
        }
    }
}

fn write_all(file: File, head: &[u8], payload: &[Buffer]) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    writer.write_all(head)?;
    for buffer in payload {
        writer.write_all(buffer)?;
    }
    writer.flush()
}

fn lock(root: &Path) -> io::Result<File> {
    let path = lock_path(root);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(ErrorKind::WouldBlock, "another store has it"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn lock_path(root: &Path) -> PathBuf {
    root.join("LOCK")
}

fn version_name(version: u16) -> String {
    format!("v{version}")
}

fn prefixes() -> impl Iterator<Item = String> {
    (0..=u8::MAX).map(|prefix| format!("{prefix:02x}"))
}

/// Removes the chunks another version wrote, and the folders that are empty then.
fn remove_version(version: &Path) {
    for prefix in prefixes() {
        let folder = version.join(&prefix);
        let ours = |name: &String| !matches!(Name::parse(&prefix, name), Name::Foreign);
        for name in names(&folder).into_iter().filter(ours) {
            let _ = fs::remove_file(folder.join(name));
        }
        let _ = fs::remove_dir(folder);
    }
    let _ = fs::remove_dir(version);
}

/// The names in `folder` that are UTF-8, as all of ours are; none if it cannot be listed.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

//! The folder on disk: its lock, its names, and the few things done to files in it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use arrow_buffer::Buffer;
use bytes::Bytes;
use memmap2::{Advice, Mmap};

use super::{
    format::{HEADER_BYTES, Layout},
    lock::Lock,
};
use crate::{ChunkKey, ENCODING_VERSION, Error, Result};

/// Smaller files are read into memory: for them that is cheaper than a map.
const MAP_FROM_BYTES: u64 = 64 << 10;

/// Maps that may live at a time; further files are read into memory. A kernel gives a process
/// 65,530 by default, and one that runs out of them cannot allocate.
const MAX_MAPS: usize = 16 << 10;

/// Nobody is to write into a file that may be mapped.
const FILE_MODE: u32 = 0o444;

/// A locked cache folder: `ROOT/LOCK`, and `ROOT/v2/ab/ab…cd` for the chunk with that digest.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    chunks: PathBuf,
    lock: Lock,
    next_temporary: AtomicU64,
    maps: Arc<AtomicUsize>,
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
        let lock = Lock::take(root).map_err(failed("cannot be locked"))?;
        let probe = chunks.join("probe");
        File::create(&probe)
            .and_then(|mut file| file.write_all(b"probe"))
            .and_then(|()| fs::remove_file(&probe))
            .map_err(failed("cannot be written"))?;
        let next_temporary = AtomicU64::new(0);
        Ok(Self { root: root.to_owned(), chunks, lock, next_temporary, maps: Arc::default() })
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

    /// The bytes of a chunk's file, aligned to 64: a large one is mapped and the kernel told to
    /// read ahead. Memory that it is read into and that is then kept costs three to four times the
    /// CPU of a map with a warm page cache, checksum included.
    ///
    /// # Errors
    /// `NotFound` if there is none, else what the system says.
    pub(super) fn open_chunk(&self, digest: u128) -> io::Result<Bytes> {
        let file = File::open(self.path(digest))?;
        let bytes = file.metadata()?.len();
        if bytes < MAP_FROM_BYTES || self.maps.load(Ordering::Relaxed) >= MAX_MAPS {
            return read(&file, bytes);
        }
        // SAFETY: the folder is locked for this process, which never changes or truncates a file
        // once it has its name: files leave by unlink, and a map outlives that.
        let map = unsafe { Mmap::map(&file)? };
        // Advice that is refused costs speed, nothing else.
        let _ = map.advise(Advice::WillNeed);
        self.maps.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from_owner(Mapped { map, maps: Arc::clone(&self.maps) }))
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
        self.lock.hold()?;
        let path = self.path(digest);
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_added_extension(format!("{number}.tmp"));
        let create =
            || OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&temporary);
        let file = create().or_else(|error| {
            if error.kind() != ErrorKind::NotFound {
                return Err(error);
            }
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            create()
        })?;
        let written = write_all(file, head, payload).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            // What cannot be removed now is removed by the next scan.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Removes a chunk's file, if it is there and ours.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn unlink(&self, digest: u128) -> io::Result<()> {
        if self.lock.is_lost() {
            return Ok(());
        }
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
}

/// A mapped file, which counts while it lives.
struct Mapped {
    map: Mmap,
    maps: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.maps.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads a file of `bytes` into memory that is aligned as a map would be for our purposes.
fn read(file: &File, bytes: u64) -> io::Result<Bytes> {
    const ALIGNMENT: usize = 64;
    let length = usize::try_from(bytes).map_err(io::Error::other)?;
    let mut memory: Vec<u8> = Vec::with_capacity(length + ALIGNMENT);
    let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    memory.resize(start, 0);
    file.take(bytes).read_to_end(&mut memory)?;
    Ok(Bytes::from(memory).slice(start..))
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

//! What files say, read again when one of them changes.

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use flightcache_cache::{Error, Result};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// How often a file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A value that files say; the last good one, whatever becomes of them.
///
/// Their bytes are compared, not its time and size alone: a secret that is replaced by another of the
/// same length within a tick of the clock is seen too.
#[derive(Debug)]
pub struct Watched<T> {
    current: RwLock<Arc<T>>,
    source: Option<Source<T>>,
}

struct Source<T> {
    files: Vec<WatchedFile>,
    parse: Parse<T>,
    /// Digest of what was read last, good or not; none where it could not be read.
    seen: Mutex<Option<blake3::Hash>>,
}

impl<T> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Makes a value of the bytes of each file, in their order.
type Parse<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T> + Send + Sync>;

/// A file, and the setting that names it.
#[derive(Clone, Debug)]
pub struct WatchedFile {
    /// The setting.
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
}

impl<T: 'static> Watched<T> {
    /// A value that never changes.
    pub fn fixed(value: T) -> Self {
        Self { current: RwLock::new(Arc::new(value)), source: None }
    }

    /// Reads the file at `path`, which `setting` names, by `parse`.
    ///
    /// # Errors
    /// `Invalid` naming the setting, the file and what is wrong with it.
    pub fn open(setting: &'static str, path: &Path, parse: fn(&[u8]) -> Result<T>) -> Result<Self> {
        let file = WatchedFile { setting, path: path.to_owned() };
        let said = file.clone();
        Self::open_all(vec![file], move |bytes| {
            let bytes = bytes.first().map(Vec::as_slice).unwrap_or_default();
            parse(bytes).map_err(|error| said.wrong(error.message()))
        })
    }

    /// Reads `files` together; `parse` names the one that is wrong.
    ///
    /// # Errors
    /// `Invalid` naming a setting, its file and what is wrong with it.
    pub fn open_all(
        files: Vec<WatchedFile>,
        parse: impl Fn(&[Vec<u8>]) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Self> {
        let source = Source { files, parse: Box::new(parse), seen: Mutex::new(None) };
        let bytes = source.read()?;
        *lock(&source.seen) = Some(digest(&bytes));
        let value = (source.parse)(&bytes)?;
        Ok(Self { current: RwLock::new(Arc::new(value)), source: Some(source) })
    }

    /// The value as it is now.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the files once; what is not good leaves the value as it is and is logged,
    /// once for each state it is found in.
    pub fn look(&self) {
        let Some(source) = &self.source else { return };
        let bytes = source.read();
        let digest = bytes.as_deref().ok().map(digest);
        if std::mem::replace(&mut *lock(&source.seen), digest) == digest {
            return;
        }
        let setting = source.files.first().map(|file| file.setting);
        match bytes.and_then(|bytes| (source.parse)(&bytes)) {
            Ok(value) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
                info!(setting, "file was read again");
            }
            Err(error) => warn!(setting, %error, "what the file said before stays in force"),
        }
    }
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Looks at the files every second for as long as anybody holds the value.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn follow(self: &Arc<Self>) {
        if self.source.is_none() {
            return;
        }
        let watched = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut ticks = interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(watched) = watched.upgrade() else { return };
                // A look that fails by a panic is one look missed.
                let _ = tokio::task::spawn_blocking(move || watched.look()).await;
            }
        });
    }
}

impl<T> Source<T> {
    fn read(&self) -> Result<Vec<Vec<u8>>> {
        self.files.iter().map(WatchedFile::read).collect()
    }
}

fn digest(files: &[Vec<u8>]) -> blake3::Hash {
    let mut digest = blake3::Hasher::new();
    for bytes in files {
        digest.update(&(bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
    digest.finalize()
}

impl WatchedFile {
    fn read(&self) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| self.wrong(&format!("cannot be read: {error}"));
        let file = File::open(&self.path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(self.wrong("is no plain file"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(self.wrong("is longer than 4 MiB"));
        }
        Ok(bytes)
    }

    /// The error that says what is wrong with the file.
    pub fn wrong(&self, what: &str) -> Error {
        Error::invalid(format!("{} {}: {what}", self.setting, self.path.display()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn number(bytes: &[u8]) -> Result<u32> {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        text.parse().map_err(|_| Error::invalid("is no number"))
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n");
        let open = || Watched::open("key_file", &path, number);
        assert!(open().unwrap_err().message().starts_with("key_file"));
        fs::write(&path, "x").unwrap();
        assert!(open().unwrap_err().message().ends_with("n: is no number"));
        fs::write(&path, "1").unwrap();
        let watched = open().unwrap();
        let step = |text: Option<&str>, expected: u32| {
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            watched.look();
            assert_eq!(*watched.get(), expected, "{text:?}");
        };
        step(Some("2"), 2);
        step(Some("two"), 2);
        step(None, 2);
        step(Some("3"), 3);
        step(Some(&"0".repeat(5 << 20)), 3);
        assert!(Watched::open("key_file", folder.path(), number).is_err());
    }
}

//! What a file says, read again when the file changes.

use std::{
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

/// A value that a file says; the last good one, whatever becomes of the file.
///
/// Its bytes are compared, not its time and size alone: a secret that is replaced by another of the
/// same length within a tick of the clock is seen too.
#[derive(Debug)]
pub struct Watched<T> {
    current: RwLock<Arc<T>>,
    source: Option<Source<T>>,
}

#[derive(Debug)]
struct Source<T> {
    /// The setting that names the file.
    setting: &'static str,
    path: PathBuf,
    parse: fn(&[u8]) -> Result<T>,
    /// Digest of what was read last, good or not; none where it could not be read.
    seen: Mutex<Option<blake3::Hash>>,
}

impl<T> Watched<T> {
    /// A value that never changes.
    pub fn fixed(value: T) -> Self {
        Self { current: RwLock::new(Arc::new(value)), source: None }
    }

    /// Reads the file at `path`, which `setting` names, by `parse`.
    ///
    /// # Errors
    /// `Invalid` naming the setting, the file and what is wrong with it.
    pub fn open(setting: &'static str, path: &Path, parse: fn(&[u8]) -> Result<T>) -> Result<Self> {
        let source = Source { setting, path: path.to_owned(), parse, seen: Mutex::new(None) };
        let bytes = source.read()?;
        *lock(&source.seen) = Some(blake3::hash(&bytes));
        let value = source.parse(&bytes)?;
        Ok(Self { current: RwLock::new(Arc::new(value)), source: Some(source) })
    }

    /// The value as it is now.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the file once; a file that is not good leaves the value as it is and is logged,
    /// once for each state it is found in.
    pub fn look(&self) {
        let Some(source) = &self.source else { return };
        let (setting, path) = (source.setting, source.path.display());
        let bytes = source.read();
        let digest = bytes.as_deref().ok().map(blake3::hash);
        if std::mem::replace(&mut *lock(&source.seen), digest) == digest {
            return;
        }
        match bytes.and_then(|bytes| source.parse(&bytes)) {
            Ok(value) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
                info!(setting, %path, "file was read again");
            }
            Err(error) => warn!(setting, %error, "what the file said before stays in force"),
        }
    }
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Looks at the file every second for as long as anybody holds the value.
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

    fn parse(&self, bytes: &[u8]) -> Result<T> {
        (self.parse)(bytes).map_err(|error| self.wrong(error.message()))
    }

    fn wrong(&self, what: &str) -> Error {
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

//! One store a folder: an advisory lock on a file in it, looked after while the store lives.

use std::{
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The lock of a folder, held until this is dropped.
///
/// A folder that is deleted takes its lock file along, and then another store may lock a new one.
/// So whoever is about to write asks [`hold`](Self::hold) whether the file it has locked is still
/// the one that the others see.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    held: Mutex<(File, Identity)>,
}

/// What tells a file from another one of the same name.
type Identity = (u64, u64);

impl Lock {
    /// Locks the folder `root`, which is there.
    ///
    /// # Errors
    /// `WouldBlock` if another store has it, else what the system says.
    pub(super) fn take(root: &Path) -> io::Result<Self> {
        let path = root.join("LOCK");
        let held = Mutex::new(lock(&path)?);
        Ok(Self { path, held })
    }

    /// Sees that the folder is still locked for us; locks it again if it was deleted.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn hold(&self) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.path.metadata().is_ok_and(|file| identity(&file) == held.1) {
            self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
            *held = lock(&self.path)?;
        }
        Ok(())
    }

    /// Whether somebody else may have the folder: its lock file is there, and not the one we hold.
    pub(super) fn is_lost(&self) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.path.metadata().is_ok_and(|file| identity(&file) != held.1)
    }
}

fn lock(path: &Path) -> io::Result<(File, Identity)> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    // Held open for reading alone, so that the disk can be turned read-only meanwhile.
    let file = File::open(path)?;
    match file.try_lock() {
        Ok(()) => {
            let identity = identity(&file.metadata()?);
            Ok((file, identity))
        }
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(ErrorKind::WouldBlock, "another store has it"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn identity(file: &Metadata) -> Identity {
    (file.dev(), file.ino())
}

//! Where the rows of a scan go: standard output, or a file that appears whole or not at all.

use std::{
    fs::Permissions,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use flightcache_cache::{Error, Result};
use tempfile::NamedTempFile;

use super::output::{Output, Stream, unwritable};

const BUFFER_BYTES: usize = 1 << 20;

/// Somewhere to write; a file must be committed to appear under its name.
pub(super) enum Destination {
    Stream(BufWriter<Stream>),
    File(BufWriter<NamedTempFile>, PathBuf),
}

impl Destination {
    /// Opens `file`, or the output if there is none.
    pub(super) fn open(file: Option<&Path>, output: &Output) -> Result<Self> {
        let Some(path) = file else {
            return Ok(Self::Stream(BufWriter::with_capacity(BUFFER_BYTES, output.stream())));
        };
        let cannot = |what: &dyn std::fmt::Display| {
            let path = path.display();
            Error::invalid(format!("{path} cannot be written: {what}; name another file"))
        };
        if path.is_dir() {
            return Err(cannot(&"it is a folder"));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".flightcache-").permissions(as_any_other_file());
        let temporary = builder.tempfile_in(folder).map_err(|error| cannot(&error))?;
        Ok(Self::File(BufWriter::with_capacity(BUFFER_BYTES, temporary), path.to_owned()))
    }

    /// Writes what is buffered, and gives a file its name.
    pub(super) fn commit(self) -> Result<()> {
        match self {
            Self::Stream(mut stream) => stream.flush().map_err(unwritable),
            Self::File(buffered, path) => {
                let temporary = buffered.into_inner().map_err(unwritable)?;
                temporary.persist(path).map_err(unwritable).map(drop)
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.flush(),
            Self::File(file, _) => file.flush(),
        }
    }
}

/// Readable by whom the umask lets; a temporary file is its owner's alone by default.
#[cfg(unix)]
fn as_any_other_file() -> Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

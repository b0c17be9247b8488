//! Standard output and error as values, so that commands can be tested and a closed pipe is seen.

use std::{
    fmt::{self, Display},
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use flightcache_cache::{Error, Result};

/// Where a command writes what it found (`out`) and what it has to say about that (`err`).
pub struct Output {
    out: Stream,
    err: Stream,
    out_terminal: bool,
    err_terminal: bool,
}

/// One of the two; `Clone` writes to the same place.
#[derive(Clone)]
pub(super) struct Stream {
    to: Arc<Mutex<dyn Write + Send>>,
    broken: Arc<AtomicBool>,
}

impl Output {
    /// Those of the process.
    pub fn standard() -> Self {
        Self {
            out: Stream::new(io::stdout()),
            err: Stream::new(io::stderr()),
            out_terminal: io::stdout().is_terminal(),
            err_terminal: io::stderr().is_terminal(),
        }
    }

    /// Any two writers, neither a terminal.
    pub fn to(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        let (out, err) = (Stream::new(out), Stream::new(err));
        Self { out, err, out_terminal: false, err_terminal: false }
    }

    /// Writes a line of what was found.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be written.
    pub fn line(&mut self, line: impl Display) -> Result<()> {
        self.text(format_args!("{line}\n"))
    }

    /// As [`Output::line`], without the line's end.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn text(&mut self, text: impl Display) -> Result<()> {
        write!(self.out, "{text}").and_then(|()| self.out.flush()).map_err(unwritable)
    }

    /// Writes a line of what there is to say about it; nobody is told if that fails.
    pub fn note(&mut self, line: impl Display) {
        drop(writeln!(self.err, "{line}"));
    }

    /// Whether what was found goes to a terminal.
    pub fn is_terminal(&self) -> bool {
        self.out_terminal
    }

    /// Whether notes go to a terminal.
    pub(super) fn notes_are_seen(&self) -> bool {
        self.err_terminal
    }

    /// Whether the reader of `out` went away.
    pub fn broken_pipe(&self) -> bool {
        self.out.broken.load(Ordering::Relaxed)
    }

    pub(super) fn stream(&self) -> Stream {
        self.out.clone()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("out_terminal", &self.out_terminal).finish_non_exhaustive()
    }
}

/// The error of output that cannot be written.
pub(super) fn unwritable(error: impl Display) -> Error {
    Error::unavailable(format!("output cannot be written: {error}; free space or write elsewhere"))
}

impl Stream {
    fn new(to: impl Write + Send + 'static) -> Self {
        Self { to: Arc::new(Mutex::new(to)), broken: Arc::default() }
    }

    fn with<T>(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let written = write(&mut *to);
        if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.broken.store(true, Ordering::Relaxed);
        }
        written
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|to| to.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(|to| to.flush())
    }
}

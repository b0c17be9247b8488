//! Where bytes nobody vouches for are parsed: off the I/O runtime, few at a time, panics caught.

use std::{sync::Arc, thread::available_parallelism};

use flightcache_cache::{Error, Result, guarded};
use tokio::{runtime::Handle, sync::Semaphore};

/// Runs work that burns CPU on the blocking threads of a runtime. `Clone` shares the bound.
#[derive(Clone, Debug)]
pub(crate) struct Cpu {
    runtime: Handle,
    permits: Arc<Semaphore>,
}

impl Cpu {
    /// At most `parallelism` pieces of work at a time, or as many as there are cores if 0.
    pub(crate) fn new(runtime: Handle, parallelism: usize) -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        let permits = if parallelism == 0 { cores } else { parallelism };
        Self { runtime, permits: Arc::new(Semaphore::new(permits)) }
    }

    /// Runs `work`, which reads `what`. It runs on to its end if the caller goes away.
    ///
    /// # Errors
    /// What `work` fails with; `Data` naming `what` if it panics: the decoders that we use do so
    /// on some broken files.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: String,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let closed = |_| Error::internal("bound of decoding is closed");
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(closed)?;
        let broken = Error::data(format!("{what}: its bytes cannot be decoded"));
        let task = self.runtime.spawn_blocking(move || {
            let result = guarded(work).unwrap_or(Err(broken));
            drop(permit);
            result
        });
        let gone = |_| Error::unavailable("decoding was stopped: the node shuts down");
        task.await.map_err(gone)?
    }
}

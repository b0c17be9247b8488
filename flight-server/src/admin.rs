//! `/livez`, `/readyz` and `/metrics`, on a thread and a runtime of their own.
//!
//! Nothing that the node does for clients runs on that thread, so the probes answer under full
//! load; a node that is busy must not be killed for it.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use flightcache_cache::{Error, Result};
use tokio::sync::oneshot;

use crate::metrics::Metrics;

/// How long a request in flight may hold up [`Admin::stop`].
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Where a node is in its life; only `Ready` takes traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not yet serving.
    Starting,
    /// Serving.
    Ready,
    /// Finishing open streams, taking no new ones.
    Draining,
}

/// The phase of this node, as `/readyz` tells. `Clone` shares it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// Moves the node to another phase.
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    /// The phase the node is in.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }
}

/// The admin server; it stops when dropped.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Served {
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

impl Admin {
    /// Binds `listen`, where port 0 picks a free port, and serves from then on.
    ///
    /// # Errors
    /// `Invalid` naming the address if it cannot be bound, `Internal` if there is no thread.
    pub fn start(listen: SocketAddr, readiness: Readiness, metrics: Arc<Metrics>) -> Result<Self> {
        let unbound = |error: std::io::Error| {
            Error::invalid(format!(
                "admin address {listen} cannot be bound: {error}; set --admin-listen to a free one"
            ))
        };
        let listener = TcpListener::bind(listen).map_err(unbound)?;
        listener.set_nonblocking(true).map_err(unbound)?;
        let address = listener.local_addr().map_err(unbound)?;
        let failed = |error| Error::internal("admin thread cannot start").with_source(error);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, Served { readiness, metrics }, stopped));
            })
            .map_err(failed)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers what is being asked, for at most a second, then frees the address.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("admin thread panicked");
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.end();
    }
}

async fn serve(listener: TcpListener, served: Served, stopped: oneshot::Receiver<()>) {
    let app = Router::new()
        .route("/livez", get(|| async { "live" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(served);
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "admin address cannot be served"),
    };
    let (drain, drained) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        drop(drained.await);
    });
    let deadline = async {
        drop(stopped.await);
        drop(drain);
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        result = server => {
            if let Err(error) = result {
                tracing::error!(%error, "admin server failed");
            }
        }
        () = deadline => {}
    }
}

async fn ready(State(served): State<Served>) -> (StatusCode, &'static str) {
    match served.readiness.phase() {
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Phase::Ready => (StatusCode::OK, "ready"),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    }
}

async fn metrics(State(served): State<Served>) -> Response {
    const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match served.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
    };

    use flightcache_protocol::Stats;

    use super::*;
    use crate::metrics::{Latencies, StatsSource};

    struct Nothing;

    impl StatsSource for Nothing {
        fn stats(&self) -> Stats {
            Stats::default()
        }
    }

    fn start(readiness: &Readiness) -> Admin {
        let metrics = Arc::new(Metrics::new(Arc::new(Nothing), &Latencies::default()));
        Admin::start("127.0.0.1:0".parse().unwrap(), readiness.clone(), metrics).unwrap()
    }

    fn request(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn probes_tell_the_phase_in_one_word() {
        let readiness = Readiness::default();
        let admin = start(&readiness);
        for (phase, status, word) in [
            (Phase::Starting, "HTTP/1.1 503", "starting"),
            (Phase::Ready, "HTTP/1.1 200", "ready"),
            (Phase::Draining, "HTTP/1.1 503", "draining"),
        ] {
            readiness.set(phase);
            let answer = request(admin.address(), "/readyz");
            assert!(answer.starts_with(status) && answer.ends_with(word), "{answer}");
            assert!(request(admin.address(), "/livez").starts_with("HTTP/1.1 200"));
        }
        let answer = request(admin.address(), "/metrics");
        assert!(answer.contains("flightcache_memory_hits_total 0"), "{answer}");
        assert!(request(admin.address(), "/nothing").starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn a_taken_port_is_named_and_a_stopped_server_frees_it() {
        let readiness = Readiness::default();
        let admin = start(&readiness);
        let idle = TcpStream::connect(admin.address()).unwrap();
        let address = admin.address();
        let metrics = Arc::new(Metrics::new(Arc::new(Nothing), &Latencies::default()));
        let error = Admin::start(address, readiness.clone(), Arc::clone(&metrics)).unwrap_err();
        assert!(error.message().contains(&address.to_string()), "{error}");
        admin.stop();
        drop(idle);
        assert!(TcpStream::connect(address).is_err());
    }
}

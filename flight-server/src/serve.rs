//! Runs a node: bind early, serve late, drain on SIGTERM.

mod http2;
mod linger;
mod tls;

use std::{net::SocketAddr, sync::Arc};

use arrow_flight::flight_service_server::FlightServiceServer;
use flightcache_cache::{Error, Result};
use flightcache_planner::STACK_BYTES;
use futures::{Stream, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    runtime::{Builder, Handle, Runtime},
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::timeout,
};
use tokio_rustls::rustls;
use tonic::{service::Routes, transport::server::Connected};
use tower::ServiceBuilder;
use tracing::{info, warn};

use linger::Lingering;

pub use crate::stack::Embedded;
use crate::{
    accept::connections,
    admin::{Admin, Phase, Readiness},
    auth::{Auth, AuthLayer, Watched},
    cli::Output,
    config::Config,
    metrics::Metrics,
    node::Node,
    service::{ReadLayer, Service},
    sql,
};

/// Serves what `config` describes until SIGTERM or SIGINT, then drains; `output` gets the ready line.
///
/// # Errors
/// `Invalid` naming the address, folder or URL that cannot be used.
pub fn run(config: &Config, output: &mut Output) -> Result<()> {
    let io = io_runtime()?;
    let cpu = cpu_runtime()?;
    let served = io.block_on(async {
        let running = Running::start(config, None, io.handle(), cpu.handle()).await?;
        output.line(running.ready_line())?;
        stop_signal().await?;
        running.stop(config).await
    });
    // Decoding threads cannot be cancelled: they are left to end with the process.
    cpu.shutdown_background();
    io.shutdown_background();
    served
}

/// A node that accepts requests.
#[derive(Debug)]
pub struct Running {
    /// The node.
    pub node: Arc<Node>,
    /// Where Flight is served.
    pub flight: SocketAddr,
    scheme: &'static str,
    admin: Admin,
    readiness: Readiness,
    drain: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Binds both addresses, builds the node and begins to serve: I/O on `io`, everything else on
    /// `cpu`.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn start(
        config: &Config,
        embedded: Option<Embedded>,
        io: &Handle,
        cpu: &Handle,
    ) -> Result<Self> {
        let listen = config.server.listen;
        let unbound = |error: std::io::Error| {
            Error::invalid(format!(
                "address {listen} cannot be bound: {error}; set --listen to a free one"
            ))
        };
        let listener = TcpListener::bind(listen).await.map_err(unbound)?;
        let flight = listener.local_addr().map_err(unbound)?;
        let tls = config.server.tls.as_ref().map(tls::follow).transpose()?;
        let scheme = if tls.is_some() { "grpc+tls" } else { "grpc" };
        let mut config = config.clone();
        config.server.advertise = advertised(&config, flight, scheme);
        let auth = config.auth.as_ref().map(Auth::start).transpose()?.map(Arc::new);
        let node = Arc::new(Node::build(&config, embedded, io, cpu).await?);
        let (watched, told) = (Arc::downgrade(&node), config.clone());
        tokio::spawn(async move { sql::watch(watched, &told).await });
        let readiness = Readiness::default();
        let metrics = Metrics::new(Arc::clone(&node) as _, &node.latencies);
        let admin = Admin::start(config.server.admin_listen, readiness.clone(), Arc::new(metrics))?;

        let (drain, drained) = watch::channel(false);
        let service = Serving { node: Arc::clone(&node), auth, drained };
        let server = tokio::spawn(service.serve(listener, tls));
        readiness.set(Phase::Ready);
        tell_who_may_come_in(&config, flight);
        info!(%flight, admin = %admin.address(), datasets = config.datasets.len(), "ready");
        Ok(Self { node, flight, scheme, admin, readiness, drain, server })
    }

    /// The line that says where the node is reached.
    pub fn ready_line(&self) -> String {
        let (scheme, flight, admin) = (self.scheme, self.flight, self.admin.address());
        format!("flightcache ready flight={scheme}://{flight} admin=http://{admin}")
    }

    /// Takes no new request, lets open streams end within the drain timeout, and stops.
    ///
    /// # Errors
    /// `Internal` if the server ended by itself.
    pub async fn stop(self, config: &Config) -> Result<()> {
        self.readiness.set(Phase::Draining);
        info!("draining");
        let _ = self.drain.send(true);
        let drain_timeout = config.server.drain_timeout;
        match timeout(drain_timeout, self.server).await {
            Err(_) => warn!(?drain_timeout, "streams were cut after the drain timeout"),
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Error::internal("the server failed").with_source(error)),
        }
        if let Some(disk) = &self.node.stack.disk {
            let _ = timeout(drain_timeout, disk.flush()).await;
        }
        self.admin.stop();
        info!("stopped");
        Ok(())
    }
}

/// What endpoints tell clients: what the configuration says, with TLS as the node speaks it, or the
/// address it is bound to, unless that is every address of the machine.
fn advertised(config: &Config, flight: SocketAddr, scheme: &str) -> Option<String> {
    let told = config.server.advertise.as_ref().map(|url| match url.strip_prefix("grpc://") {
        Some(node) => format!("{scheme}://{node}"),
        // TLS that ends in front of the node.
        None => url.clone(),
    });
    told.or_else(|| (!flight.ip().is_unspecified()).then(|| format!("{scheme}://{flight}")))
}

/// Says once how open the node is.
fn tell_who_may_come_in(config: &Config, flight: SocketAddr) {
    let (tls, auth) = (&config.server.tls, &config.auth);
    let Some(auth) = auth else {
        info!(tls = tls.is_some(), "no [auth]: everybody who gets here may read everything");
        return;
    };
    let tokens = auth.token_file.is_some() || auth.oidc.is_some();
    if tokens && tls.is_none() && !flight.ip().is_loopback() {
        warn!("tokens cross the network unencrypted: set [server.tls], or end TLS in front");
    }
}

/// What serves connections.
struct Serving {
    node: Arc<Node>,
    auth: Option<Arc<Auth>>,
    drained: watch::Receiver<bool>,
}

impl Serving {
    async fn serve(
        self,
        listener: TcpListener,
        tls: Option<Arc<Watched<Arc<rustls::ServerConfig>>>>,
    ) {
        let connections = connections(listener, self.node.settings.max_connections);
        match tls {
            Some(tls) => self.serve_on(tls::handshakes(connections, tls)).await,
            None => self.serve_on(connections).await,
        }
    }

    async fn serve_on<C>(self, incoming: impl Stream<Item = std::io::Result<C>>)
    where
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let Self { node, auth, drained } = self;
        let incoming = incoming.map(|connection| connection.map(Lingering::new));
        let flight = FlightServiceServer::new(Service::new(Arc::clone(&node)));
        let limit = node.settings.request_timeout;
        let service = ServiceBuilder::new()
            .layer(AuthLayer::new(auth))
            .layer(ReadLayer::new(node))
            .service(Routes::new(flight).prepare());
        http2::serve(incoming, service, limit, drained).await;
    }
}

/// The runtime for I/O: half as many threads as cores.
///
/// What they do is mostly the kernel's copying; with a thread for each core, threads wake each
/// other for nothing: a tenth of the CPU of a warm scan, measured on two cores.
///
/// # Errors
/// `Internal` if threads cannot be started.
pub fn io_runtime() -> Result<Runtime> {
    runtime("io", (cores() / 2).max(1))
}

/// The runtime for decoding, queries and encoding: a thread for each core.
///
/// # Errors
/// `Internal` if threads cannot be started.
pub fn cpu_runtime() -> Result<Runtime> {
    runtime("cpu", cores())
}

fn runtime(name: &str, threads: usize) -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_stack_size(STACK_BYTES)
        .thread_name(format!("flightcache-{name}"))
        .enable_all()
        .build()
        .map_err(|error| Error::internal("threads cannot be started").with_source(error))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// `Internal` if signals cannot be handled.
pub async fn stop_signal() -> Result<()> {
    let install = |kind| {
        signal(kind)
            .map_err(|error| Error::internal("signals cannot be handled").with_source(error))
    };
    let mut terminate = install(SignalKind::terminate())?;
    let mut interrupt = install(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

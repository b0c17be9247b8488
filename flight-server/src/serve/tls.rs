//! TLS: certificates from files, and handshakes that cannot hold the node up.

use std::{collections::VecDeque, fs, io, path::Path, pin::pin, sync::Arc, time::Duration};

use flightcache_cache::{Error, Result};
use futures::{Stream, StreamExt};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};
use tokio_stream::wrappers::ReceiverStream;
use tracing::debug;

use crate::{accept::Connection, config::TlsConfig};

/// How long a client may take for its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes under way at once; one more ends the oldest. Clients that mean it are done in a few
/// round trips, so those that are never done push each other out, and nobody else.
const MAX_HANDSHAKES: usize = 1024;
/// Connections that are ready for the server and not yet taken.
const READY: usize = 16;

/// Reads the files of `config`.
///
/// # Errors
/// `Invalid` naming the setting, its file and what is wrong with it.
pub(super) fn load(config: &TlsConfig) -> Result<Arc<ServerConfig>> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("no TLS versions").with_source(error))?;
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |what: &dyn std::fmt::Display| wrong("client_ca", path, what);
            let mut roots = RootCertStore::empty();
            for authority in certificates("client_ca", path)? {
                roots.add(authority).map_err(|error| wrong(&error))?;
            }
            let provider = Arc::new(ring::default_provider());
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map(|verifier| builder.with_client_cert_verifier(verifier))
                .map_err(|error| wrong(&error))?
        }
    };
    let chain = certificates("cert", &config.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&read("key", &config.key)?)
        .map_err(|_| wrong("key", &config.key, &"holds no PEM private key"))?;
    let mut server = builder.with_single_cert(chain, key).map_err(|error| {
        let what =
            format!("does not go with the certificate in {}: {error}", config.cert.display());
        wrong("key", &config.key, &what)
    })?;
    server.alpn_protocols.push(b"h2".to_vec());
    Ok(Arc::new(server))
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read(setting, path)?;
    let found: std::result::Result<Vec<_>, pem::Error> =
        CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(wrong(setting, path, &"holds no PEM certificate")),
    }
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| wrong(setting, path, &format!("cannot be read: {error}")))
}

fn wrong(setting: &str, path: &Path, what: &dyn std::fmt::Display) -> Error {
    Error::invalid(format!("server.tls.{setting} {}: {what}", path.display()))
}

/// Those of `connections` whose handshake succeeded; ends when nobody takes them any more.
pub(super) fn handshakes(
    connections: impl Stream<Item = io::Result<Connection>> + Send + 'static,
    config: Arc<ServerConfig>,
) -> ReceiverStream<io::Result<TlsStream<Connection>>> {
    let (sender, receiver) = mpsc::channel(READY);
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(config);
        let mut connections = pin!(connections);
        let mut handshakes = Handshakes::default();
        loop {
            tokio::select! {
                Some(Ok(connection)) = connections.next() => {
                    handshakes.begin(shake(acceptor.clone(), connection, sender.clone()));
                }
                Some(_) = handshakes.tasks.join_next() => {}
                () = sender.closed() => return,
            }
        }
    });
    ReceiverStream::new(receiver)
}

/// Handshakes under way, the oldest first.
#[derive(Default)]
struct Handshakes {
    tasks: JoinSet<()>,
    oldest_first: VecDeque<AbortHandle>,
}

impl Handshakes {
    fn begin(&mut self, handshake: impl Future<Output = ()> + Send + 'static) {
        while self.oldest_first.front().is_some_and(AbortHandle::is_finished) {
            self.oldest_first.pop_front();
        }
        if self.oldest_first.len() >= MAX_HANDSHAKES {
            self.oldest_first.retain(|handshake| !handshake.is_finished());
        }
        if self.oldest_first.len() >= MAX_HANDSHAKES
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            oldest.abort();
        }
        self.oldest_first.push_back(self.tasks.spawn(handshake));
    }
}

async fn shake(
    acceptor: TlsAcceptor,
    connection: Connection,
    ready: mpsc::Sender<io::Result<TlsStream<Connection>>>,
) {
    match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(connection)).await {
        // Nobody takes it if the server is stopping.
        Ok(Ok(connection)) => drop(ready.send(Ok(connection)).await),
        Ok(Err(error)) => debug!(%error, "handshake failed"),
        Err(_) => debug!("handshake was not done in time"),
    }
}

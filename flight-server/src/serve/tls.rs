//! TLS: certificates from files, and handshakes that cannot hold the node up.

use std::{collections::VecDeque, io, path::PathBuf, pin::pin, sync::Arc, time::Duration};

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

use crate::{
    accept::Connection,
    auth::{Watched, WatchedFile},
    config::TlsConfig,
};

/// How long a client may take for its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes under way at once; one more ends the oldest. Clients that mean it are done in a few
/// round trips, so those that are never done push each other out, and nobody else.
const MAX_HANDSHAKES: usize = 1024;
/// Connections that are ready for the server and not yet taken.
const READY: usize = 16;

/// What the files of `config` say; they are followed from then on, for connections to come.
///
/// # Errors
/// `Invalid` naming the setting, its file and what is wrong with it.
///
/// # Panics
/// Outside a runtime.
pub(super) fn follow(config: &TlsConfig) -> Result<Arc<Watched<Arc<ServerConfig>>>> {
    let file = |setting, path: &PathBuf| WatchedFile { setting, path: path.clone() };
    let mut files =
        vec![file("server.tls.cert", &config.cert), file("server.tls.key", &config.key)];
    files.extend(config.client_ca.as_ref().map(|path| file("server.tls.client_ca", path)));
    let named = files.clone();
    let read = move |bytes: &[Vec<u8>]| {
        let mut given = named.iter().zip(bytes);
        match (given.next(), given.next(), given.next()) {
            (Some(cert), Some(key), client_ca) => load(cert, key, client_ca),
            _ => Err(Error::internal("files of server.tls were not read")),
        }
    };
    let watched = Arc::new(Watched::open_all(files, read)?);
    watched.follow();
    Ok(watched)
}

/// A file and what it holds.
type Given<'a> = (&'a WatchedFile, &'a Vec<u8>);

fn load(
    cert: Given<'_>,
    key: Given<'_>,
    client_ca: Option<Given<'_>>,
) -> Result<Arc<ServerConfig>> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("no TLS versions").with_source(error))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(given) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(given)? {
                roots.add(authority).map_err(|error| given.0.wrong(&error.to_string()))?;
            }
            let provider = Arc::new(ring::default_provider());
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map(|verifier| builder.with_client_cert_verifier(verifier))
                .map_err(|error| given.0.wrong(&error.to_string()))?
        }
    };
    let chain = certificates(cert)?;
    let (key, pem) = key;
    let private =
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| key.wrong("holds no PEM private key"))?;
    let mut server = builder.with_single_cert(chain, private).map_err(|error| {
        let cert = cert.0.path.display();
        key.wrong(&format!("does not go with the certificate in {cert}: {error}"))
    })?;
    server.alpn_protocols.push(b"h2".to_vec());
    Ok(Arc::new(server))
}

fn certificates((file, pem): Given<'_>) -> Result<Vec<CertificateDer<'static>>> {
    let found: std::result::Result<Vec<_>, pem::Error> =
        CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(file.wrong("holds no PEM certificate")),
    }
}

/// Those of `connections` whose handshake succeeded; ends when nobody takes them any more.
pub(super) fn handshakes(
    connections: impl Stream<Item = io::Result<Connection>> + Send + 'static,
    config: Arc<Watched<Arc<ServerConfig>>>,
) -> ReceiverStream<io::Result<TlsStream<Connection>>> {
    let (sender, receiver) = mpsc::channel(READY);
    tokio::spawn(async move {
        let mut connections = pin!(connections);
        let mut handshakes = Handshakes::default();
        loop {
            tokio::select! {
                Some(Ok(connection)) = connections.next() => {
                    let acceptor = TlsAcceptor::from(Arc::clone(&*config.get()));
                    handshakes.begin(shake(acceptor, connection, sender.clone()));
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

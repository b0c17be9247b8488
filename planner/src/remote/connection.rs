//! How a node is reached: its URL, the bearer token to show it, TLS.

use std::{error::Error as StdError, fmt, fs, io, path::PathBuf, sync::Arc, time::Duration};

use arrow_flight::{FlightClient, error::FlightError, flight_service_client::FlightServiceClient};
use flightcache_cache::{Error, ErrorKind, Result};
use tonic::{
    Code, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

/// Where a node listens unless told otherwise.
pub const DEFAULT_URL: &str = "grpc://127.0.0.1:50051";

/// Largest message that is taken from a node, in bytes.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// HTTP/2 window of a stream, in bytes: the default of 64 KiB would cap it far below the network.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;

/// HTTP/2 window of a connection, in bytes: the most there is. Streams that are read ahead and not
/// yet wanted may fill their own windows, and must never use up what the wanted one needs.
const CONNECTION_WINDOW_BYTES: u32 = i32::MAX as u32;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach a node; `Debug` hides the token.
#[derive(Clone)]
pub struct Connection {
    url: String,
    endpoint: Endpoint,
    token: Option<String>,
    /// Absent where the URL does not ask for TLS.
    tls: Option<ClientTls>,
}

/// Files in PEM with which a client speaks TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Authorities that may sign the node's certificate; absent: the machine's own.
    pub ca: Option<PathBuf>,
    /// The client's certificate and its private key, for nodes that ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl ClientTls {
    fn load(&self) -> Result<ClientTlsConfig> {
        let read = |path: &PathBuf| {
            fs::read(path).map_err(|error| {
                Error::invalid(format!("{} cannot be read: {error}", path.display()))
            })
        };
        let config = match &self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        Ok(match &self.identity {
            Some((cert, key)) => config.identity(Identity::from_pem(read(cert)?, read(key)?)),
            None => config,
        })
    }
}

/// How URLs of nodes begin, and whether they ask for TLS.
const SCHEMES: [(&str, bool); 6] = [
    ("grpc://", false),
    ("grpc+tcp://", false),
    ("http://", false),
    ("grpc+tls://", true),
    ("grpcs://", true),
    ("https://", true),
];

impl Connection {
    /// A node at `grpc://HOST:PORT` or `grpc+tls://HOST:PORT` and the bearer token to show it, if any. Connects to nothing.
    ///
    /// # Errors
    /// `Invalid` for what is no such URL.
    pub fn new(url: &str, token: Option<String>) -> Result<Self> {
        let known = SCHEMES
            .iter()
            .find_map(|(scheme, tls)| Some((url.strip_prefix(scheme)?, *tls)))
            .filter(|(address, _)| !address.is_empty());
        let endpoint = known.and_then(|(address, tls)| {
            let scheme = if tls { "https" } else { "http" };
            Endpoint::from_shared(format!("{scheme}://{address}")).ok()
        });
        let Some(endpoint) = endpoint else {
            let url = url.escape_debug();
            let message = format!("`{url}` is no node's URL; write one as {DEFAULT_URL}");
            return Err(Error::invalid(message));
        };
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .tcp_nodelay(true);
        let tls = known.filter(|(_, tls)| *tls).map(|_| ClientTls::default());
        Ok(Self { url: url.to_owned(), endpoint, token, tls })
    }

    /// The same node, reached with these files where its URL asks for TLS.
    pub fn with_tls(mut self, files: ClientTls) -> Self {
        self.tls = self.tls.map(|_| files);
        self
    }

    /// The node's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same node, given up if it does not accept a connection within `timeout`.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.endpoint = self.endpoint.connect_timeout(timeout);
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// `Unavailable` if nobody answers, `Invalid` for a token that no header can hold, or a file
    /// that holds no certificate or key.
    pub async fn open(&self) -> Result<NodeClient> {
        let channel = self.endpoint()?.connect().await;
        self.client(channel.map_err(|error| self.unreachable(&error))?)
    }

    /// A client that connects when it is first asked, and again after it lost its connection.
    ///
    /// # Errors
    /// `Invalid` as [`open`](Self::open).
    pub fn open_lazily(&self) -> Result<NodeClient> {
        self.client(self.endpoint()?.connect_lazy())
    }

    fn client(&self, channel: Channel) -> Result<NodeClient> {
        let client = NodeClient { channel, token: self.token.as_deref().map(Arc::from) };
        client.flight().map(|_| client)
    }

    fn endpoint(&self) -> Result<Endpoint> {
        let endpoint = self.endpoint.clone();
        let Some(files) = &self.tls else { return Ok(endpoint) };
        endpoint.tls_config(files.load()?).map_err(|error| {
            let cause = sources(&error).last().map(ToString::to_string).unwrap_or_default();
            Error::invalid(format!("TLS cannot be used: {cause}"))
        })
    }

    fn unreachable(&self, error: &(dyn StdError + 'static)) -> Error {
        let url = &self.url;
        let refused = sources(error).any(|source| {
            source
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        });
        if refused {
            let message = format!("no server at {url}; start one with `flightcache serve`");
            return Error::unavailable(message);
        }
        let cause = sources(error).last().map(ToString::to_string).unwrap_or_default();
        Error::unavailable(format!("{url} cannot be reached: {cause}"))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A Flight client of one node. `Clone` shares its connection.
#[derive(Clone)]
pub struct NodeClient {
    channel: Channel,
    token: Option<Arc<str>>,
}

impl NodeClient {
    /// A client for calls, which shows the node its token with each.
    ///
    /// # Errors
    /// `Invalid` for a token that no header can hold.
    pub fn flight(&self) -> Result<FlightClient> {
        let inner = FlightServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let mut client = FlightClient::new_from_inner(inner);
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {token}");
            client
                .add_header("authorization", &bearer)
                .map_err(|_| Error::invalid("the token holds characters that no header can"))?;
        }
        Ok(client)
    }
}

impl fmt::Debug for NodeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeClient").finish_non_exhaustive()
    }
}

/// The error and what lies beneath it, outermost first.
fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The error that a failed call stands for.
pub fn of_flight(error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) => of_status(&status),
        other => Error::internal(format!("the node's answer cannot be read: {other}")),
    }
}

/// The error that a node's status stands for.
fn of_status(status: &Status) -> Error {
    let kind = match status.code() {
        Code::InvalidArgument | Code::Unimplemented | Code::OutOfRange => ErrorKind::Invalid,
        Code::NotFound => ErrorKind::NotFound,
        Code::PermissionDenied => ErrorKind::Denied,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::Aborted => ErrorKind::Stale,
        Code::ResourceExhausted => ErrorKind::Exhausted,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => ErrorKind::Unavailable,
        Code::DataLoss => ErrorKind::Data,
        _ => ErrorKind::Internal,
    };
    // A connection that broke is code `Unknown` to tonic; a node's own errors have no source.
    let broken = sources(status).skip(1).last().map(|cause| format!("connection lost: {cause}"));
    match broken {
        Some(message) => Error::unavailable(message),
        None => Error::new(kind, status.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_nodes_are_told_from_others() {
        for (url, tls) in [
            (DEFAULT_URL, false),
            ("grpc+tcp://node-7:1", false),
            ("http://[::1]:1", false),
            ("grpc+tls://node-7:1", true),
            ("grpcs://node-7:1", true),
            ("https://[::1]:1", true),
        ] {
            let files = ClientTls { ca: Some("ca.pem".into()), identity: None };
            let connection = Connection::new(url, None).unwrap().with_tls(files.clone());
            assert_eq!(connection.tls, tls.then_some(files), "{url}");
        }
        for url in ["", "grpc://", "node-7:1", "grpc+tls://", "grpc://a b:1", "ftp://a:1"] {
            let error = Connection::new(url, None).unwrap_err();
            assert!(error.message().contains(DEFAULT_URL), "{error}");
        }
    }

    #[test]
    fn debug_hides_the_token() {
        let connection = Connection::new(DEFAULT_URL, Some("s3cret".to_owned())).unwrap();
        assert!(!format!("{connection:?}").contains("s3cret"));
    }

    #[test]
    fn statuses_become_kinds() {
        for (status, kind) in [
            (Status::aborted("x"), ErrorKind::Stale),
            (Status::data_loss("x"), ErrorKind::Data),
            (Status::resource_exhausted("x"), ErrorKind::Exhausted),
            (Status::unauthenticated("x"), ErrorKind::Unauthenticated),
            (Status::unknown("x"), ErrorKind::Internal),
            (Status::from_error(Box::new(io::Error::other("reset"))), ErrorKind::Unavailable),
        ] {
            assert_eq!(of_status(&status).kind(), kind, "{status:?}");
        }
    }

    #[tokio::test]
    async fn nobody_listening_is_said_with_the_remedy() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("grpc://{}", taken.local_addr().unwrap());
        drop(taken);
        let error = Connection::new(&url, None).unwrap().open().await.unwrap_err();
        let expected = format!("no server at {url}; start one with `flightcache serve`");
        assert_eq!(error.message(), expected);
    }
}

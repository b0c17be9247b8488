//! A Flight client of a node, as the command line uses it.
//!
//! Scans read several endpoints at once and hand their batches on in the order of the endpoints;
//! what was read ahead is bounded, so a slow consumer slows the node down and holds no memory.

use std::{error::Error as StdError, fmt, fs, io, path::PathBuf, sync::Arc, time::Duration};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use arrow_flight::{
    FlightClient, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, Ticket,
    error::FlightError,
    flight_service_client::FlightServiceClient,
    sql::{CommandStatementQuery, ProstMessageExt},
};
use flightcache_cache::{Error, ErrorKind, Result};
use flightcache_protocol::{Action, ScanCommand};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
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

/// Batches read ahead of the consumer per endpoint.
const BATCHES_AHEAD: usize = 4;

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

    /// Connects.
    ///
    /// # Errors
    /// `Unavailable` if nobody answers, `Invalid` for a token that no header can hold, or a file
    /// that holds no certificate or key.
    pub async fn open(&self) -> Result<Client> {
        let mut endpoint = self.endpoint.clone();
        if let Some(files) = &self.tls {
            endpoint = endpoint.tls_config(files.load()?).map_err(|error| {
                let cause = sources(&error).last().map(ToString::to_string).unwrap_or_default();
                Error::invalid(format!("TLS cannot be used: {cause}; check --ca, --cert and --key"))
            })?;
        }
        let channel = endpoint.connect().await.map_err(|error| self.unreachable(&error))?;
        let client = Client { channel, token: self.token.as_deref().map(Arc::from) };
        client.flight().map(|_| client)
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
        Error::unavailable(format!("{url} cannot be reached: {cause}; check --url"))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A connected client. `Clone` shares the connection.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    token: Option<Arc<str>>,
}

/// What a scan will return, and where from.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Schema of every batch.
    pub schema: SchemaRef,
    /// The endpoints, in order, and what is known of the whole.
    pub info: FlightInfo,
}

impl Client {
    /// Plans a scan.
    ///
    /// # Errors
    /// What the node answered, or `Unavailable` where it did not.
    pub async fn plan(&self, command: &ScanCommand) -> Result<Plan> {
        let json = serde_json::to_vec(command)
            .map_err(|error| Error::internal("command is no JSON").with_source(error))?;
        self.plan_for(FlightDescriptor::new_cmd(json)).await
    }

    /// Plans a SQL statement.
    ///
    /// # Errors
    /// As [`Client::plan`].
    pub async fn plan_sql(&self, query: &str) -> Result<Plan> {
        let command = CommandStatementQuery { query: query.to_owned(), transaction_id: None };
        self.plan_for(FlightDescriptor::new_cmd(command.as_any().encode_to_vec())).await
    }

    async fn plan_for(&self, descriptor: FlightDescriptor) -> Result<Plan> {
        let info = self.flight()?.get_flight_info(descriptor).await.map_err(of_flight)?;
        let schema = Schema::try_from(IpcMessage(info.schema.clone()))
            .map_err(|error| Error::internal(format!("the node sent a broken schema: {error}")))?;
        Ok(Plan { schema: Arc::new(schema), info })
    }

    /// The datasets the caller may read.
    ///
    /// # Errors
    /// As [`Client::plan`].
    pub async fn datasets(&self) -> Result<Vec<FlightInfo>> {
        let listed = self.flight()?.list_flights("").await.map_err(of_flight)?;
        listed.map_err(of_flight).try_collect().await
    }

    /// Reads one endpoint.
    ///
    /// # Errors
    /// As [`Client::plan`], of the call and of every batch.
    pub async fn read(&self, ticket: Ticket) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let batches = self.flight()?.do_get(ticket).await.map_err(of_flight)?;
        Ok(batches.map_err(of_flight).boxed())
    }

    /// Reads endpoints, `parallel` of them at once, and yields their batches in order.
    pub fn read_all(
        &self,
        endpoints: Vec<FlightEndpoint>,
        parallel: usize,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let client = self.clone();
        stream::iter(endpoints)
            .map(move |endpoint| {
                let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
                tokio::spawn(client.clone().forward(endpoint, sender));
                // Ready at once: `buffered` is what bounds how many of these tasks there are.
                futures::future::ready(ReceiverStream::new(receiver))
            })
            .buffered(parallel.max(1))
            .flatten()
            .boxed()
    }

    /// Sends an endpoint's batches until it ends, fails, or nobody listens.
    async fn forward(self, endpoint: FlightEndpoint, sender: mpsc::Sender<Result<RecordBatch>>) {
        let read = async {
            let mut batches = self.read(endpoint.ticket.unwrap_or_default()).await?;
            while let Some(batch) = batches.try_next().await? {
                if sender.send(Ok(batch)).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let ended = tokio::select! {
            ended = read => ended,
            () = sender.closed() => return,
        };
        if let Err(error) = ended {
            // A closed channel is a consumer that stopped early, and wants no error.
            drop(sender.send(Err(error)).await);
        }
    }

    /// Runs an action and yields its answers.
    ///
    /// # Errors
    /// As [`Client::plan`], of the call and of every answer.
    pub async fn act<T: DeserializeOwned + Send + 'static>(
        &self,
        action: Action,
        request: &(impl Serialize + Sync),
    ) -> Result<BoxStream<'static, Result<T>>> {
        let body = serde_json::to_vec(request)
            .map_err(|error| Error::internal("request is no JSON").with_source(error))?;
        let action_name = action.name();
        let answers = self
            .flight()?
            .do_action(arrow_flight::Action::new(action_name, body))
            .await
            .map_err(of_flight)?;
        let parse = move |json: bytes::Bytes| {
            serde_json::from_slice(&json).map_err(|error| {
                Error::internal(format!("{action_name} answered what is not expected: {error}"))
            })
        };
        Ok(answers.map(move |answer| answer.map_err(of_flight).and_then(parse)).boxed())
    }

    /// Runs an action that answers once.
    ///
    /// # Errors
    /// As [`Client::act`], and `Internal` if there was no answer.
    pub async fn act_once<T: DeserializeOwned + Send + 'static>(
        &self,
        action: Action,
        request: &(impl Serialize + Sync),
    ) -> Result<T> {
        let mut answers = self.act(action, request).await?;
        let none = || Error::internal(format!("{} answered nothing", action.name()));
        answers.try_next().await?.ok_or_else(none)
    }

    fn flight(&self) -> Result<FlightClient> {
        let inner = FlightServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let mut client = FlightClient::new_from_inner(inner);
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {token}");
            client.add_header("authorization", &bearer).map_err(|_| {
                Error::invalid("the token holds characters that no header can; check --token")
            })?;
        }
        Ok(client)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// The error and what lies beneath it, outermost first.
fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn of_flight(error: FlightError) -> Error {
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

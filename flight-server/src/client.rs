//! A Flight client of a node, as the command line uses it.
//!
//! Scans read several endpoints at once and hand their batches on in the order of the endpoints;
//! what was read ahead is bounded, so a slow consumer slows the node down and holds no memory.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use arrow_flight::{
    FlightClient, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, Ticket,
    sql::{CommandStatementQuery, ProstMessageExt},
};
use flightcache_cache::{Error, Result};
pub use flightcache_planner::remote::{ClientTls, Connection, DEFAULT_URL};
use flightcache_planner::remote::{NodeClient, of_flight};
use flightcache_protocol::{Action, ScanCommand};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Batches read ahead of the consumer per endpoint.
const BATCHES_AHEAD: usize = 4;

/// A connected client. `Clone` shares the connection.
#[derive(Clone, Debug)]
pub struct Client {
    node: NodeClient,
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
    /// Connects.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn open(connection: &Connection) -> Result<Self> {
        Ok(Self { node: connection.open().await? })
    }

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
        self.node.flight()
    }
}

//! Answers `DoGet` in front of tonic's generated code.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arrow_flight::Ticket;
use flightcache_cache::{Error, Result};
use http_body_util::{BodyExt, Limited};
use prost::Message;
use tonic::body::Body;
use tower::{Layer, Service};

use super::{body::Answer, read, stream::Reader};
use crate::{auth::Caller, node::Node, status::status};

const DO_GET: &str = "/arrow.flight.protocol.FlightService/DoGet";
/// Longest request, in bytes: a ticket and its framing.
const MAX_REQUEST_BYTES: usize = 4 << 20;
/// One byte that says whether a message is compressed, four of its length.
const PREFIX_BYTES: usize = 5;

/// Wraps a gRPC service so that `DoGet` is read by [`read`](super::read), without the copies
/// that generated code makes of every message; what the service itself answers passes unchanged.
#[derive(Clone, Debug)]
pub struct ReadLayer {
    node: Arc<Node>,
}

impl ReadLayer {
    /// The layer that reads from `node`.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }
}

impl<S> Layer<S> for ReadLayer {
    type Service = ReadService<S>;

    fn layer(&self, inner: S) -> ReadService<S> {
        ReadService { node: Arc::clone(&self.node), inner }
    }
}

/// What [`ReadLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct ReadService<S> {
    node: Arc<Node>,
    inner: S,
}

impl<S> Service<http::Request<Body>> for ReadService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Answer>;
    type Error = Infallible;
    type Future =
        Pin<Box<dyn Future<Output = std::result::Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<std::result::Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let reader = Reader::of(&request);
        if let Some(line) = &reader.line {
            line.asked();
        }
        if request.uri().path() != DO_GET {
            let answered = self.inner.call(request);
            return Box::pin(async move { Ok(answered.await?.map(Answer::from)) });
        }
        let node = Arc::clone(&self.node);
        Box::pin(async move {
            let response = async {
                let caller = Caller::of(request.extensions())?;
                let ticket = ticket(request.into_body()).await?;
                read::read(node, &caller, reader, &ticket.ticket).await
            };
            Ok(response.await.unwrap_or_else(|error| status("DoGet", &error).into_http()))
        })
    }
}

/// Reads the one message of a unary request.
async fn ticket(body: Body) -> Result<Ticket> {
    let body = Limited::new(body, MAX_REQUEST_BYTES)
        .collect()
        .await
        .map_err(|_| Error::invalid("request of DoGet is cut or longer than 4 MiB"))?
        .to_bytes();
    let broken = || Error::invalid("request of DoGet is not one uncompressed gRPC message");
    let (prefix, message) = body.split_at_checked(PREFIX_BYTES).ok_or_else(broken)?;
    let [0, length @ ..] = prefix else { return Err(broken()) };
    let length = <[u8; 4]>::try_from(length).map(u32::from_be_bytes).map_err(|_| broken())?;
    if message.len() != length as usize {
        return Err(broken());
    }
    Ticket::decode(message).map_err(|_| broken())
}

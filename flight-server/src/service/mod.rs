//! Arrow Flight as clients see it.
//!
//! [`FlightService`]'s calls each have a file: [`info`] plans, [`read`] streams, [`action`] acts.
//! `DoGet` is answered before tonic's generated code by [`layer`], which puts encoded batches on
//! the wire without copying them.

mod action;
mod body;
mod encode;
mod info;
mod layer;
mod map;
mod read;
mod sql;
mod stream;

use std::{pin::Pin, sync::Arc};

use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
    flight_service_server::FlightService,
};
use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::{auth::Caller, node::Node, status::status};

pub use body::{Answer, Outgoing};
pub(crate) use info::at_snapshot;
pub use layer::ReadLayer;
pub(crate) use stream::grpc_timeout;

/// The Flight service of a node.
#[derive(Clone, Debug)]
pub struct Service {
    node: Arc<Node>,
}

impl Service {
    /// The service of `node`.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }
}

fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    Caller::of(request.extensions()).map_err(|error| status("authentication", &error))
}

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = BoxStream<HandshakeResponse>;
    type ListFlightsStream = BoxStream<FlightInfo>;
    type DoGetStream = BoxStream<FlightData>;
    type DoPutStream = BoxStream<PutResult>;
    type DoActionStream = BoxStream<arrow_flight::Result>;
    type ListActionsStream = BoxStream<ActionType>;
    type DoExchangeStream = BoxStream<FlightData>;

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(info::list(Arc::clone(&self.node), &caller)))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info::plan(&self.node, &caller(&request)?, request.into_inner())
            .await
            .map(Response::new)
            .map_err(|error| status("GetFlightInfo", &error))
    }

    async fn get_schema(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        info::schema(&self.node, &caller(&request)?, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(|error| status("GetSchema", &error))
    }

    async fn do_get(
        &self,
        _request: Request<Ticket>,
    ) -> Result<Response<Self::DoGetStream>, Status> {
        Err(Status::internal("DoGet is answered by ReadLayer, which this server lacks"))
    }

    async fn do_action(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Self::DoActionStream>, Status> {
        action::act(Arc::clone(&self.node), &caller(&request)?, request.into_inner())
            .await
            .map(Response::new)
            .map_err(|error| status("DoAction", &error))
    }

    async fn list_actions(
        &self,
        _request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(action::list()))
    }

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        // Whoever gets here has shown who he is, as with every call; the JDBC driver tries that so.
        caller(&request).map(|_| Response::new(futures::stream::empty().boxed()))
    }

    async fn poll_flight_info(
        &self,
        _request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("planning is quick: call GetFlightInfo"))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = caller(&request)?;
        let bound = sql::prepared::put(&self.node, &caller, request.into_inner()).await;
        let bound = bound.map_err(|error| status("DoPut", &error))?;
        bound.map(Response::new).ok_or_else(|| {
            Status::unimplemented("datasets are read-only: write to the object store")
        })
    }

    async fn do_exchange(
        &self,
        _request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("DoExchange is not offered: read with DoGet"))
    }
}

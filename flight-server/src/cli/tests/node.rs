//! Client commands against a Flight service of fixed answers.

use std::{net::SocketAddr, sync::Arc};

use arrow::{
    array::{Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
    encode::FlightDataEncoderBuilder,
    flight_service_server::{FlightService, FlightServiceServer},
};
use flightcache_protocol::{ScanCommand, Stats};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Captured, parse_words};
use crate::{
    cli::{Command, client},
    config::Environment,
};

/// Answers scans with `endpoints` endpoints of `ROWS` rows each; the dataset `broken` fails at its
/// second endpoint.
struct Node {
    endpoints: i64,
}

const ROWS: i64 = 10;

type Answers<T> = BoxStream<'static, Result<T, Status>>;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn checked<T>(request: &Request<T>) -> Result<(), Status> {
    match request.metadata().get("authorization").and_then(|value| value.to_str().ok()) {
        Some("Bearer good") => Ok(()),
        _ => Err(Status::unauthenticated("no good token")),
    }
}

#[tonic::async_trait]
impl FlightService for Node {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented("handshake"))
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        checked(&request)?;
        let info = FlightInfo::new()
            .with_descriptor(FlightDescriptor::new_path(vec!["numbers".to_owned()]))
            .with_total_records(self.endpoints * ROWS);
        Ok(Response::new(stream::iter([Ok(info)]).boxed()))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        checked(&request)?;
        let command = ScanCommand::parse(&request.into_inner().cmd)
            .map_err(|error| Status::invalid_argument(error.message()))?;
        let mut info = FlightInfo::new().try_with_schema(&schema()).unwrap();
        for endpoint in 0..self.endpoints {
            let ticket = format!("{} {endpoint}", command.dataset.as_deref().unwrap());
            info = info.with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket)));
        }
        Ok(Response::new(info))
    }

    async fn poll_flight_info(
        &self,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("poll"))
    }

    async fn get_schema(
        &self,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        Err(Status::unimplemented("schema"))
    }

    async fn do_get(
        &self,
        request: Request<Ticket>,
    ) -> Result<Response<Self::DoGetStream>, Status> {
        checked(&request)?;
        let ticket = String::from_utf8(request.into_inner().ticket.to_vec()).unwrap();
        let (dataset, endpoint) = ticket.split_once(' ').unwrap();
        let endpoint: i64 = endpoint.parse().unwrap();
        if dataset == "broken" && endpoint == 1 {
            return Err(Status::data_loss("object b.parquet is cut short"));
        }
        let first = endpoint * ROWS;
        let rows = Int64Array::from_iter_values(first..first + ROWS);
        let batch = RecordBatch::try_new(schema(), vec![Arc::new(rows)]).unwrap();
        let encoded = FlightDataEncoderBuilder::new()
            .with_schema(schema())
            .build(stream::iter([Ok(batch.slice(0, 4)), Ok(batch.slice(4, 6))]));
        Ok(Response::new(encoded.map_err(Status::from).boxed()))
    }

    async fn do_put(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        Err(Status::unimplemented("put"))
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("exchange"))
    }

    async fn do_action(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Self::DoActionStream>, Status> {
        checked(&request)?;
        let answers: Vec<String> = match request.into_inner().r#type.as_str() {
            "flightcache.stats" => vec![serde_json::to_string(&Stats::default()).unwrap()],
            "flightcache.evict" => vec![r#"{"memory_bytes": 1024, "disk_bytes": 0}"#.to_owned()],
            "flightcache.refresh" => {
                vec![r#"{"snapshot": "abc", "objects": 2, "bytes": 2048}"#.to_owned()]
            }
            "flightcache.warm" => vec![
                r#"{"progress": {"fragments": 1, "of": 2, "bytes": 1024}}"#.to_owned(),
                r#"{"summary": {"fragments": 2, "bytes": 2048, "failures": []}}"#.to_owned(),
            ],
            other => return Err(Status::invalid_argument(other.to_owned())),
        };
        let answers = answers.into_iter().map(|json| Ok(arrow_flight::Result::new(json)));
        Ok(Response::new(stream::iter(answers).boxed()))
    }

    async fn list_actions(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        Err(Status::unimplemented("actions"))
    }
}

/// A node on a free port, until the test's runtime ends.
async fn start(endpoints: i64) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(FlightServiceServer::new(Node { endpoints }))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    address
}

async fn ask(
    address: SocketAddr,
    token: &str,
    line: &str,
) -> (flightcache_cache::Result<()>, Captured) {
    let captured = Captured::default();
    let line = format!("{line} --url grpc://{address} --token {token}");
    let Command::Client(command) = parse_words(&line, false).unwrap().command else { panic!() };
    let result = client::run(&command, &Environment::default(), &mut captured.output()).await;
    (result, captured)
}

#[tokio::test]
async fn rows_come_in_the_order_of_the_endpoints() {
    let address = start(12).await;
    let (result, captured) = ask(address, "good", "flightcache scan numbers --format csv").await;
    result.unwrap();
    let expected: Vec<String> = (0..12 * ROWS).map(|n| n.to_string()).collect();
    let out = captured.out();
    assert_eq!(out.lines().skip(1).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_table_is_short_and_a_limit_holds() {
    let address = start(12).await;
    let (result, captured) = ask(address, "good", "flightcache scan numbers").await;
    result.unwrap();
    assert_eq!(captured.out().lines().count(), 100 + 4);
    assert!(captured.err().starts_with("the first 100 rows"), "{}", captured.err());
    let (result, captured) =
        ask(address, "good", "flightcache scan numbers --limit 13 --format csv").await;
    result.unwrap();
    assert_eq!(captured.out().lines().count(), 1 + 13);
    assert_eq!(captured.err(), "");
}

#[tokio::test]
async fn a_failed_endpoint_fails_the_scan_and_leaves_no_file() {
    let address = start(3).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    let line = format!("flightcache scan broken --output {}", path.display());
    let (result, _) = ask(address, "good", &line).await;
    let error = result.unwrap_err();
    assert_eq!(
        crate::cli::error_line(&error),
        "flightcache: Data: object b.parquet is cut short; repair or remove the object"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_token_is_shown_to_the_node() {
    let address = start(1).await;
    for line in ["flightcache scan numbers", "flightcache datasets", "flightcache stats"] {
        let error = ask(address, "bad", line).await.0.unwrap_err();
        assert_eq!(error.kind().name(), "Unauthenticated", "{line}");
    }
}

#[tokio::test]
async fn actions_are_told_in_words() {
    let address = start(2).await;
    for (line, told) in [
        ("flightcache datasets", "numbers    20     ?       ?        ?"),
        ("flightcache evict numbers", "evicted numbers: 1.0 KiB from memory, 0 B from disk"),
        ("flightcache refresh numbers", "refreshed numbers: snapshot abc, 2 objects, 2.0 KiB"),
        ("flightcache warm numbers", "warm numbers: 2 fragments, 2.0 KiB"),
        ("flightcache stats", "\"joined\": 0"),
        ("flightcache stats --format table", "memory hits"),
        ("flightcache top --once", "0 requests/s"),
    ] {
        let (result, captured) = ask(address, "good", line).await;
        result.unwrap();
        assert!(captured.out().contains(told), "{line}: {}", captured.out());
    }
}

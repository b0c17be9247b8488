//! HTTP/2 connections: their settings, what their requests know of them, and how they drain.
//!
//! tonic's own server takes bodies of `Bytes` alone, which makes each column of a batch a frame and
//! a system call of its own; here a whole message is one frame.

use std::{convert::Infallible, io, pin::pin, time::Duration};

use futures::{Stream, StreamExt};
use hyper::{body::Incoming, server::conn::http2::Builder, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tonic::{Status, body::Body, transport::server::Connected};
use tower::Service;
use tracing::debug;

use crate::service::{Answer, grpc_timeout};

/// HTTP/2 windows, in bytes: the protocol's 64 KiB starve a fast client.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
const FRAME_BYTES: u32 = 1 << 20;
/// Requests a client may have open on one connection.
const STREAMS_PER_CONNECTION: u32 = 256;
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Serves `incoming` connections by `service`, whose answers begin within `limit` or their callers'
/// own deadline, until `drained` turns true; then takes no new one and ends when all have ended.
pub(super) async fn serve<C, S>(
    incoming: impl Stream<Item = io::Result<C>>,
    service: S,
    limit: Duration,
    drained: watch::Receiver<bool>,
) where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    S: Service<http::Request<Body>, Response = http::Response<Answer>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let mut connections = JoinSet::new();
    {
        let mut incoming = pin!(incoming);
        let mut drain = pin!(until(drained.clone()));
        loop {
            tokio::select! {
                () = &mut drain => break,
                next = incoming.next() => match next {
                    Some(Ok(io)) => {
                        connections.spawn(connection(io, service.clone(), limit, drained.clone()));
                    }
                    Some(Err(error)) => debug!(%error, "a connection failed before its first request"),
                    None => break,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
    // A connection that panicked has ended as well.
    while connections.join_next().await.is_some() {}
}

async fn until(mut drained: watch::Receiver<bool>) {
    let _ = drained.wait_for(|drained| *drained).await;
}

async fn connection<C, S>(io: C, service: S, limit: Duration, drained: watch::Receiver<bool>)
where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    S: Service<http::Request<Body>, Response = http::Response<Answer>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let known = io.connect_info();
    let answering = service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(known.clone());
        answer(service.clone(), request, limit)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(io), answering));
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = until(drained) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection broke");
    }
}

async fn answer<S>(
    mut service: S,
    request: http::Request<Body>,
    limit: Duration,
) -> Result<http::Response<Answer>, Infallible>
where
    S: Service<http::Request<Body>, Response = http::Response<Answer>, Error = Infallible>,
{
    let limit = grpc_timeout(&request).map_or(limit, |own| own.min(limit));
    let answered = async {
        std::future::poll_fn(|context| service.poll_ready(context)).await?;
        service.call(request).await
    };
    timeout(limit, answered).await.unwrap_or_else(|_| {
        Ok(Status::deadline_exceeded("no answer within the time of the call").into_http())
    })
}

//! Connections: how many there may be, how long one may take to ask for something, and their end.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, stream, task::AtomicWaker};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tonic::transport::server::{Connected, TlsConnectInfo};
use tracing::{debug, warn};

/// How long a connection may last without a request; its TLS handshake counts.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after the system could not give a connection, as when all file descriptors are taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Send buffer of a connection from this machine, in bytes; the kernel takes twice that. What lies
/// in it is still in the processor's cache when the client reads it: with the megabytes that the
/// kernel grows it to, both sides pay half as much again. To a client elsewhere it would be a limit
/// on bytes per round trip.
const LOCAL_SEND_BUFFER_BYTES: usize = 384 << 10;

/// Connections of `listener`, at most `most` at a time: what comes beyond is closed at once, so
/// that its client turns elsewhere instead of waiting. Never ends.
pub(crate) fn connections(
    listener: TcpListener,
    most: usize,
) -> impl Stream<Item = io::Result<Connection>> {
    let free = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    stream::unfold((listener, free), |(listener, free)| async move {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "a connection cannot be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
                debug!(%peer, "closed a connection: there are as many as may be");
                continue;
            };
            tune(&stream, peer);
            let connection = Connection::new(stream, peer, permit, FIRST_REQUEST_TIMEOUT);
            return Some((Ok(connection), (listener, free)));
        }
    })
}

/// Sends at once what is written, and keeps little in flight to a client on this machine.
fn tune(stream: &TcpStream, peer: SocketAddr) {
    // Neither is more than an optimisation.
    let _ = stream.set_nodelay(true);
    if stream.local_addr().is_ok_and(|own| own.ip() == peer.ip()) {
        let _ = SockRef::from(stream).set_send_buffer_size(LOCAL_SEND_BUFFER_BYTES);
    }
}

/// What requests know of their connection. `Clone` means the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Line(Arc<LineState>);

#[derive(Debug)]
struct LineState {
    peer: SocketAddr,
    asked: AtomicBool,
    cut: AtomicBool,
    reader: AtomicWaker,
}

impl Line {
    /// The connection that `request` came by.
    pub(crate) fn of<B>(request: &http::Request<B>) -> Option<Self> {
        let extensions = request.extensions();
        let tls = || extensions.get::<TlsConnectInfo<Self>>().map(TlsConnectInfo::get_ref);
        extensions.get::<Self>().or_else(tls).cloned()
    }

    /// Notes that a request came, so the connection may stay.
    pub(crate) fn asked(&self) {
        self.0.asked.store(true, Ordering::Relaxed);
    }

    /// Breaks the connection off, with all its requests and what they hold.
    pub(crate) fn cut(&self) {
        debug!(peer = %self.0.peer, "cut a connection");
        self.0.cut.store(true, Ordering::Release);
        self.0.reader.wake();
    }
}

/// A TCP connection that can be cut.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    line: Line,
    /// Until the first request.
    patience: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn new(
        stream: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        patience: Duration,
    ) -> Self {
        let state = LineState {
            peer,
            asked: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        };
        let patience = Some(Box::pin(sleep(patience)));
        Self { stream, line: Line(Arc::new(state)), patience, _permit: permit }
    }

    /// Fails if the connection is to end; else sees to it that the task wakes when it is.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let state = &self.line.0;
        state.reader.register(context.waker());
        if state.cut.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if let Some(patience) = &mut self.patience {
            if state.asked.load(Ordering::Relaxed) {
                self.patience = None;
            } else if patience.as_mut().poll(context).is_ready() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }
}

impl Connected for Connection {
    type ConnectInfo = Line;

    fn connect_info(&self) -> Line {
        self.line.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, runs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn pair(patience: Duration) -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        (client, Connection::new(stream, peer, permit, patience))
    }

    #[tokio::test]
    async fn who_asks_for_nothing_is_let_go() {
        let (_client, mut silent) = pair(Duration::from_millis(20)).await;
        assert_eq!(silent.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let (client, mut busy) = pair(Duration::from_millis(20)).await;
        busy.line.asked();
        sleep(Duration::from_millis(40)).await;
        client.try_write(b"x").unwrap();
        assert_eq!(busy.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn a_cut_ends_a_read_that_waits() {
        let (_client, mut connection) = pair(FIRST_REQUEST_TIMEOUT).await;
        let line = connection.connect_info();
        let (read, ()) = tokio::join!(connection.read_u8(), async move { line.cut() });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn connections_past_the_ceiling_are_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepted = Box::pin(connections(listener, 1));
        let (_first, mut second) = (
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
        );
        let held = accepted.next().await.unwrap().unwrap();
        tokio::select! {
            _ = accepted.next() => panic!("there is room for one"),
            closed = second.read_u8() => assert!(closed.is_err()),
        }
        drop(held);
        let _third = TcpStream::connect(address).await.unwrap();
        assert!(accepted.next().await.unwrap().is_ok());
    }
}

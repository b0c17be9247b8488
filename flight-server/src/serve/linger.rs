//! Closes connections so that what was sent last arrives.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tonic::transport::server::Connected;

/// How long a closed connection waits for the other side to close as well.
const LINGER: Duration = Duration::from_secs(2);

/// A connection that, once shut down, reads and forgets until the other side closes.
///
/// A socket that is closed while bytes of the client lie unread, a window update suffices, resets
/// the connection, and a client may then lose the end of a stream that it had not read yet.
#[derive(Debug)]
pub(super) struct Lingering<IO> {
    io: IO,
    until: Option<Pin<Box<Sleep>>>,
}

impl<IO> Lingering<IO> {
    pub(super) fn new(io: IO) -> Self {
        Self { io, until: None }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Lingering<IO> {
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut forgotten = [0; 4096];
        loop {
            let mut into = ReadBuf::new(&mut forgotten);
            match Pin::new(&mut self.io).poll_read(context, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.until.is_none() {
            ready!(Pin::new(&mut self.io).poll_shutdown(context))?;
            self.until = Some(Box::pin(sleep(LINGER)));
        }
        if self.poll_end(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let waited = self.until.as_mut().map(|until| until.as_mut().poll(context));
        if waited.is_some_and(|waited| waited.is_pending()) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Lingering<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, into)
    }
}

impl<IO: Connected> Connected for Lingering<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.io.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[tokio::test]
    async fn the_end_arrives_though_the_client_wrote_what_nobody_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        client.write_all(&[1; 1000]).await.unwrap();
        socket.readable().await.unwrap();
        let server = tokio::spawn(async move {
            let mut server = Lingering::new(socket);
            server.write_all(&vec![2; 100_000]).await.unwrap();
            server.shutdown().await.unwrap();
        });
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.len(), 100_000);
        client.write_all(&[3; 10]).await.unwrap();
        drop(client);
        server.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_closes_is_not_waited_for_long() {
        let (near, _far) = tokio::io::duplex(64);
        let mut near = Lingering::new(near);
        poll_fn(|context| Pin::new(&mut near).poll_shutdown(context)).await.unwrap();
    }
}

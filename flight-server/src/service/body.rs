//! Response bodies: a stream's Flight messages as HTTP/2 data, then gRPC's trailers.

use std::{
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::Receiver;
use tonic::Status;

use super::{
    encode::FlightMessage,
    read::Held,
    stream::{Pulse, UnderWay},
};

/// A message on its way, with what is held until the transport has sent it.
#[derive(Debug, Default)]
pub struct Outgoing {
    message: FlightMessage,
    /// Never read: dropped with the message.
    _held: Option<Held>,
    under_way: Option<UnderWay>,
}

impl Outgoing {
    pub(super) fn new(message: FlightMessage, held: Held) -> Self {
        Self { message, _held: Some(held), under_way: None }
    }
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        self.message.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.message.chunk()
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        self.message.chunks_vectored(into)
    }

    fn advance(&mut self, sent: usize) {
        self.message.advance(sent);
        if let Some(under_way) = &self.under_way {
            under_way.sent();
        }
    }
}

/// The body of any answer of the server.
#[derive(Debug)]
pub enum Answer {
    /// What generated code answers.
    Plain(tonic::body::Body),
    /// What `DoGet` answers.
    Stream(StreamBody),
}

impl Default for Answer {
    fn default() -> Self {
        Self::Plain(tonic::body::Body::empty())
    }
}

impl From<tonic::body::Body> for Answer {
    fn from(body: tonic::body::Body) -> Self {
        Self::Plain(body)
    }
}

impl Body for Answer {
    type Data = Outgoing;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Outgoing>, Status>>> {
        let plain = |bytes: Bytes| Outgoing { message: bytes.into(), ..Outgoing::default() };
        match self.get_mut() {
            Self::Stream(body) => body.poll_frame(context).map(|frame| frame.map(Ok)),
            Self::Plain(body) => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(plain))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Stream(body) => body.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// A body that sends what a producer task hands over.
///
/// The generated code of tonic would copy every message twice, into protobuf and into the frame;
/// here a [`FlightMessage`] goes to the transport as it is. The stream ends well only if the
/// producer says so: one that vanishes, by a panic or a shutdown, ends it as an error, so a client
/// never takes a part for the whole.
#[derive(Debug)]
pub struct StreamBody {
    messages: Receiver<Result<Outgoing, Status>>,
    ended: bool,
    pulse: Pulse,
}

impl StreamBody {
    /// The response that sends what arrives in `messages`, until an `Err`: `Status::ok` there is
    /// the good end. `pulse` beats when the transport asks for more, and when it sends.
    pub(super) fn response(
        messages: Receiver<Result<Outgoing, Status>>,
        pulse: Pulse,
    ) -> http::Response<Answer> {
        let body = Self { messages, ended: false, pulse };
        let mut response = http::Response::new(Answer::Stream(body));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Outgoing>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = self.messages.poll_recv(context);
        self.pulse.beat(next.is_pending());
        let status = match ready!(next) {
            Some(Ok(outgoing)) => {
                let under_way = Some(self.pulse.under_way());
                return Poll::Ready(Some(Frame::data(Outgoing { under_way, ..outgoing })));
            }
            Some(Err(status)) => status,
            None => Status::unavailable("the stream was cut: read on elsewhere"),
        };
        Poll::Ready(Some(self.trailers(&status)))
    }

    fn trailers(&mut self, status: &Status) -> Frame<Outgoing> {
        self.ended = true;
        let mut trailers = HeaderMap::new();
        if status.add_header(&mut trailers).is_err() {
            trailers.insert("grpc-status", HeaderValue::from_static("13"));
        }
        Frame::trailers(trailers)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::sync::mpsc;

    use super::*;

    async fn grpc_status(ends: Vec<Result<Outgoing, Status>>) -> String {
        let (sender, receiver) = mpsc::channel(4);
        for end in ends {
            sender.send(end).await.unwrap();
        }
        drop(sender);
        let collected =
            StreamBody::response(receiver, Pulse::new()).into_body().collect().await.unwrap();
        collected.trailers().unwrap()["grpc-status"].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_stream_ends_well_only_if_its_producer_says_so() {
        let message = || Ok(Outgoing::default());
        assert_eq!(grpc_status(vec![message(), Err(Status::ok(""))]).await, "0");
        assert_eq!(grpc_status(vec![message()]).await, "14");
        assert_eq!(grpc_status(vec![Err(Status::aborted("moved on"))]).await, "10");
    }
}

//! The response body of a stream: Flight messages as HTTP/2 data frames, then gRPC's trailers.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body, Frame};
use tokio::sync::mpsc::Receiver;
use tonic::Status;

use super::{encode::FlightMessage, stream::Pulse};

/// A message with what must be held until it is on its way.
#[derive(Debug)]
pub(super) struct Outgoing<P> {
    pub(super) message: FlightMessage,
    /// Never read: dropped when the transport has taken the message.
    pub(super) _permit: P,
}

/// A body that sends what a producer task hands over.
///
/// The generated code of tonic would copy every message twice, into protobuf and into the frame;
/// here the runs of a [`FlightMessage`] go to the transport as they are. The stream ends well only
/// if the producer says so: one that vanishes, by a panic or a shutdown, ends it as an error, so a
/// client never takes a part for the whole.
#[derive(Debug)]
pub(super) struct StreamBody<P> {
    messages: Receiver<Result<Outgoing<P>, Status>>,
    current: Option<Outgoing<P>>,
    ended: bool,
    pulse: Pulse,
}

impl<P: Send + Unpin + 'static> StreamBody<P> {
    /// The response that sends what arrives in `messages`, until an `Err`: `Status::ok` there is
    /// the good end. `pulse` beats when the transport asks for more.
    pub(super) fn response(
        messages: Receiver<Result<Outgoing<P>, Status>>,
        pulse: Pulse,
    ) -> http::Response<tonic::body::Body> {
        let body = Self { messages, current: None, ended: false, pulse };
        let mut response = http::Response::new(tonic::body::Body::new(body));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response
    }

    fn trailers(&mut self, status: &Status) -> Frame<Bytes> {
        self.ended = true;
        let mut trailers = HeaderMap::new();
        if status.add_header(&mut trailers).is_err() {
            trailers.insert("grpc-status", HeaderValue::from_static("13"));
        }
        Frame::trailers(trailers)
    }
}

impl<P: Send + Unpin + 'static> Body for StreamBody<P> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if let Some(run) = self.current.as_mut().and_then(|current| current.message.pop()) {
                self.pulse.beat(false);
                return Poll::Ready(Some(Ok(Frame::data(run))));
            }
            self.current = None;
            let status = match self.messages.poll_recv(context) {
                Poll::Pending => {
                    self.pulse.beat(true);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(outgoing))) => {
                    self.current = Some(outgoing);
                    continue;
                }
                Poll::Ready(Some(Err(status))) => status,
                Poll::Ready(None) => Status::unavailable("the stream was cut: read on elsewhere"),
            };
            return Poll::Ready(Some(Ok(self.trailers(&status))));
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::sync::mpsc;

    use super::*;

    async fn grpc_status(ends: Vec<Result<Outgoing<()>, Status>>) -> String {
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
        let message = || Ok(Outgoing { message: FlightMessage::default(), _permit: () });
        assert_eq!(grpc_status(vec![message(), Err(Status::ok(""))]).await, "0");
        assert_eq!(grpc_status(vec![message()]).await, "14");
        assert_eq!(grpc_status(vec![Err(Status::aborted("moved on"))]).await, "10");
    }
}

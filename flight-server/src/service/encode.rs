//! Record batches as Flight messages, sharing the cached buffers instead of copying them.

use std::{collections::VecDeque, io::IoSlice};

use arrow::{array::RecordBatch, buffer::Buffer, datatypes::Schema};
use arrow_ipc::{
    root_as_message,
    writer::{DictionaryHandling, IpcWriteOptions, StreamEncoder},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use flightcache_cache::{Error, Result};

/// Buffers below this many bytes are copied together: a frame of its own costs more.
const SHARE_FROM_BYTES: usize = 4096;
/// Most gRPC messages carry, so that a length fits the frame's 32 bits with room to spare.
const MAX_MESSAGE_BYTES: usize = i32::MAX as usize;
const CONTINUATION: [u8; 4] = [0xff; 4];

/// One gRPC message with a `FlightData` in it, as the byte runs that go on the wire in order.
///
/// As a [`Buf`] it is what is left to send: the transport writes many runs in one system call.
#[derive(Clone, Debug, Default)]
pub(super) struct FlightMessage {
    runs: VecDeque<Bytes>,
    bytes: usize,
}

impl FlightMessage {
    /// Bytes of the message that are still to go on the wire.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl From<Bytes> for FlightMessage {
    /// Bytes that are framed already.
    fn from(bytes: Bytes) -> Self {
        Self { bytes: bytes.len(), runs: VecDeque::from([bytes]) }
    }
}

impl Buf for FlightMessage {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn chunk(&self) -> &[u8] {
        self.runs.front().map_or(&[], |run| run)
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let slices = into.iter_mut().zip(&self.runs);
        slices.map(|(slice, run)| *slice = IoSlice::new(run)).count()
    }

    fn advance(&mut self, mut sent: usize) {
        self.bytes = self.bytes.saturating_sub(sent);
        while let Some(run) = self.runs.front_mut() {
            if sent < run.len() {
                run.advance(sent);
                return;
            }
            sent -= run.len();
            self.runs.pop_front();
        }
    }
}

/// Encodes the batches of one stream.
///
/// The IPC encoder of arrow gives the encapsulated messages as buffers that alias the arrays;
/// they are put into gRPC and protobuf framing as they are.
pub(super) struct FlightEncoder {
    encoder: StreamEncoder,
}

impl FlightEncoder {
    /// An encoder of batches of `schema`; dictionaries are sent, and sent again when they change.
    ///
    /// # Errors
    /// `Invalid` if the schema cannot be sent.
    pub(super) fn try_new(schema: &Schema) -> Result<Self> {
        let options =
            IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Resend);
        let encoder = StreamEncoder::try_new_with_options(schema, options)
            .map_err(|error| Error::invalid("schema cannot be sent").with_source(error))?;
        Ok(Self { encoder })
    }

    /// The messages of `batch`: before the first one the schema, before a batch its dictionaries.
    /// The batch's own message carries `app_metadata`.
    ///
    /// # Errors
    /// `Internal` if the batch cannot be encoded.
    pub(super) fn encode(
        &mut self,
        batch: &RecordBatch,
        app_metadata: &[u8],
    ) -> Result<Vec<FlightMessage>> {
        let buffers = self
            .encoder
            .encode(batch)
            .map_err(|error| Error::internal("batch cannot be encoded").with_source(error))?;
        messages(buffers, app_metadata)
    }

    /// Ends the stream: the schema's message if no batch was encoded, else nothing.
    ///
    /// # Errors
    /// `Internal` if the schema cannot be encoded.
    pub(super) fn finish(self) -> Result<Vec<FlightMessage>> {
        let buffers = self
            .encoder
            .finish()
            .map_err(|error| Error::internal("schema cannot be encoded").with_source(error))?;
        messages(buffers, &[])
    }
}

/// Cuts an IPC stream into its messages; `app_metadata` goes with the last one.
fn messages(buffers: Vec<Buffer>, app_metadata: &[u8]) -> Result<Vec<FlightMessage>> {
    let mut stream = Runs(buffers.into_iter().map(share).collect());
    let mut parsed = Vec::new();
    while let Some(prefix) = stream.take_joined(8) {
        let (marker, length) = prefix.split_at_checked(4).unwrap_or_default();
        let length = <[u8; 4]>::try_from(length).map_or(0, u32::from_le_bytes) as usize;
        if marker != CONTINUATION || length == 0 {
            break;
        }
        let broken = || Error::internal("arrow's encoder gave a broken message");
        let header = stream.take_joined(length).ok_or_else(broken)?;
        let body = root_as_message(&header).map_err(|_| broken())?.bodyLength();
        let body = usize::try_from(body).map_err(|_| broken())?;
        parsed.push((header, stream.take(body).ok_or_else(broken)?, body));
    }
    let last = parsed.len().saturating_sub(1);
    parsed
        .into_iter()
        .enumerate()
        .map(|(index, (header, body, bytes))| {
            frame(&header, if index == last { app_metadata } else { &[] }, body, bytes)
        })
        .collect()
}

/// Frames one `FlightData`: `data_header = 2`, `app_metadata = 3`, `data_body = 1000`.
fn frame(
    header: &[u8],
    app_metadata: &[u8],
    body: Vec<Bytes>,
    body_bytes: usize,
) -> Result<FlightMessage> {
    let mut fields = BytesMut::with_capacity(header.len() + app_metadata.len() + 32);
    put_field(&mut fields, 2, header.len());
    fields.put_slice(header);
    if !app_metadata.is_empty() {
        put_field(&mut fields, 3, app_metadata.len());
        fields.put_slice(app_metadata);
    }
    put_field(&mut fields, 1000, body_bytes);
    let length = fields.len() + body_bytes;
    if length > MAX_MESSAGE_BYTES {
        return Err(Error::data(format!("a batch of {length} bytes is too large to send")));
    }
    let mut copied = BytesMut::with_capacity(fields.len() + 5);
    copied.put_u8(0);
    copied.put_u32(length as u32);
    copied.put_slice(&fields);

    let mut runs = VecDeque::new();
    for run in body {
        if run.len() < SHARE_FROM_BYTES {
            copied.put_slice(&run);
        } else {
            if !copied.is_empty() {
                runs.push_back(copied.split().freeze());
            }
            runs.push_back(run);
        }
    }
    if !copied.is_empty() {
        runs.push_back(copied.freeze());
    }
    Ok(FlightMessage { runs, bytes: length + 5 })
}

fn put_field(out: &mut BytesMut, number: u64, length: usize) {
    const LENGTH_DELIMITED: u64 = 2;
    prost::encoding::encode_varint(number << 3 | LENGTH_DELIMITED, out);
    prost::encoding::encode_varint(length as u64, out);
}

fn share(buffer: Buffer) -> Bytes {
    struct Shared(Buffer);
    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            self.0.as_slice()
        }
    }
    Bytes::from_owner(Shared(buffer))
}

/// A byte stream in runs.
struct Runs(VecDeque<Bytes>);

impl Runs {
    /// The next `length` bytes, as they lie; `None` if there are not as many.
    fn take(&mut self, length: usize) -> Option<Vec<Bytes>> {
        let mut left = length;
        let mut taken = Vec::new();
        while left > 0 {
            let mut run = self.0.pop_front()?;
            if run.len() > left {
                self.0.push_front(run.split_off(left));
            }
            left -= run.len();
            if !run.is_empty() {
                taken.push(run);
            }
        }
        Some(taken)
    }

    /// The next `length` bytes in one piece.
    fn take_joined(&mut self, length: usize) -> Option<Vec<u8>> {
        self.take(length).map(|runs| runs.concat())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int64Array, StringArray,
    };
    use arrow_flight::{FlightData, decode::FlightRecordBatchStream};
    use futures::{StreamExt, TryStreamExt, stream};
    use prost::Message;

    use super::*;

    fn wire(message: &FlightMessage) -> FlightData {
        let bytes = message.runs.iter().flat_map(|run| run.to_vec()).collect::<Vec<u8>>();
        assert_eq!(bytes.len(), message.bytes());
        assert_eq!(bytes[0], 0);
        assert_eq!(u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize, bytes.len() - 5);
        FlightData::decode(&bytes[5..]).unwrap()
    }

    fn batch(range: std::ops::Range<i64>) -> RecordBatch {
        let words: StringArray = range.clone().map(|i| Some(format!("word {i}"))).collect();
        let flags: BooleanArray =
            range.clone().map(|i| (i % 3 > 0).then_some(i % 2 == 0)).collect();
        let kinds: DictionaryArray<arrow::datatypes::Int32Type> =
            range.clone().map(|i| ["a", "b", "c"][i as usize % 3]).collect();
        let numbers: Int64Array = range.collect();
        RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(numbers) as ArrayRef, false),
            ("w", Arc::new(words), true),
            ("f", Arc::new(flags), true),
            ("k", Arc::new(kinds), false),
        ])
        .unwrap()
    }

    #[tokio::test]
    async fn what_is_framed_by_hand_reads_as_flight_data() {
        let whole = batch(0..10_000);
        let slices = [whole.slice(0, 10), whole.slice(13, 9_000), batch(5..5), batch(7..20)];
        let mut encoder = FlightEncoder::try_new(&whole.schema()).unwrap();
        let mut messages = Vec::new();
        for (index, slice) in slices.iter().enumerate() {
            messages.extend(encoder.encode(slice, format!("meta {index}").as_bytes()).unwrap());
        }
        assert!(encoder.finish().unwrap().is_empty());
        let data: Vec<FlightData> = messages.iter().map(wire).collect();
        let metadata: Vec<_> = data.iter().filter(|data| !data.app_metadata.is_empty()).collect();
        assert_eq!(metadata.len(), slices.len());
        assert_eq!(metadata[3].app_metadata, "meta 3");
        let decoded: Vec<RecordBatch> =
            FlightRecordBatchStream::new_from_flight_data(stream::iter(data).map(Ok))
                .try_collect()
                .await
                .unwrap();
        assert_eq!(decoded, slices);
    }

    #[test]
    fn what_is_left_of_a_message_is_the_same_however_it_is_sent() {
        let mut encoder = FlightEncoder::try_new(&batch(0..1).schema()).unwrap();
        let message = encoder.encode(&batch(0..5_000), b"meta").unwrap().pop().unwrap();
        let whole = message.runs.iter().flat_map(|run| run.to_vec()).collect::<Vec<u8>>();
        assert!(message.runs.len() > 2);
        for step in [1000, 4096, 70_001] {
            let (mut left, mut sent) = (message.clone(), Vec::new());
            while left.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 2];
                let count = left.chunks_vectored(&mut slices);
                let mut ready: Vec<u8> =
                    slices[..count].iter().flat_map(|run| run.to_vec()).collect();
                ready.truncate(step);
                left.advance(ready.len());
                sent.extend(ready);
                assert_eq!(left.remaining(), whole.len() - sent.len());
            }
            assert_eq!(sent, whole);
            assert!(left.runs.is_empty() && left.chunk().is_empty());
        }
    }

    #[test]
    fn large_buffers_are_shared_and_an_empty_stream_has_a_schema() {
        let batch = batch(0..10_000);
        let mut encoder = FlightEncoder::try_new(&batch.schema()).unwrap();
        let messages = encoder.encode(&batch, b"").unwrap();
        let values = batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().values();
        let shared = messages.iter().flat_map(|message| &message.runs);
        assert!(shared.into_iter().any(|run| run.as_ptr() == values.inner().as_ptr()));

        let empty = FlightEncoder::try_new(&batch.schema()).unwrap().finish().unwrap();
        assert_eq!(empty.len(), 1);
        assert!(wire(&empty[0]).data_body.is_empty());
        assert_eq!(batch.column(1).len(), 10_000);
    }
}

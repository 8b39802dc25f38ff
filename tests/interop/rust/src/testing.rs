/* What client and server of grpc.testing.TestService on tonic share: the messages (tests/interop/proto/test.proto), addresses,
 * and the bits of a call that tonic keeps to itself. */
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::Stream;
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream};
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, EncodeBody};
use tonic::Status;
use tonic_prost::ProstCodec;

pub const SERVICE: &str = "/grpc.testing.TestService/";
pub const INITIAL: &str = "x-grpc-test-echo-initial";
pub const TRAILING: &str = "x-grpc-test-echo-trailing-bin";

/* ---- Messages ------------------------------------------------------------------------------------------------------- */

#[derive(Clone, PartialEq, prost::Message)]
pub struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct BoolValue {
    #[prost(bool, tag = "1")]
    pub value: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Payload {
    #[prost(bytes = "bytes", tag = "2")]
    pub body: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct EchoStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SimpleRequest {
    #[prost(int32, tag = "2")]
    pub response_size: i32,
    #[prost(message, tag = "3")]
    pub payload: Option<Payload>,
    #[prost(message, tag = "6")]
    pub response_compressed: Option<BoolValue>,
    #[prost(message, tag = "7")]
    pub response_status: Option<EchoStatus>,
    #[prost(message, tag = "8")]
    pub expect_compressed: Option<BoolValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SimpleResponse {
    #[prost(message, tag = "1")]
    pub payload: Option<Payload>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct InputRequest {
    #[prost(message, tag = "1")]
    pub payload: Option<Payload>,
    #[prost(message, tag = "2")]
    pub expect_compressed: Option<BoolValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct InputResponse {
    #[prost(int32, tag = "1")]
    pub aggregated_payload_size: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ResponseParameters {
    #[prost(int32, tag = "1")]
    pub size: i32,
    #[prost(int32, tag = "2")]
    pub interval_us: i32,
    #[prost(message, tag = "3")]
    pub compressed: Option<BoolValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct OutputRequest {
    #[prost(message, repeated, tag = "2")]
    pub response_parameters: Vec<ResponseParameters>,
    #[prost(message, tag = "3")]
    pub payload: Option<Payload>,
    #[prost(message, tag = "7")]
    pub response_status: Option<EchoStatus>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct OutputResponse {
    #[prost(message, tag = "1")]
    pub payload: Option<Payload>,
}

pub fn zeros(size: usize) -> Option<Payload> {
    Some(Payload { body: Bytes::from(vec![0; size]) })
}

pub fn len_of(payload: &Option<Payload>) -> usize {
    payload.as_ref().map_or(0, |payload| payload.body.len())
}

pub fn yes(value: &Option<BoolValue>) -> bool {
    value.as_ref().is_some_and(|value| value.value)
}

/* ---- Addresses ------------------------------------------------------------------------------------------------------ */

pub enum Address {
    Path(String),
    Tcp(String),
}

/* Of one of our URIs. In a path a first byte of zero stands for an abstract name. */
pub fn address_of(uri: &str) -> Address {
    if let Some(path) = uri.strip_prefix("grpc+unix:") {
        return Address::Path(path.strip_prefix('@').map_or(path.to_string(), |name| format!("\0{name}")));
    }
    Address::Tcp(uri.strip_prefix("grpc+tcp:").unwrap_or(uri).to_string())
}

/* ---- Compression ---------------------------------------------------------------------------------------------------- */

/* Which of the messages that have come were compressed: tonic does not tell, so the prefixes are read on their way to it. */
#[derive(Clone, Default)]
pub struct Flags(Arc<Mutex<VecDeque<bool>>>);

impl Flags {
    /* That of the next message. */
    pub fn next(&self) -> Option<bool> {
        self.0.lock().expect("flags").pop_front()
    }

    pub fn watch(&self, body: Body) -> Body {
        let (flags, mut prefix, mut left) = (self.0.clone(), Vec::new(), 0);

        Body::new(body.map_frame(move |frame| {
            let mut data: &[u8] = frame.data_ref().map_or(&[], |data| data);
            while !data.is_empty() {
                let step = std::cmp::min(if left > 0 { left } else { 5 - prefix.len() }, data.len());
                if left > 0 {
                    left -= step;
                } else {
                    prefix.extend_from_slice(&data[..step]);
                }
                data = &data[step..];
                if let Ok([flag, len @ ..]) = <[u8; 5]>::try_from(&prefix[..]) {
                    flags.lock().expect("flags").push_back(flag == 1);
                    left = u32::from_be_bytes(len) as usize;
                    prefix.clear();
                }
            }
            frame
        }))
    }
}

/* One message as it goes on the wire. tonic compresses each message of a stream or none of them: where it shall be some, the stream
 * is put together of these. */
pub fn encoded<M>(message: M, compressed: bool) -> impl Stream<Item = Result<Frame<Bytes>, Status>> + Send
where
    M: prost::Message + Default + 'static,
{
    let encoder = ProstCodec::<M, M>::default().encoder();
    let encoding = compressed.then_some(CompressionEncoding::Gzip);

    BodyStream::new(EncodeBody::new_client(encoder, tokio_stream::once(Ok(message)), encoding, Some(usize::MAX)))
}

/* The calls that the cases are made of, and what is expected of them. */
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream;
use futures_util::Stream;
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::codegen::{BoxFuture, Service};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::testing::*;

pub const BOUND: Duration = Duration::from_secs(20);

/* ---- What is expected ----------------------------------------------------------------------------------------------- */

pub struct Failure(pub String);
pub type Held<T = ()> = Result<T, Failure>;

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.to_string())
    }
}

pub fn holds(condition: bool, what: impl Into<String>) -> Held {
    condition.then_some(()).ok_or_else(|| Failure(what.into()))
}

pub fn is_zeros(payload: &Option<Payload>, size: usize) -> Held {
    let body = payload.as_ref().map_or(&[][..], |payload| &payload.body);

    holds(body.len() == size, format!("{} bytes came, expected {size}", body.len()))?;
    holds(body.iter().all(|&byte| byte == 0), format!("{size} bytes came, and not all are zero"))
}

pub fn fails<T>(code: Code, outcome: Result<T, Status>) -> Held<Status> {
    let status = outcome.err().ok_or_else(|| Failure(format!("no error, expected {code:?}")))?;

    holds(status.code() == code, format!("status {:?} ({}), expected {code:?}", status.code(), status.message()))?;
    Ok(status)
}

/* ---- Calls ---------------------------------------------------------------------------------------------------------- */

/* A channel whose responses tell which of their messages were compressed. */
#[derive(Clone)]
pub struct Peer {
    pub channel: Channel,
    pub flags: Flags,
}

impl Service<http::Request<Body>> for Peer {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (called, flags) = (self.channel.call(request), self.flags.clone());

        Box::pin(async move { Ok(called.await?.map(|body| flags.watch(body))) })
    }
}

pub fn path(method: &str) -> PathAndQuery {
    format!("{SERVICE}{method}").parse().expect("a path")
}

pub fn within<T>(bound: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);

    request.set_timeout(bound);
    request
}

impl Peer {
    pub fn stub(&self) -> Grpc<Peer> {
        Grpc::new(self.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX)
    }

    pub fn compressing(&self) -> Grpc<Peer> {
        self.stub().send_compressed(CompressionEncoding::Gzip)
    }

    pub async fn empty(&self, path: PathAndQuery) -> Result<Response<Empty>, Status> {
        ready(self.stub()).await?.unary(within(BOUND, Empty {}), path, ProstCodec::default()).await
    }

    pub async fn input<S>(&self, requests: Request<S>) -> Result<usize, Status>
    where
        S: Stream<Item = InputRequest> + Send + 'static,
    {
        let mut stub = ready(self.stub()).await?;
        let called = stub.client_streaming(requests, path("StreamingInputCall"), ProstCodec::default());
        let response: Response<InputResponse> = called.await?;

        Ok(response.get_ref().aggregated_payload_size as usize)
    }

    pub async fn output(&self, request: OutputRequest) -> Result<Streaming<OutputResponse>, Status> {
        let mut stub = ready(self.stub()).await?;
        let path = path("StreamingOutputCall");

        stub.server_streaming(within(BOUND, request), path, ProstCodec::default()).await.map(Response::into_inner)
    }
}

pub async fn ready(mut stub: Grpc<Peer>) -> Result<Grpc<Peer>, Status> {
    stub.ready().await.map_err(|error| Status::from_error(error.into()))?;
    Ok(stub)
}

pub async fn unary(stub: Grpc<Peer>, request: Request<SimpleRequest>) -> Result<Response<SimpleResponse>, Status> {
    ready(stub).await?.unary(request, path("UnaryCall"), ProstCodec::default()).await
}

pub fn simple(size: usize, sent: usize) -> SimpleRequest {
    SimpleRequest { response_size: size as i32, payload: zeros(sent), ..Default::default() }
}

pub fn output(sizes: &[usize], sent: usize) -> OutputRequest {
    let parameters = |&size: &usize| ResponseParameters { size: size as i32, ..Default::default() };

    OutputRequest {
        response_parameters: sizes.iter().map(parameters).collect(),
        payload: zeros(sent),
        response_status: None,
    }
}

pub fn input(size: usize) -> InputRequest {
    InputRequest { payload: zeros(size), expect_compressed: None }
}

pub async fn large(stub: Grpc<Peer>, request: SimpleRequest) -> Held {
    let size = request.response_size as usize;
    let response = unary(stub, within(BOUND, request)).await?;

    is_zeros(&response.get_ref().payload, size)
}

pub async fn client_streams(peer: &Peer, sizes: &'static [usize]) -> Held {
    let total = peer.input(within(BOUND, stream::iter(sizes.iter().map(|&size| input(size))))).await?;
    let sent = sizes.iter().sum();

    holds(total == sent, format!("the sum is {total}, expected {sent}"))
}

pub async fn answered(responses: &mut Streaming<OutputResponse>, size: usize) -> Held {
    let ended = || Failure("the call ended where a response was expected".to_string());
    let response = responses.message().await?.ok_or_else(ended)?;

    is_zeros(&response.payload, size)
}

pub async fn server_streams(peer: &Peer, sizes: &[usize]) -> Held {
    let mut responses = peer.output(output(sizes, 0)).await?;

    for &size in sizes {
        answered(&mut responses, size).await?;
    }
    holds(responses.message().await?.is_none(), "a response came after the last")
}

/* FullDuplexCall, one turn at a time. The server may wait for a request before it says anything, and tonic has no stream of responses
 * before that: the call begins beside us. */
pub struct Duplex {
    requests: mpsc::UnboundedSender<OutputRequest>,
    begun: JoinHandle<Result<Response<Streaming<OutputResponse>>, Status>>,
    open: Option<(MetadataMap, Streaming<OutputResponse>)>,
    cancel: tonic::CancellationHandle,
}

impl Duplex {
    pub fn new(peer: &Peer, bound: Duration, metadata: MetadataMap) -> Self {
        let (requests, received) = mpsc::unbounded_channel();
        let mut request = Request::from_parts(metadata, Default::default(), UnboundedReceiverStream::new(received));
        let stub = peer.stub();

        request.set_timeout(bound);
        let cancel = request.cancellation_handle();
        let begun = tokio::spawn(async move {
            ready(stub).await?.streaming(request, path("FullDuplexCall"), ProstCodec::default()).await
        });
        Self { requests, begun, open: None, cancel }
    }

    pub fn plain(peer: &Peer) -> Self {
        Self::new(peer, BOUND, MetadataMap::new())
    }

    pub fn ask(&self, request: OutputRequest) {
        /* What is said to a call that has ended is lost: its status tells. */
        let _ = self.requests.send(request);
    }

    pub async fn responses(&mut self) -> Result<&mut Streaming<OutputResponse>, Status> {
        if self.open.is_none() {
            let (metadata, responses, _) = (&mut self.begun).await.expect("the call")?.into_parts();
            self.open = Some((metadata, responses));
        }
        Ok(&mut self.open.as_mut().expect("open").1)
    }

    pub async fn turn(&mut self, size: usize, sent: usize) -> Held {
        self.ask(output(&[size], sent));
        answered(self.responses().await?, size).await
    }

    pub async fn next(&mut self) -> Result<Option<OutputResponse>, Status> {
        self.responses().await?.message().await
    }

    /* Half-closes; returns metadata and trailers. */
    pub async fn end(mut self) -> Held<(MetadataMap, MetadataMap)> {
        self.requests = mpsc::unbounded_channel().0;
        holds(self.next().await?.is_none(), "a response came after the last")?;
        let (metadata, mut responses) = self.open.expect("open");
        Ok((metadata, responses.trailers().await?.unwrap_or_default()))
    }

    /* Resets the stream, without half-closing it. */
    pub async fn cancelled(mut self) -> Held {
        self.responses().await?;
        let (_, mut responses) = self.open.take().expect("open");
        self.cancel.cancel();
        fails(Code::Cancelled, responses.message().await).map(drop)
    }
}

pub fn asking(code: Code, message: &str) -> Option<EchoStatus> {
    Some(EchoStatus { code: code as i32, message: message.to_string() })
}

pub async fn status_comes(peer: &Peer, code: Code, text: &str) -> Held {
    let request = SimpleRequest { response_status: asking(code, text), ..Default::default() };
    let status = fails(code, unary(peer.stub(), within(BOUND, request)).await)?;
    let mut duplex = Duplex::plain(peer);

    holds(status.message() == text, format!("the message of the unary call's status is {:?}", status.message()))?;
    duplex.ask(OutputRequest { response_status: asking(code, text), ..Default::default() });
    let status = fails(code, duplex.next().await)?;
    holds(status.message() == text, format!("the message of the stream's status is {:?}", status.message()))
}

/* How many calls the server has seen end by their client. */
pub async fn cancelled_calls(peer: &Peer) -> Held<u64> {
    let response = peer.empty(path("EmptyCall")).await?;
    let said = response.metadata().get("x-cancelled").and_then(|text| text.to_str().ok()?.parse().ok());

    said.ok_or_else(|| Failure("the server does not say how many calls were cancelled".to_string()))
}

/* Without end: each case has its bound. */
pub async fn server_saw_one_more(peer: &Peer, before: u64) -> Held {
    while cancelled_calls(peer).await? <= before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/* grpc.testing.TestService with tonic: prints its address, then serves until SIGTERM; calls under way may end. Beyond the service:
 * the trailers of EmptyCall tell as x-cancelled how many calls the clients ended. */
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use futures_util::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{signal, SignalKind};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding};
use tonic::server::Grpc;
use tonic::transport::server::Connected;
use tonic::{Code, Extensions, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::testing::*;

static CANCELLED: AtomicU64 = AtomicU64::new(0);

/* Counts a call as ended by its client, unless its handler got to the end. */
#[derive(Default)]
struct Watch {
    done: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        CANCELLED.fetch_add(!self.done as u64, Ordering::Relaxed);
    }
}

/* ---- Answers -------------------------------------------------------------------------------------------------------- */

/* The status that a request asks for, as an error. */
fn asked(status: &Option<EchoStatus>) -> Result<(), Status> {
    match status {
        Some(status) if status.code != 0 => Err(Status::new(Code::from(status.code), status.message.clone())),
        _ => Ok(()),
    }
}

/* To be called for each message of a request, in order. */
fn as_announced(extensions: &Extensions, expected: &Option<BoolValue>) -> Result<(), Status> {
    let compressed = extensions.get::<Flags>().and_then(Flags::next);

    match expected {
        Some(expected) if Some(expected.value) != compressed => {
            Err(Status::invalid_argument("the message is not compressed as announced"))
        }
        _ => Ok(()),
    }
}

/* What a stream of requests is answered with; each response with whether it is to be compressed. */
struct Answers {
    requests: Streaming<OutputRequest>,
    ahead: VecDeque<ResponseParameters>,
    status: Result<(), Status>,
    watch: Watch,
}

impl Answers {
    fn stream(requests: Streaming<OutputRequest>) -> impl Stream<Item = Result<(OutputResponse, bool), Status>> {
        let answers = Self { requests, ahead: VecDeque::new(), status: Ok(()), watch: Watch::default() };

        stream::unfold(answers, |mut answers| async move { answers.next().await.map(|next| (next, answers)) })
    }

    async fn next(&mut self) -> Option<Result<(OutputResponse, bool), Status>> {
        loop {
            if let Some(parameters) = self.ahead.pop_front() {
                tokio::time::sleep(Duration::from_micros(parameters.interval_us as u64)).await;
                let response = OutputResponse { payload: zeros(parameters.size as usize) };
                return Some(Ok((response, yes(&parameters.compressed))));
            }
            if let Err(status) = std::mem::replace(&mut self.status, Ok(())) {
                self.watch.done = true;
                return Some(Err(status));
            }
            match self.requests.message().await {
                Ok(Some(request)) => {
                    self.status = asked(&request.response_status);
                    self.ahead = request.response_parameters.into();
                }
                Ok(None) => {
                    self.watch.done = true;
                    return None;
                }
                Err(status) => return Some(Err(status)),
            }
        }
    }
}

/* ---- Methods -------------------------------------------------------------------------------------------------------- */

async fn empty_call(_: Request<Empty>) -> Result<Response<Empty>, Status> {
    Ok(Response::new(Empty {}))
}

async fn unary_call(request: Request<SimpleRequest>) -> Result<Response<SimpleResponse>, Status> {
    let wanted = request.get_ref();
    let mut response = Response::new(SimpleResponse { payload: zeros(wanted.response_size as usize) });

    as_announced(request.extensions(), &wanted.expect_compressed)?;
    asked(&wanted.response_status)?;
    if !yes(&wanted.response_compressed) {
        response.disable_compression();
    }
    Ok(response)
}

async fn streaming_input(request: Request<Streaming<InputRequest>>) -> Result<Response<InputResponse>, Status> {
    let (_, extensions, mut requests) = request.into_parts();
    let mut watch = Watch::default();
    let mut total = 0;

    while let Some(request) = requests.message().await? {
        if let Err(status) = as_announced(&extensions, &request.expect_compressed) {
            watch.done = true;
            return Err(status);
        }
        total += len_of(&request.payload);
    }
    watch.done = true;
    Ok(Response::new(InputResponse { aggregated_payload_size: total as i32 }))
}

async fn full_duplex(
    request: Request<Streaming<OutputRequest>>,
) -> Result<Response<impl Stream<Item = Result<OutputResponse, Status>>>, Status> {
    Ok(Response::new(Answers::stream(request.into_inner()).map(|answer| answer.map(|(response, _)| response))))
}

/* Some responses may be compressed, others not: put together here. */
fn streaming_output(request: http::Request<Body>) -> http::Response<Body> {
    let decoder = ProstCodec::<Empty, OutputRequest>::default().decoder();
    let requests = Streaming::new_request(decoder, request.into_body(), None, Some(usize::MAX));
    let ends = stream::once(async { Err(Status::ok("")) });
    let frames = Answers::stream(requests).chain(ends).flat_map(|answer| match answer {
        Ok((response, compressed)) => encoded(response, compressed).left_stream(),
        Err(status) => {
            let mut trailers = HeaderMap::new();
            stream::iter([status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))]).right_stream()
        }
    });
    let mut response = http::Response::new(Body::new(StreamBody::new(frames)));

    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
    response
}

/* ---- Serving -------------------------------------------------------------------------------------------------------- */

fn grpc<Request, Reply>() -> Grpc<ProstCodec<Reply, Request>>
where
    Request: prost::Message + Default + 'static,
    Reply: prost::Message + Default + 'static,
{
    Grpc::new(ProstCodec::default())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX)
}

/* The entries of one name, for the metadata or trailers that answer. */
fn echoed(headers: &HeaderMap, name: &'static str) -> HeaderMap {
    headers.get_all(name).iter().map(|value| (HeaderName::from_static(name), value.clone())).collect()
}

async fn call(mut request: http::Request<Body>) -> Result<http::Response<Body>, Infallible> {
    let flags = Flags::default();
    let initial = echoed(request.headers(), INITIAL);
    let mut trailing = echoed(request.headers(), TRAILING);
    let path = request.uri().path().to_string();

    request.extensions_mut().insert(flags.clone());
    let request = request.map(|body| flags.watch(body));
    let mut response = match path.strip_prefix(SERVICE) {
        Some("EmptyCall") => {
            trailing.insert("x-cancelled", CANCELLED.load(Ordering::Relaxed).into());
            grpc().unary(service_fn(empty_call), request).await
        }
        Some("UnaryCall") => {
            let mut grpc = grpc().send_compressed(CompressionEncoding::Gzip);
            grpc.unary(service_fn(unary_call), request).await
        }
        Some("StreamingInputCall") => grpc().client_streaming(service_fn(streaming_input), request).await,
        Some("StreamingOutputCall") => streaming_output(request),
        Some("FullDuplexCall") => grpc().streaming(service_fn(full_duplex), request).await,
        _ => Status::unimplemented("there is no such method").into_http(),
    };
    response.headers_mut().extend(initial);
    Ok(response.map(|body| {
        Body::new(body.map_frame(move |mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                trailers.extend(std::mem::take(&mut trailing));
            }
            frame
        }))
    }))
}

async fn serve<I, IO>(incoming: I) -> Result<(), tonic::transport::Error>
where
    I: Stream<Item = std::io::Result<IO>>,
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let mut term = signal(SignalKind::terminate()).expect("SIGTERM");
    let asked = async move {
        term.recv().await;
    };

    tonic::transport::Server::builder()
        .max_concurrent_streams(2000)
        .serve_with_incoming_shutdown(service_fn(call), incoming, asked)
        .await
}

async fn listen(uri: &str) -> Result<(), Box<dyn std::error::Error>> {
    match address_of(uri) {
        Address::Path(path) => {
            let listener = UnixListener::bind(path)?;
            println!("{uri}");
            serve(UnixListenerStream::new(listener)).await?;
        }
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            println!("grpc+tcp:{}", listener.local_addr()?);
            serve(TcpListenerStream::new(listener)).await?;
        }
    }
    Ok(())
}

pub async fn run(uri: &str) -> i32 {
    match listen(uri).await {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{uri}: {error}");
            1
        }
    }
}

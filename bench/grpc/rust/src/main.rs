/* tonic as engine and worker of the benchmarks: one thread each (tokio's current_thread), payloads as Bytes, which prost
 * neither copies in nor out of tonic's receive buffer; large windows and frames, 1 MiB of SO_SNDBUF, messages gathered up
 * to 256 KiB before they go to h2. The command line and the line of a result are those of bench/grpc/run. */
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};
use tonic::client::Grpc as Client;
use tonic::codec::{BufferSettings, Codec};
use tonic::codegen::{BoxFuture, Service};
use tonic::metadata::MetadataValue;
use tonic::server::{Grpc as Server, StreamingService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

const PATH: &str = "/org.apache.spark.udf.worker.UdfWorker/Execute";
const WINDOW: u32 = 16 << 20;
const FRAME: u32 = 1 << 20;
const SEND_BUFFER: libc::c_int = 1 << 20;
const AT_ONCE: usize = 64;

/* ---- The envelope: UdfRequest and UdfResponse have the same form -------------------------------------------------- */

#[derive(Clone, PartialEq, prost::Message)]
struct Data {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(bytes = "bytes", tag = "1")]
    Control(Bytes),
    #[prost(message, tag = "2")]
    Data(Data),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(oneof = "Kind", tags = "1, 2")]
    kind: Option<Kind>,
}

fn envelope(data: Bytes) -> Envelope {
    Envelope { kind: Some(Kind::Data(Data { data })) }
}

fn payload(message: &Envelope) -> &Bytes {
    match &message.kind {
        Some(Kind::Data(data)) => &data.data,
        _ => panic!("not a DataRequest"),
    }
}

/* prost's codec, with larger buffers than its own 8 and 32 KiB. */
#[derive(Clone, Default)]
struct LargeCodec;

impl Codec for LargeCodec {
    type Encode = Envelope;
    type Decode = Envelope;
    type Encoder = <ProstCodec<Envelope, Envelope> as Codec>::Encoder;
    type Decoder = <ProstCodec<Envelope, Envelope> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Envelope, Envelope>::raw_encoder(BufferSettings::new(64 << 10, 256 << 10))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<Envelope, Envelope>::raw_decoder(BufferSettings::new(64 << 10, 256 << 10))
    }
}

fn tune(stream: &UnixStream) {
    let size = SEND_BUFFER;
    let pointer: *const libc::c_int = &size;
    let len = std::mem::size_of_val(&size) as libc::socklen_t;
    unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, pointer.cast(), len) };
}

/* ---- Worker -------------------------------------------------------------------------------------------------------- */

type Responses = Pin<Box<dyn Stream<Item = Result<Envelope, Status>> + Send>>;

struct Execute;

impl StreamingService<Envelope> for Execute {
    type Response = Envelope;
    type ResponseStream = Responses;
    type Future = BoxFuture<Response<Responses>, Status>;

    fn call(&mut self, request: Request<Streaming<Envelope>>) -> Self::Future {
        let sink = request.metadata().get("bench-mode").is_some_and(|mode| mode == "sink");
        let mut requests = request.into_inner();

        Box::pin(async move {
            if !sink {
                return Ok(Response::new(Box::pin(requests) as Responses));
            }
            let (sender, receiver) = mpsc::channel(1);
            tokio::spawn(async move {
                let mut total: u64 = 0;
                while let Ok(Some(message)) = requests.message().await {
                    total += payload(&message).len() as u64;
                }
                let answer = envelope(Bytes::copy_from_slice(&total.to_le_bytes()));
                let _ = sender.send(Ok(answer)).await;
            });
            Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(receiver)) as Responses))
        })
    }
}

#[derive(Clone)]
struct Worker;

impl Service<http::Request<tonic::body::Body>> for Worker {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async move {
            let mut server = Server::new(LargeCodec)
                .max_decoding_message_size(usize::MAX)
                .max_encoding_message_size(usize::MAX);
            Ok(server.streaming(Execute, request).await)
        })
    }
}

async fn worker(path: &str) {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).expect("bind");
    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener).map(|accepted| {
        let stream = accepted?;
        tune(&stream);
        Ok::<_, std::io::Error>(stream)
    });

    println!("ready");
    tonic::transport::Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .max_frame_size(FRAME)
        .serve_with_incoming(Worker, incoming)
        .await
        .expect("serve");
}

/* ---- Engine -------------------------------------------------------------------------------------------------------- */

#[derive(Default)]
struct Outcome {
    bytes: u64,
    messages: u64,
    p50: u64,
}

/* Messages until the time is up, as fast as they are asked for. */
struct Flood {
    message: Bytes,
    until: Instant,
    step: u64,
    sent: u64,
}

impl Stream for Flood {
    type Item = Envelope;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Envelope>> {
        if self.sent > 0 && self.sent % self.step == 0 && Instant::now() >= self.until {
            return Poll::Ready(None);
        }
        self.sent += 1;
        Poll::Ready(Some(envelope(self.message.clone())))
    }
}

/* One message for each token that comes. */
struct Metered {
    message: Bytes,
    tokens: mpsc::UnboundedReceiver<()>,
}

impl Stream for Metered {
    type Item = Envelope;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Envelope>> {
        let token = ready!(self.tokens.poll_recv(context));
        Poll::Ready(token.map(|()| envelope(self.message.clone())))
    }
}

async fn call<S>(channel: &Channel, mode: &'static str, requests: S) -> Streaming<Envelope>
where
    S: Stream<Item = Envelope> + Send + 'static,
{
    let mut client = Client::new(channel.clone())
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    let mut request = Request::new(requests);

    request.metadata_mut().insert("bench-mode", MetadataValue::from_static(mode));
    client.ready().await.expect("ready");
    client.streaming(request, PathAndQuery::from_static(PATH), LargeCodec).await.expect("call").into_inner()
}

async fn one_way(channel: &Channel, message: Bytes, until: Instant) -> Outcome {
    let size = message.len() as u64;
    let step = std::cmp::max(1, (256 << 10) / size);
    let mut responses = call(channel, "sink", Flood { message, until, step, sent: 0 }).await;
    let answer = responses.message().await.expect("answer").expect("answer");
    let bytes = u64::from_le_bytes(payload(&answer)[..8].try_into().expect("8 bytes"));

    assert!(responses.message().await.expect("end").is_none());
    Outcome { bytes, messages: bytes / size, p50: 0 }
}

async fn echo(channel: &Channel, message: Bytes, window: usize, until: Instant) -> Outcome {
    let size = message.len();
    let (sender, tokens) = mpsc::unbounded_channel();
    let mut outcome = Outcome::default();
    let mut trips = Vec::new();
    let mut started = Instant::now();

    for _ in 0..window {
        sender.send(()).expect("token");
    }
    let mut sender = Some(sender);
    let mut responses = call(channel, "echo", Metered { message, tokens }).await;
    while let Some(response) = responses.message().await.expect("echo") {
        assert!(payload(&response).len() == size);
        outcome.bytes += size as u64;
        outcome.messages += 1;
        let now = Instant::now();
        if window == 1 {
            trips.push((now - started).as_nanos() as u64);
            started = now;
        }
        if now >= until {
            sender = None;
        } else if let Some(sender) = &sender {
            sender.send(()).expect("token");
        }
    }
    trips.sort_unstable();
    outcome.p50 = trips.get(trips.len() / 2).copied().unwrap_or(0);
    outcome
}

async fn streams(channel: &Channel, message: Bytes, until: Instant) -> Outcome {
    let mut tasks = Vec::new();
    let mut outcome = Outcome::default();

    for _ in 0..AT_ONCE {
        let (channel, message) = (channel.clone(), message.clone());
        tasks.push(tokio::spawn(async move {
            let mut count: u64 = 0;
            while Instant::now() < until {
                let mut responses = call(&channel, "echo", tokio_stream::once(envelope(message.clone()))).await;
                while let Some(response) = responses.message().await.expect("echo") {
                    assert!(payload(&response).len() == message.len());
                }
                count += 1;
            }
            count
        }));
    }
    for task in tasks {
        outcome.messages += task.await.expect("task");
    }
    outcome.bytes = outcome.messages * message.len() as u64;
    outcome
}

async fn connect(path: &str) -> Channel {
    let path: Arc<str> = Arc::from(path);

    Endpoint::from_static("http://localhost")
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .max_frame_size(FRAME)
        .connect_with_connector(tower::service_fn(move |_: http::Uri| {
            let path = path.clone();
            async move {
                let stream = UnixStream::connect(&*path).await?;
                tune(&stream);
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        }))
        .await
        .expect("connect")
}

fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn rss() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    pages * 4096
}

async fn measure(channel: &Channel, mode: &str, size: usize, seconds: f64) {
    let message = Bytes::from(vec![b'x'; size]);
    let (start, cpu) = (Instant::now(), cpu_ns());
    let until = start + Duration::from_secs_f64(seconds);
    let outcome = match mode {
        "oneway" => one_way(channel, message, until).await,
        "echo" => echo(channel, message, std::cmp::max(1, std::cmp::min(16, (32 << 20) / size)), until).await,
        "pingpong" => echo(channel, message, 1, until).await,
        "streams" => streams(channel, message, until).await,
        _ => panic!("--mode {mode}: not one of oneway, echo, pingpong, streams"),
    };

    println!(
        "bytes={} messages={} ns={} cpu={} rss={} p50={}",
        outcome.bytes,
        outcome.messages,
        start.elapsed().as_nanos(),
        cpu_ns() - cpu,
        rss(),
        outcome.p50
    );
    std::io::stdout().flush().expect("stdout");
}

async fn engine(path: &str, options: &HashMap<String, String>) {
    let channel = connect(path).await;

    if let Some(mode) = options.get("--mode") {
        let size = options.get("--size").map_or(Ok(64), |text| text.parse()).expect("--size");
        let seconds = options.get("--seconds").map_or(Ok(1.0), |text| text.parse()).expect("--seconds");
        return measure(&channel, mode, size, seconds).await;
    }
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("stdin");
        let words: Vec<&str> = line.split_whitespace().collect();
        measure(&channel, words[0], words[1].parse().expect("size"), words[2].parse().expect("seconds")).await;
    }
}

/* The worker ends with its standard input. */
fn end_with_stdin() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let options = arguments.iter().skip(3).step_by(2).cloned().zip(arguments.iter().skip(4).step_by(2).cloned()).collect();

    match (arguments.get(1).map(String::as_str), arguments.get(2)) {
        (Some("worker"), Some(path)) => {
            end_with_stdin();
            worker(path).await
        }
        (Some("engine"), Some(path)) => engine(path, &options).await,
        _ => {
            eprintln!("usage: peer engine|worker PATH [--mode oneway|echo|pingpong|streams --size N --seconds S]");
            std::process::exit(2);
        }
    }
}

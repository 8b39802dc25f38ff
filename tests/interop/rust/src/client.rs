/* The interoperability cases with tonic as client. */
use std::io::Write;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use http::uri::PathAndQuery;
use http_body_util::StreamBody;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::codegen::Service;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::calls::*;
use crate::testing::*;

const SIZES: [usize; 4] = [0, 1, 5 << 20, 64 << 20];
const REQUEST_SIZES: [usize; 4] = [27182, 8, 1828, 45904];
const RESPONSE_SIZES: [usize; 4] = [31415, 9, 2653, 58979];

/* ---- The official cases --------------------------------------------------------------------------------------------- */

async fn empty_unary(peer: &Peer) -> Held {
    peer.empty(path("EmptyCall")).await?;
    Ok(())
}

async fn large_unary(peer: &Peer) -> Held {
    large(peer.stub(), simple(314159, 271828)).await
}

async fn client_streaming(peer: &Peer) -> Held {
    client_streams(peer, &REQUEST_SIZES).await
}

async fn server_streaming(peer: &Peer) -> Held {
    server_streams(peer, &RESPONSE_SIZES).await
}

async fn ping_pong(peer: &Peer) -> Held {
    let mut duplex = Duplex::plain(peer);

    for (sent, size) in REQUEST_SIZES.into_iter().zip(RESPONSE_SIZES) {
        duplex.turn(size, sent).await?;
    }
    duplex.end().await.map(drop)
}

async fn empty_stream(peer: &Peer) -> Held {
    Duplex::plain(peer).end().await.map(drop)
}

async fn client_compressed_unary(peer: &Peer) -> Held {
    let expecting = |value| SimpleRequest { expect_compressed: Some(BoolValue { value }), ..simple(314159, 271828) };

    fails(Code::InvalidArgument, unary(peer.stub(), within(BOUND, expecting(true))).await)?;
    large(peer.compressing(), expecting(true)).await?;
    large(peer.stub(), expecting(false)).await
}

async fn client_compressed_streaming(peer: &Peer) -> Held {
    let expecting = |value, size| InputRequest { expect_compressed: Some(BoolValue { value }), ..input(size) };
    let probe = peer.input(within(BOUND, tokio_stream::once(expecting(true, 27182)))).await;
    let frames = encoded(expecting(true, 27182), true).chain(encoded(expecting(false, 45904), false));
    let request = http::Request::post(path("StreamingInputCall").as_str())
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .header("grpc-encoding", "gzip")
        .body(Body::new(StreamBody::new(frames)))?;
    let mut called = peer.clone();

    fails(Code::InvalidArgument, probe)?;
    std::future::poll_fn(|context| called.poll_ready(context)).await?;
    let response = called.call(request).await?;
    let (code, decoder) = (response.status(), ProstCodec::<Empty, InputResponse>::default().decoder());
    let mut responses = Streaming::new_response(decoder, response.into_body(), code, None, None);
    let total = responses.message().await?.map_or(0, |response| response.aggregated_payload_size);
    holds(total == 73086, format!("the sum is {total}"))?;
    holds(responses.message().await?.is_none(), "a response came after the last")
}

fn came_compressed(peer: &Peer, compressed: bool) -> Held {
    let flag = peer.flags.next();

    holds(flag == Some(compressed), format!("compressed: {flag:?}, where {compressed} was asked for"))
}

async fn server_compressed_unary(peer: &Peer) -> Held {
    for value in [true, false] {
        let request = SimpleRequest { response_compressed: Some(BoolValue { value }), ..simple(314159, 271828) };

        large(peer.stub(), request).await?;
        came_compressed(peer, value)?;
    }
    Ok(())
}

async fn server_compressed_streaming(peer: &Peer) -> Held {
    let wanted = [(31415, true), (92653, false)];
    let parameters = |(size, value)| ResponseParameters { size, interval_us: 0, compressed: Some(BoolValue { value }) };
    let request = OutputRequest { response_parameters: wanted.map(parameters).into(), ..Default::default() };
    let mut responses = peer.output(request).await?;

    for (size, compressed) in wanted {
        answered(&mut responses, size as usize).await?;
        came_compressed(peer, compressed)?;
    }
    holds(responses.message().await?.is_none(), "a response came after the last")
}

/* tonic has a clock of its own until the response begins, and calls it CANCELLED when that runs out first. */
async fn timeout_on_sleeping_server(peer: &Peer) -> Held {
    let mut duplex = Duplex::new(peer, Duration::from_millis(1), MetadataMap::new());

    duplex.ask(output(&[], 27182));
    match duplex.next().await {
        Err(status) if status.code() == Code::Cancelled && status.message() == "Timeout expired" => Ok(()),
        outcome => fails(Code::DeadlineExceeded, outcome).map(drop),
    }
}

async fn cancel_after_begin(peer: &Peer) -> Held {
    let mut request = within(BOUND, stream::pending());
    let cancel = request.cancellation_handle();
    let call = peer.input(request);

    tokio::pin!(call);
    let early = tokio::time::timeout(Duration::from_millis(20), &mut call).await;
    holds(early.is_err(), "the call ended before it was cancelled")?;
    cancel.cancel();
    fails(Code::Cancelled, call.await).map(drop)
}

async fn cancel_after_first_response(peer: &Peer) -> Held {
    let mut duplex = Duplex::plain(peer);

    duplex.turn(31415, 27182).await?;
    duplex.cancelled().await
}

async fn status_code_and_message(peer: &Peer) -> Held {
    status_comes(peer, Code::Unknown, "test status message").await
}

async fn special_status_message(peer: &Peer) -> Held {
    let text = "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n";

    status_comes(peer, Code::Unknown, text).await
}

async fn custom_metadata(peer: &Peer) -> Held {
    let (initial, trailing) = ("test_initial_metadata_value", MetadataValue::from_bytes(&[0xab; 3]));
    let mut metadata = MetadataMap::new();
    let came_back = |metadata: &MetadataMap, trailers: &MetadataMap| {
        holds(metadata.get(INITIAL).is_some_and(|value| value == initial), "the metadata did not come back")?;
        holds(trailers.get_bin(TRAILING) == Some(&trailing), "the trailer did not come back")
    };

    metadata.insert(INITIAL, MetadataValue::from_static(initial));
    metadata.insert_bin(TRAILING, trailing.clone());
    let request = Request::from_parts(metadata.clone(), Default::default(), simple(314159, 271828));
    let response = unary(peer.stub(), request).await?;
    is_zeros(&response.get_ref().payload, 314159)?;
    came_back(response.metadata(), response.metadata())?; /* tonic makes one of the two */
    let mut duplex = Duplex::new(peer, BOUND, metadata);
    duplex.turn(314159, 271828).await?;
    let (metadata, trailers) = duplex.end().await?;
    came_back(&metadata, &trailers)
}

async fn unimplemented_method(peer: &Peer) -> Held {
    fails(Code::Unimplemented, peer.empty(path("UnimplementedCall")).await).map(drop)
}

async fn unimplemented_service(peer: &Peer) -> Held {
    let path = PathAndQuery::from_static("/grpc.testing.UnimplementedService/UnimplementedCall");

    fails(Code::Unimplemented, peer.empty(path).await).map(drop)
}

/* ---- Beyond them ---------------------------------------------------------------------------------------------------- */

async fn sizes_unary(peer: &Peer) -> Held {
    for size in SIZES {
        large(peer.stub(), simple(size, size)).await?;
    }
    Ok(())
}

async fn sizes_client_streaming(peer: &Peer) -> Held {
    client_streams(peer, &SIZES).await
}

async fn sizes_server_streaming(peer: &Peer) -> Held {
    server_streams(peer, &SIZES).await
}

async fn sizes_bidi(peer: &Peer) -> Held {
    let mut duplex = Duplex::plain(peer);

    for size in SIZES {
        duplex.turn(size, size).await?;
    }
    duplex.end().await.map(drop)
}

async fn streams_1000(peer: &Peer) -> Held {
    let mut streams: Vec<Duplex> = (0..1000).map(|_| Duplex::plain(peer)).collect();

    for (i, duplex) in streams.iter().enumerate() {
        duplex.ask(output(&[i], i));
    }
    for (i, duplex) in streams.iter_mut().enumerate() {
        answered(duplex.responses().await?, i).await?;
    }
    for duplex in streams {
        duplex.end().await?;
    }
    Ok(())
}

async fn deadline(peer: &Peer) -> Held {
    let before = cancelled_calls(peer).await?;
    let mut duplex = Duplex::new(peer, Duration::from_millis(300), MetadataMap::new());

    duplex.turn(1, 0).await?;
    fails(Code::DeadlineExceeded, duplex.next().await)?;
    server_saw_one_more(peer, before).await
}

/* While the server waits for a request, and while it waits for room to send (that it noticed shows where it ends in order). Whoever
 * drops the responses has cancelled. */
async fn cancel_by_client(peer: &Peer) -> Held {
    let before = cancelled_calls(peer).await?;
    let mut duplex = Duplex::plain(peer);

    duplex.turn(10, 0).await?;
    duplex.cancelled().await?;
    server_saw_one_more(peer, before).await?;
    let mut responses = peer.output(output(&[1 << 20; 60], 0)).await?;
    answered(&mut responses, 1 << 20).await?;
    drop(responses);
    empty_unary(peer).await
}

async fn cancel_by_server(peer: &Peer) -> Held {
    let mut duplex = Duplex::plain(peer);

    duplex.turn(5, 0).await?;
    duplex.ask(OutputRequest { response_status: asking(Code::Cancelled, "reset"), ..Default::default() });
    fails(Code::Cancelled, duplex.next().await).map(drop)
}

/* The stream that was there goes on when the server has been asked to end; new ones are refused. */
async fn graceful_shutdown(peer: &Peer) -> Held {
    let pid = std::env::var("INTEROP_SERVER_PID")?.parse()?;
    let mut duplex = Duplex::plain(peer);

    duplex.turn(1, 0).await?;
    holds(pid > 1 && unsafe { libc::kill(pid, libc::SIGTERM) } == 0, "INTEROP_SERVER_PID names no server")?;
    let refusal = loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        match peer.empty(path("EmptyCall")).await {
            Ok(_) => continue,
            /* hyper hands back what it had taken and could not send any more. */
            Err(status) if status.code() == Code::Cancelled && status.message() == "operation was canceled" => continue,
            Err(status) => break status,
        }
    };
    fails(Code::Unavailable, Err::<(), _>(refusal))?;
    duplex.turn(100000, 100000).await?;
    duplex.end().await.map(drop)
}

/* ---- The program ---------------------------------------------------------------------------------------------------- */

macro_rules! run_case {
    ($name:expr, $peer:expr, $($case:ident)*) => {
        match $name {
            $(stringify!($case) => $case($peer).await,)*
            _ => Err(Failure("there is no such case".to_string())),
        }
    };
}

async fn connect(uri: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_static("http://localhost");

    match address_of(uri) {
        Address::Path(path) => {
            let connector = service_fn(move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            endpoint.connect_with_connector(connector).await
        }
        Address::Tcp(address) => {
            let connector = service_fn(move |_| {
                let address = address.clone();
                async move { TcpStream::connect(address).await.map(TokioIo::new) }
            });
            endpoint.connect_with_connector(connector).await
        }
    }
}

async fn one(channel: &Channel, name: &str) -> Held {
    let peer = &Peer { channel: channel.clone(), flags: Flags::default() };
    let case = async {
        run_case!(name, peer,
            empty_unary large_unary client_streaming server_streaming ping_pong empty_stream client_compressed_unary
            client_compressed_streaming server_compressed_unary server_compressed_streaming timeout_on_sleeping_server
            cancel_after_begin cancel_after_first_response status_code_and_message special_status_message custom_metadata
            unimplemented_method unimplemented_service sizes_unary sizes_client_streaming sizes_server_streaming sizes_bidi
            streams_1000 deadline cancel_by_client cancel_by_server graceful_shutdown)
    };

    tokio::time::timeout(BOUND, case).await.unwrap_or_else(|_| Err(Failure(format!("not done within {BOUND:?}"))))
}

pub async fn run(uri: &str, cases: &[&str]) -> i32 {
    let channel = match connect(uri).await {
        Ok(channel) => channel,
        Err(error) => {
            eprintln!("{uri}: {error}");
            return 1;
        }
    };
    let mut code = 0;

    for name in cases {
        match one(&channel, name).await {
            Ok(()) => println!("pass  {name}"),
            Err(Failure(why)) => {
                code = 1;
                println!("FAIL  {name}: {why}");
            }
        }
        std::io::stdout().flush().expect("stdout");
    }
    code
}

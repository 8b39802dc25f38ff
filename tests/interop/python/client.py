"""The interoperability cases with grpcio as client.
     client.py URI CASE..."""
import os
import queue
import random
import signal
import sys
import time

import grpc
import test_pb2 as pb
import test_pb2_grpc

import cases
from cases import case, equal, holds
from testing import INITIAL, SIZES, TRAILING, UNBOUNDED, address_of

REQUEST_SIZES = (27182, 8, 1828, 45904)
RESPONSE_SIZES = (31415, 9, 2653, 58979)

channel = grpc.insecure_channel(address_of(sys.argv[1]), options=UNBOUNDED)
stub = test_pb2_grpc.TestServiceStub(channel)


# ---- Requests and what is expected ----

def payload(size):
    return pb.Payload(body=bytes(size))


def output(*sizes, **more):
    """A request for responses of these sizes."""
    return pb.StreamingOutputCallRequest(response_parameters=[pb.ResponseParameters(size=size) for size in sizes], **more)


def body_is(response, size, what="response"):
    holds(response.payload.body == bytes(size), "%s: %d bytes, expected %d zeros" % (what, len(response.payload.body), size))


def fails(code, function, details=None):
    try:
        function()
    except grpc.RpcError as error:
        equal(error.code(), code, "status (%s)" % error.details())
        if details is not None:
            equal(error.details(), details, "message of the status")
        return
    raise cases.Failed("no error, expected %s" % code)


class Duplex:
    """FullDuplexCall with requests as they are put."""

    def __init__(self, **options):
        self.requests = queue.SimpleQueue()
        self.call = stub.FullDuplexCall(iter(self.requests.get, None), **options)

    def ask(self, *sizes, **more):
        self.requests.put(output(*sizes, **more))

    def turn(self, size, sent=0):
        self.ask(size, payload=payload(sent))
        body_is(next(self.call), size)

    def end(self):
        self.requests.put(None)
        equal(next(self.call, None), None, "after the last response")
        equal(self.call.code(), grpc.StatusCode.OK, "status")


# ---- The official cases ----

@case()
def empty_unary():
    equal(stub.EmptyCall(pb.Empty()), pb.Empty(), "response")


@case()
def large_unary():
    body_is(stub.UnaryCall(pb.SimpleRequest(response_size=314159, payload=payload(271828))), 314159)


@case()
def client_streaming():
    requests = (pb.StreamingInputCallRequest(payload=payload(size)) for size in REQUEST_SIZES)
    equal(stub.StreamingInputCall(requests).aggregated_payload_size, sum(REQUEST_SIZES), "sum of the sizes")


def responses_are(responses, sizes):
    for size in sizes:
        body_is(next(responses), size)
    equal(next(responses, None), None, "after the last response")


@case()
def server_streaming():
    responses_are(stub.StreamingOutputCall(output(*RESPONSE_SIZES)), RESPONSE_SIZES)


@case()
def ping_pong():
    duplex = Duplex()
    for sent, size in zip(REQUEST_SIZES, RESPONSE_SIZES):
        duplex.turn(size, sent)
    duplex.end()


@case()
def empty_stream():
    Duplex().end()


def expects(compressed, size=271828, **more):
    return pb.SimpleRequest(expect_compressed=pb.BoolValue(value=compressed), response_size=314159, payload=payload(size), **more)


@case()
def client_compressed_unary():
    fails(grpc.StatusCode.INVALID_ARGUMENT, lambda: stub.UnaryCall(expects(True)))
    body_is(stub.UnaryCall(expects(True), compression=grpc.Compression.Gzip), 314159)
    body_is(stub.UnaryCall(expects(False)), 314159)


@case()
def client_compressed_streaming():
    """grpcio has no switch for one message of a call, but what gzip makes no smaller goes as it is."""
    def request(compressed, body):
        return pb.StreamingInputCallRequest(expect_compressed=pb.BoolValue(value=compressed), payload=pb.Payload(body=body))

    fails(grpc.StatusCode.INVALID_ARGUMENT, lambda: stub.StreamingInputCall(iter([request(True, bytes(27182))])))
    both = [request(True, bytes(27182)), request(False, random.Random(1).randbytes(45904))]
    answer = stub.StreamingInputCall(iter(both), compression=grpc.Compression.Gzip)
    equal(answer.aggregated_payload_size, 73086, "sum of the sizes")


@case()
def server_compressed_unary():
    """That gzip came is not told by grpcio, only what was in it."""
    for compressed in (True, False):
        request = pb.SimpleRequest(response_compressed=pb.BoolValue(value=compressed), response_size=314159, payload=payload(271828))
        body_is(stub.UnaryCall(request), 314159)


@case()
def server_compressed_streaming():
    parameters = [pb.ResponseParameters(size=size, compressed=pb.BoolValue(value=compressed)) for size, compressed in ((31415, True), (92653, False))]
    responses_are(stub.StreamingOutputCall(pb.StreamingOutputCallRequest(response_parameters=parameters)), (31415, 92653))


@case()
def timeout_on_sleeping_server():
    duplex = Duplex(timeout=0.001)
    duplex.ask(31415, payload=payload(27182))
    fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: list(duplex.call))


@case()
def cancel_after_begin():
    requests = queue.SimpleQueue()
    call = stub.StreamingInputCall.future(iter(requests.get, None))
    call.cancel()
    requests.put(None)
    holds(call.cancelled(), "the call is not cancelled")
    equal(call.code(), grpc.StatusCode.CANCELLED, "status")


@case()
def cancel_after_first_response():
    duplex = Duplex()
    duplex.turn(31415, 27182)
    duplex.call.cancel()
    fails(grpc.StatusCode.CANCELLED, lambda: next(duplex.call))
    duplex.requests.put(None)


def status_comes(code, message):
    wanted = {"response_status": pb.EchoStatus(code=code.value[0], message=message)}
    fails(code, lambda: stub.UnaryCall(pb.SimpleRequest(**wanted)), message)
    duplex = Duplex()
    duplex.ask(**wanted)
    fails(code, lambda: next(duplex.call), message)
    duplex.requests.put(None)


@case()
def status_code_and_message():
    status_comes(grpc.StatusCode.UNKNOWN, "test status message")


@case()
def special_status_message():
    status_comes(grpc.StatusCode.UNKNOWN, "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n")


@case()
def custom_metadata():
    metadata = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab"))

    def came_back(call):
        equal(dict(call.initial_metadata()).get(INITIAL), metadata[0][1], "metadata")
        equal(dict(call.trailing_metadata()).get(TRAILING), metadata[1][1], "trailer")

    request = pb.SimpleRequest(response_size=314159, payload=payload(271828))
    came_back(stub.UnaryCall.with_call(request, metadata=metadata)[1])
    duplex = Duplex(metadata=metadata)
    duplex.turn(314159, 271828)
    duplex.end()
    came_back(duplex.call)


@case()
def unimplemented_method():
    fails(grpc.StatusCode.UNIMPLEMENTED, lambda: stub.UnimplementedCall(pb.Empty()))


@case()
def unimplemented_service():
    fails(grpc.StatusCode.UNIMPLEMENTED, lambda: test_pb2_grpc.UnimplementedServiceStub(channel).UnimplementedCall(pb.Empty()))


# ---- Beyond them ----

@case()
def sizes_unary():
    for size in SIZES:
        body_is(stub.UnaryCall(pb.SimpleRequest(response_size=size, payload=payload(size))), size)


@case()
def sizes_client_streaming():
    requests = (pb.StreamingInputCallRequest(payload=payload(size)) for size in SIZES)
    equal(stub.StreamingInputCall(requests).aggregated_payload_size, sum(SIZES), "sum of the sizes")


@case()
def sizes_server_streaming():
    responses_are(stub.StreamingOutputCall(output(*SIZES)), SIZES)


@case()
def sizes_bidi():
    duplex = Duplex()
    for size in SIZES:
        duplex.turn(size, size)
    duplex.end()


@case()
def streams_1000():
    streams = [Duplex() for _ in range(1000)]
    for i, duplex in enumerate(streams):
        duplex.ask(i, payload=payload(i))
    for i, duplex in enumerate(streams):
        body_is(next(duplex.call), i, "response of stream %d" % i)
    for duplex in streams:
        duplex.end()


def cancelled_calls():
    """How many calls the server has seen end by their client."""
    return int(dict(stub.EmptyCall.with_call(pb.Empty())[1].trailing_metadata())["x-cancelled"])


def server_saw_one_more(before):
    while cancelled_calls() <= before:
        time.sleep(0.01)


@case()
def deadline():
    before = cancelled_calls()
    duplex = Duplex(timeout=0.3)
    duplex.turn(1)
    fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: next(duplex.call))
    server_saw_one_more(before)
    duplex.requests.put(None)


@case()
def cancel_by_client():
    """While the server waits for a request, and while it waits for room to send (that it noticed shows where it ends in order)."""
    before = cancelled_calls()
    duplex = Duplex()
    duplex.turn(10)
    duplex.call.cancel()
    fails(grpc.StatusCode.CANCELLED, lambda: next(duplex.call))
    duplex.requests.put(None)
    server_saw_one_more(before)
    call = stub.StreamingOutputCall(output(*[1 << 20] * 60))
    body_is(next(call), 1 << 20)
    call.cancel()
    fails(grpc.StatusCode.CANCELLED, lambda: list(call))


@case()
def cancel_by_server():
    duplex = Duplex()
    duplex.turn(5)
    duplex.ask(response_status=pb.EchoStatus(code=1, message="reset"))
    fails(grpc.StatusCode.CANCELLED, lambda: next(duplex.call))
    duplex.requests.put(None)


@case()
def graceful_shutdown():
    """The stream that was there goes on when the server has been asked to end; new ones are refused."""
    duplex = Duplex()
    duplex.turn(1)
    os.kill(int(os.environ["INTEROP_SERVER_PID"]), signal.SIGTERM)
    try:
        while True:
            stub.EmptyCall(pb.Empty())
            time.sleep(0.01)
    except grpc.RpcError as error:
        equal(error.code(), grpc.StatusCode.UNAVAILABLE, "status of a new call (%s)" % error.details())
    duplex.turn(100000, 100000)
    duplex.end()


code = cases.run(sys.argv[2:])
channel.close()
sys.exit(code)

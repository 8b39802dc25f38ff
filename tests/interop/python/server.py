"""grpc.testing.TestService with grpcio.
     server.py [--raw] URI...     prints each address, then serves until SIGTERM; calls under way may end
--raw: grpcio unpacks no request, which lets the service see which ones came compressed, and refuse those that say otherwise.
Beyond the service: the trailers of EmptyCall tell as x-cancelled how many calls the clients ended."""
import concurrent.futures
import gzip
import signal
import sys
import time

import grpc
import test_pb2 as pb
import test_pb2_grpc

from testing import CODES, INITIAL, TRAILING, UNBOUNDED, address_of

CALLS_AT_ONCE = 1100
RAW = (("grpc.per_message_decompression", 0),)
GZIP = b"\x1f\x8b"  # no request begins like this

cancelled = 0


def watch(context):
    """Counts the call if its client cancels it, or its deadline passes. grpcio shows its handler an end of the requests then; the state
    that tells is not public, which a pinned version makes bearable."""
    def on_end():
        global cancelled
        cancelled += context._state.client == "cancelled"

    context.add_callback(on_end)


def echo_metadata(context):
    received = dict(context.invocation_metadata())
    if INITIAL in received:
        context.send_initial_metadata(((INITIAL, received[INITIAL]),))
    if TRAILING in received:
        context.set_trailing_metadata(((TRAILING, received[TRAILING]),))


def echo_status(request, context):
    if request.response_status.code:
        context.abort(CODES[request.response_status.code], request.response_status.message)


def responses(request, context):
    for parameters in request.response_parameters:
        time.sleep(parameters.interval_us / 1e6)
        if not parameters.compressed.value:
            context.disable_next_message_compression()
        yield pb.StreamingOutputCallResponse(payload=pb.Payload(body=bytes(parameters.size)))


def deserializer_of(handler):
    """Unpacks requests too, and takes expect_compressed out of those that came as it says."""
    def deserialize(data):
        compressed = data.startswith(GZIP)
        request = handler.request_deserializer(gzip.decompress(data) if compressed else data)
        if "expect_compressed" in request.DESCRIPTOR.fields_by_name and request.expect_compressed.value == compressed:
            request.ClearField("expect_compressed")
        return request

    return deserialize


class Unpack(grpc.ServerInterceptor):
    def intercept_service(self, continuation, details):
        handler = continuation(details)
        return handler and handler._replace(request_deserializer=deserializer_of(handler))


class TestService(test_pb2_grpc.TestServiceServicer):
    def __init__(self, raw):
        self.raw = raw

    def check_compression(self, request, context):
        if self.raw and request.HasField("expect_compressed"):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message is not compressed as announced")

    def EmptyCall(self, request, context):
        context.set_trailing_metadata((("x-cancelled", str(cancelled)),))
        return pb.Empty()

    def UnaryCall(self, request, context):
        self.check_compression(request, context)
        echo_metadata(context)
        echo_status(request, context)
        if not request.response_compressed.value:
            context.disable_next_message_compression()
        return pb.SimpleResponse(payload=pb.Payload(body=bytes(request.response_size)))

    def StreamingOutputCall(self, request, context):
        watch(context)
        echo_status(request, context)
        yield from responses(request, context)

    def StreamingInputCall(self, requests, context):
        watch(context)
        total = 0
        for request in requests:
            self.check_compression(request, context)
            total += len(request.payload.body)
        return pb.StreamingInputCallResponse(aggregated_payload_size=total)

    def FullDuplexCall(self, requests, context):
        watch(context)
        echo_metadata(context)
        for request in requests:
            echo_status(request, context)
            yield from responses(request, context)

    def HalfDuplexCall(self, requests, context):
        for request in list(requests):
            yield from responses(request, context)


def main():
    raw = sys.argv[1] == "--raw"
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    # Gzip for the server as a whole, and off for each message that is not to have it: grpcio has no switch for one call.
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(CALLS_AT_ONCE), compression=grpc.Compression.Gzip,
                         options=UNBOUNDED + RAW * raw, interceptors=[Unpack()] * raw)
    test_pb2_grpc.add_TestServiceServicer_to_server(TestService(raw), server)
    for uri in sys.argv[1 + raw:]:
        port = server.add_insecure_port(address_of(uri))
        print(uri.rsplit(":", 1)[0] + ":%d" % port if uri.startswith("grpc+tcp:") else uri)
    server.start()
    sys.stdout.flush()
    signal.sigwait([signal.SIGTERM])
    server.stop(grace=10).wait()


main()

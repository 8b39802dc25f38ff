"""grpcio as engine and worker of the benchmarks: the synchronous interface, messages by protobuf. Lookahead of 16 MiB, frames of
1 MiB; one-way is written from an iterator. The command line and the line of a result are those of bench/grpc/run."""

import argparse
import os
import resource
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "org.apache.spark.udf.worker"
METHOD = f"/{PACKAGE}.UdfWorker/Execute"
AT_ONCE = 64
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.http2.lookahead_bytes", 16 << 20),
    ("grpc.http2.max_frame_size", 1 << 20),
    ("grpc.http2.write_buffer_size", 1 << 20),
]


def envelope():
    """The classes UdfRequest, UdfResponse of bench/grpc/proto/envelope.proto, without protoc."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="envelope.proto", package=PACKAGE, syntax="proto3")
    for outer, inner in (("UdfRequest", "DataRequest"), ("UdfResponse", "DataResponse")):
        data = file.message_type.add(name=inner)
        data.field.add(name="data", number=1, type=field.TYPE_BYTES, label=field.LABEL_OPTIONAL)
        whole = file.message_type.add(name=outer)
        whole.oneof_decl.add(name="kind")
        whole.field.add(name="control", number=1, type=field.TYPE_BYTES, label=field.LABEL_OPTIONAL, oneof_index=0)
        whole.field.add(name="data", number=2, type=field.TYPE_MESSAGE, label=field.LABEL_OPTIONAL, oneof_index=0,
                        type_name=f".{PACKAGE}.{inner}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    types = [pool.FindMessageTypeByName(f"{PACKAGE}.{name}") for name in ("UdfRequest", "UdfResponse")]
    return [message_factory.GetMessageClass(found) for found in types]


UdfRequest, UdfResponse = envelope()


def request(data):
    message = UdfRequest()
    message.data.data = data
    return message


def response(data):
    message = UdfResponse()
    message.data.data = data
    return message


# ---- Worker


def execute(requests, context):
    if dict(context.invocation_metadata()).get("bench-mode") != "sink":
        for message in requests:
            yield response(message.data.data)
        return
    total = 0
    for message in requests:
        total += len(message.data.data)
    yield response(struct.pack("<Q", total))


def serve(path):
    if os.path.exists(path):
        os.unlink(path)
    handler = grpc.stream_stream_rpc_method_handler(execute, UdfRequest.FromString, UdfResponse.SerializeToString)
    server = grpc.server(ThreadPoolExecutor(max_workers=AT_ONCE), options=OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"{PACKAGE}.UdfWorker", {"Execute": handler}),))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)


# ---- Engine


class Engine:
    def __init__(self, path):
        options = OPTIONS + [("grpc.default_authority", "localhost")]
        self.channel = grpc.insecure_channel(f"unix:{path}", options=options)
        self.execute = self.channel.stream_stream(METHOD, UdfRequest.SerializeToString, UdfResponse.FromString)

    def call(self, mode, messages):
        return self.execute(messages, metadata=(("bench-mode", mode),))

    def one_way(self, message, until):
        def flood():
            while time.monotonic() < until:
                yield message

        (answer,) = self.call("sink", flood())
        (total,) = struct.unpack("<Q", answer.data.data)
        return total // len(message.data.data), 0

    def echo(self, message, until, window):
        tokens = threading.Semaphore(window)
        stopped = False
        count = 0
        trips = []
        before = time.monotonic_ns()

        def metered():
            while True:
                tokens.acquire()
                if stopped:
                    return
                yield message

        size = len(message.data.data)
        for answer in self.call("echo", metered()):
            assert len(answer.data.data) == size
            count += 1
            now = time.monotonic_ns()
            trips.append(now - before)
            before = now
            stopped = time.monotonic() >= until
            tokens.release()
        return count, sorted(trips)[len(trips) // 2]

    def streams(self, message, until):
        def repeat():
            count = 0
            while time.monotonic() < until:
                (answer,) = self.call("echo", iter((message,)))
                assert answer.data.data == message.data.data
                count += 1
            return count

        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            return sum(future.result() for future in [pool.submit(repeat) for _ in range(AT_ONCE)]), 0

    def measure(self, mode, size, seconds):
        start, cpu = time.monotonic_ns(), time.process_time_ns()
        message = request(b"x" * size)
        until = start / 1e9 + seconds
        if mode == "oneway":
            messages, p50 = self.one_way(message, until)
        elif mode == "echo":
            messages, p50 = self.echo(message, until, max(1, min(16, (32 << 20) // size)))
        elif mode == "pingpong":
            messages, p50 = self.echo(message, until, 1)
        elif mode == "streams":
            messages, p50 = self.streams(message, until)
        else:
            sys.exit(f"peer: --mode {mode}: not one of oneway, echo, pingpong, streams")
        with open("/proc/self/statm", encoding="ascii") as statm:
            pages = int(statm.read().split()[1])
        print(f"bytes={messages * size} messages={messages} ns={time.monotonic_ns() - start} "
              f"cpu={time.process_time_ns() - cpu} rss={pages * resource.getpagesize()} p50={p50}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="grpcio as a peer of the benchmarks")
    parser.add_argument("side", choices=("engine", "worker"))
    parser.add_argument("path")
    parser.add_argument("--mode")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=1)
    options = parser.parse_args()
    if options.side == "worker":
        serve(options.path)
    engine = Engine(options.path)
    if options.mode:
        engine.measure(options.mode, options.size, options.seconds)
    else:
        for line in sys.stdin:
            mode, size, seconds = line.split()
            engine.measure(mode, int(size), float(seconds))
    os._exit(0)


if __name__ == "__main__":
    main()

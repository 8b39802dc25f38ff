"""A worker started as Spark's engine starts one, and the channel to it."""
import functools
import os
import random
import secrets
import signal
import socket
import subprocess
import time

import grpc

import cases

INITIALIZATION_SECONDS = 10
TERMINATION_SECONDS = 5
MIB = 1 << 20
MESSAGE_MAX = 128 * MIB
LOOPBACKS = ["127.0.0.1"] + (["::1"] if os.path.exists("/proc/net/if_inet6") and " lo\n" in open("/proc/net/if_inet6").read() else [])

running = []


@functools.cache
def work():
    """A directory of this engine's, made when it is first needed."""
    return cases.scratch()


def socket_path():
    directory = os.path.join(work(), secrets.token_hex(4))
    os.mkdir(directory, 0o700)
    return os.path.join(directory, "w-%s.sock" % secrets.token_hex(8))


def free_port():
    """Below those that the system hands out."""
    while True:
        port = random.randrange(20000, 30000)
        try:
            for host in LOOPBACKS:
                socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
            return str(port)
        except OSError:
            pass


class Worker:
    """`tributary serve --serializer echo FLAG... --id ID --connection CONNECTION`; `place` is unix or tcp."""

    def __init__(self, place, *flags, connection=None, serializer="echo"):
        self.connection = connection or (socket_path() if place == "unix" else free_port())
        self.is_path = not self.connection.isdigit()
        self.id = "engine-%s" % secrets.token_hex(4)
        self.log = os.path.join(work(), self.id + ".log")
        self.channels = []
        self.executions = 0
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([cases.built("tributary"), "serve", "--serializer", serializer, *flags, "--id", self.id,
                                             "--connection", self.connection], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        running.append(self)

    def output(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def target(self, host="127.0.0.1"):
        if self.is_path:
            return "unix:" + self.connection
        return "ipv6:[%s]:%s" % (host, self.connection) if ":" in host else "ipv4:%s:%s" % (host, self.connection)

    def channel(self, host="127.0.0.1", **options):
        """A connection of its own, ready: that of gRPC, not only a file."""
        end = time.monotonic() + INITIALIZATION_SECONDS
        while self.is_path and not os.path.exists(self.connection):
            self.alive(end)
            time.sleep(0.005)
        settings = {"grpc.use_local_subchannel_pool": 1, "grpc.default_authority": "localhost", "grpc.max_receive_message_length": MESSAGE_MAX,
                    "grpc.max_send_message_length": -1, "grpc.initial_reconnect_backoff_ms": 100, "grpc.min_reconnect_backoff_ms": 100,
                    "grpc.max_reconnect_backoff_ms": 100, "grpc.enable_retries": 0, **options}
        channel = grpc.insecure_channel(self.target(host), options=list(settings.items()))
        channel.worker = self
        self.channels.append(channel)
        ready = grpc.channel_ready_future(channel)
        while True:
            try:
                ready.result(timeout=0.1)
                return channel
            except grpc.FutureTimeoutError:
                self.alive(end)

    def alive(self, end):
        if self.process.poll() is not None or time.monotonic() > end:
            raise cases.Failed("the worker is not ready; exit code %s: %s" % (self.process.poll(), self.output()))

    def rss(self):
        with open("/proc/%d/statm" % self.process.pid) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def terminate(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def exit_code(self, seconds=TERMINATION_SECONDS):
        """Ends in time by itself, or the rule is broken."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise cases.Failed("the worker has not ended within %s seconds" % seconds) from None

    def ended_well(self, seconds=TERMINATION_SECONDS):
        cases.equal(self.exit_code(seconds), 0, "exit code")
        cases.holds(not self.is_path or not os.path.exists(self.connection), "the socket's file is still there")

    def close(self):
        for channel in self.channels:
            channel.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def close_all():
    while running:
        running.pop().close()

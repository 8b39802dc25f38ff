#!/usr/bin/env python3
"""unix: against sockets of Python's standard library: length-prefixed messages both ways, half-close, ends of either side."""
import os
import socket
import struct
import subprocess
import sys
import threading

import cases
from cases import case, equal, holds

MIB = 1 << 20
SIZES = (0, 1, 4095, 65536, 5 * MIB, 64 * MIB)

tool = cases.built("tributary")
work = cases.scratch()


# ---- Python's side of the bytes ----

def message(body):
    return struct.pack(">I", len(body)) + body


BLOCK = bytes((i * 7 + i // 251) % 256 for i in range(65536 + 251))


def pattern(size, seed=0):
    """Bytes that differ from place to place: what is lost, doubled or displaced shows."""
    return (BLOCK * ((seed + size) // len(BLOCK) + 1))[seed:seed + size]


def read_exactly(sock, size):
    data = bytearray(size)
    view = memoryview(data)
    while view:
        n = sock.recv_into(view)
        if n == 0:
            raise cases.Failed("the stream ended with %d bytes missing of %d" % (len(view), size))
        view = view[n:]
    return bytes(data)


def read_message(sock):
    """None at the end of the stream, which may only come between two messages."""
    head = sock.recv(1)
    if not head:
        return None
    size, = struct.unpack(">I", head + read_exactly(sock, 3))
    return read_exactly(sock, size)


def read_rest(sock):
    return b"".join(iter(lambda: sock.recv(65536), b""))


def in_background(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


# ---- Python dials, Tributary serves ----

def dial(address):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect("\0" + address[1:] if address.startswith("@") else address)
    return sock


class Serve:
    """`tributary serve` as a context; its value is the address to connect to."""

    def __init__(self, *options, address=None):
        self.address = address or os.path.join(work, "serve")
        self.options = options

    def __enter__(self):
        self.process = cases.start(tool, "serve", *self.options, "unix:" + self.address, ready="listening")
        return self.address

    def __exit__(self, *what):
        code = cases.stop(self.process)
        if what[0] is None:
            equal(code, 0, "exit code of tributary serve")
            holds(self.address.startswith("@") or not os.path.exists(self.address), "the socket file was left behind")


@case(*SIZES)
def echo_of_one_message(size):
    with Serve() as address, dial(address) as sock:
        body = pattern(size)
        sender = in_background(sock.sendall, message(body))
        holds(read_message(sock) == body, "the answer is not the message")
        sender.join()
        sock.shutdown(socket.SHUT_WR)
        equal(sock.recv(1), b"", "after half-close")


@case()
def echo_by_an_abstract_name():
    with Serve(address="@trib-python-%d" % os.getpid()) as address, dial(address) as sock:
        sock.sendall(message(b"abstract"))
        equal(read_message(sock), b"abstract", "the answer")


@case()
def a_thousand_messages_answered_in_turn():
    with Serve() as address, dial(address) as sock:
        for i in range(1000):
            body = pattern(i % 257, i)
            sock.sendall(message(body))
            equal(read_message(sock), body, "answer %d" % i)


@case()
def a_thousand_messages_ahead_of_their_answers():
    with Serve() as address, dial(address) as sock:
        bodies = [pattern(i * 37 % 9000, i) for i in range(1000)]
        sender = in_background(sock.sendall, b"".join(map(message, bodies)))
        for i, body in enumerate(bodies):
            holds(read_message(sock) == body, "answer %d differs" % i)
        sender.join()


@case()
def one_byte_at_a_time():
    with Serve() as address, dial(address) as sock:
        data = b"".join(message(pattern(n)) for n in range(40))
        for i in range(len(data)):
            sock.send(data[i:i + 1])
        sock.shutdown(socket.SHUT_WR)
        holds(read_rest(sock) == data, "the answer is not what was sent")


@case()
def answer_after_half_close():
    """count knows what to say only when the stream has ended, and must still be able to say it."""
    with Serve("--serializer", "count") as address, dial(address) as sock:
        sock.sendall(pattern(3 * MIB))
        sock.shutdown(socket.SHUT_WR)
        equal(read_rest(sock), b"%d\n" % (3 * MIB), "the answer")


@case()
def half_close_without_a_byte():
    with Serve("--serializer", "count") as address, dial(address) as sock:
        sock.shutdown(socket.SHUT_WR)
        equal(read_rest(sock), b"0\n", "the answer")


@case()
def a_hundred_connections_at_once():
    with Serve("--threads", "100") as address:
        socks = [dial(address) for _ in range(100)]
        for i, sock in enumerate(socks):
            sock.sendall(message(pattern(1000 + i, i)))
        for i, sock in reversed(list(enumerate(socks))):
            equal(read_message(sock), pattern(1000 + i, i), "answer on connection %d" % i)
            sock.close()


@case()
def a_reader_that_waits_stops_the_server_from_reading():
    """An echo whose answer nobody takes cannot take all of 64 MiB; then both go on."""
    with Serve() as address, dial(address) as sock:
        data = memoryview(pattern(64 * MIB))
        sock.settimeout(0.5)
        sent = 0
        try:
            while sent < len(data):
                sent += sock.send(data[sent:])
        except TimeoutError:
            pass
        holds(sent < len(data), "all of 64 MiB was taken, though no answer was read")
        sock.settimeout(20)
        sender = in_background(lambda: (sock.sendall(data[sent:]), sock.shutdown(socket.SHUT_WR)))
        holds(read_rest(sock) == data, "the answer is not what was sent")
        sender.join()


@case()
def a_client_that_goes_away_costs_its_own_connection():
    with Serve() as address:
        for gone in (b"", b"\0", message(pattern(100000))):
            sock = dial(address)
            sock.sendall(gone)
            sock.close()
        with dial(address) as sock:
            sock.sendall(message(b"still there?"))
            equal(read_message(sock), b"still there?", "the next client's answer")


# ---- Python listens, Tributary sends ----

class Send:
    """`tributary send` of some bytes to a listener of Python; `sock` is its connection."""

    def __init__(self, data, *options):
        self.path = os.path.join(work, "listen")
        self.out = os.path.join(work, "out")
        with open(os.path.join(work, "in"), "wb") as file:
            file.write(data)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.settimeout(20)
        self.process = subprocess.Popen([tool, "send", "unix:" + self.path, file.name, "--out", self.out, *options],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(20)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.listener.close()
        self.sock.close()
        os.unlink(self.path)
        if self.process.poll() is None:
            cases.stop(self.process)

    def ended(self, code, words=""):
        """What it wrote to --out, once it has ended so."""
        self.errors = self.process.communicate(timeout=20)[1]
        equal(self.process.returncode, code, "exit code of tributary send: " + self.errors)
        holds(words in self.errors, "%r is not in %r" % (words, self.errors))
        with open(self.out, "rb") as file:
            return file.read()


@case(*SIZES)
def python_answers_one_message(size):
    body = pattern(size)
    with Send(message(body)) as send:
        holds(read_message(send.sock) == body, "the message is not what was sent")
        equal(read_message(send.sock), None, "after the message")
        send.sock.sendall(message(body[::-1]))
        send.sock.close()
        holds(send.ended(0) == message(body[::-1]), "the answer is not what Python sent")


@case()
def python_answers_each_message_in_turn():
    bodies = [pattern(i * 91 % 20000, i) for i in range(500)]
    with Send(b"".join(map(message, bodies))) as send:
        for i, body in enumerate(bodies):
            equal(read_message(send.sock), body, "message %d" % i)
            send.sock.sendall(message(body.upper()))
        equal(read_message(send.sock), None, "after the last message")
        send.sock.close()
        holds(send.ended(0) == b"".join(message(body.upper()) for body in bodies), "the answers are not what Python sent")


@case()
def python_half_closes_first():
    """What the peer has nothing to add to is still sent to its end."""
    data = pattern(8 * MIB)
    with Send(data) as send:
        send.sock.sendall(b"enough said")
        send.sock.shutdown(socket.SHUT_WR)
        holds(read_rest(send.sock) == data, "not all was sent")
        equal(send.ended(0), b"enough said", "the answer")


@case()
def python_goes_away_early():
    with Send(pattern(64 * MIB)) as send:
        read_exactly(send.sock, 1000)
        send.sock.sendall(b"partial")
        send.sock.close()
        send.ended(1, "peer")


@case()
def python_never_answers():
    with Send(b"anyone?", "--timeout", "0.3") as send:
        read_rest(send.sock)
        send.ended(1)


sys.exit(cases.run(sys.argv[1:], closing=True))

"""The table of rules, and its steps on one Execute stream."""
import queue
import threading
import time
import zlib

import grpc
import first_pb2 as first
import later_pb2 as later

from cases import Failed, equal, holds

EXECUTE = "/org.apache.spark.udf.worker.UdfWorker/Execute"
MANAGE = "/org.apache.spark.udf.worker.UdfWorker/Manage"
PATIENCE = 15
MOMENT = 0.1
NOTHING = object()


class Rule:
    def __init__(self, head):
        self.name, _, place = head.partition(" ")
        self.places = [place.strip("()")] if place else ["unix", "tcp"]
        self.sentence = []
        self.steps = []


def read_rules(path):
    rules = []
    with open(path, encoding="utf-8") as file:
        for line in file.read().split("\n"):
            if not line or line.startswith("#"):
                continue
            if not line.startswith(" "):
                rules.append(Rule(line))
            elif line.strip()[0] in "<>":
                rules[-1].steps.append(line.strip())
            else:
                rules[-1].sentence.append(line.strip())
    return rules


def pattern(size, seed=0):
    """Bytes that differ between seeds, and whose period is that of nothing else."""
    period = bytes((seed * 31 + i * 7) & 255 for i in range(251))
    return (period * (size // 251 + 1))[:size]


def text(word):
    if word == "-":
        return b""
    return pattern(int(word[1:])) if word.startswith("*") else word.encode()


def series(count, size=None):
    return [pattern(int(size), i) if size else b"%d" % i for i in range(int(count))]


class End:
    def __init__(self, code, details):
        self.code = code
        self.details = details

    def __repr__(self):
        return "the end with %s %r" % (self.code.name, self.details)


class Execution:
    """An Execute stream of bytes. A thread reads while `reading` is set. grpcio asks for the next request when it has written the one before."""

    def __init__(self, channel):
        channel.worker.executions += 1
        self.channel = channel
        self.requests = queue.SimpleQueue()
        self.responses = queue.SimpleQueue()
        self.ahead = NOTHING
        self.sent = 0
        self.asked = 0
        self.taken = 0
        self.reading = threading.Event()
        self.reading.set()
        self.call = channel.stream_stream(EXECUTE)(self._requests())
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _requests(self):
        while True:
            self.asked += 1
            request = self.requests.get()
            if request is None:
                self.asked += 1
                return
            self.taken += 1
            yield request

    def _read(self):
        try:
            while True:
                self.reading.wait()
                response = next(self.call)
                self.reading.wait()
                self.responses.put(response)
        except StopIteration:
            self.responses.put(End(grpc.StatusCode.OK, ""))
        except grpc.RpcError as error:
            self.responses.put(End(error.code(), error.details()))

    def send(self, request):
        self.sent += 1
        self.requests.put(request if isinstance(request, bytes) else request.SerializeToString())

    def next(self, seconds=PATIENCE):
        """Bytes, End, or NOTHING where nothing comes in time."""
        if self.ahead is not NOTHING:
            found, self.ahead = self.ahead, NOTHING
            return found
        try:
            return self.responses.get(timeout=seconds)
        except queue.Empty:
            return NOTHING

    def half_close(self):
        self.sent += 1
        self.requests.put(None)

    def settle(self):
        """Until the worker has all that was said: Heartbeat comes behind it on the same connection."""
        end = time.monotonic() + PATIENCE
        while self.asked <= self.sent:
            holds(time.monotonic() < end, "the worker does not take what was said")
            time.sleep(0.001)
        self.channel.unary_unary(MANAGE)(b"\x0a\0", timeout=PATIENCE)

    def close(self):
        self.reading.set()
        self.call.cancel()
        self.requests.put(None)


# ---- What the engine says ----

def options_of(words):
    """Words as they are, and those of the form NAME=VALUE."""
    plain = [word for word in words if "=" not in word]
    return plain, dict(word.split("=", 1) for word in words if "=" in word)


def extra(options, level):
    return bytes.fromhex(options.get("in-" + level, ""))


def set_all(init):
    init.input_schema, init.output_schema = b"\1in", b"\2out"
    init.task_context["partitionId"] = "7"
    init.task_context["stageId"] = "1"
    init.session_conf["spark.sql.session.timeZone"] = "Europe/Berlin"
    init.timezone = "Europe/Berlin"
    init.parameters = b"parameters"
    init.udf.format, init.udf.name, init.udf.eval_type = "c", "echo", "SCALAR"


def set_later(init):
    set_all(init)
    init.environment_variables["LANG"] = "C"
    init.resource_directories["files"] = "/tmp"
    init.udf.invocation_id = 1 << 40
    init.udf.input.schema_format, init.udf.input.schema = "spark-sql-data-type-json-v1", b"{}"
    init.udf.input.arguments.add(input_offset=1, name="a")


def make_init(plain, options):
    init = later.Init(udf=later.UdfPayload(payload=text(options.get("payload", "echo"))))
    if options.get("format") != "none":
        init.data_format = int(options.get("format", 1))
    if "version" in options:
        init.protocol_version = int(options["version"])
    if "size" in options:
        init.udf.payload_size = int(options["size"])
    if "crc" in options:
        init.udf.payload_crc32 = int(options["crc"], 16)
    if "chunking" in plain or "chunking" in options:
        init.is_chunking_payload = "chunking" in plain
    if "full" in plain:
        set_all(init)
    if "later" in plain:
        set_later(init)
    inner = extra(options, "payload")
    if inner:
        init.udf.MergeFromString(inner)
    return init.SerializeToString()


def make_chunk(plain, options):
    chunk = later.PayloadChunk(data=text(plain[0]))
    if "last" in plain or "last" in options:
        chunk.last = "last" in plain
    return chunk.SerializeToString()


def make_cancel(plain, options):
    return later.Cancel(reason=" ".join(plain) if plain else None).SerializeToString()


CONTROLS = {"Init": (1, make_init), "Chunk": (2, make_chunk), "Finish": (3, lambda plain, options: b""), "Cancel": (4, make_cancel)}


def field(number, content):
    """A field with a length, its number below 16."""
    head, rest = bytearray([number << 3 | 2]), len(content)
    while rest > 127:
        head.append(rest & 127 | 128)
        rest >>= 7
    head.append(rest)
    return bytes(head) + content


def request(step):
    """The bytes of a UdfRequest."""
    name, *words = step.split()
    plain, options = options_of(words)
    if name == "Data":
        inner = field(2, later.DataRequest(data=text(plain[0])).SerializeToString() + extra(options, "message"))
    elif name == "Empty":
        inner = b""
    elif name == "EmptyControl":
        inner = field(1, extra(options, "control"))
    elif name == "Raw":
        inner = bytes.fromhex(words[0])
    else:
        number, make = CONTROLS[name]
        inner = field(1, field(number, make(plain, options) + extra(options, "message")) + extra(options, "control"))
    return inner + extra(options, "request")


def say(execution, step):
    name, *words = step.split()
    if name == "HalfClose":
        execution.half_close()
    elif name == "Stop":
        execution.reading.clear()
    elif name == "Settle":
        execution.settle()
    elif name == "Read":
        execution.reading.set()
    elif name == "Series":
        for data in series(*words):
            execution.send(later.UdfRequest(data=later.DataRequest(data=data)))
    else:
        execution.send(request(step))


# ---- What comes ----

NAMES = {"init": "InitResponse", "finish": "FinishResponse", "cancel": "CancelResponse", "error": "ErrorResponse"}
KINDS = {"user": "UserError", "worker": "WorkerError", "protocol": "ProtocolError"}


class Response:
    """A UdfResponse as both revisions read it: `first` is 4.3.0's, `later` the later one's."""

    def __init__(self, content):
        self.first, self.later = (revision.UdfResponse.FromString(content) for revision in (first, later))
        self.name = "Data" if self.later.WhichOneof("response") == "data" else NAMES.get(self.later.control.WhichOneof("control"), "an empty response")
        self.data = self.later.data.data
        if self.name in NAMES.values():
            member = self.later.control.WhichOneof("control")
            self.first, self.later = getattr(self.first.control, member), getattr(self.later.control, member)

    def __repr__(self):
        if self.name == "Data":
            return "Data of %d bytes, %.40r" % (len(self.data), self.data)
        return " ".join([self.name] + str(self.later).split())[:300]

    def error(self):
        """Which kind, and the error; exactly one kind is set."""
        if self.name != "Data" and self.later.HasField("error"):
            kind = self.later.error.WhichOneof("kind")
            holds(kind is not None, "an error of no kind in %r" % self)
            holds(getattr(self.later.error, kind).message, "an error without words in %r" % self)
            return KINDS[kind], getattr(self.later.error, kind)
        return None, None

    def metric(self, name):
        """As a pair: in the map of 4.3.0, in ExecutionMetrics; None where it is absent."""
        known = name in later.ExecutionMetrics.DESCRIPTOR.fields_by_name
        there = known and self.later.HasField("metrics") and self.later.metrics.HasField(name)
        return self.first.metrics.get(name), str(getattr(self.later.metrics, name)) if there else None, known


def check_error(response, words):
    kind, error = response.error()
    wanted = words[0].partition(":") if words else (None, "", "")
    equal(kind, wanted[0], "kind of the error in %r" % response)
    if kind:
        holds(" ".join(words[1:]) in error.message, "%r is not in %r" % (" ".join(words[1:]), response))
        equal(error.error_class if kind == "UserError" else "", wanted[2], "class of the error")


def check_metrics(response, metrics):
    holds(response.first.metrics["status"] in ("ok", "cancelled", "failed"), "no status in %r" % response.first)
    for name, value in metrics.items():
        in_map, in_message, known = response.metric(name)
        wanted = None if value == "absent" else value
        equal(in_map, wanted, "metric %s in the map of %r" % (name, response))
        holds(not known or in_message == wanted, "metric %s is %s in ExecutionMetrics, expected %s" % (name, in_message, wanted))


def check_response(response, step):
    names, *words = step.split()
    plain, metrics = options_of(words)
    holds(response.name in names.split("|"), "%r came, expected %s" % (response, step))
    if response.name == "Data":
        holds(response.data == text(plain[0]), "%r came, expected %s" % (response, step))
        return
    check_error(response, plain)
    if response.name in ("FinishResponse", "CancelResponse"):
        check_metrics(response, metrics)


def expect_end(execution):
    found = execution.next()
    if isinstance(found, bytes):
        found = Response(found)
    holds(isinstance(found, End) and found.code == grpc.StatusCode.OK, "%r came, expected the end with OK" % found)
    return found


def expect_series(execution, words, some):
    for i, wanted in enumerate(series(*words)):
        found = execution.next()
        response = Response(found) if isinstance(found, bytes) else found
        if some and isinstance(response, Response) and response.name != "Data":
            execution.ahead = found
            return
        holds(isinstance(response, Response) and response.name == "Data" and response.data == wanted,
              "%r came, expected number %d of %s" % (response, i, " ".join(words)))


def expect(execution, step):
    """The response, or None where the step is about none."""
    name, *words = step.split()
    if name == "nothing":
        execution.ahead = execution.next(MOMENT)
        holds(execution.ahead is NOTHING, "%s came, expected nothing" % (Response(execution.ahead) if isinstance(execution.ahead, bytes) else execution.ahead))
        return None
    if name == "End":
        return expect_end(execution)
    if name.startswith("Series"):
        return expect_series(execution, words, name.endswith("*"))
    found = execution.next()
    holds(isinstance(found, bytes), "%s came, expected %s" % ("nothing" if found is NOTHING else found, step))
    response = Response(found)
    if name.startswith("?") and response.name != name[1:]:
        execution.ahead = found
        return None
    check_response(response, step.lstrip("?"))
    return response


def play(execution, *steps):
    """What the last step of these brought."""
    came = None
    for step in steps:
        mark, rest = step.split(" ", 1)
        try:
            came = say(execution, rest) if mark == ">" else expect(execution, rest)
        except Failed as failure:
            raise Failed("%s, at %s" % (failure, step)) from None
    return came


def crc32(content):
    return "%x" % zlib.crc32(content)

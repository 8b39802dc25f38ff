"""What the rules in code share: workers, sessions, and calls of Manage."""
import time

import grpc

import cases
import script
from cases import equal, holds
from script import Execution, later, play
from worker import MIB, Worker

OPEN = ("> Init", "< InitResponse")
FINISH = ("> Finish", "< FinishResponse status=ok", "< End")
STALL = 6  # MiB: more than a window, less than a session's budget
THREADS = 32

in_code = {}
places = []
_shared = []


def rule(function):
    in_code[function.__name__] = function
    return function


def start(*flags, **options):
    return Worker(places[0], *flags, **options)


def shared():
    """The worker, and one connection to it, that serve every rule that does not end a worker."""
    if not _shared:
        worker = start("--threads", str(THREADS))
        _shared.extend((worker, worker.channel(), narrow(worker)))
    return _shared[:2]


def shared_narrow():
    shared()
    return _shared[2]


def narrow(worker):
    """A connection whose windows stay as they are."""
    return worker.channel(**{"grpc.http2.bdp_probe": 0})


def session(channel, *steps):
    execution = Execution(channel)
    play(execution, *OPEN, *steps)
    return execution


def echoes(channel, word="hello"):
    session(channel, "> Data " + word, "< Data " + word, *FINISH).close()


def stalled(channel):
    """A session whose UDF cannot go on, for its engine does not read."""
    return session(channel, "> Stop", "> Series %d %d" % (STALL, MIB))


def manage(channel, request, seconds=5):
    content = request if isinstance(request, bytes) else request.SerializeToString()
    return later.WorkerResponse.FromString(channel.unary_unary(script.MANAGE)(content, timeout=seconds))


def beat(channel):
    response = manage(channel, later.WorkerRequest(heartbeat=later.Heartbeat()))
    equal(response.WhichOneof("response"), "heartbeat", "answer to Heartbeat")
    return {name: int(value) for name, value in response.heartbeat.metrics.items()}


def shutdown(channel, **fields):
    response = manage(channel, later.WorkerRequest(shutdown=later.ShutdownRequest(**fields)))
    equal(response.WhichOneof("response"), "shutdown", "answer to ShutdownRequest")
    return response.shutdown.sessions_settled


def becomes(channel, seconds=1, **wanted):
    """Heartbeat's metrics become these in time."""
    end = time.monotonic() + seconds
    while True:
        metrics = beat(channel)
        if all(metrics[name] == value for name, value in wanted.items()):
            return
        holds(time.monotonic() < end, "within %s s Heartbeat does not say %r, but %r" % (seconds, wanted, metrics))
        time.sleep(0.01)


def refused(channel, code, request):
    try:
        response = manage(channel, request)
    except grpc.RpcError as error:
        equal(error.code(), code, "status")
        holds(error.details(), "the status has no words")
        return
    raise cases.Failed("%r came, expected %s" % (response, code))

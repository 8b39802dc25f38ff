"""Rules of Manage."""
import time

import grpc

import script
from cases import equal, holds
from script import Execution, later, play
from support import FINISH, STALL, beat, becomes, echoes, manage, narrow, refused, rule, session, shared, shutdown, stalled, start
from worker import MIB


@rule
def heartbeat():
    worker = start()
    channel = worker.channel()
    equal(beat(channel)["sessions"], 0, "sessions of a new worker")
    execution = session(channel, "> Data abc", "< Data abc")
    metrics = beat(channel)
    for name, value in {"sessions": 1, "in_flight": 1, "running": 1, "finished": 0, "bytes_in": 3, "bytes_out": 3, "batches_in": 1, "heartbeats": 2}.items():
        equal(metrics[name], value, name)
    play(execution, *FINISH)
    becomes(channel, sessions=1, in_flight=0, running=0, finished=1, cancelled=0, failed=0, lost=0)


@rule
def heartbeat_unknown_fields():
    _, channel = shared()
    for request in ("0a00", "0a020805", "0a030a0161", "0a00ca3e0161"):
        equal(manage(channel, bytes.fromhex(request)).WhichOneof("response"), "heartbeat", "answer to " + request)


def busy(threads=2, more=3):
    """A worker whose threads are all busy, and sessions that wait for one."""
    worker = start("--threads", str(threads))
    channel = narrow(worker)
    running = [stalled(channel) for _ in range(threads)]
    waiting = [Execution(channel) for _ in range(more)]
    for execution in waiting:
        play(execution, "> Init", "> Data x", "> Finish")
    becomes(channel, seconds=5, running=threads, waiting=more)
    return channel, running, waiting


@rule
def heartbeat_while_busy():
    channel, running, waiting = busy()
    took = []
    for _ in range(21):
        begin = time.monotonic()
        equal(beat(channel)["in_flight"], 5, "in_flight")
        took.append(time.monotonic() - begin)
    holds(sorted(took)[10] < 0.1 and max(took) < 1, "Heartbeats took %r s" % took)
    play(waiting[0], "< nothing")
    for execution in running:
        play(execution, "> Read", "< Series %d %d" % (STALL, MIB), *FINISH)
    for execution in waiting:
        play(execution, "< InitResponse", "< Data x", "< FinishResponse status=ok", "< End")


@rule
def cancel_while_waiting():
    channel, running, waiting = busy()
    begin = time.monotonic()
    play(waiting[1], "> Cancel", "< CancelResponse status=cancelled", "< End")
    holds(time.monotonic() - begin < 1, "CancelResponse took %.1f s" % (time.monotonic() - begin))
    becomes(channel, running=2, waiting=2)
    for execution in running:
        play(execution, "> Read", "< Series %d %d" % (STALL, MIB), *FINISH)
    play(waiting[2], "< InitResponse", "< Data x", "< FinishResponse status=ok", "< End")


@rule
def manage_empty():
    _, channel = shared()
    refused(channel, grpc.StatusCode.INVALID_ARGUMENT, b"")
    refused(channel, grpc.StatusCode.INVALID_ARGUMENT, bytes.fromhex("7a0161"))


@rule
def manage_garbage():
    _, channel = shared()
    refused(channel, grpc.StatusCode.INVALID_ARGUMENT, bytes.fromhex("ffffffff"))
    refused(channel, grpc.StatusCode.INVALID_ARGUMENT, bytes.fromhex("0a05"))


@rule
def shutdown_idle():
    worker = start()
    channel = worker.channel()
    echoes(channel)
    holds(shutdown(channel, reason="no more work") is True, "sessions_settled is false, though no session is in flight")
    worker.ended_well()


@rule
def shutdown_lets_sessions_end():
    for fields in ({}, {"cancel_sessions": False, "reason": "later"}):
        worker = start()
        channel = worker.channel()
        execution = session(channel, "> Data a", "< Data a")
        holds(shutdown(channel, **fields) is False, "sessions_settled is true with a session in flight")
        late = Execution(channel)
        end = late.next()
        holds(isinstance(end, script.End) and end.code == grpc.StatusCode.UNAVAILABLE, "%r came to a session after the shutdown" % end)
        play(execution, "< nothing", "> Data b", "< Data b", *FINISH)
        worker.ended_well()


@rule
def shutdown_cancels_sessions():
    worker = start()
    channel = worker.channel()
    executions = [session(channel, "> Data a", "< Data a") for _ in range(3)]
    holds(shutdown(channel, cancel_sessions=True) is True, "sessions_settled is false, though every session could be told at once")
    for execution in executions:
        play(execution, "< ErrorResponse WorkerError shutting down", "< CancelResponse", "< End")
    worker.ended_well()


@rule
def shutdown_cancels_early():
    worker = start()
    channel = worker.channel()
    nothing_said, chunks = Execution(channel), Execution(channel)
    play(chunks, "> Init chunking", "> Chunk a")
    becomes(channel, in_flight=2)
    shutdown(channel, cancel_sessions=True)
    for execution in (nothing_said, chunks):
        play(execution, "< InitResponse WorkerError shutting down", "< CancelResponse", "< End")
    worker.ended_well()


@rule
def shutdown_cancels_finishing():
    worker = start()
    channel = narrow(worker)
    execution = stalled(channel)
    play(execution, "> Finish", "> Settle", "< nothing")
    holds(shutdown(channel, cancel_sessions=True) is False, "sessions_settled is true with a session in flight")
    play(execution, "> Read", "< Series* %d %d" % (STALL, MIB), "< ErrorResponse WorkerError shutting down", "< CancelResponse", "< End")
    worker.ended_well()


@rule
def shutdown_cancels_after_letting():
    worker = start()
    channel = worker.channel()
    execution = session(channel, "> Data a", "< Data a")
    holds(shutdown(channel) is False, "sessions_settled is true with a session in flight")
    play(execution, "< nothing")
    equal(beat(channel)["in_flight"], 1, "in_flight after the first ShutdownRequest")
    shutdown(channel, cancel_sessions=True)
    play(execution, "< ErrorResponse WorkerError shutting down", "< CancelResponse", "< End")
    worker.ended_well()

"""Rules of engines that go, of flow control, and of many sessions."""
import os
import subprocess
import sys
import threading
import time
import types

import grpc

import script
from cases import equal, holds
from script import Execution, Response, later, play
from support import FINISH, beat, becomes, echoes, narrow, rule, session, shared, stalled, start
from worker import MIB

VICTIMS = 20


# ---- The end of an engine ----

@rule
def reset():
    _, channel = shared()
    before = beat(channel)
    executions = [Execution(channel), session(channel), session(channel, "> Data x", "< Data x")]
    becomes(channel, in_flight=before["in_flight"] + 3)
    for execution in executions:
        execution.close()
    becomes(channel, in_flight=before["in_flight"], lost=before["lost"] + 3)
    echoes(channel)


@rule
def reset_while_blocked():
    worker, channel = shared()
    before = beat(channel)
    stalled(narrow(worker)).close()
    becomes(channel, in_flight=before["in_flight"], running=before["running"], lost=before["lost"] + 1)
    echoes(channel)


@rule
def connection_lost():
    worker, channel = shared()
    before = beat(channel)
    other = narrow(worker)
    for _ in range(5):
        session(other, "> Data x", "< Data x")
    stalled(other)
    becomes(channel, in_flight=before["in_flight"] + 6)
    other.close()
    becomes(channel, in_flight=before["in_flight"], running=before["running"], lost=before["lost"] + 6)


def victim(target):
    channel = grpc.insecure_channel(target, options=[("grpc.default_authority", "localhost")])
    channel.worker = types.SimpleNamespace(executions=0)
    kept = [session(channel, "> Data x", "< Data x") for _ in range(VICTIMS)]
    print("ready", len(kept), flush=True)
    time.sleep(60)
    return 1


@rule
def engine_killed():
    worker, channel = shared()
    before = beat(channel)
    engine = subprocess.Popen([sys.executable, os.path.abspath(sys.argv[0]), "--victim", worker.target()], stdout=subprocess.PIPE, text=True)
    worker.executions += VICTIMS
    equal(engine.stdout.readline(), "ready %d\n" % VICTIMS, "first words of the engine")
    equal(beat(channel)["in_flight"], before["in_flight"] + VICTIMS, "in_flight")
    engine.kill()
    engine.wait()
    becomes(channel, in_flight=before["in_flight"], running=before["running"], lost=before["lost"] + VICTIMS)
    echoes(worker.channel())


# ---- Backpressure ----

def stands_still(execution):
    """How many requests have been taken when none has been for half a second."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < 0.5:
        if execution.taken != seen:
            seen, since = execution.taken, time.monotonic()
        time.sleep(0.02)
    return seen


@rule
def backpressure():
    worker = start()
    channel = narrow(worker)
    count = 64
    execution = session(channel, "> Stop")
    before = worker.rss()
    play(execution, "> Series %d %d" % (count, MIB))
    taken = stands_still(execution)
    holds(taken < count // 2, "%d of %d MiB were taken, though nothing is read" % (taken, count))
    holds(worker.rss() - before < 16 * MIB, "the worker grew by %d MiB" % ((worker.rss() - before) // MIB))
    play(execution, "> Read", "< Series %d %d" % (count, MIB), "> Finish", "< FinishResponse status=ok batches_out=%d" % count, "< End")


@rule
def stalled_stream_stalls_no_other():
    channel = narrow(shared()[0])
    slow = [session(channel, "> Stop", "> Series 24 %d" % MIB) for _ in range(2)]
    for execution in slow:
        stands_still(execution)
    for _ in range(5):
        begin = time.monotonic()
        echoes(channel, "*3000000")
        beat(channel)
        holds(time.monotonic() - begin < 2, "another stream took %.1f s" % (time.monotonic() - begin))
    for execution in slow:
        play(execution, "> Read", "< Series 24 %d" % MIB, *FINISH)


# ---- Many ----

def in_threads(count, body):
    failures = []

    def run(number):
        try:
            body(number)
        except Exception as failure:  # told by the caller's thread
            failures.append(failure)
    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    holds(not failures, "%d of %d: %s" % (len(failures), count, failures[:1]))


def own_data(channel, number):
    """An execution whose data is that of no other."""
    execution = session(channel)
    for i in range(10):
        data = b"%d/%d " % (number, i) + script.pattern(number * 97, i)
        execution.send(later.UdfRequest(data=later.DataRequest(data=data)))
        response = Response(execution.next())
        holds(response.data == data, "%r came to session %d" % (response, number))
    play(execution, "> Finish", "< FinishResponse status=ok batches_in=10 batches_out=10", "< End")


@rule
def concurrent_100():
    _, channel = shared()
    in_threads(100, lambda number: own_data(channel, number))


@rule
def connections_20():
    worker, _ = shared()
    channels = [worker.channel() for _ in range(20)]
    in_threads(20, lambda number: own_data(channels[number], number))


@rule
def reuse():
    worker, channel = shared()
    echoes(channel)
    becomes(channel, in_flight=0, running=0, waiting=0, sessions=worker.executions)
    metrics = beat(channel)
    equal(sum(metrics[name] for name in ("finished", "cancelled", "failed", "lost")), worker.executions, "outcomes in %r" % metrics)
    worker.terminate()
    worker.ended_well()

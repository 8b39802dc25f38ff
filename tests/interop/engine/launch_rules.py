"""Rules of the launch contract and of the connection."""
import os
import signal
import time

import script
import worker as workers
from cases import equal, holds
from script import play
from support import FINISH, beat, becomes, echoes, narrow, rule, session, shared, stalled, start


# ---- Launch ----

@rule
def launch():
    worker = start()
    echoes(worker.channel())
    holds(worker.id in worker.output(), "%s is not in %r" % (worker.id, worker.output()))
    worker.terminate()
    worker.ended_well()


@rule
def launch_unknown_flags():
    worker = start("--flag-of-tomorrow", "--level", "7", "--other=x", "-q")
    echoes(worker.channel())


@rule
def launch_path_107():
    path = os.path.join(workers.work(), "p").ljust(107, "p")
    worker = start(connection=path)
    echoes(worker.channel())


@rule
def launch_path_108():
    path = os.path.join(workers.work(), "p").ljust(108, "p")
    worker = start(connection=path)
    holds(worker.exit_code() != 0, "the worker took a path of 108 bytes")
    holds("108" in worker.output() and "107" in worker.output(), "the numbers are not in %r" % worker.output())
    holds(not os.path.exists(path), "there is a file")


@rule
def launch_both_loopbacks():
    worker = start()
    for host in workers.LOOPBACKS:
        echoes(worker.channel(host))


@rule
def launch_stale_file():
    dead = start()
    dead.channel()
    dead.terminate(signal.SIGKILL)
    dead.exit_code()
    holds(os.path.exists(dead.connection), "no file was left to be replaced")
    worker = start(connection=dead.connection)
    echoes(worker.channel())
    worker.terminate()
    worker.ended_well()


@rule
def launch_again():
    connection = None
    for _ in range(3):
        worker = start(connection=connection)
        connection = worker.connection
        echoes(worker.channel())
        worker.terminate()
        worker.ended_well()


@rule
def launch_fails():
    taken = start()
    taken.channel()
    worker = start(connection=taken.connection)
    holds(worker.exit_code() != 0, "two workers listen at %s" % worker.connection)
    holds(worker.connection in worker.output() and "listens" in worker.output() or "in use" in worker.output(), "no reason in %r" % worker.output())
    echoes(taken.channel())


@rule
def sigterm_idle():
    worker = start()
    channel = worker.channel()
    echoes(channel)
    begin = time.monotonic()
    worker.terminate()
    worker.ended_well()
    holds(time.monotonic() - begin < 1, "an idle worker took %.1f s to end" % (time.monotonic() - begin))


@rule
def sigterm_session_ends():
    worker = start()
    execution = session(worker.channel(), "> Data a", "< Data a")
    worker.terminate()
    play(execution, "< nothing", "> Data b", "< Data b", *FINISH)
    worker.ended_well()


@rule
def sigterm_session_told():
    worker = start()
    execution = session(worker.channel(), "> Data a", "< Data a")
    worker.terminate()
    play(execution, "< ErrorResponse WorkerError shutting down", "< CancelResponse", "< End")
    worker.ended_well()


@rule
def sigterm_stalled():
    worker = start()
    execution = stalled(narrow(worker))
    worker.terminate()
    worker.ended_well()
    execution.close()


# ---- Transport ----

@rule
def authority_of_a_path():
    worker, _ = shared()
    echoes(worker.channel(**{"grpc.default_authority": "%2Ftmp%2Fspark%2Fw-0123456789abcdef.sock"}))


@rule
def trailers_before_half_close():
    _, channel = shared()
    before = beat(channel)
    executions = [session(channel, "> Data x", "< Data x", *FINISH) for _ in range(20)]
    for execution in executions:
        execution.close()
    becomes(channel, finished=before["finished"] + 20, lost=before["lost"], in_flight=before["in_flight"])


@rule
def channel_shutdown():
    worker, channel = shared()
    for _ in range(3):
        other = worker.channel()
        echoes(other)
        other.close()
    echoes(channel)


@rule
def message_128_mib():
    _, channel = shared()
    request = script.field(2, script.field(1, script.pattern(workers.MESSAGE_MAX - 10)))
    equal(len(request), workers.MESSAGE_MAX, "size of the message")
    execution = session(channel)
    execution.send(request)
    holds(execution.next() == request, "it is not what comes back")
    play(execution, *FINISH)

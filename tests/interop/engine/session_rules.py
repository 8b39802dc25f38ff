"""Rules of one session that steps do not express."""
import time

import script
from cases import equal, holds
from script import Execution, Response, later, play
from support import rule, session, shared, start
from worker import MIB


@rule
def chunks_large():
    _, channel = shared()
    payload = script.pattern(3 * MIB)
    for crc, size, answer in ((script.crc32(payload), len(payload), "< InitResponse"), ("1", len(payload), "< InitResponse ProtocolError CRC-32"),
                              (script.crc32(payload), len(payload) - 1, "< InitResponse ProtocolError %d bytes came" % len(payload))):
        execution = Execution(channel)
        play(execution, "> Init chunking payload=- crc=%s size=%d" % (crc, size))
        for at in range(0, len(payload), 1 << 16):
            chunk = later.PayloadChunk(data=payload[at:at + (1 << 16)], last=at + (1 << 16) >= len(payload))
            execution.send(later.UdfRequest(control=later.UdfControlRequest(payload=chunk)))
        play(execution, answer, "> Cancel", "< CancelResponse", "< End")


@rule
def data_late_output():
    worker = start(serializer="count")
    execution = session(worker.channel(), "> Series 10", "< nothing", "> Finish")
    response = Response(execution.next())
    equal(response.data, b"frames=10 nulls=0 bytes=10", "the only output")
    play(execution, "< FinishResponse status=ok batches_in=10 batches_out=1", "< End")


@rule
def finish_metrics_of_time():
    _, channel = shared()
    begin = time.monotonic_ns()
    execution = session(channel, "> Data a", "< Data a", "< nothing", "> Finish")
    metrics = play(execution, "< FinishResponse status=ok").later.metrics
    took = time.monotonic_ns() - begin
    for name in ("init", "processing", "receive", "send", "work"):
        holds(metrics.HasField(name + "_wall_nanos"), "%s_wall_nanos is absent in %r" % (name, metrics))
        holds(getattr(metrics, name + "_wall_nanos") <= took, "%s_wall_nanos is more than %d in %r" % (name, took, metrics))
    holds(metrics.HasField("work_cpu_nanos") and 0 < metrics.work_cpu_nanos <= took, "work_cpu_nanos in %r" % metrics)
    pause = script.MOMENT * 1e9
    holds(metrics.receive_wall_nanos >= pause, "the engine said nothing for %d ns, receive_wall_nanos in %r" % (pause, metrics))
    holds(metrics.processing_wall_nanos >= metrics.receive_wall_nanos, "processing took less than its waits: %r" % metrics)
    holds(metrics.work_wall_nanos < pause, "work_wall_nanos counts the wait: %r" % metrics)

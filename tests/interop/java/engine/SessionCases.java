/* Rules of one session that steps do not express. */
import com.google.protobuf.ByteString;
import java.util.Arrays;
import java.util.Map;
import later.Later;

final class SessionCases {
    private final Engine engine;

    SessionCases(Engine engine) {
        this.engine = engine;
    }

    void addTo(Map<String, Client.Case> cases) {
        cases.put("message_128_mib", this::message128Mib);
        cases.put("chunks_large", this::chunksLarge);
        cases.put("data_late_output", this::dataLateOutput);
        cases.put("finish_metrics_of_time", this::finishMetricsOfTime);
    }

    private void message128Mib() throws Exception {
        byte[] data = Steps.pattern(Worker.MESSAGE_MAX - 10, 0);
        byte[] request = Steps.data(data);
        Client.expect(request.length == Worker.MESSAGE_MAX, "a message of " + request.length + " bytes");
        Execution execution = Engine.session(engine.shared());
        execution.send(request);
        Object response = execution.next(Execution.PATIENCE_MS);
        Client.expect(response instanceof byte[] && Arrays.equals((byte[]) response, request), Response.describe(response) + " came");
        Engine.finish(execution);
    }

    private void chunks(byte[] payload, String crc, int size, String answer) throws Exception {
        Execution execution = new Execution(engine.shared());
        Steps.play(execution, "> Init chunking payload=- crc=" + crc + " size=" + size);
        for (int at = 0; at < payload.length; at += 1 << 16) {
            int length = Math.min(1 << 16, payload.length - at);
            Later.PayloadChunk.Builder chunk = Later.PayloadChunk.newBuilder()
                    .setData(ByteString.copyFrom(payload, at, length))
                    .setLast(at + length == payload.length);
            execution.send(Later.UdfRequest.newBuilder().setControl(Later.UdfControlRequest.newBuilder().setPayload(chunk)).build().toByteArray());
        }
        Steps.play(execution, answer, "> Cancel", "< CancelResponse", "< End");
    }

    private void chunksLarge() throws Exception {
        byte[] payload = Steps.pattern(3 * Engine.MIB, 0);
        String crc = Steps.crc32(payload);
        chunks(payload, crc, payload.length, "< InitResponse");
        chunks(payload, "1", payload.length, "< InitResponse ProtocolError CRC-32");
        chunks(payload, crc, payload.length - 1, "< InitResponse ProtocolError " + payload.length + " bytes came");
    }

    private void dataLateOutput() throws Exception {
        Execution execution = Engine.session(engine.startOf("count").connect(), "> Series 10", "< nothing", "> Finish");
        Object found = execution.next(Execution.PATIENCE_MS);
        String only = found instanceof byte[] ? new String(new Response((byte[]) found).data(), "UTF-8") : Response.describe(found);
        Client.expect(only.equals("frames=10 nulls=0 bytes=10"), "the only output: " + only);
        Steps.play(execution, "< FinishResponse status=ok batches_in=10 batches_out=1", "< End");
    }

    private void finishMetricsOfTime() throws Exception {
        long begin = System.nanoTime();
        Execution execution = Engine.session(engine.shared(), "> Data a", "< Data a", "< nothing", "> Finish");
        Later.ExecutionMetrics metrics = Steps.play(execution, "< FinishResponse status=ok").metrics();
        long took = System.nanoTime() - begin;
        long pause = Steps.MOMENT_MS * 1_000_000L;
        for (String name : new String[] {"init_wall", "processing_wall", "receive_wall", "send_wall", "work_wall", "work_cpu"}) {
            var field = Later.ExecutionMetrics.getDescriptor().findFieldByName(name + "_nanos");
            Client.expect(metrics.hasField(field) && (Long) metrics.getField(field) <= took, name + "_nanos in " + metrics + " of " + took);
        }
        Client.expect(metrics.getWorkCpuNanos() > 0, "no work_cpu_nanos in " + metrics);
        Client.expect(metrics.getReceiveWallNanos() >= pause, "the engine said nothing for " + pause + " ns, receive_wall_nanos in " + metrics);
        Client.expect(metrics.getProcessingWallNanos() >= metrics.getReceiveWallNanos(), "processing took less than its waits: " + metrics);
        Client.expect(metrics.getWorkWallNanos() < pause, "work_wall_nanos counts the wait: " + metrics);
        Steps.play(execution, "< End");
    }
}

/* Rules of Manage. */
import io.grpc.CallOptions;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import later.Later;

final class ManageCases {
    private final Engine engine;

    ManageCases(Engine engine) {
        this.engine = engine;
    }

    void addTo(Map<String, Client.Case> cases) {
        cases.put("heartbeat", this::heartbeat);
        cases.put("heartbeat_unknown_fields", this::unknownFields);
        cases.put("heartbeat_while_busy", this::heartbeatWhileBusy);
        cases.put("cancel_while_waiting", this::cancelWhileWaiting);
        cases.put("manage_empty", () -> refused("", "7a0161"));
        cases.put("manage_garbage", () -> refused("ffffffff", "0a05"));
        cases.put("shutdown_idle", this::shutdownIdle);
        cases.put("shutdown_lets_sessions_end", this::letsSessionsEnd);
        cases.put("shutdown_cancels_sessions", this::cancelsSessions);
        cases.put("shutdown_cancels_early", this::cancelsEarly);
        cases.put("shutdown_cancels_finishing", this::cancelsFinishing);
        cases.put("shutdown_cancels_after_letting", this::cancelsAfterLetting);
    }

    // ---- Calls ----

    private static Later.WorkerResponse manage(Worker.Line line, byte[] request) throws Exception {
        CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(5, TimeUnit.SECONDS);
        return Later.WorkerResponse.parseFrom(ClientCalls.blockingUnaryCall(line.channel, Execution.MANAGE, options, request));
    }

    static Map<String, Long> heartbeat(Worker.Line line) throws Exception {
        byte[] request = Later.WorkerRequest.newBuilder().setHeartbeat(Later.Heartbeat.getDefaultInstance()).build().toByteArray();
        Later.WorkerResponse response = manage(line, request);
        Client.expect(response.hasHeartbeat(), "answer to Heartbeat: " + response);
        Map<String, Long> metrics = new HashMap<>();
        response.getHeartbeat().getMetricsMap().forEach((name, value) -> metrics.put(name, Long.parseUnsignedLong(value)));
        return metrics;
    }

    private static boolean shutdown(Worker.Line line, Later.ShutdownRequest.Builder request) throws Exception {
        Later.WorkerResponse response = manage(line, Later.WorkerRequest.newBuilder().setShutdown(request).build().toByteArray());
        Client.expect(response.hasShutdown(), "answer to ShutdownRequest: " + response);
        return response.getShutdown().getSessionsSettled();
    }

    private static Later.ShutdownRequest.Builder cancelling() {
        return Later.ShutdownRequest.newBuilder().setCancelSessions(true);
    }

    private static boolean agree(Map<String, Long> metrics, Map<String, Long> wanted) {
        return wanted.entrySet().stream().allMatch(metric -> metric.getValue().equals(metrics.get(metric.getKey())));
    }

    /* Heartbeat's metrics become these within a second. */
    static void becomes(Worker.Line line, Map<String, Long> wanted) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(1);
        Map<String, Long> metrics = heartbeat(line);
        while (!agree(metrics, wanted)) {
            Client.expect(System.nanoTime() < end, "within a second Heartbeat does not say " + wanted + " but " + metrics);
            Thread.sleep(10);
            metrics = heartbeat(line);
        }
    }

    private void refused(String... requests) throws Exception {
        for (String request : requests) {
            try {
                throw new AssertionError(manage(engine.shared(), HexFormat.of().parseHex(request)) + " came, expected INVALID_ARGUMENT");
            } catch (StatusRuntimeException e) {
                Client.expect(e.getStatus().getCode() == Status.Code.INVALID_ARGUMENT && e.getStatus().getDescription() != null, "status " + e);
            }
        }
    }

    // ---- Heartbeat ----

    private void heartbeat() throws Exception {
        Worker.Line line = engine.start().connect();
        Client.expect(heartbeat(line).get("sessions") == 0, "a new worker has had sessions");
        Execution execution = Engine.session(line, "> Data abc", "< Data abc");
        Map<String, Long> metrics = heartbeat(line);
        Map<String, Long> during = Map.of("sessions", 1L, "in_flight", 1L, "running", 1L, "finished", 0L, "bytes_in", 3L, "bytes_out", 3L,
                "batches_in", 1L, "heartbeats", 2L);
        Client.expect(agree(metrics, during), metrics + " came, expected " + during);
        Engine.finish(execution);
        becomes(line, Map.of("sessions", 1L, "in_flight", 0L, "running", 0L, "finished", 1L, "cancelled", 0L, "failed", 0L, "lost", 0L));
    }

    private void unknownFields() throws Exception {
        for (String request : List.of("0a00", "0a020805", "0a030a0161", "0a00ca3e0161")) {
            Client.expect(manage(engine.shared(), HexFormat.of().parseHex(request)).hasHeartbeat(), "answer to " + request);
        }
    }

    /* A worker whose two threads are busy, and three sessions that wait for one. */
    private static final class Busy {
        final Worker.Line line;
        final List<Execution> running = new ArrayList<>();
        final List<Execution> waiting = new ArrayList<>();

        Busy(Engine engine) throws Exception {
            line = engine.start("--threads", "2").connectNarrow();
            running.add(Engine.stalled(line));
            running.add(Engine.stalled(line));
            for (int i = 0; i < 3; i++) {
                waiting.add(new Execution(line));
                Steps.play(waiting.get(i), "> Init", "> Data x", "> Finish");
            }
            becomes(line, Map.of("running", 2L, "waiting", 3L));
        }

        void release() throws Exception {
            for (Execution execution : running) {
                Engine.release(execution);
            }
        }

        void served(int number) throws Exception {
            Steps.play(waiting.get(number), "< InitResponse", "< Data x", "< FinishResponse status=ok", "< End");
        }
    }

    private void heartbeatWhileBusy() throws Exception {
        Busy busy = new Busy(engine);
        long[] took = new long[21];
        for (int i = 0; i < took.length; i++) {
            long begin = System.nanoTime();
            Client.expect(heartbeat(busy.line).get("in_flight") == 5, "not five in flight");
            took[i] = System.nanoTime() - begin;
        }
        Arrays.sort(took);
        Client.expect(took[10] < 100_000_000L && took[20] < 1_000_000_000L, "Heartbeats took " + Arrays.toString(took) + " ns");
        Steps.play(busy.waiting.get(0), "< nothing");
        busy.release();
        for (int i = 0; i < 3; i++) {
            busy.served(i);
        }
    }

    private void cancelWhileWaiting() throws Exception {
        Busy busy = new Busy(engine);
        long begin = System.nanoTime();
        Steps.play(busy.waiting.get(1), "> Cancel", "< CancelResponse status=cancelled", "< End");
        Client.expect(System.nanoTime() - begin < 1_000_000_000L, "CancelResponse took " + (System.nanoTime() - begin) + " ns");
        becomes(busy.line, Map.of("running", 2L, "waiting", 2L));
        busy.release();
        busy.served(2);
    }

    // ---- Shutdown ----

    private void shutdownIdle() throws Exception {
        Worker worker = engine.start();
        Worker.Line line = worker.connect();
        Engine.echoes(line);
        boolean settled = shutdown(line, Later.ShutdownRequest.newBuilder().setReason("no more work"));
        Client.expect(settled, "sessions_settled is false, though no session is in flight");
        worker.endedWell();
    }

    private void letsSessionsEnd() throws Exception {
        List<Later.ShutdownRequest.Builder> requests = List.of(Later.ShutdownRequest.newBuilder(),
                Later.ShutdownRequest.newBuilder().setCancelSessions(false).setReason("later"));
        for (Later.ShutdownRequest.Builder request : requests) {
            Worker worker = engine.start();
            Worker.Line line = worker.connect();
            Execution execution = Engine.session(line, "> Data a", "< Data a");
            Client.expect(!shutdown(line, request), "sessions_settled is true with a session in flight");
            Object end = new Execution(line).next(Execution.PATIENCE_MS);
            Client.expect(end instanceof Status && ((Status) end).getCode() == Status.Code.UNAVAILABLE, Response.describe(end) + " came to a new session");
            Steps.play(execution, "< nothing", "> Data b", "< Data b");
            Engine.finish(execution);
            worker.endedWell();
        }
    }

    private static void told(Execution execution, String place) throws Exception {
        Steps.play(execution, "< " + place + " WorkerError shutting down", "< CancelResponse", "< End");
    }

    private void cancelsSessions() throws Exception {
        Worker worker = engine.start();
        Worker.Line line = worker.connect();
        List<Execution> executions = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            executions.add(Engine.session(line, "> Data a", "< Data a"));
        }
        Client.expect(shutdown(line, cancelling()), "sessions_settled is false, though every session could be told at once");
        for (Execution execution : executions) {
            told(execution, "ErrorResponse");
        }
        worker.endedWell();
    }

    private void cancelsEarly() throws Exception {
        Worker worker = engine.start();
        Worker.Line line = worker.connect();
        Execution nothingSaid = new Execution(line);
        Execution chunks = new Execution(line);
        Steps.play(chunks, "> Init chunking", "> Chunk a");
        becomes(line, Map.of("in_flight", 2L));
        shutdown(line, cancelling());
        told(nothingSaid, "InitResponse");
        told(chunks, "InitResponse");
        worker.endedWell();
    }

    private void cancelsFinishing() throws Exception {
        Worker worker = engine.start();
        Worker.Line line = worker.connectNarrow();
        Execution execution = Engine.stalled(line);
        Steps.play(execution, "> Finish", "> Settle", "< nothing");
        Client.expect(!shutdown(line, cancelling()), "sessions_settled is true with a session in flight");
        Steps.play(execution, "> Read", "< Series* " + Engine.STALL);
        told(execution, "ErrorResponse");
        worker.endedWell();
    }

    private void cancelsAfterLetting() throws Exception {
        Worker worker = engine.start();
        Worker.Line line = worker.connect();
        Execution execution = Engine.session(line, "> Data a", "< Data a");
        Client.expect(!shutdown(line, Later.ShutdownRequest.newBuilder()), "sessions_settled is true with a session in flight");
        Steps.play(execution, "< nothing");
        Client.expect(heartbeat(line).get("in_flight") == 1, "Heartbeat after the first ShutdownRequest");
        shutdown(line, cancelling());
        told(execution, "ErrorResponse");
        worker.endedWell();
    }
}

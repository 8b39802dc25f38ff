/* Rules of engines that go, of flow control, and of many sessions. */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;

final class FlowCases {
    private static final int VICTIMS = 20;
    private static final int FLOOD = 64;

    private final Engine engine;

    FlowCases(Engine engine) {
        this.engine = engine;
    }

    void addTo(Map<String, Client.Case> cases) {
        cases.put("reset", this::reset);
        cases.put("reset_while_blocked", this::resetWhileBlocked);
        cases.put("connection_lost", this::connectionLost);
        cases.put("engine_killed", this::engineKilled);
        cases.put("backpressure", this::backpressure);
        cases.put("stalled_stream_stalls_no_other", this::stalledStreamStallsNoOther);
        cases.put("concurrent_100", this::concurrent100);
        cases.put("connections_20", this::connections20);
        cases.put("reuse", this::reuse);
    }

    // ---- Engines that go ----

    private static Map<String, Long> lost(Map<String, Long> before, long more) {
        return Map.of("in_flight", before.get("in_flight"), "running", before.get("running"), "lost", before.get("lost") + more);
    }

    private void reset() throws Exception {
        Worker.Line line = engine.shared();
        Map<String, Long> before = ManageCases.heartbeat(line);
        List<Execution> executions = List.of(new Execution(line), Engine.session(line), Engine.session(line, "> Data x", "< Data x"));
        ManageCases.becomes(line, Map.of("in_flight", before.get("in_flight") + 3));
        executions.forEach(Execution::cancel);
        ManageCases.becomes(line, lost(before, 3));
        Engine.echoes(line);
    }

    private void resetWhileBlocked() throws Exception {
        Worker.Line line = engine.shared();
        Map<String, Long> before = ManageCases.heartbeat(line);
        Engine.stalled(line.worker.connectNarrow()).cancel();
        ManageCases.becomes(line, lost(before, 1));
        Engine.echoes(line);
    }

    private void connectionLost() throws Exception {
        Worker.Line line = engine.shared();
        Map<String, Long> before = ManageCases.heartbeat(line);
        Worker.Line other = line.worker.connectNarrow();
        for (int i = 0; i < 5; i++) {
            Engine.session(other, "> Data x", "< Data x");
        }
        Engine.stalled(other);
        ManageCases.becomes(line, Map.of("in_flight", before.get("in_flight") + 6));
        other.close();
        ManageCases.becomes(line, lost(before, 6));
    }

    static void victim(String address, int count) throws Exception {
        Worker.Line line = Worker.lineTo(address);
        List<Execution> kept = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            kept.add(Engine.session(line, "> Data x", "< Data x"));
        }
        System.out.println("ready " + kept.size());
        Thread.sleep(60000);
    }

    private void engineKilled() throws Exception {
        Worker.Line line = engine.shared();
        Map<String, Long> before = ManageCases.heartbeat(line);
        Process other = new ProcessBuilder(System.getProperty("java.home") + "/bin/java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "Engine", "--victim", line.worker.address("127.0.0.1"), Integer.toString(VICTIMS)).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        line.worker.executions.addAndGet(VICTIMS);
        try (BufferedReader words = new BufferedReader(new InputStreamReader(other.getInputStream(), StandardCharsets.UTF_8))) {
            String ready = words.readLine();
            Client.expect(("ready " + VICTIMS).equals(ready), "the other engine says " + ready);
            ManageCases.becomes(line, Map.of("in_flight", before.get("in_flight") + VICTIMS));
        } finally {
            other.destroyForcibly().waitFor();
        }
        ManageCases.becomes(line, lost(before, VICTIMS));
        Engine.echoes(line.worker.connect());
    }

    // ---- Flow control ----

    /* How many of so many messages the stream took when it has taken none for half a second; the others are sent, too, and wait in the client. */
    private static int takenBeforeStanding(Execution execution, int count) throws Exception {
        int taken = 0;
        long since = System.nanoTime();
        while (taken < count && System.nanoTime() - since < 500_000_000L) {
            if (execution.isReady()) {
                execution.send(Steps.data(Steps.pattern(Engine.MIB, taken++)));
                since = System.nanoTime();
            } else {
                Thread.sleep(1);
            }
        }
        for (int i = taken; i < count; i++) {
            execution.send(Steps.data(Steps.pattern(Engine.MIB, i)));
        }
        return taken;
    }

    private void backpressure() throws Exception {
        Worker worker = engine.start();
        Execution execution = Engine.session(worker.connectNarrow(), "> Stop");
        long before = worker.rss();
        int taken = takenBeforeStanding(execution, FLOOD);
        long grown = worker.rss() - before;
        Client.expect(taken < FLOOD / 2, taken + " of " + FLOOD + " MiB were taken, though nothing is read");
        Client.expect(grown < 16 * Engine.MIB, "the worker grew by " + grown + " bytes");
        Steps.play(execution, "> Read", "< Series " + FLOOD + " " + Engine.MIB, "> Finish", "< FinishResponse status=ok batches_out=" + FLOOD, "< End");
    }

    private void stalledStreamStallsNoOther() throws Exception {
        Worker.Line line = engine.shared().worker.connectNarrow();
        List<Execution> slow = List.of(Engine.session(line, "> Stop"), Engine.session(line, "> Stop"));
        for (Execution execution : slow) {
            int taken = takenBeforeStanding(execution, 24);
            Client.expect(taken < 24, "nothing stalls");
        }
        for (int i = 0; i < 5; i++) {
            long begin = System.nanoTime();
            Engine.echoes(line, "*3000000");
            ManageCases.heartbeat(line);
            Client.expect(System.nanoTime() - begin < 2_000_000_000L, "another stream took " + (System.nanoTime() - begin) + " ns");
        }
        for (Execution execution : slow) {
            Steps.play(execution, "> Read", "< Series 24 " + Engine.MIB);
            Engine.finish(execution);
        }
    }

    // ---- Many ----

    private interface Body {
        void run(int number) throws Exception;
    }

    private static void inThreads(int count, Body body) throws Exception {
        ConcurrentLinkedQueue<Throwable> failures = new ConcurrentLinkedQueue<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int number = i;
            threads.add(new Thread(() -> {
                try {
                    body.run(number);
                } catch (Exception | AssertionError e) {
                    failures.add(e);
                }
            }));
            threads.get(i).setDaemon(true);
            threads.get(i).start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        Client.expect(failures.isEmpty(), failures.size() + " of " + count + ": " + failures.peek());
    }

    /* An execution whose data is that of no other. */
    private static void ownData(Worker.Line line, int number) throws Exception {
        Execution execution = Engine.session(line);
        for (int i = 0; i < 10; i++) {
            byte[] request = Steps.data((number + "/" + i + " ").repeat(number * 13 + 1).getBytes(StandardCharsets.US_ASCII));
            execution.send(request);
            Object found = execution.next(Execution.PATIENCE_MS);
            Client.expect(found instanceof byte[] && Arrays.equals((byte[]) found, request), Response.describe(found) + " came to session " + number);
        }
        Steps.play(execution, "> Finish", "< FinishResponse status=ok batches_in=10 batches_out=10", "< End");
    }

    private void concurrent100() throws Exception {
        Worker.Line line = engine.shared();
        inThreads(100, number -> ownData(line, number));
    }

    private void connections20() throws Exception {
        Worker worker = engine.shared().worker;
        List<Worker.Line> lines = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            lines.add(worker.connect());
        }
        inThreads(20, number -> ownData(lines.get(number), number));
    }

    private void reuse() throws Exception {
        Worker.Line line = engine.shared();
        Engine.echoes(line);
        long all = line.worker.executions.get();
        ManageCases.becomes(line, Map.of("in_flight", 0L, "running", 0L, "waiting", 0L, "sessions", all));
        Map<String, Long> metrics = ManageCases.heartbeat(line);
        long outcomes = metrics.get("finished") + metrics.get("cancelled") + metrics.get("failed") + metrics.get("lost");
        Client.expect(outcomes == all, all + " executions, outcomes in " + metrics);
        line.worker.terminate();
        line.worker.endedWell();
    }
}

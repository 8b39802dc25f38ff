/* Rules of the launch contract and of the connection. */
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

final class LaunchCases {
    private final Engine engine;

    LaunchCases(Engine engine) {
        this.engine = engine;
    }

    void addTo(Map<String, Client.Case> cases) {
        cases.put("launch", this::launch);
        cases.put("launch_unknown_flags", () -> Engine.echoes(engine.start("--flag-of-tomorrow", "--level", "7", "--other=x", "-q").connect()));
        cases.put("launch_path_107", () -> Engine.echoes(engine.startAt(path(107)).connect()));
        cases.put("launch_path_108", this::path108);
        cases.put("launch_both_loopbacks", this::bothLoopbacks);
        cases.put("launch_stale_file", this::staleFile);
        cases.put("launch_again", this::again);
        cases.put("launch_fails", this::fails);
        cases.put("sigterm_idle", this::sigtermIdle);
        cases.put("sigterm_session_ends", this::sigtermSessionEnds);
        cases.put("sigterm_session_told", this::sigtermSessionTold);
        cases.put("sigterm_stalled", this::sigtermStalled);
        cases.put("authority_of_a_path", this::authorityOfAPath);
        cases.put("trailers_before_half_close", this::trailersBeforeHalfClose);
        cases.put("channel_shutdown", this::channelShutdown);
    }

    private static String path(int length) {
        String path = Worker.work().resolve("p").toString();
        return path + "p".repeat(length - path.length());
    }

    private void launch() throws Exception {
        Worker worker = engine.start();
        Engine.echoes(worker.connect());
        Client.expect(worker.output().contains(worker.id), worker.id + " is not in " + worker.output());
        worker.terminate();
        worker.endedWell();
    }

    private void path108() throws Exception {
        Worker worker = engine.startAt(path(108));
        Client.expect(worker.exitCode() != 0, "the worker took a path of 108 bytes");
        Client.expect(worker.output().contains("108") && worker.output().contains("107"), "the numbers are not in " + worker.output());
        Client.expect(!Files.exists(Path.of(worker.connection)), "there is a file");
    }

    private void bothLoopbacks() throws Exception {
        Worker worker = engine.start();
        for (String host : Worker.loopbacks()) {
            Engine.echoes(worker.connect(host, builder -> builder));
        }
    }

    private void staleFile() throws Exception {
        Worker dead = engine.start();
        dead.connect();
        dead.process.destroyForcibly().waitFor();
        Client.expect(Files.exists(Path.of(dead.connection)), "no file was left to be replaced");
        Worker worker = engine.startAt(dead.connection);
        Engine.echoes(worker.connect());
        worker.terminate();
        worker.endedWell();
    }

    private void again() throws Exception {
        String connection = null;
        for (int i = 0; i < 3; i++) {
            Worker worker = engine.startAt(connection);
            connection = worker.connection;
            Engine.echoes(worker.connect());
            worker.terminate();
            worker.endedWell();
        }
    }

    private void fails() throws Exception {
        Worker taken = engine.start();
        Worker.Line line = taken.connect();
        Worker worker = engine.startAt(taken.connection);
        Client.expect(worker.exitCode() != 0, "two workers listen at " + worker.connection);
        String output = worker.output();
        Client.expect(output.contains(worker.connection) && (output.contains("listens") || output.contains("in use")), "no reason in " + output);
        Engine.echoes(line);
    }

    // ---- SIGTERM, with the connection open ----

    private void sigtermIdle() throws Exception {
        Worker worker = engine.start();
        Engine.echoes(worker.connect());
        long begin = System.nanoTime();
        worker.terminate();
        worker.endedWell();
        Client.expect(System.nanoTime() - begin < 1_000_000_000L, "an idle worker took " + (System.nanoTime() - begin) + " ns to end");
    }

    private void sigtermSessionEnds() throws Exception {
        Worker worker = engine.start();
        Execution execution = Engine.session(worker.connect(), "> Data a", "< Data a");
        worker.terminate();
        Steps.play(execution, "< nothing", "> Data b", "< Data b");
        Engine.finish(execution);
        worker.endedWell();
    }

    private void sigtermSessionTold() throws Exception {
        Worker worker = engine.start();
        Execution execution = Engine.session(worker.connect(), "> Data a", "< Data a");
        worker.terminate();
        Steps.play(execution, "< ErrorResponse WorkerError shutting down", "< CancelResponse", "< End");
        worker.endedWell();
    }

    private void sigtermStalled() throws Exception {
        Worker worker = engine.start();
        Execution execution = Engine.stalled(worker.connectNarrow());
        worker.terminate();
        worker.endedWell();
        execution.cancel();
    }

    // ---- The connection ----

    private void authorityOfAPath() throws Exception {
        Worker worker = engine.shared().worker;
        Engine.echoes(worker.connect("127.0.0.1", builder -> builder.overrideAuthority("%2Ftmp%2Fspark%2Fw-0123456789abcdef.sock")));
    }

    private void trailersBeforeHalfClose() throws Exception {
        Worker.Line line = engine.shared();
        Map<String, Long> before = ManageCases.heartbeat(line);
        for (int i = 0; i < 20; i++) {
            Execution execution = Engine.session(line, "> Data x", "< Data x");
            Engine.finish(execution);
            execution.cancel();
        }
        ManageCases.becomes(line, Map.of("finished", before.get("finished") + 20, "lost", before.get("lost"), "in_flight", before.get("in_flight")));
    }

    private void channelShutdown() throws Exception {
        Worker.Line line = engine.shared();
        for (int i = 0; i < 3; i++) {
            Worker.Line other = line.worker.connect();
            Engine.echoes(other);
            other.close();
        }
        Engine.echoes(line);
    }
}

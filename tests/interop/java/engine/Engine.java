/* An engine of Spark's UDF worker protocol on grpc-java, with Spark's channel settings: holds `tributary serve --connection` to each rule of
 * tests/interop/engine/rules.txt.
 *   Engine PLACE [RULE...]       PLACE: unix or tcp; without rules: all of the table that are for that place
 *   Engine --victim ADDRESS N    opens N sessions, and waits to be killed */
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

public final class Engine {
    static final int MIB = 1 << 20;
    static final String STALL = "6 " + MIB; /* more than a window, less than a session's budget */
    static final int THREADS = 32;
    private static final int SECONDS = 60;

    private final Map<String, Client.Case> inCode = new HashMap<>();
    private final String place;
    private Worker worker;
    private Worker.Line line;
    private Worker.Line narrow;

    private Engine(String place) {
        this.place = place;
        new LaunchCases(this).addTo(inCode);
        new SessionCases(this).addTo(inCode);
        new ManageCases(this).addTo(inCode);
        new FlowCases(this).addTo(inCode);
    }

    // ---- For the cases ----

    Worker start(String... flags) throws IOException {
        return new Worker(place, null, "echo", flags);
    }

    Worker startAt(String connection) throws IOException {
        return new Worker(place, connection, "echo");
    }

    Worker startOf(String serializer) throws IOException {
        return new Worker(place, null, serializer);
    }

    /* The worker that serves every rule which does not end one, and a connection to it. */
    synchronized Worker.Line shared() throws Exception {
        if (worker == null) {
            worker = start("--threads", Integer.toString(THREADS));
            line = worker.connect();
            narrow = worker.connectNarrow();
        }
        return line;
    }

    static Execution session(Worker.Line on, String... steps) throws Exception {
        Execution execution = new Execution(on);
        Steps.play(execution, "> Init", "< InitResponse");
        Steps.play(execution, steps);
        return execution;
    }

    static void finish(Execution execution) throws Exception {
        Steps.play(execution, "> Finish", "< FinishResponse status=ok", "< End");
    }

    static void echoes(Worker.Line on, String word) throws Exception {
        finish(session(on, "> Data " + word, "< Data " + word));
    }

    static void echoes(Worker.Line on) throws Exception {
        echoes(on, "hello");
    }

    /* A session whose UDF cannot go on, for its engine does not read. */
    static Execution stalled(Worker.Line on) throws Exception {
        return session(on, "> Stop", "> Series " + STALL);
    }

    static void release(Execution execution) throws Exception {
        Steps.play(execution, "> Read", "< Series " + STALL);
        finish(execution);
    }

    // ---- The table ----

    private void inSteps(List<String> steps) throws Exception {
        Worker.Line on = shared();
        Execution execution = new Execution(steps.contains("> Stop") ? narrow : on);
        try {
            Steps.play(execution, steps.toArray(new String[0]));
        } finally {
            execution.cancel();
        }
    }

    /* On a thread of its own, so that it ends in time. Null: it holds. */
    private String whyNot(Client.Case one) {
        if (one == null) {
            return "the engine does not cover it";
        }
        FutureTask<Void> task = new FutureTask<>(() -> {
            one.run();
            return null;
        });
        Thread thread = new Thread(task, "rule");
        thread.setDaemon(true);
        thread.start();
        try {
            task.get(SECONDS, TimeUnit.SECONDS);
            return null;
        } catch (ExecutionException e) {
            e.getCause().printStackTrace();
            return e.getCause().toString();
        } catch (InterruptedException | TimeoutException e) {
            Arrays.stream(thread.getStackTrace()).forEach(System.err::println);
            return "not done within " + SECONDS + " seconds";
        }
    }

    private boolean holds(Rules.Rule rule) {
        long begin = System.nanoTime();
        String reason = whyNot(rule.steps.isEmpty() ? inCode.get(rule.name) : () -> inSteps(rule.steps));
        if (reason == null) {
            System.out.printf("pass  %s (%.2f s)%n", rule.name, (System.nanoTime() - begin) / 1e9);
        } else {
            System.out.println("FAIL  " + rule.name + ": " + reason.replace('\n', ' '));
        }
        return reason == null;
    }

    private boolean run(List<Rules.Rule> rules, Set<String> wanted) {
        Set<String> strangers = new HashSet<>(inCode.keySet());
        boolean good = true;
        rules.stream().filter(rule -> rule.steps.isEmpty()).forEach(rule -> strangers.remove(rule.name));
        Client.expect(strangers.isEmpty(), "not in the table: " + strangers);
        for (Rules.Rule rule : rules) {
            if (rule.isFor(place) && (wanted.isEmpty() || wanted.contains(rule.name))) {
                good &= holds(rule);
            }
        }
        return good;
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("--victim")) {
            FlowCases.victim(arguments[1], Integer.parseInt(arguments[2]));
            return;
        }
        boolean good = false;
        try {
            List<Rules.Rule> rules = Rules.read(Path.of(System.getenv("TRIB_SRC"), "tests/interop/engine/rules.txt"));
            good = new Engine(arguments[0]).run(rules, new HashSet<>(Arrays.asList(arguments).subList(1, arguments.length)));
        } finally {
            Worker.closeAll();
        }
        System.exit(good ? 0 : 1);
    }
}

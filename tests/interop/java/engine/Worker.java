/* A worker started as Spark's engine starts one, and the channels to it. */
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

final class Worker {
    static final int MESSAGE_MAX = Sockets.MESSAGE_MAX;
    private static final long INITIALIZATION_NANOS = TimeUnit.SECONDS.toNanos(10);
    private static final int TERMINATION_MS = 5000;
    private static final Random RANDOM = new Random();
    private static final List<Worker> RUNNING = new ArrayList<>();

    /* One connection. */
    static final class Line {
        final Worker worker;
        final ManagedChannel channel;

        Line(Worker worker, ManagedChannel channel) {
            this.worker = worker;
            this.channel = channel;
        }

        void close() throws InterruptedException {
            channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
        }
    }

    final AtomicInteger executions = new AtomicInteger();
    final String connection;
    final String id;
    final Process process;
    private final Path log;
    private final List<Line> lines = new ArrayList<>();

    /* `connection` null: a new path, or a port that is free, as the place says. */
    Worker(String place, String connection, String serializer, String... flags) throws IOException {
        this.connection = connection != null ? connection : place.equals("unix") ? socketPath() : Integer.toString(freePort());
        id = "engine-" + Long.toHexString(RANDOM.nextLong());
        log = work().resolve(id + ".log");
        List<String> command = new ArrayList<>(List.of(System.getenv("TRIB_BUILD") + "/tributary", "serve", "--serializer", serializer));
        command.addAll(List.of(flags));
        command.addAll(List.of("--id", id, "--connection", this.connection));
        process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
        process.getOutputStream().close();
        synchronized (RUNNING) {
            RUNNING.add(this);
        }
    }

    /* What was not started here: only its address is known. */
    private Worker() {
        connection = "";
        id = "";
        process = null;
        log = null;
    }

    static Line lineTo(String address) {
        return new Line(new Worker(), Sockets.client(address).build());
    }

    /* A directory of this engine's, made when it is first needed. */
    private static final class Temporary {
        static final Path DIRECTORY = make();

        private static Path make() {
            try {
                return Files.createTempDirectory("trib-");
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    static Path work() {
        return Temporary.DIRECTORY;
    }

    private static String socketPath() throws IOException {
        Path directory = Files.createTempDirectory(work(), "d", PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        return directory.resolve(String.format("w-%016x.sock", RANDOM.nextLong())).toString();
    }

    /* The addresses that a port is bound on, as this machine has them. */
    static List<String> loopbacks() throws IOException {
        Path known = Path.of("/proc/net/if_inet6");
        boolean six = Files.exists(known) && Files.readAllLines(known).stream().anyMatch(line -> line.endsWith(" lo"));
        return six ? List.of("127.0.0.1", "[::1]") : List.of("127.0.0.1");
    }

    /* Below those that the system hands out. */
    private static int freePort() throws IOException {
        while (true) {
            int port = 20000 + RANDOM.nextInt(10000);
            try {
                for (String host : loopbacks()) {
                    new ServerSocket(port, 1, InetAddress.getByName(host)).close();
                }
                return port;
            } catch (java.net.BindException e) {
                continue;
            }
        }
    }

    boolean isPath() {
        return !connection.matches("[0-9]+");
    }

    String address(String host) {
        return isPath() ? "unix:" + connection : host + ":" + connection;
    }

    String output() throws IOException {
        return Files.readString(log);
    }

    long rss() throws IOException {
        String line = Files.readAllLines(Path.of("/proc/" + process.pid() + "/status")).stream().filter(one -> one.startsWith("VmRSS:")).findFirst().get();
        return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
    }

    // ---- Connections ----

    Line connect() throws Exception {
        return connect("127.0.0.1", builder -> builder);
    }

    /* One whose windows stay as they are. */
    Line connectNarrow() throws Exception {
        return connect("127.0.0.1", builder -> builder.flowControlWindow(1 << 20));
    }

    /* Ready: that of gRPC, not only a file. */
    Line connect(String host, UnaryOperator<NettyChannelBuilder> settings) throws Exception {
        long end = System.nanoTime() + INITIALIZATION_NANOS;
        while (isPath() && !Files.exists(Path.of(connection))) {
            expectLife(end);
            Thread.sleep(5);
        }
        Line line = new Line(this, settings.apply(Sockets.client(address(host))).build());
        synchronized (lines) {
            lines.add(line);
        }
        while (line.channel.getState(true) != ConnectivityState.READY) {
            expectLife(end);
            Thread.sleep(5);
            line.channel.resetConnectBackoff();
        }
        return line;
    }

    private void expectLife(long end) throws IOException {
        Client.expect(process.isAlive() && System.nanoTime() < end, "the worker is not ready: " + output());
    }

    // ---- The end ----

    void terminate() {
        process.destroy();
    }

    /* Ends in time by itself, or the rule is broken. */
    int exitCode() throws InterruptedException {
        Client.expect(process.waitFor(TERMINATION_MS, TimeUnit.MILLISECONDS), "the worker has not ended within " + TERMINATION_MS + " ms");
        return process.exitValue();
    }

    void endedWell() throws Exception {
        int code = exitCode();
        Client.expect(code == 0, "exit code " + code + ": " + output());
        Client.expect(!isPath() || !Files.exists(Path.of(connection)), "the socket's file is still there");
    }

    private void close() throws InterruptedException {
        for (Line line : lines) {
            line.close();
        }
        process.destroyForcibly().waitFor();
    }

    static void closeAll() throws Exception {
        for (Worker worker : RUNNING) {
            worker.close();
        }
        try (Stream<Path> files = Files.walk(work())) {
            files.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
        }
    }
}

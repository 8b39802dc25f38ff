/* grpc-java on Netty's epoll domain sockets as engine and worker of the benchmarks: direct executors, one event loop each, so that
 * nothing changes threads; generated messages; as engine Spark's channel (its windows, authority localhost) with 1 MiB of
 * SO_SNDBUF, as worker windows of 8 MiB. Calls count as ready up to 256 KiB.
 * The command line and the line of a result are those of bench/grpc/run. */
package tributary.bench;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.ServerCall;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.ProtoUtils;
import io.netty.channel.ChannelOption;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.logging.LogManager;

public final class Peer {
    private static final int SEND_BUFFER = 1 << 20;
    private static final int READY = 256 << 10;
    private static final int WORKER_WINDOW = 8 << 20;
    private static final int AT_ONCE = 64;
    private static final String SERVICE = "org.apache.spark.udf.worker.UdfWorker";
    private static final Metadata.Key<String> MODE = Metadata.Key.of("bench-mode", Metadata.ASCII_STRING_MARSHALLER);
    private static final MethodDescriptor<UdfRequest, UdfResponse> EXECUTE =
        MethodDescriptor.<UdfRequest, UdfResponse>newBuilder()
            .setType(MethodDescriptor.MethodType.BIDI_STREAMING)
            .setFullMethodName(SERVICE + "/Execute")
            .setRequestMarshaller(ProtoUtils.marshaller(UdfRequest.getDefaultInstance()))
            .setResponseMarshaller(ProtoUtils.marshaller(UdfResponse.getDefaultInstance()))
            .build();

    private Peer() {}

    private static UdfResponse response(ByteString data) {
        return UdfResponse.newBuilder().setData(DataResponse.newBuilder().setData(data)).build();
    }

    /* ---- Worker --------------------------------------------------------------------------------------------------- */

    private static final class Session extends ServerCall.Listener<UdfRequest> {
        private final ServerCall<UdfRequest, UdfResponse> call;
        private final boolean sink;
        private long total;

        Session(ServerCall<UdfRequest, UdfResponse> call, Metadata headers) {
            this.call = call;
            sink = "sink".equals(headers.get(MODE));
            call.setOnReadyThreshold(READY);
            call.sendHeaders(new Metadata());
            call.request(Integer.MAX_VALUE);
        }

        @Override
        public void onMessage(UdfRequest request) {
            ByteString data = request.getData().getData();
            total += data.size();
            if (!sink) {
                call.sendMessage(response(data));
            }
        }

        @Override
        public void onHalfClose() {
            if (sink) {
                byte[] bytes = new byte[8];
                ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(total);
                call.sendMessage(response(ByteString.copyFrom(bytes)));
            }
            call.close(Status.OK, new Metadata());
        }
    }

    private static void serve(String path) throws Exception {
        Files.deleteIfExists(Path.of(path));
        ServerServiceDefinition service =
            ServerServiceDefinition.builder(SERVICE).addMethod(EXECUTE, Session::new).build();
        NettyServerBuilder.forAddress(new DomainSocketAddress(path))
            .channelType(EpollServerDomainSocketChannel.class)
            .bossEventLoopGroup(new EpollEventLoopGroup(1))
            .workerEventLoopGroup(new EpollEventLoopGroup(1))
            .withChildOption(ChannelOption.SO_SNDBUF, SEND_BUFFER)
            .directExecutor()
            .flowControlWindow(WORKER_WINDOW)
            .maxInboundMessageSize(Integer.MAX_VALUE)
            .addService(service)
            .build()
            .start();
        System.out.println("ready");
        System.in.readAllBytes();
        Runtime.getRuntime().halt(0);
    }

    /* ---- Engine --------------------------------------------------------------------------------------------------- */

    private static final class Work {
        final ManagedChannel channel;
        final UdfRequest message;
        final int size;
        final long until;
        final AtomicLong messages = new AtomicLong();
        long p50;

        Work(ManagedChannel channel, int size, double seconds) {
            byte[] payload = new byte[size];
            Arrays.fill(payload, (byte) 'x');
            this.channel = channel;
            this.size = size;
            message = UdfRequest.newBuilder()
                .setData(DataRequest.newBuilder().setData(UnsafeByteOperations.unsafeWrap(payload)))
                .build();
            until = System.nanoTime() + (long) (seconds * 1e9);
        }

        boolean timeIsUp() {
            return System.nanoTime() - until >= 0;
        }
    }

    private static void die(String text) {
        System.err.println("peer: " + text);
        Runtime.getRuntime().halt(1);
    }

    /* A call, whose listener it is itself: everything runs on the event loop. */
    private abstract static class Call extends ClientCall.Listener<UdfResponse> {
        final Work work;
        final ClientCall<UdfRequest, UdfResponse> call;

        Call(Work work) {
            this.work = work;
            call = work.channel.newCall(EXECUTE, CallOptions.DEFAULT.withOnReadyThreshold(READY));
        }

        /* From here on the listener may be called, at once and on another thread. */
        void begin(String mode) {
            Metadata headers = new Metadata();
            headers.put(MODE, mode);
            call.start(this, headers);
            call.request(Integer.MAX_VALUE);
        }

        void send() {
            call.sendMessage(work.message);
        }

        void check(UdfResponse response) {
            if (response.getData().getData().size() != work.size) {
                die("not what was sent");
            }
        }

        abstract void ended();

        @Override
        public void onClose(Status status, Metadata trailers) {
            if (!status.isOk()) {
                die(status.toString());
            }
            ended();
        }
    }

    private static final class OneWay extends Call {
        private final CountDownLatch done;
        private final int step;
        private boolean closed;

        OneWay(Work work, CountDownLatch done) {
            super(work);
            this.done = done;
            step = Math.max(1, READY / work.size);
        }

        @Override
        public void onReady() {
            while (!closed && call.isReady()) {
                for (int i = 0; i < step && call.isReady(); i++) {
                    send();
                }
                if (work.timeIsUp()) {
                    closed = true;
                    call.halfClose();
                }
            }
        }

        @Override
        public void onMessage(UdfResponse response) {
            ByteBuffer answer = response.getData().getData().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
            work.messages.set(answer.getLong() / work.size);
        }

        @Override
        void ended() {
            done.countDown();
        }
    }

    /* Echo; with a window of one, ping-pong. */
    private static final class Echo extends Call {
        private final CountDownLatch done;
        private final boolean timed;
        private int window;
        private long[] trips = new long[1 << 16];
        private int count;
        private long before = System.nanoTime();
        private boolean closed;

        Echo(Work work, int window, CountDownLatch done) {
            super(work);
            this.done = done;
            timed = window == 1;
            this.window = window;
        }

        /* The first ones, on the event loop like all others. */
        @Override
        public void onReady() {
            for (; window > 0; window--) {
                send();
            }
        }

        @Override
        public void onMessage(UdfResponse response) {
            check(response);
            work.messages.incrementAndGet();
            if (timed) {
                long now = System.nanoTime();
                trips = count == trips.length ? Arrays.copyOf(trips, 2 * count) : trips;
                trips[count++] = now - before;
                before = now;
            }
            if (!work.timeIsUp()) {
                send();
            } else if (!closed) {
                closed = true;
                call.halfClose();
            }
        }

        @Override
        void ended() {
            Arrays.sort(trips, 0, count);
            work.p50 = trips[count / 2];
            done.countDown();
        }
    }

    private static final class OneOfMany extends Call {
        private final CountDownLatch done;

        OneOfMany(Work work, CountDownLatch done) {
            super(work);
            this.done = done;
        }

        void ask() {
            begin("echo");
            send();
            call.halfClose();
        }

        @Override
        public void onMessage(UdfResponse response) {
            check(response);
        }

        @Override
        void ended() {
            work.messages.incrementAndGet();
            if (work.timeIsUp()) {
                done.countDown();
            } else {
                new OneOfMany(work, done).ask();
            }
        }
    }

    private static void run(String mode, Work work) throws InterruptedException {
        CountDownLatch done = new CountDownLatch(mode.equals("streams") ? AT_ONCE : 1);
        switch (mode) {
            case "oneway" -> new OneWay(work, done).begin("sink");
            case "echo" -> new Echo(work, Math.max(1, Math.min(16, (32 << 20) / work.size)), done).begin("echo");
            case "pingpong" -> new Echo(work, 1, done).begin("echo");
            case "streams" -> {
                for (int i = 0; i < AT_ONCE; i++) {
                    new OneOfMany(work, done).ask();
                }
            }
            default -> die("--mode " + mode + ": not one of oneway, echo, pingpong, streams");
        }
        done.await();
    }

    private static long cpu() {
        var system = (com.sun.management.OperatingSystemMXBean) java.lang.management.ManagementFactory.getOperatingSystemMXBean();
        return system.getProcessCpuTime();
    }

    private static long resident() throws IOException {
        return Long.parseLong(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]) * 4096;
    }

    private static void measure(ManagedChannel channel, String mode, int size, double seconds) throws Exception {
        long start = System.nanoTime();
        long before = cpu();
        Work work = new Work(channel, size, seconds);
        run(mode, work);
        System.out.printf("bytes=%d messages=%d ns=%d cpu=%d rss=%d p50=%d%n", work.messages.get() * size, work.messages.get(),
            System.nanoTime() - start, cpu() - before, resident(), work.p50);
        System.out.flush();
    }

    private static void drive(String path, String[] arguments) throws Exception {
        ManagedChannel channel = NettyChannelBuilder.forAddress(new DomainSocketAddress(path))
            .channelType(EpollDomainSocketChannel.class)
            .eventLoopGroup(new EpollEventLoopGroup(1))
            .withOption(ChannelOption.SO_SNDBUF, SEND_BUFFER)
            .overrideAuthority("localhost")
            .usePlaintext()
            .directExecutor()
            .maxInboundMessageSize(Integer.MAX_VALUE)
            .build();
        String mode = null;
        int size = 64;
        double seconds = 1;
        for (int i = 2; i + 1 < arguments.length; i += 2) {
            switch (arguments[i]) {
                case "--mode" -> mode = arguments[i + 1];
                case "--size" -> size = Integer.parseInt(arguments[i + 1]);
                case "--seconds" -> seconds = Double.parseDouble(arguments[i + 1]);
                default -> die("unknown option " + arguments[i]);
            }
        }
        if (mode != null) {
            measure(channel, mode, size, seconds);
            return;
        }
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.trim().split(" ");
            measure(channel, words[0], Integer.parseInt(words[1]), Double.parseDouble(words[2]));
        }
    }

    public static void main(String[] arguments) throws Exception {
        LogManager.getLogManager().reset();
        String side = arguments.length >= 2 ? arguments[0] : "";
        if (side.equals("worker")) {
            serve(arguments[1]);
        } else if (side.equals("engine")) {
            drive(arguments[1], arguments);
        } else {
            die("usage: peer engine|worker PATH [--mode oneway|echo|pingpong|streams --size N --seconds S]");
        }
        Runtime.getRuntime().halt(0);
    }
}

/* A client of grpc-java with Spark's channel settings, and a relay in front of the server that writes down what both say.
 *   Record calls|worker LISTEN-PATH SERVER-PATH OUT
 * A record is a letter (C: the client said it, S: the server), a length (4 bytes, big-endian) and the bytes. What the server says is written down before the
 * client has it, so that what stands behind it may be an answer to it. */
import com.google.protobuf.ByteString;
import com.google.protobuf.CodedOutputStream;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public final class Record {
    private static final int PATIENCE_SECONDS = 20;

    private Record() {}

    // ---- The relay ----

    private static final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    private static void note(char who, ByteBuffer what) throws IOException {
        synchronized (bytes) {
            DataOutputStream out = new DataOutputStream(bytes);
            out.writeByte(who);
            out.writeInt(what.remaining());
            out.write(what.array(), 0, what.remaining());
        }
    }

    private static Thread pump(char who, SocketChannel from, SocketChannel to) {
        Thread thread = new Thread(() -> {
            ByteBuffer buffer = ByteBuffer.allocate(65536);
            try {
                while (from.read(buffer.clear()) >= 0) {
                    note(who, buffer.flip());
                    while (buffer.hasRemaining()) {
                        to.write(buffer);
                    }
                }
                to.shutdownOutput();
            } catch (IOException e) {
                // the other side has gone
            }
        });
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private static Thread relay(Path listen, Path server) throws IOException {
        ServerSocketChannel listening = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        listening.bind(UnixDomainSocketAddress.of(listen));
        Thread thread = new Thread(() -> {
            try {
                SocketChannel client = listening.accept();
                SocketChannel upstream = SocketChannel.open(UnixDomainSocketAddress.of(server));
                Thread up = pump('C', client, upstream);
                pump('S', upstream, client);
                up.join();
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    // ---- A call of bytes, and what came of it ----

    private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
        @Override
        public InputStream stream(byte[] value) {
            return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private static final class Talk extends ClientCall.Listener<byte[]> {
        private final BlockingQueue<Object> inbox = new LinkedBlockingQueue<>();
        private final ClientCall<byte[], byte[]> call;

        Talk(ManagedChannel channel, String path, CallOptions options, Metadata metadata) {
            MethodDescriptor<byte[], byte[]> method = MethodDescriptor.<byte[], byte[]>newBuilder()
                    .setType(MethodDescriptor.MethodType.BIDI_STREAMING)
                    .setFullMethodName(path)
                    .setRequestMarshaller(new Bytes())
                    .setResponseMarshaller(new Bytes())
                    .build();
            call = channel.newCall(method, options);
            call.start(this, metadata);
            call.request(1000);
        }

        Talk(ManagedChannel channel, String path) {
            this(channel, path, CallOptions.DEFAULT, new Metadata());
        }

        @Override
        public void onMessage(byte[] message) {
            inbox.add(message);
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            inbox.add(status);
        }

        private Object next() throws InterruptedException {
            Object next = inbox.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
            if (next == null) {
                throw new IllegalStateException("nothing came for " + PATIENCE_SECONDS + " s");
            }
            return next;
        }

        Talk say(byte[]... messages) {
            for (byte[] message : messages) {
                call.sendMessage(message);
            }
            return this;
        }

        Talk close() {
            call.halfClose();
            return this;
        }

        Talk hear(int count) throws InterruptedException {
            for (int i = 0; i < count; i++) {
                if (!(next() instanceof byte[])) {
                    throw new IllegalStateException("the call ended instead of a message");
                }
            }
            return this;
        }

        void end(Status.Code code) throws InterruptedException {
            Object last = next();
            while (last instanceof byte[]) {
                last = next();
            }
            if (((Status) last).getCode() != code) {
                throw new IllegalStateException("ended with " + last + ", not " + code);
            }
        }

        void cancel() throws InterruptedException {
            call.cancel("changed my mind", null);
            end(Status.Code.CANCELLED);
        }
    }

    private static byte[] text(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /* Without a period that could hide a shift. */
    private static byte[] pattern(int size) {
        byte[] pattern = new byte[size];
        for (int i = 0; i < size; i++) {
            pattern[i] = (byte) ((i * 0x9e3779b1) >>> 13);
        }
        return pattern;
    }

    // ---- Calls of tests/test_grpc_replay.c ----

    private static void calls(ManagedChannel channel) throws Exception {
        new Talk(channel, "test/Echo").say(text("hello")).close().end(Status.Code.OK);

        Metadata metadata = new Metadata();
        metadata.put(Metadata.Key.of("echo", Metadata.ASCII_STRING_MARSHALLER), "some text");
        metadata.put(Metadata.Key.of("echo-bin", Metadata.BINARY_BYTE_MARSHALLER), new byte[] {0, 1, (byte) 255});
        metadata.put(Metadata.Key.of("trail-bin", Metadata.BINARY_BYTE_MARSHALLER), text("at the end"));
        new Talk(channel, "test/Echo", CallOptions.DEFAULT, metadata).say(text("with metadata")).close().end(Status.Code.OK);

        Talk talk = new Talk(channel, "test/Echo");
        for (int i = 0; i < 3; i++) {
            talk.say(text("ping " + i)).hear(1);
        }
        talk.close().end(Status.Code.OK);
        new Talk(channel, "test/Echo").say(text("one"), text(""), text("three"), text("four")).close().hear(4).end(Status.Code.OK);
        new Talk(channel, "test/Echo").close().end(Status.Code.OK);
        new Talk(channel, "test/Echo").say(pattern(3000)).close().end(Status.Code.OK);
        new Talk(channel, "test/Echo", CallOptions.DEFAULT.withCompression("gzip"), new Metadata())
                .say(new byte[500]).close().end(Status.Code.OK);
        new Talk(channel, "test/Echo", CallOptions.DEFAULT.withDeadlineAfter(5, TimeUnit.MINUTES), new Metadata())
                .say(text("in time")).close().end(Status.Code.OK);

        metadata = new Metadata();
        metadata.put(Metadata.Key.of("status", Metadata.ASCII_STRING_MARSHALLER), "9");
        metadata.put(Metadata.Key.of("text-bin", Metadata.BINARY_BYTE_MARSHALLER), text("not \u00fcntil 5 %\0"));
        new Talk(channel, "test/Status", CallOptions.DEFAULT, metadata).end(Status.Code.FAILED_PRECONDITION);
        new Talk(channel, "test/Nothing").say(text("anybody?")).close().end(Status.Code.UNIMPLEMENTED);

        Talk other = new Talk(channel, "test/Echo");
        talk = new Talk(channel, "test/Echo");
        other.say(text("other"));
        talk.say(text("one")).hear(1);
        talk.cancel();
        other.say(text("goes on")).hear(2).close().end(Status.Code.OK);
    }

    // ---- Spark's worker protocol ----

    private static byte[] field(int number, byte[] value) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        CodedOutputStream coded = CodedOutputStream.newInstance(out);
        coded.writeBytes(number, ByteString.copyFrom(value));
        coded.flush();
        return out.toByteArray();
    }

    private static byte[] number(int number, long value) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        CodedOutputStream coded = CodedOutputStream.newInstance(out);
        coded.writeUInt64(number, value);
        coded.flush();
        return out.toByteArray();
    }

    private static byte[] join(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }

    private static byte[] init(String payload, boolean chunks) throws IOException {
        byte[] udf = join(chunks ? new byte[0] : field(1, text(payload)), field(2, text("test")), number(3, payload.length()), field(4, text("echo")));
        byte[] conf = field(8, join(field(1, text("spark.sql.session.timeZone")), field(2, text("UTC"))));
        return field(1, field(1, join(number(1, 1), number(2, 1), field(3, udf), chunks ? number(4, 1) : new byte[0], conf, field(9, text("UTC")))));
    }

    private static byte[] data(byte[] bytes) throws IOException {
        return field(2, field(1, bytes));
    }

    private static byte[] chunk(String text, boolean last) throws IOException {
        return field(1, field(2, join(field(1, text(text)), last ? number(2, 1) : new byte[0])));
    }

    private static byte[] finish() throws IOException {
        return field(1, field(3, new byte[0]));
    }

    private static void worker(ManagedChannel channel) throws Exception {
        String service = "org.apache.spark.udf.worker.UdfWorker/";
        byte[] heartbeat = field(1, new byte[0]);

        new Talk(channel, service + "Manage").say(heartbeat).close().hear(1).end(Status.Code.OK);

        Talk talk = new Talk(channel, service + "Execute").say(init("echo", false)).hear(1);
        for (int size : new int[] {5, 2000, 0}) {
            talk.say(data(pattern(size))).hear(1);
        }
        talk.say(data(text("one")), data(text("two")), finish()).hear(3).close().end(Status.Code.OK);

        talk = new Talk(channel, service + "Execute").say(init("in chunks", true), chunk("in ", false), chunk("chunks", true)).hear(1);
        talk.say(data(text("and then"))).hear(1);
        talk.say(field(1, field(4, field(1, text("not needed"))))).hear(1).close().end(Status.Code.OK);

        talk = new Talk(channel, service + "Execute").say(data(text("too early"))).hear(2);
        talk.close().end(Status.Code.OK);

        Talk other = new Talk(channel, service + "Execute").say(init("echo", false)).hear(1);
        talk = new Talk(channel, service + "Execute").say(init("echo", false)).hear(1);
        other.say(data(text("other"))).hear(1);
        talk.say(data(text("one"))).hear(1);
        talk.cancel();
        other.say(data(text("goes on")), finish()).hear(2).close().end(Status.Code.OK);

        new Talk(channel, service + "Nothing").say(text("anybody?")).close().end(Status.Code.UNIMPLEMENTED);
        new Talk(channel, service + "Manage").say(heartbeat).close().hear(1).end(Status.Code.OK);
    }

    // ---- All of it ----

    public static void main(String[] arguments) throws Exception {
        Thread relay = relay(Path.of(arguments[1]), Path.of(arguments[2]));
        ManagedChannel channel = NettyChannelBuilder.forAddress(new DomainSocketAddress(arguments[1]))
                .channelType(EpollDomainSocketChannel.class)
                .eventLoopGroup(new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory()))
                .overrideAuthority("localhost")
                .usePlaintext()
                .directExecutor()
                .maxInboundMessageSize(Integer.MAX_VALUE)
                .build();
        if (arguments[0].equals("calls")) {
            calls(channel);
        } else {
            worker(channel);
        }
        channel.shutdown().awaitTermination(PATIENCE_SECONDS, TimeUnit.SECONDS);
        relay.join(PATIENCE_SECONDS * 1000L);
        synchronized (bytes) {
            Files.write(Path.of(arguments[3]), bytes.toByteArray());
        }
        Runtime.getRuntime().halt(0);
    }
}

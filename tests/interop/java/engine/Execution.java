/* One Execute stream, of bytes: what is said, and what has come. */
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

final class Execution extends ClientCall.Listener<byte[]> {
    static final int PATIENCE_MS = 15000;
    private static final String SERVICE = "org.apache.spark.udf.worker.UdfWorker";
    private static final MethodDescriptor.Marshaller<byte[]> BYTES = new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] message) {
            return new ByteArrayInputStream(message);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    };
    static final MethodDescriptor<byte[], byte[]> EXECUTE = method(MethodDescriptor.MethodType.BIDI_STREAMING, "Execute");
    static final MethodDescriptor<byte[], byte[]> MANAGE = method(MethodDescriptor.MethodType.UNARY, "Manage");

    /* What comes: byte[], and in the end a Status. */
    private final BlockingQueue<Object> responses = new LinkedBlockingQueue<>();
    private final Worker.Line line;
    private final ClientCall<byte[], byte[]> call;
    private final Deque<byte[]> held = new ArrayDeque<>(); /* what was asked for before reading was stopped */
    private boolean reading = true;
    private boolean ended;
    private boolean halfClosed;
    private Object ahead;

    Execution(Worker.Line line) {
        this.line = line;
        line.worker.executions.incrementAndGet();
        call = line.channel.newCall(EXECUTE, CallOptions.DEFAULT);
        call.start(this, new Metadata());
        call.request(1);
    }

    private static MethodDescriptor<byte[], byte[]> method(MethodDescriptor.MethodType type, String name) {
        return MethodDescriptor.newBuilder(BYTES, BYTES)
                .setType(type)
                .setFullMethodName(MethodDescriptor.generateFullMethodName(SERVICE, name))
                .build();
    }

    @Override
    public synchronized void onMessage(byte[] message) {
        if (reading) {
            responses.add(message);
            call.request(1);
        } else {
            held.add(message);
        }
    }

    @Override
    public synchronized void onClose(Status status, Metadata trailers) {
        ended = true;
        responses.add(status);
    }

    synchronized void stop() {
        reading = false;
    }

    synchronized void read() {
        reading = true;
        while (!held.isEmpty()) {
            responses.add(held.remove());
            call.request(1);
        }
    }

    /* As Spark's engine: without asking whether the stream takes more. What is said after the end of a call is nobody's. */
    void send(byte[] request) {
        if (!isEnded()) {
            call.sendMessage(request);
        }
    }

    private synchronized boolean isEnded() {
        return ended;
    }

    boolean isReady() {
        return call.isReady();
    }

    void halfClose() throws InterruptedException {
        if (!isEnded()) {
            written();
            halfClosed = true;
            call.halfClose();
        }
    }

    /* Until next to nothing waits in the client. */
    private void written() throws InterruptedException {
        for (int i = 0; !halfClosed && !isEnded() && !call.isReady(); i++) {
            Client.expect(i < PATIENCE_MS, "the worker does not take what was said");
            Thread.sleep(1);
        }
    }

    /* Until the worker has all that was said: Heartbeat comes behind it on the same connection. */
    void settle() throws Exception {
        written();
        ManageCases.heartbeat(line);
    }

    void cancel() {
        call.cancel("the engine has had enough", null);
    }

    /* byte[], Status, or null where nothing comes in time. */
    Object next(int milliseconds) throws InterruptedException {
        Object found = ahead;
        ahead = null;
        return found != null ? found : responses.poll(milliseconds, TimeUnit.MILLISECONDS);
    }

    void putBack(Object response) {
        ahead = response;
    }
}

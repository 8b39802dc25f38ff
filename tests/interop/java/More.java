/* What the official cases leave out: large messages in each kind of call, many streams, and ends seen from both sides. */
import com.google.protobuf.ByteString;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import io.grpc.testing.integration.EmptyProtos.Empty;
import io.grpc.testing.integration.Messages.EchoStatus;
import io.grpc.testing.integration.Messages.Payload;
import io.grpc.testing.integration.Messages.ResponseParameters;
import io.grpc.testing.integration.Messages.SimpleRequest;
import io.grpc.testing.integration.Messages.SimpleResponse;
import io.grpc.testing.integration.Messages.StreamingInputCallRequest;
import io.grpc.testing.integration.Messages.StreamingInputCallResponse;
import io.grpc.testing.integration.Messages.StreamingOutputCallRequest;
import io.grpc.testing.integration.Messages.StreamingOutputCallResponse;
import io.grpc.testing.integration.TestServiceGrpc;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

final class More {
    private static final int[] SIZES = {0, 1, 5 << 20, 64 << 20};
    private static final int STREAMS = 1000;
    private static final Metadata.Key<String> CANCELLED = Metadata.Key.of("x-cancelled", Metadata.ASCII_STRING_MARSHALLER);

    private final String address;
    private final long pid;

    More(String address, long pid) {
        this.address = address;
        this.pid = pid;
    }

    private interface Body {
        void run(ManagedChannel channel) throws Exception;
    }

    private void onChannel(Body body) throws Exception {
        ManagedChannel channel = Sockets.client(address).build();
        try {
            body.run(channel);
        } finally {
            channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS);
        }
    }

    private static Payload payload(int size) {
        return Payload.newBuilder().setBody(ByteString.copyFrom(new byte[size])).build();
    }

    private static StreamingOutputCallRequest request(int size, int... responses) {
        StreamingOutputCallRequest.Builder builder = StreamingOutputCallRequest.newBuilder().setPayload(payload(size));
        for (int response : responses) {
            builder.addResponseParameters(ResponseParameters.newBuilder().setSize(response));
        }
        return builder.build();
    }

    /* What came on a stream, in order; the end is a Status. */
    private static final class Inbox<T> implements StreamObserver<T> {
        private final BlockingQueue<Object> queue = new LinkedBlockingQueue<>();

        @Override
        public void onNext(T message) {
            queue.add(message);
        }

        @Override
        public void onError(Throwable error) {
            queue.add(Status.fromThrowable(error));
        }

        @Override
        public void onCompleted() {
            queue.add(Status.OK);
        }

        @SuppressWarnings("unchecked")
        T message() throws Exception {
            Object item = queue.poll(50, TimeUnit.SECONDS);
            Client.expect(item != null && !(item instanceof Status), "a message was expected, not " + item);
            return (T) item;
        }

        void end(Status.Code code) throws Exception {
            Object item = queue.poll(50, TimeUnit.SECONDS);
            Client.expect(item instanceof Status && ((Status) item).getCode() == code, code + " was expected, not " + item);
        }
    }

    private static final class Duplex {
        final Inbox<StreamingOutputCallResponse> in = new Inbox<>();
        final StreamObserver<StreamingOutputCallRequest> out;

        Duplex(ManagedChannel channel) {
            out = TestServiceGrpc.newStub(channel).fullDuplexCall(in);
        }

        void exchange(int size) throws Exception {
            out.onNext(request(size, size));
            Client.expectZeros(in.message().getPayload().getBody(), size);
        }

        void close() throws Exception {
            out.onCompleted();
            in.end(Status.Code.OK);
        }
    }

    // ---- Messages of all sizes, in each kind of call ----

    void sizesUnary() throws Exception {
        onChannel(channel -> {
            for (int size : SIZES) {
                SimpleRequest request = SimpleRequest.newBuilder().setPayload(payload(size)).setResponseSize(size).build();
                SimpleResponse response = TestServiceGrpc.newBlockingStub(channel).unaryCall(request);
                Client.expectZeros(response.getPayload().getBody(), size);
            }
        });
    }

    void sizesClientStreaming() throws Exception {
        onChannel(channel -> {
            Inbox<StreamingInputCallResponse> in = new Inbox<>();
            StreamObserver<StreamingInputCallRequest> out = TestServiceGrpc.newStub(channel).streamingInputCall(in);
            int total = 0;
            for (int size : SIZES) {
                out.onNext(StreamingInputCallRequest.newBuilder().setPayload(payload(size)).build());
                total += size;
            }
            out.onCompleted();
            int counted = in.message().getAggregatedPayloadSize();
            Client.expect(counted == total, "the server counted " + counted + " bytes, " + total + " were sent");
            in.end(Status.Code.OK);
        });
    }

    void sizesServerStreaming() throws Exception {
        onChannel(channel -> {
            Iterator<StreamingOutputCallResponse> responses = TestServiceGrpc.newBlockingStub(channel).streamingOutputCall(request(0, SIZES));
            for (int size : SIZES) {
                Client.expectZeros(responses.next().getPayload().getBody(), size);
            }
            Client.expect(!responses.hasNext(), "a message came after the last");
        });
    }

    void sizesBidi() throws Exception {
        onChannel(channel -> {
            Duplex duplex = new Duplex(channel);
            for (int size : SIZES) {
                duplex.exchange(size);
            }
            duplex.close();
        });
    }

    /* All open at once on one connection; each has a message on its way before the first response is read. */
    void streams1000() throws Exception {
        onChannel(channel -> {
            List<Duplex> all = new ArrayList<>();
            for (int i = 0; i < STREAMS; i++) {
                Duplex duplex = new Duplex(channel);
                duplex.out.onNext(request(i, STREAMS - i));
                all.add(duplex);
            }
            for (int i = 0; i < STREAMS; i++) {
                Client.expectZeros(all.get(i).in.message().getPayload().getBody(), STREAMS - i);
            }
            for (Duplex duplex : all) {
                duplex.close();
            }
        });
    }

    // ---- Ends, as both sides see them ----

    private static int cancelledCalls(ManagedChannel channel) {
        AtomicReference<Metadata> headers = new AtomicReference<>();
        AtomicReference<Metadata> trailers = new AtomicReference<>();
        TestServiceGrpc.newBlockingStub(channel)
                .withInterceptors(MetadataUtils.newCaptureMetadataInterceptor(headers, trailers))
                .emptyCall(Empty.getDefaultInstance());
        String count = trailers.get().get(CANCELLED);
        Client.expect(count != null, "the server does not say how many calls were cancelled");
        return Integer.parseInt(count);
    }

    private static void serverSawOneMore(ManagedChannel channel, int before) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (cancelledCalls(channel) <= before) {
            Client.expect(System.nanoTime() < end, "the server did not see within 10 s that the call had ended");
            Thread.sleep(10);
        }
    }

    void deadline() throws Exception {
        onChannel(channel -> {
            int before = cancelledCalls(channel);
            Inbox<StreamingOutputCallResponse> in = new Inbox<>();
            StreamObserver<StreamingOutputCallRequest> out =
                    TestServiceGrpc.newStub(channel).withDeadlineAfter(200, TimeUnit.MILLISECONDS).fullDuplexCall(in);
            out.onNext(request(10, 10));
            in.message();
            in.end(Status.Code.DEADLINE_EXCEEDED);
            serverSawOneMore(channel, before);
        });
    }

    void cancelByClient() throws Exception {
        onChannel(channel -> {
            int before = cancelledCalls(channel);
            Context.CancellableContext context = Context.current().withCancellation();
            AtomicReference<Duplex> duplex = new AtomicReference<>();
            context.run(() -> duplex.set(new Duplex(channel)));
            duplex.get().exchange(10);
            context.cancel(null);
            duplex.get().in.end(Status.Code.CANCELLED);
            serverSawOneMore(channel, before);
        });
    }

    void cancelByServer() throws Exception {
        onChannel(channel -> {
            Duplex duplex = new Duplex(channel);
            duplex.exchange(10);
            duplex.out.onNext(StreamingOutputCallRequest.newBuilder()
                    .setResponseStatus(EchoStatus.newBuilder().setCode(1).setMessage("reset")).build());
            duplex.in.end(Status.Code.CANCELLED);
        });
    }

    /* The server is asked to end while a call is open: that one goes on, new ones are refused. */
    void gracefulShutdown() throws Exception {
        onChannel(channel -> {
            Duplex duplex = new Duplex(channel);
            duplex.exchange(10);
            new ProcessBuilder("kill", "-TERM", Long.toString(pid)).start().waitFor();
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
            for (boolean refused = false; !refused; Thread.sleep(10)) {
                Client.expect(System.nanoTime() < end, "the server still takes new calls 10 s after SIGTERM");
                try {
                    TestServiceGrpc.newBlockingStub(channel).emptyCall(Empty.getDefaultInstance());
                } catch (StatusRuntimeException e) {
                    Client.expect(e.getStatus().getCode() == Status.Code.UNAVAILABLE, "a new call got " + e.getStatus());
                    refused = true;
                }
            }
            duplex.exchange(5 << 20);
            duplex.close();
        });
    }
}

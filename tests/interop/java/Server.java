/* grpc-java's own test service on a Unix socket, and what our client's cases ask beyond it.
 *   Server ADDRESS      prints a line once it listens; ends at SIGTERM, when the last call has */
import com.google.protobuf.ByteString;
import io.grpc.Context;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.ServerStreamTracer;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.grpc.testing.integration.Messages.Payload;
import io.grpc.testing.integration.Messages.ResponseParameters;
import io.grpc.testing.integration.Messages.SimpleRequest;
import io.grpc.testing.integration.Messages.SimpleResponse;
import io.grpc.testing.integration.Messages.StreamingInputCallRequest;
import io.grpc.testing.integration.Messages.StreamingInputCallResponse;
import io.grpc.testing.integration.Messages.StreamingOutputCallRequest;
import io.grpc.testing.integration.Messages.StreamingOutputCallResponse;
import io.grpc.testing.integration.TestServiceImpl;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.atomic.AtomicInteger;

public final class Server {
    private static final Metadata.Key<String> CANCELLED = Metadata.Key.of("x-cancelled", Metadata.ASCII_STRING_MARSHALLER);

    private Server() {}

    /* Counts the calls that their clients ended, and tells how many in the trailers of EmptyCall. */
    private static final class Counter implements ServerInterceptor {
        private final AtomicInteger cancelled = new AtomicInteger();

        @Override
        public <Q, A> ServerCall.Listener<Q> interceptCall(ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
            ServerCall<Q, A> counted = new SimpleForwardingServerCall<Q, A>(call) {
                @Override
                public void close(Status status, Metadata trailers) {
                    if (getMethodDescriptor().getBareMethodName().equals("EmptyCall")) {
                        trailers.put(CANCELLED, Integer.toString(cancelled.get()));
                    }
                    super.close(status, trailers);
                }
            };
            return new SimpleForwardingServerCallListener<Q>(next.startCall(counted, headers)) {
                @Override
                public void onCancel() {
                    cancelled.incrementAndGet();
                    super.onCancel();
                }
            };
        }
    }

    /* Knows of a call whether its last message came compressed: then its size is not known before it is unpacked. */
    private static final class Tracer extends ServerStreamTracer {
        static final Context.Key<Tracer> KEY = Context.key("tracer");
        volatile boolean compressed;

        @Override
        public Context filterContext(Context context) {
            return context.withValue(KEY, this);
        }

        @Override
        public void inboundMessageRead(int number, long wireSize, long uncompressedSize) {
            compressed = uncompressedSize < 0;
        }
    }

    /* Looks at compression, and compresses single messages, which grpc-java's service does not. */
    private static final class Service extends TestServiceImpl {
        Service(ScheduledExecutorService timer) {
            super(timer);
        }

        private static StatusRuntimeException refusal() {
            return Status.INVALID_ARGUMENT.withDescription("the message is not compressed as announced").asRuntimeException();
        }

        @Override
        public void unaryCall(SimpleRequest request, StreamObserver<SimpleResponse> responses) {
            if (request.hasExpectCompressed() && request.getExpectCompressed().getValue() != Tracer.KEY.get().compressed) {
                responses.onError(refusal());
                return;
            }
            super.unaryCall(request, responses);
        }

        @Override
        public StreamObserver<StreamingInputCallRequest> streamingInputCall(StreamObserver<StreamingInputCallResponse> responses) {
            StreamObserver<StreamingInputCallRequest> counting = super.streamingInputCall(responses);
            Tracer tracer = Tracer.KEY.get();
            return new StreamObserver<StreamingInputCallRequest>() {
                private boolean refused;

                @Override
                public void onNext(StreamingInputCallRequest request) {
                    if (!refused && request.hasExpectCompressed() && request.getExpectCompressed().getValue() != tracer.compressed) {
                        refused = true;
                        responses.onError(refusal());
                    }
                    counting.onNext(request);
                }

                @Override
                public void onError(Throwable error) {
                    counting.onError(error);
                }

                @Override
                public void onCompleted() {
                    if (!refused) {
                        counting.onCompleted();
                    }
                }
            };
        }

        @Override
        public void streamingOutputCall(StreamingOutputCallRequest request, StreamObserver<StreamingOutputCallResponse> responses) {
            ServerCallStreamObserver<StreamingOutputCallResponse> observer = (ServerCallStreamObserver<StreamingOutputCallResponse>) responses;
            if (!request.getResponseParametersList().stream().anyMatch(size -> size.getCompressed().getValue())) {
                super.streamingOutputCall(request, responses);
                return;
            }
            observer.setCompression("gzip");
            for (ResponseParameters size : request.getResponseParametersList()) {
                observer.setMessageCompression(size.getCompressed().getValue());
                observer.onNext(StreamingOutputCallResponse.newBuilder()
                        .setPayload(Payload.newBuilder().setBody(ByteString.copyFrom(new byte[size.getSize()]))).build());
            }
            observer.onCompleted();
        }
    }

    public static void main(String[] arguments) throws Exception {
        ScheduledExecutorService timer = Executors.newScheduledThreadPool(2);
        io.grpc.Server server = Sockets.server(arguments[0])
                .addService(ServerInterceptors.intercept(new Service(timer), TestServiceImpl.interceptors()))
                .intercept(new Counter())
                .addStreamTracerFactory(new ServerStreamTracer.Factory() {
                    @Override
                    public ServerStreamTracer newServerStreamTracer(String method, Metadata headers) {
                        return new Tracer();
                    }
                })
                .build()
                .start();
        sun.misc.Signal.handle(new sun.misc.Signal("TERM"), signal -> server.shutdown());
        System.out.println("listening at " + arguments[0]);
        server.awaitTermination();
        System.exit(0);
    }
}

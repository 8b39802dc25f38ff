/* grpc-java's own test cases on a Unix socket, and those beyond them that our client has too (tests/interop/grpc/client_more.c).
 *   Client ADDRESS PID CASE...      a line "pass  CASE" or "FAIL  CASE: reason" for each; PID is that of the server */
import com.google.protobuf.ByteString;
import io.grpc.ClientInterceptor;
import io.grpc.ManagedChannelBuilder;
import io.grpc.testing.integration.AbstractInteropTest;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;

public final class Client {
    interface Case {
        void run() throws Exception;
    }

    /* The official cases, each on a channel of its own. */
    private static final class Official extends AbstractInteropTest {
        private final String address;

        Official(String address) {
            this.address = address;
        }

        @Override
        protected ManagedChannelBuilder<?> createChannelBuilder() {
            return Sockets.client(address);
        }

        @Override
        protected boolean metricsExpected() {
            return false;
        }

        @Override
        protected ClientInterceptor[] getAdditionalInterceptors() {
            return null;
        }

        @Override
        protected int operationTimeoutMillis() {
            return 30000;
        }
    }

    private final Map<String, Case> cases = new HashMap<>();

    private interface OfficialCase {
        void run(Official official) throws Exception;
    }

    private final String address;

    private Client(String address, long pid) {
        More more = new More(address, pid);
        this.address = address;
        add("empty_unary", Official::emptyUnary);
        add("large_unary", Official::largeUnary);
        add("client_streaming", Official::clientStreaming);
        add("server_streaming", Official::serverStreaming);
        add("ping_pong", Official::pingPong);
        add("empty_stream", Official::emptyStream);
        add("client_compressed_unary", official -> official.clientCompressedUnary(true));
        add("server_compressed_unary", Official::serverCompressedUnary);
        add("client_compressed_streaming", official -> official.clientCompressedStreaming(true));
        add("server_compressed_streaming", Official::serverCompressedStreaming);
        add("timeout_on_sleeping_server", Official::timeoutOnSleepingServer);
        add("cancel_after_begin", Official::cancelAfterBegin);
        add("cancel_after_first_response", Official::cancelAfterFirstResponse);
        add("status_code_and_message", Official::statusCodeAndMessage);
        add("special_status_message", Official::specialStatusMessage);
        add("custom_metadata", Official::customMetadata);
        add("unimplemented_method", Official::unimplementedMethod);
        add("unimplemented_service", Official::unimplementedService);
        add("half_duplex", Official::halfDuplexCallShouldSucceed);
        add("flow_controlled", Official::serverStreamingShouldBeFlowControlled);
        add("deadline_exceeded_streaming", Official::deadlineExceededServerStreaming);
        cases.put("sizes_unary", more::sizesUnary);
        cases.put("sizes_client_streaming", more::sizesClientStreaming);
        cases.put("sizes_server_streaming", more::sizesServerStreaming);
        cases.put("sizes_bidi", more::sizesBidi);
        cases.put("streams_1000", more::streams1000);
        cases.put("deadline", more::deadline);
        cases.put("cancel_by_client", more::cancelByClient);
        cases.put("cancel_by_server", more::cancelByServer);
        cases.put("graceful_shutdown", more::gracefulShutdown);
    }

    private void add(String name, OfficialCase one) {
        cases.put(name, () -> {
            Official official = new Official(address);
            official.setUp();
            try {
                one.run(official);
            } finally {
                official.tearDown();
            }
        });
    }

    /* On a thread of its own, so that it ends in time. */
    private boolean passes(String name) {
        Case one = cases.get(name);
        String reason = "no such case";
        if (one != null) {
            FutureTask<Void> task = new FutureTask<>(() -> {
                one.run();
                return null;
            });
            Thread thread = new Thread(task, name);
            thread.setDaemon(true);
            thread.start();
            try {
                task.get(60, TimeUnit.SECONDS);
                System.out.println("pass  " + name);
                return true;
            } catch (ExecutionException e) {
                reason = e.getCause().toString();
                e.getCause().printStackTrace();
            } catch (Exception e) {
                reason = "not done within 60 seconds";
            }
        }
        System.out.println("FAIL  " + name + ": " + reason.replace('\n', ' '));
        return false;
    }

    public static void main(String[] arguments) {
        Client client = new Client(arguments[0], Long.parseLong(arguments[1]));
        boolean good = true;
        for (int i = 2; i < arguments.length; i++) {
            good &= client.passes(arguments[i]);
        }
        System.exit(good ? 0 : 1);
    }

    static void expect(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static void expectZeros(ByteString body, int size) {
        expect(body.size() == size, "a payload of " + body.size() + " bytes came, " + size + " were expected");
        for (int i = 0; i < size; i++) {
            if (body.byteAt(i) != 0) {
                throw new AssertionError("byte " + i + " of a payload is not zero");
            }
        }
    }
}

/* A UdfResponse as both revisions of the protocol read it. */
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.InvalidProtocolBufferException;
import first.First;
import io.grpc.Status;
import java.util.Map;
import later.Later;

final class Response {
    static final class Error {
        final String kind;
        final String message;
        final String errorClass;

        Error(String kind, String message, String errorClass) {
            this.kind = kind;
            this.message = message;
            this.errorClass = errorClass;
        }
    }

    final String name;
    private final Later.UdfResponse later;
    private final First.UdfResponse first;

    Response(byte[] content) throws InvalidProtocolBufferException {
        later = Later.UdfResponse.parseFrom(content);
        first = First.UdfResponse.parseFrom(content);
        name = nameOf(later);
    }

    private static String nameOf(Later.UdfResponse response) {
        if (response.hasData()) {
            return "Data";
        }
        switch (response.getControl().getControlCase()) {
            case INIT:
                return "InitResponse";
            case FINISH:
                return "FinishResponse";
            case CANCEL:
                return "CancelResponse";
            case ERROR:
                return "ErrorResponse";
            default:
                return "an empty response";
        }
    }

    boolean isTerminator() {
        return later.getControl().hasFinish() || later.getControl().hasCancel();
    }

    byte[] data() {
        return later.getData().getData().toByteArray();
    }

    // ---- The error ----

    private boolean hasError() {
        Later.UdfControlResponse control = later.getControl();
        return control.getInit().hasError() || control.getFinish().hasError() || control.getCancel().hasError() || control.getError().hasError();
    }

    private Later.ExecutionError rawError() {
        Later.UdfControlResponse control = later.getControl();
        switch (control.getControlCase()) {
            case INIT:
                return control.getInit().getError();
            case FINISH:
                return control.getFinish().getError();
            case CANCEL:
                return control.getCancel().getError();
            default:
                return control.getError().getError();
        }
    }

    /* Exactly one kind is set. */
    Error error() {
        if (!hasError()) {
            return new Error("none", "", "");
        }
        Later.ExecutionError error = rawError();
        switch (error.getKindCase()) {
            case USER:
                return new Error("UserError", error.getUser().getMessage(), error.getUser().getErrorClass());
            case WORKER:
                return new Error("WorkerError", error.getWorker().getMessage(), "");
            case PROTOCOL:
                return new Error("ProtocolError", error.getProtocol().getMessage(), "");
            default:
                throw new AssertionError("an error of no kind in " + this);
        }
    }

    // ---- Metrics ----

    /* As 4.3.0 reads them. */
    Map<String, String> map() {
        First.UdfControlResponse control = first.getControl();
        return control.hasFinish() ? control.getFinish().getMetricsMap() : control.getCancel().getMetricsMap();
    }

    /* As later revisions do. */
    Later.ExecutionMetrics metrics() {
        Later.UdfControlResponse control = later.getControl();
        return control.hasFinish() ? control.getFinish().getMetrics() : control.getCancel().getMetrics();
    }

    static boolean isKnown(String metric) {
        return Later.ExecutionMetrics.getDescriptor().findFieldByName(metric) != null;
    }

    /* Null where it is absent. */
    String metric(String metric) {
        FieldDescriptor field = Later.ExecutionMetrics.getDescriptor().findFieldByName(metric);
        return metrics().hasField(field) ? Long.toUnsignedString((Long) metrics().getField(field)) : null;
    }

    // ---- Words ----

    @Override
    public String toString() {
        String text = name.equals("Data") ? "Data of " + later.getData().getData().size() + " bytes" : name + " " + later.toString();
        return text.replaceAll("\\s+", " ").substring(0, Math.min(300, text.replaceAll("\\s+", " ").length()));
    }

    static String describe(Object found) throws InvalidProtocolBufferException {
        if (found == null) {
            return "nothing";
        }
        return found instanceof byte[] ? new Response((byte[]) found).toString() : "the end with " + (Status) found;
    }
}

/* The steps of the table on one Execute stream: builds what the engine says, and checks what comes. */
import com.google.protobuf.ByteString;
import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import io.grpc.Status;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;
import later.Later;

final class Steps {
    static final int MOMENT_MS = 100;
    private static final int PERIOD = 251;

    private final Execution execution;

    private Steps(Execution execution) {
        this.execution = execution;
    }

    /* What the last step of these brought; null where that is no response. */
    static Response play(Execution execution, String... steps) throws Exception {
        Response came = null;
        for (String step : steps) {
            try {
                came = new Steps(execution).step(step.substring(0, 1), step.substring(2));
            } catch (AssertionError e) {
                throw new AssertionError(e.getMessage() + ", at " + step);
            }
        }
        return came;
    }

    private Response step(String mark, String rest) throws Exception {
        Words words = new Words(rest);
        if (mark.equals("<")) {
            return expect(words);
        }
        say(words);
        return null;
    }

    /* A name, words as they are, and those of the form NAME=VALUE. */
    private static final class Words {
        final String whole;
        final String name;
        final List<String> plain = new ArrayList<>();
        final Map<String, String> options = new HashMap<>();

        Words(String whole) {
            this.whole = whole;
            String[] all = whole.split(" +");
            name = all[0];
            for (String word : Arrays.copyOfRange(all, 1, all.length)) {
                int at = word.indexOf('=');
                if (at < 0) {
                    plain.add(word);
                } else {
                    options.put(word.substring(0, at), word.substring(at + 1));
                }
            }
        }

        byte[] extra(String level) {
            return HexFormat.of().parseHex(options.getOrDefault("in-" + level, ""));
        }

        /* Whether the word is there, as itself or as "=false". */
        boolean has(String word) {
            return plain.contains(word) || options.containsKey(word);
        }
    }

    // ---- Content ----

    /* Bytes that differ between seeds, and whose period is that of nothing else. */
    static byte[] pattern(int size, int seed) {
        byte[] bytes = new byte[size];
        for (int i = 0; i < size && i < PERIOD; i++) {
            bytes[i] = (byte) (seed * 31 + i * 7);
        }
        for (int done = PERIOD; done < size; done *= 2) {
            System.arraycopy(bytes, 0, bytes, done, Math.min(done, size - done));
        }
        return bytes;
    }

    private static byte[] text(String word) {
        if (word.equals("-")) {
            return new byte[0];
        }
        return word.startsWith("*") ? pattern(Integer.parseInt(word.substring(1)), 0) : ByteString.copyFromUtf8(word).toByteArray();
    }

    private static byte[] item(List<String> words, int number) {
        return words.size() > 1 ? pattern(Integer.parseInt(words.get(1)), number) : text(Integer.toString(number));
    }

    static String crc32(byte[] content) {
        CRC32 crc = new CRC32();
        crc.update(content);
        return Long.toHexString(crc.getValue());
    }

    // ---- What the engine says ----

    static byte[] data(byte[] content) {
        ByteString bytes = com.google.protobuf.UnsafeByteOperations.unsafeWrap(content);
        return Later.UdfRequest.newBuilder().setData(Later.DataRequest.newBuilder().setData(bytes)).build().toByteArray();
    }

    private void say(Words words) throws Exception {
        switch (words.name) {
            case "HalfClose":
                execution.halfClose();
                break;
            case "Stop":
                execution.stop();
                break;
            case "Settle":
                execution.settle();
                break;
            case "Read":
                execution.read();
                break;
            case "Series":
                for (int i = 0; i < Integer.parseInt(words.plain.get(0)); i++) {
                    execution.send(data(item(words.plain, i)));
                }
                break;
            default:
                execution.send(join(request(words), words.extra("request")));
        }
    }

    private static byte[] request(Words words) throws IOException {
        switch (words.name) {
            case "Data":
                byte[] data = Later.DataRequest.newBuilder().setData(ByteString.copyFrom(text(words.plain.get(0)))).build().toByteArray();
                return field(2, join(data, words.extra("message")));
            case "Empty":
                return new byte[0];
            case "EmptyControl":
                return field(1, words.extra("control"));
            case "Raw":
                return HexFormat.of().parseHex(words.plain.get(0));
            default:
                return field(1, join(control(words), words.extra("control")));
        }
    }

    private static byte[] control(Words words) throws IOException {
        switch (words.name) {
            case "Init":
                return field(1, join(init(words), words.extra("message")));
            case "Chunk":
                return field(2, join(chunk(words), words.extra("message")));
            case "Finish":
                return field(3, words.extra("message"));
            case "Cancel":
                Later.Cancel.Builder cancel = Later.Cancel.newBuilder();
                if (!words.plain.isEmpty()) {
                    cancel.setReason(String.join(" ", words.plain));
                }
                return field(4, join(cancel.build().toByteArray(), words.extra("message")));
            default:
                throw new AssertionError("no step is called " + words.name);
        }
    }

    private static byte[] init(Words words) throws InvalidProtocolBufferException {
        Later.Init.Builder init = Later.Init.newBuilder();
        Later.UdfPayload.Builder udf = init.getUdfBuilder().setPayload(ByteString.copyFrom(text(words.options.getOrDefault("payload", "echo"))));
        String format = words.options.getOrDefault("format", "1");
        if (!format.equals("none")) {
            init.setDataFormatValue(Integer.parseInt(format));
        }
        if (words.has("version")) {
            init.setProtocolVersion(Integer.parseUnsignedInt(words.options.get("version")));
        }
        if (words.has("size")) {
            udf.setPayloadSize(Long.parseLong(words.options.get("size")));
        }
        if (words.has("crc")) {
            udf.setPayloadCrc32(Integer.parseUnsignedInt(words.options.get("crc"), 16));
        }
        if (words.has("chunking")) {
            init.setIsChunkingPayload(words.plain.contains("chunking"));
        }
        if (words.has("full") || words.has("later")) {
            setAll(init);
        }
        if (words.has("later")) {
            setLater(init);
        }
        udf.mergeFrom(words.extra("payload"));
        return init.build().toByteArray();
    }

    private static void setAll(Later.Init.Builder init) {
        init.setInputSchema(ByteString.copyFromUtf8("\1in")).setOutputSchema(ByteString.copyFromUtf8("\2out"));
        init.putTaskContext("partitionId", "7").putTaskContext("stageId", "1").putSessionConf("spark.sql.session.timeZone", "Europe/Berlin");
        init.setTimezone("Europe/Berlin").setParameters(ByteString.copyFromUtf8("parameters"));
        init.getUdfBuilder().setFormat("c").setName("echo").setEvalType("SCALAR");
    }

    private static void setLater(Later.Init.Builder init) {
        init.putEnvironmentVariables("LANG", "C").putResourceDirectories("files", "/tmp");
        init.getUdfBuilder().setInvocationId(1L << 40).getInputBuilder()
                .setSchemaFormat("spark-sql-data-type-json-v1")
                .setSchema(ByteString.copyFromUtf8("{}"))
                .addArguments(Later.UdfArgument.newBuilder().setInputOffset(1).setName("a"));
    }

    private static byte[] chunk(Words words) {
        Later.PayloadChunk.Builder chunk = Later.PayloadChunk.newBuilder().setData(ByteString.copyFrom(text(words.plain.get(0))));
        if (words.has("last")) {
            chunk.setLast(words.plain.contains("last"));
        }
        return chunk.build().toByteArray();
    }

    private static byte[] field(int number, byte[] content) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        CodedOutputStream out = CodedOutputStream.newInstance(bytes);
        out.writeByteArray(number, content);
        out.flush();
        return bytes.toByteArray();
    }

    private static byte[] join(byte[] first, byte[] second) {
        byte[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }

    // ---- What comes ----

    private Response expect(Words words) throws Exception {
        if (words.name.equals("nothing")) {
            Object found = execution.next(MOMENT_MS);
            Client.expect(found == null, Response.describe(found) + " came, expected nothing");
            return null;
        }
        if (words.name.equals("End")) {
            Object found = execution.next(Execution.PATIENCE_MS);
            Client.expect(found instanceof Status && ((Status) found).isOk(), Response.describe(found) + " came, expected the end with OK");
            return null;
        }
        if (words.name.startsWith("Series")) {
            expectSeries(words);
            return null;
        }
        return expectResponse(words);
    }

    private Response expectResponse(Words words) throws Exception {
        Object found = execution.next(Execution.PATIENCE_MS);
        boolean optional = words.name.startsWith("?");
        Client.expect(found instanceof byte[], Response.describe(found) + " came, expected " + words.whole);
        Response response = new Response((byte[]) found);
        if (optional && !response.name.equals(words.name.substring(1))) {
            execution.putBack(found);
            return null;
        }
        String names = optional ? words.name.substring(1) : words.name;
        Client.expect(Arrays.asList(names.split("\\|")).contains(response.name), response + " came, expected " + words.whole);
        if (response.name.equals("Data")) {
            Client.expect(Arrays.equals(response.data(), text(words.plain.get(0))), response + " came, expected " + words.whole);
            return response;
        }
        checkError(response, words.plain);
        if (response.isTerminator()) {
            checkMetrics(response, words.options);
        }
        return response;
    }

    private void expectSeries(Words words) throws Exception {
        boolean some = words.name.endsWith("*");
        for (int i = 0; i < Integer.parseInt(words.plain.get(0)); i++) {
            Object found = execution.next(Execution.PATIENCE_MS);
            Response response = found instanceof byte[] ? new Response((byte[]) found) : null;
            if (some && response != null && !response.name.equals("Data")) {
                execution.putBack(found);
                return;
            }
            Client.expect(response != null && response.name.equals("Data") && Arrays.equals(response.data(), item(words.plain, i)),
                    Response.describe(found) + " came, expected number " + i);
        }
    }

    private static void checkError(Response response, List<String> words) {
        String[] wanted = words.isEmpty() ? new String[] {"none"} : words.get(0).split(":");
        Response.Error error = response.error();
        Client.expect(error.kind.equals(wanted[0]), error.kind + " is in " + response + ", expected " + wanted[0]);
        Client.expect(error.errorClass.equals(wanted.length > 1 ? wanted[1] : ""), "class " + error.errorClass + " in " + response);
        if (!words.isEmpty()) {
            String text = String.join(" ", words.subList(1, words.size()));
            Client.expect(error.message.contains(text) && !error.message.isEmpty(), "\"" + text + "\" is not in " + response);
        }
    }

    private static void checkMetrics(Response response, Map<String, String> wanted) {
        String status = response.map().get("status");
        Client.expect(List.of("ok", "cancelled", "failed").contains(String.valueOf(status)), "status " + status + " in the map of " + response);
        for (Map.Entry<String, String> metric : wanted.entrySet()) {
            String value = metric.getValue().equals("absent") ? null : metric.getValue();
            String inMap = response.map().get(metric.getKey());
            Client.expect(java.util.Objects.equals(inMap, value), metric.getKey() + " is " + inMap + " in the map of " + response + ", expected " + value);
            if (Response.isKnown(metric.getKey())) {
                String inMessage = response.metric(metric.getKey());
                Client.expect(java.util.Objects.equals(inMessage, value),
                        metric.getKey() + " is " + inMessage + " in ExecutionMetrics of " + response + ", expected " + value);
            }
        }
    }
}

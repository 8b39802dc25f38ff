/* Plays the worker for one session: handshake, Init, the data through a serializer, timing, the last words, or an exception. */
#include <tributary/serializer.h>

#include <tributary/spark.h>

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS 5000
#define DRAIN_STEP ((size_t)1 << 20)

struct serve {
    struct trib_reader *reader;
    struct trib_writer *writer;
    struct trib_serve_options options;
    struct trib_serve_result *result;
    struct trib_receiver *receiver;
    struct trib_sender *sender;
    const struct trib_serializer *serializer;
    void *state;
    struct trib_timing timing;
    bool tell; /* the failure is one that the peer can be told of */
};

static const struct trib_event no_event = TRIB_EVENT_INIT_EMPTY;

static int64_t now_ms(const struct serve *serve)
{
    struct timespec now;

    if (serve->options.now_ms != NULL)
        return serve->options.now_ms(serve->options.now_arg);
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The next event. Before it waits, what is gathered is sent: the peer may be waiting for that. */
static int next_event(struct serve *serve, struct trib_event *ret_event, struct trib_error *err)
{
    int rc = TRIB_AGAIN;

    if (trib_writer_pending(serve->writer) > 0) {
        trib_reader_set_deadline(serve->reader, TRIB_NOWAIT);
        rc = trib_receiver_next(serve->receiver, ret_event, err);
        trib_reader_set_deadline(serve->reader, serve->options.deadline);
        if (rc != TRIB_AGAIN)
            return rc;
        rc = trib_writer_flush(serve->writer, err);
        if (rc != TRIB_OK)
            return rc;
    }
    return trib_receiver_next(serve->receiver, ret_event, err);
}

static int put_number(struct serve *serve, enum trib_event_kind kind, int64_t number, struct trib_error *err)
{
    struct trib_event event = no_event;

    event.kind = kind;
    event.number = number;
    return trib_sender_put(serve->sender, &event, err);
}

static int put_text(struct serve *serve, enum trib_event_kind kind, const char *text, struct trib_error *err)
{
    struct trib_event event = no_event;

    event.kind = kind;
    event.bytes.data = (const uint8_t *)text;
    event.bytes.len = strlen(text);
    return trib_sender_put(serve->sender, &event, err);
}

/* ---- Handshake -------------------------------------------------------------------------------------------------- */

static bool is_text(struct trib_view view, const char *text)
{
    return view.len == strlen(text) && memcmp(view.data, text, view.len) == 0;
}

/* Compares all bytes, whatever they are: the time says nothing of the secret. */
static bool is_secret(struct trib_view view, const char *secret)
{
    unsigned difference = 0;

    if (secret == NULL)
        return true;
    if (view.len != strlen(secret))
        return false;
    for (size_t i = 0; i < view.len; i++)
        difference |= (unsigned)(view.data[i] ^ (uint8_t)secret[i]);
    return difference == 0;
}

static int shake_daemon(struct serve *serve, struct trib_error *err)
{
    struct trib_event event;
    bool known;
    int rc = put_number(serve, TRIB_EVENT_PID, serve->options.pid, err);

    if (rc == TRIB_OK)
        rc = next_event(serve, &event, err);
    if (rc != TRIB_OK)
        return rc;
    known = is_secret(event.bytes, serve->options.secret);
    rc = put_text(serve, TRIB_EVENT_AUTH, known ? "ok" : "err", err);
    if (rc != TRIB_OK || known)
        return rc;
    trib_writer_flush(serve->writer, NULL);
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "handshake: the peer's secret is wrong");
}

static int shake_direct(struct serve *serve, struct trib_error *err)
{
    struct trib_event event;
    int rc = put_text(serve, TRIB_EVENT_AUTH, serve->options.secret != NULL ? serve->options.secret : "", err);

    if (rc == TRIB_OK)
        rc = next_event(serve, &event, err);
    if (rc == TRIB_OK && !is_text(event.bytes, "ok"))
        rc = trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "handshake: \"%.*s\" came, expected \"ok\"",
                            (int)(event.bytes.len < 32 ? event.bytes.len : 32), (const char *)event.bytes.data);
    return rc == TRIB_OK ? put_number(serve, TRIB_EVENT_PID, serve->options.pid, err) : rc;
}

static int shake_hands(struct serve *serve, struct trib_error *err)
{
    switch (serve->options.messages.handshake) {
    case TRIB_HANDSHAKE_PID:
        return put_number(serve, TRIB_EVENT_PID, serve->options.pid, err);
    case TRIB_HANDSHAKE_TCP_DAEMON:
        return shake_daemon(serve, err);
    case TRIB_HANDSHAKE_TCP_DIRECT:
        return shake_direct(serve, err);
    case TRIB_HANDSHAKE_NONE:
        break;
    }
    return TRIB_OK;
}

/* ---- The session ------------------------------------------------------------------------------------------------ */

/* The serializer that a command such as "c:echo" names. What is named belongs into the text: the user reads it. */
static int choose_by_command(struct serve *serve, const struct trib_spark_init *init, struct trib_error *err)
{
    struct trib_view command = trib_spark_init_command(init);
    char name[32] = "";

    if (command.len >= 2 && command.data[0] == 0x80 && command.data[1] <= 5)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0,
                              "the function is a Python pickle; this worker runs functions by name, c:NAME");
    if (command.len > 2 && command.len - 2 < sizeof(name) && memcmp(command.data, "c:", 2) == 0)
        memcpy(name, command.data + 2, command.len - 2); /* copy: a name needs its NUL */
    serve->serializer = trib_serializer_find(name);
    if (serve->serializer == NULL)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "no function is named \"%.*s\"",
                              (int)(command.len < 64 ? command.len : 64), (const char *)command.data);
    return TRIB_OK;
}

static int take_init(struct serve *serve, struct trib_error *err)
{
    struct trib_event event;
    int rc;

    serve->timing.boot_ms = now_ms(serve);
    serve->tell = true;
    rc = next_event(serve, &event, err);
    if (rc != TRIB_OK)
        return rc;
    serve->timing.init_ms = now_ms(serve);
    if (event.spark_init != NULL) {
        serve->result->eval_type = event.spark_init->eval_type;
        serve->result->stop = event.spark_init->partition == -1;
        if (serve->result->stop)
            return TRIB_EOF;
        if (serve->serializer == NULL)
            rc = choose_by_command(serve, event.spark_init, err);
    }
    return rc == TRIB_OK ? serve->serializer->open(&event, &serve->state, err) : rc;
}

static void count_event(struct trib_serve_result *result, const struct trib_event *event)
{
    result->events++;
    result->bytes += event->length;
    if (event->kind == TRIB_EVENT_ARROW && event->arrow.kind == TRIB_ARROW_BATCH)
        result->rows += (uint64_t)event->arrow.rows;
}

static int pass_data(struct serve *serve, struct trib_error *err)
{
    struct trib_event event = no_event;
    int rc = TRIB_OK;

    while (rc == TRIB_OK && event.kind != TRIB_EVENT_DATA_END) {
        rc = next_event(serve, &event, err);
        if (rc == TRIB_OK) {
            count_event(serve->result, &event);
            rc = serve->serializer->event(serve->state, &event, serve->sender, err);
        }
    }
    return rc;
}

static int put_timing(struct serve *serve, struct trib_error *err)
{
    struct trib_event event = no_event;

    serve->timing.finish_ms = now_ms(serve);
    serve->timing.processing_ms = serve->timing.finish_ms - serve->timing.init_ms;
    event.kind = TRIB_EVENT_TIMING;
    event.timing = serve->timing;
    return trib_sender_put(serve->sender, &event, err);
}

/* The last words. Anything but the peer's Finish makes them "do not reuse me". */
static int end_session(struct serve *serve, struct trib_error *err)
{
    struct trib_event event;
    int finish, rc = put_timing(serve, err);

    if (rc == TRIB_OK)
        rc = put_number(serve, TRIB_EVENT_ACCUMULATORS, 0, err);
    if (rc != TRIB_OK)
        return rc;
    serve->tell = false;
    finish = next_event(serve, &event, err);
    if (finish != TRIB_OK && finish != TRIB_ERR_PROTOCOL)
        return finish;
    rc = put_number(serve, TRIB_EVENT_FINISH, finish == TRIB_OK, finish == TRIB_OK ? err : NULL);
    if (rc == TRIB_OK)
        rc = trib_writer_flush(serve->writer, finish == TRIB_OK ? err : NULL);
    serve->result->reusable = rc == TRIB_OK && finish == TRIB_OK;
    return finish == TRIB_OK ? rc : finish;
}

static int run(struct serve *serve, struct trib_error *err)
{
    int rc = shake_hands(serve, err);

    if (rc == TRIB_OK)
        rc = take_init(serve, err);
    if (rc == TRIB_OK)
        rc = pass_data(serve, err);
    if (rc == TRIB_OK)
        rc = end_session(serve, err);
    return rc;
}

/* ---- Exceptions ------------------------------------------------------------------------------------------------- */

/* Failures of the channel itself: nobody listens any more. */
static bool channel_failed(int rc)
{
    return rc == TRIB_ERR_IO || rc == TRIB_ERR_CLOSED || rc == TRIB_ERR_SHORT || rc == TRIB_ERR_TIMEOUT || rc == TRIB_ERR_CANCELLED;
}

static const char *kind_of(int code)
{
    switch (code) {
    case TRIB_ERR_PROTOCOL:
        return "ProtocolError";
    case TRIB_ERR_UNSUPPORTED:
        return "UnsupportedError";
    case TRIB_ERR_NOMEM:
        return "MemoryError";
    case TRIB_ERR_LIMIT:
        return "LimitError";
    case TRIB_ERR_USAGE:
        return "ValueError";
    default:
        return "WorkerError";
    }
}

/* Reads to the peer's end: closing a connection with unread bytes can destroy the exception on its way. */
static void drain(struct serve *serve)
{
    int64_t drain_ms = serve->options.drain_ms != 0 ? serve->options.drain_ms : DRAIN_MS;
    struct trib_view view;
    int64_t deadline;
    int rc = TRIB_OK;

    if (drain_ms < 0)
        return;
    deadline = trib_deadline_ms(drain_ms);
    trib_reader_set_deadline(serve->reader, deadline < serve->options.deadline ? deadline : serve->options.deadline);
    while (rc == TRIB_OK)
        rc = trib_reader_take_some(serve->reader, DRAIN_STEP, &view, NULL);
    serve->result->drained = rc == TRIB_EOF;
}

/* Not where an event is half written: the peer would take the exception for the rest of it, and the sender refuses. */
static void tell_exception(struct serve *serve, const struct trib_error *err)
{
    char text[sizeof(err->message) + 64];
    int rc;

    snprintf(text, sizeof(text), "%s: %s%s%s", kind_of(err->code), err->message,
             serve->serializer != NULL ? "\n  in serializer " : "", serve->serializer != NULL ? serve->serializer->name : "");
    rc = put_text(serve, TRIB_EVENT_EXCEPTION, text, NULL);
    if (rc == TRIB_ERR_PROTOCOL) { /* inside an output stream: it has to end first */
        rc = put_number(serve, TRIB_EVENT_STREAM_END, 0, NULL);
        if (rc == TRIB_OK)
            rc = put_text(serve, TRIB_EVENT_EXCEPTION, text, NULL);
    }
    if (rc == TRIB_OK)
        rc = trib_writer_flush(serve->writer, NULL);
    serve->result->exception = rc == TRIB_OK;
    if (rc != TRIB_OK)
        return;
    trib_writer_finish(serve->writer, 0, NULL, NULL);
    drain(serve);
}

/* ---- Entry ------------------------------------------------------------------------------------------------------ */

static int complete_options(struct trib_serve_options *ret_options, const struct trib_serve_options *options,
                            struct trib_error *err)
{
    struct trib_serve_options complete = TRIB_SERVE_OPTIONS_INIT;

    if (options != NULL)
        memcpy(&complete, options, options->size < sizeof(complete) ? options->size : sizeof(complete));
    if (complete.dialect == NULL)
        complete.dialect = &trib_dialect_spark_socket;
    if (complete.pid == 0)
        complete.pid = getpid();
    if (complete.deadline == TRIB_NOWAIT)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "serve: it waits; give it a deadline");
    if (complete.serializer != NULL && complete.serializer->size < TRIB_SERIALIZER_SIZE_0_1)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "serve: the serializer's table is too small for 0.1");
    *ret_options = complete;
    return TRIB_OK;
}

static int serve_session(struct serve *serve, struct trib_error *err)
{
    int rc = trib_receiver_new(serve->options.dialect, serve->reader, TRIB_FROM_ENGINE, &serve->options.messages, &serve->receiver,
                               err);

    if (rc == TRIB_OK)
        rc = trib_sender_new(serve->options.dialect, serve->writer, TRIB_FROM_WORKER, &serve->options.messages, &serve->sender,
                             err);
    if (rc == TRIB_OK) {
        trib_reader_set_deadline(serve->reader, serve->options.deadline);
        trib_writer_set_deadline(serve->writer, serve->options.deadline);
        rc = run(serve, err);
        if (rc < 0 && serve->tell && !channel_failed(rc))
            tell_exception(serve, err);
        trib_reader_set_deadline(serve->reader, TRIB_FOREVER);
        trib_writer_set_deadline(serve->writer, TRIB_FOREVER);
    }
    if (serve->state != NULL)
        serve->serializer->close(serve->state);
    trib_sender_free(serve->sender);
    trib_receiver_free(serve->receiver);
    return rc;
}

int trib_session_serve(struct trib_reader *reader, struct trib_writer *writer, const struct trib_serve_options *options,
                       struct trib_serve_result *ret_result, struct trib_error *err)
{
    struct trib_serve_result result = {sizeof(result), false, false, false, false, 0, 0, 0, 0};
    struct serve serve = {.reader = reader, .writer = writer, .result = &result};
    struct trib_error local;
    size_t size = ret_result != NULL ? ret_result->size : 0;
    int rc;

    memset(&local, 0, sizeof(local));
    err = err != NULL ? err : &local;
    rc = complete_options(&serve.options, options, err);
    if (rc == TRIB_OK) {
        serve.serializer = serve.options.serializer;
        rc = serve_session(&serve, err);
    }
    if (ret_result != NULL) {
        memcpy(ret_result, &result, size < sizeof(result) ? size : sizeof(result));
        ret_result->size = size;
    }
    return rc;
}

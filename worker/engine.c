/* The engine's side: executions on a connection to a worker, written and read message by message. */
#include <tributary/engine.h>

#include <tributary/alloc.h>
#include <tributary/grpc.h>

#include <inttypes.h>
#include <string.h>

#include "udf_intake-internal.h"
#include "udf_message-internal.h"

enum { ANSWER_MAX = 4 << 20 };

struct trib_engine {
    struct trib_grpc_client *client;
};

struct trib_execution {
    struct trib_grpc_call *call;
    struct trib_channel *channel;
    struct trib_writer *writer;
    struct tribi_intake intake;
    struct trib_view bytes;       /* of the last reply; one reference */
    struct tribi_udf_reply reply; /* its other memory */
    bool answered;                /* InitResponse came */
    bool terminated;              /* FinishResponse or CancelResponse did */
    struct trib_error failure;    /* what sticks; code 0: nothing */
};

/* ---- The connection ---------------------------------------------------------------------------------------------- */

int trib_engine_connect(const char *uri, const struct trib_channel_options *options, struct trib_engine **ret_engine,
                        struct trib_error *err)
{
    struct trib_engine *engine = trib_alloc(sizeof(*engine));
    int rc;

    if (engine == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "connect to %s: no memory", uri);
    rc = trib_grpc_connect(uri, options, &engine->client, err);
    if (rc == TRIB_OK)
        *ret_engine = engine;
    else
        trib_free(engine);
    return rc;
}

void trib_engine_free(struct trib_engine *engine)
{
    if (engine == NULL)
        return;
    trib_grpc_client_free(engine->client);
    trib_free(engine);
}

/* ---- Manage ------------------------------------------------------------------------------------------------------- */

static int write_whole(struct trib_writer *writer, struct trib_view message, struct trib_error *err)
{
    int rc = trib_writer_begin_message(writer, message.len, err);

    if (rc == TRIB_OK && message.len > 0)
        rc = trib_writer_view(writer, message, err);
    return rc == TRIB_OK ? trib_writer_end_message(writer, err) : rc;
}

/* A status other than OK comes with the reader's end. */
static int read_answer(struct trib_channel *channel, struct trib_view *ret_view, struct trib_error *err)
{
    struct trib_view nothing;
    int rc = trib_reader_take_message(trib_channel_reader(channel), ANSWER_MAX, ret_view, err);

    if (rc == TRIB_EOF)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Manage: the worker ended the call without an answer");
    if (rc != TRIB_OK)
        return rc;
    *ret_view = trib_view_retain(*ret_view);
    rc = trib_reader_take_message(trib_channel_reader(channel), 0, &nothing, err);
    if (rc == TRIB_EOF)
        return TRIB_OK;
    trib_view_release(ret_view);
    return rc == TRIB_OK || rc == TRIB_ERR_LIMIT ? trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Manage: a second answer came") : rc;
}

static int manage(struct trib_engine *engine, struct trib_chunk *request, int64_t deadline, struct trib_view *ret_answer,
                  struct trib_error *err)
{
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct trib_channel *channel;
    struct trib_grpc_call *call;
    int rc;

    options.deadline = deadline;
    rc = trib_grpc_call(engine->client, TRIB_UDF_MANAGE, &options, &call, err);
    if (rc != TRIB_OK)
        return rc;
    channel = trib_grpc_call_channel(call);
    trib_reader_set_deadline(trib_channel_reader(channel), deadline);
    trib_writer_set_deadline(trib_channel_writer(channel), deadline);
    rc = write_whole(trib_channel_writer(channel), trib_chunk_view(request), err);
    if (rc == TRIB_OK)
        rc = trib_writer_finish(trib_channel_writer(channel), 0, NULL, err);
    if (rc == TRIB_OK || rc == TRIB_ERR_CLOSED) /* it may have answered before it read */
        rc = read_answer(channel, ret_answer, err);
    trib_channel_free(channel);
    return rc;
}

static int ask(struct trib_engine *engine, enum tribi_manage_kind kind, bool cancel_sessions, const char *reason, int64_t deadline,
               struct trib_view *ret_answer, struct trib_error *err)
{
    struct trib_chunk *request;
    int rc = tribi_manage_write(kind, cancel_sessions, reason, &request, err);

    if (rc != TRIB_OK)
        return rc;
    rc = manage(engine, request, deadline, ret_answer, err);
    trib_chunk_unref(request);
    return rc;
}

static int understand(struct trib_view *answer, enum tribi_manage_kind wanted, trib_engine_metric_fn *fn, void *arg, bool *ret_settled,
                      struct trib_error *err)
{
    enum tribi_manage_kind kind;
    int rc = tribi_manage_reply_read(*answer, fn, arg, &kind, ret_settled, err);

    trib_view_release(answer);
    if (rc == TRIB_OK && kind != wanted)
        rc = trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Manage: the worker's answer is of another kind than the question");
    return rc;
}

int trib_engine_heartbeat(struct trib_engine *engine, int64_t deadline, trib_engine_metric_fn *fn, void *arg, struct trib_error *err)
{
    struct trib_view answer;
    bool settled;
    int rc = ask(engine, TRIBI_MANAGE_HEARTBEAT, false, NULL, deadline, &answer, err);

    return rc == TRIB_OK ? understand(&answer, TRIBI_MANAGE_HEARTBEAT, fn, arg, &settled, err) : rc;
}

int trib_engine_shutdown(struct trib_engine *engine, bool cancel_sessions, const char *reason, int64_t deadline, bool *ret_settled,
                         struct trib_error *err)
{
    struct trib_view answer;
    bool settled = false;
    int rc = ask(engine, TRIBI_MANAGE_SHUTDOWN, cancel_sessions, reason, deadline, &answer, err);

    if (rc == TRIB_OK)
        rc = understand(&answer, TRIBI_MANAGE_SHUTDOWN, NULL, NULL, &settled, err);
    if (rc == TRIB_OK && ret_settled != NULL)
        *ret_settled = settled;
    return rc;
}

/* ---- An execution: writing ---------------------------------------------------------------------------------------- */

int trib_execution_new(struct trib_engine *engine, struct trib_execution **ret_execution, struct trib_error *err)
{
    struct trib_execution *execution = trib_alloc(sizeof(*execution));
    int rc;

    if (execution == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "execute: no memory");
    rc = trib_grpc_call(engine->client, TRIB_UDF_EXECUTE, NULL, &execution->call, err);
    if (rc != TRIB_OK) {
        trib_free(execution);
        return rc;
    }
    execution->channel = trib_grpc_call_channel(execution->call);
    execution->writer = trib_channel_writer(execution->channel);
    tribi_intake_init(&execution->intake, execution->channel);
    *ret_execution = execution;
    return TRIB_OK;
}

void trib_execution_free(struct trib_execution *execution)
{
    if (execution == NULL)
        return;
    trib_view_release(&execution->bytes);
    tribi_udf_reply_done(&execution->reply);
    tribi_intake_done(&execution->intake);
    trib_channel_free(execution->channel);
    trib_free(execution);
}

struct trib_channel *trib_execution_channel(struct trib_execution *execution)
{
    return execution->channel;
}

void trib_execution_set_deadline(struct trib_execution *execution, int64_t deadline)
{
    trib_reader_set_deadline(trib_channel_reader(execution->channel), deadline);
    trib_writer_set_deadline(execution->writer, deadline);
}

void trib_execution_reset(struct trib_execution *execution)
{
    trib_channel_cancel(execution->channel);
}

static int say(struct trib_execution *execution, int rc, struct trib_chunk *chunk, struct trib_error *err)
{
    if (rc != TRIB_OK)
        return rc;
    rc = write_whole(execution->writer, trib_chunk_view(chunk), err);
    trib_chunk_unref(chunk);
    return rc;
}

int trib_execution_init(struct trib_execution *execution, const struct trib_udf_init *init, struct trib_error *err)
{
    struct trib_udf_init whole = {.size = sizeof(whole)};
    struct trib_chunk *chunk = NULL;
    int rc;

    memcpy(&whole, init, init->size < sizeof(whole) ? init->size : sizeof(whole));
    rc = tribi_udf_init_write(&whole, &chunk, err);
    return say(execution, rc, chunk, err);
}

int trib_execution_chunk(struct trib_execution *execution, struct trib_view bytes, bool last, struct trib_error *err)
{
    struct trib_chunk *chunk = NULL;
    int rc = tribi_udf_chunk_write(bytes, last, &chunk, err);

    return say(execution, rc, chunk, err);
}

int trib_execution_finish(struct trib_execution *execution, struct trib_error *err)
{
    struct trib_chunk *chunk = NULL;
    int rc = tribi_udf_finish_write(&chunk, err);

    return say(execution, rc, chunk, err);
}

int trib_execution_cancel(struct trib_execution *execution, const char *reason, struct trib_error *err)
{
    struct trib_chunk *chunk = NULL;
    int rc = tribi_udf_cancel_write(reason, &chunk, err);

    return say(execution, rc, chunk, err);
}

int trib_execution_data(struct trib_execution *execution, struct trib_view bytes, struct trib_error *err)
{
    uint8_t header[TRIBI_ENVELOPE_HEADER_MAX];
    uint64_t message;
    size_t n = tribi_envelope_data_header(header, bytes.len, &message);
    int rc;

    if (message > INT32_MAX)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, message, INT32_MAX, "send a message of %" PRIu64 " bytes, at most %d", message, INT32_MAX);
    rc = trib_writer_begin_message(execution->writer, message, err);
    if (rc == TRIB_OK)
        rc = trib_writer_bytes(execution->writer, header, n, err);
    if (rc == TRIB_OK && bytes.len > 0)
        rc = trib_writer_view(execution->writer, bytes, err);
    return rc == TRIB_OK ? trib_writer_end_message(execution->writer, err) : rc;
}

int trib_execution_raw(struct trib_execution *execution, struct trib_view message, struct trib_error *err)
{
    return write_whole(execution->writer, message, err);
}

int trib_execution_half_close(struct trib_execution *execution, struct trib_error *err)
{
    return trib_writer_finish(execution->writer, 0, NULL, err);
}

/* ---- An execution: reading ---------------------------------------------------------------------------------------- */

const char *trib_reply_name(enum trib_reply_kind kind)
{
    static const char *const names[] = {"?", "INIT", "DATA", "ERROR", "FINISH", "CANCEL"};

    return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

static int note(struct trib_execution *execution, struct trib_reply *reply, struct trib_error *err)
{
    if (reply->kind == TRIB_REPLY_DATA && !execution->answered)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "the worker sent data before InitResponse");
    execution->answered = execution->answered || reply->kind == TRIB_REPLY_INIT;
    execution->terminated = execution->terminated || reply->kind == TRIB_REPLY_FINISH || reply->kind == TRIB_REPLY_CANCEL;
    return TRIB_OK;
}

static int understand_item(struct trib_execution *execution, const struct tribi_intake_item *item, struct trib_reply *ret_reply,
                           struct trib_error *err)
{
    struct trib_reply data = TRIB_REPLY_INIT_EMPTY;
    int rc = TRIB_OK;

    execution->bytes = item->bytes;
    if (item->kind == TRIBI_INTAKE_DATA) {
        data.kind = TRIB_REPLY_DATA;
        data.data = item->bytes;
        *ret_reply = data;
        return note(execution, &data, err);
    }
    if (item->kind == TRIBI_INTAKE_CONTROL)
        rc = tribi_udf_reply_read(item->bytes, &execution->reply, err);
    if (rc != TRIB_OK)
        return rc;
    if (item->kind == TRIBI_INTAKE_EMPTY || execution->reply.reply.kind == 0)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "the worker sent an empty %s",
                              item->kind == TRIBI_INTAKE_EMPTY ? "UdfResponse" : "UdfControlResponse");
    *ret_reply = execution->reply.reply;
    return note(execution, ret_reply, err);
}

/* The end of the responses. */
static int ended(struct trib_execution *execution, struct trib_error *err)
{
    return execution->terminated ? TRIB_EOF
                                 : trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "the worker ended the stream without FinishResponse or CancelResponse");
}

int trib_execution_next(struct trib_execution *execution, struct trib_reply *ret_reply, struct trib_error *err)
{
    struct tribi_intake_item item;
    struct trib_reply reply = TRIB_REPLY_INIT_EMPTY;
    struct trib_error local;
    size_t size = ret_reply->size;
    int rc;

    err = err != NULL ? err : &local;
    if (execution->failure.code != 0) {
        *err = execution->failure;
        return err->code;
    }
    trib_view_release(&execution->bytes);
    tribi_udf_reply_done(&execution->reply);
    rc = tribi_intake_next(&execution->intake, trib_reader_deadline(trib_channel_reader(execution->channel)), &item, err);
    if (rc == TRIB_EOF)
        rc = ended(execution, err);
    else if (rc == TRIB_OK)
        rc = understand_item(execution, &item, &reply, err);
    if (rc == TRIB_OK) {
        memcpy(ret_reply, &reply, size < sizeof(reply) ? size : sizeof(reply));
        ret_reply->size = size;
    } else if (rc < 0 && rc != TRIB_ERR_TIMEOUT) {
        execution->failure = *err;
    }
    return rc;
}

/* Reads a worker's control messages, and those of Manage, both ways. */
#include "udf_message-internal.h"

#include <tributary/alloc.h>

#include <string.h>

#include <proto/udf_worker.pb-c.h>

/* ---- What the readers share ------------------------------------------------------------------------------------- */

void *tribi_udf_allocate(void *failed, size_t size)
{
    void *memory = trib_alloc(size);

    if (memory == NULL && failed != NULL)
        *(bool *)failed = true;
    return memory;
}

void tribi_udf_release(void *failed, void *memory)
{
    (void)failed;
    trib_free(memory);
}

int tribi_udf_unreadable(bool failed, size_t len, const char *what, struct trib_error *err)
{
    if (failed)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "read a %s of %zu bytes: no memory", what, len);
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "%zu bytes came that are no %s", len, what);
}

struct trib_view tribi_udf_text(const char *text)
{
    return (struct trib_view){.data = (const uint8_t *)text, .len = text != NULL ? strlen(text) : 0};
}

static struct trib_view view_of(bool has, ProtobufCBinaryData bytes)
{
    static const uint8_t nothing[1];

    return (struct trib_view){.data = !has ? NULL : bytes.len > 0 ? bytes.data : nothing, .len = has ? bytes.len : 0};
}

/* ---- Responses -------------------------------------------------------------------------------------------------- */

const char *trib_udf_error_kind_name(enum trib_udf_error_kind kind)
{
    static const char *const names[] = {"none", "UserError", "WorkerError", "ProtocolError"};

    return kind > 0 && (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

static void read_error(const TribiPb__ExecutionError *from, struct trib_udf_error *ret_error)
{
    struct trib_udf_error error = TRIB_UDF_ERROR_INIT;

    if (from == NULL)
        return;
    switch (from->kind_case) {
    case TRIBI_PB__EXECUTION_ERROR__KIND_USER:
        error.kind = TRIB_UDF_USER_ERROR;
        error.message = tribi_udf_text(from->user->message);
        error.traceback = tribi_udf_text(from->user->traceback);
        error.error_class = tribi_udf_text(from->user->error_class);
        break;
    case TRIBI_PB__EXECUTION_ERROR__KIND_WORKER:
        error.kind = TRIB_UDF_WORKER_ERROR;
        error.message = tribi_udf_text(from->worker->message);
        error.traceback = tribi_udf_text(from->worker->traceback);
        break;
    case TRIBI_PB__EXECUTION_ERROR__KIND_PROTOCOL:
        error.kind = TRIB_UDF_PROTOCOL_ERROR;
        error.message = tribi_udf_text(from->protocol->message);
        break;
    default: /* exactly one is to be set; an error it is all the same */
        error.kind = TRIB_UDF_PROTOCOL_ERROR;
        error.message = tribi_udf_text("an ExecutionError without a kind");
        break;
    }
    *ret_error = error;
}

static int read_metrics(struct tribi_udf_reply *reply, const ProtobufCBinaryData *items, size_t count, struct trib_error *err)
{
    int rc = TRIB_OK;

    if (count == 0)
        return TRIB_OK;
    reply->pairs = trib_alloc(count * sizeof(*reply->pairs));
    if (reply->pairs == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "read metrics: no memory");
    for (size_t i = 0; i < count && rc == TRIB_OK; i++) {
        bool is_pair = false;

        rc = tribi_udf_get_metrics(view_of(true, items[i]), &reply->reply.metrics, &reply->pairs[reply->reply.pair_count], &is_pair, err);
        reply->reply.pair_count += is_pair;
    }
    reply->reply.pairs = reply->pairs;
    return rc;
}

static int read_response(const TribiPb__UdfControlResponse *message, struct tribi_udf_reply *reply, struct trib_error *err)
{
    struct trib_reply *to = &reply->reply;

    switch (message->control_case) {
    case TRIBI_PB__UDF_CONTROL_RESPONSE__CONTROL_INIT:
        to->kind = TRIB_REPLY_INIT;
        to->data = view_of(message->init->has_data, message->init->data);
        read_error(message->init->error, &to->error);
        return TRIB_OK;
    case TRIBI_PB__UDF_CONTROL_RESPONSE__CONTROL_FINISH:
        to->kind = TRIB_REPLY_FINISH;
        to->data = view_of(message->finish->has_data, message->finish->data);
        read_error(message->finish->error, &to->error);
        return read_metrics(reply, message->finish->metrics, message->finish->n_metrics, err);
    case TRIBI_PB__UDF_CONTROL_RESPONSE__CONTROL_CANCEL:
        to->kind = TRIB_REPLY_CANCEL;
        read_error(message->cancel->error, &to->error);
        return read_metrics(reply, message->cancel->metrics, message->cancel->n_metrics, err);
    case TRIBI_PB__UDF_CONTROL_RESPONSE__CONTROL_ERROR:
        to->kind = TRIB_REPLY_ERROR;
        read_error(message->error->error, &to->error);
        return TRIB_OK;
    default:
        return TRIB_OK;
    }
}

int tribi_udf_reply_read(struct trib_view bytes, struct tribi_udf_reply *ret_reply, struct trib_error *err)
{
    struct tribi_udf_reply reply = {.reply = TRIB_REPLY_INIT_EMPTY};
    bool failed = false;
    ProtobufCAllocator allocator = TRIBI_UDF_ALLOCATOR(&failed);
    TribiPb__UdfControlResponse *message = tribi_pb__udf_control_response__unpack(&allocator, bytes.len, bytes.data);
    int rc;

    if (message == NULL)
        return tribi_udf_unreadable(failed, bytes.len, "UdfControlResponse", err);
    reply.message = message;
    rc = read_response(message, &reply, err);
    if (rc == TRIB_OK)
        *ret_reply = reply;
    else
        tribi_udf_reply_done(&reply);
    return rc;
}

void tribi_udf_reply_done(struct tribi_udf_reply *reply)
{
    ProtobufCAllocator allocator = TRIBI_UDF_ALLOCATOR(NULL);

    if (reply->message != NULL)
        tribi_pb__udf_control_response__free_unpacked(reply->message, &allocator);
    trib_free(reply->pairs);
    *reply = (struct tribi_udf_reply){.message = NULL};
}

/* ---- Manage ----------------------------------------------------------------------------------------------------- */

int tribi_manage_read(struct trib_view bytes, enum tribi_manage_kind *ret_kind, bool *ret_cancel_sessions, struct trib_error *err)
{
    bool failed = false;
    ProtobufCAllocator allocator = TRIBI_UDF_ALLOCATOR(&failed);
    TribiPb__WorkerRequest *message = tribi_pb__worker_request__unpack(&allocator, bytes.len, bytes.data);

    if (message == NULL)
        return tribi_udf_unreadable(failed, bytes.len, "WorkerRequest", err);
    *ret_kind = TRIBI_MANAGE_EMPTY;
    *ret_cancel_sessions = false;
    if (message->request_case == TRIBI_PB__WORKER_REQUEST__REQUEST_HEARTBEAT)
        *ret_kind = TRIBI_MANAGE_HEARTBEAT;
    if (message->request_case == TRIBI_PB__WORKER_REQUEST__REQUEST_SHUTDOWN) {
        *ret_kind = TRIBI_MANAGE_SHUTDOWN;
        *ret_cancel_sessions = message->shutdown->has_cancel_sessions && message->shutdown->cancel_sessions;
    }
    tribi_pb__worker_request__free_unpacked(message, &allocator);
    return TRIB_OK;
}

int tribi_manage_reply_read(struct trib_view bytes, trib_engine_metric_fn *fn, void *arg, enum tribi_manage_kind *ret_kind,
                            bool *ret_settled, struct trib_error *err)
{
    bool failed = false;
    ProtobufCAllocator allocator = TRIBI_UDF_ALLOCATOR(&failed);
    TribiPb__WorkerResponse *message = tribi_pb__worker_response__unpack(&allocator, bytes.len, bytes.data);

    if (message == NULL)
        return tribi_udf_unreadable(failed, bytes.len, "WorkerResponse", err);
    *ret_kind = TRIBI_MANAGE_EMPTY;
    if (message->response_case == TRIBI_PB__WORKER_RESPONSE__RESPONSE_HEARTBEAT) {
        *ret_kind = TRIBI_MANAGE_HEARTBEAT;
        for (size_t i = 0; i < message->heartbeat->n_metrics && fn != NULL; i++)
            fn(arg, tribi_udf_text(message->heartbeat->metrics[i]->key), tribi_udf_text(message->heartbeat->metrics[i]->value));
    }
    if (message->response_case == TRIBI_PB__WORKER_RESPONSE__RESPONSE_SHUTDOWN) {
        *ret_kind = TRIBI_MANAGE_SHUTDOWN;
        *ret_settled = message->shutdown->has_sessions_settled && message->shutdown->sessions_settled;
    }
    tribi_pb__worker_response__free_unpacked(message, &allocator);
    return TRIB_OK;
}

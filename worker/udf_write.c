/* Writes control messages. Their text lies in views that have no NUL at the end, which protobuf-c would want; fields are simple to put. */
#include "udf_message-internal.h"

#include <limits.h>
#include <string.h>

#include "udf_envelope-internal.h"

enum { VARINT = 0, DELIMITED = 2 };

/* With `at` NULL it only counts. */
struct out {
    uint8_t *at;
    size_t len;
};

typedef void put_fn(struct out *out, const void *what);

/* ---- Fields ----------------------------------------------------------------------------------------------------- */

static void put_number(struct out *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = tribi_varint_put(bytes, value);

    if (out->at != NULL)
        memcpy(out->at + out->len, bytes, n);
    out->len += n;
}

static void put_varint(struct out *out, unsigned field, uint64_t value)
{
    put_number(out, field << 3 | VARINT);
    put_number(out, value);
}

static void put_bytes(struct out *out, unsigned field, struct trib_view bytes)
{
    put_number(out, field << 3 | DELIMITED);
    put_number(out, bytes.len);
    if (out->at != NULL && bytes.len > 0)
        memcpy(out->at + out->len, bytes.data, bytes.len); /* copy: a control message is one piece */
    out->len += bytes.len;
}

static void put_set(struct out *out, unsigned field, struct trib_view bytes)
{
    if (bytes.data != NULL)
        put_bytes(out, field, bytes);
}

static void put_message(struct out *out, unsigned field, put_fn *put, const void *what)
{
    struct out counted = {.at = NULL};

    put(&counted, what);
    put_number(out, field << 3 | DELIMITED);
    put_number(out, counted.len);
    put(out, what);
}

static void put_pair(struct out *out, const void *what)
{
    const struct trib_spark_pair *pair = what;

    put_bytes(out, 1, pair->key);
    put_bytes(out, 2, pair->value);
}

static void put_pairs(struct out *out, unsigned field, const struct trib_spark_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_message(out, field, put_pair, &pairs[i]);
}

static int finish(put_fn *put, const void *what, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    struct out out = {.at = NULL};
    int rc;

    put(&out, what);
    if (out.len > INT_MAX)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, out.len, INT_MAX, "a control message of %zu bytes, protobuf allows %d", out.len,
                                  INT_MAX);
    rc = trib_chunk_new(out.len, 1, ret_chunk, err);
    if (rc != TRIB_OK)
        return rc;
    out = (struct out){.at = trib_chunk_writable(*ret_chunk)};
    put(&out, what);
    return TRIB_OK;
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

static void put_argument(struct out *out, const void *what)
{
    const struct trib_udf_argument *argument = what;

    put_varint(out, 1, argument->input_offset);
    put_set(out, 2, argument->name);
}

static void put_input(struct out *out, const void *what)
{
    const struct trib_udf_init *init = what;

    put_set(out, 1, init->schema_format);
    put_set(out, 2, init->schema);
    for (size_t i = 0; i < init->argument_count; i++)
        put_message(out, 3, put_argument, &init->arguments[i]);
}

static void put_udf(struct out *out, const void *what)
{
    const struct trib_udf_init *init = what;

    put_set(out, 1, init->payload);
    put_set(out, 2, init->format);
    if (init->has_payload_size)
        put_varint(out, 3, (uint64_t)init->payload_size);
    put_set(out, 4, init->name);
    put_set(out, 5, init->eval_type);
    if (init->has_payload_crc32)
        put_varint(out, 6, init->payload_crc32);
    if (init->has_invocation_id)
        put_varint(out, 7, (uint64_t)init->invocation_id);
    if (init->has_input)
        put_message(out, 8, put_input, init);
}

static void put_init(struct out *out, const void *what)
{
    const struct trib_udf_init *init = what;

    if (init->has_protocol_version)
        put_varint(out, 1, init->protocol_version);
    if (init->data_format != 0)
        put_varint(out, 2, (uint64_t)(int64_t)init->data_format);
    if (init->has_udf)
        put_message(out, 3, put_udf, init);
    if (init->is_chunking_payload)
        put_varint(out, 4, 1);
    put_set(out, 5, init->input_schema);
    put_set(out, 6, init->output_schema);
    put_pairs(out, 7, init->task_context, init->task_context_count);
    put_pairs(out, 8, init->session_conf, init->session_conf_count);
    put_set(out, 9, init->timezone);
    put_pairs(out, 10, init->environment_variables, init->environment_variable_count);
    put_pairs(out, 11, init->resource_directories, init->resource_directory_count);
    put_set(out, 100, init->parameters);
}

struct chunk {
    struct trib_view bytes;
    bool last;
};

static void put_chunk(struct out *out, const void *what)
{
    const struct chunk *chunk = what;

    put_set(out, 1, chunk->bytes);
    if (chunk->last)
        put_varint(out, 2, 1);
}

static void put_nothing(struct out *out, const void *what)
{
    (void)out, (void)what;
}

static void put_text(struct out *out, const void *what)
{
    put_set(out, 1, tribi_udf_text(what));
}

/* The control of an envelope, which holds one message. */
struct control {
    unsigned field;
    put_fn *put;
    const void *what;
};

static void put_control(struct out *out, const void *what)
{
    const struct control *control = what;

    put_message(out, control->field, control->put, control->what);
}

static void put_envelope(struct out *out, const void *what)
{
    put_message(out, 1, put_control, what);
}

static int write_control(unsigned field, put_fn *put, const void *what, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    struct control control = {field, put, what};

    return finish(put_envelope, &control, ret_chunk, err);
}

int tribi_udf_init_write(const struct trib_udf_init *init, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    return write_control(1, put_init, init, ret_chunk, err);
}

int tribi_udf_chunk_write(struct trib_view bytes, bool last, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    struct chunk chunk = {bytes, last};

    return write_control(2, put_chunk, &chunk, ret_chunk, err);
}

int tribi_udf_finish_write(struct trib_chunk **ret_chunk, struct trib_error *err)
{
    return write_control(3, put_nothing, NULL, ret_chunk, err);
}

int tribi_udf_cancel_write(const char *reason, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    return write_control(4, put_text, reason, ret_chunk, err);
}

/* ---- Responses -------------------------------------------------------------------------------------------------- */

static void put_kind(struct out *out, const void *what)
{
    const struct trib_udf_error *error = what;

    put_set(out, 1, error->message);
    if (error->kind != TRIB_UDF_PROTOCOL_ERROR)
        put_set(out, 2, error->traceback);
    if (error->kind == TRIB_UDF_USER_ERROR)
        put_set(out, 3, error->error_class);
}

static void put_error(struct out *out, const void *what)
{
    const struct trib_udf_error *error = what;

    put_message(out, (unsigned)error->kind, put_kind, error);
}

static void put_metrics(struct out *out, const void *what)
{
    const struct trib_udf_metrics *metrics = what;

    for (unsigned i = 0; i < TRIB_UDF_METRICS; i++)
        if ((metrics->present & 1u << i) != 0)
            put_varint(out, i + 1, metrics->values[i]);
}

/* Entries of the map first: a reader of messages merges all, and finds an entry empty. */
static void put_all_metrics(struct out *out, const struct tribi_udf_response *response)
{
    put_pairs(out, 1, response->pairs, response->pair_count);
    if (response->metrics != NULL)
        put_message(out, 1, put_metrics, response->metrics);
}

static void put_response(struct out *out, const void *what)
{
    const struct tribi_udf_response *response = what;
    bool failed = response->error.kind != TRIB_UDF_NO_ERROR;

    switch (response->kind) {
    case TRIB_REPLY_INIT:
        if (failed)
            put_message(out, 2, put_error, &response->error);
        break;
    case TRIB_REPLY_FINISH:
        put_all_metrics(out, response);
        if (failed)
            put_message(out, 3, put_error, &response->error);
        break;
    case TRIB_REPLY_CANCEL:
        put_all_metrics(out, response);
        if (failed)
            put_message(out, 2, put_error, &response->error);
        break;
    default:
        put_message(out, 1, put_error, &response->error);
        break;
    }
}

int tribi_udf_response_write(const struct tribi_udf_response *response, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    static const unsigned char fields[] = {
        [TRIB_REPLY_INIT] = 1, [TRIB_REPLY_FINISH] = 2, [TRIB_REPLY_CANCEL] = 3, [TRIB_REPLY_ERROR] = 4};

    return write_control(fields[response->kind], put_response, response, ret_chunk, err);
}

/* ---- Manage ----------------------------------------------------------------------------------------------------- */

struct shutdown {
    const char *reason;
    bool cancel_sessions;
};

static void put_shutdown(struct out *out, const void *what)
{
    const struct shutdown *shutdown = what;

    put_set(out, 1, tribi_udf_text(shutdown->reason));
    if (shutdown->cancel_sessions)
        put_varint(out, 2, 1);
}

int tribi_manage_write(enum tribi_manage_kind kind, bool cancel_sessions, const char *reason, struct trib_chunk **ret_chunk,
                       struct trib_error *err)
{
    struct shutdown shutdown = {reason, cancel_sessions};
    struct control control = {(unsigned)kind, kind == TRIBI_MANAGE_SHUTDOWN ? put_shutdown : put_nothing, &shutdown};

    return finish(kind == TRIBI_MANAGE_EMPTY ? put_nothing : put_control, &control, ret_chunk, err);
}

struct heartbeat {
    const struct trib_spark_pair *pairs;
    size_t count;
};

static void put_heartbeat(struct out *out, const void *what)
{
    const struct heartbeat *heartbeat = what;

    put_pairs(out, 1, heartbeat->pairs, heartbeat->count);
}

int tribi_manage_heartbeat_write(const struct trib_spark_pair *pairs, size_t count, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    struct heartbeat heartbeat = {pairs, count};
    struct control control = {TRIBI_MANAGE_HEARTBEAT, put_heartbeat, &heartbeat};

    return finish(put_control, &control, ret_chunk, err);
}

static void put_settled(struct out *out, const void *what)
{
    if (*(const bool *)what)
        put_varint(out, 1, 1);
}

int tribi_manage_shutdown_write(bool settled, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    struct control control = {TRIBI_MANAGE_SHUTDOWN, put_settled, &settled};

    return finish(put_control, &control, ret_chunk, err);
}

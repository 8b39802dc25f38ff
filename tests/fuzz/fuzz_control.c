/* Fuzzes control messages, both sides, and Manage: what is read of a request is written again, and read again, equal. The first byte chooses. */
#include <tributary/engine.h>

#include <stdlib.h>
#include <string.h>

#include "worker/udf_envelope-internal.h"
#include "worker/udf_message-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sum; /* keeps the compiler from leaving the touching out */

static void touch(struct trib_view view)
{
    for (size_t i = 0; i < view.len; i++)
        sum = sum + view.data[i];
}

/* The control inside the envelope that was written. */
static struct trib_view inside(struct trib_chunk *chunk)
{
    struct trib_view view = trib_chunk_view(chunk);
    uint64_t len;
    size_t n = tribi_varint_get(view.data + 1, view.len - 1, 5, &len);

    if (view.data[0] != 0x0a || n == 0 || 1 + n + len != view.len)
        abort();
    return trib_view_sub(view, 1 + n, (size_t)len);
}

static void same_view(struct trib_view a, struct trib_view b)
{
    touch(a);
    if ((a.data == NULL) != (b.data == NULL) || a.len != b.len || (a.len > 0 && memcmp(a.data, b.data, a.len) != 0))
        abort();
}

static void same_pairs(const struct trib_spark_pair *a, const struct trib_spark_pair *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        same_view(a[i].key, b[i].key);
        same_view(a[i].value, b[i].value);
    }
}

static void same_init(const struct trib_udf_init *a, const struct trib_udf_init *b)
{
    if (a->protocol_version != b->protocol_version || a->data_format != b->data_format || a->has_udf != b->has_udf ||
        a->payload_size != b->payload_size || a->payload_crc32 != b->payload_crc32 || a->invocation_id != b->invocation_id ||
        a->has_input != b->has_input || a->argument_count != b->argument_count || a->is_chunking_payload != b->is_chunking_payload ||
        a->task_context_count != b->task_context_count || a->session_conf_count != b->session_conf_count ||
        a->environment_variable_count != b->environment_variable_count || a->resource_directory_count != b->resource_directory_count)
        abort();
    same_view(a->payload, b->payload);
    same_view(a->format, b->format);
    same_view(a->name, b->name);
    same_view(a->eval_type, b->eval_type);
    same_view(a->schema_format, b->schema_format);
    same_view(a->schema, b->schema);
    for (size_t i = 0; i < a->argument_count; i++)
        same_view(a->arguments[i].name, b->arguments[i].name);
    same_view(a->input_schema, b->input_schema);
    same_view(a->output_schema, b->output_schema);
    same_view(a->timezone, b->timezone);
    same_view(a->parameters, b->parameters);
    same_pairs(a->task_context, b->task_context, a->task_context_count);
    same_pairs(a->session_conf, b->session_conf, a->session_conf_count);
    same_pairs(a->environment_variables, b->environment_variables, a->environment_variable_count);
    same_pairs(a->resource_directories, b->resource_directories, a->resource_directory_count);
}

static int write_again(const struct tribi_udf_request *request, struct trib_chunk **ret_chunk)
{
    char reason[64] = "";

    switch (request->kind) {
    case TRIBI_UDF_INIT:
        return tribi_udf_init_write(tribi_udf_init_fields(request->init), ret_chunk, NULL);
    case TRIBI_UDF_CHUNK:
        return tribi_udf_chunk_write(request->bytes, request->last, ret_chunk, NULL);
    case TRIBI_UDF_FINISH:
        return tribi_udf_finish_write(ret_chunk, NULL);
    default:
        memcpy(reason, request->bytes.len > 0 ? request->bytes.data : (const uint8_t *)"", request->bytes.len < 63 ? request->bytes.len : 63);
        return tribi_udf_cancel_write(request->bytes.data != NULL ? reason : NULL, ret_chunk, NULL);
    }
}

static void fuzz_request(struct trib_view bytes)
{
    struct tribi_udf_request first, second;
    struct trib_chunk *chunk;

    if (tribi_udf_request_read(bytes, &first, NULL) != TRIB_OK)
        return;
    if (first.kind != TRIBI_UDF_BAD) {
        if (write_again(&first, &chunk) != TRIB_OK || tribi_udf_request_read(inside(chunk), &second, NULL) != TRIB_OK)
            abort();
        if (first.kind != second.kind || first.last != second.last)
            abort();
        if (first.kind == TRIBI_UDF_INIT)
            same_init(tribi_udf_init_fields(first.init), tribi_udf_init_fields(second.init));
        else if (first.kind == TRIBI_UDF_CHUNK)
            same_view(first.bytes, second.bytes);
        tribi_udf_init_free(second.init);
        tribi_udf_request_done(&second);
        trib_chunk_unref(chunk);
    }
    tribi_udf_init_free(first.init);
    tribi_udf_request_done(&first);
}

static void fuzz_reply(struct trib_view bytes)
{
    struct tribi_udf_reply reply;

    if (tribi_udf_reply_read(bytes, &reply, NULL) != TRIB_OK)
        return;
    touch(reply.reply.data);
    touch(reply.reply.error.message);
    touch(reply.reply.error.traceback);
    touch(reply.reply.error.error_class);
    for (size_t i = 0; i < reply.reply.pair_count; i++) {
        touch(reply.reply.pairs[i].key);
        touch(reply.reply.pairs[i].value);
    }
    tribi_udf_reply_done(&reply);
}

static void on_metric(void *arg, struct trib_view name, struct trib_view value)
{
    (void)arg;
    touch(name);
    touch(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trib_view bytes = {data + 1, size - 1, NULL};
    enum tribi_manage_kind kind;
    bool flag = false;

    if (size < 1)
        return 0;
    switch (data[0] % 4) {
    case 0:
        fuzz_request(bytes);
        break;
    case 1:
        fuzz_reply(bytes);
        break;
    case 2:
        tribi_manage_read(bytes, &kind, &flag, NULL);
        break;
    default:
        tribi_manage_reply_read(bytes, on_metric, NULL, &kind, &flag, NULL);
        break;
    }
    return 0;
}

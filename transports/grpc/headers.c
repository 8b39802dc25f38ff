/* Blocks of headers: those that are sent, and what those that come mean. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <stdio.h>
#include <string.h>

#include "transports/grpc/owner-internal.h"

enum { FIXED_MAX = 12, FEW = 4 };

/* ---- Sending ------------------------------------------------------------------------------------------------------- */

enum { NAME_STAYS = NGHTTP2_NV_FLAG_NO_COPY_NAME, BOTH_STAY = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };

/* Names and values that last until they are submitted. What lasts as long as the stream libnghttp2 need not copy. */
struct block {
    nghttp2_nv *nv;
    size_t count, capacity;
    char **encoded; /* values that had to be written anew */
    size_t encoded_count;
    nghttp2_nv few_nv[FIXED_MAX + FEW]; /* where they lie if they are few; else in one block of memory */
    char *few_encoded[FEW];
    char number[16]; /* grpc-status */
};

static bool block_init(struct block *block, const struct tribi_grpc_metadata *metadata)
{
    block->count = block->encoded_count = 0;
    block->capacity = FIXED_MAX + metadata->count;
    block->nv = block->few_nv;
    block->encoded = block->few_encoded;
    if (metadata->count <= FEW)
        return true;
    block->nv = trib_alloc(block->capacity * sizeof(*block->nv) + metadata->count * sizeof(char *));
    if (block->nv == NULL)
        return false;
    block->encoded = (char **)(void *)(block->nv + block->capacity);
    return true;
}

static void block_done(struct block *block)
{
    for (size_t i = 0; i < block->encoded_count; i++)
        trib_free(block->encoded[i]);
    if (block->nv != block->few_nv)
        trib_free(block->nv);
}

static void put_len(struct block *block, const char *name, size_t name_len, const char *value, size_t len, uint8_t flags)
{
    block->nv[block->count++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, name_len, len, flags };
}

/* Two string literals. */
#define PUT(block, name, value) put_len(block, name, sizeof(name) - 1, value, sizeof(value) - 1, BOTH_STAY)

/* A literal, and a text that does not last. */
#define PUT_COPY(block, name, value) put_len(block, name, sizeof(name) - 1, value, strlen(value), NAME_STAYS)

/* Metadata of the user; -bin values as base64. */
static int put_metadata(struct block *block, const struct tribi_grpc_metadata *metadata)
{
    for (size_t i = 0; i < metadata->count; i++) {
        const struct trib_grpc_entry *entry = &metadata->entries[i];
        size_t len = strlen(entry->name);
        char *text;

        if (!tribi_grpc_is_bin(entry->name, len)) {
            put_len(block, entry->name, len, entry->value, entry->len, BOTH_STAY);
            continue;
        }
        text = trib_alloc(4 * ((entry->len + 2) / 3) + 1);
        if (text == NULL)
            return NGHTTP2_ERR_NOMEM;
        put_len(block, entry->name, len, text, tribi_grpc_base64_encode(entry->value, entry->len, text), NAME_STAYS);
        block->encoded[block->encoded_count++] = text;
    }
    return 0;
}

int tribi_grpc_submit_request(struct trib_grpc_call *stream, const char *authority, struct trib_error *err)
{
    nghttp2_data_provider source = { .source = { .ptr = stream }, .read_callback = tribi_grpc_source };
    char timeout[24];
    struct block block;
    int32_t id = NGHTTP2_ERR_NOMEM;

    if (block_init(&block, &stream->response)) {
        PUT(&block, ":method", "POST");
        PUT(&block, ":scheme", "http");
        put_len(&block, ":path", sizeof(":path") - 1, stream->path, strlen(stream->path), BOTH_STAY);
        PUT_COPY(&block, ":authority", authority); /* a client may go before its calls */
        PUT(&block, "te", "trailers");
        PUT(&block, "content-type", "application/grpc");
        PUT(&block, "user-agent", "tributary/" TRIB_VERSION);
        PUT(&block, "grpc-accept-encoding", "identity,gzip");
        if (stream->wants_gzip)
            PUT(&block, "grpc-encoding", "gzip");
        if (stream->deadline != TRIB_FOREVER) {
            tribi_grpc_timeout_format(stream->deadline - trib_now(), timeout);
            PUT_COPY(&block, "grpc-timeout", timeout);
        }
        if (put_metadata(&block, &stream->response) == 0)
            id = nghttp2_submit_request(tribi_grpc_stirred(stream->conn), NULL, block.nv, block.count, &source, stream);
        block_done(&block);
    }
    if (id < 0)
        return trib_error_set(err, id == NGHTTP2_ERR_NOMEM ? TRIB_ERR_NOMEM : TRIB_ERR_CLOSED, 0, "call gRPC %s: %s", stream->path,
                              nghttp2_strerror(id));
    stream->id = id;
    stream->out.submitted = true;
    return TRIB_OK;
}

/* *ret_text is NULL where there is none. */
static bool encode_text(const char *text, char **ret_text)
{
    size_t len = text != NULL ? strlen(text) : 0;

    *ret_text = len > 0 ? trib_alloc_raw(3 * len + 1) : NULL;
    if (*ret_text != NULL)
        (*ret_text)[tribi_grpc_percent_encode(text, len, *ret_text)] = '\0';
    return *ret_text != NULL || len == 0;
}

static void put_response(struct block *block, const struct trib_grpc_call *stream)
{
    PUT(block, ":status", "200");
    PUT(block, "content-type", "application/grpc");
    PUT(block, "grpc-accept-encoding", "identity,gzip");
    if (stream->wants_gzip)
        PUT(block, "grpc-encoding", "gzip");
}

static void put_status(struct block *block, const struct trib_grpc_call *stream, const char *text)
{
    if (stream->out.status == 0) {
        PUT(block, "grpc-status", "0");
    } else {
        snprintf(block->number, sizeof(block->number), "%d", stream->out.status);
        PUT_COPY(block, "grpc-status", block->number);
    }
    if (text != NULL)
        PUT_COPY(block, "grpc-message", text);
}

int tribi_grpc_submit_response(struct trib_grpc_call *stream, bool trailers_only)
{
    nghttp2_data_provider source = { .source = { .ptr = stream }, .read_callback = tribi_grpc_source };
    const struct tribi_grpc_metadata *metadata = trailers_only && stream->response.count == 0 ? &stream->farewell : &stream->response;
    struct block block;
    char *text;
    int rc = NGHTTP2_ERR_NOMEM;

    /* Metadata for the beginning and for the end cannot share a block: first the one, then the other. */
    if (trailers_only && stream->response.count > 0 && stream->farewell.count > 0)
        trailers_only = false;
    stream->out.submitted = true;
    if (encode_text(stream->out.text, &text) && block_init(&block, metadata)) {
        put_response(&block, stream);
        if (trailers_only)
            put_status(&block, stream, text);
        rc = put_metadata(&block, metadata);
        if (rc == 0)
            rc = nghttp2_submit_response(tribi_grpc_stirred(stream->conn), stream->id, block.nv, block.count, trailers_only ? NULL : &source);
        block_done(&block);
        if (rc == 0 && !trailers_only && stream->out.finishing)
            rc = tribi_grpc_submit_trailers(stream);
    }
    trib_free(text);
    return rc;
}

int tribi_grpc_submit_trailers(struct trib_grpc_call *stream)
{
    struct block block;
    char *text;
    int rc = NGHTTP2_ERR_NOMEM;

    stream->out.trailers = true;
    if (encode_text(stream->out.text, &text) && block_init(&block, &stream->farewell)) {
        put_status(&block, stream, text);
        rc = put_metadata(&block, &stream->farewell);
        if (rc == 0)
            rc = nghttp2_submit_trailer(tribi_grpc_stirred(stream->conn), stream->id, block.nv, block.count);
        block_done(&block);
    }
    trib_free(text);
    return rc;
}

/* ---- Receiving ----------------------------------------------------------------------------------------------------- */

/* Against a literal: the compiler makes a few words of it. */
#define IS(text, len, literal) ((len) == sizeof(literal) - 1 && memcmp(text, literal, sizeof(literal) - 1) == 0)

static int on_message(struct trib_grpc_call *stream, const char *value, size_t len)
{
    trib_free(stream->grpc_message);
    stream->grpc_message = trib_alloc(len + 1);
    if (stream->grpc_message == NULL)
        return TRIB_ERR_NOMEM;
    tribi_grpc_percent_decode(value, len, stream->grpc_message);
    return TRIB_OK;
}

static int on_path(struct trib_grpc_call *stream, const char *value, size_t len)
{
    stream->path = tribi_grpc_metadata_keep(&stream->received, value, len);
    return stream->path != NULL ? TRIB_OK : TRIB_ERR_NOMEM;
}

static void on_timeout(struct trib_grpc_call *stream, const char *value, size_t len)
{
    int64_t timeout;

    if (!tribi_grpc_timeout_parse(value, len, &timeout))
        stream->bad_timeout = true;
    else
        stream->deadline = timeout < TRIB_FOREVER - trib_now() ? trib_now() + timeout : TRIB_FOREVER;
}

/* What the first headers say; by the length of the name, for most are none of these. */
static int on_first(struct trib_grpc_call *stream, const char *name, size_t name_len, const char *value, size_t len)
{
    switch (name_len) {
    case sizeof(":path") - 1:
        return IS(name, name_len, ":path") ? on_path(stream, value, len) : TRIB_OK;
    case sizeof(":method") - 1: /* and ":status" */
        if (IS(name, name_len, ":method")) {
            stream->is_post = IS(value, len, "POST");
            stream->is_head = IS(value, len, "HEAD");
        } else if (IS(name, name_len, ":status"))
            stream->http_status = len == 3 ? (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0') : 0;
        return TRIB_OK;
    case sizeof("content-type") - 1: /* and "grpc-timeout" */
        if (IS(name, name_len, "content-type"))
            stream->is_grpc = tribi_grpc_content_type_ok(value, len);
        else if (IS(name, name_len, "grpc-timeout"))
            on_timeout(stream, value, len);
        return TRIB_OK;
    case sizeof("grpc-encoding") - 1:
        if (IS(name, name_len, "grpc-encoding"))
            stream->encoding = (int)tribi_grpc_encoding_of(value, len);
        return TRIB_OK;
    case sizeof("grpc-accept-encoding") - 1:
        if (IS(name, name_len, "grpc-accept-encoding"))
            stream->accepts_gzip = tribi_grpc_accepts(value, len, "gzip");
        return TRIB_OK;
    default:
        return TRIB_OK;
    }
}

int tribi_grpc_on_header(struct trib_grpc_call *stream, const uint8_t *raw_name, size_t name_len, const uint8_t *raw_value,
                         size_t value_len, bool trailers)
{
    const char *name = (const char *)raw_name, *value = (const char *)raw_value;
    int rc = TRIB_OK;

    if (IS(name, name_len, "grpc-status"))
        stream->grpc_status = tribi_grpc_status_parse(value, value_len);
    else if (IS(name, name_len, "grpc-message"))
        rc = on_message(stream, value, value_len);
    else if (!trailers)
        rc = on_first(stream, name, name_len, value, value_len);
    if (rc != TRIB_OK || (tribi_grpc_is_reserved(name, name_len) && !IS(name, name_len, "user-agent")))
        return rc;
    rc = tribi_grpc_metadata_decode(trailers ? &stream->trailers : &stream->received, name, name_len, value, value_len);
    if (rc == TRIB_ERR_PROTOCOL)
        stream->bad_metadata = true;
    return rc == TRIB_ERR_NOMEM ? rc : TRIB_OK;
}

void tribi_grpc_refuse(struct trib_grpc_call *stream)
{
    static const char no_post[] = "this is a gRPC server: requests are POST\n";
    static const char no_grpc[] = "this is a gRPC server: the content-type is application/grpc\n";
    nghttp2_data_provider source = { .source = { .ptr = stream }, .read_callback = tribi_grpc_source };
    struct tribi_grpc_piece piece = { .owner = NULL };
    const char *text = stream->is_post ? no_grpc : no_post;
    struct block block;

    if (!stream->refused || stream->closed || stream->out.submitted)
        return;
    block_init(&block, &stream->response); /* which is empty: nobody has seen this call */
    PUT_COPY(&block, ":status", stream->is_post ? "415" : "405");
    PUT(&block, "content-type", "text/plain");
    if (!stream->is_post)
        PUT(&block, "allow", "POST");
    stream->out.submitted = stream->out.finishing = true;
    if (!stream->is_head && tribi_grpc_pieces_reserve(&stream->out.pieces, 1) == TRIB_OK &&
        tribi_grpc_small(stream->conn, text, strlen(text), &piece.view) == TRIB_OK)
        tribi_grpc_pieces_push(&stream->out.pieces, piece);
    if (nghttp2_submit_response(tribi_grpc_stirred(stream->conn), stream->id, block.nv, block.count, stream->is_head ? NULL : &source) != 0)
        tribi_grpc_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
}

/* Then the call has failed. */
static bool too_much(struct trib_grpc_call *stream, const struct tribi_grpc_metadata *metadata)
{
    if (metadata->bytes <= TRIBI_GRPC_METADATA_MAX)
        return false;
    if (stream->failed == 0)
        stream->grpc_status = -1; /* it is not all that the peer says */
    tribi_grpc_stream_fail(stream, TRIB_ERR_LIMIT, TRIB_GRPC_RESOURCE_EXHAUSTED, "the metadata takes %zu bytes, the limit is %d", metadata->bytes,
                           TRIBI_GRPC_METADATA_MAX);
    return true;
}

static void request_complete(struct trib_grpc_call *stream)
{
    struct tribi_grpc_conn *conn = stream->conn;

    if (!stream->is_post || !stream->is_grpc) {
        stream->refused = stream->ignores = true; /* answered when it has ended, as HTTP's peers expect it */
        return;
    }
    if (conn->going_away) {
        stream->ignores = true;
        tribi_grpc_stream_reset(stream, NGHTTP2_REFUSED_STREAM);
        return;
    }
    if (too_much(stream, &stream->received)) {
        stream->ignores = true;
        return;
    }
    if (stream->encoding == TRIBI_GRPC_UNKNOWN_ENCODING || stream->bad_timeout || stream->bad_metadata) {
        stream->ignores = true;
        if (stream->encoding == TRIBI_GRPC_UNKNOWN_ENCODING)
            tribi_grpc_stream_end(stream, TRIB_GRPC_UNIMPLEMENTED, "grpc-encoding is not one of grpc-accept-encoding");
        else
            tribi_grpc_stream_end(stream, TRIB_GRPC_INTERNAL, stream->bad_timeout ? "malformed grpc-timeout" : "malformed -bin metadata");
        return;
    }
    stream->incoming = true;
    stream->incoming_next = NULL;
    *conn->incoming_last = stream;
    conn->incoming_last = &stream->incoming_next;
    if (conn->owner != NULL)
        tribi_grpc_owner_ring(conn->owner);
    tribi_grpc_ring(conn);
}

static void response_complete(struct trib_grpc_call *stream, bool end)
{
    if (stream->http_status != 200 || !stream->is_grpc) {
        int status = stream->http_status == 200 ? TRIB_GRPC_UNKNOWN : tribi_grpc_status_of_http(stream->http_status);

        if (!end || stream->grpc_status < 0) {
            stream->grpc_status = -1;
            trib_free(stream->grpc_message);
            stream->grpc_message = NULL;
            tribi_grpc_stream_fail(stream, TRIB_ERR_FAILED, status, "the server answered with HTTP status %d%s", stream->http_status,
                                   stream->is_grpc ? "" : " and no gRPC content-type");
            return;
        }
    }
    if (end)
        tribi_grpc_trailers_complete(stream);
    else if (stream->encoding == TRIBI_GRPC_UNKNOWN_ENCODING)
        tribi_grpc_stream_fail(stream, TRIB_ERR_PROTOCOL, TRIB_GRPC_INTERNAL, "the server's grpc-encoding is unknown");
    tribi_grpc_notify(stream, TRIB_READABLE);
}

void tribi_grpc_headers_complete(struct trib_grpc_call *stream, bool end)
{
    bool server = stream->conn->server;

    if (!server && stream->http_status >= 100 && stream->http_status < 200 && stream->received.bytes <= TRIBI_GRPC_METADATA_MAX)
        return; /* informational: the response is still to come */
    stream->headers_done = true;
    if (server)
        request_complete(stream);
    else if (!too_much(stream, &stream->received))
        response_complete(stream, end);
}

void tribi_grpc_trailers_complete(struct trib_grpc_call *stream)
{
    const char *text = stream->grpc_message != NULL ? stream->grpc_message : "";

    if (stream->failed != 0 || too_much(stream, &stream->trailers))
        return;
    if (stream->grpc_status < 0) {
        if (!stream->conn->server)
            tribi_grpc_stream_lost(stream, TRIB_ERR_PROTOCOL, TRIB_GRPC_INTERNAL, "the server ended the call without a status");
        return;
    }
    if (stream->grpc_status != 0) {
        stream->failed = TRIB_ERR_FAILED;
        trib_error_set(&stream->failure, TRIB_ERR_FAILED, 0, "gRPC %s: %s: %s", stream->path, trib_grpc_code_name(stream->grpc_status), text);
    }
}

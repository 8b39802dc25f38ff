/* Cuts DataRequests into Arrow messages, where they lie. */
#include "udf_arrow-internal.h"

#include <tributary/alloc.h>

#include <inttypes.h>
#include <nanoarrow/nanoarrow_ipc.h>
#include <stdio.h>
#include <string.h>

struct tribi_arrow_in {
    struct ArrowIpcDecoder decoder;
    size_t align;
    struct trib_chunk *schema; /* of Init, prefix and metadata; one reference */
    struct trib_view metadata; /* of the schema, one reference */
    bool has_schema;
    bool whole;
    struct trib_view data; /* what is being cut, */
    size_t at;             /* from here on */
    uint64_t number;
    struct trib_chunk *head, *body; /* of the last message, where they had to be moved */
    uint64_t copied;
};

int tribi_arrow_in_new(size_t align, struct tribi_arrow_in **ret_in, struct trib_error *err)
{
    struct tribi_arrow_in *in = trib_alloc(sizeof(*in));

    if (in == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "Arrow: no memory");
    if (ArrowIpcDecoderInit(&in->decoder) != NANOARROW_OK) {
        trib_free(in);
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "Arrow: decoder: no memory");
    }
    in->align = align;
    *ret_in = in;
    return TRIB_OK;
}

static void drop_copies(struct tribi_arrow_in *in)
{
    in->head = trib_chunk_unref(in->head);
    in->body = trib_chunk_unref(in->body);
}

void tribi_arrow_in_free(struct tribi_arrow_in *in)
{
    if (in == NULL)
        return;
    drop_copies(in);
    trib_chunk_unref(in->schema);
    trib_view_release(&in->metadata);
    ArrowIpcDecoderReset(&in->decoder);
    trib_free(in);
}

struct trib_view tribi_arrow_in_metadata(const struct tribi_arrow_in *in)
{
    return in->metadata;
}

bool tribi_arrow_in_whole(const struct tribi_arrow_in *in)
{
    return in->whole;
}

uint64_t tribi_arrow_in_copied(const struct tribi_arrow_in *in)
{
    return in->copied;
}

bool tribi_arrow_begins(struct trib_view data)
{
    static const uint8_t continuation[4] = {0xff, 0xff, 0xff, 0xff};

    return data.len >= sizeof(continuation) && memcmp(data.data, continuation, sizeof(continuation)) == 0;
}

/* ---- One message ------------------------------------------------------------------------------------------------ */

static int ended(const char *what, uint64_t wanted, size_t got, struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "%s: wanted %" PRIu64 " bytes, the data ended after %zu", what, wanted, got);
}

/* copy: bytes that do not lie as they are to be read */
static int move(struct tribi_arrow_in *in, struct trib_view *view, size_t align, struct trib_chunk **keep, struct trib_error *err)
{
    int rc = trib_chunk_new(view->len, align, keep, err);

    if (rc != TRIB_OK)
        return rc;
    memcpy(trib_chunk_writable(*keep), view->data, view->len);
    in->copied += view->len;
    *view = trib_chunk_view(*keep);
    return TRIB_OK;
}

static bool lies_on(struct trib_view view, size_t align)
{
    return ((uintptr_t)view.data & (align - 1)) == 0;
}

/* Prefix and metadata. TRIB_EOF: the end of the stream stood there. */
static int take_head(struct tribi_arrow_in *in, struct trib_view *ret_head, struct trib_error *err)
{
    struct trib_view rest = trib_view_sub(in->data, in->at, in->data.len - in->at), head;
    size_t length;
    int rc;

    if (rest.len < TRIBI_ARROW_PREFIX)
        return ended("an Arrow message", TRIBI_ARROW_PREFIX, rest.len, err);
    rc = tribi_arrow_check_prefix(rest.data, SIZE_MAX, &length, err);
    if (rc != TRIB_OK)
        return rc;
    if (length > rest.len - TRIBI_ARROW_PREFIX)
        return ended("Arrow metadata", length, rest.len - TRIBI_ARROW_PREFIX, err);
    head = trib_view_sub(rest, 0, TRIBI_ARROW_PREFIX + length);
    in->at += head.len;
    if (length == 0)
        return TRIB_EOF;
    if (!lies_on(head, TRIBI_ARROW_ALIGN))
        rc = move(in, &head, TRIBI_ARROW_ALIGN, &in->head, err);
    *ret_head = head;
    return rc;
}

static int take_body(struct tribi_arrow_in *in, uint64_t length, struct trib_view *ret_body, struct trib_error *err)
{
    struct trib_view body = trib_view_sub(in->data, in->at, in->data.len - in->at);

    if (length > body.len)
        return ended("an Arrow body", length, body.len, err);
    body.len = (size_t)length;
    in->at += body.len;
    *ret_body = body;
    return body.len == 0 || lies_on(body, in->align) ? TRIB_OK : move(in, ret_body, in->align, &in->body, err);
}

/* copy: it lasts as long as the session, and what it came in is large */
static int keep_schema(struct tribi_arrow_in *in, struct trib_arrow_message *schema, struct trib_error *err)
{
    struct trib_chunk *head;
    struct trib_view view;
    int rc = tribi_arrow_head_copy(schema, &head, err);

    if (rc != TRIB_OK)
        return rc;
    view = trib_chunk_view(head);
    in->metadata = trib_view_sub(view, TRIBI_ARROW_PREFIX, view.len); /* the copy's reference */
    in->copied += view.len;
    in->has_schema = true;
    schema->metadata = in->metadata;
    return TRIB_OK;
}

/* The first one is kept; another one must say the same, and stand at the front of its DataRequest. TRIB_AGAIN: it did, and is known. */
static int take_schema(struct tribi_arrow_in *in, struct trib_arrow_message *schema, size_t from, struct trib_error *err)
{
    bool same;
    int rc;

    in->whole = true;
    if (!in->has_schema)
        return keep_schema(in, schema, err);
    if (from != 0)
        return tribi_arrow_check_order(TRIB_ARROW_SCHEMA, true, 0, err);
    rc = tribi_arrow_same_types(schema->metadata, in->metadata, &same, err);
    if (rc != TRIB_OK)
        return rc;
    return same ? TRIB_AGAIN : trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow: the schema differs from the one that came before");
}

static int take_message(struct tribi_arrow_in *in, struct trib_arrow_message *ret_message, struct trib_error *err)
{
    size_t from = in->at;
    struct trib_view head;
    uint64_t length;
    int rc = take_head(in, &head, err);

    if (rc == TRIB_OK)
        rc = tribi_arrow_decode_with(&in->decoder, head, ret_message, &length, err);
    if (rc == TRIB_OK)
        rc = tribi_arrow_check_order(ret_message->kind, ret_message->kind != TRIB_ARROW_SCHEMA && in->has_schema, length, err);
    if (rc == TRIB_OK)
        rc = take_body(in, length, &ret_message->body, err);
    if (rc == TRIB_OK && ret_message->kind == TRIB_ARROW_SCHEMA)
        rc = take_schema(in, ret_message, from, err);
    return rc;
}

/* ---- A DataRequest ---------------------------------------------------------------------------------------------- */

int tribi_arrow_in_schema(struct tribi_arrow_in *in, struct trib_view bytes, struct trib_error *err)
{
    struct trib_view head;
    int rc = tribi_arrow_schema_copy(bytes, "Init.input_schema", &in->schema, err);

    if (rc != TRIB_OK)
        return rc;
    head = trib_chunk_view(in->schema);
    in->metadata = trib_view_retain(trib_view_sub(head, TRIBI_ARROW_PREFIX, head.len));
    in->has_schema = true;
    return TRIB_OK;
}

void tribi_arrow_in_begin(struct tribi_arrow_in *in, struct trib_view data, uint64_t number)
{
    in->data = data;
    in->at = 0;
    in->number = number;
}

/* Nothing may follow the end of a stream in its DataRequest. */
static int check_end(const struct tribi_arrow_in *in, struct trib_error *err)
{
    if (in->at == in->data.len)
        return TRIB_EOF;
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "%zu bytes follow the end of the Arrow stream", in->data.len - in->at);
}

static int locate(const struct tribi_arrow_in *in, const struct trib_error *why, size_t from, struct trib_error *err)
{
    return trib_error_set(err, why->code, 0, "DataRequest %" PRIu64 ", byte %zu: %s", in->number, from, why->message);
}

int tribi_arrow_in_next(struct tribi_arrow_in *in, struct trib_arrow_message *ret_message, struct trib_error *err)
{
    struct trib_error why;
    size_t from;
    int rc;

    do {
        drop_copies(in);
        from = in->at;
        if (in->schema != NULL) { /* of Init, not given yet */
            in->schema = trib_chunk_unref(in->schema);
            *ret_message = (struct trib_arrow_message){.kind = TRIB_ARROW_SCHEMA, .metadata = in->metadata};
            return TRIB_OK;
        }
        if (from > 0 && from == in->data.len)
            return TRIB_EOF;
        rc = take_message(in, ret_message, &why);
        if (rc == TRIB_EOF)
            rc = check_end(in, &why);
    } while (rc == TRIB_AGAIN);
    if (rc < 0)
        rc = locate(in, &why, from, err);
    if (rc != TRIB_OK)
        drop_copies(in);
    return rc;
}

/* Makes DataResponses of the Arrow that a serializer puts, in the form that the engine reads. */
#include "udf_arrow-internal.h"

#include <stdio.h>
#include <string.h>

int tribi_arrow_out_init(struct tribi_arrow_out *out, const struct tribi_arrow_in *in, struct trib_view expected, struct trib_error *err)
{
    *out = (struct tribi_arrow_out){.in = in};
    return expected.len > 0 ? tribi_arrow_schema_copy(expected, "Init.output_schema", &out->expected, err) : TRIB_OK;
}

void tribi_arrow_out_done(struct tribi_arrow_out *out)
{
    out->expected = trib_chunk_unref(out->expected);
    out->schema = trib_chunk_unref(out->schema);
}

/* ---- The form --------------------------------------------------------------------------------------------------- */

static int say_mismatch(const struct trib_arrow_message *schema, struct trib_view metadata, struct trib_error *err)
{
    struct trib_arrow_message expected = {.kind = TRIB_ARROW_SCHEMA, .metadata = metadata};
    char texts[2][72] = {"?", "?"};

    trib_arrow_describe(schema, texts[0], sizeof(texts[0]), NULL);
    trib_arrow_describe(&expected, texts[1], sizeof(texts[1]), NULL);
    return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "spark-grpc: the answer is <%s>, Init.output_schema says <%s>", texts[0], texts[1]);
}

/* A batch alone is read with the schema that the engine has named. */
static int choose_form(struct tribi_arrow_out *out, const struct trib_arrow_message *schema, struct trib_error *err)
{
    struct trib_view known = {.data = NULL};
    bool same = false;
    int rc = TRIB_OK;

    if (out->expected != NULL)
        known = trib_view_sub(trib_chunk_view(out->expected), TRIBI_ARROW_PREFIX, SIZE_MAX);
    else if (out->in != NULL)
        known = tribi_arrow_in_metadata(out->in);
    if (known.len > 0)
        rc = tribi_arrow_same_types(schema->metadata, known, &same, err);
    if (rc == TRIB_OK && !same && out->expected != NULL)
        rc = say_mismatch(schema, known, err);
    out->whole = !same || (out->in != NULL && tribi_arrow_in_whole(out->in));
    return rc;
}

/* The metadata goes before each batch. What has a holder is referenced. */
static int keep_schema(struct tribi_arrow_out *out, struct trib_view metadata, struct trib_error *err)
{
    out->schema = trib_chunk_unref(out->schema);
    out->metadata = metadata;
    if (metadata.holder != NULL) {
        out->schema = trib_chunk_ref(metadata.holder);
        return TRIB_OK;
    }
    if (trib_chunk_copy(metadata.data, metadata.len, &out->schema, err) != TRIB_OK)
        return TRIB_ERR_NOMEM;
    out->metadata = trib_chunk_view(out->schema);
    return TRIB_OK;
}

static int take_schema(struct tribi_arrow_out *out, const struct trib_arrow_message *schema, struct trib_error *err)
{
    int rc;

    if (schema->kind != TRIB_ARROW_SCHEMA)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "spark-grpc: a %s was put before the schema", trib_arrow_kind_name(schema->kind));
    rc = choose_form(out, schema, err);
    if (rc == TRIB_OK && out->whole)
        rc = keep_schema(out, schema->metadata, err);
    out->has_schema = rc == TRIB_OK;
    return rc;
}

/* ---- Parts ------------------------------------------------------------------------------------------------------ */

static void add(struct tribi_arrow_parts *parts, struct trib_view view)
{
    if (view.len > 0)
        parts->views[parts->count++] = view;
    parts->size += view.len;
}

static void add_prefix(struct tribi_arrow_parts *parts, unsigned which, size_t metadata_len)
{
    tribi_arrow_prefix(parts->prefixes[which], metadata_len);
    add(parts, (struct trib_view){.data = parts->prefixes[which], .len = TRIBI_ARROW_PREFIX});
}

static int take_batch(const struct tribi_arrow_out *out, const struct trib_arrow_message *batch, struct tribi_arrow_parts *parts, struct trib_error *err)
{
    if (batch->kind == TRIB_ARROW_SCHEMA)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "spark-grpc: a second schema was put in one stream");
    if (batch->metadata.len == 0 || batch->metadata.len > INT32_MAX)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "spark-grpc: ARROW with %zu bytes of metadata", batch->metadata.len);
    if (out->whole && batch->kind == TRIB_ARROW_DICTIONARY)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "spark-grpc: a dictionary, where each DataResponse is a stream of its own");
    if (out->whole) {
        add_prefix(parts, 0, out->metadata.len);
        add(parts, out->metadata);
    }
    add_prefix(parts, 1, batch->metadata.len);
    add(parts, batch->metadata);
    add(parts, batch->body);
    if (out->whole)
        add_prefix(parts, 2, 0);
    return TRIB_OK;
}

int tribi_arrow_out_put(struct tribi_arrow_out *out, const struct trib_event *event, struct tribi_arrow_parts *ret_parts, struct trib_error *err)
{
    ret_parts->count = 0;
    ret_parts->size = 0;
    if ((event->kind == TRIB_EVENT_STREAM) == out->open)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "spark-grpc: %s was put %s a stream", trib_event_name(event->kind),
                              out->open ? "inside" : "outside");
    if (event->kind != TRIB_EVENT_ARROW) {
        out->open = event->kind == TRIB_EVENT_STREAM;
        out->has_schema = false;
        return TRIB_OK;
    }
    return out->has_schema ? take_batch(out, &event->arrow, ret_parts, err) : take_schema(out, &event->arrow, err);
}

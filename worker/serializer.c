/* The serializers echo, upper and count, over events alone. */
#include <tributary/serializer.h>

#include <tributary/alloc.h>

#include "serializer-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct trib_event no_event = TRIB_EVENT_INIT_EMPTY;

static int put_kind(struct trib_sender *out, enum trib_event_kind kind, struct trib_error *err)
{
    struct trib_event event = no_event;

    event.kind = kind;
    return trib_sender_put(out, &event, err);
}

/* ---- echo and upper ---------------------------------------------------------------------------------------------
 * All streams that come in are one stream going out. It is begun with its first batch: until then an exception can still be
 * told, and no batch at all means no stream. */

struct mirror {
    bool upper;
    bool open; /* STREAM and schema are out */
    bool has_schema;
    struct trib_arrow_message schema; /* metadata retained */
    struct tribi_arrow_upper *arrow;  /* of upper */
};

static int open_mirror(bool upper, void **ret_state, struct trib_error *err)
{
    struct mirror *mirror = trib_alloc(sizeof(*mirror));

    if (mirror == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "%s: no memory", upper ? "upper" : "echo");
    mirror->upper = upper;
    *ret_state = mirror;
    return TRIB_OK;
}

static int echo_open(const struct trib_event *init, void **ret_state, struct trib_error *err)
{
    (void)init;
    return open_mirror(false, ret_state, err);
}

static int upper_open(const struct trib_event *init, void **ret_state, struct trib_error *err)
{
    (void)init;
    return open_mirror(true, ret_state, err);
}

static void mirror_close(void *state)
{
    struct mirror *mirror = state;

    trib_view_release(&mirror->schema.metadata);
    tribi_arrow_upper_free(mirror->arrow);
    trib_free(mirror);
}

static int mirror_schema(struct mirror *mirror, const struct trib_arrow_message *schema, struct trib_error *err)
{
    const struct trib_view *first = &mirror->schema.metadata;
    int rc = TRIB_OK;

    if (mirror->has_schema) {
        if (first->len == schema->metadata.len && memcmp(first->data, schema->metadata.data, first->len) == 0)
            return TRIB_OK;
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0,
                              "a group's schema differs from the first one's: one stream cannot hold both");
    }
    if (mirror->upper)
        rc = tribi_arrow_upper_new(schema, &mirror->arrow, err);
    if (rc != TRIB_OK)
        return rc;
    mirror->schema = *schema;
    mirror->schema.metadata = trib_view_retain(schema->metadata);
    mirror->has_schema = true;
    return TRIB_OK;
}

static int begin_stream(struct mirror *mirror, struct trib_sender *out, struct trib_error *err)
{
    struct trib_event event = no_event;
    int rc = put_kind(out, TRIB_EVENT_STREAM, err);

    if (rc != TRIB_OK)
        return rc;
    mirror->open = true;
    event.kind = TRIB_EVENT_ARROW;
    event.arrow = mirror->schema;
    return trib_sender_put(out, &event, err);
}

static int put_upper(struct mirror *mirror, const struct trib_event *event, struct trib_sender *out, struct trib_error *err)
{
    struct trib_event changed = *event;
    struct trib_chunk *body;
    int rc = tribi_arrow_upper_body(mirror->arrow, &event->arrow, &body, err);

    if (rc != TRIB_OK)
        return rc;
    changed.arrow.body = trib_chunk_view(body);
    rc = trib_sender_put(out, &changed, err);
    trib_chunk_unref(body);
    return rc;
}

static int mirror_arrow(struct mirror *mirror, const struct trib_event *event, struct trib_sender *out, struct trib_error *err)
{
    int rc = TRIB_OK;

    if (event->arrow.kind == TRIB_ARROW_SCHEMA)
        return mirror_schema(mirror, &event->arrow, err);
    if (mirror->upper && event->arrow.kind == TRIB_ARROW_DICTIONARY)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "upper: dictionaries");
    if (!mirror->open)
        rc = begin_stream(mirror, out, err);
    if (rc != TRIB_OK)
        return rc;
    return mirror->upper ? put_upper(mirror, event, out, err) : trib_sender_put(out, event, err);
}

static int mirror_frame(const struct mirror *mirror, const struct trib_event *event, struct trib_sender *out,
                        struct trib_error *err)
{
    struct trib_event changed = *event;
    struct trib_chunk *chunk;
    int rc;

    if (!mirror->upper)
        return trib_sender_put(out, event, err);
    rc = trib_chunk_new(event->bytes.len, 1, &chunk, err);
    if (rc != TRIB_OK)
        return rc;
    /* copy: the letters change. */
    tribi_ascii_upper(trib_chunk_writable(chunk), event->bytes.data, event->bytes.len);
    changed.bytes = trib_chunk_view(chunk);
    rc = trib_sender_put(out, &changed, err);
    trib_chunk_unref(chunk);
    return rc;
}

static int mirror_event(void *state, const struct trib_event *event, struct trib_sender *out, struct trib_error *err)
{
    struct mirror *mirror = state;

    switch (event->kind) {
    case TRIB_EVENT_DATA:
        if (event->number == TRIB_DATA_PAIRS)
            return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "%s: pairs of groups have no identity",
                                  mirror->upper ? "upper" : "echo");
        return TRIB_OK;
    case TRIB_EVENT_FRAME:
        return mirror_frame(mirror, event, out, err);
    case TRIB_EVENT_NULL:
        return trib_sender_put(out, event, err);
    case TRIB_EVENT_ARROW:
        return mirror_arrow(mirror, event, out, err);
    case TRIB_EVENT_DATA_END:
        return mirror->open ? put_kind(out, TRIB_EVENT_STREAM_END, err) : TRIB_OK;
    default:
        return TRIB_OK;
    }
}

/* ---- count ------------------------------------------------------------------------------------------------------ */

struct count {
    enum trib_data_shape shape;
    int64_t frames, nulls, streams, batches, rows, bytes;
};

static int count_open(const struct trib_event *init, void **ret_state, struct trib_error *err)
{
    (void)init;
    *ret_state = trib_alloc(sizeof(struct count));
    return *ret_state != NULL ? TRIB_OK : trib_error_set(err, TRIB_ERR_NOMEM, 0, "count: no memory");
}

static int count_answer(const struct count *count, struct trib_sender *out, struct trib_error *err)
{
    static const char *const names[] = {"streams", "batches", "rows", "bytes"};
    const int64_t values[] = {count->streams, count->batches, count->rows, count->bytes};
    struct trib_event event = no_event;
    char text[128];

    if (count->shape != TRIB_DATA_FRAMES)
        return tribi_arrow_put_numbers(out, names, values, sizeof(names) / sizeof(names[0]), err);
    event.kind = TRIB_EVENT_FRAME;
    event.bytes.data = (const uint8_t *)text;
    event.bytes.len = (size_t)snprintf(text, sizeof(text), "frames=%" PRId64 " nulls=%" PRId64 " bytes=%" PRId64, count->frames,
                                       count->nulls, count->bytes);
    return trib_sender_put(out, &event, err);
}

/* The peer claims them: a batch without columns may say any number. */
static int count_rows(struct count *count, int64_t rows, struct trib_error *err)
{
    if (rows > INT64_MAX - count->rows)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "count: a batch of %" PRId64 " rows after %" PRId64 ": more than 2^63 - 1",
                              rows, count->rows);
    count->rows += rows;
    return TRIB_OK;
}

static int count_event(void *state, const struct trib_event *event, struct trib_sender *out, struct trib_error *err)
{
    struct count *count = state;

    count->bytes += (int64_t)(event->bytes.len + event->arrow.metadata.len + event->arrow.body.len);
    switch (event->kind) {
    case TRIB_EVENT_DATA:
        count->shape = (enum trib_data_shape)event->number;
        break;
    case TRIB_EVENT_FRAME:
        count->frames++;
        break;
    case TRIB_EVENT_NULL:
        count->nulls++;
        break;
    case TRIB_EVENT_STREAM:
        count->streams++;
        break;
    case TRIB_EVENT_ARROW:
        count->batches += event->arrow.kind == TRIB_ARROW_BATCH;
        return event->arrow.kind == TRIB_ARROW_BATCH ? count_rows(count, event->arrow.rows, err) : TRIB_OK;
    case TRIB_EVENT_DATA_END:
        return count_answer(count, out, err);
    default:
        break;
    }
    return TRIB_OK;
}

static void count_close(void *state)
{
    trib_free(state);
}

/* ---- The tables ------------------------------------------------------------------------------------------------- */

const struct trib_serializer trib_serializer_echo = {
    .size = sizeof(struct trib_serializer),
    .name = "echo",
    .summary = "gives back what comes in",
    .open = echo_open,
    .event = mirror_event,
    .close = mirror_close,
    .takes = TRIB_TAKES_FRAMES, /* of an engine that calls all its data Arrow: the same bytes are its identity */
};

const struct trib_serializer trib_serializer_upper = {
    .size = sizeof(struct trib_serializer),
    .name = "upper",
    .summary = "text in upper case (ASCII letters)",
    .open = upper_open,
    .event = mirror_event,
    .close = mirror_close,
};

const struct trib_serializer trib_serializer_count = {
    .size = sizeof(struct trib_serializer),
    .name = "count",
    .summary = "counts what comes in and answers once at the end",
    .open = count_open,
    .event = count_event,
    .close = count_close,
};

static const struct trib_serializer *const serializers[] = {&trib_serializer_echo, &trib_serializer_upper, &trib_serializer_count,
                                                            NULL};

const struct trib_serializer *const *trib_serializers(void)
{
    return serializers;
}

const struct trib_serializer *trib_serializer_find(const char *name)
{
    for (const struct trib_serializer *const *serializer = serializers; *serializer != NULL; serializer++)
        if (strcmp((*serializer)->name, name) == 0)
            return *serializer;
    return NULL;
}

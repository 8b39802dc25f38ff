/* Schemas that an engine names in Init, and whether two of them read the same batches. */
#include "udf_arrow-internal.h"

#include <nanoarrow/nanoarrow_ipc.h>
#include <string.h>

/* ---- One schema message ----------------------------------------------------------------------------------------- */

static int check_rest(struct trib_view rest, struct trib_error *err)
{
    size_t length;
    int rc;

    if (rest.len == 0)
        return TRIB_OK;
    if (rest.len != TRIBI_ARROW_PREFIX)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "%zu bytes follow the schema", rest.len);
    rc = tribi_arrow_check_prefix(rest.data, 0, &length, err);
    return rc == TRIB_ERR_LIMIT ? trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "another message follows the schema") : rc;
}

static int check_length(struct trib_view bytes, size_t *ret_length, struct trib_error *err)
{
    size_t length;
    int rc;

    if (bytes.len < TRIBI_ARROW_PREFIX)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "%zu bytes, which is less than a message", bytes.len);
    rc = tribi_arrow_check_prefix(bytes.data, SIZE_MAX, &length, err);
    if (rc != TRIB_OK)
        return rc;
    if (length == 0 || length > bytes.len - TRIBI_ARROW_PREFIX)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow metadata of %zu bytes, and %zu follow", length, bytes.len - TRIBI_ARROW_PREFIX);
    *ret_length = TRIBI_ARROW_PREFIX + length;
    return TRIB_OK;
}

static int check_schema(struct trib_view head, struct trib_error *err)
{
    struct trib_arrow_message message;
    uint64_t body;
    int rc = trib_arrow_decode(head, &message, &body, err);

    return rc == TRIB_OK ? tribi_arrow_check_order(message.kind, false, body, err) : rc;
}

int tribi_arrow_schema_copy(struct trib_view bytes, const char *what, struct trib_chunk **ret_head, struct trib_error *err)
{
    struct trib_chunk *head = NULL;
    struct trib_error why;
    size_t length = 0;
    int rc = check_length(bytes, &length, &why);

    if (rc == TRIB_OK)
        rc = trib_chunk_new(length, TRIBI_ARROW_ALIGN, &head, &why);
    if (rc == TRIB_OK) {
        /* copy: a flatbuffer is read on a multiple of 8, and Init's fields lie anywhere */
        memcpy(trib_chunk_writable(head), bytes.data, length);
        rc = check_schema(trib_chunk_view(head), &why);
    }
    if (rc == TRIB_OK)
        rc = check_rest(trib_view_sub(bytes, length, bytes.len), &why);
    if (rc == TRIB_OK) {
        *ret_head = head;
        return TRIB_OK;
    }
    trib_chunk_unref(head);
    return trib_error_set(err, rc, 0, "%s: %s", what, why.message);
}

/* ---- Two schemas ------------------------------------------------------------------------------------------------- */

static bool same_types(const struct ArrowSchema *one, const struct ArrowSchema *other)
{
    bool same = strcmp(one->format, other->format) == 0 && one->n_children == other->n_children &&
                (one->dictionary == NULL) == (other->dictionary == NULL);

    for (int64_t i = 0; same && i < one->n_children; i++)
        same = same_types(one->children[i], other->children[i]);
    return same && (one->dictionary == NULL || same_types(one->dictionary, other->dictionary));
}

static int read_schema(struct trib_view metadata, struct ArrowSchema *ret_schema, struct trib_error *err)
{
    struct trib_arrow_message message = {.kind = TRIB_ARROW_SCHEMA, .metadata = metadata};
    struct ArrowIpcDecoder decoder;
    struct trib_chunk *head;
    int rc = tribi_arrow_head_copy(&message, &head, err);

    if (rc != TRIB_OK)
        return rc;
    if (ArrowIpcDecoderInit(&decoder) != NANOARROW_OK) {
        trib_chunk_unref(head);
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "Arrow: decoder: no memory");
    }
    rc = tribi_arrow_schema(&decoder, head, ret_schema, err);
    ArrowIpcDecoderReset(&decoder);
    trib_chunk_unref(head);
    return rc;
}

int tribi_arrow_same_types(struct trib_view metadata, struct trib_view other, bool *ret_same, struct trib_error *err)
{
    struct ArrowSchema schemas[2];
    int rc;

    *ret_same = metadata.len == other.len && memcmp(metadata.data, other.data, other.len) == 0;
    if (*ret_same)
        return TRIB_OK;
    rc = read_schema(metadata, &schemas[0], err);
    if (rc != TRIB_OK)
        return rc;
    rc = read_schema(other, &schemas[1], err);
    if (rc == TRIB_OK) {
        *ret_same = same_types(&schemas[0], &schemas[1]);
        ArrowSchemaRelease(&schemas[1]);
    }
    ArrowSchemaRelease(&schemas[0]);
    return rc;
}

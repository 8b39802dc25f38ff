/* Raw serializers: bytes back, upper case, or how many they were. */
#include "tools/raw.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Bounds how much of a big chunk waits for its turn in the writer. */
#define TAKE_MAX ((size_t)1 << 20)

/* One piece of the answer. */
typedef int put_fn(struct trib_writer *writer, struct trib_view view, struct trib_error *err);

static int put_same(struct trib_writer *writer, struct trib_view view, struct trib_error *err)
{
    return trib_writer_view(writer, view, err);
}

static int put_upper(struct trib_writer *writer, struct trib_view view, struct trib_error *err)
{
    struct trib_chunk *chunk;
    uint8_t *upper;
    int rc = trib_chunk_new(view.len, 0, &chunk, err);

    if (rc != TRIB_OK)
        return rc;
    upper = trib_chunk_writable(chunk);
    /* copy: what came in is read-only, and others may see it. */
    for (size_t i = 0; i < view.len; i++)
        upper[i] = (uint8_t)(view.data[i] - (view.data[i] >= 'a' && view.data[i] <= 'z' ? 'a' - 'A' : 0));
    rc = trib_writer_chunk(writer, chunk, err);
    if (rc != TRIB_OK)
        trib_chunk_unref(chunk);
    return rc;
}

static int put_nothing(struct trib_writer *writer, struct trib_view view, struct trib_error *err)
{
    (void)writer, (void)view, (void)err;
    return TRIB_OK;
}

/* Everything through `put`. Before it waits for more, what is gathered is sent. */
static int pass(struct trib_reader *reader, struct trib_writer *writer, put_fn *put, uint64_t *ret_bytes, struct trib_error *err)
{
    struct trib_view view;
    int rc = TRIB_OK;

    *ret_bytes = 0;
    while (rc == TRIB_OK) {
        if (trib_reader_available(reader) == 0)
            rc = trib_writer_flush(writer, err);
        if (rc == TRIB_OK)
            rc = trib_reader_take_some(reader, TAKE_MAX, &view, err);
        if (rc == TRIB_OK) {
            *ret_bytes += view.len;
            rc = put(writer, view, err);
        }
    }
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

static int serve_echo(struct trib_reader *reader, struct trib_writer *writer, uint64_t *ret_bytes, struct trib_error *err)
{
    int rc = pass(reader, writer, put_same, ret_bytes, err);

    return rc == TRIB_OK ? trib_writer_finish(writer, 0, NULL, err) : rc;
}

static int serve_upper(struct trib_reader *reader, struct trib_writer *writer, uint64_t *ret_bytes, struct trib_error *err)
{
    int rc = pass(reader, writer, put_upper, ret_bytes, err);

    return rc == TRIB_OK ? trib_writer_finish(writer, 0, NULL, err) : rc;
}

static int serve_count(struct trib_reader *reader, struct trib_writer *writer, uint64_t *ret_bytes, struct trib_error *err)
{
    char answer[32];
    int rc = pass(reader, writer, put_nothing, ret_bytes, err);

    if (rc == TRIB_OK) {
        snprintf(answer, sizeof(answer), "%" PRIu64 "\n", *ret_bytes);
        rc = trib_writer_bytes(writer, answer, strlen(answer), err);
    }
    return rc == TRIB_OK ? trib_writer_finish(writer, 0, NULL, err) : rc;
}

raw_serve_fn *raw_find(const char *name)
{
    static const struct {
        const char *name;
        raw_serve_fn *serve;
    } all[] = {{"echo", serve_echo}, {"upper", serve_upper}, {"count", serve_count}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].serve;
    return NULL;
}

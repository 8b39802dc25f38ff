/* Compares a stream with a capture, byte by byte. */
#include "tools/compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool add_span(struct compare *compare, uint64_t from, size_t len, size_t *sum)
{
    struct compare_span *more = realloc(compare->spans, (compare->span_count + 1) * sizeof(*more));

    if (more == NULL)
        return false;
    compare->spans = more;
    more[compare->span_count].from = from;
    more[compare->span_count++].to = from + len;
    *sum += len;
    return true;
}

/* Where the recorded answer has what another run cannot repeat. TIMING: a word of 4 bytes, four times of 8, two spill counts,
 * which stay. */
static int find_masked(struct compare *compare, const struct capture *capture, struct trib_error *err)
{
    struct trib_event event = TRIB_EVENT_INIT_EMPTY;
    struct capture_walk walk;
    bool memory = true;
    int rc = capture_walk_init(&walk, capture, err);

    if (rc != TRIB_OK)
        return rc;
    while (memory && (rc = capture_walk_next(&walk, &event, err)) == TRIB_OK) {
        if (event.kind == TRIB_EVENT_PID)
            memory = add_span(compare, event.offset, 4, &compare->masked.pid_bytes);
        else if (event.kind == TRIB_EVENT_TIMING)
            memory = add_span(compare, event.offset + 4, 32, &compare->masked.time_bytes);
    }
    capture_walk_done(&walk);
    if (!memory)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "compare with %s: no memory", capture->path);
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

int compare_init(struct compare *compare, const struct capture *capture, bool mask, struct trib_error *err)
{
    int rc = TRIB_OK;

    memset(compare, 0, sizeof(*compare));
    compare->expected = trib_chunk_view(capture->chunk);
    if (mask)
        rc = find_masked(compare, capture, err);
    if (rc != TRIB_OK)
        compare_done(compare);
    return rc;
}

void compare_done(struct compare *compare)
{
    free(compare->spans);
    compare->spans = NULL;
}

static bool is_masked(const struct compare *compare, uint64_t at)
{
    for (size_t i = 0; i < compare->span_count; i++)
        if (at >= compare->spans[i].from && at < compare->spans[i].to)
            return true;
    return false;
}

static int compare_piece(const struct compare *compare, uint64_t at, struct trib_view got, struct trib_error *err)
{
    const uint8_t *expected = compare->expected.data + at;

    if (got.len > compare->expected.len - at)
        return trib_error_set(err, TRIB_ERR_FAILED, 0, "%zu bytes were recorded, more came back", compare->expected.len);
    if (memcmp(got.data, expected, got.len) == 0)
        return TRIB_OK;
    for (size_t i = 0; i < got.len; i++)
        if (got.data[i] != expected[i] && !is_masked(compare, at + i))
            return trib_error_set(err, TRIB_ERR_FAILED, 0, "byte %" PRIu64 " differs: 0x%02x was recorded, 0x%02x came back",
                                  at + i, expected[i], got.data[i]);
    return TRIB_OK;
}

int compare_stream(const struct compare *compare, struct trib_reader *reader, bool to_the_end, struct trib_error *err)
{
    uint64_t at = 0;
    struct trib_view got;
    int rc = TRIB_OK;

    while (rc == TRIB_OK && (to_the_end || at < compare->expected.len)) {
        rc = trib_reader_take_some(reader, to_the_end ? SIZE_MAX : compare->expected.len - (size_t)at, &got, err);
        if (rc == TRIB_OK)
            rc = compare_piece(compare, at, got, err);
        if (rc == TRIB_OK)
            at += got.len;
    }
    if (rc == TRIB_EOF && at < compare->expected.len)
        return trib_error_set(err, TRIB_ERR_FAILED, 0, "%zu bytes were recorded, %" PRIu64 " came back", compare->expected.len,
                              at);
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

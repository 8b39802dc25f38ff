/* The takes that are not one piece of known length, the sub-streams, and what can be asked of a reader. */
#include "reader-internal.h"

#include <tributary/alloc.h>

#include <string.h>

#include "chunk-internal.h"
#include "queue-internal.h"

/* At least one byte in the piece; n > 0. */
static int some(struct trib_reader *reader, struct trib_error *err)
{
    int rc = tribi_reader_check_limit(reader, 1, err);

    while (rc == TRIB_OK && tribi_reader_piece(reader) == 0) {
        if (reader->behind.count > 0)
            tribi_reader_next_piece(reader);
        else
            rc = tribi_reader_pull(reader, 1, false, 1, err);
    }
    return rc;
}

int trib_reader_take_some(struct trib_reader *reader, size_t max, struct trib_view *ret_view, struct trib_error *err)
{
    int rc = tribi_reader_enter(reader, err);
    size_t len;

    if (rc == TRIB_OK && max > 0)
        rc = some(reader, err);
    if (rc != TRIB_OK)
        return rc;
    len = (size_t)(reader->end - reader->cursor);
    len = len < max ? len : max;
    *ret_view = (struct trib_view){.data = reader->cursor, .len = len, .holder = reader->holder};
    tribi_reader_advance(reader, len);
    return TRIB_OK;
}

/* How many views n received bytes are. */
static size_t count_views(const struct trib_reader *reader, size_t n)
{
    size_t views = 0, have = tribi_reader_piece(reader);

    if (have > 0 && n > 0)
        views = 1;
    for (size_t i = 0; have < n; i++, views++)
        have += tribi_pieces_at(&reader->behind, i)->len;
    return views;
}

int trib_reader_take_vector(struct trib_reader *reader, size_t n, struct trib_view *ret_views, size_t max_views, size_t *ret_count,
                            struct trib_error *err)
{
    size_t count, left = n;
    int rc = tribi_reader_enter(reader, err);

    if (rc == TRIB_OK && n > 0)
        rc = tribi_reader_check_limit(reader, n, err);
    if (rc == TRIB_OK && n > 0)
        rc = tribi_reader_fill(reader, n, err);
    if (rc != TRIB_OK)
        return rc;
    count = count_views(reader, n);
    if (count > max_views)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, count, max_views, "read %zu bytes as views: they are %zu views, there is room for %zu",
                                  n, count, max_views);
    if (tribi_pieces_reserve(&reader->lent, count) != TRIB_OK)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "read %zu bytes as %zu views: no memory", n, count);
    for (size_t i = 0; i < count; i++) {
        size_t have, part;
        if (tribi_reader_piece(reader) == 0)
            tribi_reader_next_piece(reader);
        have = tribi_reader_piece(reader);
        part = have < left ? have : left;
        ret_views[i] = (struct trib_view){.data = reader->cursor, .len = part, .holder = reader->holder};
        tribi_pieces_push(&reader->lent, trib_view_retain(ret_views[i]));
        reader->cursor += part;
        left -= part;
    }
    reader->takes += n != 0;
    *ret_count = count;
    return TRIB_OK;
}

/* n, or what the budget can still give at once, at least 1. */
static size_t at_most_room(const struct trib_reader *reader, size_t n)
{
    size_t limit = trib_budget_limit(reader->budget), held = trib_budget_held(reader->budget);
    size_t room = held < limit ? limit - held : 1;

    return n < room ? n : room;
}

/* Receives to the end of the stream, or of the sub-stream. What is asked for at once grows with what has come. */
static int receive_all(struct trib_reader *reader, size_t limit, struct trib_error *err)
{
    const size_t least = (size_t)64 << 10, most = (size_t)16 << 20;
    int rc = TRIB_OK;

    while (rc == TRIB_OK && tribi_reader_received(reader) <= limit) {
        size_t have = tribi_reader_received(reader);
        rc = tribi_reader_pull(reader, at_most_room(reader, have < least ? least : have > most ? most : have), false, 1, err);
    }
    return rc;
}

int trib_reader_take_all(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err)
{
    uint64_t left = trib_reader_limit_left(reader);
    size_t all;
    int rc = tribi_reader_enter(reader, err);

    if (rc != TRIB_OK)
        return rc;
    if (left != UINT64_MAX) {
        if (left > limit)
            return trib_error_numbers(err, TRIB_ERR_LIMIT, left, limit, "read everything: %llu bytes are left, the limit is %zu",
                                      (unsigned long long)left, limit);
        return left == 0 ? trib_reader_take(reader, 0, ret_view, err) : trib_reader_take(reader, (size_t)left, ret_view, err);
    }
    rc = receive_all(reader, limit, err);
    if (rc != TRIB_EOF && rc != TRIB_OK)
        return rc;
    all = tribi_reader_received(reader);
    if (all > limit)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, all, limit, "read everything: there are %zu bytes or more, the limit is %zu", all,
                                  limit);
    return trib_reader_take(reader, all, ret_view, err);
}

int trib_reader_skip(struct trib_reader *reader, uint64_t n, uint64_t *ret_skipped, struct trib_error *err)
{
    const uint64_t most = (size_t)256 << 10;
    uint64_t left = n;
    int rc = tribi_reader_enter(reader, err);

    if (rc == TRIB_OK && n > 0)
        rc = tribi_reader_check_limit(reader, n, err);
    if (ret_skipped != NULL)
        *ret_skipped = 0;
    while (rc == TRIB_OK && left > 0) {
        size_t have = tribi_reader_piece(reader), part = have < left ? have : (size_t)left;
        reader->cursor += part;
        left -= part;
        if (left > 0 && reader->behind.count > 0)
            tribi_reader_next_piece(reader);
        else if (left > 0)
            rc = tribi_reader_pull(reader, at_most_room(reader, (size_t)(left < most ? left : most)), false, 1, err);
    }
    tribi_reader_clip(reader);
    reader->takes += left < n;
    if (ret_skipped != NULL)
        *ret_skipped = n - left;
    if (rc == TRIB_EOF && (left < n || (reader->depth > 0 && trib_reader_limit_left(reader) > 0)))
        return trib_error_numbers(err, TRIB_ERR_SHORT, n, n - left, "skip %llu bytes: the stream ended after %llu of them",
                                  (unsigned long long)n, (unsigned long long)(n - left));
    return rc;
}

int trib_reader_read_into(struct trib_reader *reader, void *buf, size_t n, struct trib_error *err)
{
    size_t done = 0;
    int rc = tribi_reader_enter(reader, err);

    if (rc == TRIB_OK && n > 0)
        rc = tribi_reader_check_limit(reader, n, err);
    if (rc == TRIB_OK && n > 0)
        rc = tribi_reader_fill(reader, n, err);
    if (rc != TRIB_OK || n == 0)
        return rc;
    while (done < n) {
        size_t have, part;
        if (tribi_reader_piece(reader) == 0)
            tribi_reader_next_piece(reader);
        have = tribi_reader_piece(reader);
        part = have < n - done ? have : n - done;
        memcpy((char *)buf + done, reader->cursor, part); /* copy: the caller asked for it */
        reader->cursor += part;
        done += part;
    }
    reader->takes++;
    reader->copies++;
    reader->copied_into += n;
    return TRIB_OK;
}

/* ---- Sub-streams ---- */

uint64_t trib_reader_limit_left(const struct trib_reader *reader)
{
    return reader->depth == 0 ? UINT64_MAX : reader->limits[reader->depth - 1] - tribi_reader_position(reader);
}

int trib_reader_limit_push(struct trib_reader *reader, uint64_t n, struct trib_error *err)
{
    uint64_t left = trib_reader_limit_left(reader), position = tribi_reader_position(reader);
    int rc = tribi_reader_check_cancel(reader, err);

    if (rc != TRIB_OK)
        return rc;
    if (reader->depth == TRIB_READER_LIMITS_MAX)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "begin a sub-stream: %d are open already", TRIB_READER_LIMITS_MAX);
    if (n > left || n > UINT64_MAX - position)
        return trib_error_numbers(err, TRIB_ERR_SHORT, n, left, "begin a sub-stream of %llu bytes: the one around it has %llu left",
                                  (unsigned long long)n, (unsigned long long)left);
    reader->limits[reader->depth++] = position + n;
    tribi_reader_clip(reader);
    return TRIB_OK;
}

int trib_reader_limit_pop(struct trib_reader *reader, struct trib_error *err)
{
    int rc = tribi_reader_check_cancel(reader, err);

    if (rc != TRIB_OK)
        return rc;
    if (reader->depth == 0)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "end a sub-stream: none is open");
    reader->depth--;
    tribi_reader_clip(reader);
    return TRIB_OK;
}

/* ---- Inspecting ---- */

bool trib_reader_finished(struct trib_reader *reader)
{
    int code;

    if (reader->depth > 0)
        return trib_reader_limit_left(reader) == 0;
    if (tribi_reader_received(reader) > 0)
        return false;
    /* Nothing is received here: the view of the call before stays valid. */
    return reader->ended || (reader->queue != NULL && reader->failed == 0 && tribi_queue_over(reader->queue, &code) && code == 0);
}

uint64_t trib_reader_position(const struct trib_reader *reader)
{
    return tribi_reader_position(reader);
}

size_t trib_reader_available(struct trib_reader *reader)
{
    uint64_t left = trib_reader_limit_left(reader);
    size_t there = tribi_reader_received(reader) + (reader->queue != NULL ? trib_queue_bytes(reader->queue) : 0);

    return there < left ? there : (size_t)left;
}

void trib_reader_stats(const struct trib_reader *reader, struct trib_reader_stats *ret_stats)
{
    struct trib_reader_stats stats = {
        .size = ret_stats->size,
        .bytes = tribi_reader_position(reader),
        .takes = reader->takes,
        .chunks = reader->chunks,
        .copies = reader->copies,
        .copied_crossing = reader->copied_crossing,
        .copied_aligning = reader->copied_aligning,
        .copied_into = reader->copied_into,
        .waits = reader->waits,
        .blocked_ns = reader->blocked_ns,
        .held = trib_budget_held(reader->budget),
        .peak_held = trib_budget_peak(reader->budget),
    };

    memcpy(ret_stats, &stats, ret_stats->size < sizeof(stats) ? ret_stats->size : sizeof(stats));
}

/* The reader against a model that is nothing but an array of bytes, under random operations and random chunks. */
#include <tributary/reader.h>

#include "tests/support/balance.h"
#include "tests/support/feed.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM = 6000, CHUNKS_MAX = STREAM + 1, KEPT_MAX = 64, SEEDS = 300, VIEWS_MAX = 4096 };

struct model {
    uint8_t bytes[STREAM];
    size_t position, fed;
    bool finished;
    uint64_t limits[TRIB_READER_LIMITS_MAX];
    unsigned depth;
    /* Where chunks lie, to know what may be copied. */
    size_t chunk_at[CHUNKS_MAX];
    const uint8_t *chunk_data[CHUNKS_MAX];
    size_t chunks;
    size_t moved_to; /* bytes in front of this may have been put together */
    struct trib_view kept[KEPT_MAX];
    size_t kept_at[KEPT_MAX], kept_count;
    uint64_t random;
    struct trib_reader *reader;
    struct trib_error err;
};

static size_t below(struct model *m, size_t n)
{
    return feed_random(&m->random) % n;
}

/* Mostly small, sometimes large. */
static size_t some_length(struct model *m)
{
    static const size_t tops[] = { 2, 5, 9, 33, 70, 300, 2000 };

    return below(m, tops[below(m, 7)]);
}

static uint64_t limit_left(const struct model *m)
{
    return m->depth == 0 ? UINT64_MAX : m->limits[m->depth - 1] - m->position;
}

static void feed_some(struct model *m)
{
    size_t len = 1 + some_length(m);
    struct trib_chunk *chunk;

    if (m->finished)
        return;
    if (m->fed == STREAM || below(m, 200) == 0) {
        feed_finish(m->reader);
        m->finished = true;
        return;
    }
    if (len > STREAM - m->fed)
        len = STREAM - m->fed;
    ck_ok(trib_chunk_copy(m->bytes + m->fed, len, &chunk, NULL));
    m->chunk_at[m->chunks] = m->fed;
    m->chunk_data[m->chunks++] = trib_chunk_data(chunk);
    m->fed += len;
    ck_ok(trib_reader_feed(m->reader, chunk, TRIB_NOWAIT, &m->err));
}

/* The outcome of asking for n bytes, and the numbers in the error. */
static int expected(const struct model *m, uint64_t n, uint64_t *ret_got)
{
    uint64_t left = limit_left(m), there = m->fed - m->position;

    *ret_got = 0;
    if (n == 0)
        return TRIB_OK;
    if (n > left) {
        *ret_got = left;
        return left == 0 ? TRIB_EOF : TRIB_ERR_SHORT;
    }
    if (n <= there)
        return TRIB_OK;
    *ret_got = there;
    if (!m->finished)
        return TRIB_AGAIN;
    return there == 0 && m->depth == 0 ? TRIB_EOF : TRIB_ERR_SHORT;
}

static void check_outcome(const struct model *m, int rc, uint64_t n)
{
    uint64_t got;

    ck_assert_int_eq(rc, expected(m, n, &got));
    if (rc == TRIB_ERR_SHORT) {
        ck_assert_uint_eq(m->err.wanted, n);
        ck_assert_uint_eq(m->err.got, got);
        ck_assert_int_eq(m->err.code, rc);
    }
}

static void check_bytes(const struct model *m, struct trib_view view, size_t n)
{
    ck_assert_uint_eq(view.len, n);
    ck_assert_msg(n == 0 || memcmp(view.data, m->bytes + m->position, n) == 0, "wrong bytes at %zu", m->position);
}

/* What lies inside one chunk, and was never asked for together with bytes of another one, is where the producer put it. */
static void check_place(struct model *m, const uint8_t *data, size_t n)
{
    size_t i = m->chunks, end;

    while (i > 0 && m->chunk_at[i - 1] > m->position)
        i--;
    end = i < m->chunks ? m->chunk_at[i] : m->fed;
    if (n > 0 && m->position >= m->moved_to && m->position + n <= end)
        ck_assert_ptr_eq(data, m->chunk_data[i - 1] + (m->position - m->chunk_at[i - 1]));
}

static void asked(struct model *m, uint64_t n)
{
    if (n <= limit_left(m) && m->position + n > m->moved_to)
        m->moved_to = m->position + (size_t)n;
}

static void maybe_keep(struct model *m, struct trib_view view)
{
    if (m->kept_count == KEPT_MAX || view.len == 0 || below(m, 4) != 0)
        return;
    m->kept_at[m->kept_count] = m->position;
    m->kept[m->kept_count++] = trib_view_retain(view);
}

static void do_take(struct model *m, bool peek, size_t align)
{
    size_t n = some_length(m);
    struct trib_view view = { NULL, 99, NULL };
    int rc = peek        ? trib_reader_peek(m->reader, n, &view, &m->err)
             : align > 1 ? trib_reader_take_aligned(m->reader, n, align, &view, &m->err)
                         : trib_reader_take(m->reader, n, &view, &m->err);

    check_outcome(m, rc, n);
    if (rc == TRIB_OK) {
        check_bytes(m, view, n);
        if (align == 1)
            check_place(m, view.data, n);
        else if (n > 0)
            ck_assert_uint_eq((uintptr_t)view.data & (align - 1), 0);
        maybe_keep(m, view);
    } else {
        ck_assert_uint_eq(view.len, 99);
    }
    asked(m, n);
    if (rc == TRIB_OK && !peek)
        m->position += n;
}

static void do_take_some(struct model *m)
{
    size_t max = some_length(m);
    struct trib_view view = { NULL, 0, NULL };
    int rc = trib_reader_take_some(m->reader, max, &view, &m->err);
    uint64_t got;
    int one = expected(m, max > 0, &got);

    ck_assert_int_eq(rc, one == TRIB_ERR_SHORT ? TRIB_EOF : one);
    if (rc != TRIB_OK)
        return;
    ck_assert_uint_le(view.len, max);
    ck_assert(max == 0 || view.len > 0);
    check_bytes(m, view, view.len);
    check_place(m, view.data, view.len);
    m->position += view.len;
    ck_assert_uint_le(m->position, m->fed);
}

static void do_take_vector(struct model *m)
{
    static struct trib_view views[VIEWS_MAX];
    size_t n = some_length(m), count = 77, max = below(m, 3) == 0 ? 1 + below(m, 3) : VIEWS_MAX;
    int rc = trib_reader_take_vector(m->reader, n, views, max, &count, &m->err);

    if (rc == TRIB_ERR_LIMIT) {
        ck_assert_uint_eq(m->err.got, max);
        ck_assert_uint_gt(m->err.wanted, max);
        return;
    }
    check_outcome(m, rc, n);
    if (rc != TRIB_OK) {
        ck_assert_uint_eq(count, 77);
        return;
    }
    ck_assert_uint_le(count, max);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_gt(views[i].len, 0);
        check_bytes(m, views[i], views[i].len);
        check_place(m, views[i].data, views[i].len);
        m->position += views[i].len;
        n -= views[i].len;
    }
    ck_assert_uint_eq(n, 0);
}

static void do_take_all(struct model *m)
{
    size_t limit = below(m, 2) == 0 ? STREAM : some_length(m), there = m->fed - m->position;
    uint64_t left = limit_left(m);
    struct trib_view view;
    int rc, want;

    if (m->depth == 0 && m->finished && below(m, 4) != 0)
        return; /* not so often: it ends the run */
    rc = trib_reader_take_all(m->reader, limit, &view, &m->err);
    if (m->depth > 0) {
        if (left > limit) {
            ck_assert_int_eq(rc, TRIB_ERR_LIMIT);
            return;
        }
        check_outcome(m, rc, left);
        asked(m, left);
        there = (size_t)left;
    } else {
        want = there > limit ? TRIB_ERR_LIMIT : m->finished ? TRIB_OK : TRIB_AGAIN;
        ck_assert_int_eq(rc, want);
    }
    if (rc == TRIB_OK) {
        check_bytes(m, view, there);
        m->position += there;
    }
}

static void do_skip(struct model *m)
{
    size_t n = some_length(m);
    uint64_t skipped = 12345, got;
    int rc = trib_reader_skip(m->reader, n, &skipped, &m->err);

    ck_assert_int_eq(rc, expected(m, n, &got));
    if (rc != TRIB_OK && n > limit_left(m))
        got = 0;
    ck_assert_uint_eq(skipped, rc == TRIB_OK ? n : got);
    m->position += (size_t)skipped;
}

static void do_read_into(struct model *m)
{
    uint8_t buf[2048];
    size_t n = some_length(m);
    int rc;

    memset(buf, 0xee, sizeof(buf));
    rc = trib_reader_read_into(m->reader, buf, n, &m->err);
    check_outcome(m, rc, n);
    if (rc == TRIB_OK) {
        check_bytes(m, (struct trib_view){ buf, n, NULL }, n);
        m->position += n;
    } else {
        ck_assert_uint_eq(buf[0], 0xee);
    }
}

static uint64_t number(const uint8_t *at, size_t n, bool big)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)at[i] << 8 * (big ? n - 1 - i : i);
    return value;
}

static void do_integer(struct model *m)
{
    uint16_t v16 = 0;
    uint32_t v32 = 0;
    uint64_t v64 = 0;
    size_t n = (size_t)2 << below(m, 3);
    bool big = below(m, 2) == 0;
    int rc;

    if (n == 2)
        rc = big ? trib_reader_be16(m->reader, &v16, &m->err) : trib_reader_le16(m->reader, &v16, &m->err);
    else if (n == 4)
        rc = big ? trib_reader_be32(m->reader, &v32, &m->err) : trib_reader_le32(m->reader, &v32, &m->err);
    else
        rc = big ? trib_reader_be64(m->reader, &v64, &m->err) : trib_reader_le64(m->reader, &v64, &m->err);
    check_outcome(m, rc, n);
    asked(m, n);
    if (rc != TRIB_OK)
        return;
    ck_assert_uint_eq(n == 2 ? v16 : n == 4 ? v32 : v64, number(m->bytes + m->position, n, big));
    m->position += n;
}

static void do_prefixed(struct model *m)
{
    bool big = below(m, 2) == 0;
    size_t limit = below(m, 2) == 0 ? 300 : 20;
    struct trib_view view;
    uint64_t got, len = 0;
    int rc = big ? trib_reader_bytes_be32(m->reader, limit, &view, &m->err)
                 : trib_reader_bytes_le32(m->reader, limit, &view, &m->err);
    int want = expected(m, 4, &got);

    asked(m, 4);
    if (want == TRIB_OK) {
        len = number(m->bytes + m->position, 4, big);
        want = len > INT32_MAX ? TRIB_ERR_PROTOCOL : len > limit ? TRIB_ERR_LIMIT : expected(m, 4 + len, &got);
        if (len <= limit)
            asked(m, 4 + len);
    }
    ck_assert_int_eq(rc, want);
    if (rc == TRIB_ERR_LIMIT) {
        ck_assert_uint_eq(m->err.wanted, len);
        ck_assert_uint_eq(m->err.got, limit);
    }
    if (rc != TRIB_OK)
        return;
    m->position += 4;
    check_bytes(m, view, (size_t)len);
    m->position += (size_t)len;
}

static void do_limits(struct model *m)
{
    uint64_t n = some_length(m), left = limit_left(m);
    int rc;

    if (below(m, 2) == 0) {
        rc = trib_reader_limit_pop(m->reader, &m->err);
        ck_assert_int_eq(rc, m->depth > 0 ? TRIB_OK : TRIB_ERR_USAGE);
        m->depth -= rc == TRIB_OK;
        return;
    }
    rc = trib_reader_limit_push(m->reader, n, &m->err);
    ck_assert_int_eq(rc, m->depth == TRIB_READER_LIMITS_MAX ? TRIB_ERR_USAGE : n > left ? TRIB_ERR_SHORT : TRIB_OK);
    if (rc == TRIB_OK)
        m->limits[m->depth++] = m->position + n;
}

static void check_inspecting(struct model *m)
{
    uint64_t left = limit_left(m), there = m->fed - m->position;

    ck_assert_uint_eq(trib_reader_position(m->reader), m->position);
    ck_assert_uint_eq(trib_reader_limit_left(m->reader), left);
    ck_assert_uint_eq(trib_reader_available(m->reader), there < left ? there : left);
    ck_assert_int_eq(trib_reader_finished(m->reader), m->depth > 0 ? left == 0 : m->finished && there == 0);
    ck_assert_uint_eq(feed_stats(m->reader).bytes, m->position);
}

static void drop_one(struct model *m)
{
    size_t i;

    if (m->kept_count == 0)
        return;
    i = below(m, m->kept_count);
    ck_assert_int_eq(memcmp(m->kept[i].data, m->bytes + m->kept_at[i], m->kept[i].len), 0);
    trib_view_release(&m->kept[i]);
    m->kept[i] = m->kept[--m->kept_count];
    m->kept_at[i] = m->kept_at[m->kept_count];
}

static void one_step(struct model *m)
{
    static const size_t aligns[] = { 2, 8, 64, 4096 };

    switch (below(m, 18)) {
    case 0: case 1: case 2: do_take(m, false, 1); break;
    case 3: do_take(m, true, 1); break;
    case 4: do_take(m, false, aligns[below(m, 4)]); break;
    case 5: do_take_some(m); break;
    case 6: do_take_vector(m); break;
    case 7: do_take_all(m); break;
    case 8: do_skip(m); break;
    case 9: do_read_into(m); break;
    case 10: case 11: do_integer(m); break;
    case 12: do_prefixed(m); break;
    case 13: do_limits(m); break;
    case 14: drop_one(m); break;
    default: feed_some(m); break;
    }
    check_inspecting(m);
}

static struct model *model_new(uint64_t seed)
{
    struct model *m = calloc(1, sizeof(*m));

    ck_assert_ptr_nonnull(m);
    m->random = seed * UINT64_C(2654435761) + 1;
    for (size_t i = 0; i < STREAM; i++) /* many zeros, so that lengths are often small ones */
        m->bytes[i] = below(m, 3) == 0 ? (uint8_t)below(m, 256) : 0;
    m->reader = feed_reader(0, 0);
    trib_reader_set_deadline(m->reader, TRIB_NOWAIT);
    return m;
}

START_TEST(random_operations)
{
    struct model *m = model_new((uint64_t)_i);

    while (!m->finished || m->position < m->fed) {
        one_step(m);
        if (m->depth > 0 && limit_left(m) == 0 && below(m, 4) != 0) {
            ck_ok(trib_reader_limit_pop(m->reader, NULL));
            m->depth--;
        }
        if (m->finished && m->depth > 0 && m->position + limit_left(m) > m->fed) {
            ck_ok(trib_reader_limit_pop(m->reader, NULL));
            m->depth--;
        }
    }
    while (m->kept_count > 0)
        drop_one(m);
    ck_assert_uint_le(feed_stats(m->reader).held, STREAM + 4096);
    trib_reader_free(m->reader);
    free(m);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("reader_model");
    TCase *tc = tcase_create("model");

    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, random_operations, 0, SEEDS);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)

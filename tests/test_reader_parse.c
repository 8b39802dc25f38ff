/* Integers, length-prefixed bytes, strings. */
#include <tributary/reader.h>

#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/feed.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct trib_reader *reader;
static struct trib_error err;

static void setup(void)
{
    balance_setup();
    reader = feed_reader(0, 0);
    trib_reader_set_deadline(reader, TRIB_NOWAIT);
}

static void teardown(void)
{
    trib_reader_free(reader);
    balance_teardown();
}

/* ---- Integers ---- */

static const uint8_t digits[8] = { 0x81, 0x02, 0xf3, 0x04, 0x85, 0x06, 0xf7, 0x08 };

/* One of each, and what must come out. */
static void read_one(int kind)
{
    uint8_t v8;
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (kind) {
    case 0: ck_ok(trib_reader_u8(reader, &v8, &err)); ck_assert_uint_eq(v8, 0x81); break;
    case 1: ck_ok(trib_reader_be16(reader, &v16, &err)); ck_assert_uint_eq(v16, 0x8102); break;
    case 2: ck_ok(trib_reader_be32(reader, &v32, &err)); ck_assert_uint_eq(v32, 0x8102f304); break;
    case 3: ck_ok(trib_reader_be64(reader, &v64, &err)); ck_assert_uint_eq(v64, UINT64_C(0x8102f3048506f708)); break;
    case 4: ck_ok(trib_reader_le16(reader, &v16, &err)); ck_assert_uint_eq(v16, 0x0281); break;
    case 5: ck_ok(trib_reader_le32(reader, &v32, &err)); ck_assert_uint_eq(v32, 0x04f30281); break;
    default: ck_ok(trib_reader_le64(reader, &v64, &err)); ck_assert_uint_eq(v64, UINT64_C(0x08f7068504f30281)); break;
    }
}

static const size_t widths[] = { 1, 2, 4, 8, 2, 4, 8 };

/* At every alignment, in chunks of every size. */
START_TEST(integers)
{
    size_t n = widths[_i];

    for (size_t shift = 0; shift < 9; shift++)
        for (size_t size = 1; size <= shift + n; size++) {
            uint8_t bytes[24] = { 0 };
            memcpy(bytes + shift, digits, n);
            feed_bytes(reader, bytes, shift + n, size);
            ck_ok(trib_reader_skip(reader, shift, NULL, NULL));
            read_one(_i);
            ck_assert_uint_eq(trib_reader_available(reader), 0);
        }
}
END_TEST

START_TEST(integer_crossing_is_counted)
{
    uint32_t value;

    feed_bytes(reader, digits, 8, 2);
    ck_ok(trib_reader_be32(reader, &value, &err));
    ck_assert_uint_eq(feed_stats(reader).copied_crossing, 4);
    ck_assert_uint_eq(feed_stats(reader).takes, 1);
}
END_TEST

START_TEST(integer_short)
{
    uint64_t value = 42;

    feed_bytes(reader, digits, 7, 3);
    ck_assert_int_eq(trib_reader_be64(reader, &value, &err), TRIB_AGAIN);
    feed_finish(reader);
    ck_assert_int_eq(trib_reader_be64(reader, &value, &err), TRIB_ERR_SHORT);
    ck_assert_uint_eq(err.wanted, 8);
    ck_assert_uint_eq(err.got, 7);
    ck_assert_uint_eq(value, 42);
    ck_ok(trib_reader_skip(reader, 7, NULL, NULL));
    ck_assert_int_eq(trib_reader_be64(reader, &value, &err), TRIB_EOF);
}
END_TEST

/* ---- Varints ---- */

static size_t put_varint(uint8_t *to, uint64_t value)
{
    size_t n = 0;

    for (; value >= 0x80; value >>= 7)
        to[n++] = (uint8_t)(value | 0x80);
    to[n++] = (uint8_t)value;
    return n;
}

/* Each length, the smallest and the largest number of it, in chunks of every size, with the rest there or still to come. */
START_TEST(varints)
{
    uint64_t low = _i == 0 ? 0 : UINT64_C(1) << 7 * _i, value;
    const uint64_t numbers[] = { low, _i == 9 ? UINT64_MAX : (UINT64_C(1) << 7 * (_i + 1)) - 1 };
    uint8_t bytes[16];

    for (size_t k = 0; k < 2; k++)
        for (size_t size = 1; size <= (size_t)_i + 1; size++) {
            size_t n = put_varint(bytes, numbers[k]);
            ck_assert_uint_eq(n, (size_t)_i + 1);
            bytes[n] = 0xff;
            feed_bytes(reader, bytes, n + 1, size);
            ck_ok(trib_reader_varint(reader, &value, &err));
            ck_assert_uint_eq(value, numbers[k]);
            ck_assert_uint_eq(trib_reader_available(reader), 1);
            ck_ok(trib_reader_skip(reader, 1, NULL, NULL));
            for (size_t part = 1; part < n; part++) {
                feed_bytes(reader, bytes, part, size);
                ck_assert_int_eq(trib_reader_varint(reader, &value, &err), TRIB_AGAIN);
                ck_assert_uint_eq(trib_reader_available(reader), part);
                feed_bytes(reader, bytes + part, n - part, size);
                ck_ok(trib_reader_varint(reader, &value, &err));
                ck_assert_uint_eq(value, numbers[k]);
            }
        }
}
END_TEST

static const uint8_t overlong[][11] = { { 255, 255, 255, 255, 255, 255, 255, 255, 255, 2 }, { 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0 } };

START_TEST(varint_of_more_than_64_bits)
{
    uint64_t value = 42;

    for (size_t size = 1; size <= 11; size++) {
        feed_bytes(reader, overlong[_i], 11, size);
        ck_assert_int_eq(trib_reader_varint(reader, &value, &err), TRIB_ERR_PROTOCOL);
        ck_assert_str_eq(err.message, "read a varint: it has more than 64 bits");
        ck_assert_uint_eq(trib_reader_available(reader), 11);
        ck_ok(trib_reader_skip(reader, 11, NULL, NULL));
    }
    ck_assert_uint_eq(value, 42);
}
END_TEST

START_TEST(varint_short)
{
    uint64_t value = 42;

    feed_bytes(reader, (const uint8_t[]){ 0x81, 0x82 }, 2, 2);
    ck_ok(trib_reader_limit_push(reader, 1, &err));
    ck_assert_int_eq(trib_reader_varint(reader, &value, &err), TRIB_ERR_SHORT); /* at the end of a sub-stream: never a wait */
    ck_ok(trib_reader_limit_pop(reader, &err));
    feed_finish(reader);
    ck_assert_int_eq(trib_reader_varint(reader, &value, &err), TRIB_ERR_SHORT);
    ck_assert_uint_eq(err.wanted, 3);
    ck_assert_uint_eq(err.got, 2);
    ck_ok(trib_reader_skip(reader, 2, NULL, NULL));
    ck_assert_int_eq(trib_reader_varint(reader, &value, &err), TRIB_EOF);
    ck_assert_uint_eq(value, 42);
}
END_TEST

/* ---- Length-prefixed bytes ---- */

typedef int prefixed_fn(struct trib_reader *, size_t, struct trib_view *, struct trib_error *);

static prefixed_fn *const prefixed[] = { trib_reader_bytes_be32, trib_reader_bytes_le32, trib_reader_string_be32,
                                         trib_reader_string_le32 };
enum { PREFIXED = 4, BODY = 60 };

static void put_length(uint8_t *to, uint32_t len, bool little)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(len >> 8 * (little ? i : 3 - i));
}

static void text_of(uint8_t *bytes, size_t len, bool little)
{
    put_length(bytes, (uint32_t)len, little);
    for (size_t i = 0; i < len; i++)
        bytes[4 + i] = (uint8_t)('a' + i % 26);
}

static void check_text(struct trib_view view, size_t len)
{
    uint8_t bytes[BODY + 4];

    text_of(bytes, len, false);
    ck_assert_uint_eq(view.len, len);
    ck_assert_int_eq(memcmp(view.data, bytes + 4, len), 0);
}

/* Each call, every split point, every length, with the second part there or still to come. */
START_TEST(prefixed_at_every_split)
{
    uint8_t bytes[BODY + 4];
    struct trib_view view;

    for (size_t len = 0; len <= BODY; len += 6)
        for (size_t split = 0; split <= len + 4; split++)
            for (int late = 0; late < 2; late++) {
                uint64_t position = trib_reader_position(reader);
                text_of(bytes, len, _i % 2 != 0);
                feed_bytes(reader, bytes, split, 0);
                if (late && split < len + 4) {
                    ck_assert_int_eq(prefixed[_i](reader, BODY, &view, &err), TRIB_AGAIN);
                    ck_assert_uint_eq(trib_reader_position(reader), position);
                }
                feed_bytes(reader, bytes + split, len + 4 - split, 0);
                ck_ok(prefixed[_i](reader, BODY, &view, &err));
                check_text(view, len);
                ck_assert_uint_eq(trib_reader_position(reader), position + 4 + len);
            }
}
END_TEST

START_TEST(prefixed_in_small_chunks)
{
    uint8_t bytes[BODY + 4];
    struct trib_view view;

    for (size_t size = 1; size < 12; size++) {
        text_of(bytes, BODY, _i % 2 != 0);
        feed_bytes(reader, bytes, BODY + 4, size);
        ck_ok(prefixed[_i](reader, BODY, &view, &err));
        check_text(view, BODY);
    }
    ck_assert_uint_eq(feed_stats(reader).takes, 11);
}
END_TEST

/* Prefix and bytes come in chunks of their own: the bytes stay where they are, however they came. */
START_TEST(bytes_in_a_chunk_are_not_copied)
{
    uint8_t bytes[BODY + 4];
    struct trib_chunk *chunk;
    struct trib_view view;
    const uint8_t *data;
    size_t prefix = _i % 2 != 0 ? 4 : 2; /* 2: the prefix itself crosses, and is copied */

    text_of(bytes, BODY, false);
    ck_ok(trib_chunk_copy(bytes + prefix, BODY + 4 - prefix, &chunk, NULL));
    data = trib_chunk_data(chunk) + 4 - prefix;
    feed_bytes(reader, bytes, prefix, 0);
    if (_i >= 2)
        ck_assert_int_eq(trib_reader_bytes_be32(reader, BODY, &view, &err), TRIB_AGAIN);
    ck_ok(trib_reader_feed(reader, chunk, TRIB_NOWAIT, NULL));
    ck_ok(trib_reader_bytes_be32(reader, BODY, &view, &err));
    check_text(view, BODY);
    ck_assert_ptr_eq(view.data, data);
    ck_assert_uint_eq(feed_stats(reader).copied_crossing, prefix == 4 ? 0 : 4);
}
END_TEST

/* Two chunks whose memory happens to be adjacent are still two chunks. */
START_TEST(adjacent_memory)
{
    uint8_t bytes[BODY + 4];
    struct trib_chunk *whole, *a, *b;
    struct trib_view view;

    text_of(bytes, BODY, false);
    ck_ok(trib_chunk_copy(bytes, BODY + 4, &whole, NULL));
    ck_ok(trib_chunk_sub(whole, 0, 4, &a, NULL));
    ck_ok(trib_chunk_sub(whole, 4, BODY, &b, NULL));
    ck_ok(trib_reader_feed(reader, a, TRIB_NOWAIT, NULL));
    ck_ok(trib_reader_feed(reader, b, TRIB_NOWAIT, NULL));
    trib_chunk_unref(whole);
    ck_ok(trib_reader_bytes_be32(reader, BODY, &view, &err));
    check_text(view, BODY);
    ck_assert_uint_eq(trib_reader_available(reader), 0);
    ck_assert_int_eq(trib_reader_take(reader, 1, &view, &err), TRIB_AGAIN);
}
END_TEST

static const struct {
    uint32_t length;
    size_t limit;
    int code;
} lengths[] = {
    { 0x80000000, 100, TRIB_ERR_PROTOCOL },
    { 0xffffffff, INT32_MAX, TRIB_ERR_PROTOCOL },
    { 0xfffffffe, 100, TRIB_ERR_PROTOCOL },
    { 0x7fffffff, 100, TRIB_ERR_LIMIT },
    { 101, 100, TRIB_ERR_LIMIT },
    { 1, 0, TRIB_ERR_LIMIT },
    { 0x7fffffff, INT32_MAX, TRIB_ERR_LIMIT }, /* of the budget */
    { 100, 100, TRIB_AGAIN },
    { 0, 0, TRIB_OK },
};

START_TEST(bad_length)
{
    for (int call = 0; call < PREFIXED; call++) {
        struct trib_view view;
        uint8_t bytes[4];
        uint64_t position = trib_reader_position(reader);
        put_length(bytes, lengths[_i].length, call % 2 != 0);
        feed_bytes(reader, bytes, 4, (size_t)call);
        ck_assert_int_eq(prefixed[call](reader, lengths[_i].limit, &view, &err), lengths[_i].code);
        if (lengths[_i].code == TRIB_ERR_LIMIT && lengths[_i].limit <= 100) {
            ck_assert_uint_eq(err.wanted, lengths[_i].length);
            ck_assert_uint_eq(err.got, lengths[_i].limit);
        }
        if (lengths[_i].code == TRIB_ERR_PROTOCOL)
            ck_assert_int_eq(strtoll(strchr(err.message, '(') + 1, NULL, 10), (int64_t)lengths[_i].length - 4294967296);
        if (lengths[_i].code != TRIB_OK) {
            ck_assert_uint_eq(trib_reader_position(reader), position);
            ck_ok(trib_reader_skip(reader, 4, NULL, NULL));
        }
    }
    ck_assert_uint_lt(feed_stats(reader).peak_held, 100); /* nothing was reserved for it */
}
END_TEST

START_TEST(prefixed_short)
{
    uint8_t bytes[BODY + 4];
    struct trib_view view;

    text_of(bytes, BODY, false);
    feed_bytes(reader, bytes, (size_t)_i, 4);
    feed_finish(reader);
    ck_assert_int_eq(trib_reader_bytes_be32(reader, BODY, &view, &err), _i == 0 ? TRIB_EOF : TRIB_ERR_SHORT);
    if (_i > 0) {
        ck_assert_uint_eq(err.wanted, _i < 4 ? 4 : BODY + 4);
        ck_assert_uint_eq(err.got, _i);
    }
    ck_assert_uint_eq(trib_reader_position(reader), 0);
    ck_ok(trib_reader_take(reader, (size_t)_i, &view, &err));
}
END_TEST

/* ---- UTF-8 ---- */

#define TEXT(literal) literal, sizeof(literal) - 1

static const struct {
    const char *bytes;
    size_t len;
    bool valid;
} texts[] = {
    { TEXT(""), true },
    { TEXT("plain"), true },
    { TEXT("NUL \0 inside"), true },
    { TEXT("\x7f"), true },
    { TEXT("\xc2\x80"), true },
    { TEXT("\xdf\xbf"), true },
    { TEXT("\xe0\xa0\x80"), true },
    { TEXT("\xed\x9f\xbf"), true },
    { TEXT("\xee\x80\x80"), true },
    { TEXT("\xef\xbf\xbf"), true },
    { TEXT("\xf0\x90\x80\x80"), true },
    { TEXT("\xf4\x8f\xbf\xbf"), true },
    { TEXT("gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x8c\x8a"), true },
    { TEXT("\x80"), false },
    { TEXT("\xbf"), false },
    { TEXT("\xc0\x80"), false },         /* overlong */
    { TEXT("\xc1\xbf"), false },
    { TEXT("\xc2"), false },             /* cut off */
    { TEXT("\xc2\x41"), false },
    { TEXT("\xc2\xc2\x80"), false },
    { TEXT("\xe0\x9f\xbf"), false },     /* overlong */
    { TEXT("\xe0\xa0"), false },
    { TEXT("\xe0\xa0\x41"), false },
    { TEXT("\xed\xa0\x80"), false },     /* surrogates */
    { TEXT("\xed\xbf\xbf"), false },
    { TEXT("\xf0\x8f\xbf\xbf"), false }, /* overlong */
    { TEXT("\xf0\x90\x80"), false },
    { TEXT("\xf0\x90\x80\xc0"), false },
    { TEXT("\xf4\x90\x80\x80"), false }, /* above U+10FFFF */
    { TEXT("\xf5\x80\x80\x80"), false },
    { TEXT("\xf8\x88\x80\x80\x80"), false },
    { TEXT("\xfe"), false },
    { TEXT("\xff"), false },
    { TEXT("good until here \xff"), false },
};

START_TEST(utf8)
{
    for (int call = 2; call < PREFIXED; call++)
        for (size_t size = 0; size < 6; size++) {
            uint8_t bytes[64];
            struct trib_view view;
            int rc;
            put_length(bytes, (uint32_t)texts[_i].len, call % 2 != 0);
            memcpy(bytes + 4, texts[_i].bytes, texts[_i].len);
            feed_bytes(reader, bytes, texts[_i].len + 4, size);
            rc = prefixed[call](reader, 100, &view, &err);
            ck_assert_int_eq(rc, texts[_i].valid ? TRIB_OK : TRIB_ERR_PROTOCOL);
            if (rc != TRIB_OK)
                ck_ok(prefixed[call - 2](reader, 100, &view, &err)); /* as bytes they can still be taken */
            ck_assert_uint_eq(view.len, texts[_i].len);
            ck_assert_int_eq(memcmp(view.data, texts[_i].bytes, view.len), 0);
        }
}
END_TEST

/* ---- No memory ---- */

static int prefixed_with_retry(void *arg, struct trib_error *e)
{
    static uint8_t bytes[BODY + 4];
    struct trib_reader *r = NULL;
    struct trib_view view;
    int rc = trib_reader_new(NULL, &r, e);

    (void)arg;
    text_of(bytes, BODY, false);
    for (size_t at = 0; rc == TRIB_OK && at < sizeof(bytes); at += 3) {
        struct trib_chunk *chunk = NULL;
        rc = trib_chunk_copy(bytes + at, at + 3 <= sizeof(bytes) ? 3 : sizeof(bytes) - at, &chunk, e);
        if (rc == TRIB_OK)
            rc = trib_reader_feed(r, chunk, TRIB_NOWAIT, e);
        if (rc != TRIB_OK)
            trib_chunk_unref(chunk);
    }
    for (int i = 0; rc == TRIB_OK && i < 3; i++) {
        rc = trib_reader_string_be32(r, BODY, &view, e);
        if (rc == TRIB_OK)
            break;
        ck_assert_int_eq(rc, TRIB_ERR_NOMEM);
        ck_assert_uint_eq(trib_reader_position(r), 0);
        rc = TRIB_OK;
    }
    if (rc == TRIB_OK)
        check_text(view, BODY);
    trib_reader_free(r);
    return rc;
}

START_TEST(every_allocation_fails)
{
    ck_assert_uint_ge(fail_alloc_every(prefixed_with_retry, NULL), 10);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("reader_parse");
    TCase *tc = tcase_create("parse");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, integers, 0, 7);
    tcase_add_test(tc, integer_crossing_is_counted);
    tcase_add_test(tc, integer_short);
    tcase_add_loop_test(tc, varints, 0, 10);
    tcase_add_loop_test(tc, varint_of_more_than_64_bits, 0, 2);
    tcase_add_test(tc, varint_short);
    tcase_add_loop_test(tc, prefixed_at_every_split, 0, PREFIXED);
    tcase_add_loop_test(tc, prefixed_in_small_chunks, 0, PREFIXED);
    tcase_add_loop_test(tc, bytes_in_a_chunk_are_not_copied, 0, 4);
    tcase_add_test(tc, adjacent_memory);
    tcase_add_loop_test(tc, bad_length, 0, (int)(sizeof(lengths) / sizeof(lengths[0])));
    tcase_add_loop_test(tc, prefixed_short, 0, BODY + 4);
    tcase_add_loop_test(tc, utf8, 0, (int)(sizeof(texts) / sizeof(texts[0])));
    suite_add_tcase(s, tc);
    tc = tcase_create("memory");
    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_add_test(tc, every_allocation_fails);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)

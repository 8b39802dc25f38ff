/* Cases about bytes: all of them arrive, once, in order, however they are cut on either side. */
#include "conformance/suite-internal.h"

#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = { 1,    2,    3,    7,     8,     9,     63,    64,     65,     127,    1000,   4095,
                                4096, 4097, 8192, 16383, 16384, 16385, 65535, 65536, 65537, 100000, 262144, 300000 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* ---- In order -------------------------------------------------------------------------------------------------- */

/* Writes the next `len` patterned bytes in one of the three ways that there are. */
static bool write_some_way(struct conform_env *env, struct trib_writer *writer, uint64_t offset, size_t len, unsigned way)
{
    struct trib_chunk *chunk;
    struct trib_error err;
    int code;

    TRY(conform_chunk(env, 1, offset, len, &chunk));
    if (way % 3 == 0) {
        code = trib_writer_bytes(writer, trib_chunk_data(chunk), len, &err);
        trib_chunk_unref(chunk);
    } else if (way % 3 == 1) {
        code = trib_writer_view(writer, trib_chunk_view(chunk), &err);
        trib_chunk_unref(chunk);
    } else {
        code = trib_writer_chunk(writer, chunk, &err);
        if (code != TRIB_OK)
            trib_chunk_unref(chunk);
    }
    REQUIRE(env, code == TRIB_OK, "writing %zu bytes gave %s: %s", len, trib_code_name(code), code < 0 ? err.message : "");
    return true;
}

static bool ordered_writer(struct conform_env *env, void *arg)
{
    struct trib_writer *writer = arg;
    struct trib_error err;
    uint64_t offset = 0;

    for (unsigned round = 0; round < 3; round++)
        for (size_t i = 0; i < SIZES; i++) {
            TRY(write_some_way(env, writer, offset, sizes[i], round + (unsigned)i));
            offset += sizes[i];
            REQUIRE(env, trib_writer_position(writer) == offset, "the writer's position is not what was written");
        }
    REQUIRE_OK(env, trib_writer_finish(writer, 0, NULL, &err));
    return true;
}

static bool bytes_in_order(struct conform_env *env)
{
    struct conform_pair *pair;
    struct conform_task *task;
    uint64_t offset = 0;

    TRY(conform_open(env, NULL, &pair));
    task = conform_start(env, ordered_writer, pair->wa);
    for (unsigned round = 0; round < 3; round++)
        for (size_t i = SIZES; i-- > 0;) {
            TRY(conform_read(env, pair->rb, 1, offset, sizes[i], sizes[i]));
            offset += sizes[i];
            REQUIRE(env, trib_reader_position(pair->rb) == offset, "the reader's position is not what was taken");
        }
    TRY(conform_read_end(env, pair->rb));
    return conform_join(env, task);
}

static bool empty_stream(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, NULL, &pair));
    REQUIRE_OK(env, trib_reader_take(pair->rb, 0, &view, &err));
    REQUIRE(env, view.len == 0, "take(0) gave bytes");
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    REQUIRE_CODE(env, TRIB_EOF, trib_reader_take_some(pair->rb, 100, &view, &err));
    REQUIRE_CODE(env, TRIB_EOF, trib_reader_peek(pair->rb, 1, &view, &err));
    TRY(conform_read_end(env, pair->rb));
    REQUIRE_OK(env, trib_reader_take_all(pair->rb, 100, &view, &err));
    REQUIRE(env, view.len == 0, "take_all of an empty stream gave bytes");
    REQUIRE_OK(env, trib_reader_take(pair->rb, 0, &view, &err));
    REQUIRE(env, trib_reader_position(pair->rb) == 0, "the position moved");
    return true;
}

/* ---- Small writes, small chunks -------------------------------------------------------------------------------- */

enum { SMALL_BYTES = 3000 };

static bool one_byte_writer(struct conform_env *env, void *arg)
{
    struct trib_error err;
    uint8_t byte;

    for (size_t i = 0; i < SMALL_BYTES; i++) {
        conform_pattern_fill(&byte, 1, 2, i);
        REQUIRE_OK(env, trib_writer_u8(arg, byte, &err));
        REQUIRE_OK(env, trib_writer_flush(arg, &err));
    }
    REQUIRE_OK(env, trib_writer_finish(arg, 0, NULL, &err));
    return true;
}

static bool one_byte_writes(struct conform_env *env)
{
    struct conform_pair *pair;
    struct conform_task *task;

    TRY(conform_open(env, NULL, &pair));
    task = conform_start(env, one_byte_writer, pair->wa);
    TRY(conform_read(env, pair->rb, 2, 0, SMALL_BYTES, 1));
    TRY(conform_read_end(env, pair->rb));
    return conform_join(env, task);
}

/* Single bytes that are references of their own, gathered by the thousand: more than one system call can take. */
static bool one_byte_chunks(struct conform_env *env)
{
    static const size_t takes[] = { 1, 2, 3, 5, 8, 13, 100, 1023, 1024, 1025 };
    struct conform_pair *pair;
    struct conform_task *task;
    size_t offset = 0;

    TRY(conform_open(env, NULL, &pair));
    task = conform_start_source(env, pair->wa, 3, 3204, 1, true);
    for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++) {
        TRY(conform_read(env, pair->rb, 3, offset, takes[i], takes[i]));
        offset += takes[i];
    }
    TRY(conform_read_end(env, pair->rb));
    return conform_join(env, task);
}

/* ---- Takes around the borders of chunks ------------------------------------------------------------------------ */

/* Four chunks, of which `first` bytes, then n, then the rest are taken. All of it fits into any channel's buffers, so one
 * thread does. */
static bool take_across(struct conform_env *env, struct conform_pair *pair, uint64_t *offset, size_t chunk, size_t first, size_t n)
{
    size_t len = 4 * chunk;

    for (size_t i = 0; i < 4; i++)
        TRY(conform_write(env, pair->wa, 4, *offset + i * chunk, chunk, chunk));
    if (first > 0)
        TRY(conform_read(env, pair->rb, 4, *offset, first, first));
    TRY(conform_read(env, pair->rb, 4, *offset + first, n, n));
    if (first + n < len)
        TRY(conform_read(env, pair->rb, 4, *offset + first + n, len - first - n, len));
    *offset += len;
    return true;
}

static bool every_take_of_small_chunks(struct conform_env *env)
{
    struct conform_pair *pair;
    uint64_t offset = 0;

    TRY(conform_open(env, NULL, &pair));
    for (size_t first = 0; first <= 9; first++)
        for (size_t n = 1; first + n <= 32; n++)
            TRY(take_across(env, pair, &offset, 8, first, n));
    return true;
}

static bool takes_around_borders(struct conform_env *env)
{
    static const size_t firsts[] = { 0, 1, 2047, 2048, 2049 };
    struct conform_pair *pair;
    uint64_t offset = 0;

    TRY(conform_open(env, NULL, &pair));
    for (size_t f = 0; f < sizeof(firsts) / sizeof(firsts[0]); f++)
        for (size_t border = 2048; border <= 8192; border += 2048)
            for (size_t n = border - 2; n <= border + 2; n++)
                if (n > firsts[f] && n <= 8192)
                    TRY(take_across(env, pair, &offset, 2048, firsts[f], n - firsts[f]));
    return true;
}

/* ---- Views that outlive their reads ---------------------------------------------------------------------------- */

enum { KEPT = 96 };

static bool check_kept(struct conform_env *env, struct trib_view *kept, size_t len)
{
    bool ok = true;

    for (size_t i = 0; i < KEPT; i++) {
        ok = ok && (kept[i].len == 0 || conform_check(env, kept[i], 5, i * len * 2, len));
        trib_view_release(&kept[i]);
    }
    return ok;
}

static bool keep_every_second(struct conform_env *env, struct trib_reader *reader, struct trib_view *kept, size_t len)
{
    struct trib_error err;
    struct trib_view view;

    for (size_t i = 0; i < KEPT; i++) {
        REQUIRE_OK(env, trib_reader_take(reader, len, &view, &err));
        TRY(conform_check(env, view, 5, i * len * 2, len));
        kept[i] = trib_view_retain(view);
        REQUIRE_OK(env, trib_reader_take(reader, len, &view, &err));
    }
    return true;
}

static bool views_keep_their_bytes(struct conform_env *env)
{
    static const size_t lens[] = { 1, 100, 5000, 20000 };

    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct trib_view kept[KEPT] = { { NULL, 0, NULL } };
        struct conform_task *task;
        struct conform_pair *pair;
        bool ok;

        TRY(conform_open(env, NULL, &pair));
        task = conform_start_source(env, pair->wa, 5, KEPT * 2 * lens[i], 7777, true);
        ok = keep_every_second(env, pair->rb, kept, lens[i]) && conform_join(env, task);
        if (ok)
            conform_close(env, pair);
        ok = check_kept(env, kept, lens[i]) && ok;
        TRY(ok);
    }
    return true;
}

/* ---- The other ways to take ------------------------------------------------------------------------------------ */

static bool peek_and_read_into(struct conform_env *env, struct trib_reader *reader)
{
    struct trib_error err;
    struct trib_view view;
    uint8_t buf[900];

    for (size_t n = 1; n <= 900; n += 29) {
        REQUIRE_OK(env, trib_reader_peek(reader, n, &view, &err));
        TRY(conform_check(env, view, 6, 0, n));
    }
    REQUIRE(env, trib_reader_position(reader) == 0, "peek consumed");
    REQUIRE_OK(env, trib_reader_read_into(reader, buf, sizeof(buf), &err));
    REQUIRE(env, conform_pattern_mismatch(buf, sizeof(buf), 6, 0) == sizeof(buf), "read_into gave wrong bytes");
    return true;
}

static bool skip_and_vector(struct conform_env *env, struct trib_reader *reader)
{
    struct trib_view views[64];
    struct trib_error err;
    uint64_t skipped = 0, offset = 1900;
    size_t count = 0;

    REQUIRE_OK(env, trib_reader_skip(reader, 1000, &skipped, &err));
    REQUIRE(env, skipped == 1000, "skipped %llu bytes, not 1000", (unsigned long long)skipped);
    REQUIRE_OK(env, trib_reader_take_vector(reader, 1234, views, 64, &count, &err));
    for (size_t i = 0; i < count; i++) {
        TRY(conform_check(env, views[i], 6, offset, views[i].len));
        offset += views[i].len;
    }
    REQUIRE(env, offset == 1900 + 1234, "take_vector gave %llu bytes, not 1234", (unsigned long long)offset - 1900);
    return true;
}

static bool some_and_all(struct conform_env *env, struct trib_reader *reader, size_t len)
{
    struct trib_error err;
    struct trib_view view;
    uint64_t offset = 3134;

    REQUIRE_OK(env, trib_reader_take_some(reader, 10, &view, &err));
    REQUIRE(env, view.len >= 1 && view.len <= 10, "take_some(10) gave %zu bytes", view.len);
    TRY(conform_check(env, view, 6, offset, view.len));
    offset += view.len;
    REQUIRE_CODE(env, TRIB_ERR_LIMIT, trib_reader_take_all(reader, 1000, &view, &err));
    REQUIRE_OK(env, trib_reader_take_all(reader, len, &view, &err));
    return conform_check(env, view, 6, offset, len - (size_t)offset);
}

static bool all_ways_to_take(struct conform_env *env)
{
    const size_t len = 50000;
    struct conform_pair *pair;
    struct conform_task *task;

    TRY(conform_open(env, NULL, &pair));
    task = conform_start_source(env, pair->wa, 6, len, 333, true);
    TRY(peek_and_read_into(env, pair->rb));
    TRY(skip_and_vector(env, pair->rb));
    TRY(some_and_all(env, pair->rb, len));
    TRY(conform_read_end(env, pair->rb));
    return conform_join(env, task);
}

/* ---- Integers and lengths -------------------------------------------------------------------------------------- */

static bool write_fields(struct conform_env *env, struct trib_writer *writer)
{
    const struct trib_view text = { (const uint8_t *)"gr\xc3\xbc\xc3\x9f", 6, NULL };
    struct trib_error err;

    REQUIRE_OK(env, trib_writer_u8(writer, 0xa1, &err));
    REQUIRE_OK(env, trib_writer_be16(writer, 0xb1b2, &err));
    REQUIRE_OK(env, trib_writer_le16(writer, 0xb1b2, &err));
    REQUIRE_OK(env, trib_writer_be32(writer, 0xc1c2c3c4, &err));
    REQUIRE_OK(env, trib_writer_le32(writer, 0xc1c2c3c4, &err));
    REQUIRE_OK(env, trib_writer_be64(writer, UINT64_C(0xd1d2d3d4d5d6d7d8), &err));
    REQUIRE_OK(env, trib_writer_le64(writer, UINT64_C(0xd1d2d3d4d5d6d7d8), &err));
    REQUIRE_OK(env, trib_writer_bytes_be32(writer, text, &err));
    REQUIRE_OK(env, trib_writer_bytes_le32(writer, text, &err));
    REQUIRE_OK(env, trib_writer_flush(writer, &err));
    return true;
}

static bool read_integers(struct conform_env *env, struct trib_reader *reader)
{
    struct trib_error err;
    uint16_t be16, le16;
    uint32_t be32, le32;
    uint64_t be64, le64;
    uint8_t u8;

    REQUIRE_OK(env, trib_reader_u8(reader, &u8, &err));
    REQUIRE_OK(env, trib_reader_be16(reader, &be16, &err));
    REQUIRE_OK(env, trib_reader_le16(reader, &le16, &err));
    REQUIRE_OK(env, trib_reader_be32(reader, &be32, &err));
    REQUIRE_OK(env, trib_reader_le32(reader, &le32, &err));
    REQUIRE_OK(env, trib_reader_be64(reader, &be64, &err));
    REQUIRE_OK(env, trib_reader_le64(reader, &le64, &err));
    REQUIRE(env, u8 == 0xa1 && be16 == 0xb1b2 && le16 == 0xb1b2 && be32 == 0xc1c2c3c4 && le32 == 0xc1c2c3c4, "a small integer is wrong");
    REQUIRE(env, be64 == UINT64_C(0xd1d2d3d4d5d6d7d8) && le64 == be64, "a 64-bit integer is wrong");
    return true;
}

static bool fields(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, NULL, &pair));
    for (unsigned round = 0; round < 50; round++) {
        TRY(write_fields(env, pair->wa));
        TRY(read_integers(env, pair->rb));
        REQUIRE_CODE(env, TRIB_ERR_LIMIT, trib_reader_bytes_be32(pair->rb, 5, &view, &err));
        REQUIRE(env, err.wanted == 6 && err.got == 5, "the limit's numbers are %llu and %llu", (unsigned long long)err.wanted,
                (unsigned long long)err.got);
        REQUIRE_OK(env, trib_reader_string_be32(pair->rb, 6, &view, &err));
        REQUIRE(env, view.len == 6 && memcmp(view.data, "gr\xc3\xbc\xc3\x9f", 6) == 0, "a string is wrong");
        REQUIRE_OK(env, trib_reader_bytes_le32(pair->rb, 6, &view, &err));
        REQUIRE(env, view.len == 6 && memcmp(view.data, "gr\xc3\xbc\xc3\x9f", 6) == 0, "bytes with a length are wrong");
    }
    return true;
}

const struct conform_case conform_stream_cases[] = {
    { "bytes arrive in order", 0, bytes_in_order },
    { "an empty stream", 0, empty_stream },
    { "one-byte writes and one-byte takes", 0, one_byte_writes },
    { "one-byte chunks", 0, one_byte_chunks },
    { "every take across 8-byte chunks", 0, every_take_of_small_chunks },
    { "takes around the borders of chunks", 0, takes_around_borders },
    { "retained views keep their bytes", 0, views_keep_their_bytes },
    { "peek, read_into, skip, vector, some, all", 0, all_ways_to_take },
    { "integers, lengths and strings", 0, fields },
    CONFORM_CASES_END,
};

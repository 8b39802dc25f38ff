/* Cases about messages: their ends arrive as marks where the channel has marks, and their brackets are checked where it has
 * none. */
#include "conformance/suite-internal.h"

static const size_t lens[] = { 1,    0,    2,     3,     0,     0,      100,    4095,    4096, 4097,
                               5000, 0,    65536, 65537, 16384, 262144, 300000, 1 << 20, 7,    0 };
#define LENS (sizeof(lens) / sizeof(lens[0]))

/* One message of the next `len` bytes of stream 11, in pieces. */
static bool write_message(struct conform_env *env, struct trib_writer *writer, uint64_t offset, size_t len, size_t piece)
{
    struct trib_chunk *chunk;
    struct trib_error err;
    size_t n;

    REQUIRE_OK(env, trib_writer_begin_message(writer, len, &err));
    for (size_t done = 0; done < len; done += n) {
        int code;

        n = len - done < piece ? len - done : piece;
        TRY(conform_chunk(env, 11, offset + done, n, &chunk));
        code = trib_writer_view(writer, trib_chunk_view(chunk), &err);
        trib_chunk_unref(chunk);
        REQUIRE(env, code == TRIB_OK, "writing in a message gave %s: %s", trib_code_name(code), code < 0 ? err.message : "");
    }
    REQUIRE_OK(env, trib_writer_end_message(writer, &err));
    return true;
}

static bool message_writer(struct conform_env *env, void *arg)
{
    struct trib_error err;
    uint64_t offset = 0;

    for (unsigned round = 0; round < 3; round++)
        for (size_t i = 0; i < LENS; i++) {
            TRY(write_message(env, arg, offset, lens[i], round == 0 ? 1 << 20 : round == 1 ? 1000 : 40000));
            offset += lens[i];
        }
    REQUIRE_OK(env, trib_writer_finish(arg, 0, NULL, &err));
    return true;
}

/* ---- With marks ------------------------------------------------------------------------------------------------ */

/* How much of each message is taken byte-wise before take_message gets the rest. */
static size_t part_of(size_t len, unsigned round)
{
    return round == 0 ? 0 : round == 1 ? len / 2 : len > 0 ? len - 1 : 0;
}

static bool read_message(struct conform_env *env, struct trib_reader *reader, uint64_t offset, size_t len, size_t part)
{
    struct trib_error err;
    struct trib_view view;

    if (part > 0) {
        TRY(conform_read(env, reader, 11, offset, part, part));
        REQUIRE(env, !trib_reader_at_mark(reader), "a mark after byte %zu of a message of %zu", part, len);
    }
    REQUIRE_OK(env, trib_reader_take_message(reader, 2 << 20, &view, &err));
    TRY(conform_check(env, view, 11, offset + part, len - part));
    REQUIRE(env, trib_reader_at_mark(reader), "no mark after a message of %zu bytes", len);
    return true;
}

static bool messages_in_order(struct conform_env *env)
{
    struct conform_task *task;
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;
    uint64_t offset = 0;

    TRY(conform_open(env, NULL, &pair));
    task = conform_start(env, message_writer, pair->wa);
    for (unsigned round = 0; round < 3; round++)
        for (size_t i = 0; i < LENS; i++) {
            TRY(read_message(env, pair->rb, offset, lens[i], part_of(lens[i], round)));
            offset += lens[i];
        }
    REQUIRE_CODE(env, TRIB_EOF, trib_reader_take_message(pair->rb, 100, &view, &err));
    TRY(conform_read_end(env, pair->rb));
    return conform_join(env, task);
}

/* Whoever does not ask for marks does not see them. */
static bool bytes_across_marks(struct conform_env *env)
{
    struct conform_task *task;
    struct conform_pair *pair;
    size_t total = 0;

    TRY(conform_open(env, NULL, &pair));
    for (size_t i = 0; i < LENS; i++)
        total += 3 * lens[i];
    task = conform_start(env, message_writer, pair->wa);
    TRY(conform_read(env, pair->rb, 11, 0, total, 9973));
    TRY(conform_read_end(env, pair->rb));
    return conform_join(env, task);
}

/* "abc" "de" "" "f": a take that ends on a mark sees it, one that crosses it does not, and an empty message stands between. */
static bool marks_under_bytes(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, NULL, &pair));
    TRY(write_message(env, pair->wa, 0, 3, 3));
    TRY(write_message(env, pair->wa, 3, 2, 1));
    TRY(write_message(env, pair->wa, 5, 0, 1));
    TRY(write_message(env, pair->wa, 5, 1, 1));
    TRY(conform_read(env, pair->rb, 11, 0, 2, 2));
    REQUIRE(env, !trib_reader_at_mark(pair->rb), "a mark inside a message");
    TRY(conform_read(env, pair->rb, 11, 2, 3, 3));
    REQUIRE(env, trib_reader_at_mark(pair->rb), "no mark after a take that crossed one mark and ended on the next");
    REQUIRE_OK(env, trib_reader_take_message(pair->rb, 10, &view, &err));
    REQUIRE(env, view.len == 0 && trib_reader_at_mark(pair->rb), "the empty message is not there");
    TRY(conform_read(env, pair->rb, 11, 5, 1, 1));
    REQUIRE(env, trib_reader_at_mark(pair->rb), "no mark after the last message");
    return true;
}

/* A message above the caller's limit stays where it is. */
static bool message_limit(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, NULL, &pair));
    TRY(write_message(env, pair->wa, 0, 5000, 700));
    REQUIRE_CODE(env, TRIB_ERR_LIMIT, trib_reader_take_message(pair->rb, 4999, &view, &err));
    REQUIRE(env, err.got == 4999, "the error says that %llu bytes are allowed, not 4999", (unsigned long long)err.got);
    REQUIRE_OK(env, trib_reader_take_message(pair->rb, 5000, &view, &err));
    TRY(conform_check(env, view, 11, 0, 5000));
    return true;
}

/* ---- Brackets -------------------------------------------------------------------------------------------------- */

static bool brackets_are_checked(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;

    TRY(conform_open(env, NULL, &pair));
    REQUIRE_CODE(env, TRIB_ERR_USAGE, trib_writer_end_message(pair->wa, &err));
    REQUIRE_OK(env, trib_writer_begin_message(pair->wa, 3, &err));
    REQUIRE_CODE(env, TRIB_ERR_USAGE, trib_writer_begin_message(pair->wa, 1, &err));
    REQUIRE_CODE(env, TRIB_ERR_USAGE, trib_writer_bytes(pair->wa, "abcd", 4, &err));
    REQUIRE_OK(env, trib_writer_bytes(pair->wa, "ab", 2, &err));
    REQUIRE_CODE(env, TRIB_ERR_USAGE, trib_writer_end_message(pair->wa, &err));
    REQUIRE_CODE(env, TRIB_ERR_USAGE, trib_writer_finish(pair->wa, 0, NULL, &err));
    REQUIRE_OK(env, trib_writer_bytes(pair->wa, "c", 1, &err));
    REQUIRE_OK(env, trib_writer_end_message(pair->wa, &err));
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    return true;
}

static bool brackets_leave_bytes_alone(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, NULL, &pair));
    if (env->capabilities & TRIB_CAP_MESSAGES)
        return conform_skip(env, "a channel that has no messages");
    TRY(write_message(env, pair->wa, 0, 1000, 300));
    TRY(write_message(env, pair->wa, 1000, 0, 1));
    TRY(write_message(env, pair->wa, 1000, 500, 500));
    REQUIRE_OK(env, trib_writer_flush(pair->wa, &err));
    REQUIRE_CODE(env, TRIB_ERR_UNSUPPORTED, trib_reader_take_message(pair->rb, 5000, &view, &err));
    return conform_read(env, pair->rb, 11, 0, 1500, 1500);
}

const struct conform_case conform_message_cases[] = {
    { "messages in order, empty and large", TRIB_CAP_MESSAGES, messages_in_order },
    { "marks seen by a reader of bytes", TRIB_CAP_MESSAGES, marks_under_bytes },
    { "a message above the limit stays", TRIB_CAP_MESSAGES, message_limit },
    { "bytes across messages", 0, bytes_across_marks },
    { "brackets of messages are checked", 0, brackets_are_checked },
    { "brackets without marks", 0, brackets_leave_bytes_alone },
    CONFORM_CASES_END,
};

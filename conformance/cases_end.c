/* Cases about the end: expected or not, of one direction or both, good or bad. */
#include "conformance/suite-internal.h"

#include <string.h>

/* ---- In place, out of place ------------------------------------------------------------------------------------ */

static bool end_in_place(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, NULL, &pair));
    TRY(conform_write(env, pair->wa, 21, 0, 5000, 5000));
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    REQUIRE(env, !trib_reader_finished(pair->rb), "finished before a byte was read");
    TRY(conform_read(env, pair->rb, 21, 0, 5000, 1111));
    for (int i = 0; i < 3; i++)
        TRY(conform_read_end(env, pair->rb));
    REQUIRE_CODE(env, TRIB_EOF, trib_reader_take_some(pair->rb, 5, &view, &err));
    return true;
}

static bool says_short(struct conform_env *env, const struct trib_error *err, uint64_t wanted, uint64_t got)
{
    REQUIRE(env, err->code == TRIB_ERR_SHORT && err->wanted == wanted && err->got == got,
            "the error says that %llu of %llu bytes came, not %llu of %llu", (unsigned long long)err->got,
            (unsigned long long)err->wanted, (unsigned long long)got, (unsigned long long)wanted);
    return true;
}

/* 13 bytes, then the end, for each call that wants more: it says so with both numbers, and the bytes are still there. */
static bool end_out_of_place(struct conform_env *env)
{
    struct trib_view view, views[8];
    struct conform_pair *pair;
    struct trib_error err;
    uint8_t buf[32];
    size_t count;

    TRY(conform_open(env, NULL, &pair));
    TRY(conform_write(env, pair->wa, 22, 0, 13, 5));
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    REQUIRE_CODE(env, TRIB_ERR_SHORT, trib_reader_take(pair->rb, 14, &view, &err));
    TRY(says_short(env, &err, 14, 13));
    REQUIRE_CODE(env, TRIB_ERR_SHORT, trib_reader_take(pair->rb, 1 << 20, &view, &err));
    TRY(says_short(env, &err, 1 << 20, 13));
    REQUIRE_CODE(env, TRIB_ERR_SHORT, trib_reader_peek(pair->rb, 20, &view, &err));
    TRY(says_short(env, &err, 20, 13));
    REQUIRE_CODE(env, TRIB_ERR_SHORT, trib_reader_read_into(pair->rb, buf, 32, &err));
    TRY(says_short(env, &err, 32, 13));
    REQUIRE_CODE(env, TRIB_ERR_SHORT, trib_reader_take_vector(pair->rb, 15, views, 8, &count, &err));
    TRY(says_short(env, &err, 15, 13));
    REQUIRE(env, trib_reader_position(pair->rb) == 0, "something was consumed");
    TRY(conform_read(env, pair->rb, 22, 0, 10, 10));
    REQUIRE_CODE(env, TRIB_ERR_SHORT, trib_reader_be32(pair->rb, &(uint32_t){ 0 }, &err));
    TRY(says_short(env, &err, 4, 3));
    TRY(conform_read(env, pair->rb, 22, 10, 3, 3));
    return conform_read_end(env, pair->rb);
}

static bool skip_past_the_end(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    uint64_t skipped = 0;

    TRY(conform_open(env, NULL, &pair));
    TRY(conform_write(env, pair->wa, 23, 0, 1000, 100));
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    REQUIRE_CODE(env, TRIB_ERR_SHORT, trib_reader_skip(pair->rb, UINT64_C(1) << 40, &skipped, &err));
    REQUIRE(env, skipped == 1000, "skipped %llu bytes of 1000", (unsigned long long)skipped);
    return conform_read_end(env, pair->rb);
}

/* ---- Finish ---------------------------------------------------------------------------------------------------- */

static bool finish_is_idempotent(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;

    TRY(conform_open(env, NULL, &pair));
    TRY(conform_write(env, pair->wa, 24, 0, 10, 10));
    for (int i = 0; i < 3; i++)
        REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    REQUIRE_CODE(env, TRIB_ERR_USAGE, trib_writer_bytes(pair->wa, "x", 1, &err));
    REQUIRE_CODE(env, TRIB_ERR_USAGE, trib_writer_u8(pair->wa, 1, &err));
    TRY(conform_read(env, pair->rb, 24, 0, 10, 10));
    return conform_read_end(env, pair->rb);
}

/* What was gathered goes out with finish; no flush is needed. */
static bool finish_flushes(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, NULL, &pair));
    REQUIRE_OK(env, trib_writer_bytes(pair->wa, "gathered", 8, &err));
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    REQUIRE(env, trib_writer_pending(pair->wa) == 0, "bytes are pending after finish");
    REQUIRE_OK(env, trib_reader_take(pair->rb, 8, &view, &err));
    REQUIRE(env, memcmp(view.data, "gathered", 8) == 0, "wrong bytes");
    return conform_read_end(env, pair->rb);
}

/* One direction ends, the other goes on; the same with the roles changed. */
static bool half_close(struct conform_env *env)
{
    for (int turn = 0; turn < 2; turn++) {
        struct conform_pair *pair;
        struct conform_task *task;
        struct trib_error err;

        TRY(conform_open(env, NULL, &pair));
        struct trib_writer *first = turn == 0 ? pair->wa : pair->wb, *second = turn == 0 ? pair->wb : pair->wa;
        struct trib_reader *first_reader = turn == 0 ? pair->rb : pair->ra, *second_reader = turn == 0 ? pair->ra : pair->rb;

        TRY(conform_write(env, first, 25, 0, 100, 100));
        REQUIRE_OK(env, trib_writer_finish(first, 0, NULL, &err));
        TRY(conform_read(env, first_reader, 25, 0, 100, 100));
        TRY(conform_read_end(env, first_reader));
        task = conform_start_source(env, second, 26, 1 << 20, 10000, true);
        TRY(conform_read(env, second_reader, 26, 0, 1 << 20, 12345));
        TRY(conform_read_end(env, second_reader));
        TRY(conform_join(env, task));
        TRY(conform_read_end(env, first_reader));
    }
    return true;
}

/* ---- A bad end ------------------------------------------------------------------------------------------------- */

static bool status_reaches_the_peer(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, NULL, &pair));
    TRY(conform_write(env, pair->wa, 27, 0, 100, 30));
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 7, "the disk is full", &err));
    TRY(conform_read(env, pair->rb, 27, 0, 60, 60));
    REQUIRE_CODE(env, TRIB_ERR_FAILED, trib_reader_take(pair->rb, 41, &view, &err));
    TRY(conform_read(env, pair->rb, 27, 60, 40, 40));
    for (int i = 0; i < 2; i++) {
        REQUIRE_CODE(env, TRIB_ERR_FAILED, trib_reader_take(pair->rb, 1, &view, &err));
        REQUIRE(env, strstr(err.message, "the disk is full") != NULL, "the peer's text is not in \"%s\"", err.message);
    }
    return true;
}

/* Without the capability the stream must at least end. */
static bool status_without_capability(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;
    int code;

    TRY(conform_open(env, NULL, &pair));
    if (env->capabilities & TRIB_CAP_STATUS)
        return conform_skip(env, "a channel that has no status");
    REQUIRE_OK(env, trib_writer_flush(pair->wa, &err));
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 7, "the disk is full", &err));
    code = trib_reader_take(pair->rb, 1, &view, &err);
    REQUIRE(env, code == TRIB_EOF || code < 0, "the peer's reader gave %s", trib_code_name(code));
    return true;
}

/* The peer goes without a word: what it had sent is there, then an error or, where the channel cannot tell, the end. */
static bool peer_goes(struct conform_env *env)
{
    bool detects = env->capabilities & TRIB_CAP_DETECTS_LOSS;
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;
    int code;

    TRY(conform_open(env, NULL, &pair));
    TRY(conform_write(env, pair->wa, 28, 0, 3000, 1000));
    conform_close_a(env, pair);
    TRY(conform_read(env, pair->rb, 28, 0, 2000, 2000));
    code = trib_reader_take(pair->rb, 1001, &view, &err);
    REQUIRE(env, detects ? code < 0 && code != TRIB_ERR_SHORT : code == TRIB_ERR_SHORT, "a take past the loss gave %s",
            trib_code_name(code));
    TRY(conform_read(env, pair->rb, 28, 2000, 1000, 1000));
    for (int i = 0; i < 2; i++) {
        code = trib_reader_take(pair->rb, 1, &view, &err);
        REQUIRE(env, detects ? code < 0 : code == TRIB_EOF, "after the loss a take gave %s", trib_code_name(code));
    }
    return true;
}

static bool reader_task(struct conform_env *env, void *arg)
{
    struct conform_pair *pair = arg;
    struct trib_error err;
    struct trib_view view;
    int code = trib_reader_take(pair->rb, 100, &view, &err);

    REQUIRE(env, code == TRIB_EOF || (code < 0 && code != TRIB_ERR_CANCELLED && code != TRIB_ERR_TIMEOUT), "the blocked reader got %s",
            trib_code_name(code));
    return true;
}

/* The same while the reader is blocked: it must wake. */
static bool peer_goes_while_reading(struct conform_env *env)
{
    struct conform_pair *pair;
    struct conform_task *task;

    TRY(conform_open(env, NULL, &pair));
    task = conform_start(env, reader_task, pair);
    TRY(task != NULL);
    conform_let_block(task);
    conform_close_a(env, pair);
    return conform_join(env, task);
}

/* Writing to a peer that has gone fails, soon, and goes on failing. */
static bool write_to_nobody(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(65536, 0);
    struct conform_pair *pair;
    struct trib_error err;
    uint8_t bytes[4096] = { 0 };
    int code = TRIB_OK;

    TRY(conform_open(env, &options, &pair));
    conform_close_b(env, pair);
    for (int i = 0; i < 4096 && code == TRIB_OK; i++)
        code = trib_writer_bytes(pair->wa, bytes, sizeof(bytes), &err);
    REQUIRE(env, code == TRIB_ERR_CLOSED, "writing to a peer that has gone gave %s", trib_code_name(code));
    REQUIRE_CODE(env, TRIB_ERR_CLOSED, trib_writer_bytes(pair->wa, bytes, 1, &err));
    REQUIRE_CODE(env, TRIB_ERR_CLOSED, trib_writer_flush(pair->wa, &err));
    return true;
}

static bool blocked_writer(struct conform_env *env, void *arg)
{
    struct conform_pair *pair = arg;
    struct trib_error err;
    uint8_t bytes[4096] = { 0 };
    int code = TRIB_OK;

    for (int i = 0; i < 65536 && code == TRIB_OK; i++)
        code = trib_writer_bytes(pair->wa, bytes, sizeof(bytes), &err);
    REQUIRE(env, code == TRIB_ERR_CLOSED, "the blocked writer got %s", trib_code_name(code));
    return true;
}

static bool peer_goes_while_writing(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(65536, 0);
    struct conform_pair *pair;
    struct conform_task *task;

    TRY(conform_open(env, &options, &pair));
    task = conform_start(env, blocked_writer, pair);
    TRY(task != NULL);
    conform_let_block(task);
    conform_close_b(env, pair);
    return conform_join(env, task);
}

const struct conform_case conform_end_cases[] = {
    { "the end in its place", 0, end_in_place },
    { "the end out of its place", 0, end_out_of_place },
    { "skip past the end", 0, skip_past_the_end },
    { "finish is idempotent", 0, finish_is_idempotent },
    { "finish flushes", 0, finish_flushes },
    { "half-close, both ways", TRIB_CAP_HALF_CLOSE, half_close },
    { "a status reaches the peer", TRIB_CAP_STATUS, status_reaches_the_peer },
    { "a bad end without a status", 0, status_without_capability },
    { "the peer goes without finish", 0, peer_goes },
    { "the peer goes while the reader is blocked", 0, peer_goes_while_reading },
    { "writing to a peer that has gone", 0, write_to_nobody },
    { "the peer goes while the writer is blocked", 0, peer_goes_while_writing },
    CONFORM_CASES_END,
};

/* Cases about memory held: bounded by the budget, granted up to the limit, refused beyond it, and never a hang. */
#include "conformance/suite-internal.h"

#include <stdint.h>

enum { KIB = 1024, MIB = 1024 * 1024 };

/* ---- A slow reader --------------------------------------------------------------------------------------------- */

/* Writes as long as the channel takes it without waiting; *sent counts. */
static bool write_until_full(struct conform_env *env, struct trib_writer *writer, uint64_t seed, size_t *sent, size_t most)
{
    struct trib_error err;
    int code = TRIB_OK;

    trib_writer_set_deadline(writer, TRIB_NOWAIT);
    while (code == TRIB_OK && *sent < most) {
        struct trib_chunk *chunk;

        TRY(conform_chunk(env, seed, *sent, 10000, &chunk));
        code = trib_writer_chunk(writer, chunk, &err);
        if (code == TRIB_OK)
            *sent += 10000;
        else
            trib_chunk_unref(chunk);
    }
    trib_writer_set_deadline(writer, TRIB_FOREVER);
    REQUIRE(env, code == TRIB_OK || code == TRIB_AGAIN, "writing to a slow reader gave %s: %s", trib_code_name(code),
            code < 0 ? err.message : "");
    return true;
}

/* Reader's budget, writer's gathering (as much again where it may not wait) and the system's buffers, which count more than
 * the bytes, are all that can be in flight. */
static bool slow_reader_rounds(struct conform_env *env, struct conform_pair *pair, size_t *ret_sent, size_t *ret_read)
{
    const size_t bound = 2 * 256 * KIB + 2 * 16 * KIB + 4 * 64 * KIB + 512 * KIB;
    size_t sent = 0, read = 0;

    for (unsigned round = 0; round < 8; round++) {
        size_t before = sent, there;

        while (sent == before) {
            TRY(write_until_full(env, pair->wa, 51, &sent, 64 * MIB));
            TRY(sent > before || conform_pause(env));
        }
        REQUIRE(env, sent - read <= bound, "%zu bytes are in flight; %zu are allowed", sent - read, bound);
        there = sent - trib_writer_pending(pair->wa) - read;
        TRY(conform_read(env, pair->rb, 51, read, there, 20000));
        read += there;
    }
    *ret_sent = sent;
    *ret_read = read;
    return true;
}

static bool slow_reader(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(256 * KIB, 0);
    struct conform_task *task;
    struct conform_pair *pair;
    size_t sent = 0, read = 0;

    TRY(conform_open(env, &options, &pair));
    TRY(slow_reader_rounds(env, pair, &sent, &read));
    task = conform_start_source(env, pair->wa, 51, 0, 1, true);
    TRY(conform_read(env, pair->rb, 51, read, sent - read, 30000));
    TRY(conform_read_end(env, pair->rb));
    return conform_join(env, task);
}

/* The same with views that are kept: what stops the writer is the release, not the take. */
struct hoard {
    struct trib_view views[512];
    size_t count, bytes;
};

static void hoard_release(struct hoard *hoard)
{
    for (size_t i = 0; i < hoard->count; i++)
        trib_view_release(&hoard->views[i]);
    hoard->count = 0;
    hoard->bytes = 0;
}

static bool hoard_all(struct conform_env *env, struct trib_reader *reader, struct hoard *hoard, uint64_t *offset, int *ret_code,
                      struct trib_error *err)
{
    struct trib_view view;
    int code = TRIB_OK;

    trib_reader_set_deadline(reader, TRIB_NOWAIT);
    while (hoard->count < 512 && (code = trib_reader_take_some(reader, 50000, &view, err)) == TRIB_OK) {
        TRY(conform_check(env, view, 53, *offset, view.len));
        hoard->views[hoard->count++] = trib_view_retain(view);
        hoard->bytes += view.len;
        *offset += view.len;
    }
    trib_reader_set_deadline(reader, TRIB_FOREVER);
    *ret_code = code;
    return true;
}

static bool hoard_rounds(struct conform_env *env, struct conform_pair *pair, struct hoard *hoard)
{
    const size_t bound = 2 * MIB;
    uint64_t offset = 0;
    struct trib_error err;
    size_t sent = 0, there;
    int code = TRIB_OK;

    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 20; i++) {
            TRY(write_until_full(env, pair->wa, 53, &sent, 64 * MIB));
            TRY(hoard_all(env, pair->rb, hoard, &offset, &code, &err));
        }
        REQUIRE(env, hoard->bytes <= bound, "the reader holds %zu bytes with a budget of 256 KiB and a limit of 1 MiB", hoard->bytes);
        REQUIRE(env, sent - offset <= bound, "%zu bytes are in flight while the reader holds its budget", (size_t)(sent - offset));
        REQUIRE(env, code == TRIB_AGAIN || code == TRIB_ERR_LIMIT, "a reader that holds all gave %s", trib_code_name(code));
        hoard_release(hoard);
        there = sent - trib_writer_pending(pair->wa) - (size_t)offset;
        TRY(conform_read(env, pair->rb, 53, offset, there, 50000));
        offset += there;
    }
    return true;
}

static bool reader_that_keeps(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(256 * KIB, 1 * MIB);
    struct hoard *hoard = conform_memory(env, sizeof(*hoard));
    struct conform_pair *pair;
    bool ok;

    TRY(hoard != NULL && conform_open(env, &options, &pair));
    ok = hoard_rounds(env, pair, hoard);
    hoard_release(hoard);
    return ok;
}

/* ---- Wants above budget and limit ------------------------------------------------------------------------------ */

static bool want_above_the_budget(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(64 * KIB, 16 * MIB);
    static const size_t wants[] = { 64 * KIB + 1, 200 * KIB, MIB, 3 * MIB + 5 };
    struct conform_task *task;
    struct conform_pair *pair;
    uint64_t offset = 0;

    TRY(conform_open(env, &options, &pair));
    task = conform_start_source(env, pair->wa, 54, 10 * MIB, 10000, true);
    for (size_t i = 0; i < 4; i++) {
        TRY(conform_read(env, pair->rb, 54, offset, 777, 777));
        TRY(conform_read(env, pair->rb, 54, offset + 777, wants[i], wants[i]));
        offset += 777 + wants[i];
    }
    TRY(conform_read(env, pair->rb, 54, offset, 10 * MIB - (size_t)offset, 100000));
    TRY(conform_read_end(env, pair->rb));
    return conform_join(env, task);
}

static bool says_limit(struct conform_env *env, const struct trib_error *err, uint64_t wanted, uint64_t limit)
{
    REQUIRE(env, err->code == TRIB_ERR_LIMIT && err->wanted >= wanted && err->got == limit,
            "the error says that %llu bytes were wanted and %llu are allowed, not %llu and %llu: %s", (unsigned long long)err->wanted,
            (unsigned long long)err->got, (unsigned long long)wanted, (unsigned long long)limit, err->message);
    return true;
}

/* At once, with both numbers, and the reader goes on. */
static bool want_above_the_limit(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(64 * KIB, 256 * KIB);
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, &options, &pair));
    REQUIRE_CODE(env, TRIB_ERR_LIMIT, trib_reader_take(pair->rb, 256 * KIB + 1, &view, &err));
    TRY(says_limit(env, &err, 256 * KIB + 1, 256 * KIB));
    TRY(conform_write(env, pair->wa, 55, 0, 1000, 100));
    REQUIRE_CODE(env, TRIB_ERR_LIMIT, trib_reader_take(pair->rb, MIB, &view, &err));
    TRY(says_limit(env, &err, MIB, 256 * KIB));
    REQUIRE_CODE(env, TRIB_ERR_LIMIT, trib_reader_peek(pair->rb, SIZE_MAX, &view, &err));
    TRY(says_limit(env, &err, SIZE_MAX, 256 * KIB));
    return conform_read(env, pair->rb, 55, 0, 1000, 1000);
}

struct waiting {
    struct conform_pair *pair;
    struct trib_view held[64];
    size_t count;
};

/* Keeps every view until a take is refused; a blocking call must not wait for what the caller himself holds back. */
static bool hold_everything(struct conform_env *env, struct waiting *w)
{
    struct trib_error err;
    struct trib_view view;
    size_t offset = 0;
    int code = TRIB_OK;

    while (w->count < 64 && (code = trib_reader_take(w->pair->rb, 32 * KIB, &view, &err)) == TRIB_OK) {
        TRY(conform_check(env, view, 56, offset, 32 * KIB));
        w->held[w->count++] = trib_view_retain(view);
        offset += 32 * KIB;
    }
    REQUIRE(env, w->count < 64, "2 MiB were held against a limit of 512 KiB");
    REQUIRE(env, code == TRIB_ERR_LIMIT, "a reader that holds the limit got %s: %s", trib_code_name(code), err.message);
    TRY(says_limit(env, &err, 1, 512 * KIB));
    for (size_t i = 0; i < w->count; i++)
        trib_view_release(&w->held[i]);
    TRY(conform_read(env, w->pair->rb, 56, offset, 4 * MIB - offset, 32 * KIB));
    return conform_read_end(env, w->pair->rb);
}

static bool holding_everything(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(128 * KIB, 512 * KIB);
    struct waiting *w = conform_memory(env, sizeof(*w));
    struct conform_task *task;
    bool ok;

    TRY(w != NULL && conform_open(env, &options, &w->pair));
    task = conform_start_source(env, w->pair->wa, 56, 4 * MIB, 8 * KIB, true);
    ok = hold_everything(env, w);
    for (size_t i = 0; i < w->count; i++)
        trib_view_release(&w->held[i]);
    return ok && conform_join(env, task);
}

/* ---- Large ----------------------------------------------------------------------------------------------------- */

struct large {
    struct trib_writer *writer;
    size_t len;
    size_t piece;
};

/* One block of len bytes, sent as one message in sub-chunks. */
static bool large_run(struct conform_env *env, void *arg)
{
    struct large *large = arg;
    struct trib_chunk *chunk;
    struct trib_error err;
    int code = TRIB_OK;

    TRY(conform_chunk(env, 57, 0, large->len, &chunk));
    code = trib_writer_begin_message(large->writer, large->len, &err);
    for (size_t done = 0; done < large->len && code == TRIB_OK; done += large->piece)
        code = trib_writer_view(large->writer, trib_view_sub(trib_chunk_view(chunk), done, large->piece), &err);
    trib_chunk_unref(chunk);
    REQUIRE(env, code == TRIB_OK, "writing a large message gave %s: %s", trib_code_name(code), code < 0 ? err.message : "");
    REQUIRE_OK(env, trib_writer_end_message(large->writer, &err));
    REQUIRE_OK(env, trib_writer_finish(large->writer, 0, NULL, &err));
    return true;
}

static bool large_message(struct conform_env *env, size_t len, size_t piece, size_t take)
{
    struct large *large = conform_memory(env, sizeof(*large));
    struct conform_task *task;
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(large != NULL && conform_open(env, NULL, &pair));
    *large = (struct large){ pair->wa, len, piece };
    task = conform_start(env, large_run, large);
    if (take == 0 && env->capabilities & TRIB_CAP_MESSAGES) {
        REQUIRE_OK(env, trib_reader_take_message(pair->rb, len, &view, &err));
        TRY(conform_check(env, view, 57, 0, len));
    } else {
        TRY(conform_read(env, pair->rb, 57, 0, len, take != 0 ? take : len));
    }
    TRY(conform_read_end(env, pair->rb));
    TRY(conform_join(env, task));
    conform_close(env, pair);
    return true;
}

static bool large_in_one_piece(struct conform_env *env)
{
    return large_message(env, 128 * MIB, 128 * MIB, 0);
}

static bool large_in_pieces(struct conform_env *env)
{
    return large_message(env, 128 * MIB, MIB + 1, 700001);
}

static bool aligned_take(struct conform_env *env, size_t before, size_t n, size_t align)
{
    struct conform_task *task;
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, NULL, &pair));
    task = conform_start_source(env, pair->wa, 58, before + n, 1000000, true);
    if (before > 0)
        TRY(conform_read(env, pair->rb, 58, 0, before, before));
    REQUIRE_OK(env, trib_reader_take_aligned(pair->rb, n, align, &view, &err));
    REQUIRE(env, (uintptr_t)view.data % align == 0, "%zu bytes do not lie on a multiple of %zu", n, align);
    TRY(conform_check(env, view, 58, before, n));
    TRY(conform_read_end(env, pair->rb));
    TRY(conform_join(env, task));
    conform_close(env, pair);
    return true;
}

static bool aligned_takes(struct conform_env *env)
{
    TRY(aligned_take(env, 0, 16 * MIB, 64));
    TRY(aligned_take(env, 13, 16 * MIB, 64));
    TRY(aligned_take(env, 1001, 70000, 4096));
    TRY(aligned_take(env, 3, 5, 8));
    return true;
}

const struct conform_case conform_budget_cases[] = {
    { "a slow reader stops the writer", 0, slow_reader },
    { "a reader that keeps its views stops the writer", 0, reader_that_keeps },
    { "a want above the budget", 0, want_above_the_budget },
    { "a want above the limit", 0, want_above_the_limit },
    { "holding the whole limit", 0, holding_everything },
    { "128 MiB in one piece", 0, large_in_one_piece },
    { "128 MiB in pieces", 0, large_in_pieces },
    { "aligned takes, up to 16 MiB", 0, aligned_takes },
    CONFORM_CASES_END,
};

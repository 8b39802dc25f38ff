/* Cases about who holds what: references of the writer, what is pending at free, sub-streams, figures, and who the peer is. */
#include "conformance/suite-internal.h"

#include <string.h>
#include <unistd.h>

/* ---- References ------------------------------------------------------------------------------------------------ */

struct counted {
    atomic_size_t released;
    uint8_t bytes[200000];
};

static void on_release(void *arg, const void *data, size_t len)
{
    struct counted *counted = arg;

    (void)data;
    (void)len;
    atomic_fetch_add(&counted->released, 1);
}

/* Writes `count` chunks around the counted bytes. */
static bool write_counted(struct conform_env *env, struct trib_writer *writer, struct counted *counted, size_t count, size_t len)
{
    struct trib_chunk *chunk;
    struct trib_error err;
    int code;

    for (size_t i = 0; i < count; i++) {
        REQUIRE_OK(env, trib_chunk_wrap(counted->bytes + i * len, len, on_release, counted, &chunk, &err));
        code = trib_writer_chunk(writer, chunk, &err);
        if (code != TRIB_OK)
            trib_chunk_unref(chunk);
        REQUIRE(env, code == TRIB_OK, "trib_writer_chunk gave %s: %s", trib_code_name(code), code < 0 ? err.message : "");
    }
    return true;
}

static struct counted *counted_new(struct conform_env *env, uint64_t seed)
{
    struct counted *counted = conform_memory(env, sizeof(*counted));

    if (counted != NULL)
        conform_pattern_fill(counted->bytes, sizeof(counted->bytes), seed, 0);
    return counted;
}

static bool all_released(struct conform_env *env, struct counted *counted, size_t count, const char *when)
{
    size_t released = atomic_load(&counted->released);

    REQUIRE(env, released == count, "%zu of %zu chunks are released %s", released, count, when);
    return true;
}

/* The writer lets go when the channel has the bytes; where references travel, the reader does when it has moved on. */
static bool flush_releases(struct conform_env *env)
{
    struct counted *counted = counted_new(env, 61);
    struct conform_pair *pair;
    struct trib_error err;

    TRY(counted != NULL && conform_open(env, NULL, &pair));
    TRY(write_counted(env, pair->wa, counted, 20, 1000));
    REQUIRE(env, trib_writer_pending(pair->wa) == 20000 && atomic_load(&counted->released) == 0, "20 kB are not gathered");
    REQUIRE_OK(env, trib_writer_flush(pair->wa, &err));
    REQUIRE(env, trib_writer_pending(pair->wa) == 0, "bytes are pending after a flush");
    if (!(env->capabilities & TRIB_CAP_REFERENCES))
        TRY(all_released(env, counted, 20, "after a flush"));
    TRY(conform_read(env, pair->rb, 61, 0, 20000, 3000));
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    TRY(conform_read_end(env, pair->rb));
    TRY(all_released(env, counted, 20, "after they were read"));
    conform_close(env, pair);
    return all_released(env, counted, 20, "at the end");
}

/* What a view's holder holds may change hands, but not while it is referenced. */
static bool views_are_referenced(struct conform_env *env)
{
    struct counted *counted = counted_new(env, 62);
    struct conform_pair *pair;
    struct trib_chunk *chunk;
    struct trib_error err;

    TRY(counted != NULL && conform_open(env, NULL, &pair));
    REQUIRE_OK(env, trib_chunk_wrap(counted->bytes, 10000, on_release, counted, &chunk, &err));
    int first = trib_writer_view(pair->wa, trib_view_sub(trib_chunk_view(chunk), 0, 4000), &err);
    int second = trib_writer_view(pair->wa, trib_view_sub(trib_chunk_view(chunk), 4000, 6000), &err);

    trib_chunk_unref(chunk);
    REQUIRE(env, first == TRIB_OK && second == TRIB_OK, "trib_writer_view failed");
    REQUIRE(env, atomic_load(&counted->released) == 0, "released while it is gathered");
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    TRY(conform_read(env, pair->rb, 62, 0, 10000, 10000));
    TRY(conform_read_end(env, pair->rb));
    conform_close(env, pair);
    return all_released(env, counted, 1, "at the end");
}

/* Channels that go while bytes are gathered, on their way, or half read; and views that stay. */
static bool free_with_data_pending(struct conform_env *env)
{
    for (unsigned round = 0; round < 4; round++) {
        struct counted *counted = counted_new(env, 63);
        struct trib_view view = { NULL, 0, NULL };
        struct conform_pair *pair;
        struct trib_error err;
        bool ok = true;

        TRY(counted != NULL && conform_open(env, NULL, &pair));
        TRY(write_counted(env, pair->wa, counted, 50, 1000));
        if (round > 0)
            REQUIRE_OK(env, trib_writer_flush(pair->wa, &err));
        if (round > 1) {
            REQUIRE_OK(env, trib_reader_take(pair->rb, 1500, &view, &err));
            view = trib_view_retain(view);
        }
        TRY(write_counted(env, pair->wa, counted, 10, 1000));
        if (round == 3)
            conform_close_b(env, pair);
        conform_close(env, pair);
        if (view.len > 0)
            ok = conform_check(env, view, 63, 0, 1500);
        trib_view_release(&view);
        TRY(ok && all_released(env, counted, 60, "after both channels are gone"));
    }
    return true;
}

/* The bytes that arrive are those that were sent: no copy was made. */
static bool same_address(struct conform_env *env)
{
    struct trib_reader_stats stats = { .size = sizeof(stats) };
    struct counted *counted = counted_new(env, 64);
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(counted != NULL && conform_open(env, NULL, &pair));
    TRY(write_counted(env, pair->wa, counted, 4, 50000));
    REQUIRE_OK(env, trib_writer_finish(pair->wa, 0, NULL, &err));
    for (size_t i = 0; i < 8; i++) {
        REQUIRE_OK(env, trib_reader_take(pair->rb, 25000, &view, &err));
        REQUIRE(env, view.data == counted->bytes + i * 25000, "view %zu lies somewhere else", i);
    }
    TRY(conform_read_end(env, pair->rb));
    trib_reader_stats(pair->rb, &stats);
    REQUIRE(env, stats.copies == 0, "%llu copies", (unsigned long long)stats.copies);
    conform_close(env, pair);
    return all_released(env, counted, 4, "at the end");
}

/* ---- Sub-streams ----------------------------------------------------------------------------------------------- */

/* Past its end there is an error at once, whether or not more has come; there is nothing to wait for, so a hang would be seen. */
static bool sub_stream(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, NULL, &pair));
    REQUIRE(env, trib_reader_limit_left(pair->rb) == UINT64_MAX, "a limit without a sub-stream");
    TRY(conform_write(env, pair->wa, 65, 0, 100, 30));
    REQUIRE_OK(env, trib_reader_limit_push(pair->rb, 100, &err));
    TRY(conform_read(env, pair->rb, 65, 0, 40, 40));
    REQUIRE_CODE(env, TRIB_ERR_SHORT, trib_reader_take(pair->rb, 61, &view, &err));
    REQUIRE(env, err.wanted == 61 && err.got == 60, "the error's numbers are %llu and %llu", (unsigned long long)err.wanted,
            (unsigned long long)err.got);
    REQUIRE_OK(env, trib_reader_limit_push(pair->rb, 20, &err));
    REQUIRE_CODE(env, TRIB_ERR_SHORT, trib_reader_limit_push(pair->rb, 21, &err));
    REQUIRE_CODE(env, TRIB_ERR_SHORT, trib_reader_take(pair->rb, 21, &view, &err));
    TRY(conform_read(env, pair->rb, 65, 40, 20, 7));
    TRY(conform_read_end(env, pair->rb));
    REQUIRE_OK(env, trib_reader_limit_pop(pair->rb, &err));
    REQUIRE(env, trib_reader_limit_left(pair->rb) == 40, "%llu bytes are left, not 40",
            (unsigned long long)trib_reader_limit_left(pair->rb));
    TRY(conform_read(env, pair->rb, 65, 60, 40, 40));
    TRY(conform_read_end(env, pair->rb));
    REQUIRE_OK(env, trib_reader_limit_pop(pair->rb, &err));
    REQUIRE_CODE(env, TRIB_ERR_USAGE, trib_reader_limit_pop(pair->rb, &err));
    TRY(conform_write(env, pair->wa, 65, 100, 10, 10));
    return conform_read(env, pair->rb, 65, 100, 10, 10);
}

/* A sub-stream whose bytes have not come: taking past its end still does not wait, and what lies inside is waited for. */
static bool sub_stream_ahead(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_view view;

    TRY(conform_open(env, NULL, &pair));
    REQUIRE_OK(env, trib_reader_limit_push(pair->rb, 1000, &err));
    REQUIRE_CODE(env, TRIB_ERR_SHORT, trib_reader_take(pair->rb, 1001, &view, &err));
    TRY(conform_write(env, pair->wa, 66, 0, 1500, 400));
    TRY(conform_read(env, pair->rb, 66, 0, 1000, 1000));
    TRY(conform_read_end(env, pair->rb));
    REQUIRE_OK(env, trib_reader_limit_pop(pair->rb, &err));
    return conform_read(env, pair->rb, 66, 1000, 500, 500);
}

/* ---- Figures and peers ----------------------------------------------------------------------------------------- */

static bool figures_add_up(struct conform_env *env)
{
    struct trib_channel_stats a = { .size = sizeof(a) }, b = { .size = sizeof(b) };
    struct trib_reader_stats reader = { .size = sizeof(reader) };
    struct trib_writer_stats writer = { .size = sizeof(writer) };
    struct conform_task *task;
    struct conform_pair *pair;

    TRY(conform_open(env, NULL, &pair));
    task = conform_start_source(env, pair->wa, 67, 1234567, 4321, true);
    TRY(conform_read(env, pair->rb, 67, 0, 1234567, 54321));
    TRY(conform_read_end(env, pair->rb));
    TRY(conform_join(env, task));
    trib_channel_stats(pair->a, &a);
    trib_channel_stats(pair->b, &b);
    trib_reader_stats(pair->rb, &reader);
    trib_writer_stats(pair->wa, &writer);
    REQUIRE(env, a.bytes_out == 1234567 && b.bytes_in == 1234567, "%llu bytes out, %llu in", (unsigned long long)a.bytes_out,
            (unsigned long long)b.bytes_in);
    REQUIRE(env, a.bytes_in == 0 && b.bytes_out == 0, "bytes in the other direction");
    REQUIRE(env, reader.bytes == 1234567 && writer.bytes == 1234567, "reader and writer count otherwise");
    REQUIRE(env, a.send_calls > 0 && b.recv_calls > 0 && writer.sends == a.send_calls, "calls are not counted");
    REQUIRE(env, reader.takes == 1234567 / 54321 + 1, "%llu takes", (unsigned long long)reader.takes);
    return true;
}

static bool peer_credentials(struct conform_env *env)
{
    struct conform_pair *pair;
    struct trib_error err;
    struct trib_peer peer;

    TRY(conform_open(env, NULL, &pair));
    for (int side = 0; side < 2; side++) {
        memset(&peer, 0, sizeof(peer));
        peer.size = sizeof(peer);
        REQUIRE_OK(env, trib_channel_peer(side == 0 ? pair->a : pair->b, &peer, &err));
        REQUIRE(env, peer.pid == getpid() && peer.uid == (int64_t)geteuid() && peer.gid == (int64_t)getegid(),
                "the peer is process %lld, user %lld, group %lld", (long long)peer.pid, (long long)peer.uid, (long long)peer.gid);
    }
    return true;
}

static bool no_credentials(struct conform_env *env)
{
    struct trib_peer peer = { sizeof(peer), 0, 0, 0 };
    struct conform_pair *pair;
    struct trib_error err;

    if (env->capabilities & TRIB_CAP_CREDENTIALS)
        return conform_skip(env, "a channel that does not know its peer");
    TRY(conform_open(env, NULL, &pair));
    REQUIRE_CODE(env, TRIB_ERR_UNSUPPORTED, trib_channel_peer(pair->a, &peer, &err));
    return true;
}

static bool names(struct conform_env *env)
{
    struct conform_pair *pair;

    TRY(conform_open(env, NULL, &pair));
    REQUIRE(env, trib_channel_name(pair->a) != NULL && trib_channel_name(pair->a)[0] != '\0', "a channel without a name");
    REQUIRE(env, trib_channel_name(pair->b) != NULL && trib_channel_name(pair->b)[0] != '\0', "a channel without a name");
    return true;
}

const struct conform_case conform_memory_cases[] = {
    { "a flush lets go of chunks", 0, flush_releases },
    { "views are referenced until they are sent", 0, views_are_referenced },
    { "free with bytes pending", 0, free_with_data_pending },
    { "the same memory arrives", TRIB_CAP_REFERENCES, same_address },
    { "a sub-stream ends", 0, sub_stream },
    { "a sub-stream ahead of its bytes", 0, sub_stream_ahead },
    { "figures add up", 0, figures_add_up },
    { "the peer's credentials", TRIB_CAP_CREDENTIALS, peer_credentials },
    { "a peer that nobody knows", 0, no_credentials },
    { "a channel has a name", 0, names },
    CONFORM_CASES_END,
};

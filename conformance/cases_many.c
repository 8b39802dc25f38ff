/* Cases about much at once: both directions, many messages, many channels. */
#include "conformance/suite-internal.h"

#include <sys/resource.h>

enum { CHANNELS = 200, MESSAGES = 4000 };

/* ---- Both directions full -------------------------------------------------------------------------------------- */

static bool echo_run(struct conform_env *env, void *arg)
{
    struct conform_pair *pair = arg;
    struct trib_error err;
    struct trib_view view;
    int code;

    while ((code = trib_reader_take_some(pair->rb, 40000, &view, &err)) == TRIB_OK)
        REQUIRE_OK(env, trib_writer_view(pair->wb, view, &err));
    REQUIRE(env, code == TRIB_EOF, "the echoing side got %s: %s", trib_code_name(code), code < 0 ? err.message : "");
    REQUIRE_OK(env, trib_writer_finish(pair->wb, 0, NULL, &err));
    return true;
}

static bool echo_both_full(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(65536, 0);
    struct conform_task *echo, *source;
    struct conform_pair *pair;

    TRY(conform_open(env, &options, &pair));
    echo = conform_start(env, echo_run, pair);
    source = conform_start_source(env, pair->wa, 71, 8 << 20, 30000, true);
    TRY(echo != NULL && source != NULL);
    TRY(conform_read(env, pair->ra, 71, 0, 8 << 20, 50001));
    TRY(conform_read_end(env, pair->ra));
    TRY(conform_join(env, source));
    return conform_join(env, echo);
}

/* ---- Many small messages --------------------------------------------------------------------------------------- */

struct talk {
    struct trib_writer *writer;
    struct trib_reader *reader;
    uint64_t seed;
};

/* Length, bytes; both sides draw the lengths from the same seed. */
static bool talk_write(struct conform_env *env, void *arg)
{
    struct talk *talk = arg;
    struct conform_random random = { talk->seed };
    struct trib_error err;
    uint64_t offset = 0;

    for (size_t i = 0; i < MESSAGES; i++) {
        size_t len = conform_random_size(&random, 3000);
        struct trib_chunk *chunk;
        int code;

        TRY(conform_chunk(env, talk->seed, offset, len, &chunk));
        code = trib_writer_bytes_be32(talk->writer, trib_chunk_view(chunk), &err);
        trib_chunk_unref(chunk);
        REQUIRE(env, code == TRIB_OK, "message %zu: %s: %s", i, trib_code_name(code), code < 0 ? err.message : "");
        offset += len;
        if (conform_random_below(&random, 8) == 0)
            REQUIRE_OK(env, trib_writer_flush(talk->writer, &err));
    }
    REQUIRE_OK(env, trib_writer_finish(talk->writer, 0, NULL, &err));
    return true;
}

static bool talk_read(struct conform_env *env, void *arg)
{
    struct talk *talk = arg;
    struct conform_random random = { talk->seed };
    struct trib_error err;
    struct trib_view view;
    uint64_t offset = 0;

    for (size_t i = 0; i < MESSAGES; i++) {
        size_t len = conform_random_size(&random, 3000);

        REQUIRE_OK(env, trib_reader_bytes_be32(talk->reader, 3000, &view, &err));
        TRY(conform_check(env, view, talk->seed, offset, len));
        offset += len;
        (void)conform_random_below(&random, 8);
    }
    return conform_read_end(env, talk->reader);
}

static bool many_small_messages(struct conform_env *env)
{
    struct talk *out = conform_memory(env, sizeof(*out)), *back = conform_memory(env, sizeof(*back));
    struct conform_task *tasks[3];
    struct conform_pair *pair;

    TRY(out != NULL && back != NULL && conform_open(env, NULL, &pair));
    *out = (struct talk){ pair->wa, pair->rb, 72 };
    *back = (struct talk){ pair->wb, pair->ra, 73 };
    tasks[0] = conform_start(env, talk_write, out);
    tasks[1] = conform_start(env, talk_write, back);
    tasks[2] = conform_start(env, talk_read, out);
    TRY(tasks[0] != NULL && tasks[1] != NULL && tasks[2] != NULL && talk_read(env, back));
    for (size_t i = 0; i < 3; i++)
        TRY(conform_join(env, tasks[i]));
    return true;
}

/* Random writes against random takes. */
static bool random_takes(struct conform_env *env)
{
    struct conform_random random = { 74 };
    const size_t len = 4 << 20;
    struct conform_task *task;
    struct conform_pair *pair;
    size_t offset = 0;

    TRY(conform_open(env, NULL, &pair));
    task = conform_start_source(env, pair->wa, 75, len, 1377, true);
    while (offset < len) {
        size_t n = 1 + conform_random_size(&random, 50000);

        n = n < len - offset ? n : len - offset;
        TRY(conform_read(env, pair->rb, 75, offset, n, n));
        offset += n;
    }
    TRY(conform_read_end(env, pair->rb));
    return conform_join(env, task);
}

/* ---- Many channels --------------------------------------------------------------------------------------------- */

struct crowd {
    struct conform_pair *pairs[CHANNELS];
};

/* A little to each channel in turn, over and over. */
static bool crowd_write(struct conform_env *env, void *arg)
{
    struct crowd *crowd = arg;
    struct trib_error err;

    for (size_t round = 0; round < 10; round++)
        for (size_t i = 0; i < CHANNELS; i++)
            TRY(conform_write(env, crowd->pairs[i]->wa, i, round * 1500, 1500, 400));
    for (size_t i = 0; i < CHANNELS; i++)
        REQUIRE_OK(env, trib_writer_finish(crowd->pairs[i]->wa, 0, NULL, &err));
    return true;
}

static bool crowd_read(struct conform_env *env, struct crowd *crowd)
{
    for (size_t round = 0; round < 5; round++)
        for (size_t i = CHANNELS; i-- > 0;)
            TRY(conform_read(env, crowd->pairs[i]->rb, i, round * 3000, 3000, 700));
    for (size_t i = 0; i < CHANNELS; i++)
        TRY(conform_read_end(env, crowd->pairs[i]->rb));
    return true;
}

static bool crowd_talk(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(65536, 0);
    struct crowd *crowd = conform_memory(env, sizeof(*crowd));
    struct conform_task *task;

    TRY(crowd != NULL);
    for (size_t i = 0; i < CHANNELS; i++)
        TRY(conform_open(env, &options, &crowd->pairs[i]));
    task = conform_start(env, crowd_write, crowd);
    TRY(task != NULL && crowd_read(env, crowd) && conform_join(env, task));
    for (size_t i = 0; i < CHANNELS; i++)
        conform_close(env, crowd->pairs[i]);
    return true;
}

/* Their descriptors may be more than what a process gets unless it asks. */
static bool many_channels(struct conform_env *env)
{
    struct rlimit before, more;
    bool ok;

    getrlimit(RLIMIT_NOFILE, &before);
    more = before;
    more.rlim_cur = more.rlim_max == RLIM_INFINITY || more.rlim_max > 8192 ? 8192 : more.rlim_max;
    if (before.rlim_cur != RLIM_INFINITY && more.rlim_cur > before.rlim_cur)
        setrlimit(RLIMIT_NOFILE, &more);
    ok = crowd_talk(env);
    if (ok)
        setrlimit(RLIMIT_NOFILE, &before);
    return ok;
}

/* Opening and closing leaves nothing behind that a later pair could stumble over. */
static bool open_and_close(struct conform_env *env)
{
    for (size_t i = 0; i < 100; i++) {
        struct conform_pair *pair;

        TRY(conform_open(env, NULL, &pair));
        TRY(conform_write(env, pair->wa, i, 0, 100, 50));
        TRY(conform_write(env, pair->wb, i, 100, 100, 50));
        TRY(conform_read(env, pair->rb, i, 0, 100, 100));
        TRY(conform_read(env, pair->ra, i, 100, 100, 100));
        conform_close(env, pair);
    }
    return true;
}

const struct conform_case conform_many_cases[] = {
    { "an echo with both directions full", 0, echo_both_full },
    { "many small messages, both ways", 0, many_small_messages },
    { "random takes", 0, random_takes },
    { "200 channels at once", 0, many_channels },
    { "a hundred pairs, one after the other", 0, open_and_close },
    CONFORM_CASES_END,
};

/* A recorded connection of an engine on grpc-java, cut at every byte: the worker says the same on each stream as if it had not been cut. */
#include <tributary/worker.h>

#include <check.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/balance.h"
#include "tests/support/data.h"
#include "tests/support/replay.h"
#include "worker/udf_message-internal.h"

static struct event_base *base;
static struct trib_worker *worker;
static const char *address;
static struct replay replay;
static struct replay_answer whole;

/* ---- What is said, without times ------------------------------------------------------------------------------------ */

/* Text in place of the bytes of a stream. */
static struct {
    char text[8192];
    size_t len;
} said;

static void say_metric(void *arg, struct trib_view name, struct trib_view value)
{
    (void)arg, (void)value;
    said.len += (size_t)snprintf(said.text + said.len, sizeof(said.text) - said.len, " %.*s", (int)name.len, (const char *)name.data);
}

static void say_answer(struct trib_view message)
{
    enum tribi_manage_kind kind;
    bool settled = false;

    ck_assert_int_eq(tribi_manage_reply_read(message, say_metric, NULL, &kind, &settled, NULL), TRIB_OK);
    said.len += (size_t)snprintf(said.text + said.len, sizeof(said.text) - said.len, " answer %d %d\n", kind, settled);
}

static void say_pair(const struct trib_spark_pair *pair)
{
    bool time = pair->key.len > 5 && memcmp(pair->key.data + pair->key.len - 5, "nanos", 5) == 0;

    said.len += (size_t)snprintf(said.text + said.len, sizeof(said.text) - said.len, " %.*s=%.*s", (int)pair->key.len, (const char *)pair->key.data,
                                 time ? 0 : (int)pair->value.len, (const char *)pair->value.data);
}

static void say_control(struct trib_view message)
{
    struct tribi_udf_reply reply;
    const struct trib_udf_error *error = &reply.reply.error;

    ck_assert_int_eq(tribi_udf_reply_read(message, &reply, NULL), TRIB_OK);
    said.len += (size_t)snprintf(said.text + said.len, sizeof(said.text) - said.len, "%s %d %.*s data %zu", trib_reply_name(reply.reply.kind), error->kind,
                                 (int)error->message.len, (const char *)error->message.data, reply.reply.data.len);
    for (size_t i = 0; i < reply.reply.pair_count; i++)
        say_pair(&reply.reply.pairs[i]);
    said.len += (size_t)snprintf(said.text + said.len, sizeof(said.text) - said.len, "\n");
    tribi_udf_reply_done(&reply);
}

/* One UdfResponse: a control message (its field 1) or data, which stays as it is. */
static void say_response(const uint8_t *bytes, size_t len)
{
    size_t at = 1, field = 0;
    unsigned shift = 0;

    ck_assert_uint_gt(len, 1);
    do
        field |= (size_t)(bytes[at] & 127) << shift;
    while (shift += 7, bytes[at++] >= 128);
    ck_assert_uint_eq(field, len - at);
    if (bytes[0] == 0x0a) {
        say_control((struct trib_view){bytes + at, field, NULL});
        return;
    }
    ck_assert_uint_eq(bytes[0], 0x12);
    ck_assert_uint_le(said.len + len + 1, sizeof(said.text));
    memcpy(said.text + said.len, bytes, len);
    said.len += len;
    said.text[said.len++] = '\n';
}

static void strip_times(struct replay_answer *answer)
{
    for (unsigned i = 0; i < replay.streams; i++) {
        struct replay_stream *stream = &answer->streams[i];

        said.len = 0;
        for (size_t at = 0, len; at < stream->counted; at += 5 + len) {
            len = (size_t)stream->data[at + 3] << 8 | stream->data[at + 4];
            if (strstr(replay.paths[i], "/Manage") != NULL)
                say_answer((struct trib_view){stream->data + at + 5, len, NULL});
            else
                say_response(stream->data + at + 5, len);
        }
        ck_assert_uint_eq(stream->counted, stream->len);
        if (stream->data == NULL)
            continue;
        free(stream->data);
        stream->data = malloc(said.len + 1);
        ck_assert_ptr_nonnull(stream->data);
        memcpy(stream->data, said.text, said.len);
        stream->data[said.len] = '\0';
        stream->len = said.len;
    }
}

/* ---- The worker, on a base that the test turns ------------------------------------------------------------------------ */

static void run_base(void *arg)
{
    (void)arg;
    event_base_loop(base, EVLOOP_NONBLOCK);
}

static const struct replay_turn turn = {run_base, NULL};

static void play(size_t split, size_t piece, struct replay_answer *ret_answer)
{
    replay_run(&replay, address, split, piece, &turn, ret_answer);
    strip_times(ret_answer);
}

static void setup(void)
{
    struct trib_worker_options options = TRIB_WORKER_OPTIONS_INIT;
    struct trib_error err;
    char uri[64];

    balance_setup();
    evthread_use_pthreads();
    base = event_base_new();
    options.serializer = &trib_serializer_echo;
    options.threads = 2;
    snprintf(uri, sizeof(uri), "grpc+unix:@trib-replay-%d", (int)getpid());
    ck_assert_msg(trib_worker_new(base, &options, &worker, &err) == TRIB_OK, "%s", err.message);
    ck_assert_msg(trib_worker_listen(worker, uri, &address, &err) == TRIB_OK, "%s", err.message);
    replay_load(&replay, "grpc-java/worker.record");
    play(replay.len, 0, &whole);
}

static void teardown(void)
{
    replay_answer_done(&whole);
    replay_done(&replay);
    trib_worker_free(worker);
    event_base_free(base);
    balance_teardown();
}

static void compare(size_t split, size_t piece)
{
    struct replay_answer parts;

    play(split, piece, &parts);
    replay_compare(&replay, &whole, &parts, split);
    replay_answer_done(&parts);
}

/* ---- Tests -------------------------------------------------------------------------------------------------------------- */

/* What the record holds, so that it is known what was compared. */
START_TEST(test_whole)
{
    static const struct {
        const char *method;
        unsigned messages;
        bool cancelled;
        const char *first, *last;
    } calls[] = {
        {"/Manage", 1, false, " sessions", ""},
        {"/Execute", 7, false, "INIT 0", "\nFINISH 0  data 0 status=ok bytes_in=2011"},
        {"/Execute", 3, false, "INIT 0", "\nCANCEL 0  data 0 status=cancelled"},
        {"/Execute", 2, false, "INIT 3 ", "\nCANCEL 0"},
        {"/Execute", 4, false, "INIT 0", "\nFINISH 0"},
        {"/Execute", 2, true, "INIT 0", "one\n"},
        {"/Nothing", 0, false, "", ""},
        {"/Manage", 1, false, " sessions", ""},
    };

    ck_assert_uint_eq(replay.streams, sizeof(calls) / sizeof(calls[0]));
    for (unsigned i = 0; i < replay.streams; i++) {
        const struct replay_stream *stream = &whole.streams[i];
        const char *data = stream->data != NULL ? (char *)stream->data : "";
        size_t last = strlen(calls[i].last);

        ck_assert_str_eq(strrchr(replay.paths[i], '/'), calls[i].method);
        ck_assert_msg(stream->messages == calls[i].messages, "%u: %s", stream->messages, data);
        ck_assert_int_eq(replay.cancelled[i], calls[i].cancelled);
        ck_assert_msg(strncmp(data, calls[i].first, strlen(calls[i].first)) == 0, "%s", data);
        ck_assert_msg(stream->len >= last && (last == 0 || memmem(data, stream->len, calls[i].last, last) != NULL), "%s", data);
        ck_assert_int_eq(stream->ended, !calls[i].cancelled);
    }
    ck_assert(!whole.goaway);
}
END_TEST

/* In the headers of frames and messages, and here and there. */
START_TEST(test_splits)
{
    for (size_t split = 1; split < replay.len; split += data_split_step())
        if (split % 41 == 0 || replay_near_frame(&replay, split))
            compare(split, 0);
}
END_TEST

START_TEST(test_every_split)
{
    for (size_t split = 1; split < replay.len; split++)
        compare(split, 0);
}
END_TEST

START_TEST(test_byte_by_byte)
{
    compare(0, 1);
    compare(0, 7);
    compare(0, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker, a replay of an engine on grpc-java");
    TCase *tcase = tcase_create("replay"), *slow = tcase_create("every split");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_whole);
    tcase_add_test(tcase, test_splits);
    tcase_add_test(tcase, test_byte_by_byte);
    tcase_add_checked_fixture(slow, setup, teardown);
    tcase_set_timeout(slow, 300);
    tcase_set_tags(slow, "slow");
    tcase_add_test(slow, test_every_split);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, slow);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

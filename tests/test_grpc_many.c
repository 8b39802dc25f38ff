/* Very many: streams at once on one connection, and connections one after the other. */
#include <tributary/reader.h>
#include <tributary/writer.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/balance.h"
#include "tests/support/crowd.h"
#include "tests/support/grpc_echo.h"
#include "tests/support/grpc_raw.h"
#include "tests/support/grpc_talk.h"
#include "tests/support/resident.h"

enum { STALLED = 2, STREAM_MAX_KIB = 40, WARM = 1000, GROWTH_MAX_KIB = 1024 };

static struct grpc_echo echo;
static struct crowd crowd;

static void setup(void)
{
    balance_setup();
    grpc_echo_start(&echo, NULL);
}

static void teardown(void)
{
    grpc_echo_stop(&echo);
    balance_teardown();
}

/* ---- Streams --------------------------------------------------------------------------------------------------------- */

/* Says messages until neither side may say more. */
static void stall(unsigned stream)
{
    static uint8_t bytes[16000];
    bool more = true;

    crowd_begin(&crowd, stream, "/test/Echo");
    for (int quiet = 0; quiet < 3; quiet = more ? 0 : quiet + 1) {
        more = crowd.streams[stream].credit >= (int64_t)sizeof(bytes) + 5;
        while (crowd.streams[stream].credit >= (int64_t)sizeof(bytes) + 5)
            crowd_message(&crowd, stream, bytes, sizeof(bytes));
        crowd_barrier(&crowd);
    }
    ck_assert_uint_eq(crowd.streams[stream].heard, 65535);
}

static int message_of(unsigned stream, char *to, size_t room)
{
    return snprintf(to, room, "from stream %u", stream);
}

static bool all_echoed(struct crowd *of)
{
    static unsigned from = STALLED; /* what was true stays true */
    char text[CROWD_KEPT];

    while (from < CROWD_STREAMS && of->streams[from].heard >= 5 + (uint32_t)message_of(from, text, sizeof(text)))
        from++;
    return from == CROWD_STREAMS;
}

/* Two streams are stalled with full windows; each of the others is answered while all are open, and costs little then. */
START_TEST(test_streams_at_once)
{
    char text[CROWD_KEPT];
    long before, after;

    crowd_open(&crowd, echo.address);
    for (unsigned i = 0; i < STALLED; i++)
        stall(i);
    before = resident_kib();
    for (unsigned i = STALLED; i < CROWD_STREAMS; i++) {
        crowd_begin(&crowd, i, "/test/Echo");
        crowd_message(&crowd, i, text, (size_t)message_of(i, text, sizeof(text)));
    }
    crowd_exchange(&crowd, all_echoed);
    crowd_barrier(&crowd);
    after = resident_kib();
    for (unsigned i = STALLED; i < CROWD_STREAMS; i++) {
        int len = message_of(i, text, sizeof(text));

        ck_assert_uint_eq(crowd.streams[i].heard, 5 + len);
        ck_assert_mem_eq(crowd.streams[i].first + 5, text, len);
        ck_assert(!crowd.streams[i].ended);
    }
    for (unsigned i = 0; i < STALLED; i++)
        ck_assert(crowd.streams[i].heard == 65535 && !crowd.streams[i].ended);
    ck_assert_msg(after - before <= STREAM_MAX_KIB * (CROWD_STREAMS - STALLED), "%ld KiB for each idle stream", (after - before) / CROWD_STREAMS);
    printf("%ld bytes of resident memory for each idle stream\n", (after - before) * 1024 / (CROWD_STREAMS - STALLED));
    crowd_close(&crowd);
}
END_TEST

/* ---- Connections ------------------------------------------------------------------------------------------------------ */

/* One that is closed in order, one whose call is left open, one that goes without having heard the answer. */
static void come_and_go(unsigned i)
{
    if (i % 3 < 2) {
        struct trib_grpc_client *client = grpc_talk_connect(echo.address);
        struct trib_grpc_call *call = grpc_talk_begin(client, "/test/Echo");

        grpc_talk_send(call, "hello", 5);
        grpc_talk_expect(call, "hello", 5);
        if (i % 3 == 0) {
            grpc_talk_send_end(call);
            grpc_talk_expect_status(call, 0, NULL);
        }
        grpc_talk_free(call);
        trib_grpc_client_free(client);
    } else {
        int fd = grpc_raw_connect(echo.address);

        grpc_raw_preface();
        grpc_raw_request(1, "/test/Echo", 0);
        grpc_raw_send(fd);
        close(fd);
    }
}

static const unsigned counts[] = { 2000, 10000 };

START_TEST(test_connections_in_turn)
{
    struct balance start;
    long warm = 0;

    balance_take(&start);
    for (unsigned i = 0; i < counts[_i]; i++) {
        come_and_go(i);
        if (i + 1 == WARM)
            warm = resident_kib();
    }
    ck_assert(balance_comes_back(&start)); /* the last ones may still be closed */
    ck_assert_int_le(resident_kib() - warm, GROWTH_MAX_KIB);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC, very many");
    TCase *tcase = tcase_create("many"), *slow = tcase_create("even more");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_streams_at_once);
    tcase_add_loop_test(tcase, test_connections_in_turn, 0, 1);
    tcase_add_checked_fixture(slow, setup, teardown);
    tcase_set_timeout(slow, 120);
    tcase_set_tags(slow, "slow");
    tcase_add_loop_test(slow, test_connections_in_turn, 1, 2);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, slow);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

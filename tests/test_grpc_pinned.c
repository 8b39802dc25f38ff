/* What a peer may cost that is not read, or that does not read: blocks that a few bytes pin, answers that wait, windows that many streams have. */
#include "tests/support/balance.h"
#include "tests/support/grpc_echo.h"
#include "tests/support/grpc_raw.h"
#include "tests/support/grpc_talk.h"
#include "tests/support/resident.h"


#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DATA = 0, HEADERS = 1, END_HEADERS = 4, UNKNOWN = 0xf0, SETTINGS = 4, ACK = 1, MIB = 1 << 20, DEAF = 7 };

static struct grpc_echo echo;

static void begin(void)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;

    balance_setup();
    options.budget = MIB;
    grpc_echo_start(&echo, &options);
    grpc_talk_expect_service(echo.address);
}

static void end(void)
{
    grpc_talk_expect_service(echo.address);
    grpc_echo_stop(&echo);
    balance_teardown();
}

/* Messages of one byte, which nobody reads, with frames between them that fill a block each: on one stream, and on some. */
START_TEST(test_few_bytes_pin_no_blocks)
{
    static uint8_t filler[200000];
    const uint8_t message[] = { 0, 0, 0, 0, 1, 'x' };
    const size_t rounds = 400;
    uint64_t before;
    int fd;

    begin();
    before = pool_bytes();
    fd = grpc_raw_connect(echo.address);
    grpc_raw_preface();
    grpc_raw_frame(SETTINGS, ACK, 0, NULL, 0); /* from then on frames may be large */
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t stream = _i == 0 ? 1 : 2 * (i % DEAF) + 1;

        if (i == 0 || (_i != 0 && i < DEAF))
            grpc_raw_request(stream, "/test/Deaf", END_HEADERS);
        grpc_raw_frame(DATA, 0, stream, message, sizeof(message));
        grpc_raw_frame(UNKNOWN, 0, 0, filler, sizeof(filler));
        ck_assert(grpc_raw_send(fd));
    }
    grpc_talk_expect_service(echo.address);
    ck_assert_msg(pool_bytes() < before + (_i == 0 ? 4 : 8) * MIB, "%llu bytes at first, now %llu", (unsigned long long)before,
                  (unsigned long long)pool_bytes());
    close(fd);
    end();
}
END_TEST

/* Requests without end by a peer that acknowledges no SETTINGS, and reads nothing: each is refused, which it does not read either. */
START_TEST(test_refusals_unread)
{
    const struct timespec moment = { 0, 50000000 };
    const uint32_t most = 2500000;
    long before;
    uint32_t stream = 1;
    bool taken = true;
    int fd;

    begin();
    before = resident_kib();
    fd = grpc_raw_connect(echo.address);
    grpc_raw_preface();
    while (taken && stream < most) {
        for (int i = 0; i < 1000; i++, stream += 2)
            grpc_raw_request(stream, "/test/Echo", END_HEADERS);
        taken = grpc_raw_send(fd);
    }
    for (int i = 0; i < 400 && taken; i++) { /* a second is given to whoever may read the GOAWAY */
        grpc_raw_request(stream += 2, "/test/Echo", END_HEADERS);
        nanosleep(&moment, NULL);
        taken = grpc_raw_send(fd);
    }
    ck_assert(!taken);
    if (resident_kib() > 0)
        ck_assert_msg(resident_kib() < before + (256 << 10), "%ld KiB at first, now %ld", before, resident_kib());
    close(fd);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC: what is not read");
    TCase *tcase = tcase_create("pinned");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, test_few_bytes_pin_no_blocks, 0, 2);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("unread");
    tcase_set_tags(tcase, "slow");
    tcase_set_timeout(tcase, 240);
    tcase_add_test(tcase, test_refusals_unread);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

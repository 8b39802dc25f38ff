/* What a client makes of every kind of answer: a raw server's bytes, and the status that the call ends with; and what a server says to requests
 * that it cannot serve. */
#include "tests/support/balance.h"
#include "tests/support/grpc_echo.h"
#include "tests/support/grpc_raw.h"
#include "tests/support/grpc_talk.h"

#include <check.h>
#include <nghttp2/nghttp2.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, GOAWAY = 7, END_STREAM = 1, END_HEADERS = 4 };

/* ---- A server of canned answers -------------------------------------------------------------------------------------------- */

static int listening, served;
static struct trib_grpc_client *client;
static struct trib_grpc_call *call;

static void set_up(void)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    char address[128];
    int n;

    balance_setup();
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    n = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "trib-canned-%ld", (long)getpid());
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)), 0);
    ck_assert_int_eq(listen(listening, 1), 0);
    snprintf(address, sizeof(address), "grpc+unix:@%s", name.sun_path + 1);
    client = grpc_talk_connect(address);
    served = accept(listening, NULL, NULL);
    call = grpc_talk_begin(client, "/a/B");
    grpc_raw.len = 0;
    grpc_raw_frame(SETTINGS, 0, 0, NULL, 0);
}

static void tear_down(void)
{
    grpc_talk_free(call);
    trib_grpc_client_free(client);
    close(served);
    close(listening);
    balance_teardown();
}

struct header {
    const char *name, *value;
};

static void put_headers(uint8_t flags, const struct header *headers, size_t count)
{
    uint8_t block[1024];
    size_t n = 0;

    for (size_t i = 0; i < count && headers[i].name != NULL; i++)
        n += grpc_raw_literal(block + n, headers[i].name, headers[i].value);
    grpc_raw_frame(HEADERS, flags | END_HEADERS, 1, block, n);
}

static void put_begin(void)
{
    static const struct header headers[] = { { ":status", "200" }, { "content-type", "application/grpc+proto" } };

    put_headers(0, headers, 2);
}

/* ---- HTTP status ------------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *http;
    int status;
} https[] = { { "400", 13 }, { "401", 16 }, { "403", 7 },  { "404", 12 }, { "429", 14 }, { "502", 14 }, { "503", 14 },
              { "504", 14 }, { "405", 2 },  { "500", 2 },  { "302", 2 },  { "204", 2 },  { "200", 2 } };

START_TEST(test_http_status)
{
    const struct header headers[] = { { ":status", https[_i].http }, { "content-type", "text/html" } };

    put_headers(0, headers, 2);
    grpc_raw_frame(DATA, END_STREAM, 1, "<html>", 6);
    ck_assert(grpc_raw_send(served));
    grpc_talk_expect_status(call, https[_i].status, https[_i].http);
}
END_TEST

/* A status of gRPC counts before one of HTTP. */
START_TEST(test_http_and_grpc_status)
{
    static const struct header headers[] = { { ":status", "503" }, { "content-type", "application/grpc" }, { "grpc-status", "5" } };

    put_headers(END_STREAM, headers, 3);
    ck_assert(grpc_raw_send(served));
    grpc_talk_expect_status(call, 5, NULL);
}
END_TEST

/* ---- Metadata -------------------------------------------------------------------------------------------------------------- */

/* 127 empty values; four such lines are more than a list may hold. */
#define COMMAS9 ",,,,,,,,,"
#define COMMAS63 COMMAS9 COMMAS9 COMMAS9 COMMAS9 COMMAS9 COMMAS9 COMMAS9
#define COMMAS { "a-bin", COMMAS63 COMMAS63 }
#define TOO_MUCH "the metadata takes 16780 bytes, the limit is 16384"

/* At the beginning, at the end, and where it comes before the beginning. */
START_TEST(test_too_much_metadata)
{
    static const struct header headers[] = { { ":status", "200" }, { "content-type", "application/grpc" }, COMMAS, COMMAS, COMMAS, COMMAS };
    static const struct header trailers[] = { COMMAS, COMMAS, COMMAS, COMMAS, { "grpc-status", "0" } };
    static const struct header hints[] = { { ":status", "103" }, COMMAS, COMMAS };

    if (_i == 0)
        put_headers(0, headers, 6);
    if (_i == 1) {
        put_begin();
        put_headers(END_STREAM, trailers, 5);
    }
    for (int i = 0; _i == 2 && i < 2; i++)
        put_headers(0, hints, 3);
    ck_assert(grpc_raw_send(served));
    grpc_talk_expect_status(call, 8, TOO_MUCH);
}
END_TEST

/* ---- Resets ------------------------------------------------------------------------------------------------------------------ */

/* By the code of HTTP/2, 0 to 13, and one that is none. */
static const int resets[] = { 13, 13, 13, 13, 13, 13, 13, 14, 1, 13, 13, 8, 7, 13, 13 };

START_TEST(test_reset)
{
    const uint8_t code[4] = { 0, 0, 0, (uint8_t)_i };

    put_begin();
    grpc_raw_frame(RST_STREAM, 0, 1, code, 4);
    ck_assert(grpc_raw_send(served));
    grpc_talk_expect_status(call, resets[_i], NULL);
}
END_TEST

/* A server may see the deadline pass first, and reset the call for it. The reset is met by a reader of another call. */
START_TEST(test_reset_at_deadline)
{
    static const struct header headers[] = { { ":status", "200" }, { "content-type", "application/grpc" }, { "grpc-status", "0" } };
    static const uint8_t code[4] = { 0, 0, 0, 8 };
    struct trib_grpc_call_options options = TRIB_GRPC_CALL_OPTIONS_INIT;
    struct trib_grpc_call *late;
    struct trib_error err;

    options.deadline = trib_deadline_ms(20);
    ck_assert_msg(trib_grpc_call(client, "/a/B", &options, &late, &err) == TRIB_OK, "%s", err.message);
    grpc_raw_frame(RST_STREAM, 0, 3, code, 4);
    put_headers(END_STREAM, headers, 3);
    ck_assert(grpc_raw_send(served));
    usleep(25000);
    grpc_talk_expect_status(call, 0, NULL);
    grpc_talk_expect_status(late, TRIB_GRPC_DEADLINE_EXCEEDED, NULL);
    grpc_talk_free(late);
}
END_TEST

/* A stream that the server says it has not seen. */
START_TEST(test_goaway)
{
    static const uint8_t none[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };

    grpc_raw_frame(GOAWAY, 0, 0, none, 8);
    ck_assert(grpc_raw_send(served));
    grpc_talk_expect_status(call, TRIB_GRPC_UNAVAILABLE, NULL);
}
END_TEST

START_TEST(test_lost)
{
    put_begin();
    ck_assert(grpc_raw_send(served));
    shutdown(served, SHUT_RDWR);
    grpc_talk_expect_status(call, TRIB_GRPC_UNAVAILABLE, NULL);
}
END_TEST

/* ---- Ends -------------------------------------------------------------------------------------------------------------------- */

static const struct {
    struct header end[3]; /* of the trailers */
    int status;
    const char *text;
} ends[] = {
    { { { "grpc-status", "0" } }, 0, "" },
    { { { "grpc-status", "5" }, { "grpc-message", "not%20here%2C 100%" } }, 5, "not here, 100%" },
    { { { "grpc-status", "16" } }, 16, "" },
    { { { "grpc-status", "17" } }, 2, NULL },
    { { { "grpc-status", "" } }, 2, NULL },
    { { { "grpc-status", "five" } }, 2, NULL },
    { { { "grpc-message", "no status" } }, 13, NULL },
    { { { "grpc-status", "3" }, { "x-bin", "!!" } }, 3, NULL },
};

START_TEST(test_trailers)
{
    put_begin();
    grpc_raw_frame(DATA, 0, 1, "\0\0\0\0\1x", 6);
    put_headers(END_STREAM, ends[_i].end, 3);
    ck_assert(grpc_raw_send(served));
    grpc_talk_expect(call, "x", 1);
    grpc_talk_expect_status(call, ends[_i].status, ends[_i].text);
}
END_TEST

static const struct {
    const char *bytes; /* of DATA, which ends the stream where `ends` says so */
    size_t len;
    bool ends;
    int status;
} datas[] = {
    { "", 0, true, 13 },                /* no trailers */
    { "\0\0\0", 3, true, 13 },          /* a prefix cut off */
    { "\0\0\0\0\5", 5, true, 13 },      /* a message cut off */
    { "\2\0\0\0\1x", 6, false, 13 },    /* no flag */
    { "\1\0\0\0\1x", 6, false, 13 },    /* compressed, and no encoding was named */
    { "\0\xff\xff\xff\xff", 5, false, 8 }, /* above the limit */
};

START_TEST(test_data)
{
    put_begin();
    grpc_raw_frame(DATA, datas[_i].ends ? END_STREAM : 0, 1, datas[_i].bytes, datas[_i].len);
    ck_assert(grpc_raw_send(served));
    grpc_talk_expect_status(call, datas[_i].status, NULL);
}
END_TEST

START_TEST(test_unknown_encoding_of_response)
{
    static const struct header headers[] = { { ":status", "200" }, { "content-type", "application/grpc" }, { "grpc-encoding", "br" } };

    put_headers(0, headers, 3);
    ck_assert(grpc_raw_send(served));
    grpc_talk_expect_status(call, TRIB_GRPC_INTERNAL, "grpc-encoding");
}
END_TEST

/* ---- A server's refusals ------------------------------------------------------------------------------------------------------- */

static struct grpc_echo echo;

static void set_up_server(void)
{
    balance_setup();
    grpc_echo_start(&echo, NULL);
}

static void tear_down_server(void)
{
    grpc_echo_stop(&echo);
    balance_teardown();
}

/* Whether the block has this header. */
static bool has(const struct grpc_raw_frame *frame, const char *name, const char *value)
{
    nghttp2_hd_inflater *inflater;
    const uint8_t *in = frame->payload;
    size_t left = frame->len;
    bool found = false;
    int flags = 0;

    ck_assert_int_eq(nghttp2_hd_inflate_new(&inflater), 0);
    while (left > 0) {
        nghttp2_nv nv;
        ssize_t n = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, in, left, 1);

        ck_assert_int_ge(n, 0);
        in += n;
        left -= (size_t)n;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
            found = found || (strlen(name) == nv.namelen && memcmp(nv.name, name, nv.namelen) == 0 && strlen(value) == nv.valuelen &&
                              memcmp(nv.value, value, nv.valuelen) == 0);
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0)
            break;
    }
    nghttp2_hd_inflate_del(inflater);
    return found;
}

static const struct {
    struct header request[9];
    const char *name, *value; /* of the answer */
} refusals[] = {
#define REQUEST { ":method", "POST" }, { ":scheme", "http" }, { ":path", "/test/Echo" }, { ":authority", "x" }
    { { REQUEST, { "content-type", "application/grpc" }, { "grpc-encoding", "br" } }, "grpc-status", "12" },
    { { REQUEST, { "content-type", "application/grpc" }, { "grpc-encoding", "br" } }, "grpc-accept-encoding", "identity,gzip" },
    { { REQUEST, { "content-type", "application/grpc" }, { "grpc-timeout", "1x" } }, "grpc-status", "13" },
    { { REQUEST, { "content-type", "application/grpc" }, { "a-bin", "!" } }, "grpc-status", "13" },
    { { REQUEST, { "content-type", "application/grpc" }, COMMAS, COMMAS, COMMAS, COMMAS }, "grpc-status", "8" },
    { { REQUEST, { "content-type", "application/grpc" }, COMMAS, COMMAS, COMMAS, COMMAS }, "grpc-message", TOO_MUCH },
    { { REQUEST, { "content-type", "application/grpc" }, COMMAS, COMMAS, COMMAS }, ":status", "200" },
    { { { ":method", "POST" }, { ":scheme", "http" }, { ":path", "/test/Deaf" }, { ":authority", "x" },
        { "content-type", "application/grpc" }, { "grpc-timeout", "0n" } }, "grpc-status", "4" },
    { { REQUEST, { "content-type", "text/html" } }, ":status", "415" },
    { { REQUEST }, ":status", "415" },
    { { { ":method", "GET" }, { ":scheme", "http" }, { ":path", "/" }, { ":authority", "x" } }, ":status", "405" },
    { { { ":method", "GET" }, { ":scheme", "http" }, { ":path", "/" }, { "host", "x" } }, "allow", "POST" },
    { { REQUEST, { "content-type", "application/grpc;charset=x" } }, ":status", "200" },
    { { { ":method", "POST" }, { ":scheme", "http" }, { ":path", "/x/Y" }, { ":authority", "x" },
        { "content-type", "application/grpc+json" } }, "grpc-status", "12" },
    { { { ":method", "POST" }, { ":scheme", "http" }, { ":path", "/test/Echo" }, { ":authority", "%2Frun%2Fa%20b.sock" },
        { "content-type", "application/grpc" } }, ":status", "200" },
};

START_TEST(test_refusal)
{
    static struct grpc_raw_frame frame;
    int fd = grpc_raw_connect(echo.address);

    grpc_raw_preface();
    put_headers(END_STREAM, refusals[_i].request, 9);
    ck_assert(grpc_raw_send(fd));
    ck_assert(grpc_raw_until(fd, HEADERS, &frame));
    ck_assert_msg(has(&frame, refusals[_i].name, refusals[_i].value), "no %s: %s", refusals[_i].name, refusals[_i].value);
    close(fd);
}
END_TEST

/* The text that says why follows the headers, but those of the answer to HEAD. */
START_TEST(test_refusal_of_head)
{
    static const struct header get[4] = { { ":method", "GET" }, { ":scheme", "http" }, { ":path", "/" }, { ":authority", "x" } };
    static const struct header head[4] = { { ":method", "HEAD" }, { ":scheme", "http" }, { ":path", "/" }, { ":authority", "x" } };
    static struct grpc_raw_frame frame;
    int fd = grpc_raw_connect(echo.address);

    grpc_raw_preface();
    put_headers(END_STREAM, _i == 0 ? get : head, 4);
    ck_assert(grpc_raw_send(fd));
    ck_assert(grpc_raw_until(fd, HEADERS, &frame));
    ck_assert(has(&frame, ":status", "405"));
    ck_assert_int_eq((frame.flags & END_STREAM) != 0, _i == 1);
    if (_i == 0)
        ck_assert(grpc_raw_until(fd, DATA, &frame) && frame.len > 0 && (frame.flags & END_STREAM) != 0);
    close(fd);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
    Suite *suite = suite_create("gRPC's answers");
    TCase *answers = tcase_create("answers"), *requests = tcase_create("refusals");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(answers, set_up, tear_down);
    tcase_add_loop_test(answers, test_http_status, 0, COUNT(https));
    tcase_add_test(answers, test_http_and_grpc_status);
    tcase_add_loop_test(answers, test_too_much_metadata, 0, 3);
    tcase_add_loop_test(answers, test_reset, 0, COUNT(resets));
    tcase_add_test(answers, test_reset_at_deadline);
    tcase_add_test(answers, test_goaway);
    tcase_add_test(answers, test_lost);
    tcase_add_loop_test(answers, test_trailers, 0, COUNT(ends));
    tcase_add_loop_test(answers, test_data, 0, COUNT(datas));
    tcase_add_test(answers, test_unknown_encoding_of_response);
    suite_add_tcase(suite, answers);
    tcase_add_checked_fixture(requests, set_up_server, tear_down_server);
    tcase_add_loop_test(requests, test_refusal, 0, COUNT(refusals));
    tcase_add_loop_test(requests, test_refusal_of_head, 0, 2);
    suite_add_tcase(suite, requests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

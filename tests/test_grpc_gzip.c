/* Messages that come with gzip: what they become, in which pieces soever they come; and those that are wrong. */
#include "tests/support/balance.h"
#include "tests/support/grpc_talk.h"
#include "tests/support/grpc_zip.h"

#include <tributary/reader.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DATA = 0, HEADERS = 1, END_STREAM = 1, MESSAGE_LIMIT = 100000, MIB = 1 << 20, FRAME = 16384, PATIENCE_MS = 20000 };

static struct trib_error err;
static uint8_t zeros[4 << 20], text[20000];

/* ---- In any pieces ------------------------------------------------------------------------------------------------------- */

/* All messages that are there, each behind its length. Returns how that ended. */
static int read_messages(uint8_t *to, size_t *len)
{
    struct trib_view view;
    int rc;

    while ((rc = trib_reader_take_message(grpc_zip_reader, MIB, &view, &err)) == TRIB_OK) {
        memcpy(to + *len, &view.len, sizeof(view.len));
        memcpy(to + *len + sizeof(view.len), view.data, view.len);
        *len += sizeof(view.len) + view.len;
    }
    return rc;
}

/* Compressed and not, empty, longer than a block of output, and of just a block. */
static void put_all_kinds(size_t frame)
{
    grpc_raw.len = 0;
    grpc_zip_put_message(1, 1, grpc_zipped, grpc_zip(text, 500, 31), frame);
    grpc_zip_put_message(1, 0, text, 3, frame);
    grpc_zip_put_message(1, 1, grpc_zipped, grpc_zip(text, 0, 31), frame);
    grpc_zip_put_message(1, 1, grpc_zipped, grpc_zip(zeros, 65536, 31), frame);
    grpc_zip_put_message(1, 0, text, 0, frame);
    grpc_zip_put_message(1, 1, grpc_zipped, grpc_zip(zeros, 3 * 65536 + 1, 31), frame);
    grpc_zip_put_message(1, 0, text, 100, frame);
    grpc_raw_frame(DATA, END_STREAM, 1, NULL, 0);
}

static size_t expect_of_all_kinds(uint8_t *to)
{
    const struct {
        const uint8_t *data;
        size_t len;
    } messages[] = { { text, 500 }, { text, 3 }, { text, 0 }, { zeros, 65536 }, { text, 0 }, { zeros, 3 * 65536 + 1 }, { text, 100 } };
    size_t len = 0;

    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        memcpy(to + len, &messages[i].len, sizeof(messages[i].len));
        memcpy(to + len + sizeof(messages[i].len), messages[i].data, messages[i].len);
        len += sizeof(messages[i].len) + messages[i].len;
    }
    return len;
}

static void fill_text(void)
{
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)((i * i) >> 3 ^ i);
}

/* Between the two parts all is read that there is. */
START_TEST(test_every_split)
{
    static uint8_t expected[MIB], got[MIB];
    size_t expected_len, len;
    int fd, rc;

    fill_text();
    grpc_zip_listen(0, 0);
    expected_len = expect_of_all_kinds(expected);
    put_all_kinds(FRAME);
    for (size_t split = 0; split <= grpc_raw.len; split++) {
        fd = grpc_zip_meet();
        len = 0;
        trib_reader_set_deadline(grpc_zip_reader, TRIB_NOWAIT);
        ck_assert(grpc_raw_write(fd, grpc_raw.data, split));
        rc = read_messages(got, &len);
        ck_assert(grpc_raw_write(fd, grpc_raw.data + split, grpc_raw.len - split));
        trib_reader_set_deadline(grpc_zip_reader, trib_deadline_ms(PATIENCE_MS));
        if (rc == TRIB_AGAIN)
            rc = read_messages(got, &len);
        ck_assert_msg(rc == TRIB_EOF && len == expected_len && memcmp(got, expected, len) == 0, "split at byte %zu: %s, %zu bytes of %zu", split,
                      trib_code_name(rc), len, expected_len);
        grpc_zip_part(fd);
    }
    grpc_zip_listen_no_more();
}
END_TEST

/* Each byte a frame, and each byte on its own way. */
START_TEST(test_bytes)
{
    static uint8_t expected[MIB], got[MIB];
    size_t expected_len, len = 0;
    int fd, rc = TRIB_AGAIN;

    fill_text();
    grpc_zip_listen(_i == 1 ? 4096 : 0, _i == 2 ? SIZE_MAX : 0);
    expected_len = expect_of_all_kinds(expected);
    put_all_kinds(1);
    fd = grpc_zip_meet();
    trib_reader_set_deadline(grpc_zip_reader, TRIB_NOWAIT);
    for (size_t i = 0; i < grpc_raw.len; i++) {
        ck_assert_int_eq(rc, TRIB_AGAIN);
        ck_assert(grpc_raw_write(fd, grpc_raw.data + i, 1));
        rc = read_messages(got, &len);
    }
    ck_assert_int_eq(rc, TRIB_EOF);
    ck_assert(len == expected_len && memcmp(got, expected, len) == 0);
    grpc_zip_part(fd);
    grpc_zip_listen_no_more();
}
END_TEST

/* ---- In place --------------------------------------------------------------------------------------------------------------- */

/* A large take is inflated to where it stays; what it says of itself is right. */
START_TEST(test_contiguous)
{
    struct trib_reader_stats stats = { .size = sizeof(stats) };
    struct trib_view view;
    int fd;

    grpc_zip_listen(0, 0);
    grpc_raw.len = 0;
    grpc_zip_put(1, zeros, 4 * MIB);
    grpc_zip_put_message(1, 0, text, 1, FRAME);
    fd = grpc_zip_meet();
    ck_assert(grpc_raw_send(fd));
    for (int i = 0; i < 4; i++) {
        ck_assert_msg(trib_reader_take_aligned(grpc_zip_reader, MIB, 64, &view, &err) == TRIB_OK, "%s", err.message);
        ck_assert(((uintptr_t)view.data & 63) == 0 && memcmp(view.data, zeros, MIB) == 0);
    }
    trib_reader_stats(grpc_zip_reader, &stats);
    ck_assert_uint_eq(stats.copied_crossing + stats.copied_aligning, 0);
    ck_assert_uint_eq(stats.bytes, 4 * MIB);
    ck_assert_uint_le(stats.peak_held, 2 * MIB + 65536);
    ck_assert_int_eq(trib_reader_take(grpc_zip_reader, 1, &view, &err), TRIB_OK);
    grpc_zip_part(fd);
    grpc_zip_listen_no_more();
}
END_TEST

/* The beginning of a message waits for the rest; a cancel does not wait for what could be inflated. */
START_TEST(test_waits)
{
    struct trib_view view;
    size_t half;
    int fd;

    grpc_zip_listen(0, 0);
    grpc_raw.len = 0;
    grpc_zip_put(1, zeros, MIB);
    half = grpc_raw.len / 2;
    fd = grpc_zip_meet();
    ck_assert(grpc_raw_write(fd, grpc_raw.data, 30)); /* as far as into gzip's own header */
    trib_reader_set_deadline(grpc_zip_reader, trib_deadline_ms(20));
    ck_assert_int_eq(trib_reader_take(grpc_zip_reader, 1, &view, &err), TRIB_ERR_TIMEOUT);
    ck_assert(grpc_raw_write(fd, grpc_raw.data + 30, half - 30));
    trib_reader_set_deadline(grpc_zip_reader, trib_deadline_ms(PATIENCE_MS));
    ck_assert_int_eq(trib_reader_take(grpc_zip_reader, 1, &view, &err), TRIB_OK);
    trib_reader_set_deadline(grpc_zip_reader, trib_deadline_ms(20));
    ck_assert_int_eq(trib_reader_take(grpc_zip_reader, MIB - 1, &view, &err), TRIB_ERR_TIMEOUT);
    ck_assert(grpc_raw_write(fd, grpc_raw.data + half, grpc_raw.len - half));
    trib_reader_set_deadline(grpc_zip_reader, trib_deadline_ms(PATIENCE_MS));
    if (_i == 0) {
        ck_assert_msg(trib_reader_take(grpc_zip_reader, MIB - 1, &view, &err) == TRIB_OK, "%s", err.message);
    } else {
        trib_channel_cancel(grpc_zip_channel);
        ck_assert_int_eq(trib_reader_take(grpc_zip_reader, MIB - 1, &view, &err), TRIB_ERR_CANCELLED);
    }
    grpc_zip_part(fd);
    grpc_zip_listen_no_more();
}
END_TEST

/* gzip's header may be of any length, and gives nothing: the window opens again all the same. */
START_TEST(test_long_header)
{
    static uint8_t bytes[4 * FRAME + 200000];
    static struct grpc_raw_frame frame;
    struct trib_view view;
    size_t len = grpc_zip(text, 100, 31), window = 65535, n;
    int fd;

    memset(bytes, 'n', sizeof(bytes));
    memcpy(bytes, grpc_zipped, 10);
    bytes[3] = 8; /* a name, which ends with a zero */
    bytes[sizeof(bytes) - len + 9] = 0;
    memcpy(bytes + sizeof(bytes) - len + 10, grpc_zipped + 10, len - 10);
    grpc_zip_listen(0, 0);
    grpc_raw.len = 0;
    grpc_zip_put_message(1, 1, bytes, sizeof(bytes), 1000);
    fd = grpc_zip_meet();
    trib_reader_set_deadline(grpc_zip_reader, TRIB_NOWAIT);
    for (size_t at = 0; at < grpc_raw.len; at += n) {
        while (window < 1000) { /* frames are 1000 bytes at most */
            trib_reader_take(grpc_zip_reader, 1, &view, &err);
            ck_assert(grpc_raw_next(fd, &frame));
            if (frame.type == 8 && frame.stream == 1)
                window += (size_t)frame.payload[1] << 16 | (size_t)frame.payload[2] << 8 | frame.payload[3];
        }
        window = window < 65535 ? window : 65535; /* more would fill the socket, which nobody reads meanwhile */
        n = 9 + ((size_t)grpc_raw.data[at + 1] << 8 | grpc_raw.data[at + 2]);
        ck_assert(grpc_raw_write(fd, grpc_raw.data + at, n));
        window -= n - 9;
    }
    trib_reader_set_deadline(grpc_zip_reader, trib_deadline_ms(PATIENCE_MS));
    ck_assert_msg(trib_reader_take_message(grpc_zip_reader, 100, &view, &err) == TRIB_OK && view.len == 100, "%s", err.message);
    ck_assert(memcmp(view.data, text, 100) == 0);
    grpc_zip_part(fd);
    grpc_zip_listen_no_more();
}
END_TEST

/* ---- Wrong ones -------------------------------------------------------------------------------------------------------------- */

static size_t make_exact(void)
{
    return grpc_zip(zeros, MESSAGE_LIMIT, 31);
}

static size_t make_above(void)
{
    return grpc_zip(zeros, MESSAGE_LIMIT + 1, 31);
}

static size_t make_far_above(void)
{
    return grpc_zip(zeros, 4 * MIB, 31);
}

static size_t make_without_last(void)
{
    return grpc_zip(text, 500, 31) - 1;
}

static size_t make_without_trailer(void)
{
    return grpc_zip(text, 500, 31) - 8;
}

static size_t make_half(void)
{
    return grpc_zip(zeros, 90000, 31) / 2;
}

static size_t make_header(void)
{
    return grpc_zip(text, 500, 31) > 10 ? 10 : 0;
}

static size_t make_with_more(void)
{
    size_t n = grpc_zip(text, 500, 31);

    grpc_zipped[n] = 0;
    return n + 1;
}

static size_t make_twice(void)
{
    size_t n = grpc_zip(text, 500, 31);

    memcpy(grpc_zipped + n, grpc_zipped, n);
    return 2 * n;
}

static size_t make_zlib(void)
{
    return grpc_zip(text, 500, 15);
}

static size_t make_plain(void)
{
    memcpy(grpc_zipped, "this is not compressed", 22);
    return 22;
}

static size_t make_wrong_sum(void)
{
    size_t n = grpc_zip(text, 500, 31);

    grpc_zipped[n - 8] ^= 1;
    return n;
}

static size_t make_nothing(void)
{
    return 0;
}

static const struct {
    size_t (*make)(void);
    int code;
    const char *why;
} wrongs[] = { { make_exact, TRIB_OK, "" },
               { make_above, TRIB_ERR_LIMIT, "a compressed message has 100001 bytes or more, the limit is 100000" },
               { make_far_above, TRIB_ERR_LIMIT, "a compressed message has 100001 bytes or more, the limit is 100000" },
               { make_without_last, TRIB_ERR_PROTOCOL, "it ends before gzip's end" },
               { make_without_trailer, TRIB_ERR_PROTOCOL, "it ends before gzip's end" },
               { make_half, TRIB_ERR_PROTOCOL, "it ends before gzip's end" },
               { make_header, TRIB_ERR_PROTOCOL, "it ends before gzip's end" },
               { make_with_more, TRIB_ERR_PROTOCOL, "bytes follow gzip's end" },
               { make_twice, TRIB_ERR_PROTOCOL, "bytes follow gzip's end" },
               { make_zlib, TRIB_ERR_PROTOCOL, "it is not gzip" },
               { make_plain, TRIB_ERR_PROTOCOL, "it is not gzip" },
               { make_wrong_sum, TRIB_ERR_PROTOCOL, "it is not gzip" },
               { make_nothing, TRIB_ERR_PROTOCOL, "a compressed message has no bytes" } };

enum { WRONGS = sizeof(wrongs) / sizeof(wrongs[0]) };

/* In large frames and in small ones, behind a message that is good, which is read; and the peer is told. */
START_TEST(test_wrong)
{
    static const size_t frames[] = { FRAME, 1, 7 };
    static struct grpc_raw_frame frame;
    struct trib_view view;
    size_t len;
    int fd, rc;

    fill_text();
    grpc_zip_listen(50000, MESSAGE_LIMIT);
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        grpc_raw.len = 0;
        grpc_zip_put(1, text, 10);
        len = wrongs[_i].make();
        grpc_zip_put_message(1, 1, grpc_zipped, len, frames[i]);
        grpc_zip_put_message(1, 0, text, 10, FRAME);
        fd = grpc_zip_meet();
        ck_assert(grpc_raw_send(fd));
        ck_assert(trib_reader_take_message(grpc_zip_reader, MIB, &view, &err) == TRIB_OK && view.len == 10);
        rc = trib_reader_take_message(grpc_zip_reader, MIB, &view, &err);
        ck_assert_msg(rc == wrongs[_i].code && (rc == TRIB_OK || strstr(err.message, wrongs[_i].why) != NULL), "%s: %s", trib_code_name(rc),
                      rc < 0 ? err.message : "");
        if (rc == TRIB_OK)
            ck_assert(view.len == MESSAGE_LIMIT && memcmp(view.data, zeros, MESSAGE_LIMIT) == 0);
        else
            ck_assert(trib_reader_take_message(grpc_zip_reader, MIB, &view, NULL) == rc && grpc_raw_until(fd, HEADERS, &frame) &&
                      (frame.flags & END_STREAM) != 0);
        grpc_zip_part(fd);
    }
    grpc_zip_listen_no_more();
}
END_TEST

/* ---- At a client --------------------------------------------------------------------------------------------------------------- */

static void put_response(bool gzip)
{
    uint8_t block[512];
    size_t n = grpc_raw_literal(block, ":status", "200");

    n += grpc_raw_literal(block + n, "content-type", "application/grpc");
    if (gzip)
        n += grpc_raw_literal(block + n, "grpc-encoding", "gzip");
    grpc_raw_frame(HEADERS, 4, 1, block, n);
}

/* All went well, says the server; but what it sent is none. */
START_TEST(test_client)
{
    struct trib_grpc_client *client;
    struct trib_grpc_call *call;
    char address[64];
    uint8_t block[64];
    int listening, fd;

    balance_setup();
    listening = grpc_raw_listen(address, sizeof(address));
    client = grpc_talk_connect(address);
    call = grpc_talk_begin(client, "/x/Y");
    fd = accept(listening, NULL, NULL);
    grpc_raw.len = 0;
    grpc_raw_frame(4, 0, 0, NULL, 0);
    put_response(true);
    grpc_zip_put(1, text, 10);
    grpc_zip_put_message(1, 1, text, 10, FRAME);
    grpc_raw_frame(HEADERS, 5, 1, block, grpc_raw_literal(block, "grpc-status", "0"));
    ck_assert(grpc_raw_send(fd));
    grpc_talk_expect(call, text, 10);
    grpc_talk_expect_status(call, TRIB_GRPC_INTERNAL, "it is not gzip");
    grpc_talk_free(call);
    trib_grpc_client_free(client);
    close(fd);
    close(listening);
    balance_teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC with gzip");
    TCase *tcase = tcase_create("gzip");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_every_split);
    tcase_add_loop_test(tcase, test_bytes, 0, 3);
    tcase_add_test(tcase, test_contiguous);
    tcase_add_loop_test(tcase, test_waits, 0, 2);
    tcase_add_test(tcase, test_long_header);
    tcase_add_loop_test(tcase, test_wrong, 0, WRONGS);
    tcase_add_test(tcase, test_client);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

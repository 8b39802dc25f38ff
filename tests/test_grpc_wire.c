/* The words of gRPC: statuses, percent-encoding, base64, timeouts, metadata. */
#include "tests/support/balance.h"
#include "transports/grpc/wire-internal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Percent-encoding ---------------------------------------------------------------------------------------------- */

static const struct {
    const char *plain, *encoded;
} percents[] = {
    { "", "" },
    { "plain text", "plain text" },
    { "100%", "100%25" },
    { "a\nb\t", "a%0Ab%09" },
    { "\xc3\xa4 \xe2\x98\x83", "%C3%A4 %E2%98%83" },
    { "\x7f~ ", "%7F~ " },
};

START_TEST(test_percent)
{
    char to[64];
    size_t n = tribi_grpc_percent_encode(percents[_i].plain, strlen(percents[_i].plain), to);

    ck_assert_uint_eq(n, strlen(percents[_i].encoded));
    ck_assert_int_eq(memcmp(to, percents[_i].encoded, n), 0);
    ck_assert_uint_eq(tribi_grpc_percent_decode(percents[_i].encoded, n, to), strlen(percents[_i].plain));
    ck_assert_str_eq(to, percents[_i].plain);
}
END_TEST

static const struct {
    const char *text, *decoded;
} broken[] = { { "%", "%" }, { "%4", "%4" }, { "%zz", "%zz" }, { "a%0", "a%0" }, { "%00x", "%00x" }, { "%e2%98%83", "\xe2\x98\x83" }, { "%%41", "%A" } };

START_TEST(test_percent_broken)
{
    char to[64];

    tribi_grpc_percent_decode(broken[_i].text, strlen(broken[_i].text), to);
    ck_assert_str_eq(to, broken[_i].decoded);
}
END_TEST

/* ---- Base64 --------------------------------------------------------------------------------------------------------- */

START_TEST(test_base64)
{
    uint8_t data[64], back[96];
    char text[96];
    size_t n, len;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (len = 0; len <= sizeof(data); len++) {
        size_t got;

        n = tribi_grpc_base64_encode(data, len, text);
        ck_assert(tribi_grpc_base64_decode(text, n, back, &got) && got == len && memcmp(back, data, len) == 0);
        while (n % 4 != 0)
            text[n++] = '=';
        ck_assert(tribi_grpc_base64_decode(text, n, back, &got) && got == len);
    }
    ck_assert(!tribi_grpc_base64_decode("a", 1, back, &n));
    ck_assert(!tribi_grpc_base64_decode("ab-d", 4, back, &n));
    ck_assert(!tribi_grpc_base64_decode("a b", 3, back, &n));
}
END_TEST

/* ---- Timeouts ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    int64_t ns; /* -1: not a timeout */
} timeouts[] = {
    { "1n", 1 },        { "5u", 5000 },        { "100m", 100000000 }, { "3S", 3000000000 },   { "2M", 120000000000 },
    { "1H", 3600000000000 }, { "99999999H", INT64_MAX }, { "0S", 0 },  { "", -1 },              { "S", -1 },
    { "1", -1 },        { "1s", -1 },          { "-1S", -1 },         { "123456789S", -1 },   { "1.5S", -1 },
    { " 1S", -1 },
};

START_TEST(test_timeout)
{
    int64_t ns = -1;
    bool ok = tribi_grpc_timeout_parse(timeouts[_i].text, strlen(timeouts[_i].text), &ns);

    ck_assert_int_eq(ok, timeouts[_i].ns >= 0);
    ck_assert_int_eq(ns, timeouts[_i].ns);
}
END_TEST

/* What is formatted is never less, has at most 8 digits, and is nearly what was given. */
START_TEST(test_timeout_format)
{
    for (int64_t ns = 0; ns < INT64_MAX / 3; ns = ns * 3 + 1) {
        char text[24];
        int64_t back = -1;

        tribi_grpc_timeout_format(ns, text);
        ck_assert_msg(tribi_grpc_timeout_parse(text, strlen(text), &back) && back >= ns, "%s for %lld", text, (long long)ns);
        ck_assert(back - ns <= ns / 50000 + 1);
    }
}
END_TEST

/* ---- Status ---------------------------------------------------------------------------------------------------------- */

START_TEST(test_status)
{
    static const struct {
        int from, to;
    } https[] = { { 400, 13 }, { 401, 16 }, { 403, 7 }, { 404, 12 }, { 429, 14 }, { 502, 14 }, { 503, 14 }, { 504, 14 }, { 500, 2 }, { 302, 2 } },
      resets[] = { { 0, 13 }, { 1, 13 }, { 2, 13 }, { 3, 13 }, { 7, 14 }, { 8, 1 }, { 11, 8 }, { 12, 7 } };

    for (size_t i = 0; i < sizeof(https) / sizeof(https[0]); i++)
        ck_assert_int_eq(tribi_grpc_status_of_http(https[i].from), https[i].to);
    for (size_t i = 0; i < sizeof(resets) / sizeof(resets[0]); i++)
        ck_assert_int_eq(tribi_grpc_status_of_reset((uint32_t)resets[i].from), resets[i].to);
    ck_assert_int_eq(tribi_grpc_status_parse("0", 1), 0);
    ck_assert_int_eq(tribi_grpc_status_parse("16", 2), 16);
    ck_assert_int_eq(tribi_grpc_status_parse("17", 2), 2);
    ck_assert_int_eq(tribi_grpc_status_parse("-1", 2), 2);
    ck_assert_int_eq(tribi_grpc_status_parse("", 0), 2);
    ck_assert_str_eq(trib_grpc_code_name(5), "NOT_FOUND");
    ck_assert_str_eq(trib_grpc_code_name(99), "UNKNOWN");
    ck_assert_int_eq(tribi_grpc_status_of_finish(TRIB_ERR_LIMIT), TRIB_GRPC_RESOURCE_EXHAUSTED);
    ck_assert_int_eq(tribi_grpc_status_of_finish(7), 7);
    ck_assert_int_eq(tribi_grpc_status_of_finish(1000), TRIB_GRPC_UNKNOWN);
}
END_TEST

START_TEST(test_content_type)
{
    static const char *const good[] = { "application/grpc", "application/grpc+proto", "application/grpc;charset=x" };
    static const char *const bad[] = { "", "application/grp", "application/grpc-web", "text/html", "application/grpcx" };

    for (size_t i = 0; i < 3; i++)
        ck_assert(tribi_grpc_content_type_ok(good[i], strlen(good[i])));
    for (size_t i = 0; i < 5; i++)
        ck_assert(!tribi_grpc_content_type_ok(bad[i], strlen(bad[i])));
    ck_assert(tribi_grpc_accepts("identity, gzip", 14, "gzip"));
    ck_assert(tribi_grpc_accepts("gzip,deflate", 12, "gzip"));
    ck_assert(!tribi_grpc_accepts("gzipx,xgzip", 11, "gzip"));
}
END_TEST

/* ---- Metadata -------------------------------------------------------------------------------------------------------- */

START_TEST(test_metadata)
{
    struct tribi_grpc_metadata metadata = { .count = 0 };

    ck_assert_int_eq(tribi_grpc_metadata_decode(&metadata, "a", 1, "x,y", 3), TRIB_OK);
    ck_assert_int_eq(tribi_grpc_metadata_decode(&metadata, "b-bin", 5, "AAEC,/w==", 9), TRIB_OK);
    ck_assert_int_eq(tribi_grpc_metadata_decode(&metadata, "c-bin", 5, "!", 1), TRIB_ERR_PROTOCOL);
    ck_assert_uint_eq(metadata.count, 3);
    ck_assert_uint_eq(metadata.entries[0].len, 3);
    ck_assert(metadata.entries[1].len == 3 && memcmp(metadata.entries[1].value, "\0\1\2", 3) == 0);
    ck_assert(metadata.entries[2].len == 1 && *(const uint8_t *)metadata.entries[2].value == 0xff);
    ck_assert_ptr_eq(tribi_grpc_metadata_find(&metadata, "a"), &metadata.entries[0]);
    tribi_grpc_metadata_done(&metadata);
    tribi_grpc_metadata_done(&metadata);
}
END_TEST

/* Values of one line share its name; an empty one is a value, a malformed one leaves nothing of its line. */
START_TEST(test_metadata_joined)
{
    static const char *const values[] = { "", "\1", "", "\2\3", "" };
    static const size_t lens[] = { 0, 1, 0, 2, 0 };
    struct tribi_grpc_metadata metadata = { .count = 0 };

    ck_assert_int_eq(tribi_grpc_metadata_decode(&metadata, "c-bin", 5, "AAEC,!", 6), TRIB_ERR_PROTOCOL);
    ck_assert_uint_eq(metadata.count, 0);
    ck_assert_int_eq(tribi_grpc_metadata_decode(&metadata, "b-bin", 5, ",AQ==,,AgM,", 11), TRIB_OK);
    ck_assert_int_eq(tribi_grpc_metadata_decode(&metadata, "d-bin", 5, "", 0), TRIB_OK);
    ck_assert_uint_eq(metadata.count, 6);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_ptr_eq(metadata.entries[i].name, metadata.entries[0].name);
        ck_assert_str_eq(metadata.entries[i].name, "b-bin");
        ck_assert_uint_eq(metadata.entries[i].len, lens[i]);
        ck_assert_int_eq(memcmp(metadata.entries[i].value, values[i], lens[i] + 1), 0);
    }
    ck_assert(strcmp(metadata.entries[5].name, "d-bin") == 0 && metadata.entries[5].len == 0);
    tribi_grpc_metadata_done(&metadata);
}
END_TEST

/* The limit counts entries, not lines; what is above it is counted still. */
START_TEST(test_metadata_limit)
{
    enum { ENTRIES = 496 };
    struct tribi_grpc_metadata metadata = { .count = 0 };
    char commas[ENTRIES];

    memset(commas, ',', sizeof(commas));
    ck_assert_int_eq(tribi_grpc_metadata_decode(&metadata, "-bin", 4, commas, ENTRIES), TRIB_ERR_LIMIT);
    ck_assert(metadata.count == 0 && metadata.bytes == 4 + ENTRIES + 32 * (ENTRIES + 1));
    tribi_grpc_metadata_done(&metadata);
    metadata.bytes = 0;
    ck_assert_int_eq(tribi_grpc_metadata_decode(&metadata, "-bin", 4, commas, ENTRIES - 1), TRIB_OK);
    ck_assert_uint_eq(metadata.count, ENTRIES);
    ck_assert_int_eq(tribi_grpc_metadata_decode(&metadata, "a", 1, "", 0), TRIB_ERR_LIMIT);
    ck_assert_uint_eq(metadata.count, ENTRIES);
    tribi_grpc_metadata_done(&metadata);
}
END_TEST

START_TEST(test_metadata_allowed)
{
    static const struct trib_grpc_entry good[] = { { "a", "x", 1 }, { "a-b_c.9", "", 0 }, { "x-bin", "\0\xff", 2 }, { "x", "a b", 3 } };
    static const struct trib_grpc_entry bad[] = { { "A", "x", 1 },      { ":path", "x", 1 }, { "grpc-x", "x", 1 }, { "te", "x", 1 },
                                                  { "x", "a\n", 2 },    { "", "x", 1 },      { "x y", "x", 1 },    { "x", NULL, 1 },
                                                  { "x", "\xc3\xa4", 2 }, { "x", " a", 2 },  { NULL, "x", 1 } };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(tribi_grpc_metadata_allowed(&good[i]), "good %zu", i);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!tribi_grpc_metadata_allowed(&bad[i]), "bad %zu", i);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
    Suite *suite = suite_create("gRPC's words");
    TCase *tcase = tcase_create("words");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_loop_test(tcase, test_percent, 0, COUNT(percents));
    tcase_add_loop_test(tcase, test_percent_broken, 0, COUNT(broken));
    tcase_add_test(tcase, test_base64);
    tcase_add_loop_test(tcase, test_timeout, 0, COUNT(timeouts));
    tcase_add_test(tcase, test_timeout_format);
    tcase_add_test(tcase, test_status);
    tcase_add_test(tcase, test_content_type);
    tcase_add_test(tcase, test_metadata);
    tcase_add_test(tcase, test_metadata_joined);
    tcase_add_test(tcase, test_metadata_limit);
    tcase_add_test(tcase, test_metadata_allowed);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* URIs: what is taken apart, and where errors point. */
#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"

#include <tributary/uri.h>

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct {
    const char *text, *scheme, *address;
} good[] = {
    { "unix:/run/x", "unix", "/run/x" },
    { "unix:@name", "unix", "@name" },
    { "UNIX:/Run/X", "unix", "/Run/X" },
    { "chunk:", "chunk", "" },
    { "grpc+unix:/x", "grpc+unix", "/x" },
    { "a1+-.:b", "a1+-.", "b" },
    { "unix:/a:b", "unix", "/a:b" },
    { "unix:/a b", "unix", "/a b" },
    { "unix:/a%20b%3f", "unix", "/a b?" },
    { "unix:%2Fx%2fy", "unix", "/x/y" },
    { "unix:/gr\xc3\xbc\xc3\x9f", "unix", "/gr\xc3\xbc\xc3\x9f" },
    { "unix:/x?mode=0600", "unix", "/x" },
    { "unix:?a=", "unix", "" },
    { "unix:/%0a", "unix", "/\n" },
};

START_TEST(test_good)
{
    struct trib_uri *uri;

    ck_assert_int_eq(trib_uri_parse(good[_i].text, &uri, NULL), TRIB_OK);
    ck_assert_str_eq(trib_uri_text(uri), good[_i].text);
    ck_assert_str_eq(trib_uri_scheme(uri), good[_i].scheme);
    ck_assert_str_eq(trib_uri_address(uri), good[_i].address);
    ck_assert_ptr_null(trib_uri_parameter(uri, "none"));
    trib_uri_free(uri);
}
END_TEST

static const struct {
    const char *text;
    size_t byte;
    const char *why;
} bad[] = {
    { "", 1, "empty" },
    { "/run/x", 1, "letter" },
    { "1unix:/x", 1, "letter" },
    { ":x", 1, "letter" },
    { "unix", 5, "without ':'" },
    { "un ix:/x", 3, "scheme" },
    { "unix?a=b", 5, "scheme" },
    { "unix:/a\nb", 8, "control" },
    { "unix:/a\x7f", 8, "control" },
    { "unix:/%", 7, "hexadecimal" },
    { "unix:/%4", 7, "hexadecimal" },
    { "unix:/%4g", 7, "hexadecimal" },
    { "unix:/%g4", 7, "hexadecimal" },
    { "unix:/a%00b", 8, "%00" },
    { "unix:/x?", 9, "name of a parameter" },
    { "unix:/x?=1", 9, "name of a parameter" },
    { "unix:/x?mode", 13, "'='" },
    { "unix:/x?mode&a=1", 13, "'='" },
    { "unix:/x?a=1&", 13, "name of a parameter" },
    { "unix:/x?a=1&&b=2", 13, "name of a parameter" },
    { "unix:/x?a=1&b=2&a=3", 17, "twice" },
    { "unix:/x?a=%0", 11, "hexadecimal" },
    { "unix:/x?m%61=1", 10, "'='" },
    { "unix:/x?a=\t", 11, "control" },
};

static void expect(const struct trib_error *err, size_t byte, const char *why)
{
    char where[32];

    snprintf(where, sizeof(where), ": byte %zu: ", byte);
    ck_assert_int_eq(err->code, TRIB_ERR_USAGE);
    ck_assert_msg(strstr(err->message, where) != NULL, "%s: expected byte %zu", err->message, byte);
    ck_assert_msg(strstr(err->message, why) != NULL, "%s: expected %s", err->message, why);
    ck_assert_msg(strpbrk(err->message, "\n\r\t") == NULL, "more than a line: %s", err->message);
}

START_TEST(test_bad)
{
    struct trib_uri *uri = NULL;
    struct trib_error err;

    ck_assert_int_eq(trib_uri_parse(bad[_i].text, &uri, &err), TRIB_ERR_USAGE);
    ck_assert_int_eq(trib_uri_parse(bad[_i].text, &uri, NULL), TRIB_ERR_USAGE);
    ck_assert_ptr_null(uri);
    expect(&err, bad[_i].byte, bad[_i].why);
}
END_TEST

START_TEST(test_null)
{
    struct trib_uri *uri;

    ck_assert_int_eq(trib_uri_parse(NULL, &uri, NULL), TRIB_ERR_USAGE);
    trib_uri_free(NULL);
}
END_TEST

START_TEST(test_length)
{
    char text[TRIB_URI_MAX + 2];
    struct trib_uri *uri;
    struct trib_error err;

    memset(text, 'x', sizeof(text));
    memcpy(text, "unix:", 5);
    text[TRIB_URI_MAX + 1] = '\0';
    ck_assert_int_eq(trib_uri_parse(text, &uri, &err), TRIB_ERR_USAGE);
    expect(&err, TRIB_URI_MAX + 1, "longer");
    text[TRIB_URI_MAX] = '\0';
    ck_assert_int_eq(trib_uri_parse(text, &uri, &err), TRIB_OK);
    ck_assert_uint_eq(strlen(trib_uri_address(uri)), TRIB_URI_MAX - 5);
    trib_uri_free(uri);
}
END_TEST

START_TEST(test_parameters)
{
    struct trib_uri *uri;

    ck_assert_int_eq(trib_uri_parse("x:y?a=1&b=&c.d-e_f=%26%3d?&A=2", &uri, NULL), TRIB_OK);
    ck_assert_str_eq(trib_uri_parameter(uri, "a"), "1");
    ck_assert_str_eq(trib_uri_parameter(uri, "b"), "");
    ck_assert_str_eq(trib_uri_parameter(uri, "c.d-e_f"), "&=?");
    ck_assert_str_eq(trib_uri_parameter(uri, "A"), "2");
    trib_uri_free(uri);
}
END_TEST

START_TEST(test_parameter_count)
{
    char text[256] = "x:y?";
    struct trib_uri *uri;
    struct trib_error err;
    size_t len = strlen(text);

    for (int i = 0; i < TRIB_URI_PARAMETERS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%sp%d=1", i > 0 ? "&" : "", i);
    ck_assert_int_eq(trib_uri_parse(text, &uri, NULL), TRIB_OK);
    trib_uri_free(uri);
    snprintf(text + len, sizeof(text) - len, "&q=1");
    ck_assert_int_eq(trib_uri_parse(text, &uri, &err), TRIB_ERR_USAGE);
    expect(&err, len + 2, "too many");
}
END_TEST

static const struct {
    const char *value;
    int base;
    uint64_t min, max;
    int code;
    uint64_t number;
} numbers[] = {
    { "0", 10, 0, UINT64_MAX, TRIB_OK, 0 },
    { "128", 10, 1, 4096, TRIB_OK, 128 },
    { "0600", 8, 0, 0777, TRIB_OK, 0600 },
    { "2k", 10, 0, UINT64_MAX, TRIB_OK, 2048 },
    { "3M", 10, 0, UINT64_MAX, TRIB_OK, UINT64_C(3) << 20 },
    { "4g", 10, 0, UINT64_MAX, TRIB_OK, UINT64_C(4) << 30 },
    { "18446744073709551615", 10, 0, UINT64_MAX, TRIB_OK, UINT64_MAX },
    { "18446744073709551616", 10, 0, UINT64_MAX, TRIB_ERR_USAGE, 0 },
    { "99999999999999999999999", 10, 0, UINT64_MAX, TRIB_ERR_USAGE, 0 },
    { "17179869184g", 10, 0, UINT64_MAX, TRIB_ERR_USAGE, 0 },
    { "", 10, 0, 9, TRIB_ERR_USAGE, 0 },
    { "k", 10, 0, 9, TRIB_ERR_USAGE, 0 },
    { "-1", 10, 0, 9, TRIB_ERR_USAGE, 0 },
    { "+1", 10, 0, 9, TRIB_ERR_USAGE, 0 },
    { "1x", 10, 0, 9, TRIB_ERR_USAGE, 0 },
    { "1kk", 10, 0, UINT64_MAX, TRIB_ERR_USAGE, 0 },
    { "8", 8, 0, 0777, TRIB_ERR_USAGE, 0 },
    { "7k", 8, 0, UINT64_MAX, TRIB_ERR_USAGE, 0 },
    { "0", 10, 1, 9, TRIB_ERR_USAGE, 0 },
    { "10", 10, 1, 9, TRIB_ERR_USAGE, 0 },
};

START_TEST(test_numbers)
{
    char text[64];
    struct trib_uri *uri;
    struct trib_error err;
    uint64_t number = 77;
    int code;

    snprintf(text, sizeof(text), "x:y?n=%s", numbers[_i].value);
    ck_assert_int_eq(trib_uri_parse(text, &uri, NULL), TRIB_OK);
    code = trib_uri_number(uri, "n", numbers[_i].base, numbers[_i].min, numbers[_i].max, 5, &number, &err);
    ck_assert_int_eq(code, numbers[_i].code);
    ck_assert_uint_eq(number, code == TRIB_OK ? numbers[_i].number : 77);
    if (code != TRIB_OK)
        expect(&err, 7, "");
    trib_uri_free(uri);
}
END_TEST

START_TEST(test_number_defaults)
{
    struct trib_uri *uri;
    uint64_t number = 0;

    ck_assert_int_eq(trib_uri_parse("x:y?a=1", &uri, NULL), TRIB_OK);
    ck_assert_int_eq(trib_uri_number(uri, "n", 10, 0, 9, 5, &number, NULL), TRIB_OK);
    ck_assert_uint_eq(number, 5);
    ck_assert_int_eq(trib_uri_number(uri, "a", 16, 0, 9, 5, &number, NULL), TRIB_ERR_USAGE);
    trib_uri_free(uri);
}
END_TEST

START_TEST(test_known)
{
    static const char *const known[] = { "mode", "backlog", NULL };
    static const char *const none[] = { NULL };
    struct trib_uri *uri;
    struct trib_error err;

    ck_assert_int_eq(trib_uri_parse("unix:/x?mode=1&modes=2", &uri, NULL), TRIB_OK);
    ck_assert_int_eq(trib_uri_known(uri, known, &err), TRIB_ERR_USAGE);
    expect(&err, 16, "unknown");
    ck_assert_int_eq(trib_uri_known(uri, none, &err), TRIB_ERR_USAGE);
    expect(&err, 9, "unknown");
    trib_uri_free(uri);
    ck_assert_int_eq(trib_uri_parse("unix:/x?backlog=1&mode=2", &uri, NULL), TRIB_OK);
    ck_assert_int_eq(trib_uri_known(uri, known, &err), TRIB_OK);
    trib_uri_free(uri);
}
END_TEST

/* The offset counts decoded bytes, the message what was written. */
START_TEST(test_bad_address)
{
    struct trib_uri *uri;
    struct trib_error err;

    ck_assert_int_eq(trib_uri_parse("unix:/%41%42!x?a=1", &uri, NULL), TRIB_OK);
    ck_assert_str_eq(trib_uri_address(uri), "/AB!x");
    ck_assert_int_eq(trib_uri_bad_address(uri, 3, "no '!'", &err), TRIB_ERR_USAGE);
    expect(&err, 13, "no '!'");
    ck_assert_int_eq(trib_uri_bad_address(uri, 0, "why", &err), TRIB_ERR_USAGE);
    expect(&err, 6, "why");
    ck_assert_int_eq(trib_uri_bad_address(uri, 1000, "why", &err), TRIB_ERR_USAGE);
    expect(&err, 15, "why");
    trib_uri_free(uri);
}
END_TEST

/* A long URI is cut in the message, the reason is not. */
START_TEST(test_bad_parameter)
{
    struct trib_uri *uri;
    struct trib_error err;

    ck_assert_int_eq(trib_uri_parse("unix:a?n=%41b&method=x", &uri, &err), TRIB_OK);
    ck_assert_int_eq(trib_uri_bad_parameter(uri, "method", "no '/'", &err), TRIB_ERR_USAGE);
    ck_assert_str_eq(err.message, "uri unix:a?n=%41b&method=x: byte 22: no '/'");
    ck_assert_int_eq(trib_uri_bad_parameter(uri, "m", "why", &err), TRIB_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "byte 23: why"));
    trib_uri_free(uri);
}
END_TEST

START_TEST(test_long_quotes)
{
    char text[1024];
    struct trib_uri *uri;
    struct trib_error err;

    memset(text, 'x', sizeof(text));
    memcpy(text, "unix:", 5);
    memcpy(text + sizeof(text) - 3, "%q", 3);
    ck_assert_int_eq(trib_uri_parse(text, &uri, &err), TRIB_ERR_USAGE);
    expect(&err, sizeof(text) - 2, "hexadecimal");
    ck_assert_ptr_nonnull(strstr(err.message, "..."));
}
END_TEST

/* Every byte, at every place of a URI that has all parts: parsed or refused, in memory of exactly its length. */
START_TEST(test_every_byte_everywhere)
{
    static const char whole[] = "u+x:/a%20b?m=1&n=%41";

    for (size_t at = 0; at < sizeof(whole) - 1; at++)
        for (int byte = 0; byte < 256; byte++) {
            char *text = malloc(sizeof(whole));
            struct trib_uri *uri;
            int code;

            memcpy(text, whole, sizeof(whole));
            text[at] = (char)byte;
            code = trib_uri_parse(text, &uri, NULL);
            ck_assert(code == TRIB_OK || code == TRIB_ERR_USAGE);
            if (code == TRIB_OK)
                trib_uri_free(uri);
            free(text);
        }
}
END_TEST

static int parse_once(void *arg, struct trib_error *err)
{
    struct trib_uri *uri;
    int code = trib_uri_parse(arg, &uri, err);

    if (code == TRIB_OK)
        trib_uri_free(uri);
    return code;
}

START_TEST(test_no_memory)
{
    char text[] = "unix:/x?a=1&b=2";

    ck_assert_uint_ge(fail_alloc_every(parse_once, text), 1);
}
END_TEST

static Suite *uri_suite(void)
{
    Suite *suite = suite_create("uri");
    TCase *tcase = tcase_create("uri");

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_loop_test(tcase, test_good, 0, COUNT(good));
    tcase_add_loop_test(tcase, test_bad, 0, COUNT(bad));
    tcase_add_test(tcase, test_null);
    tcase_add_test(tcase, test_length);
    tcase_add_test(tcase, test_parameters);
    tcase_add_test(tcase, test_parameter_count);
    tcase_add_loop_test(tcase, test_numbers, 0, COUNT(numbers));
    tcase_add_test(tcase, test_number_defaults);
    tcase_add_test(tcase, test_known);
    tcase_add_test(tcase, test_bad_address);
    tcase_add_test(tcase, test_bad_parameter);
    tcase_add_test(tcase, test_long_quotes);
    tcase_add_test(tcase, test_every_byte_everywhere);
    tcase_add_test(tcase, test_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(uri_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Error structs: codes have names, texts are one line and never too long. */
#include <tributary/error.h>

#include "tests/support/balance.h"
#include "tests/support/feed.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int code;
    const char *name;
} names[] = {
    { 0, "TRIB_OK" },
    { 1, "TRIB_AGAIN" },
    { 2, "TRIB_EOF" },
    { -1, "TRIB_ERR_USAGE" },
    { -2, "TRIB_ERR_NOMEM" },
    { -3, "TRIB_ERR_IO" },
    { -4, "TRIB_ERR_CLOSED" },
    { -5, "TRIB_ERR_SHORT" },
    { -6, "TRIB_ERR_PROTOCOL" },
    { -7, "TRIB_ERR_LIMIT" },
    { -8, "TRIB_ERR_TIMEOUT" },
    { -9, "TRIB_ERR_CANCELLED" },
    { -10, "TRIB_ERR_UNSUPPORTED" },
    { -11, "TRIB_ERR_FAILED" },
    { -12, "TRIB_ERR_UNKNOWN" },
    { 3, "TRIB_ERR_UNKNOWN" },
    { INT_MAX, "TRIB_ERR_UNKNOWN" },
    { INT_MIN, "TRIB_ERR_UNKNOWN" },
};

START_TEST(code_name)
{
    ck_assert_str_eq(trib_code_name(names[_i].code), names[_i].name);
}
END_TEST

START_TEST(set_fills_all)
{
    struct trib_error err;

    memset(&err, 0xff, sizeof(err));
    ck_assert_int_eq(trib_error_set(&err, TRIB_ERR_IO, 0, "open %s", "x"), TRIB_ERR_IO);
    ck_assert_int_eq(err.code, TRIB_ERR_IO);
    ck_assert_int_eq(err.sys_errno, 0);
    ck_assert_uint_eq(err.wanted, 0);
    ck_assert_uint_eq(err.got, 0);
    ck_assert_str_eq(err.message, "open x");
}
END_TEST

START_TEST(set_appends_errno)
{
    struct trib_error err;
    char expected[128];

    trib_error_set(&err, TRIB_ERR_IO, ENOENT, "open /nowhere");
    ck_assert_int_eq(err.sys_errno, ENOENT);
    ck_assert_int_ge(snprintf(expected, sizeof(expected), "open /nowhere: %s", strerror(ENOENT)), 0);
    ck_assert_str_eq(err.message, expected);
}
END_TEST

START_TEST(numbers)
{
    struct trib_error err;

    ck_assert_int_eq(trib_error_numbers(&err, TRIB_ERR_SHORT, UINT64_MAX, 7, "read"), TRIB_ERR_SHORT);
    ck_assert_uint_eq(err.wanted, UINT64_MAX);
    ck_assert_uint_eq(err.got, 7);
    ck_assert_int_eq(err.sys_errno, 0);
}
END_TEST

START_TEST(null_is_allowed)
{
    ck_assert_int_eq(trib_error_set(NULL, TRIB_ERR_IO, EIO, "x %d", 1), TRIB_ERR_IO);
    ck_assert_int_eq(trib_error_numbers(NULL, TRIB_ERR_LIMIT, 1, 2, "x"), TRIB_ERR_LIMIT);
}
END_TEST

/* Every length around the end of the buffer, with and without an errno to append. */
START_TEST(long_text_is_cut)
{
    char text[300];
    size_t len = 230 + (size_t)_i / 2;
    struct trib_error err;

    memset(text, 'x', len);
    text[len] = '\0';
    memset(&err, 0xff, sizeof(err));
    trib_error_set(&err, TRIB_ERR_IO, _i % 2 != 0 ? EIO : 0, "%s", text);
    ck_assert_ptr_nonnull(memchr(err.message, '\0', sizeof(err.message)));
    ck_assert_int_eq(strncmp(err.message, text, len < 255 ? len : 255), 0);
}
END_TEST

START_TEST(one_line)
{
    struct trib_error err;

    trib_error_set(&err, TRIB_ERR_FAILED, 0, "Traceback:\n  line 1\r\n  line 2\n");
    ck_assert_ptr_null(strpbrk(err.message, "\r\n"));
    ck_assert_ptr_nonnull(strstr(err.message, "line 2"));
}
END_TEST

/* Whoever adds to a message hands in the message itself. */
START_TEST(own_text_as_argument)
{
    struct trib_error err;

    trib_error_set(&err, TRIB_ERR_IO, 0, "read 4 bytes");
    trib_error_set(&err, err.code, 0, "session 7: %s", err.message);
    ck_assert_str_eq(err.message, "session 7: read 4 bytes");
}
END_TEST

START_TEST(deadlines)
{
    int64_t now = trib_now(), later;

    ck_assert_int_ne(now, TRIB_NOWAIT);
    later = trib_deadline_ms(1000);
    ck_assert_int_ge(later, now + 1000000000);
    ck_assert_int_eq(trib_deadline_ms(-1), TRIB_FOREVER);
    ck_assert_int_eq(trib_deadline_ms(INT64_MAX), TRIB_FOREVER);
    ck_assert_int_eq(trib_deadline_ms(INT64_MIN), TRIB_FOREVER);
    ck_assert_int_gt(trib_deadline_ms(0), 0);
    ck_assert_str_eq(trib_version(), TRIB_VERSION);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("error");
    TCase *tc = tcase_create("error");

    tcase_add_checked_fixture(tc, balance_setup, balance_teardown);
    tcase_add_loop_test(tc, code_name, 0, (int)(sizeof(names) / sizeof(names[0])));
    tcase_add_test(tc, set_fills_all);
    tcase_add_test(tc, set_appends_errno);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, null_is_allowed);
    tcase_add_loop_test(tc, long_text_is_cut, 0, 80);
    tcase_add_test(tc, one_line);
    tcase_add_test(tc, own_text_as_argument);
    tcase_add_test(tc, deadlines);
    suite_add_tcase(s, tc);
    return s;
}

FEED_MAIN(suite)

/* The services that a server answers itself: health, asked and watched; reflection, by file and by name. */
#include "tests/support/balance.h"
#include "tests/support/grpc_echo.h"
#include "tests/support/grpc_talk.h"
#include "transports/grpc/symbols-internal.h"

#include <tributary/grpc_services.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CHECK "/grpc.health.v1.Health/Check"
#define WATCH "/grpc.health.v1.Health/Watch"
#define LIST "/grpc.health.v1.Health/List"

static struct grpc_echo echo;
static struct trib_grpc_client *client;
static struct trib_error err;

static void set_up(void)
{
    balance_setup();
    grpc_echo_start(&echo, NULL);
    client = grpc_talk_connect(echo.address);
}

static void tear_down(void)
{
    trib_grpc_client_free(client);
    grpc_echo_stop(&echo);
    balance_teardown();
}

/* ---- On the thread of the base ------------------------------------------------------------------------------------------ */

static int on_base(int (*fn)(void *arg), void *arg)
{
    return grpc_echo_run(&echo, fn, arg);
}

struct health {
    const char *name;
    enum trib_grpc_health status;
};

static int do_set_health(void *arg)
{
    struct health *health = arg;

    return trib_grpc_server_set_health(echo.server, health->name, health->status, &err);
}

static void set_health(const char *name, enum trib_grpc_health status)
{
    struct health health = { name, status };

    ck_assert_msg(on_base(do_set_health, &health) == TRIB_OK, "%s", err.message);
}

static int do_drain(void *arg)
{
    (void)arg;
    trib_grpc_server_drain(echo.server, NULL, NULL);
    return 0;
}

static int do_count(void *arg)
{
    (void)arg;
    return (int)trib_grpc_server_calls(echo.server);
}

/* ---- Health ------------------------------------------------------------------------------------------------------------- */

static void send_name(struct trib_grpc_call *call, const char *name)
{
    struct tribi_proto_out out = { NULL, 0, 0, false };

    tribi_proto_text(&out, 1, name);
    grpc_talk_send(call, out.data, out.len);
    tribi_proto_done(&out);
}

static void expect_health(struct trib_grpc_call *call, uint64_t status)
{
    struct tribi_proto_field field = { .value = 0 };
    struct tribi_proto_span span;

    span.len = grpc_talk_receive(call, &span.data);
    if (span.len > 0)
        ck_assert(tribi_proto_next(&span, &field) == TRIB_OK && field.number == 1 && !field.is_bytes);
    ck_assert_uint_eq(field.value, status);
}

START_TEST(test_check)
{
    static const struct {
        const char *name;
        int code;
        uint64_t status;
    } cases[] = { { "", 0, 1 }, { "a.B", 0, 2 }, { "a.C", 0, 0 }, { "a", TRIB_GRPC_NOT_FOUND, 0 }, { "a.BB", TRIB_GRPC_NOT_FOUND, 0 } };
    struct trib_grpc_call *call;

    set_health("a.B", TRIB_GRPC_HEALTH_SERVING);
    set_health("a.B", TRIB_GRPC_HEALTH_NOT_SERVING);
    set_health("a.C", TRIB_GRPC_HEALTH_UNKNOWN);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        call = grpc_talk_begin(client, CHECK);
        send_name(call, cases[i].name);
        grpc_talk_send_end(call);
        if (cases[i].code == 0)
            expect_health(call, cases[i].status);
        grpc_talk_expect_status(call, cases[i].code, NULL);
        grpc_talk_free(call);
    }
}
END_TEST

START_TEST(test_check_malformed)
{
    static const struct {
        const char *bytes;
        size_t len;
        int code;
    } cases[] = { { "", 0, 0 }, { "\x0a", 1, TRIB_GRPC_INTERNAL }, { "\x0a\x05" "ab", 4, TRIB_GRPC_INTERNAL },
                  { "\x10\x05", 2, 0 }, { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10, TRIB_GRPC_INTERNAL } };
    struct trib_grpc_call *call;

    set_health("", TRIB_GRPC_HEALTH_SERVING);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        call = grpc_talk_begin(client, CHECK);
        grpc_talk_send(call, cases[i].bytes, cases[i].len);
        grpc_talk_send_end(call);
        if (cases[i].code == 0)
            expect_health(call, 1);
        grpc_talk_expect_status(call, cases[i].code, NULL);
        grpc_talk_free(call);
    }
    call = grpc_talk_begin(client, CHECK);
    grpc_talk_send_end(call);
    grpc_talk_expect_status(call, TRIB_GRPC_INTERNAL, "without a request");
    grpc_talk_free(call);
}
END_TEST

START_TEST(test_request_too_large)
{
    static uint8_t bytes[65537];
    struct trib_grpc_call *call;

    set_health("", TRIB_GRPC_HEALTH_SERVING);
    call = grpc_talk_begin(client, CHECK);
    grpc_talk_send(call, bytes, sizeof(bytes));
    grpc_talk_expect_status(call, TRIB_GRPC_RESOURCE_EXHAUSTED, "65536");
    grpc_talk_free(call);
}
END_TEST

START_TEST(test_list)
{
    struct trib_grpc_call *call;
    struct tribi_proto_field field;
    struct tribi_proto_span span;
    int count = 0;

    set_health("a.B", TRIB_GRPC_HEALTH_NOT_SERVING);
    call = grpc_talk_begin(client, LIST);
    grpc_talk_send(call, "", 0);
    span.len = grpc_talk_receive(call, &span.data);
    for (; tribi_proto_next(&span, &field) == TRIB_OK; count++)
        ck_assert(field.number == 1 && field.is_bytes);
    ck_assert_int_eq(count, 2);
    grpc_talk_expect_status(call, 0, NULL);
    grpc_talk_free(call);
}
END_TEST

START_TEST(test_watch)
{
    struct trib_grpc_call *one, *other;

    set_health("a.B", TRIB_GRPC_HEALTH_SERVING);
    one = grpc_talk_begin(client, WATCH);
    other = grpc_talk_begin(client, WATCH);
    send_name(one, "a.B");
    grpc_talk_send_end(one); /* as unary requests of real clients end */
    send_name(other, "new");
    expect_health(one, 1);
    expect_health(other, 3); /* SERVICE_UNKNOWN, and it goes on */
    set_health("a.B", TRIB_GRPC_HEALTH_SERVING); /* no news */
    set_health("a.B", TRIB_GRPC_HEALTH_NOT_SERVING);
    expect_health(one, 2);
    set_health("new", TRIB_GRPC_HEALTH_SERVING);
    expect_health(other, 1);
    grpc_talk_free(other);
    set_health("a.B", TRIB_GRPC_HEALTH_SERVING);
    expect_health(one, 1);
    on_base(do_drain, NULL);
    expect_health(one, 2);
    grpc_talk_expect_status(one, TRIB_GRPC_UNAVAILABLE, "shutting down");
    grpc_talk_free(one);
}
END_TEST

/* Who watched and left leaves nothing behind, though nothing is ever said. */
START_TEST(test_watch_left)
{
    struct trib_grpc_call *call;

    set_health("a.B", TRIB_GRPC_HEALTH_SERVING);
    for (int i = 0; i < 50; i++) {
        call = grpc_talk_begin(client, WATCH);
        send_name(call, "a.B");
        grpc_talk_send_end(call);
        expect_health(call, 1);
        grpc_talk_free(call);
    }
    call = grpc_talk_begin(client, "/test/Echo");
    grpc_talk_send(call, "x", 1);
    grpc_talk_expect(call, "x", 1); /* all resets have arrived before it */
    ck_assert_int_le(on_base(do_count, NULL), 1);
    grpc_talk_free(call);
}
END_TEST

START_TEST(test_health_usage)
{
    struct health bad[] = { { NULL, TRIB_GRPC_HEALTH_SERVING }, { "a", (enum trib_grpc_health)3 } };

    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(on_base(do_set_health, &bad[i]), TRIB_ERR_USAGE);
}
END_TEST

/* ---- Reflection ----------------------------------------------------------------------------------------------------------- */

/* test.proto: imports base.proto; message M { message Inner { field f } enum E { V } }; service Echo-like "test" without a package prefix. */
static void put_named(struct tribi_proto_out *out, uint32_t field, const char *name, uint32_t member_field, const char *member)
{
    size_t at = tribi_proto_begin(out, field), inside;

    tribi_proto_text(out, 1, name);
    if (member != NULL) {
        inside = tribi_proto_begin(out, member_field);
        tribi_proto_text(out, 1, member);
        tribi_proto_end(out, inside);
    }
    tribi_proto_end(out, at);
}

static void put_extension(struct tribi_proto_out *out, uint32_t field, const char *name, const char *extendee, uint64_t number)
{
    size_t at = tribi_proto_begin(out, field);

    tribi_proto_text(out, 1, name);
    tribi_proto_text(out, 2, extendee);
    tribi_proto_number(out, 3, number);
    tribi_proto_end(out, at);
}

static void put_base_file(struct tribi_proto_out *out)
{
    size_t at = tribi_proto_begin(out, 1);

    tribi_proto_text(out, 1, "base.proto");
    tribi_proto_text(out, 2, "pkg.base");
    put_named(out, 4, "B", 0, NULL);
    put_extension(out, 7, "ext_a", ".pkg.M", 100);
    tribi_proto_end(out, at);
}

static void put_main_file(struct tribi_proto_out *out, const char *extra)
{
    size_t at = tribi_proto_begin(out, 1), message, nested;

    tribi_proto_text(out, 1, "main.proto");
    tribi_proto_text(out, 2, "pkg");
    tribi_proto_text(out, 3, "base.proto");
    message = tribi_proto_begin(out, 4);
    tribi_proto_text(out, 1, "M");
    put_named(out, 2, "f", 0, NULL);
    nested = tribi_proto_begin(out, 3);
    tribi_proto_text(out, 1, "Inner");
    put_named(out, 4, "E", 2, "V");
    put_extension(out, 6, "ext_b", ".pkg.M", 101);
    tribi_proto_end(out, nested);
    tribi_proto_end(out, message);
    put_named(out, 5, "Top", 2, "TOP_V");
    put_named(out, 6, "Handled", 2, "Do");
    put_named(out, 6, "Idle", 2, "Do");
    if (extra != NULL)
        put_named(out, 4, extra, 0, NULL);
    tribi_proto_end(out, at);
}

struct set {
    const void *data;
    size_t len;
};

static int do_describe(void *arg)
{
    struct set *set = arg;

    return trib_grpc_server_describe(echo.server, set->data, set->len, &err);
}

static void on_nothing(struct trib_grpc_call *call, void *arg)
{
    (void)arg;
    trib_channel_free(trib_grpc_call_channel(call));
}

static int do_handle(void *arg)
{
    (void)arg;
    return trib_grpc_server_handle(echo.server, "/pkg.Handled/Do", on_nothing, NULL, &err);
}

static int describe(const char *extra)
{
    struct tribi_proto_out out = { NULL, 0, 0, false };
    struct set set;
    int rc;

    put_base_file(&out);
    put_main_file(&out, extra);
    set = (struct set){ out.data, out.len };
    rc = on_base(do_describe, &set);
    tribi_proto_done(&out);
    return rc;
}

static void start_reflection(void)
{
    ck_assert_msg(describe(NULL) == TRIB_OK, "%s", err.message);
    ck_assert_int_eq(on_base(do_handle, NULL), TRIB_OK);
    set_health("", TRIB_GRPC_HEALTH_SERVING);
}

/* Asks one thing; the answer's field of this number. */
static struct tribi_proto_span ask(struct trib_grpc_call *call, uint32_t field, const char *what, uint32_t expected)
{
    struct tribi_proto_out out = { NULL, 0, 0, false };
    struct tribi_proto_span span, original, answer;

    tribi_proto_text(&out, field, what);
    grpc_talk_send(call, out.data, out.len);
    span.len = grpc_talk_receive(call, &span.data);
    ck_assert(tribi_proto_find(span, 2, &original) && original.len == out.len && memcmp(original.data, out.data, out.len) == 0);
    tribi_proto_done(&out);
    ck_assert_msg(tribi_proto_find(span, expected, &answer) && answer.data != NULL, "\"%s\": no field %u in the answer", what, expected);
    return answer;
}

static bool contains(struct tribi_proto_span span, const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i + len <= span.len; i++)
        if (memcmp(span.data + i, text, len) == 0)
            return true;
    return false;
}

static int fields_in(struct tribi_proto_span span, uint32_t number)
{
    struct tribi_proto_field field;
    int count = 0, rc;

    while ((rc = tribi_proto_next(&span, &field)) == TRIB_OK)
        count += field.number == number;
    ck_assert_int_eq(rc, TRIB_EOF);
    return count;
}

static const char *const reflection_paths[] = { "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" };

START_TEST(test_list_services)
{
    struct trib_grpc_call *call;
    struct tribi_proto_span answer;

    start_reflection();
    call = grpc_talk_begin(client, reflection_paths[_i]);
    answer = ask(call, 7, "*", 6);
    ck_assert(contains(answer, "pkg.Handled") && !contains(answer, "pkg.Idle") && contains(answer, "grpc.health.v1.Health"));
    ck_assert(contains(answer, "grpc.reflection.v1.ServerReflection") && contains(answer, "grpc.reflection.v1alpha.ServerReflection"));
    ck_assert_int_eq(fields_in(answer, 1), 4);
    grpc_talk_send_end(call);
    grpc_talk_expect_status(call, 0, NULL);
    grpc_talk_free(call);
}
END_TEST

static const struct {
    const char *symbol;
    int files; /* in the answer; 0: not found */
} symbols[] = {
    { "pkg.M", 2 },       { ".pkg.M", 2 },   { "pkg.M.f", 2 },       { "pkg.M.Inner", 2 }, { "pkg.M.Inner.E", 2 },  { "pkg.M.Inner.V", 2 },
    { "pkg.Top", 2 },     { "pkg.TOP_V", 2 }, { "pkg.Handled", 2 },  { "pkg.Handled.Do", 2 }, { "pkg.base.B", 1 },  { "pkg.base.ext_a", 1 },
    { "pkg.M.Inner.ext_b", 2 }, { "pkg", 0 }, { "pkg.", 0 },         { "", 0 },            { ".", 0 },              { "pkg.N", 0 },
    { "pkg.M.Inner.E.V", 0 }, { "M", 0 },    { "pkg.Handled.Dont", 0 }, { "pkg.base.M", 0 }, { "grpc.health.v1.Health", 1 },
    { "grpc.health.v1.Health.Watch", 1 }, { "grpc.health.v1.HealthCheckResponse.SERVING", 1 },
    { "grpc.reflection.v1.ServerReflection", 1 },
};

START_TEST(test_symbol)
{
    struct trib_grpc_call *call;
    struct tribi_proto_span answer;

    start_reflection();
    call = grpc_talk_begin(client, reflection_paths[0]);
    answer = ask(call, 4, symbols[_i].symbol, symbols[_i].files > 0 ? 4 : 7);
    if (symbols[_i].files > 0)
        ck_assert_int_eq(fields_in(answer, 1), symbols[_i].files);
    grpc_talk_free(call);
}
END_TEST

START_TEST(test_files_and_extensions)
{
    struct trib_grpc_call *call;
    struct tribi_proto_out out = { NULL, 0, 0, false };

    start_reflection();
    call = grpc_talk_begin(client, reflection_paths[0]);
    ck_assert_int_eq(fields_in(ask(call, 3, "base.proto", 4), 1), 1);
    ck_assert_int_eq(fields_in(ask(call, 3, "main.proto", 4), 1), 2);
    ck_assert_int_eq(fields_in(ask(call, 3, "grpc/health/v1/health.proto", 4), 1), 1);
    ask(call, 3, "none.proto", 7);
    ck_assert_int_eq(fields_in(ask(call, 6, "pkg.M", 5), 2), 2);
    ck_assert_int_eq(fields_in(ask(call, 6, "pkg.base.B", 5), 2), 0);
    ask(call, 6, "pkg.Nothing", 7);
    ask(call, 9, "?", 7);
    for (uint64_t number = 100; number < 103; number++) {
        struct tribi_proto_span span, answer;
        size_t at = tribi_proto_begin(&out, 5);

        tribi_proto_text(&out, 1, "pkg.M");
        tribi_proto_number(&out, 2, number);
        tribi_proto_end(&out, at);
        grpc_talk_send(call, out.data, out.len);
        tribi_proto_done(&out);
        span.len = grpc_talk_receive(call, &span.data);
        ck_assert(tribi_proto_find(span, number < 102 ? 4 : 7, &answer) && answer.len > 0);
    }
    grpc_talk_send(call, "\x0a\xff", 2);
    grpc_talk_expect_status(call, TRIB_GRPC_INTERNAL, NULL);
    grpc_talk_free(call);
}
END_TEST

START_TEST(test_describe_usage)
{
    static const struct set bad[] = { { "\x0a\x05xyz", 5 }, { "\x0a\x00", 2 }, { "\x08\x01", 2 }, { "\x0a\x03\x0a\x01n\x22", 6 },
                                      { "\x0a\x06\x0a\x01n\x22\x01\x0a", 8 } };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(on_base(do_describe, (void *)(uintptr_t)&bad[i]) == TRIB_ERR_USAGE, "case %zu", i);
    ck_assert_int_eq(describe(NULL), TRIB_OK);
    ck_assert_int_eq(describe(NULL), TRIB_OK);
    ck_assert_int_eq(describe("Other"), TRIB_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "main.proto"));
}
END_TEST

/* A drain lets reflection's callers go. */
START_TEST(test_reflection_drained)
{
    struct trib_grpc_call *call;

    start_reflection();
    call = grpc_talk_begin(client, reflection_paths[0]);
    ask(call, 7, "", 6);
    on_base(do_drain, NULL);
    grpc_talk_expect_status(call, TRIB_GRPC_UNAVAILABLE, "shutting down");
    grpc_talk_free(call);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gRPC's own services");
    TCase *tcase = tcase_create("services");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, test_check);
    tcase_add_test(tcase, test_check_malformed);
    tcase_add_test(tcase, test_request_too_large);
    tcase_add_test(tcase, test_list);
    tcase_add_test(tcase, test_watch);
    tcase_add_test(tcase, test_watch_left);
    tcase_add_test(tcase, test_health_usage);
    tcase_add_loop_test(tcase, test_list_services, 0, 2);
    tcase_add_loop_test(tcase, test_symbol, 0, sizeof(symbols) / sizeof(symbols[0]));
    tcase_add_test(tcase, test_files_and_extensions);
    tcase_add_test(tcase, test_describe_usage);
    tcase_add_test(tcase, test_reflection_drained);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

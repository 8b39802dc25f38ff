/* Arrow of Spark's gRPC worker protocol by itself: DataRequests of every form cut into the same messages, and messages made into DataResponses. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/arrow.h"
#include "tests/support/balance.h"
#include "tests/support/capture.h"
#include "tests/support/fail_alloc.h"
#include "worker/udf_arrow-internal.h"

static const struct arrow_plan plan = {3, 5, 4};
static struct arrow_stream stream, capture;

/* A stream of two columns, and one that Spark's engine wrote: its schema of 232 bytes, a batch of 216, the end. */
static void setup(void)
{
    struct capture file;

    balance_setup();
    arrow_make(&plan, false, &stream);
    capture_load("spark-4.3.0/c-map-in-arrow.uds-direct.engine-to-worker.bin", &file);
    arrow_load(file.file.bytes + 4519, 456, &capture);
    capture_done(&file);
}

static void teardown(void)
{
    arrow_done(&stream);
    arrow_done(&capture);
    balance_teardown();
}

/* ---- Building DataRequests --------------------------------------------------------------------------------------- */

/* Bytes put one behind the other, from any offset of a block on. */
struct block {
    uint8_t bytes[8192] __attribute__((aligned(64)));
    size_t from, len;
};

static void put(struct block *block, const void *bytes, size_t len)
{
    ck_assert_uint_le(block->from + block->len + len, sizeof(block->bytes));
    memcpy(block->bytes + block->from + block->len, bytes, len);
    block->len += len;
}

/* By letter: S the schema, C the capture's, 0 to 2 a batch, E the end of a stream, T four bytes of text. */
static void put_letters(struct block *block, const char *letters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct trib_view message = letters[i] == 'S'   ? stream.messages[0]
                                   : letters[i] == 'C' ? capture.messages[0]
                                   : letters[i] == 'E' ? (struct trib_view){(const uint8_t *)"\377\377\377\377\0\0\0\0", 8, NULL}
                                   : letters[i] == 'T' ? (struct trib_view){(const uint8_t *)"text", 4, NULL}
                                                       : stream.messages[1 + letters[i] - '0'];
        put(block, message.data, message.len);
    }
}

static struct trib_view view_of(const struct block *block)
{
    return (struct trib_view){.data = block->bytes + block->from, .len = block->len};
}

/* ---- In ---------------------------------------------------------------------------------------------------------- */

/* What came out: prefixes, metadata and bodies as in the stream; where they do not lie as they should is counted. */
struct found {
    struct block bytes;
    size_t misplaced;
    int64_t rows;
};

static void note(struct found *found, const struct trib_arrow_message *message, size_t align)
{
    uint8_t prefix[TRIBI_ARROW_PREFIX];

    tribi_arrow_prefix(prefix, message->metadata.len);
    put(&found->bytes, prefix, sizeof(prefix));
    put(&found->bytes, message->metadata.data, message->metadata.len);
    if (message->body.len > 0)
        put(&found->bytes, message->body.data, message->body.len);
    found->misplaced += ((uintptr_t)message->metadata.data & 7) != 0;
    found->misplaced += message->body.len > 0 && ((uintptr_t)message->body.data & (align - 1)) != 0;
    found->rows += message->rows;
}

/* `form` has DataRequests by letters, with a blank between two; before a colon Init.input_schema. */
static int cut(const char *form, size_t offset, size_t align, struct found *found, uint64_t *ret_copied, struct trib_error *err)
{
    struct trib_arrow_message message;
    const char *colon = strchr(form, ':');
    static struct block block;
    struct tribi_arrow_in *in;
    uint64_t number = 0;
    int rc = tribi_arrow_in_new(align, &in, err);

    if (rc != TRIB_OK)
        return rc;
    block.from = offset;
    if (colon != NULL) {
        block.len = 0;
        put_letters(&block, form, (size_t)(colon - form));
        rc = tribi_arrow_in_schema(in, view_of(&block), err);
        form = colon + 1;
        if (rc == TRIB_OK)
            rc = tribi_arrow_in_next(in, &message, err);
        if (rc == TRIB_OK)
            note(found, &message, align);
    }
    while (rc == TRIB_OK && *form != '\0') {
        size_t count = strcspn(form, " ");
        block.len = 0;
        put_letters(&block, form, count);
        tribi_arrow_in_begin(in, view_of(&block), ++number);
        while ((rc = tribi_arrow_in_next(in, &message, err)) == TRIB_OK)
            note(found, &message, align);
        rc = rc == TRIB_EOF ? TRIB_OK : rc;
        form += count + (form[count] == ' ');
    }
    *ret_copied = tribi_arrow_in_copied(in);
    tribi_arrow_in_free(in);
    return rc;
}

static const char *const forms[] = {
    "S:0 1 2",       /* as Spark sends them */
    "SE:0 1 2E",     "S:0 1 2 E", "S:012", "S:0 12E",
    "S0E S1E S2E",   /* whole streams */
    "S:S0E S1E S2E", "S:S0 S1 S2E", "S0E S12E",
    "S 0 1 2 E",     /* one stream, cut at its messages */
    "S012E",         "S0 1 2",
};

START_TEST(test_forms)
{
    static const size_t aligns[] = {1, 8, 64};
    static struct found found;
    struct trib_error err;
    uint64_t copied;

    for (size_t offset = 0; offset < 66; offset++) {
        for (size_t i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++) {
            memset(&found, 0, sizeof(found));
            ck_assert_msg(cut(forms[_i], offset, aligns[i], &found, &copied, &err) == TRIB_OK, "%s: %s", forms[_i], err.message);
            ck_assert_uint_eq(found.bytes.len, stream.len - 8);
            ck_assert_mem_eq(found.bytes.bytes, stream.bytes, stream.len - 8);
            ck_assert_uint_eq(found.misplaced, 0);
            ck_assert_int_eq(found.rows, 15);
        }
    }
}
END_TEST

/* What lies right is not moved; what does not, counts. */
START_TEST(test_copies)
{
    static struct found found;
    struct trib_error err;
    size_t heads = 0, bodies = 0;
    uint64_t copied;

    for (size_t i = 1; i < stream.count; i++) {
        size_t head = TRIBI_ARROW_PREFIX + tribi_get_le32(stream.messages[i].data + 4);
        heads += head;
        bodies += stream.messages[i].len - head;
    }
    ck_assert_int_eq(cut("S:0 1 2", 8, 1, &found, &copied, &err), TRIB_OK);
    ck_assert_uint_eq(copied, 0);
    found.bytes.len = 0;
    ck_assert_int_eq(cut("S:0 1 2", 3, 1, &found, &copied, &err), TRIB_OK);
    ck_assert_uint_eq(copied, heads);
    found.bytes.len = 0;
    ck_assert_int_eq(cut("S:0 1 2", 3, 64, &found, &copied, &err), TRIB_OK);
    ck_assert_uint_eq(copied, heads + bodies);
    found.bytes.len = 0;
    ck_assert_int_eq(cut("S0E S1E S2E", 3, 1, &found, &copied, &err), TRIB_OK);
    ck_assert_uint_ge(copied, heads + stream.messages[0].len);
}
END_TEST

struct refusal {
    const char *form;
    const char *text; /* the error's begins with it */
};

static const struct refusal refusals[] = {
    {"T:", "Init.input_schema: 4 bytes, which is less than a message"},
    {"TTT:", "Init.input_schema: Arrow: 74 65 78 74 came, expected FF FF FF FF before a message"},
    {"0:", "Init.input_schema: Arrow: a batch came, expected the schema first"},
    {"S0:", "Init.input_schema: "},
    {"ST:", "Init.input_schema: 4 bytes follow the schema"},
    {"E:", "Init.input_schema: Arrow metadata of 0 bytes"},
    {"S:T", "DataRequest 1, byte 0: an Arrow message: wanted 8 bytes, the data ended after 4"},
    {"S:TT", "DataRequest 1, byte 0: Arrow: 74 65 78 74 came, expected FF FF FF FF before a message"},
    {"S:0 TT", "DataRequest 2, byte 0: Arrow: 74 65 78 74 came"},
    {"S:0TT", "DataRequest 1, byte "},
    {"S:0ET", "DataRequest 1, byte "},
    {"S: 0", "DataRequest 1, byte 0: an Arrow message: wanted 8 bytes, the data ended after 0"},
    {"0", "DataRequest 1, byte 0: Arrow: a batch came, expected the schema first"},
    {"S:C", "DataRequest 1, byte 0: Arrow: the schema differs from the one that came before"},
    {"S0E C", "DataRequest 2, byte 0: Arrow: the schema differs from the one that came before"},
    {"S0S", "DataRequest 1, byte "},
    {"S:0 1S", "DataRequest 2, byte "},
};

START_TEST(test_refusals)
{
    const struct refusal *refusal = &refusals[_i];
    static struct found found;
    struct trib_error err;
    uint64_t copied;

    ck_assert_int_eq(cut(refusal->form, 0, 1, &found, &copied, &err), TRIB_ERR_PROTOCOL);
    ck_assert_msg(strncmp(err.message, refusal->text, strlen(refusal->text)) == 0, "%s: %s", refusal->form, err.message);
}
END_TEST

/* A batch, or a schema, that ends at any of its bytes. */
START_TEST(test_every_end)
{
    struct trib_view whole = stream.messages[_i];
    struct trib_arrow_message message;
    struct tribi_arrow_in *in;
    struct trib_error err;

    for (size_t len = 0; len < whole.len; len++) {
        uint8_t *bytes = malloc(len + 1); /* exactly as long as that: a sanitizer sees more */
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, whole.data, len);
        ck_assert_int_eq(tribi_arrow_in_new(1, &in, &err), TRIB_OK);
        if (_i == 0) {
            ck_assert_int_eq(tribi_arrow_in_schema(in, (struct trib_view){bytes, len, NULL}, &err), TRIB_ERR_PROTOCOL);
        } else {
            ck_assert_int_eq(tribi_arrow_in_schema(in, stream.messages[0], &err), TRIB_OK);
            ck_assert_int_eq(tribi_arrow_in_next(in, &message, &err), TRIB_OK);
            tribi_arrow_in_begin(in, (struct trib_view){bytes, len, NULL}, 7);
            ck_assert_int_eq(tribi_arrow_in_next(in, &message, &err), TRIB_ERR_PROTOCOL);
            ck_assert_ptr_nonnull(strstr(err.message, "DataRequest 7, byte 0: "));
        }
        tribi_arrow_in_free(in);
        free(bytes);
    }
}
END_TEST

/* ---- Out --------------------------------------------------------------------------------------------------------- */

static struct trib_event arrow_event(struct trib_view bytes, struct block *keep)
{
    struct trib_event event = TRIB_EVENT_INIT_EMPTY;
    struct trib_error err;
    struct trib_view head;
    uint64_t body;

    keep->from = keep->len = 0;
    put(keep, bytes.data, bytes.len);
    head = trib_view_sub(view_of(keep), 0, TRIBI_ARROW_PREFIX + tribi_get_le32(bytes.data + 4));
    ck_assert_msg(trib_arrow_decode(head, &event.arrow, &body, &err) == TRIB_OK, "%s", err.message);
    event.kind = TRIB_EVENT_ARROW;
    event.arrow.body = trib_view_sub(view_of(keep), head.len, (size_t)body);
    return event;
}

static struct trib_event plain_event(enum trib_event_kind kind)
{
    struct trib_event event = TRIB_EVENT_INIT_EMPTY;

    event.kind = kind;
    return event;
}

static void gather(const struct tribi_arrow_parts *parts, struct block *block)
{
    size_t from = block->len;

    for (unsigned i = 0; i < parts->count; i++)
        put(block, parts->views[i].data, parts->views[i].len);
    ck_assert_uint_eq(block->len - from, parts->size);
}

/* How the engine sends (a form as above, of which the first DataRequest has come), what it wants ('-': unsaid), what the answer's schema is, and
 * what the DataResponses are. */
struct answer {
    const char *form;
    char output;
    char schema;
    const char *responses; /* NULL: refused */
};

static const struct answer answers[] = {
    {"S:0", '-', 'S', "0"}, {"S:0", 'S', 'S', "0"},     {"S:0", '-', 'C', "C0E"}, {"S:0", 'C', 'C', "0"}, {"S:0", 'S', 'C', NULL},
    {"S0E", '-', 'S', "S0E"}, {"S0E", 'S', 'S', "S0E"}, {"S0E", 'S', 'C', NULL},  {"S0E", 'C', 'C', "C0E"}, {"", '-', 'S', "S0E"},
    {"", 'S', 'S', "0"},
};

static int say(struct tribi_arrow_out *out, char letter, struct tribi_arrow_parts *parts, struct trib_error *err)
{
    static struct block schema, batch;
    struct trib_event event = letter == '<'   ? plain_event(TRIB_EVENT_STREAM)
                              : letter == '>' ? plain_event(TRIB_EVENT_STREAM_END)
                              : letter == 'S' ? arrow_event(stream.messages[0], &schema)
                              : letter == 'C' ? arrow_event(capture.messages[0], &schema)
                                              : arrow_event(stream.messages[1], &batch);

    if (letter == 'D')
        event.arrow.kind = TRIB_ARROW_DICTIONARY;
    return tribi_arrow_out_put(out, &event, parts, err);
}

static struct tribi_arrow_in *arrow_in(const char *form)
{
    const char *colon = strchr(form, ':');
    struct trib_arrow_message message;
    static struct block block;
    struct tribi_arrow_in *in;

    ck_assert_int_eq(tribi_arrow_in_new(1, &in, NULL), TRIB_OK);
    if (colon != NULL)
        ck_assert_int_eq(tribi_arrow_in_schema(in, stream.messages[0], NULL), TRIB_OK);
    block.from = block.len = 0;
    put_letters(&block, colon != NULL ? colon + 1 : form, strlen(colon != NULL ? colon + 1 : form));
    tribi_arrow_in_begin(in, view_of(&block), 1);
    while (block.len > 0 && tribi_arrow_in_next(in, &message, NULL) == TRIB_OK)
        ;
    return in;
}

START_TEST(test_answers)
{
    const struct answer *answer = &answers[_i];
    struct trib_view expected = answer->output == 'S' ? stream.messages[0] : capture.messages[0];
    struct tribi_arrow_in *in = arrow_in(answer->form);
    static struct block got, right;
    struct tribi_arrow_parts parts;
    struct tribi_arrow_out out;
    struct trib_error err;
    int rc;

    expected.len = answer->output == '-' ? 0 : expected.len;
    ck_assert_int_eq(tribi_arrow_out_init(&out, answer->form[0] != '\0' ? in : NULL, expected, &err), TRIB_OK);
    for (int round = 0; round < 2; round++) { /* another stream may follow */
        got.len = right.len = 0;
        ck_assert_int_eq(say(&out, '<', &parts, &err), TRIB_OK);
        ck_assert_uint_eq(parts.count, 0);
        rc = say(&out, answer->schema, &parts, &err);
        if (answer->responses == NULL) {
            ck_assert_int_eq(rc, TRIB_ERR_UNSUPPORTED);
            ck_assert_str_eq(err.message, "spark-grpc: the answer is <struct: struct<id: int64>>, Init.output_schema says <number: int64, word: string>");
            break;
        }
        ck_assert_msg(rc == TRIB_OK && parts.count == 0, "%s", err.message);
        ck_assert_int_eq(say(&out, '0', &parts, &err), TRIB_OK);
        gather(&parts, &got);
        put_letters(&right, answer->responses, strlen(answer->responses));
        ck_assert_uint_eq(got.len, right.len);
        ck_assert_mem_eq(got.bytes, right.bytes, right.len);
        ck_assert_int_eq(say(&out, 'D', &parts, &err), right.len == stream.messages[1].len ? TRIB_OK : TRIB_ERR_UNSUPPORTED);
        ck_assert_int_eq(say(&out, '>', &parts, &err), TRIB_OK);
        ck_assert_uint_eq(parts.count, 0);
    }
    tribi_arrow_out_done(&out);
    tribi_arrow_in_free(in);
}
END_TEST

/* What a serializer may not put, and after what. */
static const char *const disorders[] = {"S", ">", "<<", "<0", "<D", "<SS", "<>>", "<S0>0"};

START_TEST(test_order)
{
    const char *letters = disorders[_i];
    struct tribi_arrow_parts parts;
    struct tribi_arrow_out out;
    struct trib_error err;

    ck_assert_int_eq(tribi_arrow_out_init(&out, NULL, stream.messages[0], &err), TRIB_OK);
    for (; letters[1] != '\0'; letters++)
        ck_assert_int_eq(say(&out, *letters, &parts, &err), TRIB_OK);
    ck_assert_int_eq(say(&out, *letters, &parts, &err), TRIB_ERR_PROTOCOL);
    ck_assert_int_eq(strncmp(err.message, "spark-grpc: ", 12), 0);
    tribi_arrow_out_done(&out);
}
END_TEST

START_TEST(test_output_schema_that_is_none)
{
    struct tribi_arrow_out out;
    struct trib_error err;

    ck_assert_int_eq(tribi_arrow_out_init(&out, NULL, (struct trib_view){(const uint8_t *)"not Arrow", 9, NULL}, &err), TRIB_ERR_PROTOCOL);
    ck_assert_str_eq(err.message, "Init.output_schema: Arrow: 6e 6f 74 20 came, expected FF FF FF FF before a message");
    tribi_arrow_out_done(&out);
}
END_TEST

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static int all_of_it(void *arg, struct trib_error *err)
{
    static struct block block;
    struct tribi_arrow_parts parts;
    struct tribi_arrow_out out = {.in = NULL};
    struct trib_event events[3] = {plain_event(TRIB_EVENT_STREAM)};
    struct trib_arrow_message message;
    struct tribi_arrow_in *in = NULL;
    int rc = tribi_arrow_in_new(64, &in, err);

    (void)arg;
    block.from = 3;
    block.len = 0;
    put_letters(&block, "S0E", 3);
    if (rc == TRIB_OK)
        rc = tribi_arrow_out_init(&out, in, stream.messages[0], err);
    if (rc == TRIB_OK)
        tribi_arrow_in_begin(in, view_of(&block), 1);
    for (int i = 1; i < 3 && rc == TRIB_OK; i++) {
        rc = tribi_arrow_in_next(in, &message, err);
        events[i] = plain_event(TRIB_EVENT_ARROW);
        events[i].arrow = message;
    }
    for (int i = 0; i < 3 && rc == TRIB_OK; i++) {
        events[1].arrow.metadata.holder = NULL;
        rc = tribi_arrow_out_put(&out, &events[i], &parts, err);
    }
    tribi_arrow_out_done(&out);
    tribi_arrow_in_free(in);
    return rc;
}

START_TEST(test_allocations_failing)
{
    ck_assert_uint_gt(fail_alloc_every(all_of_it, NULL), 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("Arrow of spark-grpc");
    TCase *tcase = tcase_create("arrow");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_forms, 0, sizeof(forms) / sizeof(forms[0]));
    tcase_add_test(tcase, test_copies);
    tcase_add_loop_test(tcase, test_refusals, 0, sizeof(refusals) / sizeof(refusals[0]));
    tcase_add_loop_test(tcase, test_every_end, 0, 2);
    tcase_add_loop_test(tcase, test_answers, 0, sizeof(answers) / sizeof(answers[0]));
    tcase_add_loop_test(tcase, test_order, 0, sizeof(disorders) / sizeof(disorders[0]));
    tcase_add_test(tcase, test_output_schema_that_is_none);
    tcase_add_test(tcase, test_allocations_failing);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* What `tributary call` makes of a worker's DataResponses: one Arrow stream, or the word that they are none. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/arrow.h"
#include "tests/support/balance.h"
#include "tools/answer.h"

static const struct arrow_plan plan = {2, 3, 4};
static struct arrow_stream stream, other;
static char path[] = "/tmp/tributary-answer-XXXXXX";

static void setup(void)
{
    struct arrow_plan longer = {1, 1, 40};
    int fd;

    balance_setup();
    arrow_make(&plan, false, &stream);
    arrow_make(&longer, false, &other);
    /* A schema of the same length that is another one. */
    for (size_t i = 0; i < other.messages[0].len - 4; i++)
        if (memcmp(other.bytes + i, "word", 4) == 0)
            other.bytes[i] = 'W';
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    unlink(path);
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    arrow_done(&stream);
    arrow_done(&other);
    balance_teardown();
}

/* By letter: S the schema, O another one, 0 and 1 batches, E the end of a stream, T text; a blank begins the next DataResponse. */
struct answers {
    const char *responses;
    const char *file; /* what is written, or */
    const char *text; /* the error */
};

static const struct answers answers[] = {
    {"", "SE", NULL},
    {"0 1", "S01E", NULL},
    {"01", "S01E", NULL},
    {"S0E S1E", "S01E", NULL},
    {"S0 S1", "S01E", NULL},
    {"SE", "SE", NULL},
    {"O0E O1E", "O01E", NULL},
    {"OE", "OE", NULL},
    {"0 S1E", "S01E", NULL},
    {"T", NULL, "batch 1 of the answer is not one Arrow batch: it does not begin with a message's length"},
    {"0 1T", NULL, "batch 2 of the answer is not one Arrow batch: it does not begin with a message's length"},
    {"E", NULL, "batch 1 of the answer is not one Arrow batch: it does not begin with a message's length"},
    {"0E0", NULL, "batch 1 of the answer is not one Arrow batch: it does not begin with a message's length"},
    {"0 O1E", NULL, "batch 2 of the answer is not one Arrow batch: its schema differs from the one before"},
    {"S0E O1E", NULL, "batch 2 of the answer is not one Arrow batch: its schema differs from the one before"},
    {"S0S1", NULL, "batch 1 of the answer is not one Arrow batch: a schema follows a batch"},
    {"-", NULL, "batch 1 of the answer is not one Arrow batch: its body has "},
};

static size_t put_letter(uint8_t *at, char letter)
{
    struct trib_view view = letter == 'S'   ? stream.messages[0]
                            : letter == 'O' ? other.messages[0]
                            : letter == 'E' ? (struct trib_view){(const uint8_t *)"\377\377\377\377\0\0\0\0", 8, NULL}
                            : letter == 'T' ? (struct trib_view){(const uint8_t *)"frames=8 nulls=0", 16, NULL}
                            : letter == '-' ? trib_view_sub(stream.messages[1], 0, stream.messages[1].len - 8)
                                            : stream.messages[1 + letter - '0'];

    memcpy(at, view.data, view.len);
    return view.len;
}

static int put_all(struct answer *answer, const char *letters, struct trib_error *err)
{
    static uint8_t bytes[8192];
    int rc = TRIB_OK;

    while (rc == TRIB_OK && *letters != '\0') {
        size_t len = 0;
        for (; *letters != '\0' && *letters != ' '; letters++)
            len += put_letter(bytes + len, *letters);
        letters += *letters == ' ';
        rc = answer_put(answer, (struct trib_view){bytes, len, NULL}, err);
    }
    return rc == TRIB_OK ? answer_end(answer, err) : rc;
}

static void check_file(const char *letters)
{
    static uint8_t right[8192], got[8192];
    FILE *file = fopen(path, "rb");
    size_t len = 0, read;

    ck_assert_ptr_nonnull(file);
    for (; *letters != '\0'; letters++)
        len += put_letter(right + len, *letters);
    read = fread(got, 1, sizeof(got), file);
    fclose(file);
    ck_assert_uint_eq(read, len);
    ck_assert_mem_eq(got, right, len);
}

START_TEST(test_answers)
{
    const struct answers *answers_of = &answers[_i];
    struct answer answer = {.arrow = true, .schema = stream.messages[0]};
    struct trib_error err;
    int rc;

    ck_assert_int_eq(output_open(&answer.output, path, NULL, 0, &err), TRIB_OK);
    rc = put_all(&answer, answers_of->responses, &err);
    ck_assert_int_eq(rc, answers_of->text == NULL ? TRIB_OK : TRIB_ERR_PROTOCOL);
    ck_assert_int_eq(output_close(&answer.output, NULL), TRIB_OK);
    if (answers_of->text != NULL)
        ck_assert_msg(strncmp(err.message, answers_of->text, strlen(answers_of->text)) == 0, "%s", err.message);
    else
        check_file(answers_of->file);
    if (answers_of->file != NULL)
        ck_assert_uint_eq(answer.rows, strchr(answers_of->file, '0') != NULL ? 6 : 0);
    answer_done(&answer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("answers");
    TCase *tcase = tcase_create("answers");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, test_answers, 0, sizeof(answers) / sizeof(answers[0]));
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

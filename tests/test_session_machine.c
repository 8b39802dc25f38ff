/* The session's state machine: every message in every state. */
#include <tributary/message.h>

#include "tests/support/balance.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED (-1)

struct cell {
    enum trib_session_state state;
    enum trib_message message;
    int next; /* a state, or REFUSED */
    const char *expected;
};

static const struct cell cells[] = {
    {TRIB_SESSION_START, TRIB_MESSAGE_INIT, TRIB_SESSION_READY, NULL},
    {TRIB_SESSION_START, TRIB_MESSAGE_DATA, REFUSED, "Data came, expected Init"},
    {TRIB_SESSION_START, TRIB_MESSAGE_FINISH, REFUSED, "Finish came, expected Init"},
    {TRIB_SESSION_START, TRIB_MESSAGE_CANCEL, TRIB_SESSION_ENDED, NULL},
    {TRIB_SESSION_READY, TRIB_MESSAGE_INIT, REFUSED, "Init came, expected Data"},
    {TRIB_SESSION_READY, TRIB_MESSAGE_DATA, TRIB_SESSION_FLOWING, NULL},
    {TRIB_SESSION_READY, TRIB_MESSAGE_FINISH, REFUSED, "Finish came, expected Data"},
    {TRIB_SESSION_READY, TRIB_MESSAGE_CANCEL, TRIB_SESSION_ENDED, NULL},
    {TRIB_SESSION_FLOWING, TRIB_MESSAGE_INIT, REFUSED, "Init came, expected Finish"},
    {TRIB_SESSION_FLOWING, TRIB_MESSAGE_DATA, REFUSED, "Data came, expected Finish"},
    {TRIB_SESSION_FLOWING, TRIB_MESSAGE_FINISH, TRIB_SESSION_ENDED, NULL},
    {TRIB_SESSION_FLOWING, TRIB_MESSAGE_CANCEL, TRIB_SESSION_ENDED, NULL},
    {TRIB_SESSION_ENDED, TRIB_MESSAGE_INIT, REFUSED, "Init came, expected nothing"},
    {TRIB_SESSION_ENDED, TRIB_MESSAGE_DATA, REFUSED, "Data came, expected nothing"},
    {TRIB_SESSION_ENDED, TRIB_MESSAGE_FINISH, REFUSED, "Finish came, expected nothing"},
    {TRIB_SESSION_ENDED, TRIB_MESSAGE_CANCEL, REFUSED, "Cancel came, expected nothing"},
};

START_TEST(test_cell)
{
    const struct cell *cell = &cells[_i];
    enum trib_session_state state = cell->state;
    struct trib_error err;
    int rc = trib_session_step(&state, cell->message, &err);

    if (cell->next != REFUSED) {
        ck_assert_int_eq(rc, TRIB_OK);
        ck_assert_int_eq((int)state, cell->next);
        return;
    }
    ck_assert_int_eq(rc, TRIB_ERR_PROTOCOL);
    ck_assert_int_eq(err.code, TRIB_ERR_PROTOCOL);
    ck_assert_int_eq((int)state, (int)cell->state);
    ck_assert_msg(strstr(err.message, cell->expected) != NULL, "%s", err.message);
    ck_assert_msg(strstr(err.message, trib_session_state_name(cell->state)) != NULL, "%s", err.message);
}
END_TEST

START_TEST(test_each_cell_is_tested)
{
    unsigned seen = 0;

    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
        seen |= 1u << (cells[i].state * TRIB_MESSAGES + cells[i].message);
    ck_assert_uint_eq(seen, (1u << TRIB_SESSION_STATES * TRIB_MESSAGES) - 1);
}
END_TEST

START_TEST(test_numbers_that_are_none)
{
    enum trib_session_state state = TRIB_SESSION_START;

    ck_assert_int_eq(trib_session_step(&state, (enum trib_message)TRIB_MESSAGES, NULL), TRIB_ERR_USAGE);
    state = (enum trib_session_state)TRIB_SESSION_STATES;
    ck_assert_int_eq(trib_session_step(&state, TRIB_MESSAGE_INIT, NULL), TRIB_ERR_USAGE);
    ck_assert_str_eq(trib_session_state_name(state), "?");
    ck_assert_str_eq(trib_message_name((enum trib_message)TRIB_MESSAGES), "?");
    ck_assert_str_eq(trib_message_name(TRIB_MESSAGE_FINISH), "Finish");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session machine");
    TCase *tcase = tcase_create("table");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_add_loop_test(tcase, test_cell, 0, sizeof(cells) / sizeof(cells[0]));
    tcase_add_test(tcase, test_each_cell_is_tested);
    tcase_add_test(tcase, test_numbers_that_are_none);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

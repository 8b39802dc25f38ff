/* What a test must give back: open descriptors, threads and pool bytes, counted before and compared after. */
#ifndef TRIBUTARY_TESTS_BALANCE_H
#define TRIBUTARY_TESTS_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct balance {
    int descriptors;
    int threads;         /* -1 where the system does not tell */
    uint64_t pool_bytes; /* used_bytes of trib_pool_stats() */
};

/* Counts now. */
void balance_take(struct balance *ret_balance);

/* NULL if all is as it was in *before, else a text (a static buffer) that says what is not. Threads that were joined may take a
 * moment to leave the system's list: they are given up to two seconds. */
const char *balance_compare(const struct balance *before);

/* Whether descriptors and threads are as many as in *before, and chunks hold no more; waits up to 10 s for it. */
bool balance_comes_back(const struct balance *before);

/* For tcase_add_checked_fixture(tcase, balance_setup, balance_teardown): the test fails if it does not balance. */
void balance_setup(void);
void balance_teardown(void);

#endif

/* The conformance suite as a Check program: a transport joins with TRIB_CONFORMANCE("name", open_pair). */
#ifndef TRIBUTARY_TESTS_CONFORMANCE_CHECK_H
#define TRIBUTARY_TESTS_CONFORMANCE_CHECK_H

#include "conformance/suite.h"

/* Runs every case over each target, each case in a process of its own where Check forks, and sees that descriptors, threads
 * and pool bytes balance. Captured sessions come from the data of the tests (TRIB_DATA). Under valgrind, or where
 * TRIB_SPLIT_STEP says so, not every split point is tried. Returns the exit code of the program. */
int conformance_check(struct conform_target *targets, size_t count);

/* open_pair: a conform_open_fn; its arg is NULL. */
#define TRIB_CONFORMANCE(target_name, open_pair_fn) \
    int main(void) \
    { \
        struct conform_target target = { .name = (target_name), .open_pair = (open_pair_fn) }; \
        return conformance_check(&target, 1); \
    }

/* A URI, listened on and dialled. */
#define TRIB_CONFORMANCE_URI(uri) \
    int main(void) \
    { \
        return conformance_check_uri(uri); \
    }
int conformance_check_uri(const char *uri);

#endif

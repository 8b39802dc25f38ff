/* An allocator for tests: it counts, and fails the allocation it is told to fail. */
#ifndef TRIBUTARY_TESTS_FAIL_ALLOC_H
#define TRIBUTARY_TESTS_FAIL_ALLOC_H

#include <tributary/error.h>

#include <stdbool.h>
#include <stddef.h>

/* Makes it the library's allocator (large blocks included); no object of the library may exist. It fails nothing yet. */
void fail_alloc_install(void);

/* Restores malloc(). The test fails if memory of the library is still held. */
void fail_alloc_remove(void);

/* The n-th allocation from now on fails, once; n = 1 is the next one, 0: none. */
void fail_alloc_at(size_t n);

/* Every allocation from the n-th on fails. */
void fail_alloc_from(size_t n);

/* Whether one was failed since the last fail_alloc_at() or fail_alloc_from(). */
bool fail_alloc_hit(void);

/* Allocations since then; blocks that are held now (idle blocks of the pool are given back first). */
size_t fail_alloc_count(void);
size_t fail_alloc_live(void);

/* Builds something up, uses it and takes it down again, whatever fails in between. Returns the code of the first call that
 * failed, with its *err, or TRIB_OK. */
typedef int fail_alloc_scenario_fn(void *arg, struct trib_error *err);

/* Runs the scenario with its first allocation failing, then with its second, and so on, until a run in which none was left to
 * fail: that one must return TRIB_OK. Each other run must return TRIB_ERR_NOMEM with a message, or TRIB_OK where the library
 * can do without; none may leave memory behind. Installs and removes the allocator itself. Returns how many allocations there
 * were. */
size_t fail_alloc_every(fail_alloc_scenario_fn *scenario, void *arg);

#endif

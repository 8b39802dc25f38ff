/* Where a case has come to, which Check tells of one that crashes. */
#include <tributary/types.h>

#include <check.h>
#include <stdatomic.h>
#include <stdint.h>

#undef _mark_point /* Makefile.am has every ck_assert...() call test_mark_point() in its place */
void _mark_point(const char *file, int line);

enum { PERIOD_NS = 1000000 };

/* Check writes a message for each assertion that holds, into a file which the parent reads, one allocation after the other, before it goes on. A
 * replay at every split point holds millions of them, and most of its time went there: of test_vectors under AddressSanitizer 70 s of 100. One
 * point in a millisecond tells as well where a crash was; an assertion that fails tells its own place. */
void test_mark_point(const char *file, int line)
{
    static _Atomic int64_t told_at;
    int64_t now = trib_now();

    if (now - atomic_load_explicit(&told_at, memory_order_relaxed) < PERIOD_NS)
        return;
    atomic_store_explicit(&told_at, now, memory_order_relaxed);
    _mark_point(file, line);
}

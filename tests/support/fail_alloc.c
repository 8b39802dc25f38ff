/* The allocator that fails on demand. */
#include "tests/support/fail_alloc.h"

#include <tributary/chunk.h>
#include <tributary/types.h>

#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { FAIL_ALLOC_RUNS_MAX = 100000 };

static atomic_size_t calls;   /* since fail_alloc_at() */
static atomic_size_t fail_at; /* 0: none */
static atomic_bool fail_rest;
static atomic_bool hit;
static atomic_size_t live;

static bool must_fail(void)
{
    size_t at = atomic_load(&fail_at);
    size_t now = atomic_fetch_add(&calls, 1) + 1;

    return at != 0 && (now == at || (now > at && atomic_load(&fail_rest)));
}

static void *counting_allocate(void *arg, size_t size)
{
    void *memory;

    (void)arg;
    if (must_fail()) {
        atomic_store(&hit, true);
        return NULL;
    }
    memory = malloc(size);
    if (memory != NULL)
        atomic_fetch_add(&live, 1);
    return memory;
}

static void counting_release(void *arg, void *memory)
{
    (void)arg;
    atomic_fetch_sub(&live, 1);
    free(memory);
}

static void arm(size_t n, bool rest)
{
    atomic_store(&fail_at, 0);
    atomic_store(&fail_rest, rest);
    atomic_store(&hit, false);
    atomic_store(&calls, 0);
    atomic_store(&fail_at, n);
}

void fail_alloc_install(void)
{
    static const struct trib_allocator allocator = { sizeof(allocator), counting_allocate, counting_release, NULL, false };

    trib_pool_trim();
    arm(0, false);
    atomic_store(&live, 0);
    trib_set_allocator(&allocator);
}

void fail_alloc_remove(void)
{
    size_t left = fail_alloc_live();

    arm(0, false);
    trib_set_allocator(NULL);
    ck_assert_msg(left == 0, "%zu blocks of the library are still held", left);
}

void fail_alloc_at(size_t n)
{
    arm(n, false);
}

void fail_alloc_from(size_t n)
{
    arm(n, true);
}

bool fail_alloc_hit(void)
{
    return atomic_load(&hit);
}

size_t fail_alloc_count(void)
{
    return atomic_load(&calls);
}

size_t fail_alloc_live(void)
{
    trib_pool_trim();
    return atomic_load(&live);
}

/* One run with its n-th allocation failing; false when there was none left to fail. */
static bool run_once(fail_alloc_scenario_fn *scenario, void *arg, size_t n)
{
    struct trib_error err;
    int code;
    bool failed;

    memset(&err, 0, sizeof(err));
    fail_alloc_at(n);
    code = scenario(arg, &err);
    failed = fail_alloc_hit();
    fail_alloc_at(0);
    ck_assert_msg(code == TRIB_OK || failed, "without a failing allocation: %s: %s", trib_code_name(code), err.message);
    ck_assert_msg(code == TRIB_OK || code == TRIB_ERR_NOMEM, "allocation %zu failing gives %s instead of TRIB_ERR_NOMEM: %s", n,
                  trib_code_name(code), err.message);
    ck_assert_msg(code == TRIB_OK || (err.code == code && err.message[0] != '\0'),
                  "allocation %zu failing: the error's struct was not filled", n);
    ck_assert_msg(fail_alloc_live() == 0, "allocation %zu failing leaves %zu blocks behind", n, fail_alloc_live());
    return failed;
}

size_t fail_alloc_every(fail_alloc_scenario_fn *scenario, void *arg)
{
    size_t n = 1;

    fail_alloc_install();
    while (run_once(scenario, arg, n))
        ck_assert_msg(++n < FAIL_ALLOC_RUNS_MAX, "the scenario does not end");
    fail_alloc_remove();
    return n - 1;
}

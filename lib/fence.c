/* The heavy half of a pair of fences: where the kernel can run it on all processors that this process is on, the light half is none.
 *
 * Why: a fence waits until the processor has written what it still holds back, and in a hand-over between two threads those are misses: with
 * one fence on each side a bare ring passes 13 to 40 million chunks a second, without them 26 to 150 million (bench/chunks --only hand tells
 * what the library passes). The system call costs a few microseconds, before a sleep that costs more. */
#include "fence-internal.h"

#include <pthread.h>

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SYS_membarrier
#include <linux/membarrier.h>
#define HAVE_MEMBARRIER 1
#endif
#endif

atomic_bool tribi_fence_one_sided;

#ifdef HAVE_MEMBARRIER

static bool call(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

static void init(void)
{
    bool have = call(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && call(MEMBARRIER_CMD_PRIVATE_EXPEDITED);

    atomic_store(&tribi_fence_one_sided, have);
}

void tribi_fence_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, init);
}

void tribi_fence_heavy(void)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&tribi_fence_one_sided, memory_order_relaxed) && !call(MEMBARRIER_CMD_PRIVATE_EXPEDITED) &&
        call(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)) /* a process that was forked may have to register anew */
        call(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

#else

void tribi_fence_init(void)
{
}

void tribi_fence_heavy(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

#endif

/* Clocks, deadlines, and the gate at which a thread waits for another one. */
#include "wait-internal.h"

#include <tributary/error.h>
#include <tributary/types.h>

#include <time.h>
#include <unistd.h>

/* About 3 us, less than the system calls of one sleep and one wake-up cost together. Each look takes the cache line of what it looks at away
 * from the thread that works on it: few looks. */
enum { BRIEF_LOOKS = 6, BRIEF_PAUSES = 12 };

const char *trib_version(void)
{
    return TRIB_VERSION;
}

int64_t trib_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + 1; /* + 1: never TRIB_NOWAIT */
}

int64_t trib_deadline_ms(int64_t timeout_ms)
{
    int64_t now = trib_now();

    if (timeout_ms < 0 || timeout_ms > (TRIB_FOREVER - now) / 1000000 - 1)
        return TRIB_FOREVER;
    return now + timeout_ms * 1000000;
}

int tribi_gate_init(struct tribi_gate *gate, struct trib_error *err)
{
    pthread_condattr_t attributes;
    int rc;

    tribi_fence_init();
    atomic_init(&gate->armed, 0);
    atomic_init(&gate->waits, 0);
    gate->open = false;
    gate->hook = NULL;
    gate->hook_arg = NULL;
    pthread_mutex_init(&gate->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    rc = pthread_cond_init(&gate->opened, &attributes);
    pthread_condattr_destroy(&attributes);
    if (rc != 0) {
        pthread_mutex_destroy(&gate->lock);
        return trib_error_set(err, TRIB_ERR_NOMEM, rc, "create a condition variable");
    }
    return TRIB_OK;
}

void tribi_gate_done(struct tribi_gate *gate)
{
    pthread_cond_destroy(&gate->opened);
    pthread_mutex_destroy(&gate->lock);
}

void tribi_gate_arm(struct tribi_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = false;
    pthread_mutex_unlock(&gate->lock);
    atomic_store(&gate->armed, 1);
    tribi_fence_heavy();
}

/* A hook that was left before stays armed. */
void tribi_gate_disarm(struct tribi_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    atomic_store(&gate->armed, gate->hook != NULL);
    pthread_mutex_unlock(&gate->lock);
}

int tribi_gate_wait(struct tribi_gate *gate, int64_t deadline)
{
    int64_t at = deadline > 0 ? deadline : 0; /* before the clock began: passed */
    struct timespec until = {.tv_sec = (time_t)(at / 1000000000), .tv_nsec = (long)(at % 1000000000)};
    int rc = 0;

    atomic_fetch_add_explicit(&gate->waits, 1, memory_order_relaxed);
    pthread_mutex_lock(&gate->lock);
    while (!gate->open && rc == 0) {
        if (deadline == TRIB_FOREVER)
            pthread_cond_wait(&gate->opened, &gate->lock);
        else
            rc = pthread_cond_timedwait(&gate->opened, &gate->lock, &until);
    }
    rc = gate->open ? TRIB_OK : TRIB_ERR_TIMEOUT;
    atomic_store(&gate->armed, gate->hook != NULL);
    pthread_mutex_unlock(&gate->lock);
    return rc;
}

void tribi_gate_hook(struct tribi_gate *gate, trib_ready_fn *fn, void *arg)
{
    pthread_mutex_lock(&gate->lock);
    gate->hook = fn;
    gate->hook_arg = arg;
    pthread_mutex_unlock(&gate->lock);
    atomic_store(&gate->armed, fn != NULL);
    tribi_fence_heavy();
}

void tribi_gate_open(struct tribi_gate *gate)
{
    trib_ready_fn *hook;

    /* Only the first of those who notify while the waiter wakes up has to do anything. */
    if (atomic_exchange(&gate->armed, 0) == 0)
        return;
    pthread_mutex_lock(&gate->lock);
    hook = gate->hook;
    gate->hook = NULL;
    gate->open = true;
    if (hook != NULL)
        hook(gate->hook_arg); /* under the lock: who takes the hook away knows that it is not running */
    pthread_cond_signal(&gate->opened);
    pthread_mutex_unlock(&gate->lock);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static bool one_cpu(void)
{
    static atomic_int cpus;

    if (atomic_load_explicit(&cpus, memory_order_relaxed) == 0)
        atomic_store_explicit(&cpus, (int)sysconf(_SC_NPROCESSORS_ONLN), memory_order_relaxed);
    return atomic_load_explicit(&cpus, memory_order_relaxed) < 2;
}

static void pause_a_while(void)
{
    for (int i = 0; i < BRIEF_PAUSES; i++)
        relax();
}

void tribi_pause(unsigned times)
{
    for (; times > 0 && !one_cpu(); times--)
        pause_a_while();
}

bool tribi_spin_briefly(bool (*ready)(void *arg), void *arg)
{
    if (one_cpu())
        return false;
    for (int look = 0; look < BRIEF_LOOKS; look++) {
        pause_a_while();
        if (ready(arg))
            return true;
    }
    return false;
}

bool tribi_spin(uint32_t spin_us, bool (*ready)(void *arg), void *arg)
{
    int64_t until;

    if (spin_us == 0 || one_cpu())
        return false;
    until = trib_now() + (int64_t)spin_us * 1000;
    do {
        for (int i = 0; i < 32; i++) {
            if (ready(arg))
                return true;
            relax();
        }
    } while (trib_now() < until);
    return false;
}

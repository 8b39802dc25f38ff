/* A gate: where one thread sleeps until another one opens it, at the price of one load while nobody sleeps. */
#ifndef TRIBI_WAIT_INTERNAL_H
#define TRIBI_WAIT_INTERNAL_H

#include "fence-internal.h"

#include <tributary/transport.h>

#include <pthread.h>
#include <stdatomic.h>

/* One thread waits (or leaves a hook), any thread notifies. The waiter arms the gate, looks at its condition once more, and then
 * waits or disarms: whoever changes the condition and notifies afterwards cannot be missed. */
struct tribi_gate {
    atomic_int armed;
    bool open;
    trib_ready_fn *hook; /* runs once under the lock, on the notifying thread */
    void *hook_arg;
    atomic_uint_fast64_t waits;
    pthread_mutex_t lock;
    pthread_cond_t opened;
};

int tribi_gate_init(struct tribi_gate *gate, struct trib_error *err);
void tribi_gate_done(struct tribi_gate *gate);

void tribi_gate_arm(struct tribi_gate *gate);
void tribi_gate_disarm(struct tribi_gate *gate);

/* After arm. TRIB_OK: opened; TRIB_ERR_TIMEOUT: the deadline passed first. Disarmed in both cases. */
int tribi_gate_wait(struct tribi_gate *gate, int64_t deadline);

/* Leaves a hook (NULL: takes it away; after that it does not run) and arms the gate. */
void tribi_gate_hook(struct tribi_gate *gate, trib_ready_fn *fn, void *arg);

void tribi_gate_open(struct tribi_gate *gate);

/* The change that the waiter looks for must have been made before. */
static inline void tribi_gate_notify(struct tribi_gate *gate)
{
    tribi_fence_light();
    if (atomic_load_explicit(&gate->armed, memory_order_relaxed) != 0)
        tribi_gate_open(gate);
}

/* Looks at `ready(arg)` for at most spin_us microseconds; true as soon as it is. Never on one CPU. */
bool tribi_spin(uint32_t spin_us, bool (*ready)(void *arg), void *arg);

/* So many times a quarter of a microsecond, in which another processor may get on with cache lines that both look at; nothing on one CPU. */
void tribi_pause(unsigned times);

/* The same for a few microseconds: what a thread does in any case before it sleeps for another thread of this process. */
bool tribi_spin_briefly(bool (*ready)(void *arg), void *arg);

#endif

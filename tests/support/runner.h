/* A thread of a test, and a way to see that it sleeps. */
#ifndef TRIBUTARY_TESTS_RUNNER_H
#define TRIBUTARY_TESTS_RUNNER_H

#include <pthread.h>
#include <stdatomic.h>

struct runner {
    pthread_t thread;
    atomic_int tid;
    void (*fn)(void *arg);
    void *arg;
};

/* Runs fn(arg) on a thread. The test fails where it cannot. */
void runner_start(struct runner *runner, void (*fn)(void *arg), void *arg);

/* Returns when the thread sleeps in the system, as far as that tells (after five seconds in any case). */
void runner_wait_asleep(struct runner *runner);

void runner_join(struct runner *runner);

#endif

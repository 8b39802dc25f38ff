/* Threads of tests. */
#include "tests/support/runner.h"

#include <tributary/types.h>

#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *run(void *arg)
{
    struct runner *runner = arg;

    atomic_store(&runner->tid, (int)syscall(SYS_gettid));
    runner->fn(runner->arg);
    return NULL;
}

void runner_start(struct runner *runner, void (*fn)(void *arg), void *arg)
{
    atomic_init(&runner->tid, 0);
    runner->fn = fn;
    runner->arg = arg;
    ck_assert_int_eq(pthread_create(&runner->thread, NULL, run, runner), 0);
}

static int state_of(int tid)
{
    char path[64], line[256] = "";
    const char *at;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fgets(line, sizeof(line), file) == NULL)
        line[0] = '\0';
    fclose(file);
    at = strrchr(line, ')');
    return at != NULL && at[1] == ' ' ? at[2] : 0;
}

void runner_wait_asleep(struct runner *runner)
{
    int64_t until = trib_deadline_ms(5000);
    int in_a_row = 0;

    /* Twice: it may have slept on a lock on its way. */
    while (in_a_row < 2 && trib_now() < until) {
        int tid = atomic_load(&runner->tid);
        in_a_row = tid != 0 && state_of(tid) == 'S' ? in_a_row + 1 : 0;
        sched_yield();
    }
}

void runner_join(struct runner *runner)
{
    pthread_join(runner->thread, NULL);
}

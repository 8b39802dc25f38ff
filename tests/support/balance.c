/* Counts descriptors, threads and pool bytes around a test. */
#include "tests/support/balance.h"

#include <tributary/chunk.h>

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Entries of a directory of /proc without "." and ".."; -1 where there is none. */
static int count_entries(const char *path)
{
    int n = 0;
    DIR *dir = opendir(path);

    if (dir == NULL)
        return -1;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static int count_descriptors(void)
{
    int n = count_entries("/proc/self/fd");

    if (n >= 0)
        return n - 1; /* the directory itself */
    n = 0;
    for (int fd = 0; fd < 4096; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static uint64_t pool_bytes(void)
{
    struct trib_pool_stats stats;

    memset(&stats, 0, sizeof(stats));
    stats.size = sizeof(stats);
    trib_pool_stats(&stats);
    return stats.used_bytes;
}

void balance_take(struct balance *ret_balance)
{
    ret_balance->descriptors = count_descriptors();
    ret_balance->threads = count_entries("/proc/self/task");
    ret_balance->pool_bytes = pool_bytes();
}

/* pthread_join() returns a moment before the kernel takes the thread out of its list. */
static int settled_threads(int expected)
{
    const struct timespec moment = { 0, 1000000 };
    int n = count_entries("/proc/self/task");

    for (int i = 0; i < 2000 && n > expected; i++) {
        nanosleep(&moment, NULL);
        n = count_entries("/proc/self/task");
    }
    return n;
}

const char *balance_compare(const struct balance *before)
{
    static char text[256];
    struct balance after;

    after.threads = settled_threads(before->threads);
    after.descriptors = count_descriptors();
    after.pool_bytes = pool_bytes();
    if (after.threads == before->threads && after.descriptors == before->descriptors && after.pool_bytes == before->pool_bytes)
        return NULL;
    snprintf(text, sizeof(text), "not balanced: descriptors %d -> %d, threads %d -> %d, pool bytes in use %llu -> %llu",
             before->descriptors, after.descriptors, before->threads, after.threads, (unsigned long long)before->pool_bytes,
             (unsigned long long)after.pool_bytes);
    return text;
}

bool balance_comes_back(const struct balance *before)
{
    const struct timespec moment = { 0, 10000000 };
    struct balance now;
    bool back = false;

    for (int i = 0; i < 1000 && !back; i++) {
        if (i > 0)
            nanosleep(&moment, NULL);
        balance_take(&now);
        back = now.descriptors == before->descriptors && now.threads == before->threads && now.pool_bytes <= before->pool_bytes;
    }
    return back;
}

static struct balance fixture;

static void *say_who(void *arg)
{
    *(long *)arg = syscall(SYS_gettid);
    return NULL;
}

/* A thread that was joined may be seen in /proc for a moment longer. */
static void wait_gone(long tid)
{
    const struct timespec moment = { 0, 100000 };
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/task/%ld", tid);
    for (int i = 0; i < 20000 && access(path, F_OK) == 0; i++)
        nanosleep(&moment, NULL);
}

void balance_setup(void)
{
    pthread_t thread;
    long tid = 0;

    /* ThreadSanitizer has a thread of its own, which begins with the first one of the process: before the count. */
    if (pthread_create(&thread, NULL, say_who, &tid) == 0) {
        pthread_join(thread, NULL);
        wait_gone(tid);
    }
    balance_take(&fixture);
}

void balance_teardown(void)
{
    const char *text = balance_compare(&fixture);

    if (text != NULL)
        ck_abort_msg("%s", text);
}

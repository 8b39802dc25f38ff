/* A descriptor that becomes readable for good: what wakes a poll from another thread. */
#ifndef TRIBUTARY_WAKE_INTERNAL_H
#define TRIBUTARY_WAKE_INTERNAL_H

#include <tributary/error.h>

struct tribi_wake {
    int fd;      /* to poll for reading; -1: none */
    int other;   /* the writing end where fd is a pipe, else the same */
};
#define TRIBI_WAKE_NONE { -1, -1 }

int tribi_wake_init(struct tribi_wake *wake, struct trib_error *err);
void tribi_wake_set(const struct tribi_wake *wake); /* any thread, also in a signal handler; for ever */
void tribi_wake_done(struct tribi_wake *wake);      /* twice is safe */

/* The time left until `deadline` for ppoll(), NULL for ever; 0 where it has passed. */
struct timespec;
const struct timespec *tribi_time_left(int64_t deadline, struct timespec *room);

#endif

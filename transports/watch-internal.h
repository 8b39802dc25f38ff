/* A callback that an event_base runs once, when a descriptor is ready, a cancel came or a time is over. */
#ifndef TRIBUTARY_WATCH_INTERNAL_H
#define TRIBUTARY_WATCH_INTERNAL_H

#include <tributary/transport.h>

struct event;

/* What to wait for. */
struct tribi_watched {
    int fd;                 /* -1: the time only */
    enum trib_direction direction;
    int wake_fd;            /* readable at cancel; -1: none */
    int64_t delay_ms;       /* fires after so long at the latest; -1: no limit */
    const char *name;       /* for messages */
};

struct tribi_watch {
    struct event *ready; /* both NULL: not made yet; they belong to a base while armed only */
    struct event *wake;
    trib_ready_fn *fn;   /* NULL: not armed */
    void *arg;
};

/* fn NULL disarms. On the thread of the base, which may go once the watch has fired or was disarmed. */
int tribi_watch_arm(struct tribi_watch *watch, struct event_base *base, const struct tribi_watched *watched, trib_ready_fn *fn,
                    void *arg, struct trib_error *err);
void tribi_watch_done(struct tribi_watch *watch); /* twice is safe */

#endif

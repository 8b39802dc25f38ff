/* Runs a callback on an event base when another thread rings. */
#include "bell-internal.h"

#include <unistd.h>

void tribi_bell_ring(void *arg)
{
    struct tribi_bell *bell = arg;

    tribi_wake_set(&bell->wake);
}

/* A pipe may hold several rings. */
static void clear(struct tribi_bell *bell)
{
    uint64_t rings;

    while (read(bell->wake.fd, &rings, sizeof(rings)) > 0 && bell->wake.other != bell->wake.fd)
        ;
}

static void rung(void *arg)
{
    struct tribi_bell *bell = arg;

    clear(bell);
    bell->fn(bell->arg);
}

int tribi_bell_arm(struct tribi_bell *bell, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err)
{
    struct tribi_watched watched = { -1, TRIB_READABLE, -1, -1, "a queue" };
    int code = TRIB_OK;

    if (fn != NULL && bell->wake.fd < 0)
        code = tribi_wake_init(&bell->wake, err);
    if (code != TRIB_OK)
        return code;
    if (fn != NULL)
        clear(bell); /* of what rang before, for somebody else */
    bell->fn = fn;
    bell->arg = arg;
    watched.fd = bell->wake.fd;
    return tribi_watch_arm(&bell->watch, base, &watched, fn != NULL ? rung : NULL, bell, err);
}

void tribi_bell_init(struct tribi_bell *bell)
{
    bell->wake = (struct tribi_wake)TRIBI_WAKE_NONE;
}

void tribi_bell_done(struct tribi_bell *bell)
{
    tribi_watch_done(&bell->watch);
    tribi_wake_done(&bell->wake);
}

/* Tells an event_base when a descriptor is worth a call. */
#include "watch-internal.h"

#include <tributary/alloc.h>

#include <event2/event.h>
#include <sys/time.h>

/* An event that is not armed is never given to libevent: its base may be gone. */
static void disarm(struct tribi_watch *watch)
{
    if (watch->fn == NULL)
        return;
    watch->fn = NULL;
    event_del(watch->ready);
    if (watch->wake != NULL)
        event_del(watch->wake);
}

static void is_ready(evutil_socket_t s, short what, void *arg)
{
    struct tribi_watch *watch = arg;
    trib_ready_fn *fn = watch->fn;

    (void)s;
    (void)what;
    disarm(watch);
    if (fn != NULL)
        fn(watch->arg);
}

/* The memory stays for the next time; that of the library's allocator, which event_new() does not know. */
static int make_event(struct event **event, struct tribi_watch *watch, struct event_base *base, int fd, short what)
{
    if (*event == NULL)
        *event = trib_alloc(event_get_struct_event_size());
    if (*event == NULL)
        return TRIB_ERR_NOMEM;
    return event_assign(*event, base, fd, what, is_ready, watch) == 0 ? TRIB_OK : TRIB_ERR_IO;
}

static int make_events(struct tribi_watch *watch, struct event_base *base, const struct tribi_watched *watched)
{
    short what = watched->fd < 0 ? 0 : watched->direction == TRIB_READABLE ? EV_READ : EV_WRITE;
    int rc = make_event(&watch->ready, watch, base, watched->fd, what);

    if (rc == TRIB_OK && watched->wake_fd >= 0)
        return make_event(&watch->wake, watch, base, watched->wake_fd, EV_READ);
    trib_free(watch->wake);
    watch->wake = NULL;
    return rc;
}

void tribi_watch_done(struct tribi_watch *watch)
{
    disarm(watch);
    trib_free(watch->ready);
    trib_free(watch->wake);
    *watch = (struct tribi_watch){.fn = NULL};
}

int tribi_watch_arm(struct tribi_watch *watch, struct event_base *base, const struct tribi_watched *watched, trib_ready_fn *fn,
                    void *arg, struct trib_error *err)
{
    struct timeval delay = {watched->delay_ms / 1000, watched->delay_ms % 1000 * 1000};
    int rc;

    disarm(watch);
    if (fn == NULL)
        return TRIB_OK;
    rc = make_events(watch, base, watched);
    if (rc == TRIB_ERR_NOMEM)
        return trib_error_set(err, rc, 0, "watch %s: no memory", watched->name);
    if (rc == TRIB_OK) {
        watch->fn = fn;
        watch->arg = arg;
        if (event_add(watch->ready, watched->delay_ms >= 0 ? &delay : NULL) == 0 &&
            (watch->wake == NULL || event_add(watch->wake, NULL) == 0))
            return TRIB_OK;
        disarm(watch);
    }
    return trib_error_set(err, TRIB_ERR_IO, 0, "watch %s: the event_base does not take its descriptor", watched->name);
}

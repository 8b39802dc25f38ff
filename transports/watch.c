/* Tells an event_base when a descriptor is worth a call. */
#include "watch-internal.h"

#include <tributary/alloc.h>

#include <event2/event.h>
#include <sys/time.h>

static void disarm(struct tribi_watch *watch)
{
    watch->fn = NULL;
    if (watch->ready != NULL)
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

/* As event_new(), in memory of the library's allocator. */
static struct event *make_event(struct event_base *base, int fd, short what, void *arg)
{
    struct event *event = trib_alloc(event_get_struct_event_size());

    if (event != NULL)
        event_assign(event, base, fd, what, is_ready, arg);
    return event;
}

static int make_events(struct tribi_watch *watch, struct event_base *base, const struct tribi_watched *watched, struct trib_error *err)
{
    short what = watched->fd < 0 ? 0 : watched->direction == TRIB_READABLE ? EV_READ : EV_WRITE;

    tribi_watch_done(watch);
    watch->ready = make_event(base, watched->fd, what, watch);
    if (watched->wake_fd >= 0)
        watch->wake = make_event(base, watched->wake_fd, EV_READ, watch);
    if (watch->ready == NULL || (watched->wake_fd >= 0 && watch->wake == NULL)) {
        tribi_watch_done(watch);
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "watch %s: no memory", watched->name);
    }
    watch->base = base;
    watch->fd = watched->fd;
    return TRIB_OK;
}

void tribi_watch_done(struct tribi_watch *watch)
{
    disarm(watch);
    trib_free(watch->ready);
    trib_free(watch->wake);
    *watch = (struct tribi_watch){.base = NULL};
}

int tribi_watch_arm(struct tribi_watch *watch, struct event_base *base, const struct tribi_watched *watched, trib_ready_fn *fn,
                    void *arg, struct trib_error *err)
{
    struct timeval delay = {watched->delay_ms / 1000, watched->delay_ms % 1000 * 1000};

    if (fn == NULL) {
        disarm(watch);
        return TRIB_OK;
    }
    if (watch->base != base || watch->fd != watched->fd) {
        int rc = make_events(watch, base, watched, err);
        if (rc != TRIB_OK)
            return rc;
    }
    if (event_add(watch->ready, watched->delay_ms >= 0 ? &delay : NULL) != 0 ||
        (watch->wake != NULL && event_add(watch->wake, NULL) != 0)) {
        disarm(watch);
        return trib_error_set(err, TRIB_ERR_IO, 0, "watch %s: the event_base does not take its descriptor", watched->name);
    }
    watch->fn = fn;
    watch->arg = arg;
    return TRIB_OK;
}

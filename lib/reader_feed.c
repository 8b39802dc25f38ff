/* The outer sides of a reader: whoever feeds it, the thread that cancels it, the event loop that it calls back on. */
#include "reader-internal.h"

#include <string.h>

#include <event2/event.h>

#include "channel-internal.h"
#include "chunk-internal.h"

static int check_fed(const struct trib_reader *reader, struct trib_error *err)
{
    if (reader->queue == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "feed a reader: it takes its bytes from a channel");
    return TRIB_OK;
}

int trib_reader_feed(struct trib_reader *reader, struct trib_chunk *chunk /* takes */, int64_t deadline, struct trib_error *err)
{
    struct trib_view view;
    int rc = check_fed(reader, err);

    if (rc != TRIB_OK)
        return rc;
    if (chunk == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "feed a reader: the chunk is NULL");
    view = (struct trib_view){.data = chunk->data, .len = chunk->len, .holder = chunk};
    return trib_queue_push(reader->queue, &view, 0, deadline, err);
}

int trib_reader_on_room(struct trib_reader *reader, void (*fn)(void *arg), void *arg, struct trib_error *err)
{
    int rc = check_fed(reader, err);

    if (rc == TRIB_OK)
        trib_queue_on_room(reader->queue, fn, arg);
    return rc;
}

int trib_reader_finish(struct trib_reader *reader, struct trib_error *err)
{
    int rc = check_fed(reader, err);

    if (rc == TRIB_OK)
        trib_queue_finish(reader->queue, 0, NULL);
    return rc;
}

int trib_reader_fail(struct trib_reader *reader, int code, const char *text, struct trib_error *err)
{
    int rc = check_fed(reader, err);

    if (rc == TRIB_OK && code >= 0)
        rc = trib_error_set(err, TRIB_ERR_USAGE, 0, "fail a reader: %d is not the code of an error", code);
    if (rc == TRIB_OK)
        trib_queue_finish(reader->queue, code, text);
    return rc;
}

/* ---- Cancel ---- */

void tribi_reader_mark_cancelled(struct trib_reader *reader)
{
    atomic_store_explicit(&reader->cancelled, true, memory_order_relaxed);
}

void trib_reader_cancel(struct trib_reader *reader)
{
    tribi_reader_mark_cancelled(reader);
    if (reader->channel != NULL)
        trib_channel_cancel(reader->channel);
    else
        trib_queue_cancel(reader->queue);
}

void trib_reader_set_deadline(struct trib_reader *reader, int64_t deadline)
{
    reader->deadline = deadline;
}

int64_t trib_reader_deadline(const struct trib_reader *reader)
{
    return reader->deadline;
}

/* ---- The event loop ---- */

static void run_callback(struct trib_reader *reader)
{
    if (reader->callback != NULL)
        reader->callback(reader, reader->callback_arg);
}

static void run_soon(evutil_socket_t fd, short what, void *arg)
{
    struct trib_reader *reader = arg;

    (void)fd;
    (void)what;
    /* The event stands for the queue's bytes as well, and is gone now; a channel's watch is still armed. */
    if (reader->queue != NULL)
        reader->watching = false;
    run_callback(reader);
}

/* The channel is ready: we are on the base's thread, and not inside a call. */
static void channel_ready(void *arg)
{
    struct trib_reader *reader = arg;

    reader->watching = false;
    run_callback(reader);
}

/* The queue is ready: on the feeder's thread, or inside a call on the reader. */
static void queue_ready(void *arg)
{
    struct trib_reader *reader = arg;

    event_active(reader->event, EV_TIMEOUT, 0);
}

int tribi_reader_watch(struct trib_reader *reader, struct trib_error *err)
{
    static const struct timeval long_time = {365 * 86400, 0};
    int rc = TRIB_OK;

    if (reader->watching)
        return TRIB_OK;
    reader->watching = true;
    if (reader->queue == NULL)
        rc = trib_channel_watch(reader->channel, reader->base, TRIB_READABLE, channel_ready, reader, err);
    else if (event_add(reader->event, &long_time) != 0) /* a loop with nothing to wait for would end */
        rc = trib_error_set(err, TRIB_ERR_NOMEM, 0, "wait for bytes: no memory for an event");
    else
        trib_queue_on_bytes(reader->queue, queue_ready, reader);
    if (rc != TRIB_OK)
        reader->watching = false;
    return rc;
}

void tribi_reader_drop_callback(struct trib_reader *reader)
{
    if (reader->callback == NULL)
        return;
    if (reader->queue != NULL)
        trib_queue_on_bytes(reader->queue, NULL, NULL);
    else if (reader->watching)
        trib_channel_watch(reader->channel, reader->base, TRIB_READABLE, NULL, NULL, NULL);
    if (reader->event != NULL)
        event_free(reader->event);
    reader->event = NULL;
    reader->callback = NULL;
    reader->watching = false;
}

/* The first run: by the channel where it can, else by an event, which a queue needs for all that follow. */
static int run_first(struct trib_reader *reader, struct trib_error *err)
{
    int rc = reader->channel != NULL ? tribi_channel_soon(reader->channel, reader->base, channel_ready, reader, err) : TRIB_ERR_UNSUPPORTED;

    reader->watching = rc == TRIB_OK;
    if (rc != TRIB_ERR_UNSUPPORTED)
        return rc;
    reader->event = event_new(reader->base, -1, 0, run_soon, reader);
    if (reader->event == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "set a callback: no memory for an event");
    event_active(reader->event, EV_TIMEOUT, 0);
    return TRIB_OK;
}

int trib_reader_set_callback(struct trib_reader *reader, struct event_base *base, trib_readable_fn *fn, void *arg,
                             struct trib_error *err)
{
    int rc;

    if (fn == NULL) {
        tribi_reader_drop_callback(reader);
        return TRIB_OK;
    }
    if (base == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "set a callback: the event base is NULL");
    if (reader->channel != NULL && (trib_channel_capabilities(reader->channel) & TRIB_CAP_EVENTS) == 0)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "set a callback: channel %s does not work with an event loop",
                              trib_channel_name(reader->channel));
    tribi_reader_drop_callback(reader);
    reader->base = base;
    rc = run_first(reader, err);
    if (rc != TRIB_OK)
        return rc;
    reader->callback = fn;
    reader->callback_arg = arg;
    return TRIB_OK;
}

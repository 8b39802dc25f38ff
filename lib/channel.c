/* Channels: a transport's table, checked once, behind functions that know the defaults of its optional slots. */
#include "channel-internal.h"

#include <tributary/alloc.h>
#include <tributary/reader.h>

#include "chunk-internal.h"
#include "reader-internal.h"
#include "writer-internal.h"

#include <string.h>
#include <unistd.h>

enum { SPIN_US_MAX = 1000 };

#define DEFAULT_BUDGET ((size_t)8 << 20)
#define DEFAULT_LIMIT ((size_t)256 << 20)
#define DEFAULT_GATHER ((size_t)256 << 10)
#define DEFAULT_SEND_BUFFER ((size_t)1 << 20)

/* ---- Options -------------------------------------------------------------------------------------------------- */

static size_t or_default(size_t value, size_t fallback)
{
    return value != 0 ? value : fallback;
}

int trib_channel_options_fill(const struct trib_channel_options *options, struct trib_channel_options *ret_options,
                              struct trib_error *err)
{
    struct trib_channel_options whole = TRIB_CHANNEL_OPTIONS_INIT;

    if (options != NULL && options->size < sizeof(options->size))
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "channel options: size is %zu, use TRIB_CHANNEL_OPTIONS_INIT", options->size);
    if (options != NULL)
        memcpy(&whole, options, options->size < sizeof(whole) ? options->size : sizeof(whole));
    whole.size = sizeof(whole);
    whole.budget = or_default(whole.budget, DEFAULT_BUDGET);
    whole.limit = or_default(whole.limit, DEFAULT_LIMIT);
    if (whole.limit < whole.budget)
        whole.limit = whole.budget;
    whole.gather = or_default(whole.gather, DEFAULT_GATHER);
    whole.send_buffer = or_default(whole.send_buffer, DEFAULT_SEND_BUFFER);
    if (whole.spin_us > SPIN_US_MAX)
        whole.spin_us = SPIN_US_MAX;
    if (whole.spin_us > 0 && sysconf(_SC_NPROCESSORS_ONLN) < 2)
        whole.spin_us = 0;
    *ret_options = whole;
    return TRIB_OK;
}

/* ---- Life ----------------------------------------------------------------------------------------------------- */

static int check_table(const struct trib_channel_ops *ops, struct trib_error *err)
{
    if (ops == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "channel new: the table is NULL");
    if (ops->size < TRIB_CHANNEL_OPS_SIZE_0_1)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "channel new: the table says that it has %zu bytes, the smallest has %zu",
                              ops->size, (size_t)TRIB_CHANNEL_OPS_SIZE_0_1);
    if (ops->name == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "channel new: the table has no name");
    if (ops->recv == NULL || ops->send == NULL || ops->finish == NULL || ops->cancel == NULL || ops->close == NULL ||
        ops->free == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "channel new %s: the table lacks a required slot", ops->name);
    return TRIB_OK;
}

/* A capability counts only where there is a slot for it. */
static unsigned usable_capabilities(const struct trib_channel_ops *ops)
{
    unsigned capabilities = ops->capabilities;

    if (!TRIBI_HAS(ops, watch))
        capabilities &= ~(unsigned)TRIB_CAP_EVENTS;
    if (!TRIBI_HAS(ops, peer))
        capabilities &= ~(unsigned)TRIB_CAP_CREDENTIALS;
    return capabilities;
}

/* What begins and ends together is one block of memory. */
struct whole {
    struct trib_channel channel;
    struct trib_reader reader;
    struct trib_writer writer;
};

int trib_channel_new(const struct trib_channel_ops *ops, void *self, const struct trib_channel_options *options,
                     struct trib_channel **ret_channel, struct trib_error *err)
{
    struct trib_channel_options filled;
    struct trib_budget *budget;
    struct trib_channel *channel;
    struct whole *whole;
    int code;

    code = check_table(ops, err);
    if (code == TRIB_OK)
        code = trib_channel_options_fill(options, &filled, err);
    if (code == TRIB_OK)
        code = trib_budget_new(filled.budget, filled.limit, &budget, err);
    if (code != TRIB_OK)
        return code;
    whole = trib_alloc_raw(sizeof(*whole));
    if (whole == NULL) {
        trib_budget_unref(budget);
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "channel new %s: no memory", ops->name);
    }
    channel = &whole->channel;
    memset(channel, 0, sizeof(*channel));
    channel->ops = ops;
    channel->self = self;
    channel->capabilities = usable_capabilities(ops);
    atomic_init(&channel->cancelled, false);
    channel->budget = budget;
    channel->reader = &whole->reader;
    channel->writer = &whole->writer;
    tribi_reader_init_pull(channel->reader, channel, budget);
    tribi_writer_init(channel->writer, channel, filled.gather, filled.budget);
    tribi_pool_join();
    *ret_channel = channel;
    return TRIB_OK;
}

void trib_channel_free(struct trib_channel *channel)
{
    if (channel == NULL)
        return;
    /* Closed first, so that no watch can run into the reader or the writer while they go; its table may lie in the object, which
     * therefore goes last. */
    channel->ops->close(channel->self);
    channel->closed = true;
    tribi_reader_done(channel->reader);
    tribi_writer_done(channel->writer);
    trib_budget_unref(channel->budget);
    channel->ops->free(channel->self);
    trib_free(channel); /* and reader and writer */
    tribi_pool_leave();
}

void trib_channel_cancel(struct trib_channel *channel)
{
    if (atomic_exchange(&channel->cancelled, true))
        return;
    /* The marks first: who is woken by the transport must find them. */
    tribi_reader_mark_cancelled(channel->reader);
    tribi_writer_mark_cancelled(channel->writer);
    channel->ops->cancel(channel->self);
}

/* ---- Asking --------------------------------------------------------------------------------------------------- */

struct trib_reader *trib_channel_reader(struct trib_channel *channel)
{
    return channel->reader;
}

struct trib_writer *trib_channel_writer(struct trib_channel *channel)
{
    return channel->writer;
}

const char *trib_channel_name(const struct trib_channel *channel)
{
    return channel->ops->name;
}

unsigned trib_channel_capabilities(const struct trib_channel *channel)
{
    return channel->capabilities;
}

struct trib_budget *trib_channel_budget(const struct trib_channel *channel)
{
    return channel->budget;
}

int trib_channel_peer(struct trib_channel *channel, struct trib_peer *ret_peer, struct trib_error *err)
{
    struct trib_peer peer = { sizeof(peer), -1, -1, -1 };
    size_t size = ret_peer->size;
    int code;

    if (size < sizeof(size))
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "peer of %s: size is not set", channel->ops->name);
    if ((channel->capabilities & TRIB_CAP_CREDENTIALS) == 0)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "peer of %s: this channel does not know its peer", channel->ops->name);
    code = channel->ops->peer(channel->self, &peer, err);
    if (code != TRIB_OK)
        return code;
    memcpy(ret_peer, &peer, size < sizeof(peer) ? size : sizeof(peer));
    ret_peer->size = size;
    return TRIB_OK;
}

void trib_channel_stats(struct trib_channel *channel, struct trib_channel_stats *ret_stats)
{
    struct trib_channel_stats stats = { sizeof(stats),
                                        tribi_counted(&channel->bytes_in) + tribi_reader_from_inbox(channel->reader),
                                        tribi_counted(&channel->bytes_out), tribi_counted(&channel->recv_calls),
                                        tribi_counted(&channel->send_calls), 0, 0, 0, 0 };
    size_t size = ret_stats->size;

    if (size < sizeof(size))
        return;
    if (TRIBI_HAS(channel->ops, stats))
        channel->ops->stats(channel->self, &stats);
    memcpy(ret_stats, &stats, size < sizeof(stats) ? size : sizeof(stats));
    ret_stats->size = size;
}

/* ---- The slots ------------------------------------------------------------------------------------------------ */

int trib_channel_recv(struct trib_channel *channel, const struct trib_want *want, struct trib_view *ret_view,
                      unsigned *ret_flags, struct trib_error *err)
{
    struct trib_view view = { NULL, 0, NULL };
    unsigned flags = 0;
    int code;

    tribi_count(&channel->recv_calls, 1);
    code = channel->ops->recv(channel->self, want, &view, &flags, err);
    if (code != TRIB_OK)
        return code;
    /* A reader that took this for bytes would ask for ever. */
    if (view.len == 0 && (flags & TRIB_RECV_MARK) == 0) {
        trib_view_release(&view);
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "receive from %s: its table returned neither bytes nor a mark",
                              channel->ops->name);
    }
    tribi_count(&channel->bytes_in, view.len);
    *ret_view = view;
    *ret_flags = flags;
    return TRIB_OK;
}

struct trib_queue *tribi_channel_inbox(struct trib_channel *channel)
{
    return TRIBI_HAS(channel->ops, inbox) ? channel->ops->inbox(channel->self) : NULL;
}

int trib_channel_send(struct trib_channel *channel, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    size_t bytes = 0;
    int code;

    tribi_count(&channel->send_calls, 1);
    code = channel->ops->send(channel->self, send, &bytes, err);
    if (code != TRIB_OK)
        return code;
    tribi_count(&channel->bytes_out, bytes);
    *ret_bytes = bytes;
    return TRIB_OK;
}

int trib_channel_finish(struct trib_channel *channel, int status, const char *text, int64_t deadline, struct trib_error *err)
{
    return channel->ops->finish(channel->self, status, text, deadline, err);
}

int trib_channel_watch(struct trib_channel *channel, struct event_base *base, enum trib_direction direction,
                       trib_ready_fn *fn, void *arg, struct trib_error *err)
{
    /* Whoever goes disarms, whether or not there is something to disarm. */
    if (fn == NULL && (channel->closed || (channel->capabilities & TRIB_CAP_EVENTS) == 0))
        return TRIB_OK;
    if ((channel->capabilities & TRIB_CAP_EVENTS) == 0)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "watch %s: this channel does not work with an event base",
                              channel->ops->name);
    return channel->ops->watch(channel->self, base, direction, fn, arg, err);
}

int tribi_channel_soon(struct trib_channel *channel, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err)
{
    return TRIBI_HAS(channel->ops, soon) ? channel->ops->soon(channel->self, base, fn, arg, err) : TRIB_ERR_UNSUPPORTED;
}

/* The channel of chunk: two queues between two threads of one process, and no descriptor but where an event base needs one.
 *
 * An end has the queue that it reads, charged to its own budget, and a reference to the one that its peer reads. What is sent is
 * not touched: the writer's references move into the queue, and out of it to the peer's reader. */
#include "chunk-internal.h"

#include <tributary/alloc.h>
#include <tributary/queue.h>
#include <tributary/transport.h>
#include <tributary/transports.h>

#include "bell-internal.h"

#include <stdio.h>
#include <unistd.h>

struct end {
    struct trib_queue *in;  /* one reference */
    struct trib_queue *out; /* one reference */
    size_t part, limit;     /* of what the peer may hold: a quarter of the high mark, and all */
    struct tribi_bell readable;
    struct tribi_bell writable;
};

static int chunk_recv(void *self, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                      struct trib_error *err)
{
    struct end *end = self;

    return trib_queue_pop(end->in, want, ret_view, ret_flags, err);
}

/* Of the last view: it ends the message and wakes the reader. */
static unsigned flags_of(const struct trib_send *send)
{
    unsigned flags = (send->flags & TRIB_SEND_END) != 0 ? TRIB_RECV_MARK : 0;

    return (send->flags & TRIB_SEND_MORE) != 0 ? flags | TRIB_QUEUE_MORE : flags;
}

/* A view of more than the receiver may hold at once goes over in parts: by reference, as all do. */
static int send_part(struct end *end, struct trib_view whole, int64_t deadline, size_t *ret_bytes, struct trib_error *err)
{
    struct trib_view view = trib_view_retain(trib_view_sub(whole, 0, end->part));
    size_t len = view.len;
    int code = trib_queue_push(end->out, &view, 0, deadline, err);

    if (code != TRIB_OK) {
        trib_view_release(&view);
        return code;
    }
    *ret_bytes = len;
    return TRIB_OK;
}

static int chunk_send(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    struct end *end = self;
    struct trib_view empty = { NULL, 0, NULL };

    if (send->count == 0) /* an empty message */
        return trib_queue_push(end->out, &empty, flags_of(send), send->deadline, err);
    if (send->views[0].len > end->limit)
        return send_part(end, send->views[0], send->deadline, ret_bytes, err);
    return trib_queue_push_views(end->out, send->views, send->count, flags_of(send), send->deadline, ret_bytes, err);
}

/* recv does nothing but pop from it. */
static struct trib_queue *chunk_inbox(void *self)
{
    struct end *end = self;

    return end->in;
}

static int chunk_finish(void *self, int status, const char *text, int64_t deadline, struct trib_error *err)
{
    struct end *end = self;
    char generic[64];

    (void)deadline;
    (void)err;
    snprintf(generic, sizeof(generic), "the peer finished with status %d", status);
    trib_queue_finish(end->out, status == 0 ? 0 : TRIB_ERR_FAILED, text != NULL ? text : generic);
    return TRIB_OK;
}

static void chunk_cancel(void *self)
{
    struct end *end = self;

    trib_queue_cancel(end->in);
    trib_queue_cancel(end->out);
}

static void chunk_close(void *self)
{
    struct end *end = self;

    if (end->out != NULL) {
        trib_queue_on_room(end->out, NULL, NULL);
        trib_queue_finish(end->out, TRIB_ERR_CLOSED, "the peer has gone without finish"); /* no effect after a finish */
    }
    if (end->in != NULL) {
        trib_queue_on_bytes(end->in, NULL, NULL);
        trib_queue_close(end->in);
    }
    tribi_bell_done(&end->readable);
    tribi_bell_done(&end->writable);
}

static void chunk_free(void *self)
{
    struct end *end = self;

    trib_queue_unref(end->in);
    trib_queue_unref(end->out);
    trib_free(end);
}

static int chunk_watch(void *self, struct event_base *base, enum trib_direction direction, trib_ready_fn *fn, void *arg,
                       struct trib_error *err)
{
    struct end *end = self;
    bool reading = direction == TRIB_READABLE;
    struct tribi_bell *bell = reading ? &end->readable : &end->writable;
    struct trib_queue *queue = reading ? end->in : end->out;
    void (*on_change)(struct trib_queue *, trib_ready_fn *, void *) = reading ? trib_queue_on_bytes : trib_queue_on_room;
    int code;

    on_change(queue, NULL, NULL);
    code = tribi_bell_arm(bell, base, fn, arg, err);
    if (code == TRIB_OK && fn != NULL)
        on_change(queue, tribi_bell_ring, bell);
    return code;
}

static int chunk_peer(void *self, struct trib_peer *ret_peer, struct trib_error *err)
{
    (void)self;
    (void)err;
    ret_peer->pid = getpid();
    ret_peer->uid = getuid();
    ret_peer->gid = getgid();
    return TRIB_OK;
}

/* A queue does not say which end slept: these are the waits of both. */
static void chunk_stats(void *self, struct trib_channel_stats *stats)
{
    struct end *end = self;

    stats->waits += trib_queue_waits(end->in) + trib_queue_waits(end->out);
}

static const struct trib_channel_ops chunk_ops = {
    .size = sizeof(chunk_ops),
    .name = "chunk",
    .capabilities = TRIBI_CHUNK_CAPABILITIES,
    .recv = chunk_recv,
    .send = chunk_send,
    .finish = chunk_finish,
    .cancel = chunk_cancel,
    .close = chunk_close,
    .free = chunk_free,
    .watch = chunk_watch,
    .peer = chunk_peer,
    .stats = chunk_stats,
    .inbox = chunk_inbox,
};

static int end_new(const struct trib_channel_options *options, struct end **ret_end, struct trib_channel **ret_channel,
                   struct trib_error *err)
{
    struct end *end = trib_alloc(sizeof(*end));
    int code;

    if (end == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "chunk channel new: no memory");
    tribi_bell_init(&end->readable);
    tribi_bell_init(&end->writable);
    code = trib_channel_new(&chunk_ops, end, options, ret_channel, err);
    if (code != TRIB_OK) {
        trib_free(end);
        return code;
    }
    *ret_end = end;
    return TRIB_OK;
}

/* The queue from one end to the other, within the receiver's budget. */
static int lay(struct end *from, struct end *to, struct trib_channel *receiver, uint32_t spin_us, struct trib_error *err)
{
    struct trib_budget *budget = trib_channel_budget(receiver);
    int code = trib_queue_new(budget, spin_us, &to->in, err);

    if (code != TRIB_OK)
        return code;
    from->out = trib_queue_ref(to->in);
    from->limit = trib_budget_limit(budget);
    from->part = trib_budget_high(budget) / 4 > 0 ? trib_budget_high(budget) / 4 : 1;
    return code;
}

int tribi_chunk_link(const struct trib_channel_options *options_a, const struct trib_channel_options *options_b,
                     struct trib_channel **ret_a, struct trib_channel **ret_b, struct trib_error *err)
{
    struct trib_channel *a = NULL;
    struct trib_channel *b = NULL;
    struct end *end_a;
    struct end *end_b;
    int code = end_new(options_a, &end_a, &a, err);

    if (code == TRIB_OK)
        code = end_new(options_b, &end_b, &b, err);
    if (code == TRIB_OK)
        code = lay(end_a, end_b, b, options_b->spin_us, err);
    if (code == TRIB_OK)
        code = lay(end_b, end_a, a, options_a->spin_us, err);
    if (code != TRIB_OK) {
        trib_channel_free(a);
        trib_channel_free(b);
        return code;
    }
    *ret_a = a;
    *ret_b = b;
    return TRIB_OK;
}

int trib_chunk_pair(const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                    struct trib_error *err)
{
    struct trib_channel_options whole;
    int code = trib_channel_options_fill(options, &whole, err);

    return code == TRIB_OK ? tribi_chunk_link(&whole, &whole, ret_a, ret_b, err) : code;
}

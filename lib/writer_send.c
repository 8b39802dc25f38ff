/* The writer's sending: what is gathered leaves through the channel, now or when an event base says so. */
#include "writer-internal.h"

/* ---- What sticks ---------------------------------------------------------------------------------------------- */

static void drop_gathered(struct trib_writer *writer)
{
    for (; writer->first < writer->end; writer->first++)
        tribi_writer_unref(writer, writer->pieces[writer->first].holder);
    writer->first = writer->end = 0;
    tribi_writer_return_refs(writer);
    writer->pending = 0;
    writer->segment_first = writer->segment_last = 0;
    writer->segments[0] = (struct tribi_segment){ 0, 0, 0 };
}

/* writer->error holds what is wrong, and from now on it does so for ever. */
static int stick(struct trib_writer *writer, int code)
{
    writer->failed = code;
    atomic_store_explicit(&writer->stopped, true, memory_order_relaxed);
    drop_gathered(writer);
    return code;
}

int tribi_writer_check(struct trib_writer *writer)
{
    if (writer->failed != 0)
        return writer->failed;
    if (!atomic_load_explicit(&writer->cancelled, memory_order_relaxed))
        return TRIB_OK;
    trib_error_set(&writer->error, TRIB_ERR_CANCELLED, 0, "write to %s: cancelled", trib_channel_name(writer->channel));
    return stick(writer, TRIB_ERR_CANCELLED);
}

/* What a slot of the table returned: its text is in writer->error, unless the transport forgot. */
static int settle(struct trib_writer *writer, int code, const char *what)
{
    if (code == TRIB_OK || code == TRIB_AGAIN)
        return code;
    if (code > 0) {
        trib_error_set(&writer->error, TRIB_ERR_USAGE, 0, "%s %s: its table returned %d", what,
                       trib_channel_name(writer->channel), code);
        return stick(writer, TRIB_ERR_USAGE);
    }
    if (writer->error.code != code)
        trib_error_set(&writer->error, code, 0, "%s %s", what, trib_channel_name(writer->channel));
    return code == TRIB_ERR_TIMEOUT || code == TRIB_ERR_NOMEM ? code : stick(writer, code);
}

void tribi_writer_mark_cancelled(struct trib_writer *writer)
{
    atomic_store_explicit(&writer->cancelled, true, memory_order_relaxed);
    atomic_store_explicit(&writer->stopped, true, memory_order_relaxed);
}

void trib_writer_cancel(struct trib_writer *writer)
{
    trib_channel_cancel(writer->channel);
}

/* ---- Segments ------------------------------------------------------------------------------------------------- */

static bool sendable(const struct tribi_segment *segment)
{
    return segment->pieces > 0 || (segment->flags & TRIB_SEND_END) != 0;
}

/* All of the first segment has left. The last one stays, for what is written next: inside a message without its beginning. */
static void close_segment(struct trib_writer *writer)
{
    if (writer->segment_first < writer->segment_last) {
        writer->segment_first++;
        return;
    }
    writer->segment_first = writer->segment_last = 0;
    writer->segments[0].pieces = 0;
    writer->segments[0].flags = 0;
    writer->first = writer->end = 0;
    tribi_writer_return_refs(writer);
}

/* Lets go of what the channel took. false: it says what cannot be. */
static bool advance(struct trib_writer *writer, size_t taken)
{
    struct tribi_segment *segment = &writer->segments[writer->segment_first];
    struct trib_view *piece = &writer->pieces[writer->first];

    writer->pending -= taken;
    for (; segment->pieces > 0 && taken >= piece->len; piece++) {
        taken -= piece->len;
        tribi_writer_unref(writer, piece->holder); /* NULL: the channel moved it out */
        segment->pieces--;
        writer->first++;
    }
    if (segment->pieces == 0) {
        close_segment(writer);
        return taken == 0;
    }
    segment->flags &= ~(unsigned)TRIB_SEND_BEGIN;
    piece->data += taken;
    piece->len -= taken;
    writer->stats.partial_sends++;
    return piece->holder != NULL;
}

/* ---- Sending -------------------------------------------------------------------------------------------------- */

static int64_t deadline_of(const struct trib_writer *writer)
{
    return writer->fn != NULL ? TRIB_NOWAIT : writer->deadline;
}

static int offer(struct trib_writer *writer, struct trib_send *send, size_t *ret_taken)
{
    int64_t deadline = deadline_of(writer);
    bool probed = deadline == TRIB_NOWAIT || writer->by_reference || (send->flags & TRIB_SEND_MORE) != 0;
    int64_t begin;
    int code;

    writer->error.code = 0;
    /* Where nobody waits, references move, or another send follows for which these bytes may be held back, two looks at the clock double the
     * cost: only the waiting is timed. */
    if (probed) {
        send->deadline = TRIB_NOWAIT;
        code = trib_channel_send(writer->channel, send, ret_taken, &writer->error);
        writer->stats.waits += code == TRIB_AGAIN;
        if (code != TRIB_AGAIN || deadline == TRIB_NOWAIT)
            return code;
    }
    send->deadline = deadline;
    begin = trib_now();
    code = trib_channel_send(writer->channel, send, ret_taken, &writer->error);
    writer->stats.blocked_ns += trib_now() - begin;
    writer->stats.waits += !probed && (code == TRIB_AGAIN || code == TRIB_ERR_TIMEOUT);
    return code;
}

static int send_segment(struct trib_writer *writer)
{
    struct tribi_segment *segment = &writer->segments[writer->segment_first];
    bool more = writer->segment_first < writer->segment_last && sendable(segment + 1);
    struct trib_send send = { sizeof(send), segment->pieces > 0 ? writer->pieces + writer->first : NULL, segment->pieces,
                              segment->flags | (more ? TRIB_SEND_MORE : 0), segment->size, TRIB_NOWAIT };
    size_t pending = writer->pending;
    size_t taken = 0;
    int code;

    writer->stats.sends++;
    code = offer(writer, &send, &taken);
    if (code != TRIB_OK)
        return settle(writer, code, "send to");
    if ((taken > 0) == (send.count > 0) && taken <= pending && advance(writer, taken))
        return TRIB_OK;
    trib_error_set(&writer->error, TRIB_ERR_USAGE, 0, "send to %s: its table says that %zu of %zu bytes were taken",
                   trib_channel_name(writer->channel), taken, pending);
    return stick(writer, TRIB_ERR_USAGE);
}

static void on_writable(void *arg);

static int arm(struct trib_writer *writer)
{
    int code;

    if (writer->watching)
        return TRIB_OK;
    code = trib_channel_watch(writer->channel, writer->base, TRIB_WRITABLE, on_writable, writer, &writer->error);
    writer->watching = code == TRIB_OK;
    return code;
}

/* The channel takes nothing now. */
static int put_off(struct trib_writer *writer)
{
    int code;

    if (writer->fn == NULL)
        return TRIB_AGAIN;
    code = arm(writer);
    return code == TRIB_OK ? TRIB_AGAIN : code;
}

int tribi_writer_send(struct trib_writer *writer)
{
    int code = tribi_writer_stopped(writer) ? tribi_writer_check(writer) : TRIB_OK;

    while (code == TRIB_OK && sendable(&writer->segments[writer->segment_first]))
        code = send_segment(writer);
    if (code == TRIB_OK)
        writer->send_at = writer->gather;
    return code == TRIB_AGAIN ? put_off(writer) : code;
}

int tribi_writer_tell(struct trib_writer *writer, int code, struct trib_error *err)
{
    if (code == TRIB_AGAIN)
        writer->again = writer->fn != NULL;
    else if (err != NULL)
        *err = writer->error;
    return code;
}

int trib_writer_flush(struct trib_writer *writer, struct trib_error *err)
{
    return tribi_writer_report(writer, tribi_writer_send(writer), err);
}

/* ---- The end -------------------------------------------------------------------------------------------------- */

static int finish(struct trib_writer *writer, int status, const char *text)
{
    int64_t deadline = deadline_of(writer), begin;
    int code = tribi_writer_check(writer);

    if (code != TRIB_OK || writer->finished)
        return code;
    if (writer->in_message && status == 0)
        return trib_error_set(&writer->error, TRIB_ERR_USAGE, 0, "finish %s: inside a message", trib_channel_name(writer->channel));
    code = tribi_writer_send(writer);
    if (code != TRIB_OK)
        return code;
    writer->error.code = 0;
    begin = deadline != TRIB_NOWAIT ? trib_now() : 0;
    code = trib_channel_finish(writer->channel, status, text, deadline, &writer->error);
    writer->stats.blocked_ns += deadline != TRIB_NOWAIT ? trib_now() - begin : 0;
    writer->finished = code == TRIB_OK;
    if (writer->finished)
        atomic_store_explicit(&writer->stopped, true, memory_order_relaxed);
    return code == TRIB_AGAIN ? put_off(writer) : settle(writer, code, "finish");
}

int trib_writer_finish(struct trib_writer *writer, int status, const char *text, struct trib_error *err)
{
    return tribi_writer_report(writer, finish(writer, status, text), err);
}

/* ---- Waiting -------------------------------------------------------------------------------------------------- */

void trib_writer_set_deadline(struct trib_writer *writer, int64_t deadline)
{
    writer->deadline = deadline;
}

/* On the thread of the base, never inside a call: the rest leaves, and who was told to come again is called. */
static void on_writable(void *arg)
{
    struct trib_writer *writer = arg;
    int code;

    writer->watching = false;
    code = tribi_writer_send(writer);
    if (code == TRIB_AGAIN)
        return;
    if (code != TRIB_OK && writer->failed == 0)
        stick(writer, code); /* nobody is there to whom it could be returned, and nothing would try again */
    if (writer->again) {
        writer->again = false;
        writer->fn(writer, writer->fn_arg); /* last: it may free the channel */
    }
}

int trib_writer_set_callback(struct trib_writer *writer, struct event_base *base, trib_writable_fn *fn, void *arg,
                             struct trib_error *err)
{
    int code;

    if (fn != NULL && base == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "set a callback: the event base is NULL");
    if (writer->watching && (fn == NULL || writer->base != base)) {
        trib_channel_watch(writer->channel, writer->base, TRIB_WRITABLE, NULL, NULL, NULL);
        writer->watching = false;
    }
    writer->fn = NULL;
    writer->again = false;
    if (fn == NULL)
        return TRIB_OK;
    writer->base = base;
    code = tribi_writer_check(writer);
    if (code == TRIB_OK)
        code = arm(writer);
    if (code != TRIB_OK)
        return tribi_writer_report(writer, code, err);
    writer->fn = fn;
    writer->fn_arg = arg;
    writer->again = true;
    return TRIB_OK;
}

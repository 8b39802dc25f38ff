/* The trace channel: another channel, with a line for every call. */
#include <tributary/alloc.h>
#include <tributary/transport.h>
#include <tributary/transports.h>

#include <stdarg.h>
#include <stdio.h>

struct trace {
    struct trib_channel_ops ops; /* of its own: the capabilities are the inner channel's */
    struct trib_channel *inner;
    trib_trace_fn *sink;
    void *arg;
};

TRIB_PRINTF(2, 3) static void tell(const struct trace *trace, const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    for (char *c = line; *c != '\0'; c++) /* a text that somebody passed may hold anything */
        if ((unsigned char)*c < 0x20)
            *c = '?';
    trace->sink(trace->arg, line);
}

static int trace_recv(void *self, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                      struct trib_error *err)
{
    struct trace *trace = self;
    int code = trib_channel_recv(trace->inner, want, ret_view, ret_flags, err);

    if (code == TRIB_OK)
        tell(trace, "recv want=%zu head=%zu align=%zu -> TRIB_OK %zu bytes%s%s", want->min, want->head, want->align, ret_view->len,
             (*ret_flags & TRIB_RECV_MARK) != 0 ? " mark" : "", (*ret_flags & TRIB_RECV_HEADROOM) != 0 ? " headroom" : "");
    else
        tell(trace, "recv want=%zu head=%zu align=%zu -> %s", want->min, want->head, want->align, trib_code_name(code));
    return code;
}

static size_t bytes_of(const struct trib_send *send)
{
    size_t bytes = 0;

    for (size_t i = 0; i < send->count; i++)
        bytes += send->views[i].len;
    return bytes;
}

static int trace_send(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    struct trace *trace = self;
    size_t bytes = bytes_of(send); /* before: the inner channel may move the views out */
    size_t taken = 0;
    int code = trib_channel_send(trace->inner, send, &taken, err);

    tell(trace, "send views=%zu bytes=%zu%s%s%s -> %s %zu bytes", send->count, bytes,
         (send->flags & TRIB_SEND_BEGIN) != 0 ? " begin" : "", (send->flags & TRIB_SEND_END) != 0 ? " end" : "",
         (send->flags & TRIB_SEND_MORE) != 0 ? " more" : "", trib_code_name(code), taken);
    if (code == TRIB_OK)
        *ret_bytes = taken;
    return code;
}

static int trace_finish(void *self, int status, const char *text, int64_t deadline, struct trib_error *err)
{
    struct trace *trace = self;
    int code = trib_channel_finish(trace->inner, status, text, deadline, err);

    tell(trace, "finish status=%d%s%.100s -> %s", status, text != NULL ? " text=" : "", text != NULL ? text : "",
         trib_code_name(code));
    return code;
}

static void trace_cancel(void *self)
{
    struct trace *trace = self;

    tell(trace, "cancel");
    trib_channel_cancel(trace->inner);
}

/* Freeing the inner channel is how it is closed; views that it returned outlive it. */
static void trace_close(void *self)
{
    struct trace *trace = self;

    if (trace->inner == NULL)
        return;
    tell(trace, "close");
    trib_channel_free(trace->inner);
    trace->inner = NULL;
}

static void trace_free(void *self)
{
    trib_free(self);
}

static int trace_watch(void *self, struct event_base *base, enum trib_direction direction, trib_ready_fn *fn, void *arg,
                       struct trib_error *err)
{
    struct trace *trace = self;
    int code = trib_channel_watch(trace->inner, base, direction, fn, arg, err);

    tell(trace, "watch %s%s -> %s", direction == TRIB_READABLE ? "readable" : "writable", fn == NULL ? " off" : "",
         trib_code_name(code));
    return code;
}

static int trace_peer(void *self, struct trib_peer *ret_peer, struct trib_error *err)
{
    struct trace *trace = self;
    int code = trib_channel_peer(trace->inner, ret_peer, err);

    tell(trace, "peer -> %s", trib_code_name(code));
    return code;
}

/* Bytes and calls are counted by the channel around this one; what lies below only the inner one knows. */
static void trace_stats(void *self, struct trib_channel_stats *stats)
{
    struct trace *trace = self;
    struct trib_channel_stats inner = { .size = sizeof(inner) };

    trib_channel_stats(trace->inner, &inner);
    stats->system_calls_in += inner.system_calls_in;
    stats->system_calls_out += inner.system_calls_out;
    stats->waits += inner.waits;
    stats->copied += inner.copied;
}

static const struct trib_channel_ops trace_ops = {
    .size = sizeof(trace_ops),
    .name = "trace",
    .recv = trace_recv,
    .send = trace_send,
    .finish = trace_finish,
    .cancel = trace_cancel,
    .close = trace_close,
    .free = trace_free,
    .watch = trace_watch,
    .peer = trace_peer,
    .stats = trace_stats,
};

int trib_trace(struct trib_channel *inner, trib_trace_fn *sink, void *arg, const struct trib_channel_options *options,
               struct trib_channel **ret_channel, struct trib_error *err)
{
    struct trace *trace;
    int code;

    if (inner == NULL || sink == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "trace: the %s is NULL", inner == NULL ? "inner channel" : "sink");
    trace = trib_alloc(sizeof(*trace));
    if (trace == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "trace %s: no memory", trib_channel_name(inner));
    trace->ops = trace_ops;
    trace->ops.capabilities = trib_channel_capabilities(inner);
    trace->inner = inner;
    trace->sink = sink;
    trace->arg = arg;
    code = trib_channel_new(&trace->ops, trace, options, ret_channel, err);
    if (code != TRIB_OK)
        trib_free(trace);
    return code;
}

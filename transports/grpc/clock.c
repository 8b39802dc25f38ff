/* What a connection does by the clock: keepalive, patience with slow peers, the last GOAWAY of a drain.
 *
 * Nothing here costs a look at the clock where bytes move. Each look notes how many bytes and frames had come; the next one, a
 * period later, sees whether there are more. So what is bounded by t ends between t and twice t. */
#include "transports/grpc/grpc-internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    KEEPALIVE_TIMEOUT_MS = 20000,
    HANDSHAKE_MS = 10000,
    FRAME_MS = 60000,
    GOODBYE_MS = 1000,    /* for the PING of a drain to be answered */
    STRIKES_MAX = 2,      /* PINGs that come too soon, where the settings say what that is; */
    PINGS_MAX = 200,      /* elsewhere so many, */
    PINGS_SECONDS = 1     /* within such a time, are too many */
};

static const uint8_t alive_ping[8] = "tribping", goodbye_ping[8] = "tribdone";

static int64_t ms(uint32_t n)
{
    return n * INT64_C(1000000);
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

void tribi_grpc_configure(struct tribi_grpc_conn *conn, const struct trib_grpc_settings *settings)
{
    struct trib_grpc_settings *to = &conn->settings;
    int64_t now = trib_now();

    *to = (struct trib_grpc_settings)TRIB_GRPC_SETTINGS_INIT;
    if (settings != NULL)
        memcpy(to, settings, settings->size < sizeof(*to) ? settings->size : sizeof(*to));
    to->size = sizeof(*to);
    to->keepalive_timeout_ms = or_default(to->keepalive_timeout_ms, KEEPALIVE_TIMEOUT_MS);
    to->handshake_ms = or_default(to->handshake_ms, HANDSHAKE_MS);
    to->frame_ms = or_default(to->frame_ms, FRAME_MS);
    to->window = or_default(to->window, TRIBI_GRPC_INITIAL_WINDOW);
    to->window_sum = or_default(to->window_sum, TRIBI_GRPC_WINDOW_SUM);
    to->frame_size = or_default(to->frame_size, TRIBI_GRPC_FRAME_MAX);
    tribi_grpc_session_resize(conn);
    conn->clock.asked = false;
    conn->clock.ping_at = to->keepalive_ms != 0 ? now + ms(to->keepalive_ms) : 0;
    if (conn->server)
        conn->clock.frame_at = now + ms(conn->got_settings ? to->frame_ms : to->handshake_ms);
    tribi_grpc_clock_arm(conn);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return b != 0 && b < a ? b : a;
}

int64_t tribi_grpc_clock_due(const struct tribi_grpc_conn *conn)
{
    const struct tribi_grpc_clock *clock = &conn->clock;

    if (conn->lost)
        return TRIB_FOREVER;
    return earlier(earlier(earlier(TRIB_FOREVER, clock->ping_at), clock->frame_at), clock->goodbye_at);
}

static void give_up(struct tribi_grpc_conn *conn, int code, const char *why)
{
    tribi_grpc_flush(conn);
    tribi_grpc_conn_fail(conn, code, 0, why);
    shutdown(conn->fd, SHUT_RDWR);
}

/* ---- Is the peer alive? ------------------------------------------------------------------------------------------- */

static void keep_alive(struct tribi_grpc_conn *conn, int64_t now)
{
    struct tribi_grpc_clock *clock = &conn->clock;
    char why[100];

    if (conn->received != clock->heard || (conn->stream_count == 0 && !conn->settings.keepalive_idle)) {
        clock->heard = conn->received;
        clock->asked = false;
        clock->ping_at = now + ms(conn->settings.keepalive_ms);
    } else if (!clock->asked) {
        nghttp2_submit_ping(tribi_grpc_stirred(conn), NGHTTP2_FLAG_NONE, alive_ping);
        tribi_grpc_flush(conn);
        clock->asked = true;
        clock->ping_at = now + ms(conn->settings.keepalive_timeout_ms);
    } else {
        snprintf(why, sizeof(why), "keepalive: nothing came within %u ms of a PING", conn->settings.keepalive_timeout_ms);
        give_up(conn, TRIB_ERR_CLOSED, why);
    }
}

/* ---- Is it too slow? ---------------------------------------------------------------------------------------------- */

/* Something has begun that only the peer can end. */
static bool inside(const struct tribi_grpc_conn *conn)
{
    const struct tribi_grpc_scan *scan = &conn->scan;
    bool headers = scan->type == NGHTTP2_HEADERS || scan->type == NGHTTP2_CONTINUATION;

    return !conn->got_settings || scan->preface > 0 || scan->header_len > 0 || scan->left > 0 ||
           (headers && (scan->flags & NGHTTP2_FLAG_END_HEADERS) == 0);
}

static void be_patient(struct tribi_grpc_conn *conn, int64_t now)
{
    struct tribi_grpc_clock *clock = &conn->clock;
    uint32_t limit = conn->got_settings ? conn->settings.frame_ms : conn->settings.handshake_ms;
    bool late = now - clock->frame_at > ms(limit) / 2; /* nobody looked: how long the peer took is unknown */
    char why[100];

    if (!late && clock->inside && inside(conn) && conn->frames == clock->frames) {
        snprintf(why, sizeof(why), "the peer took more than %u ms for %s", limit,
                 conn->got_settings ? "a frame" : "preface and SETTINGS");
        tribi_grpc_conn_calm(conn, "too_slow");
        give_up(conn, TRIB_ERR_TIMEOUT, why);
        return;
    }
    for (struct trib_grpc_call *stream = conn->streams; stream != NULL; stream = stream->next)
        tribi_grpc_refuse(stream); /* what never ends is answered anyway */
    clock->inside = inside(conn);
    clock->frames = conn->frames;
    clock->frame_at = now + ms(limit);
}

/* ---- All that is due ---------------------------------------------------------------------------------------------- */

void tribi_grpc_clock_look(struct tribi_grpc_conn *conn)
{
    struct tribi_grpc_clock *clock = &conn->clock;
    int64_t now = trib_now();

    if (!conn->lost && clock->goodbye_at != 0 && now >= clock->goodbye_at) {
        clock->goodbye_at = 0;
        if (conn->hostile)
            give_up(conn, TRIB_ERR_PROTOCOL, "the peer asks for too much, and reads nothing");
        else
            tribi_grpc_conn_goaway(conn, NGHTTP2_NO_ERROR);
    }
    if (!conn->lost && clock->ping_at != 0 && now >= clock->ping_at)
        keep_alive(conn, now);
    if (!conn->lost && clock->frame_at != 0 && now >= clock->frame_at)
        be_patient(conn, now);
}

void tribi_grpc_conn_calm(struct tribi_grpc_conn *conn, const char *what)
{
    if (conn->hostile)
        return;
    nghttp2_submit_goaway(tribi_grpc_stirred(conn), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(conn->session),
                          NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)what, strlen(what));
    nghttp2_session_terminate_session(tribi_grpc_stirred(conn), NGHTTP2_ENHANCE_YOUR_CALM);
    conn->going_away = true;
    conn->hostile = true;
    conn->clock.goodbye_at = trib_now() + ms(GOODBYE_MS); /* so long it may take to read that */
    tribi_grpc_clock_arm(conn);
}

void tribi_grpc_conn_drain(struct tribi_grpc_conn *conn)
{
    if (conn->draining || conn->going_away || conn->lost)
        return;
    if (!conn->got_settings) { /* nothing can have begun */
        tribi_grpc_conn_goaway(conn, NGHTTP2_NO_ERROR);
        tribi_grpc_flush(conn);
        return;
    }
    conn->draining = true;
    conn->clock.goodbye_at = trib_now() + ms(GOODBYE_MS);
    nghttp2_submit_shutdown_notice(tribi_grpc_stirred(conn));
    tribi_grpc_flush(conn); /* libnghttp2 puts PINGs in front of all else, and the answer to this one is to say that the notice has come */
    nghttp2_submit_ping(tribi_grpc_stirred(conn), NGHTTP2_FLAG_NONE, goodbye_ping);
    tribi_grpc_flush(conn);
    tribi_grpc_clock_arm(conn);
}

/* ---- PINGs that come ---------------------------------------------------------------------------------------------- */

static bool too_many(struct tribi_grpc_conn *conn, int64_t now)
{
    struct tribi_grpc_clock *clock = &conn->clock;
    bool soon = clock->pinged_at != 0 && now - clock->pinged_at < ms(conn->settings.ping_min_ms);

    if (conn->settings.ping_min_ms != 0) {
        clock->pinged_at = now;
        clock->strikes += soon;
        return clock->strikes > STRIKES_MAX;
    }
    if (now - conn->pings_since > ms(1000 * PINGS_SECONDS)) {
        conn->pings_since = now;
        conn->pings = 0;
    }
    return ++conn->pings > PINGS_MAX;
}

void tribi_grpc_pinged(struct tribi_grpc_conn *conn, bool answer, const uint8_t *opaque)
{
    if (!answer && too_many(conn, trib_now()))
        tribi_grpc_conn_calm(conn, "too_many_pings");
    if (answer && conn->draining && memcmp(opaque, goodbye_ping, sizeof(goodbye_ping)) == 0) {
        conn->clock.goodbye_at = 0;
        tribi_grpc_conn_goaway(conn, NGHTTP2_NO_ERROR);
    }
}

/* The order of events of spark-socket, as tables: the handshake's parts, and state by event for both directions. */
#include "spark_order-internal.h"

#include <tributary/spark.h>

/* ---- Handshake -------------------------------------------------------------------------------------------------- */

#define PARTS_MAX 2

static const unsigned char parts[2][4][PARTS_MAX] = {
    /* from the engine */ {
        [TRIB_HANDSHAKE_TCP_DAEMON] = {TRIB_EVENT_AUTH},
        [TRIB_HANDSHAKE_TCP_DIRECT] = {TRIB_EVENT_AUTH},
    },
    /* from the worker */ {
        [TRIB_HANDSHAKE_PID] = {TRIB_EVENT_PID},
        [TRIB_HANDSHAKE_TCP_DAEMON] = {TRIB_EVENT_PID, TRIB_EVENT_AUTH},
        [TRIB_HANDSHAKE_TCP_DIRECT] = {TRIB_EVENT_AUTH, TRIB_EVENT_PID},
    },
};

enum trib_event_kind tribi_order_handshake(const struct tribi_order *order)
{
    if (order->handshake_part >= PARTS_MAX)
        return (enum trib_event_kind)0;
    return (enum trib_event_kind)parts[order->from == TRIB_FROM_WORKER][order->handshake][order->handshake_part];
}

/* ---- The session ------------------------------------------------------------------------------------------------
 *
 * engine:  INIT --INIT--> DATA --DATA--> FRAMES  (FRAME | NULL)*                                   --DATA_END--> FINISH
 * --FINISH--> OVER
 *                                    +-> STREAM  --STREAM--> ARROW (ARROW)* --STREAM_END--> DATA_END --DATA_END-----^
 *                                    +-> GROUPS  (--GROUP--> STREAM ... ARROW --STREAM_END--> STREAM | GROUPS)* --DATA_END--^
 *
 * worker:  REPLY (FRAME | NULL)--> REPLY_FRAMES (FRAME | NULL)*                     --TIMING--> REPLY_TIMED
 *            +---STREAM----------> REPLY_ARROW (ARROW)* --STREAM_END--> REPLY_DONE  --TIMING--> REPLY_TIMED
 *          REPLY, REPLY_FRAMES, REPLY_DONE, REPLY_TIMED  --ACCUMULATORS--> REPLY_ITEMS (ACCUMULATOR)*
 *                                                        --> REPLY_FINISH --FINISH--> OVER
 *          the same four                                 --EXCEPTION--> OVER */

enum { BY_SHAPE = TRIBI_ORDER_STATES, BY_STREAMS, BY_ITEMS, BY_PARTITION };

static const unsigned char next_state[TRIBI_ORDER_STATES][TRIBI_EVENT_KINDS] = {
    [TRIBI_ORDER_INIT] = {[TRIB_EVENT_INIT] = BY_PARTITION},
    [TRIBI_ORDER_DATA] = {[TRIB_EVENT_DATA] = BY_SHAPE},
    [TRIBI_ORDER_FRAMES] = {[TRIB_EVENT_FRAME] = TRIBI_ORDER_FRAMES,
                            [TRIB_EVENT_NULL] = TRIBI_ORDER_FRAMES,
                            [TRIB_EVENT_DATA_END] = TRIBI_ORDER_FINISH},
    [TRIBI_ORDER_GROUPS] = {[TRIB_EVENT_GROUP] = TRIBI_ORDER_STREAM, [TRIB_EVENT_DATA_END] = TRIBI_ORDER_FINISH},
    [TRIBI_ORDER_STREAM] = {[TRIB_EVENT_STREAM] = TRIBI_ORDER_ARROW},
    [TRIBI_ORDER_ARROW] = {[TRIB_EVENT_ARROW] = TRIBI_ORDER_ARROW, [TRIB_EVENT_STREAM_END] = BY_STREAMS},
    [TRIBI_ORDER_DATA_END] = {[TRIB_EVENT_DATA_END] = TRIBI_ORDER_FINISH},
    [TRIBI_ORDER_FINISH] = {[TRIB_EVENT_FINISH] = TRIBI_ORDER_OVER},
    [TRIBI_ORDER_REPLY] = {[TRIB_EVENT_FRAME] = TRIBI_ORDER_REPLY_FRAMES,
                           [TRIB_EVENT_NULL] = TRIBI_ORDER_REPLY_FRAMES,
                           [TRIB_EVENT_STREAM] = TRIBI_ORDER_REPLY_ARROW,
                           [TRIB_EVENT_TIMING] = TRIBI_ORDER_REPLY_TIMED,
                           [TRIB_EVENT_ACCUMULATORS] = BY_ITEMS,
                           [TRIB_EVENT_EXCEPTION] = TRIBI_ORDER_OVER},
    [TRIBI_ORDER_REPLY_FRAMES] = {[TRIB_EVENT_FRAME] = TRIBI_ORDER_REPLY_FRAMES,
                                  [TRIB_EVENT_NULL] = TRIBI_ORDER_REPLY_FRAMES,
                                  [TRIB_EVENT_TIMING] = TRIBI_ORDER_REPLY_TIMED,
                                  [TRIB_EVENT_ACCUMULATORS] = BY_ITEMS,
                                  [TRIB_EVENT_EXCEPTION] = TRIBI_ORDER_OVER},
    [TRIBI_ORDER_REPLY_ARROW] = {[TRIB_EVENT_ARROW] = TRIBI_ORDER_REPLY_ARROW, [TRIB_EVENT_STREAM_END] = TRIBI_ORDER_REPLY_DONE},
    [TRIBI_ORDER_REPLY_DONE] = {[TRIB_EVENT_TIMING] = TRIBI_ORDER_REPLY_TIMED,
                                [TRIB_EVENT_ACCUMULATORS] = BY_ITEMS,
                                [TRIB_EVENT_EXCEPTION] = TRIBI_ORDER_OVER},
    [TRIBI_ORDER_REPLY_TIMED] = {[TRIB_EVENT_ACCUMULATORS] = BY_ITEMS, [TRIB_EVENT_EXCEPTION] = TRIBI_ORDER_OVER},
    [TRIBI_ORDER_REPLY_ITEMS] = {[TRIB_EVENT_ACCUMULATOR] = BY_ITEMS},
    [TRIBI_ORDER_REPLY_FINISH] = {[TRIB_EVENT_FINISH] = TRIBI_ORDER_OVER},
};

static const char *const expected[TRIBI_ORDER_STATES] = {
    [TRIBI_ORDER_INIT] = "-8 (START_OF_INIT_MESSAGE)",
    [TRIBI_ORDER_DATA] = "data",
    [TRIBI_ORDER_FRAMES] = "a frame, -5 (NULL) or -1 (END_OF_DATA_SECTION)",
    [TRIBI_ORDER_GROUPS] = "a group (1 or 2, by eval type) or 0, the end of the groups",
    [TRIBI_ORDER_STREAM] = "an Arrow stream",
    [TRIBI_ORDER_ARROW] = "an Arrow message or the end of the Arrow stream",
    [TRIBI_ORDER_DATA_END] = "the end of the data",
    [TRIBI_ORDER_FINISH] = "-4 (END_OF_STREAM)",
    [TRIBI_ORDER_REPLY] = "a frame, or -1, -2, -3, -5 or -6",
    [TRIBI_ORDER_REPLY_FRAMES] = "a frame, or -1, -2, -3 or -5",
    [TRIBI_ORDER_REPLY_ARROW] = "an Arrow message or the end of the Arrow stream",
    [TRIBI_ORDER_REPLY_DONE] = "-1 (END_OF_DATA_SECTION), -2 or -3",
    [TRIBI_ORDER_REPLY_TIMED] = "-1 (END_OF_DATA_SECTION) or -2",
    [TRIBI_ORDER_REPLY_ITEMS] = "an accumulator update",
    [TRIBI_ORDER_REPLY_FINISH] = "-4 (END_OF_STREAM), or -1 in its place",
    [TRIBI_ORDER_OVER] = "nothing, as the session is over",
};

const char *tribi_order_expected(const struct tribi_order *order)
{
    switch (tribi_order_handshake(order)) {
    case TRIB_EVENT_AUTH:
        return "a secret or the answer to it";
    case TRIB_EVENT_PID:
        return "a process id";
    default:
        return expected[order->state];
    }
}

void tribi_order_init(struct tribi_order *order, enum trib_side from, enum trib_handshake handshake)
{
    struct tribi_order fresh = {from, from == TRIB_FROM_WORKER ? TRIBI_ORDER_REPLY : TRIBI_ORDER_INIT, TRIB_SESSION_START,
                                (enum trib_data_shape)0, handshake, 0, 0, 0};

    *order = fresh;
}

int tribi_order_restart(struct tribi_order *order, struct trib_error *err)
{
    if (order->state != TRIBI_ORDER_OVER)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "spark-socket: next session: this one still expects %s",
                              tribi_order_expected(order));
    tribi_order_init(order, order->from, TRIB_HANDSHAKE_NONE);
    return TRIB_OK;
}

bool tribi_order_may_end(const struct tribi_order *order)
{
    bool start = order->state == TRIBI_ORDER_INIT || order->state == TRIBI_ORDER_REPLY;

    return start && (order->handshake_part == 0 || tribi_order_handshake(order) == 0);
}

int tribi_order_check(const struct tribi_order *order, enum trib_event_kind kind, struct trib_error *err)
{
    enum trib_event_kind part = tribi_order_handshake(order);
    bool known = kind > 0 && kind < TRIBI_EVENT_KINDS;

    if (known && (part != 0 ? part == kind : next_state[order->state][kind] != 0))
        return TRIB_OK;
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "spark-socket: %s came, expected %s", trib_event_name(kind),
                          tribi_order_expected(order));
}

static enum tribi_order_state state_of_shape(enum trib_data_shape shape)
{
    return shape == TRIB_DATA_FRAMES ? TRIBI_ORDER_FRAMES : shape == TRIB_DATA_STREAM ? TRIBI_ORDER_STREAM : TRIBI_ORDER_GROUPS;
}

static enum tribi_order_state resolve(struct tribi_order *order, unsigned next, const struct trib_event *event)
{
    switch (next) {
    case BY_PARTITION:
        return event->spark_init->partition == -1 ? TRIBI_ORDER_OVER : TRIBI_ORDER_DATA;
    case BY_SHAPE:
        order->shape = (enum trib_data_shape)event->number;
        return state_of_shape(order->shape);
    case BY_STREAMS:
        order->streams_left--;
        return order->streams_left > 0 ? TRIBI_ORDER_STREAM : order->shape == TRIB_DATA_STREAM ? TRIBI_ORDER_DATA_END : TRIBI_ORDER_GROUPS;
    case BY_ITEMS:
        order->items_left = event->kind == TRIB_EVENT_ACCUMULATORS ? event->number : order->items_left - 1;
        return order->items_left > 0 ? TRIBI_ORDER_REPLY_ITEMS : TRIBI_ORDER_REPLY_FINISH;
    default:
        return (enum tribi_order_state)next;
    }
}

/* The session's own machine: a worker's replies have no Init, their first event stands for it. */
static int step_session(struct tribi_order *order, const struct trib_event *event, enum tribi_order_state next, struct trib_error *err)
{
    bool first_reply = order->state == TRIBI_ORDER_REPLY;
    int rc = TRIB_OK;

    if (event->kind == TRIB_EVENT_INIT || first_reply)
        rc = trib_session_step(&order->session, TRIB_MESSAGE_INIT, err);
    if (rc == TRIB_OK && (event->kind == TRIB_EVENT_DATA || first_reply))
        rc = trib_session_step(&order->session, TRIB_MESSAGE_DATA, err);
    if (rc == TRIB_OK && next == TRIBI_ORDER_OVER)
        rc = trib_session_step(&order->session, event->kind == TRIB_EVENT_FINISH ? TRIB_MESSAGE_FINISH : TRIB_MESSAGE_CANCEL, err);
    return rc;
}

int tribi_order_step(struct tribi_order *order, const struct trib_event *event, struct trib_error *err)
{
    enum tribi_order_state next;
    int rc = tribi_order_check(order, event->kind, err);

    if (rc != TRIB_OK)
        return rc;
    if (tribi_order_handshake(order) != 0) {
        order->handshake_part++;
        return TRIB_OK;
    }
    if (event->kind == TRIB_EVENT_GROUP)
        order->streams_left = (int)event->number;
    next = resolve(order, next_state[order->state][event->kind], event);
    rc = step_session(order, event, next, err);
    if (rc == TRIB_OK)
        order->state = next;
    return rc;
}

/* The order of events of spark-socket, for both directions: what a receiver reads next, what a sender may put. */
#ifndef TRIBI_SPARK_ORDER_H
#define TRIBI_SPARK_ORDER_H

#include <tributary/message.h>

/* What comes next. The drawing is in spark_order.c. */
enum tribi_order_state {
    TRIBI_ORDER_INIT = 1,
    TRIBI_ORDER_DATA,
    TRIBI_ORDER_FRAMES,
    TRIBI_ORDER_GROUPS,
    TRIBI_ORDER_STREAM,
    TRIBI_ORDER_ARROW,
    TRIBI_ORDER_DATA_END,
    TRIBI_ORDER_FINISH,
    TRIBI_ORDER_REPLY,
    TRIBI_ORDER_REPLY_FRAMES,
    TRIBI_ORDER_REPLY_ARROW,
    TRIBI_ORDER_REPLY_DONE,
    TRIBI_ORDER_REPLY_TIMED,
    TRIBI_ORDER_REPLY_ITEMS,
    TRIBI_ORDER_REPLY_FINISH,
    TRIBI_ORDER_OVER
};
#define TRIBI_ORDER_STATES (TRIBI_ORDER_OVER + 1)
#define TRIBI_EVENT_KINDS (TRIB_EVENT_ACCUMULATOR + 1)

struct tribi_order {
    enum trib_side from;
    enum tribi_order_state state;
    enum trib_session_state session;
    enum trib_data_shape shape; /* of the data section */
    enum trib_handshake handshake;
    unsigned handshake_part;    /* the next one */
    int streams_left;           /* of the group */
    int64_t items_left;         /* accumulators */
};

void tribi_order_init(struct tribi_order *order, enum trib_side from, enum trib_handshake handshake);

/* Back to the start, without handshake. TRIB_ERR_USAGE: the session is not over. */
int tribi_order_restart(struct tribi_order *order, struct trib_error *err);

/* The handshake's next event: AUTH or PID; 0 when it is over. */
enum trib_event_kind tribi_order_handshake(const struct tribi_order *order);

/* Nothing of a session has come, and no handshake is half done: the peer may close here. */
bool tribi_order_may_end(const struct tribi_order *order);

/* TRIB_OK where the kind may come now; TRIB_ERR_PROTOCOL names it and what was expected. */
int tribi_order_check(const struct tribi_order *order, enum trib_event_kind kind, struct trib_error *err);

/* Checks and moves on. */
int tribi_order_step(struct tribi_order *order, const struct trib_event *event, struct trib_error *err);

/* What is expected now, for texts. */
const char *tribi_order_expected(const struct tribi_order *order);

#endif

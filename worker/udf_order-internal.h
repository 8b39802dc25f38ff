/* The order of messages on one Execute stream, as a table: what the worker does with each message in each state. */
#ifndef TRIBI_UDF_ORDER_H
#define TRIBI_UDF_ORDER_H

#include <tributary/types.h>

/* What comes from the engine. */
enum tribi_udf_message {
    TRIBI_UDF_INIT = 0,
    TRIBI_UDF_CHUNK = 1,
    TRIBI_UDF_DATA = 2,
    TRIBI_UDF_FINISH = 3,
    TRIBI_UDF_CANCEL = 4,
    TRIBI_UDF_BAD = 5,        /* an empty oneof, or bytes that are no message of the protocol */
    TRIBI_UDF_HALF_CLOSE = 6, /* nothing more comes */
    TRIBI_UDF_LOST = 7        /* the stream was reset, or its connection lost */
};
#define TRIBI_UDF_MESSAGES 8

/* The drawing is in udf_order.c. */
enum tribi_udf_state {
    TRIBI_UDF_START = 0,      /* nothing has come */
    TRIBI_UDF_CHUNKS = 1,     /* Init has come, chunks of its payload are to follow */
    TRIBI_UDF_OPENING = 2,    /* Init is complete, InitResponse not sent */
    TRIBI_UDF_OPEN = 3,       /* data flows */
    TRIBI_UDF_FINISHING = 4,  /* Finish has come, its answer is not sent */
    TRIBI_UDF_FAILED = 5,     /* an error was told: Cancel is to come */
    TRIBI_UDF_CANCELLING = 6, /* Cancel has come, its answer is not sent */
    TRIBI_UDF_CLOSING = 7,    /* the worker ends the session on its own account, and has not said all of it */
    TRIBI_UDF_ENDED = 8       /* the terminator is sent, or nobody is there to read it */
};
#define TRIBI_UDF_STATES 9

enum tribi_udf_action {
    TRIBI_UDF_DROP = 0,   /* it was on its way when things changed, and means nothing now */
    TRIBI_UDF_TAKE = 1,   /* what the message says: the state moves on as it says */
    TRIBI_UDF_REFUSE = 2, /* it breaks the order: a ProtocolError, where tribi_udf_place() says, and the end */
    TRIBI_UDF_LOSE = 3    /* clean up; nothing more is sent */
};

enum tribi_udf_action tribi_udf_action(enum tribi_udf_state state, enum tribi_udf_message message);

/* Where an error is told that arises in a state. */
enum tribi_udf_place {
    TRIBI_UDF_IN_INIT = 0,   /* InitResponse.error */
    TRIBI_UDF_IN_ERROR = 1,  /* ErrorResponse */
    TRIBI_UDF_IN_FINISH = 2, /* FinishResponse.error, a terminator */
    TRIBI_UDF_IN_CANCEL = 3, /* CancelResponse.error, a terminator */
    TRIBI_UDF_NOWHERE = 4
};

/* `answered`: InitResponse was sent. */
enum tribi_udf_place tribi_udf_place(enum tribi_udf_state state, bool answered);

/* "Init", ...; "START", ...; what is expected in a state, for texts. Static strings. */
const char *tribi_udf_message_name(enum tribi_udf_message message);
const char *tribi_udf_state_name(enum tribi_udf_state state);
const char *tribi_udf_expected(enum tribi_udf_state state);

#endif

/* The order of messages on one Execute stream: state by message. */
#include "udf_order-internal.h"

/*            Init                  last Chunk           InitResponse         Finish               FinishResponse
 *   START ---------> CHUNKS ------------------> OPENING -------------> OPEN ---------> FINISHING ----------------> ENDED
 *     |   (or, without chunks, to OPENING)         | error told         | error told     |                          ^  ^
 *     |                 |                          +------------------> FAILED <---------+                          |  |
 *     +-----------------+----- Cancel, from any of these ---------------+--------------> CANCELLING --CancelResponse+  |
 *     +-----------------+----- what is refused, the watchdog, a shutdown ---------> CLOSING --all said-----------------+
 */
enum { DROP = TRIBI_UDF_DROP, TAKE = TRIBI_UDF_TAKE, NO = TRIBI_UDF_REFUSE, LOSE = TRIBI_UDF_LOSE };

static const unsigned char actions[TRIBI_UDF_STATES][TRIBI_UDF_MESSAGES] = {
    /*                         Init  Chunk Data  Finish Cancel bad  half-close lost */
    [TRIBI_UDF_START] =      { TAKE, NO,   NO,   NO,   TAKE,  NO,   NO,        LOSE },
    [TRIBI_UDF_CHUNKS] =     { NO,   TAKE, NO,   NO,   TAKE,  NO,   NO,        LOSE },
    [TRIBI_UDF_OPENING] =    { NO,   NO,   TAKE, TAKE, TAKE,  NO,   NO,        LOSE },
    [TRIBI_UDF_OPEN] =       { NO,   NO,   TAKE, TAKE, TAKE,  NO,   NO,        LOSE },
    [TRIBI_UDF_FINISHING] =  { NO,   NO,   NO,   NO,   TAKE,  NO,   NO,        LOSE },
    [TRIBI_UDF_FAILED] =     { NO,   DROP, DROP, DROP, TAKE,  NO,   NO,        LOSE },
    [TRIBI_UDF_CANCELLING] = { NO,   NO,   NO,   NO,   DROP,  NO,   NO,        LOSE },
    [TRIBI_UDF_CLOSING] =    { DROP, DROP, DROP, DROP, DROP,  DROP, DROP,      LOSE },
    [TRIBI_UDF_ENDED] =      { DROP, DROP, DROP, DROP, DROP,  DROP, DROP,      DROP },
};

static const unsigned char places[TRIBI_UDF_STATES] = {
    [TRIBI_UDF_START] = TRIBI_UDF_IN_INIT,        [TRIBI_UDF_CHUNKS] = TRIBI_UDF_IN_INIT,
    [TRIBI_UDF_OPENING] = TRIBI_UDF_IN_INIT,      [TRIBI_UDF_OPEN] = TRIBI_UDF_IN_ERROR,
    [TRIBI_UDF_FINISHING] = TRIBI_UDF_IN_FINISH,  [TRIBI_UDF_FAILED] = TRIBI_UDF_IN_CANCEL,
    [TRIBI_UDF_CANCELLING] = TRIBI_UDF_IN_CANCEL, [TRIBI_UDF_CLOSING] = TRIBI_UDF_NOWHERE,
    [TRIBI_UDF_ENDED] = TRIBI_UDF_NOWHERE,
};

enum tribi_udf_action tribi_udf_action(enum tribi_udf_state state, enum tribi_udf_message message)
{
    return (enum tribi_udf_action)actions[state][message];
}

/* A Finish that did not wait for InitResponse leaves that to be said first. */
enum tribi_udf_place tribi_udf_place(enum tribi_udf_state state, bool answered)
{
    if (state == TRIBI_UDF_FINISHING && !answered)
        return TRIBI_UDF_IN_INIT;
    return (enum tribi_udf_place)places[state];
}

const char *tribi_udf_message_name(enum tribi_udf_message message)
{
    static const char *const names[TRIBI_UDF_MESSAGES] = {"Init", "PayloadChunk", "DataRequest", "Finish", "Cancel", "an empty request",
                                                          "half-close", "loss"};

    return (unsigned)message < TRIBI_UDF_MESSAGES ? names[message] : "?";
}

const char *tribi_udf_state_name(enum tribi_udf_state state)
{
    static const char *const names[TRIBI_UDF_STATES] = {"START",  "CHUNKS",     "OPENING", "OPEN", "FINISHING",
                                                        "FAILED", "CANCELLING", "CLOSING", "ENDED"};

    return (unsigned)state < TRIBI_UDF_STATES ? names[state] : "?";
}

const char *tribi_udf_expected(enum tribi_udf_state state)
{
    static const char *const expected[TRIBI_UDF_STATES] = {
        "Init",
        "PayloadChunk, as the last one has not come",
        "DataRequest, Finish or Cancel, after InitResponse",
        "DataRequest, Finish or Cancel",
        "nothing but Cancel after Finish, until the end of the responses",
        "Cancel, as an error was told",
        "nothing after Cancel, until the end of the responses",
        "nothing, as the session is being closed",
        "nothing, as the session is over",
    };

    return (unsigned)state < TRIBI_UDF_STATES ? expected[state] : "?";
}

/* The order of a session's messages, as a table: state by message. */
#include <tributary/message.h>

#define REFUSED TRIB_SESSION_STATES

/*            Init            Data             Finish
 *   START ---------> READY ---------> FLOWING ---------> ENDED
 *     |                |                 |
 *     +----------------+-----------------+---- Cancel ---> ENDED      */
static const unsigned char next_state[TRIB_SESSION_STATES][TRIB_MESSAGES] = {
    /*                       INIT                DATA                  FINISH              CANCEL            */
    [TRIB_SESSION_START] =   {TRIB_SESSION_READY, REFUSED,              REFUSED,            TRIB_SESSION_ENDED},
    [TRIB_SESSION_READY] =   {REFUSED,            TRIB_SESSION_FLOWING, REFUSED,            TRIB_SESSION_ENDED},
    [TRIB_SESSION_FLOWING] = {REFUSED,            REFUSED,              TRIB_SESSION_ENDED, TRIB_SESSION_ENDED},
    [TRIB_SESSION_ENDED] =   {REFUSED,            REFUSED,              REFUSED,            REFUSED},
};

static const char *const expected[TRIB_SESSION_STATES] = {"Init", "Data", "Finish", "nothing, as the session is over"};

int trib_session_step(enum trib_session_state *state, enum trib_message message, struct trib_error *err)
{
    unsigned char next;

    if ((unsigned)*state >= TRIB_SESSION_STATES || (unsigned)message >= TRIB_MESSAGES)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "session: state %d, message %d: no such cell", (int)*state, (int)message);
    next = next_state[*state][message];
    if (next == REFUSED)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "session in state %s: %s came, expected %s", trib_session_state_name(*state),
                              trib_message_name(message), expected[*state]);
    *state = (enum trib_session_state)next;
    return TRIB_OK;
}

const char *trib_message_name(enum trib_message message)
{
    static const char *const names[TRIB_MESSAGES] = {"Init", "Data", "Finish", "Cancel"};

    return (unsigned)message < TRIB_MESSAGES ? names[message] : "?";
}

const char *trib_session_state_name(enum trib_session_state state)
{
    static const char *const names[TRIB_SESSION_STATES] = {"START", "READY", "FLOWING", "ENDED"};

    return (unsigned)state < TRIB_SESSION_STATES ? names[state] : "?";
}

/* The receiver: events from a reader, in whatever dialect; and what is common to all dialects. */
#include <tributary/message.h>

#include <tributary/alloc.h>

#include "message-internal.h"

#include <string.h>

#define INIT_LIMIT ((size_t)64 << 20)
#define FRAME_LIMIT ((size_t)256 << 20)
#define METADATA_LIMIT ((size_t)16 << 20)
#define BODY_LIMIT ((uint64_t)256 << 20)

struct trib_receiver {
    const struct trib_dialect *dialect;
    void *self;
    enum trib_session_state state;
    struct trib_error failure; /* code 0: none */
};

const char *trib_event_name(enum trib_event_kind kind)
{
    static const char *const names[] = {"?",      "AUTH",      "PID",        "INIT",         "DATA",       "GROUP",
                                        "STREAM", "ARROW",     "STREAM_END", "FRAME",        "NULL",       "DATA_END",
                                        "FINISH", "EXCEPTION", "TIMING",     "ACCUMULATORS", "ACCUMULATOR"};

    return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

static const struct trib_dialect *const dialects[] = {&trib_dialect_spark_socket, NULL};

const struct trib_dialect *const *trib_dialects(void)
{
    return dialects;
}

const struct trib_dialect *trib_dialect_find(const char *name)
{
    for (const struct trib_dialect *const *dialect = dialects; *dialect != NULL; dialect++)
        if (strcmp((*dialect)->name, name) == 0)
            return *dialect;
    return NULL;
}

int tribi_message_options(const struct trib_dialect *dialect, enum trib_side from, const struct trib_message_options *options,
                          struct trib_message_options *ret_options, struct trib_error *err)
{
    struct trib_message_options complete = TRIB_MESSAGE_OPTIONS_INIT;

    if (dialect == NULL || dialect->size < TRIB_DIALECT_SIZE_0_1)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "messages: no dialect, or a table too small for 0.1");
    if (from != TRIB_FROM_ENGINE && from != TRIB_FROM_WORKER)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "messages of %s: side %d is none", dialect->name, (int)from);
    if (options != NULL)
        memcpy(&complete, options, options->size < sizeof(complete) ? options->size : sizeof(complete));
    complete.size = sizeof(complete);
    if ((unsigned)complete.handshake > TRIB_HANDSHAKE_TCP_DIRECT)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "messages of %s: handshake %d is none", dialect->name,
                              (int)complete.handshake);
    complete.init_limit = complete.init_limit != 0 ? complete.init_limit : INIT_LIMIT;
    complete.frame_limit = complete.frame_limit != 0 ? complete.frame_limit : FRAME_LIMIT;
    complete.metadata_limit = complete.metadata_limit != 0 ? complete.metadata_limit : METADATA_LIMIT;
    complete.body_limit = complete.body_limit != 0 ? complete.body_limit : BODY_LIMIT;
    *ret_options = complete;
    return TRIB_OK;
}

int trib_receiver_new(const struct trib_dialect *dialect, struct trib_reader *reader, enum trib_side from,
                      const struct trib_message_options *options, struct trib_receiver **ret_receiver, struct trib_error *err)
{
    struct trib_message_options complete;
    struct trib_receiver *receiver;
    int rc = tribi_message_options(dialect, from, options, &complete, err);

    if (rc != TRIB_OK)
        return rc;
    receiver = trib_alloc(sizeof(*receiver));
    if (receiver == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "receiver: no memory");
    receiver->dialect = dialect;
    rc = dialect->receiver_new(reader, from, &complete, &receiver->self, err);
    if (rc != TRIB_OK) {
        trib_free(receiver);
        return rc;
    }
    *ret_receiver = receiver;
    return TRIB_OK;
}

void trib_receiver_free(struct trib_receiver *receiver)
{
    if (receiver == NULL)
        return;
    receiver->dialect->receiver_free(receiver->self);
    trib_free(receiver);
}

static bool sticks(int rc)
{
    return rc == TRIB_ERR_SHORT || rc == TRIB_ERR_PROTOCOL || rc == TRIB_ERR_LIMIT || rc == TRIB_ERR_UNSUPPORTED;
}

int trib_receiver_next(struct trib_receiver *receiver, struct trib_event *ret_event, struct trib_error *err)
{
    static const struct trib_event empty = TRIB_EVENT_INIT_EMPTY;
    struct trib_event event = empty;
    struct trib_error local;
    int rc;

    err = err != NULL ? err : &local;
    if (receiver->failure.code != 0) {
        *err = receiver->failure;
        return receiver->failure.code;
    }
    rc = receiver->dialect->next(receiver->self, &event, &receiver->state, err);
    if (sticks(rc))
        receiver->failure = *err;
    if (rc == TRIB_OK)
        *ret_event = event;
    return rc;
}

int trib_receiver_next_session(struct trib_receiver *receiver, struct trib_error *err)
{
    int rc = receiver->dialect->next_session(receiver->self, err);

    if (rc == TRIB_OK)
        receiver->state = TRIB_SESSION_START;
    return rc;
}

enum trib_session_state trib_receiver_state(const struct trib_receiver *receiver)
{
    return receiver->state;
}

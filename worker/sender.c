/* The sender: events to a writer, in whatever dialect. */
#include <tributary/message.h>

#include <tributary/alloc.h>

#include "message-internal.h"

struct trib_sender {
    const struct trib_dialect *dialect;
    void *self;
};

int trib_sender_new(const struct trib_dialect *dialect, struct trib_writer *writer, enum trib_side from,
                    const struct trib_message_options *options, struct trib_sender **ret_sender, struct trib_error *err)
{
    struct trib_message_options complete;
    struct trib_sender *sender;
    int rc = tribi_message_options(dialect, from, options, &complete, err);

    if (rc != TRIB_OK)
        return rc;
    sender = trib_alloc(sizeof(*sender));
    if (sender == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "sender: no memory");
    sender->dialect = dialect;
    rc = dialect->sender_new(writer, from, &complete, &sender->self, err);
    if (rc != TRIB_OK) {
        trib_free(sender);
        return rc;
    }
    *ret_sender = sender;
    return TRIB_OK;
}

int tribi_sender_wrap(const struct trib_dialect *dialect, void *self, struct trib_sender **ret_sender, struct trib_error *err)
{
    struct trib_sender *sender = trib_alloc(sizeof(*sender));

    if (sender == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "sender: no memory");
    sender->dialect = dialect;
    sender->self = self;
    *ret_sender = sender;
    return TRIB_OK;
}

void trib_sender_free(struct trib_sender *sender)
{
    if (sender == NULL)
        return;
    sender->dialect->sender_free(sender->self);
    trib_free(sender);
}

int trib_sender_put(struct trib_sender *sender, const struct trib_event *event, struct trib_error *err)
{
    return sender->dialect->put(sender->self, event, err);
}

int trib_sender_next_session(struct trib_sender *sender, struct trib_error *err)
{
    return sender->dialect->put_session(sender->self, err);
}

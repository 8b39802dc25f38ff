/* Listeners: a transport's table, checked once, behind functions that know the defaults of its optional slots. */
#include <tributary/alloc.h>
#include <tributary/channel.h>
#include <tributary/transport.h>

#include "channel-internal.h"

struct trib_listener {
    const struct trib_listener_ops *ops;
    void *self;
};

#define LISTENER_HAS(ops, slot) TRIBI_HAS_SLOT(struct trib_listener_ops, ops, slot)

static int check_table(const struct trib_listener_ops *ops, struct trib_error *err)
{
    if (ops == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "listener new: the table is NULL");
    if (ops->size < TRIB_LISTENER_OPS_SIZE_0_1)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "listener new: the table says that it has %zu bytes, the smallest has %zu",
                              ops->size, (size_t)TRIB_LISTENER_OPS_SIZE_0_1);
    if (ops->name == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "listener new: the table has no name");
    if (ops->accept == NULL || ops->cancel == NULL || ops->close == NULL || ops->free == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "listener new %s: the table lacks a required slot", ops->name);
    return TRIB_OK;
}

int trib_listener_new(const struct trib_listener_ops *ops, void *self, struct trib_listener **ret_listener,
                      struct trib_error *err)
{
    struct trib_listener *listener;
    int code = check_table(ops, err);

    if (code != TRIB_OK)
        return code;
    listener = trib_alloc(sizeof(*listener));
    if (listener == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "listener new %s: no memory", ops->name);
    listener->ops = ops;
    listener->self = self;
    *ret_listener = listener;
    return TRIB_OK;
}

int trib_listener_accept(struct trib_listener *listener, int64_t deadline, struct trib_channel **ret_channel,
                         struct trib_error *err)
{
    return listener->ops->accept(listener->self, deadline, ret_channel, err);
}

int trib_listener_watch(struct trib_listener *listener, struct event_base *base, void (*fn)(void *arg), void *arg,
                        struct trib_error *err)
{
    if (LISTENER_HAS(listener->ops, watch))
        return listener->ops->watch(listener->self, base, fn, arg, err);
    if (fn == NULL)
        return TRIB_OK;
    return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "watch %s: this listener does not work with an event base",
                          listener->ops->name);
}

const char *trib_listener_address(struct trib_listener *listener)
{
    return LISTENER_HAS(listener->ops, address) ? listener->ops->address(listener->self) : NULL;
}

void trib_listener_cancel(struct trib_listener *listener)
{
    listener->ops->cancel(listener->self);
}

void trib_listener_free(struct trib_listener *listener)
{
    if (listener == NULL)
        return;
    listener->ops->close(listener->self);
    listener->ops->free(listener->self);
    trib_free(listener);
}

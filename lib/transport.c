/* Dial and listen: the scheme of a URI chooses the transport. */
#include <tributary/channel.h>
#include <tributary/transport.h>
#include <tributary/uri.h>

#include "channel-internal.h"

#include <stdio.h>
#include <string.h>

#define TRANSPORT_HAS(transport, slot) TRIBI_HAS_SLOT(struct trib_transport, transport, slot)

/* The end of the slots that say what a transport is. */
#define TRANSPORT_SIZE_MIN offsetof(struct trib_transport, dial)

static const struct trib_transport *find_in(const struct trib_transport *const *list, const char *scheme)
{
    for (; list != NULL && *list != NULL; list++)
        if ((*list)->size >= TRANSPORT_SIZE_MIN && (*list)->scheme != NULL && strcmp((*list)->scheme, scheme) == 0)
            return *list;
    return NULL;
}

static void list_schemes(const struct trib_transport *const *list, char *text, size_t size)
{
    for (; list != NULL && *list != NULL; list++) {
        size_t used = strlen(text);

        if ((*list)->size >= TRANSPORT_SIZE_MIN && (*list)->scheme != NULL)
            snprintf(text + used, size - used, "%s%s:", used > 0 ? ", " : "", (*list)->scheme);
    }
}

static int unknown_scheme(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_error *err)
{
    char known[128] = "";

    list_schemes(options->transports, known, sizeof(known));
    list_schemes(trib_transports(), known, sizeof(known));
    return trib_error_set(err, TRIB_ERR_USAGE, 0, "uri %.80s: byte 1: unknown scheme %.32s; known are %s", trib_uri_text(uri),
                          trib_uri_scheme(uri), known);
}

static int resolve(const struct trib_uri *uri, const struct trib_channel_options *options,
                   const struct trib_transport **ret_transport, struct trib_error *err)
{
    const struct trib_transport *found = find_in(options->transports, trib_uri_scheme(uri));

    if (found == NULL)
        found = find_in(trib_transports(), trib_uri_scheme(uri));
    if (found == NULL)
        return unknown_scheme(uri, options, err);
    *ret_transport = found;
    return TRIB_OK;
}

static int dial_with(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_channel **ret_channel,
                     struct trib_error *err)
{
    const struct trib_transport *transport;
    int code = resolve(uri, options, &transport, err);

    if (code != TRIB_OK)
        return code;
    if (!TRANSPORT_HAS(transport, dial))
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "dial %.100s: %s channels cannot be dialled", trib_uri_text(uri),
                              transport->scheme);
    return transport->dial(uri, options, ret_channel, err);
}

static int listen_with(const struct trib_uri *uri, const struct trib_channel_options *options,
                       struct trib_listener **ret_listener, struct trib_error *err)
{
    const struct trib_transport *transport;
    int code = resolve(uri, options, &transport, err);

    if (code != TRIB_OK)
        return code;
    if (!TRANSPORT_HAS(transport, listen))
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "listen %.100s: %s has no listeners", trib_uri_text(uri),
                              transport->scheme);
    return transport->listen(uri, options, ret_listener, err);
}

int trib_dial(const char *text, const struct trib_channel_options *options, struct trib_channel **ret_channel,
              struct trib_error *err)
{
    struct trib_channel_options whole;
    struct trib_uri *uri;
    int code = trib_channel_options_fill(options, &whole, err);

    if (code == TRIB_OK)
        code = trib_uri_parse(text, &uri, err);
    if (code != TRIB_OK)
        return code;
    code = dial_with(uri, &whole, ret_channel, err);
    trib_uri_free(uri);
    return code;
}

int trib_listen(const char *text, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                struct trib_error *err)
{
    struct trib_channel_options whole;
    struct trib_uri *uri;
    int code = trib_channel_options_fill(options, &whole, err);

    if (code == TRIB_OK)
        code = trib_uri_parse(text, &uri, err);
    if (code != TRIB_OK)
        return code;
    code = listen_with(uri, &whole, ret_listener, err);
    trib_uri_free(uri);
    return code;
}

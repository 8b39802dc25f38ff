/* Makes targets: from a URI, from a transport's table, from a module. */
#include "conformance/suite.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What a target's arg points to. */
struct source {
    char *uri;
    const struct trib_transport *const *transports;
    const struct trib_transport *transport;
    void *module; /* of dlopen() */
};

static int source_new(const char *name, struct source **ret_source, struct trib_error *err)
{
    struct source *source = calloc(1, sizeof(*source));

    if (source != NULL)
        source->uri = strdup(name);
    if (source == NULL || source->uri == NULL) {
        free(source);
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "make a target for %s: no memory", name);
    }
    *ret_source = source;
    return TRIB_OK;
}

static void target_init(struct conform_target *target, struct source *source)
{
    memset(target, 0, sizeof(*target));
    target->name = source->uri;
    target->arg = source;
}

/* ---- A URI ----------------------------------------------------------------------------------------------------- */

struct dial {
    const char *address;
    struct trib_channel_options options;
    struct trib_channel *channel;
    struct trib_error err;
    int code;
};

static void *dial_main(void *arg)
{
    struct dial *dial = arg;

    dial->code = trib_dial(dial->address, &dial->options, &dial->channel, &dial->err);
    return NULL;
}

static int uri_listen(void *arg, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                      struct trib_error *err)
{
    const struct source *source = arg;
    struct trib_channel_options with = *options;

    with.transports = source->transports;
    return trib_listen(source->uri, &with, ret_listener, err);
}

/* Dialling waits for accept in some transports, so each has a thread. */
static int connect_pair(struct trib_listener *listener, struct dial *dial, struct trib_channel **ret_accepted, struct trib_error *err)
{
    struct trib_channel *accepted = NULL;
    pthread_t thread;
    int code = pthread_create(&thread, NULL, dial_main, dial);

    if (code != 0)
        return trib_error_set(err, TRIB_ERR_IO, code, "start a thread that dials %s", dial->address);
    code = trib_listener_accept(listener, dial->options.deadline, &accepted, err);
    pthread_join(thread, NULL);
    if (code == TRIB_OK && dial->code != TRIB_OK) {
        trib_channel_free(accepted);
        code = dial->code;
        if (err != NULL)
            *err = dial->err;
    } else if (code != TRIB_OK && dial->code == TRIB_OK) {
        trib_channel_free(dial->channel);
    }
    if (code == TRIB_OK)
        *ret_accepted = accepted;
    return code;
}

static int uri_open(void *arg, const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                    struct trib_error *err)
{
    const struct source *source = arg;
    struct trib_listener *listener;
    struct trib_channel *accepted = NULL;
    struct dial dial = { source->uri, *options, NULL, { 0, 0, 0, 0, "" }, TRIB_OK };
    int code = uri_listen(arg, options, &listener, err);

    if (code != TRIB_OK)
        return code;
    if (trib_listener_address(listener) != NULL)
        dial.address = trib_listener_address(listener);
    dial.options.transports = source->transports;
    if (dial.options.deadline == TRIB_FOREVER)
        dial.options.deadline = trib_deadline_ms(30000);
    code = connect_pair(listener, &dial, &accepted, err);
    trib_listener_free(listener);
    if (code != TRIB_OK)
        return code;
    *ret_a = dial.channel;
    *ret_b = accepted;
    return TRIB_OK;
}

int conform_target_uri(const char *uri, const struct trib_transport *const *transports, struct conform_target *ret_target,
                       struct trib_error *err)
{
    struct source *source;
    int code = source_new(uri, &source, err);

    if (code != TRIB_OK)
        return code;
    source->transports = transports;
    target_init(ret_target, source);
    ret_target->open_pair = uri_open;
    ret_target->listen = uri_listen;
    ret_target->transports = transports;
    return TRIB_OK;
}

/* ---- A table, a module ----------------------------------------------------------------------------------------- */

static int pair_open(void *arg, const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                     struct trib_error *err)
{
    const struct source *source = arg;

    return source->transport->pair(options, ret_a, ret_b, err);
}

int conform_target_transport(const struct trib_transport *transport, struct conform_target *ret_target, struct trib_error *err)
{
    struct source *source;
    int code;

    if (transport->size < TRIB_TRANSPORT_SIZE_0_1 || transport->pair == NULL)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "test the transport %s: it has no pair", transport->scheme);
    code = source_new(transport->scheme, &source, err);
    if (code != TRIB_OK)
        return code;
    source->transport = transport;
    target_init(ret_target, source);
    ret_target->open_pair = pair_open;
    return TRIB_OK;
}

/* dlsym() returns an object pointer, which ISO C does not convert to a function's. */
static trib_transport_module_fn *module_entry(void *module)
{
    void *symbol = dlsym(module, TRIB_TRANSPORT_MODULE);
    trib_transport_module_fn *entry;

    memcpy(&entry, &symbol, sizeof(entry));
    return entry;
}

int conform_module_transport(const char *path, void *module, const struct trib_transport **ret_transport, struct trib_error *err)
{
    trib_transport_module_fn *entry = module_entry(module);
    const struct trib_transport *transport;

    if (entry == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "load %s: it has no %s()", path, TRIB_TRANSPORT_MODULE);
    transport = entry();
    if (transport == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "load %s: its %s() returned NULL", path, TRIB_TRANSPORT_MODULE);
    if (transport->size < TRIB_TRANSPORT_SIZE_0_1)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "load %s: its table is too small: .size is %zu, at least %zu is needed", path,
                              (size_t)transport->size, (size_t)TRIB_TRANSPORT_SIZE_0_1);
    if (transport->scheme == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "load %s: its table has no scheme", path);
    *ret_transport = transport;
    return TRIB_OK;
}

int conform_target_module(const char *path, struct conform_target *ret_target, struct trib_error *err)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct trib_transport *transport;
    int code;

    if (module == NULL)
        return trib_error_set(err, TRIB_ERR_IO, 0, "load %s: %s", path, dlerror());
    code = conform_module_transport(path, module, &transport, err);
    if (code == TRIB_OK)
        code = conform_target_transport(transport, ret_target, err);
    if (code != TRIB_OK) {
        dlclose(module);
        return code;
    }
    ((struct source *)ret_target->arg)->module = module;
    return TRIB_OK;
}

void conform_target_done(struct conform_target *target)
{
    struct source *source = target->arg;

    if (source != NULL) {
        if (source->module != NULL)
            dlclose(source->module);
        free(source->uri);
        free(source);
    }
    memset(target, 0, sizeof(*target));
}

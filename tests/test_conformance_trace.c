/* The conformance suite over traced channels: a wrapper can do what the channel inside it can. */
#include "tests/conformance_check.h"

#include <tributary/transports.h>

#include <stdlib.h>
#include <string.h>

/* Lines come from both directions at once. */
static void sink(void *arg, const char *line)
{
    (void)arg;
    if (line[0] == '\0' || strchr(line, '\n') != NULL)
        abort();
}

static int trace_both(struct trib_channel *inner_a, struct trib_channel *inner_b, const struct trib_channel_options *options,
                      struct trib_channel **ret_a, struct trib_channel **ret_b, struct trib_error *err)
{
    struct trib_channel *a;
    int code = trib_trace(inner_a, sink, NULL, options, &a, err);

    if (code != TRIB_OK) {
        trib_channel_free(inner_a);
        trib_channel_free(inner_b);
        return code;
    }
    code = trib_trace(inner_b, sink, NULL, options, ret_b, err);
    if (code != TRIB_OK) {
        trib_channel_free(a);
        trib_channel_free(inner_b);
        return code;
    }
    *ret_a = a;
    return TRIB_OK;
}

static int open_unix(void *arg, const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                     struct trib_error *err)
{
    struct trib_channel *a, *b;
    int code = trib_unix_pair(options, &a, &b, err);

    (void)arg;
    return code == TRIB_OK ? trace_both(a, b, options, ret_a, ret_b, err) : code;
}

static int open_chunk(void *arg, const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                      struct trib_error *err)
{
    struct trib_channel *a, *b;
    int code = trib_chunk_pair(options, &a, &b, err);

    (void)arg;
    return code == TRIB_OK ? trace_both(a, b, options, ret_a, ret_b, err) : code;
}

/* A trace of a trace. */
static int open_twice(void *arg, const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                      struct trib_error *err)
{
    struct trib_channel *a, *b;
    int code = open_unix(arg, options, &a, &b, err);

    return code == TRIB_OK ? trace_both(a, b, options, ret_a, ret_b, err) : code;
}

int main(void)
{
    struct conform_target targets[] = {
        { .name = "trace of unix", .open_pair = open_unix },
        { .name = "trace of chunk", .open_pair = open_chunk },
        { .name = "trace of trace", .open_pair = open_twice },
    };

    return conformance_check(targets, sizeof(targets) / sizeof(targets[0]));
}

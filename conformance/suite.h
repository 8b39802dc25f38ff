/* The conformance suite: what the channels of every transport must do, as a table of cases that any runner can walk. */
#ifndef TRIBUTARY_CONFORMANCE_SUITE_H
#define TRIBUTARY_CONFORMANCE_SUITE_H

#include <tributary/channel.h>
#include <tributary/transport.h>

#include <stdio.h>

/* Two connected channels of the transport under test, made with `options` (never NULL). */
typedef int conform_open_fn(void *arg, const struct trib_channel_options *options, struct trib_channel **ret_a,
                            struct trib_channel **ret_b, struct trib_error *err);

/* A listener of it. */
typedef int conform_listen_fn(void *arg, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                              struct trib_error *err);

/* What is tested, and how to get it. */
struct conform_target {
    const char *name;
    conform_open_fn *open_pair;
    conform_listen_fn *listen; /* NULL: the cases about listeners are skipped */
    void *arg;                 /* for both */
    const struct trib_transport *const *transports; /* with which trib_dial() knows the listener's address; may be NULL */
    const char *data_dir;      /* every file in it is sent in two parts, at each split point; NULL: the case is skipped */
    const char *data_suffix;   /* only files that end so; NULL: all */
    size_t data_step;          /* only every n-th split point; 0: all */
    int64_t patience_ms;       /* how long a case may take before all its channels are cancelled and it fails; 0: 60 s */
};

enum conform_outcome { CONFORM_PASSED, CONFORM_FAILED, CONFORM_SKIPPED };

struct conform_result {
    enum conform_outcome outcome;
    char text[768];     /* failed: "file:line: what"; skipped: what is missing; passed: empty */
    int64_t elapsed_ns;
};

/* Cases are counted from 0. */
size_t conform_count(void);
const char *conform_name(size_t index);

/* Runs one case. While it runs SIGPIPE is ignored, and libevent is ready for threads from the first call on. */
void conform_run(const struct conform_target *target, size_t index, struct conform_result *ret_result);

/* Runs all, one line per case to `out` and "N passed, N failed, N skipped" at the end; returns how many failed. */
size_t conform_run_all(const struct conform_target *target, FILE *out);

/* ---- Targets --------------------------------------------------------------------------------------------------
 * Each fills *ret_target, which conform_target_done() empties again. Strings and tables that are passed must outlive it. */

/* A URI, which is listened on and dialled, anew for each pair. `transports` as in struct trib_channel_options; may be NULL. */
int conform_target_uri(const char *uri, const struct trib_transport *const *transports, struct conform_target *ret_target,
                       struct trib_error *err);

/* A transport's `pair` slot. TRIB_ERR_UNSUPPORTED where it has none. */
int conform_target_transport(const struct trib_transport *transport, struct conform_target *ret_target, struct trib_error *err);

/* A module that is loaded at run time (TRIB_TRANSPORT_MODULE), by its `pair` slot. */
int conform_target_module(const char *path, struct conform_target *ret_target, struct trib_error *err);

/* The transport of a module that dlopen() loaded from `path`. TRIB_ERR_USAGE: it has no entry function, that returns none, or what it
 * returns has a table that is too small or no scheme; the text says which. */
int conform_module_transport(const char *path, void *module, const struct trib_transport **ret_transport, struct trib_error *err);

/* Twice is safe. */
void conform_target_done(struct conform_target *target);

#endif

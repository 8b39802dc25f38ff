/* Serves Spark's gRPC worker protocol until a signal, a ShutdownRequest or the one session that was asked for ends it. */
#ifndef TRIBUTARY_TOOLS_UDF_WORKER_H
#define TRIBUTARY_TOOLS_UDF_WORKER_H

#include "tools/tool.h"

#include <tributary/worker.h>

struct udf_worker {
    const struct tool *tool;
    const char *id;                /* for lines on stderr */
    const char *const *uris;
    size_t uri_count;
    const char *serializer;        /* NULL: the one that the payload names */
    struct trib_worker_options options; /* threads and the watchdog's times; the rest is filled in */
    int64_t grace_ms;              /* after the first signal */
    bool once;
    bool verbose;
};

/* The exit code. SIGINT, SIGTERM and SIGHUP: the first lets sessions end for grace_ms, the next one ends them. */
int udf_worker_serve(struct udf_worker *worker);

#endif

/* Serves the peers of one listener on a bounded set of threads, until it is told to stop. */
#ifndef TRIBUTARY_TOOLS_SERVER_H
#define TRIBUTARY_TOOLS_SERVER_H

#include "tools/raw.h"
#include "tools/tool.h"

#include <tributary/serializer.h>

#include <signal.h>

struct server_options {
    const struct tool *tool;
    const char *uri;
    raw_serve_fn *raw;                        /* NULL: spark-socket */
    const struct trib_serializer *serializer; /* spark-socket; NULL: the one that the session's command names */
    enum trib_handshake handshake;
    int64_t timeout_ms; /* of one connection (raw) or session; negative: none */
    size_t threads;
    bool once;
    bool verbose;
};

/* TOOL_OK after an end in order; TOOL_FAILED, with a line, where the listener failed or, with `once`, the connection. SIGINT,
 * SIGTERM and SIGHUP must be blocked: the first ends accepting and gives what is under way two seconds, the next one cancels
 * it. */
int server_run(const struct server_options *options, struct trib_listener *listener);

/* One connection; a line on stderr where it went wrong. */
int server_connection(const struct server_options *options, struct trib_channel *channel);

/* "peer 4711 of user 0", as far as that is known. Returns buf. */
enum { SERVER_PEER_MAX = 80 };
const char *server_peer_name(const struct trib_peer *peer, char *buf, size_t len);

/* The signals that end a server. */
void server_signals(sigset_t *ret_signals);

#endif

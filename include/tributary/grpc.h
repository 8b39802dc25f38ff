/* gRPC in plain C: calls as channels, a server on the caller's event_base, and what only gRPC knows of them. */
#ifndef TRIBUTARY_GRPC_H
#define TRIBUTARY_GRPC_H

#include <tributary/channel.h>
#include <tributary/transport.h>

TRIB_BEGIN_DECLS

/* ---- As a transport --------------------------------------------------------------------------------------------
 * grpc+unix:/path, grpc+unix:@name       HTTP/2 with prior knowledge over a Unix socket
 * grpc+tcp:127.0.0.1:50051, grpc+tcp:[::1]:50051   over TCP on this machine; port 0 for listen: any
 *   ?method=/pkg.Service/Method          the path of the call; default /tributary.Stream/Open. listen: only this one is served
 *   ?authority=name                      dial: default localhost. A server accepts any
 *   ?mode=0600&backlog=128               listen, as unix: has them
 *
 * dial opens a connection and one stream on it; a listener's accept gives a channel for each stream of each connection. A message that is bracketed
 * (trib_writer_begin_message) is a gRPC message; what is written outside brackets is sent as messages too, one for each send, so a peer that
 * reads bytes sees bytes. finish of a client half-closes the stream; of a server it sends the trailers, after which a gRPC client sends no more, while one
 * of this library may: both directions end by themselves. A status that a client finishes with reaches a server of this library; others see
 * a cancel. Capabilities: messages, half-close, status, detects loss, events; credentials over Unix sockets.
 *
 * Who drives a connection: a thread that waits on one of its channels, until its own bytes are there; the event_base of a callback; or the base of a
 * server. While nobody does, nothing is answered, pings included. */
TRIB_API extern const struct trib_transport trib_transport_grpc_unix;
TRIB_API extern const struct trib_transport trib_transport_grpc_tcp;

/* ---- Status ---------------------------------------------------------------------------------------------------- */

/* The numbers of gRPC; finish() of a writer takes them. A negative code of this library is sent as the one that says it best. */
enum trib_grpc_code {
    TRIB_GRPC_OK = 0,
    TRIB_GRPC_CANCELLED = 1,
    TRIB_GRPC_UNKNOWN = 2,
    TRIB_GRPC_INVALID_ARGUMENT = 3,
    TRIB_GRPC_DEADLINE_EXCEEDED = 4,
    TRIB_GRPC_NOT_FOUND = 5,
    TRIB_GRPC_ALREADY_EXISTS = 6,
    TRIB_GRPC_PERMISSION_DENIED = 7,
    TRIB_GRPC_RESOURCE_EXHAUSTED = 8,
    TRIB_GRPC_FAILED_PRECONDITION = 9,
    TRIB_GRPC_ABORTED = 10,
    TRIB_GRPC_OUT_OF_RANGE = 11,
    TRIB_GRPC_UNIMPLEMENTED = 12,
    TRIB_GRPC_INTERNAL = 13,
    TRIB_GRPC_UNAVAILABLE = 14,
    TRIB_GRPC_DATA_LOSS = 15,
    TRIB_GRPC_UNAUTHENTICATED = 16
};

/* "NOT_FOUND" for 5; "UNKNOWN" for a number that is none. A static string. */
TRIB_API const char *trib_grpc_code_name(int code);

/* ---- Metadata -------------------------------------------------------------------------------------------------- */

/* A name in lower case, and its value: printable ASCII, or any bytes where the name ends in -bin. */
struct trib_grpc_entry {
    const char *name;
    const void *value;
    size_t len;
};

/* ---- A call: what gRPC knows of a channel ----------------------------------------------------------------------
 * Lives as long as its channel. Used by the threads of the channel's reader and writer. */
struct trib_grpc_call;

/* The channel of a call; the call ends with it. A client's call is freed by freeing this, a server's by its handler. */
TRIB_API struct trib_channel *trib_grpc_call_channel(struct trib_grpc_call *call);

/* "/pkg.Service/Method". Lasts as long as the call. */
TRIB_API const char *trib_grpc_call_path(const struct trib_grpc_call *call);

/* When the call ends by itself; TRIB_FOREVER: never. */
TRIB_API int64_t trib_grpc_call_deadline(const struct trib_grpc_call *call);

/* Metadata of the peer, in the order in which it came; false past the last one. Of a server's call: of the request, from the start. Of a
 * client's: of the response, once the reader has returned bytes, an end or an error. Entries last as long as the call. */
TRIB_API bool trib_grpc_call_metadata(const struct trib_grpc_call *call, size_t index, struct trib_grpc_entry *ret_entry);

/* The same for the trailers, once the reader has returned an end or an error. */
TRIB_API bool trib_grpc_call_trailer(const struct trib_grpc_call *call, size_t index, struct trib_grpc_entry *ret_entry);

/* How a client's call ended: the status of the trailers, or the one that gRPC gives to what happened instead; of a server's
 * call that was lost (reset, connection gone, deadline): why. A text of "" there: the client has finished, and that is all. *ret_text lasts as long
 * as the call. TRIB_AGAIN: it has not ended. */
TRIB_API int trib_grpc_call_status(const struct trib_grpc_call *call, int *ret_code, const char **ret_text);

/* Runs fn(arg) once on `base` when the call has ended, whoever ended it: a reset, a lost connection, its deadline, a cancel, or both
 * sides' finish. For a handler that neither reads nor writes meanwhile, and would not learn of it, or of a client that has finished and then
 * resets: the reader gives all that it sent and TRIB_EOF, for the request is complete; the writer fails. NULL as fn ends it; so does freeing the
 * channel. TRIB_ERR_USAGE: the connection is bound to another event_base. */
TRIB_API int trib_grpc_call_watch(struct trib_grpc_call *call, struct event_base *base, trib_ready_fn *fn, void *arg,
                                  struct trib_error *err);

/* Server: metadata of the response, before the first message; it goes with the first one, or at once with trib_grpc_call_begin(). Copied.
 * TRIB_ERR_USAGE: too late, a name that is gRPC's own, or a value that cannot be sent. */
TRIB_API int trib_grpc_call_add_metadata(struct trib_grpc_call *call, const struct trib_grpc_entry *entry, struct trib_error *err);
TRIB_API int trib_grpc_call_begin(struct trib_grpc_call *call, struct trib_error *err);

/* Server: metadata of the trailers, before finish. */
TRIB_API int trib_grpc_call_add_trailer(struct trib_grpc_call *call, const struct trib_grpc_entry *entry, struct trib_error *err);

/* Messages that are written from now on are compressed with gzip, where the peer accepts that (a client does not ask). Before the first message.
 * TRIB_ERR_UNSUPPORTED: it does not. */
TRIB_API int trib_grpc_call_compress(struct trib_grpc_call *call, bool on, struct trib_error *err);

/* The message that was read last, or is being read, came compressed. */
TRIB_API bool trib_grpc_call_was_compressed(const struct trib_grpc_call *call);

/* ---- Settings of connections ------------------------------------------------------------------------------------
 * A number that is 0, or a field that size does not reach: the default. */
struct trib_grpc_settings {
    size_t size;
    uint32_t keepalive_ms;         /* PING a peer of which nothing was heard for so long, up to twice that; default: never */
    uint32_t keepalive_timeout_ms; /* nothing was heard so long after a PING: the connection is lost; default 20000 */
    bool keepalive_idle;           /* also while no call is under way; a server may take that for abuse */
    uint32_t ping_min_ms;          /* server: a third PING that comes sooner than this after another one, with no headers or bytes sent in between,
                                      ends the connection with ENHANCE_YOUR_CALM, too_many_pings. Default: more than 200 within
                                      a second do */
    uint32_t handshake_ms;         /* server: the client's preface and SETTINGS come within so long; default 10000 */
    uint32_t frame_ms;             /* server: so does the rest of a frame, or of a block of headers, up to twice that; default 60000 */
    uint32_t window;               /* of a stream before it is read, at most and by default 65535; then it grows to the budget of the channel */
    uint32_t window_sum;           /* what all streams of a connection may send and hold beyond their first windows, at most and by default
                                      256 MiB; a stream whose reader waits may send a first window in any case */
    uint32_t frame_size;           /* of the largest frame, in and out, 16384 to 16777215; default 266240 */
};
#define TRIB_GRPC_SETTINGS_INIT { sizeof(struct trib_grpc_settings), 0, 0, false, 0, 0, 0, 0, 0, 0 }

/* ---- Client ---------------------------------------------------------------------------------------------------- */

/* A connection, for any number of calls at once. Any thread. */
struct trib_grpc_client;

/* The parameters of the URI but authority do not matter. `options` (may be NULL) are those of the calls' channels; their deadline is that of connecting. */
TRIB_API int trib_grpc_connect(const char *uri, const struct trib_channel_options *options, struct trib_grpc_client **ret_client,
                               struct trib_error *err);

/* From now on. settings NULL: the defaults. Without an event_base a connection is kept alive only while a thread waits on a call. */
TRIB_API void trib_grpc_client_configure(struct trib_grpc_client *client, const struct trib_grpc_settings *settings);

/* Calls go on; the connection is closed with the last of them. NULL is allowed. */
TRIB_API void trib_grpc_client_free(struct trib_grpc_client *client);

struct trib_grpc_call_options {
    size_t size;
    const struct trib_grpc_entry *metadata;
    size_t metadata_count;
    int64_t deadline;   /* TRIB_FOREVER: none; sent as grpc-timeout */
    bool compress;      /* messages are sent with gzip */
};
#define TRIB_GRPC_CALL_OPTIONS_INIT { sizeof(struct trib_grpc_call_options), NULL, 0, TRIB_FOREVER, false }

/* Begins a call; its channel is free to write at once. End it with trib_channel_free(trib_grpc_call_channel(call)). TRIB_ERR_CLOSED: the connection has gone,
 * or the server said that it takes no new calls. options may be NULL. */
TRIB_API int trib_grpc_call(struct trib_grpc_client *client, const char *path, const struct trib_grpc_call_options *options,
                            struct trib_grpc_call **ret_call, struct trib_error *err);

/* ---- Server ---------------------------------------------------------------------------------------------------- */

/* Serves from an event_base, without a thread of its own. */
struct trib_grpc_server;

/* Runs on the thread of the base when the headers of a call have come. The call's channel is the handler's, which may use it there
 * (callbacks), or hand it to other threads, and frees it in the end. Freed without finish it ends as if the handler had died: the client
 * sees INTERNAL. */
typedef void trib_grpc_handler_fn(struct trib_grpc_call *call, void *arg);

/* The base must outlive the server, and be usable from several threads where other threads use channels of it. `options` (may be NULL) are those of
 * the channels. */
TRIB_API int trib_grpc_server_new(struct event_base *base, const struct trib_channel_options *options,
                                  struct trib_grpc_server **ret_server, struct trib_error *err);

/* For the connections that are accepted from now on. settings NULL: the defaults. On the thread of the base. */
TRIB_API void trib_grpc_server_configure(struct trib_grpc_server *server, const struct trib_grpc_settings *settings);

/* Listens at one more address: grpc+unix: or grpc+tcp:, with the parameters of a listener; a method is looked at, but it is the handlers that choose.
 * *ret_address (may be NULL): the URI to dial; lasts as long as the server. */
TRIB_API int trib_grpc_server_listen(struct trib_grpc_server *server, const char *uri, const char **ret_address,
                                     struct trib_error *err);

/* Who serves a path; NULL as path: all others. Without one they are answered with UNIMPLEMENTED. */
TRIB_API int trib_grpc_server_handle(struct trib_grpc_server *server, const char *path, trib_grpc_handler_fn *handler, void *arg,
                                     struct trib_error *err);

/* Stops listening and tells every client to begin no new calls. Those under way go on, and so do those that a client began before it
 * heard of it: the last GOAWAY goes when it has answered a PING, or after a second. fn(arg), which may be NULL, runs on the base once
 * when the last call has ended. */
TRIB_API void trib_grpc_server_drain(struct trib_grpc_server *server, trib_ready_fn *fn, void *arg);

/* Told of a connection that was lost by its peer's fault: what it sent is no HTTP/2, or breaks it (TRIB_ERR_PROTOCOL), or did not come in time
 * (TRIB_ERR_TIMEOUT); and of one that memory was lacking for. Calls on it hear of it besides; for most such peers there are none. pid, uid and gid of
 * *peer are -1 where they are unknown. Both arguments last as long as the call. Runs on the thread of the base, and must not free the server. */
typedef void trib_grpc_report_fn(void *arg, const struct trib_peer *peer, const struct trib_error *err);

/* Who is told from now on; arg must last as long. NULL as fn, the default: nobody. On the thread of the base. */
TRIB_API void trib_grpc_server_set_report(struct trib_grpc_server *server, trib_grpc_report_fn *fn, void *arg);

/* How many calls are under way. */
TRIB_API size_t trib_grpc_server_calls(const struct trib_grpc_server *server);

/* On the thread of the base. Connections are closed, calls under way lose their peer; their channels stay their handlers'. NULL is allowed. */
TRIB_API void trib_grpc_server_free(struct trib_grpc_server *server);

TRIB_END_DECLS

#endif

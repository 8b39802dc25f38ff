/* The transports that come with the library, their URIs, and what only they can do. */
#ifndef TRIBUTARY_TRANSPORTS_H
#define TRIBUTARY_TRANSPORTS_H

#include <tributary/channel.h>
#include <tributary/transport.h>

TRIB_BEGIN_DECLS

/* ---- unix: ----------------------------------------------------------------------------------------------------
 * unix:/path            a socket file; relative paths too (unix:./path)
 * unix:@name            a name in Linux's abstract namespace
 * unix:/path?mode=0600&backlog=128   for listen: the mode of the file (octal, default 0600) and the backlog (default 128)
 *
 * listen: the file has its mode from the first instant. A file that nobody listens on is replaced (two starters at once are
 * serialised by a lock file, path.lock); one that somebody listens on is TRIB_ERR_IO with EADDRINUSE; a path that is not a socket
 * is never touched. free removes the file if it is still ours. A path of more than 107 bytes is TRIB_ERR_USAGE. Peers of another
 * user are refused unless options->any_user. Capabilities: half-close, credentials, events. */
TRIB_API extern const struct trib_transport trib_transport_unix;

/* Two connected channels (socketpair). */
TRIB_API int trib_unix_pair(const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                            struct trib_error *err);

/* A listener over a descriptor that already listens (systemd activation). On TRIB_OK it is the listener's; the file is not
 * removed at the end. */
TRIB_API int trib_unix_listener_fd(int fd, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                                   struct trib_error *err);

/* ---- chunk: ---------------------------------------------------------------------------------------------------
 * chunk:name            a name in this process: [A-Za-z0-9._-]+
 *
 * References go from thread to thread; nothing is copied. dial does not wait to be accepted, so that one thread can have both ends, unless 128
 * others do: then until its deadline. No listener of that name is TRIB_ERR_IO with ECONNREFUSED. Capabilities: messages, half-close, status,
 * detects loss, events, references, credentials (this process). The budget of a direction is that of the receiving side's options; a view of
 * more than its limit goes over in parts. */
TRIB_API extern const struct trib_transport trib_transport_chunk;

/* Two connected channels, without a listener. Each is the caller's, and freed by itself, before or after the other one. options, which may be NULL,
 * are those of both. */
TRIB_API int trib_chunk_pair(const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                             struct trib_error *err);

/* ---- trace ----------------------------------------------------------------------------------------------------
 * A channel around another one that tells of every call: one line without newline, such as "recv want=4 head=0 align=1 -> TRIB_OK
 * 65536 bytes". sink runs on the calling thread, from both directions at once. On TRIB_OK the inner channel is the wrapper's; on
 * failure it stays the caller's. Capabilities are those of the inner channel. */
typedef void trib_trace_fn(void *arg, const char *line);

/* Makes it. The sink and its argument must last as long as the channel. Reader and writer of the inner channel are not used any more. */
TRIB_API int trib_trace(struct trib_channel *inner /* takes */, trib_trace_fn *sink, void *arg,
                        const struct trib_channel_options *options, struct trib_channel **ret_channel, struct trib_error *err);

TRIB_END_DECLS

#endif

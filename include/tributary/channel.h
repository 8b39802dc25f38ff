/* Channels and listeners, for whoever uses them: dial or listen, then read and write. */
#ifndef TRIBUTARY_CHANNEL_H
#define TRIBUTARY_CHANNEL_H

#include <tributary/error.h>
#include <tributary/types.h>

TRIB_BEGIN_DECLS

/* What a channel can do beyond a two-way stream of bytes. */
enum {
    TRIB_CAP_MESSAGES = 1,     /* the ends of messages arrive as marks */
    TRIB_CAP_HALF_CLOSE = 2,   /* after finish in one direction the other goes on */
    TRIB_CAP_CREDENTIALS = 4,  /* knows who the peer is */
    TRIB_CAP_STATUS = 8,       /* finish brings a status and a text to the peer */
    TRIB_CAP_DETECTS_LOSS = 16, /* a peer that dies without finish is an error, not an end */
    TRIB_CAP_EVENTS = 32,      /* works with an event_base */
    TRIB_CAP_REFERENCES = 64   /* chunks arrive as they were sent: the same memory */
};

/* For dial, listen and pair. Start from TRIB_CHANNEL_OPTIONS_INIT; a number that is 0 means the default. */
struct trib_channel_options {
    size_t size;
    size_t budget;      /* bytes held unasked, per channel and direction; default 8 MiB */
    size_t limit;       /* the most that one want may reserve; default 256 MiB, or the budget if that is more */
    size_t gather;      /* the writer sends when this much is gathered; default 256 KiB */
    size_t send_buffer; /* what the transport asks of the system, unix: SO_SNDBUF; default 1 MiB */
    int64_t deadline;   /* of dial itself; TRIB_FOREVER at the start, 0 is TRIB_NOWAIT. Later ones are set on reader and writer */
    uint32_t spin_us;   /* a blocking call looks again for this long before it sleeps; default 0. At most 1000; not on one CPU.
                           grpc: so does an event_base behind bytes of the connection, and its other events wait so long */
    bool any_user;      /* also accept peers of another user (and of no known one); default: refuse */
    const struct trib_transport *const *transports; /* NULL or NULL-terminated: more transports for trib_dial and trib_listen,
                                                       looked at before the built-in ones */
};
#define TRIB_CHANNEL_OPTIONS_INIT { sizeof(struct trib_channel_options), 0, 0, 0, 0, TRIB_FOREVER, 0, false, NULL }

struct trib_peer {
    size_t size;
    int64_t pid; /* -1: unknown */
    int64_t uid;
    int64_t gid;
};

struct trib_channel_stats {
    size_t size;             /* set it before the call */
    uint64_t bytes_in;       /* that recv returned */
    uint64_t bytes_out;      /* that send took */
    uint64_t recv_calls;     /* of the table's slot */
    uint64_t send_calls;
    uint64_t system_calls_in; /* that moved bytes or said "none" or "end", and polls that waited for bytes */
    uint64_t system_calls_out;
    uint64_t waits;          /* times that a call slept in poll or on a condition; a system call that slept in itself is not seen */
    uint64_t copied;         /* bytes that the transport itself moved in user space before recv returned them */
};

/* ---- Opening --------------------------------------------------------------------------------------------------
 * The scheme of the URI chooses the transport, from options->transports, then from the built-in ones (trib_transports()). An
 * unknown scheme is TRIB_ERR_USAGE and names the known ones. options may be NULL. Each URI form is described in transports.h. */
TRIB_API int trib_dial(const char *uri, const struct trib_channel_options *options, struct trib_channel **ret_channel,
                       struct trib_error *err);
TRIB_API int trib_listen(const char *uri, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                         struct trib_error *err);

/* The built-in transports, NULL-terminated. */
TRIB_API const struct trib_transport *const *trib_transports(void);

/* ---- Channel --------------------------------------------------------------------------------------------------
 * One conversation. Its reader and its writer may be used by two different threads, each by one at a time. */

/* Both belong to the channel and end with it. */
TRIB_API struct trib_reader *trib_channel_reader(struct trib_channel *channel);
TRIB_API struct trib_writer *trib_channel_writer(struct trib_channel *channel);

/* The name in the table that the channel was made with, such as "unix"; of a channel around another one, the wrapper's. Owned by the transport:
 * the static string of a built-in one; of one that was loaded, until it is unloaded. Any thread. */
TRIB_API const char *trib_channel_name(const struct trib_channel *channel);

/* Ends both directions; sticks; any blocked call on this channel returns TRIB_ERR_CANCELLED at once. Any thread, as long as the
 * channel exists. */
TRIB_API void trib_channel_cancel(struct trib_channel *channel);

/* TRIB_ERR_UNSUPPORTED without TRIB_CAP_CREDENTIALS. Set ret_peer->size before the call. */
TRIB_API int trib_channel_peer(struct trib_channel *channel, struct trib_peer *ret_peer, struct trib_error *err);

/* Any thread, at any time while the channel exists, whoever else is inside a call on it: each figure lies between what it was when this
 * call began and what it was when it returned. They were not taken at one moment. */
TRIB_API void trib_channel_stats(struct trib_channel *channel, struct trib_channel_stats *ret_stats);

/* Closes and frees; what the writer had gathered and not sent is dropped. NULL is allowed. No other thread may be inside a call.
 * Views that were retained stay valid. */
TRIB_API void trib_channel_free(struct trib_channel *channel);

/* ---- Listener ------------------------------------------------------------------------------------------------- */

/* The next peer's channel. TRIB_AGAIN and TRIB_ERR_TIMEOUT as the deadline says. */
TRIB_API int trib_listener_accept(struct trib_listener *listener, int64_t deadline, struct trib_channel **ret_channel,
                                  struct trib_error *err);

/* Runs fn(arg) once on `base` when accept is worth calling; NULL disarms. The base must last until fn ran, or the watch was
 * disarmed, or the listener freed. */
TRIB_API int trib_listener_watch(struct trib_listener *listener, struct event_base *base, void (*fn)(void *arg), void *arg,
                                 struct trib_error *err);

/* The URI to dial; NULL if unknown. Lives as long as the listener. */
TRIB_API const char *trib_listener_address(struct trib_listener *listener);

/* Any thread; accept returns TRIB_ERR_CANCELLED from now on. */
TRIB_API void trib_listener_cancel(struct trib_listener *listener);
TRIB_API void trib_listener_free(struct trib_listener *listener);

TRIB_END_DECLS

#endif

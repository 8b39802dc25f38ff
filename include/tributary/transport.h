/* For whoever writes a transport: the tables to fill, and what the core asks of them. doc/writing-a-transport.md is the guide. */
#ifndef TRIBUTARY_TRANSPORT_H
#define TRIBUTARY_TRANSPORT_H

#include <tributary/channel.h>
#include <tributary/chunk.h>
#include <tributary/error.h>
#include <tributary/types.h>

TRIB_BEGIN_DECLS

struct trib_queue;

/* ---- Receiving ------------------------------------------------------------------------------------------------
 * What the reader needs next. A transport that fills memory of its own allocates the wanted piece first (trib_want_alloc)
 * and receives into it; one that is handed chunks just passes them on. Read-only for the transport. */
struct trib_want {
    size_t size;
    size_t min;       /* bytes still missing; at least 1. A hint: any number from 1 on may be returned */
    size_t head;      /* bytes in front of them that the reader holds already, in one piece, and wants contiguous with them */
    const uint8_t *next; /* where the byte after those lies, if the reader holds any: a block that goes on here needs no head */
    size_t align;     /* the first wanted byte, head included, should lie on a multiple of this; a power of two, 1: anywhere */
    size_t spare;     /* bytes of the budget that the reader gives back as soon as the head has moved. Without TRIB_CAP_REFERENCES
                         one more reference to the head's block is taken for the transport's own: where it is somebody else's,
                         the limit may be exceeded by that one block */
    int64_t deadline;
    struct trib_budget *budget;
    bool probe;       /* with TRIB_NOWAIT: whoever asks comes again at once, and waits then; nothing has to be arranged for TRIB_AGAIN */
};

/* Flags that recv returns with the bytes. */
enum {
    TRIB_RECV_MARK = 1,    /* these bytes end a message (len may be 0: an empty message) */
    TRIB_RECV_HEADROOM = 2 /* want->head bytes directly in front of the view, in the same block, are free: the reader moves its
                              head there */
};

/* A block for `want`, charged to its budget: first byte of the chunk is for the head, the min wanted bytes follow, then up to
 * `ahead` bytes for read-ahead (fewer, or none, where the budget says so; a bound on the copies that they may cost). Receive to
 * data + want->head and return TRIB_RECV_HEADROOM. TRIB_ERR_LIMIT, TRIB_ERR_NOMEM: return it as it is. */
TRIB_API int trib_want_alloc(const struct trib_want *want, size_t ahead, struct trib_chunk **ret_block, struct trib_error *err);

/* ---- Sending --------------------------------------------------------------------------------------------------
 * What the writer hands down in one call. The views stay the writer's; a transport that keeps a view's bytes after it returned
 * either retains it, or moves the writer's own reference out by setting `holder` to NULL. */
struct trib_send {
    size_t size;
    struct trib_view *views; /* none is empty; 1 to 1024 of them, or 0 for an empty message (TRIB_SEND_BEGIN | TRIB_SEND_END) */
    size_t count;
    unsigned flags;
    uint64_t message_size; /* with TRIB_SEND_BEGIN: the length that begin_message() announced */
    int64_t deadline;
};

enum {
    TRIB_SEND_BEGIN = 1, /* the first view begins a message (only on channels with TRIB_CAP_MESSAGES) */
    TRIB_SEND_END = 2,   /* the last view ends one */
    TRIB_SEND_MORE = 4   /* another send follows at once: the transport may hold these bytes back until it comes */
};

/* Runs once, on the thread of the event_base, after a watch. It is never run inside the call that armed it. */
typedef void trib_ready_fn(void *arg);

enum trib_direction { TRIB_READABLE = 0, TRIB_WRITABLE = 1 };

/* ---- The channel's table --------------------------------------------------------------------------------------
 * Filled `static const`, with designated initialisers. `self` is the transport's own object. Threads: recv is called by one
 * thread at a time, send and finish by one at a time, the two may run at once; cancel by any thread at any time until close;
 * close and free when no other call is under way. No slot may call back into the channel that it serves. */
struct trib_channel_ops {
    size_t size;           /* sizeof this table in the build that filled it */
    const char *name;      /* for messages: "unix" */
    unsigned capabilities; /* TRIB_CAP_..., channel.h */
    /* 0.1, required */

    /* TRIB_OK: *ret_view holds at least one byte (or none, with TRIB_RECV_MARK) and one reference to its holder, which is now the
     * caller's; *ret_flags is TRIB_RECV_... Consecutive views of one block that lie behind each other are joined by the reader.
     * TRIB_EOF: the peer has finished. TRIB_AGAIN: nothing yet, and want->deadline is TRIB_NOWAIT. TRIB_ERR_TIMEOUT: the
     * deadline passed. After a cancel: TRIB_ERR_CANCELLED, at once, also in a call that was already waiting.
     * Other errors stick: the reader does not call again. */
    int (*recv)(void *self, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                struct trib_error *err);

    /* Sends from the front of send->views. TRIB_OK: *ret_bytes (at least 1, unless the message is empty) have been taken, perhaps
     * not all: the writer calls again with the rest (TRIB_SEND_BEGIN cleared). TRIB_AGAIN, TRIB_ERR_TIMEOUT: nothing was
     * taken. TRIB_ERR_CLOSED: the peer reads no more. Errors other than TIMEOUT and NOMEM stick. */
    int (*send)(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err);

    /* Nothing more will be sent: after all that was taken by send, the peer's reader sees the end. `status` is 0, or a code that a
     * channel with TRIB_CAP_STATUS brings to the peer with `text` (may be NULL): its reader fails with TRIB_ERR_FAILED and that
     * text. Without the capability a status other than 0 ends the channel as if this side had died. TRIB_AGAIN while
     * earlier bytes are still on their way and the deadline is TRIB_NOWAIT. Called once more only after TRIB_AGAIN or a timeout. */
    int (*finish)(void *self, int status, const char *text, int64_t deadline, struct trib_error *err);

    /* Ends both directions now; sticky; returns at once; wakes whoever waits in recv, send or finish, and what was armed with
     * watch. */
    void (*cancel)(void *self);

    /* Lets go of peer and descriptors; what was not sent is lost. Idempotent. Armed watches never run afterwards. */
    void (*close)(void *self);

    /* After close. Views that were returned by recv stay valid: their chunks hold what they need. */
    void (*free)(void *self);

    /* optional; new slots come last, under the release that adds them */

    /* Runs fn(arg) once on `base` when recv (or send) is worth calling again; fn NULL disarms. One watch per direction.
     * NULL: the channel cannot be used with an event_base (TRIB_ERR_UNSUPPORTED). Called on the thread of the base. */
    int (*watch)(void *self, struct event_base *base, enum trib_direction direction, trib_ready_fn *fn, void *arg,
                 struct trib_error *err); /* 0.1 */

    /* Who is at the other end. NULL: unknown. */
    int (*peer)(void *self, struct trib_peer *ret_peer, struct trib_error *err); /* 0.1 */

    /* Adds its own figures (system calls) to *stats, whose size field is set. Any thread, while others are inside recv and send: what they
     * count must be atomic, or under a lock. NULL: none. */
    void (*stats)(void *self, struct trib_channel_stats *stats); /* 0.1 */

    /* The queue from which recv pops, where it does nothing else: the same one until close, within the channel's budget. What lies in
     * it already the reader takes out itself then, without a call of recv. NULL: there is none. */
    struct trib_queue *(*inbox)(void *self); /* 0.1 */

    /* As watch of TRIB_READABLE, but fn runs soon in any case: who has a callback is called once to begin with. For a channel that runs the
     * callbacks of others as well, and sends together what they write. NULL: the reader takes an event of its own for it. */
    int (*soon)(void *self, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err); /* 0.1 */
};
#define TRIB_CHANNEL_OPS_SIZE_0_1 offsetof(struct trib_channel_ops, watch)

/* A channel over `self`, with a reader and a writer in front of it. On TRIB_OK the channel owns self: it calls close, then free.
 * On failure self stays the caller's. TRIB_ERR_USAGE: the table is smaller than TRIB_CHANNEL_OPS_SIZE_0_1 or lacks a required
 * slot. `options` may be NULL. */
TRIB_API int trib_channel_new(const struct trib_channel_ops *ops, void *self /* takes */,
                              const struct trib_channel_options *options, struct trib_channel **ret_channel,
                              struct trib_error *err);

/* What a transport asks of the options it was given, and of the channel it made. */

/* A whole copy of *options (NULL: all defaults), whatever the size of the caller's struct: defaults filled in, limit at least the
 * budget, spin_us within its bounds. TRIB_ERR_USAGE: size is not set. */
TRIB_API int trib_channel_options_fill(const struct trib_channel_options *options, struct trib_channel_options *ret_options,
                                       struct trib_error *err);

/* The budget of what this channel receives, the one that recv finds in its want. The channel keeps it; take a reference to make
 * it last. */
TRIB_API struct trib_budget *trib_channel_budget(const struct trib_channel *channel);

/* From now on fn(arg) runs whenever bytes of the budget are let go, on the thread that does so, under a lock: it may wake somebody, and must neither
 * block nor release anything. One for each budget; NULL ends it, and it does not run any more then. */
TRIB_API void trib_budget_on_release(struct trib_budget *budget, void (*fn)(void *arg), void *arg);

/* ---- Wrapping -------------------------------------------------------------------------------------------------
 * The slots of a channel, with the defaults of the optional ones, for a transport that puts itself around another channel (trace
 * is one). Whoever calls these leaves that channel's reader and writer alone. */
TRIB_API unsigned trib_channel_capabilities(const struct trib_channel *channel);
TRIB_API int trib_channel_recv(struct trib_channel *channel, const struct trib_want *want, struct trib_view *ret_view,
                               unsigned *ret_flags, struct trib_error *err);
TRIB_API int trib_channel_send(struct trib_channel *channel, const struct trib_send *send, size_t *ret_bytes,
                               struct trib_error *err);
TRIB_API int trib_channel_finish(struct trib_channel *channel, int status, const char *text, int64_t deadline,
                                 struct trib_error *err);
TRIB_API int trib_channel_watch(struct trib_channel *channel, struct event_base *base, enum trib_direction direction,
                                trib_ready_fn *fn, void *arg, struct trib_error *err);

/* ---- The listener's table ------------------------------------------------------------------------------------- */
struct trib_listener_ops {
    size_t size;
    const char *name;
    /* 0.1, required */

    /* The next peer's channel, made with the options that listen was given. TRIB_AGAIN, TRIB_ERR_TIMEOUT: none yet.
     * TRIB_ERR_CANCELLED: after cancel. A peer that was refused or left again is skipped, not reported. Lack of descriptors, or
     * of memory in the system: waits a little and tries again within the deadline, then TRIB_ERR_IO. No memory for the channel:
     * TRIB_ERR_NOMEM, and the peer is the next call's. The listener stays usable. */
    int (*accept)(void *self, int64_t deadline, struct trib_channel **ret_channel, struct trib_error *err);
    void (*cancel)(void *self); /* any thread; sticky; wakes accept */
    void (*close)(void *self);  /* idempotent; takes the address away */
    void (*free)(void *self);
    /* optional */
    int (*watch)(void *self, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err); /* 0.1 */
    const char *(*address)(void *self); /* 0.1; the URI that peers dial, valid until free; NULL: unknown */
};
#define TRIB_LISTENER_OPS_SIZE_0_1 offsetof(struct trib_listener_ops, watch)

/* As trib_channel_new(). */
TRIB_API int trib_listener_new(const struct trib_listener_ops *ops, void *self /* takes */, struct trib_listener **ret_listener,
                               struct trib_error *err);

/* ---- The transport's table ------------------------------------------------------------------------------------
 * One const object per transport; its name is the scheme of its URIs. */
struct trib_uri;

struct trib_transport {
    size_t size;
    const char *scheme;    /* "unix" */
    unsigned capabilities; /* of its channels */
    /* 0.1; NULL: TRIB_ERR_UNSUPPORTED. `uri` has this scheme and is valid during the call; unknown parameters are refused by the
     * transport (trib_uri_known). `options` is never NULL. */
    int (*dial)(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_channel **ret_channel,
                struct trib_error *err);
    int (*listen)(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                  struct trib_error *err);
    /* Two connected channels in this process, without an address: what the conformance suite uses where there is no listener. */
    int (*pair)(const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                struct trib_error *err);
};
#define TRIB_TRANSPORT_SIZE_0_1 sizeof(struct trib_transport)

/* What a module that is loaded at run time (`tributary --transport ./x.so`) exports under this name. */
#define TRIB_TRANSPORT_MODULE "trib_transport_module"
typedef const struct trib_transport *trib_transport_module_fn(void);

TRIB_END_DECLS

#endif

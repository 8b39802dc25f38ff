/* What the files of the gRPC transport share: the connection, its streams, and what passes between them. */
#ifndef TRIBUTARY_GRPC_INTERNAL_H
#define TRIBUTARY_GRPC_INTERNAL_H

#include <tributary/grpc.h>
#include <tributary/transport.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include <nghttp2/nghttp2.h>

#include "transports/grpc/wire-internal.h"
#include "transports/wake-internal.h"

enum {
    TRIBI_GRPC_PREFIX = 5,          /* of a message: a flag and its length */
    TRIBI_GRPC_FRAME_HEADER = 9,    /* of HTTP/2 */
    TRIBI_GRPC_PIECES = 1024,       /* what one system call takes (IOV_MAX) */
    TRIBI_GRPC_PLACE_MIN = 16384,   /* wants from here on are received where they stay */
    TRIBI_GRPC_AHEAD_MAX = 256 << 10,
    TRIBI_GRPC_AHEAD_MIN = 4096,
    TRIBI_GRPC_SETTING_TRAILERS = 0x7472, /* a setting of ours: the server reads trailers of requests */
    TRIBI_GRPC_INITIAL_WINDOW = 65535,
    TRIBI_GRPC_WINDOW_SUM = 256 << 20,
    TRIBI_GRPC_WINDOW_QUANTUM = 16384, /* a window is not opened by less */
    TRIBI_GRPC_FRAME_MAX = (256 << 10) + 4096, /* some messages of a power of two, with what stands in front of them */
    TRIBI_GRPC_TAKEN_EARLY = 256 << 10, /* by a stream, before they are sent */
    TRIBI_GRPC_GATHER_MAX = 256 << 10, /* sent at once */
    TRIBI_GRPC_GATHER_LEAST = 16 << 10 /* frames are made of so much; of less, when the event has been handled */
};
#define TRIBI_GRPC_CONNECTION_WINDOW INT32_MAX

struct event;
struct tribi_grpc_conn;

/* ---- What is to be sent ---------------------------------------------------------------------------------------- */

/* A span with one reference to its holder. `owner`: the stream whose bytes these are, which counts them when they have left, but for the first
 * `lead` of them, which are gRPC's own. */
struct tribi_grpc_piece {
    struct trib_view view;
    struct trib_grpc_call *owner;
    unsigned lead;
    bool begins; /* a message */
    bool room;   /* in front of it, of ours, for the header of the frame that begins with it */
};

/* A growing ring of them. */
struct tribi_grpc_pieces {
    struct tribi_grpc_piece *ring;
    struct tribi_grpc_piece *few; /* the one that it began with, if that is somebody else's memory */
    size_t first, count, capacity;
    size_t bytes;
};

static inline struct tribi_grpc_piece *tribi_grpc_pieces_at(const struct tribi_grpc_pieces *pieces, size_t index)
{
    return &pieces->ring[(pieces->first + index) & (pieces->capacity - 1)];
}

int tribi_grpc_pieces_grow(struct tribi_grpc_pieces *pieces, size_t extra);
static inline int tribi_grpc_pieces_reserve(struct tribi_grpc_pieces *pieces, size_t extra)
{
    return pieces->capacity - pieces->count >= extra ? TRIB_OK : tribi_grpc_pieces_grow(pieces, extra);
}

/* After reserve. By value: written where it stays, and not on the stack first. */
static inline void tribi_grpc_pieces_push(struct tribi_grpc_pieces *pieces, struct tribi_grpc_piece piece)
{
    pieces->bytes += piece.view.len;
    *tribi_grpc_pieces_at(pieces, pieces->count++) = piece;
}

void tribi_grpc_pieces_pop(struct tribi_grpc_pieces *pieces, size_t bytes); /* from the front; lets go */
/* Makes the last piece longer where that is nobody's and these bytes go on where it ends; else as push. Takes the reference. */
void tribi_grpc_pieces_extend(struct tribi_grpc_pieces *pieces, struct trib_view view);
/* The first `bytes` go over to the end of another ring, after reserve there; returns how many pieces of an owner that made. */
size_t tribi_grpc_pieces_move(struct tribi_grpc_pieces *pieces, size_t bytes, struct tribi_grpc_pieces *to);
size_t tribi_grpc_pieces_fit(const struct tribi_grpc_pieces *pieces, size_t most); /* bytes, cut between two messages if that is not much less */
void tribi_grpc_pieces_done(struct tribi_grpc_pieces *pieces);

/* ---- What was received ----------------------------------------------------------------------------------------- */

/* Bytes for the reader, with one reference to their holder, or only a mark. */
struct tribi_grpc_entry {
    struct trib_view view;
    unsigned flags;  /* TRIB_RECV_MARK */
    size_t headroom; /* free bytes in front of the view, in its block */
    bool compressed; /* as it came: to be inflated when the reader takes it */
};

struct tribi_grpc_poke;

/* How many bytes of a stream are held by views on blocks that are not charged to its budget. Outlives the stream. */
struct tribi_grpc_credit {
    atomic_int refs;
    atomic_size_t held;
    atomic_size_t leases; /* so many views, and */
    atomic_size_t pinned; /* blocks of the connection that those views keep from being used again, whole */
    atomic_bool thirsty; /* were less held, the window would be opened */
    struct tribi_grpc_poke *poke;
};

/* Where the next payload of a stream belongs: a block that is being filled. */
struct tribi_grpc_place {
    struct trib_chunk *block; /* NULL: none */
    uint8_t *at;
    size_t room;
    size_t headroom;
    bool charged; /* to the budget, by trib_want_alloc */
    bool ahead;   /* larger than what was wanted: it does not outlive the message */
};

struct tribi_grpc_inflate;
struct tribi_grpc_deflate;

struct tribi_grpc_in {
    uint8_t prefix[TRIBI_GRPC_PREFIX];
    unsigned prefix_len; /* bytes of it that came */
    uint64_t left;       /* of the message */
    bool in_message;
    bool compressed;     /* the message */
    bool read_compressed; /* the one that was handed out last */
    struct tribi_grpc_entry *entries;
    size_t first, count, capacity;
    size_t queued; /* bytes in entries, */
    size_t zipped; /* and of them those that are compressed, */
    size_t zips;   /* in so many entries */
    struct tribi_grpc_place place;
    size_t skew;    /* where in a message the reader's aligned wants begin, and */
    size_t align;   /* on what */
    size_t wanted;  /* bytes that the reader waits for */
    uint64_t got;   /* payload bytes of this message that came */
    struct trib_chunk *lease;       /* holder of the newest entry, if that is a part of lease_block; compared only */
    struct trib_chunk *keep;        /* the same, with a reference, while the reader waits for what follows in the block */
    struct trib_chunk *lease_block;
    void *lease_arg;
    struct trib_chunk *spill;       /* where few bytes are copied to, with a reference; */
    size_t spill_used;              /* so many have been */
    struct tribi_grpc_inflate *inflate;
    uint64_t copied; /* payload that was moved because it had come to another place than where it belongs */
};

struct tribi_grpc_out {
    struct tribi_grpc_pieces pieces; /* committed, not yet given to HTTP/2 */
    bool open;              /* inside a message */
    uint64_t left;          /* of it that is not committed */
    uint64_t committed;     /* payload that is in our hands, counted from the start; */
    uint64_t sent;          /* of it, what the kernel has; */
    uint64_t told;          /* and what the writer knows to be taken */
    unsigned in_conn;       /* pieces in the connection's list */
    bool refused;           /* the peer had all it wanted, and reads no more */
    bool trailers;          /* the end is a block of headers, which has been submitted; */
    bool trailing;          /* or is to be, as soon as the last of the pieces has gone */
    bool deferred;          /* HTTP/2 waits for more */
    bool submitted;         /* headers were handed to HTTP/2 */
    bool finishing, end_queued;
    bool end_waits;         /* somebody waits for that to leave: the stream is in the list of those */
    struct trib_grpc_call *end_next, **end_link;
    uint64_t end_at;        /* conn->out_queued when the end had been queued */
    int status;
    const char *text;       /* for the peer; in the memory of `farewell`, NULL: none */
    struct tribi_grpc_deflate *deflate;
};

/* Besides the two of enum trib_direction: the call has ended, however. */
enum { TRIBI_GRPC_ENDED = 2, TRIBI_GRPC_SIDES = 3 };

/* One of the ways to wait on a stream. */
struct tribi_grpc_side {
    struct trib_grpc_call *stream;
    bool waiting;             /* a thread sleeps */
    bool slept;               /* one has: */
    pthread_cond_t cond;      /* it was made then */
    struct tribi_grpc_side *next, **link; /* among those that sleep */
    trib_ready_fn *fn;        /* armed */
    bool soon;                /* and due, whether or not there is something to do */
    void *arg;
    struct event_base *base;  /* where fn runs; NULL: it was never armed */
    struct tribi_grpc_side *due_next, **due_link; /* among those whose fn is to run */
};

struct trib_grpc_call {
    struct tribi_grpc_conn *conn; /* one reference */
    int32_t id;
    bool solo;                    /* the connection was made for it */
    struct trib_channel *channel;
    struct trib_budget *budget;
    struct tribi_grpc_credit *credit;
    bool reads;                   /* somebody does: the window is given back */
    size_t extra;                 /* that the window is open, and is held, beyond the first one */
    size_t open, since;           /* how far it was open at the last look, and what came since */
    size_t top;                   /* how far the last grant opened it */
    struct trib_grpc_call *thirsty_next, **thirsty_link; /* of the connection; NULL: it is not */
    struct trib_grpc_call *next, **link; /* of the connection */
    struct tribi_grpc_side sides[TRIBI_GRPC_SIDES];        /* by enum trib_direction */
    struct tribi_grpc_in in;
    struct tribi_grpc_out out;

    struct tribi_grpc_metadata received;  /* headers of the peer */
    struct tribi_grpc_metadata trailers;  /* of the peer */
    struct tribi_grpc_metadata response;  /* ours, to be sent first */
    struct tribi_grpc_metadata farewell;  /* ours, to be sent last */
    char *path;          /* in the memory of the client's headers */
    bool headers_done;   /* the peer's first headers are complete */
    bool response_final; /* the header block under way is no informational one */
    unsigned header_bytes;
    int http_status;
    bool is_post, is_head, is_grpc, bad_timeout, bad_metadata;
    int grpc_status;     /* of the peer's trailers; -1: none */
    char *grpc_message;
    int encoding;        /* enum tribi_grpc_encoding of what comes */
    bool accepts_gzip, wants_gzip, compressing;
    int64_t deadline;    /* of the call */
    struct event *timer; /* of a server with a base */

    atomic_bool cancelled;
    bool closed;         /* HTTP/2 knows it no more */
    bool gone;           /* its channel was closed */
    bool incoming;       /* waits to be accepted */
    struct trib_grpc_call *incoming_next;
    bool ignores;        /* what still comes is dropped: the answer was given */
    bool refused;        /* no gRPC: an answer in HTTP's own words waits for its end */
    bool orphan;         /* its channel has gone, or never came to be */
    bool remote_end;     /* the peer sends no more */
    bool reset_sent;
    int failed;          /* what the reader gets after what is queued; 0: nothing */
    uint64_t waits;
    /* From here on nothing is set to zero. */
    struct tribi_grpc_entry few_entries[2];
    struct tribi_grpc_piece few_pieces[4];
    struct trib_error failure;
};

/* ---- The connection --------------------------------------------------------------------------------------------- */

/* Where in the stream of frames the bytes are that come next. */
struct tribi_grpc_scan {
    unsigned preface;     /* bytes of the client's preface still to come */
    uint8_t header[TRIBI_GRPC_FRAME_HEADER];
    unsigned header_len;
    uint32_t left;        /* of the frame's payload, */
    uint32_t length;      /* which has so many bytes; */
    uint32_t data_length; /* and that of the DATA frame before */
    uint8_t type, flags;
    int32_t stream_id;
};

struct tribi_grpc_owner; /* a listener or server */

/* What comes during a round trip. */
struct tribi_grpc_flow {
    size_t goal;    /* of the window of a stream that is read */
    uint64_t bytes; /* since the last PING, or its answer */
    unsigned rest;  /* so many halves of the goal pass between two measurements */
    unsigned quiet; /* measurements that did not raise the goal */
    bool asked;
};

/* What is due by the clock; 0: nothing is. */
struct tribi_grpc_clock {
    int64_t ping_at;     /* the next look whether the peer lives */
    uint64_t heard;      /* bytes that had come at the last one */
    bool asked;          /* a PING was sent at it */
    int64_t frame_at;    /* the next look whether a frame is stuck */
    uint64_t frames;     /* that had come at the last one */
    bool inside;         /* it was inside a frame */
    int64_t goodbye_at;  /* the last GOAWAY of a drain */
    int64_t pinged_at;   /* when the peer's last PING came, */
    unsigned strikes;    /* and how many came too soon */
    struct event *event; /* of the base */
};

struct tribi_grpc_conn {
    pthread_mutex_t lock; /* of all below, and of all its streams */
    unsigned refs;        /* streams with a channel, an owner, a client; under the lock */
    int fd;
    bool server, local;
    const struct trib_channel_ops *ops;  /* of its channels */
    nghttp2_session *session;
    struct trib_channel_options options; /* of its channels */
    struct trib_grpc_settings settings;
    struct tribi_grpc_clock clock;
    struct trib_grpc_call *streams;   /* all, with or without a channel */
    unsigned stream_count;
    struct trib_grpc_call *near;      /* the one that HTTP/2 spoke of last; NULL: none, or it is known no more */
    struct trib_grpc_call *incoming_first, **incoming_last; /* complete headers, not yet accepted */

    /* in */
    struct trib_chunk *scratch;
    size_t scratch_fill;
    size_t ahead;
    bool more;                    /* the last system call brought as much as it could */
    struct tribi_grpc_scan scan;
    uint8_t first[NGHTTP2_CLIENT_MAGIC_LEN]; /* bytes that came; a server's clients begin with the preface */
    unsigned first_len;
    uint64_t received;            /* bytes, */
    uint64_t frames;              /* and whole frames, or blocks of headers */
    struct trib_chunk *fed_block; /* the block that the fed bytes lie in; NULL: they must be copied */
    bool fed_copied;              /* they were copied there for that: what of them is payload, its stream counts */
    struct tribi_grpc_flow flow;
    uint32_t told_window, told_frame; /* settings that the peer was sent */
    struct tribi_grpc_poke *poke;
    size_t extra;                 /* sum of the streams' */
    struct trib_grpc_call *thirsty; /* those whose credit says so */
    int64_t sum_again_at;         /* when the sum of the streams' may be made anew */
    bool writers_due;             /* the window of the connection, or the first window of streams, has been opened */
    bool in_ended;

    /* out */
    struct tribi_grpc_pieces out;
    struct trib_chunk *small;
    size_t small_used;
    uint64_t out_queued, out_sent;
    bool out_broken;
    bool pumping;
    bool quiet; /* HTTP/2 had nothing more to say, and was told nothing since */
    struct trib_grpc_call *ends; /* whose end_waits */

    /* state */
    bool finished;         /* HTTP/2 has nothing more to say */
    bool lost;             /* nothing comes or goes any more */
    bool hostile;          /* was told to calm down: closed as soon as that has left */
    bool draining;         /* we said that we shall say GOAWAY */
    bool going_away;       /* we said GOAWAY */
    bool peer_going_away;
    bool got_settings;
    bool peer_reads_trailers;
    struct trib_error loss;
    uint32_t broken;       /* the error with which libnghttp2 gave the peer up, and why; 0: it has not */
    char broken_why[64];
    unsigned pings, empty_frames, junk; /* without data between them */
    int32_t newest, skipped;            /* streams that the client began: the last one; the last that it passed over */
    int32_t ended[256];                 /* by the client, lately, with RST_STREAM or in order; by half their numbers */
    bool late;                          /* and it went on nevertheless */
    int64_t pings_since, junk_since;

    /* waiting */
    struct tribi_grpc_side *sleepers;
    bool driving;          /* a thread polls */
    struct tribi_grpc_side *driver; /* for which it waits */
    struct tribi_wake wake;         /* out of poll; made when it is needed first */
    bool rung;
    unsigned spin_misses, spin_skip; /* looks in vain, one after the other; so many times none is taken */

    /* events */
    struct event_base *base;
    pthread_t base_thread;
    unsigned armed;        /* watches, and an owner that serves from the base */
    bool base_owned;       /* the base drives, so others need not */
    struct event *readable, *writable, *woken;
    bool writable_added;
    struct tribi_wake bell;         /* to the base */
    struct tribi_grpc_side *due_first, **due_last; /* sides whose callback is to run */
    unsigned due;
    bool handling;                  /* the base handles an event: what is to be sent from there is gathered meanwhile */
    bool looking;                   /* and looks, without the lock, whether more comes (spin.c) */

    /* its owner */
    struct tribi_grpc_owner *owner; /* NULL: none (any more) */
    struct tribi_grpc_conn *next, **link;
    uint64_t calls_in, calls_out;
};

/* The session, for a call after which HTTP/2 may have something to say. */
static inline nghttp2_session *tribi_grpc_stirred(struct tribi_grpc_conn *conn)
{
    conn->quiet = false;
    return conn->session;
}

/* conn.c: life */
int tribi_grpc_conn_new(int fd, bool server, const struct trib_channel_ops *ops, const struct trib_channel_options *options,
                        struct tribi_grpc_conn **ret_conn, struct trib_error *err);
void tribi_grpc_conn_ref(struct tribi_grpc_conn *conn);            /* under the lock */
void tribi_grpc_conn_unref_unlock(struct tribi_grpc_conn *conn);   /* under the lock, which is given back; the last one closes */
void tribi_grpc_conn_fail(struct tribi_grpc_conn *conn, int code, int sys_errno, const char *why); /* under the lock */
/* What HTTP/2 was told, and could not note for want of memory, would be missing for ever: then the connection fails. */
bool tribi_grpc_noted(struct tribi_grpc_conn *conn, int submitted);
void tribi_grpc_conn_broken(struct tribi_grpc_conn *conn, const char *why); /* likewise; the peer broke HTTP/2, or speaks something else */
/* The peer has closed it. */
void tribi_grpc_conn_ended(struct tribi_grpc_conn *conn, int sys_errno);
bool tribi_grpc_conn_peer(const struct tribi_grpc_conn *conn, struct trib_peer *ret_peer); /* false: unknown, and as it was */
void tribi_grpc_conn_goaway(struct tribi_grpc_conn *conn, uint32_t code);
void tribi_grpc_conn_drain(struct tribi_grpc_conn *conn);           /* GOAWAY in two steps: what the peer began meanwhile is served */
void tribi_grpc_conn_calm(struct tribi_grpc_conn *conn, const char *what); /* GOAWAY with ENHANCE_YOUR_CALM; the end */
void tribi_grpc_settle(struct tribi_grpc_conn *conn);              /* after receiving or sending: has HTTP/2 ended? */

/* spin.c: looks for at most spin_us, letting go of the lock meanwhile; true: something of that came. */
bool tribi_grpc_spin(struct tribi_grpc_conn *conn, struct pollfd *polled, unsigned count);

/* drive.c: who moves the bytes. All under the lock. */
void tribi_grpc_pump(struct tribi_grpc_conn *conn);                /* what can be done without waiting */
/* Waits once for news of the side, driving the connection if nobody else does. TRIB_ERR_TIMEOUT: the deadline passed. */
int tribi_grpc_wait(struct tribi_grpc_side *side, int64_t deadline, struct trib_error *err);
void tribi_grpc_hand_over(struct tribi_grpc_conn *conn);           /* who waited leaves: another one drives */
bool tribi_grpc_base_drives(const struct tribi_grpc_conn *conn);   /* and this is not its thread */
bool tribi_grpc_gathers(const struct tribi_grpc_conn *conn);       /* this thread handles an event: it sends at the end of that */
void tribi_grpc_ring(struct tribi_grpc_conn *conn);                /* the base looks again */
void tribi_grpc_notify(struct trib_grpc_call *stream, enum trib_direction direction);
void tribi_grpc_notify_writers(struct tribi_grpc_conn *conn);
int tribi_grpc_watch(struct tribi_grpc_side *side, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err);
int tribi_grpc_bind(struct tribi_grpc_conn *conn, struct event_base *base, struct trib_error *err);
void tribi_grpc_unbind(struct tribi_grpc_conn *conn);
void tribi_grpc_want_out(struct tribi_grpc_conn *conn);           /* after flush: what is left waits for the socket */
bool tribi_grpc_side_ready(struct tribi_grpc_side *side);

/* clock.c: what is done by the time. All under the lock. */
void tribi_grpc_configure(struct tribi_grpc_conn *conn, const struct trib_grpc_settings *settings); /* NULL: the defaults */
int64_t tribi_grpc_clock_due(const struct tribi_grpc_conn *conn);  /* when to look; TRIB_FOREVER: never */
void tribi_grpc_clock_look(struct tribi_grpc_conn *conn);          /* after all that can be read was read */
void tribi_grpc_pinged(struct tribi_grpc_conn *conn, bool answer, const uint8_t *opaque); /* a PING came */
void tribi_grpc_clock_arm(struct tribi_grpc_conn *conn);           /* drive.c: on the base, if there is one */

/* in.c, under the lock: one system call. TRIB_OK: bytes came; TRIB_AGAIN; else the connection is lost. */
int tribi_grpc_receive(struct tribi_grpc_conn *conn);
int tribi_grpc_deliver(struct trib_grpc_call *stream, const uint8_t *data, size_t len);
int tribi_grpc_push(struct trib_grpc_call *stream, struct trib_view view, unsigned flags, size_t headroom); /* takes the reference; tells nobody */
void tribi_grpc_place_drop(struct trib_grpc_call *stream);

/* lend.c: len > 0 bytes of the message under way; the mark of its end goes with its last bytes */
int tribi_grpc_payload(struct trib_grpc_call *stream, const uint8_t *data, size_t len, bool last);

/* out.c, under the lock */
void tribi_grpc_flush(struct tribi_grpc_conn *conn);
void tribi_grpc_flush_later(struct tribi_grpc_conn *conn); /* where others will send soon, only frames are made */
/* Room for len bytes, which whoever filled it takes with _small_taken(): the view has a reference. */
uint8_t *tribi_grpc_small_room(struct tribi_grpc_conn *conn, size_t len);
struct trib_view tribi_grpc_small_taken(struct tribi_grpc_conn *conn, size_t len);
int tribi_grpc_small(struct tribi_grpc_conn *conn, const void *data, size_t len, struct trib_view *ret_view);
void tribi_grpc_disown(struct tribi_grpc_conn *conn, struct trib_grpc_call *stream);

/* window.c, under the lock but for _released */
void tribi_grpc_stream_grant(struct trib_grpc_call *stream, size_t wanted);
void tribi_grpc_stream_received(struct trib_grpc_call *stream, size_t len); /* bytes of its window */
void tribi_grpc_stream_shut(struct trib_grpc_call *stream);     /* nothing more may come */
void tribi_grpc_stream_thirsts(struct trib_grpc_call *stream, bool thirsts); /* a release may open its window */
void tribi_grpc_flow_received(struct tribi_grpc_conn *conn, size_t len);
bool tribi_grpc_flow_answered(struct tribi_grpc_conn *conn, const uint8_t *opaque); /* a PING's answer: was it ours? */
struct tribi_grpc_credit *tribi_grpc_credit_new(struct tribi_grpc_poke *poke);
void tribi_grpc_credit_unref(struct tribi_grpc_credit *credit);
void tribi_grpc_credit_hold(struct tribi_grpc_credit *credit, size_t bytes, size_t pinned); /* a view more, */
void tribi_grpc_credit_hold_more(struct tribi_grpc_credit *credit, size_t bytes);           /* or a longer one */
void tribi_grpc_credit_let_go(struct tribi_grpc_credit *credit, size_t bytes, size_t pinned); /* any thread; say tribi_grpc_credit_released() then */
bool tribi_grpc_credit_may_pin(const struct tribi_grpc_credit *credit, size_t bytes, size_t block, size_t budget);
void tribi_grpc_credit_released(void *credit);                   /* any thread: less is held */
void tribi_grpc_look_for_releases(struct tribi_grpc_conn *conn);
/* To be called when `driving`, `base` or `handling` has changed. True: something was released that nobody has looked at yet. */
bool tribi_grpc_falls_asleep(struct tribi_grpc_conn *conn);
struct tribi_grpc_poke *tribi_grpc_poke_new(const struct tribi_wake *wake, const struct tribi_wake *bell);
void tribi_grpc_poke_end(struct tribi_grpc_poke *poke);          /* the connection goes */
void tribi_grpc_poke_lock(struct tribi_grpc_poke *poke);         /* while the descriptors of the two change */
void tribi_grpc_poke_unlock(struct tribi_grpc_poke *poke);

/* session.c */
int tribi_grpc_session_new(struct tribi_grpc_conn *conn, struct trib_error *err);
void tribi_grpc_session_resize(struct tribi_grpc_conn *conn); /* tells the peer of windows and frames, if that is news */
extern const nghttp2_data_source_read_callback tribi_grpc_source;

/* stream.c */
extern const struct trib_channel_ops tribi_grpc_unix_ops, tribi_grpc_tcp_ops;
int tribi_grpc_stream_new(struct tribi_grpc_conn *conn, struct trib_grpc_call **ret_stream, struct trib_error *err);
void tribi_grpc_stream_free(struct trib_grpc_call *stream); /* under the lock */
void tribi_grpc_stream_end_waits(struct trib_grpc_call *stream, bool waits);
void tribi_grpc_drop_received(struct trib_grpc_call *stream);
void tribi_grpc_stream_empty(struct trib_grpc_call *stream); /* lets go of what was received and what was to be sent */
/* The stream has failed here: the reader gets `code` after what is queued, the peer `status`. The first failure counts. */
void tribi_grpc_stream_fail(struct trib_grpc_call *stream, int code, int status, const char *format, ...) TRIB_PRINTF(4, 5);
/* It has failed there, or between: nothing is sent. */
void tribi_grpc_stream_lost(struct trib_grpc_call *stream, int code, int status, const char *format, ...) TRIB_PRINTF(4, 5);
void tribi_grpc_stream_reset(struct trib_grpc_call *stream, uint32_t code);
void tribi_grpc_stream_says(struct trib_grpc_call *stream, const char *text); /* at the end, to the peer; NULL: nothing */
/* Ends our side with these trailers; a response that was not begun is trailers only. */
void tribi_grpc_stream_end(struct trib_grpc_call *stream, int status, const char *text);
int tribi_grpc_stream_channel(struct trib_grpc_call *stream, struct trib_channel **ret_channel, struct trib_error *err);

/* channel.c */
bool tribi_grpc_overdue(struct trib_grpc_call *stream); /* whether the call's own deadline has passed; then it has failed */
int tribi_grpc_cancelled(const char *operation, struct trib_error *err);
bool tribi_grpc_is_cancelled(struct trib_grpc_call *stream);
int64_t tribi_grpc_until(const struct trib_grpc_call *stream, int64_t deadline); /* the end of the call comes before that of the wait */
void tribi_grpc_look(struct tribi_grpc_conn *conn, int64_t deadline);
bool tribi_grpc_place_fits(struct tribi_grpc_place *place, const struct trib_want *want); /* then it begins where the want does */
int tribi_grpc_check_limit(struct trib_grpc_call *stream, const struct trib_want *want, struct trib_error *err);
/* A new one, with so much more room than is wanted, as far as the budget goes. */
int tribi_grpc_place_make(struct trib_grpc_call *stream, const struct trib_want *want, size_t ahead, struct trib_error *err);

/* send.c */
int tribi_grpc_can_send(struct trib_grpc_call *stream, struct trib_error *err);
int tribi_grpc_offer(struct trib_grpc_call *stream); /* lets HTTP/2 know that there is more */
int tribi_grpc_send(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err);

/* headers.c */
int tribi_grpc_submit_request(struct trib_grpc_call *stream, const char *authority, struct trib_error *err);
int tribi_grpc_submit_response(struct trib_grpc_call *stream, bool trailers_only);
int tribi_grpc_submit_trailers(struct trib_grpc_call *stream);
int tribi_grpc_on_header(struct trib_grpc_call *stream, const uint8_t *name, size_t name_len, const uint8_t *value,
                         size_t value_len, bool trailers);
void tribi_grpc_headers_complete(struct trib_grpc_call *stream, bool end);
void tribi_grpc_trailers_complete(struct trib_grpc_call *stream);
void tribi_grpc_refuse(struct trib_grpc_call *stream); /* answers one that was refused, if nothing has yet */

/* coding.c: gzip */
int tribi_grpc_keep_compressed(struct trib_grpc_call *stream, const uint8_t *data, size_t len, bool last);
/* The first entry, which is compressed, becomes a view. TRIB_AGAIN: its bytes are used up and gave none, or the stream has failed. */
int tribi_grpc_inflate_next(struct trib_grpc_call *stream, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                            struct trib_error *err);
void tribi_grpc_inflate_free(struct tribi_grpc_inflate *inflate);
int tribi_grpc_deflate_views(struct trib_grpc_call *stream, const struct trib_send *send, size_t total);
void tribi_grpc_deflate_free(struct tribi_grpc_deflate *deflate);

/* address.c */
struct trib_uri;
int tribi_grpc_method(const struct trib_uri *uri, const char **ret_method, struct trib_error *err); /* NULL: none is given */
int tribi_grpc_connect_to(const struct trib_uri *uri, const struct trib_channel_options *options, int *ret_fd, struct trib_error *err);

#endif

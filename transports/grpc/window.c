/* Windows: how much the peer may send on a stream, and when it may send more.
 *
 * A stream begins with a small window. From its first read on it is given back up to a goal, less what the reader's side holds: the goal grows
 * with what comes during a round trip, as a PING measures it, up to the budget of the channel; a read that waits for more than that opens the
 * window as far as it needs. Released bytes are given back at once, whoever releases them: a stream that would be given more were less held is
 * thirsty, and then a release wakes whoever drives the connection.
 *
 * The window of the connection is given back as bytes come, so that it never holds a stream back: what all streams may send beyond their first
 * windows, and hold beyond that, has a bound of its own, and the two together with a reserve stay below it. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <string.h>
#include <sys/param.h>

enum { LEAST_MAX = 1 << 20, IDLE_ROUNDS = 4, RESTS_MAX = 1024, PINNED_MAX = 64 << 20, SUM_AGAIN_MS = 10, SUM_TIMES = 32 };
enum { LEASE_COST = 256 }; /* of the smallest block, and what knows of it: empty batches are not free */
static const uint8_t measuring_ping[8] = "tribflow";

/* ---- Releases ------------------------------------------------------------------------------------------------------ */

/* What a release on any thread may touch, whatever has become of the connection meanwhile. */
struct tribi_grpc_poke {
    atomic_int refs;
    atomic_bool due;
    atomic_bool asleep; /* whoever drives the connection, so that it has to be woken; else it looks before it falls asleep */
    atomic_size_t held, pinned; /* by all its streams, as in struct tribi_grpc_credit */
    pthread_mutex_t lock;
    const struct tribi_wake *wake, *bell; /* of the connection; NULL: it has gone */
};

struct tribi_grpc_poke *tribi_grpc_poke_new(const struct tribi_wake *wake, const struct tribi_wake *bell)
{
    struct tribi_grpc_poke *poke = trib_alloc(sizeof(*poke));

    if (poke == NULL)
        return NULL;
    atomic_init(&poke->refs, 1);
    pthread_mutex_init(&poke->lock, NULL);
    poke->wake = wake;
    poke->bell = bell;
    return poke;
}

static void poke_unref(struct tribi_grpc_poke *poke)
{
    if (poke == NULL || atomic_fetch_sub(&poke->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&poke->lock);
    trib_free(poke);
}

void tribi_grpc_poke_end(struct tribi_grpc_poke *poke)
{
    if (poke == NULL)
        return;
    pthread_mutex_lock(&poke->lock);
    poke->wake = poke->bell = NULL;
    pthread_mutex_unlock(&poke->lock);
    poke_unref(poke);
}

void tribi_grpc_poke_lock(struct tribi_grpc_poke *poke)
{
    pthread_mutex_lock(&poke->lock);
}

void tribi_grpc_poke_unlock(struct tribi_grpc_poke *poke)
{
    pthread_mutex_unlock(&poke->lock);
}

struct tribi_grpc_credit *tribi_grpc_credit_new(struct tribi_grpc_poke *poke)
{
    struct tribi_grpc_credit *credit = trib_alloc(sizeof(*credit));

    if (credit == NULL)
        return NULL;
    atomic_init(&credit->refs, 1);
    credit->poke = poke;
    atomic_fetch_add(&poke->refs, 1);
    return credit;
}

void tribi_grpc_credit_unref(struct tribi_grpc_credit *credit)
{
    if (atomic_fetch_sub(&credit->refs, 1) != 1)
        return;
    poke_unref(credit->poke);
    trib_free(credit);
}

void tribi_grpc_credit_hold(struct tribi_grpc_credit *credit, size_t bytes, size_t pinned)
{
    atomic_fetch_add_explicit(&credit->leases, 1, memory_order_relaxed);
    tribi_grpc_credit_hold_more(credit, bytes);
    atomic_fetch_add_explicit(&credit->pinned, pinned, memory_order_relaxed);
    atomic_fetch_add_explicit(&credit->poke->pinned, pinned, memory_order_relaxed);
}

void tribi_grpc_credit_hold_more(struct tribi_grpc_credit *credit, size_t bytes)
{
    atomic_fetch_add_explicit(&credit->held, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&credit->poke->held, bytes, memory_order_relaxed);
}

void tribi_grpc_credit_let_go(struct tribi_grpc_credit *credit, size_t bytes, size_t pinned)
{
    atomic_fetch_sub(&credit->held, bytes);
    atomic_fetch_sub_explicit(&credit->leases, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&credit->poke->held, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&credit->pinned, pinned, memory_order_relaxed);
    atomic_fetch_sub_explicit(&credit->poke->pinned, pinned, memory_order_relaxed);
}

/* A view of a few bytes keeps a whole block from being used again. That is no harm while it is let go soon; but what a stream leaves lying may pin
 * half its budget, and all of a connection PINNED_MAX, besides as much as they hold. */
bool tribi_grpc_credit_may_pin(const struct tribi_grpc_credit *credit, size_t bytes, size_t block, size_t budget)
{
    const struct tribi_grpc_poke *poke = credit->poke;
    size_t mine = atomic_load_explicit(&credit->pinned, memory_order_relaxed), held = atomic_load_explicit(&credit->held, memory_order_relaxed);
    size_t all = atomic_load_explicit(&poke->pinned, memory_order_relaxed), all_held = atomic_load_explicit(&poke->held, memory_order_relaxed);

    return mine + block <= budget / 2 + held + bytes && all + block <= PINNED_MAX + all_held + bytes;
}

/* Any thread, perhaps under the lock of the connection, or of a budget. */
void tribi_grpc_credit_released(void *arg)
{
    struct tribi_grpc_credit *credit = arg;
    struct tribi_grpc_poke *poke = credit->poke;

    if (!atomic_load(&credit->thirsty) || atomic_exchange(&poke->due, true) || !atomic_load(&poke->asleep))
        return;
    pthread_mutex_lock(&poke->lock);
    if (poke->wake != NULL)
        tribi_wake_set(poke->wake);
    if (poke->bell != NULL)
        tribi_wake_set(poke->bell);
    pthread_mutex_unlock(&poke->lock);
}

bool tribi_grpc_falls_asleep(struct tribi_grpc_conn *conn)
{
    atomic_store(&conn->poke->asleep, conn->driving || (conn->base != NULL && (!conn->handling || conn->looking)));
    return atomic_load(&conn->poke->due);
}

void tribi_grpc_look_for_releases(struct tribi_grpc_conn *conn)
{
    if (conn->poke == NULL || !atomic_load(&conn->poke->due) || conn->lost)
        return;
    atomic_store(&conn->poke->due, false);
    for (struct trib_grpc_call *stream = conn->thirsty, *next; stream != NULL; stream = next) {
        next = stream->thirsty_next;
        tribi_grpc_stream_grant(stream, 0);
    }
}

void tribi_grpc_stream_thirsts(struct trib_grpc_call *stream, bool thirsts)
{
    atomic_store(&stream->credit->thirsty, thirsts);
    if (thirsts == (stream->thirsty_link != NULL))
        return;
    if (thirsts) {
        stream->thirsty_next = stream->conn->thirsty;
        stream->thirsty_link = &stream->conn->thirsty;
        stream->conn->thirsty = stream;
    } else {
        *stream->thirsty_link = stream->thirsty_next;
    }
    if (stream->thirsty_next != NULL)
        stream->thirsty_next->thirsty_link = thirsts ? &stream->thirsty_next : stream->thirsty_link;
    if (!thirsts)
        stream->thirsty_link = NULL;
}

/* ---- Granting ------------------------------------------------------------------------------------------------------ */

/* All that is held and what it costs to know of it, less what the place of the stream is still to take in. */
static size_t held_now(const struct trib_grpc_call *stream)
{
    size_t charged = stream->budget != NULL ? trib_budget_held(stream->budget) : 0;
    size_t costs = atomic_load(&stream->credit->leases) * LEASE_COST + stream->in.count * sizeof(struct tribi_grpc_entry);
    size_t held = charged + atomic_load(&stream->credit->held) + stream->in.zipped + costs;
    size_t room = stream->in.place.charged ? stream->in.place.room : 0;

    return held > room ? held - room : 0;
}

/* How many bytes the stream's window is open. The connection's account learns of that, and of what is held: more than the first window. */
static size_t note_open(struct trib_grpc_call *stream)
{
    struct tribi_grpc_conn *conn = stream->conn;
    int32_t open = nghttp2_session_get_stream_local_window_size(conn->session, stream->id);
    size_t all = (open > 0 ? (size_t)open : 0) + held_now(stream);
    size_t extra = all > conn->settings.window ? all - conn->settings.window : 0;

    conn->extra += extra - stream->extra;
    stream->extra = extra;
    stream->open = open > 0 ? (size_t)open : 0;
    stream->since = 0;
    return stream->open;
}

void tribi_grpc_stream_received(struct trib_grpc_call *stream, size_t len)
{
    stream->since += len;
    if (stream->extra > 0)
        note_open(stream);
}

void tribi_grpc_stream_shut(struct trib_grpc_call *stream)
{
    stream->conn->extra -= stream->extra;
    stream->extra = 0;
    tribi_grpc_stream_thirsts(stream, false);
}

/* What a stream has let go is known when it is looked at. To look at all of them takes a small part of the time, however many they are. */
static void sum_up(struct tribi_grpc_conn *conn)
{
    int64_t begin = trib_now(), took;

    if (begin < conn->sum_again_at)
        return;
    for (struct trib_grpc_call *stream = conn->streams; stream != NULL; stream = stream->next)
        if (stream->extra > 0 && !stream->closed)
            note_open(stream);
    took = trib_now() - begin;
    conn->sum_again_at = begin + SUM_AGAIN_MS * INT64_C(1000000) + SUM_TIMES * took;
}

/* What the bound on the sum of all streams leaves. */
static size_t sum_left(struct tribi_grpc_conn *conn, size_t wanted)
{
    size_t sum = conn->settings.window_sum;

    if (conn->extra + wanted > sum)
        sum_up(conn);
    return conn->extra < sum ? sum - conn->extra : 0;
}

/* As many bytes of window as the bound on the sum of all allows. Beyond that a stream has what its first window leaves of what it holds, and one whose
 * reader waits has the first window anew: so none is stalled by what others hold. */
static void grant(struct trib_grpc_call *stream, size_t open, size_t target, size_t held, size_t wanted)
{
    struct tribi_grpc_conn *conn = stream->conn;
    size_t first = open + held < conn->settings.window ? conn->settings.window - open - held : 0;
    size_t needed = wanted > 0 ? MIN(MAX(wanted, TRIBI_GRPC_WINDOW_QUANTUM), conn->settings.window) : 0;
    size_t more = MIN(target - open, MAX(sum_left(conn, target - open) + first, needed > open ? needed - open : 0));

    if (more > 0 &&
        tribi_grpc_noted(conn, nghttp2_submit_window_update(tribi_grpc_stirred(conn), NGHTTP2_FLAG_NONE, stream->id, (int32_t)more)))
        stream->top = note_open(stream);
}

/* The reader has read all, and the peer has used up what it was given at this goal: the window is too small, whatever the PINGs say. Their answers overtake the
 * DATA of a peer that stands still for want of window. */
static size_t starved(struct tribi_grpc_conn *conn, size_t goal)
{
    conn->flow.goal = MIN(2 * goal, conn->options.budget);
    conn->flow.rest = 1;
    conn->flow.quiet = 0;
    return conn->flow.goal;
}

void tribi_grpc_stream_grant(struct trib_grpc_call *stream, size_t wanted)
{
    struct tribi_grpc_conn *conn = stream->conn;
    size_t high = conn->options.budget, held, open, room, target, least;
    size_t goal = MIN(MAX(conn->flow.goal, conn->settings.window), high);

    /* Nearly always so little came since the last look that there is nothing to give back yet, whatever is held. */
    if (stream->reads && stream->since + wanted < stream->open && stream->open - stream->since + MIN(goal / 4, LEAST_MAX) > goal)
        return;
    if (stream->remote_end || stream->closed || stream->id == 0 || conn->lost || stream->ignores)
        return;
    if (!stream->reads) /* on the thread of the reader, whose releases go by unseen until then */
        trib_budget_on_release(stream->budget, tribi_grpc_credit_released, stream->credit);
    stream->reads = true;
    tribi_grpc_stream_thirsts(stream, true); /* first: what is released from here on is told, what was before is seen */
    held = held_now(stream);
    open = note_open(stream);
    room = held < high ? high - held : 0;
    if (stream->in.count == 0 && open < goal / 8 && stream->top > goal / 2 && room >= goal)
        goal = starved(conn, goal);
    if (wanted > 0 && room < TRIBI_GRPC_WINDOW_QUANTUM)
        room = MIN(TRIBI_GRPC_WINDOW_QUANTUM, high);
    target = MIN(MAX(MIN(room, goal), wanted), INT32_MAX / 4);
    least = MIN(goal / 4, LEAST_MAX);
    if (room >= goal || open >= goal)
        tribi_grpc_stream_thirsts(stream, false);
    if (target > open && (target - open >= least || wanted > open))
        grant(stream, open, target, held, wanted);
}

/* ---- The round trip ------------------------------------------------------------------------------------------------ */

/* Bytes came for a stream that is read. Once as many as the goal have come a PING goes out, and what comes until it is answered is what a round trip
 * takes; where the goal has been right for a while, measuring rests ever longer. */
void tribi_grpc_flow_received(struct tribi_grpc_conn *conn, size_t len)
{
    struct tribi_grpc_flow *flow = &conn->flow;

    flow->bytes += len;
    if (flow->asked || flow->goal >= conn->options.budget || flow->bytes < flow->goal / 2 * flow->rest)
        return;
    if (nghttp2_submit_ping(tribi_grpc_stirred(conn), NGHTTP2_FLAG_NONE, measuring_ping) == 0) {
        flow->asked = true;
        flow->bytes = 0;
    }
}

static void raise_windows(struct tribi_grpc_conn *conn)
{
    for (struct trib_grpc_call *stream = conn->streams; stream != NULL; stream = stream->next)
        if (stream->reads && stream->in.count == 0)
            tribi_grpc_stream_grant(stream, 0);
}

bool tribi_grpc_flow_answered(struct tribi_grpc_conn *conn, const uint8_t *opaque)
{
    struct tribi_grpc_flow *flow = &conn->flow;

    if (!flow->asked || memcmp(opaque, measuring_ping, sizeof(measuring_ping)) != 0)
        return false;
    flow->asked = false;
    if (flow->bytes >= flow->goal / 4) { /* so much is given back at once: who waits for that sends no more in a round trip */
        flow->goal = (size_t)MIN(2 * MAX(flow->bytes, flow->goal), conn->options.budget);
        flow->rest = 1;
        flow->quiet = 0;
        raise_windows(conn);
    } else if (++flow->quiet >= IDLE_ROUNDS && flow->rest < RESTS_MAX) {
        flow->rest *= 2;
    }
    flow->bytes = 0;
    return true;
}

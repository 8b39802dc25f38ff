/* The queue of chunks between one producer and one consumer: a ring, bounded in bytes, without a lock while nobody sleeps. */
#include <tributary/queue.h>

#include "chunk-internal.h"
#include "queue-internal.h"

#include <tributary/alloc.h>

#include <string.h>

enum {
    PATIENCE_NS = 1000000,
    ENTRIES_MAX = 65536 /* bounds what tiny chunks cost besides their bytes, which the budget counts */
};

/* At each release while the producer waits. */
static void wake_producer(void *arg)
{
    struct trib_queue *queue = arg;
    size_t high = queue->budget->high, held = trib_budget_held(queue->budget);

    if (held == 0 || held + atomic_load_explicit(&queue->room_wanted, memory_order_relaxed) <= high)
        tribi_gate_notify(&queue->room);
}

static int init_gates(struct trib_queue *queue, struct trib_error *err)
{
    int rc = tribi_gate_init(&queue->bytes, err);

    if (rc != TRIB_OK)
        return rc;
    rc = tribi_gate_init(&queue->room, err);
    if (rc != TRIB_OK)
        tribi_gate_done(&queue->bytes);
    return rc;
}

int trib_queue_new(struct trib_budget *budget, uint32_t spin_us, struct trib_queue **ret_queue, struct trib_error *err)
{
    struct trib_queue *queue = trib_alloc(sizeof(*queue));
    int rc = TRIB_ERR_NOMEM;

    if (queue == NULL || tribi_ring_init(&queue->ring) != TRIB_OK)
        trib_error_set(err, rc, 0, "create a queue: no memory");
    else if ((rc = init_gates(queue, err)) != TRIB_OK)
        tribi_ring_done(&queue->ring);
    if (rc != TRIB_OK) {
        trib_free(queue);
        return rc;
    }
    atomic_init(&queue->refs, 1);
    queue->budget = trib_budget_ref(budget);
    queue->in_lane = tribi_budget_take_lane(&budget->charge_lane_taken);
    queue->spin_us = spin_us;
    queue->watch.fn = wake_producer;
    queue->watch.arg = queue;
    *ret_queue = queue;
    return TRIB_OK;
}

struct trib_queue *trib_queue_ref(struct trib_queue *queue)
{
    if (queue != NULL)
        atomic_fetch_add_explicit(&queue->refs, 1, memory_order_relaxed);
    return queue;
}

static void drain(struct trib_queue *queue)
{
    struct trib_view view;
    unsigned flags;

    while (tribi_ring_pop(&queue->ring, &view, &flags))
        trib_view_release(&view);
}

struct trib_queue *trib_queue_unref(struct trib_queue *queue)
{
    if (queue == NULL || atomic_fetch_sub_explicit(&queue->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    tribi_budget_unwatch(queue->budget, &queue->watch);
    drain(queue);
    if (queue->in_lane)
        atomic_store(&queue->budget->charge_lane_taken, false);
    tribi_ring_done(&queue->ring);
    tribi_gate_done(&queue->bytes);
    tribi_gate_done(&queue->room);
    trib_budget_unref(queue->budget);
    trib_free(queue);
    return NULL;
}

/* ---- Producer ---- */

static int push_ended(struct trib_queue *queue, struct trib_error *err)
{
    if (atomic_load_explicit(&queue->cancelled, memory_order_relaxed))
        return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "push to a queue: cancelled");
    if (atomic_load_explicit(&queue->closed, memory_order_relaxed))
        return trib_error_set(err, TRIB_ERR_CLOSED, 0, "push to a queue: its consumer has gone");
    return TRIB_OK;
}

static size_t held_now(struct trib_queue *queue)
{
    queue->known_released = tribi_budget_released(queue->budget);
    atomic_store_explicit(&queue->budget->known_released, queue->known_released, memory_order_relaxed); /* saves a look for the peak */
    return (size_t)(tribi_budget_charged(queue->budget) - queue->known_released);
}

/* The budget is full and the consumer has nothing: it is owed what it waits for, at least one chunk, as far as the hard limit
 * goes. */
static bool owed(struct trib_queue *queue, size_t len, size_t held)
{
    size_t allowed = atomic_load(&queue->allowed), limit = queue->budget->limit, spare = atomic_load(&queue->spare_held);

    if (allowed == 0)
        return false;
    if (held + len <= allowed)
        return true;
    if (atomic_load(&queue->ring.head) != queue->ring.pushed)
        return false;
    held -= spare < held ? spare : held;
    if (held + len <= limit)
        return true;
    atomic_store(&queue->refused, len);
    tribi_gate_notify(&queue->bytes);
    return false;
}

/* As far as the producer knows without a look at what the consumer writes. */
static bool has_known_room(const struct trib_queue *queue, size_t len)
{
    return queue->ring.pushed - queue->known_popped < ENTRIES_MAX &&
           (size_t)(tribi_budget_charged(queue->budget) - queue->known_released) + len <= queue->budget->high;
}

static bool has_room(struct trib_queue *queue, size_t len)
{
    struct trib_budget *budget = queue->budget;
    size_t held;

    if (has_known_room(queue, len))
        return true;
    if (queue->ring.pushed - queue->known_popped >= ENTRIES_MAX) {
        queue->known_popped = atomic_load_explicit(&queue->ring.head, memory_order_acquire);
        if (queue->ring.pushed - queue->known_popped >= ENTRIES_MAX)
            return false;
    }
    held = held_now(queue);
    return held == 0 || held + len <= budget->high || owed(queue, len, held);
}

struct room_query {
    struct trib_queue *queue;
    size_t len;
};

static bool room_or_end(void *arg)
{
    struct room_query *query = arg;

    return has_room(query->queue, query->len) || push_ended(query->queue, NULL) != TRIB_OK;
}

/* Sleeps until so many bytes are free that it is worth waking up for, or the consumer runs dry. */
static int sleep_for_room(struct trib_queue *queue, struct room_query *query, size_t worth, int64_t deadline)
{
    atomic_store_explicit(&queue->room_wanted, worth, memory_order_relaxed);
    tribi_budget_watch(queue->budget, &queue->watch, worth);
    tribi_gate_arm(&queue->room);
    if (room_or_end(query)) {
        tribi_gate_disarm(&queue->room);
        return TRIB_OK;
    }
    return tribi_gate_wait(&queue->room, deadline);
}

/* A consumer that is at work frees chunk after chunk: waking up for a quarter of the budget saves most of the wake-ups. One that is not may free just
 * what is wanted and no more: so a moment later that is enough. */
static int sleep_patiently(struct trib_queue *queue, struct room_query *query, int64_t deadline)
{
    size_t quarter = queue->budget->high / 4;
    int64_t soon = trib_now() + PATIENCE_NS;
    int rc = TRIB_ERR_TIMEOUT;

    if (query->len < quarter && soon < deadline)
        rc = sleep_for_room(queue, query, quarter, soon);
    return rc == TRIB_OK ? rc : sleep_for_room(queue, query, query->len, deadline);
}

/* TRIB_OK: there is room, or the end; look again. */
static int wait_for_room(struct trib_queue *queue, size_t len, int64_t deadline, struct trib_error *err)
{
    struct room_query query = {queue, len};
    bool hooked = queue->watch.active;
    int rc;

    if (deadline == TRIB_NOWAIT)
        return TRIB_AGAIN;
    if (tribi_spin_briefly(room_or_end, &query) || tribi_spin(queue->spin_us, room_or_end, &query))
        return TRIB_OK;
    rc = sleep_patiently(queue, &query, deadline);
    if (!hooked)
        tribi_budget_unwatch(queue->budget, &queue->watch);
    if (rc == TRIB_ERR_TIMEOUT && !room_or_end(&query))
        return trib_error_set(err, rc, 0, "push %zu bytes to a queue: its budget of %zu bytes is full (%zu held)", len,
                              queue->budget->high, trib_budget_held(queue->budget));
    return TRIB_OK;
}

static int check_push(struct trib_queue *queue, const struct trib_view *view, struct trib_error *err)
{
    if (atomic_load_explicit(&queue->done, memory_order_relaxed))
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "push to a queue that is finished");
    if (view->len > 0 && view->holder == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "push to a queue: the view has no holder");
    if (view->len > queue->budget->limit)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, view->len, queue->budget->limit,
                                  "push to a queue: a chunk of %zu bytes is more than the limit of %zu", view->len,
                                  queue->budget->limit);
    return TRIB_OK;
}

/* This push failed: what TRIB_QUEUE_MORE held back before it must not lie there unseen. */
static int turn_back(struct trib_queue *queue, int rc)
{
    atomic_store_explicit(&queue->pushing, false, memory_order_release);
    tribi_gate_notify(&queue->bytes);
    return rc;
}

/* Nothing is in the way of a push but, perhaps, the budget: nobody waits for a chunk of his size, or for room. */
static inline bool unhindered(struct trib_queue *queue)
{
    return queue->in_lane && queue->turned_away == 0 && !queue->watch.active &&
           !atomic_load_explicit(&queue->stopped, memory_order_relaxed) &&
           atomic_load_explicit(&queue->refused, memory_order_relaxed) == 0;
}

/* Bytes that may be charged, as far as the producer knows without a look at what the consumer writes. */
static inline size_t known_room(const struct trib_queue *queue)
{
    size_t held = (size_t)(tribi_budget_charged(queue->budget) - queue->known_released);

    return held < queue->budget->high ? queue->budget->high - held : 0;
}

/* Places that can be filled without a new segment. */
static inline size_t known_places(const struct trib_queue *queue)
{
    size_t pushed = queue->ring.pushed - queue->known_popped;
    size_t places = TRIBI_RING_SEGMENT - queue->ring.tail_index;

    if (pushed >= ENTRIES_MAX)
        return 0;
    return places < ENTRIES_MAX - pushed ? places : ENTRIES_MAX - pushed;
}

/* The view and its charge go into the ring; it is not published yet. The holder must be ours alone, and nobody's charge. */
static inline bool fill(struct trib_queue *queue, struct tribi_ring_slot *slot, struct trib_view *view)
{
    struct trib_chunk *chunk = view->holder;

    if (chunk == NULL || chunk->budget != NULL || atomic_load_explicit(&chunk->refs, memory_order_acquire) != 1)
        return false;
    chunk->budget = queue->budget;
    chunk->charge = view->len;
    slot->view = *view;
    slot->flags = 0;
    view->holder = NULL; /* its reference is the ring's */
    return true;
}

/* The short way for chunks from the front that nothing is in the way of: charged and published at once. Returns how many. */
static inline size_t push_unhindered(struct trib_queue *queue, struct trib_view *views, size_t count, unsigned flags)
{
    struct tribi_ring_slot *slot = &queue->ring.tail_segment->slots[queue->ring.tail_index];
    size_t places = known_places(queue), room = known_room(queue), bytes = 0, i = 0;

    if (!unhindered(queue))
        return 0;
    tribi_fetch_to_write(slot + TRIBI_RING_AHEAD); /* perhaps behind the segment: it is a hint */
    for (; i < count && i < places && views[i].len - 1 < room - bytes && fill(queue, slot + i, &views[i]); i++) /* none of 0 bytes */
        bytes += views[i].len;
    if (i == 0)
        return 0;
    if (i == count)
        slot[i - 1].flags = flags & TRIB_RECV_MARK;
    atomic_store_explicit(&queue->pushing, true, memory_order_relaxed); /* the charge publishes it */
    tribi_budget_charge_in_lane(queue->budget, bytes);
    tribi_ring_publish(&queue->ring, i, bytes);
    atomic_store_explicit(&queue->pushing, false, memory_order_release);
    if (i == count && (flags & TRIB_QUEUE_MORE) == 0)
        tribi_gate_notify(&queue->bytes);
    return i;
}

static int push_anyhow(struct trib_queue *queue, struct trib_view *view, unsigned flags, int64_t deadline, struct trib_error *err)
{
    struct tribi_ring_slot *slot;
    int rc = check_push(queue, view, err);

    if (rc != TRIB_OK)
        return turn_back(queue, rc);
    if (deadline != TRIB_NOWAIT && !has_known_room(queue, view->len))
        tribi_pause(1); /* one look at what several releases made, not one at each */
    while ((rc = push_ended(queue, err)) == TRIB_OK && !has_room(queue, view->len)) {
        tribi_gate_notify(&queue->bytes); /* what TRIB_QUEUE_MORE held back: room comes only from a consumer that is awake */
        queue->turned_away = view->len;
        rc = wait_for_room(queue, view->len, deadline, err);
        if (rc != TRIB_OK)
            return rc;
    }
    if (rc != TRIB_OK)
        return rc;
    if (view->len == 0 && (flags & TRIB_RECV_MARK) == 0) { /* nothing to tell */
        trib_view_release(view);
        return TRIB_OK;
    }
    slot = tribi_ring_place(&queue->ring);
    if (slot == NULL)
        return turn_back(queue, trib_error_set(err, TRIB_ERR_NOMEM, 0, "push to a queue: no memory"));
    atomic_store_explicit(&queue->pushing, true, memory_order_relaxed); /* the charge publishes it */
    if (view->len > 0) {
        rc = tribi_view_charge(view, queue->budget, queue->in_lane, err);
        if (rc != TRIB_OK)
            return turn_back(queue, rc);
    }
    slot->view = *view;
    slot->flags = flags & TRIB_RECV_MARK;
    *view = (struct trib_view){.data = NULL};
    queue->turned_away = 0;
    if (atomic_load_explicit(&queue->refused, memory_order_relaxed) != 0)
        atomic_store(&queue->refused, 0); /* a smaller one was found */
    tribi_ring_publish(&queue->ring, 1, slot->view.len);
    atomic_store_explicit(&queue->pushing, false, memory_order_release);
    if (queue->watch.active && atomic_load_explicit(&queue->room.armed, memory_order_relaxed) == 0)
        tribi_budget_unwatch(queue->budget, &queue->watch); /* left by a hook that has run */
    if ((flags & TRIB_QUEUE_MORE) == 0)
        tribi_gate_notify(&queue->bytes);
    return TRIB_OK;
}

int trib_queue_push(struct trib_queue *queue, struct trib_view *view, unsigned flags, int64_t deadline, struct trib_error *err)
{
    if (push_unhindered(queue, view, 1, flags) == 0)
        return push_anyhow(queue, view, flags, deadline, err);
    *view = (struct trib_view){.data = NULL};
    return TRIB_OK;
}

int trib_queue_push_views(struct trib_queue *queue, struct trib_view *views, size_t count, unsigned flags, int64_t deadline,
                          size_t *ret_bytes, struct trib_error *err)
{
    size_t i = 0, bytes = 0;
    int rc = TRIB_OK;

    while (rc == TRIB_OK && i < count) {
        size_t pushed = push_unhindered(queue, views + i, count - i, flags);
        for (; pushed > 0; pushed--)
            bytes += views[i++].len;
        if (i < count) {
            struct trib_view view = views[i];
            rc = push_anyhow(queue, &view, i + 1 < count ? TRIB_QUEUE_MORE : flags, deadline, bytes == 0 ? err : NULL);
            views[i].holder = view.holder;
            bytes += rc == TRIB_OK ? views[i++].len : 0;
        }
    }
    if (rc != TRIB_OK && bytes == 0)
        return rc;
    *ret_bytes = bytes; /* of what stopped the others the next call will tell */
    return TRIB_OK;
}

void trib_queue_finish(struct trib_queue *queue, int code, const char *text)
{
    if (atomic_load(&queue->done))
        return;
    queue->done_code = code;
    if (text != NULL) {
        size_t len = strnlen(text, sizeof(queue->done_text) - 1);
        memcpy(queue->done_text, text, len);
        queue->done_text[len] = '\0';
    }
    atomic_store(&queue->done, true);
    atomic_store(&queue->stopped, true);
    tribi_gate_notify(&queue->bytes);
}

bool tribi_queue_over(const struct trib_queue *queue, int *ret_code)
{
    if (!atomic_load_explicit(&queue->done, memory_order_acquire) ||
        atomic_load_explicit(&queue->ring.tail, memory_order_relaxed) != queue->ring.popped)
        return false;
    *ret_code = queue->done_code;
    return true;
}

bool trib_queue_finished(const struct trib_queue *queue)
{
    return atomic_load_explicit(&queue->done, memory_order_relaxed);
}

void trib_queue_on_room(struct trib_queue *queue, trib_ready_fn *fn, void *arg)
{
    struct room_query query = {queue, queue->turned_away > 0 ? queue->turned_away : 1};

    if (fn == NULL) {
        tribi_gate_hook(&queue->room, NULL, NULL);
        tribi_budget_unwatch(queue->budget, &queue->watch);
        return;
    }
    atomic_store_explicit(&queue->room_wanted, query.len, memory_order_relaxed);
    tribi_budget_watch(queue->budget, &queue->watch, query.len);
    tribi_gate_hook(&queue->room, fn, arg);
    if (room_or_end(&query))
        tribi_gate_open(&queue->room);
}

/* ---- Consumer ---- */

static bool worth_popping(void *arg)
{
    struct trib_queue *queue = arg;

    return atomic_load_explicit(&queue->ring.tail, memory_order_acquire) != queue->ring.popped ||
           atomic_load_explicit(&queue->done, memory_order_acquire) ||
           atomic_load_explicit(&queue->cancelled, memory_order_relaxed);
}

static bool bytes_or_end(void *arg)
{
    struct trib_queue *queue = arg;

    return worth_popping(queue) || atomic_load_explicit(&queue->refused, memory_order_relaxed) != 0;
}

/* After `done`, nothing is pushed any more: an empty ring is the end. */
static int pop_end(struct trib_queue *queue, struct trib_error *err)
{
    if (queue->done_code == 0)
        return TRIB_EOF;
    return trib_error_set(err, queue->done_code, 0, "%s", queue->done_text[0] != '\0' ? queue->done_text : "the producer failed");
}

static int over_limit(size_t asked, const struct trib_budget *budget, struct trib_error *err)
{
    return trib_error_numbers(err, TRIB_ERR_LIMIT, asked, budget->limit,
                              "wait for bytes: %zu would be held and the limit is %zu; release chunks or raise the limit", asked,
                              budget->limit);
}

/* In this order: once `pushing` is false again, what was pushed is in the ring. */
static bool bytes_are_coming(struct trib_queue *queue)
{
    return atomic_load_explicit(&queue->pushing, memory_order_acquire) || bytes_or_end(queue);
}

/* Nothing to pop: tells the producer what is owed, so that it cannot be that both wait. TRIB_OK: it has been told. */
static int ask(struct trib_queue *queue, const struct trib_want *want, struct trib_error *err)
{
    struct trib_budget *budget = queue->budget;
    size_t held = trib_budget_held(budget), min = want->min, refused = atomic_exchange(&queue->refused, 0);

    held -= want->spare < held ? want->spare : held;
    /* What is held may be in the ring by now, or on its way into it: then it is not the consumer who holds it. */
    if (min > budget->limit || held > budget->limit - min)
        return bytes_are_coming(queue) ? TRIB_OK : over_limit(held + min, budget, err);
    if (refused != 0 && held + refused > budget->limit && !bytes_are_coming(queue))
        return over_limit(held + refused, budget, err);
    atomic_store(&queue->spare_held, want->spare);
    /* Where the bytes are moved to a place that counts already, a window is enough for them to come through. */
    atomic_store(&queue->allowed, held + want->spare + (want->spare > 0 && min > budget->high ? budget->high : min));
    tribi_gate_notify(&queue->room);
    return TRIB_OK;
}

static int wait_for_bytes(struct trib_queue *queue, int64_t deadline, struct trib_error *err)
{
    if (deadline == TRIB_NOWAIT)
        return TRIB_AGAIN;
    if (tribi_spin(queue->spin_us, bytes_or_end, queue))
        return TRIB_OK;
    tribi_gate_arm(&queue->bytes);
    if (bytes_or_end(queue)) {
        tribi_gate_disarm(&queue->bytes);
        return TRIB_OK;
    }
    if (tribi_gate_wait(&queue->bytes, deadline) == TRIB_OK || bytes_or_end(queue))
        return TRIB_OK;
    return trib_error_set(err, TRIB_ERR_TIMEOUT, 0, "wait for bytes: the deadline passed");
}

int trib_queue_pop(struct trib_queue *queue, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                   struct trib_error *err)
{
    for (;;) {
        int rc;
        bool done = atomic_load_explicit(&queue->done, memory_order_acquire);

        if (atomic_load_explicit(&queue->cancelled, memory_order_relaxed))
            return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "wait for bytes: cancelled");
        if (tribi_ring_pop(&queue->ring, ret_view, ret_flags))
            break;
        if (done)
            return pop_end(queue, err);
        if (want->probe)
            return TRIB_AGAIN;
        /* Before asking: that would take the lines of a producer at work away from it. */
        if (want->deadline != TRIB_NOWAIT && tribi_spin_briefly(worth_popping, queue))
            continue;
        rc = ask(queue, want, err);
        if (rc == TRIB_OK)
            rc = wait_for_bytes(queue, want->deadline, err);
        if (rc != TRIB_OK)
            return rc;
    }
    if (ret_view->len >= want->min && atomic_load_explicit(&queue->allowed, memory_order_relaxed) != 0)
        atomic_store(&queue->allowed, 0);
    return TRIB_OK;
}

size_t trib_queue_bytes(const struct trib_queue *queue)
{
    size_t out = atomic_load_explicit(&queue->ring.bytes_out, memory_order_acquire);

    return atomic_load_explicit(&queue->ring.bytes_in, memory_order_acquire) - out;
}

void trib_queue_on_bytes(struct trib_queue *queue, trib_ready_fn *fn, void *arg)
{
    tribi_gate_hook(&queue->bytes, fn, arg);
    if (fn != NULL && bytes_or_end(queue))
        tribi_gate_open(&queue->bytes);
}

void trib_queue_close(struct trib_queue *queue)
{
    atomic_store(&queue->closed, true);
    atomic_store(&queue->stopped, true);
    drain(queue);
    tribi_gate_notify(&queue->room);
}

void trib_queue_cancel(struct trib_queue *queue)
{
    atomic_store(&queue->cancelled, true);
    atomic_store(&queue->stopped, true);
    tribi_gate_notify(&queue->bytes);
    tribi_gate_notify(&queue->room);
}

uint64_t trib_queue_waits(const struct trib_queue *queue)
{
    return atomic_load_explicit(&queue->bytes.waits, memory_order_relaxed) +
           atomic_load_explicit(&queue->room.waits, memory_order_relaxed);
}

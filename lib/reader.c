/* The reader's cursor, and how it comes by more bytes: in place where it can, copied where they cross. */
#include "reader-internal.h"

#include <tributary/alloc.h>

#include <stddef.h>
#include <string.h>

#include "channel-internal.h"
#include "chunk-internal.h"
#include "queue-internal.h"

static const uint8_t nothing[1];

/* ---- Life ---- */

static void reader_init(struct trib_reader *reader, struct trib_budget *budget)
{
    memset(reader, 0, offsetof(struct trib_reader, limits));
    reader->queue = NULL;
    reader->cursor = reader->end = reader->piece_end = nothing;
    atomic_init(&reader->cancelled, false);
    tribi_marks_init(&reader->marks);
    reader->deadline = TRIB_FOREVER;
    reader->budget = trib_budget_ref(budget);
    reader->in_lane = tribi_budget_take_lane(&budget->release_lane_taken);
}

void tribi_reader_init_pull(struct trib_reader *reader, struct trib_channel *channel, struct trib_budget *budget)
{
    unsigned capabilities = trib_channel_capabilities(channel);

    reader_init(reader, budget);
    reader->channel = channel;
    reader->probe = (capabilities & TRIB_CAP_REFERENCES) != 0;
    reader->has_marks = (capabilities & TRIB_CAP_MESSAGES) != 0;
}

static int reader_new_fed(size_t budget_bytes, size_t limit, struct trib_reader **ret_reader, struct trib_error *err)
{
    struct trib_budget *budget;
    struct trib_reader *reader;
    int rc = trib_budget_new(budget_bytes, limit, &budget, err);

    if (rc != TRIB_OK)
        return rc;
    reader = trib_alloc_raw(sizeof(*reader));
    if (reader == NULL) {
        rc = trib_error_set(err, TRIB_ERR_NOMEM, 0, "create a reader: no memory");
    } else {
        reader_init(reader, budget);
        tribi_pool_join();
        rc = trib_queue_new(budget, 0, &reader->queue, err);
    }
    trib_budget_unref(budget);
    if (rc != TRIB_OK) {
        trib_reader_free(reader);
        return rc;
    }
    reader->source = reader->queue;
    *ret_reader = reader;
    return TRIB_OK;
}

int trib_reader_new(const struct trib_reader_options *options, struct trib_reader **ret_reader, struct trib_error *err)
{
    struct trib_reader_options o = TRIB_READER_OPTIONS_INIT;
    struct trib_reader *reader;
    int rc;

    if (options != NULL)
        memcpy(&o, options, options->size < sizeof(o) ? options->size : sizeof(o));
    if (o.budget == 0)
        o.budget = (size_t)8 << 20;
    if (o.limit == 0)
        o.limit = (size_t)256 << 20;
    rc = reader_new_fed(o.budget, o.limit, &reader, err);
    if (rc != TRIB_OK)
        return rc;
    if (o.initial != NULL && trib_chunk_len(o.initial) > 0) {
        struct trib_view view = trib_chunk_view(o.initial);
        reader->holder = trib_chunk_ref(o.initial);
        reader->cursor = view.data;
        reader->piece_end = view.data + view.len;
        reader->piece_end_position = view.len;
        reader->chunks = 1;
        tribi_reader_clip(reader);
    }
    *ret_reader = reader;
    return TRIB_OK;
}

void tribi_reader_done(struct trib_reader *reader)
{
    tribi_reader_drop_callback(reader);
    if (reader->queue != NULL)
        trib_queue_close(reader->queue);
    trib_queue_unref(reader->queue);
    trib_chunk_unref(reader->holder);
    tribi_pieces_done(&reader->behind);
    tribi_pieces_done(&reader->lent);
    tribi_marks_done(&reader->marks);
    if (reader->in_lane)
        atomic_store(&reader->budget->release_lane_taken, false);
    trib_budget_unref(reader->budget);
}

void trib_reader_free(struct trib_reader *reader)
{
    if (reader == NULL)
        return;
    tribi_reader_done(reader);
    trib_free(reader);
    tribi_pool_leave();
}

/* ---- The piece ---- */

void tribi_reader_clip(struct trib_reader *reader)
{
    uint64_t left = trib_reader_limit_left(reader);

    reader->end = left < tribi_reader_piece(reader) ? reader->cursor + left : reader->piece_end;
}

int tribi_reader_check_cancel(const struct trib_reader *reader, struct trib_error *err)
{
    if (atomic_load_explicit(&reader->cancelled, memory_order_relaxed))
        return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "read: cancelled");
    return TRIB_OK;
}

int tribi_reader_enter(struct trib_reader *reader, struct trib_error *err)
{
    int rc = tribi_reader_check_cancel(reader, err);

    if (rc == TRIB_OK && reader->lent.count > 0)
        tribi_pieces_clear(&reader->lent);
    reader->asked = false;
    return rc;
}

/* Replaces the piece, which must have been consumed or copied. The view's reference becomes the reader's. */
static void set_piece(struct trib_reader *reader, struct trib_view view, size_t room)
{
    uint64_t position = tribi_reader_position(reader);

    tribi_reader_let_go(reader);
    reader->holder = view.holder;
    reader->cursor = view.data;
    reader->piece_end = view.data + view.len;
    reader->piece_end_position = position + view.len;
    reader->room = room;
    tribi_reader_clip(reader);
}

/* A chunk that is used up must not keep its producer waiting. */
static void drop_piece(struct trib_reader *reader)
{
    tribi_reader_let_go(reader);
    reader->holder = NULL;
    reader->cursor = reader->end = reader->piece_end = nothing;
    reader->room = 0;
}

static void extend_piece(struct trib_reader *reader, size_t len)
{
    reader->piece_end += len;
    reader->piece_end_position += len;
    tribi_reader_clip(reader);
}

void tribi_reader_next_piece(struct trib_reader *reader)
{
    set_piece(reader, tribi_pieces_pop(&reader->behind), 0);
}

/* Copies up to n received bytes to `to`, letting go of the pieces that are used up. The piece is empty, or what was not copied,
 * afterwards. */
static size_t move_received(struct trib_reader *reader, uint8_t *to, size_t n)
{
    size_t done = 0;

    while (done < n) {
        size_t have = tribi_reader_piece(reader), part = have < n - done ? have : n - done;
        /* copy: what is wanted in one piece crosses chunks, or is not aligned; our callers count it */
        memcpy(to + done, reader->cursor, part);
        done += part;
        reader->cursor += part;
        if (done == n || reader->behind.count == 0)
            break;
        tribi_reader_next_piece(reader);
    }
    return done;
}

static void count_copy(struct trib_reader *reader, size_t len, bool aligning)
{
    reader->copies++;
    *(aligning ? &reader->copied_aligning : &reader->copied_crossing) += len;
}

/* What of its charge the budget gets back once nobody reads these bytes here any more. */
static size_t gives_back(const struct trib_reader *reader, const struct trib_chunk *chunk, size_t refs)
{
    bool ours = chunk != NULL && chunk->budget == reader->budget &&
                atomic_load_explicit(&chunk->refs, memory_order_relaxed) <= refs;

    return ours ? chunk->charge : 0;
}

/* Whether the budget has room for a block of n bytes in place of the pieces that move into it. */
static int check_block(const struct trib_reader *reader, size_t n, struct trib_error *err)
{
    size_t limit = trib_budget_limit(reader->budget), held = trib_budget_held(reader->budget), moved = tribi_reader_piece(reader);
    size_t back = moved <= n ? gives_back(reader, reader->holder, 1) : 0;

    for (size_t i = 0; i < reader->behind.count; i++) {
        const struct trib_view *view = tribi_pieces_at(&reader->behind, i);
        moved += view->len;
        if (moved > n)
            break;
        back += gives_back(reader, view->holder, 1);
    }
    held -= back < held ? back : held;
    if (n <= limit && held <= limit - n)
        return TRIB_OK;
    return trib_error_numbers(err, TRIB_ERR_LIMIT, n, limit,
                              "take %zu bytes in one piece: %zu more are held and the limit is %zu; release chunks or raise the limit",
                              n, held, limit);
}

/* A block of n bytes becomes the piece; what has been received of them is copied there, the rest will be, as it comes: so the
 * chunks of a long take are let go one by one. What was received beyond them goes behind. */
static int put_together(struct trib_reader *reader, size_t n, size_t align, struct trib_error *err)
{
    bool aligning = tribi_reader_piece(reader) >= n;
    uint64_t position = tribi_reader_position(reader);
    struct trib_chunk *block;
    struct trib_view rest;
    size_t have;
    int rc = check_block(reader, n, err);

    if (rc != TRIB_OK)
        return rc;
    rc = tribi_pieces_reserve(&reader->behind, 1);
    if (rc == TRIB_OK)
        rc = trib_chunk_new(n, align, &block, err);
    if (rc != TRIB_OK)
        return trib_error_set(err, rc, 0, "take %zu bytes in one piece: no memory", n);
    tribi_chunk_charge(block, reader->budget, n);
    have = move_received(reader, block->data, n);
    count_copy(reader, have, aligning);
    rest = (struct trib_view){.data = reader->cursor, .len = tribi_reader_piece(reader), .holder = reader->holder};
    if (rest.len > 0)
        tribi_pieces_push_front(&reader->behind, rest);
    else
        trib_chunk_unref(rest.holder);
    reader->holder = block;
    reader->cursor = block->data;
    reader->piece_end = block->data + have;
    reader->piece_end_position = position + have;
    reader->room = n - have;
    tribi_reader_clip(reader);
    return TRIB_OK;
}

/* Bytes from behind go into the room of the piece that is being put together. */
static void fill_room(struct trib_reader *reader)
{
    while (reader->room > 0 && reader->behind.count > 0) {
        struct trib_view *view = tribi_pieces_at(&reader->behind, 0);
        size_t part = view->len < reader->room ? view->len : reader->room;

        /* copy: the same crossing; nobody else sees these bytes of the block yet */
        memcpy((uint8_t *)(uintptr_t)reader->piece_end, view->data, part);
        count_copy(reader, part, false);
        reader->room -= part;
        extend_piece(reader, part);
        if (part == view->len) {
            struct trib_view used = tribi_pieces_pop(&reader->behind);
            trib_view_release(&used);
        } else {
            view->data += part;
            view->len -= part;
            reader->behind.bytes -= part;
        }
    }
}

/* ---- Receiving ---- */

/* The transport left room for what we hold in front of what it received: it moves there, and the two are one piece. */
static void move_head(struct trib_reader *reader, struct trib_view view, size_t align)
{
    size_t head = tribi_reader_received(reader);
    bool aligning = ((uintptr_t)reader->cursor & (align - 1)) != 0;
    uint64_t position = tribi_reader_position(reader);
    uint8_t *to = (uint8_t *)(uintptr_t)(view.data - head);

    move_received(reader, to, head);
    count_copy(reader, head, aligning);
    trib_chunk_unref(reader->holder);
    reader->holder = view.holder;
    reader->cursor = to;
    reader->piece_end = view.data + view.len;
    reader->piece_end_position = position + head + view.len;
    reader->room = 0;
    tribi_reader_clip(reader);
}

/* The view goes on where the last piece ends, in the same chunk: one piece. */
static bool join(struct trib_reader *reader, struct trib_view view)
{
    struct tribi_pieces *behind = &reader->behind;
    struct trib_view *last;

    if (behind->count == 0) {
        if (view.holder != reader->holder || view.data != reader->piece_end || reader->room > 0)
            return false;
        extend_piece(reader, view.len);
    } else {
        last = tribi_pieces_at(behind, behind->count - 1);
        if (view.holder != last->holder || view.data != last->data + last->len)
            return false;
        last->len += view.len;
        behind->bytes += view.len;
    }
    trib_chunk_unref(view.holder); /* the piece has one */
    return true;
}

/* Takes over what was received for `want`; memory for it was reserved. */
static void take_in(struct trib_reader *reader, const struct trib_want *want, struct trib_view view, unsigned flags)
{
    if (view.len > 0) {
        reader->chunks++;
        if ((flags & TRIB_RECV_HEADROOM) != 0 && want->head > 0)
            move_head(reader, view, want->align);
        else if (!join(reader, view)) {
            if (tribi_reader_received(reader) == 0 && reader->room == 0)
                set_piece(reader, view, 0);
            else
                tribi_pieces_push(&reader->behind, view);
        }
    } else {
        trib_chunk_unref(view.holder);
    }
    if ((flags & TRIB_RECV_MARK) != 0)
        tribi_marks_push(&reader->marks, tribi_reader_position(reader) + tribi_reader_received(reader));
}

/* Nothing that was received may get lost for want of memory: the places for it are made before. */
static int reserve(struct trib_reader *reader, struct trib_error *err)
{
    int rc = tribi_reader_received(reader) > 0 ? tribi_pieces_reserve(&reader->behind, 1) : TRIB_OK; /* else it becomes the piece itself */

    if (rc == TRIB_OK && reader->has_marks) {
        tribi_reader_pass_marks(reader);
        rc = tribi_marks_reserve(&reader->marks);
    }
    return rc == TRIB_OK ? rc : trib_error_set(err, rc, 0, "read: no memory");
}

static void fill_want(const struct trib_reader *reader, size_t missing, bool whole, size_t align, struct trib_want *want)
{
    size_t received = tribi_reader_received(reader);
    struct trib_view *last;

    *want = (struct trib_want){.size = sizeof(*want),
                               .min = missing,
                               .head = whole ? received : 0,
                               .align = align,
                               .deadline = reader->callback != NULL ? TRIB_NOWAIT : reader->deadline,
                               .budget = reader->budget};
    if (reader->behind.count > 0) {
        last = tribi_pieces_at(&reader->behind, reader->behind.count - 1);
        want->next = whole ? NULL : last->data + last->len;
    } else if (tribi_reader_piece(reader) > 0 && reader->room == 0) {
        want->next = reader->piece_end;
    }
    /* What nobody else holds is given back once the head has moved. A transport that fills its own blocks has a reference of its
     * own. */
    if (whole)
        want->spare = gives_back(reader, reader->holder, reader->channel != NULL && !reader->probe ? 2 : 1);
}

static int ask_source(struct trib_reader *reader, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                      struct trib_error *err)
{
    if (reader->channel != NULL)
        return trib_channel_recv(reader->channel, want, ret_view, ret_flags, err);
    return trib_queue_pop(reader->queue, want, ret_view, ret_flags, err);
}

/* Measures the time spent waiting. Where asking is cheap, what is there already is taken without looking at the clock. */
static int receive(struct trib_reader *reader, struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                   struct trib_error *err)
{
    int64_t deadline = want->deadline, start;
    int rc;

    if (deadline == TRIB_NOWAIT)
        return ask_source(reader, want, ret_view, ret_flags, err);
    if (reader->probe || reader->queue != NULL) {
        want->deadline = TRIB_NOWAIT;
        want->probe = true;
        rc = ask_source(reader, want, ret_view, ret_flags, err);
        if (rc != TRIB_AGAIN)
            return rc;
        want->deadline = deadline;
        want->probe = false;
    }
    start = trib_now();
    rc = ask_source(reader, want, ret_view, ret_flags, err);
    reader->blocked_ns += trib_now() - start;
    return rc;
}

static bool sticks(int rc)
{
    return rc < 0 && rc != TRIB_ERR_TIMEOUT && rc != TRIB_ERR_LIMIT && rc != TRIB_ERR_NOMEM && rc != TRIB_ERR_USAGE;
}

static int stuck(const struct trib_reader *reader, struct trib_error *err)
{
    if (err != NULL)
        *err = reader->failure;
    return reader->failed;
}

int tribi_reader_pull(struct trib_reader *reader, size_t missing, bool whole, size_t align, struct trib_error *err)
{
    struct trib_want want;
    struct trib_view view = {.data = NULL};
    struct trib_error local;
    unsigned flags = 0;
    int rc;

    if (reader->source != NULL && tribi_reader_next_queued(reader, 1)) {
        reader->waits += !reader->asked;
        reader->asked = true;
        return TRIB_OK;
    }
    if (reader->failed != 0)
        return stuck(reader, err);
    if (reader->ended)
        return TRIB_EOF;
    if (tribi_reader_received(reader) == 0)
        drop_piece(reader);
    fill_want(reader, missing, whole, align, &want);
    reader->waits += !reader->asked;
    reader->asked = true;
    if (reader->source == NULL)
        reader->source = tribi_channel_inbox(reader->channel);
    rc = reserve(reader, &local);
    if (rc == TRIB_OK)
        rc = receive(reader, &want, &view, &flags, &local);
    if (rc == TRIB_OK)
        take_in(reader, &want, view, flags);
    else if (rc == TRIB_EOF)
        reader->ended = true;
    else if (rc == TRIB_AGAIN && reader->callback != NULL)
        rc = tribi_reader_watch(reader, &local) == TRIB_OK ? TRIB_AGAIN : local.code;
    if (sticks(rc)) {
        reader->failed = rc;
        reader->failure = local;
    }
    if (rc < 0 && err != NULL)
        *err = local;
    return rc;
}

int tribi_reader_fill(struct trib_reader *reader, size_t n, struct trib_error *err)
{
    int rc = TRIB_OK;

    while (rc == TRIB_OK && tribi_reader_received(reader) < n)
        rc = tribi_reader_pull(reader, n - tribi_reader_received(reader), false, 1, err);
    return rc == TRIB_EOF ? tribi_reader_short(reader, n, err) : rc;
}

/* ---- One piece ---- */

int tribi_reader_short(struct trib_reader *reader, uint64_t n, struct trib_error *err)
{
    uint64_t there = tribi_reader_received(reader);

    if (there == 0 && reader->depth == 0)
        return TRIB_EOF;
    return trib_error_numbers(err, TRIB_ERR_SHORT, n, there, "read %llu bytes: the stream ended after %llu of them",
                              (unsigned long long)n, (unsigned long long)there);
}

int tribi_reader_check_limit(struct trib_reader *reader, uint64_t n, struct trib_error *err)
{
    uint64_t left = trib_reader_limit_left(reader);

    if (n <= left)
        return TRIB_OK;
    if (left == 0)
        return TRIB_EOF;
    return trib_error_numbers(err, TRIB_ERR_SHORT, n, left, "read %llu bytes: the sub-stream ends after %llu of them",
                              (unsigned long long)n, (unsigned long long)left);
}

static int too_much(const struct trib_reader *reader, size_t n, struct trib_error *err)
{
    return trib_error_numbers(err, TRIB_ERR_LIMIT, n, trib_budget_limit(reader->budget),
                              "read %zu bytes in one piece: the limit is %zu; take them in parts or raise the limit", n,
                              trib_budget_limit(reader->budget));
}

/* Nothing more will come, as far as this thread knows: the next call of the source tells how it ended. */
static bool over(const struct trib_reader *reader)
{
    int code;

    return reader->ended || reader->failed != 0 || (reader->queue != NULL && tribi_queue_over(reader->queue, &code));
}

int tribi_reader_ensure(struct trib_reader *reader, size_t n, size_t align, struct trib_error *err)
{
    for (;;) {
        size_t have = tribi_reader_piece(reader);
        bool aligned = ((uintptr_t)reader->cursor & (align - 1)) == 0;
        int rc = TRIB_OK;

        if (have >= n && aligned)
            return TRIB_OK;
        if (have == 0 && reader->behind.count > 0) {
            tribi_reader_next_piece(reader);
            continue;
        }
        if (tribi_reader_received(reader) < n && over(reader)) {
            rc = tribi_reader_pull(reader, 1, false, 1, err);
            return rc == TRIB_EOF ? tribi_reader_short(reader, n, err) : rc;
        }
        if (have < n && n > reader->budget->limit)
            return too_much(reader, n, err);
        if (have >= n || (reader->behind.count > 0 && (reader->room < n - have || !aligned)))
            rc = put_together(reader, n, align, err);
        else if (reader->behind.count > 0)
            fill_room(reader);
        else
            rc = tribi_reader_pull(reader, n - have, true, align, err);
        if (rc != TRIB_OK)
            return rc == TRIB_EOF ? tribi_reader_short(reader, n, err) : rc;
    }
}

static int take(struct trib_reader *reader, size_t n, size_t align, bool consume, struct trib_view *ret_view,
                struct trib_error *err)
{
    int rc = tribi_reader_enter(reader, err);

    if (rc == TRIB_OK && n > 0) {
        rc = tribi_reader_check_limit(reader, n, err);
        if (rc == TRIB_OK)
            rc = tribi_reader_ensure(reader, n, align, err);
    }
    if (rc != TRIB_OK)
        return rc;
    *ret_view = (struct trib_view){.data = reader->cursor, .len = n, .holder = reader->holder};
    if (consume)
        tribi_reader_advance(reader, n);
    return TRIB_OK;
}

/* A take that the piece has not enough for. Apart: what it saves on the stack would be saved by each take inside the piece too, which takes as long as
 * all the rest of that. */
TRIBI_APART static int take_on(struct trib_reader *reader, size_t n, struct trib_view *ret_view, struct trib_error *err)
{
    if (reader->source != NULL && tribi_reader_take_queued(reader, n, ret_view))
        return TRIB_OK;
    return take(reader, n, 1, true, ret_view, err);
}

int trib_reader_take(struct trib_reader *reader, size_t n, struct trib_view *ret_view, struct trib_error *err)
{
    const uint8_t *at = tribi_reader_take_here(reader, n);

    if (at != NULL) {
        *ret_view = (struct trib_view){.data = at, .len = n, .holder = reader->holder};
        return TRIB_OK;
    }
    return take_on(reader, n, ret_view, err);
}

int trib_reader_take_aligned(struct trib_reader *reader, size_t n, size_t align, struct trib_view *ret_view, struct trib_error *err)
{
    if (align == 0 || (align & (align - 1)) != 0 || align > 4096)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "take %zu bytes: %zu is not an alignment up to 4096", n, align);
    return take(reader, n, align, true, ret_view, err);
}

int trib_reader_peek(struct trib_reader *reader, size_t n, struct trib_view *ret_view, struct trib_error *err)
{
    return take(reader, n, 1, false, ret_view, err);
}

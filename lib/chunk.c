/* Chunks: reference counts, and what happens when the last one goes. */
#include "chunk-internal.h"
#include "header-internal.h"

#include <tributary/transport.h>

#include <string.h>

static struct trib_chunk *header_new(enum tribi_chunk_kind kind, const void *data, size_t len)
{
    struct trib_chunk *chunk = tribi_header_get();

    if (chunk == NULL)
        return NULL;
    atomic_init(&chunk->refs, 1);
    chunk->kind = (uint8_t)kind;
    chunk->budget = NULL;
    chunk->charge = 0;
    chunk->data = (uint8_t *)(uintptr_t)data; /* never written: trib_chunk_writable() gives pool blocks only */
    chunk->len = len;
    return chunk;
}

int trib_chunk_new(size_t len, size_t align, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    return tribi_pool_get(len, align, ret_chunk, err);
}

int trib_chunk_copy(const void *data, size_t len, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    struct trib_chunk *chunk;
    int rc;

    if (data == NULL && len > 0)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "copy %zu bytes: the address is NULL", len);
    rc = tribi_pool_get(len, 1, &chunk, err);
    if (rc != TRIB_OK)
        return rc;
    if (len > 0)
        memcpy(chunk->data, data, len); /* copy: the caller asked for it */
    *ret_chunk = chunk;
    return TRIB_OK;
}

int trib_chunk_wrap(const void *data, size_t len, trib_release_fn *release, void *arg, struct trib_chunk **ret_chunk,
                    struct trib_error *err)
{
    struct trib_chunk *chunk;

    if (data == NULL && len > 0)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "wrap %zu bytes: the address is NULL", len);
    chunk = header_new(TRIBI_CHUNK_FOREIGN, data, len);
    if (chunk == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "wrap %zu bytes: no memory", len);
    chunk->u.foreign.release = release;
    chunk->u.foreign.arg = arg;
    *ret_chunk = chunk;
    return TRIB_OK;
}

int trib_chunk_sub(struct trib_chunk *chunk, size_t offset, size_t len, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    struct trib_chunk *sub;

    if (offset > chunk->len || len > chunk->len - offset)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "sub-chunk [%zu, +%zu): the chunk has %zu bytes", offset, len, chunk->len);
    sub = header_new(TRIBI_CHUNK_SUB, offset > 0 ? chunk->data + offset : chunk->data, len);
    if (sub == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "sub-chunk of %zu bytes: no memory", len);
    sub->u.parent = trib_chunk_ref(chunk);
    *ret_chunk = sub;
    return TRIB_OK;
}

struct trib_chunk *trib_chunk_ref(struct trib_chunk *chunk)
{
    if (chunk != NULL)
        atomic_fetch_add_explicit(&chunk->refs, 1, memory_order_relaxed);
    return chunk;
}

/* Returns the chunk that this one kept alive, or NULL. Its charge is the caller's to release. */
static inline struct trib_chunk *take_down(struct trib_chunk *chunk)
{
    struct trib_chunk *parent = NULL;

    if (chunk->kind == TRIBI_CHUNK_POOL) {
        tribi_pool_put(chunk);
    } else {
        if (chunk->kind == TRIBI_CHUNK_SUB)
            parent = chunk->u.parent;
        else if (chunk->u.foreign.release != NULL)
            chunk->u.foreign.release(chunk->u.foreign.arg, chunk->data, chunk->len);
        tribi_header_put(chunk);
    }
    return parent;
}

static struct trib_chunk *destroy(struct trib_chunk *chunk)
{
    struct trib_budget *budget = chunk->budget;
    size_t charge = chunk->charge;
    struct trib_chunk *parent = take_down(chunk);

    if (budget != NULL)
        tribi_budget_release(budget, charge);
    return parent;
}

struct trib_chunk *trib_chunk_unref(struct trib_chunk *chunk)
{
    /* Who sees 1 holds the only reference: nobody else can add one, so the locked subtraction is not needed. */
    while (chunk != NULL && (atomic_load_explicit(&chunk->refs, memory_order_acquire) == 1 ||
                             atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) == 1))
        chunk = destroy(chunk);
    return NULL;
}

void tribi_chunk_unref_in_lane(struct trib_chunk *chunk, struct trib_budget *budget)
{
    struct trib_chunk *parent;
    size_t charge;

    if (chunk == NULL || chunk->budget != budget || atomic_load_explicit(&chunk->refs, memory_order_acquire) != 1) {
        trib_chunk_unref(chunk);
        return;
    }
    charge = chunk->charge;
    parent = take_down(chunk);
    if (parent != NULL)
        trib_chunk_unref(parent);
    tribi_budget_release_in_lane(budget, charge);
}

const uint8_t *trib_chunk_data(const struct trib_chunk *chunk)
{
    return chunk->data;
}

size_t trib_chunk_len(const struct trib_chunk *chunk)
{
    return chunk->len;
}

uint8_t *trib_chunk_writable(struct trib_chunk *chunk)
{
    bool ours = chunk->kind == TRIBI_CHUNK_POOL && atomic_load_explicit(&chunk->refs, memory_order_acquire) == 1;

    return ours ? chunk->data : NULL;
}

struct trib_view trib_chunk_view(struct trib_chunk *chunk)
{
    return (struct trib_view){.data = chunk->data, .len = chunk->len, .holder = chunk};
}

struct trib_view trib_view_retain(struct trib_view view)
{
    trib_chunk_ref(view.holder);
    return view;
}

void trib_view_release(struct trib_view *view)
{
    trib_chunk_unref(view->holder);
    *view = (struct trib_view){.data = NULL};
}

struct trib_view trib_view_sub(struct trib_view view, size_t offset, size_t len)
{
    size_t from = offset < view.len ? offset : view.len;
    size_t left = view.len - from;

    if (view.len > 0)
        view.data += from;
    view.len = len < left ? len : left;
    return view;
}

static void charge(struct trib_chunk *chunk, struct trib_budget *budget, size_t bytes, bool in_lane)
{
    if (bytes == 0)
        return; /* what counts nothing must not outlive the budget either */
    chunk->budget = budget;
    chunk->charge = bytes;
    tribi_budget_charge(budget, bytes, in_lane);
}

void tribi_chunk_charge(struct trib_chunk *chunk, struct trib_budget *budget, size_t bytes)
{
    charge(chunk, budget, bytes, false);
}

int tribi_view_charge(struct trib_view *view, struct trib_budget *budget, bool in_lane, struct trib_error *err)
{
    struct trib_chunk *chunk = view->holder;

    if (chunk->budget != NULL || atomic_load_explicit(&chunk->refs, memory_order_acquire) != 1) {
        struct trib_chunk *own = header_new(TRIBI_CHUNK_SUB, view->data, view->len);
        if (own == NULL)
            return trib_error_set(err, TRIB_ERR_NOMEM, 0, "pass on %zu bytes: no memory", view->len);
        own->u.parent = chunk; /* the view's reference */
        view->holder = chunk = own;
    }
    charge(chunk, budget, view->len, in_lane);
    return TRIB_OK;
}

/* What may be read ahead without going above the high mark; a little where even that is full, for a read of a few bytes is the
 * costlier evil. */
static size_t ahead_allowed(const struct trib_budget *budget, size_t held, size_t must, size_t ahead)
{
    const size_t least = 4096;
    size_t room = held + must < budget->high ? budget->high - held - must : 0;

    if (room < least && must < least && held + least <= budget->limit)
        room = least - must;
    return ahead < room ? ahead : room;
}

int trib_want_alloc(const struct trib_want *want, size_t ahead, struct trib_chunk **ret_block, struct trib_error *err)
{
    struct trib_budget *budget = want->budget;
    size_t must = want->head + want->min, held = trib_budget_held(budget), block;
    struct trib_chunk *chunk;
    int rc;

    held -= want->spare < held ? want->spare : held;
    if (must < want->min || must > budget->limit || held > budget->limit - must)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, must, budget->limit,
                                  "receive %zu bytes: %zu are held and the limit is %zu; release chunks or raise the limit", must, held,
                                  budget->limit);
    ahead = ahead_allowed(budget, held, must, ahead);
    block = must + ahead;
    rc = tribi_pool_get(block, want->align, &chunk, err);
    if (rc != TRIB_OK)
        return rc;
    tribi_chunk_charge(chunk, budget, block);
    *ret_block = chunk;
    return TRIB_OK;
}

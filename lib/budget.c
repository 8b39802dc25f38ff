/* Budgets: how many bytes are held that nobody has let go yet, and who waits for that to become less. */
#include "chunk-internal.h"

#include <tributary/alloc.h>

int trib_budget_new(size_t high, size_t limit, struct trib_budget **ret_budget, struct trib_error *err)
{
    struct trib_budget *budget;

    if (high == 0)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "create a budget: its high mark is 0 bytes");
    budget = trib_alloc(sizeof(*budget));
    if (budget == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "create a budget: no memory");
    atomic_init(&budget->owners, 1);
    budget->high = high;
    budget->limit = limit > high ? limit : high;
    pthread_mutex_init(&budget->lock, NULL);
    *ret_budget = budget;
    return TRIB_OK;
}

struct trib_budget *trib_budget_ref(struct trib_budget *budget)
{
    if (budget != NULL)
        atomic_fetch_add_explicit(&budget->owners, 1, memory_order_relaxed);
    return budget;
}

static void destroy(struct trib_budget *budget)
{
    pthread_mutex_destroy(&budget->lock);
    trib_free(budget);
}

struct trib_budget *trib_budget_unref(struct trib_budget *budget)
{
    uint64_t ends;

    if (budget == NULL || atomic_fetch_sub_explicit(&budget->owners, 1, memory_order_acq_rel) != 1)
        return NULL;
    /* Final: only owners charge, and release in the lane. */
    ends = TRIBI_BUDGET_OVER - tribi_budget_charged(budget) + atomic_load_explicit(&budget->released_in_lane, memory_order_acquire);
    if (atomic_fetch_add_explicit(&budget->released, ends, memory_order_acq_rel) + ends == TRIBI_BUDGET_OVER)
        destroy(budget);
    return NULL;
}

size_t trib_budget_high(const struct trib_budget *budget)
{
    return budget->high;
}

size_t trib_budget_limit(const struct trib_budget *budget)
{
    return budget->limit;
}

/* What was held at one moment: `charged` must not have moved while `released` was read. Where it does again and again, too little
 * rather than too much: what was charged and released in between may be many times what was ever held. */
static size_t held_at_once(const struct trib_budget *budget, uint64_t charged, uint64_t *ret_released)
{
    uint64_t released = 0, again = charged;

    for (int tries = 0; tries < 8; tries++) {
        charged = again;
        released = tribi_budget_released(budget);
        again = tribi_budget_charged(budget);
        if (again == charged)
            break;
    }
    *ret_released = released;
    return charged >= released ? (size_t)(charged - released) : 0;
}

size_t trib_budget_held(const struct trib_budget *budget)
{
    uint64_t released;

    return held_at_once(budget, tribi_budget_charged(budget), &released);
}

size_t trib_budget_peak(const struct trib_budget *budget)
{
    return atomic_load_explicit(&budget->peak, memory_order_relaxed);
}

void tribi_budget_note_peak(struct trib_budget *budget, uint64_t charged)
{
    size_t peak = atomic_load_explicit(&budget->peak, memory_order_relaxed), held;
    uint64_t released;

    held = held_at_once(budget, charged, &released);
    atomic_store_explicit(&budget->known_released, released, memory_order_relaxed);
    while (held > peak &&
           !atomic_compare_exchange_weak_explicit(&budget->peak, &peak, held, memory_order_relaxed, memory_order_relaxed))
        ;
}

void tribi_budget_charge(struct trib_budget *budget, size_t bytes, bool in_lane)
{
    if (in_lane) {
        tribi_budget_charge_in_lane(budget, bytes);
        return;
    }
    atomic_fetch_add_explicit(&budget->charged, bytes, memory_order_acq_rel);
    tribi_budget_look_at_peak(budget);
}

/* One more owner, if there is one. */
static bool own(struct trib_budget *budget)
{
    size_t owners = atomic_load_explicit(&budget->owners, memory_order_acquire);

    while (owners != 0 &&
           !atomic_compare_exchange_weak_explicit(&budget->owners, &owners, owners + 1, memory_order_acq_rel, memory_order_acquire))
        ;
    return owners != 0;
}

static void tell(struct trib_budget *budget)
{
    atomic_thread_fence(memory_order_seq_cst); /* what was released is seen by whom fn finds waiting no more */
    pthread_mutex_lock(&budget->lock);
    for (struct tribi_budget_watch *watch = budget->watches; watch != NULL; watch = watch->next)
        watch->fn(watch->arg);
    pthread_mutex_unlock(&budget->lock);
}

/* Our bytes keep the budget alive until they are counted as released; then, being an owner does. */
static bool release_and_tell(struct trib_budget *budget, size_t bytes)
{
    if (!own(budget))
        return false; /* the watches went before the last owner */
    atomic_fetch_add(&budget->released, bytes);
    tell(budget);
    trib_budget_unref(budget);
    return true;
}

void tribi_budget_release(struct trib_budget *budget, size_t bytes)
{
    uint64_t before = atomic_load_explicit(&budget->released, memory_order_relaxed);

    for (;;) {
        if ((before & TRIBI_BUDGET_WATCHED) == 0) {
            /* Who begins to watch after this step looks for himself. */
            if (!atomic_compare_exchange_weak(&budget->released, &before, before + bytes))
                continue;
            if (before + bytes == TRIBI_BUDGET_OVER)
                destroy(budget);
            return;
        }
        if (release_and_tell(budget, bytes))
            return;
        before = atomic_load_explicit(&budget->released, memory_order_acquire);
    }
}

void tribi_budget_tell_in_lane(struct trib_budget *budget)
{
    if (tribi_budget_released(budget) >= atomic_load_explicit(&budget->tell_at, memory_order_relaxed))
        tell(budget);
}

/* Under the lock. */
static void say_when(struct trib_budget *budget)
{
    uint64_t at = UINT64_MAX;

    for (struct tribi_budget_watch *watch = budget->watches; watch != NULL; watch = watch->next)
        if (watch->at < at)
            at = watch->at;
    atomic_store(&budget->tell_at, at);
}

void tribi_budget_watch(struct trib_budget *budget, struct tribi_budget_watch *watch, size_t wanted)
{
    uint64_t charged = tribi_budget_charged(budget), may_stay = wanted < budget->high ? budget->high - wanted : 0;

    pthread_mutex_lock(&budget->lock);
    watch->at = wanted > 0 && charged > may_stay ? charged - may_stay : 0; /* too early where more is charged meanwhile, never too late */
    if (!watch->active) {
        watch->active = true;
        watch->next = budget->watches;
        budget->watches = watch;
    }
    say_when(budget);
    atomic_fetch_or(&budget->released, TRIBI_BUDGET_WATCHED);
    pthread_mutex_unlock(&budget->lock);
}

void tribi_budget_unwatch(struct trib_budget *budget, struct tribi_budget_watch *watch)
{
    if (!watch->active)
        return;
    pthread_mutex_lock(&budget->lock);
    for (struct tribi_budget_watch **at = &budget->watches; *at != NULL; at = &(*at)->next)
        if (*at == watch) {
            *at = watch->next;
            break;
        }
    watch->active = false;
    say_when(budget);
    if (budget->watches == NULL)
        atomic_fetch_and(&budget->released, ~TRIBI_BUDGET_WATCHED);
    pthread_mutex_unlock(&budget->lock);
}

void trib_budget_on_release(struct trib_budget *budget, void (*fn)(void *arg), void *arg)
{
    tribi_budget_unwatch(budget, &budget->transport);
    budget->transport.fn = fn;
    budget->transport.arg = arg;
    if (fn != NULL)
        tribi_budget_watch(budget, &budget->transport, 0);
}

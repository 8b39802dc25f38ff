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
    atomic_init(&budget->left, TRIBI_BUDGET_OWNED);
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
    uint64_t taken;

    if (budget == NULL || atomic_fetch_sub_explicit(&budget->owners, 1, memory_order_acq_rel) != 1)
        return NULL;
    taken = atomic_load_explicit(&budget->taken, memory_order_acquire); /* final: only owners charge */
    if (atomic_fetch_add_explicit(&budget->left, taken - TRIBI_BUDGET_OWNED, memory_order_acq_rel) + taken == TRIBI_BUDGET_OWNED)
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
static size_t held_at_once(const struct trib_budget *budget, size_t charged, size_t *ret_released)
{
    size_t released = 0, again = charged;

    for (int tries = 0; tries < 8; tries++) {
        charged = again;
        released = atomic_load_explicit(&budget->released, memory_order_acquire);
        again = atomic_load_explicit(&budget->charged, memory_order_acquire);
        if (again == charged)
            break;
    }
    *ret_released = released;
    return charged - released <= SIZE_MAX / 2 ? charged - released : 0;
}

size_t trib_budget_held(const struct trib_budget *budget)
{
    size_t released;

    return held_at_once(budget, atomic_load_explicit(&budget->charged, memory_order_acquire), &released);
}

size_t trib_budget_peak(const struct trib_budget *budget)
{
    return atomic_load_explicit(&budget->peak, memory_order_relaxed);
}

void tribi_budget_charge(struct trib_budget *budget, size_t bytes)
{
    size_t charged = atomic_fetch_add_explicit(&budget->charged, bytes, memory_order_acq_rel) + bytes;
    size_t peak = atomic_load_explicit(&budget->peak, memory_order_relaxed), held, released;

    atomic_fetch_add_explicit(&budget->taken, 1, memory_order_relaxed);
    /* With an old copy of `released` this is too much rather than too little: only what looks like a new peak is looked at
     * closely. */
    if (charged - atomic_load_explicit(&budget->known_released, memory_order_relaxed) <= peak)
        return;
    held = held_at_once(budget, charged, &released);
    atomic_store_explicit(&budget->known_released, released, memory_order_relaxed);
    while (held > peak &&
           !atomic_compare_exchange_weak_explicit(&budget->peak, &peak, held, memory_order_relaxed, memory_order_relaxed))
        ;
}

void tribi_budget_release(struct trib_budget *budget, size_t bytes)
{
    atomic_fetch_add(&budget->released, bytes);
    if (atomic_load(&budget->watched) != 0) {
        pthread_mutex_lock(&budget->lock);
        for (struct tribi_budget_watch *watch = budget->watches; watch != NULL; watch = watch->next)
            watch->fn(watch->arg);
        pthread_mutex_unlock(&budget->lock);
    }
    if (atomic_fetch_sub_explicit(&budget->left, 1, memory_order_acq_rel) == 1)
        destroy(budget);
}

void tribi_budget_watch(struct trib_budget *budget, struct tribi_budget_watch *watch)
{
    if (watch->active)
        return;
    pthread_mutex_lock(&budget->lock);
    watch->active = true;
    watch->next = budget->watches;
    budget->watches = watch;
    atomic_fetch_add(&budget->watched, 1);
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
    atomic_fetch_sub(&budget->watched, 1);
    pthread_mutex_unlock(&budget->lock);
}

void trib_budget_on_release(struct trib_budget *budget, void (*fn)(void *arg), void *arg)
{
    tribi_budget_unwatch(budget, &budget->transport);
    budget->transport.fn = fn;
    budget->transport.arg = arg;
    if (fn != NULL)
        tribi_budget_watch(budget, &budget->transport);
}

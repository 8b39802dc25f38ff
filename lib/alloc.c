/* The process's allocator: malloc() until somebody replaces it. */
#include "alloc-internal.h"

#include <tributary/alloc.h>
#include <tributary/chunk.h>

#include <stdlib.h>
#include <string.h>

static void *default_allocate(void *arg, size_t size)
{
    (void)arg;
    return tribi_small_alloc(size, false);
}

static void default_release(void *arg, void *memory)
{
    (void)arg;
    tribi_small_free(memory);
}

static const struct trib_allocator default_allocator = { sizeof(default_allocator), default_allocate, default_release, NULL, true };

/* Both read without a lock: the contract forbids replacing them while anything else runs. */
bool tribi_alloc_replaced;
static struct trib_allocator current = { sizeof(current), default_allocate, default_release, NULL, true };

/* The end of the slots that an allocator cannot do without. */
#define ALLOCATOR_SIZE_MIN (offsetof(struct trib_allocator, arg) + sizeof(void *))

static bool usable(const struct trib_allocator *allocator)
{
    return allocator->size >= ALLOCATOR_SIZE_MIN && allocator->allocate != NULL && allocator->release != NULL;
}

void trib_set_allocator(const struct trib_allocator *allocator)
{
    size_t size = allocator == NULL ? 0 : allocator->size;

    tribi_pool_give_back(); /* its idle blocks go back to whom they came from */
    current = default_allocator;
    tribi_alloc_replaced = false;
    if (allocator == NULL || !usable(allocator))
        return;
    memcpy(&current, allocator, size < sizeof(current) ? size : sizeof(current));
    current.size = sizeof(current);
    tribi_alloc_replaced = current.allocate != default_allocate;
}

void *trib_alloc_raw(size_t size)
{
    size = size != 0 ? size : 1;
    return current.allocate == default_allocate ? tribi_small_alloc(size, false) : current.allocate(current.arg, size);
}

void *trib_alloc(size_t size)
{
    void *memory;

    if (current.allocate == default_allocate)
        return tribi_small_alloc(size != 0 ? size : 1, true);
    memory = trib_alloc_raw(size);
    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

void trib_free(void *memory)
{
    if (memory == NULL)
        return;
    if (current.release == default_release)
        tribi_small_free(memory);
    else
        current.release(current.arg, memory);
}

char *trib_strdup(const char *text)
{
    size_t len = strlen(text) + 1;
    char *copy = trib_alloc_raw(len);

    if (copy != NULL)
        memcpy(copy, text, len);
    return copy;
}

bool tribi_alloc_maps(void)
{
    return current.map_large;
}

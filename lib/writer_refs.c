/* The writer's references to what it gathered, without an atomic step for each piece. */
#include "writer-internal.h"

#include "chunk-internal.h"

enum { AT_ONCE = 64 };

static void return_spare(struct tribi_writer_refs *refs)
{
    if (refs->spare > 1)
        atomic_fetch_sub_explicit(&refs->holder->refs, refs->spare - 1, memory_order_release);
    if (refs->spare > 0)
        trib_chunk_unref(refs->holder);
    refs->spare = 0;
    refs->holder = NULL;
}

/* The first piece of a chunk gets a reference of the common kind: most chunks are written once. */
static void begin(struct tribi_writer_refs *refs, struct trib_chunk *holder)
{
    return_spare(refs);
    refs->holder = trib_chunk_ref(holder);
    refs->out = 1;
}

void tribi_writer_ref(struct trib_writer *writer, struct tribi_writer_refs *refs, struct trib_chunk *holder)
{
    if (writer->by_reference) { /* the channel moves references out, uncounted */
        trib_chunk_ref(holder);
        return;
    }
    if (refs->holder != holder) {
        begin(refs, holder);
        return;
    }
    if (refs->spare == 0) {
        atomic_fetch_add_explicit(&holder->refs, AT_ONCE, memory_order_relaxed);
        refs->spare = AT_ONCE;
    }
    refs->spare--;
    refs->out++;
}

static bool put_back(struct tribi_writer_refs *refs, struct trib_chunk *holder)
{
    if (refs->holder != holder)
        return false;
    refs->spare++;
    if (--refs->out == 0)
        return_spare(refs);
    return true;
}

void tribi_writer_unref(struct trib_writer *writer, struct trib_chunk *holder)
{
    if (holder != NULL && !put_back(&writer->block_refs, holder) && !put_back(&writer->view_refs, holder))
        trib_chunk_unref(holder);
}

void tribi_writer_return_refs(struct trib_writer *writer)
{
    return_spare(&writer->block_refs);
    return_spare(&writer->view_refs);
}

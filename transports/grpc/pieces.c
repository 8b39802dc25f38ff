/* A growing ring of spans that wait to be sent. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

int tribi_grpc_pieces_grow(struct tribi_grpc_pieces *pieces, size_t extra)
{
    size_t capacity = pieces->capacity == 0 ? 16 : pieces->capacity;
    struct tribi_grpc_piece *ring;

    while (capacity - pieces->count < extra)
        capacity *= 2;
    ring = trib_alloc_raw(capacity * sizeof(*ring));
    if (ring == NULL)
        return TRIB_ERR_NOMEM;
    for (size_t i = 0; i < pieces->count; i++)
        ring[i] = *tribi_grpc_pieces_at(pieces, i);
    if (pieces->ring != pieces->few)
        trib_free(pieces->ring);
    pieces->ring = ring;
    pieces->first = 0;
    pieces->capacity = capacity;
    return TRIB_OK;
}

/* The first `bytes` of a piece are no more. */
static void shorten(struct tribi_grpc_piece *piece, size_t bytes)
{
    piece->view.data += bytes;
    piece->view.len -= bytes;
    piece->lead = piece->lead > bytes ? piece->lead - (unsigned)bytes : 0;
    piece->begins = piece->room = false;
}

static void drop_first(struct tribi_grpc_pieces *pieces, size_t count)
{
    pieces->first = (pieces->first + count) & (pieces->capacity - 1);
    pieces->count -= count;
}

void tribi_grpc_pieces_pop(struct tribi_grpc_pieces *pieces, size_t bytes)
{
    size_t count = 0;

    pieces->bytes -= bytes;
    for (; bytes > 0; count++) {
        struct tribi_grpc_piece *piece = tribi_grpc_pieces_at(pieces, count);

        if (piece->view.len > bytes) {
            shorten(piece, bytes);
            break;
        }
        bytes -= piece->view.len;
        trib_chunk_unref(piece->view.holder);
    }
    if (count > 0)
        drop_first(pieces, count);
}

void tribi_grpc_pieces_extend(struct tribi_grpc_pieces *pieces, struct trib_view view)
{
    struct tribi_grpc_piece *last = pieces->count > 0 ? tribi_grpc_pieces_at(pieces, pieces->count - 1) : NULL;

    if (last != NULL && last->owner == NULL && last->view.holder == view.holder && last->view.data + last->view.len == view.data) {
        last->view.len += view.len;
        pieces->bytes += view.len;
        trib_chunk_unref(view.holder);
        return;
    }
    tribi_grpc_pieces_push(pieces, (struct tribi_grpc_piece){ .view = view });
}

size_t tribi_grpc_pieces_move(struct tribi_grpc_pieces *pieces, size_t bytes, struct tribi_grpc_pieces *to)
{
    size_t count = 0, left = bytes, owned = 0;

    pieces->bytes -= bytes;
    for (; left > 0; count++) {
        struct tribi_grpc_piece *first = tribi_grpc_pieces_at(pieces, count), part = *first;

        owned += part.owner != NULL;
        if (part.view.len > left) {
            part.view = trib_view_retain(trib_view_sub(part.view, 0, left));
            shorten(first, left);
            tribi_grpc_pieces_push(to, part);
            break;
        }
        left -= part.view.len;
        tribi_grpc_pieces_push(to, part);
    }
    if (count > 0)
        drop_first(pieces, count);
    return owned;
}

size_t tribi_grpc_pieces_fit(const struct tribi_grpc_pieces *pieces, size_t most)
{
    size_t bytes = 0, cut = 0;

    if (pieces->bytes <= most)
        return pieces->bytes;
    for (size_t i = 0; i < pieces->count && bytes <= most; i++) {
        const struct tribi_grpc_piece *piece = tribi_grpc_pieces_at(pieces, i);

        if (piece->begins)
            cut = bytes;
        bytes += piece->view.len;
    }
    return cut > 0 && cut >= most / 4 ? cut : most;
}

void tribi_grpc_pieces_done(struct tribi_grpc_pieces *pieces)
{
    for (size_t i = 0; i < pieces->count; i++)
        trib_chunk_unref(tribi_grpc_pieces_at(pieces, i)->view.holder);
    if (pieces->ring != pieces->few)
        trib_free(pieces->ring);
    *pieces = (struct tribi_grpc_pieces){ .ring = NULL };
}

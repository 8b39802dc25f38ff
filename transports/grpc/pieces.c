/* A growing ring of spans that wait to be sent. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

int tribi_grpc_pieces_reserve(struct tribi_grpc_pieces *pieces, size_t extra)
{
    size_t capacity = pieces->capacity == 0 ? 16 : pieces->capacity;
    struct tribi_grpc_piece *ring;

    if (pieces->capacity - pieces->count >= extra)
        return TRIB_OK;
    while (capacity - pieces->count < extra)
        capacity *= 2;
    ring = trib_alloc(capacity * sizeof(*ring));
    if (ring == NULL)
        return TRIB_ERR_NOMEM;
    for (size_t i = 0; i < pieces->count; i++)
        ring[i] = *tribi_grpc_pieces_at(pieces, i);
    trib_free(pieces->ring);
    pieces->ring = ring;
    pieces->first = 0;
    pieces->capacity = capacity;
    return TRIB_OK;
}

struct tribi_grpc_piece *tribi_grpc_pieces_at(const struct tribi_grpc_pieces *pieces, size_t index)
{
    return &pieces->ring[(pieces->first + index) & (pieces->capacity - 1)];
}

void tribi_grpc_pieces_push(struct tribi_grpc_pieces *pieces, struct tribi_grpc_piece piece)
{
    struct tribi_grpc_piece *last = pieces->count > 0 ? tribi_grpc_pieces_at(pieces, pieces->count - 1) : NULL;

    pieces->bytes += piece.view.len;
    /* Bytes that go on where the last piece ends, of the same holder and owner, make it longer. */
    if (last != NULL && last->owner == piece.owner && last->view.holder == piece.view.holder &&
        last->view.data + last->view.len == piece.view.data) {
        last->view.len += piece.view.len;
        trib_chunk_unref(piece.view.holder);
        return;
    }
    pieces->count++;
    *tribi_grpc_pieces_at(pieces, pieces->count - 1) = piece;
}

void tribi_grpc_pieces_pop(struct tribi_grpc_pieces *pieces, size_t bytes)
{
    pieces->bytes -= bytes;
    while (bytes > 0) {
        struct trib_view *view = &tribi_grpc_pieces_at(pieces, 0)->view;

        if (view->len > bytes) {
            view->data += bytes;
            view->len -= bytes;
            return;
        }
        bytes -= view->len;
        trib_chunk_unref(view->holder);
        pieces->first = (pieces->first + 1) & (pieces->capacity - 1);
        pieces->count--;
    }
}

void tribi_grpc_pieces_done(struct tribi_grpc_pieces *pieces)
{
    for (size_t i = 0; i < pieces->count; i++)
        trib_chunk_unref(tribi_grpc_pieces_at(pieces, i)->view.holder);
    trib_free(pieces->ring);
    *pieces = (struct tribi_grpc_pieces){ NULL, 0, 0, 0, 0 };
}

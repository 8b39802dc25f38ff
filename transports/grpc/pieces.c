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
    if (last != NULL && last->owner == piece.owner && last->view.holder == piece.view.holder && piece.lead == 0 && !piece.begins &&
        last->view.data + last->view.len == piece.view.data) {
        last->view.len += piece.view.len;
        trib_chunk_unref(piece.view.holder);
        return;
    }
    pieces->count++;
    *tribi_grpc_pieces_at(pieces, pieces->count - 1) = piece;
}

static void drop_first(struct tribi_grpc_pieces *pieces)
{
    pieces->first = (pieces->first + 1) & (pieces->capacity - 1);
    pieces->count--;
}

/* The first `bytes` of a piece are no more. */
static void shorten(struct tribi_grpc_piece *piece, size_t bytes)
{
    piece->view.data += bytes;
    piece->view.len -= bytes;
    piece->lead = piece->lead > bytes ? piece->lead - (unsigned)bytes : 0;
    piece->begins = false;
}

void tribi_grpc_pieces_pop(struct tribi_grpc_pieces *pieces, size_t bytes)
{
    pieces->bytes -= bytes;
    while (bytes > 0) {
        struct tribi_grpc_piece *piece = tribi_grpc_pieces_at(pieces, 0);

        if (piece->view.len > bytes) {
            shorten(piece, bytes);
            return;
        }
        bytes -= piece->view.len;
        trib_chunk_unref(piece->view.holder);
        drop_first(pieces);
    }
}

struct tribi_grpc_piece tribi_grpc_pieces_shift(struct tribi_grpc_pieces *pieces, size_t most)
{
    struct tribi_grpc_piece *first = tribi_grpc_pieces_at(pieces, 0), piece = *first;

    if (piece.view.len <= most) {
        pieces->bytes -= piece.view.len;
        drop_first(pieces);
        return piece;
    }
    piece.view = trib_view_retain(trib_view_sub(piece.view, 0, most));
    pieces->bytes -= most;
    shorten(first, most);
    return piece;
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
    trib_free(pieces->ring);
    *pieces = (struct tribi_grpc_pieces){ .ring = NULL };
}

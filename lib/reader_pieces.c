/* Two growing rings of the reader: pieces received, and the marks between messages. */
#include "reader-internal.h"

#include <tributary/alloc.h>

#include <string.h>

#include "chunk-internal.h"

enum { FIRST_CAPACITY = 8 };

/* Doubles a ring of `count` elements and lays it out from 0; one that lies in `few` is not freed. NULL: no memory, the ring is as before. */
static void *grow(void *ring, const void *few, size_t element, size_t first, size_t count, size_t *capacity)
{
    size_t wider = *capacity == 0 ? FIRST_CAPACITY : *capacity * 2, tail = *capacity - first;
    char *to = wider > SIZE_MAX / element ? NULL : trib_alloc_raw(wider * element);

    if (to == NULL)
        return NULL;
    if (tail > count)
        tail = count;
    if (count > 0) {
        memcpy(to, (char *)ring + first * element, tail * element);
        memcpy(to + tail * element, ring, (count - tail) * element);
    }
    if (ring != few)
        trib_free(ring);
    *capacity = wider;
    return to;
}

int tribi_pieces_reserve(struct tribi_pieces *pieces, size_t extra)
{
    while (pieces->capacity - pieces->count < extra) {
        void *wider = grow(pieces->views, NULL, sizeof(*pieces->views), pieces->first, pieces->count, &pieces->capacity);
        if (wider == NULL)
            return TRIB_ERR_NOMEM;
        pieces->views = wider;
        pieces->first = 0;
    }
    return TRIB_OK;
}

struct trib_view *tribi_pieces_at(const struct tribi_pieces *pieces, size_t index)
{
    return &pieces->views[(pieces->first + index) & (pieces->capacity - 1)];
}

void tribi_pieces_push(struct tribi_pieces *pieces, struct trib_view view)
{
    *tribi_pieces_at(pieces, pieces->count++) = view;
    pieces->bytes += view.len;
}

void tribi_pieces_push_front(struct tribi_pieces *pieces, struct trib_view view)
{
    pieces->first = (pieces->first - 1) & (pieces->capacity - 1);
    pieces->count++;
    *tribi_pieces_at(pieces, 0) = view;
    pieces->bytes += view.len;
}

struct trib_view tribi_pieces_pop(struct tribi_pieces *pieces)
{
    struct trib_view view = *tribi_pieces_at(pieces, 0);

    pieces->first = (pieces->first + 1) & (pieces->capacity - 1);
    pieces->count--;
    pieces->bytes -= view.len;
    return view;
}

void tribi_pieces_clear(struct tribi_pieces *pieces)
{
    while (pieces->count > 0) {
        struct trib_view view = tribi_pieces_pop(pieces);
        trib_view_release(&view);
    }
}

void tribi_pieces_done(struct tribi_pieces *pieces)
{
    tribi_pieces_clear(pieces);
    trib_free(pieces->views);
    *pieces = (struct tribi_pieces){.views = NULL};
}

void tribi_marks_init(struct tribi_marks *marks)
{
    marks->at = marks->few;
    marks->capacity = sizeof(marks->few) / sizeof(marks->few[0]);
}

void tribi_marks_done(struct tribi_marks *marks)
{
    if (marks->at != marks->few)
        trib_free(marks->at);
}

int tribi_marks_reserve(struct tribi_marks *marks)
{
    if (marks->count == marks->capacity) {
        void *wider = grow(marks->at, marks->few, sizeof(*marks->at), marks->first, marks->count, &marks->capacity);
        if (wider == NULL)
            return TRIB_ERR_NOMEM;
        marks->at = wider;
        marks->first = 0;
    }
    return TRIB_OK;
}

void tribi_marks_push(struct tribi_marks *marks, uint64_t position)
{
    marks->at[(marks->first + marks->count++) & (marks->capacity - 1)] = position;
}

static uint64_t first_mark(const struct tribi_marks *marks)
{
    return marks->at[marks->first];
}

static void drop_mark(struct tribi_marks *marks)
{
    marks->first = (marks->first + 1) & (marks->capacity - 1);
    marks->count--;
}

/* The fast path knows nothing of marks, so they are looked at afterwards: one that lies at the position was reached by the bytes
 * in front of it, whether it came with them or after them; a second one there is an empty message, which only take_message takes.
 * */
void tribi_reader_pass_marks(struct trib_reader *reader)
{
    struct tribi_marks *marks = &reader->marks;
    uint64_t position = tribi_reader_position(reader);

    if (position != reader->marks_position)
        reader->at_mark = false;
    reader->marks_position = position;
    while (marks->count > 0 &&
           (first_mark(marks) < position || (first_mark(marks) == position && position > reader->message_start))) {
        reader->message_start = first_mark(marks);
        reader->at_mark = reader->message_start == position;
        drop_mark(marks);
    }
}

bool trib_reader_at_mark(struct trib_reader *reader)
{
    tribi_reader_pass_marks(reader);
    return reader->at_mark;
}

/* The bytes of the current message that were not consumed, waiting until its mark has come. */
static int find_mark(struct trib_reader *reader, size_t limit, uint64_t *ret_len, struct trib_error *err)
{
    uint64_t received;
    int rc = TRIB_OK;

    while (reader->marks.count == 0 && rc == TRIB_OK) {
        received = tribi_reader_received(reader);
        if (received > limit)
            break;
        rc = tribi_reader_pull(reader, 1, false, 1, err);
        tribi_reader_pass_marks(reader);
    }
    received = reader->marks.count > 0 ? first_mark(&reader->marks) - tribi_reader_position(reader) : tribi_reader_received(reader);
    if (rc == TRIB_EOF)
        return received == 0 && tribi_reader_position(reader) == reader->message_start
                   ? TRIB_EOF
                   : trib_error_numbers(err, TRIB_ERR_SHORT, received + 1, received,
                                                  "read a message: the stream ended inside it, after %llu bytes",
                                                  (unsigned long long)received);
    if (rc == TRIB_OK && received > limit)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, received, limit, "read a message: it has %llu bytes or more, the limit is %zu",
                                  (unsigned long long)received, limit);
    if (rc == TRIB_OK)
        *ret_len = received;
    return rc;
}

int trib_reader_take_message(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err)
{
    uint64_t len = 0;
    int rc = tribi_reader_enter(reader, err);

    if (rc != TRIB_OK)
        return rc;
    if (!reader->has_marks)
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "read a message: the channel has no message marks");
    tribi_reader_pass_marks(reader);
    rc = find_mark(reader, limit, &len, err);
    if (rc == TRIB_OK)
        rc = tribi_reader_check_limit(reader, len, err);
    if (rc == TRIB_OK)
        rc = tribi_reader_ensure(reader, (size_t)len, 1, err);
    if (rc != TRIB_OK)
        return rc;
    *ret_view = (struct trib_view){.data = reader->cursor, .len = (size_t)len, .holder = reader->holder};
    tribi_reader_advance(reader, (size_t)len);
    drop_mark(&reader->marks);
    reader->message_start = reader->marks_position = tribi_reader_position(reader);
    reader->at_mark = true;
    return TRIB_OK;
}

/* Integers and length-prefixed bytes out of a reader. */
#include "reader-internal.h"

#include <string.h>

/* The next n bytes (at most 8), consumed. */
static inline int bytes_of(struct trib_reader *reader, size_t n, const uint8_t **ret_bytes, struct trib_error *err)
{
    struct trib_view view;
    int rc;

    *ret_bytes = tribi_reader_take_here(reader, n);
    if (*ret_bytes != NULL)
        return TRIB_OK;
    rc = trib_reader_take(reader, n, &view, err);
    if (rc == TRIB_OK)
        *ret_bytes = view.data;
    return rc;
}

static inline uint64_t big(const uint8_t *bytes, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++)
        value = value << 8 | bytes[i];
    return value;
}

static inline uint64_t little(const uint8_t *bytes, size_t n)
{
    uint64_t value = 0;

    for (size_t i = n; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

#define INTEGER(name, type, order)                                                                    \
    int trib_reader_##name(struct trib_reader *reader, type *ret, struct trib_error *err)             \
    {                                                                                                 \
        const uint8_t *bytes;                                                                         \
        int rc = bytes_of(reader, sizeof(type), &bytes, err);                                         \
                                                                                                      \
        if (rc == TRIB_OK)                                                                            \
            *ret = (type)order(bytes, sizeof(type));                                                  \
        return rc;                                                                                    \
    }

INTEGER(u8, uint8_t, big)
INTEGER(be16, uint16_t, big)
INTEGER(be32, uint32_t, big)
INTEGER(be64, uint64_t, big)
INTEGER(le16, uint16_t, little)
INTEGER(le32, uint32_t, little)
INTEGER(le64, uint64_t, little)

enum { VARINT_MAX = 10, VARINT_LAST = 1 /* what the tenth byte may say: bit 63 */ };

/* How many bytes the number has that begins at p; 0: it does not end within n, at most VARINT_MAX. */
static inline size_t varint_at(const uint8_t *p, size_t n, uint64_t *ret)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n && i < VARINT_MAX; i++) {
        value |= (uint64_t)(p[i] & 0x7f) << 7 * i;
        if (p[i] < 0x80) {
            *ret = value;
            return i + 1;
        }
    }
    return 0;
}

static int too_long(struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "read a varint: it has more than 64 bits");
}

/* Byte by byte, as they come, without consuming any. */
static TRIBI_APART int peek_varint(struct trib_reader *reader, size_t *ret_len, uint64_t *ret, struct trib_error *err)
{
    struct trib_view view;

    for (size_t n = 1; n <= VARINT_MAX; n++) {
        int rc = trib_reader_peek(reader, n, &view, err);

        if (rc != TRIB_OK)
            return rc;
        *ret_len = varint_at(view.data, n, ret);
        if (*ret_len > 0)
            return TRIB_OK;
    }
    return too_long(err);
}

int trib_reader_varint(struct trib_reader *reader, uint64_t *ret, struct trib_error *err)
{
    const uint8_t *bytes;
    uint64_t value = 0;
    size_t len = varint_at(reader->cursor, (size_t)(reader->end - reader->cursor), &value);
    int rc = len > 0 ? TRIB_OK : peek_varint(reader, &len, &value, err);

    if (rc == TRIB_OK && len == VARINT_MAX && reader->cursor[VARINT_MAX - 1] > VARINT_LAST)
        rc = too_long(err);
    if (rc == TRIB_OK)
        rc = bytes_of(reader, len, &bytes, err);
    if (rc == TRIB_OK)
        *ret = value;
    return rc;
}

static int check_utf8(struct trib_view view, struct trib_error *err)
{
    size_t at = 0;

    while (at < view.len) {
        size_t len = trib_utf8_len(view.data + at, view.len - at);
        if (len == 0)
            return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "read a string of %zu bytes: byte %zu (0x%02x) is not UTF-8", view.len, at,
                                  view.data[at]);
        at += len;
    }
    return TRIB_OK;
}

enum { PREFIX = 4 };

/* Where chunks are passed on as they are, a prefix often ends one and the bytes begin the next: if that has them all, there is
 * nothing to copy. TRIB_OK: it has not, or *ret_view are they. */
static int peek_apart(struct trib_reader *reader, size_t len, struct trib_view *ret_view, struct trib_error *err)
{
    const struct trib_view *next;
    int rc = TRIB_OK;

    if (len == 0 || tribi_reader_piece(reader) != PREFIX || (reader->channel != NULL && !reader->probe))
        return TRIB_OK;
    if (reader->behind.count == 0)
        rc = tribi_reader_pull(reader, len, false, 1, err);
    if (rc != TRIB_OK)
        return rc == TRIB_EOF ? tribi_reader_short(reader, PREFIX + (uint64_t)len, err) : rc;
    if (tribi_reader_piece(reader) != PREFIX || reader->behind.count == 0)
        return TRIB_OK;
    next = tribi_pieces_at(&reader->behind, 0);
    if (next->len >= len)
        *ret_view = trib_view_sub(*next, 0, len);
    return TRIB_OK;
}

/* Without consuming anything: a prefix and the bytes behind it, once they are all there. */
static int peek_prefixed(struct trib_reader *reader, bool little_endian, size_t limit, struct trib_view *ret_view,
                         struct trib_error *err)
{
    struct trib_view view, apart = {.data = NULL};
    size_t len;
    int rc = trib_reader_peek(reader, PREFIX, &view, err);

    if (rc != TRIB_OK)
        return rc;
    len = (size_t)(little_endian ? little(view.data, PREFIX) : big(view.data, PREFIX));
    if (len > INT32_MAX)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "read length-prefixed bytes: the length is negative (%lld)",
                              (long long)(int32_t)(uint32_t)len);
    if (len > limit)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, len, limit, "read length-prefixed bytes: the length is %zu, the limit %zu", len,
                                  limit);
    rc = tribi_reader_check_limit(reader, PREFIX + (uint64_t)len, err);
    if (rc == TRIB_OK)
        rc = peek_apart(reader, len, &apart, err);
    if (rc == TRIB_OK && apart.data == NULL)
        rc = tribi_reader_ensure(reader, PREFIX + len, 1, err);
    if (rc != TRIB_OK)
        return rc;
    *ret_view = apart.data != NULL ? apart : (struct trib_view){reader->cursor + PREFIX, len, reader->holder};
    return TRIB_OK;
}

static int prefixed(struct trib_reader *reader, bool little_endian, bool text, size_t limit, struct trib_view *ret_view,
                    struct trib_error *err)
{
    struct trib_view view;
    int rc = peek_prefixed(reader, little_endian, limit, &view, err);

    if (rc == TRIB_OK && text)
        rc = check_utf8(view, err);
    if (rc != TRIB_OK)
        return rc;
    reader->cursor += PREFIX;
    if (tribi_reader_piece(reader) < view.len)
        tribi_reader_next_piece(reader);
    reader->cursor += view.len;
    reader->takes++;
    *ret_view = view;
    return TRIB_OK;
}

int trib_reader_bytes_be32(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err)
{
    return prefixed(reader, false, false, limit, ret_view, err);
}

int trib_reader_bytes_le32(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err)
{
    return prefixed(reader, true, false, limit, ret_view, err);
}

int trib_reader_string_be32(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err)
{
    return prefixed(reader, false, true, limit, ret_view, err);
}

int trib_reader_string_le32(struct trib_reader *reader, size_t limit, struct trib_view *ret_view, struct trib_error *err)
{
    return prefixed(reader, true, true, limit, ret_view, err);
}

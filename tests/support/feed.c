/* Chunks of a known pattern, and readers that are fed with them. */
#include "tests/support/feed.h"

#include <check.h>
#include <string.h>

struct trib_chunk *feed_chunk(uint64_t position, size_t len)
{
    struct trib_chunk *chunk;
    uint8_t *bytes;

    ck_ok(trib_chunk_new(len, 1, &chunk, NULL));
    bytes = trib_chunk_writable(chunk);
    for (size_t i = 0; i < len; i++)
        bytes[i] = feed_byte(position + i);
    return chunk;
}

struct trib_reader *feed_reader(size_t budget, size_t limit)
{
    struct trib_reader_options options = { sizeof(options), budget, limit, NULL };
    struct trib_reader *reader;

    ck_ok(trib_reader_new(&options, &reader, NULL));
    return reader;
}

void feed_pattern(struct trib_reader *reader, uint64_t position, size_t len, size_t size)
{
    while (len > 0) {
        size_t part = size == 0 || size > len ? len : size;
        ck_ok(trib_reader_feed(reader, feed_chunk(position, part), TRIB_NOWAIT, NULL));
        position += part;
        len -= part;
    }
}

void feed_bytes(struct trib_reader *reader, const void *bytes, size_t len, size_t size)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        size_t part = size == 0 || size > len ? len : size;
        struct trib_chunk *chunk;
        ck_ok(trib_chunk_copy(at, part, &chunk, NULL));
        ck_ok(trib_reader_feed(reader, chunk, TRIB_NOWAIT, NULL));
        at += part;
        len -= part;
    }
}

void feed_finish(struct trib_reader *reader)
{
    ck_ok(trib_reader_finish(reader, NULL));
}

void feed_check(struct trib_view view, uint64_t position, size_t len)
{
    ck_assert_uint_eq(view.len, len);
    for (size_t i = 0; i < len; i++)
        if (view.data[i] != feed_byte(position + i))
            ck_abort_msg("byte %zu of %zu at position %llu is 0x%02x, not 0x%02x", i, len, (unsigned long long)position,
                         view.data[i], feed_byte(position + i));
}

struct trib_reader_stats feed_stats(const struct trib_reader *reader)
{
    struct trib_reader_stats stats;

    memset(&stats, 0, sizeof(stats));
    stats.size = sizeof(stats);
    trib_reader_stats(reader, &stats);
    return stats;
}

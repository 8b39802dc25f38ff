/* Makes and checks the patterned streams. */
#include "conformance/pattern.h"

#include <string.h>

/* The eight bytes at word index i of a stream; stored with the least significant byte first on every machine. */
static uint64_t pattern_word(uint64_t seed, uint64_t i)
{
    uint64_t w = (i + seed * UINT64_C(0x632be59bd9b4e019) + 1) * UINT64_C(0x9e3779b97f4a7c15);

    return w ^ (w >> 29);
}

static uint8_t pattern_byte(uint64_t seed, uint64_t offset)
{
    return (uint8_t)(pattern_word(seed, offset / 8) >> (offset % 8 * 8));
}

static uint64_t stored(uint64_t word)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(word);
#else
    return word;
#endif
}

void conform_pattern_fill(void *buf, size_t len, uint64_t seed, uint64_t offset)
{
    uint8_t *p = buf;
    size_t i = 0;

    for (; i < len && (offset + i) % 8 != 0; i++)
        p[i] = pattern_byte(seed, offset + i);
    for (; len - i >= 8; i += 8) {
        uint64_t word = stored(pattern_word(seed, (offset + i) / 8));

        memcpy(p + i, &word, sizeof(word));
    }
    for (; i < len; i++)
        p[i] = pattern_byte(seed, offset + i);
}

static size_t mismatch_bytes(const uint8_t *p, size_t i, size_t end, uint64_t seed, uint64_t offset)
{
    while (i < end && p[i] == pattern_byte(seed, offset + i))
        i++;
    return i;
}

size_t conform_pattern_mismatch(const void *data, size_t len, uint64_t seed, uint64_t offset)
{
    const uint8_t *p = data;
    size_t head = (size_t)((8 - offset % 8) % 8);
    size_t i;

    if (head > len)
        head = len;
    i = mismatch_bytes(p, 0, head, seed, offset);
    if (i < head)
        return i;
    for (; len - i >= 8; i += 8) {
        uint64_t word;

        memcpy(&word, p + i, sizeof(word));
        if (word != stored(pattern_word(seed, (offset + i) / 8)))
            break;
    }
    return mismatch_bytes(p, i, len, seed, offset);
}

uint64_t conform_random_next(struct conform_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t conform_random_below(struct conform_random *random, uint64_t n)
{
    return conform_random_next(random) % n;
}

size_t conform_random_size(struct conform_random *random, size_t max)
{
    unsigned bits = 0;
    size_t size;

    while (max >> bits != 0)
        bits++;
    size = (size_t)conform_random_below(random, UINT64_C(1) << conform_random_below(random, bits + 1));
    return size <= max ? size : max;
}

/* Characters of UTF-8, as RFC 3629 has them. */
#include <tributary/types.h>

#include <stdint.h>

size_t trib_utf8_len(const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    uint8_t low = 0x80, high = 0xbf; /* of the second byte: the first one may narrow it */

    if (n < 2 || n > len)
        return n == 1 ? 1 : 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

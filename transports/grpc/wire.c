/* Statuses, percent-encoding, base64 and timeouts of gRPC. */
#include "transports/grpc/wire-internal.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

/* ---- Status ---------------------------------------------------------------------------------------------------- */

static const char *const code_names[] = { "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
                                          "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
                                          "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
                                          "UNAUTHENTICATED" };

const char *trib_grpc_code_name(int code)
{
    return code >= 0 && code <= TRIB_GRPC_UNAUTHENTICATED ? code_names[code] : "UNKNOWN";
}

int tribi_grpc_status_parse(const char *text, size_t len)
{
    int value = 0;

    if (len == 0 || len > 2)
        return TRIB_GRPC_UNKNOWN;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return TRIB_GRPC_UNKNOWN;
        value = value * 10 + (text[i] - '0');
    }
    return value <= TRIB_GRPC_UNAUTHENTICATED ? value : TRIB_GRPC_UNKNOWN;
}

int tribi_grpc_status_of_http(int http_status)
{
    switch (http_status) {
    case 400:
        return TRIB_GRPC_INTERNAL;
    case 401:
        return TRIB_GRPC_UNAUTHENTICATED;
    case 403:
        return TRIB_GRPC_PERMISSION_DENIED;
    case 404:
        return TRIB_GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return TRIB_GRPC_UNAVAILABLE;
    default:
        return TRIB_GRPC_UNKNOWN;
    }
}

int tribi_grpc_status_of_reset(uint32_t code)
{
    switch (code) {
    case NGHTTP2_REFUSED_STREAM:
        return TRIB_GRPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return TRIB_GRPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return TRIB_GRPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return TRIB_GRPC_PERMISSION_DENIED;
    default:
        return TRIB_GRPC_INTERNAL;
    }
}

int tribi_grpc_status_of_finish(int status)
{
    if (status >= 0 && status <= TRIB_GRPC_UNAUTHENTICATED)
        return status;
    switch (status) {
    case TRIB_ERR_USAGE:
    case TRIB_ERR_NOMEM:
    case TRIB_ERR_IO:
        return TRIB_GRPC_INTERNAL;
    case TRIB_ERR_CLOSED:
        return TRIB_GRPC_UNAVAILABLE;
    case TRIB_ERR_SHORT:
    case TRIB_ERR_PROTOCOL:
        return TRIB_GRPC_INVALID_ARGUMENT;
    case TRIB_ERR_LIMIT:
        return TRIB_GRPC_RESOURCE_EXHAUSTED;
    case TRIB_ERR_TIMEOUT:
        return TRIB_GRPC_DEADLINE_EXCEEDED;
    case TRIB_ERR_CANCELLED:
        return TRIB_GRPC_CANCELLED;
    case TRIB_ERR_UNSUPPORTED:
        return TRIB_GRPC_UNIMPLEMENTED;
    default:
        return TRIB_GRPC_UNKNOWN;
    }
}

/* ---- Percent-encoding ------------------------------------------------------------------------------------------ */

size_t tribi_grpc_percent_encode(const char *text, size_t len, char *to)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= 0x20 && c <= 0x7e && c != '%') {
            to[n++] = (char)c;
        } else {
            to[n++] = '%';
            to[n++] = digits[c >> 4];
            to[n++] = digits[c & 15];
        }
    }
    return n;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t tribi_grpc_percent_decode(const char *text, size_t len, char *to)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int high = text[i] == '%' && len - i > 2 ? hex(text[i + 1]) : -1;
        int low = high >= 0 ? hex(text[i + 2]) : -1;

        if (low >= 0 && high * 16 + low != 0) {
            to[n++] = (char)(high * 16 + low);
            i += 2;
        } else {
            to[n++] = text[i];
        }
    }
    to[n] = '\0';
    return n;
}

/* ---- Base64 ---------------------------------------------------------------------------------------------------- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t tribi_grpc_base64_encode(const uint8_t *data, size_t len, char *to)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)data[i] << 16;

        if (have > 1)
            bits |= (uint32_t)data[i + 1] << 8;
        if (have > 2)
            bits |= data[i + 2];
        for (size_t k = 0; k <= have; k++)
            to[n++] = alphabet[bits >> (18 - 6 * k) & 63];
    }
    return n;
}

static int digit64(char c)
{
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);

    return at != NULL ? (int)(at - alphabet) : -1;
}

bool tribi_grpc_base64_decode(const char *text, size_t len, uint8_t *to, size_t *ret_len)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;

    while (len > 0 && text[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++) {
        int digit = digit64(text[i]);

        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[n++] = (uint8_t)(bits >> have);
        }
    }
    *ret_len = n;
    return have < 6;
}

/* ---- Timeouts -------------------------------------------------------------------------------------------------- */

static const struct {
    char unit;
    int64_t ns;
} units[] = { { 'n', 1 },          { 'u', 1000 },           { 'm', 1000000 },
              { 'S', 1000000000 }, { 'M', 60000000000 }, { 'H', 3600000000000 } };
#define UNITS (sizeof(units) / sizeof(units[0]))

bool tribi_grpc_timeout_parse(const char *text, size_t len, int64_t *ret_ns)
{
    int64_t value = 0;

    if (len < 2 || len > 9)
        return false;
    for (size_t i = 0; i + 1 < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    for (size_t i = 0; i < UNITS; i++)
        if (units[i].unit == text[len - 1]) {
            *ret_ns = value > INT64_MAX / units[i].ns ? INT64_MAX : value * units[i].ns;
            return true;
        }
    return false;
}

void tribi_grpc_timeout_format(int64_t ns, char *to)
{
    size_t i = 0;

    if (ns < 0)
        ns = 0;
    while (i + 1 < UNITS && (ns / units[i].ns > 99999998 || (ns > 0 && ns % units[i + 1].ns == 0)))
        i++;
    snprintf(to, 24, "%lld%c", (long long)(ns / units[i].ns + (ns % units[i].ns != 0)), units[i].unit);
}

/* ---- Names of types and encodings ------------------------------------------------------------------------------ */

bool tribi_grpc_content_type_ok(const char *text, size_t len)
{
    static const char type[] = "application/grpc";
    const size_t n = sizeof(type) - 1;

    return len >= n && memcmp(text, type, n) == 0 && (len == n || text[n] == '+' || text[n] == ';');
}

enum tribi_grpc_encoding tribi_grpc_encoding_of(const char *text, size_t len)
{
    if (len == 8 && memcmp(text, "identity", 8) == 0)
        return TRIBI_GRPC_IDENTITY;
    return len == 4 && memcmp(text, "gzip", 4) == 0 ? TRIBI_GRPC_GZIP : TRIBI_GRPC_UNKNOWN_ENCODING;
}

bool tribi_grpc_accepts(const char *list, size_t len, const char *encoding)
{
    const char *end = list + len;
    size_t n = strlen(encoding);

    while (list < end) {
        const char *comma = memchr(list, ',', (size_t)(end - list)), *last = comma != NULL ? comma : end;

        while (list < last && *list == ' ')
            list++;
        if ((size_t)(last - list) >= n && memcmp(list, encoding, n) == 0 && (list + n == last || list[n] == ' '))
            return true;
        list = last + 1;
    }
    return false;
}

/* Fuzzes the words of gRPC: the first byte chooses which. What was decoded is encoded again, and decoded to the same. */
#include "transports/grpc/symbols-internal.h"
#include "transports/grpc/wire-internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void percent(const char *text, size_t len)
{
    char *plain = malloc(len + 1), *again = malloc(3 * len + 1), *back = malloc(3 * len + 1);
    size_t n, m;

    must(plain != NULL && again != NULL && back != NULL);
    n = tribi_grpc_percent_decode(text, len, plain);
    must(n <= len && plain[n] == '\0');
    m = tribi_grpc_percent_encode(plain, n, again);
    must(m <= 3 * n);
    for (size_t i = 0; i < m; i++)
        must(again[i] >= 0x20 && again[i] <= 0x7e);
    if (memchr(plain, '\0', n) == NULL)
        must(tribi_grpc_percent_decode(again, m, back) == n && memcmp(back, plain, n) == 0);
    free(plain);
    free(again);
    free(back);
}

static void base64(const char *text, size_t len)
{
    uint8_t *plain = malloc(len + 1), *back = malloc(2 * len + 8);
    char *again = malloc(2 * len + 8);
    size_t n, m;

    must(plain != NULL && back != NULL && again != NULL);
    if (tribi_grpc_base64_decode(text, len, plain, &n)) {
        must(n <= len);
        size_t written = tribi_grpc_base64_encode(plain, n, again);
        must(tribi_grpc_base64_decode(again, written, back, &m) && m == n && memcmp(back, plain, n) == 0);
    }
    free(plain);
    free(back);
    free(again);
}

static void timeout(const char *text, size_t len)
{
    char again[24];
    int64_t ns, back;

    if (!tribi_grpc_timeout_parse(text, len, &ns))
        return;
    must(ns >= 0);
    tribi_grpc_timeout_format(ns, again);
    must(ns > INT64_MAX / 2 || (tribi_grpc_timeout_parse(again, strlen(again), &back) && back >= ns));
}

static void metadata(const char *text, size_t len)
{
    struct tribi_grpc_metadata list = { .count = 0 };
    size_t name = len > 0 ? (uint8_t)text[0] % len : 0;

    if (len > 0 && tribi_grpc_metadata_decode(&list, text + 1, name, text + 1 + name, len - 1 - name) == TRIB_OK)
        for (size_t i = 0; i < list.count; i++) {
            must(list.entries[i].len <= len && ((const char *)list.entries[i].value)[list.entries[i].len] == '\0');
            must(list.count * TRIBI_GRPC_METADATA_ENTRY <= list.bytes && list.bytes <= TRIBI_GRPC_METADATA_MAX);
            tribi_grpc_metadata_allowed(&list.entries[i]);
        }
    tribi_grpc_metadata_done(&list);
}

static bool count_one(void *arg, const char *name, size_t len)
{
    must(len > 0 && name != NULL);
    return ++*(int *)arg < 1000;
}

static bool count_number(void *arg, uint64_t number)
{
    (void)number;
    return ++*(int *)arg < 1000;
}

static void symbols(const uint8_t *data, size_t len)
{
    size_t name = len > 0 ? data[0] % len : 0;
    struct tribi_proto_span symbol = { data + 1, name }, file = { data + 1 + name, len > 0 ? len - 1 - name : 0 };
    int count = 0;

    if (len == 0)
        return;
    tribi_symbols_valid(file);
    tribi_symbols_defines(file, symbol);
    tribi_symbols_services(file, count_one, &count);
    tribi_symbols_extensions(file, symbol, count_number, &count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data + 1;
    int status;

    if (size == 0)
        return 0;
    switch (data[0] % 6) {
    case 0:
        percent(text, size - 1);
        break;
    case 1:
        base64(text, size - 1);
        break;
    case 2:
        timeout(text, size - 1);
        break;
    case 3:
        metadata(text, size - 1);
        break;
    case 4:
        symbols(data + 1, size - 1);
        break;
    default:
        status = tribi_grpc_status_parse(text, size - 1);
        must(status >= 0 && status <= TRIB_GRPC_UNAUTHENTICATED);
        tribi_grpc_content_type_ok(text, size - 1);
        tribi_grpc_encoding_of(text, size - 1);
        tribi_grpc_accepts(text, size - 1, "gzip");
        break;
    }
    return 0;
}

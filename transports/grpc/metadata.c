/* Lists of metadata: names and values that came, or are to be sent. */
#include "transports/grpc/wire-internal.h"

#include <tributary/alloc.h>

#include <string.h>

bool tribi_grpc_is_bin(const char *name, size_t len)
{
    return len >= 4 && memcmp(name + len - 4, "-bin", 4) == 0;
}

/* Pseudo-headers, what gRPC defines, and what HTTP/2 forbids or this transport sets. */
bool tribi_grpc_is_reserved(const char *name, size_t len)
{
    static const char *const names[] = { "content-type", "te", "user-agent", "connection", "keep-alive", "proxy-connection",
                                         "transfer-encoding", "upgrade", "host", "content-length" };

    if (len == 0 || name[0] == ':' || (len >= 5 && memcmp(name, "grpc-", 5) == 0))
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return true;
    return false;
}

bool tribi_grpc_metadata_allowed(const struct trib_grpc_entry *entry)
{
    const char *value = entry->value;
    size_t len = entry->name != NULL ? strlen(entry->name) : 0;

    if (tribi_grpc_is_reserved(entry->name != NULL ? entry->name : "", len) || (value == NULL && entry->len > 0))
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = entry->name[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'))
            return false;
    }
    if (tribi_grpc_is_bin(entry->name, len))
        return true;
    for (size_t i = 0; i < entry->len; i++)
        if (value[i] < 0x20 || value[i] > 0x7e)
            return false;
    return entry->len == 0 || (value[0] != ' ' && value[entry->len - 1] != ' ');
}

static int reserve(struct tribi_grpc_metadata *metadata)
{
    size_t capacity = metadata->capacity == 0 ? 4 : metadata->capacity * 2;
    struct trib_grpc_entry *entries;

    if (metadata->count < metadata->capacity)
        return TRIB_OK;
    entries = trib_alloc(capacity * sizeof(*entries));
    if (entries == NULL)
        return TRIB_ERR_NOMEM;
    if (metadata->count > 0)
        memcpy(entries, metadata->entries, metadata->count * sizeof(*entries));
    trib_free(metadata->entries);
    metadata->entries = entries;
    metadata->capacity = capacity;
    return TRIB_OK;
}

/* Name and value share a block, each ended by a NUL. */
static char *add(struct tribi_grpc_metadata *metadata, const char *name, size_t name_len, size_t room)
{
    char *block;

    if (reserve(metadata) != TRIB_OK)
        return NULL;
    block = trib_alloc(name_len + room + 2);
    if (block == NULL)
        return NULL;
    memcpy(block, name, name_len);
    metadata->entries[metadata->count++] = (struct trib_grpc_entry){ block, block + name_len + 1, room };
    return block + name_len + 1;
}

int tribi_grpc_metadata_add(struct tribi_grpc_metadata *metadata, const char *name, size_t name_len, const void *value, size_t len)
{
    char *at = add(metadata, name, name_len, len);

    if (at == NULL)
        return TRIB_ERR_NOMEM;
    if (len > 0)
        memcpy(at, value, len);
    return TRIB_OK;
}

static int add_decoded(struct tribi_grpc_metadata *metadata, const char *name, size_t name_len, const char *value, size_t len)
{
    size_t decoded = 0;
    char *at = add(metadata, name, name_len, len);

    if (at == NULL)
        return TRIB_ERR_NOMEM;
    if (!tribi_grpc_base64_decode(value, len, (uint8_t *)at, &decoded)) {
        trib_free((void *)(uintptr_t)metadata->entries[--metadata->count].name);
        return TRIB_ERR_PROTOCOL;
    }
    at[decoded] = '\0';
    metadata->entries[metadata->count - 1].len = decoded;
    return TRIB_OK;
}

int tribi_grpc_metadata_decode(struct tribi_grpc_metadata *metadata, const char *name, size_t name_len, const char *value, size_t len)
{
    int rc = TRIB_OK;

    if (!tribi_grpc_is_bin(name, name_len))
        return tribi_grpc_metadata_add(metadata, name, name_len, value, len);
    /* Several values may share a line; base64 has no comma. */
    for (size_t begin = 0; begin <= len && rc == TRIB_OK;) {
        const char *comma = memchr(value + begin, ',', len - begin);
        size_t end = comma != NULL ? (size_t)(comma - value) : len;

        rc = add_decoded(metadata, name, name_len, value + begin, end - begin);
        begin = end + 1;
    }
    return rc;
}

void tribi_grpc_metadata_done(struct tribi_grpc_metadata *metadata)
{
    for (size_t i = 0; i < metadata->count; i++)
        trib_free((void *)(uintptr_t)metadata->entries[i].name);
    trib_free(metadata->entries);
    *metadata = (struct tribi_grpc_metadata){ NULL, 0, 0 };
}

const struct trib_grpc_entry *tribi_grpc_metadata_find(const struct tribi_grpc_metadata *metadata, const char *name)
{
    for (size_t i = 0; i < metadata->count; i++)
        if (strcmp(metadata->entries[i].name, name) == 0)
            return &metadata->entries[i];
    return NULL;
}

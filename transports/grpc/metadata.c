/* Lists of metadata: names and values that came, or are to be sent. */
#include "transports/grpc/wire-internal.h"

#include <tributary/alloc.h>

#include <stdalign.h>
#include <stddef.h>
#include <string.h>

bool tribi_grpc_is_bin(const char *name, size_t len)
{
    return len >= 4 && memcmp(name + len - 4, "-bin", 4) == 0;
}

static bool is(const char *name, const char *text, size_t len)
{
    return memcmp(name, text, len) == 0;
}

/* Pseudo-headers, what gRPC defines, and what HTTP/2 forbids or this transport sets. */
bool tribi_grpc_is_reserved(const char *name, size_t len)
{
    if (len == 0 || name[0] == ':' || (len >= 5 && is(name, "grpc-", 5)))
        return true;
    switch (len) {
    case 2:
        return is(name, "te", 2);
    case 4:
        return is(name, "host", 4);
    case 7:
        return is(name, "upgrade", 7);
    case 10:
        return is(name, "user-agent", 10) || is(name, "connection", 10) || is(name, "keep-alive", 10);
    case 12:
        return is(name, "content-type", 12);
    case 14:
        return is(name, "content-length", 14);
    case 16:
        return is(name, "proxy-connection", 16);
    case 17:
        return is(name, "transfer-encoding", 17);
    default:
        return false;
    }
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

/* ---- Memory ------------------------------------------------------------------------------------------------------- */

/* What a list holds, behind each other: it goes all at once. */
struct tribi_grpc_page {
    struct tribi_grpc_page *next;
    alignas(max_align_t) char data[];
};

enum { PAGE = 256 - sizeof(struct tribi_grpc_page), FIRST_ENTRIES = 4 };

static void *take(struct tribi_grpc_metadata *metadata, size_t len)
{
    size_t whole = (len + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct tribi_grpc_page *page;
    char *at;

    if (whole < len)
        return NULL;
    if (whole > metadata->room) {
        size_t room = whole > PAGE ? whole : PAGE;

        page = room <= SIZE_MAX - sizeof(*page) ? trib_alloc_raw(sizeof(*page) + room) : NULL;
        if (page == NULL)
            return NULL;
        page->next = metadata->pages;
        metadata->pages = page;
        metadata->at = page->data;
        metadata->room = room;
    }
    at = metadata->at;
    metadata->at += whole;
    metadata->room -= whole;
    return at;
}

char *tribi_grpc_metadata_keep(struct tribi_grpc_metadata *metadata, const char *text, size_t len)
{
    char *copy = take(metadata, len + 1);

    if (copy == NULL)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

static int reserve(struct tribi_grpc_metadata *metadata, size_t more)
{
    size_t capacity = metadata->capacity == 0 ? FIRST_ENTRIES : metadata->capacity;
    struct trib_grpc_entry *entries;

    while (capacity - metadata->count < more)
        capacity *= 2;
    if (capacity == metadata->capacity)
        return TRIB_OK;
    entries = take(metadata, capacity * sizeof(*entries));
    if (entries == NULL)
        return TRIB_ERR_NOMEM;
    if (metadata->count > 0)
        memcpy(entries, metadata->entries, metadata->count * sizeof(*entries));
    metadata->entries = entries;
    metadata->capacity = capacity;
    return TRIB_OK;
}

/* Room for so many entries, and for a name with values behind it, each ended by a NUL. */
static char *make_line(struct tribi_grpc_metadata *metadata, const char *name, size_t name_len, size_t room, size_t entries)
{
    char *line = reserve(metadata, entries) == TRIB_OK ? take(metadata, name_len + room + 2) : NULL;

    if (line == NULL)
        return NULL;
    memcpy(line, name, name_len);
    line[name_len] = '\0';
    return line;
}

static void add_entry(struct tribi_grpc_metadata *metadata, const char *name, char *value, size_t len)
{
    value[len] = '\0';
    metadata->entries[metadata->count++] = (struct trib_grpc_entry){ name, value, len };
}

/* ---- Lists -------------------------------------------------------------------------------------------------------- */

int tribi_grpc_metadata_add(struct tribi_grpc_metadata *metadata, const char *name, size_t name_len, const void *value, size_t len)
{
    char *line = make_line(metadata, name, name_len, len, 1);

    if (line == NULL)
        return TRIB_ERR_NOMEM;
    if (len > 0)
        memcpy(line + name_len + 1, value, len);
    add_entry(metadata, line, line + name_len + 1, len);
    return TRIB_OK;
}

/* Base64 has no comma. */
static size_t values_of(const char *value, size_t len)
{
    size_t count = 1;

    for (size_t i = 0; i < len; i++)
        count += value[i] == ',';
    return count;
}

/* All share one copy of the name. An empty one is a value, too: who joins values with commas may have had it among them. */
static int add_decoded(struct tribi_grpc_metadata *metadata, const char *name, size_t name_len, const char *value, size_t len, size_t values)
{
    size_t before = metadata->count, decoded = 0;
    char *line = make_line(metadata, name, name_len, len, values);
    char *at;

    if (line == NULL)
        return TRIB_ERR_NOMEM;
    at = line + name_len + 1;
    for (size_t begin = 0, end; begin <= len; begin = end + 1) {
        const char *comma = memchr(value + begin, ',', len - begin);

        end = comma != NULL ? (size_t)(comma - value) : len;
        if (!tribi_grpc_base64_decode(value + begin, end - begin, (uint8_t *)at, &decoded)) {
            metadata->count = before;
            return TRIB_ERR_PROTOCOL;
        }
        add_entry(metadata, line, at, decoded);
        at += decoded + 1;
    }
    return TRIB_OK;
}

int tribi_grpc_metadata_decode(struct tribi_grpc_metadata *metadata, const char *name, size_t name_len, const char *value, size_t len)
{
    bool bin = tribi_grpc_is_bin(name, name_len);
    size_t values = bin ? values_of(value, len) : 1;

    /* A comma is one byte of a header, an entry many: the limit on headers does not hold it. */
    metadata->bytes += name_len + len + values * TRIBI_GRPC_METADATA_ENTRY;
    if (metadata->bytes > TRIBI_GRPC_METADATA_MAX)
        return TRIB_ERR_LIMIT;
    return bin ? add_decoded(metadata, name, name_len, value, len, values) : tribi_grpc_metadata_add(metadata, name, name_len, value, len);
}

void tribi_grpc_metadata_free(struct tribi_grpc_metadata *metadata)
{
    struct tribi_grpc_page *next;

    for (struct tribi_grpc_page *page = metadata->pages; page != NULL; page = next) {
        next = page->next;
        trib_free(page);
    }
    *metadata = (struct tribi_grpc_metadata){ .count = 0 };
}

const struct trib_grpc_entry *tribi_grpc_metadata_find(const struct tribi_grpc_metadata *metadata, const char *name)
{
    for (size_t i = 0; i < metadata->count; i++)
        if (strcmp(metadata->entries[i].name, name) == 0)
            return &metadata->entries[i];
    return NULL;
}

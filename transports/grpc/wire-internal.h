/* The words of gRPC on the wire: status, metadata, percent-encoding, timeouts. Pure functions. */
#ifndef TRIBUTARY_GRPC_WIRE_INTERNAL_H
#define TRIBUTARY_GRPC_WIRE_INTERNAL_H

#include <tributary/grpc.h>

enum tribi_grpc_encoding { TRIBI_GRPC_IDENTITY, TRIBI_GRPC_GZIP, TRIBI_GRPC_UNKNOWN_ENCODING };

/* What the metadata of a peer may take in one list, counted as HTTP/2 counts headers: names, values and so much for each entry. */
enum { TRIBI_GRPC_METADATA_MAX = 16384, TRIBI_GRPC_METADATA_ENTRY = 32 };

/* A growing list of names and values, and the memory they lie in, which goes all at once. */
struct tribi_grpc_metadata {
    struct trib_grpc_entry *entries;
    size_t count, capacity;
    struct tribi_grpc_page *pages;
    char *at; /* what is left of the newest one */
    size_t room;
    size_t bytes; /* that _decode() counted, kept or not */
};

/* Copies; TRIB_ERR_NOMEM. */
int tribi_grpc_metadata_add(struct tribi_grpc_metadata *metadata, const char *name, size_t name_len, const void *value, size_t len);
/* A line of headers. Values of -bin names are decoded, and may be several, joined with commas. TRIB_ERR_PROTOCOL where one is not base64, TRIB_ERR_LIMIT
 * where the list would take more than TRIBI_GRPC_METADATA_MAX: nothing of the line is kept. */
int tribi_grpc_metadata_decode(struct tribi_grpc_metadata *metadata, const char *name, size_t name_len, const char *value, size_t len);
/* A copy of a text in the same memory; NULL: there is none. */
char *tribi_grpc_metadata_keep(struct tribi_grpc_metadata *metadata, const char *text, size_t len);
void tribi_grpc_metadata_free(struct tribi_grpc_metadata *metadata);
static inline void tribi_grpc_metadata_done(struct tribi_grpc_metadata *metadata)
{
    if (metadata->pages != NULL)
        tribi_grpc_metadata_free(metadata);
}
const struct trib_grpc_entry *tribi_grpc_metadata_find(const struct tribi_grpc_metadata *metadata, const char *name);

/* Whether a user may send it: lower-case name, not one of gRPC's own; a printable value unless -bin. */
bool tribi_grpc_metadata_allowed(const struct trib_grpc_entry *entry);

bool tribi_grpc_is_bin(const char *name, size_t len);
bool tribi_grpc_is_reserved(const char *name, size_t len);

/* Base64 without padding; `to` has room for 4 * (len + 2) / 3. Returns the length. */
size_t tribi_grpc_base64_encode(const uint8_t *data, size_t len, char *to);
/* With or without padding. `to` has room for len. false: not base64. */
bool tribi_grpc_base64_decode(const char *text, size_t len, uint8_t *to, size_t *ret_len);

/* `to` has room for 3 * len. Returns the length. */
size_t tribi_grpc_percent_encode(const char *text, size_t len, char *to);
/* What is no escape stays as it is. `to` has room for len + 1; ends with NUL. */
size_t tribi_grpc_percent_decode(const char *text, size_t len, char *to);

/* "100m": at most 8 digits and a unit. false: not a timeout. Larger than int64_t: the largest. */
bool tribi_grpc_timeout_parse(const char *text, size_t len, int64_t *ret_ns);
/* The shortest exact form, rounded up where 8 digits do not do. `to`: 24 bytes. */
void tribi_grpc_timeout_format(int64_t ns, char *to);

/* grpc-status: a decimal number; what is none is UNKNOWN. */
int tribi_grpc_status_parse(const char *text, size_t len);
int tribi_grpc_status_of_http(int http_status);
int tribi_grpc_status_of_reset(uint32_t code); /* of RST_STREAM */
uint32_t tribi_grpc_reset_of_status(int status);
/* What finish() was given: 0 to 16 are statuses, negative ones errors of this library. */
int tribi_grpc_status_of_finish(int status);

/* "application/grpc", alone or followed by + or ; */
bool tribi_grpc_content_type_ok(const char *text, size_t len);
enum tribi_grpc_encoding tribi_grpc_encoding_of(const char *text, size_t len);
bool tribi_grpc_accepts(const char *list, size_t len, const char *encoding);

#endif

/* URIs: scheme:address?name=value&..., taken apart with errors that point at the offending part. */
#ifndef TRIBUTARY_URI_H
#define TRIBUTARY_URI_H

#include <tributary/error.h>
#include <tributary/types.h>

TRIB_BEGIN_DECLS

#define TRIB_URI_MAX 4096        /* bytes of a URI */
#define TRIB_URI_PARAMETERS_MAX 16

struct trib_uri;

/* Parses a copy of `text`. scheme = letter (letter | digit | + | - | .)*, compared without case and kept in lower case; address =
 * all up to the first '?'; parameters separated by '&', each name=value, a name only once; %XX is decoded in address and values
 * (not to NUL). The message of TRIB_ERR_USAGE quotes the URI, says which byte (counted from 1) is wrong and why. Free with
 * trib_uri_free(). */
TRIB_API int trib_uri_parse(const char *text, struct trib_uri **ret_uri, struct trib_error *err);
TRIB_API void trib_uri_free(struct trib_uri *uri);

/* Strings belong to the URI. */
TRIB_API const char *trib_uri_text(const struct trib_uri *uri);    /* as given */
TRIB_API const char *trib_uri_scheme(const struct trib_uri *uri);  /* "unix" */
TRIB_API const char *trib_uri_address(const struct trib_uri *uri); /* "/run/x", "@name"; may be empty */
TRIB_API const char *trib_uri_parameter(const struct trib_uri *uri, const char *name); /* NULL: not given */

/* The value of a parameter as a number in [min, max], in the given base (8, 10); `fallback` where it is not given. Sizes may
 * carry k, m or g (1024-based) when base is 10. TRIB_ERR_USAGE points at it. */
TRIB_API int trib_uri_number(const struct trib_uri *uri, const char *name, int base, uint64_t min, uint64_t max,
                             uint64_t fallback, uint64_t *ret_number, struct trib_error *err);

/* TRIB_ERR_USAGE, pointing at the first parameter whose name is not in the NULL-terminated list `known`; else TRIB_OK. */
TRIB_API int trib_uri_known(const struct trib_uri *uri, const char *const *known, struct trib_error *err);

/* TRIB_ERR_USAGE with "<uri>: byte N: <why>", for what a transport finds wrong with the address (offset counted in the decoded
 * address). */
TRIB_API int trib_uri_bad_address(const struct trib_uri *uri, size_t offset, const char *why, struct trib_error *err);

/* The same for the value of a parameter that was given. */
TRIB_API int trib_uri_bad_parameter(const struct trib_uri *uri, const char *name, const char *why, struct trib_error *err);

TRIB_END_DECLS

#endif

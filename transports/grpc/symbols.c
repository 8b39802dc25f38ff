/* Looks names up in descriptors, where they lie: no index, no copy. */
#include "transports/grpc/symbols-internal.h"

#include <tributary/error.h>

#include <string.h>

enum { DEPTH_MAX = 32, NAME_MAX_LEN = 512 };

/* Fields of FileDescriptorProto, DescriptorProto and their kin. */
enum { NAME = 1, PACKAGE = 2, FILE_MESSAGE = 4, FILE_ENUM = 5, FILE_SERVICE = 6, FILE_EXTENSION = 7 };
enum { MESSAGE_FIELD = 2, MESSAGE_NESTED = 3, MESSAGE_ENUM = 4, MESSAGE_EXTENSION = 6, MESSAGE_ONEOF = 8 };
enum { MEMBER = 2 /* a value of an enum, a method of a service */, EXTENDEE = 2, NUMBER = 3 };

/* What a name in a scope may be. */
enum kind { OTHER, MESSAGE, ENUMERATION, SERVICE, LEAF };

static enum kind kind_in_file(uint32_t field)
{
    return field == FILE_MESSAGE     ? MESSAGE
           : field == FILE_ENUM      ? ENUMERATION
           : field == FILE_SERVICE   ? SERVICE
           : field == FILE_EXTENSION ? LEAF
                                     : OTHER;
}

static enum kind kind_in_message(uint32_t field)
{
    return field == MESSAGE_NESTED ? MESSAGE
           : field == MESSAGE_ENUM ? ENUMERATION
           : field == MESSAGE_FIELD || field == MESSAGE_EXTENSION || field == MESSAGE_ONEOF ? LEAF : OTHER;
}

static bool same(struct tribi_proto_span a, struct tribi_proto_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* "a.b.c" without "a.": only if it begins so. An empty prefix takes nothing away. */
static bool without(struct tribi_proto_span name, struct tribi_proto_span prefix, struct tribi_proto_span *ret_rest)
{
    *ret_rest = name;
    if (prefix.len == 0)
        return true;
    if (name.len <= prefix.len || memcmp(name.data, prefix.data, prefix.len) != 0 || name.data[prefix.len] != '.')
        return false;
    *ret_rest = (struct tribi_proto_span){ name.data + prefix.len + 1, name.len - prefix.len - 1 };
    return true;
}

static struct tribi_proto_span name_of(struct tribi_proto_span what)
{
    struct tribi_proto_span name;

    tribi_proto_find(what, NAME, &name);
    return name;
}

/* A value or a method by this name. */
static bool has_member(struct tribi_proto_span of, struct tribi_proto_span name)
{
    struct tribi_proto_field field;

    while (tribi_proto_next(&of, &field) == TRIB_OK)
        if (field.number == MEMBER && field.is_bytes && same(name_of(field.bytes), name))
            return true;
    return false;
}

static bool scope_defines(struct tribi_proto_span scope, bool is_file, struct tribi_proto_span symbol, unsigned depth)
{
    struct tribi_proto_span rest, name;
    struct tribi_proto_field field;

    while (tribi_proto_next(&scope, &field) == TRIB_OK) {
        enum kind kind = !field.is_bytes ? OTHER : is_file ? kind_in_file(field.number) : kind_in_message(field.number);

        if (kind == OTHER)
            continue;
        name = name_of(field.bytes);
        if (name.len == 0)
            continue;
        if (same(name, symbol) || (kind == ENUMERATION && has_member(field.bytes, symbol)))
            return true;
        if (!without(symbol, name, &rest))
            continue;
        if (kind == SERVICE && has_member(field.bytes, rest))
            return true;
        if (kind == MESSAGE && depth < DEPTH_MAX && scope_defines(field.bytes, false, rest, depth + 1))
            return true;
    }
    return false;
}

bool tribi_symbols_defines(struct tribi_proto_span file, struct tribi_proto_span symbol)
{
    struct tribi_proto_span package, rest;

    return tribi_proto_find(file, PACKAGE, &package) && symbol.len > 0 && without(symbol, package, &rest) &&
           scope_defines(file, true, rest, 0);
}

static bool scope_valid(struct tribi_proto_span scope, bool is_file, unsigned depth)
{
    struct tribi_proto_span name, probe = scope;
    struct tribi_proto_field field;
    int rc;

    while ((rc = tribi_proto_next(&probe, &field)) == TRIB_OK) {
        enum kind kind = !field.is_bytes ? OTHER : is_file ? kind_in_file(field.number) : kind_in_message(field.number);

        if (kind == MESSAGE && (depth >= DEPTH_MAX || !scope_valid(field.bytes, false, depth + 1)))
            return false;
        if (kind != OTHER && !tribi_proto_find(field.bytes, NAME, &name))
            return false;
    }
    return rc == TRIB_EOF;
}

bool tribi_symbols_valid(struct tribi_proto_span file)
{
    return name_of(file).len > 0 && scope_valid(file, true, 0);
}

void tribi_symbols_services(struct tribi_proto_span file, tribi_symbols_service_fn *fn, void *arg)
{
    struct tribi_proto_span package, name;
    struct tribi_proto_field field;
    char full[NAME_MAX_LEN];
    size_t len;

    tribi_proto_find(file, PACKAGE, &package);
    while (tribi_proto_next(&file, &field) == TRIB_OK) {
        if (field.number != FILE_SERVICE || !field.is_bytes)
            continue;
        name = name_of(field.bytes);
        if (name.len == 0 || package.len + 1 + name.len > sizeof(full))
            continue;
        len = 0;
        if (package.len > 0) {
            memcpy(full, package.data, package.len);
            full[package.len] = '.';
            len = package.len + 1;
        }
        memcpy(full + len, name.data, name.len);
        if (!fn(arg, full, len + name.len))
            return;
    }
}

/* The extendee is written ".pkg.Type". */
static bool extends(struct tribi_proto_span extension, struct tribi_proto_span type, uint64_t *ret_number)
{
    struct tribi_proto_span extendee;
    struct tribi_proto_field field;
    bool numbered = false;

    tribi_proto_find(extension, EXTENDEE, &extendee);
    while (tribi_proto_next(&extension, &field) == TRIB_OK)
        if (field.number == NUMBER && !field.is_bytes) {
            *ret_number = field.value;
            numbered = true;
        }
    return numbered && extendee.len == type.len + 1 && extendee.data[0] == '.' &&
           memcmp(extendee.data + 1, type.data, type.len) == 0;
}

static bool scope_extensions(struct tribi_proto_span scope, bool is_file, struct tribi_proto_span type, unsigned depth,
                             tribi_symbols_extension_fn *fn, void *arg)
{
    struct tribi_proto_field field;
    uint64_t number;

    while (tribi_proto_next(&scope, &field) == TRIB_OK) {
        if (!field.is_bytes)
            continue;
        if (field.number == (is_file ? FILE_EXTENSION : MESSAGE_EXTENSION) && extends(field.bytes, type, &number) &&
            !fn(arg, number))
            return false;
        if (field.number == (is_file ? FILE_MESSAGE : MESSAGE_NESTED) && depth < DEPTH_MAX &&
            !scope_extensions(field.bytes, false, type, depth + 1, fn, arg))
            return false;
    }
    return true;
}

void tribi_symbols_extensions(struct tribi_proto_span file, struct tribi_proto_span type, tribi_symbols_extension_fn *fn, void *arg)
{
    if (type.len > 0)
        scope_extensions(file, true, type, 0, fn, arg);
}

/* grpc.reflection.v1: what services there are, and the files that describe them. */
#include "transports/grpc/symbols-internal.h"
#include "transports/grpc/talk-internal.h"

#include <tributary/alloc.h>
#include <tributary/grpc_services.h>

#include <string.h>

/* Fields of ServerReflectionRequest and ServerReflectionResponse. */
enum { HOST = 1, FILE_BY_NAME = 3, FILE_WITH_SYMBOL = 4, FILE_WITH_EXTENSION = 5, EXTENSION_NUMBERS = 6, LIST_SERVICES = 7 };
enum { VALID_HOST = 1, ORIGINAL = 2, FILES = 4, NUMBERS = 5, SERVICES = 6, ERROR = 7 };
enum { FILE_NAME = 1, FILE_DEPENDENCY = 3 };

struct file {
    struct file *next;
    struct tribi_proto_span bytes, name;
    bool told; /* in the answer under way */
};

struct tribi_grpc_reflection {
    struct tribi_grpc_talks talks;
    struct trib_grpc_server *server;
    struct file *files, **last;
    bool described[3]; /* health, and reflection of each version */
    bool offered;
};

static const char *const versions[] = { "grpc.reflection.v1", "grpc.reflection.v1alpha" };
static const char *const paths[] = { "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                     "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" };

/* ---- Files ---------------------------------------------------------------------------------------------------------- */

static bool same(struct tribi_proto_span a, struct tribi_proto_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static struct file *by_name(const struct tribi_grpc_reflection *reflection, struct tribi_proto_span name)
{
    struct file *file = reflection->files;

    while (file != NULL && !same(file->name, name))
        file = file->next;
    return file;
}

static struct file *by_symbol(const struct tribi_grpc_reflection *reflection, struct tribi_proto_span symbol)
{
    struct file *file = reflection->files;

    if (symbol.len > 0 && symbol.data[0] == '.')
        symbol = (struct tribi_proto_span){ symbol.data + 1, symbol.len - 1 };
    while (file != NULL && !tribi_symbols_defines(file->bytes, symbol))
        file = file->next;
    return file;
}

/* A copy, in one block with its node. */
static int keep(struct tribi_grpc_reflection *reflection, struct tribi_proto_span bytes, struct trib_error *err)
{
    struct tribi_proto_span name;
    struct file *file;

    tribi_proto_find(bytes, FILE_NAME, &name);
    file = by_name(reflection, name);
    if (file != NULL && same(file->bytes, bytes))
        return TRIB_OK;
    if (file != NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "describe gRPC services: another %.*s was described before", (int)name.len,
                              (const char *)name.data);
    file = trib_alloc(sizeof(*file) + bytes.len);
    if (file == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "describe gRPC services: no memory for %zu bytes", bytes.len);
    memcpy(file + 1, bytes.data, bytes.len);
    file->bytes = (struct tribi_proto_span){ (const uint8_t *)(file + 1), bytes.len };
    tribi_proto_find(file->bytes, FILE_NAME, &file->name);
    *reflection->last = file;
    reflection->last = &file->next;
    return TRIB_OK;
}

/* ---- Answers --------------------------------------------------------------------------------------------------------- */

static void put_error(struct tribi_proto_out *reply, int code, const char *text)
{
    size_t at = tribi_proto_begin(reply, ERROR);

    tribi_proto_number(reply, 1, (uint64_t)code);
    tribi_proto_text(reply, 2, text);
    tribi_proto_end(reply, at);
}

/* A file, and those that it needs, each once. */
static void put_file(struct tribi_grpc_reflection *reflection, struct tribi_proto_out *reply, struct file *file)
{
    struct tribi_proto_span rest = file->bytes;
    struct tribi_proto_field field;
    struct file *needed;

    file->told = true;
    tribi_proto_bytes(reply, 1, file->bytes.data, file->bytes.len);
    while (tribi_proto_next(&rest, &field) == TRIB_OK) {
        needed = field.number == FILE_DEPENDENCY && field.is_bytes ? by_name(reflection, field.bytes) : NULL;
        if (needed != NULL && !needed->told)
            put_file(reflection, reply, needed);
    }
}

static void put_files(struct tribi_grpc_reflection *reflection, struct tribi_proto_out *reply, struct file *file,
                      const char *otherwise)
{
    size_t at;

    if (file == NULL) {
        put_error(reply, TRIB_GRPC_NOT_FOUND, otherwise);
        return;
    }
    for (struct file *other = reflection->files; other != NULL; other = other->next)
        other->told = false;
    at = tribi_proto_begin(reply, FILES);
    put_file(reflection, reply, file);
    tribi_proto_end(reply, at);
}

struct listing {
    struct tribi_grpc_reflection *reflection;
    struct tribi_proto_out *reply;
};

static bool list_one(void *arg, const char *name, size_t len)
{
    struct listing *listing = arg;
    size_t at;

    if (!tribi_grpc_server_has(listing->reflection->server, name, len))
        return true;
    at = tribi_proto_begin(listing->reply, 1);
    tribi_proto_bytes(listing->reply, 1, name, len);
    tribi_proto_end(listing->reply, at);
    return true;
}

static void list_services(struct tribi_grpc_reflection *reflection, struct tribi_proto_out *reply)
{
    struct listing listing = { reflection, reply };
    size_t at = tribi_proto_begin(reply, SERVICES);

    for (struct file *file = reflection->files; file != NULL; file = file->next)
        tribi_symbols_services(file->bytes, list_one, &listing);
    tribi_proto_end(reply, at);
}

static bool number_one(void *arg, uint64_t number)
{
    tribi_proto_number(arg, 2, number);
    return true;
}

static void put_numbers(struct tribi_grpc_reflection *reflection, struct tribi_proto_out *reply, struct tribi_proto_span type)
{
    size_t at;

    if (by_symbol(reflection, type) == NULL) {
        put_error(reply, TRIB_GRPC_NOT_FOUND, "unknown type");
        return;
    }
    at = tribi_proto_begin(reply, NUMBERS);
    tribi_proto_bytes(reply, 1, type.data, type.len);
    for (struct file *file = reflection->files; file != NULL; file = file->next)
        tribi_symbols_extensions(file->bytes, type, number_one, reply);
    tribi_proto_end(reply, at);
}

struct search {
    uint64_t number;
    bool found;
};

static bool is_wanted(void *arg, uint64_t number)
{
    struct search *search = arg;

    search->found = search->found || search->number == number;
    return !search->found;
}

static struct file *by_extension(const struct tribi_grpc_reflection *reflection, struct tribi_proto_span request)
{
    struct tribi_proto_span type;
    struct tribi_proto_field field;
    struct search search = { 0, false };

    tribi_proto_find(request, 1, &type);
    while (tribi_proto_next(&request, &field) == TRIB_OK)
        if (field.number == 2 && !field.is_bytes)
            search.number = field.value;
    for (struct file *file = reflection->files; file != NULL; file = file->next) {
        tribi_symbols_extensions(file->bytes, type, is_wanted, &search);
        if (search.found)
            return file;
    }
    return NULL;
}

static void answer_field(struct tribi_grpc_reflection *reflection, const struct tribi_proto_field *asked,
                         struct tribi_proto_out *reply)
{
    switch (asked->number) {
    case FILE_BY_NAME:
        put_files(reflection, reply, by_name(reflection, asked->bytes), "unknown file");
        break;
    case FILE_WITH_SYMBOL:
        put_files(reflection, reply, by_symbol(reflection, asked->bytes), "unknown symbol");
        break;
    case FILE_WITH_EXTENSION:
        put_files(reflection, reply, by_extension(reflection, asked->bytes), "unknown extension");
        break;
    case EXTENSION_NUMBERS:
        put_numbers(reflection, reply, asked->bytes);
        break;
    case LIST_SERVICES:
        list_services(reflection, reply);
        break;
    default:
        put_error(reply, TRIB_GRPC_INVALID_ARGUMENT, "the request asks for nothing that is known");
        break;
    }
}

static int answer(struct tribi_grpc_talk *talk, struct tribi_proto_span request, struct tribi_proto_out *reply,
                  const char **ret_text)
{
    struct tribi_proto_field field, asked = { .number = 0 };
    struct tribi_proto_span rest = request, host = { NULL, 0 };
    int rc;

    while ((rc = tribi_proto_next(&rest, &field)) == TRIB_OK) {
        if (field.number == HOST && field.is_bytes)
            host = field.bytes;
        if (field.number >= FILE_BY_NAME && field.number <= LIST_SERVICES && field.is_bytes)
            asked = field;
    }
    if (rc != TRIB_EOF) {
        *ret_text = "the request is no ServerReflectionRequest";
        return TRIB_GRPC_INTERNAL;
    }
    if (host.len > 0)
        tribi_proto_bytes(reply, VALID_HOST, host.data, host.len);
    tribi_proto_bytes(reply, ORIGINAL, request.data, request.len);
    answer_field(talk->talks->service, &asked, reply);
    return TRIB_GRPC_OK;
}

static void on_call(struct trib_grpc_call *call, void *arg)
{
    tribi_grpc_talk_begin(arg, call, TRIBI_GRPC_MANY, answer, NULL);
}

/* ---- Life ------------------------------------------------------------------------------------------------------------- */

static int describe_own(struct tribi_grpc_reflection *reflection, size_t which, struct trib_error *err)
{
    struct tribi_proto_out out = { NULL, 0, 0, false };
    struct tribi_proto_span name;
    int rc = TRIB_OK;

    if (which == 0)
        tribi_grpc_describe_health(&out);
    else
        tribi_grpc_describe_reflection(&out, versions[which - 1]);
    tribi_proto_find((struct tribi_proto_span){ out.data, out.len }, FILE_NAME, &name);
    if (out.failed)
        rc = trib_error_set(err, TRIB_ERR_NOMEM, 0, "describe gRPC services: no memory");
    else if (by_name(reflection, name) == NULL) /* who describes it himself knows better */
        rc = keep(reflection, (struct tribi_proto_span){ out.data, out.len }, err);
    tribi_proto_done(&out);
    reflection->described[which] = rc == TRIB_OK;
    return rc;
}

static int offer(struct trib_grpc_server *server, struct tribi_grpc_reflection **ret_reflection, struct trib_error *err)
{
    struct tribi_grpc_services *services = tribi_grpc_server_services(server);
    struct tribi_grpc_reflection *reflection = services->reflection;
    int rc = TRIB_OK;

    if (reflection == NULL) {
        reflection = trib_alloc(sizeof(*reflection));
        if (reflection == NULL)
            return trib_error_set(err, TRIB_ERR_NOMEM, 0, "describe gRPC services: no memory");
        reflection->talks = (struct tribi_grpc_talks){ tribi_grpc_server_base(server), reflection, NULL, false };
        reflection->server = server;
        reflection->last = &reflection->files;
        services->reflection = reflection;
    }
    for (size_t i = 0; i < 2 && rc == TRIB_OK && !reflection->offered; i++)
        rc = trib_grpc_server_handle(server, paths[i], on_call, &reflection->talks, err);
    reflection->offered = rc == TRIB_OK;
    *ret_reflection = reflection;
    return rc;
}

int trib_grpc_server_describe(struct trib_grpc_server *server, const void *descriptors, size_t len, struct trib_error *err)
{
    struct tribi_proto_span set = { descriptors, len }, rest = set;
    struct tribi_grpc_reflection *reflection = NULL;
    struct tribi_proto_field field;
    int rc;

    while ((rc = tribi_proto_next(&rest, &field)) == TRIB_OK)
        if (field.number == 1 && (!field.is_bytes || !tribi_symbols_valid(field.bytes)))
            break;
    if (rc != TRIB_EOF || (descriptors == NULL && len > 0))
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "describe gRPC services: byte %zu of %zu is in no FileDescriptorSet",
                              len - rest.len, len);
    rc = offer(server, &reflection, err);
    for (rest = set; rc == TRIB_OK && tribi_proto_next(&rest, &field) == TRIB_OK;)
        if (field.number == 1)
            rc = keep(reflection, field.bytes, err);
    for (size_t i = 0; rc == TRIB_OK && i < 3; i++)
        if (!reflection->described[i])
            rc = describe_own(reflection, i, err);
    return rc;
}

void tribi_grpc_reflection_close(struct tribi_grpc_reflection *reflection)
{
    if (reflection != NULL)
        tribi_grpc_talks_close(&reflection->talks);
}

void tribi_grpc_reflection_free(struct tribi_grpc_reflection *reflection)
{
    if (reflection == NULL)
        return;
    tribi_grpc_talks_done(&reflection->talks);
    while (reflection->files != NULL) {
        struct file *next = reflection->files->next;

        trib_free(reflection->files);
        reflection->files = next;
    }
    trib_free(reflection);
}

/* The descriptors of grpc.health.v1 and grpc.reflection.v1, written by hand, so that tools can call them without a .proto file.
 * The field numbers are those of google/protobuf/descriptor.proto. */
#include "transports/grpc/talk-internal.h"

#include <stdio.h>
#include <string.h>

enum { OPTIONAL = 1, REPEATED = 3 };
enum { INT32 = 5, STRING = 9, MESSAGE = 11, BYTES = 12, ENUM = 14 };

/* A message's fields are those behind the row with its name. */
struct row {
    const char *name;
    uint32_t number; /* 0: the row begins a message */
    uint32_t label, type;
    const char *type_name; /* inside the package */
    const char *oneof;     /* the only one of the message, if the field is a member */
};

static const struct row health_rows[] = {
    { "HealthCheckRequest", 0, 0, 0, NULL, NULL },
    { "service", 1, OPTIONAL, STRING, NULL, NULL },
    { "HealthCheckResponse", 0, 0, 0, NULL, NULL },
    { "status", 1, OPTIONAL, ENUM, "HealthCheckResponse.ServingStatus", NULL },
    { "HealthListRequest", 0, 0, 0, NULL, NULL },
    { "HealthListResponse", 0, 0, 0, NULL, NULL },
    { "statuses", 1, REPEATED, MESSAGE, "HealthListResponse.StatusesEntry", NULL },
};

static const struct row statuses_rows[] = { { "key", 1, OPTIONAL, STRING, NULL, NULL },
                                            { "value", 2, OPTIONAL, MESSAGE, "HealthCheckResponse", NULL } };

static const char *const serving[] = { "UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN" };

static const struct row reflection_rows[] = {
    { "ServerReflectionRequest", 0, 0, 0, NULL, NULL },
    { "host", 1, OPTIONAL, STRING, NULL, NULL },
    { "file_by_filename", 3, OPTIONAL, STRING, NULL, "message_request" },
    { "file_containing_symbol", 4, OPTIONAL, STRING, NULL, "message_request" },
    { "file_containing_extension", 5, OPTIONAL, MESSAGE, "ExtensionRequest", "message_request" },
    { "all_extension_numbers_of_type", 6, OPTIONAL, STRING, NULL, "message_request" },
    { "list_services", 7, OPTIONAL, STRING, NULL, "message_request" },
    { "ExtensionRequest", 0, 0, 0, NULL, NULL },
    { "containing_type", 1, OPTIONAL, STRING, NULL, NULL },
    { "extension_number", 2, OPTIONAL, INT32, NULL, NULL },
    { "ServerReflectionResponse", 0, 0, 0, NULL, NULL },
    { "valid_host", 1, OPTIONAL, STRING, NULL, NULL },
    { "original_request", 2, OPTIONAL, MESSAGE, "ServerReflectionRequest", NULL },
    { "file_descriptor_response", 4, OPTIONAL, MESSAGE, "FileDescriptorResponse", "message_response" },
    { "all_extension_numbers_response", 5, OPTIONAL, MESSAGE, "ExtensionNumberResponse", "message_response" },
    { "list_services_response", 6, OPTIONAL, MESSAGE, "ListServiceResponse", "message_response" },
    { "error_response", 7, OPTIONAL, MESSAGE, "ErrorResponse", "message_response" },
    { "FileDescriptorResponse", 0, 0, 0, NULL, NULL },
    { "file_descriptor_proto", 1, REPEATED, BYTES, NULL, NULL },
    { "ExtensionNumberResponse", 0, 0, 0, NULL, NULL },
    { "base_type_name", 1, OPTIONAL, STRING, NULL, NULL },
    { "extension_number", 2, REPEATED, INT32, NULL, NULL },
    { "ListServiceResponse", 0, 0, 0, NULL, NULL },
    { "service", 1, REPEATED, MESSAGE, "ServiceResponse", NULL },
    { "ServiceResponse", 0, 0, 0, NULL, NULL },
    { "name", 1, OPTIONAL, STRING, NULL, NULL },
    { "ErrorResponse", 0, 0, 0, NULL, NULL },
    { "error_code", 1, OPTIONAL, INT32, NULL, NULL },
    { "error_message", 2, OPTIONAL, STRING, NULL, NULL },
};

static void put_type(struct tribi_proto_out *out, uint32_t field, const char *package, const char *name)
{
    char text[128];

    tribi_proto_bytes(out, field, text, (size_t)snprintf(text, sizeof(text), ".%s.%s", package, name));
}

static void put_field(struct tribi_proto_out *out, const char *package, const struct row *row)
{
    size_t at = tribi_proto_begin(out, 2);

    tribi_proto_text(out, 1, row->name);
    tribi_proto_number(out, 3, row->number);
    tribi_proto_number(out, 4, row->label);
    tribi_proto_number(out, 5, row->type);
    if (row->type_name != NULL)
        put_type(out, 6, package, row->type_name);
    if (row->oneof != NULL)
        tribi_proto_number(out, 9, 0);
    tribi_proto_end(out, at);
}

static void put_statuses_entry(struct tribi_proto_out *out, const char *package)
{
    size_t at = tribi_proto_begin(out, 3), options;

    tribi_proto_text(out, 1, "StatusesEntry");
    put_field(out, package, &statuses_rows[0]);
    put_field(out, package, &statuses_rows[1]);
    options = tribi_proto_begin(out, 7);
    tribi_proto_number(out, 7, 1); /* map_entry */
    tribi_proto_end(out, options);
    tribi_proto_end(out, at);
}

static void put_serving(struct tribi_proto_out *out)
{
    size_t at = tribi_proto_begin(out, 4);

    tribi_proto_text(out, 1, "ServingStatus");
    for (uint32_t i = 0; i < sizeof(serving) / sizeof(serving[0]); i++) {
        size_t value = tribi_proto_begin(out, 2);

        tribi_proto_text(out, 1, serving[i]);
        tribi_proto_number(out, 2, i);
        tribi_proto_end(out, value);
    }
    tribi_proto_end(out, at);
}

static void put_messages(struct tribi_proto_out *out, const char *package, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count;) {
        size_t at = tribi_proto_begin(out, 4);
        const struct row *message = &rows[i++];
        const char *oneof = NULL;

        tribi_proto_text(out, 1, message->name);
        for (; i < count && rows[i].number != 0; i++) {
            put_field(out, package, &rows[i]);
            oneof = rows[i].oneof != NULL ? rows[i].oneof : oneof;
        }
        if (strcmp(message->name, "HealthCheckResponse") == 0)
            put_serving(out);
        if (strcmp(message->name, "HealthListResponse") == 0)
            put_statuses_entry(out, package);
        if (oneof != NULL) {
            size_t inside = tribi_proto_begin(out, 8);

            tribi_proto_text(out, 1, oneof);
            tribi_proto_end(out, inside);
        }
        tribi_proto_end(out, at);
    }
}

static void put_method(struct tribi_proto_out *out, const char *package, const char *name, const char *in, const char *answer,
                       bool client_streams, bool server_streams)
{
    size_t at = tribi_proto_begin(out, 2);

    tribi_proto_text(out, 1, name);
    put_type(out, 2, package, in);
    put_type(out, 3, package, answer);
    if (client_streams)
        tribi_proto_number(out, 5, 1);
    if (server_streams)
        tribi_proto_number(out, 6, 1);
    tribi_proto_end(out, at);
}

void tribi_grpc_describe_health(struct tribi_proto_out *out)
{
    static const char package[] = "grpc.health.v1";
    size_t at;

    tribi_proto_text(out, 1, "grpc/health/v1/health.proto");
    tribi_proto_text(out, 2, package);
    put_messages(out, package, health_rows, sizeof(health_rows) / sizeof(health_rows[0]));
    at = tribi_proto_begin(out, 6);
    tribi_proto_text(out, 1, "Health");
    put_method(out, package, "Check", "HealthCheckRequest", "HealthCheckResponse", false, false);
    put_method(out, package, "List", "HealthListRequest", "HealthListResponse", false, false);
    put_method(out, package, "Watch", "HealthCheckRequest", "HealthCheckResponse", false, true);
    tribi_proto_end(out, at);
    tribi_proto_text(out, 12, "proto3");
}

void tribi_grpc_describe_reflection(struct tribi_proto_out *out, const char *package)
{
    const char *version = strrchr(package, '.') + 1;
    char name[64];
    size_t at;

    tribi_proto_bytes(out, 1, name, (size_t)snprintf(name, sizeof(name), "grpc/reflection/%s/reflection.proto", version));
    tribi_proto_text(out, 2, package);
    put_messages(out, package, reflection_rows, sizeof(reflection_rows) / sizeof(reflection_rows[0]));
    at = tribi_proto_begin(out, 6);
    tribi_proto_text(out, 1, "ServerReflection");
    put_method(out, package, "ServerReflectionInfo", "ServerReflectionRequest", "ServerReflectionResponse", true, true);
    tribi_proto_end(out, at);
    tribi_proto_text(out, 12, "proto3");
}

/* Reads an engine's control messages; Init becomes the struct that serializers see. */
#include "udf_message-internal.h"

#include <tributary/alloc.h>

#include <string.h>
#include <zlib.h>

#include <proto/udf_worker.pb-c.h>

struct tribi_udf_init {
    struct trib_udf_init fields;
    TribiPb__UdfControlRequest *message; /* what the views point into */
    struct trib_spark_pair *pairs;       /* of all maps, one after the other */
    struct trib_udf_argument *arguments;
};

void trib_udf_init_defaults(struct trib_udf_init *ret_init)
{
    *ret_init = (struct trib_udf_init){.size = sizeof(*ret_init),
                                       .has_protocol_version = true,
                                       .protocol_version = TRIB_UDF_PROTOCOL_VERSION,
                                       .data_format = TRIB_UDF_FORMAT_ARROW,
                                       .has_udf = true};
}

uint32_t trib_udf_crc32(uint32_t crc, struct trib_view bytes)
{
    return bytes.len > 0 ? (uint32_t)crc32_z(crc, bytes.data, bytes.len) : crc;
}

static void free_message(TribiPb__UdfControlRequest *message)
{
    ProtobufCAllocator allocator = TRIBI_UDF_ALLOCATOR(NULL);

    if (message != NULL)
        tribi_pb__udf_control_request__free_unpacked(message, &allocator);
}

static struct trib_view view_of(bool has, ProtobufCBinaryData bytes)
{
    static const uint8_t nothing[1];

    return (struct trib_view){.data = !has ? NULL : bytes.len > 0 ? bytes.data : nothing, .len = has ? bytes.len : 0};
}

/* All maps of Init have entries of one layout; protobuf-c gives each a type of its own. */
typedef TribiPb__Init__TaskContextEntry map_entry;
_Static_assert(sizeof(map_entry) == sizeof(TribiPb__Init__SessionConfEntry) &&
                   sizeof(map_entry) == sizeof(TribiPb__Init__EnvironmentVariablesEntry) &&
                   sizeof(map_entry) == sizeof(TribiPb__Init__ResourceDirectoriesEntry),
               "entries of maps are alike");

static struct trib_spark_pair *read_map(struct trib_spark_pair *at, void *entries, size_t count, const struct trib_spark_pair **ret_pairs,
                                        size_t *ret_count)
{
    for (size_t i = 0; i < count; i++) {
        const map_entry *entry = ((map_entry **)entries)[i];
        at[i].key = tribi_udf_text(entry->key != NULL ? entry->key : "");
        at[i].value = tribi_udf_text(entry->value != NULL ? entry->value : "");
    }
    *ret_pairs = at;
    *ret_count = count;
    return count > 0 ? at + count : at; /* at may be NULL */
}

static void read_maps(struct tribi_udf_init *init, const TribiPb__Init *message)
{
    struct trib_udf_init *fields = &init->fields;
    struct trib_spark_pair *at = init->pairs;

    at = read_map(at, message->task_context, message->n_task_context, &fields->task_context, &fields->task_context_count);
    at = read_map(at, message->session_conf, message->n_session_conf, &fields->session_conf, &fields->session_conf_count);
    at = read_map(at, message->environment_variables, message->n_environment_variables, &fields->environment_variables,
                  &fields->environment_variable_count);
    read_map(at, message->resource_directories, message->n_resource_directories, &fields->resource_directories,
             &fields->resource_directory_count);
}

static void read_input(struct tribi_udf_init *init, const TribiPb__UdfInputMetadata *input)
{
    struct trib_udf_init *fields = &init->fields;

    fields->has_input = true;
    fields->schema_format = tribi_udf_text(input->schema_format);
    fields->schema = view_of(input->has_schema, input->schema);
    for (size_t i = 0; i < input->n_arguments; i++) {
        init->arguments[i].input_offset = input->arguments[i]->input_offset;
        init->arguments[i].name = tribi_udf_text(input->arguments[i]->name);
    }
    fields->arguments = init->arguments;
    fields->argument_count = input->n_arguments;
}

static void read_payload(struct tribi_udf_init *init, const TribiPb__UdfPayload *udf)
{
    struct trib_udf_init *fields = &init->fields;

    fields->has_udf = true;
    fields->payload = view_of(udf->has_payload, udf->payload);
    fields->format = tribi_udf_text(udf->format);
    fields->has_payload_size = udf->has_payload_size;
    fields->payload_size = udf->payload_size;
    fields->name = tribi_udf_text(udf->name);
    fields->eval_type = tribi_udf_text(udf->eval_type);
    fields->has_payload_crc32 = udf->has_payload_crc32;
    fields->payload_crc32 = udf->payload_crc32;
    fields->has_invocation_id = udf->has_invocation_id;
    fields->invocation_id = udf->invocation_id;
    if (udf->input != NULL)
        read_input(init, udf->input);
}

static void read_fields(struct tribi_udf_init *init, const TribiPb__Init *message)
{
    struct trib_udf_init *fields = &init->fields;

    fields->size = sizeof(*fields);
    fields->has_protocol_version = message->has_protocol_version;
    fields->protocol_version = message->has_protocol_version ? message->protocol_version : TRIB_UDF_PROTOCOL_VERSION;
    fields->data_format = message->has_data_format ? (int32_t)message->data_format : TRIB_UDF_FORMAT_UNSPECIFIED;
    fields->is_chunking_payload = message->has_is_chunking_payload && message->is_chunking_payload;
    fields->input_schema = view_of(message->has_input_schema, message->input_schema);
    fields->output_schema = view_of(message->has_output_schema, message->output_schema);
    fields->timezone = tribi_udf_text(message->timezone);
    fields->parameters = view_of(message->has_parameters, message->parameters);
    if (message->udf != NULL)
        read_payload(init, message->udf);
    read_maps(init, message);
}

/* On TRIB_OK the message is the Init's. */
static int read_init(TribiPb__UdfControlRequest *message, struct tribi_udf_init **ret_init, struct trib_error *err)
{
    const TribiPb__Init *from = message->init;
    size_t pairs = from->n_task_context + from->n_session_conf + from->n_environment_variables + from->n_resource_directories;
    size_t arguments = from->udf != NULL && from->udf->input != NULL ? from->udf->input->n_arguments : 0;
    struct tribi_udf_init *init = trib_alloc(sizeof(*init));

    if (init != NULL && pairs > 0)
        init->pairs = trib_alloc(pairs * sizeof(*init->pairs));
    if (init != NULL && arguments > 0)
        init->arguments = trib_alloc(arguments * sizeof(*init->arguments));
    if (init == NULL || (pairs > 0 && init->pairs == NULL) || (arguments > 0 && init->arguments == NULL)) {
        tribi_udf_init_free(init);
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "Init: no memory");
    }
    read_fields(init, from);
    init->message = message;
    *ret_init = init;
    return TRIB_OK;
}

const struct trib_udf_init *tribi_udf_init_fields(const struct tribi_udf_init *init)
{
    return &init->fields;
}

void tribi_udf_init_set_payload(struct tribi_udf_init *init, struct trib_view payload)
{
    init->fields.payload = payload;
}

void tribi_udf_init_free(struct tribi_udf_init *init)
{
    if (init == NULL)
        return;
    free_message(init->message);
    trib_free(init->pairs);
    trib_free(init->arguments);
    trib_free(init);
}

int tribi_udf_request_read(struct trib_view bytes, struct tribi_udf_request *ret_request, struct trib_error *err)
{
    bool failed = false;
    ProtobufCAllocator allocator = TRIBI_UDF_ALLOCATOR(&failed);
    TribiPb__UdfControlRequest *message = tribi_pb__udf_control_request__unpack(&allocator, bytes.len, bytes.data);
    struct tribi_udf_request request = {.kind = TRIBI_UDF_BAD, .message = message};
    int rc = TRIB_OK;

    if (message == NULL)
        return tribi_udf_unreadable(failed, bytes.len, "UdfControlRequest", err);
    switch (message->control_case) {
    case TRIBI_PB__UDF_CONTROL_REQUEST__CONTROL_INIT:
        request.kind = TRIBI_UDF_INIT;
        rc = read_init(message, &request.init, err);
        break;
    case TRIBI_PB__UDF_CONTROL_REQUEST__CONTROL_PAYLOAD:
        request.kind = TRIBI_UDF_CHUNK;
        request.bytes = view_of(message->payload->has_data, message->payload->data);
        request.last = message->payload->has_last && message->payload->last;
        break;
    case TRIBI_PB__UDF_CONTROL_REQUEST__CONTROL_FINISH:
        request.kind = TRIBI_UDF_FINISH;
        break;
    case TRIBI_PB__UDF_CONTROL_REQUEST__CONTROL_CANCEL:
        request.kind = TRIBI_UDF_CANCEL;
        request.bytes = tribi_udf_text(message->cancel->reason);
        break;
    default:
        break;
    }
    if (rc != TRIB_OK || request.init != NULL)
        request.message = NULL;
    if (rc == TRIB_OK)
        *ret_request = request;
    else
        free_message(message);
    return rc;
}

void tribi_udf_request_done(struct tribi_udf_request *request)
{
    free_message(request->message);
    request->message = NULL;
    request->bytes = (struct trib_view){.data = NULL};
}

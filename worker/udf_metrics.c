/* Metrics of one execution: names, and the two forms in which one field carries them: an entry of a map, or a message. */
#include "udf_message-internal.h"

#include "udf_envelope-internal.h"

#include <string.h>

enum { VARINT = 0, DELIMITED = 2 };

const char *trib_udf_metric_name(enum trib_udf_metric metric)
{
    static const char *const names[TRIB_UDF_METRICS] = {
        "bytes_in",        "bytes_out",             "rows_in",            "rows_out",        "batches_in",      "batches_out",
        "init_wall_nanos", "processing_wall_nanos", "receive_wall_nanos", "send_wall_nanos", "work_wall_nanos", "work_cpu_nanos"};

    return (unsigned)metric < TRIB_UDF_METRICS ? names[metric] : "?";
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

struct field {
    uint32_t number;
    unsigned type;
    uint64_t value;        /* of a varint */
    struct trib_view text; /* of what has a length */
};

static size_t take_value(struct trib_view rest, struct field *field)
{
    size_t n;

    switch (field->type) {
    case VARINT:
        return tribi_varint_get(rest.data, rest.len, 10, &field->value);
    case DELIMITED:
        n = tribi_varint_get(rest.data, rest.len, 5, &field->value);
        if (n == 0 || field->value > rest.len - n)
            return 0;
        field->text = trib_view_sub(rest, n, (size_t)field->value);
        return n + (size_t)field->value;
    case 1:
        return rest.len >= 8 ? 8 : 0;
    case 5:
        return rest.len >= 4 ? 4 : 0;
    default:
        return 0;
    }
}

/* The field at the front; 0: it is none. */
static size_t take_field(struct trib_view bytes, struct field *ret_field)
{
    uint64_t tag;
    size_t n = tribi_varint_get(bytes.data, bytes.len, 5, &tag), len;

    if (n == 0)
        return 0;
    ret_field->number = (uint32_t)(tag >> 3);
    ret_field->type = tag & 7;
    len = take_value(trib_view_sub(bytes, n, bytes.len), ret_field);
    return len > 0 ? n + len : 0;
}

int tribi_udf_get_metrics(struct trib_view bytes, struct trib_udf_metrics *metrics, struct trib_spark_pair *pair, bool *ret_is_pair,
                          struct trib_error *err)
{
    struct trib_spark_pair found = {{NULL, 0, NULL}, {NULL, 0, NULL}};
    struct field field;

    for (size_t at = 0, len; at < bytes.len; at += len) {
        len = take_field(trib_view_sub(bytes, at, bytes.len), &field);
        if (len == 0)
            return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "metrics: byte %zu begins no field", at);
        if (field.type == DELIMITED && field.number == 1)
            found.key = field.text;
        else if (field.type == DELIMITED && field.number == 2)
            found.value = field.text;
        else if (field.type == VARINT && field.number >= 1 && field.number <= TRIB_UDF_METRICS) {
            metrics->values[field.number - 1] = field.value;
            metrics->present |= 1u << (field.number - 1);
        }
    }
    *ret_is_pair = found.key.data != NULL;
    if (*ret_is_pair)
        *pair = found;
    return TRIB_OK;
}

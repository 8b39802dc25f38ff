/* The messages of Spark's gRPC worker protocol as structs: what an engine says of a UDF, what a worker says of errors and costs. */
#ifndef TRIBUTARY_SPARK_UDF_H
#define TRIBUTARY_SPARK_UDF_H

#include <tributary/chunk.h>
#include <tributary/error.h>
#include <tributary/spark.h>
#include <tributary/types.h>

TRIB_BEGIN_DECLS

/* Part of libtributary-worker. The protocol is org.apache.spark.udf.worker, version 1; the messages are proto/udf_worker.proto. A view whose
 * `data` is NULL is a field that is not set; one of length 0 with data is set, and empty. Strings are not NUL-terminated. */
#define TRIB_UDF_EXECUTE "/org.apache.spark.udf.worker.UdfWorker/Execute"
#define TRIB_UDF_MANAGE "/org.apache.spark.udf.worker.UdfWorker/Manage"
#define TRIB_UDF_PROTOCOL_VERSION 1

enum trib_udf_data_format {
    TRIB_UDF_FORMAT_UNSPECIFIED = 0,
    TRIB_UDF_FORMAT_ARROW = 1
};

/* ---- Init ------------------------------------------------------------------------------------------------------- */

struct trib_udf_argument {
    uint32_t input_offset;
    struct trib_view name;
};

/* Init with its UdfPayload. Who fills one in by hand to send it owns what it points to; one that a worker received owns its own memory
 * and ends with the session. */
struct trib_udf_init {
    size_t size;
    bool has_protocol_version;
    uint32_t protocol_version;
    int32_t data_format;             /* enum trib_udf_data_format, or a number that it lacks */
    bool has_udf;                    /* the fields from here to `arguments` are on the wire only with this */
    struct trib_view payload;        /* for a serializer: the inline part and all chunks behind it */
    struct trib_view format;
    bool has_payload_size;
    int64_t payload_size;
    struct trib_view name;
    struct trib_view eval_type;
    bool has_payload_crc32;
    uint32_t payload_crc32;
    bool has_invocation_id;
    int64_t invocation_id;
    bool has_input;                  /* schema_format, schema, arguments */
    struct trib_view schema_format;
    struct trib_view schema;
    const struct trib_udf_argument *arguments;
    size_t argument_count;
    bool is_chunking_payload;        /* payload chunks follow Init */
    struct trib_view input_schema;
    struct trib_view output_schema;
    const struct trib_spark_pair *task_context;
    size_t task_context_count;
    const struct trib_spark_pair *session_conf;
    size_t session_conf_count;
    struct trib_view timezone;
    const struct trib_spark_pair *environment_variables;
    size_t environment_variable_count;
    const struct trib_spark_pair *resource_directories;
    size_t resource_directory_count;
    struct trib_view parameters;
};

/* Everything empty but size, version 1 and the format ARROW. */
TRIB_API void trib_udf_init_defaults(struct trib_udf_init *ret_init);

/* zlib's CRC-32 of a payload, piece by piece; begin with 0. */
TRIB_API uint32_t trib_udf_crc32(uint32_t crc, struct trib_view bytes);

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

enum trib_udf_error_kind {
    TRIB_UDF_NO_ERROR = 0,
    TRIB_UDF_USER_ERROR = 1,     /* the user's code failed */
    TRIB_UDF_WORKER_ERROR = 2,   /* the worker did */
    TRIB_UDF_PROTOCOL_ERROR = 3  /* the engine did not keep to the protocol */
};

struct trib_udf_error {
    size_t size;
    enum trib_udf_error_kind kind;
    struct trib_view message;
    struct trib_view traceback;
    struct trib_view error_class; /* of a user error */
};
#define TRIB_UDF_ERROR_INIT { sizeof(struct trib_udf_error), TRIB_UDF_NO_ERROR, { NULL, 0, NULL }, { NULL, 0, NULL }, { NULL, 0, NULL } }

/* "UserError", "WorkerError", "ProtocolError"; "?" for a number that is none. A static string. */
TRIB_API const char *trib_udf_error_kind_name(enum trib_udf_error_kind kind);

/* ---- Metrics of one execution ------------------------------------------------------------------------------------ */

/* In the order of ExecutionMetrics' fields. */
enum trib_udf_metric {
    TRIB_UDF_BYTES_IN = 0, /* of data, without any framing */
    TRIB_UDF_BYTES_OUT = 1,
    TRIB_UDF_ROWS_IN = 2,
    TRIB_UDF_ROWS_OUT = 3,
    TRIB_UDF_BATCHES_IN = 4,
    TRIB_UDF_BATCHES_OUT = 5,
    TRIB_UDF_INIT_WALL_NANOS = 6,
    TRIB_UDF_PROCESSING_WALL_NANOS = 7,
    TRIB_UDF_RECEIVE_WALL_NANOS = 8,
    TRIB_UDF_SEND_WALL_NANOS = 9,
    TRIB_UDF_WORK_WALL_NANOS = 10,
    TRIB_UDF_WORK_CPU_NANOS = 11
};
#define TRIB_UDF_METRICS 12

struct trib_udf_metrics {
    unsigned present; /* bit 1 << metric: measured; else not known */
    uint64_t values[TRIB_UDF_METRICS];
};

/* "bytes_in", ...; "?" for a number that is none. A static string. */
TRIB_API const char *trib_udf_metric_name(enum trib_udf_metric metric);

TRIB_END_DECLS

#endif

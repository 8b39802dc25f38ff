/* Writes the init message of spark-socket from its struct: once to count the bytes, once into a chunk of that size. */
#include <tributary/spark.h>

#include <string.h>

/* Without `out` it only counts. The first failure stays. */
struct output {
    uint8_t *out;
    size_t len;
    int rc;
    struct trib_error *err;
};

static void put(struct output *output, const void *data, size_t len)
{
    if (output->rc != TRIB_OK)
        return;
    if (len > INT32_MAX - output->len) {
        output->rc = trib_error_numbers(output->err, TRIB_ERR_LIMIT, (uint64_t)output->len + len, INT32_MAX,
                                        "init message: more than %d bytes", INT32_MAX);
        return;
    }
    /* copy: many small strings make one block. */
    if (output->out != NULL && len > 0)
        memcpy(output->out + output->len, data, len);
    output->len += len;
}

static void put_i32(struct output *output, int32_t value)
{
    uint32_t v = (uint32_t)value;
    uint8_t bytes[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

    put(output, bytes, sizeof(bytes));
}

static void put_i64(struct output *output, int64_t value)
{
    put_i32(output, (int32_t)((uint64_t)value >> 32));
    put_i32(output, (int32_t)((uint64_t)value & UINT32_MAX));
}

static void put_bool(struct output *output, bool value)
{
    uint8_t byte = value;

    put(output, &byte, 1);
}

static void put_count(struct output *output, size_t count)
{
    if (count > INT32_MAX && output->rc == TRIB_OK)
        output->rc = trib_error_numbers(output->err, TRIB_ERR_LIMIT, count, INT32_MAX, "init message: %zu items, at most %d", count,
                                        INT32_MAX);
    put_i32(output, (int32_t)count);
}

static void put_bytes(struct output *output, struct trib_view bytes)
{
    put_count(output, bytes.len);
    put(output, bytes.data, bytes.len);
}

/* ---- The fields ------------------------------------------------------------------------------------------------- */

static void write_broadcasts(struct output *output, const struct trib_spark_init *init)
{
    put_bool(output, init->broadcasts_encrypted);
    put_count(output, init->broadcast_count);
    if (init->broadcasts_encrypted) {
        put_i32(output, init->broadcast_port);
        put_bytes(output, init->broadcast_auth);
    }
    for (size_t i = 0; i < init->broadcast_count; i++) {
        put_i64(output, init->broadcasts[i].id);
        if (init->broadcasts[i].id >= 0 && !init->broadcasts_encrypted)
            put_bytes(output, init->broadcasts[i].path);
    }
}

static void write_pairs(struct output *output, const struct trib_spark_pair *pairs, size_t count)
{
    put_count(output, count);
    for (size_t i = 0; i < count; i++) {
        put_bytes(output, pairs[i].key);
        put_bytes(output, pairs[i].value);
    }
}

static void write_arguments(struct output *output, const struct trib_spark_argument *arguments, size_t count)
{
    put_count(output, count);
    for (size_t i = 0; i < count; i++) {
        put_i32(output, arguments[i].offset);
        put_bool(output, arguments[i].named);
        if (arguments[i].named)
            put_bytes(output, arguments[i].name);
    }
}

static void write_udf(struct output *output, const struct trib_spark_udf *udf)
{
    write_arguments(output, udf->arguments, udf->argument_count);
    if (udf->command_count == 0 && output->rc == TRIB_OK)
        output->rc = trib_error_set(output->err, TRIB_ERR_USAGE, 0, "init message: a UDF without a command");
    put_count(output, udf->command_count);
    for (size_t i = 0; i < udf->command_count; i++)
        put_bytes(output, udf->commands[i]);
    put_i64(output, udf->result_id);
}

static void write_table(struct output *output, const struct trib_spark_table *table)
{
    write_arguments(output, table->arguments, table->argument_count);
    put_count(output, table->partition_child_count);
    for (size_t i = 0; i < table->partition_child_count; i++)
        put_i32(output, table->partition_children[i]);
    put_bool(output, table->has_analysis);
    if (table->has_analysis)
        put_bytes(output, table->analysis);
    put_bytes(output, table->handler);
    put_bytes(output, table->return_type);
    put_bytes(output, table->name);
}

static void write_functions(struct output *output, const struct trib_spark_init *init)
{
    switch (trib_spark_eval_layout(init->eval_type)) {
    case TRIB_SPARK_LAYOUT_COMMAND:
        put_bytes(output, init->command);
        break;
    case TRIB_SPARK_LAYOUT_UDFS:
        put_count(output, init->udf_count);
        for (size_t i = 0; i < init->udf_count; i++)
            write_udf(output, &init->udfs[i]);
        break;
    case TRIB_SPARK_LAYOUT_TABLE:
        write_table(output, &init->table);
        break;
    case TRIB_SPARK_LAYOUT_NONE:
        if (output->rc == TRIB_OK)
            output->rc = trib_error_set(output->err, TRIB_ERR_USAGE, 0, "init message: eval type %d is none", (int)init->eval_type);
        break;
    }
}

static void write_fields(struct output *output, const struct trib_spark_init *init)
{
    put_i32(output, init->partition);
    if (init->stop)
        return;
    put_bytes(output, init->python_version);
    put_bytes(output, init->task_context);
    put_bytes(output, init->files_dir);
    put_count(output, init->include_count);
    for (size_t i = 0; i < init->include_count; i++)
        put_bytes(output, init->includes[i]);
    write_broadcasts(output, init);
    put_i32(output, init->eval_type);
    write_pairs(output, init->runner_conf, init->runner_conf_count);
    write_pairs(output, init->eval_conf, init->eval_conf_count);
    write_functions(output, init);
}

int trib_spark_init_chunk(const struct trib_spark_init *init, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    struct output output = {NULL, 0, TRIB_OK, err};
    struct trib_chunk *chunk;
    int rc;

    write_fields(&output, init);
    if (output.rc != TRIB_OK)
        return output.rc;
    rc = trib_chunk_new(output.len, 1, &chunk, err);
    if (rc != TRIB_OK)
        return rc;
    output.out = trib_chunk_writable(chunk);
    output.len = 0;
    write_fields(&output, init);
    *ret_chunk = chunk;
    return TRIB_OK;
}

/* ---- Looking things up ------------------------------------------------------------------------------------------ */

static const struct trib_view *find(const struct trib_spark_pair *pairs, size_t count, const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < count; i++)
        if (pairs[i].key.len == len && memcmp(pairs[i].key.data, key, len) == 0)
            return &pairs[i].value;
    return NULL;
}

struct trib_view trib_spark_init_conf(const struct trib_spark_init *init, const char *key)
{
    struct trib_view none = {NULL, 0, NULL};
    const struct trib_view *value = find(init->runner_conf, init->runner_conf_count, key);

    if (value == NULL)
        value = find(init->eval_conf, init->eval_conf_count, key);
    return value != NULL ? *value : none;
}

struct trib_view trib_spark_init_command(const struct trib_spark_init *init)
{
    struct trib_view none = {NULL, 0, NULL};

    switch (trib_spark_eval_layout(init->eval_type)) {
    case TRIB_SPARK_LAYOUT_COMMAND:
        return init->command;
    case TRIB_SPARK_LAYOUT_UDFS:
        return init->udf_count > 0 ? init->udfs[0].commands[0] : none;
    case TRIB_SPARK_LAYOUT_TABLE:
        return init->table.handler;
    case TRIB_SPARK_LAYOUT_NONE:
        break;
    }
    return none;
}

/* Parses the init message of spark-socket, field by field in the order of the wire, out of the memory that it came in. */
#include <tributary/spark.h>

#include <tributary/alloc.h>

#include "arrow-internal.h"
#include "spark_init-internal.h"

#include <string.h>

/* The first failure stays; after it every get returns nothing, so that the parser reads like the message. */
struct parser {
    struct trib_view content;
    size_t at;
    int rc;
    struct trib_error *err;
    struct tribi_parsed_init *parsed;
    size_t items; /* announced so far */
};

/* Of all lists together: an item of 4 bytes on the wire takes up to 100 in memory. Spark announces some hundreds. */
enum { ITEMS_MAX = 65536 };

static size_t left(const struct parser *parser)
{
    return parser->content.len - parser->at;
}

static int fail_field(struct parser *parser, const char *field, const char *why)
{
    if (parser->rc == TRIB_OK)
        parser->rc = trib_error_set(parser->err, TRIB_ERR_PROTOCOL, 0, "init message: %s at byte %zu of %zu: %s", field, parser->at,
                                    parser->content.len, why);
    return parser->rc;
}

static int fail_number(struct parser *parser, const char *field, const char *what, int64_t number)
{
    if (parser->rc == TRIB_OK)
        parser->rc = trib_error_set(parser->err, TRIB_ERR_PROTOCOL, 0,
                                    "init message: %s at byte %zu of %zu: %s %lld with %zu bytes left", field, parser->at,
                                    parser->content.len, what, (long long)number, left(parser));
    return parser->rc;
}

/* The next n bytes; NULL after a failure. */
static const uint8_t *get(struct parser *parser, const char *field, size_t n)
{
    if (parser->rc == TRIB_OK && n > left(parser))
        fail_number(parser, field, "runs past the end: wants", (int64_t)n);
    if (parser->rc != TRIB_OK)
        return NULL;
    parser->at += n;
    return parser->content.data + parser->at - n;
}

static uint32_t be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
}

static int32_t get_i32(struct parser *parser, const char *field)
{
    const uint8_t *at = get(parser, field, 4);

    return at != NULL ? (int32_t)be32(at) : 0;
}

static int64_t get_i64(struct parser *parser, const char *field)
{
    const uint8_t *at = get(parser, field, 8);

    return at != NULL ? (int64_t)((uint64_t)be32(at) << 32 | be32(at + 4)) : 0;
}

static bool get_bool(struct parser *parser, const char *field)
{
    const uint8_t *at = get(parser, field, 1);

    if (at != NULL && *at > 1) {
        parser->at--;
        fail_field(parser, field, "neither 0 nor 1");
    }
    return at != NULL && *at == 1;
}

static struct trib_view get_bytes(struct parser *parser, const char *field)
{
    struct trib_view empty = {NULL, 0, NULL};
    int32_t length = get_i32(parser, field);

    if (parser->rc == TRIB_OK && (length < 0 || (size_t)length > left(parser)))
        fail_number(parser, field, "length", length);
    if (parser->rc != TRIB_OK)
        return empty;
    parser->at += (size_t)length;
    return trib_view_sub(parser->content, parser->at - (size_t)length, (size_t)length);
}

static struct trib_view get_text(struct parser *parser, const char *field)
{
    struct trib_view text = get_bytes(parser, field);

    for (size_t at = 0, step; at < text.len; at += step) {
        step = trib_utf8_len(text.data + at, text.len - at);
        if (step == 0) {
            fail_field(parser, field, "not UTF-8");
            break;
        }
    }
    return text;
}

static int fail_items(struct parser *parser, const char *field, size_t count)
{
    parser->rc = trib_error_numbers(parser->err, TRIB_ERR_LIMIT, parser->items + count, ITEMS_MAX,
                                    "init message: %s at byte %zu of %zu: count %zu makes %zu items in all, the limit is %d", field, parser->at,
                                    parser->content.len, count, parser->items + count, ITEMS_MAX);
    return parser->rc;
}

/* A count of items that take at least `least` bytes each on the wire: so many fit into what is left and into memory, or it is refused before
 * anything is allocated. */
static size_t get_count(struct parser *parser, const char *field, size_t least)
{
    int32_t count = get_i32(parser, field);

    if (parser->rc == TRIB_OK && (count < 0 || (size_t)count > left(parser) / least))
        fail_number(parser, field, "count", count);
    else if (parser->rc == TRIB_OK && (size_t)count > ITEMS_MAX - parser->items)
        fail_items(parser, field, (size_t)count);
    if (parser->rc != TRIB_OK)
        return 0;
    parser->items += (size_t)count;
    return (size_t)count;
}

static void *new_array(struct parser *parser, size_t count, size_t size)
{
    struct tribi_block *block;

    if (parser->rc != TRIB_OK || count == 0)
        return NULL;
    block = count <= (SIZE_MAX - sizeof(*block)) / size ? trib_alloc(sizeof(*block) + count * size) : NULL;
    if (block == NULL) {
        parser->rc = trib_error_set(parser->err, TRIB_ERR_NOMEM, 0, "init message: no memory for %zu items", count);
        return NULL;
    }
    block->next = parser->parsed->blocks;
    parser->parsed->blocks = block;
    return block + 1;
}

/* ---- The fields ------------------------------------------------------------------------------------------------- */

/* Least bytes on the wire: a length or an integer is 4, a bool 1, an i64 8. */
enum {
    LEAST_BYTES = 4,
    LEAST_PAIR = 8,
    LEAST_BROADCAST = 8,
    LEAST_ARGUMENT = 5,
    LEAST_UDF = 4 + 4 + LEAST_BYTES + 8,
    LEAST_CHILD = 4
};

static void parse_includes(struct parser *parser, struct trib_spark_init *init)
{
    size_t count = get_count(parser, "number of includes", LEAST_BYTES);
    struct trib_view *includes = new_array(parser, count, sizeof(*includes));

    for (size_t i = 0; i < count && parser->rc == TRIB_OK; i++)
        includes[i] = get_text(parser, "include");
    init->includes = includes;
    init->include_count = count;
}

static void parse_broadcasts(struct parser *parser, struct trib_spark_init *init)
{
    struct trib_spark_broadcast *broadcasts;
    size_t count;

    init->broadcasts_encrypted = get_bool(parser, "broadcasts encrypted");
    count = get_count(parser, "number of broadcasts", LEAST_BROADCAST);
    if (init->broadcasts_encrypted) {
        init->broadcast_port = get_i32(parser, "broadcast port");
        init->broadcast_auth = get_text(parser, "broadcast secret or path");
    }
    broadcasts = new_array(parser, count, sizeof(*broadcasts));
    for (size_t i = 0; i < count && parser->rc == TRIB_OK; i++) {
        broadcasts[i].id = get_i64(parser, "broadcast id");
        if (broadcasts[i].id >= 0 && !init->broadcasts_encrypted)
            broadcasts[i].path = get_text(parser, "broadcast path");
    }
    init->broadcasts = broadcasts;
    init->broadcast_count = count;
}

static const struct trib_spark_pair *parse_pairs(struct parser *parser, const char *field, size_t *ret_count)
{
    size_t count = get_count(parser, field, LEAST_PAIR);
    struct trib_spark_pair *pairs = new_array(parser, count, sizeof(*pairs));

    for (size_t i = 0; i < count && parser->rc == TRIB_OK; i++) {
        pairs[i].key = get_text(parser, field);
        pairs[i].value = get_text(parser, field);
    }
    *ret_count = count;
    return pairs;
}

static const struct trib_spark_argument *parse_arguments(struct parser *parser, size_t *ret_count)
{
    size_t count = get_count(parser, "number of arguments", LEAST_ARGUMENT);
    struct trib_spark_argument *arguments = new_array(parser, count, sizeof(*arguments));

    for (size_t i = 0; i < count && parser->rc == TRIB_OK; i++) {
        arguments[i].offset = get_i32(parser, "argument offset");
        arguments[i].named = get_bool(parser, "argument named");
        if (arguments[i].named)
            arguments[i].name = get_text(parser, "argument name");
    }
    *ret_count = count;
    return arguments;
}

static void parse_udf(struct parser *parser, struct trib_spark_udf *udf)
{
    struct trib_view *commands;

    udf->arguments = parse_arguments(parser, &udf->argument_count);
    udf->command_count = get_count(parser, "number of chained functions", LEAST_BYTES);
    if (parser->rc == TRIB_OK && udf->command_count == 0)
        fail_field(parser, "number of chained functions", "0, expected at least 1");
    commands = new_array(parser, udf->command_count, sizeof(*commands));
    for (size_t i = 0; i < udf->command_count && parser->rc == TRIB_OK; i++)
        commands[i] = get_bytes(parser, "command");
    udf->commands = commands;
    udf->result_id = get_i64(parser, "result id");
}

static void parse_udfs(struct parser *parser, struct trib_spark_init *init)
{
    size_t count = get_count(parser, "number of UDFs", LEAST_UDF);
    struct trib_spark_udf *udfs = new_array(parser, count, sizeof(*udfs));

    for (size_t i = 0; i < count && parser->rc == TRIB_OK; i++)
        parse_udf(parser, &udfs[i]);
    init->udfs = udfs;
    init->udf_count = count;
}

static void parse_table(struct parser *parser, struct trib_spark_table *table)
{
    int32_t *children;

    table->arguments = parse_arguments(parser, &table->argument_count);
    table->partition_child_count = get_count(parser, "number of partition children", LEAST_CHILD);
    children = new_array(parser, table->partition_child_count, sizeof(*children));
    for (size_t i = 0; i < table->partition_child_count && parser->rc == TRIB_OK; i++)
        children[i] = get_i32(parser, "partition child");
    table->partition_children = children;
    table->has_analysis = get_bool(parser, "analysis result present");
    if (table->has_analysis)
        table->analysis = get_bytes(parser, "analysis result");
    table->handler = get_bytes(parser, "handler command");
    table->return_type = get_text(parser, "return type");
    table->name = get_text(parser, "table function name");
}

static void parse_functions(struct parser *parser, struct trib_spark_init *init)
{
    switch (trib_spark_eval_layout(init->eval_type)) {
    case TRIB_SPARK_LAYOUT_COMMAND:
        init->command = get_bytes(parser, "command");
        break;
    case TRIB_SPARK_LAYOUT_UDFS:
        parse_udfs(parser, init);
        break;
    case TRIB_SPARK_LAYOUT_TABLE:
        parse_table(parser, &init->table);
        break;
    case TRIB_SPARK_LAYOUT_NONE:
        fail_number(parser, "eval type", "is none:", init->eval_type);
        break;
    }
}

static void parse_fields(struct parser *parser, struct trib_spark_init *init)
{
    init->partition = get_i32(parser, "partition index");
    init->stop = init->partition == -1 && left(parser) == 0;
    if (init->stop)
        return;
    init->python_version = get_text(parser, "Python version");
    init->task_context = get_text(parser, "task context");
    init->files_dir = get_text(parser, "files directory");
    parse_includes(parser, init);
    parse_broadcasts(parser, init);
    init->eval_type = get_i32(parser, "eval type");
    init->runner_conf = parse_pairs(parser, "runner conf", &init->runner_conf_count);
    init->eval_conf = parse_pairs(parser, "eval conf", &init->eval_conf_count);
    if (parser->rc == TRIB_OK)
        parse_functions(parser, init);
    if (parser->rc == TRIB_OK && left(parser) > 0)
        fail_field(parser, "end", "bytes are left over");
}

static int parse_content(struct trib_view content, const struct trib_spark_init **ret_init, struct trib_error *err)
{
    struct parser parser = {.content = content, .err = err, .parsed = trib_alloc(sizeof(*parser.parsed))};

    if (parser.parsed == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "init message: no memory");
    parser.parsed->content = trib_view_retain(content);
    parse_fields(&parser, &parser.parsed->init);
    if (parser.rc != TRIB_OK) {
        trib_spark_init_free(&parser.parsed->init);
        return parser.rc;
    }
    *ret_init = &parser.parsed->init;
    return TRIB_OK;
}

int trib_spark_init_parse(struct trib_reader *reader, size_t length, const struct trib_spark_init **ret_init,
                          struct trib_error *err)
{
    struct trib_view content;
    int rc = trib_reader_limit_push(reader, length, err);

    if (rc != TRIB_OK)
        return rc;
    /* Peeked, so that the bytes are still the reader's where memory for the struct runs out. */
    rc = tribi_name_short(trib_reader_peek(reader, length, &content, err), "the init message", length, err);
    if (rc == TRIB_OK)
        rc = parse_content(content, ret_init, err);
    if (rc == TRIB_OK)
        rc = trib_reader_skip(reader, length, NULL, err);
    trib_reader_limit_pop(reader, NULL);
    return rc;
}

void trib_spark_init_free(const struct trib_spark_init *init)
{
    /* The struct is const for its reader; it is ours. */
    struct tribi_parsed_init *parsed = (struct tribi_parsed_init *)(uintptr_t)init;

    if (parsed == NULL)
        return;
    while (parsed->blocks != NULL) {
        struct tribi_block *next = parsed->blocks->next;
        trib_free(parsed->blocks);
        parsed->blocks = next;
    }
    trib_view_release(&parsed->content);
    trib_free(parsed);
}

/* The words for each event of a session, and for each field of its init message. */
#include "tools/inspect_print.h"

#include <tributary/spark.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

enum { TEXT_COLUMNS = 96, BYTES_COLUMNS = 48 };

/* ---- Texts and bytes ------------------------------------------------------------------------------------------ */

/* Control characters and what a terminal might obey are escaped; UTF-8 is left to it. */
static void print_character(unsigned char c)
{
    if (c == '\n')
        fputs("\\n", stdout);
    else if (c == '\\' || c == '"')
        printf("\\%c", c);
    else if (c < ' ' || c == 0x7f)
        printf("\\x%02x", c);
    else
        putchar(c);
}

static size_t cut_of(struct trib_view text, size_t columns, bool full)
{
    size_t cut = full || text.len <= columns ? text.len : columns;

    /* Not in the middle of a character. */
    while (cut < text.len && cut > 0 && (text.data[cut] & 0xc0) == 0x80)
        cut--;
    return cut;
}

static void print_text(struct trib_view text, bool full)
{
    size_t cut = cut_of(text, TEXT_COLUMNS, full);

    putchar('"');
    for (size_t i = 0; i < cut; i++)
        print_character(text.data[i]);
    putchar('"');
    if (cut < text.len)
        printf("... (%zu bytes)", text.len);
}

/* Any bytes: those that are no printable ASCII as \xNN. */
static void print_bytes(struct trib_view bytes, bool full)
{
    size_t cut = full || bytes.len <= BYTES_COLUMNS ? bytes.len : BYTES_COLUMNS;

    putchar('"');
    for (size_t i = 0; i < cut; i++) {
        if (bytes.data[i] > 0x7e)
            printf("\\x%02x", bytes.data[i]);
        else
            print_character(bytes.data[i]);
    }
    printf("\"%s (%zu bytes)", cut < bytes.len ? "..." : "", bytes.len);
}

/* ---- The init message ----------------------------------------------------------------------------------------- */

static void print_field(const char *name)
{
    printf("%34s%-18s ", "", name);
}

static void print_text_field(const char *name, struct trib_view text, bool full)
{
    print_field(name);
    print_text(text, full);
    putchar('\n');
}

static void print_pairs(const char *name, const struct trib_spark_pair *pairs, size_t count, bool full)
{
    print_field(name);
    printf("%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        printf("%36s", "");
        print_text(pairs[i].key, full);
        fputs(" = ", stdout);
        print_text(pairs[i].value, full);
        putchar('\n');
    }
}

static void print_arguments(const struct trib_spark_argument *arguments, size_t count)
{
    fputs("arguments [", stdout);
    for (size_t i = 0; i < count; i++) {
        printf("%s%" PRId32, i > 0 ? ", " : "", arguments[i].offset);
        if (arguments[i].named) {
            putchar(' ');
            print_text(arguments[i].name, false);
        }
    }
    putchar(']');
}

static void print_broadcasts(const struct trib_spark_init *init)
{
    print_field("broadcasts");
    printf("%zu, %s\n", init->broadcast_count, init->broadcasts_encrypted ? "encrypted" : "not encrypted");
    if (init->broadcasts_encrypted) {
        print_field("  server");
        printf("port %" PRId32 ", %s of %zu bytes\n", init->broadcast_port, init->broadcast_port < 0 ? "path" : "secret",
               init->broadcast_auth.len);
    }
    for (size_t i = 0; i < init->broadcast_count; i++) {
        printf("%36s%" PRId64, "", init->broadcasts[i].id);
        if (init->broadcasts[i].path.len > 0) {
            putchar(' ');
            print_text(init->broadcasts[i].path, false);
        }
        putchar('\n');
    }
}

static void print_udf(const struct trib_spark_udf *udf, bool full)
{
    printf("%36s", "");
    print_arguments(udf->arguments, udf->argument_count);
    fputs(", commands [", stdout);
    for (size_t i = 0; i < udf->command_count; i++) {
        fputs(i > 0 ? ", " : "", stdout);
        print_bytes(udf->commands[i], full);
    }
    printf("], result id %" PRId64 "\n", udf->result_id);
}

static void print_table(const struct trib_spark_table *table, bool full)
{
    print_field("table function");
    print_text(table->name, full);
    fputs(", ", stdout);
    print_arguments(table->arguments, table->argument_count);
    fputs(", partition children [", stdout);
    for (size_t i = 0; i < table->partition_child_count; i++)
        printf("%s%" PRId32, i > 0 ? ", " : "", table->partition_children[i]);
    puts("]");
    if (table->has_analysis) {
        print_field("  analysis");
        print_bytes(table->analysis, full);
        putchar('\n');
    }
    print_field("  handler");
    print_bytes(table->handler, full);
    putchar('\n');
    print_text_field("  return type", table->return_type, full);
}

static void print_functions(const struct trib_spark_init *init, bool full)
{
    switch (trib_spark_eval_layout(init->eval_type)) {
    case TRIB_SPARK_LAYOUT_COMMAND:
        print_field("command");
        print_bytes(init->command, full);
        putchar('\n');
        break;
    case TRIB_SPARK_LAYOUT_UDFS:
        print_field("functions");
        printf("%zu\n", init->udf_count);
        for (size_t i = 0; i < init->udf_count; i++)
            print_udf(&init->udfs[i], full);
        break;
    case TRIB_SPARK_LAYOUT_TABLE:
        print_table(&init->table, full);
        break;
    default:
        break;
    }
}

static void print_init(const struct trib_spark_init *init, bool full)
{
    const char *name = trib_spark_eval_name(init->eval_type);

    print_field("partition");
    printf("%" PRId32 "%s\n", init->partition, init->stop ? ": the worker is to exit" : "");
    if (init->stop)
        return;
    print_text_field("Python version", init->python_version, full);
    print_text_field("task context", init->task_context, full);
    print_text_field("files directory", init->files_dir, full);
    print_field("includes");
    printf("%zu\n", init->include_count);
    for (size_t i = 0; i < init->include_count; i++)
        print_text_field("", init->includes[i], full);
    print_broadcasts(init);
    print_field("eval type");
    printf("%" PRId32 " (%s)\n", init->eval_type, name != NULL ? name : "?");
    print_pairs("runner conf", init->runner_conf, init->runner_conf_count, full);
    print_pairs("eval conf", init->eval_conf, init->eval_conf_count, full);
    print_functions(init, full);
}

/* ---- Events --------------------------------------------------------------------------------------------------- */

static void print_word(int32_t word)
{
    printf("%" PRId32 " (%s)", word, trib_spark_word_name(word));
}

static void print_arrow(const struct trib_arrow_message *arrow)
{
    static const char *const codecs[] = {"", ", lz4", ", zstd"};
    char fields[2048];

    printf("%s", trib_arrow_kind_name(arrow->kind));
    if (arrow->kind != TRIB_ARROW_SCHEMA)
        printf(", %" PRId64 " row%s", arrow->rows, arrow->rows == 1 ? "" : "s");
    printf(", metadata %zu bytes", arrow->metadata.len);
    if (arrow->kind != TRIB_ARROW_SCHEMA)
        printf(", body %zu bytes%s", arrow->body.len, (unsigned)arrow->codec < 3 ? codecs[arrow->codec] : "");
    else if (trib_arrow_describe(arrow, fields, sizeof(fields), NULL) == TRIB_OK)
        printf(": %s", fields);
}

static void print_shape(int64_t shape)
{
    static const char *const shapes[] = {"?", "frames", "one Arrow stream", "groups of one Arrow stream",
                                         "groups of two Arrow streams"};

    fputs(shape >= 1 && shape <= 4 ? shapes[shape] : "?", stdout);
}

static void print_timing(const struct trib_timing *timing)
{
    print_word(TRIB_SPARK_TIMING);
    printf(", boot %" PRId64 " ms, init %" PRId64 " ms, finish %" PRId64 " ms, processing %" PRId64 " ms, spilled %" PRId64
           " bytes of memory, %" PRId64 " of disk",
           timing->boot_ms, timing->init_ms, timing->finish_ms, timing->processing_ms, timing->memory_spilled,
           timing->disk_spilled);
}

static void print_data_end(const struct trib_event *event)
{
    if (event->length == 0)
        fputs("follows from the end of the stream", stdout);
    else
        fputs("end of the data", stdout);
}

static void print_finish(const struct trib_event *event, enum trib_side side)
{
    bool reusable = event->number == 1;

    if (side == TRIB_FROM_ENGINE) {
        print_word(TRIB_SPARK_END_OF_STREAM);
        return;
    }
    print_word(reusable ? TRIB_SPARK_END_OF_STREAM : TRIB_SPARK_END_OF_DATA);
    fputs(reusable ? ", the worker can be used again" : ", the worker is not to be used again", stdout);
}

/* Everything behind the name, but for INIT's fields. */
static void print_details(const struct trib_event *event, enum trib_side side, bool full)
{
    switch (event->kind) {
    case TRIB_EVENT_AUTH:
    case TRIB_EVENT_FRAME:
    case TRIB_EVENT_ACCUMULATOR:
        print_bytes(event->bytes, full);
        break;
    case TRIB_EVENT_PID:
        printf("%" PRId64, event->number);
        break;
    case TRIB_EVENT_INIT:
        print_word(TRIB_SPARK_INIT);
        break;
    case TRIB_EVENT_DATA:
        print_shape(event->number);
        break;
    case TRIB_EVENT_GROUP:
        printf("%" PRId64 " stream%s", event->number, event->number == 1 ? "" : "s");
        break;
    case TRIB_EVENT_STREAM:
        if (event->length == 4)
            print_word(TRIB_SPARK_ARROW_STREAM);
        else
            fputs("begins, without a marker", stdout);
        break;
    case TRIB_EVENT_STREAM_END:
        fputs("end of the Arrow stream", stdout);
        break;
    case TRIB_EVENT_ARROW:
        print_arrow(&event->arrow);
        break;
    case TRIB_EVENT_NULL:
        print_word(TRIB_SPARK_NULL);
        break;
    case TRIB_EVENT_DATA_END:
        print_data_end(event);
        break;
    case TRIB_EVENT_FINISH:
        print_finish(event, side);
        break;
    case TRIB_EVENT_EXCEPTION:
        print_word(TRIB_SPARK_EXCEPTION);
        putchar(' ');
        print_text(event->bytes, full);
        break;
    case TRIB_EVENT_TIMING:
        print_timing(&event->timing);
        break;
    case TRIB_EVENT_ACCUMULATORS:
        print_word(TRIB_SPARK_END_OF_DATA);
        printf(", %" PRId64 " accumulator update%s", event->number, event->number == 1 ? "" : "s");
        break;
    default:
        break;
    }
}

void inspect_print_event(const struct trib_event *event, enum trib_side side, bool full)
{
    printf("%9" PRIu64 " %9" PRIu64 "  %-12s ", event->offset, event->length, trib_event_name(event->kind));
    print_details(event, side, full);
    putchar('\n');
    if (event->kind == TRIB_EVENT_INIT)
        print_init(event->spark_init, full);
}

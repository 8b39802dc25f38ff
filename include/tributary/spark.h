/* The spark-socket dialect's own things: the init message as a struct, eval types, markers, captured sessions. */
#ifndef TRIBUTARY_SPARK_H
#define TRIBUTARY_SPARK_H

#include <tributary/chunk.h>
#include <tributary/error.h>
#include <tributary/message.h>
#include <tributary/reader.h>
#include <tributary/types.h>

TRIB_BEGIN_DECLS

/* Part of libtributary-worker. The words on the wire: big-endian, signed, 4 bytes. */
enum trib_spark_word {
    TRIB_SPARK_END_OF_DATA = -1, /* in the place of the last END_OF_STREAM: do not use me again */
    TRIB_SPARK_EXCEPTION = -2,
    TRIB_SPARK_TIMING = -3,
    TRIB_SPARK_END_OF_STREAM = -4,
    TRIB_SPARK_NULL = -5,
    TRIB_SPARK_ARROW_STREAM = -6,
    TRIB_SPARK_MICRO_BATCH = -7,
    TRIB_SPARK_INIT = -8
};

/* "-4 (END_OF_STREAM)"'s second word; NULL for a number that is none. A static string. */
TRIB_API const char *trib_spark_word_name(int32_t word);

/* ---- Eval types ------------------------------------------------------------------------------------------------ */

/* "SQL_MAP_ARROW_ITER_UDF" for 207; NULL for a number that is none. A static string. */
TRIB_API const char *trib_spark_eval_name(int32_t eval_type);

/* The shape of the engine's data; 0 where this dialect does not know it (streaming state, numbers that are none). */
TRIB_API enum trib_data_shape trib_spark_eval_shape(int32_t eval_type);

/* How the functions are laid out: 0 (a command), 100 to 254 (UDFs), 300 to 302 (a table function). */
enum trib_spark_layout {
    TRIB_SPARK_LAYOUT_NONE = 0, /* an eval type that is none */
    TRIB_SPARK_LAYOUT_COMMAND = 1,
    TRIB_SPARK_LAYOUT_UDFS = 2,
    TRIB_SPARK_LAYOUT_TABLE = 3
};

/* The layout of an eval type by its number alone, whether one of that number has a name or not; TRIB_SPARK_LAYOUT_NONE outside the ranges. */
TRIB_API enum trib_spark_layout trib_spark_eval_layout(int32_t eval_type);

/* ---- The init message ------------------------------------------------------------------------------------------
 * All of it, field by field, in the order of the wire. Strings and commands are views, not NUL-terminated. Who fills one in by
 * hand to send it owns what it points to; one that was parsed owns its arrays and the memory under its views. */

struct trib_spark_pair {
    struct trib_view key;
    struct trib_view value;
};

struct trib_spark_broadcast {
    int64_t id;            /* negative: drop broadcast -id-1 */
    struct trib_view path; /* on the wire only where id >= 0 and the broadcasts are not encrypted */
};

struct trib_spark_argument {
    int32_t offset; /* of the column; for grouped types an encoding of key and value columns */
    bool named;
    struct trib_view name; /* on the wire only where named */
};

struct trib_spark_udf {
    const struct trib_spark_argument *arguments;
    size_t argument_count;
    const struct trib_view *commands; /* chained: the first is applied to the arguments, the next to its result; at least 1 */
    size_t command_count;
    int64_t result_id;
};

struct trib_spark_table {
    const struct trib_spark_argument *arguments;
    size_t argument_count;
    const int32_t *partition_children;
    size_t partition_child_count;
    bool has_analysis;
    struct trib_view analysis; /* on the wire only where has_analysis */
    struct trib_view handler;
    struct trib_view return_type;
    struct trib_view name;
};

struct trib_spark_init {
    bool stop;                        /* partition -1 and nothing else: the worker is to exit at once */
    int32_t partition;
    struct trib_view python_version;
    struct trib_view task_context;    /* JSON */
    struct trib_view files_dir;
    const struct trib_view *includes;
    size_t include_count;
    bool broadcasts_encrypted;
    int32_t broadcast_port;           /* encrypted: of the server; -1: a Unix socket */
    struct trib_view broadcast_auth;  /* encrypted: the server's secret; with port -1 the socket's path */
    const struct trib_spark_broadcast *broadcasts;
    size_t broadcast_count;
    int32_t eval_type;
    const struct trib_spark_pair *runner_conf;
    size_t runner_conf_count;
    const struct trib_spark_pair *eval_conf;
    size_t eval_conf_count;
    struct trib_view command;         /* layout COMMAND */
    const struct trib_spark_udf *udfs; /* layout UDFS */
    size_t udf_count;
    struct trib_spark_table table;    /* layout TABLE */
};

/* Parses an init message of exactly `length` bytes in place, as a sub-stream of the reader. Waits until all of it is there, as
 * the reader does (TRIB_AGAIN and TRIB_ERR_TIMEOUT: nothing was consumed). TRIB_ERR_PROTOCOL: a field runs past the end, a count
 * or length is negative or larger than what is left could hold, text is not UTF-8, bytes are left over, or the eval type is
 * none; the text names the field. TRIB_ERR_SHORT: the stream ended before `length` bytes. No array is allocated before its count
 * was checked against the bytes that are left. TRIB_ERR_LIMIT: the lists announce more than 65,536 items in all. Free with trib_spark_init_free(). */
TRIB_API int trib_spark_init_parse(struct trib_reader *reader, size_t length, const struct trib_spark_init **ret_init,
                                   struct trib_error *err);

/* For those that trib_spark_init_parse() made; NULL is allowed. Any thread. */
TRIB_API void trib_spark_init_free(const struct trib_spark_init *init);

/* The message as a chunk, without marker and length: what parse parsed is what this writes. copy: many small strings make one
 * block.
 * TRIB_ERR_USAGE: an eval type that is none, a udf without a command. TRIB_ERR_LIMIT: more than INT32_MAX bytes or items.
 * TRIB_ERR_NOMEM. */
TRIB_API int trib_spark_init_chunk(const struct trib_spark_init *init, struct trib_chunk **ret_chunk, struct trib_error *err);

/* The value of a key of runner_conf, then of eval_conf; an empty view without data where neither has it. */
TRIB_API struct trib_view trib_spark_init_conf(const struct trib_spark_init *init, const char *key);

/* The first command, whatever the layout; empty where there is none. */
TRIB_API struct trib_view trib_spark_init_command(const struct trib_spark_init *init);

/* ---- Captured sessions ------------------------------------------------------------------------------------------
 * A capture is the bytes of one connection in one direction. To look into one: guess, make a reader with the capture as its
 * initial chunk, finish it, make a receiver with side and handshake, and take events until TRIB_EOF:
 *
 *   trib_chunk_map(path, &chunk, &err); trib_spark_guess(chunk, &side, &options.handshake, &err); struct trib_reader_options
 *   reader_options = TRIB_READER_OPTIONS_INIT; reader_options.initial = chunk; trib_reader_new(&reader_options, &reader, &err);
 *   trib_reader_finish(reader, &err); trib_receiver_new(&trib_dialect_spark_socket, reader, side, &options, &receiver, &err);
 *   while ((rc = trib_receiver_next(receiver, &event, &err)) == TRIB_OK)
 *       print(&event);                     // event.offset, event.length, trib_event_name(event.kind)
 *
 * TRIB_EOF while trib_receiver_state() is TRIB_SESSION_START: the capture ends before its session does.
 *
 * trib_spark_guess() tries: each direction with each handshake is parsed until one goes through to the end of a session that is that of the
 * capture; where none does, *ret_side and *ret_handshake are those that got farthest, of two the one that ran out of bytes and met no wrong
 * ones, so that a broken capture gives its error where it breaks. An engine's
 * capture without a secret has TRIB_HANDSHAKE_PID. TRIB_ERR_NOMEM. */
TRIB_API int trib_spark_guess(struct trib_chunk *capture, enum trib_side *ret_side, enum trib_handshake *ret_handshake,
                              struct trib_error *err);

TRIB_END_DECLS

#endif

/* What the cases share: the environment of one run, its checks, its channels and its threads. */
#ifndef TRIBUTARY_CONFORMANCE_SUITE_INTERNAL_H
#define TRIBUTARY_CONFORMANCE_SUITE_INTERNAL_H

#include "conformance/pattern.h"
#include "conformance/suite.h"

#include <tributary/reader.h>
#include <tributary/writer.h>

#include <pthread.h>
#include <stdatomic.h>

struct conform_env;
struct memory;

struct conform_case {
    const char *name;
    unsigned needs;                       /* TRIB_CAP_... that the channel must declare, or the case is skipped */
    bool (*run)(struct conform_env *env); /* false: it has failed or was skipped, and has said so */
};

/* The tables, one per file of cases. */
extern const struct conform_case conform_stream_cases[];
extern const struct conform_case conform_message_cases[];
extern const struct conform_case conform_end_cases[];
extern const struct conform_case conform_cancel_cases[];
extern const struct conform_case conform_wait_cases[];
extern const struct conform_case conform_event_cases[];
extern const struct conform_case conform_budget_cases[];
extern const struct conform_case conform_memory_cases[];
extern const struct conform_case conform_many_cases[];
extern const struct conform_case conform_data_cases[];
#define CONFORM_CASES_END { NULL, 0, NULL }

/* Two channels, and the four ends that cases work with: what is written to wa is read from rb, and back. */
struct conform_pair {
    struct trib_channel *a, *b; /* NULL once closed */
    struct trib_reader *ra, *rb;
    struct trib_writer *wa, *wb;
    struct conform_pair *next;
};

struct conform_task {
    struct conform_env *env;
    bool (*run)(struct conform_env *env, void *arg);
    void *arg;
    pthread_t thread;
    atomic_bool entered; /* the thread runs */
    bool ok;             /* what run returned; after join */
    bool joined;
    struct conform_task *next;
};

struct conform_env {
    const struct conform_target *target;
    unsigned capabilities; /* of the channels */
    pthread_mutex_t lock;  /* of everything below */
    pthread_cond_t changed;
    bool over;
    atomic_bool expired; /* the watchdog has cancelled all channels */
    struct conform_result *result;
    struct conform_pair *pairs;
    struct conform_task *tasks;
    struct memory *memory;
};

/* Ends threads and channels, frees the memory. */
void conform_env_done(struct conform_env *env);

/* ---- Checks: each returns false from the function around it when it does not hold ------------------------------ */

/* Notes the first failure of the case; returns false. Any thread. */
bool conform_fail(struct conform_env *env, const char *file, int line, const char *format, ...) TRIB_PRINTF(4, 5);

/* Ends the case as skipped, for want of what the text says; returns false. */
bool conform_skip(struct conform_env *env, const char *missing);

#define REQUIRE(env, condition, ...) \
    do { \
        if (!(condition)) \
            return conform_fail(env, __FILE__, __LINE__, __VA_ARGS__); \
    } while (0)

/* The call must return `code`; a variable `struct trib_error err` holds its error. */
#define REQUIRE_CODE(env, code, call) \
    do { \
        int conform_code_ = (call); \
        if (conform_code_ != (code)) \
            return conform_fail(env, __FILE__, __LINE__, "%s gave %s, not %s%s%s", #call, trib_code_name(conform_code_), \
                                trib_code_name(code), conform_code_ < 0 ? ": " : "", conform_code_ < 0 ? err.message : ""); \
    } while (0)

#define REQUIRE_OK(env, call) REQUIRE_CODE(env, TRIB_OK, call)

/* For functions that return false having said why. */
#define TRY(call) \
    do { \
        if (!(call)) \
            return false; \
    } while (0)

/* ---- Channels: closed at the end of the case where it did not do so -------------------------------------------- */

/* options may be NULL. */
bool conform_open(struct conform_env *env, const struct trib_channel_options *options, struct conform_pair **ret_pair);

/* Frees one channel of a pair now. No thread may be inside a call on it. */
void conform_close_a(struct conform_env *env, struct conform_pair *pair);
void conform_close_b(struct conform_env *env, struct conform_pair *pair);
void conform_close(struct conform_env *env, struct conform_pair *pair);

/* ---- Threads: joined at the end of the case where it did not do so, its channels cancelled before --------------- */

/* *arg must live until the join, also after a failure: it comes from conform_memory(). NULL: it could not be started, and has
 * failed. */
struct conform_task *conform_start(struct conform_env *env, bool (*run)(struct conform_env *env, void *arg), void *arg);

/* Waits for its end. False where starting (task NULL) or the task itself has failed. */
bool conform_join(struct conform_env *env, struct conform_task *task);

/* Memory that lasts until the end of the case, zeroed; the arguments of threads lie in it. */
void *conform_memory(struct conform_env *env, size_t size);

/* Lets others run for a moment; false when the case has run out of patience. */
bool conform_pause(struct conform_env *env);

/* Waits until the task has certainly come to the call in which it will block, probably longer. What follows must be right
 * either way. */
void conform_let_block(struct conform_task *task);

/* ---- Patterned bytes ------------------------------------------------------------------------------------------- */

/* The view is bytes [offset, ...) of stream `seed`, `len` of them. */
bool conform_check(struct conform_env *env, struct trib_view view, uint64_t seed, uint64_t offset, size_t len);

/* A chunk of patterned bytes. */
bool conform_chunk(struct conform_env *env, uint64_t seed, uint64_t offset, size_t len, struct trib_chunk **ret_chunk);

/* Writes [offset, offset + len) of stream `seed` as chunks of `piece` bytes, and flushes. */
bool conform_write(struct conform_env *env, struct trib_writer *writer, uint64_t seed, uint64_t offset, size_t len, size_t piece);

/* Takes [offset, offset + len) of stream `seed` in takes of `piece` bytes, the last one smaller. */
bool conform_read(struct conform_env *env, struct trib_reader *reader, uint64_t seed, uint64_t offset, size_t len, size_t piece);

/* The next call finds the end. */
bool conform_read_end(struct conform_env *env, struct trib_reader *reader);

/* A task: conform_write, then finish where `finish` is set. */
struct conform_source {
    struct trib_writer *writer;
    uint64_t seed;
    size_t len;
    size_t piece;
    bool finish;
};
struct conform_task *conform_start_source(struct conform_env *env, struct trib_writer *writer, uint64_t seed, size_t len,
                                          size_t piece, bool finish);

/* Options with a small budget and small buffers, so that little is in flight. */
struct trib_channel_options conform_small_options(size_t budget, size_t limit);

#endif

/* A worker in a thread of the test, a serializer that the test holds, and an engine that says what came back. */
#ifndef TRIBUTARY_TESTS_WORKER_H
#define TRIBUTARY_TESTS_WORKER_H

#include <tributary/engine.h>
#include <tributary/worker.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* ---- The worker --------------------------------------------------------------------------------------------------- */

struct test_worker {
    struct trib_worker *worker;
    struct trib_engine *engine; /* connected to it */
    const char *address;
    pthread_t thread;
    int rc;                     /* of trib_worker_run() */
    pthread_mutex_t lock;       /* of what follows: the last report, and how many there were */
    pthread_cond_t cond;
    struct trib_worker_report report;
    char message[300], serializer[32];
    unsigned reports;
    bool joined;
};

/* Listens at an abstract Unix socket, or at `uri` where that is not NULL. options may be NULL; report and arg of it are the fixture's. */
void test_worker_start(struct test_worker *worker, const struct trib_worker_options *options, const char *uri);
/* Shuts it down at once, unless it has ended; frees it. */
void test_worker_stop(struct test_worker *worker);
/* Waits until it has ended by itself. */
void test_worker_join(struct test_worker *worker);
/* Waits until so many sessions were reported. */
void test_worker_wait_reports(struct test_worker *worker, unsigned count);
/* All that was sent before on the engine's connection has been acted upon. */
void test_worker_barrier(struct test_worker *worker);
struct trib_worker_stats test_worker_stats(struct test_worker *worker);

/* ---- The serializer ----------------------------------------------------------------------------------------------- */

/* Echoes frames but these: "gate" waits until the gate is opened, "spin" does so without a rest, "fail" is a user error, "bad" a worker's;
 * "end" makes DATA_END fail; "big N" puts a frame of N bytes of the letter b. The payloads "gate", "fail" and "bad" do the same in open. */
extern const struct trib_serializer test_serializer;
/* The same, but reads frames while they come: counts their bytes and answers with the count; a first byte 'g' waits for the gate after its first byte. */
extern const struct trib_serializer test_streaming_serializer;

/* In options: no serializer, so that the payload names one. */
extern const struct trib_serializer test_by_name;

void gate_close(void);
void gate_open(void);
/* Waits until so many threads stand at the gate. */
void gate_wait(int count);
/* How many serializers are open. */
int test_serializers_open(void);

/* ---- The engine --------------------------------------------------------------------------------------------------- */

/* A new execution with a deadline of 20 s for all it does. */
struct trib_execution *execution_begin(struct trib_engine *engine);
void execution_init(struct trib_execution *execution, const char *payload);
void execution_data(struct trib_execution *execution, const char *text);
/* begin, init with this payload, and InitResponse without an error. */
struct trib_execution *execution_open(struct trib_engine *engine, const char *payload);
/* Reads to the end, or `count` replies (0: to the end), and writes what came: "INIT DATA ERROR:U FINISH:W CANCEL:P", then " lost" or " error" where
 * the stream did not end well. A static buffer. */
const char *execution_replies(struct trib_execution *execution, unsigned count);
/* The text of the last error in replies. */
const char *execution_error(void);
/* The last data in replies, as text. */
const char *execution_last_data(void);

#endif

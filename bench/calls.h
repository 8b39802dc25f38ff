/* gRPC through the library: what engine and worker have in common. */
#ifndef TRIBUTARY_BENCH_CALLS_H
#define TRIBUTARY_BENCH_CALLS_H

#include "bench.h"
#include "socket.h"

#include <tributary/chunk.h>
#include <tributary/grpc.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

/* A message is a payload in the envelope that Spark's protocol puts around data: a field in a field, a tag and a length each. */
#define BENCH_STREAM "/bench/Stream"
#define BENCH_UNARY "/bench/Unary"

struct calls;

struct calls *bench_calls_engine(const struct bench_work *work);
struct calls *bench_calls_worker(const struct bench_work *work);
void bench_calls_engine_close(struct calls *calls);
void bench_calls_worker_close(struct calls *calls);

struct calls {
    const struct bench_work *work;
    struct event_base *base;
    struct trib_grpc_client *client;
    struct trib_grpc_server *server;
    struct trib_channel *channel; /* of the one stream that messages go over; NULL at a worker: not yet */
    struct trib_reader *reader;
    struct trib_writer *writer;
    struct trib_chunk *payload;
    uint8_t envelope[16];
    size_t envelope_len;
    bool echoes;
    /* What is under way. */
    size_t count, sent, ended;
    struct trib_view held; /* worker, echo: a message that the writer did not take yet */
    bool holding;
    size_t left; /* of a message whose envelope has been taken */
};

/* What TRIB_NOWAIT may answer besides is not an error. */
bool bench_calls_done(int rc, const struct trib_error *err);
bool bench_calls_write(struct calls *calls, struct trib_view payload);
bool bench_calls_flush(struct calls *calls);
/* A whole message; its payload is one piece, borrowed until the next call. false: not all of it is there. */
bool bench_calls_read(struct calls *calls, struct trib_view *ret_payload);
void bench_calls_address(const struct bench_work *work, char *to, size_t room);

/* Engine. */
void bench_calls_send(void *self, size_t count);
void bench_calls_echo(void *self, size_t count);
void bench_calls_ping(void *self);
void bench_calls_call(void *self, size_t count);

/* Worker: takes, or echoes, as many. */
void bench_calls_receive(void *self, size_t count);
void bench_calls_echo_back(void *self, size_t count);
void bench_calls_pong(void *self, size_t count);
void bench_calls_answer(void *self, size_t count);

extern const struct bench_peer bench_grpc;

#endif

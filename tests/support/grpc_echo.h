/* A gRPC server in a thread of the test: it echoes messages, and does what metadata asks of it. */
#ifndef TRIBUTARY_TESTS_GRPC_ECHO_H
#define TRIBUTARY_TESTS_GRPC_ECHO_H

#include <tributary/grpc.h>

#include <pthread.h>

struct grpc_echo {
    pthread_t thread;
    struct event_base *base;
    struct trib_grpc_server *server;
    struct trib_channel_options options;
    const char *address; /* grpc+unix:@... */
    int stop[2];
    void *deaf[8];       /* calls that never end by themselves */
    int deaf_count;
    int freed;           /* calls that came to their end */
    bool threaded;
};

/* Paths: /test/Echo echoes message by message; /test/Status finishes with the status and text of metadata "status" and "text"; /test/Deaf never
 * reads; /test/Gone frees its channel at once. options may be NULL. The test fails where it cannot be started. */
void grpc_echo_start(struct grpc_echo *echo, const struct trib_channel_options *options);
/* The same, but nobody runs the base: that is left to the caller. */
void grpc_echo_open(struct grpc_echo *echo, const struct trib_channel_options *options);
/* Ends either. */
void grpc_echo_stop(struct grpc_echo *echo);

/* Runs fn(arg) on the thread of the base, and returns what it returns. */
int grpc_echo_run(struct grpc_echo *echo, int (*fn)(void *arg), void *arg);

#endif

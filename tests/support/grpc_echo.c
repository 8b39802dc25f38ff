/* Serves the calls of tests from an event_base in a thread of its own. */
#include "tests/support/grpc_echo.h"

#include <tributary/reader.h>
#include <tributary/writer.h>

#include <check.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct talk {
    struct grpc_echo *echo;
    struct trib_grpc_call *call;
    struct trib_view held;
    bool holding, ended;
};

static void talk_end(struct talk *talk)
{
    trib_view_release(&talk->held);
    trib_channel_free(trib_grpc_call_channel(talk->call));
    talk->echo->freed++;
    free(talk);
}

/* Hands on what is held; TRIB_AGAIN: still held. */
static int pass_on(struct talk *talk, struct trib_writer *writer)
{
    int rc = TRIB_OK;

    if (talk->holding) {
        rc = trib_writer_begin_message(writer, talk->held.len, NULL);
        if (rc == TRIB_OK && talk->held.len > 0)
            rc = trib_writer_view(writer, talk->held, NULL);
        if (rc != TRIB_OK)
            return rc;
        rc = trib_writer_end_message(writer, NULL);
        trib_view_release(&talk->held);
        talk->holding = false;
    }
    return rc;
}

static void step(struct talk *talk)
{
    struct trib_reader *reader = trib_channel_reader(trib_grpc_call_channel(talk->call));
    struct trib_writer *writer = trib_channel_writer(trib_grpc_call_channel(talk->call));
    struct trib_view view;
    int rc = pass_on(talk, writer);

    while (rc == TRIB_OK && !talk->ended) {
        rc = trib_reader_take_message(reader, (size_t)256 << 20, &view, NULL);
        if (rc == TRIB_OK) {
            talk->held = trib_view_retain(view);
            talk->holding = true;
            rc = pass_on(talk, writer);
        }
    }
    if (rc == TRIB_EOF)
        talk->ended = true;
    if (talk->ended)
        rc = trib_writer_finish(writer, 0, NULL, NULL);
    if (rc != TRIB_AGAIN)
        talk_end(talk);
}

static void on_readable(struct trib_reader *reader, void *arg)
{
    (void)reader;
    step(arg);
}

static void on_writable(struct trib_writer *writer, void *arg)
{
    (void)writer;
    step(arg);
}

static void on_echo(struct trib_grpc_call *call, void *arg)
{
    struct grpc_echo *echo = arg;
    struct talk *talk = calloc(1, sizeof(*talk));
    struct trib_channel *channel = trib_grpc_call_channel(call);
    struct trib_grpc_entry entry;

    talk->echo = echo;
    talk->call = call;
    for (size_t i = 0; trib_grpc_call_metadata(call, i, &entry); i++) {
        if (strcmp(entry.name, "echo") == 0 || strcmp(entry.name, "echo-bin") == 0)
            ck_assert_int_eq(trib_grpc_call_add_metadata(call, &entry, NULL), TRIB_OK);
        if (strcmp(entry.name, "trail-bin") == 0)
            ck_assert_int_eq(trib_grpc_call_add_trailer(call, &entry, NULL), TRIB_OK);
        if (strcmp(entry.name, "compress") == 0)
            ck_assert_int_eq(trib_grpc_call_compress(call, true, NULL), TRIB_OK);
    }
    ck_assert_int_eq(trib_reader_set_callback(trib_channel_reader(channel), echo->base, on_readable, talk, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_set_callback(trib_channel_writer(channel), echo->base, on_writable, talk, NULL), TRIB_OK);
}

static void on_status(struct trib_grpc_call *call, void *arg)
{
    struct trib_grpc_entry entry;
    const char *text = NULL;
    int status = 0;

    for (size_t i = 0; trib_grpc_call_metadata(call, i, &entry); i++) {
        if (strcmp(entry.name, "status") == 0)
            status = (int)strtol(entry.value, NULL, 10);
        if (strcmp(entry.name, "text-bin") == 0)
            text = entry.value;
    }
    trib_writer_finish(trib_channel_writer(trib_grpc_call_channel(call)), status, text, NULL);
    trib_channel_free(trib_grpc_call_channel(call));
    ((struct grpc_echo *)arg)->freed++;
}

/* Nobody reads, and nobody asks; it is let go with the server. */
static void on_deaf_call(struct trib_grpc_call *call, void *arg)
{
    struct grpc_echo *echo = arg;

    ck_assert_int_lt(echo->deaf_count, 8);
    echo->deaf[echo->deaf_count++] = trib_grpc_call_channel(call);
}

static void on_gone(struct trib_grpc_call *call, void *arg)
{
    trib_channel_free(trib_grpc_call_channel(call));
    ((struct grpc_echo *)arg)->freed++;
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    event_base_loopbreak(arg);
}

static void *run(void *arg)
{
    struct grpc_echo *echo = arg;
    struct event *stop = event_new(echo->base, echo->stop[0], EV_READ, on_stop, echo->base);

    event_add(stop, NULL);
    event_base_dispatch(echo->base);
    event_free(stop);
    return NULL;
}

void grpc_echo_open(struct grpc_echo *echo, const struct trib_channel_options *options)
{
    static int counter;
    struct trib_error err;
    char uri[64];

    evthread_use_pthreads();
    memset(echo, 0, sizeof(*echo));
    echo->base = event_base_new();
    ck_assert_int_eq(pipe(echo->stop), 0);
    ck_assert_int_eq(trib_grpc_server_new(echo->base, options, &echo->server, &err), TRIB_OK);
    trib_grpc_server_handle(echo->server, "/test/Echo", on_echo, echo, NULL);
    trib_grpc_server_handle(echo->server, "/test/Status", on_status, echo, NULL);
    trib_grpc_server_handle(echo->server, "/test/Deaf", on_deaf_call, echo, NULL);
    trib_grpc_server_handle(echo->server, "/test/Gone", on_gone, echo, NULL);
    snprintf(uri, sizeof(uri), "grpc+unix:@trib-echo-%ld-%d", (long)getpid(), counter++);
    ck_assert_msg(trib_grpc_server_listen(echo->server, uri, &echo->address, &err) == TRIB_OK, "%s", err.message);
}

void grpc_echo_start(struct grpc_echo *echo, const struct trib_channel_options *options)
{
    grpc_echo_open(echo, options);
    ck_assert_int_eq(pthread_create(&echo->thread, NULL, run, echo), 0);
    echo->threaded = true;
}

void grpc_echo_stop(struct grpc_echo *echo)
{
    if (echo->threaded) {
        ck_assert_int_eq(write(echo->stop[1], "x", 1), 1);
        pthread_join(echo->thread, NULL);
    }
    for (int i = 0; i < echo->deaf_count; i++)
        trib_channel_free(echo->deaf[i]);
    trib_grpc_server_free(echo->server);
    /* What the peers left open ends now that its connections have gone. */
    event_base_loop(echo->base, EVLOOP_NONBLOCK);
    event_base_loop(echo->base, EVLOOP_NONBLOCK);
    event_base_free(echo->base);
    close(echo->stop[0]);
    close(echo->stop[1]);
}

struct errand {
    int (*fn)(void *arg);
    void *arg;
    int rc;
    sem_t done;
};

static void on_errand(evutil_socket_t fd, short what, void *arg)
{
    struct errand *errand = arg;

    (void)fd, (void)what;
    errand->rc = errand->fn(errand->arg);
    sem_post(&errand->done);
}

int grpc_echo_run(struct grpc_echo *echo, int (*fn)(void *arg), void *arg)
{
    struct errand errand = { .fn = fn, .arg = arg };

    sem_init(&errand.done, 0, 0);
    ck_assert_int_eq(event_base_once(echo->base, -1, EV_TIMEOUT, on_errand, &errand, NULL), 0);
    while (sem_wait(&errand.done) != 0)
        ;
    sem_destroy(&errand.done);
    return errand.rc;
}

/* The worker of the library as a peer: a server on an event_base, one thread, callbacks; UDFs would run elsewhere. */
#include "bench/grpc/ours.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

struct session {
    struct ours_stream stream;
    struct trib_view held; /* what the writer did not take yet */
    bool holding, sink, parts, answered, ended;
    bool begun; /* parts: the message that is sent back; `held` is its last part, if nothing of it is left */
    uint64_t total;
};

static void session_free(struct session *session)
{
    if (session->holding)
        trib_view_release(&session->held);
    trib_channel_free(session->stream.channel);
    free(session);
}

/* What one side sends back when the other has finished: how many bytes came, and how many of them were copied. */
static int answer(struct session *session)
{
    uint64_t counts[2] = {session->total, ours_copied(&session->stream)};
    int rc;

    if (session->answered)
        return TRIB_OK;
    rc = ours_write(&session->stream, (struct trib_view){(const uint8_t *)counts, sizeof(counts), NULL});
    session->answered = rc == TRIB_OK;
    return rc;
}

/* Hands on what is held. */
static int pass_on(struct session *session)
{
    int rc = TRIB_OK;

    if (session->holding)
        rc = ours_write(&session->stream, session->held);
    if (rc == TRIB_OK && session->holding) {
        trib_view_release(&session->held);
        session->holding = false;
    }
    return rc;
}

/* A part of a message goes back as it comes. */
static int one_part(struct session *session)
{
    struct ours_stream *stream = &session->stream;
    size_t size;
    int rc;

    if (!session->begun) {
        rc = ours_read_size(stream, &size);
        if (rc == TRIB_OK)
            rc = ours_begin(stream, size);
        if (rc != TRIB_OK)
            return rc;
        session->begun = true;
    }
    if (!session->holding) {
        rc = ours_read_part(stream, &session->held);
        if (rc != TRIB_OK)
            return rc;
    }
    rc = ours_write_part(stream, session->held, stream->left == 0);
    if (rc != TRIB_OK) {
        if (!session->holding)
            session->held = trib_view_retain(session->held);
        session->holding = true;
        return rc;
    }
    if (session->holding)
        trib_view_release(&session->held);
    session->holding = false;
    session->begun = stream->left > 0;
    return TRIB_OK;
}

static int one_message(struct session *session)
{
    struct trib_view view;
    int rc = pass_on(session);

    if (rc == TRIB_OK)
        rc = ours_read(&session->stream, &view);
    if (rc != TRIB_OK)
        return rc;
    session->total += view.len;
    if (!session->sink && ours_write(&session->stream, view) != TRIB_OK) {
        session->held = trib_view_retain(view);
        session->holding = true;
    }
    return TRIB_OK;
}

static void run(struct session *session)
{
    struct trib_error err;
    int rc = TRIB_OK;

    while (!session->ended && rc == TRIB_OK)
        rc = session->parts ? one_part(session) : one_message(session);
    if (rc == TRIB_EOF)
        session->ended = true;
    if (session->ended && (!session->sink || answer(session) == TRIB_OK) &&
        ours_check(trib_writer_finish(session->stream.writer, 0, NULL, &err), &err) == TRIB_OK)
        session_free(session);
    else if (!session->ended && !session->sink)
        ours_check(trib_writer_flush(session->stream.writer, &err), &err);
}

static void on_readable(struct trib_reader *reader, void *arg)
{
    (void)reader;
    run(arg);
}

static void on_writable(struct trib_writer *writer, void *arg)
{
    (void)writer;
    run(arg);
}

static bool wants(const struct trib_grpc_call *call, const char *mode)
{
    struct trib_grpc_entry entry;

    for (size_t i = 0; trib_grpc_call_metadata(call, i, &entry); i++)
        if (strcmp(entry.name, OURS_MODE) == 0)
            return entry.len == strlen(mode) && memcmp(entry.value, mode, entry.len) == 0;
    return false;
}

static void on_call(struct trib_grpc_call *call, void *arg)
{
    struct session *session = calloc(1, sizeof(*session));
    struct trib_error err;

    if (session == NULL)
        bench_die("no memory");
    ours_open(&session->stream, call);
    session->sink = wants(call, "sink");
    session->parts = wants(call, "parts");
    trib_writer_cork(session->stream.writer, true);
    ours_check(trib_writer_set_callback(session->stream.writer, arg, on_writable, session, &err), &err);
    ours_check(trib_reader_set_callback(session->stream.reader, arg, on_readable, session, &err), &err);
}

void ours_serve(const char *path)
{
    struct event_base *base = event_base_new();
    struct trib_grpc_server *server;
    struct trib_error err;
    char uri[256];

    snprintf(uri, sizeof(uri), "grpc+unix:%s", path);
    ours_check(trib_grpc_server_new(base, NULL, &server, &err), &err);
    ours_check(trib_grpc_server_handle(server, OURS_PATH, on_call, base, &err), &err);
    ours_check(trib_grpc_server_listen(server, uri, NULL, &err), &err);
    peer_ready();
    event_base_dispatch(base);
}

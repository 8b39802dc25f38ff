/* Plays one direction of a captured session: there and back, or to a worker that answers it. */
#include "tools/play.h"

#include "tools/compare.h"
#include "tools/link.h"

#include <tributary/serializer.h>
#include <tributary/spark.h>
#include <tributary/writer.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* What both ends know. */
struct scene {
    const struct play *play;
    const struct capture *capture; /* what near sends */
    const struct compare *compare; /* what near expects */
    const char *secret;            /* what the worker's environment would tell it */
    enum trib_handshake handshake; /* of the worker that answers */
    uint64_t events;               /* that far wrote */
};

static void set_deadlines(const struct scene *scene, struct trib_channel *channel)
{
    int64_t deadline = trib_deadline_ms(scene->play->timeout_ms);

    trib_reader_set_deadline(trib_channel_reader(channel), deadline);
    trib_writer_set_deadline(trib_channel_writer(channel), deadline);
}

/* ---- Relaying: parsed by a receiver, written by a sender -------------------------------------------------------- */

/* Events of all sessions of a stream, until it ends. What is gathered is sent at the end of each session. */
static int relay_events(struct trib_receiver *receiver, struct trib_sender *sender, struct trib_writer *writer, uint64_t *events,
                        struct trib_error *err)
{
    struct trib_event event = TRIB_EVENT_INIT_EMPTY;
    bool inside = false;
    int rc = TRIB_OK;

    while (rc == TRIB_OK) {
        rc = trib_receiver_next(receiver, &event, err);
        if (rc == TRIB_OK) {
            rc = trib_sender_put(sender, &event, err);
            inside = true;
            (*events)++;
        } else if (rc == TRIB_EOF && inside) {
            rc = capture_end(receiver, err) == TRIB_EOF ? trib_writer_flush(writer, err) : TRIB_ERR_SHORT;
            inside = false;
            if (rc == TRIB_OK)
                rc = trib_receiver_next_session(receiver, err);
            if (rc == TRIB_OK)
                rc = trib_sender_next_session(sender, err);
        }
    }
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

static int relay(struct trib_reader *reader, struct trib_writer *writer, const struct capture *kind, uint64_t *events,
                 struct trib_error *err)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct trib_receiver *receiver = NULL;
    struct trib_sender *sender = NULL;
    int rc;

    options.handshake = kind->handshake;
    rc = trib_receiver_new(&trib_dialect_spark_socket, reader, kind->side, &options, &receiver, err);
    if (rc == TRIB_OK)
        rc = trib_sender_new(&trib_dialect_spark_socket, writer, kind->side, &options, &sender, err);
    if (rc == TRIB_OK)
        rc = relay_events(receiver, sender, writer, events, err);
    trib_sender_free(sender);
    trib_receiver_free(receiver);
    return rc;
}

/* ---- Near: sends on one thread, compares on another ------------------------------------------------------------ */

static int send_pieces(const struct scene *scene, struct trib_writer *writer, struct trib_error *err)
{
    struct trib_view all = trib_chunk_view(scene->capture->chunk);
    int rc = TRIB_OK;

    for (size_t at = 0; rc == TRIB_OK && at < all.len; at += scene->play->split) {
        rc = trib_writer_view(writer, trib_view_sub(all, at, scene->play->split), err);
        if (rc == TRIB_OK)
            rc = trib_writer_flush(writer, err);
    }
    return rc;
}

static int send_events(const struct scene *scene, struct trib_writer *writer, struct trib_error *err)
{
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;
    struct trib_reader *reader;
    uint64_t events = 0;
    int rc;

    options.initial = scene->capture->chunk;
    rc = trib_reader_new(&options, &reader, err);
    if (rc != TRIB_OK)
        return rc;
    trib_reader_finish(reader, NULL);
    rc = relay(reader, writer, scene->capture, &events, err);
    trib_reader_free(reader);
    return rc;
}

struct sending {
    const struct scene *scene;
    struct trib_channel *channel;
    struct link_fault *fault;
    bool half_close;
    bool failed; /* after join */
};

static void *send_main(void *arg)
{
    struct sending *sending = arg;
    struct trib_writer *writer = trib_channel_writer(sending->channel);
    struct trib_error err;
    bool pieces = sending->scene->play->split > 0;
    int rc = pieces ? send_pieces(sending->scene, writer, &err) : send_events(sending->scene, writer, &err);

    if (rc == TRIB_OK && sending->half_close)
        rc = trib_writer_finish(writer, 0, NULL, &err);
    if (rc != TRIB_OK) {
        link_fault_note(sending->fault, rc, &err);
        trib_channel_cancel(sending->channel);
        sending->failed = true;
    }
    return NULL;
}

static int near_run(struct trib_channel *channel, void *arg, struct link_fault *fault, struct trib_error *err)
{
    const struct scene *scene = arg;
    bool half_close = (trib_channel_capabilities(channel) & TRIB_CAP_HALF_CLOSE) != 0;
    struct sending sending = {scene, channel, fault, half_close, false};
    pthread_t thread;
    int rc;

    set_deadlines(scene, channel);
    rc = pthread_create(&thread, NULL, send_main, &sending);
    if (rc != 0)
        return trib_error_set(err, TRIB_ERR_IO, rc, "start a thread that sends %s", scene->capture->path);
    rc = compare_stream(scene->compare, trib_channel_reader(channel), half_close, err);
    if (rc != TRIB_OK) {
        link_fault_note(fault, rc, err);
        trib_channel_cancel(channel);
    }
    pthread_join(thread, NULL);
    if (rc == TRIB_OK && !half_close && !sending.failed)
        rc = trib_writer_finish(trib_channel_writer(channel), 0, NULL, err);
    return rc;
}

/* ---- There and back -------------------------------------------------------------------------------------------- */

static int back_run(struct trib_channel *channel, void *arg, struct link_fault *fault, struct trib_error *err)
{
    struct scene *scene = arg;
    int rc;

    (void)fault;
    set_deadlines(scene, channel);
    rc = relay(trib_channel_reader(channel), trib_channel_writer(channel), scene->capture, &scene->events, err);
    return rc == TRIB_OK ? trib_writer_finish(trib_channel_writer(channel), 0, NULL, err) : rc;
}

int play_back(const struct play *play, const struct capture *capture, uint64_t *ret_events, struct trib_error *err)
{
    struct compare compare;
    struct scene scene = {play, capture, &compare, NULL, capture->handshake, 0};
    struct link_end near_end = {near_run, &scene}, far_end = {back_run, &scene};
    int rc = compare_init(&compare, capture, false, err);

    if (rc == TRIB_OK) {
        rc = link_run(play->tool, play->uri, near_end, far_end, err);
        compare_done(&compare);
    }
    if (rc == TRIB_OK)
        *ret_events = scene.events;
    return rc;
}

/* ---- Answering -------------------------------------------------------------------------------------------------- */

/* Plays the worker, for one session after the other. Nothing of the recorded answer gets here. */
static int worker_run(struct trib_channel *channel, void *arg, struct link_fault *fault, struct trib_error *err)
{
    const struct scene *scene = arg;
    struct trib_serve_options options = TRIB_SERVE_OPTIONS_INIT;
    struct trib_serve_result result;
    int rc;

    (void)fault;
    options.messages.handshake = scene->handshake;
    options.secret = scene->secret;
    options.deadline = trib_deadline_ms(scene->play->timeout_ms);
    result.size = sizeof(result);
    do {
        rc = trib_session_serve(trib_channel_reader(channel), trib_channel_writer(channel), &options, &result, err);
        options.messages.handshake = TRIB_HANDSHAKE_NONE;
    } while (rc == TRIB_OK && result.reusable);
    if (rc == TRIB_OK || rc == TRIB_EOF)
        rc = trib_writer_finish(trib_channel_writer(channel), 0, NULL, err);
    return rc;
}

/* The first event of a kind; its views end with the walk. TRIB_EOF: there is none. */
static int find_event(struct capture_walk *walk, enum trib_event_kind kind, struct trib_event *ret_event, struct trib_error *err)
{
    int rc;

    do
        rc = capture_walk_next(walk, ret_event, err);
    while (rc == TRIB_OK && ret_event->kind != kind);
    return rc;
}

static const struct trib_serializer *serializer_of(struct trib_view command)
{
    char name[64];

    if (command.len < 3 || command.len - 2 >= sizeof(name) || memcmp(command.data, "c:", 2) != 0)
        return NULL;
    memcpy(name, command.data + 2, command.len - 2);
    name[command.len - 2] = '\0';
    return trib_serializer_find(name);
}

int play_answerable(const struct session *session, bool *ret_answerable, const char **ret_serializer, struct trib_error *err)
{
    struct trib_event event = TRIB_EVENT_INIT_EMPTY;
    const struct trib_serializer *serializer = NULL;
    struct capture_walk walk;
    int rc;

    *ret_answerable = false;
    if (session->engine.chunk == NULL || session->worker.chunk == NULL)
        return TRIB_OK;
    rc = capture_walk_init(&walk, &session->engine, err);
    if (rc != TRIB_OK)
        return rc;
    rc = find_event(&walk, TRIB_EVENT_INIT, &event, err);
    if (rc == TRIB_OK)
        serializer = serializer_of(trib_spark_init_command(event.spark_init));
    capture_walk_done(&walk);
    if (serializer != NULL) {
        *ret_answerable = true;
        *ret_serializer = serializer->name;
    }
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

/* Both sides of a TCP connection know one secret from elsewhere. It stands in the direction of whoever connects: the worker where
 * it was started directly. */
static int find_secret(const struct session *session, char *secret, size_t len, struct trib_error *err)
{
    bool direct = session->worker.handshake == TRIB_HANDSHAKE_TCP_DIRECT;
    struct trib_event event = TRIB_EVENT_INIT_EMPTY;
    struct capture_walk walk;
    int rc = capture_walk_init(&walk, direct ? &session->worker : &session->engine, err);

    if (rc != TRIB_OK)
        return rc;
    rc = find_event(&walk, TRIB_EVENT_AUTH, &event, err);
    if (rc == TRIB_OK && event.bytes.len < len) {
        memcpy(secret, event.bytes.data, event.bytes.len);
        secret[event.bytes.len] = '\0';
    }
    capture_walk_done(&walk);
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

int play_answer(const struct play *play, const struct session *session, struct compare_masked *ret_masked, struct trib_error *err)
{
    char secret[256] = "";
    struct compare compare;
    struct scene scene = {play, &session->engine, &compare, NULL, session->worker.handshake, 0};
    struct link_end near_end = {near_run, &scene}, far_end = {worker_run, &scene};
    int rc = TRIB_OK;

    if (session->worker.handshake == TRIB_HANDSHAKE_TCP_DIRECT || session->worker.handshake == TRIB_HANDSHAKE_TCP_DAEMON) {
        rc = find_secret(session, secret, sizeof(secret), err);
        scene.secret = secret;
    }
    if (rc == TRIB_OK)
        rc = compare_init(&compare, &session->worker, true, err);
    if (rc != TRIB_OK)
        return rc;
    rc = link_run(play->tool, play->uri, near_end, far_end, err);
    *ret_masked = compare.masked;
    compare_done(&compare);
    return rc;
}

int play_fail(const struct play *play, const char *what, const struct trib_error *err)
{
    bool opening = err->code == TRIB_ERR_IO || err->code == TRIB_ERR_USAGE || err->code == TRIB_ERR_UNSUPPORTED;
    bool broken = err->code == TRIB_ERR_SHORT || err->code == TRIB_ERR_PROTOCOL || err->code == TRIB_ERR_LIMIT;

    tool_flush();
    if (opening)
        return tool_fail(play->tool, err, tool_hint(err));
    tool_line(play->tool, "%s over %s: %s%s", what, play->uri, err->message,
              broken ? "; `tributary inspect` prints it up to where it breaks" : "");
    return TOOL_FAILED;
}

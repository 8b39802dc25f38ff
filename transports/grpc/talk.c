/* How the server's own services talk: requests are read, answers written, without a thread and without waiting. */
#include "transports/grpc/talk-internal.h"

#include <tributary/alloc.h>
#include <tributary/channel.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

enum { REQUEST_MAX = 65536 };

static struct trib_reader *reader_of(struct tribi_grpc_talk *talk)
{
    return trib_channel_reader(trib_grpc_call_channel(talk->call));
}

static struct trib_writer *writer_of(struct tribi_grpc_talk *talk)
{
    return trib_channel_writer(trib_grpc_call_channel(talk->call));
}

static void talk_free(struct tribi_grpc_talk *talk)
{
    *talk->link = talk->next;
    if (talk->next != NULL)
        talk->next->link = talk->link;
    trib_channel_free(trib_grpc_call_channel(talk->call));
    trib_free(talk->topic);
    trib_free(talk);
}

static int end(struct tribi_grpc_talk *talk, int status, const char *text)
{
    talk->ending = true;
    talk->status = status;
    talk->text = text;
    return TRIB_OK;
}

/* TRIB_AGAIN of the end of a message: it is gathered, and leaves as the peer takes it. */
static int say(struct tribi_grpc_talk *talk, struct tribi_proto_out *reply)
{
    struct trib_writer *writer = writer_of(talk);
    int rc = reply->failed ? TRIB_ERR_NOMEM : trib_writer_begin_message(writer, reply->len, NULL);

    if (rc == TRIB_OK && reply->len > 0)
        rc = trib_writer_bytes(writer, reply->data, reply->len, NULL);
    if (rc == TRIB_OK)
        rc = trib_writer_end_message(writer, NULL);
    return rc == TRIB_AGAIN ? TRIB_OK : rc;
}

static int answer(struct tribi_grpc_talk *talk, struct trib_view request)
{
    struct tribi_proto_out reply = { NULL, 0, 0, false };
    const char *text = NULL;
    int status = talk->answer(talk, (struct tribi_proto_span){ request.data, request.len }, &reply, &text), rc;

    talk->asked = true;
    rc = status == TRIB_GRPC_OK ? say(talk, &reply) : end(talk, status, text);
    tribi_proto_done(&reply);
    if (rc == TRIB_OK && talk->kind == TRIBI_GRPC_ONCE && !talk->ending)
        end(talk, TRIB_GRPC_OK, NULL);
    return rc;
}

static int listen_to(struct tribi_grpc_talk *talk)
{
    struct trib_view view;
    int rc = trib_reader_take_message(reader_of(talk), REQUEST_MAX, &view, NULL);

    if (rc == TRIB_EOF)
        return talk->asked ? end(talk, TRIB_GRPC_OK, NULL) : end(talk, TRIB_GRPC_INTERNAL, "the call ended without a request");
    if (rc == TRIB_ERR_LIMIT)
        return end(talk, TRIB_GRPC_RESOURCE_EXHAUSTED, "a request of this service has at most 65536 bytes");
    return rc == TRIB_OK ? answer(talk, view) : rc;
}

static int tell_news(struct tribi_grpc_talk *talk)
{
    struct tribi_proto_out reply = { NULL, 0, 0, false };
    int rc = talk->news(talk, &reply) ? say(talk, &reply) : TRIB_AGAIN;

    tribi_proto_done(&reply);
    return rc;
}

static int exchange(struct tribi_grpc_talk *talk)
{
    int rc = trib_writer_pending(writer_of(talk)) > 0 ? trib_writer_flush(writer_of(talk), NULL) : TRIB_OK;

    if (rc != TRIB_OK)
        return rc;
    rc = talk->kind == TRIBI_GRPC_HELD && talk->asked ? tell_news(talk) : listen_to(talk);
    if (rc == TRIB_AGAIN && talk->talks->closing && trib_writer_pending(writer_of(talk)) == 0)
        return end(talk, TRIB_GRPC_UNAVAILABLE, "the server is shutting down");
    return rc;
}

static void step(struct tribi_grpc_talk *talk)
{
    int rc = TRIB_OK;

    while (rc == TRIB_OK && !talk->ending)
        rc = exchange(talk);
    if (talk->ending)
        rc = trib_writer_finish(writer_of(talk), talk->status, talk->text, NULL);
    if (rc != TRIB_AGAIN)
        talk_free(talk);
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

static void on_ended(void *arg)
{
    talk_free(arg);
}

static int watch(struct tribi_grpc_talk *talk)
{
    struct event_base *base = talk->talks->base;
    int rc = trib_reader_set_callback(reader_of(talk), base, on_readable, talk, NULL);

    if (rc == TRIB_OK)
        rc = trib_writer_set_callback(writer_of(talk), base, on_writable, talk, NULL);
    if (rc == TRIB_OK && talk->kind == TRIBI_GRPC_HELD)
        rc = trib_grpc_call_watch(talk->call, base, on_ended, talk, NULL);
    return rc;
}

void tribi_grpc_talk_begin(struct tribi_grpc_talks *talks, struct trib_grpc_call *call, enum tribi_grpc_talk_kind kind,
                           tribi_grpc_answer_fn *answer_fn, tribi_grpc_news_fn *news)
{
    struct tribi_grpc_talk *talk = trib_alloc(sizeof(*talk));

    if (talk == NULL) {
        trib_channel_free(trib_grpc_call_channel(call));
        return;
    }
    talk->talks = talks;
    talk->call = call;
    talk->kind = kind;
    talk->answer = answer_fn;
    talk->news = news;
    talk->next = talks->first;
    talk->link = &talks->first;
    if (talk->next != NULL)
        talk->next->link = &talk->next;
    talks->first = talk;
    if (watch(talk) != TRIB_OK)
        talk_free(talk);
}

void tribi_grpc_talks_tell(struct tribi_grpc_talks *talks)
{
    struct tribi_grpc_talk *next;

    for (struct tribi_grpc_talk *talk = talks->first; talk != NULL; talk = next) {
        next = talk->next;
        step(talk);
    }
}

void tribi_grpc_talks_close(struct tribi_grpc_talks *talks)
{
    talks->closing = true;
    tribi_grpc_talks_tell(talks);
}

void tribi_grpc_talks_done(struct tribi_grpc_talks *talks)
{
    while (talks->first != NULL)
        talk_free(talks->first);
}

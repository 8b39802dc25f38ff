/* One end of a socket pair is the connection, the other takes the fuzzer's bytes and drops what is answered. */
#include "tests/fuzz/grpc_peer.h"

#include <tributary/alloc.h>
#include <tributary/channel.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transports/grpc/owner-internal.h"

enum { CALLS_MAX = 32, MESSAGE_MAX = 1 << 20 };

struct grpc_peer {
    int fd; /* the fuzzer's end */
    struct tribi_grpc_conn *conn;
    struct trib_grpc_call *calls[CALLS_MAX];
    size_t count;
};

static bool served(void *arg, const char *path)
{
    (void)arg;
    return path[0] == '/' && path[1] != '?';
}

static void set_up(struct grpc_peer *peer, struct trib_grpc_call *call)
{
    struct trib_channel *channel = trib_grpc_call_channel(call);

    trib_reader_set_deadline(trib_channel_reader(channel), TRIB_NOWAIT);
    trib_writer_set_deadline(trib_channel_writer(channel), TRIB_NOWAIT);
    if (peer->count == CALLS_MAX)
        trib_channel_free(channel);
    else
        peer->calls[peer->count++] = call;
}

static void begin_call(struct grpc_peer *peer)
{
    struct trib_grpc_call *call = NULL;
    struct trib_channel *channel;

    pthread_mutex_lock(&peer->conn->lock);
    if (tribi_grpc_stream_new(peer->conn, &call, NULL) != TRIB_OK ||
        (call->path = tribi_grpc_metadata_keep(&call->response, "/fuzz/Call", 10)) == NULL ||
        tribi_grpc_submit_request(call, "localhost", NULL) != TRIB_OK ||
        tribi_grpc_stream_channel(call, &channel, NULL) != TRIB_OK)
        abort();
    tribi_grpc_flush(peer->conn);
    pthread_mutex_unlock(&peer->conn->lock);
    set_up(peer, call);
}

struct grpc_peer *grpc_peer_new(bool server)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct grpc_peer *peer = calloc(1, sizeof(*peer));
    int pair[2];

    options.budget = 65536;
    options.limit = MESSAGE_MAX;
    if (peer == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
        tribi_grpc_conn_new(pair[0], server, &tribi_grpc_unix_ops, &options, &peer->conn, NULL) != TRIB_OK)
        abort();
    peer->fd = pair[1];
    if (!server)
        begin_call(peer);
    return peer;
}

/* Answers as far as it goes; false: the call has ended. */
static bool echo(struct trib_grpc_call *call)
{
    struct trib_reader *reader = trib_channel_reader(trib_grpc_call_channel(call));
    struct trib_writer *writer = trib_channel_writer(trib_grpc_call_channel(call));
    struct trib_grpc_entry entry;
    struct trib_view view;
    const char *text;
    int rc = TRIB_OK, status;

    while (rc == TRIB_OK) {
        rc = trib_reader_take_message(reader, MESSAGE_MAX, &view, NULL);
        if (rc == TRIB_OK)
            rc = trib_writer_view(writer, view, NULL);
        if (rc == TRIB_OK)
            rc = trib_writer_flush(writer, NULL);
    }
    if (rc == TRIB_AGAIN)
        return true;
    for (size_t i = 0; trib_grpc_call_metadata(call, i, &entry); i++)
        trib_grpc_call_add_trailer(call, &entry, NULL);
    for (size_t i = 0; trib_grpc_call_trailer(call, i, &entry); i++)
        if (entry.name == NULL || (entry.value == NULL && entry.len > 0))
            abort();
    if (rc == TRIB_ERR_FAILED && (trib_grpc_call_status(call, &status, &text) != TRIB_OK || text == NULL))
        abort();
    trib_writer_finish(writer, 0, NULL, NULL);
    return false;
}

static void work(struct grpc_peer *peer)
{
    struct trib_channel *channel;
    struct trib_grpc_call *call;
    int rc;

    do {
        pthread_mutex_lock(&peer->conn->lock);
        tribi_grpc_pump(peer->conn);
        rc = tribi_grpc_take_incoming(peer->conn, served, NULL, &channel, &call, NULL);
        tribi_grpc_flush(peer->conn);
        pthread_mutex_unlock(&peer->conn->lock);
        if (rc == TRIB_OK)
            set_up(peer, call);
    } while (rc == TRIB_OK);
    for (size_t i = 0; i < peer->count;)
        if (echo(peer->calls[i])) {
            i++;
        } else {
            trib_channel_free(trib_grpc_call_channel(peer->calls[i]));
            peer->calls[i] = peer->calls[--peer->count];
        }
}

static void drop_answers(struct grpc_peer *peer)
{
    static uint8_t dump[65536];

    while (recv(peer->fd, dump, sizeof(dump), MSG_DONTWAIT) > 0)
        ;
}

void grpc_peer_feed(struct grpc_peer *peer, const uint8_t *data, size_t len, size_t piece)
{
    for (size_t at = 0; at < len;) {
        size_t left = len - at < piece ? len - at : piece;
        ssize_t n = send(peer->fd, data + at, left, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n <= 0) /* it has hung up, or reads no more */
            return;
        at += (size_t)n;
        work(peer);
        drop_answers(peer);
    }
}

void grpc_peer_free(struct grpc_peer *peer)
{
    shutdown(peer->fd, SHUT_WR);
    work(peer);
    drop_answers(peer);
    while (peer->count > 0)
        trib_channel_free(trib_grpc_call_channel(peer->calls[--peer->count]));
    pthread_mutex_lock(&peer->conn->lock);
    tribi_grpc_conn_unref_unlock(peer->conn);
    close(peer->fd);
    free(peer);
}

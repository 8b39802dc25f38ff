/* Connections: how they begin, fail, say goodbye and end. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transports/grpc/owner-internal.h"

int tribi_grpc_conn_new(int fd, bool server, const struct trib_channel_ops *ops, const struct trib_channel_options *options,
                        struct tribi_grpc_conn **ret_conn, struct trib_error *err)
{
    struct tribi_grpc_conn *conn = trib_alloc(sizeof(*conn));
    int rc;

    if (conn == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "make a gRPC connection: no memory");
    rc = trib_channel_options_fill(options, &conn->options, err);
    conn->server = server;
    conn->wake = conn->bell = (struct tribi_wake)TRIBI_WAKE_NONE;
    conn->poke = tribi_grpc_poke_new(&conn->wake, &conn->bell);
    if (rc == TRIB_OK && conn->poke == NULL)
        rc = trib_error_set(err, TRIB_ERR_NOMEM, 0, "make a gRPC connection: no memory");
    if (rc == TRIB_OK)
        rc = tribi_grpc_session_new(conn, err);
    if (rc != TRIB_OK) {
        tribi_grpc_poke_end(conn->poke);
        nghttp2_session_del(conn->session);
        trib_free(conn);
        return rc;
    }
    pthread_mutex_init(&conn->lock, NULL);
    conn->refs = 1;
    conn->fd = fd;
    conn->ops = ops;
    conn->ahead = 65536;
    conn->incoming_last = &conn->incoming_first;
    conn->due_last = &conn->due_first;
    conn->clock = (struct tribi_grpc_clock){ .inside = true };
    tribi_grpc_configure(conn, NULL);
    *ret_conn = conn;
    return TRIB_OK;
}

void tribi_grpc_conn_ref(struct tribi_grpc_conn *conn)
{
    conn->refs++;
}

void tribi_grpc_conn_fail(struct tribi_grpc_conn *conn, int code, int sys_errno, const char *why)
{
    if (conn->lost)
        return;
    conn->lost = true;
    trib_error_set(&conn->loss, code, sys_errno, "gRPC connection: %s", why);
    for (struct trib_grpc_call *stream = conn->streams; stream != NULL; stream = stream->next) {
        tribi_grpc_stream_lost(stream, code == TRIB_ERR_PROTOCOL ? code : TRIB_ERR_CLOSED, TRIB_GRPC_UNAVAILABLE, "%s", conn->loss.message);
        tribi_grpc_notify(stream, TRIB_READABLE);
        tribi_grpc_notify(stream, TRIB_WRITABLE);
    }
    if (code != TRIB_ERR_CLOSED && !conn->finished)
        shutdown(conn->fd, SHUT_RDWR);
    if (conn->owner != NULL)
        tribi_grpc_owner_ring(conn->owner);
    tribi_grpc_ring(conn);
}

bool tribi_grpc_noted(struct tribi_grpc_conn *conn, int submitted)
{
    if (submitted == NGHTTP2_ERR_NOMEM)
        tribi_grpc_conn_fail(conn, TRIB_ERR_NOMEM, 0, "no memory");
    return submitted == 0;
}

/* ---- What the peer did ------------------------------------------------------------------------------------------- */

/* Whether what came first is no HTTP/2 with prior knowledge. */
static bool is_foreign(const struct tribi_grpc_conn *conn)
{
    if (conn->server)
        return memcmp(conn->first, NGHTTP2_CLIENT_MAGIC, conn->first_len) != 0;
    return conn->first_len > 0 && !conn->got_settings;
}

/* As C writes it; room for four characters a byte, and the end. */
static void quote(const uint8_t *data, size_t len, char *to, size_t room)
{
    *to = '\0';
    for (size_t i = 0, n = 0; i < len; i++) {
        const char *format = data[i] < ' ' || data[i] > '~' ? "\\x%02x" : data[i] == '"' || data[i] == '\\' ? "\\%c" : "%c";

        if (data[i] == '\r' || data[i] == '\n')
            n += (size_t)snprintf(to + n, room - n, "\\%c", data[i] == '\r' ? 'r' : 'n');
        else
            n += (size_t)snprintf(to + n, room - n, format, data[i]);
    }
}

void tribi_grpc_conn_broken(struct tribi_grpc_conn *conn, const char *why)
{
    char text[200], first[4 * sizeof(conn->first) + 1];

    quote(conn->first, conn->first_len, first, sizeof(first));
    if (is_foreign(conn))
        snprintf(text, sizeof(text), "the peer does not speak HTTP/2: what it sent begins with \"%s\"", first);
    else
        snprintf(text, sizeof(text), "the peer broke HTTP/2: %s", why);
    tribi_grpc_conn_fail(conn, TRIB_ERR_PROTOCOL, 0, text);
}

void tribi_grpc_conn_ended(struct tribi_grpc_conn *conn, int sys_errno)
{
    if (is_foreign(conn) || (conn->first_len > 0 && conn->scan.preface > 0))
        tribi_grpc_conn_broken(conn, "it closed the connection inside the preface");
    else
        tribi_grpc_conn_fail(conn, TRIB_ERR_CLOSED, sys_errno, "the peer closed the connection");
}

bool tribi_grpc_conn_peer(const struct tribi_grpc_conn *conn, struct trib_peer *ret_peer)
{
#ifdef SO_PEERCRED
    struct ucred who;
    socklen_t len = sizeof(who);

    if (getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0) {
        ret_peer->pid = who.pid > 0 ? who.pid : -1;
        ret_peer->uid = who.uid == (uid_t)-1 ? -1 : (int64_t)who.uid;
        ret_peer->gid = who.gid == (gid_t)-1 ? -1 : (int64_t)who.gid;
        return true;
    }
#endif
    return false;
}

/* ---- How it ends ------------------------------------------------------------------------------------------------- */

void tribi_grpc_conn_goaway(struct tribi_grpc_conn *conn, uint32_t code)
{
    if (conn->going_away || conn->lost)
        return;
    conn->going_away = true;
    nghttp2_submit_goaway(tribi_grpc_stirred(conn), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(conn->session), code, NULL, 0);
}

/* A session that has nothing to say and wants to hear nothing has ended: by a protocol error, or after the last stream. */
void tribi_grpc_settle(struct tribi_grpc_conn *conn)
{
    char why[120];

    if (conn->lost || !conn->quiet || conn->out.bytes > 0 || nghttp2_session_want_read(conn->session) || nghttp2_session_want_write(conn->session))
        return;
    conn->finished = true;
    if (conn->hostile || conn->stream_count > 0)
        shutdown(conn->fd, SHUT_RDWR);
    snprintf(why, sizeof(why), "%s%s%s", nghttp2_http2_strerror(conn->broken), conn->broken_why[0] != '\0' ? ", " : "", conn->broken_why);
    if (conn->hostile)
        tribi_grpc_conn_fail(conn, TRIB_ERR_PROTOCOL, 0, "the peer asks for too much");
    else if (conn->broken != NGHTTP2_NO_ERROR)
        tribi_grpc_conn_broken(conn, why);
    else
        tribi_grpc_conn_fail(conn, TRIB_ERR_CLOSED, 0, "HTTP/2 has ended");
}

/* What the peer sent is read to its end: a socket that is closed with bytes unread takes back what we had sent. */
static void drain(int fd)
{
    uint8_t dump[4096];

    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 64 && recv(fd, dump, sizeof(dump), MSG_DONTWAIT) > 0; i++)
        ;
}

static void conn_free(struct tribi_grpc_conn *conn)
{
    if (!conn->lost && !conn->out_broken) {
        conn->writable_added = false; /* the socket may have room by now, and nobody comes to tell */
        tribi_grpc_conn_goaway(conn, NGHTTP2_NO_ERROR);
        tribi_grpc_flush(conn);
    }
    conn->lost = true;
    tribi_grpc_unbind(conn);
    while (conn->streams != NULL)
        tribi_grpc_stream_free(conn->streams);
    nghttp2_session_del(conn->session);
    tribi_grpc_pieces_done(&conn->out);
    trib_chunk_unref(conn->small);
    trib_chunk_unref(conn->scratch);
    drain(conn->fd);
    close(conn->fd);
    tribi_grpc_poke_end(conn->poke);
    tribi_wake_done(&conn->wake);
    tribi_wake_done(&conn->bell);
    pthread_mutex_unlock(&conn->lock);
    pthread_mutex_destroy(&conn->lock);
    trib_free(conn);
}

void tribi_grpc_conn_unref_unlock(struct tribi_grpc_conn *conn)
{
    if (--conn->refs == 0)
        conn_free(conn);
    else
        pthread_mutex_unlock(&conn->lock);
}

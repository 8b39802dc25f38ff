/* The connections of a listener or a server: a list, and the streams that arrive on them. */
#include "transports/grpc/owner-internal.h"

#include <stdio.h>

void tribi_grpc_owner_ring(struct tribi_grpc_owner *owner)
{
    tribi_wake_set(&owner->wake);
}

void tribi_grpc_owner_serve(struct tribi_grpc_owner *owner, struct tribi_grpc_conn *conn)
{
    if (owner->serve != NULL)
        owner->serve(owner, conn);
}

void tribi_grpc_owner_add(struct tribi_grpc_owner *owner, struct tribi_grpc_conn *conn)
{
    pthread_mutex_lock(&owner->lock);
    conn->owner = owner;
    conn->next = owner->conns;
    conn->link = &owner->conns;
    if (conn->next != NULL)
        conn->next->link = &conn->next;
    owner->conns = conn;
    pthread_mutex_unlock(&owner->lock);
}

static void let_go(struct tribi_grpc_conn *conn)
{
    *conn->link = conn->next;
    if (conn->next != NULL)
        conn->next->link = conn->link;
    pthread_mutex_lock(&conn->lock);
    conn->owner = NULL;
    if (conn->base_owned) {
        conn->base_owned = false;
        if (conn->armed == 0)
            tribi_grpc_unbind(conn);
    }
    while (conn->incoming_first != NULL) { /* nobody will accept them */
        struct trib_grpc_call *stream = conn->incoming_first;

        tribi_grpc_stream_reset(stream, NGHTTP2_REFUSED_STREAM);
        conn->incoming_first = stream->incoming_next;
        stream->incoming = false;
        stream->ignores = true;
        if (stream->closed)
            tribi_grpc_stream_free(stream);
    }
    conn->incoming_last = &conn->incoming_first;
    tribi_grpc_conn_goaway(conn, NGHTTP2_NO_ERROR);
    tribi_grpc_flush(conn);
    tribi_grpc_hand_over(conn);
    tribi_grpc_conn_unref_unlock(conn);
}

void tribi_grpc_owner_remove(struct tribi_grpc_owner *owner, struct tribi_grpc_conn *conn)
{
    pthread_mutex_lock(&owner->lock);
    let_go(conn);
    pthread_mutex_unlock(&owner->lock);
}

void tribi_grpc_owner_done(struct tribi_grpc_owner *owner)
{
    pthread_mutex_lock(&owner->lock);
    while (owner->conns != NULL)
        let_go(owner->conns);
    pthread_mutex_unlock(&owner->lock);
}

static void answer_unimplemented(struct trib_grpc_call *stream)
{
    char text[160];

    snprintf(text, sizeof(text), "unknown method %.120s", stream->path);
    stream->ignores = true;
    tribi_grpc_stream_end(stream, TRIB_GRPC_UNIMPLEMENTED, text);
    tribi_grpc_flush(stream->conn);
}

int tribi_grpc_take_incoming(struct tribi_grpc_conn *conn, tribi_grpc_served_fn *served, void *arg, struct trib_channel **ret_channel,
                             struct trib_grpc_call **ret_call, struct trib_error *err)
{
    while (conn->incoming_first != NULL) {
        struct trib_grpc_call *stream = conn->incoming_first;
        bool wanted = served(arg, stream->path), left = stream->closed && !stream->remote_end;
        int rc;

        if (wanted && !left) {
            rc = tribi_grpc_stream_channel(stream, ret_channel, err);
            if (rc != TRIB_OK)
                return rc; /* it stays where it is */
        }
        conn->incoming_first = stream->incoming_next;
        if (conn->incoming_first == NULL)
            conn->incoming_last = &conn->incoming_first;
        stream->incoming = false;
        if (wanted && !left) {
            *ret_call = stream;
            return TRIB_OK;
        }
        if (stream->closed)
            tribi_grpc_stream_free(stream); /* it has left again */
        else
            answer_unimplemented(stream);
    }
    return TRIB_AGAIN;
}

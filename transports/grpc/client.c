/* The client: a connection, and calls on it. */
#include "transports/grpc/client-internal.h"

#include <tributary/alloc.h>
#include <tributary/uri.h>

#include <string.h>
#include <unistd.h>

struct trib_grpc_client {
    struct tribi_grpc_conn *conn; /* one reference */
    char *authority;
};

int tribi_grpc_client_new(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_grpc_client **ret_client,
                          struct trib_error *err)
{
    const char *authority = trib_uri_parameter(uri, "authority");
    bool local = strcmp(trib_uri_scheme(uri), "grpc+unix") == 0;
    struct trib_grpc_client *client = trib_alloc(sizeof(*client));
    int fd = -1, rc;

    if (client != NULL)
        client->authority = trib_strdup(authority != NULL ? authority : "localhost");
    if (client == NULL || client->authority == NULL)
        rc = trib_error_set(err, TRIB_ERR_NOMEM, 0, "connect to %s: no memory", trib_uri_text(uri));
    else
        rc = tribi_grpc_connect_to(uri, options, &fd, err);
    if (rc == TRIB_OK)
        rc = tribi_grpc_conn_new(fd, false, local ? &tribi_grpc_unix_ops : &tribi_grpc_tcp_ops, options, &client->conn, err);
    if (rc != TRIB_OK) {
        if (fd >= 0)
            close(fd);
        if (client != NULL)
            trib_free(client->authority);
        trib_free(client);
        return rc;
    }
    *ret_client = client;
    return TRIB_OK;
}

int trib_grpc_connect(const char *text, const struct trib_channel_options *options, struct trib_grpc_client **ret_client,
                      struct trib_error *err)
{
    struct trib_channel_options whole;
    struct trib_uri *uri;
    int rc = trib_channel_options_fill(options, &whole, err);

    if (rc == TRIB_OK)
        rc = trib_uri_parse(text, &uri, err);
    if (rc != TRIB_OK)
        return rc;
    if (strcmp(trib_uri_scheme(uri), "grpc+unix") != 0 && strcmp(trib_uri_scheme(uri), "grpc+tcp") != 0)
        rc = trib_error_set(err, TRIB_ERR_USAGE, 0, "connect to %s: the scheme is neither grpc+unix nor grpc+tcp", text);
    else
        rc = tribi_grpc_client_new(uri, &whole, ret_client, err);
    trib_uri_free(uri);
    return rc;
}

void trib_grpc_client_configure(struct trib_grpc_client *client, const struct trib_grpc_settings *settings)
{
    pthread_mutex_lock(&client->conn->lock);
    tribi_grpc_configure(client->conn, settings);
    pthread_mutex_unlock(&client->conn->lock);
}

void trib_grpc_client_free(struct trib_grpc_client *client)
{
    if (client == NULL)
        return;
    pthread_mutex_lock(&client->conn->lock);
    tribi_grpc_conn_unref_unlock(client->conn);
    trib_free(client->authority);
    trib_free(client);
}

static int set_up(struct trib_grpc_call *stream, const char *path, const struct trib_grpc_call_options *options, struct trib_error *err)
{
    stream->path = tribi_grpc_metadata_keep(&stream->response, path, strlen(path));
    stream->deadline = options->deadline;
    stream->wants_gzip = stream->compressing = options->compress;
    for (size_t i = 0; i < options->metadata_count; i++) {
        const struct trib_grpc_entry *entry = &options->metadata[i];

        if (!tribi_grpc_metadata_allowed(entry))
            return trib_error_set(err, TRIB_ERR_USAGE, 0, "call gRPC %s: metadata \"%s\" has a name of gRPC's own, or what cannot be sent", path,
                                  entry->name != NULL ? entry->name : "");
        if (tribi_grpc_metadata_add(&stream->response, entry->name, strlen(entry->name), entry->value, entry->len) != TRIB_OK)
            return trib_error_set(err, TRIB_ERR_NOMEM, 0, "call gRPC %s: no memory", path);
    }
    return stream->path != NULL ? TRIB_OK : trib_error_set(err, TRIB_ERR_NOMEM, 0, "call gRPC %s: no memory", path);
}

static int begin(struct trib_grpc_client *client, const char *path, const struct trib_grpc_call_options *options,
                 struct trib_grpc_call **ret_call, struct trib_error *err)
{
    struct tribi_grpc_conn *conn = client->conn;
    struct trib_grpc_call *stream;
    struct trib_channel *channel;
    int rc;

    if (conn->lost || conn->out_broken || conn->peer_going_away)
        return trib_error_set(err, TRIB_ERR_CLOSED, 0, "call gRPC %s: %s", path,
                              conn->lost ? conn->loss.message : "the server takes no new calls");
    rc = tribi_grpc_stream_new(conn, &stream, err);
    if (rc != TRIB_OK)
        return rc;
    rc = set_up(stream, path, options, err);
    if (rc == TRIB_OK)
        rc = tribi_grpc_submit_request(stream, client->authority, err);
    if (rc == TRIB_OK)
        rc = tribi_grpc_stream_channel(stream, &channel, err);
    if (rc != TRIB_OK) {
        tribi_grpc_stream_reset(stream, NGHTTP2_CANCEL);
        if (stream->id == 0)
            tribi_grpc_stream_free(stream);
        else
            stream->orphan = true;
        return rc;
    }
    *ret_call = stream;
    if (!tribi_grpc_gathers(conn)) /* else what is sent on it meanwhile goes along */
        tribi_grpc_flush(conn);
    return TRIB_OK;
}

int trib_grpc_call(struct trib_grpc_client *client, const char *path, const struct trib_grpc_call_options *options,
                   struct trib_grpc_call **ret_call, struct trib_error *err)
{
    struct trib_grpc_call_options whole = TRIB_GRPC_CALL_OPTIONS_INIT;
    int rc;

    if (path == NULL || path[0] != '/')
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "call gRPC: a path begins with /, as /pkg.Service/Method");
    if (options != NULL)
        memcpy(&whole, options, options->size < sizeof(whole) ? options->size : sizeof(whole));
    pthread_mutex_lock(&client->conn->lock);
    rc = begin(client, path, &whole, ret_call, err);
    pthread_mutex_unlock(&client->conn->lock);
    return rc;
}

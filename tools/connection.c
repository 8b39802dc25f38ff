/* One connection of `tributary serve`, from its first byte to its last. */
#include "tools/server.h"

#include <inttypes.h>
#include <stdio.h>

const char *server_peer_name(const struct trib_peer *peer, char *buf, size_t len)
{
    if (peer->pid >= 0)
        snprintf(buf, len, "peer %" PRId64 " of user %" PRId64, peer->pid, peer->uid);
    else
        snprintf(buf, len, "a peer");
    return buf;
}

static const char *peer_name(struct trib_channel *channel, char *buf, size_t len)
{
    struct trib_peer peer;

    peer.size = sizeof(peer);
    if (trib_channel_peer(channel, &peer, NULL) != TRIB_OK)
        peer.pid = -1;
    return server_peer_name(&peer, buf, len);
}

static int serve_raw(const struct server_options *options, struct trib_channel *channel, uint64_t *ret_bytes,
                     struct trib_error *err)
{
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_writer *writer = trib_channel_writer(channel);

    trib_reader_set_deadline(reader, trib_deadline_ms(options->timeout_ms));
    trib_writer_set_deadline(writer, trib_deadline_ms(options->timeout_ms));
    return options->raw(reader, writer, ret_bytes, err);
}

/* Sessions one after the other, as long as the engine uses the worker again. */
static int serve_sessions(const struct server_options *options, struct trib_channel *channel, uint64_t *ret_bytes,
                          struct trib_error *err)
{
    struct trib_serve_options serve = TRIB_SERVE_OPTIONS_INIT;
    struct trib_serve_result result;
    int rc;

    serve.serializer = options->serializer;
    serve.messages.handshake = options->handshake;
    *ret_bytes = 0;
    do {
        result.size = sizeof(result);
        serve.deadline = trib_deadline_ms(options->timeout_ms);
        rc = trib_session_serve(trib_channel_reader(channel), trib_channel_writer(channel), &serve, &result, err);
        serve.messages.handshake = TRIB_HANDSHAKE_NONE;
        *ret_bytes += result.bytes;
    } while (rc == TRIB_OK && result.reusable);
    if (rc == TRIB_OK || rc == TRIB_EOF)
        rc = trib_writer_finish(trib_channel_writer(channel), 0, NULL, err);
    return rc;
}

int server_connection(const struct server_options *options, struct trib_channel *channel)
{
    char peer[SERVER_PEER_MAX];
    struct trib_error err;
    uint64_t bytes = 0;
    int64_t started = trib_now();
    int rc = options->raw != NULL ? serve_raw(options, channel, &bytes, &err) : serve_sessions(options, channel, &bytes, &err);

    if (rc != TRIB_OK)
        tool_line(options->tool, "%s: %s: %s", options->uri, peer_name(channel, peer, sizeof(peer)), err.message);
    else if (options->verbose)
        tool_line(options->tool, "%s: %s: served, %s in %s", options->uri, peer_name(channel, peer, sizeof(peer)),
                  tool_word_size(bytes).text, tool_word_time(trib_now() - started).text);
    return rc == TRIB_OK ? TOOL_OK : TOOL_FAILED;
}

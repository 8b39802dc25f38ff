/* What the user may ask of a call besides its channel. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <string.h>

struct trib_channel *trib_grpc_call_channel(struct trib_grpc_call *call)
{
    return call->channel;
}

const char *trib_grpc_call_path(const struct trib_grpc_call *call)
{
    return call->path;
}

int64_t trib_grpc_call_deadline(const struct trib_grpc_call *call)
{
    return call->deadline;
}

static bool entry_at(const struct trib_grpc_call *call, const struct tribi_grpc_metadata *metadata, size_t index, struct trib_grpc_entry *ret_entry)
{
    bool complete = call->conn->server && metadata == &call->received, there; /* before anybody sees the call */

    if (!complete)
        pthread_mutex_lock(&call->conn->lock);
    there = index < metadata->count;
    if (there)
        *ret_entry = metadata->entries[index];
    if (!complete)
        pthread_mutex_unlock(&call->conn->lock);
    return there;
}

bool trib_grpc_call_metadata(const struct trib_grpc_call *call, size_t index, struct trib_grpc_entry *ret_entry)
{
    return entry_at(call, &call->received, index, ret_entry);
}

bool trib_grpc_call_trailer(const struct trib_grpc_call *call, size_t index, struct trib_grpc_entry *ret_entry)
{
    return entry_at(call, &call->trailers, index, ret_entry);
}

int trib_grpc_call_status(const struct trib_grpc_call *call, int *ret_code, const char **ret_text)
{
    int rc = TRIB_AGAIN;

    pthread_mutex_lock(&call->conn->lock);
    if (call->failed != 0 || call->remote_end) {
        *ret_code = call->grpc_status >= 0 ? call->grpc_status : TRIB_GRPC_UNKNOWN;
        *ret_text = call->grpc_message != NULL ? call->grpc_message : "";
        rc = TRIB_OK;
    }
    pthread_mutex_unlock(&call->conn->lock);
    return rc;
}

static int add(struct trib_grpc_call *call, struct tribi_grpc_metadata *metadata, bool late, const struct trib_grpc_entry *entry,
               struct trib_error *err)
{
    if (!call->conn->server)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "add metadata to gRPC %s: a client's goes with trib_grpc_call()", call->path);
    if (late)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "add metadata to gRPC %s: it has been sent", call->path);
    if (!tribi_grpc_metadata_allowed(entry))
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "add metadata to gRPC %s: \"%s\" has a name of gRPC's own, or what cannot be sent",
                              call->path, entry->name != NULL ? entry->name : "");
    if (tribi_grpc_metadata_add(metadata, entry->name, strlen(entry->name), entry->value, entry->len) != TRIB_OK)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "add metadata to gRPC %s: no memory", call->path);
    return TRIB_OK;
}

int trib_grpc_call_add_metadata(struct trib_grpc_call *call, const struct trib_grpc_entry *entry, struct trib_error *err)
{
    int rc;

    pthread_mutex_lock(&call->conn->lock);
    rc = add(call, &call->response, call->out.submitted, entry, err);
    pthread_mutex_unlock(&call->conn->lock);
    return rc;
}

int trib_grpc_call_add_trailer(struct trib_grpc_call *call, const struct trib_grpc_entry *entry, struct trib_error *err)
{
    int rc;

    pthread_mutex_lock(&call->conn->lock);
    rc = add(call, &call->farewell, call->out.finishing, entry, err);
    pthread_mutex_unlock(&call->conn->lock);
    return rc;
}

int trib_grpc_call_begin(struct trib_grpc_call *call, struct trib_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&call->conn->lock);
    if (!call->out.submitted && !call->closed && !call->conn->lost)
        rc = tribi_grpc_submit_response(call, false);
    tribi_grpc_flush(call->conn);
    pthread_mutex_unlock(&call->conn->lock);
    return rc == 0 ? TRIB_OK : trib_error_set(err, TRIB_ERR_NOMEM, 0, "begin the response of gRPC %s: %s", call->path, nghttp2_strerror(rc));
}

int trib_grpc_call_compress(struct trib_grpc_call *call, bool on, struct trib_error *err)
{
    int rc = TRIB_OK;

    pthread_mutex_lock(&call->conn->lock);
    if (on && call->conn->server && !call->accepts_gzip)
        rc = trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "compress gRPC %s: the client does not accept gzip", call->path);
    else if (on && !call->wants_gzip && call->out.submitted)
        rc = trib_error_set(err, TRIB_ERR_USAGE, 0, "compress gRPC %s: the headers have been sent without grpc-encoding", call->path);
    else {
        call->wants_gzip = call->wants_gzip || on;
        call->compressing = on;
    }
    pthread_mutex_unlock(&call->conn->lock);
    return rc;
}

int trib_grpc_call_watch(struct trib_grpc_call *call, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err)
{
    int rc;

    if (fn != NULL && base == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "watch gRPC %s: the event_base is NULL", call->path);
    pthread_mutex_lock(&call->conn->lock);
    rc = tribi_grpc_watch(&call->sides[TRIBI_GRPC_ENDED], base, fn, arg, err);
    pthread_mutex_unlock(&call->conn->lock);
    return rc;
}

bool trib_grpc_call_was_compressed(const struct trib_grpc_call *call)
{
    return call->in.read_compressed;
}

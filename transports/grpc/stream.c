/* One stream: its life, its windows, its failures. */
#include "transports/grpc/grpc-internal.h"

#include <tributary/alloc.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 199 }; /* of what ends a call; three times as much where all of it has to be escaped */

/* ---- Life --------------------------------------------------------------------------------------------------------- */

int tribi_grpc_stream_new(struct tribi_grpc_conn *conn, struct trib_grpc_call **ret_stream, struct trib_error *err)
{
    struct trib_grpc_call *stream = trib_alloc_raw(sizeof(*stream));
    struct tribi_grpc_credit *credit = tribi_grpc_credit_new(conn->poke);

    if (stream == NULL || credit == NULL) {
        trib_free(stream);
        if (credit != NULL)
            tribi_grpc_credit_unref(credit);
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "make a gRPC stream: no memory");
    }
    memset(stream, 0, offsetof(struct trib_grpc_call, few_entries));
    stream->in.entries = stream->few_entries;
    stream->in.capacity = sizeof(stream->few_entries) / sizeof(stream->few_entries[0]);
    stream->out.pieces.ring = stream->out.pieces.few = stream->few_pieces;
    stream->out.pieces.capacity = sizeof(stream->few_pieces) / sizeof(stream->few_pieces[0]);
    stream->conn = conn;
    stream->credit = credit;
    stream->grpc_status = -1;
    stream->deadline = TRIB_FOREVER;
    for (int i = 0; i < TRIBI_GRPC_SIDES; i++)
        stream->sides[i].stream = stream;
    stream->next = conn->streams;
    stream->link = &conn->streams;
    if (stream->next != NULL)
        stream->next->link = &stream->next;
    conn->streams = stream;
    conn->stream_count++;
    *ret_stream = stream;
    return TRIB_OK;
}

void tribi_grpc_drop_received(struct trib_grpc_call *stream)
{
    struct tribi_grpc_in *in = &stream->in;

    for (; in->count > 0; in->count--, in->first = (in->first + 1) & (in->capacity - 1))
        trib_view_release(&in->entries[in->first].view);
    if (in->entries != stream->few_entries)
        trib_free(in->entries);
    in->entries = NULL;
    in->capacity = in->queued = in->zipped = in->zips = 0;
    tribi_grpc_place_drop(stream);
    in->keep = trib_chunk_unref(in->keep);
    in->spill = trib_chunk_unref(in->spill);
    tribi_grpc_inflate_free(in->inflate);
    in->inflate = NULL;
}

void tribi_grpc_stream_empty(struct trib_grpc_call *stream)
{
    tribi_grpc_drop_received(stream);
    tribi_grpc_disown(stream->conn, stream);
    tribi_grpc_pieces_done(&stream->out.pieces);
    tribi_grpc_deflate_free(stream->out.deflate);
    stream->out.deflate = NULL;
}

static void unlink_incoming(struct trib_grpc_call *stream)
{
    struct tribi_grpc_conn *conn = stream->conn;

    for (struct trib_grpc_call **at = &conn->incoming_first; *at != NULL; at = &(*at)->incoming_next)
        if (*at == stream) {
            *at = stream->incoming_next;
            if (conn->incoming_last == &stream->incoming_next)
                conn->incoming_last = at;
            return;
        }
}

void tribi_grpc_stream_end_waits(struct trib_grpc_call *stream, bool waits)
{
    struct tribi_grpc_conn *conn = stream->conn;
    struct tribi_grpc_out *out = &stream->out;

    if (out->end_waits == waits)
        return;
    out->end_waits = waits;
    if (waits) {
        out->end_next = conn->ends;
        out->end_link = &conn->ends;
        conn->ends = stream;
    } else {
        *out->end_link = out->end_next;
    }
    if (out->end_next != NULL)
        out->end_next->out.end_link = waits ? &out->end_next : out->end_link;
}

void tribi_grpc_stream_free(struct trib_grpc_call *stream)
{
    struct tribi_grpc_conn *conn = stream->conn;

    if (stream->incoming)
        unlink_incoming(stream);
    if (!stream->closed && stream->id != 0)
        nghttp2_session_set_stream_user_data(conn->session, stream->id, NULL);
    if (!stream->gone) /* else it has been */
        tribi_grpc_stream_empty(stream);
    *stream->link = stream->next;
    if (stream->next != NULL)
        stream->next->link = stream->link;
    conn->stream_count--;
    if (conn->near == stream)
        conn->near = NULL;
    tribi_grpc_stream_end_waits(stream, false);
    tribi_grpc_metadata_done(&stream->received);
    tribi_grpc_metadata_done(&stream->trailers);
    tribi_grpc_metadata_done(&stream->response);
    tribi_grpc_metadata_done(&stream->farewell);
    trib_free(stream->grpc_message);
    tribi_grpc_stream_shut(stream);
    if (stream->budget != NULL)
        trib_budget_on_release(stream->budget, NULL, NULL);
    trib_budget_unref(stream->budget);
    tribi_grpc_credit_unref(stream->credit);
    for (int i = 0; i < TRIBI_GRPC_SIDES; i++)
        if (stream->sides[i].slept)
            pthread_cond_destroy(&stream->sides[i].cond);
    trib_free(stream);
}

/* ---- Failures ----------------------------------------------------------------------------------------------------- */

static void note_status(struct trib_grpc_call *stream, int status, const char *text)
{
    if (stream->grpc_status >= 0)
        return;
    stream->grpc_status = status;
    trib_free(stream->grpc_message); /* of a peer that sent one without a status */
    stream->grpc_message = trib_strdup(text);
}

static void note_failure(struct trib_grpc_call *stream, int code, int status, const char *text)
{
    if (stream->failed != 0)
        return;
    stream->failed = code;
    trib_error_set(&stream->failure, code, 0, "gRPC %s: %s", stream->path != NULL ? stream->path : "call", text);
    note_status(stream, status, text);
    tribi_grpc_notify(stream, TRIB_READABLE);
    tribi_grpc_notify(stream, TRIB_WRITABLE);
}

void tribi_grpc_stream_lost(struct trib_grpc_call *stream, int code, int status, const char *format, ...)
{
    char text[200];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (stream->remote_end && stream->failed == 0 && (stream->conn->server || stream->grpc_status >= 0)) {
        stream->out.refused = true; /* all that was to be read has come: only writing fails */
        note_status(stream, status, text);
        tribi_grpc_notify(stream, TRIB_WRITABLE);
        return;
    }
    note_failure(stream, code, status, text);
}

void tribi_grpc_stream_fail(struct trib_grpc_call *stream, int code, int status, const char *format, ...)
{
    char text[200];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    note_failure(stream, code, status, text);
    if (stream->conn->server)
        tribi_grpc_stream_end(stream, status, text);
    else
        tribi_grpc_stream_reset(stream, NGHTTP2_CANCEL);
}

void tribi_grpc_stream_reset(struct trib_grpc_call *stream, uint32_t code)
{
    if (stream->closed || stream->reset_sent || stream->id == 0 || stream->conn->lost)
        return;
    stream->reset_sent = true;
    tribi_grpc_noted(stream->conn, nghttp2_submit_rst_stream(tribi_grpc_stirred(stream->conn), NGHTTP2_FLAG_NONE, stream->id, code));
}

void tribi_grpc_stream_says(struct trib_grpc_call *stream, const char *text)
{
    size_t len = text != NULL ? strnlen(text, TEXT_MAX) : 0;

    if (stream->out.text != NULL && len == strlen(stream->out.text) && memcmp(text, stream->out.text, len) == 0)
        return; /* who does not wait says it again and again */
    stream->out.text = len > 0 ? tribi_grpc_metadata_keep(&stream->farewell, text, len) : NULL;
}

void tribi_grpc_stream_end(struct trib_grpc_call *stream, int status, const char *text)
{
    int rc;

    if (stream->out.finishing || stream->closed || stream->conn->lost)
        return;
    stream->out.finishing = true;
    stream->out.status = status;
    tribi_grpc_stream_says(stream, text);
    rc = !stream->out.submitted ? tribi_grpc_submit_response(stream, true) : tribi_grpc_submit_trailers(stream);
    if (rc != 0)
        tribi_grpc_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
}

/* ---- The channel in front of it ------------------------------------------------------------------------------------ */

int tribi_grpc_stream_channel(struct trib_grpc_call *stream, struct trib_channel **ret_channel, struct trib_error *err)
{
    struct tribi_grpc_conn *conn = stream->conn;
    int rc = trib_channel_new(conn->ops, stream, &conn->options, &stream->channel, err);

    if (rc != TRIB_OK)
        return rc;
    stream->budget = trib_budget_ref(trib_channel_budget(stream->channel));
    stream->orphan = false;
    tribi_grpc_conn_ref(conn);
    *ret_channel = stream->channel;
    return TRIB_OK;
}

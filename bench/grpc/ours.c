/* Messages in the data envelope, UdfRequest{data = DataRequest{data = bytes}}: a tag and a length, twice. */
#include "bench/grpc/ours.h"

#include <string.h>

#include "bench/bench.h"

enum { OUTER_TAG = 0x12, INNER_TAG = 0x0a };

int ours_check(int rc, const struct trib_error *err)
{
    if (rc < 0)
        bench_die("ours: %s", err->message);
    return rc;
}

void ours_open(struct ours_stream *stream, struct trib_grpc_call *call)
{
    memset(stream, 0, sizeof(*stream));
    stream->call = call;
    stream->channel = trib_grpc_call_channel(call);
    stream->reader = trib_channel_reader(stream->channel);
    stream->writer = trib_channel_writer(stream->channel);
}

/* ---- Reading ------------------------------------------------------------------------------------------------------ */

static void check_tag(uint8_t tag, uint8_t expected)
{
    if (tag != expected)
        bench_die("ours: 0x%02x instead of a DataRequest", tag);
}

/* A tag and a length, twice: the inner one is what is left. */
static int read_header(struct ours_stream *stream)
{
    static const uint8_t tags[] = {OUTER_TAG, 0, INNER_TAG, 0};
    struct trib_error err;
    uint8_t tag;
    int rc = TRIB_OK;

    for (; stream->field < 4; stream->field++) {
        if (tags[stream->field] == 0)
            rc = ours_check(trib_reader_varint(stream->reader, &stream->left, &err), &err);
        else if ((rc = ours_check(trib_reader_u8(stream->reader, &tag, &err), &err)) == TRIB_OK)
            check_tag(tag, tags[stream->field]);
        if (rc != TRIB_OK)
            break;
    }
    return rc;
}

int ours_read(struct ours_stream *stream, struct trib_view *ret_payload)
{
    struct trib_error err;
    int rc = read_header(stream);

    if (rc != TRIB_OK)
        return rc;
    rc = ours_check(trib_reader_take(stream->reader, (size_t)stream->left, ret_payload, &err), &err);
    if (rc == TRIB_EOF)
        bench_die("ours: ended inside a message");
    if (rc == TRIB_OK)
        stream->field = 0;
    return rc;
}

int ours_read_size(struct ours_stream *stream, size_t *ret_size)
{
    int rc = read_header(stream);

    if (rc == TRIB_OK)
        *ret_size = (size_t)stream->left;
    return rc;
}

int ours_read_part(struct ours_stream *stream, struct trib_view *ret_part)
{
    struct trib_error err;
    int rc = read_header(stream);

    if (rc == TRIB_OK)
        rc = ours_check(trib_reader_take_some(stream->reader, (size_t)stream->left, ret_part, &err), &err);
    if (rc == TRIB_EOF && stream->field == 4)
        bench_die("ours: ended inside a message");
    if (rc != TRIB_OK)
        return rc;
    stream->left -= ret_part->len;
    stream->field = stream->left > 0 ? 4 : 0;
    return TRIB_OK;
}

/* ---- Writing ------------------------------------------------------------------------------------------------------ */

static size_t put_varint(uint8_t *to, size_t value)
{
    size_t n = 0;

    for (; value >= 0x80; value >>= 7)
        to[n++] = (uint8_t)(value | 0x80);
    to[n++] = (uint8_t)value;
    return n;
}

static void make_header(struct ours_stream *stream, size_t len)
{
    uint8_t inner[12] = {INNER_TAG};
    size_t n = 1 + put_varint(inner + 1, len);

    stream->header[0] = OUTER_TAG;
    stream->header_len = 1 + put_varint(stream->header + 1, n + len);
    memcpy(stream->header + stream->header_len, inner, n);
    stream->header_len += n;
    stream->header_for = len;
}

/* What of a message comes next; a writer that does not wait may stop behind each. */
static int write_part(struct ours_stream *stream, struct trib_view payload, struct trib_error *err)
{
    switch (stream->part) {
    case 0:
        return trib_writer_begin_message(stream->writer, stream->header_len + payload.len, err);
    case 1:
        return trib_writer_bytes(stream->writer, stream->header, stream->header_len, err);
    default:
        return trib_writer_view(stream->writer, payload, err);
    }
}

int ours_write(struct ours_stream *stream, struct trib_view payload)
{
    struct trib_error err;
    int rc;

    if (stream->header_for != payload.len || stream->header_len == 0)
        make_header(stream, payload.len);
    for (; stream->part < 3; stream->part++) {
        rc = ours_check(write_part(stream, payload, &err), &err);
        if (rc != TRIB_OK)
            return rc;
    }
    ours_check(trib_writer_end_message(stream->writer, &err), &err); /* has ended the message, on TRIB_AGAIN too */
    stream->part = 0;
    return TRIB_OK;
}

int ours_begin(struct ours_stream *stream, size_t size)
{
    struct trib_error err;
    int rc = TRIB_OK;

    if (stream->header_for != size || stream->header_len == 0)
        make_header(stream, size);
    for (; stream->part < 2 && rc == TRIB_OK; stream->part += rc == TRIB_OK)
        rc = ours_check(write_part(stream, (struct trib_view){.len = size}, &err), &err);
    return rc;
}

int ours_write_part(struct ours_stream *stream, struct trib_view part, bool last)
{
    struct trib_error err;
    int rc = ours_check(trib_writer_view(stream->writer, part, &err), &err);

    if (rc == TRIB_OK && last) {
        ours_check(trib_writer_end_message(stream->writer, &err), &err);
        stream->part = 0;
    }
    return rc;
}

uint64_t ours_copied(const struct ours_stream *stream)
{
    struct trib_reader_stats in = {.size = sizeof(in)};
    struct trib_writer_stats out = {.size = sizeof(out)};

    trib_reader_stats(stream->reader, &in);
    trib_writer_stats(stream->writer, &out);
    return in.copied_crossing + in.copied_aligning + in.copied_into + out.copied;
}

int main(int argc, char **argv)
{
    static const struct peer ours = {ours_connect, ours_measure, ours_serve};

    return peer_main(&ours, argc, argv);
}

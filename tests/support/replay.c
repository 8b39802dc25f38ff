/* Reads records, and replays them. */
#include "tests/support/replay.h"

#include "tests/support/data.h"
#include "tests/support/grpc_raw.h"

#include <tributary/types.h>

#include <check.h>
#include <nghttp2/nghttp2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PREFACE = 24, HEADER = 9, PATIENCE_MS = 20000, SETTLE_TURNS = 3 };

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Of the stream of a frame. */
static unsigned index_of(const uint8_t *header)
{
    uint32_t id = be32(header + 5) & 0x7fffffff;

    if (id == 0)
        return REPLAY_STREAMS;
    ck_assert_msg(id % 2 == 1 && id >= 3 && id / 2 - 1 < REPLAY_STREAMS, "stream %u", id);
    return id / 2 - 1;
}

/* ---- Hearing -------------------------------------------------------------------------------------------------------- */

/* One direction of a connection, frame by frame. */
struct hearing {
    struct replay_answer *answer;
    nghttp2_hd_inflater *inflater;
    uint8_t *bytes; /* not complete yet */
    size_t len;
};

static void *grown(void *memory, size_t len)
{
    void *larger = realloc(memory, len);

    ck_assert_ptr_nonnull(larger);
    return larger;
}

static void hearing_init(struct hearing *hearing, struct replay_answer *answer)
{
    memset(answer, 0, sizeof(*answer));
    *hearing = (struct hearing){ .answer = answer };
    ck_assert_int_eq(nghttp2_hd_inflate_new(&hearing->inflater), 0);
}

static void hearing_done(struct hearing *hearing)
{
    nghttp2_hd_inflate_del(hearing->inflater);
    free(hearing->bytes);
}

/* A frame's payload without padding and priority. */
struct frame {
    uint8_t type, flags;
    unsigned stream; /* index */
    const uint8_t *payload;
    size_t len;
};

static bool next_frame(const uint8_t *bytes, size_t len, struct frame *frame, size_t *ret_whole)
{
    size_t payload = len >= HEADER ? (size_t)bytes[0] << 16 | (size_t)bytes[1] << 8 | bytes[2] : 0;

    if (len < HEADER + payload)
        return false;
    *frame = (struct frame){ bytes[3], bytes[4], index_of(bytes), bytes + HEADER, payload };
    if (frame->type <= 1 && (frame->flags & NGHTTP2_FLAG_PADDED) != 0) {
        frame->len -= 1 + frame->payload[0];
        frame->payload++;
    }
    if (frame->type == NGHTTP2_HEADERS && (frame->flags & NGHTTP2_FLAG_PRIORITY) != 0) {
        frame->payload += 5;
        frame->len -= 5;
    }
    *ret_whole = HEADER + payload;
    return true;
}

static void add_header(struct replay_stream *stream, const char *name, size_t name_len, const char *value, size_t len)
{
    size_t room = name_len + len + 4;

    stream->headers = grown(stream->headers, stream->headers_len + room);
    stream->headers_len += (size_t)snprintf(stream->headers + stream->headers_len, room, "%.*s%s%.*s\n", (int)name_len, name,
                                            name_len > 0 ? ": " : "", (int)len, value);
}

static void hear_headers(struct hearing *hearing, struct replay_stream *stream, const struct frame *frame)
{
    const uint8_t *at = frame->payload, *end = at + frame->len;
    int flags = 0;

    ck_assert_msg((frame->flags & NGHTTP2_FLAG_END_HEADERS) != 0, "headers go on in another frame");
    while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
        nghttp2_nv nv;
        ssize_t n = nghttp2_hd_inflate_hd2(hearing->inflater, &nv, &flags, at, (size_t)(end - at), 1);

        ck_assert_int_ge(n, 0);
        at += n;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
            add_header(stream, (char *)nv.name, nv.namelen, (char *)nv.value, nv.valuelen);
    }
    nghttp2_hd_inflate_end_headers(hearing->inflater);
    add_header(stream, "", 0, "", 0);
}

static void hear_data(struct replay_stream *stream, const struct frame *frame)
{
    stream->data = grown(stream->data, stream->len + frame->len + 1);
    memcpy(stream->data + stream->len, frame->payload, frame->len);
    stream->len += frame->len;
    while (stream->len - stream->counted >= 5 && stream->len - stream->counted >= 5 + (size_t)be32(stream->data + stream->counted + 1)) {
        stream->counted += 5 + be32(stream->data + stream->counted + 1);
        stream->messages++;
    }
}

static void hear_frame(struct hearing *hearing, const struct frame *frame)
{
    struct replay_stream *stream = &hearing->answer->streams[frame->stream];

    hearing->answer->goaway = hearing->answer->goaway || frame->type == NGHTTP2_GOAWAY;
    if (frame->stream == REPLAY_STREAMS)
        return;
    if (frame->type == NGHTTP2_HEADERS)
        hear_headers(hearing, stream, frame);
    else if (frame->type == NGHTTP2_DATA)
        hear_data(stream, frame);
    if (frame->type <= NGHTTP2_HEADERS && (frame->flags & NGHTTP2_FLAG_END_STREAM) != 0)
        stream->ended = true;
    if (frame->type != NGHTTP2_RST_STREAM || (stream->ended && be32(frame->payload) == NGHTTP2_NO_ERROR))
        return;
    stream->reset = true;
    stream->code = be32(frame->payload);
}

static void hear(struct hearing *hearing, const uint8_t *bytes, size_t len)
{
    size_t at = 0, whole;
    struct frame frame;

    hearing->bytes = grown(hearing->bytes, hearing->len + len + 1);
    memcpy(hearing->bytes + hearing->len, bytes, len);
    hearing->len += len;
    for (; next_frame(hearing->bytes + at, hearing->len - at, &frame, &whole); at += whole)
        hear_frame(hearing, &frame);
    memmove(hearing->bytes, hearing->bytes + at, hearing->len - at);
    hearing->len -= at;
}

void replay_answer_done(struct replay_answer *answer)
{
    for (int i = 0; i < REPLAY_STREAMS; i++) {
        free(answer->streams[i].headers);
        free(answer->streams[i].data);
    }
    memset(answer, 0, sizeof(*answer));
}

/* ---- A record --------------------------------------------------------------------------------------------------------- */

/* What one side said at a time. */
struct part {
    bool client;
    const uint8_t *bytes;
    size_t len;
};

static bool next_part(const struct data_file *file, size_t *at, struct part *part)
{
    if (*at == file->len)
        return false;
    ck_assert_uint_ge(file->len - *at, 5);
    *part = (struct part){ file->bytes[*at] == 'C', file->bytes + *at + 5, be32(file->bytes + *at + 1) };
    ck_assert(part->client || file->bytes[*at] == 'S');
    *at += 5;
    ck_assert_uint_ge(file->len - *at, part->len);
    *at += part->len;
    return true;
}

/* The frames that begin in bytes [from, len) of what the client says in all. */
static void note_frames(struct replay *replay, const struct replay_answer *heard, size_t *from, size_t known)
{
    while (*from < known) {
        size_t whole = HEADER + ((size_t)replay->said[*from] << 16 | (size_t)replay->said[*from + 1] << 8 | replay->said[*from + 2]);
        struct replay_frame *frame;

        replay->frames = grown(replay->frames, (replay->count + 1) * sizeof(*frame));
        frame = &replay->frames[replay->count++];
        *frame = (struct replay_frame){ .at = *from, .stream = index_of(replay->said + *from) };
        *from += whole;
        if (frame->stream == REPLAY_STREAMS)
            continue;
        frame->messages = heard->streams[frame->stream].messages;
        frame->after_end = heard->streams[frame->stream].ended;
        replay->streams = frame->stream + 1 > replay->streams ? frame->stream + 1 : replay->streams;
        replay->cancelled[frame->stream] |= !frame->after_end && replay->said[frame->at + 3] == NGHTTP2_RST_STREAM;
    }
}

static void note_paths(struct replay *replay)
{
    struct replay_answer asked;
    struct hearing hearing;

    hearing_init(&hearing, &asked);
    hear(&hearing, replay->said + PREFACE, replay->len - PREFACE);
    ck_assert_msg(hearing.len == 0, "the record ends inside a frame");
    for (unsigned i = 0; i < replay->streams; i++) {
        const char *at = strstr(asked.streams[i].headers, ":path: ");

        ck_assert_ptr_nonnull(at);
        ck_assert_int_eq(sscanf(at, ":path: %79s", replay->paths[i]), 1);
    }
    hearing_done(&hearing);
    replay_answer_done(&asked);
}

void replay_load(struct replay *replay, const char *name)
{
    size_t at = 0, known = 0, from = PREFACE;
    struct replay_answer heard;
    struct hearing hearing;
    struct data_file file;
    struct part part;

    memset(replay, 0, sizeof(*replay));
    data_load(name, &file);
    replay->said = grown(NULL, file.len + HEADER);
    while (next_part(&file, &at, &part))
        if (part.client) {
            memcpy(replay->said + replay->len, part.bytes, part.len);
            replay->len += part.len;
        }
    ck_assert_uint_gt(replay->len, PREFACE);
    hearing_init(&hearing, &heard);
    for (at = 0; next_part(&file, &at, &part);)
        if (part.client)
            note_frames(replay, &heard, &from, known += part.len);
        else
            hear(&hearing, part.bytes, part.len);
    hearing_done(&hearing);
    replay_answer_done(&heard);
    data_done(&file);
    note_paths(replay);
}

void replay_done(struct replay *replay)
{
    free(replay->said);
    free(replay->frames);
    memset(replay, 0, sizeof(*replay));
}

/* ---- A replay ----------------------------------------------------------------------------------------------------------- */

struct player {
    const struct replay *replay;
    const struct replay_turn *turn;
    struct hearing hearing;
    int fd;
};

static void listen_once(struct player *player)
{
    static uint8_t bytes[65536];
    ssize_t n;

    player->turn->fn(player->turn->arg);
    while ((n = recv(player->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        hear(&player->hearing, bytes, (size_t)n);
}

static bool may_say(const struct player *player, const struct replay_frame *frame)
{
    const struct replay_stream *stream = &player->hearing.answer->streams[frame->stream];

    return frame->stream == REPLAY_STREAMS || (stream->messages >= frame->messages && (stream->ended || !frame->after_end));
}

static bool all_over(const struct player *player)
{
    const struct replay_stream *streams = player->hearing.answer->streams;
    bool over = true;

    for (unsigned i = 0; i < player->replay->streams; i++)
        over = over && (streams[i].ended || streams[i].reset || player->replay->cancelled[i]);
    return over;
}

static void wait_for(struct player *player, const struct replay_frame *frame)
{
    int64_t until = trib_deadline_ms(PATIENCE_MS);

    while (frame != NULL ? !may_say(player, frame) : !all_over(player)) {
        listen_once(player);
        ck_assert_msg(trib_now() < until, "nothing more comes%s%s", frame != NULL ? " on a call of " : "",
                      frame != NULL ? player->replay->paths[frame->stream] : "");
        sched_yield();
    }
}

/* Up to `end`, as one piece where nothing has to be waited for. */
static void say(struct player *player, size_t at, size_t end, size_t *frame)
{
    const struct replay *replay = player->replay;

    while (at < end) {
        size_t stop = end;

        for (; *frame < replay->count && replay->frames[*frame].at < end; ++*frame) {
            const struct replay_frame *next = &replay->frames[*frame];

            if (next->at == at)
                wait_for(player, next);
            else if (!may_say(player, next)) {
                stop = next->at;
                break;
            }
        }
        ck_assert(grpc_raw_write(player->fd, replay->said + at, stop - at));
        at = stop;
    }
}

void replay_run(const struct replay *replay, const char *address, size_t split, size_t piece, const struct replay_turn *turn,
                struct replay_answer *ret_answer)
{
    struct player player = { .replay = replay, .turn = turn, .fd = grpc_raw_connect(address) };
    size_t at = 0, frame = 0;

    hearing_init(&player.hearing, ret_answer);
    while (at < replay->len) {
        size_t end = piece > 0 ? at + piece : at < split ? split : replay->len;

        end = end < replay->len ? end : replay->len;
        say(&player, at, end, &frame);
        at = end;
        for (int i = 0; i < SETTLE_TURNS; i++)
            listen_once(&player);
    }
    wait_for(&player, NULL);
    close(player.fd);
    for (int i = 0; i < SETTLE_TURNS; i++)
        turn->fn(turn->arg);
    hearing_done(&player.hearing);
}

/* ---- Comparing ------------------------------------------------------------------------------------------------------------ */

void replay_compare(const struct replay *replay, const struct replay_answer *whole, const struct replay_answer *parts, size_t split)
{
    ck_assert_msg(!parts->goaway, "split at byte %zu: GOAWAY", split);
    for (unsigned i = 0; i < replay->streams; i++) {
        const struct replay_stream *a = &whole->streams[i], *b = &parts->streams[i];

        ck_assert_msg(a->headers_len == b->headers_len && (a->headers_len == 0 || memcmp(a->headers, b->headers, a->headers_len) == 0),
                      "split at byte %zu, call %u of %s: headers\n%s, not\n%s", split, i, replay->paths[i], b->headers, a->headers);
        ck_assert_msg(a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0),
                      "split at byte %zu, call %u of %s: data\n%.*s, not\n%.*s", split, i, replay->paths[i], (int)b->len, (char *)b->data, (int)a->len,
                      (char *)a->data);
        ck_assert_msg(a->ended == b->ended && a->reset == b->reset && a->code == b->code, "split at byte %zu, call %u of %s: the end", split, i,
                      replay->paths[i]);
    }
}

bool replay_near_frame(const struct replay *replay, size_t at)
{
    bool near = false;

    for (size_t i = 0; i < replay->count && !near; i++)
        near = at >= replay->frames[i].at && at <= replay->frames[i].at + HEADER + 5;
    return near;
}

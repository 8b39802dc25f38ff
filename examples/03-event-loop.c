/* Channels on an event loop of the caller: an echo whose both ends live in one thread.
 *
 *   cc -o 03-event-loop 03-event-loop.c $(pkg-config --cflags --libs libtributary libevent_core)
 */
#include <tributary/reader.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include <event2/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOTAL = 10 * 1024 * 1024 };

struct echo {
    struct event_base *base;
    struct trib_channel *near, *far; /* near asks, far answers */
    struct trib_view held;           /* read by far, not yet taken by its writer */
    uint64_t answered;
    bool asked;
};

static void give_up(const char *what, int code, const struct trib_error *err)
{
    fprintf(stderr, "%s: %s: %s\n", what, trib_code_name(code), err->message);
    exit(1);
}

/* near's writer: runs when all that was gathered has been sent. */
static void ask(struct trib_writer *writer, void *arg)
{
    static const char bytes[65536];
    struct echo *echo = arg;
    struct trib_error err;
    int code = TRIB_OK;

    while (code == TRIB_OK && trib_writer_position(writer) < TOTAL)
        code = trib_writer_bytes(writer, bytes, sizeof(bytes), &err);
    if (code == TRIB_OK && !echo->asked) {
        code = trib_writer_finish(writer, 0, NULL, &err);
        echo->asked = code == TRIB_OK;
    }
    if (code < 0)
        give_up("ask", code, &err);
}

/* far: hands on what it holds, then reads more, until one of the two says TRIB_AGAIN. A view is held by a reference, not by a
 * copy. */
static void answer(struct echo *echo)
{
    struct trib_reader *reader = trib_channel_reader(echo->far);
    struct trib_writer *writer = trib_channel_writer(echo->far);
    struct trib_error err;
    struct trib_view view;
    int code = TRIB_OK;

    while (code == TRIB_OK) {
        if (echo->held.len > 0)
            code = trib_writer_view(writer, echo->held, &err);
        if (code != TRIB_OK)
            break;
        trib_view_release(&echo->held);
        code = trib_reader_take_some(reader, 65536, &view, &err);
        if (code == TRIB_OK)
            echo->held = trib_view_retain(view);
    }
    if (code == TRIB_AGAIN)
        code = trib_writer_flush(writer, &err);
    else if (code == TRIB_EOF)
        code = trib_writer_finish(writer, 0, NULL, &err);
    if (code < 0)
        give_up("answer", code, &err);
}

static void far_readable(struct trib_reader *reader, void *arg)
{
    (void)reader;
    answer(arg);
}

static void far_writable(struct trib_writer *writer, void *arg)
{
    (void)writer;
    answer(arg);
}

/* near's reader: counts what comes back. */
static void count(struct trib_reader *reader, void *arg)
{
    struct echo *echo = arg;
    struct trib_error err;
    struct trib_view view;
    int code;

    while ((code = trib_reader_take_some(reader, 65536, &view, &err)) == TRIB_OK)
        echo->answered += view.len;
    if (code < 0)
        give_up("count", code, &err);
    if (code == TRIB_EOF)
        event_base_loopbreak(echo->base);
}

int main(void)
{
    struct echo echo = { .base = event_base_new() };
    struct trib_error err;
    int code = trib_unix_pair(NULL, &echo.near, &echo.far, &err);

    if (code != TRIB_OK)
        give_up("open", code, &err);
    if ((code = trib_reader_set_callback(trib_channel_reader(echo.near), echo.base, count, &echo, &err)) != TRIB_OK ||
        (code = trib_reader_set_callback(trib_channel_reader(echo.far), echo.base, far_readable, &echo, &err)) != TRIB_OK ||
        (code = trib_writer_set_callback(trib_channel_writer(echo.far), echo.base, far_writable, &echo, &err)) != TRIB_OK ||
        (code = trib_writer_set_callback(trib_channel_writer(echo.near), echo.base, ask, &echo, &err)) != TRIB_OK)
        give_up("set a callback", code, &err);
    ask(trib_channel_writer(echo.near), &echo);
    event_base_dispatch(echo.base);
    printf("%llu of %d bytes came back\n", (unsigned long long)echo.answered, TOTAL);
    trib_view_release(&echo.held);
    trib_channel_free(echo.near); /* before the base that they are on */
    trib_channel_free(echo.far);
    event_base_free(echo.base);
    return echo.answered == TOTAL ? 0 : 1;
}

/* Cases about the event loop: readers, writers and listeners whose callbacks run on the caller's event_base. */
#include "conformance/suite-internal.h"

#include <event2/event.h>

/* ---- A loop that ends with the case ---------------------------------------------------------------------------- */

struct loop {
    struct conform_env *env;
    struct event_base *base;
    struct event *tick;
    bool ok;     /* nothing has failed */
    bool inside; /* a call on a reader or writer is under way: no callback may run */
};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;

    (void)fd;
    (void)what;
    if (atomic_load(&loop->env->expired))
        event_base_loopbreak(loop->base);
}

static bool loop_init(struct loop *loop, struct conform_env *env)
{
    const struct timeval period = { 0, 100000 };

    loop->env = env;
    loop->ok = true;
    loop->inside = false;
    loop->tick = NULL;
    loop->base = event_base_new();
    if (loop->base != NULL)
        loop->tick = event_new(loop->base, -1, EV_PERSIST, on_tick, loop);
    REQUIRE(env, loop->tick != NULL && event_add(loop->tick, &period) == 0, "make an event_base");
    return true;
}

static void loop_done(struct loop *loop)
{
    if (loop->tick != NULL)
        event_free(loop->tick);
    if (loop->base != NULL)
        event_base_free(loop->base);
}

static bool loop_run(struct loop *loop)
{
    if (loop->ok)
        event_base_dispatch(loop->base);
    REQUIRE(loop->env, !atomic_load(&loop->env->expired), "the event loop waits for a callback");
    return loop->ok;
}

/* Notes what a callback found, and stops the loop when that was a failure or the end. */
static void loop_note(struct loop *loop, bool ok, bool over)
{
    loop->ok = loop->ok && ok;
    if (!ok || over)
        event_base_loopbreak(loop->base);
}

/* The channels must leave the base before it is freed, so both go here. */
static bool loop_end(struct loop *loop, struct conform_pair *pair, bool ok)
{
    if (pair != NULL && pair->a != NULL) {
        trib_channel_cancel(pair->a);
        trib_channel_cancel(pair->b);
        for (struct conform_task *task = loop->env->tasks; task != NULL; task = task->next)
            ok = conform_join(loop->env, task) && ok;
        conform_close(loop->env, pair);
    }
    loop_done(loop);
    return ok;
}

/* ---- An echo on one base, in one thread ------------------------------------------------------------------------ */

struct echo {
    struct loop loop;
    struct conform_pair *pair;
    size_t len;
    size_t sent, got;
    struct trib_view held; /* read by the echoing side, not yet taken by its writer */
    bool source_over, echo_over;
};

static bool outside(struct echo *echo)
{
    REQUIRE(echo->loop.env, !echo->loop.inside, "a callback ran inside a call");
    return true;
}

/* The writer of A: sends until TRIB_AGAIN, then finishes. */
static bool source_step(struct echo *echo)
{
    struct conform_env *env = echo->loop.env;
    struct trib_error err;
    int code = TRIB_OK;

    while (code == TRIB_OK && echo->sent < echo->len) {
        size_t n = echo->len - echo->sent < 7000 ? echo->len - echo->sent : 7000;
        struct trib_chunk *chunk;

        TRY(conform_chunk(env, 41, echo->sent, n, &chunk));
        echo->loop.inside = true;
        code = trib_writer_view(echo->pair->wa, trib_chunk_view(chunk), &err);
        echo->loop.inside = false;
        trib_chunk_unref(chunk);
        if (code == TRIB_OK)
            echo->sent += n;
    }
    if (code == TRIB_OK && !echo->source_over) {
        code = trib_writer_finish(echo->pair->wa, 0, NULL, &err);
        echo->source_over = code == TRIB_OK;
    }
    REQUIRE(env, code == TRIB_OK || code == TRIB_AGAIN, "the source got %s: %s", trib_code_name(code), code < 0 ? err.message : "");
    return true;
}

/* Hands what was read to the writer; TRIB_AGAIN: still held. */
static int echo_held(struct echo *echo, struct trib_error *err)
{
    int code;

    if (echo->held.len == 0)
        return TRIB_OK;
    echo->loop.inside = true;
    code = trib_writer_view(echo->pair->wb, echo->held, err);
    echo->loop.inside = false;
    if (code == TRIB_OK) {
        trib_view_release(&echo->held);
        echo->held.len = 0;
    }
    return code;
}

/* Both ends of B: reads and writes until one of them says TRIB_AGAIN. */
static bool echo_step(struct echo *echo)
{
    struct conform_env *env = echo->loop.env;
    struct trib_error err;
    struct trib_view view;
    int code = echo_held(echo, &err);

    while (code == TRIB_OK) {
        echo->loop.inside = true;
        code = trib_reader_take_some(echo->pair->rb, 50000, &view, &err);
        echo->loop.inside = false;
        if (code == TRIB_OK) {
            echo->held = trib_view_retain(view);
            code = echo_held(echo, &err);
        }
    }
    if (code == TRIB_AGAIN)
        code = trib_writer_flush(echo->pair->wb, &err);
    if (code == TRIB_EOF && !echo->echo_over) {
        code = trib_writer_finish(echo->pair->wb, 0, NULL, &err);
        echo->echo_over = code == TRIB_OK;
    }
    REQUIRE(env, code == TRIB_OK || code == TRIB_AGAIN || code == TRIB_EOF, "the echo got %s: %s", trib_code_name(code),
            code < 0 ? err.message : "");
    return true;
}

/* The reader of A: checks what comes back. */
static bool sink_step(struct echo *echo, bool *over)
{
    struct conform_env *env = echo->loop.env;
    struct trib_error err;
    struct trib_view view;
    int code;

    while ((code = trib_reader_take_some(echo->pair->ra, 9999, &view, &err)) == TRIB_OK) {
        TRY(conform_check(env, view, 41, echo->got, view.len));
        echo->got += view.len;
    }
    REQUIRE(env, code == TRIB_AGAIN || code == TRIB_EOF, "the sink got %s: %s", trib_code_name(code), code < 0 ? err.message : "");
    *over = code == TRIB_EOF;
    return true;
}

static void on_source(struct trib_writer *writer, void *arg)
{
    struct echo *echo = arg;

    (void)writer;
    loop_note(&echo->loop, outside(echo) && source_step(echo), false);
}

static void on_echo_readable(struct trib_reader *reader, void *arg)
{
    struct echo *echo = arg;

    (void)reader;
    loop_note(&echo->loop, outside(echo) && echo_step(echo), false);
}

static void on_echo_writable(struct trib_writer *writer, void *arg)
{
    struct echo *echo = arg;

    (void)writer;
    loop_note(&echo->loop, outside(echo) && echo_step(echo), false);
}

static void on_sink(struct trib_reader *reader, void *arg)
{
    struct echo *echo = arg;
    bool over = false;
    bool ok = outside(echo) && sink_step(echo, &over);

    (void)reader;
    loop_note(&echo->loop, ok, over);
}

static bool echo_on_base(struct echo *echo)
{
    struct conform_env *env = echo->loop.env;
    struct event_base *base = echo->loop.base;
    struct trib_error err;

    REQUIRE_OK(env, trib_reader_set_callback(echo->pair->ra, base, on_sink, echo, &err));
    REQUIRE_OK(env, trib_reader_set_callback(echo->pair->rb, base, on_echo_readable, echo, &err));
    REQUIRE_OK(env, trib_writer_set_callback(echo->pair->wb, base, on_echo_writable, echo, &err));
    REQUIRE_OK(env, trib_writer_set_callback(echo->pair->wa, base, on_source, echo, &err));
    TRY(source_step(echo));
    TRY(loop_run(&echo->loop));
    REQUIRE(env, echo->got == echo->len, "%zu of %zu bytes came back", echo->got, echo->len);
    return true;
}

static bool echo_in_one_thread(struct conform_env *env)
{
    struct trib_channel_options options = conform_small_options(131072, 0);
    struct echo *echo = conform_memory(env, sizeof(*echo));
    bool ok;

    TRY(echo != NULL);
    echo->len = 3 << 20;
    ok = loop_init(&echo->loop, env) && conform_open(env, &options, &echo->pair) && echo_on_base(echo);
    trib_view_release(&echo->held);
    return loop_end(&echo->loop, echo->pair, ok);
}

/* ---- The base in one thread, a blocking peer in another --------------------------------------------------------- */

struct listening {
    struct loop loop;
    struct conform_pair *pair;
    size_t got, calls;
    int last; /* what the last call gave */
};

static bool listening_step(struct listening *l)
{
    struct conform_env *env = l->loop.env;
    struct trib_error err;
    struct trib_view view;

    l->calls++;
    while ((l->last = trib_reader_take_some(l->pair->rb, 30000, &view, &err)) == TRIB_OK) {
        TRY(conform_check(env, view, 42, l->got, view.len));
        l->got += view.len;
    }
    return true;
}

static void on_listening(struct trib_reader *reader, void *arg)
{
    struct listening *l = arg;
    bool ok = listening_step(l);

    (void)reader;
    loop_note(&l->loop, ok, l->last != TRIB_AGAIN);
}

static bool peer_in_thread(struct listening *l)
{
    struct conform_env *env = l->loop.env;
    struct conform_task *task;
    struct trib_error err;

    REQUIRE_OK(env, trib_reader_set_callback(l->pair->rb, l->loop.base, on_listening, l, &err));
    task = conform_start_source(env, l->pair->wa, 42, 5 << 20, 6000, true);
    TRY(task != NULL && loop_run(&l->loop));
    REQUIRE(env, l->last == TRIB_EOF && l->got == 5 << 20, "after %zu bytes the callback's reader got %s", l->got,
            trib_code_name(l->last));
    TRY(conform_join(env, task));
    REQUIRE_OK(env, trib_reader_set_callback(l->pair->rb, NULL, NULL, NULL, &err));
    return true;
}

static bool cancel_soon(struct conform_env *env, void *arg)
{
    (void)env;
    trib_channel_cancel(arg);
    return true;
}

static void on_idle(struct trib_reader *reader, void *arg)
{
    struct listening *l = arg;

    on_listening(reader, l);
    if (l->calls == 1) /* the loop is waiting for the first news of this channel: it comes from another thread */
        conform_start(l->loop.env, cancel_soon, l->pair->b);
}

static bool cancel_reaches_base(struct listening *l)
{
    struct conform_env *env = l->loop.env;
    struct trib_error err;

    REQUIRE_OK(env, trib_reader_set_callback(l->pair->rb, l->loop.base, on_idle, l, &err));
    TRY(loop_run(&l->loop));
    REQUIRE(env, l->last == TRIB_ERR_CANCELLED, "the callback's reader got %s", trib_code_name(l->last));
    return true;
}

static void on_counted(struct trib_reader *reader, void *arg)
{
    struct listening *l = arg;

    (void)reader;
    l->calls++;
}

/* A callback that was taken away runs no more, and the reader can wait by itself again. */
static bool callback_ends(struct listening *l)
{
    struct conform_env *env = l->loop.env;
    struct trib_error err;

    REQUIRE_OK(env, trib_reader_set_callback(l->pair->rb, l->loop.base, on_counted, l, &err));
    REQUIRE_OK(env, trib_reader_set_callback(l->pair->rb, l->loop.base, NULL, NULL, &err));
    TRY(conform_write(env, l->pair->wa, 43, 0, 1000, 1000));
    event_base_loop(l->loop.base, EVLOOP_NONBLOCK);
    REQUIRE(env, l->calls == 0, "a callback ran after it was taken away");
    trib_reader_set_deadline(l->pair->rb, TRIB_FOREVER);
    return conform_read(env, l->pair->rb, 43, 0, 1000, 1000);
}

static bool with_listening(struct conform_env *env, bool (*run)(struct listening *l))
{
    struct trib_channel_options options = conform_small_options(131072, 0);
    struct listening *l = conform_memory(env, sizeof(*l));
    bool ok;

    TRY(l != NULL);
    ok = loop_init(&l->loop, env) && conform_open(env, &options, &l->pair) && run(l);
    return loop_end(&l->loop, l->pair, ok);
}

static bool base_in_the_reader(struct conform_env *env)
{
    return with_listening(env, peer_in_thread);
}

static bool cancel_of_a_callback(struct conform_env *env)
{
    return with_listening(env, cancel_reaches_base);
}

static bool end_of_a_callback(struct conform_env *env)
{
    return with_listening(env, callback_ends);
}

/* ---- A listener on a base -------------------------------------------------------------------------------------- */

struct dialling {
    struct loop loop;
    struct trib_listener *listener;
    const char *address;
    struct trib_channel *accepted, *dialled;
};

static bool dial_run(struct conform_env *env, void *arg)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct dialling *d = arg;
    struct trib_error err;

    options.transports = env->target->transports;
    options.deadline = trib_deadline_ms(30000);
    REQUIRE_OK(env, trib_dial(d->address, &options, &d->dialled, &err));
    return true;
}

static void on_acceptable(void *arg)
{
    struct dialling *d = arg;
    struct conform_env *env = d->loop.env;
    struct trib_error err;
    int code = trib_listener_accept(d->listener, TRIB_NOWAIT, &d->accepted, &err);

    if (code == TRIB_AGAIN)
        code = trib_listener_watch(d->listener, d->loop.base, on_acceptable, d, &err);
    if (code != TRIB_OK)
        conform_fail(env, __FILE__, __LINE__, "accepting in a callback gave %s: %s", trib_code_name(code), err.message);
    loop_note(&d->loop, code == TRIB_OK, d->accepted != NULL);
}

static bool accept_on_base(struct dialling *d)
{
    struct conform_env *env = d->loop.env;
    struct conform_task *task;
    struct trib_error err;
    struct trib_view view;

    REQUIRE_OK(env, trib_listener_watch(d->listener, d->loop.base, on_acceptable, d, &err));
    task = conform_start(env, dial_run, d);
    TRY(task != NULL && loop_run(&d->loop) && conform_join(env, task));
    REQUIRE_OK(env, trib_writer_bytes(trib_channel_writer(d->dialled), "hello", 5, &err));
    REQUIRE_OK(env, trib_writer_flush(trib_channel_writer(d->dialled), &err));
    REQUIRE_OK(env, trib_reader_take(trib_channel_reader(d->accepted), 5, &view, &err));
    return true;
}

static bool listener_on_base(struct conform_env *env)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct dialling *d = conform_memory(env, sizeof(*d));
    struct trib_error err;
    bool ok;

    if (env->target->listen == NULL)
        return conform_skip(env, "a listener");
    TRY(d != NULL);
    REQUIRE_OK(env, env->target->listen(env->target->arg, &options, &d->listener, &err));
    d->address = trib_listener_address(d->listener);
    ok = d->address != NULL || conform_skip(env, "the listener's address");
    ok = ok && loop_init(&d->loop, env) && accept_on_base(d);
    trib_listener_cancel(d->listener);
    for (struct conform_task *task = env->tasks; task != NULL; task = task->next)
        ok = conform_join(env, task) && ok;
    trib_channel_free(d->accepted);
    trib_channel_free(d->dialled);
    trib_listener_free(d->listener);
    loop_done(&d->loop);
    return ok;
}

const struct conform_case conform_event_cases[] = {
    { "an echo on one event_base", TRIB_CAP_EVENTS | TRIB_CAP_HALF_CLOSE, echo_in_one_thread },
    { "a reader's event_base, a peer that blocks", TRIB_CAP_EVENTS, base_in_the_reader },
    { "a cancel reaches the callback", TRIB_CAP_EVENTS, cancel_of_a_callback },
    { "a callback is taken away", TRIB_CAP_EVENTS, end_of_a_callback },
    { "a listener on an event_base", TRIB_CAP_EVENTS, listener_on_base },
    CONFORM_CASES_END,
};

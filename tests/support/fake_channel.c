/* The scripted channel. */
#include "tests/support/fake_channel.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static int play(int code, const char *what, struct trib_error *err)
{
    return code < 0 ? trib_error_set(err, code, 0, "fake %s: as the script says", what) : code;
}

static int fake_recv(void *self, const struct trib_want *want, struct trib_view *ret_view, unsigned *ret_flags,
                     struct trib_error *err)
{
    struct fake_channel *fake = self;
    size_t i = fake->recv_calls++;
    size_t len = fake->input_len - fake->input_at;
    struct trib_chunk *chunk;

    ck_assert_uint_eq(want->size, sizeof(*want));
    fake->want_min = want->min;
    if (i >= fake->recv_steps)
        return TRIB_EOF;
    if (fake->recvs[i].code != TRIB_OK)
        return play(fake->recvs[i].code, "recv", err);
    if (fake->recvs[i].bytes != 0 && fake->recvs[i].bytes < len)
        len = fake->recvs[i].bytes;
    if (trib_chunk_wrap(fake->input + fake->input_at, len, NULL, NULL, &chunk, err) != TRIB_OK)
        return TRIB_ERR_NOMEM;
    fake->input_at += len;
    *ret_view = trib_chunk_view(chunk);
    *ret_flags = 0;
    return TRIB_OK;
}

static void collect(struct fake_channel *fake, const uint8_t *data, size_t len)
{
    if (fake->output_len + len > fake->output_capacity) {
        fake->output_capacity = 2 * (fake->output_len + len);
        fake->output = realloc(fake->output, fake->output_capacity);
        ck_assert_ptr_nonnull(fake->output);
    }
    memcpy(fake->output + fake->output_len, data, len);
    fake->output_len += len;
}

static size_t take(struct fake_channel *fake, const struct trib_send *send, size_t limit)
{
    size_t taken = 0;

    for (size_t i = 0; i < send->count && taken < limit; i++) {
        struct trib_view *view = &send->views[i];
        size_t len = view->len < limit - taken ? view->len : limit - taken;

        collect(fake, view->data, len);
        taken += len;
        if (fake->move_references && len == view->len) {
            ck_assert_uint_lt(fake->kept_count, FAKE_KEPT_MAX);
            fake->kept[fake->kept_count++] = *view;
            view->holder = NULL;
        }
    }
    return taken;
}

static int fake_send(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err)
{
    struct fake_channel *fake = self;
    size_t i = fake->send_calls++;
    struct fake_send *log = &fake->log[i < FAKE_LOG_MAX ? i : FAKE_LOG_MAX - 1];
    struct fake_step step = { TRIB_OK, 0 };

    *log = (struct fake_send){ send->flags, send->count, 0, 0, send->message_size, send->deadline };
    for (size_t v = 0; v < send->count; v++) {
        ck_assert_uint_gt(send->views[v].len, 0);
        ck_assert_ptr_nonnull(send->views[v].holder);
        log->offered += send->views[v].len;
    }
    if (i < fake->send_steps)
        step = fake->sends[i];
    if (step.code != TRIB_OK)
        return play(step.code, "send", err);
    log->taken = take(fake, send, step.bytes != 0 ? step.bytes : SIZE_MAX);
    *ret_bytes = log->taken;
    return TRIB_OK;
}

static int fake_finish(void *self, int status, const char *text, int64_t deadline, struct trib_error *err)
{
    struct fake_channel *fake = self;
    size_t i = fake->finish_calls++;

    (void)deadline;
    if (i < fake->finish_steps && fake->finishes[i] != TRIB_OK)
        return play(fake->finishes[i], "finish", err);
    fake->finish_status = status;
    if (text != NULL) {
        ck_assert_uint_lt(strlen(text), sizeof(fake->finish_text));
        memcpy(fake->finish_text, text, strlen(text) + 1);
    }
    return TRIB_OK;
}

static void fake_cancel(void *self)
{
    ((struct fake_channel *)self)->cancels++;
}

static void fake_close(void *self)
{
    struct fake_channel *fake = self;

    fake->closes++;
    memset(fake->watches, 0, sizeof(fake->watches));
}

static void fake_free(void *self)
{
    ((struct fake_channel *)self)->frees++;
}

static int fake_watch(void *self, struct event_base *base, enum trib_direction direction, trib_ready_fn *fn, void *arg,
                      struct trib_error *err)
{
    struct fake_channel *fake = self;

    (void)base;
    (void)err;
    fake->watches[direction].fn = fn;
    fake->watches[direction].arg = arg;
    return TRIB_OK;
}

int fake_channel_new(struct fake_channel *fake, unsigned capabilities, const struct trib_channel_options *options,
                     struct trib_channel **ret_channel, struct trib_error *err)
{
    fake->ops = (struct trib_channel_ops){
        .size = sizeof(fake->ops),
        .name = "fake",
        .capabilities = capabilities,
        .recv = fake_recv,
        .send = fake_send,
        .finish = fake_finish,
        .cancel = fake_cancel,
        .close = fake_close,
        .free = fake_free,
        .watch = (capabilities & TRIB_CAP_EVENTS) != 0 ? fake_watch : NULL,
    };
    return trib_channel_new(&fake->ops, fake, options, ret_channel, err);
}

bool fake_channel_armed(const struct fake_channel *fake, enum trib_direction direction)
{
    return fake->watches[direction].fn != NULL;
}

void fake_channel_fire(struct fake_channel *fake, enum trib_direction direction)
{
    trib_ready_fn *fn = fake->watches[direction].fn;

    ck_assert_msg(fn != NULL, "nothing watches");
    fake->watches[direction].fn = NULL;
    fn(fake->watches[direction].arg);
}

void fake_channel_drop_kept(struct fake_channel *fake)
{
    while (fake->kept_count > 0)
        trib_view_release(&fake->kept[--fake->kept_count]);
}

void fake_channel_done(struct fake_channel *fake)
{
    fake_channel_drop_kept(fake);
    free(fake->output);
    fake->output = NULL;
}

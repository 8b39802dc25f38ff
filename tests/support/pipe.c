/* Pushing and popping patterns. */
#include "tests/support/pipe.h"

#include "tests/support/feed.h"

#include <check.h>

struct pipe pipe_of(size_t high, size_t limit)
{
    struct pipe p = { 0 };

    ck_ok(trib_budget_new(high, limit, &p.budget, NULL));
    ck_ok(trib_queue_new(p.budget, 0, &p.queue, NULL));
    return p;
}

void pipe_done(struct pipe *p)
{
    trib_queue_unref(p->queue);
    ck_assert_uint_eq(trib_budget_held(p->budget), 0);
    trib_budget_unref(p->budget);
}

int pipe_push(struct pipe *p, size_t len, unsigned flags, int64_t deadline)
{
    struct trib_view view = trib_chunk_view(feed_chunk(p->pushed, len));
    int rc = trib_queue_push(p->queue, &view, flags, deadline, &p->err);

    if (rc == TRIB_OK) {
        ck_assert_ptr_null(view.holder);
        p->pushed += len;
    } else {
        ck_assert_uint_eq(view.len, len); /* still ours */
        trib_view_release(&view);
    }
    return rc;
}

struct trib_want pipe_want(struct pipe *p, size_t min, size_t spare, int64_t deadline)
{
    return (struct trib_want){ .size = sizeof(struct trib_want), .min = min, .align = 1, .spare = spare, .deadline = deadline,
                               .budget = p->budget };
}

int pipe_pop(struct pipe *p, size_t min, int64_t deadline, struct trib_view *ret_view)
{
    struct trib_want want = pipe_want(p, min, 0, deadline);
    unsigned flags = 0;
    int rc = trib_queue_pop(p->queue, &want, ret_view, &flags, &p->err);

    if (rc == TRIB_OK) {
        feed_check(*ret_view, p->popped, ret_view->len);
        p->popped += ret_view->len;
    }
    return rc;
}

void pipe_drop(struct pipe *p, size_t len)
{
    struct trib_view view;

    ck_ok(pipe_pop(p, 1, TRIB_NOWAIT, &view));
    ck_assert_uint_eq(view.len, len);
    trib_view_release(&view);
}

/* From the I/O thread to a session's UDF: items in a ring, pieces of data in a reader, and the word to stop. */
#include "worker-internal.h"

#include <tributary/alloc.h>

enum { CAPACITY_MIN = 8 };

static int grow(struct tribi_session *session)
{
    size_t capacity = session->capacity > 0 ? 2 * session->capacity : CAPACITY_MIN;
    struct tribi_item *larger = trib_alloc(capacity * sizeof(*larger));

    if (larger == NULL)
        return TRIB_ERR_NOMEM;
    for (size_t i = 0; i < session->count; i++)
        larger[i] = session->items[(session->first + i) & (session->capacity - 1)];
    trib_free(session->items);
    session->items = larger;
    session->capacity = capacity;
    session->first = 0;
    return TRIB_OK;
}

int tribi_session_push(struct tribi_session *session, struct tribi_item *item, struct trib_error *err)
{
    bool wake;
    int rc = TRIB_OK;

    pthread_mutex_lock(&session->lock);
    if (session->count == session->capacity)
        rc = grow(session);
    if (rc == TRIB_OK) {
        atomic_fetch_add(&session->held, tribi_item_weight(item));
        atomic_fetch_add(&session->worker->totals.held, tribi_item_weight(item));
        session->items[(session->first + session->count++) & (session->capacity - 1)] = *item;
    }
    wake = session->waits;
    session->waits = false;
    pthread_mutex_unlock(&session->lock);
    if (rc != TRIB_OK) {
        trib_view_release(&item->bytes);
        return trib_error_set(err, rc, 0, "hand data to a UDF: no memory");
    }
    if (wake)
        sem_post(&session->called);
    return TRIB_OK;
}

static void on_room(void *arg)
{
    tribi_worker_mail(arg, TRIBI_NEWS_ROOM);
}

int tribi_session_feed(struct tribi_session *session, struct trib_error *err)
{
    struct trib_view *bytes = &session->piece;
    struct trib_chunk *piece;
    int rc;

    if (bytes->len == 0)
        return TRIB_OK;
    rc = trib_chunk_sub(bytes->holder, (size_t)(bytes->data - trib_chunk_data(bytes->holder)), bytes->len, &piece, err);
    if (rc != TRIB_OK)
        return rc;
    rc = trib_reader_feed(session->frames, piece, TRIB_NOWAIT, err);
    if (rc != TRIB_OK)
        trib_chunk_unref(piece);
    if (rc == TRIB_AGAIN)
        return trib_reader_on_room(session->frames, on_room, session, err) == TRIB_OK ? rc : TRIB_ERR_NOMEM;
    trib_view_release(bytes);
    return rc == TRIB_ERR_CANCELLED ? TRIB_OK : rc; /* cancelled: the session is being stopped */
}

int tribi_session_prepare(struct tribi_session *session, struct trib_error *err)
{
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;

    options.budget = session->worker->channel.budget;
    options.limit = session->worker->channel.limit;
    return session->intake.in_pieces ? trib_reader_new(&options, &session->frames, err) : TRIB_OK;
}

void tribi_session_stop(struct tribi_session *session)
{
    bool waits;

    if (!session->engaged || session->stopping != 0)
        return;
    session->stopping = trib_now();
    if (tribi_threads_dismiss(session)) {
        session->engaged = false;
        return;
    }
    pthread_mutex_lock(&session->lock);
    atomic_store(&session->stop, true);
    waits = session->waits;
    session->waits = false;
    pthread_mutex_unlock(&session->lock);
    if (waits)
        sem_post(&session->called);
    if (session->frames != NULL)
        trib_reader_cancel(session->frames);
}

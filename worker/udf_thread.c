/* The threads of UDFs: a bounded number, each with one session at a time, and the line of sessions that wait for one. */
#include "worker-internal.h"

#include <signal.h>
#include <stdio.h>

static void name_thread(unsigned number)
{
#ifdef __linux__
    char name[16];

    snprintf(name, sizeof(name), "trib-udf-%u", number);
    pthread_setname_np(pthread_self(), name);
#else
    (void)number;
#endif
}

/* Under the lock: the first in the line, or NULL when the thread is to end. */
static struct tribi_session *next_session(struct trib_worker *worker)
{
    struct tribi_session *session;

    while (worker->ready_first == NULL && !worker->quit) {
        worker->idle++;
        pthread_cond_wait(&worker->work, &worker->lock);
        worker->idle--;
    }
    session = worker->ready_first;
    if (session == NULL)
        return NULL;
    worker->ready_first = session->ready_next;
    if (worker->ready_first == NULL)
        worker->ready_last = &worker->ready_first;
    session->ready = false;
    worker->ready_count--;
    return session;
}

static void *udf_thread(void *arg)
{
    struct trib_worker *worker = arg;
    struct tribi_session *session;

    pthread_mutex_lock(&worker->lock);
    name_thread(++worker->named);
    while ((session = next_session(worker)) != NULL) {
        pthread_mutex_unlock(&worker->lock);
        atomic_fetch_sub(&worker->totals.waiting, 1);
        atomic_fetch_add(&worker->totals.running, 1);
        tribi_session_run(session);
        atomic_fetch_sub(&worker->totals.running, 1);
        tribi_worker_mail(session, TRIBI_NEWS_LEFT);
        pthread_mutex_lock(&worker->lock);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

/* Under the lock. Signals are the process's own affair: none of its handlers runs in the middle of a UDF, or beside itself. */
static int start_thread(struct trib_worker *worker)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&worker->threads[worker->thread_count], NULL, udf_thread, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        worker->thread_count++;
        atomic_fetch_add(&worker->totals.threads, 1);
    }
    return rc;
}

int tribi_threads_engage(struct tribi_session *session, struct trib_error *err)
{
    struct trib_worker *worker = session->worker;
    int failed = 0, rc = tribi_session_prepare(session, err);

    if (rc != TRIB_OK)
        return rc;
    session->times.queued = trib_now();
    session->engaged = true;
    atomic_fetch_add(&worker->totals.waiting, 1);
    pthread_mutex_lock(&worker->lock);
    session->ready = true;
    session->ready_next = NULL;
    *worker->ready_last = session;
    worker->ready_last = &session->ready_next;
    if (++worker->ready_count > worker->idle && worker->thread_count < worker->options.threads)
        failed = start_thread(worker);
    else
        pthread_cond_signal(&worker->work);
    rc = failed != 0 && worker->thread_count == 0 ? TRIB_ERR_IO : TRIB_OK; /* with one, it is only slower */
    pthread_mutex_unlock(&worker->lock);
    if (rc == TRIB_OK)
        return TRIB_OK;
    tribi_threads_dismiss(session);
    session->engaged = false;
    return trib_error_set(err, rc, failed, "start a thread for UDFs");
}

bool tribi_threads_dismiss(struct tribi_session *session)
{
    struct trib_worker *worker = session->worker;
    struct tribi_session **at = &worker->ready_first;
    bool was_ready;

    pthread_mutex_lock(&worker->lock);
    was_ready = session->ready;
    if (was_ready) {
        while (*at != session)
            at = &(*at)->ready_next;
        *at = session->ready_next;
        if (worker->ready_last == &session->ready_next)
            worker->ready_last = at;
        session->ready = false;
        worker->ready_count--;
    }
    pthread_mutex_unlock(&worker->lock);
    if (was_ready)
        atomic_fetch_sub(&worker->totals.waiting, 1);
    return was_ready;
}

void tribi_threads_join(struct trib_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->quit = true;
    pthread_mutex_unlock(&worker->lock);
    pthread_cond_broadcast(&worker->work);
    for (unsigned i = 0; i < worker->thread_count; i++)
        pthread_join(worker->threads[i], NULL);
    worker->thread_count = 0;
}

/* The worker: its life, its I/O thread's bell and clock, and the calls that it hands to sessions and Manage. */
#include "worker-internal.h"

#include <tributary/alloc.h>
#include <tributary/chunk.h>

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 20, IDLE_TICK_MS = 500, REST_MS = 1000 };
#define KEPT ((size_t)4 << 20) /* of blocks, between sessions: the next one begins with memory at hand, and a large one leaves no more behind */
enum { THREADS_MIN = 4, THREADS_MAX = 64, SESSIONS = 16384, SETTLE_MS = 10000, STALL_MS = 600000, REQUEST_MS = 10000 };
enum { RETURN_MS = 1000, RETURN_MIN_MS = 250, FAREWELL_MS = 250 };
#define CONTROL_LIMIT ((size_t)16 << 20)
#define PAYLOAD_LIMIT ((size_t)256 << 20)
#define FRAME_LIMIT ((size_t)256 << 20)
#define HELD_LIMIT ((size_t)256 << 20)

/* ---- Any thread ------------------------------------------------------------------------------------------------- */

/* Also from a signal handler. A full pipe rings already. */
void tribi_worker_ring(struct trib_worker *worker)
{
    int failed = errno;
    ssize_t written = write(worker->bell[1], "", 1);

    (void)written;
    errno = failed;
}

void tribi_worker_mail(struct tribi_session *session, unsigned news)
{
    struct trib_worker *worker = session->worker;
    bool first;

    pthread_mutex_lock(&worker->lock);
    first = worker->mail == NULL;
    session->news |= news;
    if (!session->mailed) {
        session->mailed = true;
        session->mail_next = worker->mail;
        worker->mail = session;
    }
    pthread_mutex_unlock(&worker->lock);
    if (first)
        tribi_worker_ring(worker);
}

void trib_worker_shutdown(struct trib_worker *worker, int64_t grace_ms)
{
    long long at = grace_ms < 0 ? TRIBI_STOP_AT_LEISURE : trib_deadline_ms(grace_ms), was = atomic_load(&worker->stop_at);

    while (at < was && !atomic_compare_exchange_weak(&worker->stop_at, &was, at))
        ;
    tribi_worker_ring(worker);
}

void trib_worker_stats(struct trib_worker *worker, struct trib_worker_stats *ret_stats)
{
    struct tribi_totals *totals = &worker->totals;
    struct trib_worker_stats stats = {
        .size = ret_stats->size,
        .sessions = atomic_load(&totals->sessions),
        .running = atomic_load(&totals->running),
        .waiting = atomic_load(&totals->waiting),
        .in_flight = atomic_load(&totals->in_flight),
        .threads = atomic_load(&totals->threads),
        .bytes_in = atomic_load(&totals->bytes_in),
        .bytes_out = atomic_load(&totals->bytes_out),
        .batches_in = atomic_load(&totals->batches_in),
        .batches_out = atomic_load(&totals->batches_out),
        .copied = atomic_load(&totals->copied),
        .queue_nanos = atomic_load(&totals->queue_nanos),
        .udf_nanos = atomic_load(&totals->udf_nanos),
        .send_nanos = atomic_load(&totals->send_nanos),
        .receive_nanos = atomic_load(&totals->receive_nanos),
        .watchdog = atomic_load(&totals->watchdog),
        .heartbeats = atomic_load(&totals->heartbeats),
        .held = atomic_load(&totals->held),
    };

    for (int i = 0; i < TRIB_WORKER_OUTCOMES; i++)
        stats.outcomes[i] = atomic_load(&totals->outcomes[i]);
    memcpy(ret_stats, &stats, ret_stats->size < sizeof(stats) ? ret_stats->size : sizeof(stats));
}

/* ---- The I/O thread's rounds ------------------------------------------------------------------------------------ */

void tribi_worker_reap(struct trib_worker *worker)
{
    struct tribi_session **at = &worker->graves, *session;
    bool freed = false;

    while ((session = *at) != NULL) {
        *at = session->grave_next;
        tribi_session_free(session);
        freed = true;
    }
    if (freed && worker->sessions == NULL)
        trib_pool_shrink(KEPT);
}

/* Newest first becomes oldest first. */
static struct tribi_session *take_mail(struct trib_worker *worker)
{
    struct tribi_session *mail, *turned = NULL;

    pthread_mutex_lock(&worker->lock);
    mail = worker->mail;
    worker->mail = NULL;
    for (struct tribi_session *next; mail != NULL; mail = next) {
        next = mail->mail_next;
        mail->mail_next = turned;
        turned = mail;
    }
    pthread_mutex_unlock(&worker->lock);
    return turned;
}

static void read_mail(struct trib_worker *worker)
{
    struct tribi_session *next;

    for (struct tribi_session *session = take_mail(worker); session != NULL; session = next) {
        unsigned news;

        pthread_mutex_lock(&worker->lock);
        next = session->mail_next;
        news = session->news;
        session->news = 0;
        session->mailed = false;
        pthread_mutex_unlock(&worker->lock);
        tribi_session_news(session, news);
    }
}

static void cancel_sessions(struct trib_worker *worker)
{
    struct tribi_session *next;

    worker->cancelling = true;
    worker->cancelled_at = trib_now();
    worker->last_at = trib_deadline_ms(worker->options.shutdown_ms);
    for (struct tribi_session *session = worker->sessions; session != NULL; session = next) {
        next = session->next;
        if (session->counted)
            tribi_session_shut(session);
    }
}

/* What is left of the worker on the base. */
static void end(struct trib_worker *worker)
{
    worker->ended = true;
    tribi_manage_free_all(worker);
    trib_grpc_server_free(worker->server);
    worker->server = NULL;
    event_del(worker->belled);
    event_del(worker->tick);
    if (worker->own_base)
        event_base_loopbreak(worker->base);
    if (worker->options.ended != NULL)
        worker->options.ended(worker->options.arg);
}

static void on_drained(void *arg)
{
    struct trib_worker *worker = arg;

    worker->drained = true;
    tribi_worker_ring(worker);
}

/* After the last session: until then Manage is answered, a second ShutdownRequest, too. Who has asked for nothing yet is told before the connections
 * go. */
static void close_connections(struct trib_worker *worker)
{
    worker->closing = true;
    worker->farewell_until = trib_deadline_ms(FAREWELL_MS);
    tribi_manage_close(worker);
    trib_grpc_server_drain(worker->server, on_drained, worker);
}

/* Clients have read all that was said before they are hung up on: one that still writes, such as a reset of a stream that it has just seen end, would
 * find the socket broken, and lose what it had not read. Nobody can make the farewell longer. */
static void look_at_end(struct trib_worker *worker, int64_t now)
{
    int64_t stop_at = atomic_load(&worker->stop_at);

    if (stop_at == TRIBI_NOT_STOPPED || worker->ended)
        return;
    if (!worker->unwell)
        tribi_worker_unwell(worker);
    if (!worker->cancelling && now >= stop_at)
        cancel_sessions(worker);
    tribi_worker_reap(worker);
    tribi_manage_look(worker, now);
    if (atomic_load(&worker->totals.in_flight) > 0)
        return;
    if (!worker->closing)
        close_connections(worker);
    if ((worker->manages == NULL && worker->drained) || now >= worker->farewell_until)
        end(worker);
}

static void set_tick(struct trib_worker *worker, bool rests)
{
    const struct timeval period = {0, (rests ? IDLE_TICK_MS : TICK_MS) * 1000};

    worker->rests = rests;
    event_add(worker->tick, &period);
}

/* There is something to look after. */
static void stir(struct trib_worker *worker)
{
    worker->stirred_at = trib_now();
    if (worker->rests && !worker->ended)
        set_tick(worker, false);
}

/* With nothing to do for a while, memory goes back to the system, and the clock is looked at rarely. */
static void rest(struct trib_worker *worker, int64_t now)
{
    if (worker->sessions != NULL || worker->manages != NULL)
        worker->stirred_at = now;
    else if (!worker->rests && !worker->ended && !worker->closing && now - worker->stirred_at > REST_MS * INT64_C(1000000)) {
        trib_pool_trim();
        set_tick(worker, true);
    }
}

static void on_bell(evutil_socket_t fd, short what, void *arg)
{
    struct trib_worker *worker = arg;
    int64_t now;
    char bytes[64];

    (void)what;
    while (read(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes))
        ;
    stir(worker);
    read_mail(worker);
    now = trib_now();
    tribi_manage_look(worker, now);
    tribi_worker_reap(worker);
    look_at_end(worker, now);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct trib_worker *worker = arg;
    int64_t now = trib_now();
    struct tribi_session *next;

    (void)fd, (void)what;
    for (struct tribi_session *session = worker->sessions; session != NULL; session = next) {
        next = session->next;
        tribi_session_look(session, now);
    }
    tribi_manage_look(worker, now);
    tribi_worker_reap(worker);
    look_at_end(worker, now);
    rest(worker, now);
}

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

static void on_execute(struct trib_grpc_call *call, void *arg)
{
    struct trib_worker *worker = arg;
    char text[96];

    stir(worker);
    if (atomic_load(&worker->stop_at) != TRIBI_NOT_STOPPED) { /* from when the shutdown was answered, not from when it begins */
        tribi_manage_refuse(worker, call, TRIB_GRPC_UNAVAILABLE, "the worker is shutting down");
    } else if (worker->session_count >= worker->options.sessions) {
        snprintf(text, sizeof(text), "%zu sessions are in flight, which is all that are allowed", worker->session_count);
        tribi_manage_refuse(worker, call, TRIB_GRPC_RESOURCE_EXHAUSTED, text);
    } else if (tribi_session_new(worker, call, NULL) != TRIB_OK) {
        tribi_manage_refuse(worker, call, TRIB_GRPC_RESOURCE_EXHAUSTED, "no memory for a session");
    }
    tribi_worker_reap(worker);
}

static void on_manage(struct trib_grpc_call *call, void *arg)
{
    stir(arg);
    tribi_manage_new(arg, call);
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static unsigned default_threads(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    return cpus < THREADS_MIN ? THREADS_MIN : cpus > THREADS_MAX ? THREADS_MAX : (unsigned)cpus;
}

static int complete_options(const struct trib_worker_options *options, struct trib_worker *worker, struct trib_error *err)
{
    struct trib_worker_options complete = TRIB_WORKER_OPTIONS_INIT;

    if (options != NULL)
        memcpy(&complete, options, options->size < sizeof(complete) ? options->size : sizeof(complete));
    if (complete.serializer != NULL && complete.serializer->size < TRIB_SERIALIZER_SIZE_0_1)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "worker: the serializer's table is too small for 0.1");
    if ((complete.align & (complete.align - 1)) != 0 || complete.align > 4096)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "worker: an alignment of %zu: a power of two up to 4096 is needed", complete.align);
    complete.size = sizeof(complete);
    complete.threads = complete.threads != 0 ? complete.threads : default_threads();
    complete.sessions = complete.sessions != 0 ? complete.sessions : SESSIONS;
    complete.control_limit = complete.control_limit != 0 ? complete.control_limit : CONTROL_LIMIT;
    complete.payload_limit = complete.payload_limit != 0 ? complete.payload_limit : PAYLOAD_LIMIT;
    complete.frame_limit = complete.frame_limit != 0 ? complete.frame_limit : FRAME_LIMIT;
    complete.align = complete.align != 0 ? complete.align : 1;
    complete.stall_ms = complete.stall_ms != 0 ? complete.stall_ms : STALL_MS;
    complete.settle_ms = complete.settle_ms != 0 ? complete.settle_ms : SETTLE_MS;
    complete.held_limit = complete.held_limit != 0 ? complete.held_limit : HELD_LIMIT;
    complete.shutdown_ms = complete.shutdown_ms != 0 ? complete.shutdown_ms : complete.settle_ms;
    complete.request_ms = complete.request_ms != 0 ? complete.request_ms : REQUEST_MS;
    worker->options = complete;
    return trib_channel_options_fill(complete.channel, &worker->channel, err);
}

static int make_bell(struct trib_worker *worker, struct trib_error *err)
{
    if (pipe(worker->bell) != 0) {
        worker->bell[0] = worker->bell[1] = -1;
        return trib_error_set(err, TRIB_ERR_IO, errno, "worker: make a pipe");
    }
    for (int i = 0; i < 2; i++) {
        fcntl(worker->bell[i], F_SETFD, FD_CLOEXEC);
        fcntl(worker->bell[i], F_SETFL, O_NONBLOCK);
    }
    return TRIB_OK;
}

static int make_base(struct trib_worker *worker, struct trib_error *err)
{
    if (worker->base != NULL)
        return TRIB_OK;
    evthread_use_pthreads();
    worker->base = event_base_new();
    worker->own_base = worker->base != NULL;
    return worker->own_base ? TRIB_OK : trib_error_set(err, TRIB_ERR_NOMEM, 0, "worker: no memory, or no descriptors, for an event_base");
}

static int make_events(struct trib_worker *worker, struct trib_error *err)
{
    const struct timeval period = {0, TICK_MS * 1000};

    worker->belled = event_new(worker->base, worker->bell[0], EV_READ | EV_PERSIST, on_bell, worker);
    worker->tick = event_new(worker->base, -1, EV_PERSIST, on_tick, worker);
    if (worker->belled != NULL && worker->tick != NULL && event_add(worker->belled, NULL) == 0 && event_add(worker->tick, &period) == 0)
        return TRIB_OK;
    return trib_error_set(err, TRIB_ERR_NOMEM, 0, "worker: no memory for events");
}

static int make_server(struct trib_worker *worker, struct trib_error *err)
{
    int rc = trib_grpc_server_new(worker->base, &worker->channel, &worker->server, err);

    if (rc == TRIB_OK)
        rc = trib_grpc_server_handle(worker->server, TRIB_UDF_EXECUTE, on_execute, worker, err);
    if (rc == TRIB_OK)
        rc = trib_grpc_server_handle(worker->server, TRIB_UDF_MANAGE, on_manage, worker, err);
    if (rc == TRIB_OK)
        rc = tribi_worker_describe(worker->server, err);
    if (rc == TRIB_OK)
        trib_grpc_server_set_report(worker->server, worker->options.stranger, worker->options.arg);
    return rc;
}

int trib_worker_new(struct event_base *base, const struct trib_worker_options *options, struct trib_worker **ret_worker,
                    struct trib_error *err)
{
    struct trib_worker *worker = trib_alloc(sizeof(*worker));
    int rc;

    if (worker == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "worker: no memory");
    worker->base = base;
    worker->bell[0] = worker->bell[1] = -1;
    worker->ready_last = &worker->ready_first;
    worker->last_at = INT64_MAX;
    atomic_init(&worker->stop_at, TRIBI_NOT_STOPPED);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->work, NULL);
    rc = complete_options(options, worker, err);
    if (rc == TRIB_OK) {
        worker->threads = trib_alloc(worker->options.threads * sizeof(*worker->threads));
        rc = worker->threads != NULL ? make_bell(worker, err) : trib_error_set(err, TRIB_ERR_NOMEM, 0, "worker: no memory");
    }
    if (rc == TRIB_OK)
        rc = make_base(worker, err);
    if (rc == TRIB_OK)
        rc = make_events(worker, err);
    if (rc == TRIB_OK)
        rc = make_server(worker, err);
    if (rc == TRIB_OK)
        *ret_worker = worker;
    else
        trib_worker_free(worker);
    return rc;
}

int trib_worker_listen(struct trib_worker *worker, const char *uri, const char **ret_address, struct trib_error *err)
{
    if (worker->server == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "listen at %s: the worker has ended", uri);
    return trib_grpc_server_listen(worker->server, uri, ret_address, err);
}

/* UDFs that were told to return do so in a moment; how many have not. Where all were told at once, that moment began then. */
static uint64_t wait_for_udfs(struct trib_worker *worker)
{
    const struct timespec moment = {0, 1000000};
    int64_t until = trib_deadline_ms(worker->cancelling ? RETURN_MIN_MS : RETURN_MS);
    uint64_t running = atomic_load(&worker->totals.running);

    if (worker->cancelling && until < worker->cancelled_at + RETURN_MS * INT64_C(1000000))
        until = worker->cancelled_at + RETURN_MS * INT64_C(1000000);
    while (running > 0 && trib_now() < until) {
        nanosleep(&moment, NULL);
        running = atomic_load(&worker->totals.running);
    }
    return running;
}

int trib_worker_run(struct trib_worker *worker, struct trib_error *err)
{
    uint64_t running;

    if (!worker->own_base)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "run a worker: its event_base is the caller's to run");
    while (!worker->ended)
        if (event_base_loop(worker->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
            return trib_error_set(err, TRIB_ERR_IO, errno, "run a worker: its event_base failed");
    running = wait_for_udfs(worker);
    if (running > 0)
        return trib_error_set(err, TRIB_ERR_TIMEOUT, 0, "run a worker: it has ended, but %llu UDFs have not returned", (unsigned long long)running);
    return TRIB_OK;
}

static void drop_event(struct event *event)
{
    if (event != NULL)
        event_free(event);
}

void trib_worker_free(struct trib_worker *worker)
{
    if (worker == NULL)
        return;
    for (struct tribi_session *session = worker->sessions; session != NULL; session = session->next)
        tribi_session_lose(session, "the worker was freed");
    tribi_threads_join(worker);
    while (worker->sessions != NULL)
        tribi_session_free(worker->sessions);
    tribi_manage_free_all(worker);
    trib_grpc_server_free(worker->server);
    drop_event(worker->belled);
    drop_event(worker->tick);
    if (worker->own_base)
        event_base_free(worker->base);
    for (int i = 0; i < 2; i++)
        if (worker->bell[i] >= 0)
            close(worker->bell[i]);
    pthread_cond_destroy(&worker->work);
    pthread_mutex_destroy(&worker->lock);
    trib_free(worker->threads);
    trib_free(worker);
}

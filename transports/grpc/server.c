/* The server: listens, accepts and calls handlers, all on the thread of its event_base. */
#include "transports/grpc/owner-internal.h"

#include <tributary/alloc.h>
#include <tributary/uri.h>

#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transports/grpc/talk-internal.h"

enum { BACK_OFF_MS = 50 };

struct method {
    struct method *next;
    char *path; /* NULL: all others */
    trib_grpc_handler_fn *handler;
    void *arg;
};

struct port {
    struct port *next;
    struct trib_grpc_server *server;
    struct tribi_grpc_bound bound;
    const struct trib_channel_ops *ops;
    struct event *acceptable, *patience;
};

struct trib_grpc_server {
    struct tribi_grpc_owner owner;
    struct event_base *base;
    struct trib_channel_options options;
    struct trib_grpc_settings settings;
    struct method *methods;
    struct tribi_grpc_services services;
    struct port *ports;
    bool draining;
    trib_ready_fn *drained;
    void *drained_arg;
    trib_grpc_report_fn *report;
    void *report_arg;
    struct event *tick; /* looks for what ended on other threads */
};

/* ---- Calls ---------------------------------------------------------------------------------------------------------- */

static struct method *find(struct trib_grpc_server *server, const char *path)
{
    struct method *fallback = NULL;

    for (struct method *method = server->methods; method != NULL; method = method->next) {
        if (method->path == NULL)
            fallback = method;
        else if (strcmp(method->path, path) == 0)
            return method;
    }
    return fallback;
}

bool tribi_grpc_server_has(const struct trib_grpc_server *server, const char *service, size_t len)
{
    for (const struct method *method = server->methods; method != NULL; method = method->next)
        if (method->path == NULL ||
            (strlen(method->path) > len + 1 && memcmp(method->path + 1, service, len) == 0 && method->path[1 + len] == '/'))
            return true;
    return false;
}

struct tribi_grpc_services *tribi_grpc_server_services(struct trib_grpc_server *server)
{
    return &server->services;
}

struct event_base *tribi_grpc_server_base(struct trib_grpc_server *server)
{
    return server->base;
}

/* Whose call is next. */
struct wish {
    struct trib_grpc_server *server;
    struct method *method;
};

static bool served(void *arg, const char *path)
{
    struct wish *wish = arg;

    wish->method = find(wish->server, path);
    return wish->method != NULL;
}

static size_t count_calls(const struct trib_grpc_server *server)
{
    size_t count = 0;

    for (struct tribi_grpc_conn *conn = server->owner.conns; conn != NULL; conn = conn->next) {
        pthread_mutex_lock(&conn->lock);
        count += conn->stream_count;
        pthread_mutex_unlock(&conn->lock);
    }
    return count;
}

/* A client that has not heard of it yet may still begin calls. */
static bool all_told(const struct trib_grpc_server *server)
{
    bool told = true;

    for (struct tribi_grpc_conn *conn = server->owner.conns; conn != NULL && told; conn = conn->next) {
        pthread_mutex_lock(&conn->lock);
        told = conn->going_away || conn->lost;
        pthread_mutex_unlock(&conn->lock);
    }
    return told;
}

static void check_drained(struct trib_grpc_server *server)
{
    trib_ready_fn *fn = server->drained;

    if (!server->draining || fn == NULL || !all_told(server) || count_calls(server) > 0)
        return;
    server->drained = NULL;
    fn(server->drained_arg);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct trib_grpc_call *stream = arg;

    (void)fd, (void)what;
    pthread_mutex_lock(&stream->conn->lock);
    tribi_grpc_overdue(stream);
    pthread_mutex_unlock(&stream->conn->lock);
}

static void set_timer(struct trib_grpc_server *server, struct trib_grpc_call *stream)
{
    struct timeval time;
    int64_t left;

    if (stream->deadline == TRIB_FOREVER)
        return;
    left = stream->deadline - trib_now();
    if (left < 0)
        left = 0;
    time = (struct timeval){ left / 1000000000, left % 1000000000 / 1000 + 1 };
    stream->timer = trib_alloc(event_get_struct_event_size());
    if (stream->timer == NULL)
        return; /* reads and writes look at the clock themselves */
    evtimer_assign(stream->timer, server->base, on_deadline, stream);
    evtimer_add(stream->timer, &time);
}

/* Who broke the rules is reported; who hung up is not. */
static void part(struct trib_grpc_server *server, struct tribi_grpc_conn *conn)
{
    struct trib_peer peer = { sizeof(peer), -1, -1, -1 };
    struct trib_error loss;

    pthread_mutex_lock(&conn->lock);
    loss = conn->loss;
    tribi_grpc_conn_peer(conn, &peer);
    pthread_mutex_unlock(&conn->lock);
    tribi_grpc_owner_remove(&server->owner, conn);
    if (loss.code != TRIB_ERR_CLOSED && server->report != NULL)
        server->report(server->report_arg, &peer, &loss);
}

static void serve(struct tribi_grpc_owner *owner, struct tribi_grpc_conn *conn)
{
    struct trib_grpc_server *server = (struct trib_grpc_server *)owner;
    struct trib_grpc_call *stream;
    struct trib_channel *channel;
    struct wish wish = { server, NULL };
    bool lost;

    pthread_mutex_lock(&conn->lock);
    conn->refs++; /* a handler may end its call, and with it the connection */
    while (tribi_grpc_take_incoming(conn, served, &wish, &channel, &stream, NULL) == TRIB_OK) {
        set_timer(server, stream);
        pthread_mutex_unlock(&conn->lock);
        wish.method->handler(stream, wish.method->arg);
        pthread_mutex_lock(&conn->lock);
    }
    lost = conn->lost;
    tribi_grpc_conn_unref_unlock(conn);
    if (lost)
        part(server, conn);
    check_drained(server);
}

/* ---- Connections ---------------------------------------------------------------------------------------------------- */

static void welcome(struct port *port, int fd)
{
    struct trib_grpc_server *server = port->server;
    struct tribi_grpc_conn *conn;

    if (tribi_grpc_conn_new(fd, true, port->ops, &server->options, &conn, NULL) != TRIB_OK) {
        close(fd);
        return;
    }
    tribi_grpc_owner_add(&server->owner, conn);
    pthread_mutex_lock(&conn->lock);
    tribi_grpc_configure(conn, &server->settings);
    conn->base_owned = tribi_grpc_bind(conn, server->base, NULL) == TRIB_OK;
    tribi_grpc_flush(conn);
    pthread_mutex_unlock(&conn->lock);
    if (!conn->base_owned)
        tribi_grpc_owner_remove(&server->owner, conn);
}

static void on_acceptable(evutil_socket_t listening, short what, void *arg)
{
    const struct timeval pause = { 0, BACK_OFF_MS * 1000 };
    struct port *port = arg;
    int rc = TRIB_OK, fd;

    (void)listening, (void)what;
    for (int i = 0; i < 64 && rc == TRIB_OK; i++) {
        rc = tribi_grpc_accept_from(&port->bound, &port->server->options, &fd, NULL);
        if (rc == TRIB_OK)
            welcome(port, fd);
    }
    if (rc < 0) { /* descriptors are lacking: the socket stays readable, so it is left alone for a moment */
        event_del(port->acceptable);
        evtimer_add(port->patience, &pause);
    }
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
    struct port *port = arg;

    (void)fd, (void)what;
    event_add(port->acceptable, NULL);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct trib_grpc_server *server = arg;
    struct tribi_grpc_conn *next;

    (void)fd, (void)what;
    for (struct tribi_grpc_conn *conn = server->owner.conns; conn != NULL; conn = next) {
        bool lost;

        next = conn->next;
        pthread_mutex_lock(&conn->lock);
        lost = conn->lost;
        pthread_mutex_unlock(&conn->lock);
        if (lost)
            part(server, conn);
    }
    check_drained(server);
}

/* ---- Life ------------------------------------------------------------------------------------------------------------ */

int trib_grpc_server_new(struct event_base *base, const struct trib_channel_options *options, struct trib_grpc_server **ret_server,
                         struct trib_error *err)
{
    const struct timeval period = { 1, 0 };
    struct trib_grpc_server *server;
    int rc;

    if (base == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "make a gRPC server: the event_base is NULL");
    server = trib_alloc(sizeof(*server));
    if (server == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "make a gRPC server: no memory");
    rc = trib_channel_options_fill(options, &server->options, err);
    server->owner.wake = (struct tribi_wake)TRIBI_WAKE_NONE;
    server->owner.serve = serve;
    trib_grpc_server_configure(server, NULL);
    server->base = base;
    server->tick = trib_alloc(event_get_struct_event_size());
    if (rc == TRIB_OK && server->tick == NULL)
        rc = trib_error_set(err, TRIB_ERR_NOMEM, 0, "make a gRPC server: no memory");
    if (rc != TRIB_OK) {
        trib_free(server->tick);
        trib_free(server);
        return rc;
    }
    pthread_mutex_init(&server->owner.lock, NULL);
    event_assign(server->tick, base, -1, EV_PERSIST, on_tick, server);
    event_add(server->tick, &period);
    *ret_server = server;
    return TRIB_OK;
}

static void drop_event(struct event **event)
{
    if (*event != NULL)
        event_del(*event);
    trib_free(*event);
    *event = NULL;
}

static void port_free(struct port *port)
{
    drop_event(&port->acceptable);
    drop_event(&port->patience);
    tribi_grpc_bound_done(&port->bound);
    trib_free(port);
}

static int port_watch(struct port *port, struct trib_error *err)
{
    port->acceptable = trib_alloc(event_get_struct_event_size());
    if (port->acceptable != NULL)
        event_assign(port->acceptable, port->server->base, port->bound.fd, EV_READ | EV_PERSIST, on_acceptable, port);
    port->patience = trib_alloc(event_get_struct_event_size());
    if (port->patience != NULL)
        evtimer_assign(port->patience, port->server->base, on_patience, port);
    if (port->acceptable != NULL && port->patience != NULL && event_add(port->acceptable, NULL) == 0)
        return TRIB_OK;
    return trib_error_set(err, TRIB_ERR_NOMEM, 0, "listen at %s: no memory, or the event_base does not take the socket", port->bound.address);
}

int trib_grpc_server_listen(struct trib_grpc_server *server, const char *text, const char **ret_address, struct trib_error *err)
{
    static const char *const known[] = { "method", "mode", "backlog", NULL };
    struct port *port = trib_alloc(sizeof(*port));
    struct trib_uri *uri = NULL;
    const char *method;
    int rc;

    if (port == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "listen at %s: no memory", text);
    port->bound = (struct tribi_grpc_bound)TRIBI_GRPC_UNBOUND; /* first: port_free() closes what is not -1 */
    rc = trib_uri_parse(text, &uri, err);
    if (rc == TRIB_OK) {
        bool local = strcmp(trib_uri_scheme(uri), "grpc+unix") == 0;

        port->server = server;
        port->ops = local ? &tribi_grpc_unix_ops : &tribi_grpc_tcp_ops;
        if (!local && strcmp(trib_uri_scheme(uri), "grpc+tcp") != 0)
            rc = trib_error_set(err, TRIB_ERR_USAGE, 0, "listen at %s: the scheme is neither grpc+unix nor grpc+tcp", text);
        if (rc == TRIB_OK)
            rc = trib_uri_known(uri, known, err);
        if (rc == TRIB_OK)
            rc = tribi_grpc_method(uri, &method, err);
        if (rc == TRIB_OK)
            rc = tribi_grpc_bind_to(uri, &port->bound, err);
        if (rc == TRIB_OK)
            rc = port_watch(port, err);
    }
    trib_uri_free(uri);
    if (rc != TRIB_OK) {
        port_free(port);
        return rc;
    }
    port->next = server->ports;
    server->ports = port;
    if (ret_address != NULL)
        *ret_address = port->bound.address;
    return TRIB_OK;
}

int trib_grpc_server_handle(struct trib_grpc_server *server, const char *path, trib_grpc_handler_fn *handler, void *arg,
                            struct trib_error *err)
{
    struct method *method;

    if (handler == NULL || (path != NULL && path[0] != '/'))
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "handle gRPC %s: %s", path != NULL ? path : "calls",
                              handler == NULL ? "the handler is NULL" : "a path begins with /");
    method = trib_alloc(sizeof(*method));
    if (method == NULL || (path != NULL && (method->path = trib_strdup(path)) == NULL)) {
        trib_free(method);
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "handle gRPC %s: no memory", path != NULL ? path : "calls");
    }
    method->handler = handler;
    method->arg = arg;
    method->next = server->methods;
    server->methods = method;
    return TRIB_OK;
}

void trib_grpc_server_drain(struct trib_grpc_server *server, trib_ready_fn *fn, void *arg)
{
    const struct timeval period = { 0, 10000 };
    struct tribi_grpc_conn *conn;

    server->draining = true;
    server->drained = fn;
    server->drained_arg = arg;
    for (struct port *port = server->ports; port != NULL; port = port->next) {
        drop_event(&port->acceptable);
        drop_event(&port->patience);
        tribi_unix_file_remove(&port->bound.file);
        if (port->bound.fd >= 0)
            close(port->bound.fd);
        port->bound.fd = -1;
    }
    for (conn = server->owner.conns; conn != NULL; conn = conn->next) {
        pthread_mutex_lock(&conn->lock);
        tribi_grpc_conn_drain(conn);
        pthread_mutex_unlock(&conn->lock);
    }
    tribi_grpc_health_close(server->services.health);
    tribi_grpc_reflection_close(server->services.reflection);
    /* Calls may end on other threads: a look now and then finds the last one gone. */
    event_del(server->tick);
    event_add(server->tick, &period);
}

void trib_grpc_server_configure(struct trib_grpc_server *server, const struct trib_grpc_settings *settings)
{
    server->settings = (struct trib_grpc_settings)TRIB_GRPC_SETTINGS_INIT;
    if (settings != NULL)
        memcpy(&server->settings, settings, settings->size < sizeof(server->settings) ? settings->size : sizeof(server->settings));
    server->settings.size = sizeof(server->settings);
}

void trib_grpc_server_set_report(struct trib_grpc_server *server, trib_grpc_report_fn *fn, void *arg)
{
    server->report = fn;
    server->report_arg = arg;
}

size_t trib_grpc_server_calls(const struct trib_grpc_server *server)
{
    return count_calls(server);
}

static void hang_up(struct tribi_grpc_conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    tribi_grpc_conn_goaway(conn, NGHTTP2_NO_ERROR);
    tribi_grpc_flush(conn);
    tribi_grpc_conn_fail(conn, TRIB_ERR_CLOSED, 0, "the server was freed");
    shutdown(conn->fd, SHUT_RDWR);
    pthread_mutex_unlock(&conn->lock);
}

void trib_grpc_server_free(struct trib_grpc_server *server)
{
    if (server == NULL)
        return;
    tribi_grpc_health_free(server->services.health);
    tribi_grpc_reflection_free(server->services.reflection);
    drop_event(&server->tick);
    for (struct tribi_grpc_conn *conn = server->owner.conns; conn != NULL; conn = conn->next)
        hang_up(conn);
    tribi_grpc_owner_done(&server->owner);
    while (server->ports != NULL) {
        struct port *next = server->ports->next;

        port_free(server->ports);
        server->ports = next;
    }
    while (server->methods != NULL) {
        struct method *next = server->methods->next;

        trib_free(server->methods->path);
        trib_free(server->methods);
        server->methods = next;
    }
    pthread_mutex_destroy(&server->owner.lock);
    trib_free(server);
}

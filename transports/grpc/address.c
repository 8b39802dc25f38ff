/* Addresses of grpc+unix: and grpc+tcp:, and the sockets behind them. */
#include "transports/grpc/owner-internal.h"

#include <tributary/alloc.h>
#include <tributary/uri.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { BACKLOG = 128, BACKLOG_MAX = 65535 };

struct address {
    bool local;
    struct tribi_unix_address named;
    struct sockaddr_storage tcp;
    socklen_t tcp_len;
};

static const struct sockaddr *sockaddr_of(const struct address *address, socklen_t *ret_len)
{
    *ret_len = address->local ? address->named.len : address->tcp_len;
    return address->local ? (const struct sockaddr *)&address->named.name : (const struct sockaddr *)&address->tcp;
}

int tribi_grpc_method(const struct trib_uri *uri, const char **ret_method, struct trib_error *err)
{
    const char *method = trib_uri_parameter(uri, "method");

    if (method != NULL && method[0] != '/')
        return trib_uri_bad_parameter(uri, "method", "a method is a path that begins with /, as /pkg.Service/Method", err);
    *ret_method = method;
    return TRIB_OK;
}

static bool parse_port(const char *text, unsigned long *ret_port)
{
    size_t len = strlen(text);

    *ret_port = len <= 5 ? strtoul(text, NULL, 10) : 65536;
    return len > 0 && strspn(text, "0123456789") == len && *ret_port <= 65535;
}

/* "127.0.0.1:50051", "[::1]:50051": this machine only. */
static int parse_tcp(const struct trib_uri *uri, struct address *address, struct trib_error *err)
{
    const char *text = trib_uri_address(uri), *colon = strrchr(text, ':');
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->tcp;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->tcp;
    size_t host = colon != NULL ? (size_t)(colon - text) : 0;
    unsigned long port = 0;

    if (colon == NULL || colon[1] == '\0' || text[strlen(text) - 1] == ']')
        return trib_uri_bad_address(uri, strlen(text), "a port, 0 to 65535, is missing", err);
    if (!parse_port(colon + 1, &port))
        return trib_uri_bad_address(uri, host + 1, "the port is not a number from 0 to 65535", err);
    if (host == 9 && memcmp(text, "127.0.0.1", 9) == 0) {
        v4->sin_family = AF_INET;
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        v4->sin_port = htons((uint16_t)port);
        address->tcp_len = sizeof(*v4);
    } else if (host == 5 && memcmp(text, "[::1]", 5) == 0) {
        v6->sin6_family = AF_INET6;
        v6->sin6_addr = in6addr_loopback;
        v6->sin6_port = htons((uint16_t)port);
        address->tcp_len = sizeof(*v6);
    } else {
        return trib_uri_bad_address(uri, 0, "the host is 127.0.0.1 or [::1]: gRPC is spoken in the clear, on this machine only", err);
    }
    return TRIB_OK;
}

static int parse(const struct trib_uri *uri, struct address *ret_address, struct trib_error *err)
{
    memset(ret_address, 0, sizeof(*ret_address));
    ret_address->local = strcmp(trib_uri_scheme(uri), "grpc+unix") == 0;
    return ret_address->local ? tribi_unix_address(uri, &ret_address->named, err) : parse_tcp(uri, ret_address, err);
}

static int make_socket(const struct address *address, const char *text, int *ret_fd, struct trib_error *err)
{
    int fd = socket(address->local ? AF_UNIX : address->tcp.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "socket for %s", text);
    *ret_fd = fd;
    return TRIB_OK;
}

/* Best effort, and only what is not tuned by the system itself. */
static void tune(int fd, bool local, const struct trib_channel_options *options)
{
    int size = options->send_buffer == 0 ? 1 << 20 : options->send_buffer > (1 << 30) ? 1 << 30 : (int)options->send_buffer, one = 1;

    if (local)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    else
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* ---- Dialling ------------------------------------------------------------------------------------------------------ */

static void set_patience(int fd, int64_t left)
{
    struct timeval patience = { (time_t)(left / 1000000000), (suseconds_t)(left % 1000000000 / 1000) };

    if (left > 0 && patience.tv_sec == 0 && patience.tv_usec == 0)
        patience.tv_usec = 1;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

static int connect_by(int fd, const struct address *address, const char *text, int64_t deadline, struct trib_error *err)
{
    bool limited = deadline != TRIB_FOREVER && deadline != TRIB_NOWAIT;
    socklen_t len;
    const struct sockaddr *to = sockaddr_of(address, &len);
    int failed;

    do {
        int64_t left = limited ? deadline - trib_now() : 0;

        if (limited)
            set_patience(fd, left > 0 ? left : 1);
        failed = connect(fd, to, len) == 0 ? 0 : errno;
    } while (failed == EINTR);
    if (limited && failed == 0)
        set_patience(fd, 0);
    if (failed == EAGAIN && deadline == TRIB_NOWAIT)
        return TRIB_AGAIN;
    if (failed == EAGAIN || failed == EINPROGRESS || failed == EALREADY)
        return trib_error_set(err, TRIB_ERR_TIMEOUT, 0, "connect to %s: the deadline passed", text);
    return failed == 0 ? TRIB_OK : trib_error_set(err, TRIB_ERR_IO, failed, "connect to %s", text);
}

int tribi_grpc_connect_to(const struct trib_uri *uri, const struct trib_channel_options *options, int *ret_fd, struct trib_error *err)
{
    struct address address;
    int fd, rc = parse(uri, &address, err);

    if (rc == TRIB_OK)
        rc = make_socket(&address, trib_uri_text(uri), &fd, err);
    if (rc != TRIB_OK)
        return rc;
    if (options->deadline == TRIB_NOWAIT && address.local)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); /* a full backlog would make connect wait */
    rc = connect_by(fd, &address, trib_uri_text(uri), options->deadline, err);
    if (rc == TRIB_OK && address.local)
        rc = tribi_unix_check_peer(fd, options, err);
    if (rc != TRIB_OK) {
        close(fd);
        return rc;
    }
    tune(fd, address.local, options);
    *ret_fd = fd;
    return TRIB_OK;
}

/* ---- Listening ------------------------------------------------------------------------------------------------------ */

static char *tcp_uri(int fd)
{
    struct sockaddr_storage name = { 0 };
    socklen_t len = sizeof(name);
    char *text = trib_alloc(64);

    if (text == NULL || getsockname(fd, (struct sockaddr *)&name, &len) != 0) {
        trib_free(text);
        return NULL;
    }
    if (name.ss_family == AF_INET)
        snprintf(text, 64, "grpc+tcp:127.0.0.1:%u", ntohs(((struct sockaddr_in *)&name)->sin_port));
    else
        snprintf(text, 64, "grpc+tcp:[::1]:%u", ntohs(((struct sockaddr_in6 *)&name)->sin6_port));
    return text;
}

static int listen_at(const struct address *address, struct tribi_grpc_bound *bound, mode_t mode, int backlog, const char *text,
                     struct trib_error *err)
{
    socklen_t len;
    const struct sockaddr *at = sockaddr_of(address, &len);
    int one = 1;

    if (address->local && !address->named.abstract)
        return tribi_unix_file_bind(&bound->file, bound->fd, &address->named, mode, backlog, err);
    if (!address->local)
        setsockopt(bound->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(bound->fd, at, len) != 0 || listen(bound->fd, backlog) != 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "listen at %s", text);
    return TRIB_OK;
}

int tribi_grpc_bind_to(const struct trib_uri *uri, struct tribi_grpc_bound *ret_bound, struct trib_error *err)
{
    struct tribi_grpc_bound bound = TRIBI_GRPC_UNBOUND;
    uint64_t mode = 0600, backlog = BACKLOG;
    struct address address;
    int rc = trib_uri_number(uri, "mode", 8, 0, 0777, 0600, &mode, err);

    if (rc == TRIB_OK)
        rc = trib_uri_number(uri, "backlog", 10, 1, BACKLOG_MAX, BACKLOG, &backlog, err);
    if (rc == TRIB_OK)
        rc = parse(uri, &address, err);
    if (rc == TRIB_OK)
        rc = make_socket(&address, trib_uri_text(uri), &bound.fd, err);
    if (rc != TRIB_OK)
        return rc;
    bound.local = address.local;
    fcntl(bound.fd, F_SETFL, fcntl(bound.fd, F_GETFL) | O_NONBLOCK);
    rc = listen_at(&address, &bound, (mode_t)mode, (int)backlog, trib_uri_text(uri), err);
    if (rc == TRIB_OK) {
        bound.address = address.local ? tribi_unix_uri("grpc+unix:", &address.named) : tcp_uri(bound.fd);
        if (bound.address == NULL)
            rc = trib_error_set(err, TRIB_ERR_NOMEM, 0, "listen at %s: no memory", trib_uri_text(uri));
    }
    if (rc != TRIB_OK) {
        tribi_grpc_bound_done(&bound);
        return rc;
    }
    *ret_bound = bound;
    return TRIB_OK;
}

void tribi_grpc_bound_done(struct tribi_grpc_bound *bound)
{
    tribi_unix_file_remove(&bound->file);
    if (bound->fd >= 0)
        close(bound->fd);
    bound->fd = -1;
    trib_free(bound->address);
    bound->address = NULL;
}

int tribi_grpc_accept_from(struct tribi_grpc_bound *bound, const struct trib_channel_options *options, int *ret_fd, struct trib_error *err)
{
    int fd;

    do
        fd = accept4(bound->fd, NULL, NULL, SOCK_CLOEXEC);
    while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
    if (fd < 0 && errno == EAGAIN)
        return TRIB_AGAIN;
    if (fd < 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "accept");
    if (bound->local && tribi_unix_check_peer(fd, options, NULL) != TRIB_OK) {
        close(fd);
        return TRIB_AGAIN;
    }
    tune(fd, bound->local, options);
    *ret_fd = fd;
    return TRIB_OK;
}

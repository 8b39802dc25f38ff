/* unix: channels between processes of one machine. */
#include "unix-internal.h"

#include <tributary/alloc.h>
#include <tributary/fd.h>

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

int tribi_unix_address(const struct trib_uri *uri, struct tribi_unix_address *ret_address, struct trib_error *err)
{
    const char *text = trib_uri_address(uri);
    size_t len = strlen(text);
    struct tribi_unix_address address = {.name = {.sun_family = AF_UNIX}, .abstract = text[0] == '@'};

    if (len == 0 || (address.abstract && len == 1))
        return trib_uri_bad_address(uri, len, "a path or @name is missing", err);
    if (len > NAME_MAX_BYTES) {
        char why[96];
        snprintf(why, sizeof(why), "the path has %zu bytes, and a socket's has at most %d", len, NAME_MAX_BYTES);
        return trib_uri_bad_address(uri, NAME_MAX_BYTES, why, err);
    }
    memcpy(address.name.sun_path, text, len);
    if (address.abstract)
        address.name.sun_path[0] = '\0';
    /* The length of an abstract name counts; a path ends with its NUL. */
    address.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (address.abstract ? 0 : 1));
    *ret_address = address;
    return TRIB_OK;
}

char *tribi_unix_uri(const char *prefix, const struct tribi_unix_address *address)
{
    const char *path = address->name.sun_path;
    size_t len = address->len - offsetof(struct sockaddr_un, sun_path), n = strlen(prefix);
    char *text;

    if (!address->abstract)
        len = strnlen(path, len);
    text = trib_alloc(n + 3 * len + 1);
    if (text == NULL)
        return NULL;
    memcpy(text, prefix, n);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)path[i];
        if (i == 0 && address->abstract)
            text[n++] = '@';
        else if (c == '?' || c == '%' || c == '#' || c <= ' ' || c >= 0x7f)
            n += (size_t)snprintf(text + n, 4, "%%%02X", c);
        else
            text[n++] = (char)c;
    }
    text[n] = '\0';
    return text;
}

int tribi_unix_socket(int flags)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
}

int tribi_unix_check_peer(int fd, const struct trib_channel_options *options, struct trib_error *err)
{
#ifdef SO_PEERCRED
    struct ucred who;
    socklen_t len = sizeof(who);

    if (options->any_user)
        return TRIB_OK;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "ask who the peer is");
    if (who.uid != geteuid())
        return trib_error_set(err, TRIB_ERR_IO, EACCES, "the peer is user %ld, we are user %ld, and any_user is not set", (long)who.uid,
                              (long)geteuid());
    return TRIB_OK;
#else
    if (options->any_user)
        return TRIB_OK;
    (void)fd;
    return trib_error_set(err, TRIB_ERR_IO, EACCES, "the peer is unknown on this system, and any_user is not set");
#endif
}

int tribi_unix_channel(int fd, const struct trib_channel_options *options, struct trib_channel **ret_channel, struct trib_error *err)
{
    const struct trib_fd_options fd_options = {.size = sizeof(fd_options), .name = "unix"};

    return trib_fd_channel(fd, fd, &fd_options, options, ret_channel, err);
}

/* A full backlog makes connect wait, as long as a send may: SO_SNDTIMEO is the deadline of both. */
static void set_patience(int fd, int64_t left)
{
    struct timeval patience = {0, 0};

    if (left > 0) {
        patience.tv_sec = (time_t)(left / 1000000000);
        patience.tv_usec = (suseconds_t)(left % 1000000000 / 1000);
        if (patience.tv_sec == 0 && patience.tv_usec == 0)
            patience.tv_usec = 1; /* 0 would be for ever */
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

static int connect_by(int fd, const struct tribi_unix_address *address, const char *text, int64_t deadline, struct trib_error *err)
{
    bool limited = deadline != TRIB_FOREVER && deadline != TRIB_NOWAIT;
    int failed;

    do {
        int64_t left = limited ? deadline - trib_now() : 0;
        if (limited)
            set_patience(fd, left > 0 ? left : 1);
        failed = connect(fd, (const struct sockaddr *)&address->name, address->len) == 0 ? 0 : errno;
    } while (failed == EINTR);
    if (limited && failed == 0)
        set_patience(fd, 0);
    if (failed == EAGAIN && deadline == TRIB_NOWAIT)
        return TRIB_AGAIN;
    if (failed == EAGAIN)
        return trib_error_set(err, TRIB_ERR_TIMEOUT, 0, "connect to %s: the deadline passed, the listener's backlog is full", text);
    return failed == 0 ? TRIB_OK : trib_error_set(err, TRIB_ERR_IO, failed, "connect to %s", text);
}

static int unix_dial(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_channel **ret_channel,
                     struct trib_error *err)
{
    static const char *const no_parameters[] = {NULL};
    struct tribi_unix_address address;
    int fd, rc = trib_uri_known(uri, no_parameters, err);

    if (rc == TRIB_OK)
        rc = tribi_unix_address(uri, &address, err);
    if (rc != TRIB_OK)
        return rc;
    fd = tribi_unix_socket(options->deadline == TRIB_NOWAIT ? SOCK_NONBLOCK : 0);
    if (fd < 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "socket for %s", trib_uri_text(uri));
    rc = connect_by(fd, &address, trib_uri_text(uri), options->deadline, err);
    if (rc == TRIB_OK)
        rc = tribi_unix_check_peer(fd, options, err);
    if (rc == TRIB_OK)
        rc = tribi_unix_channel(fd, options, ret_channel, err);
    if (rc != TRIB_OK)
        close(fd);
    return rc;
}

int trib_unix_pair(const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                   struct trib_error *err)
{
    struct trib_channel_options whole;
    struct trib_channel *a;
    int ends[2], rc = trib_channel_options_fill(options, &whole, err);

    if (rc != TRIB_OK)
        return rc;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "make a pair of sockets");
    rc = tribi_unix_channel(ends[0], &whole, &a, err);
    if (rc != TRIB_OK) {
        close(ends[0]);
        close(ends[1]);
        return rc;
    }
    rc = tribi_unix_channel(ends[1], &whole, ret_b, err);
    if (rc != TRIB_OK) {
        trib_channel_free(a);
        close(ends[1]);
        return rc;
    }
    *ret_a = a;
    return TRIB_OK;
}

const struct trib_transport trib_transport_unix = {
    .size = sizeof(struct trib_transport),
    .scheme = "unix",
    .capabilities = TRIB_CAP_HALF_CLOSE | TRIB_CAP_CREDENTIALS | TRIB_CAP_EVENTS,
    .dial = unix_dial,
    .listen = tribi_unix_listen,
    .pair = trib_unix_pair,
};

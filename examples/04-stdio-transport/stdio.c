/* A transport from outside: the process's own stdin and stdout as a channel, "stdio:".
 *
 *   cc -shared -fPIC -o stdio.so stdio.c $(pkg-config --cflags --libs libtributary)
 *   tributary conform ./stdio.so
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2 */
#endif
#include <tributary/fd.h>
#include <tributary/transport.h>
#include <tributary/uri.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void close_two(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* On TRIB_OK the descriptors are the channel's; otherwise they are closed. */
static int stdio_channel(int in, int out, const struct trib_channel_options *options, struct trib_channel **ret_channel,
                         struct trib_error *err)
{
    struct trib_fd_options fd_options = TRIB_FD_OPTIONS_INIT;
    int code;

    fd_options.name = "stdio";
    code = trib_fd_channel(in, out, &fd_options, options, ret_channel, err);
    if (code != TRIB_OK)
        close_two((int[]){ in, out });
    return code;
}

/* Moves stdin and stdout to descriptors of the channel's own. What anyone prints from now on goes to stderr, not into the
 * stream. */
static int take_over(int ret_fds[2], struct trib_error *err)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fds[2];

    if (null < 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "dial stdio: open /dev/null");
    fds[0] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    fds[1] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fds[0] < 0 || fds[1] < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        trib_error_set(err, TRIB_ERR_IO, errno, "dial stdio: take over stdin and stdout");
        close(null);
        close_two(fds);
        return TRIB_ERR_IO;
    }
    close(null);
    ret_fds[0] = fds[0];
    ret_fds[1] = fds[1];
    return TRIB_OK;
}

static int stdio_dial(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_channel **ret_channel,
                      struct trib_error *err)
{
    static const char *const known[] = { NULL };
    int code = trib_uri_known(uri, known, err);
    int fds[2] = { -1, -1 };

    if (code == TRIB_OK && trib_uri_address(uri)[0] != '\0')
        code = trib_uri_bad_address(uri, 0, "stdio has no address", err);
    if (code == TRIB_OK)
        code = take_over(fds, err);
    return code == TRIB_OK ? stdio_channel(fds[0], fds[1], options, ret_channel, err) : code;
}

static int make_pipe(int ret_fds[2], struct trib_error *err)
{
    if (pipe2(ret_fds, O_CLOEXEC) != 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "pair of stdio: pipe");
    return TRIB_OK;
}

/* Two pipes, one for each direction: what a parent would lay to its child's stdin and stdout. */
static int stdio_pair(const struct trib_channel_options *options, struct trib_channel **ret_a, struct trib_channel **ret_b,
                      struct trib_error *err)
{
    struct trib_channel *a;
    int there[2], back[2];
    int code = make_pipe(there, err);

    if (code != TRIB_OK)
        return code;
    code = make_pipe(back, err);
    if (code != TRIB_OK) {
        close_two(there);
        return code;
    }
    code = stdio_channel(back[0], there[1], options, &a, err);
    if (code != TRIB_OK) {
        close_two((int[]){ there[0], back[1] });
        return code;
    }
    code = stdio_channel(there[0], back[1], options, ret_b, err);
    if (code != TRIB_OK) {
        trib_channel_free(a);
        return code;
    }
    *ret_a = a;
    return TRIB_OK;
}

static const struct trib_transport stdio_transport = {
    .size = sizeof(struct trib_transport),
    .scheme = "stdio",
    .capabilities = TRIB_CAP_EVENTS | TRIB_CAP_HALF_CLOSE,
    .dial = stdio_dial,
    .pair = stdio_pair,
};

/* The one thing that a module exports, under the name that TRIB_TRANSPORT_MODULE gives. */
TRIB_API const struct trib_transport *trib_transport_module(void);
TRIB_API const struct trib_transport *trib_transport_module(void)
{
    return &stdio_transport;
}

/* Channels over descriptors: sockets, pipes and ttys; waiting, cancelling, ending. */
#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/runner.h"

#include <tributary/fd.h>
#include <tributary/reader.h>
#include <tributary/transport.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum kind { SOCKETS, PIPES, NON_BLOCKING, SPINNING, TTYS, KINDS };

/* Some containers have no terminals to give: their cases are left out there, and it is said. */
static int kinds_here(void)
{
    int tty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    bool have = tty >= 0 && grantpt(tty) == 0 && unlockpt(tty) == 0 && access(ptsname(tty), R_OK | W_OK) == 0;

    if (!have)
        printf("left out: the cases of ttys, for there is no terminal to be had\n");
    if (tty >= 0)
        close(tty);
    return have ? KINDS : TTYS;
}

static void open_descriptors(enum kind kind, int a[2], int b[2])
{
    int there[2], back[2];

    if (kind == PIPES) {
        ck_assert_int_eq(pipe2(there, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(back, O_CLOEXEC), 0);
        a[0] = back[0], a[1] = there[1], b[0] = there[0], b[1] = back[1];
    } else if (kind == TTYS) {
        struct termios raw;
        there[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        ck_assert(there[0] >= 0 && grantpt(there[0]) == 0 && unlockpt(there[0]) == 0);
        there[1] = open(ptsname(there[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
        ck_assert_int_eq(tcgetattr(there[1], &raw), 0);
        cfmakeraw(&raw);
        ck_assert_int_eq(tcsetattr(there[1], TCSANOW, &raw), 0);
        a[0] = a[1] = there[0], b[0] = b[1] = there[1];
    } else {
        int flags = kind == NON_BLOCKING ? SOCK_NONBLOCK : 0;
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, there), 0);
        a[0] = a[1] = there[0], b[0] = b[1] = there[1];
    }
}

/* -1: it has none. */
static int buffer_of(int fd)
{
    int size = -1;
    socklen_t len = sizeof(size);

    return getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 ? size : fcntl(fd, F_GETPIPE_SZ);
}

static void open_pair(enum kind kind, struct trib_channel **a, struct trib_channel **b)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    int fa[2], fb[2];

    options.spin_us = kind == SPINNING ? 50 : 0;
    open_descriptors(kind, fa, fb);
    ck_assert_int_eq(trib_fd_channel(fa[0], fa[1], NULL, &options, a, NULL), TRIB_OK);
    ck_assert_int_eq(trib_fd_channel(fb[0], fb[1], NULL, &options, b, NULL), TRIB_OK);
}

/* ---- Descriptors ---------------------------------------------------------------------------------------------- */

static int bad_descriptor(int which, int *ret_other)
{
    int ends[2] = {-1, -1}, fd;
    struct sockaddr sun = {.sa_family = AF_UNIX};

    *ret_other = -1;
    switch (which) {
    case 0:
        return 1000000;
    case 1:
        return open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* a file will do, but not for writing */
    case 2:
        return open("/", O_RDONLY | O_CLOEXEC);
    case 6:
        return eventfd(0, EFD_CLOEXEC);
    case 3:
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
        break;
    case 4:
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fd, &sun, sizeof(sun.sa_family)), 0);
        ck_assert_int_eq(listen(fd, 1), 0);
        return fd;
    default:
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        break;
    }
    *ret_other = ends[1];
    return ends[0];
}

static const char *const bad_reasons[] = {
    "Bad file descriptor", "open for reading only", "a directory", "not a connected", "not a connected", "for reading only",
    "neither socket",
};

START_TEST(test_bad_descriptors)
{
    struct trib_error err = {.code = 0};
    struct trib_channel *channel = NULL;
    int other, fd = bad_descriptor(_i, &other);

    ck_assert_int_eq(trib_fd_channel(fd, fd, NULL, NULL, &channel, &err), TRIB_ERR_USAGE);
    ck_assert_ptr_null(channel);
    ck_assert_msg(strstr(err.message, bad_reasons[_i]) != NULL, "%s", err.message);
    close(fd);
    if (other >= 0)
        close(other);
}
END_TEST

static const unsigned capabilities[KINDS] = {
    [SOCKETS] = TRIB_CAP_EVENTS | TRIB_CAP_HALF_CLOSE | TRIB_CAP_CREDENTIALS,
    [PIPES] = TRIB_CAP_EVENTS | TRIB_CAP_HALF_CLOSE,
    [TTYS] = TRIB_CAP_EVENTS,
    [NON_BLOCKING] = TRIB_CAP_EVENTS | TRIB_CAP_HALF_CLOSE | TRIB_CAP_CREDENTIALS,
    [SPINNING] = TRIB_CAP_EVENTS | TRIB_CAP_HALF_CLOSE | TRIB_CAP_CREDENTIALS,
};

START_TEST(test_capabilities_and_peer)
{
    struct trib_peer peer = {.size = sizeof(peer)};
    struct trib_channel *a, *b;

    open_pair(_i, &a, &b);
    ck_assert_uint_eq(trib_channel_capabilities(a), capabilities[_i]);
    if (capabilities[_i] & TRIB_CAP_CREDENTIALS) {
        ck_assert_int_eq(trib_channel_peer(a, &peer, NULL), TRIB_OK);
        ck_assert_int_eq(peer.pid, getpid());
        ck_assert_int_eq(peer.uid, geteuid());
        ck_assert_int_eq(peer.gid, getegid());
    } else {
        ck_assert_int_eq(trib_channel_peer(a, &peer, NULL), TRIB_ERR_UNSUPPORTED);
    }
    trib_channel_free(a);
    trib_channel_free(b);
}
END_TEST

START_TEST(test_keep_open)
{
    struct trib_fd_options keep = TRIB_FD_OPTIONS_INIT;
    struct trib_channel *channel;
    int a[2], b[2], flags, buffers[2];

    keep.keep_open = true;
    keep.name = "kept";
    open_descriptors(_i, a, b);
    fcntl(a[0], F_SETFD, 0);
    flags = fcntl(a[0], F_GETFL);
    buffers[0] = buffer_of(a[0]);
    buffers[1] = buffer_of(a[1]);
    ck_assert_int_eq(trib_fd_channel(a[0], a[1], &keep, NULL, &channel, NULL), TRIB_OK);
    ck_assert_str_eq(trib_channel_name(channel), "kept");
    ck_assert(_i == TTYS || _i == PIPES || buffer_of(a[1]) != buffers[1]); /* a user may have no more pages for pipes */
    trib_channel_free(channel);
    ck_assert_int_eq(fcntl(a[0], F_GETFL), flags);
    ck_assert_int_eq(fcntl(a[0], F_GETFD), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(buffer_of(a[i]), buffers[i]);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(close(a[i]), i == 1 && a[0] == a[1] ? -1 : 0);
        ck_assert_int_eq(close(b[i]), i == 1 && b[0] == b[1] ? -1 : 0);
    }
}
END_TEST

/* A TCP socket tunes its buffer itself until it is told a size: it does so again when it was kept. */
START_TEST(test_keep_open_tcp)
{
#ifdef SO_BUF_LOCK
    struct trib_fd_options keep = {.size = sizeof(keep), .keep_open = true};
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), before, lock = -1;
    struct trib_channel *channel;
    socklen_t len = sizeof(address);

    ck_assert(bind(door, (void *)&address, len) == 0 && listen(door, 1) == 0 && getsockname(door, (void *)&address, &len) == 0);
    ck_assert_int_eq(connect(fd, (void *)&address, len), 0);
    before = buffer_of(fd);
    options.send_buffer = 50000;
    ck_assert_int_eq(trib_fd_channel(fd, fd, &keep, &options, &channel, NULL), TRIB_OK);
    ck_assert_int_eq(buffer_of(fd), 100000);
    trib_channel_free(channel);
    ck_assert(buffer_of(fd) == before || (before > 100000 && buffer_of(fd) > 100000)); /* tuning goes beyond what may be asked for */
    len = sizeof(lock);
    ck_assert(getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, &len) != 0 || lock == 0); /* older kernels do not tell */
    close(fd);
    close(door);
#endif
}
END_TEST

/* ---- Bytes ---------------------------------------------------------------------------------------------------- */

enum { STREAM_BYTES = 1 << 20 };

static void send_stream(void *arg)
{
    struct trib_writer *writer = trib_channel_writer(arg);
    uint8_t piece[1000];

    for (size_t i = 0; i < STREAM_BYTES; i += 1000) {
        memset(piece, (int)(i / 1000 % 251), sizeof(piece));
        ck_assert_int_eq(trib_writer_bytes(writer, piece, i + 1000 > STREAM_BYTES ? STREAM_BYTES - i : 1000, NULL), TRIB_OK);
    }
    ck_assert_int_eq(trib_writer_flush(writer, NULL), TRIB_OK);
}

static void receive_stream(struct trib_channel *channel)
{
    struct trib_reader *reader = trib_channel_reader(channel);

    for (size_t i = 0; i < STREAM_BYTES; i += 1000) {
        size_t n = i + 1000 > STREAM_BYTES ? STREAM_BYTES - i : 1000;
        struct trib_error err = {.code = 0};
        struct trib_view view;
        ck_assert_msg(trib_reader_take(reader, n, &view, &err) == TRIB_OK, "at %zu: %s", i, err.message);
        ck_assert_uint_eq(view.data[0], i / 1000 % 251);
        ck_assert_uint_eq(view.data[n - 1], i / 1000 % 251);
    }
}

START_TEST(test_stream)
{
    struct trib_channel *a, *b;
    struct runner sender;
    uint8_t byte;

    open_pair(_i, &a, &b);
    runner_start(&sender, send_stream, a);
    receive_stream(b);
    runner_join(&sender);
    trib_channel_free(a);
    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(b), &byte, NULL), TRIB_EOF);
    trib_channel_free(b);
}
END_TEST

START_TEST(test_half_close)
{
    struct trib_channel *a, *b;
    uint8_t byte = 0;

    open_pair(_i, &a, &b);
    ck_assert_int_eq(trib_writer_finish(trib_channel_writer(a), 0, NULL, NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(b), &byte, NULL), TRIB_EOF);
    ck_assert_int_eq(trib_writer_u8(trib_channel_writer(b), 7, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(b), NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(a), &byte, NULL), TRIB_OK);
    ck_assert_uint_eq(byte, 7);
    trib_channel_free(a);
    trib_channel_free(b);
}
END_TEST

START_TEST(test_finish_with_status_ends_all)
{
    struct trib_channel *a, *b;
    uint8_t byte = 0;

    open_pair(SOCKETS, &a, &b);
    ck_assert_int_eq(trib_writer_finish(trib_channel_writer(a), 3, "no", NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(b), &byte, NULL), TRIB_EOF);
    ck_assert_int_eq(trib_writer_u8(trib_channel_writer(b), 7, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(b), NULL), TRIB_ERR_CLOSED);
    trib_channel_free(a);
    trib_channel_free(b);
}
END_TEST

START_TEST(test_peer_left)
{
    struct trib_error err = {.code = 0};
    struct trib_channel *a, *b;
    uint8_t byte;

    open_pair(SOCKETS, &a, &b);
    ck_assert_int_eq(trib_writer_u8(trib_channel_writer(b), 7, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(b), NULL), TRIB_OK);
    trib_channel_free(a); /* with a byte unread: a reset */
    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(b), &byte, &err), TRIB_ERR_CLOSED);
    ck_assert_int_eq(err.sys_errno, ECONNRESET);
    ck_assert_int_eq(trib_writer_u8(trib_channel_writer(b), 7, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(b), &err), TRIB_ERR_CLOSED);
    ck_assert_int_eq(err.sys_errno, EPIPE);
    ck_assert_msg(strstr(err.message, "send to fd") != NULL, "%s", err.message);
    trib_channel_free(b);
}
END_TEST

START_TEST(test_peer_killed_mid_message)
{
    struct trib_error err = {.code = 0};
    struct trib_channel *channel;
    struct trib_view view;
    uint32_t size;
    int ends[2], status;
    pid_t child;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        static const uint8_t half[] = {0, 0, 0, 100, 1, 2, 3};
        close(ends[0]);
        _exit(write(ends[1], half, sizeof(half)) == sizeof(half) && pause() ? 1 : 2);
    }
    close(ends[1]);
    ck_assert_int_eq(trib_fd_channel(ends[0], ends[0], NULL, NULL, &channel, NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_be32(trib_channel_reader(channel), &size, NULL), TRIB_OK);
    ck_assert_uint_eq(size, 100);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(channel), size, &view, &err), TRIB_ERR_SHORT);
    ck_assert_uint_eq(err.wanted, 100);
    ck_assert_uint_eq(err.got, 3);
    trib_channel_free(channel);
}
END_TEST

static void ignore_signal(int signal)
{
    (void)signal;
}

START_TEST(test_eintr_storm)
{
    struct itimerval storm = {{0, 200}, {0, 200}}, calm = {{0, 0}, {0, 0}};
    struct sigaction on = {.sa_handler = ignore_signal}, before; /* without SA_RESTART */
    struct trib_channel *a, *b;
    struct runner sender;

    open_pair(_i, &a, &b);
    sigaction(SIGALRM, &on, &before);
    setitimer(ITIMER_REAL, &storm, NULL);
    for (int i = 0; i < 5; i++) {
        runner_start(&sender, send_stream, a);
        receive_stream(b);
        runner_join(&sender);
    }
    setitimer(ITIMER_REAL, &calm, NULL);
    sigaction(SIGALRM, &before, NULL);
    trib_channel_free(a);
    trib_channel_free(b);
}
END_TEST

/* ---- Waiting -------------------------------------------------------------------------------------------------- */

static void fill_up(struct trib_channel *channel)
{
    static const uint8_t zeros[65536];
    int rc;

    trib_writer_set_deadline(trib_channel_writer(channel), TRIB_NOWAIT);
    do
        rc = trib_writer_bytes(trib_channel_writer(channel), zeros, sizeof(zeros), NULL);
    while (rc == TRIB_OK);
    ck_assert_int_eq(rc, TRIB_AGAIN);
}

START_TEST(test_deadlines)
{
    struct trib_channel *a, *b;
    uint8_t byte;

    open_pair(_i, &a, &b);
    trib_reader_set_deadline(trib_channel_reader(a), TRIB_NOWAIT);
    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(a), &byte, NULL), TRIB_AGAIN);
    trib_reader_set_deadline(trib_channel_reader(a), 1); /* long over */
    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(a), &byte, NULL), TRIB_ERR_TIMEOUT);
    trib_reader_set_deadline(trib_channel_reader(a), trib_deadline_ms(5));
    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(a), &byte, NULL), TRIB_ERR_TIMEOUT);
    fill_up(a);
    trib_writer_set_deadline(trib_channel_writer(a), trib_deadline_ms(5));
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(a), NULL), TRIB_ERR_TIMEOUT);
    /* After timeouts it works as before. */
    ck_assert_int_eq(trib_writer_u8(trib_channel_writer(b), 9, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(b), NULL), TRIB_OK);
    trib_reader_set_deadline(trib_channel_reader(a), trib_deadline_ms(60000));
    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(a), &byte, NULL), TRIB_OK);
    ck_assert_uint_eq(byte, 9);
    trib_channel_free(a);
    trib_channel_free(b);
}
END_TEST

struct waiter {
    struct trib_channel *channel;
    int rc;
};

static void wait_to_receive(void *arg)
{
    struct waiter *waiter = arg;
    uint8_t byte;

    waiter->rc = trib_reader_u8(trib_channel_reader(waiter->channel), &byte, NULL);
}

static void wait_to_send(void *arg)
{
    struct waiter *waiter = arg;

    trib_writer_set_deadline(trib_channel_writer(waiter->channel), TRIB_FOREVER);
    waiter->rc = trib_writer_flush(trib_channel_writer(waiter->channel), NULL);
}

START_TEST(test_cancel_wakes)
{
    struct trib_channel *a, *b;
    struct waiter in, out;
    struct runner receiver, sender;

    open_pair(_i, &a, &b);
    fill_up(a);
    in = out = (struct waiter){a, 0};
    runner_start(&receiver, wait_to_receive, &in);
    runner_start(&sender, wait_to_send, &out);
    runner_wait_asleep(&receiver);
    runner_wait_asleep(&sender);
    trib_channel_cancel(a);
    runner_join(&receiver);
    runner_join(&sender);
    ck_assert_int_eq(in.rc, TRIB_ERR_CANCELLED);
    ck_assert_int_eq(out.rc, TRIB_ERR_CANCELLED);
    trib_channel_free(a);
    trib_channel_free(b);
}
END_TEST

START_TEST(test_blocked_send_goes_on)
{
    struct trib_channel *a, *b;
    struct waiter out;
    struct runner sender;
    uint64_t skipped;

    open_pair(_i, &a, &b);
    fill_up(a);
    out = (struct waiter){a, -1};
    runner_start(&sender, wait_to_send, &out);
    runner_wait_asleep(&sender);
    ck_assert_int_eq(trib_reader_skip(trib_channel_reader(b), trib_writer_position(trib_channel_writer(a)), &skipped, NULL), TRIB_OK);
    runner_join(&sender);
    ck_assert_int_eq(out.rc, TRIB_OK);
    trib_channel_free(a);
    trib_channel_free(b);
}
END_TEST

START_TEST(test_many_channels)
{
    enum { CHANNELS = 200 };
    static struct trib_channel *a[CHANNELS], *b[CHANNELS];
    uint32_t value = 0;

    for (unsigned i = 0; i < CHANNELS; i++)
        open_pair(SOCKETS, &a[i], &b[i]);
    for (unsigned i = 0; i < CHANNELS; i++) {
        ck_assert_int_eq(trib_writer_be32(trib_channel_writer(a[i]), i, NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_finish(trib_channel_writer(a[i]), 0, NULL, NULL), TRIB_OK);
    }
    for (unsigned i = 0; i < CHANNELS; i++) {
        ck_assert_int_eq(trib_reader_be32(trib_channel_reader(b[i]), &value, NULL), TRIB_OK);
        ck_assert_uint_eq(value, i);
        trib_channel_free(a[i]);
        trib_channel_free(b[i]);
    }
}
END_TEST

static int scenario(void *arg, struct trib_error *err)
{
    struct trib_channel *a, *b;
    struct trib_view view;
    int rc = trib_unix_pair(NULL, &a, &b, err);

    (void)arg;
    if (rc != TRIB_OK)
        return rc;
    rc = trib_writer_bytes(trib_channel_writer(a), "hello", 5, err);
    if (rc == TRIB_OK)
        rc = trib_writer_finish(trib_channel_writer(a), 0, NULL, err);
    if (rc == TRIB_OK)
        rc = trib_reader_take(trib_channel_reader(b), 5, &view, err);
    if (rc == TRIB_OK)
        ck_assert_mem_eq(view.data, "hello", 5);
    trib_channel_free(a);
    trib_channel_free(b);
    return rc;
}

START_TEST(test_every_allocation_fails)
{
    ck_assert_uint_ge(fail_alloc_every(scenario, NULL), 4);
}
END_TEST

/* What lies behind the size of the caller's structs is not looked at; a bad size is refused before anything is done. */
START_TEST(test_option_sizes)
{
    struct trib_channel_options options = {.size = 0, .send_buffer = 100000};
    struct trib_fd_options fd_options = {.size = sizeof(size_t), .name = "unknown", .keep_open = true};
    struct trib_channel *channel = NULL;
    int ends[2], before;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    before = buffer_of(ends[0]);
    ck_assert_int_eq(trib_fd_channel(ends[0], ends[0], &fd_options, &options, &channel, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(buffer_of(ends[0]), before);
    options.size = sizeof(options.size);
    fd_options.size = 0;
    ck_assert_int_eq(trib_fd_channel(ends[0], ends[0], &fd_options, &options, &channel, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(buffer_of(ends[0]), before);
    fd_options.size = sizeof(size_t);
    ck_assert_int_eq(trib_fd_channel(ends[0], ends[0], &fd_options, &options, &channel, NULL), TRIB_OK);
    ck_assert_str_eq(trib_channel_name(channel), "fd");
    ck_assert_int_ge(buffer_of(ends[0]), before);
    trib_channel_free(channel);
    ck_assert_int_eq(fcntl(ends[0], F_GETFD), -1);
    close(ends[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fd");
    TCase *tcase = tcase_create("descriptors");
    SRunner *runner = srunner_create(suite);
    int kinds = kinds_here(), failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, test_bad_descriptors, 0, COUNT(bad_reasons));
    tcase_add_loop_test(tcase, test_capabilities_and_peer, 0, kinds);
    tcase_add_loop_test(tcase, test_keep_open, 0, kinds);
    tcase_add_test(tcase, test_keep_open_tcp);
    tcase_add_loop_test(tcase, test_stream, 0, kinds);
    tcase_add_loop_test(tcase, test_half_close, SOCKETS, NON_BLOCKING);
    tcase_add_test(tcase, test_finish_with_status_ends_all);
    tcase_add_test(tcase, test_peer_left);
    tcase_add_test(tcase, test_peer_killed_mid_message);
    tcase_add_loop_test(tcase, test_eintr_storm, 0, kinds);
    tcase_add_loop_test(tcase, test_deadlines, 0, kinds);
    tcase_add_loop_test(tcase, test_cancel_wakes, 0, kinds);
    tcase_add_loop_test(tcase, test_blocked_send_goes_on, 0, kinds);
    tcase_add_test(tcase, test_many_channels);
    tcase_add_test(tcase, test_option_sizes);
    tcase_add_test(tcase, test_every_allocation_fails);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

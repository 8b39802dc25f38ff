/* unix: dialling, accepting, refusing; lack of descriptors; deadlines and cancel. */
#include "tests/support/balance.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/runner.h"

#include <tributary/channel.h>
#include <tributary/chunk.h>
#include <tributary/reader.h>
#include <tributary/transport.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static char folder[64], path[96], uri[128];

static void make_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/tributary-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(uri, sizeof(uri), "unix:%s", path);
}

static void remove_folder(void)
{
    ck_assert_int_eq(rmdir(folder), 0);
}

static struct trib_listener *listen_at(const char *at, const struct trib_channel_options *options)
{
    struct trib_error err = {.code = 0};
    struct trib_listener *listener = NULL;

    ck_assert_msg(trib_listen(at, options, &listener, &err) == TRIB_OK, "%s", err.message);
    return listener;
}

static struct trib_channel *dial(const char *to)
{
    struct trib_error err = {.code = 0};
    struct trib_channel *channel = NULL;

    ck_assert_msg(trib_dial(to, NULL, &channel, &err) == TRIB_OK, "%s", err.message);
    return channel;
}

static struct trib_channel *accept_one(struct trib_listener *listener)
{
    struct trib_error err = {.code = 0};
    struct trib_channel *channel = NULL;

    ck_assert_msg(trib_listener_accept(listener, TRIB_FOREVER, &channel, &err) == TRIB_OK, "%s", err.message);
    return channel;
}

static void check_connected(struct trib_channel *a, struct trib_channel *b)
{
    uint32_t value = 0;

    ck_assert_int_eq(trib_writer_be32(trib_channel_writer(a), 0x01020304, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(a), NULL), TRIB_OK);
    ck_assert_int_eq(trib_reader_be32(trib_channel_reader(b), &value, NULL), TRIB_OK);
    ck_assert_uint_eq(value, 0x01020304);
}

/* ---- Addresses ------------------------------------------------------------------------------------------------ */

START_TEST(test_dial_and_accept)
{
    char text[160];
    struct trib_listener *listener;
    struct trib_channel *a, *b;

    if (_i == 0)
        snprintf(text, sizeof(text), "%s", uri);
    else if (_i == 1)
        snprintf(text, sizeof(text), "unix:@tributary-test-%d", (int)getpid());
    else
        snprintf(text, sizeof(text), "unix:%s/a b%%3f%%25%%0a?backlog=1", folder);
    listener = listen_at(text, NULL);
    a = dial(trib_listener_address(listener));
    b = accept_one(listener);
    ck_assert_str_eq(trib_channel_name(a), "unix");
    check_connected(a, b);
    check_connected(b, a);
    trib_channel_free(a);
    trib_channel_free(b);
    trib_listener_free(listener);
}
END_TEST

START_TEST(test_path_length)
{
    char text[200], name[120];
    struct trib_error err = {.code = 0};
    struct trib_listener *listener = NULL;
    size_t rest = 107 - strlen(folder) - 1;

    memset(name, 'x', sizeof(name));
    snprintf(text, sizeof(text), "unix:%s/%.*s", folder, (int)rest, name);
    listener = listen_at(text, NULL);
    trib_channel_free(dial(text));
    trib_listener_free(listener);
    snprintf(text, sizeof(text), "unix:%s/%.*s", folder, (int)rest + 1, name);
    ck_assert_int_eq(trib_listen(text, NULL, &listener, &err), TRIB_ERR_USAGE);
    ck_assert_msg(strstr(err.message, "108") != NULL && strstr(err.message, "107") != NULL, "%s", err.message);
    snprintf(text, sizeof(text), "unix:@%.*s", 107, name);
    ck_assert_int_eq(trib_dial(text, NULL, NULL, &err), TRIB_ERR_USAGE);
}
END_TEST

static const struct {
    const char *text;
    bool listens;
    int code, sys_errno;
} refused[] = {
    { "unix:", true, TRIB_ERR_USAGE, 0 },
    { "unix:@", true, TRIB_ERR_USAGE, 0 },
    { "unix:", false, TRIB_ERR_USAGE, 0 },
    { "unix:/x?mode=9", true, TRIB_ERR_USAGE, 0 },
    { "unix:/x?mode=01777", true, TRIB_ERR_USAGE, 0 },
    { "unix:/x?backlog=0", true, TRIB_ERR_USAGE, 0 },
    { "unix:/x?colour=red", true, TRIB_ERR_USAGE, 0 },
    { "unix:/x?mode=0600", false, TRIB_ERR_USAGE, 0 },
    { "unix:/nowhere/to/be/found", false, TRIB_ERR_IO, ENOENT },
    { "unix:/nowhere/to/be/found", true, TRIB_ERR_IO, ENOENT },
    { "unix:/proc/", true, TRIB_ERR_IO, EISDIR },
    { "unix:@tributary-test-nobody", false, TRIB_ERR_IO, ECONNREFUSED },
};

START_TEST(test_refused_addresses)
{
    struct trib_error err = {.code = 0};
    struct trib_listener *listener = NULL;
    struct trib_channel *channel = NULL;
    int rc = refused[_i].listens ? trib_listen(refused[_i].text, NULL, &listener, &err)
                                 : trib_dial(refused[_i].text, NULL, &channel, &err);

    ck_assert_msg(rc == refused[_i].code && err.sys_errno == refused[_i].sys_errno, "%s: %d, %s", refused[_i].text, rc, err.message);
    ck_assert_int_eq(err.code, rc);
    ck_assert_ptr_null(listener);
    ck_assert_ptr_null(channel);
}
END_TEST

START_TEST(test_abstract_in_use)
{
    struct trib_error err = {.code = 0};
    struct trib_listener *listener, *second = NULL;
    char text[64];

    snprintf(text, sizeof(text), "unix:@tributary-test-%d", (int)getpid());
    listener = listen_at(text, NULL);
    ck_assert_int_eq(trib_listen(text, NULL, &second, &err), TRIB_ERR_IO);
    ck_assert_int_eq(err.sys_errno, EADDRINUSE);
    trib_listener_free(listener);
}
END_TEST

/* ---- Descriptors from elsewhere -------------------------------------------------------------------------------- */

START_TEST(test_activated_descriptor)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct trib_listener *listener = NULL;
    struct trib_channel *a, *b;
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    ck_assert_int_eq(trib_unix_listener_fd(fd, NULL, &listener, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(trib_unix_listener_fd(fd, NULL, &listener, NULL), TRIB_OK);
    ck_assert_str_eq(trib_listener_address(listener), uri);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    a = dial(uri);
    b = accept_one(listener);
    check_connected(a, b);
    trib_channel_free(a);
    trib_channel_free(b);
    trib_listener_free(listener);
    ck_assert_int_eq(stat(path, &st), 0); /* systemd's, not ours */
    unlink(path);
}
END_TEST

/* ---- Strangers ------------------------------------------------------------------------------------------------- */

/* As another user: 0 if the whole conversation went well, 1 if the listener refused, 2 if dial refused. */
static int visit_as_stranger(bool any_user)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_channel *channel;
    uint8_t byte;
    int rc;

    options.any_user = any_user;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 9;
    rc = trib_dial(uri, &options, &channel, NULL);
    if (rc != TRIB_OK)
        return 2;
    rc = trib_reader_u8(trib_channel_reader(channel), &byte, NULL);
    trib_channel_free(channel);
    return rc == TRIB_OK ? 0 : 1;
}

static const struct {
    bool here, there;
    int result;
} strangers[] = { { true, true, 0 }, { false, true, 1 }, { true, false, 2 } };

START_TEST(test_strangers)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_listener *listener;
    struct trib_channel *channel = NULL, *own;
    char text[160];
    int status;
    pid_t child;

    options.any_user = strangers[_i].here;
    ck_assert_int_eq(chmod(folder, 0755), 0);
    snprintf(text, sizeof(text), "%s?mode=0666", uri);
    listener = listen_at(text, &options);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(visit_as_stranger(strangers[_i].there));
    if (strangers[_i].result == 0) {
        channel = accept_one(listener);
        ck_assert_int_eq(trib_writer_u8(trib_channel_writer(channel), 1, NULL), TRIB_OK);
        ck_assert_int_eq(trib_writer_flush(trib_channel_writer(channel), NULL), TRIB_OK);
    } else if (strangers[_i].result == 1) {
        /* The stranger is skipped; who comes next is served. */
        while (trib_listener_accept(listener, trib_deadline_ms(20), &channel, NULL) == TRIB_ERR_TIMEOUT &&
               waitpid(child, &status, WNOHANG) == 0)
            ;
        own = dial(uri);
        channel = accept_one(listener);
        check_connected(own, channel);
        trib_channel_free(own);
        child = -1;
    }
    if (child > 0)
        ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), strangers[_i].result);
    trib_channel_free(channel);
    trib_listener_free(listener);
}
END_TEST

/* ---- Waiting --------------------------------------------------------------------------------------------------- */

START_TEST(test_accept_deadlines)
{
    struct trib_listener *listener = listen_at(uri, NULL);
    struct trib_channel *channel = NULL;

    ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &channel, NULL), TRIB_AGAIN);
    ck_assert_int_eq(trib_listener_accept(listener, 1, &channel, NULL), TRIB_ERR_TIMEOUT);
    ck_assert_int_eq(trib_listener_accept(listener, trib_deadline_ms(5), &channel, NULL), TRIB_ERR_TIMEOUT);
    ck_assert_ptr_null(channel);
    trib_listener_free(listener);
}
END_TEST

struct accepter {
    struct trib_listener *listener;
    struct trib_channel *channel;
    int rc;
};

static void accept_any(void *arg)
{
    struct accepter *accepter = arg;

    accepter->rc = trib_listener_accept(accepter->listener, TRIB_FOREVER, &accepter->channel, NULL);
}

START_TEST(test_cancel_accept)
{
    struct accepter accepter = {listen_at(uri, NULL), NULL, 0};
    struct runner runner;

    runner_start(&runner, accept_any, &accepter);
    runner_wait_asleep(&runner);
    trib_listener_cancel(accepter.listener);
    runner_join(&runner);
    ck_assert_int_eq(accepter.rc, TRIB_ERR_CANCELLED);
    accept_any(&accepter);
    ck_assert_int_eq(accepter.rc, TRIB_ERR_CANCELLED);
    trib_listener_free(accepter.listener);
}
END_TEST

/* Leaves `spare` descriptors. Returns the limit to restore. */
static struct rlimit limit_descriptors(int spare)
{
    struct rlimit before, now;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(fd);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    now.rlim_cur = (rlim_t)(fd + spare);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
    return before;
}

START_TEST(test_accept_outlasts_emfile)
{
    struct accepter accepter = {listen_at(uri, NULL), NULL, 0};
    struct trib_channel *client = dial(uri), *none = NULL;
    struct trib_error err = {.code = 0};
    struct rlimit before = limit_descriptors(0);
    struct runner runner;

    ck_assert_int_eq(trib_listener_accept(accepter.listener, TRIB_NOWAIT, &none, &err), TRIB_ERR_IO);
    ck_assert_int_eq(err.sys_errno, EMFILE);
    ck_assert_int_eq(trib_listener_accept(accepter.listener, trib_deadline_ms(15), &none, &err), TRIB_ERR_IO);
    ck_assert_int_eq(err.sys_errno, EMFILE);
    runner_start(&runner, accept_any, &accepter); /* backs off, or comes late: it gets the peer either way */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    runner_join(&runner);
    ck_assert_int_eq(accepter.rc, TRIB_OK);
    check_connected(client, accepter.channel);
    trib_channel_free(client);
    trib_channel_free(accepter.channel);
    trib_listener_free(accepter.listener);
}
END_TEST

START_TEST(test_full_backlog)
{
    enum { MANY = 64 };
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_channel *channels[MANY], *channel;
    struct trib_error err = {.code = 0};
    struct trib_listener *listener;
    char text[160];
    int n = 0, rc;

    snprintf(text, sizeof(text), "%s?backlog=2", uri);
    listener = listen_at(text, NULL);
    options.deadline = TRIB_NOWAIT;
    while ((rc = trib_dial(uri, &options, &channels[n], &err)) == TRIB_OK && n < MANY - 2)
        n++;
    ck_assert_int_eq(rc, TRIB_AGAIN);
    options.deadline = trib_deadline_ms(5);
    ck_assert_int_eq(trib_dial(uri, &options, &channel, &err), TRIB_ERR_TIMEOUT);
    ck_assert_msg(strstr(err.message, "backlog") != NULL, "%s", err.message);
    /* Room for one: a dial with a deadline gets it, and sends without that limit. */
    channel = accept_one(listener);
    options.deadline = trib_deadline_ms(60000);
    ck_assert_int_eq(trib_dial(uri, &options, &channels[n], &err), TRIB_OK);
    check_connected(channels[0], channel);
    for (int i = 0; i <= n; i++)
        trib_channel_free(channels[i]);
    trib_channel_free(channel);
    trib_listener_free(listener);
}
END_TEST

static void count_run(void *arg)
{
    ++*(int *)arg;
}

START_TEST(test_listener_watch)
{
    struct event_base *base = event_base_new();
    struct trib_listener *listener = listen_at(uri, NULL);
    struct trib_channel *client, *channel = NULL;
    struct rlimit before;
    int runs = 0;

    ck_assert_int_eq(trib_listener_watch(listener, base, count_run, &runs, NULL), TRIB_OK);
    ck_assert_int_eq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
    ck_assert_int_eq(runs, 0);
    client = dial(uri);
    ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
    ck_assert_int_eq(runs, 1);
    /* Without descriptors it does not run at once again and again, but after a while. */
    before = limit_descriptors(0);
    ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &channel, NULL), TRIB_ERR_IO);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(trib_listener_watch(listener, base, count_run, &runs, NULL), TRIB_OK);
    ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
    ck_assert_int_eq(runs, 2);
    ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &channel, NULL), TRIB_OK);
    ck_assert_int_eq(trib_listener_watch(listener, base, count_run, &runs, NULL), TRIB_OK);
    trib_listener_cancel(listener);
    ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
    ck_assert_int_eq(runs, 3);
    trib_channel_free(client);
    trib_channel_free(channel);
    trib_listener_free(listener);
    event_base_free(base);
}
END_TEST

START_TEST(test_many_channels)
{
    enum { CHANNELS = 200 };
    static struct trib_channel *clients[CHANNELS], *channels[CHANNELS];
    struct trib_listener *listener = listen_at(uri, NULL);

    for (int i = 0; i < CHANNELS; i++) {
        clients[i] = dial(uri);
        channels[i] = accept_one(listener);
    }
    for (int i = 0; i < CHANNELS; i++) {
        check_connected(clients[i], channels[i]);
        trib_channel_free(clients[i]);
        trib_channel_free(channels[i]);
    }
    trib_listener_free(listener);
}
END_TEST

static int scenario(void *arg, struct trib_error *err)
{
    struct trib_channel *client = NULL, *channel = NULL;
    struct trib_listener *listener;
    int rc = trib_listen(uri, NULL, &listener, err);

    (void)arg;
    if (rc != TRIB_OK)
        return rc;
    rc = trib_dial(uri, NULL, &client, err);
    if (rc == TRIB_OK) {
        rc = trib_listener_accept(listener, TRIB_FOREVER, &channel, err);
        /* The peer is not lost with the memory. */
        if (rc == TRIB_ERR_NOMEM)
            ck_assert_int_eq(trib_listener_accept(listener, TRIB_FOREVER, &channel, NULL), TRIB_OK);
    }
    trib_channel_free(client);
    trib_channel_free(channel);
    trib_listener_free(listener);
    return rc;
}

START_TEST(test_every_allocation_fails)
{
    ck_assert_uint_ge(fail_alloc_every(scenario, NULL), 6);
}
END_TEST

/* ---- Mapped files ---------------------------------------------------------------------------------------------- */

START_TEST(test_mapped_file)
{
    struct trib_error err = {.code = 0};
    struct trib_chunk *chunk = NULL;
    char file[96];
    int fd;

    snprintf(file, sizeof(file), "%s/file", folder);
    ck_assert_int_eq(trib_chunk_map(file, &chunk, &err), TRIB_ERR_IO);
    ck_assert_int_eq(err.sys_errno, ENOENT);
    ck_assert_ptr_nonnull(strstr(err.message, file));
    ck_assert_int_eq(trib_chunk_map(folder, &chunk, &err), TRIB_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "not a regular file"));
    fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_eq(trib_chunk_map(file, &chunk, &err), TRIB_OK);
    ck_assert_uint_eq(trib_chunk_len(chunk), 0);
    trib_chunk_unref(chunk);
    ck_assert_int_eq(write(fd, "content", 7), 7);
    close(fd);
    ck_assert_int_eq(trib_chunk_map(file, &chunk, &err), TRIB_OK);
    ck_assert_uint_eq(trib_chunk_len(chunk), 7);
    ck_assert_mem_eq(trib_chunk_data(chunk), "content", 7);
    ck_assert_ptr_null(trib_chunk_writable(chunk));
    unlink(file);
    ck_assert_int_eq(trib_chunk_data(chunk)[6], 't');
    trib_chunk_unref(chunk);
}
END_TEST

/* A descriptor that listens, bound to a name as long as there can be: no NUL ends it. */
static int listen_at_longest(char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(name, sizeof(address.sun_path), "%s/", folder);
    memset(name + strlen(name), 'n', sizeof(address.sun_path) - strlen(name));
    name[sizeof(address.sun_path)] = '\0';
    memcpy(address.sun_path, name, sizeof(address.sun_path));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    return fd;
}

START_TEST(test_adopted_descriptor)
{
    struct trib_channel_options options = {.size = 0};
    struct trib_listener *listener = NULL;
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
    int fd = listen_at_longest(name);

    ck_assert_int_eq(trib_unix_listener_fd(fd, &options, &listener, NULL), TRIB_ERR_USAGE);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    options.size = sizeof(options.size);
    ck_assert_int_eq(trib_unix_listener_fd(fd, &options, &listener, NULL), TRIB_OK);
    ck_assert_str_eq(trib_listener_address(listener) + strlen("unix:"), name);
    trib_listener_free(listener);
    unlink(name);
}
END_TEST

/* Only root can be somebody else. What is said of a case here is counted by build-aux/test-totals. */
static void add_strangers(TCase *tcase)
{
    if (geteuid() == 0)
        tcase_add_loop_test(tcase, test_strangers, 0, COUNT(strangers));
    for (size_t i = 0; i < COUNT(strangers) && geteuid() != 0; i++)
        printf("skip  strangers, %zu: only root can be somebody else\n", i);
}

int main(void)
{
    Suite *suite = suite_create("unix");
    TCase *tcase = tcase_create("unix");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, make_folder, remove_folder);
    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_dial_and_accept, 0, 3);
    tcase_add_test(tcase, test_path_length);
    tcase_add_loop_test(tcase, test_refused_addresses, 0, COUNT(refused));
    tcase_add_test(tcase, test_abstract_in_use);
    tcase_add_test(tcase, test_activated_descriptor);
    add_strangers(tcase);
    tcase_add_test(tcase, test_accept_deadlines);
    tcase_add_test(tcase, test_cancel_accept);
    tcase_add_test(tcase, test_accept_outlasts_emfile);
    tcase_add_test(tcase, test_full_backlog);
    tcase_add_test(tcase, test_listener_watch);
    tcase_add_test(tcase, test_many_channels);
    tcase_add_test(tcase, test_every_allocation_fails);
    tcase_add_test(tcase, test_mapped_file);
    tcase_add_test(tcase, test_adopted_descriptor);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

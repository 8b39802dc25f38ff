/* The socket file of unix: its mode, its lock, who replaces it and who removes it. */
#include "tests/support/balance.h"
#include "tests/support/runner.h"

#include <tributary/channel.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static char folder[64], path[96], lock_path[112], uri[128];

static void make_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/tributary-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    snprintf(uri, sizeof(uri), "unix:%s", path);
}

static void remove_folder(void)
{
    unlink(path);
    unlink(lock_path);
    ck_assert_int_eq(rmdir(folder), 0);
}

static bool exists(const char *name)
{
    struct stat st;

    return lstat(name, &st) == 0;
}

static struct trib_listener *listen_at(const char *at)
{
    struct trib_error err = {.code = 0};
    struct trib_listener *listener = NULL;

    ck_assert_msg(trib_listen(at, NULL, &listener, &err) == TRIB_OK, "%s", err.message);
    return listener;
}

static void refuse_to_listen(int sys_errno, const char *reason)
{
    struct trib_error err = {.code = 0};
    struct trib_listener *listener = NULL;

    ck_assert_int_eq(trib_listen(uri, NULL, &listener, &err), TRIB_ERR_IO);
    ck_assert_ptr_null(listener);
    ck_assert_int_eq(err.sys_errno, sys_errno);
    ck_assert_msg(strstr(err.message, reason) != NULL && strstr(err.message, path) != NULL, "%s", err.message);
}

/* A socket at the path that is none of ours: bound, and listening if asked. */
static int foreign_socket(bool listens)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    if (listens)
        ck_assert_int_eq(listen(fd, 8), 0);
    return fd;
}

/* ---- Mode ----------------------------------------------------------------------------------------------------- */

struct watcher {
    atomic_bool stop;
    unsigned looks;
    mode_t wrong;
};

static void look_at_mode(void *arg)
{
    struct watcher *watcher = arg;
    struct stat st;

    while (!atomic_load(&watcher->stop)) {
        if (stat(path, &st) == 0) {
            watcher->looks++;
            if ((st.st_mode & 07777) != 0600)
                watcher->wrong = st.st_mode & 07777;
        }
    }
}

START_TEST(test_mode_from_the_first_instant)
{
    struct watcher watcher = {.looks = 0};
    struct runner runner;
    mode_t mask = umask(0);

    atomic_init(&watcher.stop, false);
    runner_start(&runner, look_at_mode, &watcher);
    for (int i = 0; i < 300; i++) {
        trib_listener_free(listen_at(uri));
        sched_yield();
    }
    atomic_store(&watcher.stop, true);
    runner_join(&runner);
    ck_assert_int_eq(umask(mask), 0);
    ck_assert_msg(watcher.wrong == 0, "seen with mode %04o", (unsigned)watcher.wrong);
}
END_TEST

static const struct {
    const char *parameter;
    mode_t mask, mode;
} modes[] = {
    { "", 022, 0600 }, { "", 0777, 0600 }, { "?mode=0660", 0, 0660 }, { "?mode=0666", 077, 0666 }, { "?mode=777", 022, 0777 },
    { "?mode=0", 0, 0 },
};

START_TEST(test_mode_and_umask)
{
    mode_t mask = umask(modes[_i].mask);
    char with_mode[160];
    struct stat st;
    struct trib_listener *listener;

    snprintf(with_mode, sizeof(with_mode), "%s%s", uri, modes[_i].parameter);
    listener = listen_at(with_mode);
    ck_assert_int_eq(umask(mask), modes[_i].mask);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, modes[_i].mode);
    trib_listener_free(listener);
}
END_TEST

/* ---- Who may have the path ------------------------------------------------------------------------------------ */

START_TEST(test_gone_after_free)
{
    struct trib_listener *listener = listen_at(uri);

    ck_assert(exists(path));
    ck_assert(exists(lock_path));
    trib_listener_free(listener);
    ck_assert(!exists(path));
    ck_assert(!exists(lock_path));
}
END_TEST

START_TEST(test_stale_is_replaced)
{
    int fd = foreign_socket(_i == 1);

    close(fd);
    ck_assert(exists(path));
    trib_listener_free(listen_at(uri));
    ck_assert(!exists(path));
}
END_TEST

START_TEST(test_left_by_a_killed_listener)
{
    struct trib_listener *listener;
    int ready[2], status;
    char byte;
    pid_t child;

    ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct trib_listener *own;
        _exit(trib_listen(uri, NULL, &own, NULL) == TRIB_OK && write(ready[1], "x", 1) == 1 && pause() ? 1 : 2);
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    refuse_to_listen(EADDRINUSE, "somebody listens there");
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(exists(path));
    ck_assert(exists(lock_path));
    listener = listen_at(uri);
    trib_listener_free(listener);
}
END_TEST

START_TEST(test_live_is_an_error)
{
    struct trib_listener *listener = listen_at(uri);
    struct trib_channel *channel;

    refuse_to_listen(EADDRINUSE, "somebody listens there");
    /* ... and it lives on, undisturbed: nobody is in its queue but the next to dial. */
    ck_assert_int_eq(trib_listener_accept(listener, TRIB_NOWAIT, &channel, NULL), TRIB_AGAIN);
    trib_listener_free(listener);
}
END_TEST

START_TEST(test_live_foreign_is_an_error)
{
    int fd = foreign_socket(true);

    refuse_to_listen(EADDRINUSE, "somebody listens there");
    ck_assert(exists(path));
    ck_assert(!exists(lock_path));
    close(fd);
}
END_TEST

START_TEST(test_no_socket_is_not_touched)
{
    struct stat before, after;

    if (_i == 0)
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    else if (_i == 1)
        ck_assert_int_eq(symlink("/dev/null", path), 0);
    else
        ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(lstat(path, &before), 0);
    refuse_to_listen(EEXIST, "not a socket");
    ck_assert_int_eq(lstat(path, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert(!exists(lock_path));
}
END_TEST

START_TEST(test_replaced_file_is_kept)
{
    struct trib_listener *listener = listen_at(uri);
    int fd;

    ck_assert_int_eq(unlink(path), 0);
    fd = foreign_socket(true);
    trib_listener_free(listener);
    ck_assert(exists(path));
    ck_assert(!exists(lock_path));
    close(fd);
}
END_TEST

START_TEST(test_relative_path_and_chdir)
{
    char before[4096];
    struct trib_listener *listener;

    ck_assert_ptr_nonnull(getcwd(before, sizeof(before)));
    ck_assert_int_eq(chdir(folder), 0);
    listener = listen_at(_i == 0 ? "unix:./socket" : "unix:socket");
    ck_assert(exists(path));
    ck_assert_int_eq(chdir(before), 0);
    trib_listener_free(listener);
    ck_assert(!exists(path));
    ck_assert(!exists(lock_path));
}
END_TEST

/* ---- Two at once ---------------------------------------------------------------------------------------------- */

/* In a child: waits for the start, listens, tells how it went, and keeps the listener until the parent has heard of both. */
static void contend(int start, int tell, int leave)
{
    struct trib_error err = {.code = 0};
    struct trib_listener *listener = NULL;
    char byte;
    int rc;

    if (read(start, &byte, 1) != 0)
        _exit(2);
    rc = trib_listen(uri, NULL, &listener, &err);
    byte = rc == TRIB_OK ? 'w' : rc == TRIB_ERR_IO && err.sys_errno == EADDRINUSE ? 'l' : '?';
    if (write(tell, &byte, 1) != 1 || read(leave, &byte, 1) != 0)
        _exit(3);
    trib_listener_free(listener);
    _exit(0);
}

START_TEST(test_two_starters)
{
    for (int round = 0; round < 50; round++) {
        int start[2], tell[2], leave[2], status, winners = 0;
        pid_t children[2];

        ck_assert_int_eq(pipe2(start, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(tell, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(leave, O_CLOEXEC), 0);
        if (round % 2 == 1)
            close(foreign_socket(true)); /* stale: both will want to replace it */
        for (int i = 0; i < 2; i++) {
            children[i] = fork();
            ck_assert_int_ge(children[i], 0);
            if (children[i] == 0) {
                close(start[1]);
                close(leave[1]);
                contend(start[0], tell[1], leave[0]);
            }
        }
        close(start[1]);
        for (int i = 0; i < 2; i++) {
            char byte;
            ck_assert_int_eq(read(tell[0], &byte, 1), 1);
            ck_assert_msg(byte == 'w' || byte == 'l', "round %d: %c", round, byte);
            winners += byte == 'w';
        }
        ck_assert_int_eq(winners, 1);
        close(leave[1]);
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
            ck_assert_int_eq(status, 0);
        }
        ck_assert(!exists(path));
        ck_assert(!exists(lock_path));
        close(start[0]);
        close(tell[0]);
        close(tell[1]);
        close(leave[0]);
    }
}
END_TEST

/* One after the other without a pause: the end of one and the start of the next overlap. */
static void come_and_go(void *arg)
{
    unsigned *listened = arg;

    for (int i = 0; i < 300; i++) {
        struct trib_error err = {.code = 0};
        struct trib_listener *listener;
        if (trib_listen(uri, NULL, &listener, &err) == TRIB_OK) {
            struct trib_channel *channel = NULL;
            ck_assert_msg(trib_dial(uri, NULL, &channel, &err) == TRIB_OK, "%s", err.message);
            trib_channel_free(channel);
            trib_listener_free(listener);
            ++*listened;
        } else {
            ck_assert_int_eq(err.sys_errno, EADDRINUSE);
        }
    }
}

START_TEST(test_ends_and_starts_overlap)
{
    unsigned listened[2] = {0, 0};
    struct runner runner;

    runner_start(&runner, come_and_go, &listened[0]);
    come_and_go(&listened[1]);
    runner_join(&runner);
    ck_assert_uint_gt(listened[0] + listened[1], 0);
    ck_assert(!exists(path));
    ck_assert(!exists(lock_path));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unix_file");
    TCase *tcase = tcase_create("file");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, make_folder, remove_folder);
    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_mode_from_the_first_instant);
    tcase_add_loop_test(tcase, test_mode_and_umask, 0, COUNT(modes));
    tcase_add_test(tcase, test_gone_after_free);
    tcase_add_loop_test(tcase, test_stale_is_replaced, 0, 2);
    tcase_add_test(tcase, test_left_by_a_killed_listener);
    tcase_add_test(tcase, test_live_is_an_error);
    tcase_add_test(tcase, test_live_foreign_is_an_error);
    tcase_add_loop_test(tcase, test_no_socket_is_not_touched, 0, 3);
    tcase_add_test(tcase, test_replaced_file_is_kept);
    tcase_add_loop_test(tcase, test_relative_path_and_chdir, 0, 2);
    tcase_add_test(tcase, test_two_starters);
    tcase_add_test(tcase, test_ends_and_starts_overlap);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

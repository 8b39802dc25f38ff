/* A child process that serves on its stdin and stdout through the transport from outside, end to end. */
#include "conformance/pattern.h"
#include "tests/support/balance.h"

#include <tributary/fd.h>
#include <tributary/reader.h>
#include <tributary/transport.h>
#include <tributary/writer.h>

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEN = 5000000 };

trib_transport_module_fn trib_transport_module; /* of the example, linked in */

/* ---- The child: an echo on "stdio:" ---------------------------------------------------------------------------- */

static int echo(struct trib_channel *channel)
{
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_writer *writer = trib_channel_writer(channel);
    struct trib_view view;
    int code;

    while ((code = trib_reader_take_some(reader, 100000, &view, NULL)) == TRIB_OK)
        if (trib_writer_view(writer, view, NULL) != TRIB_OK || trib_writer_flush(writer, NULL) != TRIB_OK)
            return 2;
    if (code != TRIB_EOF || trib_writer_finish(writer, 0, NULL, NULL) != TRIB_OK)
        return 3;
    trib_channel_free(channel);
    return 0;
}

static void child_main(int in, int out)
{
    const struct trib_transport *const transports[] = { trib_transport_module(), NULL };
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_channel *channel;

    alarm(60);
    options.transports = transports;
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || trib_dial("stdio:", &options, &channel, NULL) != TRIB_OK)
        _exit(1);
    close(in);
    close(out);
    if (freopen("/dev/null", "w", stderr) == NULL || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        _exit(4);
    printf("a stray print\n"); /* it must not reach the stream */
    fflush(stdout);
    _exit(echo(channel));
}

/* ---- The parent ------------------------------------------------------------------------------------------------ */

static pid_t start(struct trib_channel **ret_channel)
{
    int there[2], back[2];
    pid_t pid;

    ck_assert_int_eq(pipe(there), 0);
    ck_assert_int_eq(pipe(back), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(there[1]);
        close(back[0]);
        child_main(there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
    ck_assert_int_eq(trib_fd_channel(back[0], there[1], NULL, NULL, ret_channel, NULL), TRIB_OK);
    trib_reader_set_deadline(trib_channel_reader(*ret_channel), trib_deadline_ms(60000));
    trib_writer_set_deadline(trib_channel_writer(*ret_channel), trib_deadline_ms(60000));
    return pid;
}

static void *write_all(void *arg)
{
    static uint8_t bytes[50000];
    int code = TRIB_OK;

    for (size_t done = 0; done < LEN && code == TRIB_OK; done += sizeof(bytes)) {
        conform_pattern_fill(bytes, sizeof(bytes), 9, done);
        code = trib_writer_bytes(arg, bytes, sizeof(bytes), NULL);
    }
    if (code == TRIB_OK)
        code = trib_writer_finish(arg, 0, NULL, NULL);
    return code == TRIB_OK ? arg : NULL;
}

static void read_all(struct trib_reader *reader)
{
    struct trib_error err;
    struct trib_view view;

    for (size_t done = 0; done < LEN; done += view.len) {
        size_t n = LEN - done < 77777 ? LEN - done : 77777;

        ck_assert_msg(trib_reader_take(reader, n, &view, &err) == TRIB_OK, "%s", err.message);
        ck_assert_uint_eq(conform_pattern_mismatch(view.data, view.len, 9, done), view.len);
    }
    ck_assert_int_eq(trib_reader_take(reader, 1, &view, &err), TRIB_EOF);
}

START_TEST(test_child_echoes)
{
    struct trib_channel *channel;
    pid_t pid = start(&channel);
    pthread_t thread;
    void *written;
    int status;

    ck_assert_int_eq(pthread_create(&thread, NULL, write_all, trib_channel_writer(channel)), 0);
    read_all(trib_channel_reader(channel));
    ck_assert_int_eq(pthread_join(thread, &written), 0);
    ck_assert_ptr_nonnull(written);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with status %#x", (unsigned)status);
    trib_channel_free(channel);
}
END_TEST

START_TEST(test_address_is_refused)
{
    const struct trib_transport *const transports[] = { trib_transport_module(), NULL };
    static const char *const uris[] = { "stdio:x", "stdio:?mode=1" };
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;
    struct trib_channel *channel;

    options.transports = transports;
    ck_assert_int_eq(trib_dial(uris[_i], &options, &channel, NULL), TRIB_ERR_USAGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stdio between processes");
    TCase *tcase = tcase_create("stdio between processes");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_child_echoes);
    tcase_add_loop_test(tcase, test_address_is_refused, 0, 2);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

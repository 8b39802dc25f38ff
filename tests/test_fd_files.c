/* Channels over descriptors that are always ready: files, and devices such as /dev/null. */
#include "conformance/pattern.h"
#include "tests/support/balance.h"

#include <tributary/fd.h>
#include <tributary/reader.h>
#include <tributary/transport.h>
#include <tributary/writer.h>

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 5000000, PIECE = 77777, SEED = 3 };

static int null_device(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* A file without a name. */
static int new_file(void)
{
    const char *dir = getenv("TMPDIR");
    char path[4096];
    int fd;

    snprintf(path, sizeof(path), "%s/test_fd_files.XXXXXX", dir != NULL ? dir : "/tmp");
    fd = mkostemp(path, O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    return fd;
}

/* At its start; of what was written, little is left in memory where the file is on a disk. */
static int full_file(void)
{
    static uint8_t bytes[FILE_BYTES];
    int fd = new_file();

    conform_pattern_fill(bytes, sizeof(bytes), SEED, 0);
    ck_assert_int_eq(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    ck_assert_int_eq(fdatasync(fd), 0);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return fd;
}

static void ck_assert_full(int fd)
{
    static uint8_t bytes[FILE_BYTES + 1];

    ck_assert_int_eq(pread(fd, bytes, sizeof(bytes), 0), FILE_BYTES);
    ck_assert_uint_eq(conform_pattern_mismatch(bytes, FILE_BYTES, SEED, 0), FILE_BYTES);
}

static struct trib_channel *open_channel(int in, int out)
{
    struct trib_channel *channel = NULL;
    struct trib_error err = {.code = 0};

    ck_assert_msg(trib_fd_channel(in, out, NULL, NULL, &channel, &err) == TRIB_OK, "%s", err.message);
    return channel;
}

/* ---- Blocking -------------------------------------------------------------------------------------------------- */

/* Whatever the deadline: there is nothing to wait for. */
static const int64_t deadlines[] = { TRIB_FOREVER, TRIB_NOWAIT, 1 };

START_TEST(test_read)
{
    struct trib_channel *channel = open_channel(full_file(), null_device());
    struct trib_channel_stats stats = {.size = sizeof(stats)};
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_view view;

    ck_assert_uint_eq(trib_channel_capabilities(channel), TRIB_CAP_EVENTS | TRIB_CAP_HALF_CLOSE);
    trib_reader_set_deadline(reader, deadlines[_i]);
    for (size_t done = 0; done < FILE_BYTES; done += view.len) {
        size_t len = FILE_BYTES - done < PIECE ? FILE_BYTES - done : PIECE;
        struct trib_error err = {.code = 0};

        ck_assert_msg(trib_reader_take(reader, len, &view, &err) == TRIB_OK, "at %zu: %s", done, err.message);
        ck_assert_uint_eq(conform_pattern_mismatch(view.data, view.len, SEED, done), view.len);
    }
    ck_assert_int_eq(trib_reader_take(reader, 1, &view, NULL), TRIB_EOF);
    ck_assert_int_eq(trib_reader_take(reader, 1, &view, NULL), TRIB_EOF);
    trib_channel_stats(channel, &stats);
    ck_assert_uint_eq(stats.waits, 0);
    ck_assert_uint_le(stats.system_calls_in, 1000); /* no spinning */
    trib_channel_free(channel);
}
END_TEST

START_TEST(test_write)
{
    static uint8_t bytes[PIECE];
    int file = new_file(), look = dup(file);
    struct trib_channel *channel = open_channel(null_device(), file);
    struct trib_writer *writer = trib_channel_writer(channel);

    trib_writer_set_deadline(writer, deadlines[_i]);
    for (size_t done = 0; done < FILE_BYTES; done += PIECE) {
        size_t len = FILE_BYTES - done < PIECE ? FILE_BYTES - done : PIECE;
        struct trib_error err = {.code = 0};

        conform_pattern_fill(bytes, len, SEED, done);
        ck_assert_msg(trib_writer_bytes(writer, bytes, len, &err) == TRIB_OK, "at %zu: %s", done, err.message);
    }
    ck_assert_int_eq(trib_writer_finish(writer, 0, NULL, NULL), TRIB_OK);
    ck_assert_int_eq(fcntl(file, F_GETFD), -1); /* whoever waits for its end need not wait for the channel's */
    ck_assert_full(look);
    trib_channel_free(channel);
    close(look);
}
END_TEST

START_TEST(test_short_file)
{
    struct trib_error err = {.code = 0};
    int file = new_file();
    struct trib_channel *channel = open_channel(file, null_device());
    struct trib_view view;

    ck_assert_int_eq(write(file, "-abc", 4), 4);
    ck_assert_int_eq(lseek(file, 1, SEEK_SET), 1); /* it is read from where it stands */
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(channel), 100, &view, &err), TRIB_ERR_SHORT);
    ck_assert_uint_eq(err.got, 3);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(channel), 3, &view, NULL), TRIB_OK);
    ck_assert_mem_eq(view.data, "abc", 3);
    trib_channel_free(channel);
}
END_TEST

/* Also as both sides. */
START_TEST(test_null_device)
{
    static const uint8_t bytes[PIECE];
    int in = null_device(), out = _i == 0 ? in : null_device();
    struct trib_channel *channel = open_channel(in, out);
    uint8_t byte;

    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(channel), &byte, NULL), TRIB_EOF);
    ck_assert_int_eq(trib_writer_bytes(trib_channel_writer(channel), bytes, sizeof(bytes), NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_finish(trib_channel_writer(channel), 0, NULL, NULL), TRIB_OK);
    trib_channel_free(channel);
}
END_TEST

START_TEST(test_no_space)
{
    struct trib_error err = {.code = 0};
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct trib_channel *channel;

    if (full < 0)
        return; /* some containers have none */
    channel = open_channel(null_device(), full);
    ck_assert_int_eq(trib_writer_u8(trib_channel_writer(channel), 7, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(channel), &err), TRIB_ERR_IO);
    ck_assert_int_eq(err.sys_errno, ENOSPC);
    trib_channel_free(channel);
}
END_TEST

START_TEST(test_cancel)
{
    struct trib_channel *channel = open_channel(full_file(), new_file());
    struct trib_view view;
    uint8_t byte;

    ck_assert_int_eq(trib_reader_u8(trib_channel_reader(channel), &byte, NULL), TRIB_OK);
    trib_channel_cancel(channel);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(channel), FILE_BYTES - 1, &view, NULL), TRIB_ERR_CANCELLED);
    ck_assert_int_eq(trib_writer_u8(trib_channel_writer(channel), 7, NULL), TRIB_ERR_CANCELLED);
    trib_channel_free(channel);
}
END_TEST

START_TEST(test_keep_open)
{
    struct trib_fd_options keep = {.size = sizeof(keep), .keep_open = true};
    int in = full_file(), out = new_file(), flags = fcntl(out, F_GETFL);
    struct trib_channel *channel;

    ck_assert_int_eq(trib_fd_channel(in, out, &keep, NULL, &channel, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_bytes(trib_channel_writer(channel), "one", 3, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_finish(trib_channel_writer(channel), 0, NULL, NULL), TRIB_OK);
    trib_channel_free(channel);
    ck_assert_int_eq(fcntl(out, F_GETFL), flags);
    ck_assert_int_eq(lseek(out, 0, SEEK_CUR), 3); /* who writes next goes on there */
    ck_assert_int_eq(close(in), 0);
    ck_assert_int_eq(close(out), 0);
}
END_TEST

/* ---- On an event_base ------------------------------------------------------------------------------------------ */

struct copy {
    struct trib_channel *channel;
    bool finished;
};

static void copy_more(struct copy *copy)
{
    struct trib_writer *writer = trib_channel_writer(copy->channel);
    struct trib_view view;
    int rc;

    while ((rc = trib_reader_take_some(trib_channel_reader(copy->channel), PIECE, &view, NULL)) == TRIB_OK)
        ck_assert_int_eq(trib_writer_bytes(writer, view.data, view.len, NULL), TRIB_OK);
    ck_assert_int_ge(rc, TRIB_OK);
    if (rc == TRIB_EOF && !copy->finished)
        copy->finished = trib_writer_finish(writer, 0, NULL, NULL) == TRIB_OK;
}

static void can_read(struct trib_reader *reader, void *arg)
{
    (void)reader;
    copy_more(arg);
}

static void can_write(struct trib_writer *writer, void *arg)
{
    (void)writer;
    copy_more(arg);
}

START_TEST(test_copy_on_a_base)
{
    struct event_base *base = event_base_new();
    int out = new_file(), look = dup(out);
    struct copy copy = {.channel = open_channel(full_file(), out)};

    ck_assert_int_eq(trib_reader_set_callback(trib_channel_reader(copy.channel), base, can_read, &copy, NULL), TRIB_OK);
    ck_assert_int_eq(trib_writer_set_callback(trib_channel_writer(copy.channel), base, can_write, &copy, NULL), TRIB_OK);
    for (int round = 0; round < 100 && !copy.finished; round++)
        ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
    ck_assert(copy.finished);
    ck_assert_full(look);
    trib_channel_free(copy.channel);
    event_base_free(base);
    close(look);
}
END_TEST

static void count(void *arg)
{
    ++*(int *)arg;
}

/* Soon, but not inside the call; also after a cancel; not once it was disarmed or its channel has gone. */
START_TEST(test_watch)
{
    enum trib_direction direction = _i % 2 == 0 ? TRIB_READABLE : TRIB_WRITABLE;
    struct event_base *base = event_base_new();
    struct trib_channel *channel = _i < 2 ? open_channel(full_file(), new_file()) : open_channel(null_device(), null_device());
    int runs = 0;

    for (int round = 1; round <= 3; round++) {
        ck_assert_int_eq(trib_channel_watch(channel, base, direction, count, &runs, NULL), TRIB_OK);
        ck_assert_int_eq(runs, round - 1);
        ck_assert_int_ge(event_base_dispatch(base), 0);
        ck_assert_int_eq(runs, round);
        if (round == 2)
            trib_channel_cancel(channel);
    }
    ck_assert_int_eq(trib_channel_watch(channel, base, direction, count, &runs, NULL), TRIB_OK);
    ck_assert_int_eq(trib_channel_watch(channel, base, direction, NULL, NULL, NULL), TRIB_OK);
    ck_assert_int_eq(event_base_dispatch(base), 1); /* no event is left */
    ck_assert_int_eq(trib_channel_watch(channel, base, direction, count, &runs, NULL), TRIB_OK);
    trib_channel_free(channel);
    ck_assert_int_eq(event_base_dispatch(base), 1);
    ck_assert_int_eq(runs, 3);
    event_base_free(base);
}
END_TEST

/* ---- Refused --------------------------------------------------------------------------------------------------- */

/* By the side, where the channel has a name: its maker may have duplicated what the user knows. */
START_TEST(test_refusal_names_the_side)
{
    static const char *const messages[] = {"mine: its input: a directory", "mine: its output: open for reading only"};
    struct trib_fd_options named = {.size = sizeof(named), .name = "mine"};
    struct trib_error err = {.code = 0};
    struct trib_channel *channel;
    int null = null_device(), bad = open(_i == 0 ? "/" : "/dev/null", O_RDONLY | O_CLOEXEC);

    ck_assert_int_eq(trib_fd_channel(_i == 0 ? bad : null, _i == 0 ? null : bad, &named, NULL, &channel, &err), TRIB_ERR_USAGE);
    ck_assert_str_eq(err.message, messages[_i]);
    close(null);
    close(bad);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fd_files");
    TCase *tcase = tcase_create("files");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, test_read, 0, sizeof(deadlines) / sizeof(deadlines[0]));
    tcase_add_loop_test(tcase, test_write, 0, sizeof(deadlines) / sizeof(deadlines[0]));
    tcase_add_test(tcase, test_short_file);
    tcase_add_loop_test(tcase, test_null_device, 0, 2);
    tcase_add_test(tcase, test_no_space);
    tcase_add_test(tcase, test_cancel);
    tcase_add_test(tcase, test_keep_open);
    tcase_add_test(tcase, test_copy_on_a_base);
    tcase_add_loop_test(tcase, test_watch, 0, 4);
    tcase_add_loop_test(tcase, test_refusal_names_the_side, 0, 2);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

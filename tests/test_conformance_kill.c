/* Peers that are killed in the middle of a message, over channels made of descriptors. */
#include "conformance/pattern.h"
#include "tests/support/balance.h"

#include <tributary/fd.h>
#include <tributary/reader.h>
#include <tributary/transports.h>
#include <tributary/writer.h>

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE = 100000, PART = 50000, UNREAD = 5000 };

/* ---- The child ------------------------------------------------------------------------------------------------- */

/* Announces a message, sends a part of it, and then does nothing until it is killed. */
static void child_talk(struct trib_channel *channel)
{
    static uint8_t bytes[PART];
    struct trib_writer *writer = trib_channel_writer(channel);

    conform_pattern_fill(bytes, sizeof(bytes), 1, 0);
    if (trib_writer_be32(writer, MESSAGE, NULL) == TRIB_OK && trib_writer_bytes(writer, bytes, sizeof(bytes), NULL) == TRIB_OK &&
        trib_writer_flush(writer, NULL) == TRIB_OK)
        for (;;)
            pause();
    _exit(1);
}

static void child_main(int in, int out, const char *uri)
{
    struct trib_channel *channel = NULL;
    int code = uri != NULL ? trib_dial(uri, NULL, &channel, NULL) : trib_fd_channel(in, out, NULL, NULL, &channel, NULL);

    alarm(60); /* should the parent be gone */
    if (code == TRIB_OK)
        child_talk(channel);
    _exit(1);
}

/* ---- The kinds of channels ------------------------------------------------------------------------------------- */

struct peer {
    pid_t pid;
    struct trib_channel *channel;
};

static void peer_over(struct peer *peer, const int parent[2], const int child[2])
{
    peer->pid = fork();
    ck_assert_int_ge(peer->pid, 0);
    if (peer->pid == 0) {
        close(parent[0]);
        if (parent[1] != parent[0])
            close(parent[1]);
        child_main(child[0], child[1], NULL);
    }
    close(child[0]);
    if (child[1] != child[0])
        close(child[1]);
    ck_assert_int_eq(trib_fd_channel(parent[0], parent[1], NULL, NULL, &peer->channel, NULL), TRIB_OK);
}

static void open_socketpair(struct peer *peer)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    peer_over(peer, (int[]){ fds[0], fds[0] }, (int[]){ fds[1], fds[1] });
}

static void open_pipes(struct peer *peer)
{
    int there[2], back[2];

    ck_assert_int_eq(pipe(there), 0);
    ck_assert_int_eq(pipe(back), 0);
    peer_over(peer, (int[]){ back[0], there[1] }, (int[]){ there[0], back[1] });
}

static void open_listener(struct peer *peer)
{
    struct trib_listener *listener;
    struct trib_error err;
    char uri[64];

    snprintf(uri, sizeof(uri), "unix:/tmp/trib-kill-%ld", (long)getpid());
    ck_assert_msg(trib_listen(uri, NULL, &listener, &err) == TRIB_OK, "%s", err.message);
    peer->pid = fork();
    ck_assert_int_ge(peer->pid, 0);
    if (peer->pid == 0)
        child_main(-1, -1, uri);
    ck_assert_int_eq(trib_listener_accept(listener, trib_deadline_ms(30000), &peer->channel, &err), TRIB_OK);
    trib_listener_free(listener);
}

static void (*const kinds[])(struct peer *peer) = { open_socketpair, open_pipes, open_listener };
#define KINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

/* All that the peer sends has come, so that the kill cannot cut it. */
static void await_part(struct peer *peer)
{
    struct trib_reader *reader = trib_channel_reader(peer->channel);
    struct trib_error err;
    struct trib_view view;

    trib_reader_set_deadline(reader, trib_deadline_ms(30000));
    ck_assert_msg(trib_reader_peek(reader, 4 + PART, &view, &err) == TRIB_OK, "%s", err.message);
}

static void kill_peer(struct peer *peer)
{
    int status;

    ck_assert_int_eq(kill(peer->pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(peer->pid, &status, 0), peer->pid);
    ck_assert(WIFSIGNALED(status));
}

/* ---- Tests ----------------------------------------------------------------------------------------------------- */

/* A part of the message has come, and its reader knows how much; all of the part can still be taken. */
static void rest_of_message(struct trib_reader *reader)
{
    struct trib_error err;
    struct trib_view view;

    ck_assert_int_eq(trib_reader_bytes_be32(reader, MESSAGE, &view, &err), TRIB_ERR_SHORT);
    ck_assert_uint_eq(trib_reader_position(reader), 0);
    ck_assert_int_eq(trib_reader_skip(reader, 4, NULL, &err), TRIB_OK);
    ck_assert_int_eq(trib_reader_take(reader, MESSAGE, &view, &err), TRIB_ERR_SHORT);
    ck_assert_uint_eq(err.wanted, MESSAGE);
    ck_assert_uint_eq(err.got, PART);
    ck_assert_int_eq(trib_reader_take(reader, PART, &view, &err), TRIB_OK);
    ck_assert_uint_eq(conform_pattern_mismatch(view.data, view.len, 1, 0), PART);
    ck_assert_int_eq(trib_reader_take(reader, 1, &view, &err), TRIB_EOF);
}

START_TEST(test_killed_in_a_message)
{
    struct peer peer;

    kinds[_i](&peer);
    await_part(&peer);
    kill_peer(&peer);
    rest_of_message(trib_channel_reader(peer.channel));
    trib_channel_free(peer.channel);
}
END_TEST

/* The reader is waiting for the rest while the peer is killed. */
START_TEST(test_killed_while_reading)
{
    struct peer peer;
    pid_t killer;
    int status;

    kinds[_i](&peer);
    await_part(&peer);
    killer = fork();
    ck_assert_int_ge(killer, 0);
    if (killer == 0) {
        usleep(20000); /* likely to find the reader blocked; either way the outcome is the same */
        _exit(kill(peer.pid, SIGKILL) == 0 ? 0 : 1);
    }
    trib_reader_set_deadline(trib_channel_reader(peer.channel), trib_deadline_ms(30000));
    rest_of_message(trib_channel_reader(peer.channel));
    ck_assert_int_eq(waitpid(killer, &status, 0), killer);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_int_eq(waitpid(peer.pid, &status, 0), peer.pid);
    trib_channel_free(peer.channel);
}
END_TEST

/* Bytes that the peer never read must not cost those that it wrote. */
START_TEST(test_killed_with_bytes_unread)
{
    static const uint8_t bytes[UNREAD];
    struct trib_error err;
    struct trib_view view;
    struct peer peer;
    int code = TRIB_OK;

    kinds[_i](&peer);
    await_part(&peer);
    ck_assert_int_eq(trib_writer_bytes(trib_channel_writer(peer.channel), bytes, sizeof(bytes), &err), TRIB_OK);
    ck_assert_int_eq(trib_writer_flush(trib_channel_writer(peer.channel), &err), TRIB_OK);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(peer.channel), 4 + PART / 2, &view, &err), TRIB_OK);
    kill_peer(&peer);
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(peer.channel), PART - PART / 2, &view, &err), TRIB_OK);
    ck_assert_uint_eq(conform_pattern_mismatch(view.data, view.len, 1, PART / 2), view.len);
    code = trib_reader_take(trib_channel_reader(peer.channel), 1, &view, &err);
    ck_assert_msg(code == TRIB_EOF || code == TRIB_ERR_CLOSED, "after the peer's death: %s", trib_code_name(code));
    trib_channel_free(peer.channel);
}
END_TEST

/* The writer learns of it too, by an error and not by a signal. */
START_TEST(test_killed_while_writing)
{
    static const uint8_t bytes[65536];
    struct trib_error err;
    struct peer peer;
    int code = TRIB_OK;

    signal(SIGPIPE, kinds[_i] == open_pipes ? SIG_IGN : SIG_DFL); /* for pipes the library leaves it to the process */
    kinds[_i](&peer);
    kill_peer(&peer);
    trib_writer_set_deadline(trib_channel_writer(peer.channel), trib_deadline_ms(30000));
    for (int i = 0; i < 1000 && code == TRIB_OK; i++)
        code = trib_writer_bytes(trib_channel_writer(peer.channel), bytes, sizeof(bytes), &err);
    ck_assert_msg(code == TRIB_ERR_CLOSED, "writing to a dead peer: %s", trib_code_name(code));
    trib_channel_free(peer.channel);
}
END_TEST

/* One of several peers dies; the others lose nothing. */
START_TEST(test_others_go_on)
{
    struct peer peers[5];
    struct trib_error err;
    struct trib_view view;

    for (size_t i = 0; i < 5; i++) {
        kinds[_i](&peers[i]);
        await_part(&peers[i]);
        ck_assert_int_eq(trib_reader_take(trib_channel_reader(peers[i].channel), 1000, &view, &err), TRIB_OK);
    }
    kill_peer(&peers[2]);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(trib_reader_take(trib_channel_reader(peers[i].channel), 4 + PART - 1000, &view, &err), TRIB_OK);
        ck_assert_uint_eq(conform_pattern_mismatch(view.data, view.len, 1, 996), view.len);
    }
    ck_assert_int_eq(trib_reader_take(trib_channel_reader(peers[2].channel), 1, &view, &err), TRIB_EOF);
    for (size_t i = 0; i < 5; i++) {
        if (i != 2)
            kill_peer(&peers[i]);
        trib_channel_free(peers[i].channel);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("killed peers");
    TCase *tcase = tcase_create("killed peers");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, balance_setup, balance_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_killed_in_a_message, 0, KINDS);
    tcase_add_loop_test(tcase, test_killed_while_reading, 0, KINDS);
    tcase_add_loop_test(tcase, test_killed_with_bytes_unread, 0, KINDS);
    tcase_add_loop_test(tcase, test_killed_while_writing, 0, KINDS);
    tcase_add_loop_test(tcase, test_others_go_on, 0, KINDS);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

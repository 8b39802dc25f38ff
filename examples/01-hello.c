/* Two processes and a Unix socket: one says hello, the other answers.
 *
 *   cc -o 01-hello 01-hello.c $(pkg-config --cflags --libs libtributary)
 */
#include <tributary/channel.h>
#include <tributary/reader.h>
#include <tributary/writer.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each call fills `err` where it fails: the message says what was done, to what, and why it did not work. */
static int complain(const struct trib_error *err)
{
    fprintf(stderr, "%s: %s\n", trib_code_name(err->code), err->message);
    return 1;
}

/* Sends a length and so many bytes. The literal is not ours to count references for, so the view has no holder. */
static int say(struct trib_channel *channel, const char *text, struct trib_error *err)
{
    struct trib_writer *writer = trib_channel_writer(channel);
    struct trib_view view = { (const uint8_t *)text, strlen(text), NULL };
    int code = trib_writer_bytes_be32(writer, view, err);

    return code == TRIB_OK ? trib_writer_flush(writer, err) : code;
}

/* Takes a length, which may be at most 1000 here, and so many bytes. They lie where the kernel put them. */
static int hear(struct trib_channel *channel, const char *who, struct trib_error *err)
{
    struct trib_view text;
    int code = trib_reader_string_be32(trib_channel_reader(channel), 1000, &text, err);

    if (code == TRIB_EOF)
        code = trib_error_set(err, TRIB_ERR_CLOSED, 0, "%s: the other side said nothing", who);
    if (code == TRIB_OK)
        printf("%s heard: %.*s\n", who, (int)text.len, (const char *)text.data);
    return code;
}

static int client(const char *uri)
{
    struct trib_channel *channel;
    struct trib_error err;
    int code = trib_dial(uri, NULL, &channel, &err);

    if (code != TRIB_OK)
        return complain(&err);
    code = say(channel, "hello", &err);
    if (code == TRIB_OK)
        code = hear(channel, "client", &err);
    trib_channel_free(channel);
    return code == TRIB_OK ? 0 : complain(&err);
}

static int server(struct trib_listener *listener)
{
    struct trib_channel *channel;
    struct trib_error err;
    int code = trib_listener_accept(listener, trib_deadline_ms(10000), &channel, &err);

    if (code != TRIB_OK)
        return complain(&err);
    code = hear(channel, "server", &err);
    if (code == TRIB_OK)
        code = say(channel, "hello to you", &err);
    trib_channel_free(channel);
    return code == TRIB_OK ? 0 : complain(&err);
}

int main(int argc, char **argv)
{
    const char *uri = argc > 1 ? argv[1] : "unix:./hello.socket";
    struct trib_listener *listener;
    struct trib_error err;
    int status = 1, result;
    pid_t child;

    if (trib_listen(uri, NULL, &listener, &err) != TRIB_OK) /* before the fork, so that the client finds it */
        return complain(&err);
    child = fork();
    if (child == 0) {
        result = client(uri);
        fflush(stdout);
        _exit(result); /* not exit(): the listener is the parent's */
    }
    result = child > 0 ? server(listener) : 1;
    trib_listener_free(listener);
    if (child > 0)
        waitpid(child, &status, 0);
    return result != 0 || status != 0;
}

/* Opens a channel to this very process, and runs its two ends. */
#include "tools/link.h"

#include <tributary/reader.h>
#include <tributary/writer.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPEN_TIMEOUT_MS = 30000 };

struct link {
    struct trib_listener *listener; /* NULL: a pair */
    struct trib_channel *far_channel;
    struct link_end far_end;
    struct link_fault fault;
};

void link_fault_note(struct link_fault *fault, int code, const struct trib_error *err)
{
    pthread_mutex_lock(&fault->lock);
    if (fault->code == TRIB_OK) {
        fault->code = code;
        fault->err = *err;
    }
    pthread_mutex_unlock(&fault->lock);
}

static void run_end(struct link *link, struct link_end end, struct trib_channel *channel)
{
    struct trib_error err;
    int code = end.run(channel, end.arg, &link->fault, &err);

    if (code != TRIB_OK)
        link_fault_note(&link->fault, code, &err);
    trib_channel_free(channel);
}

static void *far_main(void *arg)
{
    struct link *link = arg;
    struct trib_error err;
    int code = TRIB_OK;

    if (link->listener != NULL)
        code = trib_listener_accept(link->listener, trib_deadline_ms(OPEN_TIMEOUT_MS), &link->far_channel, &err);
    if (code == TRIB_OK)
        run_end(link, link->far_end, link->far_channel);
    else
        link_fault_note(&link->fault, code, &err);
    return NULL;
}

static void run_near(const struct tool *tool, struct link *link, const char *uri, struct link_end end, struct trib_channel *pair)
{
    struct trib_channel_options options = tool_channel_options(tool);
    struct trib_channel *channel = pair;
    const char *address = link->listener != NULL ? trib_listener_address(link->listener) : NULL;
    struct trib_error err;
    int code = TRIB_OK;

    options.deadline = trib_deadline_ms(OPEN_TIMEOUT_MS);
    if (link->listener != NULL)
        code = trib_dial(address != NULL ? address : uri, &options, &channel, &err);
    if (code == TRIB_OK) {
        run_end(link, end, channel);
        return;
    }
    link_fault_note(&link->fault, code, &err);
    trib_listener_cancel(link->listener);
}

static int open_link(const struct tool *tool, const char *uri, struct link *link, struct trib_channel **ret_near,
                     struct trib_error *err)
{
    const struct trib_transport *transport = tool_transport(tool, uri);
    struct trib_channel_options options = tool_channel_options(tool);

    if (transport != NULL && transport->listen == NULL && transport->pair != NULL)
        return transport->pair(&options, ret_near, &link->far_channel, err);
    return trib_listen(uri, &options, &link->listener, err);
}

int link_run(const struct tool *tool, const char *uri, struct link_end near_end, struct link_end far_end, struct trib_error *err)
{
    struct link link = {NULL, NULL, far_end, {PTHREAD_MUTEX_INITIALIZER, TRIB_OK, {0, 0, 0, 0, ""}}};
    struct trib_channel *near_channel = NULL;
    pthread_t thread;
    int code = open_link(tool, uri, &link, &near_channel, err);

    if (code != TRIB_OK)
        return code;
    code = pthread_create(&thread, NULL, far_main, &link);
    if (code != 0) {
        trib_channel_free(near_channel);
        trib_channel_free(link.far_channel);
        trib_listener_free(link.listener);
        return trib_error_set(err, TRIB_ERR_IO, code, "start a thread for %s", uri);
    }
    run_near(tool, &link, uri, near_end, near_channel);
    pthread_join(thread, NULL);
    trib_listener_free(link.listener);
    pthread_mutex_destroy(&link.fault.lock);
    if (link.fault.code != TRIB_OK)
        *err = link.fault.err;
    return link.fault.code;
}

static int say_end(struct trib_channel *channel, void *arg, struct link_fault *fault, struct trib_error *err)
{
    struct trib_writer *writer = trib_channel_writer(channel);

    (void)arg, (void)fault;
    trib_writer_set_deadline(writer, trib_deadline_ms(OPEN_TIMEOUT_MS));
    return trib_writer_finish(writer, 0, NULL, err);
}

/* A stream of a shared connection that is given up before its listener has seen it never comes to be accepted. */
static int wait_end(struct trib_channel *channel, void *arg, struct link_fault *fault, struct trib_error *err)
{
    struct trib_reader *reader = trib_channel_reader(channel);
    struct trib_view view;
    int rc;

    (void)arg, (void)fault;
    trib_reader_set_deadline(reader, trib_deadline_ms(OPEN_TIMEOUT_MS));
    rc = trib_reader_take_some(reader, 1, &view, err);
    return rc == TRIB_EOF ? TRIB_OK : rc;
}

int link_try(const struct tool *tool, const char *uri, struct trib_error *err)
{
    struct link_end near_end = {wait_end, NULL}, far_end = {say_end, NULL};

    return link_run(tool, uri, near_end, far_end, err);
}

/* ---- A place for sockets ---------------------------------------------------------------------------------------- */

enum { PLACE_FILES = 4, PLACE_MAX = 64 };

static char folder[PLACE_MAX];
static char files[PLACE_FILES][PLACE_MAX + 16]; /* each socket and its lock */

/* Async-signal-safe. */
static void remove_place(void)
{
    if (folder[0] == '\0')
        return;
    for (size_t i = 0; i < PLACE_FILES; i++)
        unlink(files[i]);
    rmdir(folder);
}

static void on_signal(int number)
{
    remove_place();
    signal(number, SIG_DFL);
    raise(number);
}

static void name_files(const char *name, struct link_place *place)
{
    static const char *const file_names[PLACE_FILES] = {"socket", "socket.lock", "grpc", "grpc.lock"};

    for (size_t i = 0; i < PLACE_FILES; i++)
        snprintf(files[i], sizeof(files[i]), "%s/%s", name, file_names[i]);
    snprintf(place->unix_uri, sizeof(place->unix_uri), "unix:%s", files[0]);
    snprintf(place->grpc_uri, sizeof(place->grpc_uri), "grpc+unix:%s", files[2]);
}

int link_place_init(struct link_place *place, struct trib_error *err)
{
    const char *top = getenv("TMPDIR");
    char name[PLACE_MAX];
    int needed;

    /* A long TMPDIR would not leave enough of the 107 bytes of a socket's path. */
    if (top == NULL || top[0] != '/' || strlen(top) > sizeof(name) - sizeof("/tributary-XXXXXX"))
        top = "/tmp";
    needed = snprintf(name, sizeof(name), "%s/tributary-XXXXXX", top);
    if (needed < 0 || (size_t)needed >= sizeof(name) || mkdtemp(name) == NULL)
        return trib_error_set(err, TRIB_ERR_IO, errno, "make a folder for sockets in %s", top);
    name_files(name, place);
    memcpy(folder, name, sizeof(folder));
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGHUP, on_signal);
    return TRIB_OK;
}

void link_place_done(void)
{
    remove_place();
    folder[0] = '\0';
}

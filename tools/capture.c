/* Opens captured sessions and walks through their events. */
#include "tools/capture.h"

#include <tributary/spark.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char from_engine[] = ".engine-to-worker.bin";
static const char from_worker[] = ".worker-to-engine.bin";

static const char *const handshakes[] = {"none", "pid", "tcp-daemon", "tcp-direct"};

const char *side_name(enum trib_side side)
{
    return side == TRIB_FROM_ENGINE ? "engine to worker" : "worker to engine";
}

const char *handshake_name(enum trib_handshake handshake)
{
    return (unsigned)handshake < sizeof(handshakes) / sizeof(handshakes[0]) ? handshakes[handshake] : "?";
}

int handshake_find(const char *name)
{
    for (size_t i = 0; i < sizeof(handshakes) / sizeof(handshakes[0]); i++)
        if (strcmp(handshakes[i], name) == 0)
            return (int)i;
    return -1;
}

/* ---- One file ------------------------------------------------------------------------------------------------- */

int capture_open(const char *path, struct capture *ret_capture, struct trib_error *err)
{
    struct capture capture;
    int rc;

    memset(&capture, 0, sizeof(capture));
    if (snprintf(capture.path, sizeof(capture.path), "%s", path) >= (int)sizeof(capture.path))
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "open a capture: the path is longer than %zu bytes",
                              sizeof(capture.path) - 1);
    rc = trib_chunk_map(path, &capture.chunk, err);
    if (rc != TRIB_OK)
        return rc;
    rc = trib_chunk_len(capture.chunk) == 0 ? trib_error_set(err, TRIB_ERR_SHORT, 0, "%s: the file is empty", path)
                                            : trib_spark_guess(capture.chunk, &capture.side, &capture.handshake, err);
    if (rc == TRIB_OK)
        *ret_capture = capture;
    else
        capture_done(&capture);
    return rc;
}

void capture_done(struct capture *capture)
{
    capture->chunk = trib_chunk_unref(capture->chunk);
}

/* ---- Walking -------------------------------------------------------------------------------------------------- */

int capture_walk_init(struct capture_walk *walk, const struct capture *capture, struct trib_error *err)
{
    struct trib_reader_options reader_options = TRIB_READER_OPTIONS_INIT;
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    int rc;

    walk->reader = NULL;
    walk->receiver = NULL;
    reader_options.initial = capture->chunk;
    options.handshake = capture->handshake;
    rc = trib_reader_new(&reader_options, &walk->reader, err);
    if (rc == TRIB_OK)
        rc = trib_reader_finish(walk->reader, err);
    if (rc == TRIB_OK)
        rc = trib_receiver_new(&trib_dialect_spark_socket, walk->reader, capture->side, &options, &walk->receiver, err);
    if (rc != TRIB_OK)
        capture_walk_done(walk);
    return rc;
}

void capture_walk_done(struct capture_walk *walk)
{
    trib_receiver_free(walk->receiver);
    trib_reader_free(walk->reader);
    walk->receiver = NULL;
    walk->reader = NULL;
}

int capture_end(const struct trib_receiver *receiver, struct trib_error *err)
{
    if (trib_receiver_state(receiver) != TRIB_SESSION_START)
        return TRIB_EOF;
    return trib_error_set(err, TRIB_ERR_SHORT, 0, "spark-socket: the end comes before a session has begun");
}

int capture_walk_next(struct capture_walk *walk, struct trib_event *ret_event, struct trib_error *err)
{
    int rc = trib_receiver_next(walk->receiver, ret_event, err);

    if (rc == TRIB_EOF && !trib_reader_finished(walk->reader)) {
        rc = trib_receiver_next_session(walk->receiver, err);
        if (rc == TRIB_OK)
            rc = trib_receiver_next(walk->receiver, ret_event, err);
    }
    return rc == TRIB_EOF ? capture_end(walk->receiver, err) : rc;
}

/* ---- Both files ----------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

/* The file of the stem with this ending, if there is one. */
static int open_half(const char *stem, const char *ending, struct capture *capture, struct trib_error *err)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s%s", stem, ending) >= (int)sizeof(path))
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "open a capture: the path is longer than %zu bytes", sizeof(path) - 1);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return TRIB_OK;
    return capture_open(path, capture, err);
}

/* A file of another name: its bytes say which direction it is. */
static int open_single(const char *path, struct session *session, struct trib_error *err)
{
    struct capture capture;
    int rc = capture_open(path, &capture, err);

    if (rc == TRIB_OK)
        *(capture.side == TRIB_FROM_ENGINE ? &session->engine : &session->worker) = capture;
    return rc;
}

static int open_halves(const char *path, struct session *session, struct trib_error *err)
{
    int rc;

    if (ends_with(path, from_engine) || ends_with(path, from_worker))
        session->name[strlen(path) - strlen(from_engine)] = '\0';
    rc = open_half(session->name, from_engine, &session->engine, err);
    if (rc == TRIB_OK)
        rc = open_half(session->name, from_worker, &session->worker, err);
    if (rc == TRIB_OK && session->engine.chunk == NULL && session->worker.chunk == NULL)
        rc = trib_error_set(err, TRIB_ERR_IO, ENOENT, "open a capture: %s, with %s or %s", path, from_engine, from_worker);
    return rc;
}

int session_open(const char *path, struct session *ret_session, struct trib_error *err)
{
    struct session *session = calloc(1, sizeof(*session));
    bool half = ends_with(path, from_engine) || ends_with(path, from_worker);
    int rc;

    if (session == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "open a capture: no memory");
    if (snprintf(session->name, sizeof(session->name), "%s", path) >= (int)sizeof(session->name))
        rc = trib_error_set(err, TRIB_ERR_USAGE, 0, "open a capture: the path is longer than %zu bytes",
                            sizeof(session->name) - 1);
    else if (!half && access(path, F_OK) == 0)
        rc = open_single(path, session, err);
    else
        rc = open_halves(path, session, err);
    if (rc == TRIB_OK)
        *ret_session = *session;
    else
        session_done(session);
    free(session);
    return rc;
}

void session_done(struct session *session)
{
    capture_done(&session->engine);
    capture_done(&session->worker);
}

/* ---- A directory ---------------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void session_names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static bool add_name(char ***names, size_t *count, const char *directory, const char *file)
{
    int stem = (int)(strlen(file) - strlen(from_engine));
    size_t len = strlen(directory) + 1 + (size_t)stem + 1;
    char **more = realloc(*names, (*count + 1) * sizeof(*more));
    char *name = malloc(len);

    if (more != NULL)
        *names = more;
    if (more == NULL || name == NULL) {
        free(name);
        return false;
    }
    snprintf(name, len, "%s/%.*s", directory, stem, file);
    (*names)[(*count)++] = name;
    return true;
}

int session_names(const char *directory, char ***ret_names, size_t *ret_count, struct trib_error *err)
{
    DIR *folder = opendir(directory);
    char **names = NULL;
    size_t count = 0;
    bool memory = true;
    struct dirent *entry;

    if (folder == NULL)
        return trib_error_set(err, TRIB_ERR_IO, errno, "read the captured sessions in %s", directory);
    while (memory && (entry = readdir(folder)) != NULL)
        if (ends_with(entry->d_name, from_engine))
            memory = add_name(&names, &count, directory, entry->d_name);
    closedir(folder);
    if (!memory || count == 0) {
        session_names_free(names, count);
        if (!memory)
            return trib_error_set(err, TRIB_ERR_NOMEM, 0, "read the captured sessions in %s: no memory", directory);
        return trib_error_set(err, TRIB_ERR_IO, ENOENT, "read the captured sessions in %s: a file *%s", directory, from_engine);
    }
    qsort(names, count, sizeof(*names), compare_names);
    *ret_names = names;
    *ret_count = count;
    return TRIB_OK;
}

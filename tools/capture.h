/* Captured sessions on disk: two files, one for each direction. */
#ifndef TRIBUTARY_TOOLS_CAPTURE_H
#define TRIBUTARY_TOOLS_CAPTURE_H

#include <tributary/chunk.h>
#include <tributary/message.h>
#include <tributary/reader.h>

#include <limits.h>

/* Bytes of one direction of one connection. chunk == NULL: there is no such file. */
struct capture {
    char path[PATH_MAX];
    struct trib_chunk *chunk;
    enum trib_side side;
    enum trib_handshake handshake;
};

struct session {
    char name[PATH_MAX]; /* the stem */
    struct capture engine;
    struct capture worker;
};

/* One file; direction and handshake are found by trying. */
int capture_open(const char *path, struct capture *ret_capture, struct trib_error *err);
void capture_done(struct capture *capture);

/* A reader and a receiver at the start of a capture. */
struct capture_walk {
    struct trib_reader *reader;
    struct trib_receiver *receiver;
};
int capture_walk_init(struct capture_walk *walk, const struct capture *capture, struct trib_error *err);
void capture_walk_done(struct capture_walk *walk);

/* What the end of the bytes is: TRIB_EOF, or TRIB_ERR_SHORT where no session has begun. */
int capture_end(const struct trib_receiver *receiver, struct trib_error *err);

/* The next event, through all sessions of the connection; TRIB_EOF at the capture's end. */
int capture_walk_next(struct capture_walk *walk, struct trib_event *ret_event, struct trib_error *err);

/* Both files of a session, found by the stem or by the path of either; or the one that there is. TRIB_ERR_IO: there is none. */
int session_open(const char *path, struct session *ret_session, struct trib_error *err);
void session_done(struct session *session);

/* The stems of a directory's sessions, sorted; free with session_names_free(). TRIB_ERR_IO: it cannot be read, or has none. */
int session_names(const char *directory, char ***ret_names, size_t *ret_count, struct trib_error *err);
void session_names_free(char **names, size_t count);

/* "engine to worker"; "tcp-daemon". Static strings. */
const char *side_name(enum trib_side side);
const char *handshake_name(enum trib_handshake handshake);
int handshake_find(const char *name); /* -1: none */

#endif

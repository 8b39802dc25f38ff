/* What the files of unix: share. */
#ifndef TRIBUTARY_UNIX_INTERNAL_H
#define TRIBUTARY_UNIX_INTERNAL_H

#include <tributary/transports.h>
#include <tributary/uri.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct tribi_unix_address {
    struct sockaddr_un name;
    socklen_t len;
    bool abstract;
};

/* The address of a URI. TRIB_ERR_USAGE: empty, or too long. */
int tribi_unix_address(const struct trib_uri *uri, struct tribi_unix_address *ret_address, struct trib_error *err);

/* The URI of an address, what is special in a path percent-encoded; `prefix` is the scheme with its colon. NULL: no memory. trib_free() it. */
char *tribi_unix_uri(const char *prefix, const struct tribi_unix_address *address);

/* A socket of ours, or -1 and errno. */
int tribi_unix_socket(int flags);

/* TRIB_OK: the process at the other end is ours, or anybody may be there. TRIB_ERR_IO, EACCES: another user's. */
int tribi_unix_check_peer(int fd, const struct trib_channel_options *options, struct trib_error *err);

/* A channel over a connected socket; on TRIB_OK the descriptor is the channel's. */
int tribi_unix_channel(int fd, const struct trib_channel_options *options, struct trib_channel **ret_channel, struct trib_error *err);

int tribi_unix_listen(const struct trib_uri *uri, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                      struct trib_error *err);

/* ---- The socket file -------------------------------------------------------------------------------------------
 * At most one listener owns a path: it holds a lock on the file path.lock as long as it lives. */
struct tribi_unix_file {
    int folder;  /* a listener outlives a chdir() of its process; -1: there is no file */
    int lock;
    dev_t device;
    ino_t inode; /* of the socket file that bind made */
    char name[sizeof(((struct sockaddr_un *)0)->sun_path)];                       /* in its folder */
    char lock_name[sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(".lock")];
};
#define TRIBI_UNIX_NO_FILE { .folder = -1, .lock = -1 }

/* Binds and listens with `fd` at a path, whose file has the wanted mode from the first instant. */
int tribi_unix_file_bind(struct tribi_unix_file *file, int fd, const struct tribi_unix_address *address, mode_t mode, int backlog,
                         struct trib_error *err);

/* Removes the file, if it is still the one that bind made, and gives the lock back. Twice is safe. */
void tribi_unix_file_remove(struct tribi_unix_file *file);

#endif

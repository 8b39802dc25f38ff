/* Channels over descriptors: what unix: is made of, and what a transport of your own over pipes, ttys, sockets or files needs. */
#ifndef TRIBUTARY_FD_H
#define TRIBUTARY_FD_H

#include <tributary/channel.h>

TRIB_BEGIN_DECLS

struct trib_fd_options {
    size_t size;
    const char *name;    /* for messages; a string that lasts; default "fd" */
    bool keep_open;      /* do not close the descriptors at the end, and set their buffers (send_buffer) back, best effort: a pipe
                          * that then holds more than it could before keeps its size */
};
#define TRIB_FD_OPTIONS_INIT { sizeof(struct trib_fd_options), NULL, false }

/* A channel that reads from `in` and writes to `out`, which may be the same: a connected stream socket of any family (a
 * socketpair, one from systemd), a pipe, a tty, a file. On TRIB_OK the descriptors are the channel's. Capabilities: TRIB_CAP_EVENTS;
 * TRIB_CAP_HALF_CLOSE where `in` and `out` differ or it is a socket; TRIB_CAP_CREDENTIALS on Unix sockets.
 *
 * A blocking read is one readv (recvmsg) on the caller's thread, straight to the place that the reader wants; how much is read
 * ahead is decided in transports/readahead.c. Sockets: MSG_NOSIGNAL, so no SIGPIPE; a blocked call is cancelled by shutdown(2).
 * Other descriptors: they are polled first, together with an event descriptor for cancel; writing to a pipe whose reader has gone
 * raises SIGPIPE unless the process ignores it, which this library leaves to the process. Files, that is regular files, block
 * devices and devices that epoll refuses (/dev/null), are always ready: they are read and written at the descriptor's own position
 * whatever the deadline, their end is TRIB_EOF, a callback of an event_base runs soon, and a cancel is seen between calls, which
 * wait for the disk. TRIB_ERR_USAGE: not an open descriptor, not open for its direction, a directory, or a socket of another type.
 *
 * finish shuts a socket down and closes any other `out` that is neither `in` nor kept open, which may be when a file system tells
 * that it could not keep what was written: TRIB_ERR_IO. */
TRIB_API int trib_fd_channel(int in, int out, const struct trib_fd_options *fd_options, const struct trib_channel_options *options,
                             struct trib_channel **ret_channel, struct trib_error *err);

TRIB_END_DECLS

#endif

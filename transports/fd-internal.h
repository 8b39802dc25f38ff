/* What the files of the descriptor channel share. */
#ifndef TRIBUTARY_FD_INTERNAL_H
#define TRIBUTARY_FD_INTERNAL_H

#include <tributary/fd.h>
#include <tributary/transport.h>

#include <stdatomic.h>

#include "readahead-internal.h"
#include "wake-internal.h"
#include "watch-internal.h"

struct tribi_fd_side {
    int fd;
    bool socket;
    bool local;              /* a Unix socket */
    bool file;               /* always ready: read and written without a poll, which would say nothing */
    bool tty;
    bool nowait;             /* neither socket nor file, and takes RWF_NOWAIT as far as is known */
    int buffer_before;       /* bytes, before it was set; 0: it was not */
    int lock_before;         /* SO_BUF_LOCK, likewise; -1: not known */
    atomic_uint_fast64_t calls; /* written by the side's thread alone */
    atomic_uint_fast64_t waits;
    struct tribi_watch watch;
};

struct tribi_fd {
    struct trib_channel_ops ops; /* the table, with this channel's name and capabilities */
    struct tribi_fd_side in, out;
    struct tribi_wake wake;      /* where a side is no socket, which shutdown() would wake */
    atomic_bool cancelled;
    bool keep_open;
    bool closed;
    int64_t spin_ns;

    /* The receiving thread's: the block that is being filled, with the reference of the channel. */
    struct trib_chunk *block;
    uint8_t *base;
    size_t len, fill;
    const uint8_t *full_end;     /* where the last block ended that was filled, and how long it was */
    size_t full_len;
    struct tribi_readahead readahead;
};

static inline void tribi_fd_count(atomic_uint_fast64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Receives 1 to `room` bytes; `all`: sleeps until all have come, if it may sleep for ever and the descriptor can. Codes of the
 * recv slot. */
int tribi_fd_read(struct tribi_fd *fd, uint8_t *at, size_t room, bool all, int64_t deadline, size_t *ret_got, struct trib_error *err);

/* The send slot. */
int tribi_fd_send(void *self, const struct trib_send *send, size_t *ret_bytes, struct trib_error *err);

int tribi_fd_cancelled(const struct tribi_fd *fd, const char *operation, struct trib_error *err);

#endif

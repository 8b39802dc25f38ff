/* One channel with both ends in this process, each on a thread of its own. */
#ifndef TRIBUTARY_TOOLS_LINK_H
#define TRIBUTARY_TOOLS_LINK_H

#include "tools/tool.h"

#include <pthread.h>

/* What went wrong first: all other failures follow from it. */
struct link_fault {
    pthread_mutex_t lock;
    int code;
    struct trib_error err;
};

/* Any thread. Call it before the channel is cancelled or freed, which is what the other end fails of. */
void link_fault_note(struct link_fault *fault, int code, const struct trib_error *err);

/* One end's work; the channel is the link's, which notes what run returns. */
struct link_end {
    int (*run)(struct trib_channel *channel, void *arg, struct link_fault *fault, struct trib_error *err);
    void *arg;
};

/* Listens at the URI, accepts and runs `far` on a new thread, dials and runs `near` on this one. TRIB_OK: both returned it.
 * Otherwise what was noted first. A transport that cannot listen, but has pairs, gives a pair. */
int link_run(const struct tool *tool, const char *uri, struct link_end near_end, struct link_end far_end, struct trib_error *err);

/* Opens a channel to this process, sees its end come, and closes it. */
int link_try(const struct tool *tool, const char *uri, struct trib_error *err);

/* URIs of all channels that need a socket file, in a folder of its own, which signals that end the process take away as well as
 * link_place_done(). One at a time. */
struct link_place {
    char unix_uri[96];
    char grpc_uri[96];
};
int link_place_init(struct link_place *place, struct trib_error *err);
void link_place_done(void);

#endif

/* Whoever accepts connections: a listener, which is asked, or a server, which serves from its base. */
#ifndef TRIBUTARY_GRPC_OWNER_INTERNAL_H
#define TRIBUTARY_GRPC_OWNER_INTERNAL_H

#include "transports/grpc/grpc-internal.h"
#include "transports/unix-internal.h"

struct tribi_grpc_owner {
    pthread_mutex_t lock;           /* of the list; taken before that of a connection */
    struct tribi_grpc_conn *conns;  /* with one reference each */
    struct tribi_wake wake;         /* of accept */
    void (*serve)(struct tribi_grpc_owner *owner, struct tribi_grpc_conn *conn); /* a server's */
};

/* Somebody has left a connection, or put a stream into its list of incoming ones. Any thread. */
void tribi_grpc_owner_ring(struct tribi_grpc_owner *owner);
void tribi_grpc_owner_serve(struct tribi_grpc_owner *owner, struct tribi_grpc_conn *conn); /* on the base, without locks */

/* Takes over a connection's only reference. */
void tribi_grpc_owner_add(struct tribi_grpc_owner *owner, struct tribi_grpc_conn *conn);
void tribi_grpc_owner_remove(struct tribi_grpc_owner *owner, struct tribi_grpc_conn *conn);
/* Says GOAWAY to all, and lets them go. */
void tribi_grpc_owner_done(struct tribi_grpc_owner *owner);

/* Under the connection's lock: the next complete stream that is served, as a channel; others are answered with UNIMPLEMENTED. TRIB_AGAIN: none. */
typedef bool tribi_grpc_served_fn(void *arg, const char *path);
int tribi_grpc_take_incoming(struct tribi_grpc_conn *conn, tribi_grpc_served_fn *served, void *arg, struct trib_channel **ret_channel,
                             struct trib_grpc_call **ret_call, struct trib_error *err);

/* address.c: a socket that listens */
struct tribi_grpc_bound {
    int fd;
    bool local;
    struct tribi_unix_file file;
    char *address; /* the URI to dial */
};
#define TRIBI_GRPC_UNBOUND { -1, false, TRIBI_UNIX_NO_FILE, NULL }
int tribi_grpc_bind_to(const struct trib_uri *uri, struct tribi_grpc_bound *ret_bound, struct trib_error *err);
void tribi_grpc_bound_done(struct tribi_grpc_bound *bound); /* twice is safe */
/* The next peer's socket, set up; TRIB_AGAIN: none, or a stranger's. TRIB_ERR_IO: descriptors or memory are lacking. */
int tribi_grpc_accept_from(struct tribi_grpc_bound *bound, const struct trib_channel_options *options, int *ret_fd, struct trib_error *err);

#endif

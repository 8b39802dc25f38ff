/* Calls of the services that come with the server: a request, an answer, on the server's base. */
#ifndef TRIBUTARY_GRPC_TALK_INTERNAL_H
#define TRIBUTARY_GRPC_TALK_INTERNAL_H

#include <tributary/chunk.h>
#include <tributary/grpc.h>

#include "transports/grpc/proto-internal.h"

struct tribi_grpc_talk;

enum tribi_grpc_talk_kind {
    TRIBI_GRPC_ONCE, /* one request, one answer */
    TRIBI_GRPC_MANY, /* an answer for each request */
    TRIBI_GRPC_HELD  /* one request, then an answer whenever there is news */
};

/* Fills *reply. Returns a gRPC status: other than 0 ends the call, with *ret_text, a static string. */
typedef int tribi_grpc_answer_fn(struct tribi_grpc_talk *talk, struct tribi_proto_span request, struct tribi_proto_out *reply,
                                 const char **ret_text);
/* Whether there is something to say, which is in *reply then. */
typedef bool tribi_grpc_news_fn(struct tribi_grpc_talk *talk, struct tribi_proto_out *reply);

/* All talks of a service. */
struct tribi_grpc_talks {
    struct event_base *base;
    void *service;
    struct tribi_grpc_talk *first;
    bool closing; /* who has an answer is let go */
};

struct tribi_grpc_talk {
    struct tribi_grpc_talks *talks;
    struct tribi_grpc_talk *next, **link;
    struct trib_grpc_call *call;
    enum tribi_grpc_talk_kind kind;
    tribi_grpc_answer_fn *answer;
    tribi_grpc_news_fn *news;
    bool asked;
    bool ending;
    int status;
    const char *text;
    char *topic; /* what a held talk is about; the service's, freed with the talk */
    int told;    /* and what it was told of it */
};

/* Takes the call over. */
void tribi_grpc_talk_begin(struct tribi_grpc_talks *talks, struct trib_grpc_call *call, enum tribi_grpc_talk_kind kind,
                           tribi_grpc_answer_fn *answer, tribi_grpc_news_fn *news);
void tribi_grpc_talks_tell(struct tribi_grpc_talks *talks);  /* there may be news */
void tribi_grpc_talks_close(struct tribi_grpc_talks *talks); /* ends all that wait, and those to come once they have an answer */
void tribi_grpc_talks_done(struct tribi_grpc_talks *talks);  /* frees them */

/* ---- The services of a server -------------------------------------------------------------------------------------- */

struct tribi_grpc_health;
struct tribi_grpc_reflection;

struct tribi_grpc_services {
    struct tribi_grpc_health *health;         /* NULL: not offered */
    struct tribi_grpc_reflection *reflection; /* likewise */
};

/* server.c */
struct tribi_grpc_services *tribi_grpc_server_services(struct trib_grpc_server *server);
struct event_base *tribi_grpc_server_base(struct trib_grpc_server *server);
/* Whether a method of this service, "pkg.Service", has a handler. */
bool tribi_grpc_server_has(const struct trib_grpc_server *server, const char *service, size_t len);

void tribi_grpc_health_close(struct tribi_grpc_health *health); /* nothing serves any more; NULL is allowed */
void tribi_grpc_health_free(struct tribi_grpc_health *health);
void tribi_grpc_reflection_close(struct tribi_grpc_reflection *reflection);
void tribi_grpc_reflection_free(struct tribi_grpc_reflection *reflection);

/* descriptors.c: the FileDescriptorProto of the services themselves. */
void tribi_grpc_describe_health(struct tribi_proto_out *out);
void tribi_grpc_describe_reflection(struct tribi_proto_out *out, const char *package); /* grpc.reflection.v1, or v1alpha */

#endif

/* grpc.health.v1: which services serve, for those who ask once and those who watch. */
#include "transports/grpc/talk-internal.h"

#include <tributary/alloc.h>
#include <tributary/grpc_services.h>

#include <string.h>

enum { SERVICE_UNKNOWN = 3, STATUS_FIELD = 1 };

struct service {
    struct service *next;
    char *name;
    enum trib_grpc_health status;
};

struct tribi_grpc_health {
    struct tribi_grpc_talks talks;
    struct service *services;
    bool offered; /* its methods have handlers */
};

static struct service *find(const struct tribi_grpc_health *health, const char *name, size_t len)
{
    struct service *service = health->services;

    while (service != NULL && (strlen(service->name) != len || memcmp(service->name, name, len) != 0))
        service = service->next;
    return service;
}

static int status_of(const struct tribi_grpc_health *health, const struct service *service)
{
    return service == NULL ? SERVICE_UNKNOWN : health->talks.closing ? TRIB_GRPC_HEALTH_NOT_SERVING : (int)service->status;
}

static void put_status(struct tribi_proto_out *out, int status)
{
    if (status != 0)
        tribi_proto_number(out, STATUS_FIELD, (uint64_t)status);
}

/* The name in a HealthCheckRequest. */
static bool asked_for(struct tribi_proto_span request, struct tribi_proto_span *ret_name, const char **ret_text)
{
    bool ok = tribi_proto_find(request, 1, ret_name);

    if (!ok)
        *ret_text = "the request is no HealthCheckRequest";
    if (ret_name->data == NULL)
        ret_name->data = (const uint8_t *)"";
    return ok;
}

static int answer_check(struct tribi_grpc_talk *talk, struct tribi_proto_span request, struct tribi_proto_out *reply,
                         const char **ret_text)
{
    struct tribi_grpc_health *health = talk->talks->service;
    struct tribi_proto_span name;
    const struct service *service;

    if (!asked_for(request, &name, ret_text))
        return TRIB_GRPC_INTERNAL;
    service = find(health, (const char *)name.data, name.len);
    if (service == NULL) {
        *ret_text = "unknown service";
        return TRIB_GRPC_NOT_FOUND;
    }
    put_status(reply, status_of(health, service));
    return TRIB_GRPC_OK;
}

static int answer_list(struct tribi_grpc_talk *talk, struct tribi_proto_span request, struct tribi_proto_out *reply,
                        const char **ret_text)
{
    struct tribi_grpc_health *health = talk->talks->service;

    (void)request, (void)ret_text;
    for (const struct service *service = health->services; service != NULL; service = service->next) {
        size_t entry = tribi_proto_begin(reply, 1), value;

        tribi_proto_text(reply, 1, service->name);
        value = tribi_proto_begin(reply, 2);
        put_status(reply, status_of(health, service));
        tribi_proto_end(reply, value);
        tribi_proto_end(reply, entry);
    }
    return TRIB_GRPC_OK;
}

static bool news_of(struct tribi_grpc_talk *talk, struct tribi_proto_out *reply)
{
    struct tribi_grpc_health *health = talk->talks->service;
    int status = status_of(health, find(health, talk->topic, strlen(talk->topic)));

    if (status == talk->told)
        return false;
    talk->told = status;
    put_status(reply, status);
    return true;
}

static int answer_watch(struct tribi_grpc_talk *talk, struct tribi_proto_span request, struct tribi_proto_out *reply,
                         const char **ret_text)
{
    struct tribi_proto_span name;

    if (!asked_for(request, &name, ret_text))
        return TRIB_GRPC_INTERNAL;
    talk->topic = trib_alloc(name.len + 1);
    if (talk->topic == NULL) {
        *ret_text = "no memory";
        return TRIB_GRPC_RESOURCE_EXHAUSTED;
    }
    memcpy(talk->topic, name.data, name.len);
    talk->told = -1;
    news_of(talk, reply);
    return TRIB_GRPC_OK;
}

static void on_check(struct trib_grpc_call *call, void *arg)
{
    tribi_grpc_talk_begin(arg, call, TRIBI_GRPC_ONCE, answer_check, NULL);
}

static void on_list(struct trib_grpc_call *call, void *arg)
{
    tribi_grpc_talk_begin(arg, call, TRIBI_GRPC_ONCE, answer_list, NULL);
}

static void on_watch(struct trib_grpc_call *call, void *arg)
{
    tribi_grpc_talk_begin(arg, call, TRIBI_GRPC_HELD, answer_watch, news_of);
}

/* ---- Life ---------------------------------------------------------------------------------------------------------- */

static int no_memory(const char *name, struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_NOMEM, 0, "set the health of \"%s\": no memory", name);
}

static int add(struct tribi_grpc_health *health, const char *name, struct service **ret_service, struct trib_error *err)
{
    struct service *service = trib_alloc(sizeof(*service));

    if (service == NULL || (service->name = trib_strdup(name)) == NULL) {
        trib_free(service);
        return no_memory(name, err);
    }
    service->status = TRIB_GRPC_HEALTH_SERVING;
    service->next = health->services;
    health->services = service;
    *ret_service = service;
    return TRIB_OK;
}

static int offer(struct trib_grpc_server *server, struct tribi_grpc_health **ret_health, struct trib_error *err)
{
    struct tribi_grpc_services *services = tribi_grpc_server_services(server);
    struct tribi_grpc_health *health = services->health;
    struct service *whole;
    int rc = TRIB_OK;

    if (health == NULL) {
        health = trib_alloc(sizeof(*health));
        if (health == NULL)
            return no_memory("", err);
        health->talks = (struct tribi_grpc_talks){ tribi_grpc_server_base(server), health, NULL, false };
        rc = add(health, "", &whole, err);
        if (rc != TRIB_OK) {
            tribi_grpc_health_free(health);
            return rc;
        }
        services->health = health;
    }
    *ret_health = health;
    if (health->offered)
        return TRIB_OK;
    rc = trib_grpc_server_handle(server, "/grpc.health.v1.Health/List", on_list, &health->talks, err);
    if (rc == TRIB_OK)
        rc = trib_grpc_server_handle(server, "/grpc.health.v1.Health/Watch", on_watch, &health->talks, err);
    if (rc == TRIB_OK)
        rc = trib_grpc_server_handle(server, "/grpc.health.v1.Health/Check", on_check, &health->talks, err);
    health->offered = rc == TRIB_OK;
    return rc;
}

int trib_grpc_server_set_health(struct trib_grpc_server *server, const char *name, enum trib_grpc_health status,
                                struct trib_error *err)
{
    struct tribi_grpc_health *health = NULL;
    struct service *service;
    int rc;

    if (name == NULL || status > TRIB_GRPC_HEALTH_NOT_SERVING)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "set the health of %s: %s", name != NULL ? name : "a service",
                              name == NULL ? "the name is NULL" : "the status is none of trib_grpc_health");
    rc = offer(server, &health, err);
    if (rc != TRIB_OK)
        return rc;
    service = find(health, name, strlen(name));
    if (service == NULL)
        rc = add(health, name, &service, err);
    if (rc != TRIB_OK)
        return rc;
    service->status = status;
    tribi_grpc_talks_tell(&health->talks);
    return TRIB_OK;
}

void tribi_grpc_health_close(struct tribi_grpc_health *health)
{
    if (health != NULL)
        tribi_grpc_talks_close(&health->talks);
}

void tribi_grpc_health_free(struct tribi_grpc_health *health)
{
    if (health == NULL)
        return;
    tribi_grpc_talks_done(&health->talks);
    while (health->services != NULL) {
        struct service *next = health->services->next;

        trib_free(health->services->name);
        trib_free(health->services);
        health->services = next;
    }
    trib_free(health);
}

/* Health checking and reflection of the test server, for tools that ask for them. */
#include "tests/interop/grpc/services.h"

#include <tributary/grpc_services.h>

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>

enum { DESCRIPTORS_MAX = 64 << 10 };

static const char service[] = "grpc.testing.TestService";
static enum trib_grpc_health health = TRIB_GRPC_HEALTH_SERVING;

static bool describe(struct trib_grpc_server *server, const char *file, struct trib_error *err)
{
    static char bytes[DESCRIPTORS_MAX];
    FILE *in = fopen(file, "rb");
    size_t len;
    bool whole;

    if (in == NULL)
        return trib_error_set(err, TRIB_ERR_IO, 0, "%s cannot be read", file) == TRIB_OK;
    len = fread(bytes, 1, sizeof(bytes), in);
    whole = len < sizeof(bytes) && ferror(in) == 0;
    fclose(in);
    if (!whole)
        return trib_error_set(err, TRIB_ERR_IO, 0, "%s cannot be read, or is larger than %d bytes", file, DESCRIPTORS_MAX) == TRIB_OK;
    return trib_grpc_server_describe(server, bytes, len, err) == TRIB_OK;
}

static void on_usr1(evutil_socket_t number, short what, void *arg)
{
    (void)number, (void)what;
    health = health == TRIB_GRPC_HEALTH_SERVING ? TRIB_GRPC_HEALTH_NOT_SERVING : TRIB_GRPC_HEALTH_SERVING;
    trib_grpc_server_set_health(arg, service, health, NULL);
}

bool services_begin(struct trib_grpc_server *server, struct event_base *base, const char *file)
{
    static struct event *usr1;
    struct trib_error err;

    if (!describe(server, file, &err) || trib_grpc_server_set_health(server, service, health, &err) != TRIB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    usr1 = evsignal_new(base, SIGUSR1, on_usr1, server);
    return usr1 != NULL && event_add(usr1, NULL) == 0;
}

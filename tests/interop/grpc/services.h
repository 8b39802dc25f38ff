/* Health checking and reflection of the test server, for tools that ask for them. */
#ifndef TRIBUTARY_TESTS_INTEROP_SERVICES_H
#define TRIBUTARY_TESTS_INTEROP_SERVICES_H

#include <tributary/grpc.h>

struct event_base;

/* Reflection by the FileDescriptorSet in the file; health of the server and of the service, which each SIGUSR1 turns over. Ends with the process.
 * Where it fails it says why on stderr and returns false. */
bool services_begin(struct trib_grpc_server *server, struct event_base *base, const char *file);

#endif

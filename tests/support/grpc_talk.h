/* One end of gRPC calls, for tests: begin, send, expect. Each fails the test where the call does not do as it should. */
#ifndef TRIBUTARY_TESTS_GRPC_TALK_H
#define TRIBUTARY_TESTS_GRPC_TALK_H

#include <tributary/grpc.h>

struct trib_grpc_client *grpc_talk_connect(const char *address);
/* Its reader and writer wait 20 seconds at most. */
struct trib_grpc_call *grpc_talk_begin(struct trib_grpc_client *client, const char *path);
void grpc_talk_send(struct trib_grpc_call *call, const void *data, size_t len);
void grpc_talk_send_end(struct trib_grpc_call *call);
/* The next message, which is valid until the next call. */
size_t grpc_talk_receive(struct trib_grpc_call *call, const uint8_t **ret_data);
void grpc_talk_expect(struct trib_grpc_call *call, const void *data, size_t len);
/* The call has ended with this status; its text holds `text`, unless that is NULL. */
void grpc_talk_expect_status(struct trib_grpc_call *call, int status, const char *text);
void grpc_talk_free(struct trib_grpc_call *call);

/* A client that comes now is served: /test/Echo answers. */
void grpc_talk_expect_service(const char *address);

#endif

/* A listener at grpc+unix: or grpc+tcp: that a gRPC server stands behind: it answers health checks, and tells of peers that are none. */
#ifndef TRIBUTARY_TOOLS_DOOR_H
#define TRIBUTARY_TOOLS_DOOR_H

#include "tools/tool.h"

/* As trib_listen(); `uri` has to last as long as the listener. Signals must be blocked that its thread is not to get. */
int door_listen(const struct tool *tool, const char *uri, const struct trib_channel_options *options, struct trib_listener **ret_listener,
                struct trib_error *err);

#endif

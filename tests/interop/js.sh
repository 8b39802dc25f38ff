#!/bin/sh
# @grpc/grpc-js as client of our server, and as server for our client.
. "$TRIB_SRC/tests/interop/common.sh"
need js

leave_out grpc-js 'Node pads it with zeros to the longest there is, which makes it another one' 'client over an abstract name' 'server over an abstract name'
places=$(without "$places" "grpc+unix:@tributary-interop-$$")
export NODE_PATH="$peers/js/node_modules"
client_everywhere grpc-js "$official_cases $more_cases" node "$interop/js/client.js"
leave_out 'our client to grpc-js' "its server has no call for it, and writes each message's flag as 0" server_compressed_unary server_compressed_streaming
server_everywhere grpc-js "$(without "$official_cases $more_cases" server_compressed_unary server_compressed_streaming)" \
    node "$interop/js/server.js"
finish

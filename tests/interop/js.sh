#!/bin/sh
# @grpc/grpc-js as client of our server, and as server for our client.
. "$TRIB_SRC/tests/interop/common.sh"
need js

# Node pads an abstract name with zeros to the longest there is, which makes it another one.
places=$(without "$places" "grpc+unix:@tributary-interop-$$")
export NODE_PATH="$peers/js/node_modules"
client_everywhere grpc-js "$official_cases $more_cases" node "$interop/js/client.js"
# Its server compresses nothing: there is no call for it, and the byte that says so is written as 0.
server_everywhere grpc-js "$(without "$official_cases $more_cases" server_compressed_unary server_compressed_streaming)" \
    node "$interop/js/server.js"
finish

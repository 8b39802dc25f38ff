#!/bin/sh
# gRPC C++ (Debian's) as client of our server, and as server for our client.
. "$TRIB_SRC/tests/interop/common.sh"
need cpp

client_everywhere 'gRPC C++' "$official_cases $more_cases" "$peers/cpp/peer" client
server_everywhere 'gRPC C++' "$official_cases $more_cases" "$peers/cpp/peer" server
finish

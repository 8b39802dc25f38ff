#!/bin/sh
# tonic as client of our server, and as server for our client.
. "$TRIB_SRC/tests/interop/common.sh"
need rust

client_everywhere tonic "$official_cases $more_cases" "$peers/rust/peer" client
server_everywhere tonic "$official_cases $more_cases" "$peers/rust/peer" server
finish

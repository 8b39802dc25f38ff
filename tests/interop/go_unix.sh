#!/bin/sh
# grpc-go over Unix sockets, as client of our server and as server for our client.
. "$TRIB_SRC/tests/interop/common.sh"
need go
peer=$peers/go/bin/interop

echo '-- grpc-go client, our server, a path'
start ours "$our_server" "grpc+unix:$work/ours.sock"
# Unquoted: lists of names.
# shellcheck disable=SC2086
peer_client_on "unix:$work/ours.sock" "$server" "$peer client" $official_cases $more_cases

echo '-- grpc-go client, our server, an abstract name'
start abstract "$our_server" "grpc+unix:@tributary-interop-$$"
peer_client_on "unix-abstract:tributary-interop-$$" "$server" "$peer client" large_unary sizes_bidi cancel_by_client

leave_out 'our client to grpc-go' 'its server compresses all messages of a call or none' server_compressed_streaming
some_cases=$(without "$official_cases" server_compressed_streaming)
echo '-- our client, grpc-go server, a path'
start peer "$peer" server "unix:$work/peer.sock"
# shellcheck disable=SC2086
our_client_drains "grpc+unix:$work/peer.sock" "$server" $some_cases $more_cases

echo '-- our client, grpc-go server, an abstract name'
start peer-abstract "$peer" server "unix-abstract:tributary-peer-$$"
our_client_drains "grpc+unix:@tributary-peer-$$" "$server" large_unary sizes_bidi cancel_by_client
finish

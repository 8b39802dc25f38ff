#!/bin/sh
# grpc-go's own interoperability client and server over TCP, each against ours.
. "$TRIB_SRC/tests/interop/common.sh"
need go

# The client has no cases of compression; those are in go_unix.sh.
start ours "$our_server" grpc+tcp:127.0.0.1:0
ours=$server
for one in empty_unary large_unary client_streaming server_streaming ping_pong empty_stream timeout_on_sleeping_server \
    cancel_after_begin cancel_after_first_response status_code_and_message special_status_message custom_metadata \
    unimplemented_method unimplemented_service rpc_soak; do
    check "grpc-go client, $one" "$peers/go/bin/client" --server_host 127.0.0.1 --server_port "${line##*:}" --test_case "$one"
done
end_server ours "$ours"
finish

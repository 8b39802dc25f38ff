#!/bin/sh
# grpc-go's own interoperability client and server over TCP, each against ours.
. "$TRIB_SRC/tests/interop/common.sh"
need go
# What the official programs carry. Compression, and the cases that are not gRPC's, are in go_unix.sh.
cases="empty_unary large_unary client_streaming server_streaming ping_pong empty_stream timeout_on_sleeping_server
    cancel_after_begin cancel_after_first_response status_code_and_message special_status_message custom_metadata
    unimplemented_method unimplemented_service"

[ -n "$ipv6" ] || skip "grpc-go over [::1]: this machine has none"
for host in 127.0.0.1 $ipv6; do
    echo "-- grpc-go's client, our server on $host"
    start ours "$our_server" "grpc+tcp:$(bracketed "$host"):0"
    for one in $cases rpc_soak; do
        check "$one" "$peers/go/bin/client" --server_host "$host" --server_port "${line##*:}" --test_case "$one"
    done
    end_server ours "$server"
done

echo "-- our client, grpc-go's server"
# It says nothing when it listens, and ends at no signal but by it.
port=$(free_port)
start_silent peer "$port" "$peers/go/bin/server" --port "$port"
# Unquoted: a list of names.
# shellcheck disable=SC2086
our_client_on "grpc+tcp:127.0.0.1:$port" $cases streams_1000
[ -z "$ipv6" ] || our_client_on "grpc+tcp:[::1]:$port" empty_unary large_unary
finish

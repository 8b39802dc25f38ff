#!/bin/sh
# grpc-go's own interoperability client and server over TCP, each against ours.
. "$TRIB_SRC/tests/interop/common.sh"
need go
# What the official programs carry: nothing about compression (go_unix.sh has that).
cases="empty_unary large_unary client_streaming server_streaming ping_pong empty_stream timeout_on_sleeping_server
    cancel_after_begin cancel_after_first_response status_code_and_message special_status_message custom_metadata
    unimplemented_method unimplemented_service"

[ -n "$ipv6" ] || skip "grpc-go over [::1]: this machine has none"
# Unquoted here and below: lists of names.
# shellcheck disable=SC2086
leave_out "grpc-go's client" 'its program has no compression; go_unix.sh has it' $compressed_cases
# shellcheck disable=SC2086
leave_out "grpc-go's client" "not one of gRPC's tests; go_unix.sh has it" $more_cases
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
# shellcheck disable=SC2086
our_client_on "grpc+tcp:127.0.0.1:$port" $cases streams_1000
# shellcheck disable=SC2086
leave_out "our client to grpc-go's server" 'its program has no compression; go_unix.sh has it' $compressed_cases
# shellcheck disable=SC2046,SC2086
leave_out "our client to grpc-go's server" "not one of gRPC's tests; go_unix.sh has it" $(without "$more_cases" streams_1000)
[ -z "$ipv6" ] || our_client_on "grpc+tcp:[::1]:$port" empty_unary large_unary
finish

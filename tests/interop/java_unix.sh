#!/bin/sh
# grpc-java on Netty's epoll domain sockets, as client of our server and as server for our client.
. "$TRIB_SRC/tests/interop/common.sh"
need java
java="java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx3g"
export CLASSPATH="$peers/java/classes:$peers/java/lib/*"
own_cases="half_duplex flow_controlled deadline_exceeded_streaming"

echo '-- grpc-java client, our server, a path'
start ours "$our_server" "grpc+unix:$work/ours.sock"
# Unquoted: a command and lists of names.
# shellcheck disable=SC2086
check_lines 300 $java Client "unix:$work/ours.sock" "$server" $official_cases $own_cases $more_cases graceful_shutdown
ended "our server" "$server"

echo '-- grpc-java client, our server, an abstract name'
start abstract "$our_server" "grpc+unix:@tributary-interop-$$"
# shellcheck disable=SC2086
check_lines 100 $java Client "unix-abstract:tributary-interop-$$" "$server" large_unary sizes_bidi cancel_by_client graceful_shutdown
ended "our server" "$server"

echo '-- our client, grpc-java server, a path'
# shellcheck disable=SC2086
start peer $java Server "unix:$work/peer.sock"
# shellcheck disable=SC2086
our_client_drains "grpc+unix:$work/peer.sock" "$server" $official_cases $more_cases

echo '-- our client, grpc-java server, an abstract name'
# shellcheck disable=SC2086
start peer-abstract $java Server "unix-abstract:tributary-peer-$$"
our_client_drains "grpc+unix:@tributary-peer-$$" "$server" large_unary sizes_bidi cancel_by_client
finish

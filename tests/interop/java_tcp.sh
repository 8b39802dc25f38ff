#!/bin/sh
# grpc-java's own interoperability client and server over TCP, each against ours.
. "$TRIB_SRC/tests/interop/common.sh"
need java
java="java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx2g"
export CLASSPATH="$peers/java/lib/*"
package=io.grpc.testing.integration

echo "-- grpc-java's client, our server"
start ours "$our_server" grpc+tcp:127.0.0.1:0
for one in $official_cases very_large_request rpc_soak; do
    # Unquoted: a command and its first arguments.
    # shellcheck disable=SC2086
    check "$one" $java $package.TestServiceClient --server_host=127.0.0.1 --server_port="${line##*:}" --use_tls=false --test_case="$one"
done
end_server "our server" "$server"

[ -n "$ipv6" ] || skip "grpc-java over [::1]: this machine has none"
if [ -n "$ipv6" ]; then
    echo "-- grpc-java's client, our server on ::1"
    start ours6 "$our_server" 'grpc+tcp:[::1]:0'
    # shellcheck disable=SC2086
    check large_unary $java $package.TestServiceClient --server_host=::1 --server_port="${line##*:}" --use_tls=false --test_case=large_unary
    end_server "our server" "$server"
fi

echo "-- our client, grpc-java's server"
# Its server compresses no streams, and does not look whether requests are compressed; java_unix.sh has both, and the cases that are not gRPC's.
# shellcheck disable=SC2086
cases=$(printf '%s ' $official_cases | sed 's/client_compressed_\([a-z]*\)/client_compressed_\1_noprobe/g; s/server_compressed_streaming //')
port=$(free_port)
# shellcheck disable=SC2086
start_silent peer "$port" $java $package.TestServiceServer --port="$port" --use_tls=false
# shellcheck disable=SC2086
our_client_on "grpc+tcp:127.0.0.1:$port" $cases streams_1000
finish

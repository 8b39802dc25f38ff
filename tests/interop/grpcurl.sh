#!/bin/sh
# grpcurl: reflection, health and calls of all kinds, over TCP and a Unix socket; what it prints is compared.
. "$TRIB_SRC/tests/interop/common.sh"
need go
protoset=$TRIB_BUILD/tests/interop/grpc/test.protoset
reflection=ServerReflection/ServerReflectionInfo

# curl WORD...: grpcurl with the flags of this place; its target stands in $target.
# Unquoted: a word or none.
# shellcheck disable=SC2086
curl() { timeout -k 5 "$CASE_SECONDS" "$peers/go/bin/grpcurl" -plaintext $unix "$@"; }

# told NAME CODE WORD...: a case; grpcurl ends with the code and prints what comes on standard input
# shellcheck disable=SC2086
told() {
    name=$1 wanted=$2
    shift 2
    says "$over: $name" "$wanted" "$peers/go/bin/grpcurl" -plaintext $unix "$@"
}

# answer NAME CODE REQUEST METHOD: a case, of a call
answer() { told "$1" "$2" -d "$3" "$target" "$4"; }

# late NAME REQUEST METHOD: a case, of a call that its deadline ends after a second; which side says so first is open
late() {
    curl -max-time 1 -d "$2" "$target" "$3" >"$work/late" 2>&1 </dev/null
    echo "exit code $?" >>"$work/late"
    says "$over: $1" 0 sed 's/^  Message: \(context deadline exceeded\|the deadline of the call passed\)$/  Message: late/' "$work/late"
}

services='grpc.health.v1.Health
grpc.reflection.v1.ServerReflection
grpc.reflection.v1alpha.ServerReflection
grpc.testing.TestService'

listing='{
  "original_request": {
    "list_services": "*"
  },
  "list_services_response": {
    "service": [
      {
        "name": "grpc.testing.TestService"
      },
      {
        "name": "grpc.health.v1.Health"
      },
      {
        "name": "grpc.reflection.v1.ServerReflection"
      },
      {
        "name": "grpc.reflection.v1alpha.ServerReflection"
      }
    ]
  }
}'

described='grpc.testing.TestService is a service:
service TestService {
  rpc EmptyCall ( .grpc.testing.Empty ) returns ( .grpc.testing.Empty );
  rpc FullDuplexCall ( stream .grpc.testing.StreamingOutputCallRequest ) returns ( stream .grpc.testing.StreamingOutputCallResponse );
  rpc HalfDuplexCall ( stream .grpc.testing.StreamingOutputCallRequest ) returns ( stream .grpc.testing.StreamingOutputCallResponse );
  rpc StreamingInputCall ( stream .grpc.testing.StreamingInputCallRequest ) returns ( .grpc.testing.StreamingInputCallResponse );
  rpc StreamingOutputCall ( .grpc.testing.StreamingOutputCallRequest ) returns ( stream .grpc.testing.StreamingOutputCallResponse );
  rpc UnaryCall ( .grpc.testing.SimpleRequest ) returns ( .grpc.testing.SimpleResponse );
  rpc UnimplementedCall ( .grpc.testing.Empty ) returns ( .grpc.testing.Empty );
}'

# What needs reflection, which our server has in one version or in two.
reflection_cases() {
    told 'list' 0 "$target" list <<SAID
$services
SAID
    told 'list a service' 0 "$target" list grpc.testing.TestService <<'SAID'
grpc.testing.TestService.EmptyCall
grpc.testing.TestService.FullDuplexCall
grpc.testing.TestService.HalfDuplexCall
grpc.testing.TestService.StreamingInputCall
grpc.testing.TestService.StreamingOutputCall
grpc.testing.TestService.UnaryCall
grpc.testing.TestService.UnimplementedCall
SAID
    told 'list what is not there' 1 "$target" list grpc.testing.Nobody <<'SAID'
Failed to list methods for service "grpc.testing.Nobody": Symbol not found: grpc.testing.Nobody
SAID
    told 'describe a service' 0 -protoset-out "$work/protoset" "$target" describe grpc.testing.TestService <<SAID
$described
SAID
    check "$over: the descriptors came whole" cmp "$work/protoset" "$protoset"
    rm -f "$work/protoset"
    told 'describe a message' 0 "$target" describe grpc.testing.SimpleRequest <<'SAID'
grpc.testing.SimpleRequest is a message:
message SimpleRequest {
  int32 response_type = 1;
  int32 response_size = 2;
  .grpc.testing.Payload payload = 3;
  .grpc.testing.BoolValue response_compressed = 6;
  .grpc.testing.EchoStatus response_status = 7;
  .grpc.testing.BoolValue expect_compressed = 8;
}
SAID
    told 'describe a field' 0 "$target" describe grpc.testing.EchoStatus.message <<'SAID'
grpc.testing.EchoStatus.message is a field:
string message = 2;
SAID
    told "describe the server's own service" 0 "$target" describe grpc.health.v1.Health <<'SAID'
grpc.health.v1.Health is a service:
service Health {
  rpc Check ( .grpc.health.v1.HealthCheckRequest ) returns ( .grpc.health.v1.HealthCheckResponse );
  rpc List ( .grpc.health.v1.HealthListRequest ) returns ( .grpc.health.v1.HealthListResponse );
  rpc Watch ( .grpc.health.v1.HealthCheckRequest ) returns ( stream .grpc.health.v1.HealthCheckResponse );
}
SAID
    told 'describe what is not there' 1 "$target" describe grpc.testing.Nobody <<'SAID'
Failed to resolve symbol "grpc.testing.Nobody": Symbol not found: grpc.testing.Nobody
SAID
    answer 'reflection v1alpha, called as a service' 0 '{"list_services": "*"}' "grpc.reflection.v1alpha.$reflection" <<SAID
$listing
SAID
    answer 'reflection v1alpha of a symbol that is not there' 0 '{"file_containing_symbol": "Nobody"}' "grpc.reflection.v1alpha.$reflection" <<'SAID'
{
  "original_request": {
    "file_containing_symbol": "Nobody"
  },
  "error_response": {
    "error_code": 5,
    "error_message": "unknown symbol"
  }
}
SAID
}

health_cases() {
    answer 'health of the server' 0 '{}' grpc.health.v1.Health/Check <<'SAID'
{
  "status": "SERVING"
}
SAID
    answer 'health of a service' 0 '{"service": "grpc.testing.TestService"}' grpc.health.v1.Health/Check <<'SAID'
{
  "status": "SERVING"
}
SAID
    answer 'health of a service that is not there' 69 '{"service": "grpc.testing.Nobody"}' grpc.health.v1.Health/Check <<'SAID'
ERROR:
  Code: NotFound
  Message: unknown service
SAID
    answer 'health of all' 0 '{}' grpc.health.v1.Health/List <<'SAID'
{
  "statuses": {
    "": {
      "status": "SERVING"
    },
    "grpc.testing.TestService": {
      "status": "SERVING"
    }
  }
}
SAID
    late 'a watch of a service that is not there, until the deadline' '{"service": "grpc.testing.Nobody"}' grpc.health.v1.Health/Watch <<'SAID'
{
  "status": "SERVICE_UNKNOWN"
}
ERROR:
  Code: DeadlineExceeded
  Message: late
exit code 68
SAID
}

call_cases() {
    answer 'unary' 0 '{"response_size": 9, "payload": {"body": "AAAA"}}' grpc.testing.TestService/UnaryCall <<'SAID'
{
  "payload": {
    "body": "AAAAAAAAAAAA"
  }
}
SAID
    answer 'client streaming' 0 '{"payload": {"body": "AAAA"}} {"payload": {"body": "AAAAAA=="}}' grpc.testing.TestService/StreamingInputCall <<'SAID'
{
  "aggregatedPayloadSize": 7
}
SAID
    answer 'server streaming' 0 '{"response_parameters": [{"size": 1}, {"size": 2}]}' grpc.testing.TestService/StreamingOutputCall <<'SAID'
{
  "payload": {
    "body": "AA=="
  }
}
{
  "payload": {
    "body": "AAA="
  }
}
SAID
    answer 'both streaming' 0 '{"response_parameters": [{"size": 1}]} {"response_parameters": [{"size": 3}]}' \
        grpc.testing.TestService/FullDuplexCall <<'SAID'
{
  "payload": {
    "body": "AA=="
  }
}
{
  "payload": {
    "body": "AAAA"
  }
}
SAID
    told 'metadata' 0 -v -H 'x-grpc-test-echo-initial: hello' -H 'x-grpc-test-echo-trailing-bin: AQID' "$target" \
        grpc.testing.TestService/EmptyCall <<'SAID'

Resolved method descriptor:
rpc EmptyCall ( .grpc.testing.Empty ) returns ( .grpc.testing.Empty );

Request metadata to send:
x-grpc-test-echo-initial: hello
x-grpc-test-echo-trailing-bin: AQID

Response headers received:
content-type: application/grpc
grpc-accept-encoding: identity,gzip
x-grpc-test-echo-initial: hello

Response contents:
{}

Response trailers received:
x-cancelled: 0
x-grpc-test-echo-trailing-bin: AQID
Sent 0 requests and received 1 response
SAID
}

error_cases() {
    answer 'a status with its text' 69 '{"response_status": {"code": 5, "message": "nothing of the kind: 100 % \u263a"}}' \
        grpc.testing.TestService/UnaryCall <<'SAID'
ERROR:
  Code: NotFound
  Message: nothing of the kind: 100 % ☺
SAID
    answer 'a status after a response' 73 '{"response_parameters": [{"size": 1}], "response_status": {"code": 9, "message": "no more"}}' \
        grpc.testing.TestService/StreamingOutputCall <<'SAID'
{
  "payload": {
    "body": "AA=="
  }
}
ERROR:
  Code: FailedPrecondition
  Message: no more
SAID
    answer 'a method that the server has not' 76 '{}' grpc.testing.TestService/UnimplementedCall <<'SAID'
ERROR:
  Code: Unimplemented
  Message: unknown method /grpc.testing.TestService/UnimplementedCall
SAID
    answer 'a service that the server has not' 76 '{}' grpc.testing.UnimplementedService/UnimplementedCall <<'SAID'
ERROR:
  Code: Unimplemented
  Message: unknown method /grpc.testing.UnimplementedService/UnimplementedCall
SAID
    answer 'a method that is not described' 1 '{}' grpc.testing.TestService/Nothing <<'SAID'
Error invoking method "grpc.testing.TestService/Nothing": service "grpc.testing.TestService" does not include a method named "Nothing"
SAID
    late 'a deadline' '{"response_parameters": [{"size": 1, "interval_us": 3000000}]}' grpc.testing.TestService/StreamingOutputCall <<'SAID'
ERROR:
  Code: DeadlineExceeded
  Message: late
exit code 68
SAID
}

# watched COUNT: so many statuses have come
watched() {
    tries=0
    until [ "$(grep -c '"status"' "$work/watch.out")" -ge "$1" ]; do
        [ "$tries" -lt 200 ] || return 1
        tries=$((tries + 1))
        sleep 0.05
    done
}

# A watch hears of every change, and of the end of the server.
watch_to_the_end() {
    : >"$work/watch.out"
    curl -d '{"service": "grpc.testing.TestService"}' "$target" grpc.health.v1.Health/Watch >>"$work/watch.out" 2>&1 </dev/null &
    watch=$!
    watched 1 && kill -USR1 "$server" && watched 2 && kill -USR1 "$server" && watched 3
    end_server "$over" "$server"
    wait "$watch"
    echo $? >>"$work/watch.out"
    says "$over: a watch through two changes and the end of the server" 0 cat "$work/watch.out" <<'SAID'
{
  "status": "SERVING"
}
{
  "status": "NOT_SERVING"
}
{
  "status": "SERVING"
}
{
  "status": "NOT_SERVING"
}
ERROR:
  Code: Unavailable
  Message: the server is shutting down
78
SAID
}

leave_out grpcurl '1.9.4 has no form for abstract names' 'all over an abstract name'
for where in $(without "$places" "grpc+unix:@tributary-interop-$$"); do
    start ours "$our_server" --describe "$protoset" "$where"
    over=$(place_of "$where") unix='' target=${line#*:}
    [ "${where#grpc+unix:}" = "$where" ] || unix=-unix
    reflection_cases
    answer 'reflection v1, called as a service' 0 '{"list_services": "*"}' "grpc.reflection.v1.$reflection" <<SAID
$listing
SAID
    health_cases
    call_cases
    error_cases
    watch_to_the_end
done

# Where there is no v1, grpcurl takes v1alpha.
start ours "$our_server" --describe "$protoset" --old-reflection grpc+tcp:127.0.0.1:0
over='v1alpha alone' unix='' target=${line#*:}
answer 'there is no v1' 76 '{"list_services": "*"}' "grpc.reflection.v1.$reflection" <<'SAID'
ERROR:
  Code: Unimplemented
  Message: not in this version
SAID
reflection_cases
end_server "$over" "$server"
finish

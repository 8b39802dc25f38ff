#!/bin/sh
# nghttp and h2load: requests that say of HTTP/2 and gRPC what no gRPC client says, and many calls at once, after which the server is as it was.
. "$TRIB_SRC/tests/interop/common.sh"
need nghttp2

# ---- Messages, as bytes ----
byte() { printf %b "\\0$(printf %03o "$1")"; }

varint() {
    rest=$1
    while [ "$rest" -ge 128 ]; do
        byte $((rest % 128 + 128))
        rest=$((rest / 128))
    done
    byte "$rest"
}

# framed FILE: a gRPC message
framed() {
    length=$(wc -c <"$1")
    printf '\0'
    for shift in 24 16 8 0; do
        byte $((length >> shift & 255))
    done
    cat "$1"
}

# payload FIELD SIZE: a Payload with a body of so many zeros
payload() {
    { printf '\022'; varint "$2"; head -c "$2" /dev/zero; } >"$work/payload"
    byte $(($1 * 8 + 2))
    varint "$(wc -c <"$work/payload")"
    cat "$work/payload"
}

# request RESPONSE PAYLOAD, response PAYLOAD: of UnaryCall
request() {
    { printf '\020'; varint "$1"; payload 3 "$2"; } >"$work/message"
    framed "$work/message"
}

response() {
    payload 1 "$1" >"$work/message"
    framed "$work/message"
}

# ---- nghttp ----

# heard COMMAND...: what came, header by header and trailer by trailer
heard() {
    "$@" >"$work/nghttp.out" 2>&1 || { code=$?; cat "$work/nghttp.out"; return $code; }
    sed -n 's/^.* recv (stream_id=[0-9]*) //p' "$work/nghttp.out"
}

# answers NAME PATH WORD...: a case; nghttp hears what comes on standard input
answers() {
    name=$1 path=$2
    shift 2
    cat >"$work/expected"
    heard timeout -k 5 "$CASE_SECONDS" nghttp -nv --no-dep "$@" "$base$path" >"$work/heard" </dev/null
    says "$over: $name" 0 cat "$work/heard" <"$work/expected"
}

# post NAME METHOD FILE WORD...: the same for a POST of gRPC to TestService
post() {
    name=$1 method=$2 file=$3
    shift 3
    answers "$name" "/grpc.testing.TestService/$method" -H ':method: POST' -H 'content-type: application/grpc' -d "$file" "$@"
}

ok=':status: 200
content-type: application/grpc
grpc-accept-encoding: identity,gzip
grpc-status: 0'

# What EmptyCall adds: no handler of this server has failed to end its call.
ok_so_far="$ok
x-cancelled: 0"

printf '\0\0\0\0\0' >"$work/empty"
request 314159 271828 >"$work/large"
response 314159 >"$work/large-response"

grpc_cases() {
    post 'POST' EmptyCall "$work/empty" <<SAID
$ok_so_far
SAID
    post 'POST with te' EmptyCall "$work/empty" -H 'te: trailers' <<SAID
$ok_so_far
SAID
    post 'a large request' UnaryCall "$work/large" <<SAID
$ok
SAID
    timeout -k 5 "$CASE_SECONDS" nghttp -H ':method: POST' -H 'content-type: application/grpc' -d "$work/large" \
        "$base/grpc.testing.TestService/UnaryCall" >"$work/body" 2>"$work/nghttp.err" </dev/null
    check "$over: a large response" cmp "$work/body" "$work/large-response"
    post 'a method that the server has not' Nothing "$work/empty" <<'SAID'
:status: 200
content-type: application/grpc
grpc-accept-encoding: identity,gzip
grpc-status: 12
grpc-message: unknown method /grpc.testing.TestService/Nothing
SAID
    post 'an encoding that the server has not' EmptyCall "$work/empty" -H 'grpc-encoding: zstd' <<'SAID'
:status: 200
content-type: application/grpc
grpc-accept-encoding: identity,gzip
grpc-status: 12
grpc-message: grpc-encoding is not one of grpc-accept-encoding
SAID
    post 'a timeout that is none' EmptyCall "$work/empty" -H 'grpc-timeout: soon' <<'SAID'
:status: 200
content-type: application/grpc
grpc-accept-encoding: identity,gzip
grpc-status: 13
grpc-message: malformed grpc-timeout
SAID
    post 'metadata' UnaryCall "$work/empty" -H 'x-grpc-test-echo-initial: hello' -H 'x-grpc-test-echo-trailing-bin: AQID' <<'SAID'
:status: 200
content-type: application/grpc
grpc-accept-encoding: identity,gzip
x-grpc-test-echo-initial: hello
grpc-status: 0
x-grpc-test-echo-trailing-bin: AQID
SAID
}

frame_cases() {
    post 'frames with padding' UnaryCall "$work/large" -b 200 <<SAID
$ok
SAID
    post 'no header table' EmptyCall "$work/empty" -c 0 <<SAID
$ok_so_far
SAID
    post 'small windows' UnaryCall "$work/large" -w 10 -W 10 <<SAID
$ok
SAID
    post 'trailers of the request' EmptyCall "$work/empty" --trailer 'x-end: here' <<SAID
$ok_so_far
SAID
    post 'a request that waits for 100' EmptyCall "$work/empty" --expect-continue <<SAID
$ok_so_far
SAID
    post 'CONTINUATION, and a list of headers above the limit' EmptyCall "$work/empty" --continuation <<SAID
:status: 200
content-type: application/grpc
grpc-accept-encoding: identity,gzip
grpc-status: 8
grpc-message: the header list has $((25346 + ${#authority})) bytes, the limit is 16384
SAID
    heard timeout -k 5 "$CASE_SECONDS" nghttp -nv --no-dep -m 200 -H ':method: POST' -H 'content-type: application/grpc' -d "$work/empty" \
        "$base/grpc.testing.TestService/EmptyCall" >"$work/heard" </dev/null
    says "$over: 200 streams" 0 sh -c "sort '$work/heard' | uniq -c | sed 's/^ *//'" <<'SAID'
200 :status: 200
200 content-type: application/grpc
200 grpc-accept-encoding: identity,gzip
200 grpc-status: 0
200 x-cancelled: 0
SAID
}

# other NAME WORD... : a case; not gRPC: headers, then the text, come on standard input
other() {
    name=$1
    shift
    heard timeout -k 5 "$CASE_SECONDS" nghttp -nv --no-dep "$@" "$base/grpc.testing.TestService/EmptyCall" >"$work/heard" </dev/null
    timeout -k 5 "$CASE_SECONDS" nghttp "$@" "$base/grpc.testing.TestService/EmptyCall" >>"$work/heard" 2>&1 </dev/null
    says "$over: $name" 0 cat "$work/heard"
}

other_cases() {
    for method in GET OPTIONS; do
        other "$method" -H ":method: $method" <<'SAID'
:status: 405
content-type: text/plain
allow: POST
this is a gRPC server: requests are POST
SAID
    done
    other 'HEAD, without a body' -H ':method: HEAD' <<'SAID'
:status: 405
content-type: text/plain
allow: POST
SAID
    other 'PUT with a body' -H ':method: PUT' -H 'content-type: application/grpc' -d "$work/large" <<'SAID'
:status: 405
content-type: text/plain
allow: POST
this is a gRPC server: requests are POST
SAID
    other 'POST without a content-type' -H ':method: POST' -d "$work/empty" <<'SAID'
:status: 415
content-type: text/plain
this is a gRPC server: the content-type is application/grpc
SAID
    other 'POST of JSON' -H ':method: POST' -H 'content-type: application/json' -d "$work/large" <<'SAID'
:status: 415
content-type: text/plain
this is a gRPC server: the content-type is application/grpc
SAID
    answers 'an upgrade from HTTP/1.1 gets no answer' /grpc.testing.TestService/EmptyCall -u </dev/null
}

for host in 127.0.0.1 $ipv6; do
    start ours "$our_server" "grpc+tcp:$(bracketed "$host"):0"
    over=$(place_of "$line") authority=${line#*:}
    base=http://$authority
    grpc_cases
    frame_cases
    other_cases
    end_server "$over" "$server"
done

# ---- h2load ----
CALLS=20000 SIZE=100
request "$SIZE" "$SIZE" >"$work/unary"
response "$SIZE" >"$work/unary-response"

# load NAME WORD...: a case: all calls of 4 connections with 32 streams each succeed and bring a message of the size that was asked for
load() {
    name=$1
    shift
    timeout -k 5 "$CASE_SECONDS" h2load -n "$CALLS" -c 4 -m 32 -d "$work/unary" -H 'content-type: application/grpc' -H 'te: trailers' "$@" \
        >"$work/h2load.out" 2>&1 </dev/null
    sed -n -e '/^requests:/p' -e '/^status codes:/p' -e 's/^traffic: .* [^ ]* (\([0-9]*\)) data$/\1 bytes of data/p' "$work/h2load.out" >"$work/loaded"
    says "$name" 0 cat "$work/loaded" <<SAID
requests: $CALLS total, $CALLS started, $CALLS done, $CALLS succeeded, 0 failed, 0 errored, 0 timeout
status codes: $CALLS 2xx, 0 3xx, 0 4xx, 0 5xx
$((CALLS * $(wc -c <"$work/unary-response"))) bytes of data
SAID
}

descriptors() { find "/proc/$server/fd" -mindepth 1 | grep -c .; }
memory() { sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$server/status"; }

# descriptors_are COUNT: a case; soon, for a connection's end may be under way
descriptors_are() {
    tries=0
    until [ "$(descriptors)" -eq "$1" ] || [ "$tries" -ge 100 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
    said="$(descriptors) descriptors, $1 before"
    if [ "$(descriptors)" -eq "$1" ]; then pass "$said"; else fail "$said"; fi
}

# memory_is_like KIB: a case; GROWTH above it at most, which is 52 bytes for each of the last calls. The stack of a thread that ran for the first time
# takes a part of it: up to 128 threads run at once.
GROWTH=2048
memory_is_like() {
    said="$(memory) KiB of memory, $1 before the last calls"
    if [ "$(memory)" -le $(($1 + GROWTH)) ]; then pass "$said"; else fail "$said: more than $GROWTH KiB above it"; fi
}

# loads TIME: over TCP and over the Unix socket
loads() {
    load "h2load, $CALLS calls over TCP, $1" "http://$tcp/grpc.testing.TestService/UnaryCall"
    load "h2load, $CALLS calls over a Unix socket, $1" -B "unix:$work/load" http://localhost/grpc.testing.TestService/UnaryCall
}

# One heap: how threads spread over several changes from run to run.
start ours env MALLOC_ARENA_MAX=1 "$our_server" grpc+tcp:127.0.0.1:0 "grpc+unix:$work/load"
tcp=${line#*:} over='after h2load' base=http://$tcp
opened=$(descriptors)
loads first
loads again
used=$(memory)
loads 'a third time'
descriptors_are "$opened"
memory_is_like "$used"
# h2load does not look at trailers; what the server says of its calls does.
post 'every call came to its end' EmptyCall "$work/empty" <<SAID
$ok_so_far
SAID
end_server "$over" "$server"
finish

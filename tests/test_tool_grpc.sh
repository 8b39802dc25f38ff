#!/bin/sh
# The command `tributary` over grpc+unix: and grpc+tcp:, where it does what it does over unix:.
set -u

# shellcheck source=tests/support/tool.sh
. "$TRIB_SRC/tests/support/tool.sh"

engine=$vectors/c-map-in-arrow.uds-direct.engine-to-worker.bin
worker=$vectors/c-map-in-arrow.uds-direct.worker-to-engine.bin
any=grpc+tcp:127.0.0.1:0

# ---- URIs that are none, and nobody there ----

for uri in 'grpc+unix:' 'grpc+tcp:' 'grpc+tcp:127.0.0.1' 'grpc+tcp:127.0.0.1:70000' 'grpc+tcp:10.0.0.1:80' 'grpc+unix:s?mode=rw' 'grpc+unix:s?x=1' \
    'grpc+unix:s?method=x'; do
    refuses 2 "$uri" replay "$engine" --over "$uri"
    refuses 2 "$uri" serve "$uri"
    refuses 2 "$uri" send "$uri" "$engine"
    refuses 2 "$uri" conform "$uri"
    refuses 2 "$uri" demo --data "$vectors" --over "$uri"
done
for port in 99999 -1 65536 5o 0x50; do
    refuses 2 'byte 20: the port is not a number from 0 to 65535' send "grpc+tcp:127.0.0.1:$port" "$engine"
    refuses 2 'byte 20: the port is not a number from 0 to 65535' serve "grpc+tcp:127.0.0.1:$port"
done
refuses 2 'byte 20: a port, 0 to 65535, is missing' serve 'grpc+tcp:127.0.0.1:'
refuses 2 'byte 15: a port, 0 to 65535, is missing' serve 'grpc+tcp:[::1]'
for command in serve conform; do
    refuses 2 'byte 20: a method is a path' $command 'grpc+unix:s?method=foo'
done
refuses 2 'byte 20: a method is a path' send 'grpc+unix:s?method=foo' "$engine"
refuses 2 'byte 13: unknown parameter' serve 'grpc+unix:s?modes=600' --protocol spark-grpc
refuses 1 'start a listener first' send grpc+unix:nobody "$engine"
refuses 1 'start a listener first' send grpc+unix:@nobody-listens-there "$engine"
refuses 1 'start a listener first' send grpc+tcp:127.0.0.1:1 "$engine"
refuses 1 'No such file' serve grpc+unix:missing/s

# ---- Captures, whole and broken ----

for capture in "$vectors"/*.engine-to-worker.bin; do
    stem=${capture%.engine-to-worker.bin}
    runs 0 replay "$stem" --over grpc+unix:s
    is "$stem: both directions" [ "$(grep -c 'equal to the byte' out)" -eq 2 ]
done
for stem in c-map-in-arrow.uds-direct c-map-in-arrow.tcp-daemon; do
    runs 0 replay "$vectors/$stem" --over $any --split 7
    is "$stem: its answer is computed" grep -q 'computed by echo.*4 bytes of process id and 32 bytes of times masked' out
done
runs 0 replay "$engine" --over grpc+unix:s --split 1
cp "$engine" other.engine-to-worker.bin
{ head -c 425 "$worker"; bytes A; tail -c +427 "$worker"; } >other.worker-to-engine.bin
refuses 1 'byte 425 differs' replay other --over grpc+unix:s
head -c 4700 "$engine" >bad
refuses 1 'Arrow metadata: wanted ' replay bad --over grpc+unix:s
refuses 1 'Arrow metadata: wanted ' replay bad --over $any --split 5
is 'no socket is left' [ ! -e s ]

# ---- serve and send ----

head -c 33000000 /dev/urandom >big
bytes 'Many channels, 1 stream.\n' >small
cat big small >two

# there_and_back URI: one peer, eight at once, and an end in order
there_and_back() {
    start "$1"
    to=$(address "$1")
    is "$1: the port is told" [ "${to%:0}" = "$to" ]
    runs 0 send "$to" big --out back
    is "$1: what comes back is what was sent" cmp big back
    is "$1: sizes, time and rate" grep -qE 'sent 31\.5 MiB, received 31\.5 MiB in [0-9.]+ (ms|s), [0-9.]+ GB/s$' err
    is "$1: standard input and output" sh -c "cat small | timeout 60 '$tool' send '$to' - --out - 2>err | cmp - small"
    refuses 1 'Address already in use' serve "$to"
    others=
    for i in 1 2 3 4 5 6 7 8; do
        timeout 120 "$tool" send "$to" big small --out "back$i" 2>/dev/null &
        others="$others $!"
    done
    for other in $others; do
        is "$1: eight at once" wait "$other"
    done
    for i in 1 2 3 4 5 6 7 8; do
        is "$1: the answer to number $i" cmp two "back$i"
        rm -f "back$i"
    done
    end_server TERM
    is "$1: SIGTERM is an end in order" [ "$ended" -eq 0 ]
    is "$1: good peers cost no line" [ ! -s log ]
    is "$1: no socket and no lock are left" [ ! -e s ] && [ ! -e s.lock ]
}
there_and_back grpc+unix:s
there_and_back "grpc+unix:@tributary-test-$$"
there_and_back $any
if grep -q ' lo$' /proc/net/if_inet6 2>/dev/null; then
    there_and_back 'grpc+tcp:[::1]:0'
fi

# The URI names the method; any other is not served.
start 'grpc+unix:s?method=/pkg.Service/Method' --serializer upper
runs 0 send 'grpc+unix:s?method=/pkg.Service/Method' small --out back
is 'a method of one choice' [ "$(cat back)" = 'MANY CHANNELS, 1 STREAM.' ]
refuses 1 'UNIMPLEMENTED' send grpc+unix:s small
end_server TERM

# Peers that speak something else cost one line each, ten in a second at most; health is answered.
start grpc+unix:s
bytes 'GET / HTTP/1.1\r\nHost: s\r\n\r\n' >web
bytes 'PRI * HTTP/2' >half
bytes 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\377\377\377\0\0\0\0\0\1' >large
bytes '\n\0' >question
bytes '\010\001' >serving
for stranger in web half large; do
    timeout 60 "$tool" send unix:s $stranger >out 2>err
done
runs 0 send 'grpc+unix:s?method=/grpc.health.v1.Health/Check' question --out answer
is 'it is healthy' cmp answer serving
runs 0 send grpc+unix:s small
end_server TERM
is 'one line for each that speaks something else' [ "$(wc -l <log)" -eq 3 ]
# Its backslashes are the line's.
# shellcheck disable=SC1003
is 'HTTP/1.1 is told of' grep -qF 'does not speak HTTP/2: what it sent begins with "GET / HTTP/1.1\r\nHost: s\r"' log
is 'half a preface is told of' grep -qF 'the peer broke HTTP/2: it closed the connection inside the preface' log
is 'a frame of 2^24-1 bytes is told of' grep -qF 'the peer broke HTTP/2: FRAME_SIZE_ERROR' log
is 'and so is the peer' [ "$(grep -c '^tributary: serve: grpc+unix:s: peer [0-9]* of user [0-9]*: ' log)" -eq 3 ]

# The other way round: what is no gRPC server.
start unix:s
refuses 1 'does not speak HTTP/2: what it sent begins with "PRI * HTTP/2.0' send grpc+unix:s small
refuses 1 'does not speak HTTP/2: what it sent begins with "PRI * HTTP/2.0' call grpc+unix:s --payload echo
end_server TERM

# A file that nobody listens on is replaced.
start grpc+unix:s
end_server KILL
is 'SIGKILL leaves the file' [ -S s ]
start grpc+unix:s --serializer count --threads 1
runs 0 send grpc+unix:s big --out -
is 'count' [ "$(cat out)" = 33000000 ]
mkfifo silence
"$tool" send grpc+unix:s - <silence 2>quiet &
silent=$!
exec 4>silence
bytes x >&4
end_server INT
exec 4>&-
is 'SIGINT is an end in order, with a peer under way' [ "$ended" -eq 0 ]
wait $silent
is 'the peer is told' [ $? -eq 1 ]
is 'no socket is left by SIGINT' [ ! -e s ]

# ---- Sessions of spark-socket, and deadlines ----

start grpc+unix:s --protocol spark-socket
runs 0 send grpc+unix:s "$engine" --out back
is 'a session is answered' [ "$(wc -c <back)" -eq "$(wc -c <"$worker")" ]
head -c 6 "$engine" >bad
timeout 60 "$tool" send grpc+unix:s bad >out 2>err
{ bytes '\377\377\377\370\177\377\377\377'; tail -c +9 "$engine"; } >bad
timeout 60 "$tool" send grpc+unix:s bad --out back 2>err
is 'the peer is told what is wrong' grep -qaF '2147483647 bytes, at most' back
runs 0 send grpc+unix:s "$engine" --out back
end_server HUP
is 'SIGHUP is an end in order' [ "$ended" -eq 0 ]
is 'a line for each bad peer' [ "$(grep -c '^tributary: serve: grpc+unix:s: peer [0-9]* of user [0-9]*: ' log)" -eq 2 ]
is 'and no other line' [ "$(wc -l <log)" -eq 2 ]

start grpc+unix:s --protocol spark-socket --timeout 0.2 --once
mkfifo stopped
timeout 60 "$tool" send grpc+unix:s - --timeout 60 <stopped 2>quiet &
silent=$!
exec 4>stopped
head -c 6 "$engine" >&4
wait_server
exec 4>&-
wait $silent
is 'serve --timeout' [ "$ended" -eq 1 ] && grep -q 'deadline' log
start grpc+unix:s --serializer count
mkfifo waiting
exec 4<>waiting
timeout 60 "$tool" send grpc+unix:s - --timeout 0.2 <&4 2>err
is 'send --timeout' [ $? -eq 1 ] && grep -q 'deadline' err
exec 4>&-
end_server TERM

# ---- conform ----

for uri in grpc+unix:s $any; do
    runs 0 conform "$uri"
    is "conform $uri: a total at the end" sh -c "tail -n 1 out | grep -qE '[0-9]+ passed, 0 failed, [0-9]+ skipped$'"
done
is 'no socket is left by any' [ ! -e s ] && [ ! -e s.lock ]

totals

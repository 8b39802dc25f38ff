#!/bin/sh
# `tributary serve --connection` as Spark starts it and ends it: the launch contract.
set -u

# shellcheck source=tests/support/tool.sh
. "$TRIB_SRC/tests/support/tool.sh"

bytes 'Many channels, 1 stream.\n' >small

# works URI: a worker is there, and echoes
works() {
    runs 0 call "$1" --payload echo --raw --in small --out back
    is "$1: echoes" cmp small back
}

# ends CODE WORDS: the server has ended with this code; its lines have the words
ends() {
    is "exit code $1: $ended" [ "$ended" -eq "$1" ]
    is "its lines: $2" grep -qF -- "$2" log
}

# ---- What the command line may hold ----

start --serializer echo --id w-1 --connection w.sock
is 'the first line names the worker' [ "${listening#tributary: serve: w-1: listening at grpc+unix:w.sock}" != "$listening" ]
is 'the socket is its user'\''s alone' [ "$(stat -c %a w.sock)" = 600 ]
works grpc+unix:w.sock
end_server TERM
is 'SIGTERM is an end in order' [ "$ended" -eq 0 ]
is 'a good session costs no line' [ ! -s log ]
is 'no socket and no lock are left' [ ! -e w.sock ] && [ ! -e w.sock.lock ]

start --serializer echo --id w-1 --connection w.sock
bytes 'GET / HTTP/1.1\r\n\r\n' >web
bytes '\n\0' >question
bytes '\010\001' >serving
timeout 60 "$tool" send unix:w.sock web >out 2>err
runs 0 send 'grpc+unix:w.sock?method=/grpc.health.v1.Health/Check' question --out answer
is 'it is healthy' cmp answer serving
end_server TERM
is 'a peer that speaks something else costs a line' [ "$(wc -l <log)" -eq 1 ]
is 'which says so' grep -q '^tributary: serve: w-1: peer [0-9]* of user [0-9]*: .*does not speak HTTP/2: what it sent begins with "GET / ' log

# Flags that nobody knows, in front and behind, with values and without.
start --new-flag --serializer echo --other=3 --more value --id w-2 --connection w.sock --yet 5 -x --last
works grpc+unix:w.sock
end_server INT
is 'unknown flags are ignored' [ "$ended" -eq 0 ]
start --connection=w.sock --id=w-3 --connections nothing --identity nobody
works grpc+unix:w.sock
end_server HUP
is 'no flag is taken for one that begins alike' [ "$ended" -eq 0 ]

refuses 2 "unknown option '--new-flag'" serve --serializer echo --id w --new-flag value
refuses 2 "unknown option '--new-flag'" serve --new-flag value grpc+unix:w.sock --protocol spark-grpc
refuses 2 'only with --connection' serve --id w unix:s
refuses 2 'only with --connection' serve --grace 1 unix:s
refuses 2 'where to listen' serve --connection w.sock unix:s
refuses 2 'is for spark-grpc' serve --connection w.sock --protocol raw
refuses 2 'not with the protocol spark-grpc' serve --connection w.sock --timeout 5
refuses 2 'not with the protocol spark-grpc' serve --connection w.sock --handshake pid
refuses 2 'not a number' serve --connection w.sock --threads 0
refuses 2 'none of echo' serve --connection w.sock --serializer nonsense
refuses 2 'not a number of seconds' serve --connection w.sock --grace soon
refuses 2 "'--connection' needs a value" serve --id w --connection
refuses 2 'neither a path nor a port' serve --connection ''
refuses 2 'unix:s' serve unix:s --protocol spark-grpc
is 'no socket is made by what is refused' [ ! -e w.sock ] && [ ! -e s ]

# ---- Paths ----

long=$(printf '%0107d' 0 | tr 0 p)
start --serializer echo --id w --connection "$long"
works "grpc+unix:$long"
end_server TERM
is 'a path of 107 bytes' [ "$ended" -eq 0 ]
refuses 2 'the path has 108 bytes, and a socket'\''s has at most 107' serve --id w --connection "${long}p"
for path in './@name' 'a b%?#' './5000'; do
    start --serializer echo --id w --connection "$path"
    is "$path is a path" [ -S "$path" ]
    end_server TERM
    is "$path is removed" [ ! -e "$path" ]
done

start --serializer echo --id w --connection w.sock
refuses 1 'somebody listens' serve --serializer echo --id v --connection w.sock
works grpc+unix:w.sock
end_server KILL
is 'SIGKILL leaves the file' [ -S w.sock ]
start --serializer echo --id w --connection w.sock
works grpc+unix:w.sock
end_server TERM
is 'a stale file was replaced, and removed' [ ! -e w.sock ]

bytes 'mine' >file
refuses 1 'file' serve --id w --connection file
is 'what is no socket is not touched' [ "$(cat file)" = mine ]
refuses 1 'No such file' serve --id w --connection missing/w.sock

# ---- Ports ----

start grpc+tcp:127.0.0.1:0
port=$(address none)
port=${port##*:}
end_server TERM
start --serializer echo --id w --connection "$port"
works "grpc+tcp:127.0.0.1:$port"
if grep -q ' lo$' /proc/net/if_inet6 2>/dev/null; then
    works "grpc+tcp:[::1]:$port"
fi
refuses 1 'Address already in use' serve --id v --connection "$port"
end_server TERM
is 'SIGTERM ends a worker of a port' [ "$ended" -eq 0 ]
start --serializer echo --id w --connection "$port"
end_server TERM
is 'a port is free again at once' [ "$ended" -eq 0 ]
for none in 0 65536 123456; do
    refuses 2 'not a port from 1 to 65535' serve --id w --connection $none
done

# ---- The end ----

# An engine's idle connection: HTTP/2's first words, and nothing more.
start --serializer echo --id w --connection w.sock --grace 60
mkfifo idle
timeout 60 "$tool" send unix:w.sock - --out settings <idle 2>quiet &
engine=$!
exec 4>idle
bytes 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0' >&4
until_holds test -s settings
is 'the connection is open' [ -s settings ]
end_server TERM
is 'SIGTERM is an end in order with an idle client' [ "$ended" -eq 0 ]
exec 4>&-
wait $engine

# in_flight FIFO OPTION...: a session that has had its first byte echoed, and waits for more
in_flight() {
    fifo=$1
    shift
    rm -f "$fifo" first
    mkfifo "$fifo"
    "$tool" call grpc+unix:w.sock --payload echo --raw --batch 1 --in - --out first --timeout 60 "$@" <"$fifo" 2>called &
    engine=$!
    exec 4>"$fifo"
    bytes x >&4
    until_holds test -s first
    is 'a session is in flight' [ "$(cat first)" = x ]
}

start --serializer echo --id w --connection w.sock --grace 60
in_flight run
kill -TERM "$server"
exec 4>&-
wait $engine
is 'a session in flight may end after SIGTERM' [ $? -eq 0 ]
wait_server
is 'and so may its worker' [ "$ended" -eq 0 ]
is 'without a socket' [ ! -e w.sock ]

start --serializer echo --id w --connection w.sock --grace 0.1
in_flight run
kill -TERM "$server"
wait $engine
is 'a session that does not end gets an error' [ $? -eq 3 ] && grep -q 'WorkerError' called
exec 4>&-
wait_server
ends 0 'session 1: WorkerError'

start --serializer echo --id w --connection w.sock --grace 60
in_flight run
kill -TERM "$server"
kill -INT "$server"
wait $engine
is 'a second signal ends it at once' [ $? -eq 3 ]
exec 4>&-
wait_server
is 'the second signal, too, is an end in order' [ "$ended" -eq 0 ]

# An engine that never reads: its own output is not read. The UDF cannot put what it has, and hears of the end when the session is lost.
start --serializer echo --id w --connection w.sock --grace 0.1
mkfifo unread
exec 4<>unread
timeout 60 "$tool" call grpc+unix:w.sock --payload echo --raw --batch 65536 --in /dev/zero --out unread 2>called &
engine=$!
is 'the engine has its first answer' [ "$(head -c 1 unread | wc -c)" -eq 1 ]
before=$(date +%s%N)
end_server TERM
took=$((($(date +%s%N) - before) / 1000000))
is 'an engine that never reads does not hold up the end' [ "$ended" -eq 0 ]
is "it ends within two seconds: $took ms" [ $took -lt 2000 ]
kill $engine
wait $engine 2>/dev/null
exec 4>&-

# The engine dies: its session is over, the worker is not.
start --serializer echo --id w --connection w.sock
in_flight run
kill -KILL $engine
wait $engine 2>/dev/null
exec 4>&-
works grpc+unix:w.sock
end_server TERM
ends 0 'session 1: lost'

start --serializer echo --id w --connection w.sock
runs 0 call grpc+unix:w.sock --shutdown
is 'a ShutdownRequest is answered' grep -q 'no session is in flight' err
wait_server
is 'a ShutdownRequest ends the worker' [ "$ended" -eq 0 ] && [ ! -e w.sock ]

start --serializer echo --id w --connection w.sock
in_flight run
runs 0 call grpc+unix:w.sock --shutdown-now
wait $engine
is 'cancel_sessions ends a session' [ $? -eq 3 ]
exec 4>&-
wait_server
ends 0 'session 1: WorkerError'

totals

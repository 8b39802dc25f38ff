#!/bin/sh
# `tributary call` and `tributary serve --protocol spark-grpc`: executions and management calls, good and bad.
set -u

# shellcheck source=tests/support/tool.sh
. "$TRIB_SRC/tests/support/tool.sh"

worker=grpc+unix:w.sock
capture=$vectors/c-map-in-arrow.uds-direct.engine-to-worker.bin

# Arrow streams out of a captured session: its schema, its batch of three rows, the end of a stream.
tail -c +4520 "$capture" | head -c 232 >schema
tail -c +4752 "$capture" | head -c 216 >./batch
bytes '\377\377\377\377\0\0\0\0' >end
cat schema batch end >one.arrows
cat schema batch batch batch batch batch batch batch batch end >eight.arrows
cat schema end >none.arrows
head -c 33000000 /dev/urandom >big
bytes 'Many channels, 1 stream.\n' >small

# ---- What the command line may hold ----

for words in "which UDF:$worker" "which UDF:$worker --in small" "which UDF:$worker --heartbeat --out x" 'argument is missing:--payload echo' \
    "too many:$worker more --payload echo" "give one of them:$worker --payload a --payload-file b" "only with --raw:$worker --payload a --batch 5" \
    "no Arrow schema:$worker --payload a --out x" "standard output:$worker --payload a --raw --heartbeat --out -" \
    "not a number from:$worker --payload a --cancel-after soon" "not a size:$worker --payload a --chunk 0" "not a size:$worker --payload a --raw --batch 0" \
    "not a number of seconds:$worker --payload a --timeout soon" "unknown option:$worker --transport x"; do
    # Unquoted: words of a command line.
    # shellcheck disable=SC2086
    refuses 2 "${words%%:*}" call ${words#*:}
done
for uri in nonsense foo:bar unix:s chunk:a grpc+unix: grpc+tcp: grpc+tcp:10.0.0.1:80 grpc+tcp:localhost:99999 'grpc+unix:s?x=1' 'grpc+unix:%zz'; do
    refuses 2 "$uri" call "$uri" --payload echo
    refuses 2 "$uri" call "$uri" --heartbeat
done
refuses 2 'byte 18: unknown parameter' call 'grpc+unix:w.sock?method=/a/B' --heartbeat
refuses 2 'byte 18: unknown parameter' call 'grpc+unix:w.sock?foo=1' --payload echo
refuses 2 'byte 18: unknown parameter' call 'grpc+unix:w.sock?foo=1' --payload echo --in missing
refuses 1 'start a worker first' call 'grpc+unix:w.sock?authority=x' --heartbeat
for uri in unix:s grpc+unix: 'grpc+unix:w.sock?foo=1' grpc+tcp:127.0.0.1:99999; do
    refuses 2 "$uri" serve "$uri" --protocol spark-grpc
done

# ---- Inputs that are none; nobody there ----

refuses 1 'start a worker first' call $worker --payload echo
refuses 1 'start a worker first' call $worker --heartbeat
refuses 1 'start a worker first' call grpc+tcp:127.0.0.1:1 --payload echo
refuses 1 'No such file' call $worker --payload echo --in missing
refuses 1 'No such file' call $worker --payload-file missing
refuses 1 'directory' call $worker --payload echo --in .
refuses 1 'expected FF FF FF FF' call $worker --payload echo --in small
refuses 1 'read /dev/null: ' call $worker --payload echo --in /dev/null
head -c 100 schema >bad
refuses 1 'read bad: piece 0: ' call $worker --payload echo --in bad
bytes 'ARROW1\0\0 and so on' >bad
refuses 1 'file format, not a stream' call $worker --payload echo --in bad
cp one.arrows same
refuses 1 'the same file as the input' call $worker --payload echo --in same --out same
refuses 1 'start a worker first' call $worker --payload echo --in one.arrows --out same
is 'what stood in --out stays where there is no worker' cmp one.arrows same
is 'no socket is made by a call' [ ! -e w.sock ]

# ---- Echo ----

start "$worker" --protocol spark-grpc --serializer echo --verbose
for count in none one eight; do
    runs 0 call $worker --payload echo --in $count.arrows --out back
    is "$count: comes back" cmp $count.arrows back
done
is 'sizes, rows, time and rate' grep -qE 'finished: sent 8 batches, 1\.69 KiB, received 8 batches, 1\.69 KiB, 24 rows in [0-9.]+ (ms|s), [0-9.]+ MB/s$' err
is 'times' grep -qE 'times: init [0-9.]+ (ms|s), first answer [0-9.]+ (ms|s), last [0-9.]+ (ms|s), end [0-9.]+ (ms|s)$' err
is 'metrics' grep -qE 'metrics: .*status=ok.* bytes_in=1728 .*batches_in=8 batches_out=8' err
is 'three lines, and no bar where there is no terminal' [ "$(wc -l <err)" -eq 3 ]
head -c "$(($(wc -c <eight.arrows) - 8))" eight.arrows >open.arrows
runs 0 call $worker --payload echo --in open.arrows --out back
is 'the marker at the end may be left out' cmp eight.arrows back
is 'standard input and output' sh -c "cat eight.arrows | timeout 60 '$tool' call $worker --payload echo --in - --out - 2>err | cmp - eight.arrows"
runs 0 call $worker --payload echo
is 'without data' grep -q 'sent 0 batches, 0 bytes, received 0 batches' err
runs 0 call $worker --payload echo --raw --in big --out back
is 'raw: what comes back is what was sent' cmp big back
is 'raw: in batches of 1 MiB' grep -q 'sent 32 batches, 31.5 MiB, received 32 batches, 31.5 MiB in' err
runs 0 call $worker --payload echo --raw --in big --batch 33000000 --out back
is 'raw: in one batch' cmp big back
is 'raw: from a pipe' sh -c "cat big | timeout 60 '$tool' call $worker --payload echo --raw --in - --batch 70000 --out - 2>err | cmp - big"
runs 0 call $worker --payload-file big --chunk 100000
runs 0 call $worker --payload echo --name anything --chunk 1 --in one.arrows --out back
is 'a payload in chunks' cmp one.arrows back

# Errors: the input's, the worker's.
head -c 700 eight.arrows >cut.arrows
refuses 1 'piece 3: ' call $worker --payload echo --in cut.arrows
{ cat one.arrows; bytes more; } >more.arrows
refuses 1 '4 bytes follow the end' call $worker --payload echo --in more.arrows
cat schema batch schema batch end >twice.arrows
refuses 1 'twice.arrows' call $worker --payload echo --in twice.arrows
refuses 3 'in init: WorkerError: simulated init failure' call $worker --payload INIT_ERROR --in one.arrows
bytes ERROR >error
refuses 3 'in data: UserError SimulatedError: simulated user-code error' call $worker --payload echo --raw --in error
{ bytes ERROR; cat big; } >error
refuses 3 'SimulatedError' call $worker --payload echo --raw --in error --batch 5 --timeout 60
refuses 1 '/dev/full' call $worker --payload echo --in one.arrows --out /dev/full

# Cancel, at each point.
for after in 0 1 8 9; do
    runs 0 call $worker --payload echo --in eight.arrows --cancel-after $after
    is "cancelled after $after" grep -q 'cancelled: sent' err
done
mkfifo silence
timeout 60 "$tool" call $worker --payload echo --raw --in - --timeout 0.3 <silence 2>err &
engine=$!
exec 4>silence
wait $engine
is 'call --timeout' [ $? -eq 1 ] && grep -q 'deadline' err
exec 4>&-

# Eight at once.
others=
for i in 1 2 3 4 5 6 7 8; do
    timeout 120 "$tool" call $worker --payload echo --raw --in big --out "back$i" 2>/dev/null &
    others="$others $!"
done
for other in $others; do
    is 'eight at once' wait "$other"
done
for i in 1 2 3 4 5 6 7 8; do
    is "eight at once: the answer to number $i" cmp big "back$i"
    rm -f "back$i"
done

# Manage, after an execution and without one.
runs 0 call $worker --heartbeat
is 'a heartbeat prints metrics' grep -qE '^sessions [0-9]+$' out
runs 0 call $worker --payload echo --in one.arrows --out back --heartbeat
is 'after an execution, too' grep -qE '^sessions [0-9]+$' out && cmp one.arrows back
runs 0 call $worker --shutdown
is 'the worker says that it ends' grep -q 'the worker ends' err
wait_server
is 'and it does, in order' [ "$ended" -eq 0 ]
is 'verbose: a line for each session' grep -qE 'session [0-9]+: echo, finished: 8 batches, 1\.69 KiB in; 8 batches, 1\.69 KiB out' log
is 'verbose: totals at the end' grep -qE 'ends: [0-9]+ sessions: [0-9]+ finished, [0-9]+ cancelled, [0-9]+ failed' log
is 'a line for each error' [ "$(grep -c 'UserError: simulated user-code error' log)" -eq 2 ]

# ---- Other serializers, by option and by payload ----

start "$worker" --protocol spark-grpc
runs 0 call $worker --payload upper --raw --in small --out -
is 'upper, by the payload' [ "$(cat out)" = 'MANY CHANNELS, 1 STREAM.' ]
runs 0 call $worker --payload c:count --in eight.arrows --out back
is 'count, by the payload' grep -q 'received 1 batches, .* 1 rows in' err && grep -q 'rows_in=24 rows_out=1 ' err
runs 0 call $worker --payload count --raw --in small --raw-out --out -
is 'count, of what is no Arrow' grep -q 'frames=1 nulls=0 bytes=25' out
refuses 3 'nonsense' call $worker --payload nonsense --in one.arrows
end_server TERM
start "$worker" --protocol spark-grpc --serializer count --once
runs 0 call $worker --payload any --raw --in small --out -
is 'count, by option' grep -q 'bytes=25' out
wait_server
is 'once: it ends by itself, in order' [ "$ended" -eq 0 ]
start "$worker" --protocol spark-grpc --serializer echo --once
refuses 3 'simulated init failure' call $worker --payload INIT_ERROR
wait_server
is 'once: the exit code tells of an error' [ "$ended" -eq 1 ]

# The watchdog.
start "$worker" --protocol spark-grpc --idle-timeout 0.2
timeout 60 "$tool" call $worker --payload echo --raw --in - <silence 2>err &
engine=$!
exec 4>silence
wait $engine
is 'serve --idle-timeout' [ $? -eq 3 ] && grep -q '200 ms' err
exec 4>&-
end_server TERM

# One that serves bytes is no worker.
start 'grpc+unix:w.sock?method=/some/other'
refuses 1 'UNIMPLEMENTED' call $worker --payload echo
refuses 1 'UNIMPLEMENTED' call $worker --heartbeat
end_server TERM

totals

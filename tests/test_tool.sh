#!/bin/sh
# The command `tributary`: each of its commands on good and on bad input, its exit codes, and what it leaves behind.
set -u

# shellcheck source=tests/support/tool.sh
. "$TRIB_SRC/tests/support/tool.sh"

engine=$vectors/c-map-in-arrow.uds-direct.engine-to-worker.bin
worker=$vectors/c-map-in-arrow.uds-direct.worker-to-engine.bin

# ---- The program ----

runs 0 --help
is 'help names every command' [ "$(grep -cE '^  (serve|send|call|replay|inspect|conform|demo) ' out)" -eq 7 ]
runs 0 --version
is 'version' grep -qE '^tributary [0-9]+\.[0-9]+\.[0-9]+$' out
for command in serve send call replay inspect conform demo; do
    runs 0 "$command" --help
    is "$command --help shows how" grep -q "^Usage: tributary $command " out
    refuses 2 "unknown option '--nonsense'" "$command" --nonsense
done
refuses 2 'no command'
refuses 2 'no command' --transport missing.so
refuses 2 "option '--transport' needs a value" --transport
refuses 2 "unknown command 'nonsense'" nonsense
refuses 2 "unknown option '--nonsense'" --nonsense
refuses 2 'takes no argument' --version extra
refuses 2 'argument is missing' send unix:s
refuses 2 'too many' inspect a b
refuses 2 "'--out' needs a value" send unix:s a --out
refuses 2 'which channel' replay "$engine"
refuses 2 'not a size' replay "$engine" --over chunk:a --split 0
refuses 2 'not a number' serve unix:s --threads 0
refuses 2 'none of echo' serve unix:s --serializer nonsense
refuses 2 'neither raw' serve unix:s --protocol nonsense
refuses 2 'none of none' serve unix:s --handshake nonsense
refuses 2 'not a number of seconds' serve unix:s --timeout soon

# ---- The manual ----

page=$TRIB_SRC/doc/tributary.1
for command in serve send call replay inspect conform demo; do
    runs 0 "$command" --help
    sed -n 's/^  --\([a-z-]*\).*/\1/p' out >options
    while read -r option; do
        is "tributary(1) has --$option" grep -qE -- "^\.It Fl -$option( |\$)" "$page"
    done <options
done
if man --warnings -l "$page" >out 2>err; then
    is 'tributary(1) is without warnings' [ ! -s err ]
fi

# ---- URIs and files that are none ----

for uri in nonsense 'unix:' 'nonsense:x' 'unix:s?mode=rw' 'unix:s?x=1' 'unix:%zz' 'chunk:a/b' '%:'; do
    refuses 2 "$uri" replay "$engine" --over "$uri"
    refuses 2 "$uri" serve "$uri"
    refuses 2 "$uri" conform "$uri"
    refuses 2 "$uri" demo --data "$vectors" --over "$uri"
    refuses 2 "$uri" send "$uri" "$engine"
done
refuses 2 'byte 1: unknown scheme' replay missing --over nonsense:x
refuses 1 'start a listener first' send unix:nobody "$engine"
refuses 2 'one process' send chunk:a "$engine"
refuses 2 'one process' serve chunk:a
refuses 1 'No such file' send unix:s missing
refuses 1 'No such file' inspect missing
refuses 1 'No such file' replay missing --over chunk:a
refuses 1 'No such file' demo --data missing
refuses 1 'No such file' serve unix:missing/s
refuses 1 'missing.so' conform missing.so
refuses 1 '/missing/lib.so.1: cannot open' conform /missing/lib.so.1
refuses 1 'missing/x:y: cannot open' conform missing/x:y
refuses 1 'missing.so' serve --transport missing.so unix:s
refuses 1 'directory' send unix:s .

# What a terminal would take for a control is not shown, and what is no UTF-8 neither.
refuses 2 '/ä?x??]' send "$(bytes 'unix:missing/ä\377x\302\233]\033')" "$engine"
is 'no byte of it is left' [ "$(LC_ALL=C tr -d '\040-\176\n\303\244' <err | wc -c)" -eq 0 ]

# ---- Captures: inspect and replay ----

for capture in "$vectors"/*.bin; do
    runs 0 inspect "$capture"
    is "$capture ends where its last event ends" grep -q "^ *$(wc -c <"$capture")  the end" out
done
runs 0 inspect "${engine%.engine-to-worker.bin}"
is 'a stem is both directions' [ "$(grep -c '  the end, after' out)" -eq 2 ]
for words in 'handshake pid' '207 (SQL_MAP_ARROW_ITER_UDF)' '"c:echo"' 'schema, metadata 224 bytes' 'batch, 3 rows, metadata 168 bytes, body 40 bytes' \
    '-8 (START_OF_INIT_MESSAGE)' '-6 (START_ARROW_STREAM)' '-4 (END_OF_STREAM)' '"spark.sql.session.timeZone" = "UTC"'; do
    is "inspect tells of $words" grep -qF -- "$words" out
done

for capture in "$vectors"/*.engine-to-worker.bin; do
    stem=${capture%.engine-to-worker.bin}
    runs 0 replay "$stem" --over chunk:replay
    is "$stem: both directions" [ "$(grep -c 'equal to the byte' out)" -eq 2 ]
    runs 0 replay "$stem" --over unix:s --split 1
done
for stem in c-map-in-arrow.uds-direct c-map-in-arrow.tcp-daemon; do
    runs 0 replay "$vectors/$stem" --over unix:s --split 7
    is "$stem: its answer is computed" grep -q 'computed by echo.*4 bytes of process id and 32 bytes of times masked' out
done
runs 0 replay "$engine" --over chunk:a
cp "$engine" alone.engine-to-worker.bin
runs 0 replay alone.engine-to-worker.bin --over chunk:a
is 'one direction alone is replayed' grep -q 'none was recorded' out

# An answer that was tampered with is seen, but for pid and times.
cp "$engine" other.engine-to-worker.bin
# tamper OFFSET: one byte of the recorded answer becomes 'A'
tamper() { { head -c "$1" "$worker"; bytes A; tail -c +"$(($1 + 2))" "$worker"; } >other.worker-to-engine.bin; }
tamper 425
refuses 1 'byte 425 differs' replay other --over chunk:a
tamper 500
refuses 1 'byte 500 differs' replay other --over unix:s
tamper 3
runs 0 replay other --over chunk:a
tamper 475
runs 0 replay other --over chunk:a

# Broken captures: one line, exit code 1, and what comes before the break is printed.
# broken WORDS INITS: the capture "bad" is refused with these words; so many init messages come before the break
broken() {
    refuses 1 "$1" inspect bad
    is "$1: inspect says where" grep -qE 'after byte [0-9]+ of ' err
    is "$1: inspect prints what comes before" [ "$(grep -c 'INIT' out)" -eq "$2" ]
    for over in 'chunk:a' 'unix:s'; do
        refuses 1 "$1" replay bad --over $over
        refuses 1 "$1" replay bad --over $over --split 5
    done
}
# What ends before a session does is not whole, however it is read; the guess that ran out of bytes is better than one that met wrong ones.
head -c 4 "$vectors/python-cogrouped-map.tcp-direct.engine-to-worker.bin" >bad && broken 'the stream ended after 0' 0
head -c 6 "$vectors/python-cogrouped-map.tcp-direct.engine-to-worker.bin" >bad && broken 'the end comes before a session has begun' 0
head -c 4 "$worker" >bad && broken 'the stream ended after 0' 0
bytes '\0\0\0\005abcde' >bad && broken 'the end comes before a session has begun' 0
is 'replay: no word of URIs' [ "$(grep -c URI err)" -eq 0 ]
head -c 59 "$vectors/c-exception.uds-direct.worker-to-engine.bin" >bad && broken 'wanted 56 bytes, the stream ended after 55' 0
head -c 6 "$engine" >bad && broken 'wanted 8 bytes, the stream ended after 6' 0
head -c 300 "$engine" >bad && broken 'the init message: wanted ' 0
head -c 4700 "$engine" >bad && broken 'Arrow metadata: wanted ' 1
head -c 4960 "$engine" >bad && broken 'an Arrow body: wanted ' 1
{ bytes '\377\377\377\370\177\377\377\377'; tail -c +9 "$engine"; } >bad && broken '2147483647 bytes, at most' 0
{ bytes '\377\377\377\370\377\377\377\000'; tail -c +9 "$engine"; } >bad && broken 'negative' 0
{ head -c 4975 "$engine"; bytes GARB; } >bad && broken 'expected -4' 1
{ cat "$engine"; bytes GARB; } >bad && broken 'expected -8' 1
bytes 'this is not a capture' >bad && broken 'spark-socket: ' 0
: >bad && refuses 1 'empty' inspect bad

# ---- A full disk, and standard output by another name ----

if [ -c /dev/full ]; then
    timeout 120 "$tool" demo --data "$vectors" --bytes 1MiB --over unix:s >/dev/full 2>err
    is 'demo says that the disk is full' grep -qx 'tributary: write standard output: No space left on device' err
fi

# ---- serve and send ----

head -c 33000000 /dev/urandom >big
bytes 'Many channels, 1 stream.\n' >small
start unix:s
is 'a server makes its socket' test -S s
runs 0 send unix:s big --out back
is 'what comes back is what was sent' cmp big back
is 'send tells sizes, time and rate' grep -qE 'sent 31\.5 MiB, received 31\.5 MiB in [0-9.]+ (ms|s), [0-9.]+ GB/s$' err
runs 0 send unix:s big small small --out back
cat big small small >three
is 'files come in their order' cmp three back
is 'standard input and output' sh -c "cat small | timeout 60 '$tool' send unix:s - --out - 2>err | cmp - small"
for name in /dev/stdout /dev/fd/1 -; do
    (echo first && timeout 60 "$tool" send unix:s small --out $name 2>err && echo last) >log.out
    is "--out $name: what stood before it stays" sh -c '(echo first; cat small; echo last) | cmp - log.out'
done
cp small same
ln same linked
refuses 1 'the same file as the input same' send unix:s same --out same
refuses 1 'the same file as the input same' send unix:s small same --out linked
is 'an input that is refused as output is whole' cmp same small
refuses 1 'start a listener' send unix:nobody small --out same
is 'what stood in --out stays where nobody listens' cmp same small
timeout 60 "$tool" send unix:s - --out back <&- 2>err
is 'closed standard input is an error' [ $? -eq 1 ]
if [ -r /proc/version ]; then
    cat /proc/version >expected
    runs 0 send unix:s /proc/version --out back
    is 'a file without a size is read' cmp expected back
fi
refuses 1 'somebody listens' serve unix:s
others=
for i in 1 2 3 4 5 6 7 8; do
    timeout 120 "$tool" send unix:s big small --out "back$i" 2>/dev/null &
    others="$others $!"
done
for other in $others; do
    is 'eight at once' wait "$other"
done
cat big small >two
for i in 1 2 3 4 5 6 7 8; do
    is "eight at once: the answer to number $i" cmp two "back$i"
    rm -f "back$i"
done
end_server TERM
is 'SIGTERM is an end in order' [ "$ended" -eq 0 ]
is 'good peers cost no line' [ ! -s log ]
is 'no socket and no lock are left' [ ! -e s ] && [ ! -e s.lock ]

start unix:s --serializer upper --once --verbose
runs 0 send unix:s small --out back
is 'upper' [ "$(cat back)" = 'MANY CHANNELS, 1 STREAM.' ]
wait_server
is 'once: it ends by itself, in order' [ "$ended" -eq 0 ] && grep -q 'served, 25 bytes' log

start unix:s --serializer count --threads 1
runs 0 send unix:s big --out -
is 'count' [ "$(cat out)" = 33000000 ]
# One that says nothing holds the only thread: a signal ends it all the same.
mkfifo silence
"$tool" send unix:s - <silence 2>quiet &
silent=$!
exec 4>silence
bytes x >&4
end_server INT
exec 4>&-
is 'SIGINT is an end in order, with a peer under way' [ "$ended" -eq 0 ]
wait $silent
is 'no socket is left' [ ! -e s ]

# Peers that say nothing and hold all threads are no riddle.
start unix:s --serializer count --threads 2
mkfifo silence2
"$tool" send unix:s - <silence 2>quiet &
silent=$!
"$tool" send unix:s - <silence2 2>quiet2 &
silent2=$!
exec 4>silence 5>silence2
bytes x >&4
bytes x >&5
said=$(timeout 10 head -n 1 <&3)
is 'all threads are taken: a line says so' [ "${said#*unix:s: 2 connections are served at once, which is all: the next wait}" != "$said" ]
exec 4>&- 5>&-
wait $silent $silent2
end_server TERM
is 'it said so once, and ended in order' [ "$ended" -eq 0 ] && [ ! -s log ]

# ---- Sessions of spark-socket, good and bad, on one server ----

start unix:s --protocol spark-socket
# answers FILE WORDS: the answer to FILE holds these words, the server has a line with them
answers() {
    runs 0 send unix:s "$1" --out back
    is "the peer is told: $2" grep -qaF -- "$2" back
}
runs 0 send unix:s "$engine" --out back
is 'a session is answered' [ "$(wc -c <back)" -eq "$(wc -c <"$worker")" ]
head -c 6 "$engine" >bad && runs 0 send unix:s bad --out back
{ bytes '\377\377\377\370\177\377\377\377'; tail -c +9 "$engine"; } >bad && answers bad '2147483647 bytes, at most'
{ bytes '\377\377\377\370\377\377\377\000'; tail -c +9 "$engine"; } >bad && answers bad 'is negative'
bytes 'this is not a session' >bad && answers bad 'expected -8'
answers "$vectors/c-exception.uds-direct.engine-to-worker.bin" 'c:throw'
runs 0 send unix:s "$engine" --out back
cp back other.worker-to-engine.bin
runs 0 replay other --over chunk:a
end_server HUP
is 'SIGHUP is an end in order' [ "$ended" -eq 0 ]
is 'a line for each bad peer' [ "$(grep -c '^tributary: serve: unix:s: peer [0-9]* of user [0-9]*: ' log)" -eq 5 ]
is 'and no other line' [ "$(wc -l <log)" -eq 5 ]

start unix:s --protocol spark-socket --once
head -c 6 "$engine" >bad
runs 0 send unix:s bad
wait_server
is 'once: the exit code tells of a bad peer' [ "$ended" -eq 1 ]

# A peer that stops in the middle and stays: both ends have deadlines.
start unix:s --protocol spark-socket --timeout 0.2 --once
mkfifo stopped
timeout 60 "$tool" send unix:s - --timeout 60 <stopped 2>quiet &
silent=$!
exec 4>stopped
head -c 6 "$engine" >&4
wait_server
exec 4>&-
wait $silent
is 'serve --timeout' [ "$ended" -eq 1 ] && grep -q 'deadline' log
start unix:s --serializer count
mkfifo waiting
exec 4<>waiting
timeout 60 "$tool" send unix:s - --timeout 0.2 <&4 2>err
is 'send --timeout' [ $? -eq 1 ] && grep -q 'deadline' err
exec 4>&-
end_server TERM
is 'no socket is left by any' [ ! -e s ] && [ ! -e s.lock ]

# ---- conform and demo ----

runs 0 conform chunk:a
is 'conform: a line for each case, a total at the end' tail -n 1 out | grep -qE '[0-9]+ passed, 0 failed, [0-9]+ skipped$'
refuses 1 'No such file' conform chunk:a --data nowhere
mkdir empty
refuses 1 'holds no file' conform chunk:a --data empty
is 'conform: no case runs without its data' [ ! -s out ]
mkdir tmp
TMPDIR=$work/tmp
export TMPDIR
runs 0 demo --data "$vectors" --bytes 8MiB
is 'demo: every session over every channel' [ "$(grep -cE '^(unix|chunk|grpc\+unix|grpc\+tcp): +20 of 20' out)" -eq 4 ]
is 'demo: no progress where there is no terminal' [ ! -s err ]
is 'demo leaves nothing' rmdir tmp
unset TMPDIR
mkdir data
cp "$vectors"/c-map-in-arrow.uds-direct.* data
tamper 425
mv -f other.worker-to-engine.bin data/c-map-in-arrow.uds-direct.worker-to-engine.bin
runs 1 demo --data data --bytes 0 --over chunk:a
is 'demo: what is wrong is told, once' [ "$(grep -c 'byte 425 differs' err)" -eq 1 ]

# ---- A transport that is loaded ----

module=$TRIB_BUILD/examples/04-stdio-transport/.libs/stdio.so
if [ -r "$module" ]; then
    runs 0 conform "$module"
    runs 0 conform stdio: --transport "$module"
    runs 0 --transport "$module" replay "$vectors/c-map-in-arrow.tcp-daemon" --over stdio: --split 3
    runs 0 demo --data "$vectors" --bytes 1MiB --over stdio: --transport "$module"
    mkfifo there back.fifo
    # Neither timeout(1) nor, in the foreground, a shell may hold the ends of the pipes as well.
    "$tool" serve stdio: --timeout 60 --transport "$module" --serializer upper <there >back.fifo 2>log &
    server=$!
    "$tool" send stdio: small --timeout 60 --out back --transport "$module" >there <back.fifo 2>err &
    wait $!
    is 'send over stdio' [ $? -eq 0 ]
    wait $server
    is 'serve over stdio' [ $? -eq 0 ]
    server=
    is 'its answer' [ "$(cat back)" = 'MANY CHANNELS, 1 STREAM.' ]
    # Files in place of the pipes.
    "$tool" serve stdio: --timeout 60 --transport "$module" --serializer upper <small >redirected 2>log
    is 'serve from a file to a file' [ $? -eq 0 ]
    is 'the answer in the file' [ "$(cat redirected)" = 'MANY CHANNELS, 1 STREAM.' ]
    "$tool" serve stdio: --timeout 60 --transport "$module" --serializer upper </dev/null >redirected 2>log
    is 'serve nothing' [ $? -eq 0 ]
    is 'no answer to nothing' [ ! -s redirected ]
    "$tool" serve stdio: --timeout 60 --transport "$module" --serializer upper <. >redirected 2>log
    is 'a directory is refused' [ $? -eq 1 ]
    is 'and is told' grep -q 'stdio: its input: a directory' log
else
    echo "without $module, which needs shared libraries: no transport was loaded"
fi

totals

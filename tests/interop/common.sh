# What the scripts of tests/interop/ share: peers, servers, cases and their counts. Sourced: . "$TRIB_SRC/tests/interop/common.sh"
# shellcheck shell=sh
# Ends by finish, which prints "N passed, N failed, N skipped" (what build-aux/test-totals counts) and exits.
set -u

interop=$TRIB_SRC/tests/interop
# Of those who source it:
# shellcheck disable=SC2034
peers=${TRIB_INTEROP:-$TRIB_SRC/.deps/interop} # each peer is installed in $peers/NAME
our_server=$TRIB_BUILD/tests/interop/grpc/server
our_client=$TRIB_BUILD/tests/interop/grpc/client
CASE_SECONDS=${CASE_SECONDS:-60}

# ::1, where this machine has it
ipv6=$(grep -q '^0*1 .* lo$' /proc/net/if_inet6 2>/dev/null && echo ::1)
work=$(mktemp -d) || exit 99
passed=0
failed=0
skipped=0
servers=
trap 'end_all; rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

# need PEER...: installed, or the script ends with 77 (no toolchain) or 99 (broken)
need() {
    for peer in "$@"; do
        "$interop/deps" "$peer"
        code=$?
        [ "$code" -eq 0 ] || exit "$code"
    done
}

pass() { passed=$((passed + 1)); printf 'pass  %s\n' "$*"; }
fail() { failed=$((failed + 1)); printf 'FAIL  %s\n' "$*"; }
skip() { skipped=$((skipped + 1)); printf 'skip  %s\n' "$*"; }

# leave_out LABEL WHY CASE...: cases that the peer cannot have, which count as skipped. doc/grpc.md lists them
leave_out() {
    label=$1 why=$2
    shift 2
    for one in "$@"; do
        skip "$label, $one: $why"
    done
}

# check NAME COMMAND...: a case; passes if the command ends with 0 within CASE_SECONDS, and is skipped if with 77
check() {
    name=$1
    shift
    timeout -k 5 "$CASE_SECONDS" "$@" >"$work/case.log" 2>&1 </dev/null
    code=$?
    case $code in
    0) pass "$name" ;;
    77) skip "$name: $(tail -n 1 "$work/case.log")" ;;
    124) fail "$name: not done within $CASE_SECONDS seconds" ;;
    *) fail "$name: exit code $code" ;;
    esac
    [ "$code" -eq 0 ] || [ "$code" -eq 77 ] || tail -n 12 "$work/case.log" | sed 's/^/    | /'
    return $code
}

# says NAME CODE COMMAND...: a case; passes if the command ends with the code and prints, on either stream, what comes on standard input
says() {
    name=$1 wanted=$2
    shift 2
    cat >"$work/wanted"
    timeout -k 5 "$CASE_SECONDS" "$@" >"$work/said" 2>&1 </dev/null
    code=$?
    if [ "$code" -ne "$wanted" ]; then
        fail "$name: exit code $code, not $wanted"
        tail -n 12 "$work/said" | sed 's/^/    | /'
    elif ! diff "$work/wanted" "$work/said" >"$work/difference"; then
        fail "$name: < is what it should say, > what it says"
        head -n 12 "$work/difference" | sed 's/^/    | /'
    else
        pass "$name"
    fi
}

# check_lines SECONDS COMMAND...: a program that runs several cases, a line "pass  NAME" or "FAIL  NAME: reason" for each
check_lines() {
    seconds=$1
    shift
    timeout -k 5 "$seconds" "$@" >"$work/lines.out" 2>"$work/lines.err" </dev/null
    code=$?
    grep -aE '^(pass|FAIL|skip)  ' "$work/lines.out"
    passed=$((passed + $(grep -ac '^pass  ' "$work/lines.out")))
    skipped=$((skipped + $(grep -ac '^skip  ' "$work/lines.out")))
    bad=$(grep -ac '^FAIL  ' "$work/lines.out")
    failed=$((failed + bad))
    [ "$code" -eq 0 ] || [ "$bad" -gt 0 ] || fail "$1: exit code $code"
    [ "$code" -eq 0 ] || tail -n 12 "$work/lines.err" | sed 's/^/    | /'
    return $code
}

# start NAME COMMAND...: a server in the background; its first line of output comes into $line, its process id into $server.
# It is ended by end_server, or with the script.
start() {
    name=$1
    shift
    : >"$work/$name.out"
    "$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null &
    server=$!
    servers="$servers $server"
    tries=0
    while ! grep -q . "$work/$name.out"; do
        if ! kill -0 "$server" 2>/dev/null || [ "$tries" -ge 600 ]; then
            printf '%s did not start:\n' "$name"
            tail -n 12 "$work/$name.err"
            exit 99
        fi
        tries=$((tries + 1))
        sleep 0.05
    done
    line=$(head -n 1 "$work/$name.out")
}

# bracketed HOST: as it stands in a URI
bracketed() { case $1 in *:*) echo "[$1]" ;; *) echo "$1" ;; esac; }

# free_port: a port of TCP on which nobody listens, below those that the system hands out
free_port() {
    tries=0
    while [ "$tries" -lt 50 ]; do
        tries=$((tries + 1))
        port=$((20000 + ($(od -An -N2 -tu2 /dev/urandom) % 10000)))
        listens "$port" || break
    done
    echo "$port"
}

# listens PORT: somebody does, on any address (0A in the kernel's table)
listens() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf '%04X' "$1") [0-9A-F]*:0000 0A"
}

# start_silent NAME PORT COMMAND...: as start, for a server that prints nothing
start_silent() {
    name=$1 port=$2
    shift 2
    "$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null &
    server=$!
    servers="$servers $server"
    tries=0
    until listens "$port"; do
        if ! kill -0 "$server" 2>/dev/null || [ "$tries" -ge 600 ]; then
            printf '%s did not start:\n' "$name"
            tail -n 12 "$work/$name.err"
            exit 99
        fi
        tries=$((tries + 1))
        sleep 0.05
    done
}

# end_server NAME PID: asks it to end by SIGTERM; a case, which fails if that takes more than 10 s or it ends with another code than 0
end_server() {
    kill -TERM "$2" 2>/dev/null
    ended "$1" "$2"
}

# ended NAME PID: the same for one that has been asked already
ended() {
    tries=0
    while kill -0 "$2" 2>/dev/null && [ "$tries" -lt 200 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
    kill -KILL "$2" 2>/dev/null && { fail "$1: the server did not end within 10 s"; return 1; }
    wait "$2" 2>/dev/null
    code=$?
    servers=$(printf '%s' "$servers" | sed "s/ $2\$//; s/ $2 / /")
    [ "$code" -eq 0 ] && { pass "$1: the server ends"; return 0; }
    fail "$1: the server ended with $code"
    tail -n 12 "$work"/*.err | sed 's/^/    | /'
    return 1
}

end_all() {
    for pid in $servers; do
        kill -KILL "$pid" 2>/dev/null
    done
}

finish() {
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ] || exit 1
    [ "$passed" -gt 0 ] || exit 77
    exit 0
}

# ---- The cases that our client knows (tests/interop/grpc/client.c), for every server ----
# shellcheck disable=SC2034
official_cases="empty_unary large_unary client_streaming server_streaming ping_pong empty_stream
    client_compressed_unary server_compressed_unary client_compressed_streaming server_compressed_streaming
    timeout_on_sleeping_server cancel_after_begin cancel_after_first_response status_code_and_message special_status_message
    custom_metadata unimplemented_method unimplemented_service"
# Of them, those that not every peer has.
# shellcheck disable=SC2034
compressed_cases="client_compressed_unary server_compressed_unary client_compressed_streaming server_compressed_streaming"
# Messages of 0 B, 1 B, 5 MiB and 64 MiB in each kind of call, and what is beyond the official ones.
# shellcheck disable=SC2034
more_cases="sizes_unary sizes_client_streaming sizes_server_streaming sizes_bidi streams_1000 deadline cancel_by_client cancel_by_server"

# our_client_on URI CASE...: each case on its own connection
our_client_on() {
    uri=$1
    shift
    for one in "$@"; do
        check "our client, $one" "$our_client" --uri "$uri" --test_case "$one"
    done
}

# ---- Peers that have all cases in one program, over every kind of address ----
# CLIENT URI CASE...: prints "pass  CASE", "FAIL  CASE: why" or "skip  CASE: why" for each; INTEROP_SERVER_PID names the server.
# SERVER URI: as ours.

# without LIST WORD...: the list without the words
without() {
    # Unquoted: one word for each case.
    # shellcheck disable=SC2086
    list=" $(printf '%s ' $1)"
    shift
    for word in "$@"; do
        list=$(printf '%s' "$list" | sed "s/ $word / /")
    done
    printf '%s' "$list"
}

# place_of URI: for people
place_of() {
    case $1 in
    grpc+unix:@*) echo 'an abstract name' ;;
    grpc+unix:*) echo 'a path' ;;
    *'['*) echo '[::1]' ;;
    *) echo 127.0.0.1 ;;
    esac
}

places="grpc+unix:$work/socket grpc+unix:@tributary-interop-$$ grpc+tcp:127.0.0.1:0${ipv6:+ grpc+tcp:[$ipv6]:0}"

# cases_of LABEL CASES COMMAND...: runs the client once for all cases; one that it says nothing of has failed
cases_of() {
    label=$1 wanted=$2 result=0
    shift 2
    # Unquoted: one word for each case.
    # shellcheck disable=SC2086
    timeout -k 5 "$((CASE_SECONDS * 3))" "$@" $wanted >"$work/cases.out" 2>"$work/cases.err" </dev/null
    code=$?
    for one in $wanted; do
        said=$(grep -E "^(pass|FAIL|skip)  $one( |:|\$)" "$work/cases.out" | head -n 1)
        case $said in
        pass*) pass "$label, $one" ;;
        skip*) skip "$label, ${said#skip  }" ;;
        FAIL*) fail "$label, ${said#FAIL  }"; result=1 ;;
        *) fail "$label, $one: the client ended before it, with exit code $code"; result=1 ;;
        esac
    done
    [ "$result" -eq 0 ] || cat "$work/cases.out" "$work/cases.err" | grep -av '^pass' | tail -n 40 | sed 's/^/    | /'
    return $result
}

# client_everywhere LABEL CASES CLIENT...: the last case ends our server
client_everywhere() {
    peer=$1 list=$2
    shift 2
    [ -n "$ipv6" ] || skip "$peer over [::1]: this machine has none"
    for where in $places; do
        start ours "$our_server" "$where"
        over="$peer client over $(place_of "$where")"
        if INTEROP_SERVER_PID=$server cases_of "$over" "$list graceful_shutdown" "$@" "$line"; then
            ended "$over" "$server"
        else
            end_server "$over" "$server"
        fi
    done
}

# server_everywhere LABEL CASES SERVER...: likewise for a server of theirs
server_everywhere() {
    peer=$1 list=$2
    shift 2
    for where in $places; do
        start theirs "$@" "$where"
        over="our client over $(place_of "$where") to $peer"
        for one in $list; do
            check "$over, $one" "$our_client" --uri "$line" --test_case "$one"
        done
        if check "$over, graceful_shutdown" "$our_client" --uri "$line" --test_case graceful_shutdown --pid "$server"; then
            ended "$over" "$server"
        else
            end_server "$over" "$server"
        fi
    done
}

# rules_of PLACE: those of the engines' table that are for this place
rules_of() {
    sed -n "s/^\([a-z][a-z0-9_]*\)\( ($1)\)\{0,1\}\$/\1/p" "$interop/engine/rules.txt"
}

# engine_everywhere LABEL ENGINE...: ENGINE PLACE RULE... prints as a client does, and starts its workers itself
engine_everywhere() {
    peer=$1
    shift
    for where in unix tcp; do
        cases_of "$peer engine over $where" "$(rules_of "$where")" "$@" "$where"
    done
}

# peer_client_on ADDRESS OUR-PID "COMMAND" CASE...: each case as COMMAND ADDRESS CASE, in the end graceful_shutdown of our server
peer_client_on() {
    address=$1 ours=$2 command=$3
    shift 3
    for one in "$@"; do
        # Unquoted: a command and its first arguments.
        # shellcheck disable=SC2086
        check "$one" $command "$address" "$one"
    done
    # shellcheck disable=SC2086
    check graceful_shutdown $command "$address" graceful_shutdown "$ours"
    ended "our server" "$ours"
}

# our_client_drains URI PID CASE...: our client's cases, in the end graceful_shutdown of the peer's server
our_client_drains() {
    uri=$1 pid=$2
    shift 2
    our_client_on "$uri" "$@"
    check "our client, graceful_shutdown" "$our_client" --uri "$uri" --test_case graceful_shutdown --pid "$pid"
    ended "the peer's server" "$pid"
}

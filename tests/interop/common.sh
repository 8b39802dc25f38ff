# What the scripts of tests/interop/ share: peers, servers, cases and their counts. Sourced: . "$TRIB_SRC/tests/interop/common.sh"
# Ends by finish, which prints "N passed, N failed, N skipped" (what build-aux/test-totals counts) and exits.
set -u

interop=$TRIB_SRC/tests/interop
peers=${TRIB_INTEROP:-$TRIB_SRC/.deps/interop} # each peer is installed in $peers/NAME
our_server=$TRIB_BUILD/tests/interop/grpc/server
our_client=$TRIB_BUILD/tests/interop/grpc/client
CASE_SECONDS=${CASE_SECONDS:-60}

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
    tail -n 12 "$work/$1.err" | sed 's/^/    | /'
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
official_cases="empty_unary large_unary client_streaming server_streaming ping_pong empty_stream
    client_compressed_unary server_compressed_unary client_compressed_streaming server_compressed_streaming
    timeout_on_sleeping_server cancel_after_begin cancel_after_first_response status_code_and_message special_status_message
    custom_metadata unimplemented_method unimplemented_service"
# Messages of 0 B, 1 B, 5 MiB and 64 MiB in each kind of call, and what is beyond the official ones.
more_cases="sizes_unary sizes_client_streaming sizes_server_streaming sizes_bidi streams_1000 deadline cancel_by_client cancel_by_server"

# our_client_on URI CASE...: each case on its own connection
our_client_on() {
    uri=$1
    shift
    for one in "$@"; do
        check "our client, $one" "$our_client" --uri "$uri" --test_case "$one"
    done
}

# What the tests of the command `tributary` share: they source it, and end with `totals`.
# shellcheck shell=sh

tool=${TRIB_TOOL:-$TRIB_BUILD/tributary}
# shellcheck disable=SC2034
vectors=$TRIB_DATA/spark-4.3.0
work=$(mktemp -d)
server=
trap 'end_server KILL; rm -rf "$work"' EXIT
passed=0
failed=0
cd "$work" || exit 99

# ---- What the cases are made of ----

pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    printf 'FAIL: %s\n' "$*"
    sed 's/^/    | /' err 2>/dev/null | head -n 5
}

# is TEXT CONDITION...: the condition, a command, holds
is() {
    what=$1
    shift
    if "$@" >/dev/null; then pass; else fail "$what"; fi
}

# runs CODE ARGUMENT...: tributary ends with that code; its output is in out and err
runs() {
    code=$1
    shift
    timeout 120 "$tool" "$@" >out 2>err </dev/null
    got=$?
    if [ "$got" -eq "$code" ]; then pass; else fail "tributary $*: exit code $got, expected $code"; fi
}

# refuses CODE WORDS ARGUMENT...: as runs, and stderr is one line that begins with "tributary: " and has the words
refuses() {
    code=$1
    words=$2
    shift 2
    runs "$code" "$@"
    if [ "$(wc -l <err)" -eq 1 ] && grep -q '^tributary: ' err && grep -qF -- "$words" err; then pass; else fail "tributary $*: not one line with \"$words\""; fi
}

# start ARGUMENT...: a server in the background; returns when it says that it listens
start() {
    rm -f log.fifo
    mkfifo log.fifo
    "$tool" serve "$@" 2>log.fifo </dev/null &
    server=$!
    exec 3<log.fifo
    read -r listening <&3
    case $listening in *listening*) ;; *) fail "tributary serve $*: $listening" ;; esac
}

# The signal; the server's exit code is in ended, its lines in log.
end_server() {
    [ -n "$server" ] || return 0
    kill "-$1" "$server" 2>/dev/null
    wait_server
}
wait_server() {
    cat <&3 >log
    exec 3<&-
    wait "$server"
    # shellcheck disable=SC2034
    ended=$?
    server=
}

# until_holds COMMAND...: waits until it holds, ten seconds at most; what does not come is seen by the case that follows
until_holds() {
    tries=0
    until "$@" 2>/dev/null || [ $tries -eq 200 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
}

# The URI to dial of the server that start() started: its own where that has no free port.
address() {
    case $listening in
    *'listening at '*) listening=${listening#*listening at }; printf '%s' "${listening%%, *}" ;;
    *) printf '%s' "$1" ;;
    esac
}

# bytes WORD...: octal escapes as bytes; the word is the format, which is what knows them
# shellcheck disable=SC2059
bytes() { printf "$@"; }

# The last line of a test, and its exit code.
totals() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
}

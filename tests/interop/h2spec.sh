#!/bin/sh
# h2spec, all of it, against our gRPC server over TCP. What does not pass stands in doc/grpc.md, with its reason; the list there is the one that holds.
. "$TRIB_SRC/tests/interop/common.sh"
need go
doc=$TRIB_SRC/doc/grpc.md

# The rows "| SECTION/NUMBER, TITLE | why |", as "SECTION/NUMBER why"; a row without a reason is none. Where the reason begins with "sometimes:" the
# case may pass; else it may not.
sed -n 's,^| \([a-z0-9]*/[0-9.]*/[0-9]*\)\, [^|]* | \([^|]*[^| ]\) |$,\1 \2,p' "$doc" >"$work/default"
: >"$work/none"

# results FILE: each case of a JUnit report as "pass SECTION/NUMBER TITLE", or bad, or skip
results() {
    awk -F'"' '
        function tell() { if (id != "") print result, id, title; id = "" }
        /<testsuite / { number = 0 }
        /<testcase / { tell(); id = $2 "/" ++number; title = $4; result = "pass" }
        /<(failure|error)[ >]/ { result = "bad" }
        /<skipped/ { result = "skip" }
        /<\/testsuites>/ { whole = 1 }
        END { tell(); exit !whole }' "$1"
}

# judge EXCEPTIONS RESULT ID TITLE: a case
judge() {
    why=$(sed -n "s,^$3 ,,p" "$1")
    case $2:$why in
    pass: | pass:sometimes:*) pass "$3, $4" ;;
    bad:?*) pass "$3, $4: not as h2spec has it, $why" ;;
    pass:?*) fail "$3, $4: passes, though doc/grpc.md has it as an exception" ;;
    bad:*) fail "$3, $4" ;;
    *) fail "$3, $4: was not run" ;;
    esac
}

# run EXCEPTIONS: all cases against the server at $line
run() {
    before=$failed
    # Two seconds, which h2spec waits for what may not come, are few on a busy machine.
    timeout -k 5 300 "$peers/go/bin/h2spec" --strict --timeout 5 --host 127.0.0.1 --port "${line##*:}" \
        --path /grpc.testing.TestService/EmptyCall --junit-report "$work/report.xml" >"$work/h2spec.out" 2>&1 </dev/null
    results "$work/report.xml" >"$work/results" || { tail -n 12 "$work/h2spec.out"; echo 'h2spec wrote no whole report'; exit 99; }
    while read -r result id title; do
        judge "$1" "$result" "$id" "$title"
    done <"$work/results"
    [ "$failed" -eq "$before" ] || sed -n '/^Failures:/,$p' "$work/h2spec.out" | sed 's/^/    | /'
    while read -r id why; do
        grep -q "^[a-z]* $id " "$work/results" || fail "$id: doc/grpc.md has it as an exception, h2spec has no such case"
    done <"$1"
    rm "$work/report.xml"
    check 'our client after it' "$our_client" --uri "$line" --test_case empty_unary
}

echo '-- frames of 16 KiB'
start small "$our_server" --frame-size 16384 grpc+tcp:127.0.0.1:0
run "$work/none"
end_server 'our server' "$server"
number=$(grep -c . "$work/results")
if grep -q "^h2spec .*: all $number cases pass" "$doc"; then
    pass "doc/grpc.md says that all $number cases pass"
else
    fail "doc/grpc.md does not say that all $number cases pass"
fi

echo '-- frames as by default'
start default "$our_server" grpc+tcp:127.0.0.1:0
run "$work/default"
end_server 'our server' "$server"
finish

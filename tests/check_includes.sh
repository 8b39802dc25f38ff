#!/bin/sh
# The include rule: tools -> worker -> public headers of lib <- transports; lib/ names no transport and holds no descriptor, messages know no channel.
# doc/architecture.md says it in words.
set -u
cd "$TRIB_SRC" || exit 99
failed=0

# refuse RULE PATTERN FILE...: no line of the files may match
refuse() {
    rule=$1 pattern=$2
    shift 2
    found=$(grep -nE "$pattern" "$@" /dev/null 2>/dev/null) || return 0
    printf 'FAIL: %s\n%s\n' "$rule" "$found"
    failed=1
}

# included FROM ALLOWED: the quoted includes of the folder FROM are of that folder itself, or match ALLOWED
included() {
    for file in "$1"/*.[ch]; do
        [ -f "$file" ] || continue
        sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$file" | while read -r name; do
            case $name in
            */*) printf '%s\n' "$name" | grep -qE "^($1/|$2)" || echo "$file includes \"$name\"" ;;
            *) [ -f "$1/$name" ] || [ "$name" = config.h ] || echo "$file includes \"$name\", which is not in $1/" ;;
            esac
        done
    done
}

check_folder() {
    found=$(included "$1" "$2")
    [ -z "$found" ] || { printf 'FAIL: %s\n%s\n' "$3" "$found"; failed=1; }
}

check_folder lib '$^' 'lib/ includes itself and public headers only'
check_folder transports '$^' 'transports/ includes itself and public headers only'
check_folder transports/grpc 'transports/' 'transports/grpc/ includes transports/ and public headers only'
check_folder worker '$^' 'worker/ includes itself and public headers only'
check_folder conformance '$^' 'conformance/ includes itself and public headers only'
check_folder tools 'conformance/' 'tools/ includes itself, the conformance suite and public headers only'
check_folder examples '$^' 'examples/ include public headers only'

refuse 'lib/ and transports/ know nothing of messages and Arrow' '#[[:space:]]*include.*(message|spark|udf|worker|nanoarrow)' \
    lib/*.[ch] transports/*.[ch] transports/grpc/*.[ch]

# The messages: worker/ without the worker and the engine of Spark's gRPC protocol.
messages=$(find worker -name '*.[ch]' ! -name 'worker*' ! -name 'udf_*' ! -name 'engine.c')
[ "$(printf '%s\n' "$messages" | wc -l)" -gt 20 ] || { echo 'check_includes: where are the messages?' >&2; exit 99; }
# Unquoted: one word for each file.
# shellcheck disable=SC2086
refuse 'messages know no channel and no transport' '<tributary/(channel|transports?|fd|grpc|grpc_services|engine|worker)\.h>|"(udf_|worker-)' $messages
# shellcheck disable=SC2086
refuse 'messages hold no descriptor' '<(sys/(socket|un|uio|epoll|eventfd|ioctl|stat)|fcntl|poll|netinet/.*)\.h>' $messages
refuse 'worker/ names no transport but gRPC' '<tributary/(fd|transports)\.h>|trib_(unix|fd|trace)_|trib_transport_' worker/*.[ch]
refuse 'only worker/worker.c has system headers for descriptors, for its pipe' '<(sys/(socket|un|uio|epoll|eventfd|ioctl|stat)|poll|netinet/.*)\.h>' \
    worker/*.[ch]
# Unquoted: one word for each file.
# shellcheck disable=SC2046
refuse 'the libraries start no thread but those of UDFs' '(pthread|thrd)_create *\(' \
    lib/*.c transports/*.c transports/grpc/*.c $(find worker -name '*.c' ! -name udf_thread.c)
refuse 'lib/ names no transport' '<tributary/(fd|transports)\.h>|trib_(unix|fd|trace)_|trib_transport_|"(unix|chunk|fd|trace|grpc)"' \
    lib/*.[ch]
refuse 'lib/ has no system header for descriptors' '<(sys/(socket|un|uio|epoll|eventfd|ioctl|stat)|fcntl|poll|netinet/.*)\.h>' lib/*.[ch]
refuse 'lib/ calls nothing on descriptors' \
    '(^|[^A-Za-z0-9_>.])(read|write|readv|writev|pread|pwrite|close|open|openat|socket|recv|recvmsg|send|sendmsg|poll|dup|dup2|pipe|fcntl)\(' \
    lib/*.c
refuse 'public headers include nothing but each other and <stdbool.h>, <stddef.h>, <stdint.h>' \
    '#[[:space:]]*include[[:space:]]*("|<(([^ts]|s[^t]|t[^r])|std[^bdi]|tributary/.*-internal))' include/tributary/*.h
exit $failed

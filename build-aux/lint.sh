#!/bin/sh
# What a reviewer would otherwise say: length of files and functions, banned functions, comments, spaces; and what shellcheck says of the scripts.
# Prints each finding, exits 1 if any.
#   build-aux/lint.sh [FILE...]     without files: every C source and every script of the tree
set -u
cd "$(dirname "$0")/.." || exit 99

# scripts: those of the tree: what begins as one of sh, and what such ones source, which says so to shellcheck
scripts() {
    grep -lE '^(#!/bin/sh|# shellcheck shell=sh$)' quickstart .ci/run build-aux/deps build-aux/lint.sh build-aux/test-totals
    find tests bench examples tools -type f ! -name '*.log' ! -name '*.trs' \( -name '*.sh' -o -perm -u+x \) \
        -exec grep -lE '^(#!/bin/sh|# shellcheck shell=sh$)' {} + | sort
}

# Unquoted: one word for each file.
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(find include lib transports worker conformance tools tests examples bench -name '*.[ch]' 2>/dev/null | sort) $(scripts)

# The sources stay in "$@". Of an "install" the variables are its caller's, tests/interop/deps.
scripts=
installs=
for file in "$@"; do
    shift
    case $file in
    *.[ch]) set -- "$@" "$file" ;;
    */install) installs="$installs $file" ;;
    *) scripts="$scripts $file" ;;
    esac
done
failed=0
for file in "$@"; do
    case $file in
    tests/test_*.c)
        grep -qE 'balance_(setup|compare)|conformance_check\.h' "$file" || { echo "$file: does not look whether its tests give back what they take: balance_setup()"; failed=1; } ;;
    esac
done
if command -v shellcheck >/dev/null; then
    # Unquoted: one word for each file.
    # shellcheck disable=SC2086
    { [ -z "$scripts" ] || shellcheck -f gcc -x $scripts || failed=1
      [ -z "$installs" ] || shellcheck -f gcc -x -e SC2154 $installs || failed=1; }
fi
[ $# -gt 0 ] || exit $failed

awk -v file_max=600 -v function_max=80 -v line_max=160 '
    function say(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; found = 1 }

    # The line without strings, character constants and comments; sets in_comment for the lines after it.
    function code_of(line,    out, at) {
        gsub(/\\./, "", line)
        gsub(/"[^"]*"/, "\"\"", line)
        gsub(/\047[^\047]*\047/, "0", line)
        out = ""
        while (line != "") {
            if (in_comment) {
                at = index(line, "*/")
                if (at == 0) return out
                line = substr(line, at + 2); in_comment = 0
            } else {
                at = index(line, "/*")
                if (at == 0) return out line
                out = out substr(line, 1, at - 1); line = substr(line, at + 2); in_comment = 1
            }
        }
        return out
    }

    FNR == 1 {
        if (NR > 1 && lines > file_max) printf "%s: %d lines, at most %d: is it one duty?\n", last, lines, file_max
        if (NR > 1 && lines > file_max) found = 1
        in_comment = 0; depth = 0; start = 0
        if ($0 !~ /^\/\*/) say("a file opens with a comment that says its duty")
    }
    { lines = FNR; last = FILENAME }
    /\t/ { say("tab") }
    /[ ]$/ { say("space at the end of the line") }
    length($0) > line_max { say("line of " length($0) " characters, at most " line_max) }
    /(^|[^A-Za-z_])(TODO|FIXME|XXX|HACK)([^A-Za-z_]|$)/ { say("unfinished by its own words") }
    {
        code = code_of($0)
        if (code ~ /\/\//) say("comments are /* */")
        if (code ~ /(^|[^A-Za-z0-9_>.])(strcpy|strcat|strncpy|strncat|sprintf|vsprintf|gets|atoi|atol|atoll|atof|strtok|alloca|tmpnam|mktemp|rand|srand|system|setjmp|longjmp)[ ]*\(/)
            say("banned function: " $0)
        if (code ~ /^typedef[ ]+(struct|union|enum)[^(]*;/) say("structs and enums have tags and no typedef")
        if (code ~ /^\{/ && start == 0) start = FNR
        if (code ~ /^\}/ && start) {
            if (FNR - start - 1 > function_max) say("function of " FNR - start - 1 " lines, at most " function_max)
            start = 0
        }
    }
    END {
        if (lines > file_max) { printf "%s: %d lines, at most %d: is it one duty?\n", last, lines, file_max; found = 1 }
        exit found
    }' "$@" || failed=1
exit $failed

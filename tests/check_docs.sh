#!/bin/sh
# Every C block of README.md and doc/*.md compiles. Three kinds, told apart by the words after the fence:
#   ```c              a file by itself, after every public header
#   ```c statements   what stands inside a function; the objects of docs-preamble.h exist there
#   ```c example      a file by itself that includes what it needs: nothing is put before it
set -eu
cd "$TRIB_SRC"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for header in include/tributary/*.h; do
    printf '#include <tributary/%s>\n' "${header##*/}"
done >"$work/preamble.h"
cat tests/docs-preamble.h >>"$work/preamble.h"

# One file for each block, named PAGE.LINE.KIND.c; #line makes the compiler name the page.
for page in README.md doc/*.md; do
    [ -f "$page" ] || continue
    awk -v page="$page" -v work="$work" '
        function tail() { if (kind == "statements") print "return 0; }" >out; close(out) }
        /^[ ]*```c( |$)/ {
            inside = 1; kind = $2 == "" ? "file" : $2; name = page; gsub("/", "_", name)
            out = work "/" name "." NR "." kind ".c"
            if (kind != "example") print "#include \"preamble.h\"" >out
            if (kind == "statements") print "int block(void); int block(void) {" >out
            printf "#line %d \"%s\"\n", NR + 1, page >out; next }
        /^[ ]*```/ && inside { inside = 0; tail(); next }
        inside { print >out }' "$page"
done

failed=0
blocks=0
for block in "$work"/*.c; do
    [ -f "$block" ] || continue
    blocks=$((blocks + 1))
    # Unquoted: a command and its options.
    # shellcheck disable=SC2086
    $TRIB_CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused -I"$work" -I"$TRIB_SRC/include" -fsyntax-only "$block" ||
        { echo "FAIL: a block of ${block##*/}"; failed=1; }
done
echo "$blocks blocks compiled"
exit $failed

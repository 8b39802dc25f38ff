#!/bin/sh
# Each public header is installed and compiles alone, as strict C99 and as C++; each function that it exports has a comment.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

for header in "$TRIB_SRC"/include/tributary/*.h; do
    name=tributary/${header##*/}
    grep -q "include/$name" "$TRIB_SRC/include/local.mk" || { echo "FAIL: <$name> is not in include/local.mk"; failed=1; }
    printf '#include <%s>\n#include <%s>\nextern int not_empty;\n' "$name" "$name" | tee "$work/alone.c" >"$work/alone.cc"
    # Unquoted: a command and its options.
    # shellcheck disable=SC2086
    $TRIB_CC -std=c99 -pedantic-errors -Wall -Wextra -Werror -I"$TRIB_SRC/include" -fsyntax-only "$work/alone.c" ||
        { echo "FAIL: <$name> as C99"; failed=1; }
    # shellcheck disable=SC2086
    $TRIB_CXX -std=c++11 -pedantic-errors -Wall -Wextra -Werror -I"$TRIB_SRC/include" -fsyntax-only "$work/alone.cc" ||
        { echo "FAIL: <$name> as C++"; failed=1; }
done

# undocumented HEADER...: what is exported without a word before it (a comment holds for the declarations that follow it without an empty line) or
# behind it. A line of dashes that only names a section says nothing.
undocumented() {
    awk '
        function complain(text) { if (text != "") print text }
        FNR == 1 { said = comment = declaration = 0 }
        comment { words = words || /[A-Za-z]/; if (/\*\//) { comment = 0; said = words } next }
        declaration { if (!/;/) next; declaration = 0; if (!/;.*\/\*/) complain(bare); next }
        /^\/\*/ { words = !/^\/\* ----/; said = words; comment = !/\*\//; next }
        /^#define TRIB_API|^typedef .*;$/ { next }
        /TRIB_API/ {
            bare = said ? "" : FILENAME ":" FNR ": " $0
            if (!/;/) declaration = 1
            else if (!/;.*\/\*/) complain(bare)
            next }
        { said = 0 }' "$@"
}

found=$(undocumented "$TRIB_SRC"/include/tributary/*.h)
[ -z "$found" ] || { printf 'FAIL: exported without a comment:\n%s\n' "$found"; failed=1; }
printf '#define TRIB_API\n/* ---- Section ---- */\n\nTRIB_API int bare(void);\n' >"$work/bare.h"
[ -n "$(undocumented "$work/bare.h")" ] || { echo 'check_headers: the check for comments finds nothing' >&2; exit 99; }
exit $failed

#!/bin/sh
# Each public header is installed and compiles alone, as strict C99 and as C++.
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
exit $failed

#!/bin/sh
# doc/errors.md against the headers: every function that returns a code stands there once, nothing else does, and every code is one.
set -eu
cd "$TRIB_SRC"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Comments out, one declaration a line; those that return int, are exported, and whose last parameter is an error.
cat include/tributary/*.h | sed 's,//.*,,' | tr '\n' ' ' | sed 's,/\*,\n/*,g; s,\*/,*/\n,g' | grep -v '^/\*' | tr '\n' ' ' | tr ';' '\n' |
    sed -n 's/.*TRIB_API  *int  *\(trib_[a-z0-9_]*\) *(.*struct trib_error \*err *).*/\1/p' | sort >"$work/declared"
grep '^| `trib_' doc/errors.md | cut -d'|' -f2 | tr ' `' '[\n*]' | grep '^trib_' | sort >"$work/described"
grep '^| `trib_' doc/errors.md | cut -d'|' -f3 | tr -s ' ' '\n' | grep -v '^$' | sort -u >"$work/used"
sed -n 's/.*TRIB_\(ERR_\)\{0,1\}\([A-Z]*\) = -\{0,1\}[0-9].*/\2/p' include/tributary/error.h | sort -u >"$work/codes"

failed=0
[ "$(wc -l <"$work/declared")" -gt 50 ] || { echo 'check_errors: the headers were not understood' >&2; exit 99; }
complain() { [ -z "$2" ] || { printf 'FAIL: %s: %s\n' "$1" "$(printf %s "$2" | tr '\n' ' ')"; failed=1; }; }
complain 'declared, but not in doc/errors.md' "$(comm -23 "$work/declared" "$work/described")"
complain 'in doc/errors.md, but not declared' "$(comm -13 "$work/declared" "$work/described")"
complain 'in doc/errors.md twice' "$(uniq -d "$work/described")"
complain 'no code of error.h' "$(comm -23 "$work/used" "$work/codes")"
echo "$(wc -l <"$work/declared") calls, $(wc -l <"$work/used") codes"
exit $failed

#!/bin/sh
# What the shared libraries export, what their maps name, and what the public headers declare with TRIB_API are the same names; and no library of
# the system comes into a process twice.
set -eu
LC_ALL=C
export LC_ALL

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# same WHAT_A FILE_A WHAT_B FILE_B: two sorted lists of names; says which name is in one only
same() {
    comm -23 "$2" "$4" | sed "s|.*|FAIL: & is in $1, not in $3|" >"$work/difference"
    comm -13 "$2" "$4" | sed "s|.*|FAIL: & is in $3, not in $1|" >>"$work/difference"
    [ ! -s "$work/difference" ] || { cat "$work/difference"; failed=1; }
}

# declared HEADER...: names declared for export, by the attribute that TRIB_API becomes. One declaration a line; its name is the last
# word before the first parenthesis, the semicolon or the bracket.
declared() {
    for header in "$@"; do printf '#include <tributary/%s>\n' "${header##*/}"; done >"$work/all.c"
    # Unquoted: a command and its options.
    # shellcheck disable=SC2086
    $TRIB_CC -E -P -I"$TRIB_SRC/include" "$work/all.c" | tr '\n' ' ' | sed 's,[;{}],\n,g' |
        sed -n 's/.*visibility("default")))//p' | sed 's/[([].*//; s/ *$//; s/.*[ *]//'
}

for library in tributary tributary-worker; do
    case $library in
    tributary) map=$TRIB_SRC/lib/libtributary.map ;;
    *) map=$TRIB_SRC/worker/libtributary-worker.map ;;
    esac
    sed 's,/\*.*\*/,,' "$map" | grep -oE '\btrib_[a-z0-9_]+' | sort >"$work/$library.map"
    cat "$work/$library.map" >>"$work/maps"
    shared=$TRIB_BUILD/.libs/lib$library.so
    [ -e "$shared" ] || continue
    readelf -d "$shared" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' >"$work/$library.needed"
    # libevent is libevent_core and libevent_extra once more.
    ! grep '^libevent-' "$work/$library.needed" || { echo "FAIL: lib$library.so needs a second libevent"; failed=1; }
    nm -D --defined-only "$shared" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$work/$library.exported"
    same "lib$library.so" "$work/$library.exported" "its map" "$work/$library.map"
done

declared "$TRIB_SRC"/include/tributary/*.h | sort -u >"$work/declared"
sort -u "$work/maps" >"$work/mapped"
[ "$(wc -l <"$work/maps")" -eq "$(wc -l <"$work/mapped")" ] || { echo 'FAIL: a name is in both maps'; failed=1; }
same "a public header" "$work/declared" "a map" "$work/mapped"
exit $failed

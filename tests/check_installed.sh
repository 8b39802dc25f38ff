#!/bin/sh
# Of `make installcheck`: what a user does with the installed library, by pkg-config alone.
#   check_installed.sh DESTDIR PREFIX BINDIR LIBDIR PKGCONFIGDIR
set -eu

destdir=$1 prefix=$2 bindir=$3 libdir=$4 pkgconfigdir=$5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PKG_CONFIG_PATH=$destdir$pkgconfigdir${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
LD_LIBRARY_PATH=$destdir$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PKG_CONFIG_PATH LD_LIBRARY_PATH

die() { printf 'installcheck: %s\n' "$*" >&2; exit 1; }
# flags OPTION...: pkg-config for both libraries and the event loop that callers bring, with DESTDIR before the prefix
flags() { pkg-config --define-variable=prefix="$destdir$prefix" "$@" libtributary-worker libtributary libevent_core; }

# libevent is libevent_core once more: a program would have two.
case " $(flags --libs) $(flags --static --libs) " in *' -levent '*) die 'pkg-config gives two libevents' ;; esac

kinds=
[ ! -e "$destdir$libdir/libtributary.so" ] || kinds=shared
[ ! -e "$destdir$libdir/libtributary.a" ] || kinds="$kinds static"

# Every example alone: a transport (…_transport.c or stdio.c) as a module, the others as programs, against each kind of library.
built=0
for source in "$TRIB_SRC"/examples/*.c "$TRIB_SRC"/examples/*/*.c; do
    [ -f "$source" ] || continue
    name=$(basename "$source" .c)
    for kind in $kinds; do
        # Unquoted here and below: a command and its options.
        # shellcheck disable=SC2046,SC2086
        case $name,$kind in
        *stdio*,shared) $TRIB_CC -std=c11 -Wall -Werror -shared -fPIC -o "$work/$name.so" "$source" $(flags --cflags --libs) ;;
        *stdio*,static) continue ;;
        *,shared) $TRIB_CC -std=c11 -Wall -Werror -o "$work/$name" "$source" $(flags --cflags --libs) ;;
        *,static) $TRIB_CC -std=c11 -Wall -Werror -o "$work/$name-static" "$source" $(flags --cflags) \
            $(flags --static --libs | sed 's/-ltributary[a-z-]*/-Wl,-Bstatic & -Wl,-Bdynamic/g') ;;
        esac || die "examples/$name.c does not build against the installed $kind library"
        built=$((built + 1))
    done
done

for module in "$work"/*stdio*.so; do
    [ -f "$module" ] || continue
    "$destdir$bindir/tributary" conform "$module" || die "the stdio example does not pass the conformance suite"
done
echo "installcheck: $built builds of examples"

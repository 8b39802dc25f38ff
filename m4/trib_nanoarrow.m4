dnl TRIB_NANOARROW: nanoarrow's static libraries, which build-aux/deps installs into .deps/ of the source tree.
dnl Sets NANOARROW_CFLAGS, NANOARROW_ARCHIVES (absorbed by libtributary-worker) and nanoarrow_prefix.
AC_DEFUN([TRIB_NANOARROW], [
AC_ARG_WITH([nanoarrow],
  [AS_HELP_STRING([--with-nanoarrow=PREFIX], [where nanoarrow is installed @<:@SRCDIR/.deps if there, else as pkg-config finds it@:>@])],
  [], [with_nanoarrow=])
AS_IF([test -z "$with_nanoarrow" && test -d "$srcdir/.deps"], [with_nanoarrow=`cd "$srcdir/.deps" && pwd`])
AS_CASE([$with_nanoarrow], [yes|no], [AC_MSG_ERROR([--with-nanoarrow needs a directory])])

trib_save_path=$PKG_CONFIG_PATH
AS_IF([test -n "$with_nanoarrow"],
  [PKG_CONFIG_PATH=$with_nanoarrow/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
   export PKG_CONFIG_PATH])
PKG_CHECK_MODULES([NANOARROW], [nanoarrow-ipc >= 0.9 nanoarrow >= 0.9], [],
  [AC_MSG_ERROR([nanoarrow was not found: run build-aux/deps, or say --with-nanoarrow=PREFIX])])
nanoarrow_libdir=`$PKG_CONFIG --variable=libdir nanoarrow-ipc`
AS_IF([test -n "$with_nanoarrow"], [nanoarrow_prefix=$with_nanoarrow],
  [nanoarrow_prefix=`$PKG_CONFIG --variable=prefix nanoarrow-ipc`])
PKG_CONFIG_PATH=$trib_save_path
dnl System headers: our warnings are not theirs.
NANOARROW_CFLAGS=`AS_ECHO(["$NANOARROW_CFLAGS"]) | $SED 's/-I/-isystem /g'`

NANOARROW_ARCHIVES=
for lib in nanoarrow_ipc nanoarrow; do
  AS_IF([test -f "$nanoarrow_libdir/lib$lib.a"],
    [NANOARROW_ARCHIVES="$NANOARROW_ARCHIVES $nanoarrow_libdir/lib$lib.a"],
    [AC_MSG_ERROR([$nanoarrow_libdir/lib$lib.a is missing: libtributary-worker absorbs nanoarrow's static libraries])])
done
AC_SUBST([NANOARROW_ARCHIVES])
AC_SUBST([nanoarrow_prefix])
])

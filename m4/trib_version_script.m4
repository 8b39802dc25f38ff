dnl TRIB_VERSION_SCRIPT: HAVE_VERSION_SCRIPT, whether the linker takes a symbol map; without it names are exported by their prefix.
AC_DEFUN([TRIB_VERSION_SCRIPT], [
AC_MSG_CHECKING([whether the linker takes a symbol map])
trib_save_LDFLAGS=$LDFLAGS
cat >conftest.map <<'MAP'
TEST_1 {
    global: main;
    local: *;
};
MAP
LDFLAGS="$LDFLAGS -Wl,--version-script=conftest.map"
AC_LINK_IFELSE([AC_LANG_PROGRAM()], [have_version_script=yes], [have_version_script=no])
rm -f conftest.map
LDFLAGS=$trib_save_LDFLAGS
AC_MSG_RESULT([$have_version_script])
AS_IF([test $have_version_script = yes], [symbol_map=yes], [symbol_map="no: by prefix"])
AM_CONDITIONAL([HAVE_VERSION_SCRIPT], [test $have_version_script = yes])
])

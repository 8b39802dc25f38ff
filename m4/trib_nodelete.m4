dnl TRIB_NODELETE: the flag with which a library stays where dlclose() would take it away.
AC_DEFUN([TRIB_NODELETE], [
AC_MSG_CHECKING([whether a library can stay loaded])
trib_save_LDFLAGS=$LDFLAGS
LDFLAGS="$LDFLAGS -Wl,-z,nodelete"
AC_LINK_IFELSE([AC_LANG_PROGRAM()], [NODELETE_LDFLAGS=-Wl,-z,nodelete], [NODELETE_LDFLAGS=])
LDFLAGS=$trib_save_LDFLAGS
AC_MSG_RESULT([${NODELETE_LDFLAGS:-no}])
AC_SUBST([NODELETE_LDFLAGS])
])

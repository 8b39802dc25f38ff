dnl TRIB_SYMBOLIC: flags with which the library's calls of its own exported functions are direct ones, not by way of the PLT.
AC_DEFUN([TRIB_SYMBOLIC], [
AC_MSG_CHECKING([whether calls inside the library can be direct])
trib_save_LDFLAGS=$LDFLAGS trib_save_CFLAGS=$CFLAGS
LDFLAGS="$LDFLAGS -Wl,-Bsymbolic-functions"
AC_LINK_IFELSE([AC_LANG_PROGRAM()], [SYMBOLIC_LDFLAGS=-Wl,-Bsymbolic-functions], [SYMBOLIC_LDFLAGS=])
LDFLAGS=$trib_save_LDFLAGS
CFLAGS="$CFLAGS -Werror -fno-semantic-interposition"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [SYMBOLIC_CFLAGS=-fno-semantic-interposition], [SYMBOLIC_CFLAGS=])
CFLAGS=$trib_save_CFLAGS
AC_MSG_RESULT([${SYMBOLIC_LDFLAGS:-no} ${SYMBOLIC_CFLAGS:-}])
AC_SUBST([SYMBOLIC_LDFLAGS])
AC_SUBST([SYMBOLIC_CFLAGS])
])

dnl TRIB_WARNINGS: WARN_CFLAGS, the warnings that are always on where the compiler has them; --enable-maintainer-mode makes them errors.
AC_DEFUN([TRIB_TRY_CFLAG], [
AC_MSG_CHECKING([whether $CC takes $1])
trib_save_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS -Werror $1"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [AC_MSG_RESULT([yes])
  WARN_CFLAGS="$WARN_CFLAGS $1"], [AC_MSG_RESULT([no])])
CFLAGS=$trib_save_CFLAGS
])

AC_DEFUN([TRIB_WARNINGS], [
AC_ARG_ENABLE([maintainer-mode],
  [AS_HELP_STRING([--enable-maintainer-mode], [turn warnings into errors])], [], [enable_maintainer_mode=no])
WARN_CFLAGS=
m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith
  -Wcast-qual -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wno-format-nonliteral -Wnull-dereference -Wimplicit-fallthrough -Wdouble-promotion
  -Wlogical-op -Wduplicated-cond -Wno-missing-field-initializers], [TRIB_TRY_CFLAG(flag)])
dnl GCC warns of each fence under TSan, which does not follow fences; those here order nothing that is not atomic itself.
AS_IF([test "$enable_tsan" = yes], [TRIB_TRY_CFLAG([-Wno-tsan])])
AS_IF([test "$enable_maintainer_mode" = yes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
AC_SUBST([WARN_CFLAGS])
])

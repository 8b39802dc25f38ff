dnl TRIB_C11: C11 with 64-bit atomics and threads.
AC_DEFUN([TRIB_TRY_ATOMIC], [AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdatomic.h>
#include <stdint.h>
_Atomic uint64_t x;]], [[return (int)atomic_fetch_add(&x, 1);]])], [$1], [$2])])

AC_DEFUN([TRIB_C11], [
AS_IF([test "$ac_prog_cc_stdc" != c11], [AC_MSG_ERROR([$CC does not know C11])])
AC_MSG_CHECKING([for 64-bit atomics])
TRIB_TRY_ATOMIC([AC_MSG_RESULT([built in])],
  [LIBS="-latomic $LIBS"
   TRIB_TRY_ATOMIC([AC_MSG_RESULT([in libatomic])],
     [AC_MSG_RESULT([no])
      AC_MSG_ERROR([64-bit atomics work neither built in nor with libatomic])])])
AC_SEARCH_LIBS([pthread_create], [pthread], [], [AC_MSG_ERROR([POSIX threads are needed])])
])

dnl TRIB_C11: C11 with lock-free atomics of pointer size, and threads.
AC_DEFUN([TRIB_C11], [
AS_IF([test "$ac_prog_cc_stdc" != c11], [AC_MSG_ERROR([$CC does not know C11])])
dnl Where 64-bit atomics are not instructions they are functions, of libatomic.
AC_SEARCH_LIBS([__atomic_fetch_add_8], [atomic], [],
  [AC_MSG_CHECKING([whether 64-bit atomics are built in])
   AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdatomic.h>
     #include <stdint.h>
     _Atomic uint64_t x;]], [[return (int)atomic_fetch_add(&x, 1);]])],
     [AC_MSG_RESULT([yes])],
     [AC_MSG_RESULT([no])
      AC_MSG_ERROR([64-bit atomics work neither built in nor with libatomic])])])
AC_SEARCH_LIBS([pthread_create], [pthread], [], [AC_MSG_ERROR([POSIX threads are needed])])
])

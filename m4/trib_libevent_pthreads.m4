dnl TRIB_LIBEVENT_PTHREADS: libevent_pthreads' own part alone in LIBEVENT_PTHREADS_LIBS. Its .pc file may require libevent, which is libevent_core
dnl and libevent_extra once more: beside the libevent_core that all else here links, a process would have two. Where its own part does not link
dnl with libevent_core, what pkg-config says stays.
AC_DEFUN([TRIB_LIBEVENT_PTHREADS], [
AC_MSG_CHECKING([whether libevent_pthreads needs no more than libevent_core])
trib_save_LIBS=$LIBS trib_save_CPPFLAGS=$CPPFLAGS
trib_own=
for trib_word in $LIBEVENT_PTHREADS_LIBS; do
    test "x$trib_word" = x-levent || trib_own="$trib_own $trib_word"
done
LIBS="$trib_own $LIBEVENT_LIBS $LIBS" CPPFLAGS="$CPPFLAGS $LIBEVENT_PTHREADS_CFLAGS"
AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <event2/event.h>
#include <event2/thread.h>]], [[return evthread_use_pthreads() != 0 || event_base_new() == 0;]])],
    [LIBEVENT_PTHREADS_LIBS=$trib_own
     AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])])
LIBS=$trib_save_LIBS CPPFLAGS=$trib_save_CPPFLAGS
])

dnl TRIB_SANITIZERS: SANITIZER_CFLAGS from --enable-asan, --enable-ubsan, --enable-tsan and --enable-fuzzers, and FUZZER_LDFLAGS.
AC_DEFUN([TRIB_SANITIZERS], [
AC_ARG_ENABLE([asan], [AS_HELP_STRING([--enable-asan], [build with AddressSanitizer])], [], [enable_asan=no])
AC_ARG_ENABLE([ubsan],
  [AS_HELP_STRING([--enable-ubsan], [build with UndefinedBehaviorSanitizer])], [], [enable_ubsan=no])
AC_ARG_ENABLE([tsan], [AS_HELP_STRING([--enable-tsan], [build with ThreadSanitizer])], [], [enable_tsan=no])
AC_ARG_ENABLE([fuzzers],
  [AS_HELP_STRING([--enable-fuzzers], [build tests/fuzz/ for libFuzzer (needs CC=clang) instead of for a run over the corpus])],
  [], [enable_fuzzers=no])

AS_IF([test "$enable_asan,$enable_tsan" = yes,yes], [AC_MSG_ERROR([--enable-asan and --enable-tsan exclude each other])])
sanitizers=
AS_IF([test "$enable_asan" = yes], [sanitizers=address])
AS_IF([test "$enable_tsan" = yes], [sanitizers=thread])
AS_IF([test "$enable_ubsan" = yes], [sanitizers=${sanitizers:+$sanitizers,}undefined])

SANITIZER_CFLAGS=
AS_IF([test -n "$sanitizers"],
  [SANITIZER_CFLAGS="-fsanitize=$sanitizers -fno-sanitize-recover=all -fno-omit-frame-pointer"])
FUZZER_LDFLAGS=
AS_IF([test "$enable_fuzzers" = yes],
  [SANITIZER_CFLAGS="$SANITIZER_CFLAGS -fsanitize=fuzzer-no-link"
   FUZZER_LDFLAGS=-fsanitize=fuzzer])

AS_IF([test -n "$SANITIZER_CFLAGS"],
  [AC_MSG_CHECKING([whether $CC links with $SANITIZER_CFLAGS])
   trib_save_CFLAGS=$CFLAGS
   CFLAGS="$CFLAGS $SANITIZER_CFLAGS"
   AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AC_MSG_RESULT([yes])],
     [AC_MSG_RESULT([no])
      AC_MSG_ERROR([$CC does not link with $SANITIZER_CFLAGS; its run-time library may be missing (fuzzers need CC=clang)])])
   CFLAGS=$trib_save_CFLAGS])

AC_SUBST([SANITIZER_CFLAGS])
AC_SUBST([FUZZER_LDFLAGS])
AM_CONDITIONAL([ENABLE_FUZZERS], [test "$enable_fuzzers" = yes])
AM_CONDITIONAL([ENABLE_SANITIZERS], [test -n "$SANITIZER_CFLAGS"])
])

# Examples, numbered. `make check` builds and runs them against this tree, `make installcheck` builds them against the installed library.
example_sources = \
	examples/01-hello.c \
	examples/02-feed.c \
	examples/03-event-loop.c \
	examples/04-stdio-transport/stdio.c
EXTRA_DIST += $(example_sources)

example_programs = examples/01-hello examples/02-feed examples/03-event-loop
check_PROGRAMS += $(example_programs)
examples_01_hello_LDADD = libtributary.la
examples_02_feed_LDADD = libtributary.la
examples_03_event_loop_LDADD = libtributary.la $(LIBEVENT_LIBS)

# A transport from outside, as a module, where there are shared objects at all; -rpath makes libtool build a shared object of what is not installed.
if BUILD_SHARED
check_LTLIBRARIES += examples/04-stdio-transport/stdio.la
examples_04_stdio_transport_stdio_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
examples_04_stdio_transport_stdio_la_LIBADD = libtributary.la
examples_04_stdio_transport_stdio_la_CFLAGS = $(AM_CFLAGS) # the tests compile this file too: its objects need a name of their own here
endif

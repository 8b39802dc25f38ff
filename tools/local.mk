# The `tributary` command: bin_PROGRAMS += tributary, tributary_SOURCES = ... It links the shared libraries, so that a transport which it loads meets
# the same library: tributary_LDADD = $(tool_libraries).
tool_libraries = libtributary-conformance.la libtributary-worker.la libtributary.la $(LIBEVENT_LIBS)

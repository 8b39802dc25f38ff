# The core, and libtributary: the core and the transports behind a symbol map.
noinst_LTLIBRARIES += libtributary-core.la
libtributary_core_la_SOURCES = \
	lib/alloc-internal.h lib/alloc.c lib/small.c \
	lib/budget.c \
	lib/channel-internal.h lib/channel.c \
	lib/chunk-internal.h lib/chunk.c lib/header-internal.h lib/header.c lib/pool.c \
	lib/error.c \
	lib/listener.c \
	lib/queue-internal.h lib/queue.c \
	lib/reader-internal.h lib/reader.c lib/reader_feed.c lib/reader_parse.c lib/reader_pieces.c lib/reader_queue.c lib/reader_take.c \
	lib/ring-internal.h lib/ring.c \
	lib/transport.c \
	lib/uri.c \
	lib/utf8.c \
	lib/counter-internal.h lib/fence-internal.h lib/fence.c \
	lib/wait-internal.h lib/wait.c \
	lib/writer-internal.h lib/writer.c lib/writer_refs.c lib/writer_send.c
libtributary_core_la_LIBADD = $(LIBEVENT_LIBS) $(LIBNGHTTP2_LIBS) $(ZLIB_LIBS)

lib_LTLIBRARIES += libtributary.la
libtributary_la_SOURCES =
libtributary_la_LIBADD = libtributary-core.la
# nodelete: threads that have used it run its code when they end.
libtributary_la_LDFLAGS = $(library_ldflags) $(NODELETE_LDFLAGS) $(SYMBOLIC_LDFLAGS) -version-info $(TRIBUTARY_VERSION_INFO)
if HAVE_VERSION_SCRIPT
libtributary_la_LDFLAGS += -Wl,--version-script=$(top_srcdir)/lib/libtributary.map
else
libtributary_la_LDFLAGS += -export-symbols-regex '^trib_'
endif
EXTRA_libtributary_la_DEPENDENCIES = $(top_srcdir)/lib/libtributary.map
EXTRA_DIST += lib/libtributary.map
pkgconfig_DATA += libtributary.pc

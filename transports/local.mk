# The transports that come with libtributary. A new one is one line here.
libtributary_core_la_SOURCES += transports/builtin.c
libtributary_core_la_SOURCES += \
	transports/bell-internal.h transports/bell.c \
	transports/chunk-internal.h transports/chunk.c transports/chunk_listen.c
libtributary_core_la_SOURCES += transports/trace.c
libtributary_core_la_SOURCES += transports/mapfile.c
libtributary_core_la_SOURCES += transports/wake.c transports/wake-internal.h transports/watch.c transports/watch-internal.h
libtributary_core_la_SOURCES += transports/fd.c transports/fd_io.c transports/fd-internal.h
libtributary_core_la_SOURCES += transports/readahead.c transports/readahead-internal.h
libtributary_core_la_SOURCES += transports/unix.c transports/unix_file.c transports/unix_listen.c transports/unix-internal.h
libtributary_core_la_SOURCES += \
	transports/grpc/address.c \
	transports/grpc/call.c \
	transports/grpc/channel.c \
	transports/grpc/client-internal.h transports/grpc/client.c \
	transports/grpc/clock.c \
	transports/grpc/coding.c \
	transports/grpc/conn.c \
	transports/grpc/descriptors.c \
	transports/grpc/drive.c \
	transports/grpc/grpc-internal.h \
	transports/grpc/headers.c \
	transports/grpc/health.c \
	transports/grpc/in.c \
	transports/grpc/lend.c \
	transports/grpc/metadata.c \
	transports/grpc/out.c \
	transports/grpc/owner-internal.h transports/grpc/owner.c \
	transports/grpc/pieces.c \
	transports/grpc/proto-internal.h transports/grpc/proto.c \
	transports/grpc/reflection.c \
	transports/grpc/send.c \
	transports/grpc/server.c \
	transports/grpc/session.c \
	transports/grpc/spin.c \
	transports/grpc/stream.c \
	transports/grpc/symbols-internal.h transports/grpc/symbols.c \
	transports/grpc/talk-internal.h transports/grpc/talk.c \
	transports/grpc/transport.c \
	transports/grpc/window.c \
	transports/grpc/wire-internal.h transports/grpc/wire.c

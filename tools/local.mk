# The `tributary` command. It links the shared libraries, so that a transport which it loads meets the same library; without them
# -export-dynamic lets the transport find the library in the program.
tool_libraries = libtributary-conformance.la libtributary-worker.la libtributary.la $(LIBEVENT_PTHREADS_LIBS) $(LIBEVENT_LIBS)
bin_PROGRAMS += tributary
tributary_SOURCES = \
	tools/answer.c tools/answer.h \
	tools/call.c \
	tools/capture.c tools/capture.h \
	tools/common.c tools/tool.h \
	tools/compare.c tools/compare.h \
	tools/conform.c \
	tools/connection.c \
	tools/demo.c \
	tools/door.c tools/door.h \
	tools/execute.c tools/execute.h \
	tools/execute_tell.c tools/execute_tell.h \
	tools/input.c tools/input.h \
	tools/inspect.c \
	tools/inspect_print.c tools/inspect_print.h \
	tools/launch.c tools/launch.h \
	tools/link.c tools/link.h \
	tools/main.c \
	tools/options.c \
	tools/output.c tools/output.h \
	tools/play.c tools/play.h \
	tools/progress.c \
	tools/pump.c tools/pump.h \
	tools/raw.c tools/raw.h \
	tools/replay.c \
	tools/send.c \
	tools/serve.c \
	tools/server.c tools/server.h \
	tools/source.c tools/source.h \
	tools/strangers.c tools/strangers.h \
	tools/udf_worker.c tools/udf_worker.h
tributary_LDADD = $(tool_libraries) -ldl
tributary_LDFLAGS = $(AM_LDFLAGS) -export-dynamic

# What belongs to tests/test_tool.sh: the command over gRPC, and for workers of Spark's gRPC protocol.
EXTRA_DIST += tests/support/tool.sh
script_tests += tests/test_tool_arrow.sh tests/test_tool_call.sh tests/test_tool_grpc.sh tests/test_tool_launch.sh

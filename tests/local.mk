# Tests. A Check program is one line, `unit_tests += tests/test_name`; its source is tests/test_name.c.
# Cases that take long carry the Check tag "slow": `make check` leaves them out, `make check-slow` runs nothing else.
check_LTLIBRARIES += libtributary-support.la
libtributary_support_la_SOURCES = \
	tests/support/balance.c tests/support/balance.h \
	tests/support/conformance_check.c tests/conformance_check.h \
	tests/support/capture.c tests/support/capture.h \
	tests/support/data.c tests/support/data.h \
	tests/support/fail_alloc.c tests/support/fail_alloc.h \
	tests/support/grpc_echo.c tests/support/grpc_echo.h \
	tests/support/mark.c

script_tests += \
	tests/check_docs.sh \
	tests/check_errors.sh \
	tests/check_exports.sh \
	tests/check_headers.sh \
	tests/check_includes.sh \
	tests/check_lint.sh

# The message layer, and the captured sessions that it is measured by.
unit_tests += \
	tests/test_arrow \
	tests/test_serializer \
	tests/test_serve_channels \
	tests/test_session_machine \
	tests/test_spark_data \
	tests/test_spark_init \
	tests/test_spark_reply \
	tests/test_vectors
EXTRA_DIST += tests/data/spark-4.3.0

# The worker of Spark's gRPC protocol, and its engine.
libtributary_support_la_SOURCES += tests/support/worker.c tests/support/worker.h \
	tests/support/arrow.c tests/support/arrow.h
unit_tests += tests/test_udf_arrow tests/test_udf_intake tests/test_worker_arrow tests/test_worker_end tests/test_worker_flow tests/test_worker_init \
	tests/test_worker_machine tests/test_worker_replay tests/test_worker_runtime

# What `tributary call` does with a worker's answer.
unit_tests += tests/test_tool_answer
tests_test_tool_answer_SOURCES = tests/test_tool_answer.c tools/answer.c tools/output.c
unit_tests += tests/test_worker_many tests/test_worker_services

# The conformance suite over each transport, and what belongs to it.
unit_tests += \
	tests/test_conformance_chunk \
	tests/test_conformance_chunk_listen \
	tests/test_conformance_grpc \
	tests/test_conformance_kill \
	tests/test_conformance_module \
	tests/test_conformance_sessions \
	tests/test_conformance_stdio \
	tests/test_conformance_trace \
	tests/test_conformance_unix \
	tests/test_conformance_unix_listen \
	tests/test_stdio_process
tests_test_conformance_sessions_SOURCES = tests/test_conformance_sessions.c examples/04-stdio-transport/stdio.c
tests_test_conformance_stdio_SOURCES = tests/test_conformance_stdio.c examples/04-stdio-transport/stdio.c
tests_test_stdio_process_SOURCES = tests/test_stdio_process.c examples/04-stdio-transport/stdio.c
tests_test_conformance_module_LDADD = libtributary-support.la libtributary-conformance.la libtributary.la \
	$(CHECK_LIBS) $(LIBEVENT_LIBS)

# Channels over descriptors, unix:, and what receiving costs.
libtributary_support_la_SOURCES += tests/support/runner.c tests/support/runner.h
unit_tests += \
	tests/test_copies \
	tests/test_fd \
	tests/test_fd_events \
	tests/test_fd_files \
	tests/test_readahead \
	tests/test_unix \
	tests/test_unix_file

# Allocator, URIs, writer, channels, chunk: and trace.
libtributary_support_la_SOURCES += tests/support/fake_channel.c tests/support/fake_channel.h
unit_tests += \
	tests/test_alloc \
	tests/test_small \
	tests/test_channel \
	tests/test_chunk_listen \
	tests/test_chunk_transport \
	tests/test_trace \
	tests/test_uri \
	tests/test_writer \
	tests/test_writer_messages \
	tests/test_writer_refs

# Real peers: grpc.testing.TestService on the library, and scripts that run it against those of other languages; engines that drive the worker.
EXTRA_DIST += tests/interop/common.sh tests/interop/deps tests/interop/packages tests/interop/go tests/interop/java
interop_tests += tests/interop/go_tcp.sh tests/interop/go_unix.sh tests/interop/java_tcp.sh tests/interop/java_unix.sh
EXTRA_DIST += tests/interop/cases.py tests/interop/cpp tests/interop/js tests/interop/proto tests/interop/python tests/interop/rust
interop_tests += tests/interop/cpp.sh tests/interop/js.sh tests/interop/python.sh tests/interop/python_socket.py tests/interop/rust.sh
EXTRA_DIST += tests/interop/nghttp2
interop_tests += tests/interop/grpcurl.sh tests/interop/h2spec.sh tests/interop/nghttp.sh
EXTRA_DIST += tests/interop/engine tests/interop/revisions
interop_tests += tests/interop/engine_java.sh tests/interop/engine_python.sh
interop_programs += tests/interop/grpc/client tests/interop/grpc/server
interop_grpc_common = tests/interop/grpc/proto.c tests/interop/grpc/proto.h tests/interop/grpc/zeros.c tests/interop/grpc/zeros.h
tests_interop_grpc_client_SOURCES = $(interop_grpc_common) tests/interop/grpc/client.c tests/interop/grpc/client.h \
	tests/interop/grpc/client_more.c tests/interop/grpc/client_official.c
tests_interop_grpc_client_LDADD = libtributary-core.la $(LIBEVENT_LIBS)
tests_interop_grpc_server_SOURCES = $(interop_grpc_common) tests/interop/grpc/server.c \
	tests/interop/grpc/services.c tests/interop/grpc/services.h
EXTRA_tests_interop_grpc_server_DEPENDENCIES = tests/interop/grpc/test.protoset
CLEANFILES += tests/interop/grpc/test.protoset
# What the server tells of itself by reflection.
tests/interop/grpc/test.protoset: $(top_srcdir)/tests/interop/proto/test.proto
	$(AM_V_GEN)$(MKDIR_P) tests/interop/grpc && \
	$(PROTOC_C) --proto_path=$(top_srcdir)/tests/interop/proto --include_imports --descriptor_set_out=$@ test.proto
tests_interop_grpc_server_LDADD = libtributary-core.la $(LIBEVENT_LIBS) $(LIBEVENT_PTHREADS_LIBS)

# gRPC.
libtributary_support_la_SOURCES += tests/support/grpc_raw.c tests/support/grpc_raw.h tests/support/grpc_talk.c tests/support/grpc_talk.h
libtributary_support_la_SOURCES += tests/support/replay.c tests/support/replay.h \
	tests/support/crowd.c tests/support/crowd.h tests/support/resident.c tests/support/resident.h
EXTRA_DIST += tests/data/grpc-java tests/interop/record
unit_tests += tests/test_grpc_cancel tests/test_grpc_many tests/test_grpc_replay
libtributary_support_la_SOURCES += tests/support/grpc_zip.c tests/support/grpc_zip.h
unit_tests += tests/test_grpc_bombs tests/test_grpc_gzip tests/test_grpc_pinned tests/test_grpc_threads
unit_tests += tests/test_grpc_alloc tests/test_grpc_answers tests/test_grpc_calls tests/test_grpc_clock tests/test_grpc_flow tests/test_grpc_hostile tests/test_grpc_listen tests/test_grpc_services tests/test_grpc_strangers tests/test_grpc_wire

# Errors, chunks, the pool, budgets, queues and readers.
libtributary_support_la_SOURCES += tests/support/feed.c tests/support/feed.h tests/support/pipe.c tests/support/pipe.h
unit_tests += \
	tests/test_budget \
	tests/test_chunk \
	tests/test_error \
	tests/test_pool \
	tests/test_queue \
	tests/test_queue_ends \
	tests/test_queue_threads \
	tests/test_reader_events \
	tests/test_reader_feed \
	tests/test_reader_limits \
	tests/test_reader_model \
	tests/test_reader_parse \
	tests/test_reader_pull \
	tests/test_reader_stats \
	tests/test_reader_take \
	tests/test_reader_wait
tests_test_reader_events_LDADD = $(LDADD) $(LIBEVENT_PTHREADS_LIBS)
slow_tests += tests/slow_memory

# The command, on good and on bad input.
script_tests += tests/test_tool.sh

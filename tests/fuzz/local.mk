# libFuzzer targets: two lines each,
#   fuzz_programs += tests/fuzz/fuzz_name
#   tests_fuzz_fuzz_name_LDADD = $(fuzz_libraries)
# with the source tests/fuzz/fuzz_name.c and the corpus tests/fuzz/corpus/fuzz_name/. Configured with --enable-fuzzers they fuzz; otherwise
# `make check` runs each over its corpus, by standalone.c.
check_LTLIBRARIES += libtributary-fuzz.la
libtributary_fuzz_la_SOURCES =
if !ENABLE_FUZZERS
libtributary_fuzz_la_SOURCES += tests/fuzz/standalone.c
endif
fuzz_libraries = libtributary-fuzz.la $(LDADD) $(FUZZER_LDFLAGS)

# The init message, the receiver of spark-socket, URIs. Their corpora are made of the captured sessions and of what the tests try.
fuzz_programs += tests/fuzz/fuzz_init tests/fuzz/fuzz_messages tests/fuzz/fuzz_uri
tests_fuzz_fuzz_init_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_messages_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_uri_LDADD = $(fuzz_libraries)
EXTRA_DIST += tests/fuzz/corpus

# gRPC: a connection as a whole, what is inside DATA, and the words of its headers.
check_LTLIBRARIES += libtributary-fuzz-grpc.la
libtributary_fuzz_grpc_la_SOURCES = tests/fuzz/grpc_peer.c tests/fuzz/grpc_peer.h
fuzz_programs += tests/fuzz/fuzz_grpc_conn tests/fuzz/fuzz_grpc_framing tests/fuzz/fuzz_grpc_words
tests_fuzz_fuzz_grpc_conn_LDADD = libtributary-fuzz-grpc.la $(fuzz_libraries)
tests_fuzz_fuzz_grpc_framing_LDADD = libtributary-fuzz-grpc.la $(fuzz_libraries)
tests_fuzz_fuzz_grpc_words_LDADD = $(fuzz_libraries)

# Spark's gRPC worker protocol: the data envelope, beside protobuf-c; control messages; the Arrow in data.
fuzz_programs += tests/fuzz/fuzz_control tests/fuzz/fuzz_envelope tests/fuzz/fuzz_udf_arrow
tests_fuzz_fuzz_control_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_envelope_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_udf_arrow_LDADD = $(fuzz_libraries)
tests/fuzz/fuzz_envelope.$(OBJEXT): proto/udf_worker.pb-c.h

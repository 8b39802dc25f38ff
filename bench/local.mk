# Benchmarks, built and run by `make bench`, which takes BENCH_FLAGS='--rounds 21 unix'. They link the shared library, as its users do.
bench_programs += bench/sockets bench/calls bench/chunks
bench_pair = bench/bench.h bench/bench.c bench/pair.h bench/pair.c bench/socket.h bench/raw.c
bench_sockets_SOURCES = $(bench_pair) bench/sockets.c bench/unix.c
bench_sockets_LDADD = libtributary.la
bench_calls_SOURCES = $(bench_pair) bench/calls.c bench/calls_engine.c bench/calls_worker.c bench/calls.h
bench_calls_LDADD = libtributary.la $(LIBEVENT_LIBS)
bench_chunks_SOURCES = bench/bench.h bench/bench.c bench/chunks.c
bench_chunks_LDADD = libtributary.la
dist_noinst_SCRIPTS += bench/run bench/pyspark
EXTRA_DIST += bench/zero_copy_byte_stream.py

BENCH_FLAGS =
bench: $(bench_programs)
	TRIB_BUILD='$(abs_top_builddir)' $(srcdir)/bench/run $(BENCH_FLAGS)
.PHONY: bench

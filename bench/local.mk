# Benchmarks, built and run by `make bench`, which takes BENCH_FLAGS='--rounds 21 unix'. They link the shared library, as its users do.
bench_programs += bench/sockets bench/chunks
bench_sockets_SOURCES = bench/bench.h bench/bench.c bench/socket.h bench/sockets.c bench/raw.c bench/unix.c
bench_sockets_LDADD = libtributary.la
bench_chunks_SOURCES = bench/bench.h bench/bench.c bench/chunks.c
bench_chunks_LDADD = libtributary.la
dist_noinst_SCRIPTS += bench/run bench/pyspark
EXTRA_DIST += bench/zero_copy_byte_stream.py

BENCH_FLAGS =
bench: $(bench_programs)
	TRIB_BUILD='$(abs_top_builddir)' $(srcdir)/bench/run $(BENCH_FLAGS)
.PHONY: bench

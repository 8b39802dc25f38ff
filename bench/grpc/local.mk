# The benchmarks against other gRPC libraries, run by `make bench-grpc`, which takes BENCH_FLAGS='--rounds 21 --only echo'.
# Their peers are installed by bench/grpc/deps.
grpc_bench_programs = bench/grpc/ours bench/grpc/raw bench/grpc/receiver
EXTRA_PROGRAMS += $(grpc_bench_programs)
CLEANFILES += $(grpc_bench_programs)
bench_grpc_common = bench/bench.h bench/bench.c bench/grpc/peer.h bench/grpc/peer.c
bench_grpc_ours_SOURCES = $(bench_grpc_common) bench/grpc/ours.h bench/grpc/ours.c bench/grpc/ours_engine.c bench/grpc/ours_worker.c
bench_grpc_ours_LDADD = libtributary.la $(LIBEVENT_LIBS)
bench_grpc_raw_SOURCES = $(bench_grpc_common) bench/socket.h bench/raw.c bench/grpc/loop.c
bench_grpc_raw_LDADD =
bench_grpc_receiver_SOURCES = $(bench_grpc_common) bench/grpc/receiver.c
bench_grpc_receiver_LDADD =
dist_noinst_SCRIPTS += bench/grpc/deps bench/grpc/run
EXTRA_DIST += bench/grpc/proto bench/grpc/cpp bench/grpc/go bench/grpc/java bench/grpc/python bench/grpc/rust

bench-grpc: $(grpc_bench_programs)
	$(srcdir)/bench/grpc/deps
	TRIB_BUILD='$(abs_top_builddir)' $(srcdir)/bench/grpc/run $(BENCH_FLAGS)
.PHONY: bench-grpc

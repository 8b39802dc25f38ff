# Benchmarks, built and run by `make bench`: bench_programs += bench/name

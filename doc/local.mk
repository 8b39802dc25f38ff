# Pages, the man page, and HTML from the headers' comments.
dist_man1_MANS += doc/tributary.1
EXTRA_DIST += doc/architecture.md doc/ownership.md doc/writing-a-transport.md doc/errors.md doc/benchmarks.md doc/grpc.md doc/worker.md

html-doc: doc/Doxyfile
	@test -n '$(DOXYGEN)' || { echo 'html-doc: Doxygen was not found by configure' >&2; exit 1; }
	$(AM_V_GEN)$(DOXYGEN) doc/Doxyfile >doc/doxygen.log 2>&1 || { cat doc/doxygen.log >&2; exit 1; }
.PHONY: html-doc

clean-local:
	rm -rf doc/html

# Pages, the man page, and HTML from the headers' comments.
dist_man1_MANS += doc/tributary.1
EXTRA_DIST += doc/architecture.md doc/ownership.md doc/writing-a-transport.md doc/errors.md doc/benchmarks.md doc/grpc.md doc/worker.md doc/doxygen.sed

html-doc: doc/Doxyfile
	@test -n '$(DOXYGEN)' || { echo 'html-doc: Doxygen was not found by configure' >&2; exit 1; }
	$(AM_V_GEN)rm -rf doc/html && { $(DOXYGEN) doc/Doxyfile >doc/doxygen.log 2>&1 && test ! -s doc/doxygen.log || \
	    { cat doc/doxygen.log >&2; exit 1; }; }
.PHONY: html-doc

clean-local:
	rm -rf doc/html doc/doxygen.log

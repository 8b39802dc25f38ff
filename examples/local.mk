# Examples, numbered. `make check` builds them against this tree (noinst_PROGRAMS += ...), `make installcheck` against the installed library.
example_sources =
EXTRA_DIST += $(example_sources)

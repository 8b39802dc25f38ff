# The conformance suite that every transport passes. The tests and the tool link it; it uses public headers only, and no Check.
noinst_LTLIBRARIES += libtributary-conformance.la
libtributary_conformance_la_SOURCES =

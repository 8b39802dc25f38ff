# The conformance suite that every transport passes. The tests and the tool link it; it uses public headers only, and no Check.
noinst_LTLIBRARIES += libtributary-conformance.la
libtributary_conformance_la_SOURCES = \
	conformance/suite.h \
	conformance/suite-internal.h \
	conformance/pattern.h \
	conformance/cases_budget.c \
	conformance/cases_cancel.c \
	conformance/cases_data.c \
	conformance/cases_end.c \
	conformance/cases_event.c \
	conformance/cases_many.c \
	conformance/cases_memory.c \
	conformance/cases_message.c \
	conformance/cases_stream.c \
	conformance/cases_wait.c \
	conformance/env.c \
	conformance/pattern.c \
	conformance/suite.c \
	conformance/target.c
libtributary_conformance_la_LIBADD = $(LIBEVENT_PTHREADS_LIBS)

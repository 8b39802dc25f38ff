# The transports that come with libtributary. A new one is one line here.
libtributary_core_la_SOURCES +=

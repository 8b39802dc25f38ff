# The public headers, in the order in which they build on each other.
tributaryincludedir = $(includedir)/tributary
tributaryinclude_HEADERS = \
	include/tributary/types.h \
	include/tributary/alloc.h \
	include/tributary/error.h \
	include/tributary/chunk.h \
	include/tributary/queue.h \
	include/tributary/reader.h \
	include/tributary/writer.h \
	include/tributary/channel.h \
	include/tributary/uri.h \
	include/tributary/transport.h \
	include/tributary/transports.h \
	include/tributary/fd.h \
	include/tributary/grpc.h \
	include/tributary/grpc_services.h \
	include/tributary/arrow.h \
	include/tributary/message.h \
	include/tributary/spark.h \
	include/tributary/serializer.h \
	include/tributary/spark_udf.h \
	include/tributary/worker.h \
	include/tributary/engine.h

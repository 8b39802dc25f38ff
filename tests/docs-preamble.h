/* What a block of the documentation may take for granted: every public header, and one object of each kind. */
#include <tributary/channel.h>
#include <tributary/chunk.h>
#include <tributary/error.h>
#include <tributary/fd.h>
#include <tributary/queue.h>
#include <tributary/reader.h>
#include <tributary/transport.h>
#include <tributary/transports.h>
#include <tributary/types.h>
#include <tributary/uri.h>
#include <tributary/writer.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

extern struct trib_reader *reader;
extern struct trib_writer *writer;
extern struct trib_channel *channel;
extern struct trib_listener *listener;
extern struct trib_chunk *chunk;
extern struct trib_view view;
extern struct trib_error err;
extern struct event_base *base;
extern int status;

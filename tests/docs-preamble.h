/* One object of each kind: what "statements" in the documentation take for granted. tests/check_docs.sh puts the public headers
 * before it. */
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

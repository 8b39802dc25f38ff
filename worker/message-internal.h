/* What receiver and sender share. */
#ifndef TRIBI_MESSAGE_INTERNAL_H
#define TRIBI_MESSAGE_INTERNAL_H

#include <tributary/message.h>

/* The options with each default filled in. TRIB_ERR_USAGE: a table too small, a side or handshake that is none. */
int tribi_message_options(const struct trib_dialect *dialect, enum trib_side from, const struct trib_message_options *options,
                          struct trib_message_options *ret_options, struct trib_error *err);

/* A sender around what the dialect's `put` takes as self. trib_sender_free() hands it to the dialect's sender_free. */
int tribi_sender_wrap(const struct trib_dialect *dialect, void *self, struct trib_sender **ret_sender, struct trib_error *err);

#endif

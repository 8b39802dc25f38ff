/* Prints the events of a captured session. */
#ifndef TRIBUTARY_TOOLS_INSPECT_PRINT_H
#define TRIBUTARY_TOOLS_INSPECT_PRINT_H

#include <tributary/message.h>

#include <stdbool.h>

/* One event, one line or, for INIT, one for each field. `side` tells what a number means; `full`: long texts are not cut. */
void inspect_print_event(const struct trib_event *event, enum trib_side side, bool full);

#endif

/* Pumps length-prefixed messages through a channel and tells what they cost. */
#ifndef TRIBUTARY_TOOLS_PUMP_H
#define TRIBUTARY_TOOLS_PUMP_H

#include "tools/tool.h"

struct pump {
    const struct tool *tool;
    const char *uri;
    const char *what; /* for the progress bar */
    uint64_t bytes;   /* of payload */
    size_t message;   /* bytes of payload in each; at least 16 */
};

struct pump_result {
    uint64_t messages;
    uint64_t bytes;         /* of payload */
    int64_t ns;             /* from the first byte sent until the sender knows that all were taken */
    uint64_t calls_sending; /* system calls */
    uint64_t calls_receiving;
    uint64_t copied; /* bytes copied in user space, both ends */
};

/* Near sends, far takes each message as one view and checks its length, its number and some of its bytes. */
int pump_run(const struct pump *pump, struct pump_result *ret_result, struct trib_error *err);

#endif
